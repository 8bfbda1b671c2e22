"""Experiments of chapter 12 with both players, on points in the plane (12.6 to 12.8).

wgan_gp_exact holds the exact ones, wgan_gp_critics those with a critic alone.
"""

import functools
from dataclasses import dataclass

import torch

from gentools import gan, wgan_gp
from gentools.recipes import Recipe, wgan_gp_critics, wgan_gp_exact
from gentools.recipes.gan import parts, samples
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import GRID, RING, Points, chance, score

LOSSES = ("saturating", "non-saturating")  # of chapter 05
LOOKS = drawing.looks(("WGAN-GP", *LOSSES))
SCORES = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`


@dataclass(frozen=True)
class Wgan:
    """A Wasserstein GAN with gradient penalty."""

    learning_rate: float = 2e-3  # of both players at the start; falls in a straight line to 0
    betas: tuple = (0.0, 0.9)  # of Adam
    critic_steps: int = 2  # for each step of the generator
    penalty_weight: float = 0.1


@dataclass(frozen=True)
class Classic:
    """A GAN of chapter 05: one step of the discriminator, one of the generator."""

    loss: object  # of the generator
    learning_rate: float = 1e-3
    betas: tuple = (0.5, 0.999)


@dataclass(frozen=True)
class Training:
    """Every arm from its own networks, on the same data with the same batch and number of steps of the generator."""

    players: tuple = ()  # (name, Wgan or Classic)
    data: Points = RING
    batch: int = 128  # rows for each step of either player
    steps: int = 3000  # of the generator
    points: int = 100_000  # drawn once, to train on
    moments: int = 20  # at which samples are scored, equally spaced


def train_one(config, player, seed, device):
    """Train one arm. Returns its networks and its scores at each moment, as dicts.

    The penalty of WGAN-GP is the closed form, which is equal to `gradient_penalty` and cheaper.
    """
    if isinstance(player, Wgan):
        nets, draws, latent = wgan_gp.toy_networks(seed).to(device), player.critic_steps, (2, 2)
        step = functools.partial(wgan_gp.step, critic_steps=draws, penalty_weight=player.penalty_weight,
                                 penalty=wgan_gp.piecewise_penalty)  # fmt: skip
    else:
        nets, draws, latent = gan.toy_networks(seed).to(device), 1, 2
        step = functools.partial(gan.step, generator_loss=player.loss)

    def watch(done):
        return score(samples(nets, seed), config.data)._asdict()

    history = fit_kept(
        step, nets, adams(nets, player.learning_rate, player.betas), config.data.draw(config.points, seed)[0], latent,
        batch=draws * config.batch, steps=config.steps, seed=seed, device=device, watch=watch,
        schedule=functools.partial(falling, config.steps), log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return nets, history.watched


def falling(steps, t):
    """A schedule: the factor falls in a straight line from 1 to 0."""
    return 1 - t / steps


# 12.7 Choosing the learning rates


@dataclass(frozen=True)
class Rates:
    """Each arm at several learning rates, each arm with its own."""

    training: Training = Training()
    learning_rates: tuple = (2e-3, 4e-3, 8e-3)


def make(name, rate):
    """An arm at a learning rate."""
    return Wgan(rate) if name == "WGAN-GP" else Classic(gan.LOSSES[name], rate)


def rate_name(name, rate):
    """The recorded name of the overlap that an arm reaches at a learning rate."""
    return f"{name}, rate {rate:g}"


def run_rates(config, seed, device):
    """Overlap with the data at the end of a run, for each arm and learning rate: how those of figure 12.8 were chosen."""
    numbers = {}
    for name in LOOKS:
        for rate in config.learning_rates:
            _, seen = train_one(config.training, make(name, rate), seed, device)
            numbers[rate_name(name, rate)] = seen[-1]["overlap"]
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    """Overlap against learning rate: a line through the means and a point per seed for each arm."""
    fig, ax = drawing.panels(size=(6.4, 3.6))
    names = {name: {rate: rate_name(name, rate) for rate in config.learning_rates} for name in LOOKS}
    drawing.rate_columns(ax, results, names, LOOKS, beside=1.04)
    ax.set(xlabel="learning rate of both players at the start", ylabel="overlap with the ring", ylim=(0, 1.02))
    ax.legend(loc="best")
    return fig


TRIED = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)


def verdict_rates(summary):
    """The learning rate of the largest mean overlap for each arm, and whether it lies at an end of those tried."""
    said = []
    for name in LOOKS:
        trials = {rate: summary[rate_name(name, rate)] for rate in TRIED if rate_name(name, rate) in summary}
        best = verdicts.best(trials, none=None)
        inner = "" if best is None or min(trials) < best < max(trials) else ", an end of those tried"
        said.append(f"{name} {'none, for no run finished' if best is None else f'{best:g}'}{inner}")
    return f"Best rate by mean overlap: {'; '.join(said)}."


# 12.8 WGAN-GP and the losses of chapter 05

CHANGE = "overlap at the end minus after three quarters"


def run_arms(config, seed, device):
    """Scores of every arm over training, and its samples at the end."""
    numbers, arrays, ends = {}, {}, {}
    for name, player in config.players:
        nets, seen = train_one(config, player, seed, device)
        arrays[f"{name} samples"] = samples(nets, seed)  # (2500, 2)
        arrays[f"{name} step"] = torch.tensor([each["step"] for each in seen])  # (moments,)
        for what, field in SCORES.items():
            curve = torch.tensor([float(each[field]) for each in seen])  # (moments,)
            numbers[name, what], arrays[f"{name} {what}"] = curve[-1], curve
        ends[name] = curve[-1]
        numbers[name, CHANGE] = curve[-1] - curve[parts(len(curve), 4)[2]]
    for name in ends:
        if name != "WGAN-GP":
            numbers["overlap", f"WGAN-GP minus {name}"] = ends["WGAN-GP"] - ends[name]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_arms(results, config):
    """Above, samples (2500, 2) of every arm, first seed. Below, scores (moments,): mean and range of the seeds."""
    fig, axes = drawing.mosaic("abc;def", (8.4, 5.8))
    lines, k = chance(config.data), len(config.data.centers())
    for key, (name, _) in zip("abc", config.players, strict=True):
        drawing.dots(axes[key], results[0]["arrays"][f"{name} samples"], LOOKS[name].color)
        drawing.crosses(axes[key], config.data.centers(), "black")
        axes[key].set_title(name)
    for index, (key, what, top) in enumerate(zip("def", SCORES, (k, 1, 1), strict=True)):
        for name, _ in config.players:
            curves = [r["arrays"][f"{name} {what}"] for r in results]
            drawing.band(axes[key], results[0]["arrays"][f"{name} step"], curves, LOOKS[name], markevery=4)
        if what != "overlap":
            drawing.level(axes[key], lines["uniform"][index], "uniform sampler", at=0.98, ha="right")
        axes[key].set(title=what, xlabel="step", ylim=(-0.03 * top, 1.07 * top))
    drawing.legend_below(fig, axes["d"])
    return fig


def verdict_arms(summary):
    """Which arm covers what, whether each has settled, and where WGAN-GP differs from the others: a line each."""
    names = [name for name in LOOKS if arms.name(name, "modes") in summary]
    k, noise = len(RING.centers()), max(chance(RING)[each][1] for each in ("uniform", "Gaussian"))
    said = []
    for name in names:
        found = {what: summary[arms.name(name, what)] for what in SCORES}
        end = verdicts.settling(found["overlap"], summary[arms.name(name, CHANGE)])
        said.append(
            f"{name}: {verdicts.span(found['modes'], '.0f')} of {k} modes, quality {verdicts.span(found['high-quality share'], '.2f')}"
            f"{'' if verdicts.always_above(found['high-quality share'], noise) else ' (not always above structureless samplers)'}, "
            f"overlap {verdicts.span(found['overlap'], '.2f')}, {end} over the last quarter"
        )
    for name in names[1:]:
        gap = summary[arms.name("overlap", f"WGAN-GP minus {name}")]
        words = {1: "larger", 0: "not separated", -1: "smaller"}[verdicts.sign(gap)]
        said.append(f"overlap of WGAN-GP against {name}, seed by seed: {words}")
    return ";\n  ".join(said) + "."


# 12.6 The grid


def draw_own(results, config):
    """Samples (2500, 2) of the first seed; beside them modes and quality (moments,) of every seed."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.0))
    drawing.dots(axes[0], results[0]["arrays"]["WGAN-GP samples"], "blue")
    drawing.crosses(axes[0], config.data.centers(), "vermillion")
    axes[0].set_title("samples, first seed")
    data, noise = (chance(config.data)[name] for name in ("true data", "uniform"))
    for index, (ax, what, top) in enumerate(zip(axes[1:], SCORES, (len(config.data.centers()), 1), strict=False)):
        curves = [result["arrays"][f"WGAN-GP {what}"] for result in results]
        drawing.seed_curves(ax, results[0]["arrays"]["WGAN-GP step"], curves, LOOKS["WGAN-GP"])
        drawing.level(ax, data[index], "the data", at=0.98, ha="right")
        drawing.level(ax, noise[index], "uniform sampler", at=0.98, ha="right", ls="--")
        ax.set(title=what, xlabel="step", ylim=(0, 1.12 * top))
    return fig


def verdict_own(summary):
    """Modes and quality at the end, and the change over the last quarter."""
    found = {what: summary[arms.name("WGAN-GP", what)] for what in (*SCORES, CHANGE)}
    return (
        f"{verdicts.span(found['modes'], '.0f')} of {len(GRID.centers())} modes, quality "
        f"{verdicts.span(found['high-quality share'], '.2f')}, overlap {verdicts.span(found['overlap'], '.2f')}, of which "
        f"{verdicts.span(found[CHANGE], '.2f')} came in the last quarter."
    )


CHOSEN = {"WGAN-GP": 2e-3, "saturating": 2e-3, "non-saturating": 2e-3}  # learning rates, by figure 12.7
PLAYERS = tuple((name, make(name, rate)) for name, rate in CHOSEN.items())
SOURCE = (
    ("WGAN-GP", Wgan(1e-4, (0.5, 0.9), critic_steps=5)),  # the authors' program
    *((name, Classic(gan.LOSSES[name], 1e-4)) for name in LOSSES),
)
OWN = Training((("WGAN-GP", Wgan()),), data=GRID, batch=256, steps=22_000)

RECIPES = wgan_gp_exact.RECIPES | wgan_gp_critics.RECIPES | {
    "12.6": Recipe(
        title="A Wasserstein GAN with gradient penalty on the grid",
        caption="2,500 samples of the first seed with the centers of the 25 modes, and two scores over 22,000 steps, a line per seed. "
        "Batches of 256, a learning rate that falls in a straight line from 0.002 to 0, two steps of the critic for each of the generator.",
        alt="Left, dots and 25 crosses in the plane. Middle and right, modes covered and high-quality share over the steps, with "
        "dotted lines for the data and dashed ones for a uniform sampler.",
        run=run_arms, draw=draw_own, verdict=verdict_own, record="cpu",
        quick=Training(PLAYERS[:1], data=GRID, steps=60, points=20_000, moments=4), cpu=OWN,
        full=Training(SOURCE[:1], data=GRID, batch=256, steps=100_000),
    ),
    "12.7": Recipe(
        title="Choosing the learning rates",
        caption="Overlap of the samples with the eight modes of the ring at the end of a run of figure 12.8's length, for three "
        "learning rates and three ways to train, on a seed that figure 12.8 does not use. The rate falls in a straight line to 0. "
        "Each way goes on with its best.",
        alt="Overlap against the learning rate on a logarithmic axis, a line with points for each of three ways to train.",
        run=run_rates, draw=draw_rates, verdict=verdict_rates, seeds=(100,), record="cpu",
        quick=Rates(Training(steps=60, points=20_000, moments=2)), cpu=Rates(),
        full=Rates(Training(data=GRID, batch=256, steps=22_000)),
    ),
    "12.8": Recipe(
        title="A Wasserstein GAN with gradient penalty and two losses of chapter 5",
        caption="The ring of eight Gaussians. Above, 2,500 samples of each arm, first seed, with the centers of the modes. Below, three "
        "scores over training: mean of five seeds and their range. All arms have networks, data, batch of 128, 3,000 steps of the "
        "generator and a falling rate in common; WGAN-GP takes two steps of its critic for each, on fresh data.",
        alt="Above, three scatter plots on a ring of crosses. Below, modes, high-quality share and overlap over the steps, a band for "
        "each of three ways to train.",
        run=run_arms, draw=draw_arms, verdict=verdict_arms, seeds=tuple(range(5)), record="cpu",
        quick=Training(PLAYERS, steps=60, points=20_000, moments=4), cpu=Training(PLAYERS),
        full=Training(SOURCE, data=GRID, batch=256, steps=100_000),
    ),
}  # fmt: skip
