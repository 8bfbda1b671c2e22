"""Exact experiments of chapter 05: on a line, on the three losses, and in the smallest game (5.1 to 5.4)."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import gan
from gentools.lab.divergences import js, kl
from gentools.lab.plots import COLORS, LINES
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing
from gentools.recipes.shared.drawing import Look

LOOKS = {
    "saturating": Look("saturating", "orange", LINES[1], "s"),
    "non-saturating": Look("non-saturating", "blue", LINES[0], "o"),
    "KL": Look("KL", "vermillion", LINES[2], "^"),
}


def density(x, mean, std):
    """N(x; mean, std^2) for x (n,); shape (n,)."""
    return torch.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


# 5.1 Four divergences on sliding Gaussians


@dataclass(frozen=True)
class Sliding:
    """A Gaussian that slides away from the data."""

    model_std: float = 0.7
    farthest: float = 5.0  # distance of the model from the data, at most
    positions: int = 126  # of the model between 0 and there


SLIDING = {  # recorded name: look
    "2 JS": Look("2 JS", "orange", LINES[1]),
    "2 KL(m||p)": Look("2 KL(m‖$\\tilde p$)", "blue", LINES[0]),
    "KL(q||p)": Look("KL(q‖$\\tilde p$)", "vermillion", LINES[2]),
    "KL(p||q)": Look("KL($\\tilde p$‖q)", "green", LINES[3]),
}


def run_sliding(config, seed, device):
    """Data N(0, 1), model N(t, model_std^2): four divergences as functions of t, and their slopes in t by autograd."""
    x = torch.linspace(-14, 20, 6801, dtype=torch.float64)
    p = density(x, 0.0, 1.0) * (x[1] - x[0])  # (6801,), of sum 1

    def four(t):
        q = density(x, t, config.model_std) * (x[1] - x[0])
        return torch.stack([2 * js(p, q), 2 * kl((p + q) / 2, p), kl(q, p), kl(p, q)])

    t = torch.linspace(0, config.farthest, config.positions, dtype=torch.float64)
    values = torch.stack([four(s) for s in t])  # (positions, 4)
    slopes = torch.stack([torch.autograd.functional.jacobian(four, s) for s in t])  # (positions, 4)
    numbers = {f"slope of {name} at the far end": s for name, s in zip(SLIDING, slopes[-1], strict=True)}
    return {"numbers": numbers, "arrays": {"t": t, "values": values, "slopes": slopes}}


def draw_sliding(results, config):
    """Values and slopes (positions, 4) against t (positions,)."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 2, (8.0, 3.6))
    for ax, what in zip(axes, ("values", "slopes"), strict=True):
        for look, y in zip(SLIDING.values(), a[what].T, strict=True):
            ax.plot(a["t"], y, **look.as_line())
    axes[0].axhline(2 * math.log(2), color="0.6", lw=1)
    axes[0].annotate("2 log 2", (0.05, 2 * math.log(2)), (0, 3), textcoords="offset points", color="0.35")
    axes[0].set(title="value, nats", xlabel="distance t of the model from the data", ylim=(0, 8))
    axes[1].set(title="slope in t", xlabel="distance t of the model from the data", ylim=(0, 5.5))
    axes[0].legend(loc="upper left")
    return fig


# 5.2 Three generator losses


@dataclass(frozen=True)
class Losses:
    """The three losses over a range of logits."""

    logit_range: float = 6.0  # logits from minus this to this
    points: int = 241  # how many of them


DESCENDS = {
    "saturating": "log(1 − D):  descends 2 JS",
    "non-saturating": "−log D:  descends 2 KL(m‖$\\tilde p$)",
    "KL": "−logit D:  descends KL(q‖$\\tilde p$)",
}


