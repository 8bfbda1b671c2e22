"""Recorded models: the networks of a few figures' first seed, stored beside the record for readers without a GPU.

A model is a safetensors file of at most 2 MB, tensors alone, with floats in half precision: numbers from it differ in
the third digit from those of the record, and a model that was added later, by running the seed again on another machine,
differs from the recorded run as two machines do. The record holds the file's digest; one that does not match is refused.
"""

import hashlib

from gentools.lab import records, session
from gentools.lab.chapters import CHAPTERS, chapter
from gentools.lab.stream import find_device
from gentools.recipes import find, recipes

MOST = 2_000_000  # bytes of one model


def trained(id, device=None):
    """The networks of recorded figure `id` as its first seed trained them, in evaluation mode: an nn.Module.

    device: by default that of the session. Floats were stored in half precision and come back in single. Raises
    ValueError if the figure has no stored model (and names those that have), if the file is not the recorded one, or if
    there is no such device.
    """
    recipe, record = find(id), records.load(id) or {}
    if device is not None:
        find_device(device)
    stored = record.get("model")
    data = stored and records.read(f"{chapter(id).folder}/{id}.safetensors")
    if recipe.model is None or data is None:
        have = ", ".join(i for each in CHAPTERS for i, r in recipes(each.name).items() if r.model and _is_stored(i))
        raise ValueError(f"no model is stored with figure {id}; there are models of {have or 'no figure'}")
    if hashlib.sha256(data).hexdigest() != stored["digest"]:
        raise ValueError(
            f"the file {id}.safetensors is not the one that the record of figure {id} names: it was damaged or "
            "exchanged. Take it from the course again."
        )
    nets = recipe.model(recipe.config(record["scale"]), stored["seed"])
    nets.load_state_dict(_package("safetensors.torch").load(data))  # halves become what the network holds
    return nets.eval().to(device or session.device)


def _is_stored(id):
    return bool((records.load(id) or {}).get("model"))


def pack(state):
    """The tensors of a state dict as the bytes of a safetensors file, floats in half precision.

    Raises ValueError if a number does not fit into half precision, or if the file would be larger than 2 MB.
    """
    small = {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    if bad := [name for name, tensor in small.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{bad[0]} does not fit into half precision")
    data = _package("safetensors.torch").save(small)
    if len(data) > MOST:
        raise ValueError(f"the model takes {len(data):,} bytes and may take {MOST:,}; store a smaller one")
    return data


def entry(data, seed):
    """What a record says of its model."""
    return {"seed": seed, "bytes": len(data), "digest": hashlib.sha256(data).hexdigest()}


def _package(name):
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "stored models are safetensors files; install the package: pip install safetensors"
        ) from error
