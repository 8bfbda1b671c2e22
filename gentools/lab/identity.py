"""What decides a training run, as plain values: two runs with one identity end bit for bit alike on one build and device.

Functions count by the code that they reach and by the constants they hold, networks by what they are and where they
start. Devices, comments, docstrings and line numbers do not count.
"""

import dis
import functools
import hashlib
import re
import sys
import types
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gentools.lab import checkpoint, closure
from gentools.lab.optim import groups
from gentools.lab.randomness import generator

HORIZON = 1 << 17  # steps for which a schedule's rates are compared one by one; beyond them its code stands for them
_starts = weakref.WeakKeyDictionary()  # {networks: {folder: where their run there started}}, as long as they live


def identity_of(step, nets, opts, stream, seed, schedule, ema, autocast, config, folder=None):
    """What must agree before a run resumes from a file. TypeError, naming the place, for a value that is not plain."""
    generator(seed)  # refuses what is no seed before anything is kept
    mine = frozenset(map(id, (nets, *nets.modules(), *nets.parameters(), opts, *opts.values(), stream, ema)))
    state = nets.state_dict(keep_vars=True)
    layers = dict(nets.named_modules())
    names = {id(parameter): name for name, parameter in nets.named_parameters()}
    parts = {
        "config": checkpoint.numbers(config),
        "seed": checkpoint.numbers(seed),
        "step": describe(step, mine),
        "nets": {name: _kind(tensor) for name, tensor in state.items()},
        "layers": {name: _label(layer) for name, layer in layers.items() if not list(layer.children())},
        "values": {name: _values(layer, mine) for name, layer in layers.items()},
        "classes": {_name(type(layer)): describe(type(layer)) for layer in layers.values()},
        "opts": {name: _optimizer(opt, names) for name, opt in opts.items()},
        "schedule": schedule and {"function": describe(schedule, mine), "rates": _rates(schedule)},
        "ema": ema and {"decay": ema.decay, "class": describe(type(ema))},
        "autocast": _autocast(autocast),
        "stream": {"class": describe(type(stream)), **stream.identity()},
        "start": _start(nets, opts, ema, folder),
    }
    return checkpoint.plain(parts, "identity", tensors=False)


def describe(value, known=frozenset()):
    """`value` as plain values: the same for the same value in every process and on every device.

    A function gives its name, the code that it reaches and the constants that it holds (those of a closure or a partial,
    default arguments, globals outside of gentools), an object its class and attributes, a tensor its numbers or their
    digest. known: ids of objects that are looked at elsewhere.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) in (bool, int, float, str):
        return value
    if id(value) in known:
        return "seen elsewhere"
    inner = functools.partial(describe, known=known | {id(value)})
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return _numbers(value)
    if isinstance(value, (list, tuple)):
        return [inner(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, dict):
        return {str(key): inner(each) for key, each in value.items()}
    if isinstance(value, functools.partial):
        return {"function": inner(value.func), "arguments": inner(value.args), "keywords": inner(value.keywords)}
    if isinstance(value, types.MethodType):
        return {"function": inner(value.__func__), "self": inner(value.__self__)}
    if isinstance(value, types.FunctionType):
        return _function(value, inner)
    if isinstance(value, type):
        return _class(value, inner)
    if isinstance(value, nn.Module):
        layers = {name: _values(layer, known) for name, layer in value.named_modules()}
        return {"class": inner(type(value)), "values": layers, "state": inner(value.state_dict())}
    if isinstance(value, torch.device):
        return "a device"
    if _library(type(value).__module__) or not hasattr(value, "__dict__"):
        return (
            _label(value) if (content := _content(value)) is None else {"class": _name(type(value)), **inner(content)}
        )
    return {"class": inner(type(value)), **inner(vars(value))}


def _content(value):
    """What is in an object of a library, or one with slots, as far as it can be copied; its text may show less of it.

    None where its text shows all of it, where it is known by name or cannot be copied, and for a generator of random
    numbers, whose state goes on from run to run.
    """
    if hasattr(value, "__wrapped__"):
        return {"wraps": value.__wrapped__}
    random = isinstance(value, (torch.Generator, np.random.Generator, np.random.RandomState))
    if random or type(value).__module__ == "builtins":
        return None
    try:
        parts = value.__reduce_ex__(4)
    except Exception:  # locks, open files, compiled code: each refuses in its own way
        return None
    return None if isinstance(parts, str) else {"made of": [*parts[1:3], *(list(each or ()) for each in parts[3:5])]}


def _function(function, inner):
    """A function by name, code and constants."""
    home, found = function.__globals__.get("__name__"), {"name": _name(function)}
    if home and home.split(".")[0] == "gentools":
        found["code"] = _reached(function)
    elif not _library(home):
        code = _instructions(function.__code__)
        found |= {"python": sys.version_info[:2], "code": _digest(ascii(code).encode())}
        found["globals"] = {name: inner(value) for name, value in _globals(code, function.__globals__).items()}
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    found["constants"] = {name: inner(cell.cell_contents) for name, cell in cells.items() if _filled(cell)}
    found["defaults"] = [inner(function.__defaults__), inner(function.__kwdefaults__)]
    return found


def _class(kind, inner):
    """A class by name and, unless a library made it, by the code of its methods and of the classes that it extends."""
    if _library(kind.__module__):
        return _name(kind)
    if kind.__module__.split(".")[0] == "gentools":
        return {"name": _name(kind), "code": _reached(kind)}
    own = {name: getattr(value, "__func__", getattr(value, "fget", value)) for name, value in vars(kind).items()}
    kept = {
        name: value for name, value in own.items() if isinstance(value, (types.FunctionType, bool, int, float, str))
    }
    skipped = ("__module__", "__doc__", "__qualname__", "__firstlineno__")
    body = {name: inner(value) for name, value in kept.items() if name not in skipped}
    return {"name": _name(kind), "bases": [inner(base) for base in kind.__bases__], "body": body}


def _reached(start):
    """{definition: digest of its code} for all that a function or class of gentools reaches."""
    definitions = sorted(closure.reached([start]))
    return {".".join(each): _digest(ascii(closure.shape(*each)).encode()) for each in definitions}


def _instructions(code):
    """What compiled code does, one (operation, argument) each: no docstring, comment or line number is among them."""
    return [(each.opname, _argument(each.argval)) for each in dis.get_instructions(code)]


def _argument(value):
    if isinstance(value, types.CodeType):
        return _instructions(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


def _globals(instructions, names):
    """{name: value} of the globals that instructions use; of modules outside of libraries, their members in use."""
    found, used = {}, list(_flat(instructions))
    for operation, name in used:
        value = names.get(name) if operation == "LOAD_GLOBAL" else None
        if not isinstance(value, types.ModuleType):
            found |= {} if value is None else {name: value}
        elif not _library(value.__name__):
            members = {member for operation, member in used if operation in ("LOAD_ATTR", "LOAD_METHOD")}
            found |= {
                f"{name}.{member}": getattr(value, member) for member in sorted(members) if hasattr(value, member)
            }
    return found


def _flat(instructions):
    for operation, value in instructions:
        nested = isinstance(value, list) and all(isinstance(each, tuple) for each in value)
        yield from _flat(value) if nested else [(operation, value)]


def _filled(cell):
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _library(module):
    """Whether a module is Python's or was installed, so that its version stands for its code."""
    root = (module or "builtins").split(".")[0]
    path = getattr(sys.modules.get(root), "__file__", None) or ""
    own = root in ("gentools", "__main__")  # whose file is the kernel's in a notebook
    return not own and (root in sys.stdlib_module_names or "site-packages" in Path(path).parts)


