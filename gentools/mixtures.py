"""The fast EM beside chapter 02: the two half-steps of `em.py`, each as one matrix product.

Both kinds of mixture here are exponential families: log q(x, z=k) is linear in a vector of F features Phi(x), which is
[1, x, products x_i x_j with i <= j] for Gaussians and [1, x] for Bernoullis. With the n points as columns,

    E-step    log joint = Theta Phi    (K, F) times (F, n); a softmax over k gives the responsibilities R
    M-step    sums = R Phi'            (K, n) times (n, F): the counts, sums of x and of x x' that EM needs

so one pass over the data does both. It takes a few thousand points at a time: Phi and R stay in the processor's cache,
and beyond one standardized copy of the data the memory does not grow with n. Restarts are further rows of Theta.
From 96 dimensions on the F features outgrow the cache, and a pass takes one component after the other.
All arithmetic is float64 on the CPU; the number of torch's threads is left as it is.
"""

import math
import operator
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gentools.lab.randomness import generator

NARROW = 1e5  # from this precision on (in units of the data's spread) a component is computed about its own mean
EMPTY = 1e-200  # a component with a smaller count is chosen by no point
COLLAPSED = 1e-14  # a component thinner than this, as a fraction of the data's variance, has collapsed
FLAT = 2e9  # a component flatter than this at an angle, as a ratio of variances, has too few digits left
SEEDING = 16384  # the start looks at no more points than these
ROOM = 2**22  # and at no more numbers than these (32 MB), unless that leaves fewer than 8 points per dimension
PURSUIT = 4096  # directions are sought with no more points than these
DIRECTIONS = 16  # directions that are improved, and two more for every one that is wanted
DRAWS = 3  # runs of k-means, of which a start keeps the best
LLOYD = 30  # iterations of k-means in a start
TRIAL = 5  # steps of EM by which starts are judged
DEAR = 10000  # features times steps of a trial that are worth their time: 5 steps up to 61 dimensions
TOGETHER = 2**20  # entries of theta that are tried side by side (8 MB)
WIDE = 96  # from this many dimensions on, a pass takes one component after the other
WIDE_CHUNK = 1024  # points that such a pass works on at a time
CACHE = 2**19  # float64 numbers that a pass works on at a time (4 MB)


class CollapseError(ValueError):
    """In every restart a component shrank onto a point or a plane, where the likelihood has no upper bound."""


class History(NamedTuple):
    """How EM climbed, in nats per point.

    `likelihood[t]`, (steps + 1,), is the mean log-density after t steps. `bound[t]`, (steps,), is the bound after the
    M-step of step t + 1, still with the old responsibilities. After an E-step the bound equals the likelihood, so its
    staircase is likelihood[0], bound[0], likelihood[1], bound[1], ...
    """

    likelihood: torch.Tensor
    bound: torch.Tensor


class _Mixture:
    """What both mixtures do once `_logits` gives log q(x, z=k), (K, c), for one chunk of c points after the other."""

    def log_density(self, x):
        """log q(x) of every row of `x` (n, d), in nats, (n,)."""
        return torch.cat([_softmax(logits)[1][0] for logits in self._logits(x)])

    def responsibilities(self, x):
        """q(z|x) of every row of `x` (n, d): (n, K), rows sum to 1."""
        return torch.cat([_softmax(logits)[0].T for logits in self._logits(x)])


@dataclass(frozen=True, eq=False)
class Mixture(_Mixture):
    """A mixture of K Gaussians in d dimensions: `weights` (K,), `means` (K, d), `covariances` (K, d, d), float64.

    `fit_mixture` adds the `history` of the restart it kept, whether that one `converged`, its number `restart`, and
    `likelihoods` (restarts,), the final log-likelihood per point of every restart (nan for one that collapsed).
    `converged` says that the likelihood stopped rising, not that no better fit exists: from a poor start EM converges,
    too. Whether another restart reached more is in `likelihoods`.
    A weight of 0 is computed as 1e-300: at a point where 1e-300 times the density of that component is more than all
    others give together, `log_density` is too large, and `responsibilities` give most of the point to it.
    Raises ValueError if the shapes do not fit together, the weights are no probabilities, or a covariance is not
    symmetric and positive definite.
    """

    weights: torch.Tensor
    means: torch.Tensor
    covariances: torch.Tensor
    history: History | None = None
    converged: bool | None = None
    restart: int | None = None
    likelihoods: torch.Tensor | None = None

    def __post_init__(self):
        k, d = _adopt(self, "means", 2).shape
        _check_weights(_adopt(self, "weights", 1), k)
        covariances = _adopt(self, "covariances", 3)
        if covariances.shape != (k, d, d):
            raise ValueError(f"covariances must have shape {(k, d, d)} like the means, not {tuple(covariances.shape)}")
        if (covariances - covariances.mT).abs().max() > 1e-8 * covariances.abs().max():
            raise ValueError("every covariance must be symmetric")
        if torch.linalg.cholesky_ex(covariances).info.any():
            raise ValueError("every covariance must be positive definite")

    def sample(self, n, seed=0):
        """n points of the mixture, (n, d); the same ones for the same `seed`."""
        rng = generator(seed, "mixture", "sample")
        z = torch.multinomial(self.weights, _whole("n", n), replacement=True, generator=rng)
        x = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=rng)
        for k, factor in enumerate(torch.linalg.cholesky(self.covariances)):
            x[z == k] = self.means[k] + x[z == k] @ factor.T
        return x

    def _logits(self, x):
        x = _points(x, self.means.shape[1])
        mean = self.weights @ self.means  # (d,); the units of the arithmetic: the mixture's own mean and spread
        square = self.covariances.diagonal(dim1=1, dim2=2) + (self.means - mean) ** 2  # (K, d)
        std = (self.weights @ square).sqrt()  # (d,)
        model = _standardize(self, mean, std)
        for rows in x.split(_chunk_size(model.theta)):
            yield _log_joint(model, ((rows - mean) / std).T.contiguous())[0] - std.log().sum()


