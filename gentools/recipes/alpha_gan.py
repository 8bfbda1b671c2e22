"""Experiments of chapter 14 on handwritten digits (14.5 to 14.8); alpha_gan_exact holds those with formulas."""

import dataclasses
import functools
from dataclasses import dataclass

import torch

from gentools import alpha_gan, evaluation, vae
from gentools.lab import checkpoint
from gentools.lab.plots import image_grid
from gentools.recipes import Recipe, alpha_gan_exact
from gentools.recipes import evaluation as evaluation_recipes
from gentools.recipes.alpha_gan_digits import (
    QUICK,
    SYSTEMS,
    VARIANTS,
    Training,
    judge,
    judged,
    noise,
    pictures,
    rows_of,
    sample,
    train_system,
)
from gentools.recipes.evaluation_points import Critic, table, train_critic
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change

DISTANCE, RECALL, ERROR = "Fréchet", "recall", "data error, held out"
MOVED = {what: f"{what}, at the end minus after three quarters" for what in (DISTANCE, RECALL, ERROR)}
CURVES = {DISTANCE: "distance", ERROR: "error"}  # what `train_system` calls them


def curves_of(name, seen, fields):
    """Numbers at the end and arrays over training of one arm, from what `train_system` saw; fields: as CURVES."""
    numbers, arrays = {}, {"step": torch.tensor([each["step"] for each in seen])}
    for what, field in fields.items():
        if field in seen[0]:
            curve = torch.tensor([each[field] for each in seen])
            numbers |= {(name, what): curve[-1], (name, MOVED[what]): change(curve)}
            arrays[f"{name}: {what}"] = curve
    return numbers, arrays


def settled(summary, names, what=DISTANCE):
    """For each arm whether a score has settled, as text."""
    return ", ".join(
        f"{name} {verdicts.settling(*(summary[arms.name(name, each)] for each in (what, MOVED[what])))}"
        for name in names
    )


# 14.5 How the learning rates were chosen


@dataclass(frozen=True)
class Tuning:
    """Every system at the same rates, on a seed and on held-out images that the comparison does not use."""

    training: Training
    rates: tuple = (1e-3, 3e-3, 1e-2, 3e-2, 6e-2)  # of all players at the start


def run_tuning(config, seed, device):
    """Frechet distance between samples and validation images, for every system at every rate."""
    held, numbers = rows_of(config.training).validation[: config.training.samples], {}
    for name, system in SYSTEMS.items():
        for rate in config.rates:
            try:
                _, seen = train_system(system, config.training, rate, seed, device, held)
            except checkpoint.NonFinite:  # the rate is too high
                seen = [{"distance": float("nan")}]
            numbers[arms.at_rate(name, rate, DISTANCE)] = seen[-1]["distance"]
    return {"numbers": numbers, "arrays": {}}


LOOKS = {name: system.look for name, system in SYSTEMS.items()}


def draw_tuning(results, config):
    """Distance against the learning rate, a line for each system."""
    fig, ax = drawing.rates_panel(results, config.rates, LOOKS, DISTANCE)
    ax.set(xlabel="learning rate of all players", ylabel="distance of samples", yscale="log")
    ax.legend(loc="best")
    return fig


def verdict_tuning(summary):
    """The rate of the least distance, for each system, and whether it is the end of the grid."""
    trials = arms.trials(summary, SYSTEMS, Tuning(TUNE).rates, DISTANCE)
    return verdicts.best_rates(trials, "distance", least_first=True)


# 14.6 The comparison of four systems


@dataclass(frozen=True)
class Comparison:
    """Every system at the best of its rates, scored by the metrics of chapter 11."""

    training: Training
    critic: Critic  # independent, a fresh one for each run
    rates: tuple = (("GAN", 1e-2), ("WGAN-GP", 1e-2), ("AGE", 1e-2), ("alpha-GAN", 1e-2))  # of figure 14.5
    trials: tuple = ()  # system, then (rate, distance) after all steps, one run each on seed 100 and other test images
    half_trials: tuple = ()  # the same after half as many steps, in other runs
    unchosen: tuple = ()  # system, rate, distances of all seeds after all steps: run before the trials, which chose another
    compared: int = 200  # pictures whose pairs are compared by SSIM
    k: int = 5  # neighbors

    @property
    def size(self):
        """Side of the pictures."""
        return self.training.size


REAL = "real pictures"
GAP = "gap of a fresh critic"
METRICS = {DISTANCE: -1, "KID": -1, "precision": 1, "recall": 1, "density": 1, "coverage": 1, "score": 1, "SSIM": -1,
           GAP: -1, "near train": 0}  # fmt: skip
