"""How to tell whether samples are good: metrics that every comparison of the course uses.

Chapter 11 is about these; earlier chapters use them as they need them. This module imports no chapter. What looks at
neighbors (precision, recall, density, coverage) is in `neighbors`, what looks at pictures (SSIM) in `similarity`.
Shapes: x and y (n, d) are features of samples, cov (d, d), probabilities (n, k), log_weight (s, n).
"""

import math
from typing import NamedTuple

import torch
from torch.nn.functional import softplus

from gentools.lab.shapes import (
    centers_of_modes,
    filled,
    finite,
    floating,
    graphless,
    loss_weights,
    modes_kept,
    number_per_row,
    one_number,
    one_score_each,
    one_score_per_row,
    positive,
    rows_apart,
    same_columns,
    same_rows,
    same_shape,
    semidefinite,
    tensors,
    told_whole,
    vectors,
    whole,
    within_unit,
)


class Modes(NamedTuple):
    """What `modes` finds: modes covered, share of samples of high quality, overlap of the modes' shares with the truth."""

    covered: float
    quality: float
    overlap: float


@graphless
def modes(samples, centers, std):
    """How well samples (n, d) cover a mixture of equal Gaussians at `centers` (k, d) of standard deviation `std`.

    A sample is of high quality within 3 std of a center, and a mode is covered if at least one such sample is nearest
    to it (Srivastava et al. 2017, arXiv 1705.07761; use 2,500 samples to compare with the literature). The overlap is the
    sum over modes of min(share of samples that are good and nearest to the mode, 1/k): near 1 for a large perfect sample,
    at most j/k if j modes are covered. Samples that are not finite are bad ones. Raises ValueError on empty or misshapen
    input, centers that are not finite, or a std that is not positive.
    """
    tensors(samples=samples)
    centers_of_modes(centers=centers)
    if samples.ndim != 2 or samples.shape[1] != centers.shape[1] or not len(samples):
        raise ValueError(
            f"samples (n, d) and centers (k, d) need equal d and n >= 1, not {tuple(samples.shape)}, {tuple(centers.shape)}"
        )
    if not 0 < std < math.inf:
        raise ValueError(f"std must be positive, not {std}")
    kind = torch.promote_types(torch.promote_types(samples.dtype, centers.dtype), torch.float32)  # the finer of the two
    told_whole(kind, samples=samples, centers=centers)
    distance = torch.cdist(samples.to(kind), centers.to(kind), compute_mode="donot_use_mm_for_euclid_dist")
    nearest, mode = distance.min(1)
    share = mode[nearest <= 3 * std].bincount(minlength=len(centers)) / len(samples)
    return Modes(int((share > 0).sum()), float(share.sum()), float(share.clamp(max=1 / len(centers)).sum()))


@graphless
def disc_probabilities(density, centers, radius):
    """Probability of each disc of `radius` around `centers` (k, 2) under density((n, 2)) -> (n,); shape (k,).

    By quadrature in polar coordinates, exact to rounding for a density that is smooth at the scale of the radius. Raises
    ValueError for centers that are not finite points of the plane, or a radius that is not positive.
    """
    import numpy as np

    centers_of_modes(2, centers=centers)
    if not 0 < radius < math.inf:
        raise ValueError(f"the radius must be positive, not {radius}")
    node, weight = np.polynomial.legendre.leggauss(12)
    r = torch.from_numpy(radius * (node + 1) / 2)
    angle = torch.arange(24, dtype=torch.float64) * (2 * math.pi / 24)
    area = (torch.from_numpy(weight) * radius / 2 * r)[:, None].expand(12, 24) * (2 * math.pi / 24)
    offsets = r[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)
    points = centers.double()[:, None, None] + offsets
    return (density(points.reshape(-1, 2)).reshape(points.shape[:-1]) * area).sum((1, 2))


