"""EM for Gaussian mixtures: `gentools.em.fit_mixture` against scikit-learn's `GaussianMixture`.

    python benchmarks/em.py [--rounds 7] [--quick]      or      make bench
    python benchmarks/em.py --starts                    only where EM starts
    python benchmarks/em.py --full                      the starts on a large grid, with 1 and 4 restarts (hours)

What is compared. Both libraries run the same number of EM steps from the same start with the same floor, through their
public calls, checks of the input and history included. The columns of the data have variance 1, so that `floor` is
scikit-learn's `reg_covar`. Before any time is printed the log-likelihoods per point must agree to 1e-10 (relative,
where they exceed 1); otherwise the script stops with status 1.

How. One process, one thread on both sides. Peer and ours take turns, the order reversed every round. Process CPU time
(wall time suffers from other work on the machine); the figure is the median of the per-round ratios, with their range.
A float64 1024 x 1024 matrix product in the same rotation is the yardstick for `share`: the fraction of its speed that
our two matrix products per step would need at our time. Extra memory is the rise of the peak resident size during the
fit, over a process that has loaded its libraries and the data; one process per side.

Starts. On a grid of cases (dimensions d, components K, closest means `apart` standard deviations, columns in units
from 1e-3 to 1e3, the data turned, unequal weights and shapes, one tilted shape common to all, all means on one axis,
noise of long tails, uniform or skewed, where no mixture of K Gaussians is true) both fit once per seed from their own
start with the same number of restarts and the same tolerance, in turns. A run succeeds if its log-likelihood is within .01 nats per point of the
best one known: of all runs and of EM from the mixture that made the data. `seconds to it` is the CPU time of all runs
by the number that succeeded: what the same likelihood costs on average. scikit-learn's `reg_covar` is in the units of the data,
so it is 1e-12 where they are small.
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
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from gentools.em import Mixture, fit_mixture
from gentools.lab.timing import rotate

MINUTES = 25  # roughly, on two quiet cores
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


def noise_of(rng, n, d, kind):
    """n points of mean 0 and covariance I, (n, d): "normal", "tails" (t, 5 degrees of freedom), "uniform", "skewed"."""
    if kind == "uniform":
        return rng.uniform(-1, 1, (n, d)) * 3**0.5
    if kind == "skewed":
        return (rng.gamma(2, 1, (n, d)) - 2) / 2**0.5
    noise = rng.normal(size=(n, d))
    return noise / (rng.chisquare(5, n) / 3)[:, None] ** 0.5 if kind == "tails" else noise


def case(
    d, k, apart, n=None, units=False, turned=False, unequal=False, common=False, axis=False, noise="normal", seed=0
):
    """Data x (n, d) of `k` clusters, and the mixture of Gaussians with their weights, means and covariances."""
    rng = np.random.default_rng([seed, d, k])
    n = n or max(1500, 4 * k * d, 8 * k * d if d >= 100 else 0)
    means = apart * np.eye(d)[0] * np.arange(k)[:, None] if axis else far_means(rng, k, d, apart)
    weights = rng.uniform(0.3, 2, k) if unequal else np.ones(k)
    weights /= weights.sum()
    shapes = [np.linalg.qr(rng.normal(size=(d, d)))[0] * np.exp(rng.uniform(-0.7, 0.7, d)) for _ in range(k)]
    shapes = np.stack(shapes if unequal else [shapes[0] if common else np.eye(d)] * k)  # (k, d, d)
    change = np.linalg.qr(rng.normal(size=(d, d)))[0] if turned else np.eye(d)
    change = (10 ** rng.uniform(-3, 3, d) if units else np.ones(d))[:, None] * change
    z = rng.choice(k, n, p=weights)
    noise = noise_of(rng, n, d, noise)
    for i in range(k):
        noise[z == i] = noise[z == i] @ shapes[i].T
    roots = change @ shapes
    return (means[z] + noise) @ change.T, Mixture(weights, means @ change.T, roots @ roots.transpose(0, 2, 1))


def far_means(rng, k, d, apart):
    """k means (k, d) spread over many candidates, farthest first, the closest two `apart` from each other."""
    candidates = rng.normal(size=(10 * k, d))
    chosen, nearest = [0], np.full(10 * k, np.inf)
    for _ in range(k - 1):
        nearest = np.minimum(nearest, ((candidates - candidates[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    means = candidates[chosen]
    distance = np.linalg.norm(means[:, None] - means, axis=2) + np.diag(np.full(k, np.inf))
    return means * apart / distance.min()


def grid_of_cases(full):
    """The cases, as keywords of `case`."""
    sizes = [(2, 5), (2, 25), (8, 5), (12, 2), (30, 2), (30, 4), (8, 25), (30, 10)]
    sizes += [(2, 2), (2, 10), (8, 2), (8, 10), (30, 25), (100, 2), (100, 4)] if full else []
    changes = [{}, {"units": True, "turned": True}, {"unequal": True}]
    changes += [{"units": True}, {"turned": True}, {"units": True, "unequal": True}] if full else []
    cases = []
    for d, k in sizes:
        for apart in (3, 4, 6, 8) if full else (3.5, 6):
            some = [*changes, {"axis": True}, {"axis": True, "units": True}] if k <= 4 else changes
            cases += [dict(d=d, k=k, apart=apart, **change) for change in some]
    for d, k in [(2, 10), (12, 2), (12, 8), (30, 4)]:
        for change in ({"noise": "tails"}, {"noise": "uniform"}, {"noise": "skewed"}, {"common": True, "units": True}):
            cases.append(dict(d=d, k=k, apart=4, **change))
    return [*cases, dict(d=2, k=25, apart=5, n=20_000), dict(d=8, k=25, apart=5, n=20_000)]


def compare_starts(cases, restarts, seeds):
    """A row per case: share of runs that succeed and seconds per success, scikit-learn's and ours; then the total.

    First parity, on one problem from the same start: otherwise the two would not mean the same by a likelihood.
    """
    x = points(1000, 4)
    parity(x, [start(x)], 3)
    print(f"{'case':64s}{'n':>6s}   success: sklearn, ours   seconds to it: sklearn, ours")
    wins, total = {"peer": [], "ours": []}, {"peer": 0.0, "ours": 0.0}
    for keywords in cases:
        x, truth = case(**keywords)
        k, small = keywords["k"], keywords.get("units", False)
        settings = dict(n_init=restarts, tol=1e-4, max_iter=200, reg_covar=1e-12 if small else FLOOR)
        reached, seconds = {"peer": [], "ours": []}, {"peer": 0.0, "ours": 0.0}

        def theirs(seed, x=x, k=k, settings=settings):
            return GaussianMixture(k, random_state=seed, **settings).fit(x).score(x)

        def mine(seed, x=x, k=k):
            fit = fit_mixture(x, k, seed=seed, restarts=restarts, floor=FLOOR, tol=1e-4, max_steps=200)
            return float(fit.likelihoods.nan_to_num(-np.inf).max())

        for seed in range(seeds):
            for name, run in (("peer", theirs), ("ours", mine))[:: -1 if seed % 2 else 1]:
                begin = time.process_time()
                reached[name].append(run(seed))
                seconds[name] += time.process_time() - begin
        known = float(fit_mixture(x, k, start=truth, floor=FLOOR, tol=1e-4).likelihoods.max())
        best = max(known, *reached["peer"], *reached["ours"])
        share = {name: np.mean(np.array(values) > best - 0.01) for name, values in reached.items()}
        cost = {name: f"{seconds[name] / seeds / share[name]:.2f}" if share[name] else "never" for name in share}
        for name in share:
            wins[name].append(share[name])
            total[name] += seconds[name]
        what = " ".join(key if value is True else f"{key}={value}" for key, value in keywords.items())
        print(
            f"{what:64s}{len(x):6d}   {share['peer']:16.2f} {share['ours']:5.2f}   {cost['peer']:>22s} {cost['ours']:>5s}"
        )
    peer, ours = (np.array(wins[name]) for name in ("peer", "ours"))
    print(
        f"{len(cases)} cases, {seeds} runs each, {restarts} restarts: success {peer.mean():.3f} and {ours.mean():.3f}; "
        f"ours more often in {(ours > peer).sum()}, less often in {(ours < peer).sum()}; "
        f"seconds of all runs {total['peer']:.1f} and {total['ours']:.1f}, per success "
        f"{total['peer'] / max(peer.sum() * seeds, 1):.2f} and {total['ours'] / max(ours.sum() * seeds, 1):.2f}"
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
    parser.add_argument("--starts", action="store_true", help="only the comparison of starts")
    parser.add_argument("--full", action="store_true", help="the large grid of starts, with 1 and 4 restarts (hours)")
    args, _ = parser.parse_known_args()
    if args.memory:
        print(extra_memory(*args.memory))
        return
    if args.starts or args.full:
        for restarts in (1, 4) if args.full else (1,):
            compare_starts(grid_of_cases(args.full), restarts, 10 if args.full else 3)
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
    print("16 restarts from own starts until converged, scikit-learn (k-means) and ours (six kinds)")
    for n in (2_000,) if args.quick else (2_000, 20_000):
        whole(n, 1 if args.quick else min(rounds, 3), 16)
    print("own starts, one restart each")
    compare_starts(grid_of_cases(full=False)[: 2 if args.quick else None], 1, 1 if args.quick else 3)


if __name__ == "__main__":
    main()
