"""Chapter 06: the GAN of chapter 05 with convolutions in both players (Radford, Metz, Chintala 2015, arXiv 1511.06434).

Images are (n, c, h, w) with values in [-1, 1], noise z is (n, latent), logits are (n,). The losses are chapter 05's.
Shapes: x (n, c, h, w), z (n, latent), tables p_x and q_x (m,).
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, interpolate

from gentools import gan
from gentools.lab import randomness
from gentools.lab.divergences import js
from gentools.lab.networks import frozen
from gentools.lab.shapes import (
    distributions,
    filled,
    finite,
    modes_kept,
    number_or_column,
    same_columns,
    same_shape,
    whole,
)
from gentools.lab.stream import unit

# Sizes


def conv_size(n, kernel, stride, padding):
    """Side of a convolution's output for an input of side n. Equation (6.1). A padding below 0 cuts the input."""
    whole(n=n, kernel=kernel, stride=stride)
    whole(None, padding=padding)
    if n + 2 * padding < kernel:
        raise ValueError(f"a kernel of side {kernel} must fit into {n} + 2 x {padding} pixels")
    return (n + 2 * padding - kernel) // stride + 1


def transposed_size(n, kernel, stride, padding):
    """Side of a transposed convolution's output for an input of side n. Equation (6.1). A padding below 0 adds to it."""
    whole(n=n, kernel=kernel, stride=stride)
    whole(None, padding=padding)
    if (n - 1) * stride - 2 * padding + kernel < 1:
        raise ValueError(
            f"a padding of {padding} leaves nothing of the {(n - 1) * stride + kernel} pixels it is cut from"
        )
    return (n - 1) * stride - 2 * padding + kernel


def sides(size):
    """Sides of the generator's maps, each twice the one before: sides(28) == [7, 14, 28], sides(64)[0] == 4.

    Raises ValueError for a size that is not 4, 5, 6 or 7 doubled once or more.
    """
    found = [size]
    while isinstance(size, int) and size >= 8 and size % 2 == 0:
        size //= 2
        found.insert(0, size)
    if len(found) < 2 or found[0] > 7:
        raise ValueError(
            f"images must have a side of 4, 5, 6 or 7 times a power of two (8, 28, 32, 64), not {found[-1]!r}"
        )
    return found


# Networks


