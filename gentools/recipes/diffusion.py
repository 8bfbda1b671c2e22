"""Experiments of chapter 16 with networks, on the grid of 25 Gaussians (16.6 and 16.7).

The exact ones are in diffusion_exact.
"""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from gentools import diffusion
from gentools.lab.optim import Average, cosine
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, diffusion_digits, diffusion_exact
from gentools.recipes.diffusion_exact import SAMPLERS, TRAINED
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import DRAWN, GRID, Points, chance, score

# 16.6 and 16.7 The grid

SCALE = 2.83  # what points are divided by: the standard deviation of the grid
OBJECTIVES = {
    "flow": (*TRAINED["velocity, straight"], Look("velocity, straight path", "green", "-", "o")),
    "noise": (*TRAINED["noise, linear"], Look("noise, linear path", "orange", "--", "s")),
}
SCORES = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`


@dataclass(frozen=True)
class Grid:
    """A denoiser on the grid with two objectives: flow matching, and the noise with Ho's schedule."""

    data: Points = GRID
    learning_rates: tuple = (("flow", 0.016), ("noise", 0.032))  # at the start; they fall along half a cosine to 0
    tuning: tuple = (
        ("flow", 0.002, 0.781),
        ("flow", 0.004, 0.847),
        ("flow", 0.008, 0.888),
        ("flow", 0.016, 0.913),
        ("flow", 0.032, 0.891),
        ("noise", 0.002, 0.604),
        ("noise", 0.004, 0.658),
        ("noise", 0.008, 0.708),
        ("noise", 0.016, 0.728),
        ("noise", 0.032, 0.765),
    )  # (objective, rate, overlap) of trials on seed 100
    width: int = 128
    hidden: int = 3
    octaves: int = 3  # waves of the point that the network sees
    batch: int = 256
    steps: int = 2500
    points: int = 100_000
    average: float = 0.995  # decay of the averaged weights, which are sampled from
    moments: int = 6  # at which samples are scored
    sampling_steps: int = 40  # of DDIM, at those moments
    counts: tuple = (5, 10, 20, 40, 80, 160)  # steps of the samplers of figure 16.7


def noise_of(seed, rows, d):
    """Starting noise (rows, d) of the samplers, which depends on the seed alone."""
    return torch.randn(rows, d, generator=generator(seed, "evaluation"))


def train_points(config, arm, seed, device):
    """Train one denoiser on the grid. Returns its exact-style estimate, its path, and the History with scores."""
    path, target, _ = OBJECTIVES[arm]
    rows = config.data.draw(config.points, seed)[0] / SCALE
    nets = nn.ModuleDict({"denoiser": diffusion.PointDenoiser(seed, config.width, config.hidden, config.octaves)}).to(
        device
    )
    ema = Average(nets, config.average)
    estimate = diffusion.estimates(ema.nets["denoiser"], path, target)
    z = noise_of(seed, DRAWN, 2).to(device)

    def watch(done):
        x = diffusion.ddim(estimate, z, diffusion.down(config.sampling_steps), path).cpu() * SCALE
        found = score(x, config.data)
        return {what: float(getattr(found, field)) for what, field in SCORES.items()}

    history = fit_kept(
        functools.partial(diffusion.step, path=path, target=target), nets,
        adams(nets, {"denoiser": dict(config.learning_rates)[arm]}), rows, 2, batch=config.batch, steps=config.steps,
        seed=seed, device=device, schedule=cosine(config.steps), ema=ema, watch=watch, log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return estimate, path, history


def run_grid(config, seed, device):
    """Both objectives from the same weights and batches, with scores over training and samples at the end."""
    numbers, arrays = {}, {}
    for arm in OBJECTIVES:
        estimate, path, history = train_points(config, arm, seed, device)
        z = noise_of(seed, DRAWN, 2).to(device)
        arrays[f"{arm} samples"] = (
            diffusion.ddim(estimate, z, diffusion.down(config.sampling_steps), path).cpu() * SCALE
        )
        arrays[f"{arm} step"] = torch.tensor([seen["step"] for seen in history.watched])
        for what in SCORES:
            curve = torch.tensor([seen[what] for seen in history.watched])
            numbers[arm, what], arrays[f"{arm} {what}"] = curve[-1], curve
        overlap = arrays[f"{arm} overlap"]
        numbers[arm, "overlap at the end minus after two thirds"] = overlap[-1] - overlap[len(overlap) * 2 // 3 - 1]
    numbers["overlap", "flow minus noise"] = numbers["flow", "overlap"] - numbers["noise", "overlap"]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_grid(results, config):
    """Samples (2500, 2) of the first seed; below, the scores (moments,) of every seed."""
    fig, axes = drawing.mosaic("aaabbb;xxyyzz", (8.4, 6.0), height_ratios=(1.25, 1))
    for key, (arm, (_, _, look)) in zip("ab", OBJECTIVES.items(), strict=True):
        drawing.dots(axes[key], results[0]["arrays"][f"{arm} samples"], "blue")
        drawing.crosses(axes[key], config.data.centers(), "vermillion")
        axes[key].set_title(look.label)
    lines = chance(config.data)["true data"]
    for key, what, top in zip("xyz", SCORES, (25, 1, 1), strict=True):
        for arm, (_, _, look) in OBJECTIVES.items():
            drawing.seed_curves(axes[key], results[0]["arrays"][f"{arm} step"],
                                [r["arrays"][f"{arm} {what}"] for r in results], look)  # fmt: skip
        if what != "overlap":
            drawing.level(axes[key], lines[list(SCORES).index(what)], "the data", at=0.05, above=-12)
        axes[key].set(title=what, xlabel="step", ylim=(-0.03 * top, 1.08 * top))
    axes["z"].legend(loc="lower right", fontsize=8)
    return fig


def verdict_grid(summary):
    """Modes and quality of each objective, whether their overlap differs, and whether the runs had settled."""
    said = []
    for arm in OBJECTIVES:
        modes, quality, change = (
            summary[arms.name(arm, what)]
            for what in ("modes", "high-quality share", "overlap at the end minus after two thirds")
        )
        settled = change["mean"] is not None and abs(change["mean"]) <= 0.03
        said.append(
            f"{arm}: {verdicts.span(modes, '.0f')} of 25 modes, quality {verdicts.span(quality)}, overlap over the last "
            f"third {'changed by at most .03 on average' if settled else 'still moving'}"
        )
    gap = verdicts.sign(summary[arms.name("overlap", "flow minus noise")])
    word = {1: "flow has the larger overlap", -1: "noise has the larger overlap", 0: "overlap not separated"}[gap]
    return f"{'; '.join(said)}; seed by seed: {word}."


def run_steps(config, seed, device):
    """The trained flow of figure 16.6 under three samplers with few and many steps."""
    estimate, path, _ = train_points(config, "flow", seed, device)
    z, numbers, arrays = noise_of(seed, DRAWN, 2).to(device), {}, {"counts": torch.tensor(config.counts)}
    for name in SAMPLERS:
        qualities = []
        for n in config.counts:
            at = diffusion.down(n if name != "Heun" else max(1, n // 2))  # Heun asks the network twice per step
            if name == "ancestral":
                x = diffusion.ancestral(estimate, z, at, path, generator(seed, "ancestral", n, device=device))
            else:
                x = (diffusion.ddim if name == "DDIM" else diffusion.heun)(estimate, z, at, path)
            found = score(x.cpu() * SCALE, config.data)
            qualities.append(found.overlap)
            if n in (10, 40, config.counts[-1]):
                numbers[f"{name}, {n} network calls", "overlap"] = found.overlap
        arrays[name] = torch.tensor(qualities)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_steps(results, config):
    """Overlap (counts,) against the number of network calls, a line per seed."""
    fig, ax = drawing.panels(1, 1, (5.8, 3.4))
    for name, look in SAMPLERS.items():
        drawing.seed_curves(ax, config.counts, [r["arrays"][name] for r in results], look, marker=look.marker, ms=3)
    ax.set(xscale="log", xlabel="calls of the network", ylabel="overlap", ylim=(0, 1))
    ax.set_xticks(config.counts, [str(n) for n in config.counts])
    ax.minorticks_off()
    ax.legend()
    return fig


def verdict_steps(summary):
    """Which sampler leads at 10, 40 and most calls."""
    said = []
    for n in sorted({int(name.split(", ")[1].split(" ")[0]) for name in summary}):
        found = {name: summary[arms.name(f"{name}, {n} network calls", "overlap")] for name in SAMPLERS}
        said.append(f"{n} calls: {verdicts.ordered(found)}")
    return f"Overlap, best first (before: separated by the intervals): {'; '.join(said)}."


RECIPES = diffusion_exact.RECIPES | diffusion_digits.RECIPES | {
    "16.6": Recipe(
        title="The grid: velocity and noise",
        caption="Two objectives for one network on the 25 Gaussians. Above: 2,500 samples of the first seed by DDIM with 40 steps, "
        "and the centers of the modes. Below: the scores of chapter 5 over training, a line per seed.",
        alt="Two scatter plots with dots on all 25 crosses. Below, three panels of curves over training for both objectives, with a "
        "dotted line for the data.",
        run=run_grid, draw=draw_grid, full=Grid(steps=20_000, batch=512, moments=10), cpu=Grid(), record="cpu",
        quick=Grid(steps=60, points=2000, moments=3, sampling_steps=5, counts=(5, 10, 40)), seeds=tuple(range(5)),
        verdict=verdict_grid,
    ),
    "16.7": Recipe(
        title="Steps against quality on the grid",
        caption="The flow of figure 16.6 under three samplers: overlap of 2,500 samples with the 25 modes against the number of times "
        "the network is asked. Heun asks twice per step, so it takes half as many steps. A line per seed.",
        alt="Overlap over calls of the network on a logarithmic axis, lines for ancestral sampling, DDIM and Heun.",
        run=run_steps, draw=draw_steps, full=Grid(steps=20_000, batch=512, moments=10), cpu=Grid(), record="cpu",
        quick=Grid(steps=60, points=2000, moments=3, sampling_steps=5, counts=(5, 10, 40)), seeds=tuple(range(5)),
        verdict=verdict_steps,
    ),
}  # fmt: skip
