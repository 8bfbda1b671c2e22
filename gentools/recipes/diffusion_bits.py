"""Experiment of chapter 16 on black and white pixels: MNIST in nats, beside chapters 3 and 15 (16.12)."""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from gentools import diffusion
from gentools.lab import records
from gentools.lab.optim import cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import held_out_bits, labeled
from gentools.recipes.vae import TENTH, likelihood_name

ALONE, READ = "network alone", "each pixel read as well"
LOOKS = {ALONE: Look(ALONE, "orange", "--", "s"), READ: Look(READ, "blue", "-", "o")}
TRAINING, GAINED = "nats of as many training pictures", "nats, change over the last quarter"
INDEPENDENT = arms.name("independent pixels", "nats")
LEVELS = torch.tensor([-1.0, 1.0])
BOUND = {"path": diffusion.even, "target": diffusion.noise_target}  # its t is uniform in log-SNR, as the bound weighs


@dataclass(frozen=True)
class Bits:
    """Denoisers of binarized pictures that name the noise on the path with an even log-SNR."""

    data: str = "mnist"
    width: int = 512
    blocks: int = 3
    batch: int = 128
    steps: int = 12_000
    rates: tuple = (1e-3, 1e-3)  # of Adam at the start, for each arm; falls along half a cosine to 0
    stride: int = 10  # of the held-out pictures that are scored, as in figures 3.10 and 15.2
    draws: int = 50  # noise levels of the bound
    moments: int = 8  # at which it is computed
    sampling_steps: int = 200  # of ancestral sampling
    shown: int = 40  # samples
    tuning: tuple = (  # of one run of 5,000 steps each on four fifths of the training pictures: rate, nats of 1,000 others
        (ALONE, (5e-4, 1e-3, 2e-3), (-3212.91, -3110.43, -3154.81)),
        (READ, (5e-4, 1e-3, 2e-3), (-104.58, -104.49, -114.04)),
    )


class Alone(nn.Module):
    """A network without labels whose output is the noise itself: rows (n, d), times (n,) -> (n, d).

    Whatever it learns, its outputs lie in as many directions as its last layer has units, and of the noise in the others it
    misses all. 512 units for 784 pixels cost 272/2 nats for each unit of log-SNR.
    """

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        """x (n, d), t (n,) -> (n, d)."""
        return self.net(x, t, torch.zeros_like(t, dtype=torch.long))


def untrained(arm, config, seed, d):
    """The networks of one arm: the same layers from the same start, once alone and once as (16.15) has it."""
    net = diffusion.LabeledDenoiser(seed, d, 0, config.width, config.blocks)
    return nn.ModuleDict({"denoiser": Alone(net) if arm == ALONE else diffusion.BitDenoiser(net, diffusion.even)})


def scored(stride):
    """The name of the bound of every so many-th held-out picture."""
    return f"nats of one in {stride} test pictures"


def signed_bits(images, *rng):
    """Pictures binarized anew, as -1 and 1."""
    return 2 * binarize(images, *rng) - 1


def nats_of(net, x, draws):
    """Mean ELBO of rows of bits x (n, d) in nats, by the same noise levels and noise for every network."""
    rng = generator(0, "bound", device=x.device)
    estimate = diffusion.estimates(net, **BOUND)
    return -diffusion.bound(estimate, x, LEVELS.to(x.device), diffusion.even, draws, rng).mean()


