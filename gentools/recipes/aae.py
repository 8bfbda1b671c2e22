"""Experiments of chapter 08: adversarial autoencoders on tables and on digits, beside the VAE."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from gentools import aae, vae
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize
from gentools.lab.worlds import simplex
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, diagrams, drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import held_out_bits, labeled

RECONSTRUCTION, DISTANCE = "reconstruction", "energy distance"


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
    hidden: tuple = (1000, 1000)  # widths of the hidden layers
    batch: int = 128  # images a step; all of them where there are fewer
    steps: int = 40_000  # of training
    learning_rate: float = 1e-3  # of both optimizers


def train_aae(rows, config, step, seed, device, **how):
    """Train one autoencoder and its discriminator, with an Adam for each. Returns networks, on the CPU, and History.

    rows: images, or (images, classes) if the discriminator sees classes. how: what `aae.networks` takes besides.
    """
    images = rows[0] if isinstance(rows, tuple) else rows
    nets = aae.networks(seed, images[0].numel(), config.hidden, **how).to(device)
    players = {"autoencoder": nn.ModuleList([nets["encoder"], nets["decoder"]]), "discriminator": nets["discriminator"]}
    opts = adams(players, config.learning_rate, (0.5, 0.999))
    history = fit_kept(step, nets, opts, rows, 2 + aae.NOISE, batch=min(config.batch, len(images)), steps=config.steps,
                       seed=seed, device=device, prepare=binarize)  # fmt: skip
    return nets.to("cpu"), history


def held_out(data, most=None):
    """Binarized test images (n, 1, h, w) and their classes (n,), the first `most` of them or all."""
    images, classes = labeled(data, "test")
    return held_out_bits(images)[:most], classes[:most]


@torch.no_grad()
def codes(nets, x, seed):
    """Mean, log-variance, noise and one sampled code of every image, (n, 2) each."""
    mean, log_variance = nets["encoder"](x)
    noise = torch.randn(mean.shape, generator=generator(seed, "code noise"))
    return mean, log_variance, noise, vae.sample(mean, log_variance, noise)


def draws(prior, n, seed, c=None):
    """n draws (n, 2) of a prior, given their classes (n,) or not."""
    return prior.draw(torch.randn(n, aae.NOISE, generator=generator(seed, "prior")), c)


@torch.no_grad()
def rebuilt(nets, x, z):
    """E[-log q(x|z)] in nats per image."""
    return -nets["decoder"].log_likelihood(x, z).mean()


# 8.1 Which side is real


def draw_flow():
    """From data by way of codes back to images, and a discriminator between codes and prior."""
    fig, ax = diagrams.canvas((8.4, 3.4), (-0.1, 10.9), (-2.7, 1.8))
    diagrams.box(ax, 0.75, 0.6, "data  $x$", width=1.3)
    diagrams.box(ax, 2.8, 0.6, "encoder\n$p(z|x)$", "blue", 1.45, 1.1)
    diagrams.box(ax, 5.2, 0.6, "codes  $p(z)$", width=1.6)
    diagrams.box(ax, 7.7, 0.6, "decoder\n$q(x|z)$", "vermillion", 1.45, 1.1)
    diagrams.box(ax, 5.2, -1.3, "prior  $q(z)$", width=1.6)
    diagrams.box(ax, 7.7, -1.3, "discriminator\n$D(z)$", "green", 1.8, 1.1)
    for start, end in [((1.43, 0.6), (2.05, 0.6)), ((3.56, 0.6), (4.36, 0.6)), ((6.04, 0.6), (6.94, 0.6)),
                       ((6.04, -1.3), (6.77, -1.3)), ((5.9, 0.24), (6.9, -0.72)), ((8.46, 0.6), (9.1, 0.6)),
                       ((8.64, -1.3), (9.1, -1.3))]:  # fmt: skip
        diagrams.arrow(ax, start, end)
    ax.text(9.15, 0.6, "$-\\log q(x|z)$", va="center")
    ax.text(9.15, -1.3, "$y = 1$: prior\n$y = 0$: code", va="center")
    ax.text(5.2, -2.5, "The draws of the prior play the part of the data; the codes are what is generated.",
            color="0.25", ha="center")  # fmt: skip
    return fig


# 8.2 Three objectives on tables


@dataclass(frozen=True)
class Tables:
    """Free tables for encoder and decoder."""

    x_values: int = 6  # of the data
    z_values: int = 3  # codes
    tables: int = 20  # random data and priors
    steps: int = 4000  # of Adam
    learning_rate: float = 0.02  # of Adam


def joint_objective(p_joint, q_joint):
    """KL(P || Q): the VAE's, with tables (x_values, z_values) for both joints."""
    return kl(p_joint, q_joint)


