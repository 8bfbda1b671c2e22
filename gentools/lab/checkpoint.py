"""Checkpoints that survive a kill, and that refuse any file that is not whole, not theirs or not harmless.

A checkpoint is one ordinary torch.save file of tensors and plain values, named after its step and the sha256 of its
bytes: step-000000400-5f0c6b1d2a3e4f50.pt. It appears under that name whole or not at all. Needs torch >= 2.10.
It also holds the seconds that its run had taken, so that a run which was stopped can say what all of it took: `bill`.
"""

import contextlib
import hashlib
import io
import math
import os
import re
import textwrap
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.torch_version import TorchVersion

from gentools.lab.files import naming
from gentools.lab.processes import alive

FORMAT = "gentools checkpoint 3"
TIMELESS = "gentools checkpoint 2"  # the same without the seconds, which then count as 0
OLD = "gentools checkpoint 1"
FORMATS = (FORMAT, TIMELESS, OLD)
CONTENT = {"format": str, "step": int, "torch": str, "identity": dict, "state": dict}
KEEP = 3
MISSING = type("Missing", (), {"__repr__": lambda self: "missing"})()  # differs from every value that a file can hold
_NAME = re.compile(r"step-(\d{9,})-([0-9a-f]{16})\.pt")


class CheckpointError(RuntimeError):
    """A checkpoint that was refused; the message says why and what to do."""


class NonFinite(ArithmeticError):
    """A number that became NaN or infinite; the message names it, its step and the last good checkpoint."""

    def __init__(self, name, step, folder):
        self.name, self.step = name, step
        self.last = next(filter(_intact, paths(folder)), None) if folder else None
        last = f"last good checkpoint: {self.last}" if self.last else "there is no checkpoint before it"
        when = f"in step {step} (the first is 0)" if step >= 0 else "before the first step"
        super().__init__(f"{name} is NaN or infinite {when}; {last}. A smaller learning rate may help")


@dataclass(frozen=True)
class Loaded:
    """The checkpoint that was chosen, and the newer ones that were refused with the reason for each."""

    state: dict
    step: int
    path: Path
    torch: str
    refused: tuple

    def __str__(self):
        lines = [f"refused {name}: {why}" for name, why in self.refused]
        lines.append(f"resumed after {self.step} steps from {self.path}")
        if self.torch != torch.__version__:
            lines.append(f"it was saved by torch {self.torch}: the run continues, but not to the same bits")
        return "\n".join(lines)


def save(folder, state, step, identity):
    """Write `state` as the checkpoint after `step` steps, durably, and keep the last three. Returns its path.

    state: nested dicts, lists and tuples of tensors, numbers, strings and None. identity: the same without tensors;
    what must agree before anyone resumes from this file. Both are dicts. A failed save raises and leaves nothing behind:
    TypeError for any other type, ValueError for a step that is no whole number from 0 up, NonFinite for a tensor with NaN
    or infinity, OSError from the file system.
    """
    if type(step) is not int or step < 0:
        raise ValueError(f"step must be a whole number, at least 0, not {step!r}")
    for name, value in (("state", state), ("identity", identity)):
        if not isinstance(value, dict):
            raise TypeError(f"{name} is a dict of values by name, not a {type(value).__name__}")
    folder = Path(folder)
    seconds = _spent(folder, state)
    state = plain(state, "state")
    check_finite(state, step - 1, folder)
    buffer = io.BytesIO()
    identity = plain(identity, "identity", tensors=False)
    content = {
        "format": FORMAT,
        "step": step,
        "torch": str(torch.__version__),
        "identity": identity,
        "state": state,
        "seconds": seconds,
    }
    torch.save(content, buffer)
    data = buffer.getbuffer()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}-{_mark(data)}.pt"
    part = folder / f".{path.name}.{os.getpid()}.part"
    try:
        with naming(path, f"make room there, or make it writable, and the same run goes on from what {folder} holds"):
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)  # on one file system this happens or does not: no reader sees half a file
            _sync(folder)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise
    for old in [p for p in paths(folder) if p != path and _step(p) <= step][KEEP - 1 :]:
        old.unlink(missing_ok=True)
    for stale in folder.glob(".step-*.part"):  # of a save that was killed, and not of one that is under way
        if not alive(stale.name.split(".")[-2]):
            stale.unlink(missing_ok=True)
    return path