def run_losses(config, seed, device):
    """Values of the three losses, and their slopes in D and in the logit, over a range of logits."""
    logit = torch.linspace(-config.logit_range, config.logit_range, config.points, dtype=torch.float64)
    d = torch.sigmoid(logit)  # (points,)
    arrays, numbers = {"logit": logit, "d": d}, {}
    for name, loss in gan.LOSSES.items():
        at = logit.clone().requires_grad_()
        values = torch.stack([loss(one) for one in at])  # (points,)
        (slope,) = torch.autograd.grad(values.sum(), at)
        arrays |= {f"{name} value": values.detach(), f"{name} slope in logit": slope}
        arrays[f"{name} slope in D"] = slope / (d * (1 - d))
        numbers[name, f"slope in the logit where D = {d[0]:.2g}"] = slope[0]
        numbers[name, f"slope in D where D = {d[0]:.2g}"] = arrays[f"{name} slope in D"][0]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_losses(results, config):
    """Values and slopes (points,) of each loss: against D on the left, against the logit on the right."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(2, 2, (8.0, 5.6), sharex="col")
    for name, look in LOOKS.items():
        for column, x in enumerate(("d", "logit")):
            axes[0, column].plot(a[x], a[f"{name} value"], **look.as_line(label=DESCENDS[name]))
        axes[1, 0].plot(a["d"], -a[f"{name} slope in D"], **look.as_line())
        axes[1, 1].plot(a["logit"], -a[f"{name} slope in logit"], **look.as_line())
    axes[0, 0].set(title="value against D(G(z))", ylabel="loss, nats", ylim=(-6.2, 6.2))
    axes[0, 1].set(title="value against its logit", ylim=(-6.2, 6.2))
    axes[1, 0].set(title="push on D", xlabel="D(G(z))", ylabel="minus the slope", ylim=(0, 12))
    axes[1, 1].set(title="push on the logit: what the network feels", xlabel="logit of D(G(z))", ylim=(-0.05, 1.12))
    axes[1, 1].annotate("saturates\nwhere D wins", (-5.8, 0.17), color="0.3")
    drawing.legend_below(fig, axes[0, 0])
    return fig


# 5.3 The warm-up: two numbers against an exact discriminator


@dataclass(frozen=True)
class WarmUp:
    """A generator of two numbers against an exact discriminator."""

    loss: object = gan.non_saturating_loss  # of the generator
    start: tuple = (-2.0, 0.5)  # a, b of the generator x = a + b z
    data: tuple = (1.0, 0.8)  # mean and standard deviation
    learning_rate: float = 0.25
    steps: int = 80


def run_warm_up(config, seed, device):
    """Gradient steps on (a, b) of x = a + b z through an exact D, which is renewed after every step."""
    n = 4000  # z at the midpoints of n equal shares of N(0, 1): a mean over them is an expectation
    z = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)  # (n,)
    mean, std = config.data
    theta = torch.tensor(config.start, dtype=torch.float64, requires_grad=True)  # (2,)
    path, losses = [theta.detach().clone()], []

    def logit(x, a, b):  # log p(x)/q(x), with q = N(a, b^2) where the generator stands now
        return -(((x - mean) / std) ** 2) / 2 - math.log(std) + ((x - a) / b) ** 2 / 2 + b.log()

    for _ in range(config.steps):
        a, b = theta.detach()
        value = config.loss(logit(theta[0] + theta[1] * z, a, b))
        (slope,) = torch.autograd.grad(value, theta)
        with torch.no_grad():
            theta -= config.learning_rate * slope
        path.append(theta.detach().clone())
        losses.append(gan.discriminator_loss(logit(mean + std * z, a, b), logit(a + b * z, a, b)))
    path = torch.stack(path)  # (steps + 1, 2)
    numbers = {
        "distance of a from the data's mean": (path[-1, 0] - mean).abs(),
        "distance of b from the data's std": (path[-1, 1] - std).abs(),
        "discriminator loss at the start": losses[0],
        "discriminator loss at the end": losses[-1],
        "the same at D = 1/2": 2 * math.log(2),
    }
    return {"numbers": numbers, "arrays": {"path": path}}


def draw_warm_up(results, config):
    """Densities and D along the path (steps + 1, 2) of (a, b)."""
    path = results[0]["arrays"]["path"]
    x = torch.linspace(-4.5, 4.5, 451, dtype=torch.float64)
    # (where q stands, where D was made, title): D and G take turns
    last = len(path) - 1
    panels = [(0, 0, "D made exact"), (1, 0, "G steps"), (1, 1, "D made exact"), (2, 1, "G steps")]
    panels += [(5, 5, "after 5 rounds"), (last, last, f"after {last} rounds")]
    fig, axes = drawing.panels(2, 3, (8.4, 4.6), sharex=True, sharey=True)
    p = density(x, *config.data)
    for number, (ax, (now, then, title)) in enumerate(zip(axes.flat, panels, strict=True), 1):
        d = gan.best_discriminator(p, density(x, *path[then]))
        ax.plot(x, p, color="black", ls=":", label="data $\\tilde p$")
        ax.plot(x, density(x, *path[now]), color=COLORS["green"], label="model q")
        ax.plot(x, d, color=COLORS["blue"], ls="--", label="D")
        ax.set(title=f"{number}. {title}", ylim=(-0.02, 1.08), xticks=(-4, -2, 0, 2, 4))
        ax.set_ylabel("density, and D" if number in (1, 4) else "")
        if now != then:
            ends = (path[now, 0], 0.62), (path[then, 0], 0.62)
            ax.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": "0.3"})
    for ax in axes[1]:
        ax.set_xlabel("x")
    drawing.legend_below(fig, axes[0, 0])
    return fig


# 5.4 The Dirac GAN


@dataclass(frozen=True)
class Dirac:
    """The smallest game, one number against one."""

    learning_rate: float = 0.4
    penalty: float = 0.3  # weight of R1, where it is used
    steps: int = 200
    start: tuple = (0.7, 0.0)  # θ of the generator, ψ of the discriminator


class Play(NamedTuple):
    """One way to play: its step, the generator's push, whether R1 is used, and the color of its orbit."""

    step: object
    push: object
    penalized: bool
    color: str


