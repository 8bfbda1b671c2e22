"""Experiments of chapter 13 with networks, on digits and on tight modes (13.4, 13.5); age_exact holds the exact ones."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import age, evaluation
from gentools.lab.networks import classifier
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, age_exact
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change, last_quarter
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.pictures import labeled
from gentools.recipes.shared.points import DRAWN, RING, Points, chance, score

# 13.4 and 13.5 Networks


@dataclass(frozen=True)
class Training:
    """Encoder and generator, with an Adam each whose rate falls in a straight line to 0."""

    latent: int = 10  # numbers in a code
    hidden: tuple = (128, 128)  # widths of the hidden layers
    batch: int = 64
    steps: int = 9600  # of the encoder
    betas: tuple = (0.5, 0.999)  # of Adam
    moments: int = 8  # at which a run is looked at, equally spaced


class Arm(NamedTuple):
    """One way to train: its step, how many draws of noise a step takes for each row, and its look."""

    step: object
    draws: int
    look: Look


def train_age(nets, rows, arm, rate, config, seed, device, watch):
    """Train networks in place, from that rate of both players on. Returns the History, with what watch(nets) saw."""
    nets.to(device)
    return fit(arm.step, nets, adams(nets, rate, config.betas), rows, (arm.draws, config.latent),
               batch=config.batch, steps=config.steps, seed=seed, device=device, schedule=lambda t: 1 - t / config.steps,
               watch=lambda done: watch(nets), log_every=max(1, config.steps // config.moments))  # fmt: skip


def noise(n, config, seed):
    """Noise (n, latent) for evaluation, from the seed alone."""
    return torch.randn(n, config.latent, generator=generator(seed, "evaluation"))


# 13.4 Digits

DISTANCE, ERROR, VALUE = "distance of samples", "data error, held out", "V over the last quarter"
CHANGE = "distance at the end minus after three quarters"
PAIRS = (  # whose distances are compared seed by seed
    ("both rebuild", "no V"),
    ("both rebuild", "autoencoder"),
    ("AGE", "autoencoder"),
    ("authors' weights", "autoencoder"),
    ("authors' weights", "AGE"),
)
DIGITS = {
    "AGE": Arm(functools.partial(age.step, data_weight=1000.0), 3, Look("AGE, data\nweight 1000", "blue", "-", "o")),
    "authors' weights": Arm(
        functools.partial(age.step, data_weight=100.0, code_weight=500.0),
        3,
        Look("AGE, authors'\nweights", "orange", (0, (3, 1, 1, 1, 1, 1)), "P"),
    ),
    "data weight 10": Arm(age.step, 3, Look("AGE, data\nweight 10", "vermillion", "--", "s")),
    "both rebuild": Arm(age.joint_step, 2, Look("both rebuild,\nwith V", "green", "-.", "^")),
    "no V": Arm(
        functools.partial(age.joint_step, value_weight=0.0), 2, Look("both rebuild,\nno V", "purple", ":", "D")
    ),
    "autoencoder": Arm(
        functools.partial(age.joint_step, value_weight=0.0, code_weight=0.0),
        2,
        Look("autoencoder", "black", (0, (5, 1)), "v"),
    ),
}


@dataclass(frozen=True)
class Digits(Training):
    """The digits of 8x8 pixels, and the judge of samples."""

    data: str = "digits"
    judge_steps: int = 500
    rates: tuple = (  # of both players at the start
        ("AGE", 2.5e-4),
        ("authors' weights", 2e-3),
        ("data weight 10", 2e-3),
        ("both rebuild", 2e-3),
        ("no V", 4e-3),
        ("autoencoder", 4e-3),
    )
    tuning: tuple = (  # arm, (rate, distances of seeds 100 and 101 from training images kept out, after all steps) each
        ("AGE", (1.25e-4, 31.4), (2.5e-4, 22.3), (5e-4, 28.6), (1e-3, 26.7), (2e-3, 33.7)),
        ("authors' weights", (1e-3, 7.3), (2e-3, 7.1), (4e-3, 12.5), (8e-3, 29.5)),
        ("data weight 10", (5e-4, 462.8), (2e-3, 201.7), (4e-3, 407.2)),
        ("both rebuild", (5e-4, 25.9), (1e-3, 6.6, 18.4), (2e-3, 8.0, 11.5), (4e-3, 9.3, 12.7), (8e-3, 12.1)),
        ("no V", (5e-4, 312.0), (2e-3, 269.7), (4e-3, 231.8), (8e-3, 325.9)),
        ("autoencoder", (5e-4, 28.9), (1e-3, 31.5), (2e-3, 36.8), (4e-3, 24.6), (8e-3, 35.4)),
    )


@functools.cache
def judge(config, device):
    """A small classifier, trained on the training images."""
    images, labels = labeled(config.data, "train")
    net = classifier(images.shape[-1], width=16, generator=generator(0, "judge"))
    return judging.train_judge(net, images, labels, steps=config.judge_steps, seed=0, device=device)


def features(config, rows, device):
    """The judge's features (n, 64) of images (n, pixels) in [0, 1]."""
    side = math.isqrt(rows.shape[1])
    return judging.judged(judge(config, device), rows.reshape(-1, 1, side, side))[0]


