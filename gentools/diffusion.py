"""Chapter 16: a fixed encoder of many steps. Diffusion models: the joint KL, exact on Gaussians; paths, targets, samplers.

p is the encoder's side and q the model's, as everywhere in the course (Ho et al. 2020 write q for the encoder, p for the
model). Discrete chains: data N(mean, variance) on a line, steps t = 1..T with noise variances betas, in float64; a reverse
step is q(x_{t-1}|x_t) = N(slope x_t + offset, variance). Continuous time: t in [0, 1] from data to noise, x_t = alpha x +
sigma noise. Divergences and bounds are in nats.
Shapes: data x, noise z and noisy points (n, d), times t and labels y (n,), betas (steps,), mean, std and variance ().
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from gentools.gan import descend
from gentools.lab import randomness
from gentools.lab.networks import fan_in, mlp
from gentools.lab.shapes import (
    among,
    away_from_zero,
    centers_of_modes,
    filled,
    flat,
    floating,
    labels_within,
    no_negative,
    number_per_row,
    of_width,
    one_number,
    passing_down,
    positive,
    same_rows,
    same_shape,
    vectors,
    whole,
)

# Paths: how the encoder mixes data and noise


class Mix(NamedTuple):
    """x_t = alpha x + sigma noise at times t, with the derivatives of both in t; four tensors of the shape of t."""

    alpha: torch.Tensor
    sigma: torch.Tensor
    alpha_slope: torch.Tensor
    sigma_slope: torch.Tensor


def straight(t):
    """alpha = 1 - t, sigma = t: straight lines from data to noise (Lipman et al. 2022, Liu et al. 2022)."""
    return Mix(1 - t, t, -torch.ones_like(t), torch.ones_like(t))


def cosine(t):
    """alpha = cos(pi t/2), sigma = sin(pi t/2) (Nichol, Dhariwal 2021, without their offset)."""
    angle = math.pi / 2 * t
    return Mix(angle.cos(), angle.sin(), -math.pi / 2 * angle.sin(), math.pi / 2 * angle.cos())


def linear(t):
    """alpha^2 = exp(-0.1 t - 9.95 t^2): the 1,000 steps of Ho et al. 2020 in the limit (Song et al. 2021)."""
    kept = (-0.1 * t - 9.95 * t**2).exp()
    sigma = (-torch.expm1(-0.1 * t - 9.95 * t**2)).sqrt()
    rate = 0.05 + 9.95 * t
    return Mix(kept.sqrt(), sigma, -rate * kept.sqrt(), rate * kept / sigma)


def even(t, reach=9.0):
    """alpha^2 + sigma^2 = 1 with a log-SNR, log alpha^2/sigma^2, that falls in a straight line from reach to -reach."""
    positive(reach=reach)
    log_snr = reach * (1 - 2 * t)
    alpha, sigma = torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()
    return Mix(alpha, sigma, -reach * alpha * sigma**2, reach * sigma * alpha**2)


def log_snr(mix):
    """log alpha^2/sigma^2: the logarithm of the signal-to-noise ratio."""
    return 2 * (mix.alpha / mix.sigma).log()


def time_of(path, value):
    """The time at which the log-SNR of a path, which falls in t, has each value (n,), by bisection; float64 (n,).

    Raises ValueError for values that the path does not take between t = 0 and t = 1.
    """
    low, high = torch.zeros_like(value).double(), torch.ones_like(value).double()
    for _ in range(50):
        middle = (low + high) / 2
        early = log_snr(path(middle)) > value
        low, high = torch.where(early, middle, low), torch.where(early, high, middle)
    if not torch.allclose(log_snr(path((low + high) / 2)), value.double(), atol=1e-4):
        raise ValueError(
            f"the log-SNR of this path does not reach from {value.max():g} to {value.min():g}: ask for less"
        )
    return (low + high) / 2


# Discrete chains on Gaussian data, exactly


class Chain(NamedTuple):
    """A model of T steps back: x_T ~ N(0, 1) and q(x_{t-1}|x_t) = N(slope x_t + offset, variance), each (steps,), t = 1..T."""

    slope: torch.Tensor
    offset: torch.Tensor
    variance: torch.Tensor


def betas_of(path, steps):
    """The noise variances beta_1..beta_T of a path with alpha^2 + sigma^2 = 1 at T equal steps, float64 (steps,).

    Raises ValueError for another path, such as the straight one, for one that keeps less than 0.999 of the data's variance
    at t = 0, where the chain begins, and for less than one step.
    """
    whole(steps=steps)
    if not (sum(part**2 for part in path(torch.arange(steps + 1) / steps)[:2]) - 1).abs().max() < 1e-5:
        raise ValueError(
            "a chain keeps the variance 1 of a standard normal, and this path has another alpha^2 + sigma^2 on its way"
        )
    kept = path(torch.arange(steps + 1, dtype=torch.float64) / steps).alpha ** 2
    if not kept[0] > 0.999:
        raise ValueError(
            f"a chain begins at the data, and this path keeps the share {kept[0]:.3g} of their variance at t = 0"
        )
    return 1 - kept[1:] / kept[:-1]


def kept_share(betas):
    """The share of the data's variance that is left: 1, then prod (1 - beta_s) up to t; (steps + 1,) for t = 0..T. (16.1)"""
    if not ((betas > 0) & (betas <= 1)).all():
        raise ValueError(f"each beta is a variance in (0, 1], not {betas.min():g} to {betas.max():g}")
    return torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)])


