"""Figures of chapter 11 on 25 Gaussians in the plane: which metric sees which fault, and the critic (11.3, 11.4)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from gentools import evaluation, neighbors
from gentools.lab.networks import mlp
from gentools.lab.optim import cosine
from gentools.lab.plots import COLORS, LINES
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.points import GRID, Points


@dataclass(frozen=True)
class Critic:
    """An independent Wasserstein critic: trained on validation rows and samples, read on test rows and other samples."""

    width: int = 64  # of each of two hidden layers
    steps: int = 500
    learning_rate: float = 2e-3  # falls along a cosine
    batch: int = 128
    penalty_weight: float = 10.0


# Samplers with one fault each


class Rows(NamedTuple):
    """Data (n, 2) in three parts that no sampler mixes up."""

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor


def rows_of(points, n, seed):
    """n points of the data for each part: Rows."""
    return Rows(*points.draw(3 * n, seed)[0].split(n))


def mixture(points, n, rng, *, weights=None, widen=1.0):
    """n points (n, 2) of the same Gaussians with other weights (k,) or another width."""
    centers = points.centers()
    weights = torch.ones(len(centers)) if weights is None else weights
    chosen = torch.multinomial(weights, n, replacement=True, generator=rng)
    return centers[chosen] + widen * points.std * torch.randn(n, 2, generator=rng)


def some(rows, n, rng):
    """n of the rows (m, 2), with repetition."""
    return rows[torch.randint(len(rows), (n,), generator=rng)]


def noisy(points, n, rng):
    """The data, with a tenth of the samples uniform on the square around them."""
    x, reach = mixture(points, n, rng), float(points.centers().abs().max()) + 1
    bad = torch.rand(n, generator=rng) < 0.1
    return torch.where(bad[:, None], reach * (2 * torch.rand(n, 2, generator=rng) - 1), x)


def only(points, first, last):
    """Weights (k,) of the mixture that has the modes from first to last."""
    at = torch.arange(len(points.centers()))
    return ((at >= first) & (at < last)).float()


def broad(points, n, rng):
    """One Gaussian with the variance of the whole set."""
    variance = points.centers().square().mean() + points.std**2
    return variance.sqrt() * torch.randn(n, 2, generator=rng)


SAMPLERS = {  # name: (points, train, n, rng) -> (n, 2)
    "the data": lambda points, train, n, rng: mixture(points, n, rng),
    "copies of 1,000": lambda points, train, n, rng: some(train, n, rng),
    "copies of 100": lambda points, train, n, rng: some(train[:100], n, rng),
    "one mode": lambda points, train, n, rng: mixture(points, n, rng, weights=only(points, 7, 8)),
    "20 of 25 modes": lambda points, train, n, rng: mixture(points, n, rng, weights=only(points, 0, 20)),
    "uneven weights": lambda points, train, n, rng: mixture(
        points, n, rng, weights=0.8 ** torch.arange(len(points.centers())).float()
    ),
    "blurred, 3 x std": lambda points, train, n, rng: mixture(points, n, rng, widen=3.0),
    "narrow, std / 3": lambda points, train, n, rng: mixture(points, n, rng, widen=1 / 3),
    "10 % noise": lambda points, train, n, rng: noisy(points, n, rng),
    "each ten times": lambda points, train, n, rng: mixture(points, n // 10, rng).repeat(10, 1),
    "one broad Gaussian": lambda points, train, n, rng: broad(points, n, rng),
}


def sample(name, points, train, n, seed, use):
    """n samples of that sampler; use: another draw for each use."""
    return SAMPLERS[name](points, train, n, generator(seed, "sampler", name, use))


# The critic


def train_critic(config, real, fake, seed, device, watch=None, every=None):
    """A fresh critic, trained on real and fake rows (n, 2). Returns it and the History; watch(critic) -> {name: number}."""
    net = mlp([real.shape[1], config.width, config.width, 1], generator=generator(seed, "critic"))
    nets = nn.ModuleDict({"critic": net}).to(device)

    def step(nets, opts, x, z):
        return evaluation.critic_step(nets, opts, x, z, config.penalty_weight)

    history = fit(step, nets, adams(nets, config.learning_rate, (0.5, 0.9)), (real, fake), 1, batch=config.batch,
                  steps=config.steps, seed=seed, device=device, prepare=None, schedule=cosine(config.steps),
                  log_every=every or config.steps, watch=watch and (lambda done: watch(nets["critic"])))  # fmt: skip
    return nets["critic"], history


# 11.3 Which metric sees which fault


@dataclass(frozen=True)
class Faults:
    """Samplers of the grid, most of them with one fault, and all metrics of the chapter."""

    critic: Critic
    data: Points = GRID
    points: int = 1000  # samples, and rows of each part of the data
    k: int = 5  # neighbors


METRICS = {  # recorded name: whether more is better (+1), or less (-1), or nearer to the data's value (0)
    "modes": 1,
    "quality": 1,
    "overlap": 1,
    "Fréchet": -1,
    "KID": -1,
    "precision": 1,
    "recall": 1,
    "density": 1,
    "coverage": 1,
    "score": 1,
    "critic": -1,
    "1-NN": 0,
    "near train": 0,
    "pairs": -1,
}


def measure(config, name, rows, seed, device):
    """All metrics of one sampler: {metric: float}."""
    n = config.points
    x = sample(name, config.data, rows.train, n, seed, "scored")
    found, near = (
        evaluation.modes(x, config.data.centers(), config.data.std),
        neighbors.neighborhoods(rows.test, x, config.k),
    )
    classes = (-torch.cdist(x, config.data.centers()).square() / (2 * config.data.std**2)).double().softmax(1)
    fresh = sample(name, config.data, rows.train, n, seed, "to train on")
    critic, _ = train_critic(config.critic, rows.validation, fresh, seed, device)
    return {
        "modes": found.covered,
        "quality": found.quality,
        "overlap": found.overlap,
        "Fréchet": evaluation.frechet(x, rows.test),
        "KID": evaluation.kid(x, rows.test),
        **near._asdict(),
        "score": evaluation.classifier_score(classes),
        "critic": evaluation.critic_gap(critic, rows.test.to(device), x.to(device)),
        "1-NN": neighbors.nearest_neighbor_accuracy(x, rows.test),
        "near train": neighbors.memorizing(x, rows.train, rows.test),
        "pairs": evaluation.birthdays(x[torch.randperm(n, generator=generator(seed, "few"))[:200]], 1e-5).pairs,
    }


def run_faults(config, seed, device):
    """Every metric of every sampler, against the same test rows."""
    rows = rows_of(config.data, config.points, seed)
    numbers, arrays = {}, {}
    for name in SAMPLERS:
        found = measure(config, name, rows, seed, device)
        numbers |= {(name, metric): found[metric] for metric in METRICS}
        arrays[name] = sample(name, config.data, rows.train, config.points, seed, "scored")
    return {"numbers": arms.named(numbers), "arrays": arrays}


def seen(values, truth, better):
    """How a fault looks to a metric, from lists of numbers, one per seed, of fault and truth: "seen", "praised" or "".

    It is seen if every seed is worse than all seeds of the truth, and praised if every seed is better. better: 1 if more is
    better, -1 if less is, 0 if either deviation is a fault.
    """
    if not all(map(math.isfinite, (*values, *truth))):
        return ""
    side = (min(values) > max(truth)) - (max(values) < min(truth))
    if not side:
        return ""
    return "praised" if side == better else "seen"


def table(ax, results, samplers, metrics, truth):
    """Draw means over the seeds, a row per sampler and a column per metric {name: better}, in the colors of `seen`."""
    for row, name in enumerate(samplers):
        for column, (metric, better) in enumerate(metrics.items()):
            values = drawing.over_seeds(results, arms.name(name, metric))
            look = "" if name == truth else seen(values, drawing.over_seeds(results, arms.name(truth, metric)), better)
            color = {"seen": COLORS["orange"], "praised": COLORS["sky"], "": "white"}[look]
            ax.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=color, alpha=0.55, lw=0)
            text, weight = short(sum(values) / len(values)), "bold" if look == "seen" else "normal"
            ax.text(column, row, text, ha="center", va="center", fontsize=8, weight=weight)
    ax.set(xlim=(-0.5, len(metrics) - 0.5), ylim=(len(samplers) - 0.5, -0.5), yticks=(), xticks=range(len(metrics)))
    ax.set_xticklabels(list(metrics), rotation=40, ha="left", fontsize=9)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(False)
    for line in range(len(samplers)):
        ax.axhline(line + 0.5, color="0.8", lw=0.6)


def short(value):
    """A number as text of two digits, or of all before the point."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < 0.005:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