OBJECTIVES = {"joint KL": joint_objective, "without I": aae.objective, "usual loss": aae.usual_objective}
OBJECTIVE_LOOKS = drawing.looks([*OBJECTIVES], colors=("blue", "vermillion", "green"))


def fit_tables(objective, start, p_x, q_z, config):
    """Both joints (tables, x, z) after Adam on an objective. start: logits (2, tables, x, z) of encoder and decoder."""
    encoder, decoder = (part.clone().requires_grad_() for part in start)
    optimizer = torch.optim.Adam([encoder, decoder], config.learning_rate)
    for _ in range(config.steps):
        p_joint = p_x[:, :, None] * encoder.softmax(2)
        q_joint = decoder.softmax(1) * q_z[:, None]
        optimizer.zero_grad()
        torch.vmap(objective)(p_joint, q_joint).sum().backward()
        optimizer.step()
    return p_joint.detach(), q_joint.detach()


def run_tables(config, seed, device):
    """Free encoder and decoder tables, fitted exactly to random data and priors under three objectives."""
    rng = generator(seed, "tables of chapter 8")
    p_x = torch.stack([simplex(rng, config.x_values) for _ in range(config.tables)])
    q_z = torch.stack([simplex(rng, config.z_values) for _ in range(config.tables)])
    start = torch.randn(2, config.tables, config.x_values, config.z_values, generator=rng, dtype=torch.float64)
    numbers, arrays = {}, {}
    for name, objective in OBJECTIVES.items():
        p_joint, q_joint = fit_tables(objective, start, p_x, q_z, config)
        told = torch.vmap(mutual_information)(p_joint)  # (tables,)
        off = torch.stack([kl(p, q.sum(1)) for p, q in zip(p_x, q_joint, strict=True)])
        arrays |= {f"{name}: I": told, f"{name}: marginal KL": off}
        numbers |= {(name, "I(x;z)"): told.mean(), (name, "marginal KL"): off.mean()}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_tables(results, config):
    """A point per table: what its code tells, against how far its model of x is off."""
    fig, ax = drawing.panels(size=(6.6, 3.6))
    for name, look in OBJECTIVE_LOOKS.items():
        told, off = (torch.cat([r["arrays"][f"{name}: {what}"] for r in results]) for what in ("I", "marginal KL"))
        ax.plot(told, off.clamp(min=1e-12), **look.as_points(ms=4, alpha=0.6))
    ax.set(xlabel="I(x; z), nats", ylabel="KL from data to model, nats", yscale="log", ylim=(1e-13, 3))
    ax.legend(loc="lower right")
    return fig


def verdict_tables(summary):
    """Whether dropping I raises the information in the codes, and what the model of x pays."""
    told, off = (arms.scores(summary, OBJECTIVES, what) for what in ("I(x;z)", "marginal KL"))
    more = verdicts.separated(told["without I"], told["joint KL"]) == 1
    pays = verdicts.always_below(off["joint KL"], 1e-3) and verdicts.always_above(off["without I"], 1e-3)
    without, usual = (verdicts.mean(off[name], ".3f") for name in ("without I", "usual loss"))
    return (
        f"dropping I {'raises' if more else 'does not clearly raise'} the information in the codes, and the model of x"
        f"{', exact under the joint KL, is not exact any more' if pays else ' is not clearly the worse for it'} "
        f"({verdicts.mean(off['joint KL'], '.4f')} against {without} and {usual} nats)."
    )


