"""Questions and exercises of chapter 14."""

import functools
import math

import torch
from torch import nn
from torch.nn.functional import softplus

from gentools import age, alpha_gan
from gentools.exercises.steps import same_players
from gentools.lab import data, worlds
from gentools.lab.divergences import kl
from gentools.lab.networks import mlp
from gentools.lab.optim import adam
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train

QUESTIONS = {
    "14.Q1": Question(
        "c",
        {
            "a": "The output estimates the ratio of the two densities that the discriminator was trained on, so these two matter.",
            "b": "The error is minus the logarithm of a density that one chooses, Laplace for an absolute error. Nobody can compute "
            "the generator's own.",
            "c": "Its best logit is log p(x)/q(x). With the right two laws before it, a ratio can stand for a likelihood.",
        },
    ),
    "14.Q2": Question(
        "b",
        {
            "a": "The discriminator sees each x by itself, and even digits are as frequent among all fakes as among the data.",
            "b": "It compares the data with the mixture of both. If the mixture is right, it has nothing to object.",
            "c": "It is trained on them as fakes, so it does judge them.",
        },
    ),
    "14.Q3": Question(
        "a",
        {
            "a": "It sees codes of all data together. Whether a code tells anything of its x does not show in their law.",
            "b": "It would have to see pairs of x and z for that, as the discriminator of chapter 9 does.",
            "c": "The codes of every single image follow the prior only if no code depends on its x. The law of all codes can be right "
            "without that.",
        },
    ),
    "14.Q4": Question(
        "b",
        {
            "a": "Both divergences are least at q = p, so a small step down one of them seldom leads far up the other.",
            "b": "Both divergences fall toward q = p, so much of their slopes agrees. They weigh the places differently.",
            "c": "Then two q with one KL(p||q) would always have one KL(q||p) too, and they do not.",
        },
    ),
    "14.Q5": Question(
        "b",
        {
            "a": "It is behind WGAN-GP, and their intervals do not meet. AGE and the GAN are not separated from it.",
            "b": "WGAN-GP has the least mean, and its interval meets no other. The distance falls to the end of these runs; one run of twice the steps ends within their range.",
            "c": "Both are behind WGAN-GP, and not separated from alpha-GAN. By precision they are before alpha-GAN.",
            "d": "The interval of WGAN-GP meets no other, by this distance as by KID.",
        },
    ),
    "14.Q6": Question(
        "a",
        {
            "a": "Without the error nothing asks that a code keeps its own x. Only laws are compared.",
            "b": "The discriminator looks at laws of x. It cannot see which x a reconstruction belongs to.",
            "c": "No term is left that asks for better reconstructions.",
        },
    ),
    "14.Q7": Question(
        "c",
        {
            "a": "By (14.5) two divergences are added, but the information between x and z is subtracted.",
            "b": "By (14.5) the information between x and z is subtracted, but two divergences are added.",
            "c": "By (14.5) the information is missing and the marginal is counted again, so it bounds nothing.",
        },
    ),
    "14.Q8": Question(
        "b",
        {
            "a": "The learning rate sets how fast the players move, not what the shared discriminator can see.",
            "b": "By (14.7) what is overlooked is at most the divergence between the codes' law and the prior.",
            "c": "The error of reconstruction looks at pairs, and does not see the samples at all.",
        },
    ),
    "14.Q9": Question(
        "a",
        {
            "a": "w^2 equals the data's variance, the decoder's noise comes on top, and no discriminator looks at the sum.",
            "b": "That is the VAE's answer: it takes the noise off.",
            "c": "The codes have variance 1 and w^2 is what the data have, so there is no loss of spread.",
        },
    ),
    "14.Q10": Question(
        "c",
        {
            "a": "It sees x and z as a pair, in chapter 9.",
            "b": "The adversarial autoencoder compares the codes of data with the prior, and never looks at samples.",
            "c": "AGE's encoder gives codes to data and to samples, and those are compared. Here D compares pictures.",
        },
    ),
    "14.Q11": Question(
        "b",
        {
            "a": "That is what the loss log(1 - D) descends.",
            "b": "The loss -log(D/(1 - D)) at the best D, as in chapter 5.",
            "c": "The direction is the other one: the model's law stands first.",
        },
    ),
}


