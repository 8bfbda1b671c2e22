"""Figure 17.2: every model of the course on the grid of 25 Gaussians, by the step functions of its own chapter."""

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
    diffusion,
    evaluation,
    gan,
    mixtures,
    neighbors,
    one_map,
    regularized_gan,
    vae,
    wgan_gp,
)
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.randomness import generator
from gentools.recipes.shared import arms
from gentools.recipes.shared.fitting import fit_kept
from gentools.recipes.shared.points import DRAWN, GRID, RING, Points, score

HIDDEN = (128, 128)  # layers of every network of points, but the MADE and the denoiser
REACH, BITS = 6.0, 10  # the square in which points are told in bits, and bits per coordinate


class Settings(NamedTuple):
    """How one model is trained. The learning rate of Adam falls along half a cosine to 0."""

    model: str
    rate: float  # at the start
    steps: int
    batch: int = 128
    beta1: float = 0.5  # of Adam
    beta2: float = 0.999


class Arm(NamedTuple):
    """One model: made(seed) -> networks, its step, noise per row, and draw(networks, n, seed) -> points (n, 2).

    joined: the networks that one optimizer moves, as {its name: their names}; each other network has its own.
    """

    made: object
    step: object
    latent: object
    draw: object
    joined: dict = {}  # noqa: RUF012


def noise(seed, *shape):
    """Noise for evaluation, from the seed alone."""
    return torch.randn(*shape, generator=generator(seed, "evaluation"))


# Samplers


def from_generator(nets, n, seed):
    """n points (n, 2) of a generator without noise of its own."""
    return gan.sample(nets, noise(seed, n, 2))


@torch.no_grad()
def from_decoder(nets, n, seed):
    """n draws (n, 2) of q(x|z) for codes of the prior: the decoder's mean and its noise."""
    z, apart = noise(seed, 2, n, 2)
    decoder = nets["decoder"]
    return decoder(z) + (decoder.log_variance / 2).exp() * apart


@torch.no_grad()
def from_pairs(nets, n, seed):
    """n points (n, 2) of ALI's generator, with its noise."""
    z, apart = noise(seed, 2, n, 2)
    return nets["players"]["generator"](z, apart)


def from_sphere(nets, n, seed):
    """n points (n, 2) of AGE's generator."""
    return age.sample(nets, noise(seed, n, 3))


def to_bits(x):
    """Points (n, 2) within 6 of 0 as bits (n, 20), the most telling bit of each coordinate first."""
    cell = ((x + REACH) / (2 * REACH) * 2**BITS).long().clamp(0, 2**BITS - 1)  # (n, 2)
    return (cell[..., None] >> torch.arange(BITS).flip(0) & 1).flatten(1).float()


def from_bits(bits, apart):
    """Points (n, 2) of bits (n, 20): a uniform place in each cell. apart (n, 2): numbers in [0, 1]."""
    cell = (bits.unflatten(1, (2, BITS)) * 2.0 ** torch.arange(BITS).flip(0)).sum(2)  # (n, 2)
    return (cell + apart) / 2**BITS * 2 * REACH - REACH


def from_made(nets, n, seed):
    """n points (n, 2), a bit after the other."""
    uniform = torch.rand(n, 2 * BITS + 2, generator=generator(seed, "evaluation"))
    return from_bits(autoregressive.cached_sample(nets["model"], uniform[:, 2:]), uniform[:, :2])


SCALE = 2.83  # what a denoiser's points are divided by: the standard deviation of the grid


def from_noise(nets, n, seed):
    """n points (n, 2) by 40 steps of DDIM along the straight path."""
    estimate = diffusion.estimates(nets["denoiser"], diffusion.straight, diffusion.velocity_target)
    return diffusion.ddim(estimate, noise(seed, n, 2), diffusion.down(40), diffusion.straight) * SCALE


# Networks that no chapter has in this size


def aae_networks(seed):
    """Encoder and decoder of a VAE with Gaussian noise, and a discriminator of codes."""
    nets = vae.networks(seed, 2, HIDDEN, 2, vae.Gaussian)
    nets["discriminator"] = aae.Discriminator(mlp([2, *HIDDEN, 1], generator=generator(seed, "discriminator")))
    return nets


