"""Experiments of chapter 07 on digits: class sheets, and a combination that was never seen.

Those on points, and the training that both have in common, are in conditional_points.py.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import Flatten, Sequential, Sigmoid
from torch.nn.functional import avg_pool2d

from gentools import conditional_gan as cgan
from gentools.lab import data
from gentools.lab.networks import classifier, mlp
from gentools.lab.optim import cosine
from gentools.lab.plots import COLORS, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.neighbors import nearest
from gentools.recipes import Recipe, conditional_points
from gentools.recipes.conditional_points import PLACES, Place, codes, noise, train_cgan
from gentools.recipes.shared import arms, curves, drawing, judging, verdicts
from gentools.recipes.shared.drawing import Look

# 7.3 to 7.5 Digits


def load(name, split):
    """Images, uint8 (n, 1, side, side), and classes (n,). The scans are split 1,400 to 397, in their order."""
    if name == "digits":
        part = slice(1400) if split == "train" else slice(1400, None)
        return tuple(tensor[part] for tensor in data.digits())
    x, c = data.mnist(split)
    return (avg_pool2d(x.float(), 2).round().to(torch.uint8) if name == "mnist 14x14" else x), c


def linear_networks(config, seed, codes):
    """z (n, latent) -> images as vectors (n, side^2) -> logits (n, 1)."""
    w, pixels = config.width, config.data.side**2
    return cgan.networks(seed, [config.latent, w, w, pixels], [pixels, w, w, 1], *codes, Sigmoid())


def image_networks(config, seed, codes):
    """z (n, latent) -> images (n, 1, side, side) -> logits (n, 1)."""
    return cgan.image_networks(seed, config.latent, *codes, config.data.side, config.width)


def as_vectors(x):
    """Images (n, 1, side, side) as linear layers take them, (n, side^2)."""
    return x.flatten(1)


def as_images(x):
    """Images (n, 1, side, side) as they are."""
    return x


class Images(NamedTuple):
    """Pictures by the name that `load` knows, their side, and the networks for them with what these take."""

    name: str
    side: int
    networks: object
    rows: object


SCANS = Images("digits", 8, linear_networks, as_vectors)
SMALL_MNIST = Images("mnist 14x14", 14, image_networks, as_images)
MNIST = Images("mnist", 28, image_networks, as_images)


@dataclass(frozen=True)
class Digits:
    """One conditional GAN on digits."""

    data: Images = SMALL_MNIST
    batch: int = 64
    steps: int = 4000
    latent: int = 32
    learning_rate: float = 1e-3  # of both players
    width: int = 32  # of the hidden layers, or maps of the largest one


T4 = Digits(MNIST, batch=128, steps=10_000, latent=64, learning_rate=5e-4, width=64)
QUICK = Digits(SCANS, steps=4000, latent=8, width=128)


def train_judge(x, c, classes, seed, device="cpu", steps=5000):
    """A classifier of images, side^2-512-k, that no generator is trained against. Its rate falls to 0."""
    judge = mlp([x[0].numel(), 512, classes], generator=generator(seed, "judge"))
    return judging.train_judge(judge, x.flatten(1), c, steps=steps, seed=seed, schedule=cosine(steps), device=device)


def right(judge, x, c):
    """1 where the judge names class c (n,) for images in [0, 1], 0 elsewhere: floats (n,)."""
    return (judging.named(judge, x.flatten(1)) == c).float()


def class_grid(nets, config, classes, seed, columns=10):
    """One row per class, one column per z: images (len(classes) * columns, 1, side, side)."""
    z = noise(columns, nets, config.latent, seed, "grid").repeat(len(classes), 1)
    asked = torch.tensor(classes).repeat_interleave(columns).to(z.device)
    return cgan.sample(nets, z, asked).cpu().reshape(-1, 1, config.data.side, config.data.side)


# 7.3 The label in both players, two judges, and the nearest training pictures

JUDGES = {
    "first judge": Look("first judge: linear layers", "blue", marker="o"),
    "second judge": Look("second judge: convolutions", "orange", marker="s"),
}
ASKED, KNOWN = "asked class comes out", "judge on held-out images"
SECOND, SECOND_KNOWN = "asked class comes out, second judge", "second judge on held-out images"
LATE = "asked class comes out, at the end minus after three quarters"
STORED, SIZE = "nearest of all images is a training image", "share of training images among all"


@dataclass(frozen=True)
class Sheet:
    """Digits with the label in both players."""

    training: Digits
    per_class: int = 200  # samples of each class that the judges see
    judge_steps: tuple = (5000, 1000)  # of the two judges
    compared: int = 500  # samples whose nearest of all images is sought
    moments: int = 8  # at which samples are judged, equally spaced


@functools.cache
def judges(name, steps, device):
    """Two classifiers of images, trained on the training set alone: {name: (classifier, its accuracy on held-out ones)}."""
    (x, c), (x_test, c_test), found = load(name, "train"), load(name, "test"), {}
    linear = Sequential(Flatten(), mlp([x[0].numel(), 512, 10], generator=generator(0, "judge")))
    nets = (linear, classifier(x.shape[-1], generator=generator(0, "second judge")))
    for judge, net, n in zip(JUDGES, nets, steps, strict=True):
        judging.train_judge(net, x, c, steps=n, seed=0, schedule=cosine(n), device=device)
        found[judge] = net, judging.accuracy(net, unit(x_test), c_test)
    return found


def sheet_model(config, seed):
    """The networks of figure 7.3, untrained."""
    return config.training.data.networks(config.training, seed, codes(PLACES["both"], 10))


def share_stored(samples, rows, held):
    """Share of samples (n, d) whose nearest of all images is one of the training rows (m, d), not of those held out; 0-d."""
    return (nearest(samples, torch.cat([rows, held])).index < len(rows)).double().mean()


def run_sheet(config, seed, device):
    """Digits of every class: what two judges see in them over training, and the training images nearest to them."""
    t = config.training
    (x, c), (x_test, _) = load(t.data.name, "train"), load(t.data.name, "test")
    known, nets = judges(t.data.name, config.judge_steps, device), sheet_model(config, seed).to(device)
    asked = torch.arange(10).repeat_interleave(config.per_class)

    def made():
        z = noise(len(asked), nets, t.latent, seed)
        return cgan.sample(nets, z, asked.to(z.device)).cpu().reshape(-1, 1, t.data.side, t.data.side)

    def watch(done):
        images = made()
        return {name: judging.accuracy(net, images, asked) for name, (net, _) in known.items()}

    history = train_cgan(nets, t.data.rows(x), c, t, seed, device, schedule=cosine(t.steps), watch=watch,
                         log_every=-(-t.steps // config.moments), config={"watched with": repr(config)})  # fmt: skip
    images, shown = made(), class_grid(nets, t, range(10), seed)
    hits = torch.stack([judging.named(net, images) == asked for net, _ in known.values()]).float()  # (judges, n)
    by_class = hits.view(len(known), 10, -1).mean(2)  # (judges, classes)
    paths = torch.tensor([[each[name] for name in known] for each in history.watched]).T  # (judges, moments)
    rows, held = unit(x).flatten(1), unit(x_test).flatten(1)
    some = images.flatten(1)[:: max(1, len(images) // config.compared)]  # (compared, pixels)
    numbers = {
        ASKED: by_class[0].mean(),
        "the same, worst class": by_class[0].min(),
        "the same, best class": by_class[0].max(),
        KNOWN: known["first judge"][1],
        SECOND: by_class[1].mean(),
        SECOND_KNOWN: known["second judge"][1],
        LATE: curves.change(paths[0]),
        STORED: share_stored(some, rows, held),
        SIZE: len(rows) / (len(rows) + len(held)),
    }
    arrays = {
        "grid": shown,
        "nearest": x[nearest(shown.flatten(1), rows).index],
        "by class": by_class,
        "paths": paths,
        "step": torch.tensor([each["step"] for each in history.watched]),
    }
    return {"numbers": numbers, "arrays": arrays, "nets": nets}


def draw_sheet(results, config):
    """Sheets of seed 0 and the nearest training images (100, 1, side, side); below, what the judges see in every seed."""
    fig, axes = drawing.mosaic("ab;cd", (8.4, 7.2), height_ratios=(1.5, 1))
    a, limits = results[0]["arrays"], (0.45, 1.03)
    grid_of(axes["a"], a["grid"], range(10))
    grid_of(axes["b"], a["nearest"] / 255, range(10))
    axes["a"].set_title("samples: asked class by row, one z per column")
    axes["b"].set_title("the training image nearest to each")
    for i, (look, line) in enumerate(zip(JUDGES.values(), ("-", "--"), strict=True)):
        for c in range(10):
            values = [float(r["arrays"]["by class"][i, c]) for r in results]
            drawing.seed_points(axes["c"], c + 0.34 * (i - 0.5), values, look, spread=0.03, size=4, half_width=0.14)
        drawing.seed_curves(axes["d"], a["step"], [r["arrays"]["paths"][i] for r in results], look, ls=line)
        known = drawing.over_seeds(results, (KNOWN, SECOND_KNOWN)[i])
        axes["c"].axhline(sum(known) / len(known), color=look.rgb, ls=line, lw=1, zorder=0)
        axes["c"].plot([], [], **look.as_points(ms=5))
    axes["c"].plot([], [], color="0.4", lw=1, label="each on held-out images")
    axes["c"].set(title="asked class seen by two judges", xlabel="asked class", xticks=range(10), ylim=limits)
    axes["d"].set(title="over training", xlabel="step", ylim=limits)
    drawing.legend_below(fig, axes["c"], columns=3)
    return fig


def verdict_sheet(summary):
    """The share of the asked class for both judges, whether it had settled, and whether samples keep to training images."""
    if not verdicts.finished(summary[ASKED]):
        return "No run finished."
    above = all(verdicts.always_above(summary[what], 0.5) for what in (ASKED, SECOND))
    where = "in every seed above five times chance" if above else "not in every seed above five times chance"
    gaps = [verdicts.separated(summary[a], summary[b]) for a, b in ((ASKED, KNOWN), (SECOND, SECOND_KNOWN))]
    words = {-1: "below", 0: "not told from", 1: "above"}
    more = {-1: "less often than", 0: "about as often as", 1: "more often than"}
    return (
        f"The asked class comes out in {verdicts.percent(summary[ASKED])} by the first judge and in "
        f"{verdicts.percent(summary[SECOND])} by the second, {where}. The rate is {words[gaps[0]]} the first judge's accuracy on "
        f"held-out images, and {words[gaps[1]]} the second's. By the first judge it is "
        f"{verdicts.settling(summary[ASKED], summary[LATE])} at the end, where the learning rate is 0. The nearest of all images is a training image "
        f"{more[verdicts.separated(summary[STORED], summary[SIZE])]} by their number alone."
    )


# 7.4 The label in one place


@dataclass(frozen=True)
class Placed:
    """Digits with the label in one place."""

    training: Digits
    place: Place = PLACES["both"]
    per_class: int = 200  # samples of each class that the judge sees
    every: int = 500  # steps between evaluations


def run_placed(config, seed, device):
    """Digits with the label in some place: the class grid, and how often a judge sees the asked class."""
    t = config.training
    (x, c), (x_test, c_test) = load(t.data.name, "train"), load(t.data.name, "test")
    judge, nets = train_judge(x, c, 10, seed, device), placed_model(config, seed).to(device)
    asked = torch.arange(10).repeat_interleave(config.per_class)

    def hits():
        z = noise(len(asked), nets, t.latent, seed)
        return right(judge, cgan.sample(nets, z, asked.to(z.device)), asked)

    history = train_cgan(nets, t.data.rows(x), c, t, seed, device, schedule=cosine(t.steps), log_every=config.every,
                         watch=lambda done: {"asked class": float(hits().mean())},
                         config={"watched with": repr(config)})  # fmt: skip
    by_class = hits().view(10, -1).mean(1)  # (10,)
    numbers = {
        "asked class comes out": by_class.mean(),
        "the same, worst class": by_class.min(),
        "the same, best class": by_class.max(),
        "judge on held-out images": right(judge, unit(x_test), c_test).mean(),
    }
    arrays = {
        "grid": class_grid(nets, t, range(10), seed),
        "by class": by_class,
        "curve": torch.tensor([w["asked class"] for w in history.watched]),  # (evaluations,)
    }
    return {"numbers": numbers, "arrays": arrays, "nets": nets}


def placed_model(config, seed):
    """The networks of figure 7.4, untrained."""
    return config.training.data.networks(config.training, seed, codes(config.place, 10))


def grid_of(ax, images, labels, columns=10):
    """A sheet with one label per row; images (rows * columns, 1, side, side) in [0, 1]."""
    image_grid(ax, images.clamp(0, 1), columns)
    side = images.shape[-1] + 1
    for row, label in enumerate(labels):
        ax.text(-side / 4, (row + 0.5) * side, label, ha="right", va="center", fontsize=10)


def draw_blind(results, config):
    """The class grid, and how often the asked class came out over training (evaluations,), every seed."""
    fig, (left, ax) = drawing.panels(1, 2, (8.4, 4.4), width_ratios=(1.15, 1))
    grid_of(left, results[0]["arrays"]["grid"], range(10))
    left.set_title("asked class by row, one z per column")
    for i, r in enumerate(results):
        curve = r["arrays"]["curve"]
        steps = config.every * torch.arange(1, len(curve) + 1)
        ax.plot(steps, curve, color=COLORS["vermillion"], ls="-", marker=MARKERS[i % 8], ms=4, lw=1.1)
    drawing.level(ax, 0.1, "chance", at=0.955, ls="--", above=12, ha="right")
    ax.set(title="the judge sees the asked class, every seed", xlabel="step", ylim=(0, 1.03))
    return fig


def verdict_placed(summary):
    """The share of the asked class against chance, and against the judge's accuracy on held-out images."""
    asked, judge = summary["asked class comes out"], summary["judge on held-out images"]
    if not verdicts.finished(asked):
        return "No run finished."
    high = verdicts.always_above(asked, 0.9)
    if not high and not verdicts.beside(asked, 0.1):
        held = "one run has no interval" if asked["low"] is None else "the 95 % interval holds it"
        never = "is not told from" if asked["low"] is None else "comes out no more often than"
        return f"The asked class {never} chance, one in ten: {held}."
    where = "in every seed above nine times chance" if high else "off chance"
    gap = {-1: "below", 0: "not told from", 1: "above"}[verdicts.separated(asked, judge)]
    return f"The asked class comes out {where}; the rate is {gap} the accuracy of the judge on held-out images."