def check_overlooked(answer):
    """14.E1, answer(q_x (n,), rho_x (n,), share) -> nats: 20 tables with shares from 0.1 to 0.9, and two halves."""
    for seed in range(20):
        w = worlds.table(seed)
        rho_x, share = w.q_x_given_z @ w.p_z, 0.1 + 0.8 * (seed % 5) / 4
        truth, got = float(solve_overlooked(w.q_x, rho_x, share)), answer(w.q_x, rho_x, share)
        if wrong := off(got, truth):
            raise Wrong(f"In world {seed} with the share {share:g} it should be {wrong.right} nats, not {wrong.given}.")
    halves = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], dtype=torch.float64)
    if wrong := off(answer(*halves, 0.5), math.log(2)):
        raise Wrong(
            f"If samples and reconstructions show one half of the data each, it should be log 2, not {wrong.given}."
        )


def solve_overlooked(q_x, rho_x, share):
    """How much two discriminators charge more than one that sees samples with this share; q_x and rho_x (n,), in nats."""
    mix = share * q_x + (1 - share) * rho_x
    return share * kl(q_x, mix) + (1 - share) * kl(rho_x, mix)


EVEN = torch.full((4,), 0.25, dtype=torch.float64)


def check_unseen(answer):
    """14.E2, two laws (2, 4): unseen by one discriminator, log 2 for two."""
    if answer.shape != (2, 4):
        raise Wrong(f"Give two laws on four points, shape (2, 4), not {tuple(answer.shape)}.")
    if (answer < 0).any() or (answer.sum(1) - 1).abs().max() > 1e-6:
        raise Wrong("Probabilities are not negative, and each law sums to 1.")
    q_x, rho_x = answer
    if ((q_x + rho_x) / 2 - EVEN).abs().max() > 1e-6:
        raise Wrong("The shared discriminator sees the mean of your laws, and that is not the law of the data.")
    charged = float(kl(q_x, EVEN) + kl(rho_x, EVEN))
    if abs(charged - torch.log(torch.tensor(2.0)).item()) > 1e-4:
        raise Wrong(f"Two discriminators would charge {charged:.4f} nats, not log 2.")


def solve_unseen():
    """Samples and reconstructions (2, 4) that differ on two of the four points."""
    return [[0.5, 0.0, 0.25, 0.25], [0.0, 0.5, 0.25, 0.25]]


def check_strength(answer):
    """14.E3, answer(spread, correlation) -> strength: five pairs."""
    for spread, correlation in ((0.9, 0.8), (0.85, 0.8), (0.99, 0.5), (0.6, 0.2), (0.97, 0.95)):
        truth, got = solve_strength(spread, correlation), float(answer(spread, correlation))
        if wrong := off(got, truth):
            raise Wrong(
                f"For spread {spread:g} and correlation {correlation:g} it should be {wrong.right}, not {wrong.given}."
            )


def solve_strength(spread, correlation):
    """The strength of the squared error at which samples have this spread, in units of the data's; numbers ()."""
    return (1 - spread**2) / (spread * (spread - correlation))  # (14.9), solved for the strength


def usual_game(seed):
    """Small networks for points in the plane with two codes, an optimizer for each player, and a batch."""
    rng = generator(seed, "14.E4")
    sizes = {"encoder": [2, 8, 2], "generator": [2, 8, 2], "discriminator": [2, 8, 1], "code discriminator": [2, 8, 1]}
    nets = nn.ModuleDict({name: mlp(size, nn.Tanh, generator=rng) for name, size in sizes.items()}).double()
    opts = {name: torch.optim.SGD(part.parameters(), 0.05) for name, part in alpha_gan.players(nets).items()}
    x, z = torch.randn(2, 12, 2, generator=rng, dtype=torch.float64)
    for parameter in nets.parameters():  # gradients left over from before, which must not count
        parameter.grad = torch.ones_like(parameter)
    return nets, opts, (x, z)


def check_usual_step(answer):
    """14.E4, answer(nets, opts, x (n, d), z (n, k)) -> two losses (): weights of all four networks."""
    losses = ("loss of the discriminator", "loss of encoder and generator")
    same_players(answer, solve_usual_step, usual_game, losses)


def solve_usual_step(nets, opts, x, z):
    """A step with -log D, squared errors and a deterministic encoder: x (n, d), z (n, k) -> losses of D and players ()."""
    encoder, generator, d, c = (nets[n] for n in ("encoder", "generator", "discriminator", "code discriminator"))
    code = encoder(x)
    back, made = generator(code), generator(z)
    fakes = torch.cat([back, made]).detach()
    d_loss = softplus(-d(x)).mean() + softplus(d(fakes)).mean()
    c_loss = softplus(-c(z)).mean() + softplus(c(code.detach())).mean()
    for name, loss in (("discriminator", d_loss), ("code discriminator", c_loss)):
        opts[name].zero_grad()
        loss.backward()
        opts[name].step()

    passed = sum(softplus(-logit).mean() for logit in (d(back), d(made), c(code)))
    loss = (x - back).square().sum(1).mean() + passed
    opts["autoencoder"].zero_grad()
    loss.backward()
    opts["autoencoder"].step()
    return d_loss, loss