def posterior(betas):
    """p(x_{t-1}|x_t, x_0) = N(to_data x_0 + to_noisy x_t, variance): three tensors (steps,) for t = 1..T. (16.4)

    The variance is Ho's beta-tilde. At t = 1 the mean is x_0 and the variance 0.
    """
    kept = kept_share(betas)
    before, after = kept[:-1], kept[1:]
    to_data = before.sqrt() * betas / (1 - after)
    to_noisy = (1 - betas).sqrt() * (1 - before) / (1 - after)
    return to_data, to_noisy, betas * (1 - before) / (1 - after)


def moments(mean, variance, betas):
    """Means and variances of x_0..x_T for data N(mean, variance), both (steps + 1,).

    Raises ValueError for variance < 0 and for several means or variances.
    """
    one_number(mean=mean, variance=variance)
    if not torch.as_tensor(variance >= 0).all():
        raise ValueError(f"the variance of the data must be 0 or more, not {variance}")
    kept = kept_share(betas)
    return kept.sqrt() * mean, kept * variance + 1 - kept


def exact_chain(mean, variance, betas):
    """The true reverse conditionals p(x_{t-1}|x_t) for data N(mean, variance): the best Chain that there is."""
    means, variances = moments(mean, variance, betas)
    slope = (1 - betas).sqrt() * variances[:-1] / variances[1:]
    return Chain(slope, means[:-1] - slope * means[1:], betas * variances[:-1] / variances[1:])


def smaller_variance(betas):
    """beta-tilde, with beta-tilde_2 in the place of the first one, which is 0; (steps,), as in common use.

    Raises ValueError for a chain of one step, which has no second one.
    """
    if len(betas) < 2:
        raise ValueError(f"this takes at least 2 betas, not {len(betas)}")
    variance = posterior(betas)[2]
    return torch.cat([variance[1:2], variance[1:]])


def encoder_joint(mean, variance, betas):
    """Means (steps + 1,) and covariance (steps + 1, steps + 1) of p(x_0, ..., x_T)."""
    means, variances = moments(mean, variance, betas)
    covariance = torch.diag(variances)
    for t, keep in enumerate((1 - betas).sqrt(), 1):  # x_t = keep x_{t-1} + noise, and keep may be 0
        covariance[t, :t] = covariance[:t, t] = keep * covariance[t - 1, :t]
    return means, covariance


def chain_joint(chain):
    """Means (steps + 1,) and covariance (steps + 1, steps + 1) of q(x_0, ..., x_T), from the top down."""
    same_shape(**chain._asdict())
    no_negative(variance=chain.variance)
    steps = len(chain.slope)
    means = chain.slope.new_zeros(steps + 1)
    covariance = torch.diag(chain.slope.new_ones(steps + 1))
    for t in range(steps, 0, -1):
        slope = chain.slope[t - 1]
        means[t - 1] = slope * means[t] + chain.offset[t - 1]
        covariance[t - 1, t:] = covariance[t:, t - 1] = slope * covariance[t, t:]
        covariance[t - 1, t - 1] = slope**2 * covariance[t, t] + chain.variance[t - 1]
    return means, covariance


