"""Figure 17.3: every model of the course on 28x28 digits, with networks of two layers, under the scores of chapter 11."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from gentools import (
    aae,
    age,
    ali,
    alpha_gan,
    autoregressive,
    dcgan,
    diffusion,
    evaluation,
    gan,
    mixtures,
    neighbors,
    regularized_gan,
    vae,
    wgan_gp,
)
from gentools.lab.networks import classifier, mlp
from gentools.lab.optim import cosine
from gentools.lab.plots import image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize, unit
from gentools.recipes.one_map_points import Settings, device_of, noise, optimizers, score_rows
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.fitting import fit_kept
from gentools.recipes.shared.pictures import labeled

SIDE, PIXELS = 28, 28 * 28
WIDTH, LATENT = 128, 16  # of two hidden layers, and of a code
INNER = (WIDTH, WIDTH)


class Arm(NamedTuple):
    """One model of pictures: as an `Arm` of points, and what a batch goes through; draw gives gray values (n, 784)."""

    made: object
    step: object
    latent: object
    draw: object
    joined: dict = {}  # noqa: RUF012
    prepare: object = unit


# Networks of this size


def players(seed):
    """Generator 16-128-128-784 into [0, 1], and discriminator 784-128-128-1."""
    squashed = nn.Sequential(mlp([LATENT, *INNER, PIXELS], generator=generator(seed, "generator")), nn.Sigmoid())
    discriminator = mlp([PIXELS, *INNER, 1], nn.LeakyReLU, generator=generator(seed, "discriminator"))
    return nn.ModuleDict({"generator": squashed, "discriminator": discriminator})


def critics(seed):
    """`players`, the second by the name of its chapter."""
    nets = players(seed)
    return nn.ModuleDict({"generator": nets["generator"], "critic": nets["discriminator"]})


def alpha_networks(seed):
    """Chapter 14's networks, whose generator ends in a sigmoid."""
    nets = alpha_gan.networks(seed, PIXELS, INNER, LATENT)
    nets["generator"] = nn.Sequential(nets["generator"], nn.Sigmoid())
    return nets


class Unlabeled(nn.Module):
    """Chapter 16's residual network with no labels."""

    def __init__(self, seed):
        super().__init__()
        self.net = diffusion.LabeledDenoiser(seed, PIXELS, 0, WIDTH)

    def forward(self, x, t):
        """x (n, 784), t (n,) -> (n, 784)."""
        return self.net(x, t, torch.zeros(len(x), dtype=torch.long, device=x.device))


def denoisers(seed):
    """The denoiser alone."""
    return nn.ModuleDict({"denoiser": Unlabeled(seed)})


def wide_normal(draws, c=None):
    """The prior N(0, I) of 16 dimensions, from torch's own generator; draws (n, ...) says how many rows."""
    return torch.randn(len(draws), LATENT, device=draws.device)


# Samplers: gray values (n, 784)


def from_generator(nets, n, seed):
    """What a generator makes of codes of the prior."""
    return gan.sample(nets, noise(seed, n, LATENT, like=nets))


@torch.no_grad()
def from_decoder(nets, n, seed):
    """The decoder's chances of a white pixel, at codes of the prior."""
    return nets["decoder"](noise(seed, n, LATENT, like=nets))


@torch.no_grad()
def from_pairs(nets, n, seed):
    """What BiGAN's generator makes of codes of the prior, with its averages of BatchNorm."""
    made = nets["players"]["generator"].eval()
    x = made(noise(seed, n, LATENT, like=nets))
    made.train()
    return x


def from_sphere(nets, n, seed):
    """What AGE's generator makes of the sphere."""
    return age.sample(nets, noise(seed, n, LATENT, like=nets))


def from_made(nets, n, seed):
    """Bits, one pixel after the other."""
    uniform = torch.rand(n, PIXELS, generator=generator(seed, "evaluation"))
    return autoregressive.cached_sample(nets["model"], uniform.to(device_of(nets)))


def from_noise(nets, n, seed):
    """50 steps of DDIM along the straight path, cut to the range of gray values."""
    estimate = diffusion.estimates(nets["denoiser"], diffusion.straight, diffusion.velocity_target)
    x = diffusion.ddim(estimate, noise(seed, n, PIXELS, like=nets), diffusion.down(50), diffusion.straight)
    return ((x + 1) / 2).clamp(0, 1)