@graphless
def expected_modes(probabilities, n):
    """Mean number of modes covered by n independent samples that hit mode k with probabilities[k]: sum 1 - (1-p)^n.

    probabilities: (K,), one per mode; what they lack to 1 hits none. Returns a float. Raises ValueError for fewer
    than 0 samples or infinitely many, probabilities outside [0, 1], and a sum above 1.
    """
    tensors(probabilities=probabilities)
    vectors(probabilities=probabilities)
    if not 0 <= n < math.inf or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(
            f"expected n >= 0 samples, finitely many, and probabilities within [0, 1], not n = {n} and {probabilities}"
        )
    if (total := float(probabilities.sum())) > 1 + 1e-4:
        raise ValueError(
            f"a sample hits one mode at most, and these probabilities sum to {total:.4g}; divide by the sum"
        )
    if n == 0:
        return 0.0  # said apart, because 0 * log(0) is NaN
    return float(-torch.expm1(n * torch.log1p(-probabilities.double())).sum()) + 0.0  # and not -0.0 for no modes


@graphless
def chance_lines(centers, std, n=2500):
    """What three samplers that learned nothing about gaps would score: {name: (expected modes, high-quality share)}.

    "true data" is the mixture itself. "Gaussian" is one round Gaussian with the mixture's mean and mean variance,
    "uniform" a square reaching 1 beyond the outermost centers. Both ignore the modes. centers: (k, 2). Raises ValueError
    for centers that are not finite points of the plane, a std that is not positive, discs of 3 std that overlap, where a
    sample is no sign of one mode, and discs of a radius beyond 1, which leave the square.
    """
    centers_of_modes(2, centers=centers)
    if not 0 < std < math.inf:
        raise ValueError(f"std must be positive, not {std}")
    centers, k = centers.double(), len(centers)
    if k > 1 and (apart := float(torch.pdist(centers).min())) < 6 * std:
        raise ValueError(f"two centers are {apart:.4g} apart, less than 6 std = {6 * std:.4g}: their discs overlap")
    if 3 * std > 1:  # disc_probabilities needs a density without a jump inside of a disc
        raise ValueError(
            f"discs of 3 std = {3 * std:.4g} leave the square, which reaches 1 beyond the centers: scale both down"
        )
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


@graphless
def frechet(x, y):
    """Squared Frechet distance of the Gaussians fitted to features x (n, d) and y (m, d) (Heusel et al. 2017).

    |difference of means|^2 + tr(S + T - 2 (S T)^(1/2)) with covariances S and T, in the features' squared units. It is 0
    for equal moments and never below. It is biased upward for few rows: compare at equal n, beside a second sample of
    real data. Raises ValueError on misshapen input and on features that are not finite.
    """
    tensors(x=x, y=y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"features need shapes (n, d) and (m, d) with n, m > 1 and d > 0, not {tuple(x.shape)}, {tuple(y.shape)}; pictures have no "
            "features yet: a network's, or .flatten(1)"
        )
    for name, features in (("x", x), ("y", y)):
        if bad := int((~features.isfinite()).any(1).sum()):
            raise ValueError(f"{bad} of the {len(features)} rows of {name} hold NaN or infinity; they have no Gaussian")
    x, y = x.double(), y.double()
    finite("squares overflow: scale the features down", squares_of_x=x.square().sum(1), squares_of_y=y.square().sum(1))
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


@graphless
def frechet_of_moments(mean_x, cov_x, mean_y, cov_y):
    """`frechet` from means (d,) and covariances (d, d): of Gaussians that are known, or fitted to data read in parts.

    By the eigenvalues of L' T L with S = L L', one triangular factor and no root of a matrix. Without such a factor (fewer
    rows than dimensions) it takes the way of `frechet`. In float64. Raises ValueError on other shapes, NaN, and matrices
    that are not symmetric or have a variance below 0.
    """
    tensors(mean_x=mean_x, cov_x=cov_x, mean_y=mean_y, cov_y=cov_y)
    if mean_x.shape != cov_x.shape[:1]:
        raise ValueError(
            f"means (d,) and covariances (d, d) go together, not {tuple(mean_x.shape)}, {tuple(cov_x.shape)}"
        )
    same_shape(mean_x=mean_x, mean_y=mean_y)
    same_shape(cov_x=cov_x, cov_y=cov_y)
    s, t = _covariance(cov_x=cov_x), _covariance(cov_y=cov_y)
    factor, failed = torch.linalg.cholesky_ex(s)
    few = bool(failed) or float(torch.diagonal(factor).min()) < 1e-7 * float(torch.diagonal(factor).max())
    values = None if few else torch.linalg.eigvalsh(_between(factor, t))  # of the lower triangle
    if few or values.min() < 0:  # L' T L has a negative eigenvalue where T has one (Sylvester)
        semidefinite(cov_x=s, cov_y=t)
    cross = _cross(s, t) if few else values.clamp_min(0).sqrt().sum()
    distance = (mean_x.double() - mean_y.double()).square().sum() + s.trace() + t.trace() - 2 * cross
    if not distance.isfinite():
        raise ValueError("the means hold NaN or infinity; drop those features first")
    return max(0.0, float(distance))


