"""The experiment of chapter 12 with both players: a Wasserstein GAN with gradient penalty on the grid (12.6).

wgan_gp_exact holds the exact experiments, wgan_gp_critics those that look at critics.
"""

import functools
from dataclasses import dataclass

import torch

from gentools import wgan_gp
from gentools.recipes import Recipe, wgan_gp_critics, wgan_gp_exact
from gentools.recipes.gan import parts, samples
from gentools.recipes.shared import drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import GRID, Points, chance, score

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
    numbers, overlap = {what: arrays[what][-1] for what in SCORES}, arrays["overlap"]
    numbers[CHANGE] = overlap[-1] - overlap[parts(len(overlap), 4)[2]]
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


RECIPES = wgan_gp_exact.RECIPES | wgan_gp_critics.RECIPES | {
    "12.6": Recipe(
        title="A Wasserstein GAN with gradient penalty on the grid",
        caption="2,500 samples at the end of one run with the centers of the 25 modes, and two scores over 22,000 steps. Batches of "
        "256, a learning rate that falls in a straight line from 0.002 to 0, two steps of the critic for each of the generator.",
        alt="Left, dots and 25 crosses in the plane. Middle and right, modes covered and high-quality share over the steps, with "
        "dotted lines for the data and dashed ones for a uniform sampler.",
        run=run_grid, draw=draw_grid, verdict=verdict_grid, record="cpu",
        quick=Training(steps=60, batch=128, points=20_000, moments=4), cpu=Training(),
        full=Training(learning_rate=1e-4, betas=(0.5, 0.9), critic_steps=5, steps=100_000),
    ),
}  # fmt: skip