LINES = {"another image": ":", "median image": "--", "principal components": "-."}


def all_scores(config, made, other, seed, device):
    """Every metric of rows made (n, pixels); `other`, more rows of the same kind, are what the critic is read on."""
    rows = rows_of(config.training)
    test, store = real_features(config.training, device)
    features, classes = judged(config.training, made, device)
    n = config.training.samples
    critic, _ = train_critic(config.critic, rows.validation[:n], made.cpu()[: len(rows.validation)], seed, device)
    return {
        DISTANCE: evaluation.frechet(features, test),
        **evaluation_recipes.scores(config, pictures(config.training, made).cpu(), features, classes, test, store),
        GAP: evaluation.critic_gap(critic, rows.test[:n].to(device), other.to(device)),
    }


@functools.cache
def real_features(training, device):
    """The judge's features of test images, and of as many training images."""
    rows, n = rows_of(training), training.samples
    return tuple(judged(training, part, device)[0] for part in (rows.test[:n], rows.train[:n].float() / 255))


def errors_without_training(config):
    """Mean error per pixel on test images of an image drawn at random, of the median image, and of the best linear code."""
    rows, k = rows_of(config), config.latent
    test, train = rows.test[: config.samples], rows.train[:10_000].float() / 255
    _, _, vectors = vae.spectrum(train)
    axes, center = vectors[:, :k].float(), train.mean(0)
    linear = (center + (test - center) @ axes @ axes.T).clamp(0, 1)
    rivals = (test.roll(1, 0), train.median(0).values, linear)
    return {(name, ERROR): (rival - test).abs().mean() for name, rival in zip(LINES, rivals, strict=True)}


def run_comparison(config, seed, device):
    """Four systems: distance and error over training, all metrics at the end, and the same of real pictures."""
    training, rows = config.training, rows_of(config.training)
    n, numbers, arrays = training.samples, {}, {}
    for name, rate in config.rates:
        nets, seen = train_system(SYSTEMS[name], training, rate, seed, device, rows.test[:n])
        found, curves = curves_of(name, seen, CURVES)
        made, other = (sample(nets, noise(training, seed, n, which, device)) for which in ("evaluation", "critic"))
        found |= {(name, what): value for what, value in all_scores(config, made, other, seed, device).items()}
        numbers, arrays = numbers | found, arrays | curves
    real, other = rows.test[n : 2 * n], rows.test[2 * n : 3 * n]  # the judge was not taught by these either
    numbers |= {(REAL, what): value for what, value in all_scores(config, real, other, seed, device).items()}
    numbers = arms.named(numbers | errors_without_training(training))
    return {"numbers": numbers | {"accuracy on held-out images": judge(training, device)[1]}, "arrays": arrays}


def draw_comparison(results, config):
    """Above, the table of means over the seeds. Below, distance and error (moments,) of every seed over the steps."""
    fig, axes = drawing.mosaic("tt;ab", (8.4, 5.6), height_ratios=(1, 1.5))
    rows = [REAL, *SYSTEMS]
    table(axes["t"], results, rows, METRICS, REAL)
    axes["t"].set_yticks(range(len(rows)), rows)
    for name, system in SYSTEMS.items():
        for ax, what in ((axes["a"], DISTANCE), (axes["b"], ERROR)):
            if (key := f"{name}: {what}") in results[0]["arrays"]:
                drawing.seed_curves(ax, results[0]["arrays"]["step"], [r["arrays"][key] for r in results], system.look)
    real = drawing.over_seeds(results, arms.name(REAL, DISTANCE))
    drawing.level(axes["a"], sum(real) / len(real), REAL)
    for name, line in LINES.items():
        at, above = drawing.over_seeds(results, arms.name(name, ERROR))[0], -12 if name == "principal components" else 3
        drawing.level(axes["b"], at, name, at=0.98, ls=line, ha="right", above=above)
    axes["a"].set(title="Fréchet distance of samples", xlabel="step of the generator", yscale="log")
    axes["b"].set(title="error of test reconstructions, per pixel", xlabel="step of the generator")
    axes["b"].set_ylim(0, 1.1 * axes["b"].get_ylim()[1])
    drawing.legend_below(fig, axes["a"], columns=4)
    return fig