ARMS = {
    "VAE": Arm(
        functools.partial(vae.networks, hidden=INNER, latent=LATENT), vae.step, LATENT, from_decoder,
        {"vae": ("encoder", "decoder")}, binarize,
    ),
    "AAE": Arm(
        functools.partial(aae.networks, hidden=INNER, latent=LATENT),
        functools.partial(aae.step, prior=wide_normal, weight=10.0), LATENT + aae.NOISE, from_decoder,
        {"autoencoder": ("encoder", "decoder")}, binarize,
    ),
    "GAN": Arm(players, gan.step, LATENT, from_generator),
    "regularized GAN": Arm(
        players, functools.partial(regularized_gan.recorded_step, penalty_weight=5.0), (2, LATENT), from_generator
    ),
    "ALI": Arm(
        functools.partial(ali.image_networks, latent=LATENT, width=WIDTH), ali.step, (3, LATENT), from_pairs
    ),
    "WGAN-GP": Arm(
        critics, functools.partial(wgan_gp.step, critic_steps=2, penalty_weight=10.0), (2, LATENT), from_generator
    ),
    "AGE": Arm(
        functools.partial(age.image_networks, pixels=PIXELS, hidden=INNER, latent=LATENT),
        functools.partial(age.joint_step, data_weight=1000.0), (2, LATENT), from_sphere,
    ),
    "alpha-GAN": Arm(
        alpha_networks, functools.partial(alpha_gan.step, reconstruction_weight=0.05), (2, LATENT), from_generator,
        {"autoencoder": ("encoder", "generator")},
    ),
    "autoregressive": Arm(
        functools.partial(autoregressive.networks, hidden=WIDTH), autoregressive.step, 1, from_made, prepare=binarize
    ),
    "flow matching": Arm(
        denoisers, functools.partial(diffusion.step, path=diffusion.straight, target=diffusion.velocity_target),
        PIXELS, from_noise, prepare=dcgan.signed,
    ),
}  # fmt: skip


# 17.3

MIXTURE, REAL, CHANCE = "EM", "training digits", "pixels alone"
SCORES = ("Fréchet", "precision", "recall", "coverage", "score")
CHANGE = "Fréchet at the end minus after three quarters"
SHOWN = 8  # pictures of a strip


@dataclass(frozen=True)
class Digits:
    """Every model on MNIST, and the judge."""

    models: tuple = (
        Settings("VAE", 1e-3, 1200, 64, 0.9),
        Settings("AAE", 1e-3, 1200, 64),
        Settings("GAN", 3e-4, 1200, 64),
        Settings("regularized GAN", 3e-4, 1200, 64),
        Settings("ALI", 3e-4, 1200, 64),
        Settings("WGAN-GP", 1e-3, 1200, 128, 0.0, 0.9),
        Settings("AGE", 1e-3, 1200, 64),
        Settings("alpha-GAN", 3e-4, 1200, 64),
        Settings("autoregressive", 1e-3, 1200, 64, 0.9),
        Settings("flow matching", 1e-3, 1200, 64, 0.9),
    )
    data: str = "mnist"
    components: int = 30  # of the mixture of Bernoullis
    fitted: int = 3000  # binarized digits that EM sees
    judged: int = 2000  # samples, and held-out digits
    judge_steps: int = 400
    k: int = 5  # neighbors
    moments: int = 4  # at which the distance is measured


@functools.cache
def judge(data, steps, device):
    """A classifier of binarized digits, which no model is trained against."""
    images, labels = labeled(data, "train")
    net = classifier(SIDE, width=16, generator=generator(0, "judge"))
    return judging.train_judge(net, images, labels, steps=steps, seed=0, prepare=binarize, device=device)


def bits_of(gray, seed):
    """Pictures (n, 1, 28, 28) of bits, each white with the chance that its gray value (n, 784) says."""
    return binarize(gray.float().reshape(-1, 1, SIDE, SIDE), generator(seed, "bits"))


def read(bits, config, device):
    """Features (n, 64) and class probabilities (n, 10) of bits (n, 1, 28, 28)."""
    return judging.judged(judge(config.data, config.judge_steps, device), bits)