def gaussian_images(rows, n, seed):
    """n draws (n, d) of the Gaussian with the mean and covariance of rows (m, d), cut to [0, 1]."""
    cov = rows.double().T.cov() + 1e-9 * torch.eye(rows.shape[1]).double()
    draws = torch.randn(n, rows.shape[1], generator=generator(seed, "gaussian images"), dtype=torch.float64)
    return (rows.mean(0) + (draws @ torch.linalg.cholesky(cov).T).float()).clamp(0, 1)


def run_digits(config, seed, device):
    """The ways to train on digits: distance of samples, held-out error and V over training, and pictures at the end."""
    test, seen = (labeled(config.data, split)[0].flatten(1) / 255 for split in ("test", "train"))  # (n, pixels)
    numbers, arrays = {}, {"x": test[:8]}
    for name in DIGITS:
        found = run_arm(name, config, seed, device)
        numbers, arrays = numbers | found["numbers"], arrays | found["arrays"]
    for one, other in PAIRS:
        numbers["distance", f"{one} minus {other}"] = numbers[one, DISTANCE] - numbers[other, DISTANCE]
    numbers, test = arms.named(numbers), test.to(device)
    rivals = {"training images": seen[: len(test)], "a Gaussian in pixels": gaussian_images(seen, len(test), seed)}
    numbers |= {f"distance of {what}": distance(config, rows, test, device) for what, rows in rivals.items()}
    return {"numbers": numbers, "arrays": arrays}


