"""Exact experiments of chapter 13: the game on a line, and what its divergence reads when all is well (13.1 to 13.3)."""

import math
from dataclasses import dataclass

import torch

from gentools import age
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, diagrams, drawing
from gentools.recipes.shared.drawing import Look

# 13.1 One encoder, two laws


def draw_flow():
    """Data to codes and back, the prior to samples and their codes; the two laws of codes are compared with the prior."""
    fig, ax = diagrams.canvas((8.4, 3.3), (-0.2, 11.2), (-2.7, 1.7))
    diagrams.box(ax, 0.75, 0.7, "data  $x$", width=1.5)
    diagrams.box(ax, 3.1, 0.7, "encoder\n$p(z|x)$", "blue", 1.6, 1.1)
    diagrams.box(ax, 5.6, 0.7, "codes  $p(z)$", width=1.7)
    diagrams.box(ax, 8.2, 0.7, "generator\n$G$", "vermillion", 1.6, 1.1)
    diagrams.box(ax, 10.4, 0.7, "$G(E(x))$", width=1.3)
    diagrams.box(ax, 0.75, -1.5, "prior  $q(z)$", width=1.6)
    diagrams.box(ax, 3.1, -1.5, "generator\n$G$", "vermillion", 1.6, 1.1)
    diagrams.box(ax, 5.6, -1.5, "samples", width=1.5)
    diagrams.box(ax, 8.2, -1.5, "encoder\n$p(z|x)$", "blue", 1.6, 1.1)
    diagrams.box(ax, 10.4, -1.5, "codes  $\\bar q(z)$", width=1.5)
    for y, ends in (
        (0.7, (1.53, 2.25, 3.95, 4.7, 6.5, 7.35, 9.05, 9.7)),
        (-1.5, (1.6, 2.25, 3.95, 4.8, 6.4, 7.35, 9.05, 9.6)),
    ):
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            diagrams.arrow(ax, (start, y), (end, y))
    ax.text(5.6, -0.42, "$V = \\Delta(\\bar q(z)) - \\Delta(p(z))$", ha="center", fontsize=12)
    ax.text(5.6, -2.5, "The encoder raises $V$, the generator lowers it. $\\Delta$ compares codes with the prior.",
            color="0.25", ha="center")  # fmt: skip
    return fig


# 13.2 The game on a line


@dataclass(frozen=True)
class Line:
    """Data N(0, v), samples w N(0, 1), code e x."""

    variance: float = 1.0  # v of the data
    ratios: tuple = (0.5, 1.0, 2.0)  # of w^2 to v, where V is drawn against the encoder
    step_sizes: tuple = (0.05, 0.3, 0.55)  # of both players
    steps: int = 60
    start: tuple = (0.8, 1.2)  # e and w
    deviation: float = 1e-6  # from the cross, where the growth is measured


def run_line(config, seed, device):
    """V against the encoder for three generators, and orbits of both players under gradient steps."""
    v = torch.tensor(config.variance, dtype=torch.float64)
    square = torch.logspace(-3, math.log10(4.0), 120, dtype=torch.float64)  # e^2
    curves = [age.line_value(square.sqrt(), (ratio * v).sqrt(), v) for ratio in config.ratios]
    numbers, arrays = {}, {"e^2": square, "V": torch.stack(curves)}  # (ratios, 120)
    rest = torch.stack([v**-0.5, v**0.5])
    for size in config.step_sizes:
        orbit = _orbit(torch.tensor(config.start, dtype=torch.float64), v, size, config.steps)
        arrays[f"orbit {size:g}"] = orbit
        sides = config.deviation * torch.eye(2, dtype=torch.float64)
        ends = torch.stack([_orbit(rest + side, v, size, config.steps)[-1] - rest for side in sides])  # (2, 2)
        seen = (torch.linalg.det(ends).abs() / config.deviation**2) ** (
            1 / (2 * config.steps)
        )  # area: both eigenvalues
        numbers |= {
            (f"step size {size:g}", "growth per step"): seen,
            (f"step size {size:g}", "(13.9)"): age.growth(v, size),
        }
    return {"numbers": arms.named(numbers), "arrays": arrays}


def _orbit(start, v, size, steps):
    """Both players (steps + 1, 2), the start included."""
    states = [start]
    for _ in range(steps):
        states.append(torch.stack(age.line_simultaneous(*states[-1], v, size)))
    return torch.stack(states)


CURVES = {0.5: Look("$w^2 = v/2$", "blue", "-"), 1.0: Look("$w^2 = v$", "black", "--"),
          2.0: Look("$w^2 = 2v$", "vermillion", "-.")}  # fmt: skip
ORBITS = ("blue", "green", "vermillion")


def draw_line(results, config):
    """Left, V (ratios, 120) against e^2. Right, orbits (steps + 1, 2) in the plane of both players."""
    a = results[0]["arrays"]
    fig, (left, right) = drawing.panels(1, 2, (8.4, 3.6))
    for ratio, curve in zip(config.ratios, a["V"], strict=True):
        left.plot(a["e^2"], curve, **CURVES[ratio].as_line())
    drawing.level(left, math.log(2) / 2, "½ log 2", at=0.98, ha="right")
    left.set(title="V against the encoder", xlabel="$e^2$", ylabel="V, nats", ylim=(-1.05, 1.6))
    left.legend(loc="upper left")
    for size, color, line in zip(config.step_sizes, ORBITS, ("-", "--", ":"), strict=True):
        look = Look(f"step size {size:g}", color, line)
        orbit = a[f"orbit {size:g}"]
        right.plot(*orbit.T, **look.as_line(lw=1.1, marker=".", ms=3))
    right.plot(config.variance**-0.5, config.variance**0.5, "k+", ms=11, mew=2)
    right.set(title=f"both players, {config.steps} steps", xlabel="encoder $e$", ylabel="generator $w$")
    right.legend(loc="best", fontsize=9)
    return fig


