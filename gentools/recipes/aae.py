"""Experiments of chapter 08 on digits (8.3 to 8.7): adversarial autoencoders beside the VAE; aae_exact has the others."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from gentools import aae, vae
from gentools.lab.optim import cosine
from gentools.lab.plots import LINES
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize
from gentools.recipes import Recipe, aae_exact
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change, scored_at
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import held_out_bits, labeled

RECONSTRUCTION, DISTANCE = "reconstruction", "energy distance"  # of held-out images, of their codes from the prior
TOLD, OFF = "I(x;z)", "KL(p(z)||q(z))"
SCORES = (RECONSTRUCTION, DISTANCE, TOLD, OFF)
TWO = "two draws of the prior"


class Prior(NamedTuple):
    """A prior in the plane: draw(noise (n, 3), classes) -> (n, 2), and its log-density (n, 2) -> (n,), if it has one."""

    draw: object
    log_density: object = None


PRIORS = {
    "normal": Prior(aae.normal, aae.log_normal_prior),
    "petals": Prior(aae.petals, aae.petals_log_density),
    "swiss roll": Prior(aae.swiss_roll),
}


@dataclass(frozen=True)
class Training:
    """One autoencoder on labeled pictures, with a discriminator of the same widths."""

    data: str = "mnist"  # labeled pictures
    pooled: int = 1  # gray values are averaged over squares of so many pixels a side before they are binarized
    hidden: tuple = (1000, 1000)  # widths of the hidden layers
    batch: int = 128  # images a step; all of them where there are fewer
    steps: int = 40_000  # of training
    learning_rate: float = 1e-3  # of both optimizers at the start; falls to 0 along half a cosine
    betas: tuple = (0.5, 0.999)  # of both Adams
    moments: int = 8  # at which the codes are measured, equally spaced


DRAWN = 1000  # draws of the prior that codes are compared with


def pictures(config, split):
    """Images uint8 (n, 1, side, side), averaged as the configuration says, and their classes (n,)."""
    images, classes = labeled(config.data, split)
    small = avg_pool2d(images.float(), config.pooled).round().to(torch.uint8)
    return small, classes


def held_out(config, most=None):
    """Binarized test images (n, 1, side, side) and their classes (n,), the first `most` of them or all."""
    images, classes = pictures(config, "test")
    return held_out_bits(images)[:most], classes[:most]


def train_aae(rows, sets, prior, config, step, seed, device, **how):
    """Train one autoencoder and its discriminator, with an Adam for each, and measure its codes over training.

    rows: images, or (images, classes) if the discriminator sees classes. sets: {name: (images, classes or None)}, what is
    measured. how: what `aae.networks` takes besides. Returns the networks, on the CPU, and {(name, score): (moments,)}.
    """
    images = rows[0] if isinstance(rows, tuple) else rows
    nets = aae.networks(seed, images[0].numel(), config.hidden, **how).to(device)
    players = {"autoencoder": nn.ModuleList([nets["encoder"], nets["decoder"]]), "discriminator": nets["discriminator"]}
    opts = adams(players, config.learning_rate, config.betas)

    def watch(done):
        found = {name: measured(nets, *each, prior, seed) for name, each in sets.items()}
        return arms.named({(name, what): value for name, each in found.items() for what, value in each.items()})

    history = fit_kept(step, nets, opts, rows, 2 + aae.NOISE, batch=min(config.batch, len(images)), steps=config.steps,
                       seed=seed, device=device, prepare=binarize, schedule=cosine(config.steps), watch=watch,
                       log_every=max(1, config.steps // config.moments),
                       config={"watched with": repr([(name, len(x)) for name, (x, _) in sets.items()])})  # fmt: skip
    seen = history.watched
    curves = {
        (name, what): torch.tensor([each[arms.name(name, what)] for each in seen])
        for name in sets
        for what in SCORES
        if arms.name(name, what) in seen[-1]
    }
    return nets.to("cpu"), curves


@torch.no_grad()
def codes(nets, x, seed):
    """Mean, log-variance, noise and one sampled code of every image, (n, 2) each."""
    mean, log_variance = nets["encoder"](x)
    noise = torch.randn(mean.shape, generator=generator(seed, "code noise")).to(mean.device)
    return mean, log_variance, noise, vae.sample(mean, log_variance, noise)


def draws(prior, n, seed, c=None):
    """n draws (n, 2) of a prior, given their classes (n,) or not."""
    return prior.draw(torch.randn(n, aae.NOISE, generator=generator(seed, "prior")), c)


def measured(nets, x, c, prior, seed):
    """{score: number} of the codes of images x. c: their classes (n,), if each class has its own part of the prior.

    The information I(x; z) and the KL beside it are measured where the codes have noise and the prior a density.
    """
    x = x.to(next(nets.parameters()).device)
    mean, log_variance, noise, z = codes(nets, x, seed)
    found = {RECONSTRUCTION: float(rebuilt(nets, x, z)), DISTANCE: apart(z.cpu(), c, prior, seed)}
    if prior.log_density and log_variance.isfinite().all():
        # Codes get sharper as long as an AAE trains, soon too sharp for single precision.
        sharp = (each.double() for each in (mean, log_variance, noise))
        told, off = aae.split_kl_term(*sharp, prior.log_density)
        found |= {TOLD: float(told), OFF: float(off)}
    return found


def apart(z, c, prior, seed):
    """Energy distance of codes z (n, 2) from draws of the prior; with classes c (n,), its mean over the classes."""
    if c is None:
        return float(aae.energy_distance(z, draws(prior, DRAWN, seed)))
    own = draws(prior, len(z), seed, c)
    return float(torch.stack([aae.energy_distance(z[c == k], own[c == k]) for k in range(aae.CLASSES)]).mean())


def two_draws(prior, seed, c=None):
    """What `apart` is for codes that follow the prior: the distance between two draws of it."""
    n = DRAWN if c is None else len(c)
    return apart(draws(prior, n, seed + 1000, c), c, prior, seed)


@torch.no_grad()
def rebuilt(nets, x, z):
    """E[-log q(x|z)] in nats per image."""
    return -nets["decoder"].log_likelihood(x, z).mean()


def since(what):
    """The name of the change of a score over the last quarter of training."""
    return f"{what} at the end minus after three quarters"


def at_the_end(curves):
    """{(arm, score): number}: the scores at the end, and how far reconstruction and distance moved in the last quarter.

    curves: {(arm, score): (moments,)}.
    """
    ends = {(arm, what): curve[-1] for (arm, what), curve in curves.items()}
    late = {
        (arm, since(what)): change(curve) for (arm, what), curve in curves.items() if what in (RECONSTRUCTION, DISTANCE)
    }
    return ends | late


def end_of(summary, arm, what):
    """Whether the score of an arm had settled at the end of its runs, by `verdicts.settling`, and what was added last."""
    late = summary[arms.name(arm, since(what))]
    added = "" if late["mean"] is None else f" ({late['mean']:+.2g} in the last quarter)"
    return verdicts.settling(summary[arms.name(arm, what)], late) + added


# 8.3 The shape of a flower

WATCHED = "held out"  # the set that figures 8.3 to 8.5 measure


@dataclass(frozen=True)
class Shapes(Training):
    """AAEs and the VAE under the petal prior, with the weights of SHAPES."""

    held_out: int = 1000  # images that are measured


class Arm(NamedTuple):
    """One model: its weight of -log D against -log q(x|z), None for the VAE; its look; whether its encoder is noisy."""

    weight: object
    look: Look
    noisy: bool = True


SHAPES = {
    "AAE, weight 1": Arm(1.0, Look("AAE, weight 1", "orange", marker="s")),
    "AAE, weight 10": Arm(10.0, Look("AAE, weight 10", "green", marker="^")),
    "VAE": Arm(None, Look("VAE", "blue", marker="o")),
}
ROUND = "a round cloud of that size"


def step_of(prior, weight=None):
    """The AAE's step with that weight of -log D, or the VAE's where there is no weight."""
    if weight is None:
        return functools.partial(aae.sampled_vae_step, log_prior=prior.log_density)
    return functools.partial(aae.step, prior=prior.draw, weight=weight)


def round_cloud(prior, seed):
    """Energy distance of a normal law with the prior's mean square from the prior: what has its size and not its shape."""
    size = draws(prior, DRAWN, seed + 1000).square().mean().sqrt()
    return apart(size * torch.randn(DRAWN, 2, generator=generator(seed, "round cloud")), None, prior, seed)


