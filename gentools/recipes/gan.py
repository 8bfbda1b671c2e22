"""Experiments of chapter 05 with networks on points in the plane (5.5 to 5.8); gan_exact holds the exact ones."""

import functools
import math
from dataclasses import dataclass

import torch

from gentools import gan
from gentools.lab.plots import LINES
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, gan_exact
from gentools.recipes.gan_exact import LOOKS
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change, last_quarter
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.points import DRAWN, GRID, RING, Points, chance, score

# 5.5 to 5.8 Networks


@dataclass(frozen=True)
class Training:
    """One GAN on points in the plane."""

    networks: object = gan.toy_networks  # a function of the seed that makes both players
    batch: int = 128
    steps: int = 10_000
    points: int = 100_000  # drawn once, to train on
    betas: tuple = (0.5, 0.999)  # of Adam


FULL = Training(networks=gan.ali_networks, batch=100, steps=200_000, betas=(0.8, 0.999))  # ALI's GAN, alternating steps


def train_gan(config, data, step, learning_rate, seed, device, watch=None, every=500):
    """Train one GAN on RING or GRID. Returns networks and History.

    learning_rate: of both players, or {network: rate}. watch(nets) -> {name: number}, called every `every` steps.
    """
    nets = config.networks(seed).to(device)
    opts = adams(nets, learning_rate, config.betas)
    rows = data.draw(config.points, seed)[0]  # (points, 2)
    seen = watch and (lambda done: watch(nets))
    history = fit(step, nets, opts, rows, 2, batch=config.batch, steps=config.steps, seed=seed, device=device,
                  watch=seen, log_every=every)  # fmt: skip
    return nets, history


def step_of(loss):
    """`gan.step` with that generator loss."""
    return functools.partial(gan.step, generator_loss=loss)


def samples(nets, seed, n=DRAWN):
    """n samples (n, 2) on the CPU, from noise that depends on the seed alone."""
    z = torch.randn(n, 2, generator=generator(seed, "evaluation"))
    return gan.sample(nets, z.to(next(nets.parameters()).device)).cpu()


# 5.5 and 5.6 Three losses on the grid


@dataclass(frozen=True)
class Compare:
    """Three losses from equal starts."""

    training: Training
    data: Points = GRID
    learning_rates: tuple = (("saturating", 1e-3), ("non-saturating", 1e-3), ("KL", 1e-3))  # figure 5.8 chose them
    every: int = 500  # steps between evaluations
    moments: int = 4  # at which samples are kept, equally spaced, the end included


SLOW = (("saturating", 1e-4), ("non-saturating", 1e-4), ("KL", 1e-4))  # for the networks of ALI
SCORES = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
CHANGE = "overlap at the end minus after three quarters"