# 13.3 What the divergence reads when all is well


@dataclass(frozen=True)
class Floors:
    """The moment KL of codes that are the prior's own draws."""

    dimensions: tuple = (2, 4, 8, 16, 32, 64, 128, 256)
    sizes: tuple = (4, 8, 16, 32, 64, 128, 256)  # of a batch
    batches: int = 4000  # per size
    draws: int = 20_000  # on each sphere


def run_floors(config, seed, device):
    """Per dimension: on the sphere by both forms of the divergence, and for finite batches of normal codes."""
    rng, true, published, batch = generator(seed, "floors"), [], [], []
    for k in config.dimensions:
        codes = age.on_sphere(torch.randn(config.draws, k, generator=rng, dtype=torch.float64))
        variance, mean = torch.var_mean(codes, 0)
        true.append(age.moment_kl(mean, variance) / k)
        published.append(age.published_kl(mean, variance) / k)
    for n in config.sizes:
        codes = torch.randn(n, config.batches, generator=rng, dtype=torch.float64)
        batch.append(age.delta(codes) / config.batches)
    numbers = {f"sphere in {k} dimensions": age.sphere_floor(k) for k in (64, 128)}
    numbers |= {f"batch of {n}": age.batch_floor(n) for n in (16, 64)}
    numbers["largest relative distance of a measured batch from the formula"] = max(
        abs(float(seen / age.batch_floor(n)) - 1) for seen, n in zip(batch, config.sizes, strict=True)
    )
    arrays = {"true": torch.stack(true), "published": torch.stack(published), "batch": torch.stack(batch)}
    return {"numbers": numbers, "arrays": arrays}


def draw_floors(results, config):
    """Left, both forms (dimensions,) against the dimension; right, batches (sizes,) against their size."""
    a = results[0]["arrays"]
    fig, (left, right) = drawing.panels(1, 2, (8.4, 3.3))
    true, published = Look("the KL", "blue", "-", "o"), Look("published form", "vermillion", "--", "s")
    left.plot(
        config.dimensions, [age.sphere_floor(k) for k in config.dimensions], **true.as_line(label="least, (13.11)")
    )
    left.plot(config.dimensions, a["true"], **true.as_points(label="draws of the prior"))
    left.plot(config.dimensions, a["published"], **published.as_both(label="draws, published form"))
    left.set(
        title="codes on the unit sphere",
        xlabel="dimensions k",
        ylabel="nats per dimension",
        xscale="log",
        ylim=(0, 5.6),
    )
    left.set_xticks(config.dimensions, [str(k) for k in config.dimensions])
    left.legend(loc="upper left")
    exact = Look("(13.12)", "blue", "-")
    right.loglog(config.sizes, [age.batch_floor(n) for n in config.sizes], **exact.as_line())
    right.loglog(config.sizes, a["batch"], **exact.as_points(label="simulated"))
    right.loglog(config.sizes, [1 / n for n in config.sizes], color="0.45", ls=":", label="1/n")
    right.set(title="batches of normal codes", xlabel="batch size n")
    right.set_xticks(config.sizes, [str(n) for n in config.sizes])
    for ax in (left, right):
        ax.minorticks_off()
    right.legend()
    return fig


RECIPES = {
    "13.1": diagrams.diagram(
        draw_flow,
        title="One encoder, two laws of codes",
        caption="An adversarial generator-encoder network. Above: data are encoded and rebuilt; the data error compares the "
        "two ends of this chain. Below: draws of the prior become samples and are encoded; the code error compares the two "
        "ends of this one. Each of the two numbers Δ in V (defined in the section \"Estimate\") compares one cloud of codes "
        "with the prior.",
        alt="Two chains. Above, data pass the encoder, become codes, pass the generator and are rebuilt. Below, draws of the "
        "prior pass the generator, become samples, and pass the encoder. Between them stands V.",
    ),
    "13.2": Recipe(
        title="The game on a line",
        caption="Left: V against the encoder for three generators. Where V is not flat, it has no greatest value: it grows "
        "without end, or toward the dotted line as e falls to 0. Right: both players move along their gradients from one "
        "start. With two step sizes they spiral into the cross, their point of rest; with the largest they stay on a loop "
        "around it.",
        alt="Left, three curves of V over the squared encoder: one falls from a half log two, one is flat at zero, one rises. "
        "Right, spirals around a cross in the plane of encoder and generator.",
        run=run_line, draw=draw_line, full=Line(),
    ),
    "13.3": Recipe(
        title="What Delta reads when the codes are the prior's own",
        caption="Δ per dimension. Left: codes on the unit sphere against a normal law; no codes on the sphere come below "
        "the solid line, and draws of the prior (circles) lie on it. Right: batches of normal codes, mean of 4,000 batches.",
        alt="Left, nats per dimension rise with the dimension, for the published form more than twice as high. Right, nats "
        "per dimension fall like one over the size of the batch.",
        run=run_floors, draw=draw_floors, full=Floors(),
    ),
}  # fmt: skip