@functools.lru_cache(maxsize=64)
def small_run(reconstruction_weight):
    """Mean error of rebuilt images, and the moment KL of the codes, after 300 steps of a small network on the digits.

    reconstruction_weight: of the mean absolute error over the 64 pixels, where `alpha_gan.step` has one of the sum.
    """
    rows = data.digits()[0].flatten(1)
    nets = alpha_gan.image_networks(0, 64, (64, 64), 6)
    opts = {name: adam(part.parameters(), 2e-3, (0.5, 0.9)) for name, part in alpha_gan.players(nets).items()}
    step, steps = functools.partial(alpha_gan.step, reconstruction_weight=reconstruction_weight / 64), 300
    train(step, nets, opts, Stream(rows, 64, (2, 6)), steps, 0, schedule=lambda t: 1 - t / steps)
    x, noise = rows.float() / 255, torch.randn(len(rows), 6, generator=generator(0, "14.E5"))
    with torch.no_grad():
        mean, log_variance = nets["encoder"](x)
        codes = mean + (log_variance / 2).exp() * noise
    return float((alpha_gan.rebuilt(nets, x, noise) - x).abs().mean()), float(age.delta(codes))


def check_broken(answer):
    """14.E5, two weights (): codes must leave the prior with the first, and all be well with the second."""
    if any(weight.shape != () or weight < 0 for weight in answer):
        raise Wrong("Give two numbers that are not negative: the weight that breaks and the weight that mends.")
    (broken, left), (mended, kept) = ((float(weight), small_run(float(weight))) for weight in answer)
    if not left[1] >= 20:
        raise Wrong(f"With weight {broken:g} the codes are {left[1]:.1f} nats from the prior; that is not broken.")
    if not kept[0] <= 0.145:
        raise Wrong(f"With weight {mended:g} images are rebuilt with the mean error {kept[0]:.3f}; 0.145 is allowed.")
    if not kept[1] <= 10:
        raise Wrong(f"With weight {mended:g} the codes are {kept[1]:.1f} nats from the prior; 10 are allowed.")


def solve_broken():
    """A weight of the mean error with which it outweighs the code discriminator, and one that leaves both their say."""
    return 19200.0, 1920.0


EXERCISES = {
    "14.E1": Exercise(
        check=check_overlooked,
        hints=(
            "Do what led to (14.6): insert the mixture into the logarithms of both divergences from the data.",
            "log q/p = log q/m + log m/p, and the mean of log m/p over both laws, with their shares, is KL(m || p).",
            "What is left is share KL(q || m) + (1 - share) KL(rho || m). The data have dropped out.",
        ),
        solution=solve_overlooked,
        gives="number",
    ),
    "14.E2": Exercise(
        check=check_unseen,
        hints=(
            "The mean of the two laws has to be even on the four points.",
            "If each law keeps to two points of its own, each pays log 2. That is twice as much as asked for.",
            "So let them differ on two of the points alone: each law has one of these to itself. The other two keep 1/4 in both.",
        ),
        solution=solve_unseen,
    ),
    "14.E3": Exercise(
        check=check_strength,
        hints=(
            "(14.9) is quadratic in the spread. In what is it linear?",
            "Collect the terms with the strength k on one side.",
            "With g for the spread and R for the correlation, k g (g - R) = 1 - g^2.",
        ),
        solution=solve_strength,
        gives="number",
    ),
    "14.E4": Exercise(
        check=check_usual_step,
        hints=(
            "D and C descend softplus(-real) + softplus(fake), each a mean, on detached fakes. The fakes of D are both kinds.",
            "-log D is softplus of minus the logit. Add one mean for reconstructions, one for samples, one for codes.",
            "Move D and C first, then clear the gradients of the autoencoder and let it descend the error plus the three.",
        ),
        solution=solve_usual_step,
        gives=2,
    ),
    "14.E5": Exercise(
        check=check_broken,
        hints=(
            "The encoder descends the error and the term of C at once. Which of them wins if the weight of the error is large?",
            "A mean over 64 pixels is a 64th of their sum. The weight 10 of the training cell is 640 here.",
            "Three times 640 leaves both their say. Try ten times as much as that for the first number.",
        ),
        solution=solve_broken,
        gives=2,
    ),
}