def newest(folder, identity):
    """The newest valid checkpoint in `folder` as Loaded (print it: it says what was refused), or None if there is none.

    Raises CheckpointError if there are checkpoints and every one is refused: starting afresh would overwrite them.
    """
    refused = []
    for path in paths(folder):
        try:
            content = load(path, identity)
            _enter(folder, content["seconds"])
            return Loaded(content["state"], content["step"], path, content["torch"], tuple(refused))
        except CheckpointError as error:
            refused.append((path.name, str(error)))
    if refused:
        reasons = "\n".join(f"  {name}: {why}" for name, why in refused)
        raise CheckpointError(
            f"no checkpoint in {folder} can be used:\n{reasons}\n"
            "Use another folder, or delete this one to start from the beginning. To go on from these networks with other "
            "settings, nets.load_state_dict(torch.load(FILE)['state']['nets']) and train in another folder."
        )
    _enter(folder, 0.0)
    return None


def load(path, identity):
    """Content of one checkpoint: {"step", "torch", "identity", "state", "seconds"}. Raises CheckpointError if it is refused.

    In this order: torch older than 2.10, bytes that do not match the digest in the name (truncated, corrupted), a file
    that is not a plain torch archive, a pickle that asks for anything but tensors and plain values, an
    earlier format, another identity.
    """
    if TorchVersion(torch.__version__) < (2, 10):
        raise CheckpointError(
            f"reading a checkpoint needs torch >= 2.10 and this is {torch.__version__}: in older versions a crafted "
            "file can run code even with weights_only=True (CVE-2025-32434, CVE-2026-24747)"
        )
    named = _NAME.fullmatch(Path(path).name)
    if named is None:
        raise CheckpointError("the name is not that of a checkpoint, step-STEP-DIGEST.pt")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"it cannot be read: {error}") from error
    if _mark(data) != named[2]:
        raise CheckpointError(f"its {len(data)} bytes do not match the digest in its name: truncated or corrupted")
    try:
        _check_archive(data)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        _check_size(content, len(data))
        content = plain(content, "content", views=False)
        timed = {"seconds": float} if content["format"] == FORMAT else {}
        if {k: type(v) for k, v in content.items()} != CONTENT | timed or content["format"] not in FORMATS:
            raise ValueError(f"it is not a {FORMAT!r}")
        if not 0 <= content.setdefault("seconds", 0.0) < math.inf:
            raise ValueError(f"it took {content['seconds']} seconds")
        if content["step"] != _step(path):
            raise ValueError(f"it holds step {content['step']}")
    except Exception as error:  # whatever a hostile file provokes, it is refused
        raise CheckpointError(f"it is not a safe checkpoint: {_short(error)}") from error
    if content["format"] == OLD:
        raise CheckpointError("it is of an earlier version of this course, which did not note what code made it")
    if change := _difference(content["identity"], plain(identity, "identity", tensors=False), ""):
        raise CheckpointError(f"it belongs to another run: {change}")
    return content


# What a run took, over all processes that worked on it


@dataclass
class _Account:
    """One run: seconds in the checkpoint that this process met first, in the one it went on from, and both clocks then."""

    earlier: float
    before: float
    begun: tuple


_accounts = {}  # by folder


@contextlib.contextmanager
def bill():
    """Inside, a function () -> seconds: what earlier work spent on the runs that are gone on with here, each counted once.

    Add it to the seconds of this process for what all would have taken without a stop. Work that a kill undid is done
    again here and is in neither twice; a run that was complete counts in full.
    """
    others = dict(_accounts)
    _accounts.clear()
    try:
        yield lambda: sum(account.earlier for account in _accounts.values())
    finally:
        _accounts.clear()
        _accounts.update(others)


def _clocks():
    """Process time, for work on the CPU, and wall time, for an accelerator, whose time is no time of this process."""
    return time.process_time(), time.perf_counter()


def _enter(folder, seconds):
    """A run begins or goes on in `folder`, after `seconds`; what this process saved and reads again is not earlier work."""
    place = Path(folder).resolve()
    earlier = _accounts[place].earlier if place in _accounts else seconds
    _accounts[place] = _Account(earlier, seconds, _clocks())


