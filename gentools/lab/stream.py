"""Batches and noise as pure functions of (seed, t): there is no loader and no random state that a kill could lose."""

import hashlib

import torch

from gentools.lab.identity import describe
from gentools.lab.randomness import generator


class Stream:
    """Data on a device, from which step t of a run takes `batch(seed, t)` and `noise(seed, t)`.

    data: a tensor of rows, images (n, channels, height, width) or vectors (n, d), in uint8 (0 to 255) or floats (images
    within 0 to 1, kept in torch's default precision; vectors keep theirs); or a tuple of such a tensor and others of n rows, for example (images, labels).
    batch: rows per step. z_shape: shape of one row's noise, an integer or a tuple, for example 20 or (2, 20).
    prepare: function of (rows, generator) applied to each batch of data, not to labels; without it uint8 becomes
    floats in [0, 1] and floats stay as they are. noise: torch.randn, or torch.rand for a uniform prior.
    Epoch e is the permutation f(seed, e), and epochs follow each other without a gap: every row is used once per epoch
    also where the batch size does not divide n. Permutations are made on the CPU, so every device sees the same rows;
    noise is drawn on the device, and devices differ there. Raises ValueError on data that is none of this.
    Any object with `device`, `batch`, `noise` and `identity` may take its place.
    """

    def __init__(self, data, batch, z_shape, *, prepare=None, noise=torch.randn, device="cpu"):
        self.device = find_device(device)
        self.labeled = isinstance(data, (tuple, list))
        data = tuple(data) if self.labeled else (data,)
        z_shape = (z_shape,) if isinstance(z_shape, int) else tuple(z_shape)
        _check(data, batch, z_shape, prepare)
        if data[0].ndim == 4 and data[0].is_floating_point():  # a picture has 8 bits; in float64 no layer would take it
            data = (data[0].to(torch.get_default_dtype()), *data[1:])
        self.data = tuple(rows.to(self.device) for rows in data)
        self.rows, self.size, self.z_shape = len(data[0]), batch, z_shape
        self.prepare, self.draw = prepare or unit, noise
        self.dtype = data[0].dtype if data[0].is_floating_point() else torch.get_default_dtype()
        self._orders = {}

    def order(self, seed, epoch):
        """The permutation of the rows that epoch `epoch` follows, shape (n,), on the device."""
        if (seed, epoch) not in self._orders:
            order = torch.randperm(self.rows, generator=generator(seed, "epoch", epoch)).to(self.device)
            kept = list(self._orders.items())[-1:]  # a batch touches two epochs at most
            self._orders = dict([*kept, ((seed, epoch), order)])
        return self._orders[seed, epoch]

    def indices(self, seed, t):
        """Which rows step t uses, shape (batch,)."""
        epoch, start = divmod(t * self.size, self.rows)
        chosen = self.order(seed, epoch)[start : start + self.size]
        if len(chosen) < self.size:
            chosen = torch.cat([chosen, self.order(seed, epoch + 1)[: self.size - len(chosen)]])
        return chosen

    def batch(self, seed, t):
        """Step t's x: prepared rows (batch, ...), or a tuple of them and their labels."""
        chosen = self.indices(seed, t)
        x, *labels = (rows.index_select(0, chosen) for rows in self.data)
        x = self.prepare(x, generator(seed, "prepare", t, device=self.device))
        return (x, *labels) if self.labeled else x

    def noise(self, seed, t):
        """Step t's z, shape (batch, *z_shape)."""
        rng = generator(seed, "z", t, device=self.device)
        return self.draw(self.size, *self.z_shape, generator=rng, device=self.device, dtype=self.dtype)

    def identity(self):
        """Plain values that tell this stream from others, with a digest of the data; a checkpoint keeps them."""
        digest = hashlib.sha256()
        for rows in self.data:
            digest.update(repr((rows.shape, rows.dtype)).encode())
            digest.update(rows.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        functions = {"prepare": describe(self.prepare), "noise": describe(self.draw)}
        return {"batch": self.size, "z_shape": list(self.z_shape), **functions, "data": digest.hexdigest()}


def unit(x, rng=None):
    """uint8 in 0..255 as floats in [0, 1]; floats unchanged. x of any shape (n, ...), as is the result."""
    if not x.is_floating_point() and x.dtype != torch.uint8:
        raise TypeError(f"gray values are uint8 (0 to 255) or floats, not {x.dtype}; of bits, x.float() makes 0 and 1")
    return x if x.is_floating_point() else x.to(torch.get_default_dtype()) / 255


def binarize(x, rng):
    """Dynamic binarization (Salakhutdinov and Murray, 2008): each pixel is 1 with probability its gray value.

    x: (n, ...), uint8 or floats in [0, 1]; the result has its shape. rng: a torch.Generator on the device of x.
    """
    if (
        x.is_floating_point()
        and x.device.type == "cpu"
        and x.numel()
        and not 0 <= float(x.min()) <= float(x.max()) <= 1
    ):
        raise ValueError(
            f"gray values are bytes, or floats in [0, 1], and these reach from {x.min():.4g} to {x.max():.4g}; divide by 255?"
        )
    x = unit(x)
    return (torch.rand(x.shape, generator=rng, device=x.device, dtype=x.dtype) < x).to(x.dtype)


def find_device(name):
    """torch.device for "cpu", "cuda", "cuda:1" or "mps". Raises ValueError if there is no such device here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        here = ["cpu"] + [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()]
        raise ValueError(f"device {name!r} is unknown or not available here; choose among {', '.join(here)}") from error
    return device


def _check(data, batch, z_shape, prepare):
    x = data[0] if data else None
    if not all(isinstance(rows, torch.Tensor) and rows.ndim > 0 for rows in data) or x is None:
        raise ValueError("data must be a tensor with one row per example, or a tuple of such tensors")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise ValueError(f"data must be uint8 or floating point, not {x.dtype}")
    if x.numel() == 0:
        raise ValueError(f"data is empty: shape {tuple(x.shape)}")
    if x.ndim not in (2, 4) or (x.ndim == 4 and x.shape[1] > 4 >= x.shape[3]):
        raise ValueError(f"data must be (n, d) or images (n, channels, height, width), not {tuple(x.shape)}")
    if any(len(rows) != len(x) for rows in data):
        raise ValueError(f"data and labels differ in length: {[len(rows) for rows in data]}")
    if not isinstance(batch, int) or not 1 <= batch <= len(x):
        raise ValueError(f"batch must be an integer from 1 to the {len(x)} rows of data, not {batch!r}")
    if not z_shape or not all(isinstance(n, int) and n > 0 for n in z_shape):
        raise ValueError(f"z_shape must hold positive integers (a latent dimension of 0 is none), not {z_shape}")
    if x.dtype == torch.uint8 and prepare in (None, binarize) and x.max() == 1:
        raise ValueError(
            "data are bytes and hold 0 and 1 alone, of 0 to 255: as bits take .float(), as gray levels 255 *"
        )
    if x.is_floating_point() and not x.isfinite().all():
        raise ValueError("data holds values that are NaN or infinite")
    if x.is_floating_point() and (x.ndim == 4 or prepare is binarize):
        low, high = x.min().item(), x.max().item()
        if low < 0 or high > 1:
            raise ValueError(f"images must lie in [0, 1] and these lie in [{low:.4g}, {high:.4g}]; divide by 255?")