def run_shapes(config, seed, device):
    """Held-out codes of AAEs and VAE under the petal prior, and their distance to it over training."""
    (images, _), (x, labels) = pictures(config, "train"), held_out(config, config.held_out)
    prior, curves = PRIORS["petals"], {}
    arrays = {"labels": labels, "prior": draws(prior, config.held_out, seed)}
    for name, arm in SHAPES.items():
        nets, seen = train_aae(images, {WATCHED: (x, None)}, prior, config, step_of(prior, arm.weight), seed, device)
        curves |= {(name, what): seen[WATCHED, what] for what in (RECONSTRUCTION, DISTANCE)}
        arrays[f"{name}: codes"] = codes(nets, x, seed)[-1]  # (held_out, 2)
    numbers = {(TWO, DISTANCE): two_draws(prior, seed), (ROUND, DISTANCE): round_cloud(prior, seed)}
    return {"numbers": arms.named(at_the_end(curves) | numbers), "arrays": arrays | arms.named(curves)}


def show_codes(ax, z, labels, title, limit=4.0):
    """Codes (n, 2) in a square of the plane, colored by class."""
    drawing.by_class(ax, z, labels)
    ticks, limits = (-2, 0, 2), (-limit, limit)
    ax.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect="equal", title=title)


def draw_shapes(results, config):
    """Draws of the prior and codes (held_out, 2) of the first seed; below, distances (moments,) of every seed."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("abcd;eeff", (8.4, 5.4), height_ratios=(1, 1.1))
    drawing.dots(axes["a"], a["prior"], "black", size=2)
    axes["a"].set(xlim=(-4, 4), ylim=(-4, 4), xticks=(-2, 0, 2), yticks=(-2, 0, 2), aspect="equal", title="the prior")
    for key, (name, arm), line in zip("bcd", SHAPES.items(), LINES, strict=False):
        show_codes(axes[key], a[f"{name}: codes"], a["labels"], name)
        for panel, what in (("e", DISTANCE), ("f", RECONSTRUCTION)):
            curves = [r["arrays"][arms.name(name, what)] for r in results]
            how = {"ls": line, "marker": arm.look.marker, "ms": 4}
            drawing.seed_curves(axes[panel], scored_at(config.steps, config.moments), curves, arm.look, **how)
    marks = []
    for text, ls in ((ROUND, "--"), (TWO, ":")):
        level = drawing.over_seeds(results, arms.name(text, DISTANCE))
        marks.append(axes["e"].axhline(sum(level) / len(level), color="0.3", lw=1.4, ls=ls, label=text))
    axes["e"].legend(handles=marks, loc="upper left")
    top = 1.25 * axes["e"].get_ylim()[1]  # above the curves is room for the legend
    axes["e"].set(title="energy distance to the prior", xlabel="step", ylim=(None, top))
    axes["f"].set(title="reconstruction", xlabel="step", ylabel="nats")
    axes["f"].legend()
    drawing.class_legend(fig)
    return fig


def said_of_shape(summary, arm, two):
    """How far one arm's codes are from the prior, against two draws of it, and whether that has settled."""
    distance, draws_apart = summary[arms.name(arm, DISTANCE)], summary[arms.name(two, DISTANCE)]
    word = {
        1: "farther than two draws in every seed",
        0: "not farther than two draws in every seed",
        -1: "nearer than two draws",
    }
    far = word[verdicts.ranges_apart(distance, draws_apart)]
    return f"{far} ({verdicts.span(distance, '.3f')} against {verdicts.span(draws_apart, '.3f')}; {end_of(summary, arm, DISTANCE)})"


