"""Random numbers as pure functions of a seed and a name, so that nothing depends on what was drawn before."""

import hashlib
import operator

import torch


def _text(key):
    """One spelling per key: "3" and 3 differ, 3 and numpy's 3 do not."""
    if isinstance(key, str):
        return repr(key)
    try:
        return repr(operator.index(key))
    except TypeError:
        raise TypeError(f"a seed or key must be text or a whole number, not {key!r}") from None


def generator(seed, *keys, device="cpu"):
    """A torch.Generator fixed by `seed` and any number of keys (text or whole numbers), the same on every run.

    The first 63 bits of the sha256 of seed and keys seed it. Equal arguments give equal numbers in any process and any
    order of calls; on another device (`device="cuda"`) they are other numbers. Raises TypeError for other keys.
    """
    digest = hashlib.sha256("\x1f".join(map(_text, (seed, *keys))).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