class Generator(nn.Module):
    """z (n, latent) -> images (n, channels, size, size) in [-1, 1]. Make one with `generator`.

    A linear layer makes the smallest maps, of side 4 to 7. Each transposed convolution doubles the side and halves the
    number of maps, down to `width`; the last one makes the image. BatchNorm and ReLU follow all but the last.
    """

    def __init__(self, size=32, channels=1, latent=64, width=32):
        super().__init__()
        self.latent, self.sides = latent, sides(size)
        doublings = len(self.sides) - 1
        maps = [width * 2**i for i in reversed(range(doublings))]
        self.project = nn.Linear(latent, maps[0] * self.sides[0] ** 2, bias=False)
        layers = [nn.Unflatten(1, (maps[0], self.sides[0], self.sides[0])), nn.BatchNorm2d(maps[0]), nn.ReLU(True)]
        for n, m in pairwise(maps):
            layers += [nn.ConvTranspose2d(n, m, 4, 2, 1, bias=False), nn.BatchNorm2d(m), nn.ReLU(True)]
        layers += [nn.ConvTranspose2d(maps[-1], channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z):
        """(n, latent) -> (n, channels, size, size)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"z must have shape (n, {self.latent}), not {tuple(z.shape)}")
        return self.layers(self.project(z))


class Discriminator(nn.Module):
    """Images (n, channels, size, size) in [-1, 1] -> logits (n,). Make one with `discriminator`.

    The generator's mirror: each convolution halves the side and doubles the number of maps, and a linear layer makes the
    logit. LeakyReLU follows each convolution, BatchNorm all but the first. `features` is all but the linear layer.
    """

    def __init__(self, size=32, channels=1, width=32):
        super().__init__()
        self.shape = (channels, size, size)
        found = sides(size)
        maps = [channels, *(width * 2**i for i in range(len(found) - 1))]
        layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for n, m in pairwise(maps[1:]):
            layers += [nn.Conv2d(n, m, 4, 2, 1, bias=False), nn.BatchNorm2d(m), nn.LeakyReLU(0.2, True)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(maps[-1] * found[0] ** 2, 1)

    def forward(self, x):
        """(n, channels, size, size) -> (n,)."""
        if x.shape[1:] != self.shape:
            raise ValueError(f"images must have shape (n, {', '.join(map(str, self.shape))}), not {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"images must be floats in [-1, 1], not {x.dtype}; dcgan.signed converts 0..255")
        return self.head(self.features(x)).squeeze(1)


def initialize(net, rng):
    """DCGAN's start, in place: weights N(0, 0.02^2), BatchNorm's factors N(1, 0.02^2), biases 0. Returns the network."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02, generator=rng)
            nn.init.zeros_(layer.bias)
            layer.reset_running_stats()
        elif isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0, 0.02, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def _made(kind, rng, **shape):
    """A network whose weights depend on rng alone, made without touching torch's global generator."""
    for name, value in shape.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, not {value!r}")
    with torch.device("meta"):
        net = kind(**shape)
    return initialize(net.to_empty(device="cpu"), rng)


def generator(seed, size=32, channels=1, latent=64, width=32):
    """A `Generator` with DCGAN's start, fixed by the seed. Radford's own for 64x64: latent=100, width=128, channels=3."""
    rng = randomness.generator(seed, "generator")
    return _made(Generator, rng, size=size, channels=channels, latent=latent, width=width)


def discriminator(seed, size=32, channels=1, width=32):
    """A `Discriminator` with DCGAN's start, fixed by the seed."""
    return _made(Discriminator, randomness.generator(seed, "discriminator"), size=size, channels=channels, width=width)


def networks(seed, size=32, channels=1, latent=64, width=32):
    """ModuleDict of "generator" and "discriminator", of equal width."""
    made = {"generator": generator(seed, size, channels, latent, width)}
    return nn.ModuleDict(made | {"discriminator": discriminator(seed, size, channels, width)})


def shapes(net, x):
    """What each layer of a `Generator` or `Discriminator` makes of a batch x: [(layer's name, shape of one row)].

    Layers that leave the shape alone (BatchNorm, activations) are left out. The network is used in evaluation mode.
    """
    found, hooks = [("input", tuple(x.shape[1:]))], []

    def note(layer, _, out):
        if tuple(out.shape[1:]) != found[-1][1]:
            found.append((type(layer).__name__, tuple(out.shape[1:])))

    leaves = [layer for layer in net.modules() if not list(layer.children())]
    training = net.training
    try:
        hooks += [layer.register_forward_hook(note) for layer in leaves]
        with torch.no_grad():
            net.eval()(x)
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return found


# One step


def signed(x, rng=None):
    """uint8 in 0..255, or floats in [0, 1], as floats in [-1, 1], the range of tanh. For `Stream(prepare=signed)`."""
    filled(x=x)
    if x.is_floating_point() and x.device.type == "cpu" and not 0 <= float(x.min()) <= float(x.max()) <= 1:
        raise ValueError(
            f"floats must lie in [0, 1], these in [{x.min():.4g}, {x.max():.4g}]; divide gray levels by 255"
        )
    return 2 * unit(x) - 1


def step(nets, opts, x, z, generator_loss=gan.non_saturating_loss):
    """`gan.step` for a discriminator with BatchNorm: real and fake images pass it in separate batches. See (6.7)."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z)
    d_loss = gan.discriminator_loss(discriminator(x), discriminator(fake.detach()))
    gan.descend(opts["discriminator"], d_loss)

    with frozen(discriminator):  # the generator's gradient passes through D and leaves none in it
        g_loss = generator_loss(discriminator(fake))
        gan.descend(opts["generator"], g_loss)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


@torch.no_grad()
def sample(generator, z, batch=500):
    """Images for z (n, latent) with BatchNorm's running averages, so that no image depends on the others; on z's device."""
    training = generator.training
    generator.eval()
    try:
        return torch.cat([generator(part) for part in z.split(batch)])
    finally:
        generator.train(training)


@torch.no_grad()
@modes_kept
def measure_statistics(generator, z):
    """Set BatchNorm's running averages to the statistics of one large batch z, in place. For averaged weights."""
    filled(z=z)
    if len(z) < 2:
        raise ValueError("the statistics of one picture are its own: give a large batch of z")
    finite("one of them would spoil every average", z=z)
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta, training = [layer.momentum for layer in norms], generator.training
    for layer in norms:
        layer.momentum = 1.0
    generator.train()(z)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return generator.train(training)


# Upsample, then convolve: one strided transposed convolution


class UpsampleConv(nn.Conv2d):
    """Repeat each pixel 2 x 2, then a 3x3 convolution, as many generators are written: (n, c, h, w) -> (n, m, 2h, 2w)."""

    def __init__(self, n, m, bias=True):
        super().__init__(n, m, 3, padding=1, bias=bias)

    def forward(self, x):
        """(n, c, h, w) -> (n, m, 2h, 2w)."""
        _batch_of_pictures(x)
        return super().forward(interpolate(x, scale_factor=2, mode="nearest"))


class FoldedUpsampleConv(UpsampleConv):
    """The same function of the same parameters, with 4 products per output pixel and channel pair in place of 9. (6.6)"""

    def forward(self, x):
        """(n, c, h, w) -> (n, m, 2h, 2w)."""
        _batch_of_pictures(x)
        return conv_transpose2d(x, fold(self.weight), self.bias, stride=2, padding=1)


def _batch_of_pictures(x):
    """Refuse a picture without its batch: torch would repeat its rows alone. Raises ValueError."""
    if x.ndim != 4:
        raise ValueError(f"pictures have the shape (n, c, h, w), not {tuple(x.shape)}; x[None] is a batch of one")


def fold(weight):
    """The 4x4 kernel (in, out, 4, 4) whose stride-2 transposed convolution is upsampling by 2 and `weight` (out, in, 3, 3).

    Along each axis the taps (a, b, c) become (c, b + c, a + b, a). Equation (6.6). Differentiable.
    """
    if weight.ndim != 4 or weight.shape[2:] != (3, 3):
        raise ValueError(f"weight must have shape (out, in, 3, 3), not {tuple(weight.shape)}")
    weight = weight.transpose(0, 1)
    for axis in (2, 3):
        a, b, c = weight.unbind(axis)
        weight = torch.stack([c, b + c, a + b, a], axis)
    return weight


# What a family of discriminators sees


def merged(p_x, part):
    """The distribution of the part that x falls into: p_x (n,), part (n,) of whole numbers from 0."""
    distributions(p_x=p_x)
    return p_x.new_zeros(int(part.max()) + 1).index_add(0, part, p_x)


def best_joint_kl(p_x, q_x, part):
    """Least joint KL (5.1) over discriminators that see only which part x falls into. Left side of (6.3)."""
    same_shape(p_x=p_x, q_x=q_x, part=part)
    p_s, q_s = merged(p_x, part), merged(q_x, part)
    return gan.joint_kl(p_x, q_x, gan.best_discriminator(p_s, q_s)[part])


def unseen(p_x, q_x, part):
    """How much of the Jensen-Shannon divergence such discriminators miss, in nats. Last two terms of (6.3)."""
    same_shape(p_x=p_x, q_x=q_x, part=part)
    return js(p_x, q_x) - js(merged(p_x, part), merged(q_x, part))


# Averages, walks, arithmetic


def average_gain(decay, angle):
    """By how much a moving average shrinks a circle that turns by `angle` per step. Equation (6.10).

    Its root is that of (1 - decay)^2 + 4 decay sin^2(angle / 2), the same sum without a difference of nearly equal terms.
    """
    if not torch.as_tensor((decay >= 0) & (decay < 1)).all():
        raise ValueError(f"decay must lie between 0 and 1, 1 excluded, not {decay}")
    angle = torch.as_tensor(angle)
    finite("a turn is a number of radians", angle=angle)
    return (1 - decay) / ((1 - decay) ** 2 + 4 * decay * torch.sin(angle / 2) ** 2).sqrt()


def linear_walk(a, b, t):
    """The straight line from a (t = 0) to b (t = 1); t: a number, or moments (..., 1)."""
    same_columns(a=a, b=b)
    number_or_column(t=t)
    return (1 - t) * a + t * b


def great_circle(a, b, t):
    """The walk from a to b, (..., latent), along their great circle (White 2016, arXiv 1609.04468); t as in `linear_walk`.

    Between vectors of one length it turns at a constant rate and keeps the length, within a hundredth. Between others
    the same sum leads from a to b, in their plane, without either. Vectors of one direction are joined by a straight
    line. Opposite vectors single out no great circle, and near a half turn little of the angle is left in the cosine:
    raises ValueError within 0.005 of it in float32, within 0.000001 in float64, for 0, which has no direction, and NaN.
    """
    same_columns(a=a, b=b)
    number_or_column(t=t)
    if torch.finfo(torch.result_type(a, b)).eps > 1e-6:
        raise ValueError(f"an angle between vectors is lost in {a.dtype}; a.float() and b.float() keep it")
    cosine = (a * b).sum(-1, keepdim=True) / (a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True))
    finite("a and b need directions, and 0, NaN and infinity have none", cosines=cosine)
    angle = cosine.clamp(-1, 1).acos()
    if bool(((cosine < 0) & (angle.sin() <= max(1e-6, (200 * torch.finfo(cosine.dtype).eps) ** 0.5))).any()):
        raise ValueError("no great circle is singled out by a and b that point in opposite directions, or nearly so")
    circle = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return torch.where(angle.sin() > 1e-6, circle, linear_walk(a, b, t))


def analogy(a, b, c):
    """mean of a - mean of b + mean of c over the exemplars, each (m, ...) -> (...). Equation (6.12)."""
    same_shape(a=a[0], b=b[0], c=c[0])
    return a.mean(0) - b.mean(0) + c.mean(0)