def run_arm(name, config, seed, device):
    """One way to train: its numbers {(name, what): number} and arrays."""
    images = labeled(config.data, "train")[0]
    test = labeled(config.data, "test")[0].flatten(1) / 255  # (n, pixels)
    z, test = noise(len(test), config, seed).to(device), test.to(device)

    def watch(nets):
        drawn, back = age.sample(nets, z), age.rebuilt(nets, test)
        return {DISTANCE: distance(config, drawn, test, device), ERROR: float((back - test).abs().mean())}

    nets = age.image_networks(seed, test.shape[1], config.hidden, config.latent)
    history = train_age(nets, images, DIGITS[name], dict(config.rates)[name], config, seed, device, watch)
    curves = {what: torch.tensor([each[what] for each in history.watched]) for what in (DISTANCE, ERROR)}
    numbers = {(name, what): curve[-1] for what, curve in curves.items()}
    numbers |= {(name, VALUE): last_quarter(history["V"]), (name, CHANGE): change(curves[DISTANCE])}
    numbers[name, "code error over the last quarter"] = last_quarter(history["code error"])
    arrays = {f"{name}: {what}": curve for what, curve in curves.items()}
    arrays[f"{name}: V"] = history["V"].unflatten(0, (-1, max(1, config.steps // 60))).mean(1)
    arrays[f"{name}: samples"] = age.sample(nets, z[:32]).cpu()
    arrays[f"{name}: back"] = age.rebuilt(nets, test[:8]).cpu()
    arrays["step"] = torch.tensor([each["step"] for each in history.watched])
    return {"numbers": numbers, "arrays": arrays}


def distance(config, rows, test, device):
    """Frechet distance of images (n, pixels) from test (m, pixels), in the judge's features."""
    return evaluation.frechet(features(config, rows, device), features(config, test, device))


def draw_digits(results, config):
    """Above, per arm, held-out images (8, pixels), their reconstructions and samples; below, curves of every seed."""
    import matplotlib.pyplot as plt

    a, side = results[0]["arrays"], math.isqrt(results[0]["arrays"]["x"].shape[1])
    fig = plt.figure(figsize=(8.4, 5.2), layout="constrained")
    above, below = fig.subfigures(2, 1, height_ratios=(0.78, 1.6))
    far, value, error = below.subplots(1, 3)
    for ax, (name, arm) in zip(above.subplots(1, len(DIGITS)), DIGITS.items(), strict=True):
        rows = torch.cat([a["x"], a[f"{name}: back"], a[f"{name}: samples"]])  # (48, pixels)
        drawing.sheet(ax, rows.reshape(-1, 1, side, side), arm.look.label, columns=8, most=1)
        for panel, what in ((far, DISTANCE), (error, ERROR)):
            drawing.seed_curves(panel, a["step"], [r["arrays"][f"{name}: {what}"] for r in results], arm.look)
        curves = [r["arrays"][f"{name}: V"] for r in results]
        drawing.seed_curves(value, torch.linspace(0, config.steps, len(curves[0]) + 1)[1:], curves, arm.look)
    for what, dashes in (("a Gaussian in pixels", (0, (1, 1))), ("training images", (0, (1, 4)))):
        level = drawing.over_seeds(results, f"distance of {what}")
        far.axhline(sum(level) / len(level), color="0.4", ls=dashes, lw=1.4, label=what)
    far.set(title="distance of samples", xlabel="step of the encoder", yscale="log")
    value.set(title="V, nats", xlabel="step of the encoder")
    value.set_yscale("symlog", linthresh=2)
    value.set_yticks((-4, -2, 0, 2, 10, 100), ("−4", "−2", "0", "2", "10", "100"))
    value.minorticks_off()
    error.set(title="data error, held out", xlabel="step of the encoder", ylim=(0, None))
    handles, labels = far.get_legend_handles_labels()
    below.legend(handles, [text.replace("\n", " ") for text in labels], loc="outside lower center", ncols=3)
    return fig


def steady(summary, arm):
    """`verdicts.settling`, unless a single seed moved by more than a quarter of the mean distance, or ended far
    from the others: the mean hides the one, and the interval is wide by the other."""
    found, last = (summary[arms.name(arm, what)] for what in (DISTANCE, CHANGE))
    if None not in (found["mean"], last["min"]) and max(-last["min"], last["max"]) > found["mean"] / 4:
        return "still moving in single seeds"
    if None not in (found["max"], found["median"]) and found["max"] > 5 * found["median"]:
        return "not known, its runs are of two kinds"
    return verdicts.settling(found, last)


def verdict_digits(summary):
    """The order of the arms, what V adds, which arms come near the data, and which have settled: a line each."""
    distances = arms.scores(summary, DIGITS, DISTANCE)
    gaussian = summary["distance of a Gaussian in pixels"]
    better = [name for name, s in distances.items() if verdicts.ranges_apart(s, gaussian) == -1]
    words = {1: "larger", 0: "not separated", -1: "smaller"}
    gaps = [
        f"{one} against {other} {words[verdicts.sign(summary[arms.name('distance', f'{one} minus {other}')])]}"
        for one, other in PAIRS
    ]
    won = [name for name, s in arms.scores(summary, DIGITS, VALUE).items() if verdicts.always_above(s, 5)]
    return (
        f"distance of samples, from the least, intervals compared: {verdicts.ordered(distances, least_first=True)};\n"
        f"  every run closer to the data than every Gaussian in pixels: {verdicts.listed(better)};\n"
        f"  distance seed by seed: {', '.join(gaps)};\n"
        f"  V above 5 nats at the end in every seed: {verdicts.listed(won)};\n"
        f"  over the last quarter: {', '.join(f'{name} {steady(summary, name)}' for name in DIGITS)}."
    )


# 13.5 Tight modes

SCORES = {"modes": "covered", "high-quality share": "quality"}  # names of `evaluation.Modes`
SHARE_CHANGE = "share at the end minus after three quarters"
TIGHT = {name: DIGITS[name] for name in ("AGE", "both rebuild")}  # the weights that digits need


@dataclass(frozen=True)
class Tight(Training):
    """Eight tight Gaussians on a ring."""

    data: Points = RING
    latent: int = 3
    rates: tuple = (("AGE", 2e-3), ("both rebuild", 2e-3))  # of both players at the start
    tuning: tuple = (  # arm, (rate, share of good samples of seed 100 after all steps) each
        ("AGE", (5e-4, 0.007), (2e-3, 0.018)),
        ("both rebuild", (5e-4, 0.0), (2e-3, 0.0)),
    )
    points: int = 100_000  # drawn once, to train on


def run_tight(config, seed, device):
    """Modes and quality over training, samples and reconstructions at the end."""
    rows = config.data.draw(config.points, seed)[0]  # (points, 2)
    z, numbers, arrays = noise(DRAWN, config, seed).to(device), {}, {}
    x = rows[:DRAWN].to(device)

    def watch(nets):
        return score(age.sample(nets, z).cpu(), config.data)._asdict() | {
            "error": float((age.rebuilt(nets, x) - x).abs().mean())
        }

    for name, arm in TIGHT.items():
        nets = age.networks(seed, 2, config.hidden, config.latent)
        history = train_age(nets, rows, arm, dict(config.rates)[name], config, seed, device, watch)
        for what, field in SCORES.items():
            curve = torch.tensor([float(each[field]) for each in history.watched])
            numbers[name, what], arrays[f"{name}: {what}"] = curve[-1], curve
        numbers[name, SHARE_CHANGE] = change(curve)
        numbers |= {(name, "data error"): history.watched[-1]["error"], (name, VALUE): last_quarter(history["V"])}
        arrays[f"{name}: samples"] = drawn = age.sample(nets, z).cpu()
        numbers[name, "median distance from the middle"] = drawn.norm(dim=1).median()
    arrays["step"] = torch.tensor([each["step"] for each in history.watched])
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_tight(results, config):
    """Samples (2500, 2) of the first seed for both arms; scores (moments,) of every seed."""
    fig, axes = drawing.panels(1, 4, (8.4, 2.7))
    a, lines = results[0]["arrays"], chance(config.data)
    reach = 1.05 * max(float(a[f"{name}: samples"].abs().max()) for name in TIGHT)  # of both, on one scale
    for ax, (name, arm) in zip(axes, TIGHT.items(), strict=False):
        drawing.dots(ax, a[f"{name}: samples"], arm.look.color)
        drawing.crosses(ax, config.data.centers(), "black", size=5)
        ax.set(title=name, xlim=(-reach, reach), ylim=(-reach, reach))
        for panel, what in zip(axes[2:], SCORES, strict=True):
            drawing.seed_curves(panel, a["step"], [r["arrays"][f"{name}: {what}"] for r in results], arm.look)
    best = max(float(r["arrays"][f"{name}: {[*SCORES][1]}"].max()) for r in results for name in TIGHT)
    for index, (ax, top) in enumerate(zip(axes[2:], (len(config.data.centers()), max(best, 0.01)), strict=True)):
        drawing.level(ax, lines["uniform"][index], "uniform", at=0.98, ha="right")
        ax.set(title=[*SCORES][index], xlabel="step", ylim=(-0.03 * top, 1.1 * top))
    drawing.legend_below(fig, axes[3], columns=2)
    return fig


def verdict_tight(summary):
    """Modes, good samples against a uniform sampler, and whether the shares have settled; of a share of 0, which cannot fall, not."""
    uniform = chance(RING)["uniform"][1]
    said = []
    for name in TIGHT:
        modes, share = (summary[arms.name(name, what)] for what in SCORES)
        half = "more than half" if verdicts.always_above(share, 0.5) else "not half"
        above = "" if verdicts.always_above(share, uniform) else "not "
        last = "" if share["max"] == 0 else f", {verdicts.settling(share, summary[arms.name(name, SHARE_CHANGE)])}"
        said.append(
            f"{name}: {verdicts.span(modes, '.0f')} of {len(RING.centers())} modes, {half} of the samples good in every seed "
            f"({verdicts.percent(share)} on average, {above}above the uniform sampler's {100 * uniform:.1f} % in every seed){last}"
        )
    return ";\n  ".join(said) + "."


RECIPES = age_exact.RECIPES | {
    "13.4": Recipe(
        title="Six ways to train on digits",
        caption="Digits of 8x8 pixels, codes on the sphere in 10 dimensions. Above, first seed: a row of held-out images, a "
        "row of their reconstructions, and four of samples. Below, every seed: Fréchet distance between samples and "
        "held-out images in the features of a classifier, V (the axis is logarithmic beyond -2 and 2), and the mean error "
        "per pixel of held-out reconstructions. Gray lines: the distance with draws of a Gaussian fitted to the pixels, and "
        "with training images, in the place of samples. Each arm has the best of the learning rates tried for it.",
        alt="Six sheets of digits, each with held-out images, reconstructions and samples. Below, curves over the steps for every "
        "seed: without V and with data weight 10 the distance of the samples stays high; it is least with the authors' weights and "
        "where both rebuild with V. Over the last quarter of the steps V lies on average between 45 and 68 nats with data weight 10, between "
        "9 and 19 with the authors' weights, and between 1 and 3 where both rebuild with V. The data error is least in the three arms in which both rebuild.",
        run=run_digits, draw=draw_digits, verdict=verdict_digits, seeds=tuple(range(5)), full=Digits(),
        quick=Digits(hidden=(32,), steps=60, moments=4, judge_steps=30),
    ),
    "13.5": Recipe(
        title="Eight tight modes",
        caption="The ring of chapter 5 with codes on the sphere in 3 dimensions. Left, 2,500 samples of the first seed and "
        "the centers, both panels on one scale. Right, scores of every seed over training; dotted, a uniform sampler.",
        alt="A cloud of samples over eight crosses, a much wider one far around them, and curves of modes and good samples, "
        "both low at the end.",
        run=run_tight, draw=draw_tight, verdict=verdict_tight, seeds=tuple(range(5)), full=Tight(),
        quick=Tight(hidden=(32,), steps=60, moments=4, points=2000),
    ),
}  # fmt: skip