# 8.3 Spaces of codes


@dataclass(frozen=True)
class Spaces(Training):
    """AAE and VAE under two priors."""

    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    shown: int = 2000  # held-out images whose codes are kept


def run_spaces(config, seed, device):
    """Held-out codes of AAE and VAE under the normal and the petal prior."""
    images, _ = labeled(config.data, "train")
    x, labels = held_out(config.data, config.shown)
    numbers, arrays = {}, {"labels": labels}
    for under in ("normal", "petals"):
        prior = PRIORS[under]
        steps = {
            "AAE": functools.partial(aae.step, prior=prior.draw, weight=config.weight),
            "VAE": functools.partial(aae.sampled_vae_step, log_prior=prior.log_density),
        }
        for name, step in steps.items():
            nets, _ = train_aae(images, config, step, seed, device)
            *_, z = codes(nets, x, seed)  # (shown, 2)
            arrays[f"{name}, {under}"] = z
            numbers[(name, under), RECONSTRUCTION] = rebuilt(nets, x, z)
            numbers[(name, under), DISTANCE] = aae.energy_distance(z, draws(prior, len(z), seed))
    return {"numbers": arms.named(numbers), "arrays": arrays}


def show_codes(ax, z, labels, title, limit=4.0):
    """Codes (n, 2) in a square of the plane, colored by class."""
    drawing.by_class(ax, z, labels)
    ticks, limits = (-2, 0, 2), (-limit, limit)
    ax.set(xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect="equal", title=title)


def draw_spaces(results, config):
    """Codes (shown, 2) of both models under both priors."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 4, (8.4, 2.7))
    for ax, (under, name) in zip(axes, itertools.product(("normal", "petals"), ("AAE", "VAE")), strict=True):
        show_codes(ax, a[f"{name}, {under}"], a["labels"], f"{name}, {under}")
    drawing.class_legend(fig)
    return fig


# 8.4 The measurement


@dataclass(frozen=True)
class Measured(Training):
    """VAE and AAEs under the normal prior, with the weights of ARMS."""

    held_out: int = 2000  # images that are measured


class Arm(NamedTuple):
    """One model: its step, its look, and whether its encoder is noisy."""

    step: object
    look: Look
    noisy: bool = True


VAE_STEP = functools.partial(aae.sampled_vae_step, log_prior=aae.log_normal_prior)
HEAVY = functools.partial(aae.step, weight=10.0)  # of -log D against -log q(x|z); without it the weight is 1
ARMS = {
    "VAE": Arm(VAE_STEP, Look("VAE", "blue", marker="o")),
    "AAE, weight 1": Arm(aae.step, Look("AAE\n1", "orange", marker="s")),
    "AAE, weight 10": Arm(HEAVY, Look("AAE\n10", "green", marker="^")),
    "AAE, point codes": Arm(HEAVY, Look("AAE\npoint", "vermillion", marker="D"), noisy=False),
}
TOLD, CHANCE = "I(x;z)", "energy distance of two draws of the prior"


def run_measured(config, seed, device):
    """VAE and AAEs under the normal prior, on held-out images: reconstruction, I(x; z), distance to the prior."""
    images, _ = labeled(config.data, "train")
    x, _ = held_out(config.data, config.held_out)
    normal, numbers = PRIORS["normal"], {}
    for name, arm in ARMS.items():
        nets, _ = train_aae(images, config, arm.step, seed, device, noisy=arm.noisy)
        mean, log_variance, noise, z = codes(nets, x, seed)
        numbers[name, RECONSTRUCTION] = rebuilt(nets, x, z)
        numbers[name, DISTANCE] = aae.energy_distance(z, draws(normal, len(z), seed))
        if arm.noisy:
            told, off = aae.split_kl_term(mean, log_variance, noise, normal.log_density)
            numbers |= {(name, TOLD): told, (name, "KL(p(z)||q(z))"): off}
    two = draws(normal, len(x), seed), draws(normal, len(x), seed + 1000)
    return {"numbers": arms.named(numbers) | {CHANCE: aae.energy_distance(*two)}, "arrays": {}}


def draw_measured(results, config):
    """A panel per score, a point per seed for every model that has it."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.1))
    for ax, what, unit in zip(axes, (RECONSTRUCTION, TOLD, DISTANCE), ("nats", "nats", ""), strict=True):
        for i, (name, arm) in enumerate(ARMS.items()):
            if arms.name(name, what) in results[0]["numbers"]:
                values = drawing.over_seeds(results, arms.name(name, what))
                ax.plot([i] * len(values), values, **arm.look.as_points(ms=6, alpha=0.7))
        ax.set(title=what, ylabel=unit, xlim=(-0.6, 3.6))
        ax.set_xticks(range(4), [arm.look.label for arm in ARMS.values()])
    most = math.log(config.held_out)
    axes[1].axhline(most, color="black", ls=":", lw=1.2)
    axes[1].text(-0.5, most + 0.03, "log n", va="bottom")
    chance = drawing.over_seeds(results, CHANCE)
    axes[2].axhline(max(chance), color="black", ls=":", lw=1.2)
    axes[2].set_ylim(bottom=min(0.0, *chance) - 0.002)
    return fig