def train_model(settings, config, seed, device, real):
    """Networks of one model after training on digits, and the distance of its samples (moments,) on the way."""
    arm, images = ARMS[settings.model], labeled(config.data, "train")[0].flatten(1)
    nets = arm.made(seed).to(device)

    def watch(done):
        features, _ = read(bits_of(arm.draw(nets, config.judged, seed).cpu(), seed), config, device)
        return {"distance": evaluation.frechet(features, real)}

    history = fit_kept(
        arm.step, nets, optimizers(arm, nets, settings), images, arm.latent, batch=settings.batch,
        steps=settings.steps, seed=seed, device=device, prepare=arm.prepare, schedule=cosine(settings.steps),
        watch=watch, log_every=max(1, settings.steps // config.moments),
    )  # fmt: skip
    return nets, torch.tensor([seen["distance"] for seen in history.watched])


def scored(gray, real, config, seed, device):
    """{score: number} of gray values (n, 784), turned into bits, against the features of held-out digits."""
    features, classes = read(bits_of(gray, seed), config, device)
    near = neighbors.neighborhoods(real, features, config.k)
    found = {"Fréchet": evaluation.frechet(features, real), "score": evaluation.classifier_score(classes)}
    return found | {what: getattr(near, what) for what in ("precision", "recall", "coverage")}


def run_digits(config, seed, device):
    """Scores and a strip of pictures for every model, for training digits, and for pixels drawn one by one."""
    n, images = config.judged, unit(labeled(config.data, "train")[0]).flatten(1)
    test = unit(labeled(config.data, "test")[0])[:n].flatten(1)
    real = read(bits_of(test, "held out"), config, device)[0]
    chosen = torch.randperm(len(images), generator=generator(seed, "chosen"))
    seen = bits_of(images[chosen[: config.fitted]], seed).flatten(1)
    fitted = mixtures.fit_bernoulli_mixture(seen, config.components, seed=seed)
    drawn = torch.multinomial(fitted.weights, n, replacement=True, generator=generator(seed, "evaluation"))
    gray, numbers, arrays = {MIXTURE: fitted.means[drawn]}, {}, {}
    for settings in config.models:
        nets, curve = train_model(settings, config, seed, device, real)
        gray[settings.model] = ARMS[settings.model].draw(nets, n, seed).cpu()
        arrays[f"{settings.model} distance"] = curve
        numbers[settings.model, CHANGE] = curve[-1] - curve[max(0, len(curve) * 3 // 4 - 1)]
    gray |= {REAL: images[chosen[-n:]], CHANCE: images.mean(0).expand(n, -1)}
    for name, x in gray.items():
        numbers |= {(name, what): value for what, value in scored(x, real, config, seed, device).items()}
        arrays[f"{name} pictures"] = (255 * x[:SHOWN].float()).round().to(torch.uint8)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_digits(results, config):
    """Left, a strip of pictures of every model, first seed; right, its scores, a point per seed."""
    names = [MIXTURE, *(settings.model for settings in config.models), REAL, CHANCE]
    fig, axes = drawing.panels(1, 1 + len(SCORES), (8.8, 5.6), layout="none", width_ratios=(3.2, *[1.15] * len(SCORES)))
    fig.subplots_adjust(left=0.155, right=0.985, top=0.93, bottom=0.07, wspace=0.12)
    strips = torch.cat([results[0]["arrays"][f"{name} pictures"] for name in names])
    shown = axes[0]
    image_grid(shown, strips.reshape(-1, 1, SIDE, SIDE), columns=SHOWN, vmax=255)
    height = shown.get_images()[0].get_array().shape[0] / len(names)
    shown.set_aspect("auto")
    shown.set_axis_on()
    shown.set(xticks=(), yticks=[height * (i + 0.5) for i in range(len(names))])
    shown.set_yticklabels(names)
    score_rows(axes[1:], results, names, SCORES, [None, (-0.03, 1.03), (-0.03, 1.03), (-0.03, 1.03), (0.8, 10.2)])
    axes[1].set_xscale("log")
    for ax in axes[1:]:
        ax.set_yticklabels([])
        ax.tick_params(labelsize=8)
        ax.title.set_fontsize(10)
    return fig


def verdict_digits(summary):
    """The models in groups by their Frechet distance, which are behind "pixels alone", and by coverage; and which were still moving."""
    names = [MIXTURE, *(settings.model for settings in Digits().models)]
    names = [name for name in names if arms.name(name, "Fréchet") in summary]
    distance = arms.scores(summary, names, "Fréchet")
    ends = {
        n: verdicts.settling(distance[n], summary[arms.name(n, CHANGE)])
        for n in names
        if arms.name(n, CHANGE) in summary
    }
    moving = [f"{n} ({end})" for n, end in ends.items() if end != "settled"]
    floor = summary[arms.name(CHANCE, "Fréchet")]["max"]
    far = [n for n in names if verdicts.always_above(distance[n], floor)]
    near = [n for n, s in arms.scores(summary, names, "coverage").items() if verdicts.always_above(s, 0.5)]
    return (
        f"by Fréchet distance, the nearest first: {verdicts.ordered(distance, least_first=True)};\n"
        f"  farther than pixels drawn one by one in every seed: {verdicts.listed(far)};\n"
        f"  more than half of the held-out digits covered in every seed: {verdicts.listed(near)};\n"
        f"  not settled by distance over the last quarter: {verdicts.listed(moving)}."
    )