def fit_bits(arm, config, rate, seed, device, images, x):
    """Train one arm on images (n, d). Returns its networks, and the steps and ELBO of bits x (m, d) on the way."""
    nets = untrained(arm, config, seed, images.shape[1]).to(device)

    def watch(done):
        return {"nats": nats_of(nets["denoiser"], x, config.draws)}

    history = fit_kept(
        functools.partial(diffusion.step, **BOUND), nets, adams(nets, rate), images, images.shape[1], batch=config.batch,
        steps=config.steps, seed=seed, device=device, prepare=signed_bits, schedule=cosine(config.steps), watch=watch,
        log_every=max(1, config.steps // config.moments), config={"watched with": repr(config)},
    )  # fmt: skip
    return nets, *(torch.tensor([seen[what] for seen in history.watched]) for what in ("step", "nats"))


def independent_pixels(train, x):
    """Nats of bits x (n, d) by pixels that are drawn independently, each white as often as in training; both of -1 and 1."""
    white = ((train > 0).double().sum(0) + 0.5) / (len(train) + 1)
    return torch.where(x > 0, white.log(), (1 - white).log()).sum(1).mean()


def rows_of(config, device):
    """Training pictures (n, d) in gray, held-out bits (m, d), and as many training bits: -1 and 1."""
    images = labeled(config.data, "train")[0].flatten(1)
    test = held_out_bits(labeled(config.data, "test")[0]).flatten(1)[:: config.stride]
    seen = binarize(images[: len(test)], generator(0, "train bits"))
    return images, (2 * test - 1).to(device), (2 * seen - 1).to(device)


def run_bits(config, seed, device):
    """Train each arm; its bound over training, on held-out and training bits; and samples."""
    images, x, seen = rows_of(config, device)
    numbers, arrays = {}, {}
    for arm, rate in zip(LOOKS, config.rates, strict=True):
        nets, arrays["step"], curve = fit_bits(arm, config, rate, seed, device, images, x)
        numbers[arm, scored(config.stride)], numbers[arm, GAINED] = curve[-1], change(curve)
        numbers[arm, TRAINING] = nats_of(nets["denoiser"], seen, config.draws)
        z = torch.randn(config.shown, x.shape[1], generator=generator(seed, "samples")).to(device)
        at, rng = diffusion.down(config.sampling_steps), generator(seed, "ancestral", device=device)
        drawn = diffusion.ancestral(diffusion.estimates(nets["denoiser"], **BOUND), z, at, diffusion.even, rng)
        arrays |= {arm: curve, f"{arm}, samples": (drawn > 0).to(torch.uint8).cpu()}
    numbers = arms.named(numbers)
    numbers[INDEPENDENT] = independent_pixels(signed_bits(images, generator(0, "all train bits")), x.cpu())
    return {"numbers": numbers, "arrays": arrays}


def tune_bits(config, rates, arms_tried=tuple(LOOKS), seed=100):
    """The tuning bill: each arm at each rate on training pictures without every fifth, scored on those (at most 1,000)."""
    images, found = labeled(config.data, "train")[0].flatten(1), []
    apart = torch.arange(len(images)) % 5 == 4
    x = signed_bits(images[apart][:1000], generator(0, "validation bits"))
    for arm in arms_tried:
        for rate in rates:
            *_, curve = fit_bits(arm, config, rate, seed, "cpu", images[~apart], x)
            found.append((arm, rate, round(float(curve[-1]), 2)))
    return tuple(found)


# What the other chapters recorded on the same bits


def others():
    """Nats of the models of figures 3.10 and 15.2 on every tenth test picture of MNIST; {model: summary}."""
    found, bounds, exact = {}, records.load("3.10"), records.load("15.2")
    if bounds:
        found["VAE, ELBO"] = bounds["summary"][f"ELBO, {TENTH}"]
        many = bounds["config"]["many"]
        found[f"VAE, {many:,} samples"] = bounds["summary"][likelihood_name(many, TENTH)]
    if exact:
        found["MADE"] = exact["summary"][f"log-likelihood, every {exact['config']['stride']}th test image"]
    return found


def draw_bits(results, config):
    """ELBO (moments,) over training of both arms, and of the better one beside other models; samples of the first seed."""
    fig, axes = drawing.mosaic("ab;cd", (8.4, 6.6), height_ratios=(1.4, 1))
    step = results[0]["arrays"]["step"]
    for arm, look in LOOKS.items():
        drawing.seed_curves(axes["a"], step, [r["arrays"][arm] for r in results], look)
    plain = drawing.over_seeds(results, INDEPENDENT)
    drawing.level(axes["a"], sum(plain) / len(plain), "independent pixels", at=0.98, ha="right", above=-13, ls="-")
    axes["a"].set(xlabel="training step", title="bound over training, nats")
    axes["a"].legend(loc="center right")
    curves = [r["arrays"][READ] for r in results]
    drawing.seed_curves(axes["b"], step, curves, LOOKS[READ])
    axes["b"].set(xlabel="training step", title="the same, enlarged")
    if config.data == "mnist":
        beside_others(axes["b"], min(float(curve[1]) for curve in curves))
    for key, arm in zip("cd", LOOKS, strict=True):
        drawn = results[0]["arrays"][f"{arm}, samples"]
        side = round(drawn.shape[1] ** 0.5)
        drawing.sheet(axes[key], drawn.reshape(-1, side, side), f"samples: {arm}", columns=10, most=1)
    return fig


def beside_others(ax, low):
    """Lines at the nats of the other models, in a panel from `low` to a little above the best of them."""
    found = others()
    for (model, of_model), ls, above in zip(found.items(), ("-", "--", "-."), (3, -13, 3), strict=False):
        drawing.level(ax, of_model["mean"], model, at=0.02, above=above, ls=ls)
    ax.set_ylim(low, max([of_model["mean"] for of_model in found.values()], default=low) + 3)


def verdict_bits(summary):
    """The two arms, independent pixels and the models of chapters 3 and 15, by all runs; and what had settled."""
    nats = arms.scores(summary, LOOKS, scored(Bits.stride))
    if not nats:
        return "on other pictures there is nothing to compare."
    alone, read, plain = nats[ALONE], nats[READ], summary[INDEPENDENT]
    words = {1: "every run above every other's", -1: "every run below every other's", 0: "not told apart"}
    sides = {1: "above", -1: "below", 0: "among"}
    beside = [f"{sides[verdicts.ranges_apart(read, other)]} those of {model}" for model, other in others().items()]
    ends = [f"{arm}: {verdicts.settling(nats[arm], summary[arms.name(arm, GAINED)])}" for arm in LOOKS]
    return (
        f"Each pixel read as well, against the network alone: {words[verdicts.ranges_apart(read, alone)]}. Against "
        f"independent pixels: the network alone {words[verdicts.ranges_apart(alone, plain)]}, each pixel read as well "
        f"{words[verdicts.ranges_apart(read, plain)]}. The latter's runs lie {verdicts.listed(beside, 'beside nothing')}. "
        f"In the last quarter of training: {', '.join(ends)}."
    )


RECIPES = {
    "16.12": Recipe(
        title="Black and white MNIST, in nats",
        caption="Diffusion on binarized MNIST. Two arms have the same layers (the last makes 784 numbers from 512), the "
        "same start and the same loss: the squared error of the noise on the path with an even log-SNR, which weighs as the "
        "bound does. In one (\"network alone\") the network's output is the noise itself. In the other (\"each pixel read "
        "as well\") the network tells of each pixel what the others say, and the pixel's own value is read by (16.15). "
        "Left, the bound (minus (16.3), in nats) of every tenth test picture over training, and independent pixels in gray. "
        "Right, the better arm enlarged, beside the means of chapter 3's VAE (figure 3.10, two bounds) and chapter 15's "
        "MADE (figure 15.2, exact) on the same bits. A line per seed. Below, forty samples of each arm, first seed, by the "
        "ancestral sampler, none picked.",
        alt="Left, dashed curves far below a gray line for independent pixels and solid ones above it. Right, the solid curves rise and "
        "end below three gray lines of other models. Below, a sheet of noise and a sheet of black and white handwritten digits.",
        run=run_bits, draw=draw_bits, full=Bits(), seeds=tuple(range(3)), verdict=verdict_bits,
        quick=Bits("digits", 32, 1, steps=40, stride=3, draws=10, moments=4, sampling_steps=10),
    ),
}  # fmt: skip