def step_kl(square, exact, used):
    """KL of two Gaussians in nats, from the mean square of the distance of their means and both variances."""
    positive(exact=exact, used=used)
    no_negative(square=torch.as_tensor(square))
    return ((used / exact).log() + (exact + square) / used - 1) / 2


def joint_terms(mean, variance, betas, chain):
    """KL(p(x_T)||q(x_T)), then E KL(p(x_{t-1}|x_t)||q(x_{t-1}|x_t)) for t = 1..T; nats, (steps + 1,). Right side of (16.2)."""
    same_shape(betas=betas, **chain._asdict())
    positive(variance=chain.variance)
    means, variances = moments(mean, variance, betas)
    exact = exact_chain(mean, variance, betas)
    slope, offset = exact.slope - chain.slope, exact.offset - chain.offset
    square = slope**2 * variances[1:] + (slope * means[1:] + offset) ** 2
    top = step_kl(means[-1] ** 2, variances[-1], torch.ones_like(variances[-1]))
    return torch.cat([top[None], step_kl(square, exact.variance, chain.variance)])


def bound_terms(mean, variance, betas, chain):
    """The terms of minus the ELBO: L_T, then for t = 1..T E[-log q(x_0|x_1)] and L_{t-1}; nats, (steps + 1,). (16.3)"""
    same_shape(betas=betas, **chain._asdict())
    positive(variance=chain.variance)
    means, variances = moments(mean, variance, betas)
    kept = kept_share(betas)
    to_data, to_noisy, narrow = posterior(betas)
    rest = to_noisy - chain.slope  # the distance of the means is to_data x_0 + rest x_t - offset
    square = to_data**2 * variance + 2 * to_data * rest * kept[1:].sqrt() * variance + rest**2 * variances[1:]
    square = square + (to_data * mean + rest * means[1:] - chain.offset) ** 2
    first = ((2 * math.pi * chain.variance[:1]).log() + square[:1] / chain.variance[:1]) / 2
    later = step_kl(square[1:], narrow[1:], chain.variance[1:])
    top = step_kl(kept[-1] * (variance + mean**2), 1 - kept[-1], torch.ones_like(kept[-1]))
    return torch.cat([top[None], first, later])


def variance_cost(exact, used):
    """What a step costs whose mean is exact and whose variance is not: (r - 1 - log r)/2 nats, r = exact/used. (16.7)"""
    positive(used=used)
    same_shape(exact=exact, used=used)
    if not torch.as_tensor(exact >= 0).all():
        raise ValueError(f"exact holds variances, 0 or more, not {exact}")
    ratio = exact / used
    return (ratio - 1 - ratio.log()) / 2


class LinearDenoiser(nn.Module):
    """For each step t = 1..T a line x_hat = slope x_t + offset, and a reverse variance beta exp(log_ratio); all learned."""

    def __init__(self, betas):
        super().__init__()
        if betas.ndim != 1 or not ((betas > 0) & (betas <= 1)).all():
            raise ValueError(f"betas are variances (steps,) above 0 and up to 1, not {betas}")
        self.register_buffer("betas", betas)
        self.slope, self.offset, self.log_ratio = (nn.Parameter(torch.zeros_like(betas)) for _ in range(3))

    def chain(self):
        """The Chain of these numbers: the mean of p(x_{t-1}|x_t, x_0) with x_hat in the place of x_0."""
        to_data, to_noisy, _ = posterior(self.betas)
        return Chain(to_data * self.slope + to_noisy, to_data * self.offset, self.betas * self.log_ratio.exp())

    def forward(self, x, z):
        """Minus the ELBO without its constant L_T: data x (n, 1), noise z (n, T) -> nats (n, T), a column per step."""
        if x.shape != (len(z), 1) or z.shape[1:] != self.betas.shape:
            raise ValueError(
                f"this takes x (n, 1) and z (n, {len(self.betas)}), not {tuple(x.shape)} and {tuple(z.shape)}"
            )
        to_data, _, narrow = posterior(self.betas)
        kept = kept_share(self.betas)[1:]
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * z  # (n, T)
        square = (to_data * (x - self.slope * noisy - self.offset)).square()
        used = self.betas * self.log_ratio.exp()
        first = ((2 * math.pi * used[:1]).log() + square[:, :1] / used[:1]) / 2
        return torch.cat([first, step_kl(square[:, 1:], narrow[1:], used[1:])], 1)


