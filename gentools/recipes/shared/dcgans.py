"""One DCGAN on pictures, and the judge of what it makes: use it wherever chapters 06 and 10 train on pictures.

A recipe that trains in another way takes `Training`, `pictures`, `noise` and the judge from here, and fits by itself.
"""

import copy
import functools
from dataclasses import dataclass

import torch

from gentools import dcgan, evaluation
from gentools.lab import data
from gentools.lab.networks import classifier
from gentools.lab.optim import Average
from gentools.lab.randomness import generator
from gentools.recipes.shared import judging
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import PUBLIC, enlarged, labeled, signed_bytes


@dataclass(frozen=True)
class Training:
    """One DCGAN and the judge of its pictures. Pictures of your own have no labels: figures 6.3 and 6.9 alone take them."""

    data: str = "fashion_mnist"  # "digits", "mnist", or what `data.images` takes: a folder, .zip or .npz of your own
    size: int = 28  # side of the pictures, in pixels
    width: int = 32  # maps of the largest layer; each smaller one has twice as many
    latent: int = 64
    batch: int = 64
    steps: int = 5000
    learning_rate: float = 5e-4  # of both players
    betas: tuple = (0.5, 0.999)  # of Adam
    decay: float = 0.998  # of the averaged weights
    judge_steps: int = 3000
    evaluated: int = 2500  # pictures per distance
    moments: int = 10  # at which the run is looked at, equally spaced


QUICK = Training("digits", 8, latent=32, steps=1200, decay=0.99, judge_steps=600, evaluated=297, moments=4)
CPU = Training(steps=10_000)
FULL = Training(width=64, latent=100, batch=128, steps=10_000, learning_rate=2e-4, decay=0.999)


def pictures(name, split, size):
    """Images uint8 (n, c, size, size), and labels (n,), or None for pictures of your own. Digits are 8x8, or enlarged."""
    if name == "digits":
        images, labels = labeled("digits", split)  # (n, 1, 8, 8)
        return enlarged(images, size // 8), labels
    return labeled(name, split) if name in PUBLIC else (data.images(name, size), None)


# The judge


@functools.cache
def judge(config, device):
    """A small classifier trained on the real pictures, and its share of right answers on held-out ones."""
    train_set, (images, labels) = (pictures(config.data, split, config.size) for split in ("train", "test"))
    net = classifier(config.size, images.shape[1], generator=generator(0, "judge"))
    judging.train_judge(net, *train_set, steps=config.judge_steps, seed=0, prepare=dcgan.signed, device=device)
    return net, judging.accuracy(net, dcgan.signed(images), labels)


def judged(config, images, device):
    """The judge's features (n, 64) and class probabilities (n, 10) of images in [-1, 1]; on the CPU."""
    return judging.judged(judge(config, device)[0], images)


@functools.cache
def real_features(config, device):
    """The judge's features of all held-out pictures, and of as many training pictures as are generated elsewhere."""
    test, seen = (pictures(config.data, split, config.size)[0] for split in ("test", "train"))
    return tuple(judged(config, dcgan.signed(part), device)[0] for part in (test, seen[: config.evaluated]))


def distance(config, images, device):
    """Frechet distance between generated and held-out pictures in the judge's features."""
    return evaluation.frechet(judged(config, images, device)[0], real_features(config, device)[0])


# The run


def noise(config, seed, n, name="evaluation", device="cpu"):
    """Latent vectors (n, latent) that depend on the seed and a name alone."""
    return torch.randn(n, config.latent, generator=generator(seed, name)).to(device)


def settled(average, config, seed, device):
    """The averaged generator with BatchNorm's statistics measured again, on 2,000 fresh z."""
    mean = copy.deepcopy(average.nets["generator"])
    return dcgan.measure_statistics(mean, noise(config, seed, 2000, "statistics", device))


def train_dcgan(config, seed, device, step=dcgan.step):
    """Train one DCGAN. Returns its networks, their average and the History, with pictures of fixed z over training.

    On labeled pictures three distances are watched: of the weights as they are ("live"), of the averaged weights with
    the statistics of the live ones ("averaged") and with their own ("settled").
    """
    images, labels = pictures(config.data, "train", config.size)
    nets = dcgan.networks(seed, config.size, images.shape[1], config.latent, config.width).to(device)
    average = Average(nets, config.decay)
    shown, z = (noise(config, seed, n, name, device) for n, name in ((40, "shown"), (config.evaluated, "evaluation")))

    def watch(done):
        generators = {"live": nets["generator"], "averaged": average.nets["generator"]}
        generators["settled"] = settled(average, config, seed, device)
        seen = {f"{name} pictures": signed_bytes(dcgan.sample(net, shown)) for name, net in generators.items()}
        if labels is not None:
            seen |= {name: distance(config, dcgan.sample(net, z), device) for name, net in generators.items()}
        return seen

    opts = adams(nets, config.learning_rate, config.betas)
    history = fit_kept(step, nets, opts, images, config.latent, batch=config.batch, steps=config.steps, seed=seed,
                       device=device, prepare=dcgan.signed, ema=average, log_every=config.steps // config.moments,
                       watch=watch, config={"watched with": repr(config)})  # fmt: skip
    return nets, average, history


def trained_generator(config, seed, device):
    """The generator that walks and arithmetic use: averaged weights with statistics of their own."""
    _, average, _ = train_dcgan(config, seed, device)
    return settled(average, config, seed, device)
