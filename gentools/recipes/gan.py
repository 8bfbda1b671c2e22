"""Experiments of chapter 05: exact ones on a line and in the smallest game, then networks on points in the plane."""

import functools
import math
from dataclasses import dataclass

import torch

from gentools import evaluation, gan
from gentools.lab import data
from gentools.lab.divergences import js, kl
from gentools.lab.optim import adam
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import Recipe

LOOKS = {
    "saturating": dict(color=COLORS["orange"], ls=LINES[1], marker=MARKERS[1]),
    "non-saturating": dict(color=COLORS["blue"], ls=LINES[0], marker=MARKERS[0]),
    "KL": dict(color=COLORS["vermillion"], ls=LINES[2], marker=MARKERS[2]),
}
POINTS = {
    "ring": (data.ring, data.ring_centers, data.RING_STD),
    "grid": (data.grid, data.grid_centers, data.GRID_STD),
}
DRAWN = 2500  # samples per evaluation, as in the literature


def line(label):
    """A loss's color and line, without marker."""
    return {k: v for k, v in LOOKS[label].items() if k != "marker"}


# 5.1 Four divergences on sliding Gaussians


@dataclass(frozen=True)
class Sliding:
    model_std: float = 0.7
    farthest: float = 5.0
    positions: int = 126


def run_sliding(config, seed, device):
    """Data N(0, 1), model N(t, model_std^2): four divergences as functions of t, and their slopes in t by autograd."""
    x = torch.linspace(-14, 20, 6801, dtype=torch.float64)

    def normal(mean, std):
        return torch.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi)) * (x[1] - x[0])

    p = normal(0.0, 1.0)

    def four(t):
        q = normal(t, config.model_std)
        return torch.stack([2 * js(p, q), 2 * kl((p + q) / 2, p), kl(q, p), kl(p, q)])

    t = torch.linspace(0, config.farthest, config.positions, dtype=torch.float64)
    values = torch.stack([four(s) for s in t])
    slopes = torch.stack([torch.autograd.functional.jacobian(four, s) for s in t])
    names = ("2 JS", "2 KL(m||p)", "KL(q||p)", "KL(p||q)")
    numbers = {f"slope of {name} at the far end": s for name, s in zip(names, slopes[-1], strict=True)}
    return {"numbers": numbers, "arrays": {"t": t, "values": values, "slopes": slopes}}


def draw_sliding(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, 2, figsize=(8.0, 3.6))
    looks = [
        ("2 JS", "saturating"),
        ("2 KL(m‖$\\tilde p$)", "non-saturating"),
        ("KL(q‖$\\tilde p$)", "KL"),
        ("KL($\\tilde p$‖q)", None),
    ]
    for i, (label, loss) in enumerate(looks):
        look = line(loss) if loss else dict(color=COLORS["green"], ls=LINES[3])
        axes[0].plot(a["t"], a["values"][:, i], label=label, **look)
        axes[1].plot(a["t"], a["slopes"][:, i], label=label, **look)
    axes[0].axhline(2 * math.log(2), color="0.6", lw=1)
    axes[0].annotate("2 log 2", (0.05, 2 * math.log(2)), (0, 3), textcoords="offset points", color="0.35")
    axes[0].set(title="value, nats", xlabel="distance t of the model from the data", ylim=(0, 8))
    axes[1].set(title="slope in t", xlabel="distance t of the model from the data", ylim=(0, 5.5))
    axes[0].legend(loc="upper left")
    return fig


# 5.2 Three generator losses


@dataclass(frozen=True)
class Losses:
    logit_range: float = 6.0
    points: int = 241