def verdict_shapes(summary):
    """Do the codes take the prior's shape: against two draws of it, against a round cloud, and against each other?"""
    lines = [f"{name}: codes {said_of_shape(summary, name, TWO)}" for name in SHAPES]
    distances = arms.scores(summary, SHAPES, DISTANCE)
    cloud = summary[arms.name(ROUND, DISTANCE)]
    nearer = [name for name, s in distances.items() if verdicts.ranges_apart(s, cloud) == -1]
    lines.append(f"nearer to the prior than {ROUND} in every seed: {verdicts.listed(nearer)}")
    lines.append(f"by distance, intervals compared: {verdicts.ordered(distances, least_first=True)}")
    rebuilt_ = ", ".join(f"{name} {end_of(summary, name, RECONSTRUCTION)}" for name in SHAPES)
    return ";\n  ".join([*lines, f"reconstruction: {rebuilt_}"]) + "."


# 8.4 The measurement


@dataclass(frozen=True)
class Measured(Training):
    """VAE and AAEs under the normal prior, with the weights of ARMS."""

    held_out: int = 1000  # images that are measured


ARMS = {
    "VAE": Arm(None, Look("VAE", "blue", marker="o")),
    "AAE, weight 1": Arm(1.0, Look("AAE\n1", "orange", marker="s")),
    "AAE, weight 10": Arm(10.0, Look("AAE\n10", "green", marker="^")),
    "AAE, point codes": Arm(10.0, Look("AAE\npoint", "vermillion", marker="D"), noisy=False),
}


