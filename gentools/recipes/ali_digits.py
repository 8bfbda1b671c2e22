"""Experiments of chapter 09 on pictures: BiGAN beside an autoencoder, judged by the nearest neighbor of its codes."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import ali
from gentools.lab.optim import cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, unit
from gentools.lab.training import train
from gentools.recipes import Recipe
from gentools.recipes.conditional_gan import load
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, run_folder

# 9.8 BiGAN on digits


@dataclass(frozen=True)
class Digits:
    """BiGAN on handwritten digits, and a plain autoencoder of the same networks."""

    data: str = "mnist"  # 28x28, or "digits" (8x8)
    latent: int = 50  # numbers in a code
    width: int = 256  # of the hidden layers
    batch: int = 128
    steps: int = 20_000  # of BiGAN
    autoencoder_steps: int = 10_000
    learning_rate: float = 5e-4  # of BiGAN
    autoencoder_rate: float = 1e-2
    betas: tuple = (0.5, 0.999)  # of Adam
    looks: int = 8  # evaluations during each training, at equal distances
    watched: int = 1000  # test images for these
    tuning: tuple = (  # (rate, share with the right neighbor, reconstruction error) after all steps, of the last sixth of the
        # training images, which these runs of seed 100 did not see. Where shares are equal but for noise, the smaller error
        ("BiGAN", (2.5e-4, 0.9152, 9.48), (5e-4, 0.9177, 7.39), (1e-3, 0.9125, 7.13), (2e-3, 0.8763, 7.43)),
        ("autoencoder", (1e-3, 0.9779, 1.79), (3e-3, 0.9780, 1.77), (1e-2, 0.9796, 1.84), (3e-2, 0.9799, 1.94)),
    )


LOOKS = {
    "untrained": Look("un-\ntrained", "black", "", "o"),
    "pixels": Look("pixels", "purple", "", "s"),
    "BiGAN": Look("BiGAN", "blue", "-", "^"),
    "autoencoder": Look("auto-\nencoder", "orange", "--", "D"),
}
TRAINED = {"BiGAN": ali.step, "autoencoder": ali.autoencoder_step}
NEIGHBOR, ERROR = "nearest neighbor right", "reconstruction error"
CHANGE = "change over the last quarter"
SIDES = {"digits": 8, "mnist": 28}  # pixels along a side of each data set
SHOWN = 12  # pictures in a row of the sheets
ROWS = {"x": "x", "G(E(x))": "BiGAN back", "nearest\ncode": "BiGAN nearest", "auto-\nencoder": "autoencoder back"}


class Pictures(NamedTuple):
    """Images uint8 (n, 1, side, side) and classes (n,), for training and testing."""

    x: object
    c: object
    x_test: object
    c_test: object


class Judged(NamedTuple):
    """What trained networks make of test images: `near` (m,) says whose code in training is nearest."""

    share: object  # of test images with the class of that training image, 0-d
    error: object  # mean distance of x from its reconstruction, 0-d
    near: object
    back: object  # reconstructions (m, pixels)


def uniform(*size, generator, device, dtype):
    """BiGAN's prior: independent numbers between -1 and 1."""
    return 2 * torch.rand(*size, generator=generator, device=device, dtype=dtype) - 1


def flat(x):
    """Images uint8 (n, 1, side, side) as vectors (n, pixels) of numbers in [0, 1]."""
    return x.flatten(1) / 255


def nearest(x, x_test):
    """Which row of x (n, d) is nearest to each row of x_test (m, d): places (m,) in x."""
    squares = x.square().sum(1)
    return torch.cat([(squares - 2 * part @ x.T).argmin(1) for part in x_test.split(500)])


def right(found, labels):
    """Share of right labels, 0-d."""
    return (found == labels).float().mean()


@torch.no_grad()
def passed(net, rows):
    """net(rows) in parts, images uint8 or vectors (n, ...) -> (n, d) on the CPU, in evaluation mode meanwhile."""
    net, device = net.eval(), next(net.parameters()).device
    found = torch.cat([net(unit(part.to(device)).flatten(1)).cpu() for part in rows.split(5000)])
    net.train()
    return found


def judged(nets, pictures, most=None):
    """How codes and reconstructions of the first `most` test images, or of all, come out: a `Judged`."""
    encoder, decoder = nets["players"]["encoder"].net, nets["players"]["generator"]
    x_test, c_test = pictures.x_test[:most], pictures.c_test[:most]
    code = passed(encoder, x_test)  # (m, latent)
    near, back = nearest(passed(encoder, pictures.x), code), passed(decoder, code)
    return Judged(right(pictures.c[near], c_test), (back - flat(x_test)).norm(dim=1).mean(), near, back)