@dataclass(frozen=True, eq=False)
class BernoulliMixture(_Mixture):
    """A mixture of K products of d Bernoullis: `weights` (K,), `means` (K, d) between 0 and 1, float64.

    The other attributes are those of `Mixture`, and a weight of 0 is computed as 1e-300 here, too. ValueError if the
    parameters are no mixture.
    """

    weights: torch.Tensor
    means: torch.Tensor
    history: History | None = None
    converged: bool | None = None
    restart: int | None = None
    likelihoods: torch.Tensor | None = None

    def __post_init__(self):
        means = _adopt(self, "means", 2)
        _check_weights(_adopt(self, "weights", 1), len(means))
        if not ((means > 0) & (means < 1)).all():
            raise ValueError("every mean must lie between 0 and 1, both excluded: at 0 or 1 a pixel forbids data")

    def sample(self, n, seed=0):
        """n binary points of the mixture, (n, d), float64; the same ones for the same `seed`."""
        rng = generator(seed, "bernoulli mixture", "sample")
        z = torch.multinomial(self.weights, _whole("n", n), replacement=True, generator=rng)
        return torch.bernoulli(self.means[z], generator=rng)

    def _logits(self, x):
        model = _Bernoullis.of(self.weights[None], self.means[None])
        for rows in _binary(_points(x, self.means.shape[1])).split(_chunk_size(model.theta)):
            yield _log_joint(model, rows.T)[0]


@torch.no_grad()
def fit_mixture(x, components, *, seed=0, restarts=1, max_steps=200, tol=1e-6, floor=1e-6, start=None):
    """Fit a mixture of Gaussians with full covariances to `x` (n, d) by EM. Returns a `Mixture`.

    Ends when a step changes the log-likelihood by at most `tol` nats per point (`converged` is then True: the end of
    this climb, which need not be the highest one), or after `max_steps` steps (then it is False). Of several `restarts`, which run side by side, the one with the highest likelihood is kept;
    restart r depends on `seed` and r only.

    Floor: every M-step adds `floor` times the variance of column j (over all data) to the j-th diagonal entry of every
    covariance, as if the data had been smoothed that much. On columns of variance 1 it is scikit-learn's `reg_covar`.
    It rules out collapse; in return the likelihood may fall slightly once a component is about as thin as the floor.
    It is relative to the variance of all data, so a far outlier raises it for everyone. With `floor=0` EM is exact and
    never falls, but a restart counts as collapsed and is dropped once a component gets thinner than 1e-7 of the data's
    standard deviation, or so flat at an angle that a column keeps less than 1 / 2e9 of its variance when the others
    are known: there the digits of a covariance run out (with a floor below about 1e-9 too).

    Start: no single kind finds every plain cluster, so each restart tries six and keeps the one with the highest
    likelihood after five steps of EM, fewer above 61 dimensions and none above 139 (short runs: Biernacki, Celeux,
    Govaert 2003). All are k-means, the best of three runs from greedy k-means++ (Lloyd 1982; Arthur, Vassilvitskii
    2007), on different views of the data: in the units they came in; standardized; whitened; and projected on few
    directions of the whitened data, where clusters show that noise in many dimensions hides from the others: the one
    direction of least kurtosis, K - 1 such directions (Peña, Prieto 2001), and the K - 1 least Gaussian ones (Jones,
    Sibson 1987). Whitening takes units and rotations away, so the last four hardly depend on them. A group's share,
    mean and covariance, with d + 1 points' worth of the covariance common to all groups mixed in, start its component.
    All this sees at most 16,384 random points, above 256 dimensions fewer (2^22 / d, at least 8 d); `history` begins
    after it. Or `start`: a Mixture, or a list of them, one per restart; with a single column it must be given. A
    component that no point chooses keeps its place, with weight 0; as that is computed as 1e-300 (see `Mixture`), it
    can come back at a point far from all others.

    Warns if one value, far outside the others of its column, is repeated in it: probably a code for "missing".

    `x`: torch or numpy, any real type (computed in float64). ValueError for nan or infinity, a shape other than (n, d),
    fewer points than components, a constant column (so also if all points are equal), one column without `start`, or a
    `start` of another kind; TypeError for complex or object arrays; `CollapseError`, a ValueError, if every restart
    collapsed. Duplicated columns are fitted down to the floor; without a floor they collapse.
    """
    x = _points(x)
    k, restarts, max_steps = _settings(x, components, restarts, max_steps, tol)
    if not 0 <= floor < math.inf:
        raise ValueError(f"floor must be a fraction of the data's variance, 0 or more, not {floor!r}")
    columns, mean, std = _columns(x)
    _warn_of_codes(columns, mean, std)
    if start is None and x.shape[1] == 1:
        raise ValueError(
            "for a single column give start=, a Mixture to begin with, such as one with its means at points"
        )
    if start is None:
        model = _seeded(columns, std, k, seed, restarts, floor)
    else:
        model = _stack([_standardize(s, mean, std) for s in _starts(start, restarts, (k, x.shape[1]))])
    best, report = _best(_climb(model, columns, floor, max_steps, tol), -float(std.log().sum()))
    covariances = best.covariances[0] * (std[:, None] * std)  # (K, d, d), in the units of x again
    return Mixture(best.weights[0], mean + std * best.means[0], covariances, **report)