def run_measured(config, seed, device):
    """VAE and AAEs under the normal prior, on held-out images: reconstruction, I(x; z), distance to the prior."""
    (images, _), (x, _) = pictures(config, "train"), held_out(config, config.held_out)
    normal, curves = PRIORS["normal"], {}
    for name, arm in ARMS.items():
        _, seen = train_aae(images, {WATCHED: (x, None)}, normal, config, step_of(normal, arm.weight), seed, device,
                            noisy=arm.noisy)  # fmt: skip
        curves |= {(name, what): curve for (_, what), curve in seen.items()}
    numbers = at_the_end(curves) | {(TWO, DISTANCE): two_draws(normal, seed)}
    return {"numbers": arms.named(numbers), "arrays": arms.named(curves)}


def draw_measured(results, config):
    """A column per score: above, at the end, a point per seed and model; below, over training (moments,), every seed."""
    fig, axes = drawing.panels(2, 3, (8.4, 5.6))
    most, chance = math.log(config.held_out), max(drawing.over_seeds(results, arms.name(TWO, DISTANCE)))
    levels = {TOLD: (most, "log n"), DISTANCE: (chance, "two draws of the prior")}
    for (above, below), what, unit in zip(axes.T, (RECONSTRUCTION, TOLD, DISTANCE), ("nats", "nats", ""), strict=True):
        for i, ((name, arm), line) in enumerate(zip(ARMS.items(), LINES, strict=False)):
            if (recorded := arms.name(name, what)) in results[0]["numbers"]:
                values = drawing.over_seeds(results, recorded)
                above.plot([i] * len(values), values, **arm.look.as_points(ms=6, alpha=0.7))
                at, curves = scored_at(config.steps, config.moments), [r["arrays"][recorded] for r in results]
                drawing.seed_curves(below, at, curves, arm.look, ls=line, marker=arm.look.marker, ms=4)
        for ax in (above, below):
            ax.set_ylabel(unit)
            if what in levels:
                drawing.level(ax, *levels[what])
        above.set(title=what, xlim=(-0.6, 3.6))
        above.set_xticks(range(4), [arm.look.label for arm in ARMS.values()])
        below.set(xlabel="step")
        if what == DISTANCE:
            above.set_yscale("log")
            below.set_yscale("log")
    return fig


def verdict_measured(summary):
    """Whether the AAEs keep more of the image than the VAE, whether their codes lie closer to the prior, and how close."""
    lines = []
    for name in ("AAE, weight 1", "AAE, weight 10"):
        told, off = (
            verdicts.ranges_apart(*(summary[arms.name(arm, what)] for arm in (name, "VAE")))
            for what in (TOLD, DISTANCE)
        )
        keeps = {1: "keeps more", 0: "overlaps with it in how much it keeps", -1: "keeps less"}[told]
        near = {
            1: "its codes are farther from the prior",
            0: "their distances to the prior overlap",
            -1: "its codes are closer to the prior",
        }
        lines.append(f"{name} against the VAE, by ranges: it {keeps} of the image, and {near[off]}")
    lines += [f"{name}: codes {said_of_shape(summary, name, TWO)}" for name in ARMS]
    rebuilt_ = ", ".join(f"{name} {end_of(summary, name, RECONSTRUCTION)}" for name in ARMS)
    return ";\n  ".join([*lines, f"reconstruction: {rebuilt_}"]) + "."


# 8.5 Told the labels


@dataclass(frozen=True)
class Labeled(Training):
    """AAEs whose discriminator sees the class beside the code."""

    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    held_out: int = 1000  # images that are measured
    columns: int = 10  # pictures along each part of the prior


PLACED = "codes in the part of their class"
PARTED = ("petals", "swiss roll")  # priors with a part for each class


