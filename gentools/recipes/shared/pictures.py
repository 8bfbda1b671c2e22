"""Labeled pictures, split for training and testing: use these names in configurations, as `data`.

"digits" (8x8, in scikit-learn, no download), "mnist", "fashion_mnist" (28x28).
"""

import torch

from gentools.lab import data
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize

PUBLIC = {"mnist": data.mnist, "fashion_mnist": data.fashion_mnist}


def labeled(name, split):
    """Images uint8 (n, 1, side, side) and labels (n,) of "train" or "test"; of the 1,797 digits 1,500 are for training."""
    if name in PUBLIC:
        return PUBLIC[name](split)
    images, labels = data.digits()
    order = torch.randperm(len(images), generator=generator(0, "digits split"))
    chosen = order[:1500] if split == "train" else order[1500:]
    return images[chosen], labels[chosen]


def enlarged(images, times):
    """Images (n, c, h, w) with every pixel as a square of `times` by `times`."""
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3)


def held_out_bits(images):
    """Binarized test images (n, ...), the same draw for every seed and model."""
    return binarize(images, generator(0, "test bits"))


def signed_bytes(images):
    """Generated images in [-1, 1] as uint8 on the CPU."""
    return ((images + 1) * 127.5).round().to(torch.uint8).cpu()