@torch.no_grad()
def fit_bernoulli_mixture(x, components, *, seed=0, restarts=1, max_steps=200, tol=1e-6, floor=1e-3, start=None):
    """Fit a mixture of products of Bernoullis to binary `x` (n, d) by EM. Returns a `BernoulliMixture`.

    The means are kept in [floor, 1 - floor]; the clipped M-step is the exact maximum under that constraint, so from a
    start that keeps it the likelihood never falls. Starts half-way between the data's mean and points chosen by
    k-means++. The rest is as in `fit_mixture`; also ValueError if `x` holds anything but 0 and 1 (binarize grey values
    first). Constant columns are allowed.
    """
    x = _binary(_points(x))
    k, restarts, max_steps = _settings(x, components, restarts, max_steps, tol)
    if not 0 < floor < 0.5:
        raise ValueError(f"floor must lie between 0 and 0.5, not {floor!r}")
    columns = x.T.to(torch.float64).contiguous()  # (d, n)
    if start is None:  # centers (restarts, K, d)
        centers = torch.stack([_spread(columns, k, generator(seed, "bernoulli mixture", r)) for r in range(restarts)])
        means = ((centers + columns.mean(1)) / 2).clamp(floor, 1 - floor)
        model = _Bernoullis.of(torch.full(means.shape[:2], 1 / k, dtype=torch.float64), means)
    else:
        starts = _starts(start, restarts, (k, x.shape[1]))
        if any(hasattr(s, "covariances") for s in starts):
            raise ValueError("start holds a mixture of Gaussians; bits are fitted from a BernoulliMixture")
        model = _stack([_Bernoullis.of(s.weights[None], s.means[None]) for s in starts])
    best, report = _best(_climb(model, columns, floor, max_steps, tol), 0.0)
    return BernoulliMixture(best.weights[0], best.means[0], **report)


# EM, for either family. Models hold R restarts: weights (R, K), theta (R, K, F), and so on.


class _Run(NamedTuple):
    """One restart: its final model (R = 1; None if it collapsed), its history, whether it converged."""

    model: tuple | None
    likelihood: list
    bound: list
    converged: bool


def _climb(model, columns, floor, max_steps, tol):
    """EM on `columns` (d, n) from all restarts of `model` at once, each until it has converged: a list of `_Run`."""
    likelihood, bound = [[] for _ in model.weights], [[] for _ in model.weights]
    runs, active = {}, list(range(len(model.weights)))
    for step in range(max_steps + 1):
        for r, healthy in zip(active, model.healthy.tolist(), strict=True):
            if not healthy:
                runs[r] = _Run(None, likelihood[r], bound[r], False)
        going = [i for i, r in enumerate(active) if r not in runs]
        if not going:
            break
        model, active = _select(model, going), [active[i] for i in going]
        sums, now = _pass(model, columns)
        for i, r in enumerate(active):
            likelihood[r].append(float(now[i]))
            converged = step > 0 and abs(likelihood[r][-1] - likelihood[r][-2]) <= tol
            if converged or step == max_steps:
                runs[r] = _Run(_select(model, [i]), likelihood[r], bound[r], converged)
        going = [i for i, r in enumerate(active) if r not in runs]
        if not going:
            break
        active = [active[i] for i in going]
        sums = sums if len(going) == len(sums) else sums[going]
        model, gain = _select(model, going).m_step(sums, floor)
        for r, value in zip(active, (now[going] + gain / columns.shape[1]).tolist(), strict=True):
            bound[r].append(value)
    return [runs[r] for r in sorted(runs)]


