"""The metrics of chapter 11 against plain implementations with scipy, scikit-learn and a convolution.

    python benchmarks/evaluation.py [--rounds 7] [--quick]      or      make bench

What is compared.
- Frechet distance of two Gaussians with d features, from means and covariances, in double precision: `frechet_of_moments`
  against the formula with `scipy.linalg.sqrtm`, as pytorch-fid and its descendants have it.
- Precision, recall, density and coverage of 10,000 rows against 10,000: `neighbors.neighborhoods` against whole tables of
  distances from `sklearn.metrics.pairwise_distances`, with the k-th smallest by numpy's partition, after the formulas of the
  authors' package `prdc` (which calls the same two functions). Both get single precision. The growth of the process's
  peak memory is measured once for each side, ours first.
- SSIM of all pairs of 48 color pictures, 64 by 64: `similarity.all_pairs` against batches of 64 pairs whose five local
  means are taken by one `conv2d` with the window of 11 by 11 pixels, as torchmetrics does it.
Before any time is printed both sides must agree, to the digits that the table shows; else the script stops with status 1.

How. One process, one thread on both sides, all sides in turn, the order reversed every round. Process CPU time; the
figure is the median of the per-round ratios, with their range.
"""

# ruff: noqa: E402 (thread counts are read when the libraries are imported)

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import resource
import statistics
import sys

import numpy as np
import torch
from scipy import linalg
from sklearn.metrics import pairwise_distances
from torch.nn.functional import conv2d

from gentools import evaluation, neighbors, similarity
from gentools.lab.randomness import generator
from gentools.lab.timing import rotate

MINUTES = 4  # roughly, on two quiet cores
torch.set_num_threads(1)


def moments(d, rows, name, scale):
    """Mean and covariance of correlated features."""
    rng = generator(0, "bench", name)
    x = torch.randn(rows, d, generator=rng) @ torch.randn(d, d, generator=generator(0, "mix")) / d**0.5
    return (scale * x.double()).mean(0), (scale * x.double()).T.cov()


def by_sqrtm(mean_x, s, mean_y, t):
    mean_x, s, mean_y, t = (a.numpy() for a in (mean_x, s, mean_y, t))
    root = linalg.sqrtm(s @ t)
    return float((mean_x - mean_y) @ (mean_x - mean_y) + np.trace(s) + np.trace(t) - 2 * np.trace(np.real(root)))


def by_tables(real, fake, k=5):
    def reach(x):
        table = pairwise_distances(x, x, metric="euclidean", n_jobs=1)
        nearest = np.argpartition(table, k + 1, axis=-1)[..., : k + 1]  # itself and k others
        return np.take_along_axis(table, nearest, axis=-1).max(-1)

    real_reach, fake_reach = reach(real), reach(fake)
    table = pairwise_distances(real, fake, metric="euclidean", n_jobs=1)
    inside = table < real_reach[:, None]
    recall = (table < fake_reach[None]).any(1).mean()
    return inside.any(0).mean(), recall, inside.sum(0).mean() / k, (table.min(1) < real_reach).mean()


def window():
    row = torch.exp(-((torch.arange(11.0) - 5) ** 2) / (2 * 1.5**2))
    row = row / row.sum()
    return torch.outer(row, row).expand(3, 1, 11, 11).contiguous()


def by_pairs(x, at_once=64):
    table, kernel, (first, second) = torch.eye(len(x)), window(), torch.triu_indices(len(x), len(x), 1)
    c1, c2 = 0.01**2, 0.03**2
    for i, j in zip(first.split(at_once), second.split(at_once), strict=True):
        a, b = x[i], x[j]
        maps = conv2d(torch.cat([a, b, a * a, b * b, a * b]), kernel, groups=3)
        mean_a, mean_b, aa, bb, ab = maps.split(len(a))
        top = (2 * mean_a * mean_b + c1) * (2 * (ab - mean_a * mean_b) + c2)
        bottom = (mean_a**2 + mean_b**2 + c1) * (aa - mean_a**2 + bb - mean_b**2 + c2)
        table[i, j] = table[j, i] = (top / bottom).mean((1, 2, 3))
    return table


def demand(difference, allowed, what):
    if not difference <= allowed:
        print(f"no parity: {what} differ by {difference:.1e}; nothing was timed")
        sys.exit(1)
    return difference


def growth(call):
    """By how many megabytes the peak memory of the process grows over a call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def show(what, difference, calls, rounds, goal, more=""):
    rotate(calls, 1)  # warm up
    times = rotate(calls, rounds)
    ratios = [a / b for a, b in zip(times["theirs"], times["ours"], strict=True)]
    ours, theirs = (statistics.median(times[side]) * 1e3 for side in ("ours", "theirs"))
    print(
        f"{what:34s} {difference:8.0e} {ours:9.1f} {theirs:10.1f} {statistics.median(ratios):7.1f}x "
        f"({min(ratios):.1f}-{max(ratios):.1f})   {goal}x  {more}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small problems and 2 rounds: does it run, not how fast")
    args, _ = parser.parse_known_args()
    rounds = 2 if args.quick else args.rounds
    print(f"torch {torch.__version__}, one thread, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print("milliseconds of CPU time; ratio: median (range) of theirs / ours")
    print(f"{'':34s}   parity      ours     theirs    ratio             goal")

    n, d = (300, 16) if args.quick else (10_000, 64)
    rng = generator(0, "bench", "rows")
    real, fake = torch.randn(n, d, generator=rng), 1.02 * torch.randn(n, d, generator=rng)
    found = []
    mine = growth(lambda: found.append(neighbors.neighborhoods(real, fake)))
    other = growth(lambda: found.append(by_tables(real.numpy(), fake.numpy())))
    difference = demand(max(abs(a - b) for a, b in zip(*found, strict=True)), 1e-3, "the four shares")
    calls = {
        "ours": lambda: neighbors.neighborhoods(real, fake),
        "theirs": lambda: by_tables(real.numpy(), fake.numpy()),
    }
    memory = f"memory +{mine:.0f} MB against +{other:.0f} MB (goal: a tenth)"
    show(f"neighborhoods, n = {n}, d = {d}", difference, calls, max(2, rounds - 2), 6, memory)

    count, side = (6, 16) if args.quick else (48, 64)
    pictures = torch.rand(count, 3, side, side, generator=rng)
    gap = (similarity.all_pairs(pictures) - by_pairs(pictures)).abs().max()
    calls = {"ours": lambda: similarity.all_pairs(pictures), "theirs": lambda: by_pairs(pictures)}
    show(f"SSIM, all pairs of {count}", demand(float(gap), 1e-4, "the tables"), calls, rounds, 24)

    for d, goal in ((32, 6), (48, 8)) if args.quick else ((512, 6), (2048, 8)):
        pair = (*moments(d, 5 * d, "x", 1.0), *moments(d, 5 * d, "y", 1.1))
        mine, other = evaluation.frechet_of_moments(*pair), by_sqrtm(*pair)
        difference = demand(abs(mine - other) / other, 1e-8, "the distances")
        calls = {"ours": lambda: evaluation.frechet_of_moments(*pair), "theirs": lambda: by_sqrtm(*pair)}  # noqa: B023
        show(f"Frechet, d = {d}", difference, calls, rounds if d < 1000 else 2, goal)


if __name__ == "__main__":
    main()
