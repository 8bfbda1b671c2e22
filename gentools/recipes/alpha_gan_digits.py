"""What the experiments of chapter 14 share: four systems with the same networks on handwritten digits, and their judge.

Images are rows (n, pixels) with gray values in [0, 1]. Every system has a generator latent-hidden-pixels with a sigmoid,
and a network pixels-hidden-1 that tells data from samples where the system has one; encoders have the same hidden layers.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from gentools import age, alpha_gan, evaluation, gan, wgan_gp
from gentools.lab.networks import classifier, he
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.neighbors import neighborhoods
from gentools.recipes.shared import judging
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import labeled


@dataclass(frozen=True)
class Training:
    """Networks, optimizers and judge of every system; what differs between systems stands in their steps."""

    data: str = "mnist"
    size: int = 28  # side of the pictures
    hidden: tuple = (128, 128)  # widths of the hidden layers of every network
    latent: int = 32
    batch: int = 64
    steps: int = 6000  # of the generator; AGE's and WGAN-GP's other player takes what its step says
    betas: tuple = (0.5, 0.9)  # of every Adam, whose rate falls in a straight line to 0
    critic_steps: int = 2  # of WGAN-GP, for each step of its generator
    penalty_weight: float = 10.0  # of WGAN-GP
    data_weight: float = 320.0  # of AGE's error of rebuilt data: the published 10, in chapter 13's units
    code_weight: float = 500.0  # of AGE's error of rebuilt codes: the published 1000, in those units
    reconstruction_weight: float = 1.0  # of alpha-GAN's summed error: that of a Laplace density of scale 1
    validation: int = 5000  # training images that no generator sees
    judge_steps: int = 2500
    samples: int = 2000  # per score, and held-out images
    moments: int = 8  # at which a run is scored, equally spaced


QUICK = {"data": "digits", "size": 8, "hidden": (32,), "latent": 8, "steps": 40, "validation": 300, "judge_steps": 30,
         "samples": 90, "moments": 4, "data_weight": 80.0}  # fmt: skip


class System(NamedTuple):
    """One way to train: its networks, who moves what, the step with its settings, draws of noise per row, its look."""

    networks: object  # (seed, pixels, hidden, latent) -> ModuleDict
    players: object  # networks -> {name of an optimizer: module}
    step: object  # config -> step
    draws: object  # how many noise vectors for each row
    rebuilt: object  # (networks, x, noise) -> reconstructions, or None
    look: Look


def gan_networks(seed, pixels, hidden, latent):
    """Generator and discriminator of `alpha_gan.image_networks` alone."""
    nets = alpha_gan.image_networks(seed, pixels, hidden, latent)
    return nn.ModuleDict({name: nets[name] for name in ("generator", "discriminator")})


def critic_networks(seed, pixels, hidden, latent):
    """The same two, the second as a critic."""
    nets = gan_networks(seed, pixels, hidden, latent)
    return nn.ModuleDict({"generator": nets["generator"], "critic": nets["discriminator"]})


def alone(nets):
    """An optimizer for every network."""
    return dict(nets)


def wgan_step(config):
    """WGAN-GP with the penalty in closed form, equal to `gradient_penalty` and cheaper."""
    return functools.partial(wgan_gp.step, critic_steps=config.critic_steps, penalty_weight=config.penalty_weight,
                             penalty=wgan_gp.piecewise_penalty)  # fmt: skip


def age_step(config):
    """AGE with the published weights and two steps of the generator."""
    return functools.partial(age.step, data_weight=config.data_weight, code_weight=config.code_weight)


def weighted(step):
    """A step of alpha-GAN with the configuration's weight."""
    return lambda config: functools.partial(step, reconstruction_weight=config.reconstruction_weight)


def unweighted(config):
    """alpha-GAN without its error of reconstruction."""
    return functools.partial(alpha_gan.step, reconstruction_weight=0.0)


def age_rebuilt(nets, x, noise):
    """AGE's codes need no noise."""
    return age.rebuilt(nets, x)


SYSTEMS = {
    "GAN": System(gan_networks, alone, lambda config: gan.step, (), None, Look("GAN", "blue", "-", "o")),
    "WGAN-GP": System(critic_networks, alone, wgan_step, (2,), None, Look("WGAN-GP", "orange", "--", "s")),
    "AGE": System(age.image_networks, alone, age_step, (3,), age_rebuilt, Look("AGE", "green", "-.", "^")),
    "alpha-GAN": System(alpha_gan.image_networks, alpha_gan.players, weighted(alpha_gan.step), (2,), alpha_gan.rebuilt,
                        Look("alpha-GAN", "vermillion", ":", "D")),
}  # fmt: skip
VARIANTS = {
    "alpha-GAN": SYSTEMS["alpha-GAN"],
    "no reconstruction": System(alpha_gan.image_networks, alpha_gan.players, unweighted, (2,), alpha_gan.rebuilt,
                                Look("no\nreconstruction", "black", "-", "v")),
    "two updates": System(alpha_gan.image_networks, alpha_gan.players, weighted(alpha_gan.repeated_step), (4,),
                          alpha_gan.rebuilt, Look("two\nupdates", "purple", "--", "P")),
    "two discriminators": System(alpha_gan.separate_networks, alpha_gan.players, weighted(alpha_gan.separate_step), (2,),
                                 alpha_gan.rebuilt, Look("two\ndiscriminators", "sky", "-.", "X")),
}  # fmt: skip