def verdict_measured(summary):
    """Whether the AAEs keep more of the image than the VAE, and whether their codes lie closer to the prior."""
    said = []
    for name in ("AAE, weight 1", "AAE, weight 10"):
        both = [[summary[arms.name(arm, what)] for arm in (name, "VAE")] for what in (TOLD, DISTANCE)]
        told, off = (verdicts.ranges_apart(*pair) for pair in both)
        more = {1: "more", 0: "not clearly more or less", -1: "less"}[told]
        near = {1: "farther from the prior", 0: "not clearly closer to the prior or farther", -1: "closer to the prior"}
        said.append(f"{name} keeps {more} of the image than the VAE, and its codes are {near[off]}")
    return f"{'; '.join(said)}."


# 8.5 Told the labels


@dataclass(frozen=True)
class Labeled(Training):
    """AAEs whose discriminator sees the class beside the code."""

    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    shown: int = 2000  # held-out images whose codes are kept
    columns: int = 10  # pictures along each part of the prior


PLACED = "codes in the part of their class"


def along(prior, columns):
    """Points along each component: (10 * columns, 2), one row of `columns` points per class."""
    line = torch.linspace(-1.5, 1.5, columns)
    noise = torch.zeros(aae.CLASSES * columns, aae.NOISE)
    noise[:, 0] = line.repeat(aae.CLASSES)
    return prior.draw(noise, torch.arange(aae.CLASSES).repeat_interleave(columns))