def chain_step(nets, opts, x, z):
    """One step down the bound (16.3) of a `LinearDenoiser`: data x (n, 1), noise z (n, T). Returns the loss in nats."""
    filled(x=x)
    loss = nets["denoiser"](x, z).mean(0).sum()
    descend(opts["denoiser"], loss)
    return {"loss": loss.detach()}


# Targets: what a network is asked for. Each gives the weights of data and noise in the target, (16.10)


def noise_target(mix):
    """The network names the noise (Ho et al. 2020)."""
    return torch.zeros_like(mix.alpha), torch.ones_like(mix.alpha)


def data_target(mix):
    """The network names the data."""
    return torch.ones_like(mix.alpha), torch.zeros_like(mix.alpha)


def velocity_target(mix):
    """The network names dx_t/dt, how x_t moves while data and noise stay (Salimans, Ho 2022; Lipman et al. 2022)."""
    return mix.alpha_slope, mix.sigma_slope


def parts(named, noisy, mix, target):
    """The data and the noise (n, d) that a prediction means: noisy = alpha x + sigma z and named = a x + b z, solved. (16.10)"""
    same_shape(named=named, noisy=noisy)  # or one column would be spread over all
    a, b = target(mix)
    determinant = b * mix.alpha - a * mix.sigma
    away_from_zero(
        "at this time target and point say the same: keep away from t = 1 (noise named) or t = 0 (data named), or predict "
        "the velocity",
        determinant=determinant,
    )
    return (b * noisy - mix.sigma * named) / determinant, (mix.alpha * named - a * noisy) / determinant


# Networks and their steps


def waves(t, many=8):
    """sin and cos of pi 2^k t, k = 0..many-1: what a network is told of t. (...) -> (..., 2 many)."""
    angle = math.pi * t[..., None] * 2.0 ** torch.arange(many, device=t.device)
    return torch.cat([angle.sin(), angle.cos()], -1)


class PointDenoiser(nn.Module):
    """Points (n, 2) and times (n,) -> a prediction (n, 2). octaves: of the `waves` of the point that it also sees."""

    def __init__(self, seed, width=128, hidden=3, octaves=0):
        super().__init__()
        whole(width=width)
        whole(0, hidden=hidden, octaves=octaves)
        self.octaves = octaves
        sizes = [2 + 4 * octaves + 16, *[width] * hidden, 2]
        self.net = mlp(sizes, nn.SiLU, generator=randomness.generator(seed, "denoiser"))

    def forward(self, x, t):
        """x (n, 2), t (n,) -> (n, 2)."""
        of_width(2, x=x)
        seen = [x, waves(x, self.octaves).flatten(1)] if self.octaves else [x]
        return self.net(torch.cat([*seen, waves(t)], 1))


