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
    gan,
    mixtures,
    neighbors,
    regularized_gan,
    vae,
    wgan_gp,
)
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.randomness import generator
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import fit_kept
from gentools.recipes.shared.points import DRAWN, GRID, Points, chance, score

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


def noise(seed, *shape, like=None):
    """Noise for evaluation, from the seed alone; on the device of the networks `like`, if they are given."""
    z = torch.randn(*shape, generator=generator(seed, "evaluation"))
    return z if like is None else z.to(device_of(like))


def device_of(nets):
    """Where the networks stand."""
    return next(nets.parameters()).device


# Samplers


def from_generator(nets, n, seed):
    """n points (n, 2) of a generator without noise of its own."""
    return gan.sample(nets, noise(seed, n, 2, like=nets))


@torch.no_grad()
def from_decoder(nets, n, seed):
    """n draws (n, 2) of q(x|z) for codes of the prior: the decoder's mean and its noise."""
    z, apart = noise(seed, 2, n, 2, like=nets)
    decoder = nets["decoder"]
    return decoder(z) + (decoder.log_variance / 2).exp() * apart


@torch.no_grad()
def from_pairs(nets, n, seed):
    """n points (n, 2) of ALI's generator, with its noise."""
    z, apart = noise(seed, 2, n, 2, like=nets)
    return nets["players"]["generator"](z, apart)


def from_sphere(nets, n, seed):
    """n points (n, 2) of AGE's generator."""
    return age.sample(nets, noise(seed, n, 3, like=nets))


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
    bits = autoregressive.cached_sample(nets["model"], uniform[:, 2:].to(device_of(nets)))
    return from_bits(bits.cpu(), uniform[:, :2])


SCALE = 2.83  # what a denoiser's points are divided by: the standard deviation of the grid


def from_noise(nets, n, seed):
    """n points (n, 2) by 40 steps of DDIM along the straight path."""
    estimate = diffusion.estimates(nets["denoiser"], diffusion.straight, diffusion.velocity_target)
    return diffusion.ddim(estimate, noise(seed, n, 2, like=nets), diffusion.down(40), diffusion.straight) * SCALE


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


