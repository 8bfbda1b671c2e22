"""EM for Gaussian mixtures: `gentools.em.fit_mixture` against scikit-learn's `GaussianMixture`.

    python benchmarks/em.py [--rounds 7] [--quick]      or      make bench

What is compared. Both libraries run the same number of EM steps from the same start with the same floor, through their
public calls, checks of the input and history included. The columns of the data have variance 1, so that `floor` is
scikit-learn's `reg_covar`. Before any time is printed the log-likelihoods per point must agree to 1e-10 (relative,
where they exceed 1); otherwise the script stops with status 1.

How. One process, one thread on both sides. Peer and ours take turns, the order reversed every round. Process CPU time
(wall time suffers from other work on the machine); the figure is the median of the per-round ratios, with their range.
A float64 1024 x 1024 matrix product in the same rotation is the yardstick for `share`: the fraction of its speed that
our two matrix products per step would need at our time. Extra memory is the rise of the peak resident size during the
fit, over a process that has loaded its libraries and the data; one process per side.
"""

# ruff: noqa: E402 (thread counts are read when the libraries are imported)

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from gentools.em import Mixture, fit_mixture
from gentools.lab.timing import rotate

FLOOR = 1e-6
COMPONENTS = 25
warnings.simplefilter("ignore", ConvergenceWarning)
torch.set_num_threads(1)


def points(n, d, seed=0):
    """n points of 25 overlapping Gaussians in d dimensions, columns of mean 0 and variance 1, float64 numpy."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, (COMPONENTS, d))[rng.integers(COMPONENTS, size=n)] + rng.normal(size=(n, d))
    return (x - x.mean(0)) / x.std(0)


def start(x, seed=0):
    """Equal weights, points of the data as means, covariances a fifth of the data's."""
    means = x[np.random.default_rng(seed).choice(len(x), COMPONENTS, replace=False)]
    covariance = torch.eye(x.shape[1], dtype=torch.float64) / 5
    return Mixture(
        torch.full((COMPONENTS,), 1 / COMPONENTS, dtype=torch.float64), means, covariance.expand(COMPONENTS, -1, -1)
    )


def peer(x, starts, steps):
    """scikit-learn, one fit per start: the fitted models."""
    return [
        GaussianMixture(
            COMPONENTS,
            weights_init=s.weights.numpy(),
            means_init=s.means.numpy(),
            precisions_init=torch.linalg.inv(s.covariances).numpy(),
            reg_covar=FLOOR,
            tol=0,
            max_iter=steps,
        ).fit(x)
        for s in starts
    ]


def ours(x, starts, steps):
    return fit_mixture(x, COMPONENTS, start=starts, tol=0, floor=FLOOR, max_steps=steps)


def parity(x, starts, steps):
    """Largest difference of the final log-likelihoods per point; ends the benchmark if it exceeds 1e-10."""
    theirs = torch.tensor([model.score(x) for model in peer(x, starts, steps)], dtype=torch.float64)
    fit = ours(x, starts, steps)
    assert len(fit.history.bound) == steps, "ours took fewer steps"
    difference = float(((fit.likelihoods - theirs).abs() / theirs.abs().clamp(min=1)).max())
    if not difference <= 1e-10:
        print(f"no parity at n={len(x)}, d={x.shape[1]}: log-likelihoods differ by {difference:.1e}; nothing was timed")
        sys.exit(1)
    return difference


def spread(theirs, mine):
    """The median of the ratios and their range, as text."""
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    return statistics.median(ratios), f"{min(ratios):.1f}-{max(ratios):.1f}"


