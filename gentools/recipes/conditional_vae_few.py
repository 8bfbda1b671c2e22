"""Figure 4.8: whether samples of a CVAE help a classifier that has few labeled images."""

from dataclasses import dataclass

import torch

from gentools import conditional_vae as cvae
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize, unit
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.drawing import looks
from gentools.recipes.shared.fitting import fit
from gentools.recipes.shared.pictures import labeled

CLASSES = 10


@dataclass(frozen=True)
class Few:
    """One classifier, trained on a few labeled images and on what is made of them."""

    data: str = "mnist"  # labeled pictures
    per_class: tuple = (5, 20, 80)  # labeled images of every class
    hidden: tuple = (200,)  # widths of the hidden layers of classifier, encoder and decoder
    latent: int = 10  # code dimensions
    batch: int = 100  # images a step
    steps: int = 30  # of the CVAE
    long_steps: int = 1000  # of the one that is trained longer
    learning_rate: float = 2e-3  # of the CVAE's Adam, at its highest
    made: int = 500  # images of every class that are made
    shift: int = 2  # pixels by which shifted images move at most
    judge_steps: int = 1500  # of the classifier, whatever it is trained on
    judge_rate: float = 1e-3  # of its Adam, at its highest
    tuning: tuple = (  # steps of the CVAE, shares right on 10,000 held-out training images: 5, 20, 80 a class, two seeds
        (10, 0.6847, 0.8295, 0.8924, 0.6581, 0.823, 0.8913),
        (30, 0.6781, 0.8313, 0.8928, 0.6684, 0.8292, 0.8926),
        (100, 0.671, 0.8237, 0.8909, 0.6592, 0.8216, 0.8867),
        (300, 0.4956, 0.6998, 0.8579, 0.5107, 0.7087, 0.8625),
        (1000, 0.3919, 0.5643, 0.7151, 0.3843, 0.5395, 0.7463),
    )


def first(images, labels, per_class, seed):
    """`per_class` images of every class, drawn with the seed: images and labels of classes 0, 1, ... in turn."""
    order = torch.randperm(len(labels), generator=generator(seed, "few"))
    rows = torch.cat([order[labels[order] == c][:per_class] for c in range(CLASSES)])
    return images[rows], labels[rows]


def repeated(rows, times):
    """Every image (n, 1, h, w) and label (n,), `times` times over, as values in [0, 1]."""
    images, labels = rows
    return unit(images).repeat(times, 1, 1, 1), labels.repeat(times)


def shifted(rows, times, most, seed):
    """The same, each copy moved by up to `most` pixels along both axes; what comes in from outside is black."""
    images, labels = repeated(rows, times)
    moves = torch.randint(-most, most + 1, (len(images), 2), generator=generator(seed, "shifts"))
    side = images.shape[-1]
    lines = torch.arange(side)
    row, column = (lines - moves[:, i, None] for i in range(2))  # (n, side): where each line comes from
    inside = ((row >= 0) & (row < side))[:, :, None] & ((column >= 0) & (column < side))[:, None]  # (n, side, side)
    n = torch.arange(len(images))[:, None, None]
    moved = images[n, 0, row.clamp(0, side - 1)[:, :, None], column.clamp(0, side - 1)[:, None]]
    return (moved * inside)[:, None], labels


def sampled(rows, steps, config, seed, device):
    """Decoder means (n, 1, h, w) of a CVAE trained on these images for so many steps, and their labels (n,)."""
    images, _ = rows
    nets = cvae.cvae_networks(seed, images[0].numel(), config.hidden, config.latent).to(device)
    fit(cvae.step, nets, {"vae": adam(nets.parameters(), config.learning_rate)}, rows, config.latent,
        batch=min(config.batch, len(images)), steps=steps, seed=seed, device=device, prepare=binarize,
        schedule=cosine(steps))  # fmt: skip
    asked = torch.arange(CLASSES).repeat_interleave(config.made)
    codes = torch.randn(len(asked), config.latent, generator=generator(seed, "made"))
    return cvae.decode(nets.to("cpu"), codes, asked).unflatten(1, images.shape[1:]), asked


def joined(*sets):
    """Several sets of images and labels as one."""
    return tuple(map(torch.cat, zip(*sets, strict=True)))


ALONE, SAMPLES, LONGER, COPIES = "labeled alone", "and CVAE samples", "and a longer CVAE's", "and shifted copies"
ADDED = {  # what the classifier sees besides -> images and labels, from few labeled rows
    SAMPLES: lambda rows, times, config, seed, device: sampled(rows, config.steps, config, seed, device),
    LONGER: lambda rows, times, config, seed, device: sampled(rows, config.long_steps, config, seed, device),
    COPIES: lambda rows, times, config, seed, device: shifted(rows, times, config.shift, seed),
}
ARMS = (ALONE, *ADDED)
LOOKS = looks(ARMS, ("orange", "blue", "purple", "green"))
SHARE = "right on held-out images"


def few(what, per_class):
    """The name of an arm: what the classifier was trained on, and how many labeled images of a class there were."""
    return f"{what}, {per_class} a class"


def gain(what, per_class):
    """The recorded name of what an arm adds to the labeled images alone, with the same images."""
    return f"{what} minus {ALONE}, {per_class} a class"