class LabeledDenoiser(nn.Module):
    """A residual network: vectors (n, d), times (n,), labels (n,) from 0 to classes, the last for "not told" -> (n, d)."""

    def __init__(self, seed, d, classes, width=256, blocks=3):
        super().__init__()
        whole(d=d, width=width)
        whole(0, classes=classes, blocks=blocks)
        self.classes = classes
        self.enter, self.leave = nn.Linear(d, width), nn.Linear(width, d)
        self.time, self.label = nn.Linear(16, width), nn.Linear(classes + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        rng = randomness.generator(seed, "denoiser")
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                fan_in(layer, rng)

    def forward(self, x, t, y):
        """x (n, d), t (n,), y (n,) -> (n, d)."""
        labels_within(y, self.classes + 1, rows=len(x))
        vectors(t=t)
        number_per_row(x, t=t)
        told = self.time(waves(t)) + self.label(nn.functional.one_hot(y, self.classes + 1).to(x.dtype))
        h = self.enter(x)
        for block in self.blocks:
            h = h + block(h + told)
        return self.leave(h)


class Unit(nn.Module):
    """Two 3x3 convolutions on maps (n, a, h, w) -> (n, b, h, w) with what is told of time and label added between them."""

    def __init__(self, a, b, told):
        super().__init__()
        self.enter = nn.Sequential(nn.GroupNorm(min(8, a), a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.told = nn.Linear(told, b)
        self.leave = nn.Sequential(nn.GroupNorm(min(8, b), b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1))
        self.around = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, h, told):
        """h (n, a, h, w), told (n, told) -> (n, b, h, w)."""
        inner = self.enter(h) + self.told(told)[:, :, None, None]
        return self.around(h) + self.leave(inner)


class UNet(nn.Module):
    """A small U-Net for pictures as rows: (n, channels side^2), times (n,), labels (n,) as in `LabeledDenoiser` -> the same.

    Side is a multiple of 4. On the way down maps of side, side/2 and side/4, with `width` times 1, 2 and 4 channels; on
    the way up each meets those of its size again (Ronneberger et al. 2015, Ho et al. 2020; without attention).
    """

    def __init__(self, seed, side, channels, classes, width=32):
        super().__init__()
        if side % 4 or side < 4 or width % 8:
            raise ValueError(f"side is a multiple of 4 and width of 8, not side = {side}, width = {width}")
        whole(side=side, channels=channels, width=width)
        whole(0, classes=classes)
        self.shape, self.classes, told = (channels, side, side), classes, 4 * width
        a, b, c = width, 2 * width, 4 * width
        self.time, self.label = nn.Linear(16, told), nn.Linear(classes + 1, told)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.first, self.last = nn.Conv2d(channels, a, 3, padding=1), nn.Conv2d(a, channels, 3, padding=1)
        self.down = nn.ModuleList([Unit(a, a, told), Unit(a, b, told), Unit(b, c, told)])
        self.middle = Unit(c, c, told)
        self.up = nn.ModuleList([Unit(2 * c, b, told), Unit(2 * b, a, told), Unit(2 * a, a, told)])
        rng = randomness.generator(seed, "unet")
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                fan_in(layer, rng)

    def forward(self, x, t, y):
        """x (n, channels side^2), t (n,), y (n,) -> (n, channels side^2)."""
        labels_within(y, self.classes + 1, rows=len(x))
        vectors(t=t)
        number_per_row(x, t=t)
        told = self.mix(self.time(waves(t)) + self.label(nn.functional.one_hot(y, self.classes + 1).to(x.dtype)))
        h, kept = self.first(x.unflatten(1, self.shape)), []
        for i, unit in enumerate(self.down):
            h = unit(nn.functional.avg_pool2d(h, 2) if i else h, told)
            kept.append(h)
        h = self.middle(h, told)
        for i, unit in enumerate(self.up):
            h = nn.functional.interpolate(h, scale_factor=2.0) if i else h
            h = unit(torch.cat([h, kept.pop()], 1), told)
        return self.last(h).flatten(1)


class BitDenoiser(nn.Module):
    """For data of -1 and 1: names the noise, by reading each entry itself and adding what a network says of it. (16.15)

    net: rows (n, d), times (n,), labels (n,) -> half the log-odds (n, d) of 1 against -1 that the other entries give, as a
    `LabeledDenoiser` or `UNet` of 0 classes. path: the one of training; sigma must not be 0 on it.
    """

    def __init__(self, net, path):
        super().__init__()
        self.net, self.path = net, path

    def forward(self, x, t):
        """x (n, d), t (n,) -> the noise (n, d)."""
        mix = self.path(t[:, None])
        told = self.net(x, t, torch.zeros_like(t, dtype=torch.long))
        return (x - mix.alpha * (told + mix.alpha / mix.sigma**2 * x).tanh()) / mix.sigma


def times(x):
    """A time from 0 to 1 for each row of x, one in each n-th of the interval (Kingma et al. 2021); (n,)."""
    floating(x=x)  # whole numbers would lose the random part
    n = len(x)
    return (torch.arange(n, device=x.device) + torch.rand(n, device=x.device)).to(x.dtype) / n


def step(nets, opts, x, z, path, target):
    """One step of regression: mix data x (n, d) and noise z (n, d) at random times, ask the network for the target.

    Returns the loss, the mean square of the error per coordinate.
    """
    flat(x=x)
    same_shape(x=x, z=z)
    filled(x=x)
    t = times(x)
    mix = path(t[:, None])
    a, b = target(mix)
    named = nets["denoiser"](mix.alpha * x + mix.sigma * z, t)
    same_shape(named=named, x=x)
    loss = (named - a * x - b * z).square().mean()
    descend(opts["denoiser"], loss)
    return {"loss": loss.detach()}


def labeled_step(nets, opts, x, z, path, target, dropped):
    """`step` for x = (data, labels): each label is hidden with probability `dropped` (Ho, Salimans 2022)."""
    x, y = x
    flat(x=x)
    labels_within(y, max(nets["denoiser"].classes, 1), rows=len(x))
    same_shape(x=x, z=z)
    filled(x=x)
    if not 0 <= dropped <= 1:
        raise ValueError(f"dropped is a probability, not {dropped}")
    net = nets["denoiser"]
    hidden = torch.rand(len(y), device=y.device) < dropped
    y = torch.where(hidden, net.classes, y)
    t = times(x)
    mix = path(t[:, None])
    a, b = target(mix)
    named = net(mix.alpha * x + mix.sigma * z, t, y)
    same_shape(named=named, x=x)
    loss = (named - a * x - b * z).square().mean()
    descend(opts["denoiser"], loss)
    return {"loss": loss.detach()}


# Estimates: a function (noisy (n, d), t) -> (data, noise), from a network or exact. The samplers take nothing else


def estimates(predict, path, target):
    """The estimate that a network's prediction means. predict(noisy (n, d), t (n,)) -> (n, d)."""

    def estimate(noisy, t):
        flat(noisy=noisy)
        floating(noisy=noisy)
        each = torch.as_tensor(t, dtype=noisy.dtype, device=noisy.device).expand(len(noisy))
        return parts(predict(noisy, each), noisy, path(each[:, None]), target)

    return estimate


def with_label(net, y):
    """The prediction of a `LabeledDenoiser` for labels y (n,), as a function (noisy, t)."""
    return lambda noisy, t: net(noisy, t, y)


def mixture_estimate(centers, std, weights, path):
    """The exact estimate for data from a mixture of Gaussians N(centers[k], std^2 I); centers (k, d), weights (k,).

    With std = 0 and equal weights: the optimal denoiser of a training set, a softmax over its points. (16.13) Raises
    ValueError for centers that are not finite rows, one for each weight, for weights that are no shares, and for std < 0. The
    estimate raises TypeError for noisy points in whole numbers.
    """
    centers_of_modes(centers=centers)
    same_rows(centers=centers, weights=weights)
    vectors(weights=weights)
    if not std >= 0:
        raise ValueError(f"std is a standard deviation, 0 or more, not {std}")
    if not ((weights >= 0) & weights.isfinite()).all() or not (weights > 0).any():
        raise ValueError(
            f"weights are shares of the modes, at least 0 and finite, and one of them above 0, not {weights}"
        )

    def estimate(noisy, t):
        floating(noisy=noisy)  # or t, brought to their kind, would be 0
        mix = path(torch.as_tensor(t, dtype=noisy.dtype, device=noisy.device))
        spread = mix.alpha**2 * std**2 + mix.sigma**2  # variance of x_t given the component
        if spread.device.type == "cpu" and not (spread > 0).all():
            raise ValueError("where there is no noise, as at t = 0, modes without width leave nothing to estimate")
        distance = torch.cdist(noisy, mix.alpha * centers, compute_mode="donot_use_mm_for_euclid_dist")
        share = (weights.log() - distance**2 / (2 * spread)).softmax(1)  # (n, k)
        center = share @ centers
        x = center + mix.alpha * std**2 / spread * (noisy - mix.alpha * center)
        return x, (noisy - mix.alpha * x) / mix.sigma

    return estimate


def guided(plain, told, weight):
    """Classifier-free guidance: (1 - weight) times the plain estimate plus weight times the one that is told the label.

    Weight 1 is the conditional model, 0 the unconditional one; Ho and Salimans (2022) call ours 1 + w.
    """
    if not torch.as_tensor(weight).isfinite().all():
        raise ValueError(f"weight must be finite, not {weight}")

    def estimate(noisy, t):
        return tuple(one + weight * (other - one) for one, other in zip(plain(noisy, t), told(noisy, t), strict=True))

    return estimate


# Samplers: x at the first of the times (1 is noise) goes down to the last (0 is data)


def down(steps, start=1.0):
    """Equal steps in t from start to 0: float64 (steps + 1,)."""
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"a sampler takes a whole number of steps, at least 1, not {steps!r}")
    if not 0 < start <= 1:
        raise ValueError(f"a sampler starts at a time above 0 and up to 1, where the noise is, not at {start}")
    return torch.linspace(start, 0, steps + 1, dtype=torch.float64)


@torch.no_grad()
def ddim(estimate, x, at, path):
    """Deterministic: estimate data and noise, mix them again for the next time (Song et al. 2020). x (n, d), at (N + 1,)."""
    passing_down(at=at)
    for t, s in pairwise(at):
        mix = path(s)
        clean, noise = estimate(x, t)
        x = (mix.alpha * clean + mix.sigma * noise).to(x.dtype)
    return x


@torch.no_grad()
def heun(estimate, x, at, path):
    """Deterministic, second order: two slopes per step, at both of its ends; one in the last (Karras et al. 2022)."""
    passing_down(at=at)

    def slope(x, t):
        mix = path(t)
        clean, noise = estimate(x, t)
        return mix.alpha_slope * clean + mix.sigma_slope * noise

    for t, s in pairwise(at):
        first = slope(x, t)
        ahead = (x + (s - t) * first).to(x.dtype)
        x = (x + (s - t) * (first + slope(ahead, s)) / 2).to(x.dtype) if s > 0 else ahead
    return x


@torch.no_grad()
def ancestral(estimate, x, at, path, rng):
    """Random: draw from p(x_s|x_t, x_0) with the estimated data for x_0, with its variance beta-tilde (Ho et al. 2020).

    rng: a torch.Generator on the device of x. The variance is that of the whole step from t to s, however long.
    """
    passing_down(at=at)
    for t, s in pairwise(at):
        now, then = path(t), path(s)
        ratio = now.alpha / then.alpha
        added = now.sigma**2 - ratio**2 * then.sigma**2  # variance of x_t given x_s
        clean, _ = estimate(x, t)
        mean = (ratio * then.sigma**2 * x + then.alpha * added * clean) / now.sigma**2
        noise = torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
        x = (mean + (added.sqrt() * then.sigma / now.sigma) * noise).to(x.dtype)
    return x


@torch.no_grad()
def ancestral_wide(estimate, x, at, path, rng):
    """Random: the draws of `ancestral` with the larger variance, beta, in every step but the last (Ho et al. 2020).

    beta is the variance of x_t given x_s, for the whole step from t to s, however long. rng: as there.
    """
    passing_down(at=at)
    for t, s in pairwise(at):
        x = ancestral(estimate, x, torch.stack((t, s)), path, rng)
        if s == at[-1]:
            return x
        now, then = path(t), path(s)
        beta = now.sigma**2 - (now.alpha / then.alpha) ** 2 * then.sigma**2
        more = beta * (1 - then.sigma**2 / now.sigma**2)  # what beta has beyond beta-tilde
        noise = torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
        x = (x + more.sqrt() * noise).to(x.dtype)


# The bound on pixels of a few gray levels


@torch.no_grad()
def bound(estimate, x, levels, path, draws, rng, reach=8.0):
    """Minus the ELBO in nats of each row x (n, d) whose entries are among `levels` (k,); (n,). (16.3), (16.11)

    The log-SNR goes from reach to -reach, `draws` random values in equal parts. The terms: E|noise - estimate|^2 / 2
    integrated over the log-SNR, the top KL, and the level of each pixel read at the least noise. rng: a torch.Generator on
    the device of x. Raises ValueError for pixels between the levels, for a level given twice, for less than one draw, and
    for a reach of 0 or less.
    """
    whole(draws=draws)
    positive(reach=reach)
    among(levels, x=x)
    if levels.unique().numel() < levels.numel():
        raise ValueError(f"each level stands once among the levels, or it would share its odds with itself: {levels}")

    def noisy(t):
        mix, noise = path(t.to(x.dtype)), torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
        return mix, mix.alpha * x + mix.sigma * noise, noise

    u = (torch.arange(draws) + torch.rand(draws, generator=rng, device=x.device).cpu().double()) / draws
    ends = torch.tensor([reach, -reach], dtype=torch.float64)
    first, *between, last = time_of(path, torch.cat([ends[:1], reach * (1 - 2 * u), ends[1:]]))
    total = torch.zeros_like(x[:, 0])
    for t in between:
        _, at, noise = noisy(t)
        total += reach / draws * (noise - estimate(at, t)[1]).square().sum(1)  # 2 reach / draws, halved
    mix, at, _ = noisy(first)
    score = -((at[..., None] - mix.alpha * levels) / mix.sigma).square() / 2  # (n, d, k)
    chosen = (x[..., None] - levels).abs().argmin(-1, keepdim=True)
    total -= score.log_softmax(-1).gather(-1, chosen).sum((1, 2))
    top, _, _ = noisy(last)
    return total + step_kl((top.alpha * x).square(), top.sigma**2, torch.ones_like(top.sigma)).sum(1)


# Guidance on Gaussians: all classes together N(0, 1), one class N(mean, std^2) with std < 1. (16.14)


def guided_ode(mean, std, weight):
    """Mean and variance of what the deterministic sampler ends with in the limit of small steps, from x_T ~ N(0, 1).

    Raises ValueError unless std is from 0.15 to 1 and weight from 0 to 10: there sixty nodes give the integral to a
    millionth. For a narrower class it is a peak between them. And for more than one std or weight.
    """
    if torch.as_tensor(std).numel() != 1 or torch.as_tensor(weight).numel() != 1:
        raise ValueError("this takes one std and one weight: several would be paired with the nodes of the integral")
    if not (
        torch.as_tensor((std >= 0.15) & (std <= 1)).all() and torch.as_tensor((weight >= 0) & (weight <= 10)).all()
    ):
        raise ValueError(f"this takes a std from 0.15 to 1 and a weight from 0 to 10, not {std} and {weight}")
    node, share = torch.tensor([[1 + a, b] for a, b in zip(*_legendre(), strict=True)], dtype=torch.float64).T / 2
    shrunk = 1 - std**2
    integral = (share * (1 - shrunk * node**2) ** (-weight / 2 - 1)).sum()
    return weight * mean * std**weight * integral, std ** (2 * weight)


def _legendre(n=60):
    import numpy as np

    return np.polynomial.legendre.leggauss(n)


def guided_sde(mean, std, weight):
    """Mean and variance of what the ancestral sampler ends with in the limit of small steps.

    Raises ValueError for the weight 1/2 and unless 0 < std < 1, where the formula is 0/0, and for weights that are not finite.
    """
    if not torch.as_tensor((std > 0) & (std < 1)).all() or not torch.as_tensor(weight != 0.5).all():
        raise ValueError(f"this takes a std between 0 and 1 and a weight other than 1/2, not {std} and {weight}")
    if not torch.as_tensor(weight).isfinite().all():
        raise ValueError(f"weight must be finite, not {weight}")
    shrunk = 1 - std**2
    variance = (std**2 - std ** (4 * weight)) / ((2 * weight - 1) * shrunk)
    return mean * (1 - std ** (2 * weight)) / shrunk, variance


def product(mean, std, weight):
    """Mean and variance of p(x)^(1-weight) p(x|y)^weight, normalized: what guidance is often said to sample.

    Raises ValueError where it cannot be normalized: weight / std^2 + 1 - weight must be positive, and std too.
    """
    positive(std=std)
    precision = 1 - weight + weight / std**2
    positive(precision=precision)
    return weight * mean / std**2 / precision, 1 / precision
