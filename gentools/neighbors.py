"""Metrics of chapter 11 that look at nearest neighbors: precision, recall, density, coverage, memorizing.

All distances are Euclidean and computed in parts, so that memory grows with the number of rows and not with its square.
Shapes: x and y (n, d) are rows of features, real (n, d), fake (m, d).
"""

import math
from typing import NamedTuple

import torch

from gentools.evaluation import checked
from gentools.lab.shapes import finite, graphless, neighbors_told_apart, squares_fit, whole

TABLE = 2**20  # distances that are held at a time: few enough to stay in the cache of a processor
BLOCK = 64  # distances of which one minimum is taken on the way to the k smallest


class Neighborhoods(NamedTuple):
    """What `neighborhoods` finds; density may exceed 1, the others are shares."""

    precision: float
    recall: float
    density: float
    coverage: float


def _parts(x, columns):
    """x (n, d) in parts whose tables with `columns` columns hold about TABLE numbers, each with its first index."""
    rows = max(1, TABLE // columns)
    return [(start, x[start : start + rows]) for start in range(0, len(x), rows)]


def _left(x, less=0.0):
    """(n, d + 2): its products with the rows of `_right` are |x - y|^2 - less, so one matrix product makes a table."""
    squares = x.square().sum(1) - less
    return torch.cat([-2 * x, torch.ones_like(x[:, :1]), squares[:, None]], 1)


def _right(y):
    return torch.cat([y, y.square().sum(1, keepdim=True), torch.ones_like(y[:, :1])], 1)


@graphless
def smallest(table, k):
    """The k smallest of every row of a table (c, m), in rising order: (c, k).

    They lie in the k blocks of the row whose minima are smallest, so only those blocks are sorted.
    """
    c, m = table.shape
    whole = m // BLOCK * BLOCK
    if whole // BLOCK <= 2 * k:
        return table.topk(k, largest=False).values
    blocks = table[:, :whole].unflatten(1, (-1, BLOCK))  # (c, blocks, BLOCK)
    chosen = blocks.amin(2).topk(k, largest=False).indices  # (c, k)
    near = blocks.gather(1, chosen[:, :, None].expand(c, k, BLOCK)).flatten(1)
    return torch.cat([near, table[:, whole:]], 1).topk(k, largest=False).values


@graphless
@neighbors_told_apart
def radii(x, k=5):
    """Squared distance of every row of x (n, d) to its k-th nearest other row: (n,).

    Raises ValueError for fewer than k + 1 rows and for squares that overflow; warns of distances that rounding blurs.
    """
    whole(k=k)
    (x,) = checked(k + 1, x=x)
    x = x - x.mean(0)  # distances stay, rounding shrinks
    finite("distances overflow: scale the features down", squares=x.square().sum(1))
    right, found = _right(x).T, []
    for start, part in _parts(_left(x), len(x)):
        table = part @ right
        table[torch.arange(len(part)), torch.arange(start, start + len(part))] = math.inf  # not itself
        found.append(smallest(table, k)[:, -1])
    return torch.cat(found).clamp_min(0)


@graphless
def neighborhoods(real, fake, k=5):
    """Precision, recall, density and coverage of samples fake (m, d) of data real (n, d).

    Around every row lies a ball that reaches to its k-th nearest other row of the same kind. Precision: share of fake rows
    in some ball of a real row. Recall: share of real rows in some ball of a fake one (Kynkaanniemi et al. 2019). Density:
    how many balls of real rows hold a fake row on average, over k; its mean is 1 for equal distributions. Coverage: share
    of real rows with a fake row in their ball (Naeem et al. 2020). Rows on the rim are outside, so a row with k copies has
    an empty ball. n and m should be equal. Raises ValueError for k rows or fewer, other shapes, and rows not finite; warns
    of balls that rounding blurs.
    """
    whole(k=k)
    real, fake = checked(k + 1, real=real, fake=fake)
    center = real.mean(0)
    real, fake = real - center, fake - center
    real_radii, fake_radii = radii(real, k), radii(fake, k)  # squared, (n,) and (m,)
    right, inside = _right(fake).T, torch.full_like(fake_radii, math.inf)
    parts = _parts(_left(real, real_radii), len(fake))
    scratch = torch.empty(len(parts[0][1]), len(fake), dtype=fake.dtype, device=fake.device)
    balls, covered, recalled = 0.0, 0, 0
    for start, part in parts:
        table = part @ right  # |real - fake|^2 - radius^2: below 0 where the fake row lies in the ball of the real one
        inside = torch.minimum(inside, table.amin(0))
        covered += int((table.amin(1) < 0).sum())
        balls += float(torch.lt(table, 0, out=scratch[: len(part)]).sum(1).double().sum())
        table -= fake_radii  # with the real row's radius added again: its distance against the ball of the fake row
        recalled += int((table.amin(1) + real_radii[start : start + len(part)] < 0).sum())
    n, m = len(real), len(fake)
    return Neighborhoods(int((inside < 0).sum()) / m, recalled / n, balls / (k * m), covered / n)


@graphless
def expected_coverage(n, m, k=5):
    """The coverage of n real rows by m fake ones of the same distribution, on average; the same in every dimension.

    A real row is missed if the k nearest of the n - 1 + m other rows are all real: 1 - prod_i (n-1-i)/(n+m-1-i), i < k.
    """
    whole(n=n, m=m, k=k)
    if not 1 <= k < n or m < 1:
        raise ValueError(f"expected 1 <= k < n and m >= 1, not n = {n}, m = {m}, k = {k}")
    return 1 - math.prod((n - 1 - i) / (n + m - 1 - i) for i in range(k))


class Nearest(NamedTuple):
    """Nearest rows: distance (n,) and index (n,)."""

    distance: torch.Tensor
    index: torch.Tensor


@graphless
def nearest(x, y):
    """For every row of x (n, d) the nearest row of y (m, d): its distance and its index.

    Raises ValueError as `checked` does, and for distances whose squares overflow.
    """
    x, y = checked(1, x=x, y=y)
    squares_fit(x=x, y=y)
    exact = "donot_use_mm_for_euclid_dist"  # a copy is at distance 0
    tables = (torch.cdist(part, y, compute_mode=exact).min(1) for _, part in _parts(x, len(y)))
    distance, index = zip(*tables, strict=True)
    return Nearest(torch.cat(distance), torch.cat(index))


@graphless
def memorizing(fake, train, test):
    """Median distance of fake rows (m, d) to the training set (n, d), over that to equally many held-out rows.

    About 1 for samples that are no closer to what was trained on, 0 for copies (Meehan et al. 2020 make a test of it).
    Raises ValueError as `checked` does, and if the two sets have different sizes: the larger one is nearer.
    NaN where most fake rows lie in both sets.
    """
    if len(train) != len(test):
        raise ValueError(f"train and test need equally many rows, and have {len(train)} and {len(test)}")
    return float(nearest(fake, train).distance.median() / nearest(fake, test).distance.median())


@graphless
def nearest_neighbor_accuracy(x, y):
    """How often the nearest other row of the pool is of the same kind, for x (n, d) and y (n, d): 1/2 if they cannot be told.

    Above 1/2 they differ; below, each row has a near copy in the other set (Lopez-Paz and Oquab 2017). Raises ValueError as
    `checked` does, and for unequal sizes.
    """
    x, y = checked(2, x=x, y=y)
    squares_fit(x=x, y=y)
    if len(x) != len(y):
        raise ValueError(f"x and y need equally many rows, and have {len(x)} and {len(y)}")
    pool, n, right = torch.cat([x, y]), len(x), 0
    for start, part in _parts(pool, 2 * n):
        table = torch.cdist(part, pool, compute_mode="donot_use_mm_for_euclid_dist")
        rows = torch.arange(start, start + len(table))
        table[rows - start, rows] = math.inf  # not itself
        right += int(((table.argmin(1).cpu() < n) == (rows < n)).sum())
    return right / (2 * n)
