"""Experiments of chapter 15: MADE on MNIST (15.2), and the recipes of the whole chapter.

`autoregressive_exact` has those without training, `autoregressive_digits` those on 8x8 digits.
"""

import dataclasses
from dataclasses import dataclass

import torch

from gentools import autoregressive as ar
from gentools.lab import records
from gentools.lab.optim import cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize
from gentools.recipes import Recipe, autoregressive_digits, autoregressive_exact
from gentools.recipes.autoregressive_digits import mean_log_likelihood, uniforms
from gentools.recipes.shared import drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import held_out_bits, labeled
from gentools.recipes.vae import ALL, TENTH, likelihood_name

SIDES = {"digits": 8, "mnist": 28}

# 15.2 Nats on MNIST


@dataclass(frozen=True)
class Nats:
    """MADE on dynamically binarized pictures."""

    data: str = "mnist"
    hidden: int = 512  # units of the one hidden layer; direct links besides
    batch: int = 128
    epochs: int = 12
    learning_rate: float = 5e-3  # of Adam at the start; falls along half a cosine to 0
    tuning: tuple = (  # epochs, rate, nats on 10,000 held-out training pictures, one run each
        (2, 2e-3, -114.55),
        (2, 5e-3, -100.13),
        (2, 1e-2, -95.84),
        (2, 2e-2, -96.32),
        (6, 5e-3, -91.94),
        (6, 1e-2, -91.93),
        (24, 5e-3, -89.78),
    )
    moments: int = 8  # at which held-out pictures are scored, equally spaced
    stride: int = 10  # of the test pictures that are scored apart, as in figure 3.10


PUBLISHED = {  # nats on dynamically binarized MNIST, from the README of EugenHotaj/pytorch-generative
    "MADE, 8000 units": -84.87,
    "gated PixelCNN": -81.50,
    "PixelSNAIL": -78.61,
}
FIXED = {  # nats on the fixed binarization of Larochelle and Murray 2011, from Germain et al. 2015
    "MADE, 1 hidden layer, 1 order": -88.40,
    "MADE, 2 hidden layers, 32 masks averaged": -86.64,
}