def draw_faults(results, config):
    """A table: a row per sampler with a picture of its samples (n, 2), a column per metric, the mean over the seeds."""
    rows = len(SAMPLERS)
    fig, (pictures, ax) = drawing.panels(1, 2, (9.0, 5.6), width_ratios=(1.1, len(METRICS)), layout="none")
    fig.subplots_adjust(left=0.165, right=0.975, top=0.88, bottom=0.02, wspace=0.01)
    table(ax, results, SAMPLERS, METRICS, "the data")
    for row, name in enumerate(SAMPLERS):
        x = results[0]["arrays"][name] / 12.0  # the square of side 10 becomes less than a cell
        x = x[(x.abs() < 0.47).all(1)]
        pictures.plot(x[:, 0], x[:, 1] + row, ".", ms=0.7, color=COLORS["blue"])
        pictures.axhline(row + 0.5, color="0.8", lw=0.6)
    pictures.set(ylim=(rows - 0.5, -0.5), xlim=(-0.5, 0.5), xticks=(), yticks=range(rows))
    pictures.set_yticklabels(list(SAMPLERS))
    pictures.tick_params(length=0)
    pictures.grid(False)
    return fig


def verdict_faults(summary):
    """Which metrics see each fault in every seed, a line per sampler."""
    said = []
    for name in list(SAMPLERS)[1:]:
        found, praised = [], []
        for metric, better in METRICS.items():
            one, truth = (summary[arms.name(each, metric)] for each in (name, "the data"))
            apart = verdicts.ranges_apart(one, truth)
            if apart and (better == 0 or apart != better):
                found.append(metric)
            elif apart:
                praised.append(metric)
        praise = f" (better than the data by {verdicts.listed(praised)})" if praised else ""
        said.append(f"{name}: seen by {verdicts.listed(found, 'no metric')}{praise}")
    return ";\n  ".join(said) + "."