def run_compare(config, seed, device):
    """The same data, networks, batches and noise with each of the three losses, with scores and samples over training."""
    numbers, arrays, overlap = {}, {}, {}
    for name, rate in config.learning_rates:
        _, history = train_gan(config.training, config.data, step_of(gan.LOSSES[name]), rate, seed, device,
                               lambda nets: {"samples": samples(nets, seed)}, config.every)  # fmt: skip
        drawn = [seen["samples"] for seen in history.watched]
        arrays[f"{name} step"] = torch.tensor([seen["step"] for seen in history.watched])  # (evaluations,)
        arrays[f"{name} samples"] = torch.stack([drawn[i] for i in parts(len(drawn), config.moments)])
        found = [score(x, config.data) for x in drawn]
        for what, field in SCORES.items():
            curve = torch.tensor([float(getattr(each, field)) for each in found])  # (evaluations,)
            numbers[name, what], arrays[f"{name} {what}"] = curve[-1], curve
        overlap[name] = curve
        numbers[name, CHANGE] = change(curve)
    for name in ("saturating", "KL"):
        numbers["overlap", f"{name} minus non-saturating"] = overlap[name][-1] - overlap["non-saturating"][-1]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def parts(n, many):
    """Where each of `many` equal parts of a list of n ends: parts(8, 4) is [1, 3, 5, 7]."""
    return [max(0, n * (i + 1) // many - 1) for i in range(many)]


def draw_snapshots(results, config):
    """A row per loss, a column per moment: samples (moments, 2500, 2) of the first seed."""
    rows, columns = len(LOOKS), config.moments
    fig, axes = drawing.panels(rows, columns, (8.4, 2.15 * rows), sharex=True, sharey=True, squeeze=False)
    for i, ax in enumerate(axes[0]):
        ax.set_title(f"{config.training.steps * (i + 1) // columns:,} steps")
    for row, name in zip(axes, LOOKS, strict=True):
        for ax, x in zip(row, results[0]["arrays"][f"{name} samples"], strict=True):
            drawing.dots(ax, x, "blue")
            drawing.crosses(ax, config.data.centers(), "vermillion")
        row[0].set_ylabel(name)
    return fig


def draw_compare(results, config):
    """Above, every score over training: mean and range of the seeds. Below, the scores at the end, a point per seed."""
    fig, axes = drawing.panels(2, 3, (8.4, 6.2))
    lines, k = chance(config.data), len(config.data.centers())
    for (above, below), what, top in zip(axes.T, SCORES, (k, 1, 1), strict=True):
        for name, look in LOOKS.items():
            curves = [r["arrays"][f"{name} {what}"] for r in results]
            drawing.band(above, results[0]["arrays"][f"{name} step"], curves, look, markevery=10)
        drawing.seed_columns(below, results, {name: arms.name(name, what) for name in LOOKS}, LOOKS, spread=0.06)
        below.set_xticks(range(len(LOOKS)), ["satur.", "non-sat.", "KL"])
        for ax in (above, below):
            for index, ((name, line), ls) in enumerate(zip(lines.items(), ("-", "--", ":"), strict=True)):
                level = line[list(SCORES).index(what)] if what != "overlap" else 1.0 if index == 0 else None
                if level is not None:
                    ax.axhline(level, color="0.45", ls=ls, lw=1.2, label=name, zorder=0)
            ax.set_ylim(-0.03 * top, 1.07 * top)
        above.set(title=what, xlabel="step")
    axes[0, 0].set_ylabel("over training")
    axes[1, 0].set_ylabel("at the end, every seed")
    drawing.legend_below(fig, axes[0, 0])
    return fig


def verdict_compare(summary):
    """Have the scores settled, does each loss beat structureless samplers, and where do the losses differ? A line each."""
    k, lines = len(GRID.centers()), chance(GRID)
    quality = max(lines["Gaussian"][1], lines["uniform"][1])
    modes, shares = (arms.scores(summary, LOOKS, what) for what in ("modes", "high-quality share"))
    above = [name for name, s in shares.items() if verdicts.always_above(s, quality)]
    whole = [name for name, s in modes.items() if verdicts.always_above(s, k - 1)]
    ends = {name: [summary[arms.name(name, what)] for what in ("overlap", CHANGE)] for name in LOOKS}
    lasts = ", ".join(f"{name} {verdicts.settling(*end)}" for name, end in ends.items())
    said = [
        f"overlap over the last quarter: {lasts}",
        f"quality above both structureless samplers in every seed: {_losses(above)}",
        f"all {k} modes in every seed: {_losses(whole)}",
    ]
    for name in ("saturating", "KL"):
        words = []
        for what in ("modes", "high-quality share"):
            one, other = (summary[arms.name(each, what)] for each in (name, "non-saturating"))
            words.append(f"{what} {_compared(verdicts.separated(one, other))}")
        gap = verdicts.sign(summary[arms.name("overlap", f"{name} minus non-saturating")])
        said.append(f"{name} against non-saturating: {', '.join(words)}, overlap seed by seed {_compared(gap)}")
    return ";\n  ".join(said) + "."


def _compared(sign):
    return {1: "more", 0: "not separated", -1: "less"}[sign]


def _losses(names):
    return "all three losses" if len(names) == len(LOOKS) else verdicts.listed(names, "no loss")


# 5.7 One player wins


@dataclass(frozen=True)
class Wrong:
    """A discriminator that learns much faster than the generator, without and with R1."""

    training: Training
    data: Points = GRID
    discriminator_learning_rate: float = 1e-2
    generator_learning_rates: tuple = (1e-4, 1e-3)  # the discriminator learns a hundred and ten times faster
    penalty_weight: float = 0.3  # of R1, where it is used; of .03, .3 and 3 the best at ten times (seed 50, overlap)
    every: int = 100  # steps between evaluations


TIMES = {1e-4: "100 times", 1e-3: "10 times"}  # by how much the discriminator's learning rate is larger
CURES = {  # recorded name: look
    "100 times, no penalty": Look("100 times, no penalty", "vermillion", LINES[0]),
    "100 times, R1": Look("100 times, R1", "blue", LINES[1]),
    "10 times, no penalty": Look("10 times, no penalty", "orange", LINES[2]),
    "10 times, R1": Look("10 times, R1", "green", LINES[3]),
}
WATCHED = {"modes": "covered", "high-quality share": "quality"}  # names of `evaluation.Modes`


def run_wrong(config, seed, device):
    """A discriminator that learns much faster than the generator, at each rate without and with the penalty R1."""
    penalized = functools.partial(gan.penalized_step, penalty_weight=config.penalty_weight)
    numbers, arrays = {}, {}
    for rate in config.generator_learning_rates:
        rates = {"generator": rate, "discriminator": config.discriminator_learning_rate}
        for kind, step in {"no penalty": gan.step, "R1": penalized}.items():
            nets, history = train_gan(config.training, config.data, step, rates, seed, device,
                                      lambda nets: score(samples(nets, seed), config.data)._asdict(), config.every)  # fmt: skip
            arm, losses = f"{TIMES[rate]}, {kind}", history["discriminator"]  # (steps,)
            arrays[f"{arm} loss"] = losses.unfold(0, config.every, config.every).mean(1)  # (steps / every,)
            arrays[f"{arm} samples"] = samples(nets, seed)  # (2500, 2)
            for what, field in WATCHED.items():
                arrays[f"{arm} {what}"] = torch.tensor([float(seen[field]) for seen in history.watched])
                numbers[arm, what] = last_quarter(arrays[f"{arm} {what}"])  # these scores swing from look to look
            numbers[arm, "discriminator loss"] = last_quarter(losses)
        for what in WATCHED:
            plain, cured = (numbers[f"{TIMES[rate]}, {kind}", what] for kind in ("no penalty", "R1"))
            numbers[TIMES[rate], f"{what}, gained by R1"] = cured - plain
    numbers = arms.named(numbers)
    numbers["best loss against a copy of one mode"] = one_mode(len(config.data.centers()))
    return {"numbers": numbers, "arrays": arrays}


def one_mode(k):
    """Least discriminator loss, 2 log 2 - 2 JS, against a perfect copy of one of k equal separate modes."""
    return math.log((k + 1) / k) + math.log(k + 1) / k


def draw_wrong(results, config):
    """Samples (2500, 2) of the first seed; below, loss of D, modes and quality (steps / every,) of every seed."""
    fig, axes = drawing.mosaic("aaabbbcccddd;eeeeffffgggg", (8.4, 5.6))
    k, lines = len(config.data.centers()), chance(config.data)
    for key, (arm, look) in zip("abcd", CURES.items(), strict=True):
        drawing.dots(axes[key], results[0]["arrays"][f"{arm} samples"], look.color, size=2, alpha=0.6)
        drawing.crosses(axes[key], config.data.centers(), size=5)
        axes[key].set_title(arm.replace(", ", ",\n"))
        for panel, what in zip("efg", ("loss", *WATCHED), strict=True):
            curves = [r["arrays"][f"{arm} {what}"] for r in results]
            step = config.every * torch.arange(1, len(curves[0]) + 1)
            drawing.seed_curves(axes[panel], step, curves, look)
    levels = ((2 * math.log(2), "2 log 2: D cannot tell"), (one_mode(k), "q: an exact copy of one mode"))
    for value, text in levels:
        axes["e"].axhline(value, color="0.4", lw=1, ls=":")
        axes["e"].annotate(text, (step[-1], value), (0, 4), textcoords="offset points", color="0.3", ha="right")
    axes["e"].set(title="loss of D, every seed", xlabel="step", ylim=(0, 1.7))
    axes["f"].set(title="modes covered", xlabel="step", ylim=(0, k * 1.06))
    axes["g"].set(title="high-quality share", xlabel="step", ylim=(-0.03, 1.06))
    for panel, index in (("f", 0), ("g", 1)):
        axes[panel].axhline(lines["uniform"][index], color="0.3", lw=1.2, ls=":", label="uniform sampler")
    drawing.legend_below(fig, axes["f"])
    return fig


def verdict_wrong(summary):
    """What each way of training ends with, what R1 gains, and whether the loss at a copy of one mode is met: a line each."""

    def often(number, least):
        if verdicts.always_above(number, least):
            return "in every seed"
        return "in no seed" if verdicts.always_below(number, least) else "not in every seed"

    modes, quality = chance(GRID)["uniform"]
    said = []
    for arm in CURES:
        covered, good = (summary[arms.name(arm, what)] for what in WATCHED)
        said.append(
            f"{arm}: modes {verdicts.span(covered, '.0f')} (uniform sampler {modes:.0f}), "
            f"more good samples than the uniform sampler {often(good, quality)}"
        )
    for times in TIMES.values():
        gains = (f"{what} {often(summary[arms.name(times, f'{what}, gained by R1')], 0)}" for what in WATCHED)
        said.append(f"{times}, R1 gains: {', '.join(gains)}")
    near = verdicts.near(summary["100 times, no penalty: discriminator loss"], one_mode(len(GRID.centers())), 0.05)
    said.append(
        f"the mean loss of the discriminator at 100 times without penalty is {'close to' if near else 'away from'} "
        "the best possible against a copy of one mode"
    )
    return ";\n  ".join(said) + "."


# 5.8 Choosing the learning rates

TRIED = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)  # at one scale or another


@dataclass(frozen=True)
class Rates:
    """Each loss at several learning rates."""

    training: Training
    learning_rates: tuple = TRIED[2:]


def run_rates(config, seed, device):
    """The grid with each loss at each learning rate: how the rates of figure 5.6 were chosen."""
    numbers = {}
    for name, loss in gan.LOSSES.items():
        for rate in config.learning_rates:
            nets, _ = train_gan(config.training, GRID, step_of(loss), rate, seed, device)
            numbers[arms.at_rate(name, rate)] = score(samples(nets, seed), GRID).overlap
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    """Overlap against learning rate: a line through the means and a point per seed for each loss."""
    fig, ax = drawing.rates_panel(results, config.learning_rates, LOOKS)
    ax.set(xlabel="learning rate of both players", ylabel="overlap with the grid", ylim=(0, 1.02))
    ax.legend(loc="best")
    return fig


def verdict_rates(summary):
    """The learning rate of the largest mean overlap, for each loss."""
    return verdicts.best_rates(arms.trials(summary, LOOKS, TRIED), "overlap")


RECIPES = gan_exact.RECIPES | {
    "5.5": Recipe(
        title="Samples over training",
        caption="2,500 samples of each generator over training, one run per loss from the same start: the first seed of "
        "figure 5.6. Crosses are the centers of the true modes.",
        alt="Three rows of scatter plots, one per loss, four moments each. The points gather on the crosses and on threads "
        "between them. The saturating loss starts with points all over the square and ends with a net over nearly all "
        "crosses; the other two leave out several crosses from the first moment to the last.",
        run=run_compare, draw=draw_snapshots, quick=Compare(Training(steps=2800, points=20_000), data=RING, every=100),
        cpu=Compare(Training(steps=30_000)), full=Compare(FULL, learning_rates=SLOW), record="cpu",
    ),
    "5.6": Recipe(
        title="Three losses on the grid",
        caption="Three scores of 2,500 samples. Above, over training: the mean over the seeds, and their range as a band. "
        "Below, at the end: each point is one trained network, black bars are means. All settings but the loss are equal. "
        "Gray lines: what the data themselves and two structureless samplers score. In the overlap the line of the data "
        "stands at 1; the data themselves reach 0.99 with many points and 0.96 with 2,500.",
        alt="Six panels. Above, over 30,000 steps: the modes of the saturating loss rise to nearly 25, of the KL loss "
        "they stay near 21, of the non-saturating one near 18; the quality of all three rises to almost 0.9; the overlap of the saturating loss is the lowest at "
        "first and the highest from the middle on. Below, points: the saturating loss lies above the non-saturating one in "
        "modes and overlap, in quality all three are alike.",
        run=run_compare, draw=draw_compare, quick=Compare(Training(steps=1000, points=20_000), every=100), cpu=Compare(Training(steps=30_000)),
        full=Compare(FULL, learning_rates=SLOW), seeds=tuple(range(5)), verdict=verdict_compare, record="cpu",
    ),
    "5.7": Recipe(
        title="One player wins, with and without R1",
        caption="The discriminator learns at rate 0.01, a hundred or ten times faster than the generator. Above, samples "
        "of the first seed at the end; crosses are the centers of the modes. At a hundred times without a penalty all "
        "samples sit on one mode, and the loss of the discriminator is close to the least possible against a copy of one "
        "mode (the lower dotted line). There R1, of weight 0.3, spreads the samples, most of them between the modes. At "
        "ten times R1 puts the samples on a net through most of the grid.",
        alt="Above: samples in one spot; all over the square; in patches at its edge; on a net of threads through the crosses. "
        "Below, curves of every seed. Without a penalty at a hundred times the loss of the discriminator stays near 0.17, with 1 "
        "mode covered and quality near 1. At ten times three runs move about at fewer than half of the modes and low quality, and two stand still at 3 modes and quality near 0. With R1 "
        "more than 20 modes are covered, with quality near 0.1 at a hundred times and between 0.2 and 0.7 at ten times.",
        run=run_wrong, draw=draw_wrong, quick=Wrong(Training(steps=300, points=20_000)),
        cpu=Wrong(Training(steps=8000)), full=Wrong(Training(steps=20_000)), seeds=tuple(range(5)),
        verdict=verdict_wrong, record="cpu",
    ),
    "5.8": Recipe(
        title="Choosing the learning rates",
        caption="Overlap of the samples with the 25 modes for three learning rates and three losses, two seeds each that "
        "figure 5.6 does not use. Lines go through the means. Each loss goes on to figure 5.6 with the rate of its best "
        "mean; only for the saturating loss do both points at that rate lie above those at its other rates.",
        alt="Overlap against learning rate on a logarithmic axis, one line with points per loss; all three rise up to "
        "0.001. Then the saturating loss falls, and the other two stay about level with points far apart.",
        run=run_rates, draw=draw_rates, quick=Rates(Training(steps=200, points=20_000)), cpu=Rates(Training()),
        full=Rates(FULL, TRIED[:4]), seeds=(100, 101), verdict=verdict_rates, record="cpu",
    ),
}  # fmt: skip