def made_networks(seed):
    """A MADE of 20 bits."""
    return nn.ModuleDict({"model": autoregressive.MADE(2 * BITS, 256, rng=generator(seed, "made"))})


def denoiser_networks(seed):
    """The denoiser of figure 16.6."""
    return nn.ModuleDict({"denoiser": diffusion.PointDenoiser(seed, 128, 3, 3)})


def vae_networks(seed):
    """A VAE with Gaussian noise, whose width is learned."""
    return vae.networks(seed, 2, HIDDEN, 2, vae.Gaussian)


WHOLE = {"vae": ("encoder", "decoder")}
ARMS = {
    "VAE": Arm(vae_networks, vae.step, 2, from_decoder, WHOLE),
    "AAE": Arm(
        aae_networks, functools.partial(aae.step, weight=10.0), 2 + aae.NOISE, from_decoder,
        {"autoencoder": ("encoder", "decoder")},
    ),
    "GAN": Arm(gan.toy_networks, gan.step, 2, from_generator),
    "regularized GAN": Arm(
        functools.partial(regularized_gan.toy_networks, normed=False),
        functools.partial(regularized_gan.recorded_step, penalty_weight=5.0), (2, 2), from_generator,
    ),
    "ALI": Arm(ali.toy_networks, ali.step, (3, 2), from_pairs),
    "WGAN-GP": Arm(
        wgan_gp.toy_networks, functools.partial(wgan_gp.step, critic_steps=2, penalty_weight=0.1), (2, 2),
        from_generator,
    ),
    "AGE": Arm(age.networks, functools.partial(age.joint_step, data_weight=1000.0), (2, 3), from_sphere),
    "alpha-GAN": Arm(
        alpha_gan.networks, alpha_gan.step, (2, 2), from_generator, {"autoencoder": ("encoder", "generator")}
    ),
    "autoregressive": Arm(made_networks, autoregressive.step, 1, from_made),
    "flow matching": Arm(
        denoiser_networks,
        functools.partial(diffusion.step, path=diffusion.straight, target=diffusion.velocity_target), 2, from_noise,
    ),
}  # fmt: skip


def optimizers(arm, nets, settings):
    """An Adam for each network, and one for those that the arm joins."""
    within = {name for names in arm.joined.values() for name in names}
    parts = {name: [name] for name in nets if name not in within} | arm.joined
    moved = {name: [p for part in names for p in nets[part].parameters()] for name, names in parts.items()}
    return {
        name: adam(parameters, settings.rate, (settings.beta1, settings.beta2)) for name, parameters in moved.items()
    }


# 17.2 The grid