def verdict_comparison(summary):
    """The order of the systems by each metric, the errors, the reference lines, and what has settled: a line each."""
    said = []
    for what, better in METRICS.items():
        found = arms.scores(summary, SYSTEMS, what)
        if better:
            real = summary[arms.name(REAL, what)]
            past = [name for name, s in found.items() if verdicts.ranges_apart(s, real) == better]
            order = verdicts.ordered(found, least_first=better < 0)
            beyond = f" (past real pictures in every seed: {verdicts.listed(past)})" if past else ""
            said.append(f"{what}, the {'least' if better < 0 else 'most'} first: {order}{beyond}")
    near, real = arms.scores(summary, SYSTEMS, "near train"), summary[arms.name(REAL, "near train")]
    low = [name for name, s in near.items() if verdicts.ranges_apart(s, real) == -1]
    errors = arms.scores(summary, [*SYSTEMS, *LINES], ERROR)
    said += [
        f"nearer to the training images than real pictures are, in every seed: {verdicts.listed(low)}",
        f"error of test reconstructions, the least first: {verdicts.ordered(errors, least_first=True)}",
        f"distance over the last quarter: {settled(summary, SYSTEMS)}",
        f"error over the last quarter: {settled(summary, ('AGE', 'alpha-GAN'), ERROR)}",
    ]
    return ";\n  ".join(["orders by intervals of means", *said]) + "."


# 14.7 What they make


def run_sheets(config, seed, device):
    """Samples of every system (n, pixels), and test images with their reconstructions; the networks of alpha-GAN."""
    training, rows, numbers, arrays = config.training, rows_of(config.training), {}, {}
    x = rows.test[:30].to(device)
    arrays["x"], codes = x, noise(training, seed, len(x), "codes", device)
    for name, rate in config.rates:
        system = SYSTEMS[name]
        nets, _ = train_system(system, training, rate, seed, device, rows.test[: training.samples])
        arrays[f"{name}: samples"] = sample(nets, noise(training, seed, 60, "shown", device))
        if system.rebuilt:
            arrays[f"{name}: rebuilt"] = back = system.rebuilt(nets, x, codes)
            numbers[name, "data error"] = (back - x).abs().mean()
    arrays = {what: (255 * rows).round().to(torch.uint8).cpu() for what, rows in arrays.items()}
    kept = torch.nn.ModuleDict({part: nets[part].cpu() for part in ("encoder", "generator")})
    return {"numbers": arms.named(numbers), "arrays": arrays, "nets": kept}


def sheets_model(config, seed):
    """Encoder and generator of alpha-GAN, untrained."""
    training = config.training
    nets = alpha_gan.image_networks(seed, training.size**2, training.hidden, training.latent)
    return torch.nn.ModuleDict({part: nets[part] for part in ("encoder", "generator")})