def along(prior, columns):
    """Points along each component: (10 * columns, 2), one row of `columns` points per class."""
    line = torch.linspace(-1.5, 1.5, columns)
    noise = torch.zeros(aae.CLASSES * columns, aae.NOISE)
    noise[:, 0] = line.repeat(aae.CLASSES)
    return prior.draw(noise, torch.arange(aae.CLASSES).repeat_interleave(columns))


def run_labeled(config, seed, device):
    """The discriminator sees the class beside the code: each class gets its own part of the prior."""
    rows, (x, labels) = pictures(config, "train"), held_out(config, config.held_out)
    curves, numbers, arrays = {}, {}, {"labels": labels}
    for name in PARTED:
        prior = PRIORS[name]
        nets, seen = train_aae(rows, {WATCHED: (x, labels)}, prior, config, step_of(prior, config.weight), seed, device,
                               classes=aae.CLASSES)  # fmt: skip
        *_, z = codes(nets, x, seed)  # (held_out, 2)
        centers = draws(prior, 20_000, seed, torch.arange(20_000) % aae.CLASSES)
        nearest = torch.cdist(z, centers).argmin(1) % aae.CLASSES
        numbers[name, PLACED] = (nearest == labels).double().mean()
        numbers[(TWO, name), DISTANCE] = two_draws(prior, seed, labels)
        for what in (RECONSTRUCTION, DISTANCE):
            curves[name, what] = seen[WATCHED, what]
        sheet = nets["decoder"](along(prior, config.columns)).detach()
        arrays |= {f"{name}: codes": z, f"{name}: sheet": sheet.reshape(-1, *x.shape[2:])}
        arrays[f"{name}: over training"] = seen[WATCHED, DISTANCE]
    return {"numbers": arms.named(at_the_end(curves) | numbers), "arrays": arrays}