# 7.5 A class in a style in which it was never seen


class Code(NamedTuple):
    """How a combination of class and style is told to the networks: in words, and as a table of 20 rows."""

    words: str
    table: object


CODES = {
    "pair": Code("a vector per pair", lambda: cgan.one_hot(20)),
    "sum": Code("class + style", lambda: cgan.factored(10, 2)),
}
STYLES = {
    "negative": lambda x: 255 - x,
    "turned": lambda x: x.rot90(1, (2, 3)),
}
ARMS = [(style, how) for style in STYLES for how in CODES]
SEEN = {
    "seen, both right": Look("seen, both right", "blue", marker="o"),
    "unseen, style right": Look("unseen, style right", "orange", marker="s"),
    "unseen, both right": Look("unseen, both right", "vermillion", marker="D"),
}


@dataclass(frozen=True)
class Unseen:
    """Digits in two styles, without one of the twenty combinations."""

    training: Digits
    missing: tuple = (2, 3, 4, 5, 7)  # the class held out in seed 0, 1, ...
    samples: int = 500  # of the combination that was never seen


def with_style(x, c, style):
    """Every second image in the style, a function of images; combination c * 2 + s, with s = 1 for the style."""
    s = torch.arange(len(x)) % 2  # (n,)
    return torch.where(s[:, None, None, None] == 1, style(x), x), c * 2 + s