def critic_step(nets, opts, x, z, weight):
    """`wgan_gp.step` with two steps of the critic and the penalty in closed form, which takes less time."""
    return wgan_gp.step(nets, opts, x, z, critic_steps=2, penalty_weight=weight, penalty=wgan_gp.piecewise_penalty)


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
        wgan_gp.toy_networks, functools.partial(critic_step, weight=0.1), (2, 2), from_generator,
    ),
    "AGE": Arm(age.networks, age.step, (3, 3), from_sphere),
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
AUTOENCODERS = ("VAE", "AAE")  # with Gaussian encoder and decoder
SCORES = {"modes": "covered", "quality": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
CHANGE = "overlap at the end minus after three quarters"


@dataclass(frozen=True)
class Grid:
    """Every model on the grid, for about equally many CPU seconds, each at the rate that its trials chose."""

    models: tuple = (
        Settings("VAE", 9e-3, 11_000, beta1=0.9),
        Settings("AAE", 9e-3, 8000),
        Settings("GAN", 3e-3, 11_000),
        Settings("regularized GAN", 3e-3, 7200),
        Settings("ALI", 3e-3, 9000),
        Settings("WGAN-GP", 6e-3, 5600, 256, 0.0, 0.9),
        Settings("AGE", 2e-3, 5200),
        Settings("alpha-GAN", 9e-3, 4600),
        Settings("autoregressive", 3e-2, 5000, beta1=0.9),
        Settings("flow matching", 1.6e-2, 8400, 256, 0.9),
    )
    tuning: tuple = (  # model, steps, then (rate, overlap) of one run each on seed 90
        ("VAE", 5000, (3.3e-4, 0.016), (1e-3, 0.015), (3e-3, 0.05), (9e-3, 0.336), (2.7e-2, 0.052)),
        ("AAE", 3200, (3.3e-4, 0.016), (1e-3, 0.016), (3e-3, 0.017), (9e-3, 0.023), (2.7e-2, 0.016)),
        ("GAN", 5000, (3.3e-4, 0.037), (1e-3, 0.166), (3e-3, 0.343), (9e-3, 0.064)),
        ("regularized GAN", 3200, (3.3e-4, 0.04), (1e-3, 0.074), (3e-3, 0.27), (9e-3, 0.405), (2.7e-2, 0.129)),
        ("ALI", 4000, (1e-3, 0.003), (3e-3, 0.061), (9e-3, 0.112), (2.7e-2, 0.012)),
        ("WGAN-GP", 2400, (6.7e-4, 0.023), (2e-3, 0.082), (6e-3, 0.248), (1.8e-2, 0.252), (5.4e-2, 0.205)),
        ("AGE", 2600, (6.7e-4, 0.016), (2e-3, 0.033), (6e-3, 0.002)),
        ("AGE, both rebuild", 2600, (2.2e-4, 0.001), (6.7e-4, 0.008), (2e-3, 0.006), (6e-3, 0.001), (1.8e-2, 0.0)),
        ("alpha-GAN", 2600, (3.3e-4, 0.018), (1e-3, 0.016), (3e-3, 0.044), (9e-3, 0.355), (2.7e-2, 0.03)),
        ("autoregressive", 5000, (3.3e-3, 0.954), (1e-2, 0.956), (3e-2, 0.959), (9e-2, 0.958)),
        ("flow matching", 4000, (5.3e-3, 0.9), (1.6e-2, 0.933), (4.8e-2, 0.909), (1.4e-1, 0.016)),
    )
    tuning_in_full: tuple = (  # the same over all steps, at the best of the rates above and at smaller ones
        ("VAE", (3e-3, 0.553), (9e-3, 0.638)),
        ("AAE", (3e-3, 0.014), (9e-3, 0.02)),
        ("GAN", (1e-3, 0.395), (3e-3, 0.514)),
        ("regularized GAN", (1e-3, 0.255), (3e-3, 0.408), (9e-3, 0.34)),
        ("ALI", (1e-3, 0.136), (3e-3, 0.28), (9e-3, 0.004)),
        ("WGAN-GP", (2e-3, 0.399), (6e-3, 0.85), (1.8e-2, 0.503)),
        ("AGE", (6.7e-4, 0.042), (2e-3, 0.087)),
        ("alpha-GAN", (3e-3, 0.181), (9e-3, 0.441)),
        ("flow matching", (5.3e-3, 0.927), (1.6e-2, 0.935)),
    )
    data: Points = GRID
    points: int = 20_000  # drawn once, to train on
    components: int = 25  # of the mixture that EM fits
    compared: int = 1000  # samples, and fresh points, for the recall
    moments: int = 12  # at which samples are scored, equally spaced


def rows_for(model, x):
    """Points (n, 2) as that model takes them: bits for the MADE, divided by their spread for the denoiser."""
    return {"autoregressive": to_bits, "flow matching": lambda x: x / SCALE}.get(model, lambda x: x)(x)


def train_model(settings, config, seed, device):
    """Networks of one model after training on the grid, and its overlap (moments,) on the way."""
    arm = ARMS[settings.model]
    nets, rows = arm.made(seed).to(device), rows_for(settings.model, config.data.draw(config.points, seed)[0])

    def watch(done):
        return score(arm.draw(nets, DRAWN, seed).cpu(), config.data)._asdict()

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


@torch.no_grad()
def widths(nets, x, mode):
    """{name: number} of Gaussian networks: how wide their noise is, and where the mean codes of x (n, 2) lie by mode (n,).

    The last two: mean distance of a code from the middle of its mode's codes, and of such a middle from the next one.
    """
    mean, log_variance = nets["encoder"](x)
    middles = torch.stack([mean[mode == k].mean(0) for k in mode.unique()])  # (modes, 2)
    return {
        "width of q(x|z)": (nets["decoder"].log_variance / 2).exp(),
        "width of p(z|x)": (log_variance / 2).exp().mean(),
        "codes, from the middle of their mode": (mean - middles[mode.unique(return_inverse=True)[1]])
        .norm(dim=1)
        .mean(),
        "codes, from a mode to the next": torch.cdist(middles, middles).topk(2, largest=False).values[:, 1].mean(),
    }


def run_grid(config, seed, device):
    """Scores and samples of every model, trained with the same seed on the same points."""
    fitted = mixtures.fit_mixture(config.data.draw(config.points, seed)[0], config.components, seed=seed)
    samples, numbers, arrays = {MIXTURE: fitted.sample(DRAWN, seed)}, {}, {}
    for settings in config.models:
        nets, curve = train_model(settings, config, seed, device)
        if settings.model in AUTOENCODERS:
            fresh, mode = (part.to(device) for part in config.data.draw(config.compared, f"fresh {seed}"))
            numbers |= {(settings.model, what): value for what, value in widths(nets, fresh, mode).items()}
        samples[settings.model] = ARMS[settings.model].draw(nets, DRAWN, seed).cpu()
        arrays[f"{settings.model} overlap"] = curve
        numbers[settings.model, CHANGE] = change(curve)
    samples["true data"] = config.data.draw(DRAWN, f"true {seed}")[0]
    for name, x in samples.items():
        numbers |= {(name, what): value for what, value in judged(x, config, seed).items()}
        arrays[f"{name} samples"] = x.float()
    return {"numbers": arms.named(numbers), "arrays": arrays}


FAMILIES = {  # a color for each way to be trained
    "blue": ("EM", "VAE", "autoregressive", "flow matching"),  # one function is climbed
    "vermillion": ("AAE", "GAN", "regularized GAN", "ALI", "alpha-GAN"),  # a discriminator plays against it
    "purple": ("WGAN-GP", "AGE"),  # another game
    "black": ("true data", "training digits", "pixels alone"),  # no model
}


def look_of(name):
    """The look of a model by its family."""
    color = next(color for color, names in FAMILIES.items() if name in names)
    marker = {"blue": "o", "vermillion": "s", "purple": "^", "black": "D"}[color]
    return Look(name, color, "-", marker)


ROOM = 0.11  # of what a panel shows, on both sides: more than half a marker in the narrowest


def score_rows(axes, results, names, whats, spans):
    """Draw a panel per score: a row per model with a point per seed.

    A panel shows its points and its span, two numbers or None, and on both sides room for whole markers.
    """
    for ax, what, span in zip(axes, whats, spans, strict=True):
        for row, name in enumerate(names):
            values = drawing.over_seeds(results, arms.name(name, what))
            look = look_of(name)
            ax.plot(values, [row] * len(values), **look.as_points(ms=5, alpha=0.75, label=None))
        as_rows(ax, names)
        ax.set_title(what)
        ax.update_datalim([(end, 0) for end in span or ()])
        ax.margins(x=ROOM)


def curve_rows(ax, results, names, what, ends, told=torch.asarray):
    """Draw the curve (moments,) of every seed in the row of its model: over the run, between two ends of told(curve)."""
    low, high = ends
    for row, name in enumerate(names):
        ax.axhline(row + 0.5, color="0.85", lw=0.7)
        for curve in (r["arrays"].get(f"{name} {what}") for r in results):
            if curve is not None:
                height = (told(curve) - low) / (high - low)  # 0 at the bottom of the row, 1 at its top
                share = torch.arange(1, len(curve) + 1) / len(curve)  # of the run
                ax.plot(share, row + 0.4 - 0.8 * height, color=look_of(name).rgb, ls="-", lw=1.0, alpha=0.8)
    as_rows(ax, names)
    ax.set(xlim=(0, 1), xticks=(0, 1), xlabel="share of the run")


def as_rows(ax, names):
    """Make room for a row per model, the first above."""
    ax.set(ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)), yticklabels=[])