def _name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def _label(value):
    """The representation of an object, without addresses."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", getattr(value, "__qualname__", None) or repr(value))


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _numbers(value):
    """A few numbers as they are, many as a digest with shape and type."""
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
        return repr(value)
    rows = torch.as_tensor(value).detach().cpu().contiguous()
    if rows.numel() <= 4:
        return rows.tolist()
    return f"{_digest(rows.reshape(-1).view(torch.uint8).numpy())} {_kind(rows)}"


def _kind(tensor):
    """Shape and type of a parameter or buffer, and whether an optimizer may change it."""
    frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad
    return f"{tuple(tensor.shape)} {tensor.dtype}" + (" frozen" if frozen else "")


def _values(layer, known):
    """What a layer holds beside parameters, buffers and other layers, for example the width of a noise."""
    return {name: describe(value, known) for name, value in vars(layer).items() if not name.startswith("_")}


def _optimizer(opt, names):
    """An optimizer by its class, its settings without the current rate, and the names of what it updates."""
    found = {"class": describe(type(opt))}
    for i, group in enumerate(groups({"": opt})):
        settings = {key: describe(value) for key, value in group.items() if key not in ("params", "lr")}
        found[f"group {i}"] = settings | {
            "params": [names.get(id(p), "none of the networks'") for p in group["params"]]
        }
    return found


def _rates(schedule):
    """Digests of a schedule's factors over steps 0, 1, 2-3, 4-7, ...: the first that differs says about where."""
    found, rates = {}, []
    try:
        for t in range(HORIZON):
            rates.append(float(schedule(t)))
    except Exception as error:  # it may end, as a list of rates does
        found["ends"] = f"at step {len(rates)}: {type(error).__name__}"
    for power in range(HORIZON.bit_length()):
        first, last = (1 << power) >> 1, 1 << power
        found[f"steps {first} to {last - 1}"] = _digest(repr(rates[first:last]).encode())
    return found


def _autocast(context):
    """Mixed precision by its type of number: the device may be another one."""
    if isinstance(context, torch.autocast):
        return f"{context.fast_dtype}, {'on' if context._enabled else 'off'}"
    return describe(context)


def _start(nets, opts, ema, folder):
    """The values of parameters and buffers before step 0.

    Networks that have trained in this folder before, in this process, keep the start of then: a cell of a notebook that
    is run again goes on with them.
    """
    places, key = _starts.setdefault(nets, {}), folder and str(Path(folder).resolve())
    if folder is None or key not in places or not checkpoint.paths(folder):
        state = {"nets": {**dict(nets.named_parameters()), **dict(nets.named_buffers())}}
        state |= {"ema": ema.nets.state_dict()} if ema else {}
        state |= {"opts": {name: opt.state_dict() for name, opt in opts.items()}}
        places[key] = {place: _numbers(tensor) for place, tensor in checkpoint.tensors(state)}
    return places[key]