PLAYS = {
    "minimax, simultaneous": Play(gan.dirac_simultaneous, gan.minimax_push, False, "vermillion"),
    "minimax, alternating": Play(gan.dirac_alternating, gan.minimax_push, False, "blue"),
    "non-saturating, alternating": Play(gan.dirac_alternating, gan.non_saturating_push, False, "orange"),
    "minimax, alternating, R1": Play(gan.dirac_alternating, gan.minimax_push, True, "green"),
}


def run_dirac(config, seed, device):
    """Orbits of the smallest game under four ways to play, with the growth factors of (5.10)."""
    numbers, arrays = {}, {}
    for name, play in PLAYS.items():
        step, penalty = functools.partial(play.step, push=play.push), config.penalty if play.penalized else 0.0
        orbit = [torch.tensor(config.start, dtype=torch.float64)]
        for _ in range(config.steps):
            orbit.append(torch.stack(step(*orbit[-1], config.learning_rate, penalty)))
        arrays[name] = torch.stack(orbit)  # (steps + 1, 2)
        numbers[name, "distance at the end"] = orbit[-1].norm()
        numbers[name, "growth per step near (0, 0)"] = gan.growth(step, config.learning_rate, penalty)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_dirac(results, config):
    """Orbits (steps + 1, 2) in the plane of both players, and their distances from the equilibrium."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("abe;cde", width_ratios=(1, 1, 1.15))
    side = torch.linspace(-2.1, 2.1, 13, dtype=torch.float64)
    theta, psi = torch.meshgrid(side, side, indexing="xy")
    for key, (name, play), ls in zip("abcd", PLAYS.items(), LINES, strict=False):
        orbit, penalty, color = a[name], config.penalty if play.penalized else 0.0, COLORS[play.color]
        ax, title = axes[key], name.replace(", ", ",\n", 1)
        pushes = play.push(theta, psi), gan.discriminator_push(theta, psi, penalty)
        ax.quiver(theta, psi, *pushes, color="0.72", width=0.005)
        ax.plot(*orbit.T, color=color, ls="-", marker=".", ms=3, lw=0.7)
        ax.plot(*orbit[0], "s", color="black", ms=6)
        ax.plot(0, 0, "+", color="black", ms=10)
        ax.set(title=title, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
        ax.set(xlabel="generator θ" if key in "cd" else "", ylabel="discriminator ψ" if key in "ac" else "")
        axes["e"].semilogy(orbit.norm(dim=1), color=color, ls=ls, label=title)
    axes["e"].set(title="distance from\nthe equilibrium", xlabel="step", ylim=(1e-6, 10))
    axes["e"].legend(loc="lower left")
    return fig


RECIPES = {
    "5.1": Recipe(
        title="Four divergences while the model slides away",
        caption="Data N(0, 1), model N(t, 0.49). As t grows, 2 JS levels off at 2 log 2 (left) and its slope falls to 0 "
        "(right). The other three go on growing; 2 KL(m||p) is KL(q||p) minus 2 JS at every t.",
        alt="Two panels over the distance t. Left, values: 2 JS flattens below a line at 2 log 2, the other three grow like "
        "parabolas. Right, slopes: that of 2 JS rises, then falls to zero; the other three rise in nearly straight lines.",
        run=run_sliding, draw=draw_sliding, full=Sliding(),
    ),
    "5.2": Recipe(
        title="Three generator losses",
        caption="The three losses against D (left) and against its logit (right): above, their values; below, how hard "
        "they push. In the logit, which is what the network computes, the saturating loss, log(1 - D), stops pushing where "
        "D is sure of a fake, the non-saturating one, -log D, where D is fooled, and the KL loss, -logit D, never.",
        alt="Four panels. Top, values: three falling curves, against D and against the logit. Bottom left, minus the slope "
        "in D: all are at least 1, and the saturating one is smallest near D = 0. Bottom right, minus the slope in the "
        "logit: a rising sigmoid, a falling sigmoid and a constant 1.",
        run=run_losses, draw=draw_losses, full=Losses(),
    ),
    "5.3": Recipe(
        title="Warm-up: two numbers against an exact discriminator",
        caption="A generator x = a + b z with two parameters. D is made exact, G takes one gradient step (arrow), and so "
        "on. At the end q is the data and D is 1/2 everywhere.",
        alt="Six panels, densities over x. The model density starts narrow at the left and moves in steps to the data "
        "density at the right; the curve of D, a slope from 0 to 1 at first, ends as a flat line at one half.",
        run=run_warm_up, draw=draw_warm_up, full=WarmUp(),
    ),
    "5.4": Recipe(
        title="The smallest game: four ways to play",
        caption="Data at 0, model at θ, logit of D equal to ψx. Every orbit starts at the square, and the cross is the "
        "equilibrium. In the minimax game simultaneous steps spiral out and leave the panel; alternating steps circle. The "
        "non-saturating loss creeps inward; R1, a penalty on the discriminator's slope, pulls the players in. Gray arrows: "
        "where both would move next. Right: in the level parts of the uppermost curve θψ is far below 0, where both "
        "players nearly stop.",
        alt="Four phase portraits with arrows and an orbit from the same start: an outward spiral, a closed ring, a thick "
        "ring that slowly narrows, a short inward spiral. A fifth panel shows the distance over the steps: growing in stairs, level, "
        "slowly falling, and falling in a straight line on the logarithmic axis.",
        run=run_dirac, draw=draw_dirac, full=Dirac(),
    ),
}  # fmt: skip
