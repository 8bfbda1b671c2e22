"""How to tell whether samples are good: metrics that every comparison of the course uses.

Chapter 11 is about these; earlier chapters use them as they need them. This module imports no chapter.
"""

import math
from typing import NamedTuple

import torch
from torch.nn.functional import softplus


class Modes(NamedTuple):
    """What `modes` finds: modes covered, share of samples of high quality, overlap of the modes' shares with the truth."""

    covered: float
    quality: float
    overlap: float


def modes(samples, centers, std):
    """How well samples (n, d) cover a mixture of equal Gaussians at `centers` (k, d) of standard deviation `std`.

    A sample is of high quality within 3 std of a center, and a mode is covered if at least one such sample is nearest
    to it (Srivastava et al. 2017, arXiv 1705.07761; use 2,500 samples to compare with the literature). The overlap is
    sum_k min(share of samples that are good and nearest to k, 1/k): 1 for a perfect sampler, at most j/k if j modes are
    covered. Samples that are not finite are bad ones. Raises ValueError on empty or misshapen input, centers that are not
    finite, or a std that is not positive.
    """
    if samples.ndim != 2 or centers.ndim != 2 or samples.shape[1] != centers.shape[1] or not len(samples):
        raise ValueError(
            f"samples (n, d) and centers (k, d) need equal d and n >= 1, not {tuple(samples.shape)}, {tuple(centers.shape)}"
        )
    if not 0 < std < math.inf or not centers.isfinite().all():
        raise ValueError(f"std must be positive and the centers finite; std is {std}")
    kind = torch.promote_types(torch.promote_types(samples.dtype, centers.dtype), torch.float32)  # the finer of the two
    distance = torch.cdist(samples.to(kind), centers.to(kind), compute_mode="donot_use_mm_for_euclid_dist")
    nearest, mode = distance.min(1)
    share = mode[nearest <= 3 * std].bincount(minlength=len(centers)) / len(samples)
    return Modes(int((share > 0).sum()), float(share.sum()), float(share.clamp(max=1 / len(centers)).sum()))


def disc_probabilities(density, centers, radius):
    """Probability of each disc of `radius` around `centers` (k, 2) under density((n, 2)) -> (n,); shape (k,).

    By quadrature in polar coordinates, exact to rounding for a density that is smooth at the scale of the radius.
    """
    import numpy as np

    if not 0 < radius < math.inf:
        raise ValueError(f"the radius must be positive, not {radius}")
    node, weight = np.polynomial.legendre.leggauss(12)
    r = torch.from_numpy(radius * (node + 1) / 2)
    angle = torch.arange(24, dtype=torch.float64) * (2 * math.pi / 24)
    area = (torch.from_numpy(weight) * radius / 2 * r)[:, None].expand(12, 24) * (2 * math.pi / 24)
    offsets = r[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)
    points = centers.double()[:, None, None] + offsets
    return (density(points.reshape(-1, 2)).reshape(points.shape[:-1]) * area).sum((1, 2))


def expected_modes(probabilities, n):
    """Mean number of modes covered by n independent samples that hit mode k with probabilities[k]: sum 1 - (1-p)^n.

    probabilities: (K,), one per mode; what they lack to 1 hits none. Returns a float. Raises ValueError for fewer
    than 0 samples, or probabilities outside [0, 1].
    """
    if not n >= 0 or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(f"expected n >= 0 samples and probabilities within [0, 1], not n = {n} and {probabilities}")
    if n == 0:
        return 0.0  # said apart, because 0 * log(0) is NaN
    return float(-torch.expm1(n * torch.log1p(-probabilities.double())).sum())