def _between(factor, t, at_once=256):
    """The lower triangle of L' T L, (d, d), for a triangular L; a third of the arithmetic of two whole products."""
    product = torch.zeros_like(t)
    for j in range(0, len(t), at_once):  # in these columns L is 0 above row j
        product[j:, j : j + at_once] = factor[j:, j:].T @ (t[j:, j:] @ factor[j:, j : j + at_once])
    return product


@graphless
def frechet_bias(cov_x, cov_y, n, m=math.inf):
    """By how much `frechet` exceeds its limit on average, for n and m rows of Gaussian features. Equation (11.6).

    tr S / n + tr T / m + (1/n + 1/m) (sum_ij r_i r_j / (r_i + r_j) + sum_i r_i / 2) / 2, with r_i the eigenvalues of
    (S T)^(1/2); to first order in 1/n and 1/m, so for n and m well above d. m = math.inf: against exact moments. cov_x,
    cov_y: S and T, (d, d). Raises ValueError for fewer than 2 rows, which have no covariance,
    and for a number of rows that is not whole.
    """
    tensors(cov_x=cov_x, cov_y=cov_y)
    same_shape(cov_x=cov_x, cov_y=cov_y)
    positive(n=n, m=m)
    if min(n, m) < 2 or any(rows != math.inf and rows != int(rows) for rows in (n, m)):
        raise ValueError(f"a covariance needs at least 2 rows, a whole number of them, not n = {n} and m = {m}")
    s, t = _covariance(cov_x=cov_x), _covariance(cov_y=cov_y)
    semidefinite(cov_x=s, cov_y=t)
    values, vectors = torch.linalg.eigh(s)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    r = torch.linalg.eigvalsh(root @ t @ root).clamp_min(0).sqrt()  # (d,)
    pairs = (r[:, None] * r / (r[:, None] + r)).nan_to_num()  # (d, d); 0/0 where both are 0
    return float(s.trace() / n + t.trace() / m + (1 / n + 1 / m) * (pairs.sum() + r.sum() / 2) / 2)


def _covariance(**one):
    ((name, cov),) = one.items()
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or not cov.numel() or not cov.isfinite().all():
        raise ValueError(f"{name} must be a finite matrix (d, d), d >= 1, not of shape {tuple(cov.shape)} or with NaN")
    if not (cov - cov.T).abs().max() <= 1e-4 * cov.abs().max() or cov.diagonal().min() < -1e-4 * cov.abs().max():
        raise ValueError(f"{name} is no covariance: it must be symmetric, with variances of at least 0 on its diagonal")
    return cov.double()


def checked(least=2, **samples):
    """The samples as float tensors (n, d), after making sure that they are comparable and finite.

    least: how many rows each of them needs. Raises ValueError that names what is wrong with which of them, and TypeError
    for what is no torch tensor.
    """
    tensors(**samples)
    for name, x in samples.items():
        if x.ndim != 2 or not x.shape[1]:
            raise ValueError(
                f"{name} must have the shape (n, d), one row per sample, not {tuple(x.shape)}; flatten(1)?"
            )
        if len(x) < least:
            raise ValueError(f"{name} has {len(x)} rows, and this needs at least {least}")
        if bad := int((~x.isfinite()).any(1).sum()):
            raise ValueError(f"{bad} of the {len(x)} rows of {name} hold NaN or infinity; count and drop them first")
    same_columns(**samples)
    kind = torch.float32
    for x in samples.values():
        kind = torch.promote_types(kind, x.dtype)
    told_whole(kind, **samples)
    return tuple(x.to(kind) for x in samples.values())