def draw_labeled(results, config):
    """For either prior codes (held_out, 2), a sheet (10 * columns, h, w) with a class per row, and distances over training."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("abc;def", (8.4, 5.8))
    for (left, middle, right), name in zip(("abc", "def"), PARTED, strict=True):
        show_codes(axes[left], a[f"{name}: codes"], a["labels"], f"{name}: codes", 3.9)
        drawing.sheet(axes[middle], a[f"{name}: sheet"], "decoded along it", config.columns, most=1)
        curves = [r["arrays"][f"{name}: over training"] for r in results]
        drawing.band(
            axes[right], scored_at(config.steps, config.moments), curves, Look("AAE, told the labels", "green")
        )
        drawing.level(axes[right], max(drawing.over_seeds(results, arms.name((TWO, name), DISTANCE))), "two draws")
        axes[right].set(title="distance within classes", xlabel="step", yscale="log")
    drawing.class_legend(fig)
    return fig


def verdict_labeled(summary):
    """Whether most codes lie in the part of their class, and how far the codes of a class are from their part."""
    petals, roll = (summary[arms.name(name, PLACED)] for name in PARTED)
    most = verdicts.always_above(petals, 0.5) and verdicts.always_above(roll, 0.5)
    shapes = "; ".join(f"{name}: codes of a class {said_of_shape(summary, name, (TWO, name))}" for name in PARTED)
    return (
        f"most held-out codes lie in the part of the prior that belongs to their class "
        f"{'in every seed' if most else 'not in every seed'} "
        f"({verdicts.percent(petals)} and {verdicts.percent(roll)}; chance 10 %); {shapes}."
    )


# 8.6 The plane, decoded


@dataclass(frozen=True)
class Plane(Training):
    """One AAE with the normal prior, whose plane of codes is decoded."""

    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    held_out: int = 1000  # images that are measured
    side: int = 14  # pictures along each side of the plane


def plane_model(config, seed):
    """The networks of figure 8.6, untrained."""
    return aae.networks(seed, (28 // config.pooled) ** 2 if config.data == "mnist" else 64, config.hidden)


def quantiles(side):
    """Codes (side * side, 2) on a lattice that the normal law finds equally probable: from left to right, top to bottom."""
    line = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    return torch.cartesian_prod(-line, line).flip(1)


def run_plane(config, seed, device):
    """One AAE: pictures decoded from a lattice in the plane, held-out images beside what is rebuilt, draws of the prior."""
    (images, _), (x, labels) = pictures(config, "train"), held_out(config, config.held_out)
    prior = PRIORS["normal"]
    nets, seen = train_aae(images, {WATCHED: (x, None)}, prior, config, step_of(prior, config.weight), seed, device)
    *_, z = codes(nets, x, seed)  # (held_out, 2)
    shown = {"plane": quantiles(config.side), "rebuilt": z[:20], "drawn": draws(prior, 30, seed)}
    with torch.no_grad():
        arrays = {name: nets["decoder"](at).reshape(-1, *x.shape[2:]) for name, at in shown.items()}
    arrays |= {"images": x[:20, 0], "codes": z, "labels": labels}
    arrays |= {f"{what} over training": curve for (_, what), curve in seen.items()}
    numbers = at_the_end({("AAE", what): curve for (_, what), curve in seen.items()})
    return {"numbers": arms.named(numbers | {(TWO, DISTANCE): two_draws(prior, seed)}), "arrays": arrays, "nets": nets}


def draw_plane(results, config):
    """Of the first seed the decoded plane (side * side, h, w), codes (held_out, 2), images above what is rebuilt, draws.

    Below the plane, reconstruction and distance (moments,) over training, a line per seed.
    """
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("ppc;ppr;mnd", (8.4, 7.9), height_ratios=(1.75, 1.15, 1))
    drawing.sheet(axes["p"], a["plane"], "the plane, decoded", config.side, most=1)
    show_codes(axes["c"], a["codes"], a["labels"], "held-out codes", 3.5)
    pairs = torch.stack([a["images"].reshape(2, 10, *a["images"].shape[1:]),
                         a["rebuilt"].reshape(2, 10, *a["rebuilt"].shape[1:])], 1)  # fmt: skip
    drawing.sheet(axes["r"], pairs.flatten(0, 2), "held out, and rebuilt below", 10, most=1)
    drawing.sheet(axes["d"], a["drawn"], "draws of the prior", 10, most=1)
    thousands = [step / 1000 for step in scored_at(config.steps, config.moments)]
    for panel, what, unit in (("m", RECONSTRUCTION, "nats"), ("n", DISTANCE, "")):
        curves = [r["arrays"][f"{what} over training"] for r in results]
        drawing.seed_curves(axes[panel], thousands, curves, Look("AAE", "green"), marker="^", ms=3)
        axes[panel].set(title=what, xlabel="thousand steps", ylabel=unit, xlim=(0, None))
    two = drawing.over_seeds(results, arms.name(TWO, DISTANCE))
    drawing.level(axes["n"], sum(two) / len(two))
    drawing.class_legend(fig)
    return fig


def verdict_plane(summary):
    """Whether the codes take the prior's shape, by the energy distance of every seed, and whether reconstruction has settled."""
    return f"codes {said_of_shape(summary, 'AAE', TWO)}; reconstruction {end_of(summary, 'AAE', RECONSTRUCTION)}."


# 8.7 Few data

COUNTS = (30, 150, 1500)  # training images


@dataclass(frozen=True)
class Few(Training):
    """AAEs with deterministic encoders and the normal prior on few pictures."""

    data: str = "digits"  # labeled pictures
    hidden: tuple = (128, 128)  # widths of the hidden layers
    batch: int = 64  # images a step; all of them where there are fewer
    steps: int = 1600  # of training
    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    counts: tuple = COUNTS  # training images


def few(n, where):
    """The arm of n training images, judged on those "seen" or on those "held out"."""
    return f"{n} images", where


def run_few(config, seed, device):
    """Deterministic codes of few pictures: how the training codes fit the prior, and how held-out images fare."""
    (images, _), (new, _), curves, normal = pictures(config, "train"), held_out(config), {}, PRIORS["normal"]
    for n in config.counts:
        chosen = images[torch.randperm(len(images), generator=generator(seed, "few", n))[:n]]
        chosen = binarize(chosen, generator(0, "test bits"))
        sets = {"seen": (chosen, None), "held out": (new, None)}
        _, seen = train_aae(chosen, sets, normal, config, step_of(normal, config.weight), seed, device, noisy=False)
        curves |= {(few(n, where), what): curve for (where, what), curve in seen.items()}
    numbers = at_the_end(curves) | {(TWO, DISTANCE): two_draws(normal, seed)}
    return {"numbers": arms.named(numbers), "arrays": arms.named(curves)}


WHERE = drawing.looks(("seen", "held out"), ("blue", "vermillion"))


