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
)
from gentools.lab.networks import classifier, mlp
from gentools.lab.optim import cosine
from gentools.lab.plots import image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize, unit
from gentools.recipes import alpha_gan_digits as chapter14
from gentools.recipes.one_map_points import (
    Settings,
    critic_step,
    curve_rows,
    device_of,
    noise,
    optimizers,
    score_rows,
)
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.fitting import fit_kept
from gentools.recipes.shared.pictures import labeled

SIDE, PIXELS = 28, 28 * 28
WIDTH, LATENT = 128, 16  # of two hidden layers, and of a code
INNER = (WIDTH, WIDTH)
LEAST_TIME = 0.05  # below it the velocity of the denoiser is not divided by a smaller time


class Arm(NamedTuple):
    """One model of pictures: as an `Arm` of points, and what a batch goes through; draw gives gray values (n, 784).

    start(nets, seed, mean image (784,)): sets the weights before training, where they are not those of `made`.
    """

    made: object
    step: object
    latent: object
    draw: object
    joined: dict = {}  # noqa: RUF012
    prepare: object = unit
    start: object = None


# Networks of this size


def sized(networks):
    """A function of the seed that makes those networks for these pictures: two hidden layers of 128, codes of 16."""
    return functools.partial(networks, pixels=PIXELS, hidden=INNER, latent=LATENT)


def plain_players(seed):
    """Generator 16-128-128-784 into [0, 1] and discriminator 784-128-128-1 with leaky ReLU, by PyTorch's own start."""
    squashed = nn.Sequential(mlp([LATENT, *INNER, PIXELS], generator=generator(seed, "generator")), nn.Sigmoid())
    discriminator = mlp([PIXELS, *INNER, 1], nn.LeakyReLU, generator=generator(seed, "discriminator"))
    return nn.ModuleDict({"generator": squashed, "discriminator": discriminator})