@graphless
def kid(x, y, degree=3, at_once=1000):
    """Kernel distance of features x (n, d) and y (m, d): unbiased, of either sign (Binkowski et al. 2018). Equation (11.5).

    The mean of k(x, x') over pairs of different rows, the same for y, minus twice the mean of k(x, y), with the kernel
    k(x, y) = (x.y / d + 1)^degree. Its expectation is the squared distance of all moments up to `degree`, and 0 for equal
    ones. `at_once` rows of a kernel matrix are held at a time. Raises ValueError as `checked` does, and for a degree or
    `at_once` that is no whole number from 1 on.
    """
    whole(degree=degree, at_once=at_once)
    x, y = (f.double() for f in checked(x=x, y=y))
    finite(
        "sums overflow: scale the features down",
        kernel_of_x=(x.square().sum(1) / x.shape[1] + 1).pow(degree) * len(x) ** 2,
        kernel_of_y=(y.square().sum(1) / y.shape[1] + 1).pow(degree) * len(y) ** 2,
    )

    def total(a, b):
        return sum(float(((part @ b.T) / x.shape[1] + 1).pow(degree).sum()) for part in a.split(at_once))

    def among(a):
        own = (a.square().sum(1) / x.shape[1] + 1).pow(degree).sum()
        return (total(a, a) - float(own)) / (len(a) * (len(a) - 1))

    return among(x) + among(y) - 2 * total(x, y) / (len(x) * len(y))


@graphless
def classifier_score(probabilities):
    """exp I(y; x) from class probabilities (n, k), a row per sample: from 1 to k (Salimans et al. 2016). Equation (11.2).

    1 if the classifier says the same of every sample, k if it is sure of each and all k classes are equally frequent. It
    never looks at data. Raises ValueError unless the rows are probabilities.
    """
    return math.exp(_information(probabilities)[0])


@graphless
def classifier_score_bias(probabilities):
    """By how much the log of `classifier_score` falls short on average: -E chi^2(p(y|x) || p(y)) / 2n, to first order.

    probabilities (n, k). At most (k - 1) / 2n in size, where the classifier is sure of every sample. Equation (11.7).
    """
    _, p, share = _information(probabilities)
    chi = ((p - share).square() / share.clamp_min(1e-300)).sum(1).mean()
    return -float(chi) / (2 * len(p))


def _information(probabilities):
    """I(y; x) in nats as a float, the probabilities in float64, and their mean (k,)."""
    (p,) = checked(probabilities=probabilities)
    p = p.double()
    if not ((p >= 0).all() and (p.sum(1) - 1).abs().max() < 1e-4):
        raise ValueError(
            f"the rows must be probabilities that sum to 1; their sums run from {float(p.sum(1).min()):.4f} to "
            f"{float(p.sum(1).max()):.4f}. Of logits take logits.float().softmax(1)"
        )
    share = p.mean(0)
    return float(torch.xlogy(p, p).sum(1).mean() - torch.xlogy(share, share).sum()), p, share


class Support(NamedTuple):
    """What `birthdays` finds: pairs that coincide, the support that they suggest (1 / sum p^2), pairs in all."""

    pairs: int
    size: float
    of: int


@graphless
def birthdays(x, radius, at_once=1000):
    """How many of the n(n-1)/2 pairs of samples x (n, d) are closer than `radius`, and the support that this suggests.

    n samples of a distribution on points of probability p have sum p^2 n(n-1)/2 coinciding pairs on average, so pairs in
    all / pairs found estimates 1 / sum p^2. That is at most the number of points, equal to it if they are equally
    probable, and infinite if no pair is found (Arora and Zhang 2017). Raises ValueError as `checked` does.
    """
    (x,) = checked(x=x)
    one_number(radius=radius)
    positive(radius=radius)
    whole(at_once=at_once)
    exact = "donot_use_mm_for_euclid_dist"  # a row is at distance 0 from itself, and does not count
    near = sum(int((torch.cdist(p, x, compute_mode=exact) < radius).sum()) for p in x.split(at_once)) - len(x)
    found, of = near // 2, len(x) * (len(x) - 1) // 2
    return Support(found, of / found if found else math.inf, of)