def _spent(folder, state):
    """Seconds that the run in `folder` has taken by now, by the clock of the device that its tensors are on."""
    account = _accounts.get(folder.resolve())
    if account is None:  # saved by hand, without looking for a checkpoint first
        return 0.0
    on_cpu = all(tensor.device.type == "cpu" for _, tensor in tensors(state))
    return account.before + _clocks()[not on_cpu] - account.begun[not on_cpu]


def paths(folder):
    """Checkpoint files in `folder`, newest first (by step, then by time of writing)."""
    folder = Path(folder)
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=lambda p: (_step(p), p.stat().st_mtime_ns), reverse=True)


def steps(folder):
    """How many steps the newest checkpoint in `folder` holds by its name; 0 where there is none."""
    return max(map(_step, paths(folder)), default=0)


def _step(path):
    return int(_NAME.fullmatch(Path(path).name)[1])


def _mark(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _intact(path):
    return path.is_file() and _mark(path.read_bytes()) == _NAME.fullmatch(path.name)[2]


def _sync(folder):
    """Make the new name itself durable. Windows cannot, and needs not."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check_archive(data):
    """A torch archive is a zip of stored entries. Compressed ones could unfold to any size, so they are refused."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > len(data):
        raise ValueError("its entries are compressed or larger than the file")


def _check_size(value, limit):
    """References can make a small file unfold without end, so there may be no more values than bytes."""
    waiting = [value]
    for _ in range(limit):
        if not waiting:
            return
        item = waiting.pop()
        if isinstance(item, (dict, list, tuple)):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    raise ValueError("it unfolds to more values than it has bytes")


def numbers(value):
    """A copy of nested dicts, lists and tuples in which numpy's scalars are Python's; the rest stays as it is."""
    if isinstance(value, dict):
        return {numbers(key): numbers(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(numbers, value))
    return value.item() if isinstance(value, np.generic) else value


def plain(value, where, tensors=True, views=True):
    """A copy of `value` with tensors on the CPU. Raises TypeError, naming the place, on what a checkpoint cannot hold.

    A tensor that is a view into more or less than its own numbers is copied, or refused (views=False, in a file: it
    could claim any size).
    """
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        return {key: plain(item, f"{where}.{key}", tensors, views) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item, f"{where}.{i}", tensors, views) for i, item in enumerate(value))
    if type(value) in (bool, int, float, str, type(None)):
        return value
    if tensors and type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided:
        value = value.detach().cpu()
        if value.untyped_storage().nbytes() == value.numel() * value.element_size():
            return value
        if not views:
            raise ValueError(f"{where} is a view")
        return value.clone(memory_format=torch.contiguous_format)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    allowed = "tensors, " if tensors else ""
    raise TypeError(f"{where} is a {kind}; a checkpoint holds {allowed}int, float, str, bool, None, list, tuple, dict")


def check_finite(state, step, folder=None):
    """Raise NonFinite, naming the first tensor of a nested state that holds NaN or infinity. Waits for the device once."""
    places = list(tensors(state))
    if places:
        good = [tensor.isfinite().all() for _, tensor in places]
        good = torch.stack([flag.to(good[0].device) for flag in good]).tolist()
        if not all(good):
            raise NonFinite(places[good.index(False)][0], step, folder)


def tensors(value, where=""):
    """Every tensor of a nested state with its place."""
    if isinstance(value, torch.Tensor):
        yield where, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors(item, f"{where}.{key}".lstrip("."))


def _difference(there, here, where):
    """The first place at which two nested plain values differ, in words, or None."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [(k, there.get(k, MISSING), here.get(k, MISSING)) for k in {**there, **here}]
    elif isinstance(there, (list, tuple)) and isinstance(here, (list, tuple)) and len(there) == len(here):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(there, here))]
    elif repr(there) == repr(here):
        return None
    else:
        return f"{where} is {_short(there)} there and {_short(here)} here"
    found = (_difference(a, b, f"{where}.{key}".lstrip(".")) for key, a, b in pairs)
    return next(filter(None, found), None)


def _short(value):
    return textwrap.shorten(str(value), 120, placeholder=" ...")