def draw_grid(results, config):
    """Samples (2500, 2) of the first seed of every model; below, a row per model: overlap over its run, four scores."""
    import matplotlib.pyplot as plt

    names = [MIXTURE, *(settings.model for settings in config.models), "true data"]
    fig = plt.figure(figsize=(8.4, 7.6), layout="constrained")
    above, below = fig.subfigures(2, 1, height_ratios=(1, 1.4))
    for ax, name in zip(above.subplots(2, 6).flat, names, strict=True):
        drawing.dots(ax, results[0]["arrays"][f"{name} samples"], look_of(name).color, size=1.0)
        ax.set(xlim=(-5.2, 5.2), ylim=(-5.2, 5.2), aspect="equal", xticks=(), yticks=())
        ax.set_title(name, fontsize=9)
    whats, lines = [*SCORES, "recall"], chance(config.data)
    curves, *axes = below.subplots(1, 5, width_ratios=(1.3, 1, 1, 1, 1))
    curve_rows(curves, results, names, "overlap", (0, 1))
    curves.set_title("overlap over the run")
    curves.set_yticklabels(names)
    score_rows(axes, results, names, whats, [(0, len(config.data.centers())), (0, 1), (0, 1), (0, 1)])
    for ax, index in zip(axes, (0, 1), strict=False):
        ax.axvline(lines["uniform"][index], color="0.45", ls=":", lw=1.2)
    return fig


def verdict_grid(summary):
    """The models in groups by overlap, what covers all modes, what beats a uniform sampler, what moved to the end."""
    names = [MIXTURE, *(settings.model for settings in Grid().models)]
    names = [name for name in names if arms.name(name, "overlap") in summary]
    overlap = arms.scores(summary, names, "overlap")
    all_modes = [n for n, s in arms.scores(summary, names, "modes").items() if verdicts.always_above(s, 24.5)]
    uniform = chance(GRID)["uniform"][1]
    above = [n for n, s in arms.scores(summary, names, "quality").items() if verdicts.always_above(s, uniform)]
    ends = {
        n: verdicts.settling(overlap[n], summary[arms.name(n, CHANGE)])
        for n in names
        if arms.name(n, CHANGE) in summary
    }
    moving = [f"{n} ({end})" for n, end in ends.items() if end != "settled"]
    return (
        f"by overlap, intervals compared: {verdicts.ordered(overlap)};\n"
        f"  all 25 modes in every seed: {verdicts.listed(all_modes)};\n"
        f"  more good samples than a uniform sampler in every seed: {verdicts.listed(above)};\n"
        f"  not settled by overlap over the last quarter: {verdicts.listed(moving)}. The rates fall to 0, so a run at rest need "
        "not be finished."
    )