@graphless
def parzen(x, y, bandwidth, at_once=1000):
    """Mean log density in nats of rows y (m, d) under Gaussians of width `bandwidth` around samples x (n, d).

    Old papers report it as a likelihood. In many dimensions it is none: see chapter 11. ValueError as `checked` does.
    """
    x, y = (f.double() for f in checked(least=1, x=x, y=y))
    one_number(bandwidth=bandwidth)
    positive(bandwidth=bandwidth)
    whole(at_once=at_once)
    if not 0 < bandwidth * bandwidth < math.inf:
        raise ValueError(f"the square of the bandwidth {bandwidth} is 0 or infinite in float64: scale the features")
    constant = math.log(len(x)) + x.shape[1] * math.log(bandwidth * math.sqrt(2 * math.pi))
    exact = "donot_use_mm_for_euclid_dist"  # digits of samples far from 0 stay
    distances = (torch.cdist(part, x, compute_mode=exact) for part in y.split(at_once))
    found = [(-distance.square() / (2 * bandwidth**2)).logsumexp(1) for distance in distances]
    return float(torch.cat(found).mean() - constant)


class Likelihood(NamedTuple):
    """What `log_likelihood` finds for every row: value in nats, its bias to first order, effective number of draws."""

    value: torch.Tensor
    bias: torch.Tensor
    effective: torch.Tensor


@graphless
def log_likelihood(log_weight):
    """log of the mean weight, an estimate of log q(x) from below on average (Burda et al. 2015). Equation (11.11).

    log_weight (s, n): log q(x, z) / p(z|x) at s codes from p(z|x) for each of n rows. The bias is -Var(w) / (2 s mean^2),
    with the variance of these draws: believe it only if the effective number of draws, (sum w)^2 / sum w^2, is large. A
    large one is no proof: the draws may lack the largest weights. A row whose weights are all 0 has the value -inf, and
    NaN for the other two. Raises ValueError for fewer than 2 draws, NaN, infinite weights and half precision.
    """
    tensors(log_weight=log_weight)
    if log_weight.dtype in (torch.float16, torch.bfloat16):
        raise ValueError(f"log-weights in {log_weight.dtype} are off by whole nats; compute them in float32 or float64")
    if (log_weight == math.inf).any():
        raise ValueError("log_weight holds infinity: a weight without bounds has no mean")
    if log_weight.ndim != 2 or len(log_weight) < 2 or log_weight.isnan().any():
        raise ValueError(
            f"log_weight must be (s, n), s >= 2 draws for each row, without NaN: {tuple(log_weight.shape)}"
        )
    draws = len(log_weight)
    value = log_weight.logsumexp(0) - math.log(draws)  # (n,)
    relative = (log_weight - value).exp()  # (s, n), of mean 1
    effective = draws / relative.square().mean(0)
    return Likelihood(value, -relative.var(0) / (2 * draws), effective)


def apart(critic, real, fake):
    """Logits of real and fake rows, each in a batch of its own: with BatchNorm they have statistics of their own."""
    return critic(real), critic(fake)


def together(critic, real, fake):
    """Logits of equally many real and fake rows, from one batch. Raises ValueError for unequal numbers."""
    same_rows(real=real, fake=fake)
    return critic(torch.cat([real, fake])).chunk(2)