MIXTURE = "EM"  # the one model without networks
SCORES = {"modes": "covered", "quality": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
CHANGE = "overlap at the end minus after three quarters"


@dataclass(frozen=True)
class Grid:
    """Every model on the grid, each with settings near those of its own chapter."""

    models: tuple = (
        Settings("VAE", 1e-3, 6000, beta1=0.9),
        Settings("AAE", 1e-3, 4000),
        Settings("GAN", 1e-3, 8000),
        Settings("regularized GAN", 1e-3, 4000),
        Settings("ALI", 3e-3, 6000),
        Settings("WGAN-GP", 2e-3, 4000, 256, 0.0, 0.9),
        Settings("AGE", 2e-3, 3000),
        Settings("alpha-GAN", 1e-3, 3000),
        Settings("autoregressive", 1e-2, 4000, beta1=0.9),
        Settings("flow matching", 1.6e-2, 3000, 256, 0.9),
    )
    data: Points = GRID
    points: int = 20_000  # drawn once, to train on
    components: int = 25  # of the mixture that EM fits
    compared: int = 1000  # samples, and fresh points, for the recall
    moments: int = 8  # at which samples are scored, equally spaced


def rows_for(model, x):
    """Points (n, 2) as that model takes them: bits for the MADE, divided by their spread for the denoiser."""
    return {"autoregressive": to_bits, "flow matching": lambda x: x / SCALE}.get(model, lambda x: x)(x)


def train_model(settings, config, seed, device):
    """Networks of one model after training on the grid, and its overlap (moments,) on the way."""
    arm = ARMS[settings.model]
    nets, rows = arm.made(seed).to(device), rows_for(settings.model, config.data.draw(config.points, seed)[0])

    def watch(done):
        return score(arm.draw(nets, DRAWN, seed), config.data)._asdict()

    history = fit_kept(
        arm.step, nets, optimizers(arm, nets, settings), rows, arm.latent, batch=settings.batch, steps=settings.steps,
        seed=seed, device=device, schedule=cosine(settings.steps), watch=watch,
        log_every=max(1, settings.steps // config.moments),
    )  # fmt: skip
    return nets, torch.tensor([seen["overlap"] for seen in history.watched])


def judged(x, config, seed):
    """{score: number} of samples x (2500, 2): modes, quality and overlap, and the recall of fresh points."""
    found, fresh = score(x, config.data), config.data.draw(config.compared, f"fresh {seed}")[0]
    near = neighbors.neighborhoods(fresh, x[: config.compared].to(fresh.dtype))
    return {what: getattr(found, field) for what, field in SCORES.items()} | {"recall": near.recall}


def run_grid(config, seed, device):
    """Scores and samples of every model, trained with the same seed on the same points."""
    fitted = mixtures.fit_mixture(config.data.draw(config.points, seed)[0], config.components, seed=seed)
    samples, numbers, arrays = {MIXTURE: fitted.sample(DRAWN, seed)}, {}, {}
    for settings in config.models:
        nets, curve = train_model(settings, config, seed, device)
        samples[settings.model] = ARMS[settings.model].draw(nets, DRAWN, seed).cpu()
        arrays[f"{settings.model} overlap"] = curve
        numbers[settings.model, CHANGE] = curve[-1] - curve[max(0, len(curve) * 3 // 4 - 1)]
    samples["true data"] = config.data.draw(DRAWN, f"true {seed}")[0]
    for name, x in samples.items():
        numbers |= {(name, what): value for what, value in judged(x, config, seed).items()}
        arrays[f"{name} samples"] = x.float()
    return {"numbers": arms.named(numbers), "arrays": arrays}


# 17.4 The capstone on the ring

CAPSTONE = {"VAE": vae.step, "wake-sleep": one_map.step}


@dataclass(frozen=True)
class Ring:
    """A VAE and the capstone's model, from the same networks, on the ring."""

    data: Points = RING
    rate: float = 1e-3  # of Adam at the start; falls along half a cosine to 0
    steps: int = 5000
    batch: int = 128
    points: int = 20_000  # drawn once, to train on
    moments: int = 8  # at which samples are scored


def capstone_optimizers(name, nets, config):
    """One Adam for the VAE, and one for each network of the capstone's model."""
    if name == "VAE":
        return {"vae": adam(nets.parameters(), config.rate)}
    return {part: adam(nets[part].parameters(), config.rate) for part in nets}


def run_ring(config, seed, device):
    """Scores over training, samples, and the distance of the codes from the prior, of both models."""
    rows, numbers, arrays = config.data.draw(config.points, seed)[0], {}, {}
    for name, step in CAPSTONE.items():
        nets = vae_networks(seed).to(device)

        def watch(done, nets=nets):
            return score(from_decoder(nets, DRAWN, seed), config.data)._asdict()

        history = fit_kept(
            step, nets, capstone_optimizers(name, nets, config), rows, 2 if name == "VAE" else (2, 2),
            batch=config.batch, steps=config.steps, seed=seed, device=device, schedule=cosine(config.steps), watch=watch,
            log_every=max(1, config.steps // config.moments),
        )  # fmt: skip
        with torch.no_grad():
            codes = vae.sample(*nets["encoder"](rows[:DRAWN]), noise(seed, DRAWN, 2))
        for what, field in SCORES.items():
            curve = torch.tensor([float(seen[field]) for seen in history.watched])
            numbers[name, what], arrays[f"{name} {what}"] = curve[-1], curve
        overlap = arrays[f"{name} overlap"]
        numbers[name, CHANGE] = overlap[-1] - overlap[max(0, len(overlap) * 3 // 4 - 1)]
        numbers[name, "codes to prior"] = evaluation.frechet(codes, noise(f"{seed} prior", DRAWN, 2))
        arrays |= {f"{name} samples": from_decoder(nets, DRAWN, seed), f"{name} codes": codes}
    arrays["step"] = torch.tensor([seen["step"] for seen in history.watched])
    return {"numbers": arms.named(numbers), "arrays": arrays}
