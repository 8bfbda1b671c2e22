"""Experiments of chapter 10: the exact game with its cycles, and particles. On points and pictures: the two files beside."""

from dataclasses import dataclass

import torch
from torch.nn.functional import softplus

from gentools import regularized_gan
from gentools.lab.plots import LINES
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, regularized_images, regularized_points
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look


def log_table(*probabilities, dtype=torch.float64):
    """Logarithms of probabilities as a float64 vector. dtype: to which they are rounded before."""
    return torch.tensor(probabilities, dtype=dtype).double().log()


def weighted(weight):
    """The recorded name of what was played with a proximal weight."""
    return f"weight {weight:g}"


# 10.1 The rate of the exact game


@dataclass(frozen=True)
class Phase:
    """Proximal weights, a random table on which rates are measured, and extreme starts where no proof holds."""

    weights: tuple = (0.26, 0.3, 0.35, 0.4, 0.6, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
    values: int = 50  # of x in the table
    open_weights: tuple = (0.26, 0.3, 0.35, 0.4, 0.45)  # between 1/4 and 1/2: no proof
    starts: int = 2000  # extreme ones, each with a table of its own
    reach: float = 30.0  # log q of an extreme start is this times a normal number
    rounds: int = 4000  # that they are given


def late_rate(path, log_p):
    """Factor per round of max |log q/p| while it falls from 1e-4 to 1e-10: early rounds mislead. path: (rounds, n)."""
    size = (path - log_p).abs().amax(-1)  # (rounds,)
    late = ((size < 1e-4) & (size > 1e-10)).nonzero().flatten()
    first, last = int(late[0]), int(late[-1])
    return (size[last] / size[first]) ** (1 / (last - first))


def run_phase(config, seed, device):
    """Measured late rates of the exact game on a random table, and extreme starts where convergence is not proven."""
    rng = generator(seed, "phase")
    log_p, log_q = torch.randn(2, config.values, generator=rng, dtype=torch.float64).log_softmax(-1)
    numbers = {}
    for weight in config.weights:
        path = regularized_gan.orbit(log_q, log_p, weight, 1500)  # (1501, values)
        numbers[weighted(weight), "rate"] = late_rate(path, log_p)
    what = f"extreme starts of {config.starts} not at p after {config.rounds} rounds"
    for weight in config.open_weights:
        p = (3 * torch.randn(config.starts, 5, generator=rng, dtype=torch.float64)).log_softmax(-1)
        q = (config.reach * torch.randn(config.starts, 5, generator=rng, dtype=torch.float64)).log_softmax(-1)
        for _ in range(config.rounds):
            q = regularized_gan.proximal_step(q, p, weight)
        numbers[weighted(weight), what] = ((q - p).abs().amax(-1) > 1e-6).sum()
    return {"numbers": arms.named(numbers), "arrays": {}}


def draw_phase(results, config):
    """The factor per round against the proximal weight: a curve by theory, a circle per weight and seed."""
    theory, measured = Look("|1 − 1/(2λ)|", "blue"), Look("measured, 50 values", "vermillion")
    fig, ax = drawing.panels(size=(7.2, 3.8))
    weight = torch.linspace(0.2, 5.5, 800)
    ax.plot(weight, regularized_gan.local_factor(weight).abs(), **theory.as_line())
    for r in results:
        rates = [float(r["numbers"][arms.name(weighted(w), "rate")]) for w in config.weights]
        label = measured.label if r is results[0] else None
        ax.plot(config.weights, rates, **measured.as_points(ms=5, mfc="none", label=label))
    ax.axhline(1, color="0.5", lw=1)
    for x, text in ((0.25, "1/4: cycles below"), (0.5, "1/2: proven above"), (1.0, "1: halves")):
        ax.axvline(x, color="0.6", lw=1, ls=":")
        ax.annotate(text, (x, 1.26), (3, 0), textcoords="offset points", fontsize=9, color="0.3")
    ax.set(xscale="log", xlabel="proximal weight λ", ylabel="factor per round", ylim=(0, 1.35), xlim=(0.2, 5.5))
    ax.set_xticks((0.25, 0.5, 1, 2, 5), ("0.25", "0.5", "1", "2", "5"))
    ax.minorticks_off()
    ax.legend(loc="lower right")
    return fig


def verdict_phase(summary):
    """Whether the measured rates are those of the theory, and whether all extreme starts reached p."""
    rates = {w: summary[name] for w in Phase().weights if (name := arms.name(weighted(w), "rate")) in summary}
    other = {arms.name(weighted(w), "rate") for w in rates}
    missed = {name: s for name, s in summary.items() if name not in other}  # how many starts, for each open weight
    agree = all(verdicts.near(s, abs(regularized_gan.local_factor(w)), 0.01) for w, s in rates.items())
    reached = all(verdicts.always_below(s, 1) for s in missed.values())
    if (worst := verdicts.best(missed, none=None)) is None:
        return "No run finished."
    least = f"at the worst weight {verdicts.span(missed[worst], '.0f')} starts did not reach p"
    return (
        f"Measured rates {'agree with' if agree else 'depart from'} |1 - 1/(2 lambda)|. Between 1/4 and 1/2 "
        f"{'every extreme start reached p' if reached else least}."
    )


# 10.2 Below one quarter


@dataclass(frozen=True)
class Bifurcation:
    """Games on two values, at many proximal weights side by side."""

    low: float = 0.08  # the least weight
    high: float = 0.28  # the largest
    weights: int = 700  # how many of them
    rounds: int = 3000
    kept: int = 120  # of the last rounds, drawn
    tables: tuple = (0.5, 0.001)  # probability of the first of two values
    averaged: float = 0.15  # the weight at which log D is averaged over the rounds


LOGARITHMIC = torch.logspace(0, 4.3, 200).long()  # rounds at which the mean of log D is drawn


def run_bifurcation(config, seed, device):
    """Where orbits of the exact game on two values end, and the running mean of log D on one that does not converge."""
    weight = torch.linspace(config.low, config.high, config.weights, dtype=torch.float64)
    numbers, arrays = {}, {"weight": weight}
    for share in config.tables:
        table, log_p = f"p = {share:g}", log_table(share, 1 - share)
        path = regularized_gan.orbit(
            log_table(0.3, 0.7).expand(config.weights, 2), log_p, weight[:, None], config.rounds
        )
        ratio = (path - log_p)[-config.kept :]  # (kept, weights, 2)
        arrays[f"{share:g}"] = ratio[..., 0]
        numbers[table, "largest |log q/p| at the end, below 1/4"] = ratio[:, weight < 0.25].abs().max()
        numbers[table, "largest |log q/p| at the end, above 0.26"] = ratio[:, weight > 0.26].abs().max()
        long = regularized_gan.orbit(log_table(0.3, 0.7, dtype=torch.float32), log_p, config.averaged, 20_000)
        log_d = -softplus(long - log_p)[:-1]  # (20,000, 2)
        mean = log_d.cumsum(0) / torch.arange(1, len(log_d) + 1)[:, None]
        arrays[f"{share:g} mean"] = mean[LOGARITHMIC.clamp(max=len(mean)) - 1]
        numbers[table, "difference of the mean log D of the two values"] = (mean[-1, 0] - mean[-1, 1]).abs()
        numbers[table, "range of log D at the first value"] = log_d[1000:, 0].max() - log_d[1000:, 0].min()
    start = log_table(0.45, 0.55, dtype=torch.float32)
    path = regularized_gan.orbit(start, log_table(0.5, 0.5), 0.25 - 1e-4, 100_000)
    amplitude = (path[-2:].exp() / 0.5 - 1).abs().amax() / (4 * 1e-2)
    last = {"amplitude just below 1/4, over 4 sqrt(1/4 - lambda)": amplitude}
    return {"numbers": arms.named(numbers) | last, "arrays": arrays}


def draw_bifurcation(results, config):
    """Where log q/p (kept, weights) lies in the last rounds, for each table; beside it the mean of log D (200, 2)."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 3, (9.0, 3.6))
    for ax, share in zip(axes, config.tables, strict=False):
        ratio, look = a[f"{share:g}"], Look("", "blue", marker=",")
        ax.plot(a["weight"].expand_as(ratio), ratio, **look.as_points(alpha=0.6, label=None))
        ax.axvline(0.25, color="0.5", lw=1, ls=":")
        ax.set(title=f"$\\tilde p$ = ({share:g}, {1 - share:g})", xlabel="proximal weight λ")
    axes[0].set_ylabel("log q/$\\tilde p$ at the first value")
    looks = Look("value 1", "vermillion"), Look("value 2", "green", "--")
    for mean, look in zip(a[f"{config.tables[1]:g} mean"].T, looks, strict=True):
        axes[2].semilogx(LOGARITHMIC, mean, **look.as_line())
    axes[2].set(title=f"mean log D so far, λ = {config.averaged:g}", xlabel="rounds")
    axes[2].legend(loc="best")
    return fig


# 10.3 What the game finds


@dataclass(frozen=True)
class Halving:
    """Games on two modes on a line, from a start on one of them."""

    rounds: int = 24  # drawn; the objective is followed twice as long
    weights: tuple = (1.0, 2.0, 0.6, 0.3)  # of the proximal term, where the objective is followed


def run_halving(config, seed, device):
    """Two modes on a line, a start on one of them: with almost no mass on the other, and with none. Then F over rounds."""
    x = torch.linspace(-6, 6, 601, dtype=torch.float64)
    left, right = ((-((x - center) ** 2) / 0.5).exp() for center in (-2.0, 2.0))  # (601,) each
    p, q = right + left + 1e-9, right + 1e-6 * left + 1e-15
    log_p, log_q = (p / p.sum()).log(), (q / q.sum()).log()
    cut = torch.where(x < 0, -torch.inf, log_q).log_softmax(0)
    path = regularized_gan.orbit(log_q, log_p, 1.0, config.rounds)  # (rounds + 1, 601)
    arrays = {"x": x, "p": log_p.exp(), "seen": path.exp()}
    arrays["cut"] = regularized_gan.orbit(cut, log_p, 1.0, config.rounds).exp()
    numbers = {
        "mass on the left, start 1e-6, at the end": arrays["seen"][-1, x < 0].sum(),
        "mass on the left, start 0, at the end": arrays["cut"][-1, x < 0].sum(),
    }
    for weight in config.weights:
        orbit = regularized_gan.orbit(log_q, log_p, weight, 2 * config.rounds)
        value = torch.stack([regularized_gan.objective(log_p.exp(), at.exp()) for at in orbit])
        arrays[f"F {weight:g}"] = value
        numbers[arms.name(weighted(weight), "rounds in which F rises")] = (value.diff() > 1e-12).sum()
    spread = regularized_gan.spread((log_p - path).exp())  # (rounds + 1,)
    arrays["spread"] = spread
    numbers["largest factor of the spread of p/q in a round"] = (spread[1:] / spread[:-1]).max()
    return {"numbers": numbers, "arrays": arrays}


def draw_halving(results, config):
    """The model (rounds + 1, 601) after 0, 8 and 20 rounds from both starts; beside it the objective over rounds."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 3, (9.0, 3.5))
    after = {0: Look("after 0", "vermillion"), 8: Look("after 8", "orange", "--"), 20: Look("after 20", "blue", "-.")}
    titles = {"seen": "start with 1e-6 on the left", "cut": "start with 0 on the left"}
    for ax, (key, title) in zip(axes, titles.items(), strict=False):
        ax.plot(a["x"], a["p"], color="black", ls=":", label="data $\\tilde p$")
        for k, look in after.items():
            ax.plot(a["x"], a[key][k], **look.as_line())
        ax.set(title=title, xlabel="x", yticks=())
    axes[0].legend(loc="upper left", fontsize=9)
    colors = ("blue", "green", "orange", "vermillion")
    for weight, color, ls in zip(config.weights, colors, LINES, strict=False):
        look = Look(f"λ = {weight:g}", color, ls)
        axes[2].semilogy(a[f"F {weight:g}"].clamp_min(1e-14), **look.as_line())
    axes[2].set(title="2 KL(m‖$\\tilde p$), start 1e-6", xlabel="round", xlim=(-2, 72), ylim=(1e-13, 10))
    axes[2].legend(loc="lower right", fontsize=9)
    return fig


# 10.4 Particles


@dataclass(frozen=True)
class World:
    """Data and model at the start on a grid: equal Gaussian bumps each, on a line or in the plane."""

    name: str
    reach: float  # the grid goes from minus this to this
    cells: int  # along each axis
    data: tuple  # centers of the data's bumps
    model: tuple  # and of the model's
    data_width: float
    model_width: float


WORLDS = (
    World("line", 5, 201, ((-1.6,), (1.6,)), ((0.3,),), 0.6, 0.8),
    World("plane", 4, 81, ((1.4, 0.0), (-1.0, 1.4), (-1.0, -1.4)), ((0.0, 0.0),), 0.6, 0.7),
)


@dataclass(frozen=True)
class Particles:
    """The proximal step in the limit of small steps."""

    proximal_weight: float = 1.0
    step: float = 2e-3  # of time
    steps: int = 1500
    kept: int = 40  # particles drawn


def faces(values, axis):
    """Values at the two cells that share a face along an axis."""
    n = values.shape[axis]
    return values.narrow(axis, 0, n - 1), values.narrow(axis, 1, n - 1)


def velocity(p, q, dx, axis, weight):
    """Slope of log D over (2 weight) on the faces along an axis, D exact on the grid."""
    low, high = faces(torch.log(p / (p + q)), axis)
    return (high - low) / dx / (2 * weight)


def flow_density(p, q, dx, weight, time):
    """The density after dq/dt = -div(q v) for a short time, and the fall of F that (10.10) predicts per unit time."""
    change, fall = torch.zeros_like(q), 0.0
    for axis in range(q.ndim):
        v = velocity(p, q, dx, axis, weight)
        low, high = faces(q, axis)
        flux = (low + high) / 2 * v
        fall = fall + 2 * weight * (flux * v).sum()  # q |grad log D|^2 / (2 weight) = 2 weight q v^2
        pad = torch.zeros_like(flux.narrow(axis, 0, 1))
        change -= torch.diff(torch.cat([pad, flux, pad], axis), dim=axis) / dx
    return q + time * change, fall


def bumps(grid, centers, width):
    """Probabilities on a grid (..., d) of equal Gaussian bumps at centers (k, d), with a trace everywhere."""
    squares = sum(((grid[..., None, i] - centers[:, i]) ** 2) for i in range(grid.shape[-1]))  # (..., k)
    density = (-squares / (2 * width**2)).exp().sum(-1) + 1e-8
    return density / density.sum()


def interpolate(values, at):
    """Multilinear interpolation of values (n, ..., n, d) at fractional indices at (k, d)."""
    low, out = at.floor().long(), 0.0
    part = at - low
    for corner in range(2 ** at.shape[1]):
        offset = torch.tensor([corner >> i & 1 for i in range(at.shape[1])])
        weight = torch.where(offset.bool(), part, 1 - part).prod(1, keepdim=True)
        out = out + weight * values[tuple((low + offset).T)]
    return out


def start(world, kept, rng):
    """Axis (n,), data and model (n, ..., n) on the grid, and particles (kept, d) drawn from the model."""
    side = torch.linspace(-world.reach, world.reach, world.cells, dtype=torch.float64)
    data, model = (torch.tensor(centers).double() for centers in (world.data, world.model))
    dim = data.shape[1]
    grid = torch.stack(torch.meshgrid(*[side] * dim, indexing="ij"), -1)  # (n, ..., n, d)
    p, q = bumps(grid, data, world.data_width), bumps(grid, model, world.model_width)
    x = torch.randn(kept, dim, generator=rng, dtype=torch.float64) * world.model_width
    return side, p, q, x + model


def run_particles(config, seed, device):
    """Densities and particles under dx/dt = grad log D / (2 weight), D renewed all the time, on a line and in the plane."""
    numbers, arrays = {}, {}
    for world in WORLDS:
        name, (side, p, q, x) = world.name, start(world, config.kept, generator(seed, world.name))
        dx = float(side[1] - side[0])
        path, value, predicted = [x], [regularized_gan.objective(p, q)], []
        for _ in range(config.steps):
            slopes = torch.stack(torch.gradient(torch.log(p / (p + q)), spacing=dx), -1)
            at = ((x - side[0]) / dx).clamp(0, len(side) - 1.001)
            x = regularized_gan.flow(x, interpolate(slopes, at), config.proximal_weight, config.step)
            q, fall = flow_density(p, q, dx, config.proximal_weight, config.step)
            path.append(x)
            predicted.append(fall)
            value.append(regularized_gan.objective(p, q))
        value, predicted = torch.stack(value), torch.stack(predicted)  # (steps + 1,), (steps,)
        arrays |= {f"{name} path": torch.stack(path[::10]), f"{name} F": value, f"{name} fall": predicted}
        arrays |= {f"{name} p": p, f"{name} q": q, f"{name} side": side}
        error = (-value.diff() / config.step / predicted - 1).abs()
        numbers[name, "largest relative error of the predicted fall"] = error.max()
        numbers |= {(name, "F at the start"): value[0], (name, "F at the end"): value[-1]}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_particles(results, config):
    """Paths (steps / 10 + 1, kept, d) on the line and in the plane; beside them the fall of F (steps,), and its theory."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 3, (9.0, 3.5))
    thin = Look("", "blue").as_line(lw=0.7, label=None)
    time = torch.arange(len(a["line path"])) * 10 * config.step
    axes[0].plot(time, a["line path"][:, :, 0], **thin)
    for center in (-1.6, 1.6):
        axes[0].axhline(center, color="0.4", lw=1, ls=":")
    axes[0].set(title="particles on a line", xlabel="time", ylabel="x")
    side, reach = a["plane side"], (-3.2, 3.2)
    axes[1].contour(side, side, a["plane p"].T, levels=5, colors="0.6", linewidths=0.8)
    for track in a["plane path"].unbind(1):
        axes[1].plot(*track.T, **thin)
        axes[1].plot(*track[-1], **Look("", "vermillion", marker=".").as_points(ms=4, label=None))
    axes[1].set(title="particles in the plane", aspect="equal", xlim=reach, ylim=reach, xticks=(), yticks=())
    for name, *how in (("line", "blue", "-", "o"), ("plane", "green", "--", "s")):
        fall, look = -a[f"{name} F"].diff() / config.step, Look(f"{name}: fall of F", *how)
        t = torch.arange(len(fall)) * config.step
        axes[2].semilogy(t, fall, **look.as_line(lw=1.2))
        axes[2].semilogy(
            t[::100], a[f"{name} fall"][::100], **look.as_points(ms=5, mfc="none", label=f"{name}: predicted")
        )
    axes[2].set(title="fall of 2 KL(m‖$\\tilde p$) per unit time", xlabel="time")
    axes[2].legend(loc="best", fontsize=9)
    return fig


RECIPES = {
    "10.1": Recipe(
        title="The rate of the exact game",
        caption="The factor by which a round of the exact game multiplies a small deviation, against the proximal "
        "weight. Line: theory. Circles: late rounds on five random tables of 50 values.",
        alt="The factor against the proximal weight on a logarithmic axis. A curve falls from above 1 at weights below one "
        "quarter to 0 at one half and rises again toward 1; circles lie on it.",
        run=run_phase, draw=draw_phase, quick=Phase(weights=(0.3, 1.0, 2.0), starts=100, rounds=500), full=Phase(),
        seeds=tuple(range(5)), verdict=verdict_phase,
    ),
    "10.2": Recipe(
        title="Below one quarter",
        caption="Left and middle: the log of model over data at the first of two values, in the last 120 of 3,000 "
        "rounds, against the proximal weight; dotted, weight 1/4. Right: the mean of log D so far on an orbit of the "
        "uneven table that does not converge, at each of the two values.",
        alt="Two bifurcation diagrams: a single line at zero above one quarter, two branches below it; on the uneven table the "
        "branches split again and blur into bands. Right: two wavy lines that join.",
        run=run_bifurcation, draw=draw_bifurcation, quick=Bifurcation(weights=100, rounds=500), full=Bifurcation(),
    ),
    "10.3": Recipe(
        title="What the game finds, and what it never finds",
        caption="Exact game with weight 1 on two modes. A mass of one millionth grows into a mode (left, after 0, 8 "
        "and 20 rounds), a mass of zero does not (middle). Right: the objective for four weights.",
        alt="Left: the model, on the right mode at first, fills the left mode after 20 rounds. Middle: it never does. Right: "
        "four curves of the objective, level at first, then falling.",
        run=run_halving, draw=draw_halving, full=Halving(),
    ),
    "10.4": Recipe(
        title="Particles that follow the slope of log D",
        caption="Samples under the proximal step in the limit of small steps, D exact and always renewed. Left, "
        "dotted: the centers of the data. Middle, rings: contours of their density; dots: where the paths end. Right: "
        "how fast the objective falls (lines), and what (10.10) predicts (marks).",
        alt="Left: forty paths on a line part toward two dotted levels. Middle: paths in the plane run from the center "
        "to three rings of contours. Right: two falling curves with circles and squares on them.",
        run=run_particles, draw=draw_particles, quick=Particles(steps=300), full=Particles(),
    ),
} | regularized_points.RECIPES | regularized_images.RECIPES  # fmt: skip