def run_unseen(config, seed, device):
    """Two styles of ten digits, one of the twenty combinations left out of training, and then asked for."""
    t, held = config.training, config.missing[seed % len(config.missing)]
    train_set, test_set = load(t.data.name, "train"), load(t.data.name, "test")
    unseen, neighbors = held * 2 + 1, [held * 2, (held + 1) % 10 * 2 + 1]
    numbers, arrays = {}, {"held": held}
    for style, change in STYLES.items():
        x, k = with_style(*train_set, change)
        judge = train_judge(x, k, 20, seed, device)
        x_test, k_test = with_style(*test_set, change)
        numbers[style, "judge on held-out images"] = right(judge, unit(x_test), k_test).mean()
        kept = k != unseen
        for how, code in CODES.items():
            nets = t.data.networks(t, seed, [code.table()] * 2).to(device)
            train_cgan(nets, t.data.rows(x[kept]), k[kept], t, seed, device)
            found, share = asked_for(nets, judge, config, unseen, seed)
            numbers |= {((style, how), what): value for what, value in found.items()}
            arrays[f"{style} {how} share"] = share
            arrays[f"{style} {how}"] = class_grid(nets, t, [*neighbors, unseen], seed, 8)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def asked_for(nets, judge, config, unseen, seed):
    """What the judge sees where 50 samples of each seen combination are asked for, and many of the unseen one.

    Returns {what: share}, and the shares (10, 2) of class and style in the samples of the unseen combination.
    """
    seen = torch.tensor([k for k in range(20) if k != unseen]).repeat_interleave(50)  # (950,)
    asked = torch.cat([seen, torch.full((config.samples,), unseen)])
    z = noise(len(asked), nets, config.training.latent, seed)
    found = judging.named(judge, cgan.sample(nets, z, asked.to(z.device)).flatten(1))
    share = (found[len(seen) :].bincount(minlength=20) / config.samples).view(10, 2)
    return {
        "seen, both right": (found == asked)[: len(seen)].float().mean(),
        "unseen, both right": share[unseen // 2, 1],
        "unseen, style right": share[:, 1].sum(),
    }, share


def draw_unseen(results, config):
    """A sheet (24, 1, side, side) per arm, seed 0; below, what the judge sees in every seed."""
    fig, axes = drawing.mosaic("ab;cd;ee", (8.4, 6.6), height_ratios=(1, 1, 1.75))
    a, ax = results[0]["arrays"], axes["e"]
    held = int(a["held"])
    for key, (style, how) in zip("abcd", ARMS, strict=True):
        rows = (f"{held}, seen", f"{(held + 1) % 10} {style}, seen", f"{held} {style}, unseen")
        grid_of(axes[key], a[f"{style} {how}"], rows, 8)
        axes[key].set_title(f"{style}: {CODES[how].words}")
    for i, (what, look) in enumerate(SEEN.items()):
        ax.plot([], [], **look.as_points(ms=6, alpha=0.8))
        for x, arm in enumerate(ARMS):
            values = drawing.over_seeds(results, arms.name(arm, what))
            drawing.seed_points(ax, x + 0.27 * (i - 1), values, look, spread=0.04, half_width=0.11)
    ax.axhline(1 / 20, color="0.45", ls="--", lw=1.2, zorder=0, label="chance, one in twenty")
    ax.set(xticks=range(4), xticklabels=[f"{style}:\n{CODES[how].words}" for style, how in ARMS], ylim=(-0.03, 1.06))
    ax.set_title("what the judge sees, every seed")
    drawing.legend_below(fig, ax, columns=4)
    return fig


def verdict_unseen(summary):
    """For each arm: is the unseen combination right as often as seen ones, and how often is its style?"""
    words = [f"{style}, {CODES[how].words}: {said_of_unseen(summary, (style, how))}" for style, how in ARMS]
    return f"How often the unseen combination is right, against seen ones. {'; '.join(words).capitalize()}."


def said_of_unseen(summary, arm):
    """What one arm did with the combination that it never saw."""
    seen, styled, both = (summary[arms.name(arm, what)] for what in SEEN)
    if not (verdicts.finished(seen) and verdicts.finished(both)):
        return "no run finished"
    half = seen | {"min": seen["min"] / 2, "max": seen["max"] / 2}
    word = {-1: "less often", 0: "not separated", 1: "more often"}[verdicts.separated(both, seen)]
    if verdicts.ranges_apart(both, half) == -1:
        word = "less than half as often, in every seed"
    return f"{word} (both in {verdicts.percent(both)}, the style alone in {verdicts.percent(styled)})"


RECIPES = conditional_points.RECIPES | {
    "7.3": Recipe(
        title="Ten classes by ten codes",
        caption="MNIST at 28x28 pixels, 4,500 steps with 16 maps on a CPU; the full recipe has more of both and needs "
        "a GPU. Top: samples of seed 0, and for each of them the training image at the least Euclidean distance, of "
        "whatever class. Bottom: how often two judges name the asked class, every seed, by class at the end and over "
        "training; level lines: how often they are right on held-out images. The rate of Adam, with betas 0.5 and "
        "0.999, falls to 0 along half a cosine. The record also has the share of 500 samples whose nearest of all "
        "70,000 images is one of the 60,000 for training.",
        alt="Top left: a sheet of ten by ten handwritten digits, a row for each class; most show the class of their row, some are "
        "broken or of another class. Top right: the nearest training images, most of them of the same class. Bottom left: points "
        "per class for two judges, nearly all above 0.85, the lowest for 9. Bottom right: curves that rise over the first half of "
        "the steps and end flat, between 0.9 and 1.",
        run=run_sheet, draw=draw_sheet, model=sheet_model, quick=Sheet(QUICK, judge_steps=(600, 300)),
        cpu=Sheet(Digits(MNIST, steps=4500, width=16)), full=Sheet(T4), seeds=tuple(range(5)), verdict=verdict_sheet, record="cpu",
    ),
    "7.4": Recipe(
        title="The same with a discriminator that does not see the class",
        caption="As in figure 7.3, but the class goes into G only. Left: samples of seed 0, asked class by row. Right: "
        "how often a judge of linear layers, like the first one there, names the asked class during training, every "
        "seed.",
        alt="Left: a sheet of ten by ten handwritten digits in which all ten rows are the same. Right: curves over "
        "training that stay close to the chance line at 0.1.",
        run=run_placed, draw=draw_blind, quick=Placed(QUICK, PLACES["only G"]),
        cpu=Placed(Digits(MNIST, steps=4500, width=16), PLACES["only G"]), full=Placed(T4, PLACES["only G"]), seeds=tuple(range(5)), verdict=verdict_placed,
        record="cpu",
    ),
    "7.5": Recipe(
        title="A digit in a style in which it was never seen",
        caption="MNIST at 14x14 pixels, CPU size. Of twenty combinations of digit and style one is left out of "
        "training, with another digit in every seed. Top: seed 0; the third row of each sheet is the combination that "
        "was never seen. Bottom: how often a judge, which was trained on all twenty, sees the asked digit and style, or "
        "at least the style. Adam with betas 0.5 and 0.999.",
        alt="Top: four sheets of digits in three rows. The two rows of seen combinations show the digits; the row of the "
        "unseen one shows noise (negative) or broken strokes (turned) with a vector per pair, and other digits in the asked style with class + "
        "style. Bottom: points; seen combinations between 0.8 and 1, unseen ones near 0, the style alone between one third and 1.",
        run=run_unseen, draw=draw_unseen, quick=Unseen(QUICK), cpu=Unseen(Digits(steps=3000, width=24)),
        full=Unseen(T4), seeds=tuple(range(5)), verdict=verdict_unseen, record="cpu",
    ),
}  # fmt: skip