def run_nats(config, seed, device):
    """Train one MADE; log-likelihood of all test pictures as training goes on, exact at every moment."""
    images, test = (labeled(config.data, split)[0] for split in ("train", "test"))
    side, steps = SIDES[config.data], config.epochs * len(images) // config.batch
    nets, x = ar.networks(seed, side, config.hidden).to(device), held_out_bits(test)
    seen = binarize(images[: len(x)], generator(0, "train bits")).to(device)
    x = x.to(device)

    def watch(done):
        return {"test": mean_log_likelihood(nets["model"], x), "train": mean_log_likelihood(nets["model"], seen)}

    history = fit_kept(ar.step, nets, adams(nets, config.learning_rate), images, 1, batch=config.batch, steps=steps,
                       seed=seed, device=device, prepare=binarize, schedule=cosine(steps), watch=watch,
                       log_every=max(1, steps // config.moments), config=dataclasses.asdict(config))  # fmt: skip
    found = {what: torch.tensor([w[what] for w in history.watched]) for what in ("test", "train")}
    numbers = {
        "log-likelihood, all test images": found["test"][-1],
        f"log-likelihood, every {config.stride}th test image": mean_log_likelihood(nets["model"], x[:: config.stride]),
        "log-likelihood, as many training images": found["train"][-1],
        "gain over the last quarter of the steps": change(found["test"]),
    }
    nets = nets.to("cpu")
    drawn = ar.cached_sample(nets["model"], uniforms(seed, 40, side * side))
    arrays = {"step": torch.tensor([w["step"] for w in history.watched]), **found, "samples": drawn.to(torch.uint8)}
    return {"numbers": numbers, "arrays": arrays}


def chapter_three():
    """What figure 3.10 recorded of the VAE of chapter 3 on the same bits, or None: {samples: summary of its bound}.

    First from few samples on all test images, then from many on every tenth.
    """
    record = records.load("3.10")
    if record is None:
        return None
    few, many = record["config"]["few"], record["config"]["many"]
    return {k: record["summary"][likelihood_name(k, images)] for k, images in ((few, ALL), (many, TENTH))}


def draw_nats(results, config):
    """Log-likelihood (moments,) of every seed over training, beside published values; forty samples of the first seed."""
    fig, axes = drawing.panels(1, 2, (8.4, 4.3), width_ratios=(1.7, 1))
    for i, r in enumerate(results):
        for what, look in (("test", Look("test images", "blue")), ("train", Look("training images", "orange", "--"))):
            a = r["arrays"]
            axes[0].plot(a["step"], a[what], **look.as_line(lw=1.2, label=None if i else look.label))
    if config.data == "mnist":
        for (name, value), ls in zip(PUBLISHED.items(), ("--", "-.", ":"), strict=True):
            drawing.level(axes[0], value, f"{name}: {value:.2f}", at=0.02, ls=ls)
        if bounds := chapter_three():
            value = next(iter(bounds.values()))["mean"]
            drawing.level(
                axes[0], value, f"VAE of chapter 3, a bound: {value:.2f}", at=0.98, ha="right", above=-12, ls="-"
            )
        axes[0].set_ylim(-98, -77)
    axes[0].set(xlabel="step", ylabel="log-likelihood, nats")
    axes[0].legend(loc="lower right")
    drawing.sheet(axes[1], results[0]["arrays"]["samples"].reshape(-1, SIDES[config.data], SIDES[config.data]),
                  "samples, first seed", columns=5, most=1)  # fmt: skip
    return fig


def verdict_nats(summary):
    """Against the bounds of chapter 3 and the published MADE, seed by seed, and whether training has settled."""
    found, gain = summary["log-likelihood, all test images"], summary["gain over the last quarter of the steps"]
    tenth, bounds = summary.get("log-likelihood, every 10th test image"), chapter_three()
    if not verdicts.finished(found) or bounds is None or tenth is None:
        return "there is nothing to compare."
    sides = [
        f"{'above' if verdicts.ranges_apart(exact, bound) == 1 else 'not above'} every bound of the VAE of chapter 3 from "
        f"{samples:,} samples"
        for exact, (samples, bound) in zip((found, tenth), bounds.items(), strict=True)
    ]
    lead = tenth["mean"] - bounds[max(bounds)]["mean"]
    below = "Every seed is" if verdicts.always_below(found, PUBLISHED["MADE, 8000 units"]) else "Not every seed is"
    return (
        f"all seeds lie {sides[0]}, and on every tenth image {sides[1]}, there by {lead:.2f} nats on average. The likelihood "
        f"of the VAE itself lies above its bound by an amount that is not known, so this ranks the two only if that amount is "
        f"less. {below} below the published MADE, which has more units and epochs. Over the last quarter of the steps "
        f"{verdicts.mean(gain, '.2f')} nats were gained: {verdicts.settling(found, gain)}."
    )


RECIPES = autoregressive_exact.RECIPES | autoregressive_digits.RECIPES | {
    "15.2": Recipe(
        title="Nats on MNIST",
        caption="MADE with one hidden layer and direct links on dynamically binarized MNIST. Left, the exact log-likelihood "
        "over training, a curve per seed: of all test images, on the bits that chapter 3 uses, and of as many training "
        "images. Horizontal lines: a bound of the VAE of chapter 3 as recorded there, and values that a public collection "
        "of programs reports for dynamic binarization. Right, samples.",
        alt="Left, nearly identical rising curves of the log-likelihood over the steps, training and test images close together. "
        "They end above the line of the VAE of chapter 3 and below those of three published models. Right, forty binary digits, "
        "many of them readable.",
        run=run_nats, draw=draw_nats, quick=Nats("digits", 128, 100, 40, 3e-3, moments=8), full=Nats(), seeds=tuple(range(5)),
        verdict=verdict_nats,
    ),
}  # fmt: skip
