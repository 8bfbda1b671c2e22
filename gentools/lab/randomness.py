"""Random numbers as pure functions of a seed and a name, so that nothing depends on what was drawn before."""

import hashlib

import torch


def generator(seed, *keys, device="cpu"):
    """A torch.Generator fixed by `seed` and any number of keys (text or whole numbers), the same on every run."""
    text = "\x1f".join([repr(seed), *map(repr, keys)])
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