def speed(n, d, rounds, steps, goal, restarts=1):
    """One row of the table: time per step (of all restarts)."""
    x = points(n, d)
    starts = [start(x, seed) for seed in range(restarts)]
    difference = parity(x, starts, steps)
    square = torch.randn(1024, 1024, dtype=torch.float64)
    calls = dict(peer=lambda: peer(x, starts, steps), ours=lambda: ours(x, starts, steps), mm=lambda: square.mm(square))
    times = rotate(calls, rounds)
    ratio, span = spread(times["peer"], times["ours"])
    theirs, mine = (1e3 * statistics.median(times[name]) / steps for name in ("peer", "ours"))
    peak = 2 * 1024**3 / statistics.median(times["mm"])
    features = 1 + d + d * (d + 1) // 2
    share = 4e3 * n * restarts * COMPONENTS * features / mine / peak
    what = f"n={n:<8d} d={d:<3d} restarts={restarts:<3d}"
    print(f"{what} {difference:8.0e} {theirs:9.1f} {mine:9.1f} {ratio:7.1f}x {span:>11s} {goal:>7s} {share:7.2f}")


def whole(n, rounds, restarts):
    """The whole job as a user calls it: own starts, same tolerance, until each has converged."""
    x = points(n, 2)
    found = {}

    def theirs():
        model = GaussianMixture(
            COMPONENTS, n_init=restarts, reg_covar=FLOOR, tol=1e-4, max_iter=200, random_state=0
        ).fit(x)
        found["peer"] = model.score(x)

    def mine():
        found["ours"] = float(
            fit_mixture(x, COMPONENTS, restarts=restarts, floor=FLOOR, tol=1e-4, max_steps=200).likelihoods.max()
        )

    times = rotate(dict(peer=theirs, ours=mine), rounds)
    ratio, span = spread(times["peer"], times["ours"])
    print(
        f"n={n}: {statistics.median(times['peer']):.2f} s and {statistics.median(times['ours']):.2f} s, {ratio:.1f}x "
        f"({span}); best log-likelihood {found['peer']:.5f} and {found['ours']:.5f}"
    )


def resident(peak):
    """Resident size of this process in bytes: now, or its peak.

    On Linux from /proc, because the peak of getrusage is inherited from the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM" if peak else "VmRSS"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def extra_memory(side, path, steps=2):
    """In a process of its own: bytes by which the peak resident size rises during a fit of the stored data."""
    fit = dict(peer=peer, ours=ours)[side]
    small = points(500, 8)
    fit(small, [start(small)], 2)  # what the libraries load on first use
    x = np.load(path)
    begin = start(x)
    before = resident(peak=False)
    fit(x, [begin], steps)
    return resident(peak=True) - before


def memory(n):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, points(n, 8))
        command = [sys.executable, __file__, "--memory"]
        theirs, mine = (
            int(subprocess.run([*command, side, str(path)], check=True, stdout=subprocess.PIPE).stdout) / 2**20
            for side in ("peer", "ours")
        )
    print(
        f"n={n} d=8: scikit-learn {theirs:.0f} MB, ours {mine:.0f} MB, of which {n * 64 / 2**20:.0f} MB are the "
        f"standardized copy: 1/{theirs / max(mine, 1):.1f} (goal 1/8)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small sizes and 3 rounds: does it run, not how fast")
    parser.add_argument("--memory", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.memory:
        print(extra_memory(*args.memory))
        return
    rounds, shrink = (3, 50) if args.quick else (args.rounds, 1)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds, load {os.getloadavg()[0]:.1f}; K = {COMPONENTS}")
    print("milliseconds of CPU time per EM step")
    print(f"{'':33s}   parity   sklearn      ours   ratio       range    goal   share")
    for d, goal in ((2, "10x"), (8, "7x"), (16, "4x")):
        speed(100_000 // shrink, d, rounds, 5, "" if args.quick else goal)
    speed(1_000_000 // shrink, 8, rounds, 2, "" if args.quick else "12x")
    for n in (2_000,) if args.quick else (2_000, 20_000):
        speed(n, 2, rounds, 5, "" if args.quick else "10x", restarts=16)
    print("extra memory")
    memory(1_000_000 // min(shrink, 5))
    print("16 restarts from own starts until converged, scikit-learn (k-means) and ours (k-means++)")
    for n in (2_000,) if args.quick else (2_000, 20_000):
        whole(n, 1 if args.quick else min(rounds, 3), 16)


if __name__ == "__main__":
    main()