def draw_sheets(results, config):
    """Above, 60 samples of every system; below, 30 test images and what AGE and alpha-GAN make of them."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("abcd;eeee", (8.4, 5.2), height_ratios=(2, 1.6))
    for key, name in zip("abcd", SYSTEMS, strict=True):
        drawing.sheet(axes[key], pictures(config.training, a[f"{name}: samples"]), name, columns=6)
    shown = {"test images": a["x"], "AGE": a["AGE: rebuilt"], "alpha-GAN": a["alpha-GAN: rebuilt"]}
    columns, bottom = 15, axes["e"]
    strips = [rows[i : i + columns] for i in (0, columns) for rows in shown.values()]
    image_grid(bottom, pictures(config.training, torch.cat(strips)), columns=columns, vmax=255)
    height = bottom.get_images()[0].get_array().shape[0] / len(strips)
    bottom.set_axis_on()
    bottom.grid(False)
    bottom.spines[:].set_visible(False)
    bottom.tick_params(length=0)
    bottom.set(xticks=(), yticks=[height * (i + 0.5) for i in range(len(strips))])
    bottom.set_yticklabels([*shown] * 2, fontsize=9)
    return fig


# 14.8 What the parts of alpha-GAN do


@dataclass(frozen=True)
class Ablation:
    """alpha-GAN and three variants, each at the best of its rates."""

    training: Training
    rates: tuple = (
        ("alpha-GAN", 3e-3),
        ("no reconstruction", 1e-2),
        ("two updates", 3e-3),
        ("two discriminators", 1e-2),
    )
    trials: tuple = ()  # variant, then (rate, distance) after all steps, one run each on seed 100 and other test images
    half_as_long: tuple = ()  # variant, rate, distances of all seeds in runs of half as many steps


PARTS = {DISTANCE: "distance of samples", RECALL: "recall", "score": "classifier score", ERROR: "test error"}


def run_ablation(config, seed, device):
    """Scores of every variant at the end, three of them over training, and differences from alpha-GAN seed by seed."""
    training, numbers, arrays = config.training, {}, {}
    held = rows_of(training).test[: training.samples]
    for name, rate in config.rates:
        nets, seen = train_system(VARIANTS[name], training, rate, seed, device, held)
        found, curves = curves_of(name, seen, CURVES | {RECALL: "recall"})
        _, classes = judged(training, sample(nets, noise(training, seed, training.samples, device=device)), device)
        found[name, "score"] = evaluation.classifier_score(classes)
        for what in PARTS:
            if name != "alpha-GAN":
                found[what, f"{name} minus alpha-GAN"] = found[name, what] - numbers["alpha-GAN", what]
        numbers, arrays = numbers | found, arrays | curves
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_ablation(results, config):
    """Four scores, a column for each variant and a point per seed; below, three of them (moments,) over the steps."""
    fig, axes = drawing.mosaic("aaabbb;cccddd;xxyyzz", (8.4, 7.9))
    looks = {name: system.look for name, system in VARIANTS.items()}
    for key, (what, title) in zip("abcd", PARTS.items(), strict=True):
        drawing.seed_columns(axes[key], results, {name: arms.name(name, what) for name in VARIANTS}, looks)
        axes[key].set(title=title)
        axes[key].tick_params(axis="x", labelsize=8.5)
    for key, what in zip("xyz", (DISTANCE, RECALL, ERROR), strict=True):
        for name, look in looks.items():
            curves, look = [r["arrays"][f"{name}: {what}"] for r in results], dataclasses.replace(look, label=name)
            drawing.seed_curves(axes[key], results[0]["arrays"]["step"], curves, look, marker=look.marker, ms=3.5)
        axes[key].set(title=PARTS[what], xlabel="step", xticks=(0, 10_000, 20_000))
    axes["x"].set_yscale("log")
    axes["x"].set_yticks((40, 80, 160), ("40", "80", "160"))
    axes["x"].minorticks_off()
    drawing.legend_below(fig, axes["x"], columns=4)
    return fig


def verdict_ablation(summary):
    """Each variant beside alpha-GAN, seed by seed, for each score; and what has settled."""
    words = {1: "higher", 0: "not separated", -1: "lower"}
    said = []
    for name in [*VARIANTS][1:]:
        found = {what: words[verdicts.sign(summary[arms.name(what, f"{name} minus alpha-GAN")])] for what in PARTS}
        said.append(f"{name} against alpha-GAN: " + ", ".join(f"{PARTS[what]} {word}" for what, word in found.items()))
    said += [
        f"distance over the last quarter: {settled(summary, VARIANTS)}",
        f"recall over the last quarter: {settled(summary, VARIANTS, RECALL)}",
        f"error over the last quarter: {settled(summary, VARIANTS, ERROR)}",
    ]
    return ";\n  ".join(said) + "."


SMALL, BIG = Training(**QUICK), Training(hidden=(512, 512), steps=100_000, critic_steps=5)
FEW, FRESH = Critic(width=16, steps=20, batch=32), Critic(width=128, steps=300, batch=64)
TUNE = Training(steps=1500, moments=1)
LONG = Comparison(
    Training(steps=24_000), FRESH,
    rates=(("GAN", 3e-3), ("WGAN-GP", 3e-3), ("AGE", 3e-3), ("alpha-GAN", 3e-3)),
    trials=(
        ("GAN", (1e-3, 1762.3), (3e-3, 62.9), (1e-2, 2140.8)),
        ("WGAN-GP", (1e-3, 15.2), (3e-3, 14.3), (1e-2, 17.7)),
        ("AGE", (1e-3, 1514.0), (3e-3, 66.2), (1e-2, 68.4)),
        ("alpha-GAN", (1e-3, 70.2), (3e-3, 60.4), (1e-2, 82.9)),
    ),
    half_trials=(
        ("GAN", (1e-3, 697.8), (3e-3, 73.4), (1e-2, 165.2)),
        ("WGAN-GP", (1e-3, 24.9), (3e-3, 17.3), (1e-2, 16.3)),
        ("AGE", (3e-3, 67.7), (1e-2, 47.3)),
        ("alpha-GAN", (3e-3, 49.5), (1e-2, 37.9)),
    ),
    unchosen=(
        ("WGAN-GP", 1e-2, 24.0, 20.4, 22.8, 25.4, 20.3),
        ("AGE", 1e-2, 66.8, 53.4, 65.7, 82.9, 64.6),
        ("alpha-GAN", 1e-2, 62.6, 58.1, 75.8, 57.7, 77.2),
    ),
)  # fmt: skip
PARTED = Ablation(
    Training(steps=24_000),
    trials=(
        ("alpha-GAN", (1e-3, 70.2), (3e-3, 60.4), (1e-2, 82.9)),
        ("no reconstruction", (1e-3, 255.1), (3e-3, 80.1), (1e-2, 49.6), (3e-2, 1774.8)),
        ("two updates", (1e-3, 73.1), (3e-3, 59.1), (1e-2, 146.5)),
        ("two discriminators", (1e-3, 82.4), (3e-3, 64.6), (1e-2, 43.2), (3e-2, 105.9)),
    ),
    half_as_long=(
        ("alpha-GAN", 1e-2, 40.6, 37.2, 43.0, 52.7, 42.4),
        ("no reconstruction", 1e-2, 39.0, 46.3, 41.6, 39.6, 38.0),
        ("two updates", 3e-3, 67.7, 67.0, 62.0, 82.1, 65.1),
        ("two discriminators", 1e-2, 35.7, 45.5, 35.7, 56.5, 47.1),
    ),
)  # fmt: skip

RECIPES = alpha_gan_exact.RECIPES | {
    "14.5": Recipe(
        title="How the learning rates were chosen",
        caption="The first of three rounds of tuning, 1,500 steps on MNIST: the Fréchet distance between samples and "
        "held-out training images, for every system at five learning rates, on two seeds that the comparison does not use. "
        "Lines: means of the two.",
        alt="Distances against the learning rate on two logarithmic axes, a line for each of four systems. All are lowest at 0.01; "
        "at 0.03 GAN and AGE are many times higher on average, WGAN-GP and alpha-GAN little.",
        run=run_tuning, draw=draw_tuning, verdict=verdict_tuning, seeds=(100, 101), record="cpu", cpu=Tuning(TUNE),
        full=Tuning(Training(hidden=(512, 512), steps=20_000, moments=1)),
        quick=Tuning(Training(**QUICK | {"moments": 1}), (1e-3, 3e-3)),
    ),
    "14.6": Recipe(
        title="Four systems on handwritten digits",
        caption="MNIST, dense networks with layers of equal widths, five seeds. Above, the metrics of chapter 11, means "
        "over the seeds; orange: worse than real pictures in every seed, blue: better in every seed. Below, every seed over "
        "training: left, the Fréchet distance between 2,000 samples and as many test images in the features of a "
        "classifier; right, the mean error per pixel of test reconstructions. The gray lines at right need no training by "
        "steps. All systems train at the rate 0.003, the best of each one's trials over all steps (settings). The distance "
        "of WGAN-GP falls to the end; a run of twice the steps (seed 0) ends within the range of the five.",
        alt="A table of five rows and ten metrics, real pictures best by nearly all. Below left, distances over the steps: those of "
        "WGAN-GP lie lowest throughout and end near real pictures; GAN, AGE and alpha-GAN end in one band far above. Below right, "
        "errors over the steps: that of alpha-GAN falls and ends below that of principal components, that of AGE stays above.",
        run=run_comparison, draw=draw_comparison, verdict=verdict_comparison, seeds=tuple(range(5)), record="cpu",
        cpu=LONG, full=Comparison(BIG, Critic(256, 2000)),
        quick=Comparison(SMALL, FEW, compared=20),
    ),
    "14.7": Recipe(
        title="Samples and test reconstructions",
        caption="The first seed of figure 14.6. Above, samples. Below, test images, and what AGE and alpha-GAN make of them.",
        alt="Four sheets of generated digits, and rows of test digits above their reconstructions by two systems.",
        run=run_sheets, draw=draw_sheets, record="cpu", model=sheets_model, cpu=LONG,
        full=Comparison(BIG, Critic(256, 2000)),
        quick=Comparison(SMALL, FEW, compared=20), idle=("critic", "compared", "k"),
    ),
    "14.8": Recipe(
        title="What the parts of alpha-GAN do",
        caption="alpha-GAN as in figure 14.6; the same without the error of reconstruction; with two steps of encoder and "
        "generator for each of the discriminators (\"two updates\"); with a discriminator for samples and another for "
        "reconstructions (\"two discriminators\"). Each has the best of its rates (settings). Above, a point per seed; "
        "below, every seed over training, in the same colors.",
        alt="Four panels of points: without reconstruction and with two discriminators the distances are smaller and the scores "
        "higher than alpha-GAN's and those with two updates. Recall is the lowest without reconstruction and the highest with two "
        "discriminators; the test error is by far the highest without reconstruction. Below, curves: distances that fall and "
        "level off, recall that rises and levels off, errors that fall slowly but for that without reconstruction.",
        run=run_ablation, draw=draw_ablation, verdict=verdict_ablation, seeds=tuple(range(5)), record="cpu", cpu=PARTED,
        full=Ablation(BIG), quick=Ablation(SMALL),
    ),
}  # fmt: skip