def run_labeled(config, seed, device):
    """The discriminator sees the class beside the code: each class gets its own part of the prior."""
    rows, (x, labels) = labeled(config.data, "train"), held_out(config.data, config.shown)
    numbers, arrays = {}, {"labels": labels}
    for name in ("petals", "swiss roll"):
        prior = PRIORS[name]
        step = functools.partial(aae.step, prior=prior.draw, weight=config.weight)
        nets, _ = train_aae(rows, config, step, seed, device, classes=aae.CLASSES)
        *_, z = codes(nets, x, seed)  # (shown, 2)
        centers = draws(prior, 20_000, seed, torch.arange(20_000) % aae.CLASSES)
        nearest = torch.cdist(z, centers).argmin(1) % aae.CLASSES
        numbers[name, PLACED] = (nearest == labels).double().mean()
        numbers[name, RECONSTRUCTION] = rebuilt(nets, x, z)
        sheet = nets["decoder"](along(prior, config.columns)).detach()
        arrays |= {f"{name}: codes": z, f"{name}: sheet": sheet.reshape(-1, *x.shape[2:])}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_labeled(results, config):
    """For either prior codes (shown, 2), and a sheet (10 * columns, h, w) with a class per row."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 4, (8.4, 2.8))
    for left, right, name in zip(axes[::2], axes[1::2], ("petals", "swiss roll"), strict=True):
        show_codes(left, a[f"{name}: codes"], a["labels"], f"{name}: codes", 3.9)
        drawing.sheet(right, a[f"{name}: sheet"], "decoded along it", config.columns, most=1)
    drawing.class_legend(fig)
    return fig


def verdict_labeled(summary):
    """Whether most codes lie in the part of their class."""
    petals, roll = (summary[arms.name(name, PLACED)] for name in ("petals", "swiss roll"))
    most = verdicts.always_above(petals, 0.5) and verdicts.always_above(roll, 0.5)
    return (
        f"most held-out codes lie in the part of the prior that belongs to their class "
        f"{'in every seed' if most else 'not in every seed'} "
        f"({verdicts.percent(petals)} and {verdicts.percent(roll)}; chance 10 %)."
    )


# 8.6 Few data

COUNTS = (30, 150, 1500)  # training images


@dataclass(frozen=True)
class Few(Training):
    """AAEs with deterministic encoders and the normal prior on few pictures."""

    data: str = "digits"  # labeled pictures
    hidden: tuple = (128, 128)  # widths of the hidden layers
    steps: int = 3000  # of training
    weight: float = 10.0  # of -log D, the adversarial term, against -log q(x|z) in nats; 1 is the joint KL's own
    counts: tuple = COUNTS  # training images


def few(n, where):
    """The arm of n training images, judged on those "seen" or on those "held out"."""
    return f"{n} images", where


def run_few(config, seed, device):
    """Deterministic codes of few pictures: how the training codes fit the prior, and how held-out images fare."""
    images, _ = labeled(config.data, "train")
    (new, _), numbers, arrays = held_out(config.data), {}, {}
    step, normal = functools.partial(aae.step, weight=config.weight), PRIORS["normal"]
    for n in config.counts:
        chosen = images[torch.randperm(len(images), generator=generator(seed, "few", n))[:n]]
        chosen = binarize(chosen, generator(0, "test bits"))
        nets, _ = train_aae(chosen, config, step, seed, device, noisy=False)
        for where, x in (("seen", chosen), ("held out", new)):
            *_, z = codes(nets, x, seed)
            numbers[few(n, where), RECONSTRUCTION] = rebuilt(nets, x, z)
            numbers[few(n, where), DISTANCE] = aae.energy_distance(z, draws(normal, 2000, seed))
            arrays[f"{n} {where}"] = z
    return {"numbers": arms.named(numbers), "arrays": arrays}


WHERE = drawing.looks(("seen", "held out"), ("blue", "vermillion"))


def draw_few(results, config):
    """Both scores against the number of training images: a line through the means, a point per seed."""
    fig, axes = drawing.panels(1, 2, (8.2, 3.2))
    for ax, what, unit in zip(axes, (RECONSTRUCTION, DISTANCE), ("nats", ""), strict=True):
        for where, look in WHERE.items():
            values = [drawing.over_seeds(results, arms.name(few(n, where), what)) for n in config.counts]
            values = torch.tensor(values).T  # (seeds, counts)
            for row in values:
                ax.semilogx(config.counts, row, **look.as_points(ms=4, alpha=0.6, label=None))
            ax.semilogx(config.counts, values.mean(0), **look.as_line(ls="-"))
        ax.set(xlabel="training images", ylabel=unit, title=what)
        ax.set_xticks(config.counts, [str(n) for n in config.counts])
        ax.minorticks_off()
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
    worse = "worse in every seed" if verdicts.ranges_apart(new, seen) == 1 else "not clearly worse"
    return (
        f"with {fewest} images the held-out reconstruction is {worse} than that of the images seen "
        f"(by {new['mean'] - seen['mean']:.0f} nats on average, against {many[0]['mean'] - many[1]['mean']:.1f} with {most})."
    )


RECIPES = {
    "8.1": diagrams.diagram(
        draw_flow,
        title="Which side is real",
        caption="An adversarial autoencoder. The discriminator compares draws of the prior with codes of the data.",
        alt="A flow from data through an encoder to codes and on to a decoder. Codes and draws of the prior both lead to a "
        "discriminator, which answers 1 for the prior and 0 for a code.",
    ),
    "8.2": Recipe(
        title="What the information costs",
        caption="Free tables for encoder and decoder, fitted exactly: random data of six values, three codes with a random "
        "prior. Under the joint KL the model of x gets exact, whatever the code tells. Without I(x; z) the code tells as "
        "much as it can, and the model of x pays.",
        alt="A scatter plot with logarithmic vertical axis. Dots of the joint KL lie at the bottom, most at little "
        "information; the two others lie far above and farther to the right.",
        run=run_tables, draw=draw_tables, quick=Tables(tables=5, steps=1500), full=Tables(), seeds=tuple(range(5)),
        verdict=verdict_tables,
    ),
    "8.3": Recipe(
        title="Spaces of codes",
        caption="Codes of held-out MNIST digits, colored by class, under a normal and a petal prior. The AAE's weight of -log D "
        "against -log q(x|z) is 10. CPU size: two layers of 256 units, 3,000 steps.",
        alt="Four scatter plots of colored points. Under the normal prior both models give a round cloud; under the petal "
        "prior petals can be made out, more clearly with the AAE. Classes overlap in all four.",
        run=run_spaces, draw=draw_spaces, quick=Spaces(data="digits", hidden=(64, 64), steps=400, shown=297),
        full=Spaces(), cpu=Spaces(hidden=(256, 256), steps=3000), record="cpu",
    ),
    "8.4": Recipe(
        title="VAE and AAE, measured",
        caption="Normal prior, two code dimensions, held-out MNIST images, all seeds. Left: reconstruction. Middle: nats that "
        "a code tells of which of the held-out images it came from; at most log n. Right: energy distance of the "
        "codes to the prior; dotted, that of two draws of the prior. CPU size: two layers of 256 units, 3,000 steps.",
        alt="Three dot plots of four models. The AAEs tell about two nats more than the VAE, close to log n; in "
        "reconstruction and in distance to the prior the dots of all models overlap.",
        run=run_measured, draw=draw_measured, quick=Measured(data="digits", hidden=(64, 64), steps=400, held_out=297),
        full=Measured(), cpu=Measured(hidden=(256, 256), steps=3000), record="cpu", seeds=tuple(range(5)),
        verdict=verdict_measured,
    ),
    "8.5": Recipe(
        title="Told the labels",
        caption="The discriminator sees the class beside the code, and the prior draws each class from its own part. Held-out "
        "codes by class, and the decoder along each part, a class per row. The weight of -log D against -log q(x|z) is 10. CPU "
        "size: two layers of 256 units, 3,000 steps.",
        alt="Two scatter plots, a flower and a spiral, whose parts have one color each; beside each a sheet of digits in which "
        "every row is one digit.",
        run=run_labeled, draw=draw_labeled, quick=Labeled(data="digits", hidden=(64, 64), steps=400, shown=297),
        full=Labeled(), cpu=Labeled(hidden=(256, 256), steps=3000), record="cpu", seeds=tuple(range(5)),
        verdict=verdict_labeled,
    ),
    "8.6": Recipe(
        title="Point codes of few data",
        caption="Deterministic encoders trained on 30, 150 and 1,500 digits. The weight of -log D against -log q(x|z) is "
        "10. Few codes can be put anywhere: those of the images seen say little about the others.",
        alt="Two panels over the number of training images. The curves for images seen and held out are far apart on the left "
        "and meet on the right.",
        run=run_few, draw=draw_few, quick=Few(counts=COUNTS[::2], steps=300), full=Few(), seeds=tuple(range(5)),
        verdict=verdict_few,
    ),
}  # fmt: skip