def _pass(model, columns):
    """One E-step over the data: sums R Phi' (R, K, F) for the M-step, and the log-likelihood per point, (R,)."""
    if _is_wide(model):
        return _wide_pass(model, columns)
    restarts, k, f = model.theta.shape
    theta, size = model.theta.flatten(0, 1), _chunk_size(model.theta)
    sums, total = torch.zeros_like(theta), torch.zeros(restarts, dtype=torch.float64)
    narrow = model.narrow()
    own = torch.zeros(len(narrow), f, dtype=torch.float64)
    work = torch.empty(f * size, dtype=torch.float64), torch.empty(len(theta) * size, dtype=torch.float64)
    for chunk in columns.split(size, dim=1):
        c = chunk.shape[1]
        phi = model.features(chunk, work[0][: f * c].view(f, c))  # (F, c)
        logits = torch.mm(theta, phi, out=work[1][: len(theta) * c].view(-1, c))  # (R K, c)
        for row, origin in narrow:
            logits[row] = theta[row] @ model.features(chunk - origin)
        _, log_density = _softmax(logits.view(restarts, k, c))  # now `logits` holds the responsibilities
        total += log_density.sum((1, 2))
        sums.addmm_(logits, phi.T)
        for i, (row, origin) in enumerate(narrow):
            own[i] += model.features(chunk - origin) @ logits[row]
    for i, (row, _) in enumerate(narrow):
        sums[row] = own[i]
    return sums.view(restarts, k, f), total / columns.shape[1]


def _wide_pass(model, columns):
    """`_pass` for many dimensions, where the products x_i x_j of a chunk outgrow the cache: a matrix per component."""
    restarts, k, f = model.theta.shape
    d = len(columns)
    upper = torch.triu_indices(d, d)
    sums, total = torch.zeros(restarts * k, f, dtype=torch.float64), torch.zeros(restarts, dtype=torch.float64)
    scatter = torch.zeros(restarts * k, d, d, dtype=torch.float64)
    origins = model.origins.flatten(0, 1)
    for chunk in columns.split(WIDE_CHUNK, dim=1):
        resp, log_density = _softmax(_wide_logits(model, chunk))  # (R, K, c), (R, 1, c)
        total += log_density.sum((1, 2))
        for row, r in enumerate(resp.flatten(0, 1)):
            x = chunk - origins[row][:, None]  # (d, c)
            sums[row, 0] += r.sum()
            sums[row, 1 : d + 1] += x @ r
            scatter[row].addmm_(x * r, x.T)
    for row, square in enumerate(scatter):
        sums[row, d + 1 :] = square[upper[0], upper[1]]
    return sums.view(restarts, k, f), total / columns.shape[1]


def _wide_logits(model, chunk):
    """log q(x, z=k) of the points in `chunk` (d, c), without the features: (R, K, c)."""
    restarts, k = model.weights.shape
    d, theta = len(chunk), model.theta.flatten(0, 1)
    logits = torch.empty(restarts * k, chunk.shape[1], dtype=torch.float64)
    for row, (origin, precision) in enumerate(
        zip(model.origins.flatten(0, 1), model.precisions.flatten(0, 1), strict=True)
    ):
        x = chunk - origin[:, None]
        logits[row] = theta[row, 0] + theta[row, 1 : d + 1] @ x - (x * (precision @ x)).sum(0) / 2
    return logits.view(restarts, k, -1)


def _softmax(logits):
    """From log q(x, z=k), (..., K, c): q(z=k|x), in the same memory, and log q(x), (..., 1, c).

    Responsibilities below e^-600 become e^-600, which changes no digit of a sum but keeps every number normal: exp is
    30 to 300 times slower where its result underflows.
    """
    top = logits.amax(-2, keepdim=True)
    norm = logits.sub_(top).clamp_(min=-600).exp_().sum(-2, keepdim=True)
    return logits.div_(norm), top.add_(norm.log_())


def _is_wide(model):
    """Whether the model has quadratic features, and so many that each component is better computed by itself."""
    return isinstance(model, _Gaussians) and model.means.shape[-1] >= WIDE


def _log_joint(model, columns):
    """log q(x, z=k) of the points in `columns` (d, c): (R, K, c)."""
    if _is_wide(model):
        return _wide_logits(model, columns)
    theta = model.theta.flatten(0, 1)
    logits = theta @ model.features(columns)
    for row, origin in model.narrow():
        logits[row] = theta[row] @ model.features(columns - origin)
    return logits.view(*model.theta.shape[:2], -1)


def _best(runs, shift):
    """Of finished runs, the model with the highest likelihood, and what a mixture reports; `shift` is the units'."""
    final = torch.tensor([run.likelihood[-1] + shift if run.model else math.nan for run in runs], dtype=torch.float64)
    if final.isnan().all():
        raise CollapseError(
            "a component shrank onto a point or a plane, where the likelihood is unbounded; give a floor (such as "
            "floor=1e-6), fewer components, or drop columns that depend linearly, or nearly so, on others"
        )
    best = int(final.nan_to_num(nan=-math.inf).argmax())
    run = runs[best]
    history = History(*(torch.tensor(h, dtype=torch.float64) + shift for h in (run.likelihood, run.bound)))
    return run.model, dict(history=history, converged=run.converged, restart=best, likelihoods=final)


def _select(model, keep):
    """The restarts of a model with the numbers `keep`, in order."""
    if len(keep) == len(model.weights):
        return model
    return type(model)(*(field[keep] for field in model))


def _stack(models):
    """Models with the same K and d as one model with all their restarts."""
    return (
        models[0] if len(models) == 1 else type(models[0])(*(torch.cat(fields) for fields in zip(*models, strict=True)))
    )