# Pictures and their judge


class Rows(NamedTuple):
    """Images (n, pixels) in [0, 1]: for generators, and two parts that none of them sees."""

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor


@functools.cache
def rows_of(config):
    """The digits in three parts; training images stay uint8.

    Test images come in a random order, the same for all: those of MNIST are stored by writers, and the two halves of that
    file differ, so that one stretch of it would be no fair reference for another.
    """
    (train, _), (test, _) = (labeled(config.data, split) for split in ("train", "test"))
    train, validation = train.flatten(1).split([len(train) - config.validation, config.validation])
    order = torch.randperm(len(test), generator=generator(0, "test order"))
    return Rows(train, unit(validation), unit(test.flatten(1)[order]))


def pictures(config, rows):
    """Rows (n, pixels) as pictures (n, 1, size, size)."""
    return rows.reshape(-1, 1, config.size, config.size)


@functools.cache
def judge(config, device):
    """A small classifier trained on the training images, and its share of right answers on test images."""
    net = classifier(config.size, width=16, generator=generator(0, "judge"))
    judging.train_judge(net, *labeled(config.data, "train"), steps=config.judge_steps, seed=0, device=device)
    images, labels = labeled(config.data, "test")
    return net, judging.accuracy(net, unit(images), labels)


def judged(config, rows, device):
    """The judge's features (n, 64) and class probabilities (n, 10) of rows (n, pixels); on the CPU."""
    return judging.judged(judge(config, device)[0], pictures(config, rows))


# A run


@torch.no_grad()
def started(nets, seed, mean):
    """Every linear layer by He's rule, and the generator's last bias so that it begins near the mean image (pixels,).

    With biases of 0 every pixel begins at one half, and an Adam needs a thousand steps to make the border black.
    """
    rng = generator(seed, "start")
    for layer in nets.modules():
        if isinstance(layer, nn.Linear):
            he(layer, rng)
    nets["generator"][0][-1].bias.copy_(mean.clamp(0.01, 0.99).logit())
    return nets


@functools.cache
def mean_image(config):
    """Mean of 5,000 training images, (pixels,)."""
    return unit(rows_of(config).train[:5000]).mean(0)


def noise(config, seed, n, name="evaluation", device="cpu"):
    """Noise (n, latent) that depends on the seed and a name alone."""
    return torch.randn(n, config.latent, generator=generator(seed, name)).to(device)


@torch.no_grad()
def sample(nets, z):
    """Samples (n, pixels) of any system: an AGE's noise is brought onto the sphere."""
    on_sphere = "encoder" in nets and isinstance(nets["encoder"], age.SphereEncoder)
    return age.sample(nets, z) if on_sphere else nets["generator"](z)


def falling(steps, t):
    """A schedule: the factor falls in a straight line from 1 to 0."""
    return 1 - t / steps


def train_system(system, config, rate, seed, device, held):
    """Train one system. Returns its networks and a list of {"step", "distance", "recall", "error"} over training.

    held: images (n, pixels) that it does not see. distance: Frechet, between samples and these in the judge's features.
    recall: share of these that lie among the samples there. error: mean absolute error per pixel of their
    reconstructions, where the system has any.
    """
    nets = system.networks(seed, config.size**2, config.hidden, config.latent)
    nets = started(nets, seed, mean_image(config)).to(device)
    rows, real = rows_of(config).train, judged(config, held, device)[0]
    z, codes = (noise(config, seed, len(held), name, device) for name in ("evaluation", "codes"))
    held = held.to(device)

    def watch(done):
        made = judged(config, sample(nets, z), device)[0]
        found = {"distance": evaluation.frechet(made, real), "recall": neighborhoods(real, made).recall}
        if system.rebuilt:
            found["error"] = float((system.rebuilt(nets, held, codes) - held).abs().mean())
        return found

    step, shared = system.step(config), config.critic_steps if "critic" in nets else 1
    history = fit_kept(
        step, nets, adams(system.players(nets), rate, config.betas), rows, (*system.draws, config.latent),
        batch=config.batch * shared, steps=config.steps, seed=seed, device=device, watch=watch,
        schedule=functools.partial(falling, config.steps), log_every=max(1, config.steps // config.moments),
        config={"watched with": repr(config)},
    )  # fmt: skip
    return nets, history.watched