def draw_few(results, config):
    """Both scores against the number of training images, and the reconstruction (moments,) of the fewest over training."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.2))
    for ax, what, unit in zip(axes[:2], (RECONSTRUCTION, DISTANCE), ("nats", ""), strict=True):
        for where, look in WHERE.items():
            values = [drawing.over_seeds(results, arms.name(few(n, where), what)) for n in config.counts]
            values = torch.tensor(values).T  # (seeds, counts)
            for row in values:
                ax.semilogx(config.counts, row, **look.as_points(ms=4, alpha=0.6, label=None))
            ax.semilogx(config.counts, values.mean(0), **look.as_both(ms=4))
        ax.set(xlabel="training images", ylabel=unit, title=what)
        ax.set_xticks(config.counts, [str(n) for n in config.counts])
        ax.minorticks_off()
    drawing.level(
        axes[1], max(drawing.over_seeds(results, arms.name(TWO, DISTANCE))), "two draws", at=0.98, above=-12, ha="right"
    )
    for where, look in WHERE.items():
        curves = [r["arrays"][arms.name(few(config.counts[0], where), RECONSTRUCTION)] for r in results]
        drawing.seed_curves(axes[2], scored_at(config.steps, config.moments), curves, look)
    axes[2].set(xlabel="step", ylabel="nats", title=f"reconstruction, {config.counts[0]} images")
    axes[0].legend()
    return fig


def verdict_few(summary):
    """How much worse held-out images fare than those seen, with the fewest images and with the most."""
    fewest, most = COUNTS[0], COUNTS[-1]
    (new, seen), many = (
        [summary[arms.name(few(n, where), RECONSTRUCTION)] for where in ("held out", "seen")] for n in (fewest, most)
    )
    if None in (s["mean"] for s in (new, seen, *many)):
        return "no run finished."
    worse = "worse in every seed" if verdicts.ranges_apart(new, seen) == 1 else "not worse in every seed"
    ends = "; ".join(
        f"{n} images, {where}: {end_of(summary, few(n, where), RECONSTRUCTION)}"
        for n in (fewest, most)
        for where in WHERE
    )
    apart = {n: summary.get(arms.name(few(n, "seen"), DISTANCE)) for n in COUNTS}
    spread = "; ".join(f"{n} images {verdicts.span(x, '.2f')}" for n, x in apart.items() if x)
    return (
        f"with {fewest} images the held-out reconstruction is {worse} than that of the images seen "
        f"(by {new['mean'] - seen['mean']:.0f} nats on average, against {many[0]['mean'] - many[1]['mean']:.1f} with "
        f"{most}). Reconstruction in nats: {ends}. Energy distance of the codes seen: {spread}."
    )


RECIPES = aae_exact.RECIPES | {
    "8.3": Recipe(
        title="Do the codes take the prior's shape?",
        caption="A prior of ten petals; MNIST averaged to 14x14 pixels. Above, draws of the prior and the codes of held-out digits, first seed (for "
        "weight 10 the run that ends farthest), colored by class (legend at the foot). Below, energy distance of the codes to the prior, and "
        "reconstruction, over training: a line per seed, in both panels colored by model (legend at the right). Dotted, the distance of two sets of "
        "draws of the prior, mean over the seeds; dashed, that of a normal law with the prior's mean square. The weight is that of -log D against "
        "-log q(x|z).",
        alt="Above, four scatter plots: a flower of ten petals; clouds in which a few petals stand out, for the AAE of weight 1 and the VAE; and "
        "for the AAE of weight 10 petals, two of them nearly empty. Below left, distances over the steps, flat at the end: two curves of the "
        "AAE of weight 10 end below the dashed line of the round cloud, all others above. Below right, reconstructions fall over the steps, "
        "at the end those of the AAE of weight 1 lowest and those of the VAE highest.",
        run=run_shapes, draw=draw_shapes, quick=Shapes(data="digits", hidden=(64, 64), steps=400, held_out=297), full=Shapes(),
        cpu=Shapes(pooled=2, hidden=(128, 128), batch=64, steps=24_000, moments=12), record="cpu", seeds=tuple(range(5)), verdict=verdict_shapes,
    ),
    "8.4": Recipe(
        title="VAE and AAE, measured",
        caption="Normal prior, two code dimensions, held-out MNIST images of 14x14 pixels. Left: reconstruction. Middle: how many nats a code tells "
        "about which of the n held-out images it came from, at most log n. A point code names its image and would lie at log n, but it has no "
        "density to measure and is not drawn there. Right: energy distance of the codes to the prior; dotted, that of two sets of draws of the "
        "prior, the largest over the seeds. The number of an AAE is the weight of -log D. Above, every seed at the end; below, every seed over "
        "training.",
        alt="Six panels. In reconstruction the AAEs lie one to two nats below the VAE; in information those with noisy codes lie at log n, the VAE "
        "a little above half of it; in energy distance all are above the dotted line, those of weight 10, with noisy and with point codes, lowest. "
        "Below, over training: reconstructions that fall and flatten, and distances that wander along level lines.",
        run=run_measured, draw=draw_measured, quick=Measured(data="digits", hidden=(64, 64), steps=400, held_out=297), full=Measured(),
        cpu=Measured(pooled=2, hidden=(128, 128), batch=64, steps=24_000, moments=12), record="cpu", seeds=tuple(range(5)), verdict=verdict_measured,
    ),
    "8.5": Recipe(
        title="Told the labels",
        caption="The discriminator sees the class beside the code, and the prior draws each class from its own part. Left: held-out codes by class, "
        "first seed. Middle: the decoder along each part, a class per row. Right: energy distance between the codes of a class and its part, mean "
        "over the classes, over training; line and band are mean and range of the seeds. Dotted: the distance of two sets of draws of the part "
        "itself, the largest over the seeds. MNIST of 14x14 pixels; weight of -log D 10.",
        alt="Two rows, for a flower and a spiral: a scatter plot whose parts have one color each, blurred toward the middle; a sheet of "
        "digits in which nearly every row is one digit; a curve that falls, hardly for the flower, and ends well above the dotted line.",
        run=run_labeled, draw=draw_labeled, quick=Labeled(data="digits", hidden=(64, 64), steps=400, held_out=297), full=Labeled(),
        cpu=Labeled(pooled=2, hidden=(128, 128), batch=64, steps=24_000, moments=12), record="cpu", seeds=tuple(range(5)), verdict=verdict_labeled,
    ),
    "8.6": Recipe(
        title="The plane, decoded",
        caption="An AAE with a normal prior on MNIST of 28x28 pixels, first seed. Left: pictures decoded from a lattice of codes; every cell of the "
        "lattice is equally probable under the prior. Right: codes of held-out digits by class; held-out digits, each above what is rebuilt of it; "
        "draws of the prior, decoded. Below, a line per seed: reconstruction of held-out digits and energy distance of their codes to the prior, "
        "over training; dotted, the distance of two sets of draws of the prior, mean over the seeds. The weight of -log D against -log q(x|z) is 10.",
        alt="A large lattice of digits that turn into one another: ones at the top, sevens and nines at the right, twos at the left, eights and "
        "threes in the middle, sixes and zeros at the bottom. On the right a cloud of colored codes, twenty digits above blurred versions of them, and thirty samples. Below "
        "the lattice a line per seed: the reconstruction falls and ends nearly flat, the distance ends flat, above its dotted line.",
        run=run_plane, draw=draw_plane, verdict=verdict_plane, model=plane_model, seeds=tuple(range(5)), quick=Plane(data="digits", hidden=(64, 64), steps=400, held_out=297, batch=64), full=Plane(),
        cpu=Plane(hidden=(256, 256), batch=64, steps=20_000), record="cpu",
    ),
    "8.7": Recipe(
        title="Point codes of few data",
        caption="Deterministic encoders trained on 30, 150 and 1,500 digits of 8x8 pixels. The weight of -log D against -log q(x|z) is 10. Left and "
        "middle: reconstruction of the images seen and of held-out ones, and energy distance of their codes to the prior, every seed; lines lead "
        "through the means; dotted, the distance of two sets of 1,000 draws of the prior, the largest over the seeds (of 297 draws, as many as are "
        "held out, one set in twenty is above 0.007, of thirty above 0.07). Right: the reconstruction over training, every seed, for the fewest "
        "images.",
        alt="Three panels. Left and middle, against the number of training images: the reconstructions of images seen and held out are "
        "far apart at 30 and meet at 1,500; the energy distances lie near 0 but for one run at 150 images, above 1. Right, over the steps with 30 images: one bundle of curves falls and another rises.",
        run=run_few, draw=draw_few, quick=Few(counts=COUNTS[::2], steps=300), full=Few(steps=3000), seeds=tuple(range(5)),
        verdict=verdict_few,
    ),
}  # fmt: skip