class Unlabeled(nn.Module):
    """Chapter 16's residual network with no labels. It tells the picture, in [-1, 1], and the velocity follows from it.

    On the straight path x_t - x = t (noise - x), which is t times the velocity. A network that tells the velocity itself
    has to pass on 784 numbers of noise, which a layer of 128 units cannot; pictures need fewer (Li, He 2025).
    """

    def __init__(self, seed):
        super().__init__()
        self.net = diffusion.LabeledDenoiser(seed, PIXELS, 0, WIDTH)

    def forward(self, x, t):
        """x (n, 784), t (n,) -> the velocity (n, 784)."""
        picture = self.net(x, t, torch.zeros(len(x), dtype=torch.long, device=x.device)).tanh()
        return (x - picture) / t[:, None].clamp(min=LEAST_TIME)


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
        sized(vae.networks), vae.step, LATENT, from_decoder, {"vae": ("encoder", "decoder")}, binarize,
    ),
    "AAE": Arm(
        sized(aae.networks), functools.partial(aae.step, prior=wide_normal, weight=10.0), LATENT + aae.NOISE,
        from_decoder, {"autoencoder": ("encoder", "decoder")}, binarize,
    ),
    "GAN": Arm(sized(chapter14.gan_networks), gan.step, LATENT, from_generator, start=chapter14.started),
    "regularized GAN": Arm(
        plain_players, functools.partial(regularized_gan.recorded_step, penalty_weight=5.0), (2, LATENT), from_generator
    ),
    "ALI": Arm(
        functools.partial(ali.image_networks, latent=LATENT, width=WIDTH), ali.step, (3, LATENT), from_pairs
    ),
    "WGAN-GP": Arm(
        sized(chapter14.critic_networks),
        functools.partial(critic_step, weight=10.0), (2, LATENT), from_generator, start=chapter14.started,
    ),
    "AGE": Arm(
        sized(age.image_networks), functools.partial(age.step, data_weight=320.0, code_weight=500.0), (3, LATENT),
        from_sphere, start=chapter14.started,
    ),
    "alpha-GAN": Arm(
        sized(alpha_gan.image_networks), functools.partial(alpha_gan.step, reconstruction_weight=1.0), (2, LATENT),
        from_generator, {"autoencoder": ("encoder", "generator")}, start=chapter14.started,
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
STEPS = 12_000  # of every model


@dataclass(frozen=True)
class Digits:
    """Every model on MNIST, and the judge."""

    models: tuple = (
        Settings("VAE", 1e-3, STEPS, 64, 0.9),
        Settings("AAE", 1e-3, STEPS, 64),
        Settings("GAN", 3.3e-3, STEPS, 64, 0.5, 0.9),
        Settings("regularized GAN", 2.7e-3, STEPS, 64),
        Settings("ALI", 9e-4, STEPS, 64),
        Settings("WGAN-GP", 3.3e-3, STEPS, 128, 0.5, 0.9),
        Settings("AGE", 3.3e-3, STEPS, 64, 0.5, 0.9),
        Settings("alpha-GAN", 3.3e-3, STEPS, 64, 0.5, 0.9),
        Settings("autoregressive", 8.1e-2, STEPS, 64, 0.9),
        Settings("flow matching", 1e-3, STEPS, 64, 0.9),
    )
    # model, steps, then (rate, Fréchet distance to 2,000 other test digits) of one run each on seed 90; the five rates of
    # GAN, WGAN-GP, AGE and alpha-GAN are those of figure 14.5, means of two seeds with another judge
    tuning: tuple = (
        ("VAE", 2400, (3.3e-4, 312.3), (1e-3, 103.5), (3e-3, 117.1), (9e-3, 202.7)),
        ("AAE", 2400, (1e-3, 64.7), (3e-3, 53.0), (9e-3, 57.4)),
        ("regularized GAN", 2400, (3e-4, 899.0), (9e-4, 353.4), (2.7e-3, 76.7)),
        ("ALI", 2400, (3e-4, 229.7), (9e-4, 163.2), (2.7e-3, 97.5), (8.1e-3, 80.1), (2.43e-2, 72.6)),
        ("autoregressive", 2400, (1e-3, 156.6), (3e-3, 86.4), (9e-3, 56.3), (2.7e-2, 49.5), (8.1e-2, 47.1)),
        ("flow matching", 2400, (1e-3, 144.1), (3e-3, 202.3), (9e-3, 1145.9)),
        ("flow matching, picture without tanh", 2400, (1e-3, 204.5), (3e-3, 216.0), (9e-3, 212.9)),
        ("flow matching, velocity told", 2400, (1e-3, 426.1), (3e-3, 429.2), (9e-3, 432.5)),
        ("GAN", 1500, (1e-3, 705.5), (3e-3, 538.6), (1e-2, 218.1), (3e-2, 1416.8), (6e-2, 1859.3)),
        ("WGAN-GP", 1500, (1e-3, 131.9), (3e-3, 89.3), (1e-2, 70.3), (3e-2, 97.4), (6e-2, 856.7)),
        ("AGE", 1500, (1e-3, 842.3), (3e-3, 180.1), (1e-2, 114.8), (3e-2, 1795.9), (6e-2, 1520.9)),
        ("alpha-GAN", 1500, (1e-3, 202.0), (3e-3, 118.8), (1e-2, 75.1), (3e-2, 82.9), (6e-2, 296.6)),
        ("GAN, here", 2400, (1e-2, 65.5)),
        ("WGAN-GP, here", 2400, (1e-2, 25.6)),
        ("AGE, here", 2400, (1e-2, 27.5)),
        ("alpha-GAN, here", 2400, (1e-2, 30.5)),
        ("GAN, plain start", 2400, (3e-4, 826.6), (9e-4, 717.4), (2.7e-3, 138.1)),
        ("regularized GAN, start of chapter 14", 2400, (1e-3, 557.4), (3.3e-3, 258.6), (1e-2, 344.4)),
        ("WGAN-GP, plain start", 2400, (1e-3, 47.3), (3e-3, 25.9), (9e-3, 27.8)),
        ("AGE, both rebuild, plain start", 2400, (1e-3, 527.5), (3e-3, 76.5), (9e-3, 51.1)),
        ("alpha-GAN, weight 0.05, plain start", 2400, (3e-4, 822.1), (9e-4, 176.5), (2.7e-3, 87.3)),
    )
    # the same over all steps: one run on seed 90; at the best of the rates above, means of the seeds 0 and 1
    tuning_in_full: tuple = (
        ("VAE", (3.3e-4, 25.1), (1e-3, 19.7)),
        ("AAE", (3.3e-4, 14.3), (1e-3, 9.5), (3e-3, 14.8)),
        ("GAN", (1e-3, 89.5), (3.3e-3, 36.4), (1e-2, 128.6)),
        ("regularized GAN", (9e-4, 30.9), (2.7e-3, 23.2), (8.1e-3, 1005.2)),
        ("ALI", (3e-4, 56.2), (9e-4, 17.9), (2.7e-3, 19.7), (8.1e-3, 25.6), (2.43e-2, 573.7)),
        ("WGAN-GP", (3.3e-3, 10.5), (1e-2, 17.6)),
        ("AGE", (1e-3, 974.0), (3.3e-3, 15.2), (1e-2, 17.9)),
        ("alpha-GAN", (1e-3, 25.3), (3.3e-3, 15.1), (1e-2, 33.2)),
        ("autoregressive", (2.7e-2, 16.0), (8.1e-2, 14.5)),
        ("flow matching", (3.3e-4, 73.7), (1e-3, 64.2)),
    )
    data: str = "mnist"
    components: int = 30  # of the mixture of Bernoullis
    fitted: int = 3000  # digits that EM sees binarized, and near whose mean the players start
    judged: int = 2000  # samples, and held-out digits
    judge_steps: int = 400
    k: int = 5  # neighbors
    moments: int = 8  # at which the distance is measured


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
    nets = arm.made(seed)
    if arm.start:
        arm.start(nets, seed, unit(images[: config.fitted]).mean(0))
    nets = nets.to(device)

    def watch(done):
        features, _ = read(bits_of(arm.draw(nets, config.judged, seed).cpu(), seed), config, device)
        return {"distance": evaluation.frechet(features, real)}

    history = fit_kept(
        arm.step, nets, optimizers(arm, nets, settings), images, arm.latent, batch=settings.batch,
        steps=settings.steps, seed=seed, device=device, prepare=arm.prepare, schedule=cosine(settings.steps),
        watch=watch, log_every=max(1, settings.steps // config.moments),
        config={"watched with": repr((config.data, config.judged, config.judge_steps))},
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
        numbers[settings.model, CHANGE] = change(curve)
    gray |= {REAL: images[chosen[-n:]], CHANCE: images.mean(0).expand(n, -1)}
    for name, x in gray.items():
        numbers |= {(name, what): value for what, value in scored(x, real, config, seed, device).items()}
        arrays[f"{name} pictures"] = (255 * x[:SHOWN].float()).round().to(torch.uint8)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_digits(results, config):
    """Left, a strip of pictures of every model, first seed; then a row per model: its distance over the run, its scores."""
    names = [MIXTURE, *(settings.model for settings in config.models), REAL, CHANCE]
    widths = (3.0, 1.35, *[1.1] * len(SCORES))
    fig, axes = drawing.panels(1, 2 + len(SCORES), (8.8, 6.0), layout="none", width_ratios=widths)
    fig.subplots_adjust(left=0.15, right=0.985, top=0.93, bottom=0.085, wspace=0.14)
    strips = torch.cat([results[0]["arrays"][f"{name} pictures"] for name in names])
    shown, curves, *scores = axes
    image_grid(shown, strips.reshape(-1, 1, SIDE, SIDE), columns=SHOWN, vmax=255)
    height = shown.get_images()[0].get_array().shape[0] / len(names)
    shown.set_aspect("auto")
    shown.set_axis_on()
    shown.set(xticks=(), yticks=[height * (i + 0.5) for i in range(len(names))])
    shown.set_yticklabels(names)
    curve_rows(curves, results, names, "distance", (0.7, 3.0), torch.log10)  # from 5 to 1,000
    curves.set(title="Fréchet curve", xticks=(0, 0.5))
    score_rows(scores, results, names, SCORES, [None, (0, 1), (0, 1), (0, 1), (1, 10)])
    scores[0].set_xscale("log")
    for ax in axes[1:]:
        ax.tick_params(labelsize=8)
        ax.title.set_fontsize(10)
        ax.xaxis.label.set_fontsize(9)
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
        f"by Fréchet distance, the nearest first, intervals compared: {verdicts.ordered(distance, least_first=True)};\n"
        f"  farther than pixels drawn one by one in every seed: {verdicts.listed(far)};\n"
        f"  more than half of the held-out digits covered in every seed: {verdicts.listed(near)};\n"
        f"  not settled by distance over the last quarter: {verdicts.listed(moving)}."
    )