def run_few(config, seed, device):
    """The share of held-out images that each classifier gets right, for every number of labeled images."""
    images, labels = labeled(config.data, "train")
    test, y = labeled(config.data, "test")
    x, numbers, arrays = unit(test).flatten(1), {}, {}
    for n in config.per_class:
        rows, times = first(images, labels, n, seed), max(1, config.made // n)
        for what in ARMS:
            added = [ADDED[what](rows, times, config, seed, device)] if what in ADDED else []
            made, asked = joined(repeated(rows, times), *added)
            net = mlp([x.shape[1], *config.hidden, CLASSES], generator=generator(seed, "classifier"))
            judging.train_judge(net, made.flatten(1), asked, steps=config.judge_steps, seed=seed, batch=config.batch,
                                learning_rate=config.judge_rate, device=device,
                                schedule=cosine(config.judge_steps))  # fmt: skip
            numbers[few(what, n), SHARE] = judging.accuracy(net, x, y)
            if what in (SAMPLES, LONGER):  # of each class in turn: keep two of each, a row with all classes each
                own = added[0][0].unflatten(0, (CLASSES, config.made))[:, :2]
                arrays[few(what, n)] = own.transpose(0, 1).flatten(0, 1)  # (2 * classes, 1, h, w)
    numbers = arms.named(numbers)
    for n in config.per_class:
        alone, *others = (numbers[arms.name(few(what, n), SHARE)] for what in ARMS)
        numbers |= {gain(what, n): other - alone for what, other in zip(ADDED, others, strict=True)}
    return {"numbers": numbers, "arrays": arrays}


def draw_trials(ax, config):
    """The tuning trials: shares of right answers against the CVAE's steps, a line of means for each number of images."""
    steps, *shares = torch.tensor(
        config.tuning, dtype=torch.float64
    ).T  # (trials,), and one (trials,) per seed and number
    numbers = Few.per_class  # of the trials, whatever is drawn beside them
    for i, n in enumerate(numbers):
        seeds = torch.stack(shares[i :: len(numbers)])  # (seeds, trials)
        ax.plot(steps, seeds.mean(0), color="0.35", linestyle=drawing.LINES[i], label=f"{n} a class")
        ax.plot(steps, seeds.T, ".", color="0.35")
    ax.set(title="trials with CVAE samples", xlabel="steps of the CVAE", xscale="log")
    ax.axvline(config.steps, color="0.7", zorder=0)
    ax.legend(loc="lower left", frameon=True, framealpha=1, edgecolor="none")  # over the mark


def draw_few(results, config):
    """Shares of right answers of every seed against the labeled images, beside those of the trials; below, samples
    (20, 1, h, w) of the CVAE."""
    keys = "bcdefgh"[: len(config.per_class)]
    top, below = "a" * 2 * len(keys) + "t" * len(keys), "".join(3 * key for key in keys)
    fig, axes = drawing.mosaic(f"{top};{below}", (8.4, 5.6), height_ratios=(2.4, 1))
    draw_trials(axes["t"], config)
    names = {what: {n: arms.name(few(what, n), SHARE) for n in config.per_class} for what in ARMS}
    drawing.rate_columns(axes["a"], results, names, LOOKS, beside=1.04)
    axes["a"].set(xlabel="labeled images of each class", ylabel=SHARE)
    drawing.legend_below(fig, axes["a"], 4)
    for key, n in zip(keys, config.per_class, strict=True):
        both = torch.cat([results[0]["arrays"][few(what, n)][:, 0] for what in (SAMPLES, LONGER)])
        drawing.sheet(axes[key], both, f"CVAE, {n} a class", CLASSES, most=1)
    return fig


def verdict_few(summary):
    """What each addition changes, for every number of labeled images."""
    lines = []
    for what in ADDED:
        found = verdicts.by_labels(summary, {n: gain(what, n) for n in Few.per_class})
        lines.append(f"labeled images {what}, against these images alone: {found}")
    return ";\n  ".join(lines) + "."


RECIPES = {
    "4.8": Recipe(
        title="Samples for a classifier with few labels",
        caption="Left: a classifier trained on few labeled MNIST digits alone; on these and samples of a CVAE that was "
        "trained on the same digits, briefly (the tuned number of steps) or longer; and on these and shifted copies. Every "
        "point is one seed, with digits of its own; lines go through the means. Where something is added, half of what the "
        "classifier sees are the labeled digits themselves. Right: the trials that chose the number of steps, on two other "
        "seeds and held-out training images; the gray line marks the choice. Below: samples of the brief CVAE (upper two "
        "rows) and of the longer one (lower two), seed 0.",
        alt="Four rising lines with points, the share of right answers against the number of labeled images, and three "
        "small sheets of generated digits. Beside them, shares that stay level up to 100 steps of the CVAE and fall from there on.",
        run=run_few, draw=draw_few, verdict=verdict_few,
        quick=Few("digits", (5, 20), (50,), 5, 50, steps=30, long_steps=200, made=40, shift=1, judge_steps=200), full=Few(),
        seeds=tuple(range(5)),
    ),
}  # fmt: skip