def chance_lines(centers, std, n=2500):
    """What three samplers that learned nothing about gaps would score: {name: (expected modes, high-quality share)}.

    "true data" is the mixture itself. "Gaussian" is one round Gaussian with the mixture's mean and mean variance,
    "uniform" a square reaching 1 beyond the outermost centers. Both ignore the modes. centers: (k, 2).
    """
    if not 0 < std < math.inf:
        raise ValueError(f"std must be positive, not {std}")
    centers, k = centers.double(), len(centers)
    mean = centers.mean(0)
    variance = float((centers - mean).square().mean()) + std**2
    low, high = centers.min(0).values - 1, centers.max(0).values + 1

    def gaussian(x):
        return torch.exp(-(x - mean).square().sum(1) / (2 * variance)) / (2 * math.pi * variance)

    def uniform(x):
        return ((x >= low) & (x <= high)).all(1) / (high - low).prod()

    hits = {
        "true data": torch.full((k,), -math.expm1(-4.5) / k, dtype=torch.float64),
        "Gaussian": disc_probabilities(gaussian, centers, 3 * std),
        "uniform": disc_probabilities(uniform, centers, 3 * std),
    }
    return {name: (expected_modes(p, n), float(p.sum())) for name, p in hits.items()}


def frechet(x, y):
    """Squared Frechet distance of the Gaussians fitted to features x (n, d) and y (m, d) (Heusel et al. 2017).

    |difference of means|^2 + tr(S + T - 2 (S T)^(1/2)) with covariances S and T, in the features' squared units. It is 0
    for equal moments and never below. It is biased upward for few rows: compare at equal n, beside a second sample of
    real data. Raises ValueError on misshapen input and on features that are not finite.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"features need shapes (n, d) and (m, d) with n, m > 1, not {tuple(x.shape)}, {tuple(y.shape)}"
        )
    for name, features in (("x", x), ("y", y)):
        if bad := int((~features.isfinite()).any(1).sum()):
            raise ValueError(f"{bad} of the {len(features)} rows of {name} hold NaN or infinity; they have no Gaussian")
    x, y = x.double(), y.double()
    d = x.shape[1]
    s, t = (features.T.cov().reshape(d, d) for features in (x, y))
    few = min(len(x), len(y)) <= d
    cross = _cross_of_few(x, y) if few else _cross(s, t)
    distance = (x.mean(0) - y.mean(0)).square().sum() + s.trace() + t.trace() - 2 * cross
    return max(0.0, float(distance))  # rounding may leave -1e-13


def _cross(s, t):
    """tr (S T)^(1/2) of covariances (d, d), from the eigenvalues of S^(1/2) T S^(1/2)."""
    values, vectors = torch.linalg.eigh(s)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return torch.linalg.eigvalsh(root @ t @ root).clamp_min(0).sqrt().sum()


def _cross_of_few(x, y):
    """The same for no more rows than dimensions, where most eigenvalues are 0 and roots of their rounding would add up.

    With S = A'A and T = B'B it is the sum of the singular values of A B', (n, m); no root of a small number is taken.
    """
    a, b = ((features - features.mean(0)) / math.sqrt(len(features) - 1) for features in (x, y))
    a, b = (torch.linalg.qr(f, mode="r").R if f.shape[0] > f.shape[1] else f for f in (a, b))  # at most d rows
    return torch.linalg.svdvals(a @ b.T).sum()


def apart(critic, real, fake):
    """Logits of real and fake rows, each in a batch of its own: with BatchNorm they have statistics of their own."""
    return critic(real), critic(fake)


def together(critic, real, fake):
    """Logits of equally many real and fake rows, from one batch."""
    return critic(torch.cat([real, fake])).chunk(2)


def critic_bound(critic, optimizer, batches, real, fake, logits=apart):
    """A lower bound of JS(P, Q) in nats, by an independent critic: trained here, read on rows that it has not seen.

    critic: a fresh network, rows (n, ...) -> logits (n, 1), that no generator has met. batches: pairs (real rows, fake
    rows) to train on. real, fake: held-out rows of P and Q. logits: `apart` or `together`.
    The bound is log 2 - loss/2 (Goodfellow et al. 2014): 0 or below if the critic finds nothing, log 2 if it tells every
    row; its mean over held-out rows never exceeds JS(P, Q), whatever the critic is.
    """

    def loss(real, fake):
        real_logit, fake_logit = logits(critic, real, fake)
        return softplus(-real_logit).mean() + softplus(fake_logit).mean()

    for x, y in batches:
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    critic.eval()
    with torch.no_grad():
        return float(math.log(2) - loss(real, fake) / 2)
