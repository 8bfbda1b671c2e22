"""Experiments of chapter 12 that are computed and not trained (12.1 and 12.2)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import wgan_gp
from gentools.lab.divergences import js
from gentools.lab.plots import COLORS, LINES
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing

# 12.1 Distances and slopes on a line


@dataclass(frozen=True)
class Line:
    """Two densities on a line, on a fine grid."""

    cells: int = 120  # per unit of length
    shifts: tuple = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)  # of a uniform density of width 1
    weights: tuple = (10.0, 1.0, 0.1)  # of the penalty
    std: float = 0.3  # of two Gaussians at a distance of 1


CRITICS = drawing.looks({"W1": "$W_1$", 10.0: "penalty 10", 1.0: "penalty 1", 0.1: "penalty 0.1", "2 JS": "2 JS"},
                        ("black", "blue", "orange", "vermillion", "green"))  # fmt: skip


def table(x, density):
    """density(x) at the points x (n,) as a table of sum 1."""
    values = density(x)
    return values / values.sum()


def run_line(config, seed, device):
    """2 JS, W1 and the penalized value while a uniform density slides; slopes of the critics between two Gaussians."""
    numbers, arrays = {}, {}
    x = (torch.arange(int(4.5 * config.cells), dtype=torch.float64) + 0.5) / config.cells
    p = table(x, lambda x: (x < 1).double())
    curves = {name: [] for name in ("2 JS", "W1", *config.weights)}
    for shift in config.shifts:
        q = table(x, lambda x, t=shift: ((x > t) & (x < t + 1)).double())
        curves["2 JS"].append(2 * js(p, q))
        curves["W1"].append(wgan_gp.line_distance(x, p, q))
        for weight in config.weights:
            value = wgan_gp.penalized_value(x, p, q, weight) if shift else torch.zeros(()).double()
            curves[weight].append(value)
    arrays |= {f"slide, {name}": torch.stack(curve) for name, curve in curves.items()}

    x = torch.linspace(-1.2, 2.2, 3 * config.cells, dtype=torch.float64)
    p, q = (table(x, lambda x, m=m: torch.exp(-(((x - m) / config.std) ** 2) / 2)) for m in (0.0, 1.0))
    arrays |= {"x": x, "p": p / x.diff()[0], "q": q / x.diff()[0]}
    g = wgan_gp.surplus(p, q)
    arrays["slope, W1"], numbers["Gaussians", "W1"] = g.sign(), wgan_gp.line_distance(x, p, q)
    for weight in config.weights:
        arrays[f"slope, {weight}"] = wgan_gp.penalized_slope(x, p, q, weight)
        numbers["Gaussians", f"penalized value, weight {weight:g}"] = wgan_gp.penalized_value(x, p, q, weight)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_line(results, config):
    """Left, values over the shift (shifts,); right, slopes of critics between two Gaussians, whose densities are shaded."""
    a = results[0]["arrays"]
    fig, (left, right) = drawing.panels(1, 2, (8.4, 3.7))
    for name, look in CRITICS.items():
        left.plot(config.shifts, a[f"slide, {name}"], **look.as_both(ms=4))
    left.set(xlabel="shift of the model", title="two uniform densities of width 1", ylim=(0, 6.2))
    left.legend(loc="upper left", fontsize=9)
    x = a["x"]
    for density, color in ((a["p"], "0.35"), (a["q"], "0.65")):
        right.fill_between(x, density, color=color, alpha=0.25, lw=0)
    middle = (x[1:] + x[:-1]) / 2
    for name, look in list(CRITICS.items())[:-1]:
        slope = a[f"slope, {name}"].abs()
        right.plot(middle, slope, **look.as_line())
    right.set(xlabel="x", title="|slope| of the best critic, two Gaussians", ylim=(0, 7), xlim=(-0.9, 1.9))
    return fig


# 12.2 The smallest game


@dataclass(frozen=True)
class Dirac:
    """A number or a point in the plane against a linear critic."""

    step_size: float = 0.02
    steps: int = 4000
    start: tuple = (3.0, -0.2)  # theta of the generator, psi of the critic
    plane: tuple = ((3.0, 0.1), (-0.2, 0.0))  # the same in the plane


class Play(NamedTuple):
    """One penalty: its pull, its weight, the color of its orbit."""

    pull: object
    weight: float
    color: str


PLAYS = {
    "two-sided, weight 0.5": Play(wgan_gp.two_sided_pull, 0.5, "vermillion"),
    "two-sided, weight 2": Play(wgan_gp.two_sided_pull, 2.0, "blue"),
    "one-sided, weight 0.5": Play(wgan_gp.one_sided_pull, 0.5, "orange"),
    "R1, weight 0.5": Play(wgan_gp.centered_pull, 0.5, "green"),
}
PLANE = "two-sided, weight 2, plane"


def orbit(play, start, config):
    """Positions (steps + 1, 2, ...) of both players."""
    states = [torch.tensor(start, dtype=torch.float64)]
    for _ in range(config.steps):
        states.append(torch.stack(wgan_gp.dirac(*states[-1], config.step_size, play.weight, play.pull)))
    return torch.stack(states)


def run_dirac(config, seed, device):
    """Orbits of the smallest game under four penalties, and in the plane; how far from the data each ends."""
    numbers, arrays = {}, {}
    starts = dict.fromkeys(PLAYS, config.start) | {PLANE: config.plane}
    for name, start in starts.items():
        arrays[name] = orbit(PLAYS[name.removesuffix(", plane")], start, config)
        theta = arrays[name][:, 0].reshape(config.steps + 1, -1).norm(dim=1)  # (steps + 1,)
        arrays[f"{name}, distance"] = theta
        numbers[name, "largest distance in the last quarter"] = theta[-config.steps // 4 :].max()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_dirac(results, config):
    """Orbits in the plane of both players; the generator's way in the plane; distances from the data over the steps."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("abe;cdl;fff", (8.4, 7.6), height_ratios=(1.3, 1.3, 1))
    for key, (name, play) in zip("abcd", PLAYS.items(), strict=True):
        ax, path = axes[key], a[name]
        ax.plot(*path.T, color=COLORS[play.color], ls="-", lw=1)
        ax.plot(*path[0], "s", color="black", ms=5)
        ax.plot(*path[-1], "o", color="black", ms=5, mfc="none")
        ax.plot(0, 0, "+", color="black", ms=10)
        ax.set(title=name, xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), aspect="equal")
        ax.set(xlabel="generator θ", ylabel="critic ψ" if key in "ac" else "")
    way = a[PLANE][:, 0]  # (steps + 1, 2)
    axes["e"].plot(*way.T, color=COLORS["purple"], ls="-", lw=1)
    axes["e"].plot(*way[0], "s", color="black", ms=5)
    axes["e"].plot(0, 0, "+", color="black", ms=10)
    axes["e"].set(title="θ in the plane,\ntwo-sided, weight 2", xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), aspect="equal")
    axes["e"].set(xlabel="θ, first coordinate", ylabel="θ, second coordinate")
    colors = [play.color for play in PLAYS.values()] + ["purple"]
    for name, color, ls in zip((*PLAYS, PLANE), colors, LINES, strict=False):
        axes["f"].plot(a[f"{name}, distance"], color=COLORS[color], ls=ls, lw=1.2, label=name)
    axes["l"].set_axis_off()
    axes["l"].legend(*axes["f"].get_legend_handles_labels(), loc="center")
    axes["f"].set(title="distance |θ| from the data", xlabel="step", xlim=(0, config.steps), ylim=(0, 4.4))
    return fig