def untrained(config, seed):
    """The chapter's networks for the images of a configuration as they start; those that are stored load into them."""
    return ali.image_networks(seed, SIDES[config.data] ** 2, config.latent, config.width)


def trained(config, pictures, name, rate, steps, seed, device, looks=1):
    """The networks trained as BiGAN or as an autoencoder, and two scores at equal distances on the way, (looks, 2)."""

    def seen(done):
        found = judged(nets, pictures, config.watched)
        return {NEIGHBOR: found.share, ERROR: found.error}

    nets = untrained(config, seed).to(device)
    opts = adams(nets, rate, config.betas)  # `fitting.fit` draws normal noise, and this prior is uniform
    stream = Stream(pictures.x, config.batch, (3, config.latent), noise=uniform, device=device)
    how = {"schedule": cosine(steps), "watch": seen, "log_every": steps // looks, "config": {"watched": config.watched}}
    folder = run_folder(TRAINED[name], nets, opts, stream, steps, seed, how)  # figures 9.8 and 9.11 share their runs
    history = train(TRAINED[name], nets, opts, stream, steps, seed, **how, folder=folder)
    return nets, torch.tensor([[look[NEIGHBOR], look[ERROR]] for look in history.watched])


@functools.cache
def by_pixels(name):
    """Share of test images of a data set whose nearest training image, pixel by pixel, has their class; no seed changes it."""
    (x, c), (x_test, c_test) = load(name, "train"), load(name, "test")
    return right(c[nearest(flat(x), flat(x_test))], c_test)


def run_digits(config, seed, device):
    """BiGAN, a plain autoencoder of the same networks, and the networks untrained; 1-NN on held-out images."""
    pictures = Pictures(*load(config.data, "train"), *load(config.data, "test"))
    x_test, numbers, kept = flat(pictures.x_test), {}, {}
    arrays = {"x": x_test[:SHOWN]}
    plan = {
        "BiGAN": (config.learning_rate, config.steps),
        "autoencoder": (config.autoencoder_rate, config.autoencoder_steps),
    }
    for name, (rate, steps) in plan.items():
        kept[name], curve = trained(config, pictures, name, rate, steps, seed, device, config.looks)
        found = judged(kept[name], pictures)
        numbers |= {(name, NEIGHBOR): found.share, (name, ERROR): found.error}
        numbers |= {
            (name, f"{what}, {CHANGE}"): change(part) for what, part in zip((NEIGHBOR, ERROR), curve.T, strict=True)
        }
        near = flat(pictures.x[found.near[:SHOWN]])
        arrays |= {f"{name} curve": curve, f"{name} back": found.back[:SHOWN], f"{name} nearest": near}
    rng = generator(seed, "samples")
    z = uniform(2 * SHOWN, config.latent, generator=rng, device="cpu", dtype=torch.float32)
    arrays["samples"] = passed(kept["BiGAN"]["players"]["generator"], z)  # (2 * SHOWN, pixels)
    arrays["samples nearest"] = flat(pictures.x[nearest(flat(pictures.x), arrays["samples"])])
    numbers["untrained", NEIGHBOR] = judged(untrained(config, seed), pictures).share
    numbers["pixels", NEIGHBOR] = by_pixels(config.data)
    numbers = arms.named(numbers) | {"error of another test image": (x_test - x_test.roll(1, 0)).norm(dim=1).mean()}
    return {"numbers": numbers, "arrays": arrays, "nets": kept["BiGAN"]}


def draw_rows(ax, rows, title):
    """A sheet of rows {label: images (SHOWN, pixels)}, each with its label; a label may come again with a blank added."""
    images = torch.stack(list(rows.values()))  # (rows, SHOWN, pixels)
    side = math.isqrt(images.shape[-1])
    drawing.sheet(ax, images.view(-1, 1, side, side).clamp(0, 1), title, columns=SHOWN, most=1)
    for i, label in enumerate(rows):
        ax.annotate(label.strip(), (-side / 4, (i + 0.5) * (side + 1)), ha="right", va="center", fontsize=9,
                    annotation_clip=False)  # fmt: skip


def draw_digits(results, config):
    """Two sheets of the first seed, images (SHOWN, pixels) in rows; below, scores of every seed and their curves."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("aaa;bbb;cde", (8.4, 9.4), height_ratios=(1, 1, 1))
    draw_rows(axes["a"], {label: a[key] for label, key in ROWS.items()}, "test images, first seed")
    fakes = zip(a["samples"].split(SHOWN), a["samples nearest"].split(SHOWN), strict=True)
    rows = {
        f"{label}{' ' * i}": part
        for i, pair in enumerate(fakes)
        for label, part in zip(("G(z)", "nearest\nin data"), pair, strict=True)
    }
    draw_rows(axes["b"], rows, "samples of BiGAN, first seed, each over the training image nearest in pixels")
    for i, (name, look) in enumerate(LOOKS.items()):
        shares = [100 * share for share in drawing.over_seeds(results, arms.name(name, NEIGHBOR))]
        drawing.seed_points(axes["c"], i, shares, look, spread=0.07)
    axes["c"].set(title="nearest neighbor right, %", xticks=range(len(LOOKS)))
    axes["c"].set_xticklabels([look.label for look in LOOKS.values()], fontsize=8)
    for name, steps in (("BiGAN", config.steps), ("autoencoder", config.autoencoder_steps)):
        curves = torch.stack([r["arrays"][f"{name} curve"] for r in results])  # (seeds, looks, 2)
        at = steps // config.looks * torch.arange(1, curves.shape[1] + 1)
        drawing.seed_curves(axes["d"], at / 1000, 100 * curves[..., 0], LOOKS[name])
        drawing.seed_curves(axes["e"], at / 1000, curves[..., 1], LOOKS[name])
    axes["d"].set(title="the same while training, %", xlabel="thousand steps")
    another = float(results[0]["numbers"]["error of another test image"])
    drawing.level(axes["e"], another, "another image", ha="left")
    axes["e"].set(title="reconstruction error", xlabel="thousand steps", ylim=(0, 1.15 * another))
    axes["e"].legend(loc="center right", bbox_to_anchor=(1, 0.45))
    return fig


def verdict_digits(summary):
    """BiGAN's codes against three others by their nearest neighbors, its reconstructions, and what still moves."""
    score = arms.scores(summary, LOOKS, NEIGHBOR)
    words = {1: "above", 0: "not separated from", -1: "below"}
    others = ("autoencoder", "pixels", "untrained")
    told = "; ".join(f"{words[verdicts.separated(score['BiGAN'], score[other])]} {other}" for other in others)
    error, another = summary[arms.name("BiGAN", ERROR)], summary["error of another test image"]
    words = {
        -1: "closer to x than another image is",
        0: "not separated from another image in their distance to x",
        1: "farther from x than another image is",
    }
    ends = []
    for what in (NEIGHBOR, ERROR):
        states = [
            f"{name} {verdicts.settling(summary[arms.name(name, what)], summary[arms.name(name, f'{what}, {CHANGE}')])}"
            for name in TRAINED
        ]
        ends.append(f"{what}: {', '.join(states)}")
    return (
        f"Nearest neighbors in BiGAN's codes: {told}. "
        f"Its reconstructions are {words[verdicts.separated(error, another)]}. "
        f"By the change over the last quarter of training, {'; '.join(ends)}."
    )


RECIPES = {
    "9.8": Recipe(
        title="BiGAN on digits",
        caption="MNIST at 28x28, networks of width 256, on a CPU: 20,000 steps of BiGAN and 10,000 of the autoencoder. "
        "Top: test images, BiGAN's reconstructions, the training images whose codes by BiGAN are nearest to those of "
        "the test images, and the autoencoder's reconstructions. Middle: samples, each over the training image nearest "
        "to it in pixels. Bottom, all five seeds: how often the training image with the nearest code has the right "
        "label; the same while training, on 1,000 test images; and for these images the distance of x from its "
        "reconstruction. The rates fall to 0, so curves that come to rest do not show what longer training would bring.",
        alt="Top: twelve test digits; below them BiGAN's reconstructions, some close, some of another digit, some broken; training "
        "digits with the nearest codes, most of the same class; and the autoencoder's reconstructions, close to the originals. "
        "Middle: samples, many of them digits, some broken, over training digits of similar shape. Bottom: untrained networks near "
        "88 percent, BiGAN between 91 and 92, pixels near 97, the autoencoder near 98. BiGAN's curves rise in the first half, and "
        "most fall in the second; its reconstruction error stays near 8, below 10 for another image, and the autoencoder's falls below 2.",
        run=run_digits, model=untrained, draw=draw_digits,
        quick=Digits("digits", 20, 64, steps=600, autoencoder_steps=300), cpu=Digits(),
        full=Digits("mnist", 50, 1024, steps=187_600, autoencoder_steps=187_600, learning_rate=2e-4, autoencoder_rate=2e-4),
        seeds=tuple(range(5)), verdict=verdict_digits, record="cpu",
    ),
}  # fmt: skip