def critic_bound(critic, optimizer, batches, real, fake, logits=apart):
    """A lower bound of JS(P, Q) in nats, by an independent critic: trained here, read on rows that it has not seen.

    critic: a fresh network, rows (n, ...) -> logits (n, 1), that no generator has met. batches: pairs (real rows, fake
    rows) to train on. real, fake: held-out rows of P and Q. logits: `apart` or `together`.
    The bound is log 2 - loss/2 (Goodfellow et al. 2014): 0 or below if the critic finds nothing, log 2 if it tells every
    row; its mean over held-out rows never exceeds JS(P, Q), whatever the critic is. The critic is left in eval mode. Raises
    TypeError for a critic that is no network, ValueError without rows of both kinds, held-out or in a batch, and for logits
    that are not finite, in training or on held-out rows: they bound nothing.
    """
    if not isinstance(critic, torch.nn.Module):
        raise TypeError(f"the critic is a network (an nn.Module with eval()), not {type(critic).__name__}")
    if not len(real) or not len(fake):
        raise ValueError(f"the critic is read on held-out rows of both kinds; there are {len(real)} and {len(fake)}")

    def loss(real, fake):
        filled(real=real, fake=fake)
        real_logit, fake_logit = logits(critic, real, fake)
        if (real_logit.numel(), fake_logit.numel()) != (len(real), len(fake)):
            raise ValueError(f"a critic gives one logit per row, not {tuple(real_logit.shape[1:])}")
        finite("drop rows with NaN, or train the critic in smaller steps", real_logit=real_logit, fake_logit=fake_logit)
        return softplus(-real_logit).mean() + softplus(fake_logit).mean()

    for x, y in batches:
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    critic.eval()
    with torch.no_grad():
        return float(math.log(2) - loss(real, fake) / 2)


@rows_apart
@one_score_per_row
def slope_penalty(critic, real, fake, mix):
    """E (|gradient of the critic| - 1)^2 between paired rows (Gulrajani et al. 2017); mix (n,) says where between them.

    Raises ValueError for other shapes, a mix outside of [0, 1], for a critic that gives more than one score per row, and for one with BatchNorm in
    training mode.
    """
    same_shape(real=real, fake=fake)
    number_per_row(real, mix=mix)
    filled(real=real)
    within_unit(mix=mix)
    mix = mix.reshape(-1, *[1] * (real.ndim - 1))  # (n, 1, ...)
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def critic_step(nets, opts, x, z, penalty_weight=10.0):
    """One step of an independent Wasserstein critic: nets["critic"] maps rows (n, ...) to scores (n, 1).

    x: pair (real, fake) of equally many rows; z is not used. It raises E_real f - E_fake f and is held to slopes near 1.
    Returns the gain and the penalty.
    """
    loss_weights(penalty_weight=penalty_weight)
    real, fake = x
    floating(real=real, fake=fake)
    same_shape(real=real, fake=fake)
    critic = nets["critic"]
    gain = critic(real).mean() - critic(fake).mean()
    mix = torch.rand(len(real), device=real.device, dtype=real.dtype)
    penalty = slope_penalty(critic, real, fake, mix)
    opts["critic"].zero_grad()
    (penalty_weight * penalty - gain).backward()
    opts["critic"].step()
    return {"gain": gain.detach(), "penalty": penalty.detach()}


@torch.no_grad()
@modes_kept
def critic_gap(critic, real, fake, at_once=1000):
    """E f(real) - E f(fake) of a critic f on rows that it was not trained on, (n, ...) and (m, ...), as a float.

    A critic of slope at most 1 gains at most the Wasserstein distance W1 (Kantorovich, Rubinstein); a penalty keeps the
    slope near 1 only, so compare gaps of critics trained alike, beside that of real rows (Danihelka et al. 2017). The
    critic is read in eval mode, and is afterwards as before. Raises TypeError for a critic that is no network, ValueError
    without rows and for scores that are not finite.
    """
    whole(at_once=at_once)
    if not isinstance(critic, torch.nn.Module):
        raise TypeError(f"the critic is a network (an nn.Module with eval()), not {type(critic).__name__}")
    critic.eval()
    means = []
    for name, part in (("real", real), ("fake", fake)):
        if not len(part):
            raise ValueError(f"there are no {name} rows to read the critic on")
        scores = torch.cat([critic(each) for each in part.split(at_once)])
        one_score_each(scores, part)
        if not scores.isfinite().all():
            raise ValueError(f"the critic's scores of the {name} rows hold NaN or infinity; its training failed")
        means.append(float(scores.double().mean()))
    return means[0] - means[1]
