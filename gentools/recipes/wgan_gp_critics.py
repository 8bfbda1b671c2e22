"""Experiments of chapter 12 in which the critic is looked at: its surface, its slopes, its memory (12.3 to 12.5)."""

import copy
import functools
import math
from dataclasses import dataclass

import torch
from torch import nn

from gentools import wgan_gp
from gentools.lab import data
from gentools.lab.networks import he, mlp
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import labeled

# 12.3 Surfaces of critics


def ring(n, seed):
    """The ring of eight Gaussians, scaled as Gulrajani et al. (2017) scale it: radius 1.41."""
    return data.ring(n, seed)[0] / math.sqrt(2)


def grid(n, seed):
    """The grid of 25 Gaussians, scaled as they scale it: outermost centers at 1.41."""
    return data.grid(n, seed)[0] / math.sqrt(8)


def swiss_roll(n, seed):
    """n points (n, 2) of a spiral with noise 0.25, over 7.5: the swiss roll of scikit-learn seen from the side."""
    rng = generator(seed, "swiss roll")
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=rng))
    spiral = angle[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return (spiral + 0.25 * torch.randn(n, 2, generator=rng)) / 7.5


SETS = {"ring": ring, "grid": grid, "swiss roll": swiss_roll}
WAYS = {"clipping": "clipping", "penalty 10": "penalty, weight 10", "penalty 0.1": "penalty, weight 0.1"}


@dataclass(frozen=True)
class Surfaces:
    """A critic between data and the same data with noise of standard deviation 1."""

    width: int = 128  # of every hidden layer
    hidden: int = 3
    bound: float = 0.1  # of the weights, for clipping
    penalty_weights: tuple = (10.0, 0.1)
    batch: int = 128
    steps: int = 1000
    learning_rate: float = 1e-3  # at the start; falls in a straight line to 0
    betas: tuple = (0.0, 0.9)
    points: int = 50_000
    cells: int = 80  # along each side of the picture
    reach: float = 2.5  # of the picture, to each side


def step_alone(nets, opts, x, z, train):
    """One step of the critic alone: the first half of x (2n, 2) is real, the other half gets noise z and is fake."""
    (real, other), noise = x.chunk(2), z.chunk(2)[0]
    return {"critic": train(nets["critic"], opts["critic"], real, other + noise)}


def train_alone(critic, train, rows, config, seed, device):
    """Train a critic by the function train(critic, optimizer, real, fake) between rows (points, 2) and rows with noise."""
    nets = nn.ModuleDict({"critic": critic}).to(device)
    step = functools.partial(step_alone, train=train)
    fit_kept(step, nets, adams(nets, config.learning_rate, config.betas), rows, 2, batch=2 * config.batch,
             steps=config.steps, seed=seed, device=device, schedule=functools.partial(falling, config.steps),
             log_every=config.steps)  # fmt: skip
    return nets["critic"]


def falling(steps, t):
    """A schedule: the factor falls in a straight line from 1 to 0."""
    return 1 - t / steps


def clipped(bound):
    """`clipped_critic_step` with that bound."""
    return functools.partial(wgan_gp.clipped_critic_step, bound=bound)


def penalized(weight):
    """`critic_step` with that weight, and the closed form of the penalty."""
    return functools.partial(wgan_gp.critic_step, penalty_weight=weight, penalty=wgan_gp.piecewise_penalty)


def run_surfaces(config, seed, device):
    """Three critics on each data set: values on a grid of points, slopes between fresh points, and the gain they see."""
    numbers, arrays = {}, {}
    trains = {"clipping": clipped(config.bound)}
    trains |= {f"penalty {weight:g}": penalized(weight) for weight in config.penalty_weights}
    side = torch.linspace(-config.reach, config.reach, config.cells)
    places = torch.cartesian_prod(side, side)  # (cells^2, 2)
    for name, draw in SETS.items():
        rows, fresh = draw(config.points, seed), draw(1600, seed + 1000)
        real, fake = fresh[:800], fresh[800:] + torch.randn(800, 2, generator=generator(seed, "fresh noise"))
        between = wgan_gp.interpolate(real, fake, torch.rand(800, generator=generator(seed, "mix")))
        arrays[f"{name}, data"] = real[:400]
        numbers[name, "W1 of 800 pairs"] = empirical_distance(real, fake)
        for way, train in trains.items():
            start = generator(seed, "critic")
            critic = mlp([2, *[config.width] * config.hidden, 1], generator=start)
            critic = train_alone(critic, train, rows, config, seed, device).cpu()
            slope = wgan_gp.piecewise_slopes(critic, between).detach().norm(dim=1)  # (800,)
            with torch.no_grad():
                arrays[f"{name}, {way}"] = critic(places).reshape(config.cells, config.cells)
                numbers[(name, way), "gain"] = -wgan_gp.critic_loss(critic(real), critic(fake))
            numbers[(name, way), "gain below 0"] = float(numbers[(name, way), "gain"] < 0)
            numbers[(name, way), "mean slope"] = slope.mean()
            numbers[(name, way), "spread of the slope over its mean"] = slope.std() / slope.mean()
            numbers[(name, way), "gain over mean slope"] = numbers[(name, way), "gain"] / slope.mean()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def empirical_distance(x, y):
    """W1 of two sets of equally many points (n, d): the best pairing. Larger than that of their distributions on average."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(x.double(), y.double())
    rows, columns = linear_sum_assignment(cost.numpy())
    return float(cost[torch.from_numpy(rows), torch.from_numpy(columns)].mean())


def draw_surfaces(results, config):
    """Level lines of the critics (cells, cells) of the first seed, with data points (400, 2) on them."""
    fig, axes = drawing.panels(3, 3, (8.4, 8.6), sharex=True, sharey=True)
    a, side = results[0]["arrays"], torch.linspace(-config.reach, config.reach, config.cells)
    for row, (way, label) in zip(axes, WAYS.items(), strict=True):
        for ax, name in zip(row, SETS, strict=True):
            ax.contour(side, side, a[f"{name}, {way}"].T, levels=12, cmap="viridis", linewidths=1.3)
            drawing.dots(ax, a[f"{name}, data"], "vermillion", size=2, alpha=0.6)
            ax.set(title=f"{name}, {label}", aspect="equal", xticks=(), yticks=())
    return fig


def verdict_surfaces(summary):
    """Slopes of the critics, and in how many seeds a critic's gain has the wrong sign: a line for each way."""
    said = []
    for way in WAYS:
        slopes = [verdicts.span(summary[arms.name((name, way), "mean slope")], ".2f") for name in SETS]
        below = {name: summary[arms.name((name, way), "gain below 0")] for name in SETS}
        wrong = [
            f"{verdicts.count(each)} of {verdicts.finished(each)} on the {name}"
            for name, each in below.items()
            if verdicts.count(each)
        ]
        said.append(
            f"{way}: mean slope {'; '.join(slopes)} ({', '.join(SETS)}); "
            f"gain below 0: {verdicts.listed(wrong, 'in no seed')}"
        )
    return ";\n  ".join(said) + "."


# 12.4 Slopes and weights of deep critics

BOUNDS = (0.1, 0.01, 0.001)
DEEP = drawing.looks({**{f"c = {bound:g}": f"clipping, c = {bound:g}" for bound in BOUNDS}, "penalty": "penalty"},
                     ("vermillion", "orange", "purple", "blue"))  # fmt: skip


@dataclass(frozen=True)
class Deep:
    """A critic with eleven hidden layers on the swiss roll, twelve layers of weights as in the source."""

    width: int = 64
    hidden: int = 11
    bounds: tuple = BOUNDS
    penalty_weight: float = 10.0
    batch: int = 256
    steps: int = 1000
    learning_rate: float = 1e-3
    betas: tuple = (0.0, 0.9)
    points: int = 50_000


MOVED = "slope at the data, log10, end minus start"


def run_deep(config, seed, device):
    """Mean norm of the score's slope in every layer, before and after training, and all weights at the end."""
    numbers, arrays = {}, {}
    trains = {f"c = {bound:g}": clipped(bound) for bound in config.bounds}
    trains["penalty"] = penalized(config.penalty_weight)
    fresh = swiss_roll(1000, seed + 1000)
    for name, train in trains.items():
        bound = None if name == "penalty" else float(name.removeprefix("c = "))
        critic = mlp([2, *[config.width] * config.hidden, 1], init=he, generator=generator(seed, "deep critic"))
        if bound:
            wgan_gp.clip(critic, bound)  # training begins from weights within the bound
        arrays[f"{name}, slopes at the start"] = layer_slopes(critic, fresh)  # (hidden + 1,)
        critic = train_alone(critic, train, swiss_roll(config.points, seed), config, seed, device).cpu()
        arrays[f"{name}, slopes"] = layer_slopes(critic, fresh)  # (hidden + 1,)
        weights = torch.cat([p.detach().flatten() for p in critic.parameters() if p.ndim == 2])
        arrays[f"{name}, weights"] = weights
        start, end = (arrays[f"{name}, {when}"][0].log10() for when in ("slopes at the start", "slopes"))
        numbers |= {(name, "slope at the data, log10"): end, (name, MOVED): end - start}
        if bound:
            numbers[name, "share of weights at the bound"] = (weights.abs() > 0.99 * bound).double().mean()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def layer_slopes(critic, x):
    """Mean norm of the score's gradient in the input of every linear layer, (layers,), at points x (n, d), at least 1e-60.

    In double precision: in single precision the squares of slopes below 1e-23 are 0.
    """
    inputs, critic = [], copy.deepcopy(critic).double()
    x = x.double().requires_grad_()
    for layer in critic:
        if isinstance(layer, nn.Linear):
            inputs.append(x)
        x = layer(x)
    slopes = torch.autograd.grad(x.sum(), inputs)
    return torch.stack([slope.norm(dim=1).mean() for slope in slopes]).clamp_min(1e-60)


def draw_deep(results, config):
    """Slopes (layers,) of every seed on a logarithmic axis, at the end and at the start; weights of the first seed."""
    fig, axes = drawing.mosaic("ab;ac", (8.4, 4.4), width_ratios=(1.3, 1))
    for name, look in DEEP.items():
        layers = torch.arange(1, config.hidden + 2)
        drawing.seed_curves(axes["a"], layers, [r["arrays"][f"{name}, slopes"] for r in results], look)
        start = results[0]["arrays"][f"{name}, slopes at the start"]
        axes["a"].plot(layers, start, color=look.rgb, ls="none", marker="o", ms=5, mfc="none")
    axes["a"].plot([], [], color="0.3", ls="none", marker="o", ms=5, mfc="none", label="at the start")
    axes["a"].set(
        yscale="log", xlabel="layer, from the data to the score", title="mean slope of the score in a layer's input"
    )
    axes["a"].legend(loc="lower right")
    weights = results[0]["arrays"]
    for key, name in (("b", "c = 0.1"), ("c", "penalty")):
        look = DEEP[name]
        axes[key].hist(weights[f"{name}, weights"].numpy(), bins=61, color=look.rgb)
        axes[key].set(title=f"weights, {look.label}", yticks=())
    return fig


def verdict_deep(summary):
    """Orders of magnitude of the slope at the data, what training changed of it, and the share of weights at the bound."""
    said = []
    for name in DEEP:
        slope, moved = (
            verdicts.span(summary[arms.name(name, what)], form)
            for what, form in (("slope at the data, log10", ".1f"), (MOVED, "+.1f"))
        )
        key = arms.name(name, "share of weights at the bound")
        held = f", {verdicts.percent(summary[key], 1)} of the weights at the bound" if key in summary else ""
        said.append(f"{name}: log10 of the slope at the data {slope}, of which training added {moved}{held}")
    return ";\n  ".join(said) + "."


# 12.5 What a critic remembers

SIZES = (200, 1000)
LEAKY = functools.partial(nn.LeakyReLU, 0.2)  # with ReLU a critic can die: flat everywhere, and no gradient leads back
LEAD_CHANGE = "lead at the end minus after three quarters"
LINES = drawing.looks({"training": "pictures trained on", "held out": "pictures held out"})


@dataclass(frozen=True)
class Memory:
    """A whole WGAN-GP on few digits of 8 x 8 pixels."""

    sizes: tuple = SIZES  # pictures to train on
    width: int = 128
    latent: int = 16
    critic_steps: int = 2
    penalty_weight: float = 1.0
    batch: int = 64
    steps: int = 2400
    learning_rate: float = 2e-4
    betas: tuple = (0.0, 0.9)
    moments: int = 20


def digit_rows(seed):
    """All digits as rows in [-1, 1], (1797, 64), in a random order for each seed: the last 797 are held out."""
    images = torch.cat([labeled("digits", split)[0] for split in ("train", "test")])
    order = torch.randperm(len(images), generator=generator(seed, "order of digits"))
    return images[order].flatten(1).float() / 127.5 - 1


def run_memory(config, seed, device):
    """The critic's gain over training, on the pictures that it is trained on and on others, for each size."""
    numbers, arrays, rows = {}, {}, digit_rows(seed)
    held_out = rows[1000:].to(device)
    for size in config.sizes:
        start = {name: generator(seed, name) for name in ("generator", "critic")}
        nets = nn.ModuleDict({
            "generator": mlp([config.latent, config.width, config.width, 64], generator=start["generator"]),
            "critic": mlp([64, config.width, config.width, 1], LEAKY, generator=start["critic"]),
        }).to(device)  # fmt: skip
        step = functools.partial(wgan_gp.step, critic_steps=config.critic_steps, penalty_weight=config.penalty_weight,
                                 penalty=wgan_gp.piecewise_penalty)  # fmt: skip
        known = rows[:size].to(device)
        z = torch.randn(1000, config.latent, generator=generator(seed, "evaluation")).to(device)

        @torch.no_grad()
        def watch(done, nets=nets, known=known, z=z):
            critic, fake = nets["critic"], nets["generator"](z)
            fakes = critic(fake)
            gains = {
                name: -wgan_gp.critic_loss(critic(x), fakes)
                for name, x in (("training", known), ("held out", held_out))
            }
            return {name: float(gain) for name, gain in gains.items()}

        history = fit_kept(step, nets, adams(nets, config.learning_rate, config.betas), rows[:size], (2, config.latent),
                           batch=config.critic_steps * config.batch, steps=config.steps, seed=seed, device=device,
                           watch=watch, log_every=max(1, config.steps // config.moments))  # fmt: skip
        arrays["step"] = torch.tensor([seen["step"] for seen in history.watched])
        for name in LINES:
            curve = torch.tensor([seen[name] for seen in history.watched])  # (moments,)
            arrays[f"{size}, {name}"] = curve
            numbers[f"{size} pictures", f"gain, {name}"] = curve[-1]
        lead = arrays[f"{size}, training"] - arrays[f"{size}, held out"]
        numbers[f"{size} pictures", "lead of training"] = lead[-1]
        numbers[f"{size} pictures", LEAD_CHANGE] = change(lead)
        arrays[f"{size}, samples"] = nets["generator"](z[:30]).detach()  # (30, 64)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_memory(results, config):
    """The gains (moments,) of every seed over training, a panel per size; samples (30, 64) of the last size, first seed."""
    fig, axes = drawing.panels(1, len(config.sizes) + 1, (8.4, 3.3))
    for ax, size in zip(axes, config.sizes, strict=False):
        for name, look in LINES.items():
            drawing.seed_curves(
                ax, results[0]["arrays"]["step"], [r["arrays"][f"{size}, {name}"] for r in results], look
            )
        ax.set(title=f"{size:,} pictures to train on", xlabel="step of the generator")
        ax.sharey(axes[0])
        drawing.level(ax, 0)
    axes[0].set_ylabel("gain of the critic")
    axes[0].legend(loc="best")
    images = (results[0]["arrays"][f"{size}, samples"].reshape(-1, 1, 8, 8) + 1) / 2
    drawing.sheet(axes[-1], images.clamp(0, 1), title=f"samples, {size:,} pictures", columns=5, most=1)
    return fig


def verdict_memory(summary):
    """By how much the critic's gain is larger on the pictures that it was trained on, and whether that has settled."""
    said = []
    for size in SIZES:
        lead, late = (summary[arms.name(f"{size} pictures", what)] for what in ("lead of training", LEAD_CHANGE))
        where = "not of one sign"
        if verdicts.always_above(lead, 0) or verdicts.always_below(lead, 0):
            where = f"{'larger' if lead['min'] > 0 else 'smaller'} in every seed"
        said.append(
            f"{size} pictures: gain on pictures trained on, minus gain on others, {verdicts.span(lead, '.2f')}: {where}, "
            f"{verdicts.settling(lead, late)} over the last quarter"
        )
    return ";\n  ".join(said) + "."


RECIPES = {
    "12.3": Recipe(
        title="Surfaces of critics",
        caption="Level lines of critics, first seed. Each is trained to score data (dots) above the data with noise of "
        "standard deviation 1 added; yellow is a high score. Above, with weights clipped to 0.1; in the middle, with a "
        "gradient penalty of weight 10; below, with the same penalty of weight 0.1.",
        alt="Nine panels of level lines. Above, with clipping, polygons around the middle. In the second row, with weight 10, on the "
        "ring a closed line around each group and a dark middle, on the grid lobes around inner groups, on the roll rounded lines "
        "around its inner turn. Below, with weight 0.1, a star on the ring, a rounded square on the grid with small closed lines "
        "around single groups, and a crescent along the roll's inner turn.",
        run=run_surfaces, draw=draw_surfaces, verdict=verdict_surfaces, seeds=(0, 1, 2), record="cpu",
        quick=Surfaces(width=32, steps=60, points=5000, cells=30), cpu=Surfaces(steps=4000),
        full=Surfaces(width=512, steps=20_000, learning_rate=1e-4, betas=(0.5, 0.9)),
    ),
    "12.4": Recipe(
        title="Slopes and weights of deep critics",
        caption="Critics with twelve layers of weights on the swiss roll. Left, the mean norm of the score's slope in the "
        "input of each layer: after training, a line per seed, and before the first step (with the weights already "
        "clipped), circles for the first seed. Right, all weights of two of the critics after training, first seed.",
        alt="Left, on a logarithmic axis, the slopes of clipped critics change by orders of magnitude from layer to layer, for "
        "the two smaller bounds nearly as before training; those of the penalized critic stay level. Right, a histogram with two spikes at -0.1 and 0.1, and one like a bell.",
        run=run_deep, draw=draw_deep, verdict=verdict_deep, seeds=(0, 1, 2), record="cpu",
        quick=Deep(width=16, steps=40, points=5000, batch=64), cpu=Deep(), full=Deep(width=512, steps=20_000),
    ),
    "12.5": Recipe(
        title="What a critic remembers",
        caption="Left and middle, the critic's gain, which is minus its loss, while a whole WGAN-GP trains on 200 or on "
        "1,000 digits of 8 x 8 pixels: the gain on those digits, and on 797 held-out ones. The digits are divided anew for "
        "each seed; a line per seed. Right, samples of the first seed, trained on 1,000.",
        alt="Two panels of curves that rise and fall. With 200 pictures the gain on those trained on ends above that on others; with "
        "1,000 the two lie closer. Right, six rows of five pictures of bright and dark squares, hardly like digits.",
        run=run_memory, draw=draw_memory, verdict=verdict_memory, seeds=(0, 1, 2), record="cpu",
        quick=Memory(width=32, steps=60, moments=4), cpu=Memory(), full=Memory(width=512, steps=20_000, critic_steps=5),
    ),
}  # fmt: skip