def _chunk_size(theta):
    """Points per chunk, so that features and logits of a chunk fit the cache."""
    restarts, k, f = theta.shape
    return min(4096, max(64, CACHE // (restarts * k + f)))


# The two families


class _Gaussians(NamedTuple):
    """R mixtures of K Gaussians in standardized units, with what a pass needs.

    `theta` (R, K, F) acts on the features of x - origin, and the sums of the M-step are of x - origin too. The origin
    is 0, the mean of all data, for most. A quadratic form about 0 loses digits for a component that is thin and far
    from 0 (the terms of (x - mean)^2 / variance cancel), so a narrow one has its own mean as its origin.
    """

    weights: torch.Tensor
    means: torch.Tensor
    covariances: torch.Tensor
    precisions: torch.Tensor
    logdets: torch.Tensor
    origins: torch.Tensor
    theta: torch.Tensor
    healthy: torch.Tensor  # (R,): no component has collapsed

    @classmethod
    def of(cls, weights, means, covariances):
        d = means.shape[-1]
        eye = torch.eye(d, dtype=torch.float64)
        factor, info = torch.linalg.cholesky_ex(covariances)
        factor[info != 0] = eye
        pivots = factor.diagonal(dim1=-2, dim2=-1) ** 2  # (R, K, d)
        healthy = (info == 0).all(-1) & (pivots > COLLAPSED).all(-1).all(-1)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
        precisions, logdets = inverse.mT @ inverse, pivots.log().sum(-1)
        del factor, inverse  # K matrices d x d each: in many dimensions they are the memory
        narrowness = precisions.diagonal(dim1=-2, dim2=-1)  # (R, K, d), of a column when the others are known
        inflation = narrowness * covariances.diagonal(dim1=-2, dim2=-1)  # variance of a column / what others leave
        healthy &= (inflation < FLAT).all(-1).all(-1)

        size = (narrowness * (1 + means**2)).sum(-1)  # of the terms that would cancel
        origins = torch.where((size > NARROW)[..., None], means, 0.0)
        mean = means - origins
        linear = (precisions @ mean[..., None])[..., 0]  # (R, K, d)
        constant = weights.clamp(min=1e-300).log() - (logdets + (linear * mean).sum(-1) + d * math.log(2 * math.pi)) / 2
        rows, cols = torch.triu_indices(d, d)
        square = -precisions[..., rows, cols] * torch.where(rows == cols, 0.5, 1.0)  # (R, K, d (d + 1) / 2)
        theta = torch.cat([constant[..., None], linear, square], dim=-1)  # (R, K, F)
        return cls(weights, means, covariances, precisions, logdets, origins, theta, healthy)

    @staticmethod
    def features(x, out=None):
        """[1, x, x_i x_j with i <= j] of the columns of `x` (d, c): (F, c)."""
        d, c = x.shape
        phi = torch.empty(1 + d + d * (d + 1) // 2, c, dtype=torch.float64) if out is None else out
        phi[0] = 1
        phi[1 : d + 1] = x
        at = d + 1
        for i in range(d):
            torch.mul(x[i:], x[i], out=phi[at : at + d - i])
            at += d - i
        return phi

    def narrow(self):
        """The components with an origin of their own: (row of theta, origin (d, 1))."""
        origins = self.origins.flatten(0, 1)
        return [(row, origins[row][:, None]) for row in origins.any(-1).nonzero()[:, 0].tolist()]

    def m_step(self, sums, floor):
        """The next model, and by how much the bound rises, summed over points, (R,)."""
        d = self.means.shape[-1]
        rows, cols = torch.triu_indices(d, d)
        place = torch.empty(d, d, dtype=torch.long)
        place[rows, cols] = place[cols, rows] = torch.arange(len(rows))

        count = torch.where(sums[..., 0] > EMPTY, sums[..., 0], 0.0)  # (R, K)
        used = (count > 0)[..., None]
        average = sums / torch.where(used, count[..., None], 1.0)  # (R, K, F)
        offset = average[..., 1 : d + 1].clone()  # (R, K, d)
        scatter = average[..., d + 1 :][..., place]  # (R, K, d, d)
        del average
        scatter -= offset[..., :, None] * offset[..., None, :]
        centers = self.origins + offset
        covariances = scatter + floor * torch.eye(d, dtype=torch.float64)
        covariances[count == 0] = self.covariances[count == 0]
        new = _Gaussians.of(count / count.sum(-1, keepdim=True), torch.where(used, centers, self.means), covariances)

        def expected(model):  # E log q(x, z) under the old responsibilities, up to a constant
            shift = centers - model.means
            distance = (model.precisions * (scatter + shift[..., :, None] * shift[..., None, :])).sum((-2, -1))
            return (torch.xlogy(count, model.weights) - count * (model.logdets + distance) / 2).sum(-1)

        return new, expected(new) - expected(self)


class _Bernoullis(NamedTuple):
    """R mixtures of K products of Bernoullis; `theta` (R, K, 1 + d) acts on [1, x]."""

    weights: torch.Tensor
    means: torch.Tensor
    theta: torch.Tensor
    healthy: torch.Tensor

    @classmethod
    def of(cls, weights, means):
        constant = weights.clamp(min=1e-300).log() + torch.log1p(-means).sum(-1)
        theta = torch.cat([constant[..., None], torch.logit(means)], dim=-1)
        return cls(weights, means, theta, torch.ones(len(weights), dtype=torch.bool))

    @staticmethod
    def features(x, out=None):
        """[1, x] of the columns of `x` (d, c): (1 + d, c)."""
        phi = torch.empty(1 + len(x), x.shape[1], dtype=torch.float64) if out is None else out
        phi[0] = 1
        phi[1:] = x
        return phi

    def narrow(self):
        return []

    def m_step(self, sums, floor):
        """The next model, and by how much the bound rises, summed over points, (R,)."""
        count = torch.where(sums[..., 0] > EMPTY, sums[..., 0], 0.0)
        used = (count > 0)[..., None]
        means = (sums[..., 1:] / torch.where(used, count[..., None], 1.0)).clamp(floor, 1 - floor)
        new = _Bernoullis.of(count / count.sum(-1, keepdim=True), torch.where(used, means, self.means))
        return new, ((new.theta - self.theta) * sums).sum((-2, -1))


# Where EM starts


def _seeded(columns, std, k, seed, restarts, floor):
    """The start of every restart, in standardized units: see `fit_mixture`. A partition found twice is tried once."""
    d = len(columns)
    sample = _sample(columns, generator(seed, "mixture", "sample"), min(SEEDING, max(ROOM // d, 8 * d)))
    points, views = sample.T, _views(sample, std)  # (n, d) and three (d, m)
    axes = torch.linalg.pinv(views[-1]).T  # the columns as directions of the whitened data
    partitions, users = {}, {}
    for r in range(restarts):
        rng = generator(seed, "mixture", r)
        white = _sample(sample, rng, PURSUIT).T @ views[-1]  # (at most PURSUIT, directions in which the data vary)
        flat, odd = (views[-1] @ _projections(white, k, index, axes, rng) for index in (_flatness, _negentropy))
        for view in (*views, *([flat[:, :1]] if k > 2 else []), flat, odd):
            groups = _in_order(_k_means(points @ view, k, rng))
            name = groups.numpy().tobytes()
            partitions[name] = groups
            users.setdefault(name, set()).add(r)
    best = [(-math.inf, None)] * restarts
    for name, reached, model in _trials(sample, partitions, k, floor):
        for r in users[name]:
            if best[r][1] is None or reached > best[r][0]:
                best[r] = reached, model
    return _stack([model for _, model in best])


def _trials(sample, partitions, k, floor):
    """For each of the named partitions its name, the likelihood after a few steps of EM, and the model then (R = 1).

    One that collapsed: -inf and the model at the start. Many run side by side, as far as memory allows; where a step is
    dear there are fewer of them, down to none.
    """
    d = len(sample)
    features = 1 + d + d * (d + 1) // 2
    steps, together = min(TRIAL, DEAR // features), max(1, TOGETHER // (k * features))
    names = list(partitions)
    for first in range(0, len(names), together):
        some = names[first : first + together]
        starts = [_of_groups(sample, partitions[name], k) for name in some]
        for name, start, run in zip(some, starts, _climb(_stack(starts), sample, floor, steps, 0.0), strict=True):
            yield (name, run.likelihood[-1], run.model) if run.model else (name, -math.inf, start)


def _in_order(groups):
    """The same groups (n,), numbered in the order in which they appear: equal partitions become equal tensors."""
    _, inverse = groups.unique(return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(groups)).scatter_reduce(
        0, inverse, torch.arange(len(groups)), "amin"
    )
    return first.argsort().argsort()[inverse]


def _sample(columns, rng, most=None):
    """At most `most` (SEEDING) random points of `columns` (d, n), or all."""
    n, most = columns.shape[1], SEEDING if most is None else most
    return columns if n <= most else columns[:, torch.randperm(n, generator=rng)[:most]]


def _views(sample, std):
    """Matrices (d, m) that take standardized points to three views: the units they came in, themselves, whitened."""
    values, vectors = torch.linalg.eigh(sample.cov(correction=0))
    kept = values > 1e-10 * values[-1]  # directions in which the data vary
    return torch.diag(std / std.max()), torch.eye(len(std), dtype=torch.float64), vectors[:, kept] / values[kept].sqrt()


def _projections(white, k, index, axes, rng):
    """The directions of largest `index` of whitened points (n, d), one fewer than groups, as columns: (d, min(k - 1, d)).

    A direction climbs the index by fixed points, as in FastICA (Hyvarinen 1999), from the best of some random
    directions and of the `axes`. The best is taken, then the best orthogonal to it, and so on.
    """
    white = white - white.mean(0)
    d = white.shape[1]
    wanted = max(1, min(k - 1, d))
    chosen = torch.zeros(0, d, dtype=torch.float64)
    w = torch.nn.functional.normalize(
        torch.cat([axes, torch.randn(DIRECTIONS + 4 * wanted, d, generator=rng, dtype=torch.float64)]), dim=1
    )
    w = w[index(white, w)[0].topk(DIRECTIONS + 2 * wanted).indices]
    while len(chosen) < wanted:
        for _ in range(8 if len(chosen) else 20):
            w = torch.nn.functional.normalize(w - (w @ chosen.T) @ chosen, dim=1)
            last, (value, w) = w, index(white, w)
        chosen = torch.cat([chosen, last[value.argmax()][None]])
    return chosen.T


def _flatness(white, w):
    """Minus the excess kurtosis of every direction, the rows of `w` (m, d), and where it goes next, (m, d).

    Two groups of similar size make a direction flat (Peña, Prieto 2001), chance and long tails do not.
    """
    u = white @ w.T  # (n, m)
    cube = u**3
    return 3 - (cube * u).mean(0), 3 * w - cube.T @ white / len(white)


def _negentropy(white, w):
    """skewness^2 / 12 + excess kurtosis^2 / 48 (Jones, Sibson 1987) of every direction, and where it goes next, (m, d).

    It sees small groups, too, but is misled by long tails.
    """
    u = white @ w.T  # (n, m)
    square = u * u
    skewness, kurtosis = (square * u).mean(0), (square * square).mean(0) - 3
    third, fourth = square.T @ white / len(white), (square * u).T @ white / len(white) - 3 * w
    return skewness**2 / 12 + kurtosis**2 / 48, skewness[:, None] * third / 2 + kurtosis[:, None] * fourth / 6


def _k_means(points, k, rng):
    """Group numbers (n,) of `points` (n, d): of DRAWS runs of k-means, the one of least squared distance in total."""
    runs = [_lloyd(points, _spread(points.T, k, rng)) for _ in range(DRAWS)]
    return min(runs, key=lambda run: run[0])[1]


def _lloyd(points, centers):
    """At most LLOYD iterations from `centers` (k, d): the squared distances, summed up to a constant, and the groups."""
    groups = None
    for _ in range(LLOYD):
        last = groups
        least, groups = torch.addmm((centers**2).sum(1), points, centers.T, alpha=-2).min(1)  # (n,), of (n, k)
        if last is not None and torch.equal(last, groups):
            break
        count = torch.bincount(groups, minlength=len(centers))[:, None]
        sums = torch.zeros_like(centers).index_add_(0, groups, points)  # (k, d)
        centers = torch.where(count > 0, sums / count.clamp(min=1), centers)
    return float(least.sum()), groups


def _of_groups(sample, groups, k):
    """The Gaussians of the groups of `sample` (d, n), R = 1; see `fit_mixture`. An empty group gets the whole data's."""
    d, n = sample.shape
    count = torch.bincount(groups, minlength=k).to(torch.float64)
    means, scatter = torch.zeros(k, d, dtype=torch.float64), torch.zeros(k, d, d, dtype=torch.float64)
    for i in range(k):
        group = sample[:, groups == i]  # (d, count_i), a copy
        if group.shape[1]:
            means[i] = group.mean(1)
            group -= means[i][:, None]
            scatter[i] = group @ group.T
    common = scatter.sum(0) / n + 1e-6 * torch.eye(d, dtype=torch.float64)
    covariances = (scatter + (d + 1) * common) / (count + d + 1)[:, None, None]
    return _Gaussians.of(((count + 1) / (n + k))[None], means[None], covariances[None])


def _spread(columns, k, rng):
    """k points of `columns` (d, n) far from each other, (k, d): greedy k-means++.

    Every next center is drawn with probability proportional to the squared distance from the centers so far; of
    2 + log k such draws the one is kept that leaves the least squared distance in total.
    """
    points = _sample(columns, rng).T.contiguous()  # (n, d)

    def squares(candidates):  # (m, d) to (m, n)
        return torch.cdist(candidates, points, compute_mode="donot_use_mm_for_euclid_dist") ** 2

    chosen = [int(torch.randint(len(points), (1,), generator=rng))]
    distance = squares(points[chosen])[0]
    while len(chosen) < k:
        wheel = distance.cumsum(0)
        spin = torch.rand(2 + int(math.log(k)), dtype=torch.float64, generator=rng) * wheel[-1]
        candidates = torch.searchsorted(wheel, spin, right=True).clamp(max=len(points) - 1)
        left = torch.minimum(distance, squares(points[candidates]))  # (draws, n)
        best = int(left.sum(1).argmin())
        chosen.append(int(candidates[best]))
        distance = left[best]
    return points[chosen]


def _starts(start, restarts, shape):
    """`start` as a list of mixtures, one per restart."""
    starts = list(start) if isinstance(start, (list, tuple)) else [start]
    if not starts or restarts not in (1, len(starts)):
        raise ValueError(f"start holds {len(starts)} mixtures for {restarts} restarts; give one per restart")
    for s in starts:
        if not hasattr(s, "means"):
            raise ValueError(f"start is a mixture, as a fit returns it, or a list of them, not a {type(s).__name__}")
        if s.means.shape != shape:
            raise ValueError(
                f"start has means of shape {tuple(s.means.shape)}; the data and components ask for {shape}"
            )
    return starts


# What comes in


def _standardize(mixture, mean, std):
    """A Mixture as a model (R = 1) of the data (x - mean) / std."""
    if not hasattr(mixture, "covariances"):
        raise ValueError(f"start is a Mixture, of Gaussians, or a list of them, and not a {type(mixture).__name__}")
    covariances = mixture.covariances / (std[:, None] * std)
    return _Gaussians.of(mixture.weights[None], ((mixture.means - mean) / std)[None], covariances[None])


def _columns(x):
    """x (n, d) as columns (d, n) with mean 0 and variance 1, and the mean and standard deviation (d,) taken out."""
    columns = torch.empty(x.shape[1], len(x), dtype=torch.float64).copy_(x.T)
    constant = (columns.amin(1) == columns.amax(1)).nonzero()[:, 0].tolist()
    if constant:
        same = "all points are equal" if len(constant) == len(columns) else f"constant columns: {constant}"
        raise ValueError(f"{same}; a Gaussian needs some spread in every column, so drop what does not vary")
    mean = columns.mean(1, keepdim=True)
    columns -= mean
    std = torch.linalg.vector_norm(columns, dim=1, keepdim=True) / math.sqrt(len(x))
    if not (torch.isfinite(std) & (std > 1e-150)).all():
        raise ValueError("the spread of a column is too large or too small for float64; rescale the data")
    columns /= std
    return columns, mean[:, 0], std[:, 0]


def _warn_of_codes(columns, mean, std):
    """Warn of columns (d, n, standardized) in which the largest or smallest value looks like a code for "missing".

    That is: at least 3 points and at most a fifth share exactly this value; in between there is a gap wider than three
    times the range of all other values. Heavy tails do not repeat their extremes; counts, categories and columns that
    are mostly 0 leave no such gap, or the rare value is one of only a few.
    """
    n = columns.shape[1]
    for extreme, sign in ((columns.amax(1), 1), (columns.amin(1), -1)):
        alike = columns == extreme[:, None]
        count = alike.sum(1)
        for j in ((count >= 3) & (5 * count <= n)).nonzero()[:, 0].tolist():
            others = columns[j][~alike[j]]
            low, high = others.amin(), others.amax()
            gap = extreme[j] - high if sign > 0 else low - extreme[j]
            if gap > 3 * (high - low) > 0 and len(others[:1000].unique()) > 10:
                value = float(mean[j] + std[j] * extreme[j])
                warnings.warn(
                    f"column {j} holds the value {value:.6g} in {int(count[j])} of {n} rows, far outside all its other "
                    f"values: if it stands for missing data, drop or fill those rows",
                    stacklevel=4,  # past torch.no_grad, at the caller of fit_mixture
                )


def _points(x, d=None):
    """`x` as a real, finite tensor (n, d) on the CPU, of whatever real type it came in; booleans become integers."""
    x = x.detach().cpu() if isinstance(x, torch.Tensor) else _from_numpy(np.asarray(x))
    if x.is_complex():
        raise TypeError("x is complex; give real numbers")
    if x.ndim != 2 or x.shape[1] == 0 or (d is not None and x.shape[1] != d):
        wanted = "(n, d): one row per point" if d is None else f"(n, {d})"
        raise ValueError(f"x has shape {tuple(x.shape)}, but must have shape {wanted}")
    x = x.to(torch.uint8) if x.dtype == torch.bool else x
    if x.is_floating_point() and x.numel() and not all(map(math.isfinite, (x.amin(), x.amax()))):
        row = int((~torch.isfinite(x)).any(1).nonzero()[0, 0])
        raise ValueError(f"x holds nan or infinity, first in row {row}; drop or fill such rows")
    return x


def _from_numpy(x):
    if x.dtype.kind not in "biufc":
        raise TypeError(f"x has type {x.dtype}; give an array of real numbers")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # read-only arrays: nothing here writes into x
            return torch.from_numpy(x)
    except (TypeError, ValueError):  # types, byte orders and strides that torch does not have
        return torch.from_numpy(np.array(x, dtype=np.complex128 if x.dtype.kind == "c" else np.float64))


def _binary(x):
    if not ((x == 0) | (x == 1)).all():
        raise ValueError("x holds values other than 0 and 1; binarize it first, for example (x > 0.5)")
    return x


def _settings(x, components, restarts, max_steps, tol):
    """components, restarts and max_steps as whole numbers, checked against the data."""
    k = _whole("components", components)
    if len(x) < k:
        raise ValueError(f"{len(x)} points are fewer than {k} components; give more points or fewer components")
    if not tol >= 0:
        raise ValueError(f"tol must be 0 or more nats per point, not {tol!r}")
    return k, _whole("restarts", restarts), _whole("max_steps", max_steps)


def _whole(name, value):
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number


def _adopt(mixture, name, ndim):
    """Make a parameter a finite float64 tensor of its own."""
    value = torch.as_tensor(getattr(mixture, name)).detach().to("cpu", torch.float64, copy=True)
    if value.ndim != ndim or not torch.isfinite(value).all() or 0 in value.shape:
        raise ValueError(f"{name} must be a finite tensor with {ndim} axes, not of shape {tuple(value.shape)}")
    object.__setattr__(mixture, name, value)
    return value


def _check_weights(weights, k):
    if weights.shape != (k,) or (weights < 0).any() or abs(float(weights.sum()) - 1) > 1e-6:
        raise ValueError(f"weights must be {k} probabilities, one per mean, with sum 1")
    weights /= weights.sum()  # what was single precision sums to 1 in double
