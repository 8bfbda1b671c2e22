"""Experiments of chapter 12 with both players, on points in the plane (12.6 to 12.8).

wgan_gp_exact holds the exact experiments, wgan_gp_critics those that look at critics.
"""

import functools
from dataclasses import dataclass, replace

import torch

from gentools import gan, wgan_gp
from gentools.recipes import Recipe, wgan_gp_critics, wgan_gp_exact
from gentools.recipes.gan import samples
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import GRID, RING, Points, chance, score

# 12.6 The grid

LOOK = Look("WGAN-GP", "blue")
SCORES = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
CHANGE = "overlap at the end minus after three quarters"


@dataclass(frozen=True)
class Training:
    """A Wasserstein GAN with gradient penalty on points in the plane."""

    data: Points = GRID
    learning_rate: float = 2e-3  # of both players at the start; falls in a straight line to 0
    betas: tuple = (0.0, 0.9)  # of Adam
    critic_steps: int = 2  # for each step of the generator
    penalty_weight: float = 0.1
    batch: int = 256  # rows for each step of either player
    steps: int = 22_000  # of the generator
    points: int = 100_000  # drawn once, to train on
    moments: int = 20  # at which samples are scored, equally spaced


def train_one(config, seed, device):
    """Train one WGAN-GP. Returns its networks and its scores at each moment, as dicts.

    The penalty is taken in closed form, which is equal to `gradient_penalty` and cheaper.
    """
    nets, draws = wgan_gp.toy_networks(seed).to(device), config.critic_steps
    step = functools.partial(wgan_gp.step, critic_steps=draws, penalty_weight=config.penalty_weight,
                             penalty=wgan_gp.piecewise_penalty)  # fmt: skip

    def watch(done):
        return score(samples(nets, seed), config.data)._asdict()

    history = fit_kept(
        step, nets, adams(nets, config.learning_rate, config.betas), config.data.draw(config.points, seed)[0], (2, 2),
        batch=draws * config.batch, steps=config.steps, seed=seed, device=device, watch=watch,
        schedule=functools.partial(falling, config.steps), log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return nets, history.watched


def falling(steps, t):
    """A schedule: the factor falls in a straight line from 1 to 0."""
    return 1 - t / steps


def run_grid(config, seed, device):
    """Scores over training, and samples at the end."""
    nets, seen = train_one(config, seed, device)
    arrays = {
        "samples": samples(nets, seed),
        "step": torch.tensor([each["step"] for each in seen]),
    }  # (2500, 2), (moments,)
    for what, field in SCORES.items():
        arrays[what] = torch.tensor([float(each[field]) for each in seen])  # (moments,)
    numbers = {what: arrays[what][-1] for what in SCORES}
    numbers[CHANGE] = change(arrays["overlap"])
    return {"numbers": numbers, "arrays": arrays}


def draw_grid(results, config):
    """Samples (2500, 2) of the first seed; beside them modes and quality (moments,) of every seed."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.0))
    drawing.dots(axes[0], results[0]["arrays"]["samples"], "blue")
    drawing.crosses(axes[0], config.data.centers(), "vermillion")
    axes[0].set_title("samples, first seed")
    data, noise = (chance(config.data)[name] for name in ("true data", "uniform"))
    for index, (ax, what, top) in enumerate(zip(axes[1:], SCORES, (len(config.data.centers()), 1), strict=False)):
        curves = [result["arrays"][what] for result in results]
        drawing.seed_curves(ax, results[0]["arrays"]["step"], curves, LOOK)
        drawing.level(ax, data[index], "the data", at=0.98, ha="right")
        drawing.level(ax, noise[index], "uniform sampler", at=0.98, ha="right", ls="--")
        ax.set(title=what, xlabel="step", ylim=(0, 1.12 * top))
    return fig


def verdict_grid(summary):
    """Modes, quality and overlap at the end, and what of the overlap came in the last quarter."""
    return (
        f"{verdicts.span(summary['modes'], '.0f')} of {len(GRID.centers())} modes, quality "
        f"{verdicts.span(summary['high-quality share'], '.2f')}, overlap {verdicts.span(summary['overlap'], '.2f')}, of which "
        f"{verdicts.span(summary[CHANGE], '.2f')} came in the last quarter of the steps."
    )


# 12.7 and 12.8 WGAN-GP beside the losses of chapter 05

R1 = "non-saturating + R1"
RIVALS = (*gan.LOSSES, R1)
ARMS = drawing.looks(("WGAN-GP", *RIVALS))
ON_RING = Training(data=RING, batch=128, steps=12_000)


@dataclass(frozen=True)
class Ring:
    """What the arms train with, all but their learning rates."""

    training: Training = ON_RING  # its betas, critic steps and penalty weight are those of WGAN-GP
    classic_betas: tuple = (0.5, 0.999)  # of the other arms, as in chapter 05
    r1_weight: float = 0.3  # of the penalty R1, in the arm that has it: that of figure 5.7


def classic_step(name, config):
    """A step of a GAN of chapter 05: one of the discriminator, one of the generator."""
    if name == R1:
        return functools.partial(gan.penalized_step, penalty_weight=config.r1_weight)
    return functools.partial(gan.step, generator_loss=gan.LOSSES[name])


def train_classic(step, config, betas, seed, device):
    """`train_one` for such a step."""
    nets = gan.toy_networks(seed).to(device)

    def watch(done):
        return score(samples(nets, seed), config.data)._asdict()

    history = fit_kept(
        step, nets, adams(nets, config.learning_rate, betas), config.data.draw(config.points, seed)[0], 2,
        batch=config.batch, steps=config.steps, seed=seed, device=device, watch=watch,
        schedule=functools.partial(falling, config.steps), log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return nets, history.watched


def train_arm(name, rate, config, seed, device):
    """Train the arm of that name at a learning rate. Returns its networks and its scores at each moment, as dicts."""
    training = replace(config.training, learning_rate=rate)
    if name == "WGAN-GP":
        return train_one(training, seed, device)
    return train_classic(classic_step(name, config), training, config.classic_betas, seed, device)


@dataclass(frozen=True)
class Rates(Ring):
    """Every arm at the same learning rates."""

    learning_rates: tuple = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)


def run_rates(config, seed, device):
    """Overlap with the data at the end of a run, for each arm and learning rate: how those of figure 12.8 were chosen."""
    numbers = {}
    for name in ARMS:
        for rate in config.learning_rates:
            _, seen = train_arm(name, rate, config, seed, device)
            numbers[arms.at_rate(name, rate)] = seen[-1]["overlap"]
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    """Overlap against learning rate: a line through the means and a point per seed for each arm."""
    fig, ax = drawing.rates_panel(results, config.learning_rates, ARMS, beside=1.04)
    ax.set(xlabel="learning rate of both players at the start", ylabel="overlap with the ring", ylim=(-0.03, 1.03))
    ax.legend(loc="best")
    return fig


TRIED = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)  # at one scale or another


def verdict_rates(summary):
    """The learning rate of the largest mean overlap for each arm, and whether it lies at an end of those tried."""
    return verdicts.best_rates(arms.trials(summary, ARMS, TRIED), "overlap")


# By figure 12.7.
CHOSEN = (("WGAN-GP", 4e-3), ("saturating", 2e-3), ("non-saturating", 2e-3), ("KL", 2e-3), (R1, 4e-3))


@dataclass(frozen=True)
class Compare(Ring):
    """Every arm at the learning rate that figure 12.7 chose, from the same data with the same batch and steps."""

    learning_rates: tuple = CHOSEN


def run_arms(config, seed, device):
    """Scores of every arm over training, and its samples at the end."""
    numbers, arrays, ends = {}, {}, {}
    for name, rate in config.learning_rates:
        nets, seen = train_arm(name, rate, config, seed, device)
        arrays[f"{name} samples"] = samples(nets, seed)  # (2500, 2)
        arrays["step"] = torch.tensor([each["step"] for each in seen])  # (moments,)
        for what, field in SCORES.items():
            curve = torch.tensor([float(each[field]) for each in seen])  # (moments,)
            numbers[name, what], arrays[f"{name} {what}"] = curve[-1], curve
        ends[name] = curve[-1]
        numbers[name, CHANGE] = change(curve)
    for name in RIVALS:
        numbers["overlap", f"WGAN-GP minus {name}"] = ends["WGAN-GP"] - ends[name]
    numbers["overlap", f"{R1} minus non-saturating"] = ends[R1] - ends["non-saturating"]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_arms(results, config):
    """Above, samples (2500, 2) of every arm, first seed. Below, scores (moments,): mean and range of the seeds."""
    fig, axes = drawing.mosaic("aaabbbcccdddeee;fffffggggghhhhh", (8.4, 5.0), height_ratios=(1, 1.5))
    lines, k = chance(config.training.data), len(config.training.data.centers())
    for key, name in zip("abcde", ARMS, strict=True):
        drawing.dots(axes[key], results[0]["arrays"][f"{name} samples"], ARMS[name].color)
        drawing.crosses(axes[key], config.training.data.centers(), "black")
        axes[key].set_title(name, fontsize=9)
    for index, (key, what, top) in enumerate(zip("fgh", SCORES, (k, 1, 1), strict=True)):
        for name, look in ARMS.items():
            curves = [result["arrays"][f"{name} {what}"] for result in results]
            drawing.band(axes[key], results[0]["arrays"]["step"], curves, look, markevery=4)
        if what != "overlap":
            drawing.level(axes[key], lines["uniform"][index], "uniform sampler", at=0.98, ha="right")
        axes[key].set(title=what, xlabel="step", ylim=(-0.03 * top, 1.07 * top))
    drawing.legend_below(fig, axes["f"])
    return fig


def verdict_arms(summary):
    """What each arm covers, whether it has settled, and where WGAN-GP differs from the others: a line each."""
    k, noise = len(RING.centers()), max(chance(RING)[each][1] for each in ("uniform", "Gaussian"))
    said = []
    for name in ARMS:
        found = {what: summary[arms.name(name, what)] for what in SCORES}
        end = verdicts.settling(found["overlap"], summary[arms.name(name, CHANGE)])
        by_chance = verdicts.always_above(found["high-quality share"], noise)
        said.append(
            f"{name}: {verdicts.span(found['modes'], '.0f')} of {k} modes, quality "
            f"{verdicts.span(found['high-quality share'], '.2f')}{'' if by_chance else ' (not always above structureless samplers)'}, "
            f"overlap {verdicts.span(found['overlap'], '.2f')}, {end} over the last quarter"
        )
    for one, other in (*(("WGAN-GP", name) for name in RIVALS), (R1, "non-saturating")):
        gap = verdicts.sign(summary[arms.name("overlap", f"{one} minus {other}")])
        words = {1: "larger", 0: "not separated", -1: "smaller"}[gap]
        said.append(f"overlap of {one} against {other}, seed by seed: {words}")
    return ";\n  ".join(said) + "."


BRIEF = Training(data=RING, batch=128, steps=60, points=20_000, moments=4)

RECIPES = wgan_gp_exact.RECIPES | wgan_gp_critics.RECIPES | {
    "12.6": Recipe(
        title="A Wasserstein GAN with gradient penalty on the grid",
        caption="Left, 2,500 samples at the end of the first seed's run (dots) and the centers of the 25 modes (crosses). "
        "Middle and right, two scores over training, a line per seed. The learning rate falls in a straight line to 0.",
        alt="Left, dots and 25 crosses in the plane. Middle and right, modes covered and high-quality share over the steps, with "
        "dotted lines for the data and dashed ones for a uniform sampler.",
        run=run_grid, draw=draw_grid, verdict=verdict_grid, seeds=tuple(range(5)), record="cpu",
        quick=Training(steps=60, batch=128, points=20_000, moments=4), cpu=Training(steps=44_000),
        full=Training(learning_rate=1e-4, betas=(0.5, 0.9), critic_steps=5, steps=100_000),
    ),
    "12.7": Recipe(
        title="Choosing the learning rates",
        caption="Overlap of the samples with the eight modes of the ring after 12,000 steps, as many as figure 12.8 takes, "
        "for each learning rate and each way to train, on a seed that figure 12.8 does not use. Points of one rate are "
        "drawn side by side. The rate falls in a straight line to 0. In figure 12.8 each way has its best rate.",
        alt="Overlap against the learning rate on a logarithmic axis, a line with points for each of five ways to train.",
        run=run_rates, draw=draw_rates, verdict=verdict_rates, seeds=(100,), record="cpu",
        quick=Rates(BRIEF, learning_rates=(1e-3, 4e-3)), cpu=Rates(),
        full=Rates(Training(steps=22_000)),
    ),
    "12.8": Recipe(
        title="WGAN-GP and the GANs of chapter 5 on the ring",
        caption="The ring of eight Gaussians. Above, 2,500 samples of each way to train, first seed, with the centers of "
        "the modes. Below, three scores over training: the mean of the seeds (lines) and their range (bands). Networks, "
        "data, batch and number of steps of the generator are equal, and every rate falls in a straight line to 0. For each "
        "step of its generator WGAN-GP takes two steps of its critic, on fresh data; the others take one of their "
        "discriminator. R1 is the penalty of figure 5.7.",
        alt="Above, five scatter plots on a ring of crosses. Below, modes, high-quality share and overlap over the steps, a band for "
        "each of five ways to train.",
        run=run_arms, draw=draw_arms, verdict=verdict_arms, seeds=tuple(range(5)), record="cpu",
        quick=Compare(BRIEF), cpu=Compare(), full=Compare(Training(steps=22_000)),
    ),
}  # fmt: skip