def run_losses(config, seed, device):
    """Values of the three losses, and their slopes in D and in the logit, over a range of logits."""
    logit = torch.linspace(-config.logit_range, config.logit_range, config.points, dtype=torch.float64)
    d = torch.sigmoid(logit)
    arrays, numbers = {"logit": logit, "d": d}, {}
    for name, loss in gan.LOSSES.items():
        at = logit.clone().requires_grad_()
        values = torch.stack([loss(one) for one in at])
        (slope,) = torch.autograd.grad(values.sum(), at)
        arrays |= {f"{name} value": values.detach(), f"{name} slope in logit": slope}
        arrays[f"{name} slope in D"] = slope / (d * (1 - d))
        numbers[f"{name}: slope in the logit where D = {d[0]:.2g}"] = slope[0]
        numbers[f"{name}: slope in D where D = {d[0]:.2g}"] = arrays[f"{name} slope in D"][0]
    return {"numbers": numbers, "arrays": arrays}


def draw_losses(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(2, 2, figsize=(8.0, 5.6), sharex="col")
    labels = {
        "saturating": "log(1 − D):  descends 2 JS",
        "non-saturating": "−log D:  descends 2 KL(m‖$\\tilde p$)",
        "KL": "−logit D:  descends KL(q‖$\\tilde p$)",
    }
    for name in gan.LOSSES:
        for column, x in enumerate(("d", "logit")):
            axes[0, column].plot(a[x], a[f"{name} value"], label=labels[name], **line(name))
        axes[1, 0].plot(a["d"], -a[f"{name} slope in D"], **line(name))
        axes[1, 1].plot(a["logit"], -a[f"{name} slope in logit"], **line(name))
    axes[0, 0].set(title="value against D(G(z))", ylabel="loss, nats", ylim=(-6.2, 6.2))
    axes[0, 1].set(title="value against its logit", ylim=(-6.2, 6.2))
    axes[1, 0].set(title="push on D", xlabel="D(G(z))", ylabel="minus the slope", ylim=(0, 12))
    axes[1, 1].set(title="push on the logit: what the network feels", xlabel="logit of D(G(z))", ylim=(-0.05, 1.12))
    axes[1, 1].annotate("saturates where\nD wins", (-5.6, 0.12), color="0.3")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


# 5.3 The warm-up: two numbers against an exact discriminator


@dataclass(frozen=True)
class WarmUp:
    loss: str = "non-saturating"
    start: tuple = (-2.0, 0.5)  # a, b of the generator x = a + b z
    data: tuple = (1.0, 0.8)  # mean and standard deviation
    step_size: float = 0.25
    steps: int = 80


def run_warm_up(config, seed, device):
    """Gradient steps on (a, b) of x = a + b z through an exact D, which is renewed after every step."""
    n = 4000  # z at the midpoints of n equal shares of N(0, 1): a mean over them is an expectation
    z = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    mean, std = config.data
    loss = gan.LOSSES[config.loss]
    theta = torch.tensor(config.start, dtype=torch.float64, requires_grad=True)
    path, losses = [theta.detach().clone()], []
    for _ in range(config.steps):
        a, b = theta.detach()

        def logit(x, a=a, b=b):  # log p(x)/q(x), with q where the generator stands now
            return -(((x - mean) / std) ** 2) / 2 - math.log(std) + ((x - a) / b) ** 2 / 2 + b.log()

        value = loss(logit(theta[0] + theta[1] * z))
        (slope,) = torch.autograd.grad(value, theta)
        with torch.no_grad():
            theta -= config.step_size * slope
        path.append(theta.detach().clone())
        losses.append(gan.discriminator_loss(logit(mean + std * z), logit(a + b * z)))
    path = torch.stack(path)
    numbers = {
        "distance of a from the data's mean": (path[-1, 0] - mean).abs(),
        "distance of b from the data's std": (path[-1, 1] - std).abs(),
        "discriminator loss at the start": losses[0],
        "discriminator loss at the end": losses[-1],
        "the same at D = 1/2": 2 * math.log(2),
    }
    return {"numbers": numbers, "arrays": {"path": path}}


def draw_warm_up(results, config):
    import matplotlib.pyplot as plt

    path = results[0]["arrays"]["path"]
    mean, std = config.data
    x = torch.linspace(-4.5, 4.5, 451, dtype=torch.float64)

    def density(m, s):
        return torch.exp(-(((x - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))

    # (where q stands, where D was made, title): D and G take turns
    last = len(path) - 1
    panels = [(0, 0, "D made exact"), (1, 0, "G steps"), (1, 1, "D made exact"), (2, 1, "G steps")]
    panels += [(5, 5, "after 5 rounds"), (last, last, f"after {last} rounds")]
    fig, axes = plt.subplots(2, 3, figsize=(8.4, 4.6), sharex=True, sharey=True)
    p = density(mean, std)
    for number, (ax, (now, then, title)) in enumerate(zip(axes.flat, panels, strict=True), 1):
        d = gan.best_discriminator(p, density(*path[then]))
        ax.plot(x, p, color="black", ls=":", label="data $\\tilde p$")
        ax.plot(x, density(*path[now]), color=COLORS["green"], label="model q")
        ax.plot(x, d, color=COLORS["blue"], ls="--", label="D")
        ax.set(title=f"{number}. {title}", ylim=(-0.02, 1.08), xticks=(-4, -2, 0, 2, 4))
        ax.set_ylabel("density, and D" if number in (1, 4) else "")
        if now != then:
            ax.annotate(
                "", (path[now, 0], 0.62), (path[then, 0], 0.62), arrowprops={"arrowstyle": "->", "color": "0.3"}
            )
    for ax in axes[1]:
        ax.set_xlabel("x")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


# 5.4 The Dirac GAN


@dataclass(frozen=True)
class Dirac:
    step_size: float = 0.4
    penalty: float = 0.3
    steps: int = 200
    start: tuple = (0.7, 0.0)


def run_dirac(config, seed, device):
    """Orbits of the smallest game under four ways to play, with the growth factors of (5.10)."""
    non_saturating = functools.partial(gan.dirac_alternating, push=gan.non_saturating_push)
    plays = {
        "minimax, simultaneous": (gan.dirac_simultaneous, 0.0),
        "minimax, alternating": (gan.dirac_alternating, 0.0),
        "non-saturating, alternating": (non_saturating, 0.0),
        "minimax, alternating, R1": (gan.dirac_alternating, config.penalty),
    }
    numbers, arrays = {}, {}
    for name, (play, penalty) in plays.items():
        state = torch.tensor(config.start, dtype=torch.float64)
        orbit = [state]
        for _ in range(config.steps):
            state = torch.stack(play(*state, config.step_size, penalty))
            orbit.append(state)
        arrays[name] = torch.stack(orbit)
        numbers[f"{name}: distance at the end"] = state.norm()
        numbers[f"{name}: growth per step near (0, 0)"] = gan.growth(play, config.step_size, penalty)
    return {"numbers": numbers, "arrays": arrays}


def draw_dirac(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplot_mosaic("abe;cde", figsize=(8.4, 5.4), width_ratios=(1, 1, 1.15))
    side = torch.linspace(-2.1, 2.1, 13, dtype=torch.float64)
    theta, psi = torch.meshgrid(side, side, indexing="xy")
    colors = ("vermillion", "blue", "orange", "green")
    for key, (name, orbit), color, ls in zip("abcd", a.items(), colors, LINES, strict=False):
        push = gan.non_saturating_push if "non" in name else gan.minimax_push
        penalty = config.penalty if "R1" in name else 0.0
        ax = axes[key]
        ax.quiver(theta, psi, push(theta, psi), gan.discriminator_push(theta, psi, penalty), color="0.72", width=0.005)
        ax.plot(*orbit.T, color=COLORS[color], ls="-", marker=".", ms=3, lw=0.7)
        ax.plot(*orbit[0], "s", color="black", ms=6)
        ax.plot(0, 0, "+", color="black", ms=10)
        ax.set(title=name.replace(", ", ",\n", 1), xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
        ax.set(xlabel="generator θ" if key in "cd" else "", ylabel="discriminator ψ" if key in "ac" else "")
        axes["e"].semilogy(orbit.norm(dim=1), color=COLORS[color], ls=ls, label=name.replace(", ", ",\n", 1))
    axes["e"].set(title="distance from\nthe equilibrium", xlabel="step", ylim=(1e-6, 10))
    axes["e"].legend(loc="lower left")
    return fig


# 5.5 to 5.8 Networks


@dataclass(frozen=True)
class Training:
    """One GAN on points in the plane. `networks`: a function of the seed that makes both players."""

    networks: object = gan.toy_networks
    batch: int = 128
    steps: int = 10_000
    points: int = 100_000
    betas: tuple = (0.5, 0.999)


FULL = Training(networks=gan.ali_networks, batch=100, steps=200_000, betas=(0.8, 0.999))  # ALI's GAN, alternating steps


def fit(config, points, step, rates, seed, device, watch=None, every=500):
    """Train one GAN on "ring" or "grid" with learning rates {network: rate}. Returns networks and History."""
    nets = config.networks(seed).to(device)
    opts = {name: adam(net.parameters(), rates[name], config.betas) for name, net in nets.items()}
    stream = Stream(POINTS[points][0](config.points, seed)[0], config.batch, 2, device=device)
    seen = watch and (lambda done: watch(nets, done))
    return nets, train(step, nets, opts, stream, config.steps, seed, watch=seen, log_every=every)


def loss_step(name):
    """`gan.step` with the generator loss of that name."""
    return functools.partial(gan.step, generator_loss=gan.LOSSES[name])


def draws(nets, seed, n=DRAWN):
    """n samples on the CPU, from noise that depends on the seed alone."""
    device = next(nets.parameters()).device
    return gan.sample(nets, torch.randn(n, 2, generator=generator(seed, "evaluation")).to(device)).cpu()


def score(nets, points, seed):
    """Modes, high-quality share and overlap of fresh samples."""
    _, centers, std = POINTS[points]
    return evaluation.modes(draws(nets, seed), centers(), std)


@dataclass(frozen=True)
class Snapshots:
    training: Training
    points: str = "grid"
    losses: tuple = ("saturating", "non-saturating", "KL")
    learning_rate: float = 1e-3
    moments: int = 4


def run_snapshots(config, seed, device):
    """One run per loss from the same start, with samples at equally spaced moments."""
    every = config.training.steps // config.moments
    arrays, numbers = {}, {}
    rates = dict.fromkeys(("generator", "discriminator"), config.learning_rate)
    for name in config.losses:
        kept = []

        def keep(nets, done, kept=kept):
            kept.append(draws(nets, seed))
            return {}

        nets, _ = fit(config.training, config.points, loss_step(name), rates, seed, device, keep, every)
        arrays[name] = torch.stack(kept)
        found = score(nets, config.points, seed)
        numbers |= {f"{name}: modes": found.covered, f"{name}: high-quality share": found.quality}
    return {"numbers": numbers, "arrays": arrays}


def draw_snapshots(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    rows, columns = len(config.losses), config.moments
    centers = POINTS[config.points][1]()
    reach = float(centers.abs().max()) * 1.3
    fig, axes = plt.subplots(rows, columns, figsize=(8.4, 2.15 * rows), sharex=True, sharey=True, squeeze=False)
    for i, ax in enumerate(axes[0]):
        ax.set_title(f"{config.training.steps * (i + 1) // columns:,} steps")
    for row, name in zip(axes, config.losses, strict=True):
        for ax, x in zip(row, a[name], strict=True):
            ax.plot(*x.T, ".", ms=1.5, color=COLORS["blue"], alpha=0.5)
            ax.plot(*centers.T, "+", ms=5, mew=0.8, color=COLORS["vermillion"])
            ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())
        row[0].set_ylabel(name)
    return fig


@dataclass(frozen=True)
class Compare:
    training: Training
    rates: tuple = (("saturating", 1e-3), ("non-saturating", 1e-3), ("KL", 1e-3))  # figure 5.8 chose them


def run_compare(config, seed, device):
    """Ring and grid with each of the three losses, from the same networks, batches and noise."""
    numbers, arrays = {}, {}
    overlap = {}
    for points in POINTS:
        for name, rate in config.rates:
            rates = dict.fromkeys(("generator", "discriminator"), rate)
            nets, _ = fit(config.training, points, loss_step(name), rates, seed, device)
            found = score(nets, points, seed)
            numbers[f"{points}, {name}: modes"] = found.covered
            numbers[f"{points}, {name}: high-quality share"] = found.quality
            overlap[points, name] = found.overlap
            arrays[f"{points} {name}"] = draws(nets, seed)
    for name in ("saturating", "KL"):
        numbers[f"grid, overlap: {name} minus non-saturating"] = (
            overlap["grid", name] - overlap["grid", "non-saturating"]
        )
    return {"numbers": numbers, "arrays": arrays}


def draw_compare(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(8.2, 6.2), width_ratios=(1, 1))
    for row, points in zip(axes, POINTS, strict=True):
        _, centers, std = POINTS[points]
        chance = evaluation.chance_lines(centers(), std, DRAWN)
        for ax, what, index in ((row[0], "modes", 0), (row[1], "high-quality share", 1)):
            for x, name in enumerate(gan.LOSSES):
                values = [float(r["numbers"][f"{points}, {name}: {what}"]) for r in results]
                spread = (torch.arange(len(values)) - (len(values) - 1) / 2) * 0.045
                look = {k: v for k, v in LOOKS[name].items() if k != "ls"}
                ax.plot(x + spread, values, ls="", ms=6, alpha=0.8, **look)
                ax.plot([x - 0.3, x + 0.3], [sum(values) / len(values)] * 2, color="black", lw=1.2, ls="-")
            for (line_name, line_values), ls in zip(chance.items(), ("-", "--", ":"), strict=True):
                ax.axhline(line_values[index], color="0.45", ls=ls, lw=1.2, label=line_name, zorder=0)
            ax.set(title=f"{points}: {what}", xticks=range(3), xticklabels=list(gan.LOSSES), xlim=(-0.5, 2.5))
        row[0].set_ylim(0, len(centers()) * 1.08)
        row[1].set_ylim(-0.03, 1.06)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, title="for comparison")
    return fig


def verdict_compare(summary):
    sentences = []
    for points in POINTS:
        _, centers, std = POINTS[points]
        chance = evaluation.chance_lines(centers(), std, DRAWN)
        quality = max(chance["Gaussian"][1], chance["uniform"][1])
        shares = {name: summary[f"{points}, {name}: high-quality share"] for name in gan.LOSSES}
        above = [name for name, s in shares.items() if s["min"] is not None and not s["failed"] and s["min"] > quality]
        whole = [name for name in gan.LOSSES if (summary[f"{points}, {name}: modes"]["min"] or 0) >= len(centers())]
        sentences.append(
            f"{points.capitalize()}: quality above both structureless lines in every seed with {_names(above)}, "
            f"all {len(centers())} modes in every seed with {_names(whole)}."
        )
    for name in ("saturating", "KL"):
        for what in ("modes", "high-quality share"):
            words = _order(summary[f"grid, {name}: {what}"], summary[f"grid, non-saturating: {what}"])
            sentences.append(f"Grid, {what}: {name} is {words} non-saturating.")
        s = summary[f"grid, overlap: {name} minus non-saturating"]
        word = (
            "not resolved"
            if s["low"] is None or s["low"] <= 0 <= s["high"]
            else f"{'more' if s['mean'] > 0 else 'less'}"
        )
        sentences.append(f"Grid, overlap with the truth, {name} against non-saturating seed by seed: {word}.")
    return " ".join(sentences)


def _order(one, other):
    """Which of two means is larger, if their 95 % intervals lie apart."""
    if None in (one["low"], other["low"]) or (one["low"] <= other["high"] and other["low"] <= one["high"]):
        return "not separated from"
    return "above" if one["mean"] > other["mean"] else "below"


def _names(names):
    return "all three losses" if len(names) == len(gan.LOSSES) else " and ".join(names) or "no loss"


@dataclass(frozen=True)
class Wrong:
    training: Training
    points: str = "grid"
    discriminator_rate: float = 1e-2
    generator_rate: float = 1e-4
    penalty_weight: float = 0.3
    every: int = 100


def run_wrong(config, seed, device):
    """A discriminator that learns a hundred times faster than the generator, without and with the penalty R1."""
    steps = {
        "no penalty": gan.step,
        "with R1": functools.partial(gan.penalized_step, penalty_weight=config.penalty_weight),
    }
    rates = {"generator": config.generator_rate, "discriminator": config.discriminator_rate}
    numbers, arrays = {}, {}
    for name, step in steps.items():

        def watch(nets, done):
            found = score(nets, config.points, seed)
            return {"modes": found.covered, "quality": found.quality}

        nets, history = fit(config.training, config.points, step, rates, seed, device, watch, config.every)
        losses = history["discriminator"]
        arrays[f"{name} loss"] = losses.unfold(0, config.every, config.every).mean(1)
        for what in ("modes", "quality"):
            arrays[f"{name} {what}"] = torch.tensor([float(w[what]) for w in history.watched])
        arrays[f"{name} samples"] = draws(nets, seed)
        found = score(nets, config.points, seed)
        numbers |= {
            f"{name}: modes": found.covered,
            f"{name}: high-quality share": found.quality,
            f"{name}: discriminator loss": losses[-5 * config.every :].mean(),
        }
    numbers["best loss against a copy of one mode"] = one_mode(len(POINTS[config.points][1]()))
    numbers["modes gained by R1"] = numbers["with R1: modes"] - numbers["no penalty: modes"]
    return {"numbers": numbers, "arrays": arrays}


def one_mode(k):
    """Least discriminator loss, 2 log 2 - 2 JS, against a perfect copy of one of k equal separate modes."""
    return math.log((k + 1) / k) + math.log(k + 1) / k


def draw_wrong(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(8.0, 6.4))
    centers = POINTS[config.points][1]()
    reach = 1.3 * float(centers.abs().max())
    looks = {"no penalty": ("vermillion", "-"), "with R1": ("blue", "--")}
    for ax, (name, (color, _)) in zip(axes[0], looks.items(), strict=True):
        x = results[0]["arrays"][f"{name} samples"]
        ax.plot(*x.T, ".", ms=2.5, alpha=0.6, color=COLORS[color])
        ax.plot(*centers.T, "+", ms=7, mew=0.9, color="black")
        ax.set(title=f"samples, {name}, seed 0", xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set(xticks=(), yticks=())
    for name, (color, ls) in looks.items():
        for i, r in enumerate(results):
            a = r["arrays"]
            step = config.every * torch.arange(1, len(a[f"{name} loss"]) + 1)
            label = name if i == 0 else None
            axes[1, 0].plot(step, a[f"{name} loss"], color=COLORS[color], ls=ls, lw=1.1, label=label)
            axes[1, 1].plot(step, a[f"{name} modes"], color=COLORS[color], ls=ls, lw=1.1, label=label)
    levels = ((2 * math.log(2), "2 log 2: D cannot tell"), (one_mode(len(centers)), "q is an exact copy of one mode"))
    for level, text in levels:
        axes[1, 0].axhline(level, color="0.4", lw=1, ls=":")
        axes[1, 0].annotate(text, (step[-1], level), (0, 4), textcoords="offset points", color="0.3", ha="right")
    axes[1, 0].set(title="loss of the discriminator, every seed", xlabel="step", ylim=(0, 1.6))
    axes[1, 1].set(title="modes covered, every seed", xlabel="step", ylim=(0, len(centers) * 1.06))
    axes[1, 1].legend(loc="center right")
    return fig


def verdict_wrong(summary):
    failed, cured = summary["no penalty: modes"], summary["with R1: modes"]
    gained, loss = summary["modes gained by R1"], summary["no penalty: discriminator loss"]
    near = abs(loss["median"] - summary["best loss against a copy of one mode"]["median"]) < 0.05
    return (
        f"Without penalty the runs end with {_range(failed)} of 25 modes, with R1 with {_range(cured)}; the penalty gains modes "
        f"{'in every seed' if gained['min'] > 0 else 'not in every seed'}. The median loss of the discriminator without "
        f"penalty is {'close to' if near else 'away from'} the best possible against a copy of one mode."
    )


def _range(s):
    return f"{s['min']:.0f}" if s["min"] == s["max"] else f"{s['min']:.0f} to {s['max']:.0f}"


@dataclass(frozen=True)
class Rates:
    training: Training
    rates: tuple = (3e-4, 1e-3, 3e-3)


def run_rates(config, seed, device):
    """The grid with each loss at each learning rate: how the rates of figure 5.6 were chosen."""
    numbers = {}
    for name in gan.LOSSES:
        for rate in config.rates:
            rates = dict.fromkeys(("generator", "discriminator"), rate)
            nets, _ = fit(config.training, "grid", loss_step(name), rates, seed, device)
            numbers[f"{name}, rate {rate:g}"] = score(nets, "grid", seed).overlap
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for i, name in enumerate(gan.LOSSES):
        values = [[float(r["numbers"][f"{name}, rate {rate:g}"]) for r in results] for rate in config.rates]
        x = [rate * 1.05 ** (i - 1) for rate in config.rates]
        look = LOOKS[name]
        ax.plot(x, [sum(v) / len(v) for v in values], label=name, color=look["color"], ls=look["ls"])
        for at, v in zip(x, values, strict=True):
            ax.plot([at] * len(v), v, ls="", marker=look["marker"], color=look["color"])
    ax.set(xscale="log", xlabel="learning rate of both players", ylabel="overlap with the grid", ylim=(0, 1.02))
    ax.set_xticks(config.rates, [f"{rate:g}" for rate in config.rates])
    ax.minorticks_off()
    ax.legend(loc="best")
    return fig


def verdict_rates(summary):
    best = {}
    for name in gan.LOSSES:
        trials = {k.split("rate ")[1]: s["mean"] for k, s in summary.items() if k.startswith(f"{name},")}
        best[name] = max(trials, key=lambda rate: -1 if trials[rate] is None else trials[rate])
    return "Best rate by mean overlap: " + ", ".join(f"{name} {rate}" for name, rate in best.items()) + "."


def exact(config):
    """The three scales of a recipe that costs nothing."""
    return {"quick": config, "full": config}


RECIPES = {
    "5.1": Recipe(
        title="Four divergences while the model slides away",
        caption="Data N(0, 1), model N(t, 0.49). As t grows, 2 JS levels off at 2 log 2 and its slope dies. The other three "
        "go on growing; 2 KL(m||p) is KL(q||p) minus 2 JS at every t.",
        alt="Two panels over the distance t. Left, values: 2 JS flattens below a line at 2 log 2, the other three grow like "
        "parabolas. Right, slopes: that of 2 JS rises, then falls to zero; the other three rise in nearly straight lines.",
        run=run_sliding,
        draw=draw_sliding,
        **exact(Sliding()),
    ),
    "5.2": Recipe(
        title="Three generator losses",
        caption="The same three losses against D and against its logit. In the logit, which is what the network computes, the "
        "saturating loss stops pushing where D is sure of a fake, the non-saturating one where D is fooled, and the KL loss "
        "never.",
        alt="Four panels. Top, values: three falling curves, against D and against the logit. Bottom left, minus the slope "
        "in D: all are at least 1, and the saturating one is smallest near D = 0. Bottom right, minus the slope in the "
        "logit: a rising sigmoid, a falling sigmoid and a constant 1.",
        run=run_losses,
        draw=draw_losses,
        **exact(Losses()),
    ),
    "5.3": Recipe(
        title="Warm-up: two numbers against an exact discriminator",
        caption="A generator x = a + b z with two parameters. D is made exact, G takes one gradient step, and so on. At the "
        "end q is the data and D is 1/2 everywhere.",
        alt="Six panels on one line. The model density starts narrow at the left and moves in steps to the data density at "
        "the right; the curve of D, a slope from 0 to 1 at first, ends as a flat line at one half.",
        run=run_warm_up,
        draw=draw_warm_up,
        **exact(WarmUp()),
    ),
    "5.4": Recipe(
        title="The smallest game: four ways to play",
        caption="Data at 0, model at θ, logit of D equal to ψx. In the minimax game simultaneous steps spiral out and "
        "alternating steps circle. The non-saturating loss creeps inward; a penalty on the discriminator's slope pulls the "
        "players in. Gray arrows: where both would move next.",
        alt="Four phase portraits with arrows and an orbit from the same start: an outward spiral, a closed ring, a thick "
        "ring that slowly narrows, a short inward spiral. A fifth panel shows the distance over the steps: growing, level, "
        "slowly falling, and falling in a straight line on the logarithmic axis.",
        run=run_dirac,
        draw=draw_dirac,
        **exact(Dirac()),
    ),
    "5.5": Recipe(
        title="Samples over training",
        caption="2,500 samples of each generator over training, one run per loss from the same start. Crosses are the centers "
        "of the true modes.",
        alt="Three rows of scatter plots, one per loss, four moments each. A cloud of points gathers more and more tightly "
        "around the crosses of the true modes, with threads between them and a few crosses left out.",
        run=run_snapshots,
        draw=draw_snapshots,
        quick=Snapshots(Training(steps=2800, points=20_000), points="ring"),
        cpu=Snapshots(Training()),
        full=Snapshots(FULL, learning_rate=1e-4),
        record="cpu",
    ),
    "5.6": Recipe(
        title="Three losses on ring and grid",
        caption="Each point is one trained network: modes covered and share of high-quality samples among 2,500. Black bars "
        "are means. Gray lines: what the data themselves and two structureless samplers score.",
        alt="Four panels of points for three losses: modes and high-quality share, on the ring and on the grid, with lines "
        "for true data near the top and for a Gaussian and a uniform sampler below.",
        run=run_compare,
        draw=draw_compare,
        quick=Compare(Training(steps=500, points=20_000)),
        cpu=Compare(Training()),
        full=Compare(FULL, rates=(("saturating", 1e-4), ("non-saturating", 1e-4), ("KL", 1e-4))),
        seeds=tuple(range(10)),
        verdict=verdict_compare,
        record="cpu",
    ),
    "5.7": Recipe(
        title="One player wins, and the cure",
        caption="The discriminator learns a hundred times faster than the generator. Without a penalty the samples sit on "
        "one mode, and the loss of the discriminator is the least possible against a copy of one mode. With R1 the same "
        "learning rates reach nearly all of the grid.",
        alt="Top: samples in one spot of the 25-point grid without penalty, all over the grid with R1. Bottom: the loss "
        "of the discriminator stays low without penalty and near 2 log 2 with it; the modes covered stay at 1 and rise above 20.",
        run=run_wrong,
        draw=draw_wrong,
        quick=Wrong(Training(steps=300, points=20_000)),
        cpu=Wrong(Training(steps=8000)),
        full=Wrong(Training(steps=20_000)),
        seeds=tuple(range(5)),
        verdict=verdict_wrong,
        record="cpu",
    ),
    "5.8": Recipe(
        title="Choosing the learning rates",
        caption="Overlap of the samples with the 25 modes for three learning rates and three losses, two seeds each that figure "
        "5.6 does not use. Each loss goes on with its best rate.",
        alt="Overlap against learning rate on a logarithmic axis, one line with points per loss.",
        run=run_rates,
        draw=draw_rates,
        quick=Rates(Training(steps=200, points=20_000)),
        cpu=Rates(Training()),
        full=Rates(FULL, rates=(3e-5, 1e-4, 3e-4, 1e-3)),
        seeds=(100, 101),
        verdict=verdict_rates,
        record="cpu",
    ),
}