# 11.4 Where a critic is read


@dataclass(frozen=True)
class Reading:
    """One critic per sampler, read over its training on the rows that it learns from and on rows that it never saw."""

    critic: Critic
    data: Points = GRID
    points: int = 300  # rows of each part of the data, and samples
    moments: int = 20  # at which a critic is read


READ = ("the data", "copies of 100", "20 of 25 modes")
PLACES = {"learned rows": Look("on the rows it learned from", "vermillion", LINES[1]),
          "new rows": Look("on new rows", "blue", LINES[0])}  # fmt: skip
CHANGE = "change over the last quarter, new rows"


def run_reading(config, seed, device):
    """Gaps over training: on the rows trained on, and on test rows against other samples."""
    rows, numbers, arrays = rows_of(config.data, config.points, seed), {}, {}
    for name in READ:
        fake, other = (sample(name, config.data, rows.train, config.points, seed, use) for use in ("learned", "new"))

        def watch(critic, fake=fake, other=other):
            pairs = {"learned rows": (rows.validation, fake), "new rows": (rows.test, other)}
            return {
                place: evaluation.critic_gap(critic, *(x.to(device) for x in pair)) for place, pair in pairs.items()
            }

        every = max(1, config.critic.steps // config.moments)
        _, history = train_critic(config.critic, rows.validation, fake, seed, device, watch, every)
        arrays["step"] = torch.tensor([each["step"] for each in history.watched])
        for place in PLACES:
            curve = torch.tensor([each[place] for each in history.watched])
            arrays[f"{name} {place}"], numbers[name, f"gap on {place}"] = curve, curve[-1]
        numbers[name, CHANGE] = curve[-1] - curve[max(0, 3 * len(curve) // 4 - 1)]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_reading(results, config):
    """A panel per sampler: the gap (moments,) over the steps, mean and range of the seeds."""
    fig, axes = drawing.panels(1, len(READ), (8.4, 3.2), sharey=True, layout="constrained")
    for ax, name in zip(axes, READ, strict=True):
        for place, look in PLACES.items():
            curves = [r["arrays"][f"{name} {place}"] for r in results]
            drawing.band(ax, results[0]["arrays"]["step"], curves, look, marker="")
        ax.axhline(0, color="black", lw=0.8)
        ax.set(title=name, xlabel="step of the critic")
    axes[0].set_ylabel("gap of the critic")
    drawing.legend_below(fig, axes[0])
    return fig


def verdict_reading(summary):
    """Is the gap of the data 0 on new rows, is it on learned ones, and which samplers stand out on new rows?"""
    truth = summary[arms.name("the data", "gap on new rows")]
    learned = summary[arms.name("the data", "gap on learned rows")]
    above = [n for n in READ[1:] if verdicts.ranges_apart(summary[arms.name(n, "gap on new rows")], truth) == 1]
    moved = [n for n in READ if verdicts.sign(summary[arms.name(n, CHANGE)])]
    return (
        f"The critic of the data against the data gains {verdicts.span(learned, '.2f')} on the rows it learned from, and "
        f"{verdicts.span(truth, '.2f')} on new rows. On new rows these gain more than that in every seed: "
        f"{verdicts.listed(above, 'none')}. A resolved change over the last quarter of the steps: {verdicts.listed(moved)}."
    )


RECIPES = {
    "11.3": Recipe(
        title="Which metric sees which fault",
        caption="Eleven samplers of the 25-Gaussian grid, 1,000 samples each against 1,000 test points, means over "
        "five seeds. Orange and bold: in every seed worse than fresh samples of the data in any seed, so the metric "
        "sees the fault. Blue: in every seed better than fresh samples in any. White: not told from the data. Pairs: "
        "how many coincide among 200 samples. The critic has two hidden layers, and its learning rate falls along a "
        "cosine to 0.",
        alt="A table with a small picture of each sampler. Copies have 0 in the column of the distance to the training set. "
        "One mode leaves quality and precision white; blur leaves modes, Fréchet, KID and score white and has a blue recall. "
        "No column is colored in every row.",
        run=run_faults, draw=draw_faults, verdict=verdict_faults, seeds=tuple(range(5)), record="cpu",
        quick=Faults(Critic(width=16, steps=20), points=200), cpu=Faults(Critic()), full=Faults(Critic(128, 10_000)),
    ),
    "11.4": Recipe(
        title="Where a critic is read",
        caption="A Wasserstein critic for each of three samplers, trained on 300 validation points and 300 samples, "
        "and its gap over its training: on those rows, and on new ones (300 test points and 300 other samples). Mean "
        "and range of five seeds. The critics have two hidden layers, and their learning rate falls along a cosine to 0.",
        alt="Three panels of two bands each. For the data the gap on learned rows is above zero while that on new rows lies "
        "around zero. For copies both means are above zero, on new rows lower; for missing modes both are equally high.",
        run=run_reading, draw=draw_reading, verdict=verdict_reading, seeds=tuple(range(5)), record="cpu",
        quick=Reading(Critic(width=16, steps=40), moments=4, points=200), cpu=Reading(Critic(steps=1200)),
        full=Reading(Critic(128, 20_000)),
    ),
}  # fmt: skip
