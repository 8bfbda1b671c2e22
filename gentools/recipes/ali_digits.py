"""Experiments of chapter 09 on pictures: BiGAN beside an autoencoder, judged by the nearest neighbor of its codes."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import ali
from gentools.lab.optim import cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import Recipe
from gentools.recipes.conditional_gan import load
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams

# 9.8 BiGAN on digits


@dataclass(frozen=True)
class Digits:
    """BiGAN on handwritten digits, and a plain autoencoder of the same networks."""

    data: str = "mnist 14x14"  # or "digits" (8x8), or "mnist" (28x28)
    latent: int = 50  # numbers in a code
    width: int = 256  # of the hidden layers
    batch: int = 128
    steps: int = 10_000  # of BiGAN
    autoencoder_steps: int = 5000
    learning_rate: float = 1e-3
    betas: tuple = (0.5, 0.999)  # of Adam


LOOKS = {
    "untrained": Look("un-\ntrained", "black", "", "o"),
    "pixels": Look("pixels", "purple", "", "s"),
    "BiGAN": Look("BiGAN", "blue", "", "^"),
    "autoencoder": Look("auto-\nencoder", "orange", "", "D"),
}
NEIGHBOR = "nearest neighbor right"
SIDES = {"digits": 8, "mnist 14x14": 14, "mnist": 28}  # pixels along a side of each data set
ROWS = ("x", "BiGAN back", "autoencoder back")  # of the sheet that compares reconstructions


class Pictures(NamedTuple):
    """Images uint8 (n, 1, side, side) and classes (n,), for training and testing."""

    x: object
    c: object
    x_test: object
    c_test: object


def uniform(*size, generator, device, dtype):
    """BiGAN's prior: independent numbers between -1 and 1."""
    return 2 * torch.rand(*size, generator=generator, device=device, dtype=dtype) - 1


def nearest_label(x, labels, x_test):
    """The label of the nearest row of x (n, d), for each row of x_test (m, d); shape (m,)."""
    squares = x.square().sum(1)
    return torch.cat([labels[(squares - 2 * part @ x.T).argmin(1)] for part in x_test.split(500)])


@torch.no_grad()
def codes(nets, x):
    """Codes (n, latent) of images uint8 (n, 1, side, side), with BatchNorm in evaluation mode, on the CPU."""
    encoder = nets["players"]["encoder"].eval()
    device = next(encoder.parameters()).device
    return torch.cat([encoder(part.to(device).float() / 255, None).cpu() for part in x.split(5000)])


def untrained(config, seed):
    """The chapter's networks for the images of a configuration as they start; those that are stored load into them."""
    return ali.image_networks(seed, SIDES[config.data] ** 2, config.latent, config.width)


def trained(config, x, step, steps, seed, device):
    """The networks trained with one step function, or as they start without steps."""
    nets = untrained(config, seed).to(device)
    if steps:  # `fitting.fit` draws normal noise, and this prior is uniform
        stream = Stream(x, config.batch, (3, config.latent), noise=uniform, device=device)
        opts = adams(nets, config.learning_rate, config.betas)
        train(step, nets, opts, stream, steps, seed, schedule=cosine(steps))
    return nets


def right(found, labels):
    """Share of right labels, 0-d."""
    return (found == labels).float().mean()


@torch.no_grad()
def judged(nets, pictures):
    """Share of test images whose nearest code in training has their class; reconstructions (m, pixels); the decoder."""
    code = codes(nets, pictures.x_test)  # (m, latent)
    share = right(nearest_label(codes(nets, pictures.x), pictures.c, code), pictures.c_test)
    decoder = nets["players"]["generator"].cpu().eval()
    return share, decoder(code), decoder