RECIPES = {
    "12.1": Recipe(
        title="Distances and slopes on a line",
        caption="Left, two uniform densities of width 1, of which one slides away from the other. 2 JS stops growing at "
        "shift 1, where they part; the KL (not drawn) is infinite at every shift but 0; W1 is the shift. A penalized "
        "critic's gain minus its penalty is larger than W1. Right, |slope| of the best critic between two Gaussians "
        "(shaded, centers 0 and 1): 1 for W1, larger under a penalty, and the more so the smaller its weight.",
        alt="Left, 2 JS rises to a level at shift 1; W1 is a straight line; penalized values bend upward from it, most at weight 0.1. "
        "Right, a level line at 1 and three curves over it, each lowest halfway between the Gaussians; that for weight 0.1 leaves the picture.",
        run=run_line, draw=draw_line, full=Line(),
    ),
    "12.2": Recipe(
        title="The smallest Wasserstein game",
        caption="Data at 0 (cross), model at θ, critic ψx, from the square to the circle in small alternating steps. With "
        "the two-sided penalty the players circle (weight 0.5) or stop at |θ| = 4 (weight 2); with the one-sided one they "
        "circle at distance 1; with R1 they settle. Top right, the same game in the plane: the generator does not stop, but "
        "circles at distance 1. Below, |θ| of all five.",
        alt="Four phase portraits: a closed curve with two corners, a path that ends on the axis away from 0, a spiral onto "
        "a circle, a spiral into 0. A path in the plane that ends on a circle. Distances over the steps.",
        run=run_dirac, draw=draw_dirac, full=Dirac(),
    ),
}  # fmt: skip