def run_digits(config, seed, device):
    """BiGAN, a plain autoencoder of the same networks, and the networks untrained; 1-NN on held-out images."""
    pictures = Pictures(*load(config.data, "train"), *load(config.data, "test"))
    x, flat = pictures.x, pictures.x_test.flatten(1) / 255  # (m, pixels)
    numbers, arrays = {}, {"x": flat[:20]}
    ways = {"BiGAN": (ali.step, config.steps), "autoencoder": (ali.autoencoder_step, config.autoencoder_steps)}
    for name, (step, steps) in (ways | {"untrained": (None, 0)}).items():
        nets = trained(config, x, step, steps, seed, device)
        numbers[name, NEIGHBOR], back, decoder = judged(nets, pictures)
        if steps:
            numbers[name, "reconstruction error"] = (back - flat).norm(dim=1).mean()
            arrays[f"{name} back"] = back[:20]
        if name == "BiGAN":
            rng = generator(seed, "samples")
            z = uniform(100, config.latent, generator=rng, device="cpu", dtype=torch.float32)
            arrays["samples"], kept = decoder(z).detach(), nets  # (100, pixels)
    numbers["pixels", NEIGHBOR] = right(nearest_label(x.flatten(1) / 255, pictures.c, flat), pictures.c_test)
    numbers = arms.named(numbers)
    numbers["error of another test image"] = (flat - flat.roll(1, 0)).norm(dim=1).mean()
    return {"numbers": numbers, "arrays": arrays, "nets": kept}


def draw_digits(results, config):
    """Images over two kinds of reconstructions (20, pixels), samples (100, pixels), and the shares of every seed."""
    a = results[0]["arrays"]
    side = math.isqrt(a["x"].shape[1])
    fig, axes = drawing.mosaic("aa;bc", (8.4, 9.2), height_ratios=(1.1, 1))
    rows = torch.stack([a[key].view(2, 10, 1, side, side) for key in ROWS], 1)  # (2, 3, 10, 1, side, side)
    drawing.sheet(axes["a"], rows.view(-1, 1, side, side).clamp(0, 1), most=1)
    for i, label in enumerate(2 * ("x", "G(E(x))", "auto-\nencoder")):
        axes["a"].annotate(
            label, (-side / 4, (i + 0.5) * (side + 1)), ha="right", va="center", fontsize=9, annotation_clip=False
        )
    drawing.sheet(axes["b"], a["samples"].view(-1, 1, side, side), "samples of BiGAN", most=1)
    for i, (name, look) in enumerate(LOOKS.items()):
        shares = [100 * share for share in drawing.over_seeds(results, arms.name(name, NEIGHBOR))]
        drawing.seed_points(axes["c"], i, shares, look, spread=0.07)
    axes["c"].set(title="nearest neighbor right, %", xticks=range(len(LOOKS)))
    axes["c"].set_xticklabels([look.label for look in LOOKS.values()])
    return fig


def verdict_digits(summary):
    """BiGAN's codes against three others by their nearest neighbors, and its reconstructions against another image."""
    score = arms.scores(summary, LOOKS, NEIGHBOR)
    words = {1: "above", 0: "not separated from", -1: "below"}
    others = ("autoencoder", "pixels", "untrained")
    told = "; ".join(f"{words[verdicts.separated(score['BiGAN'], score[other])]} {other}" for other in others)
    error, another = summary["BiGAN: reconstruction error"], summary["error of another test image"]
    words = {
        -1: "closer to x than another image is",
        0: "not separated from another image in their distance to x",
        1: "farther from x than another image is",
    }
    return (
        f"Nearest neighbors in BiGAN's codes: {told}. "
        f"Its reconstructions are {words[verdicts.separated(error, another)]}."
    )


RECIPES = {
    "9.8": Recipe(
        title="BiGAN on digits",
        caption="MNIST averaged to 14x14, networks of width 256, 10,000 steps on a CPU. Above, twice three rows: test "
        "images, BiGAN's reconstructions, those of an autoencoder. Below: samples, and how often the nearest neighbor "
        "among all training codes has the right label, every seed. Pictures are those of the first seed.",
        alt="Above: digits, below them BiGAN's reconstructions, often another digit of similar shape, and below these an "
        "autoencoder's, close to the original. Below: a sheet of digits, many of them hard to read, and points between "
        "92 and 98 percent; the untrained network is lowest, then BiGAN, then pixels and the autoencoder.",
        run=run_digits, model=untrained, draw=draw_digits, quick=Digits("digits", 20, 64, steps=600, autoencoder_steps=300),
        cpu=Digits(),
        full=Digits("mnist", 50, 1024, steps=187_600, autoencoder_steps=187_600, learning_rate=2e-4),
        seeds=tuple(range(5)), verdict=verdict_digits, record="cpu",
    ),
}  # fmt: skip
