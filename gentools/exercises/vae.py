"""Questions and exercises of chapter 03."""

import functools
import math

import torch

from gentools import vae
from gentools.exercises.steps import one_descent
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.quiz import Exercise, Question, Wrong, off
from gentools.lab.randomness import generator

QUESTIONS = {
    "3.Q1": Question(
        "b",
        {
            "a": "A draw has no derivative, but nobody forces the draw to happen inside: draw the noise first, and z becomes "
            "a function of mean and deviation.",
            "b": "This is the reparameterization. The noise enters from outside, like a second input.",
            "c": "With deviation 0 the gradient passes as well, but then z is not random and the KL term is infinite.",
        },
    ),
    "3.Q2": Question(
        "a",
        {
            "a": "Up to a constant, the squared error is minus the log-density of a Gaussian with variance 1/2, and "
            "half of it that with variance 1. Next to a KL term that scale decides what is worth encoding.",
            "b": "Squared error assumes a Gaussian, and its weight against the KL term is 1 over twice the variance. "
            "Without a KL term the weight would not matter; here it does.",
            "c": "For binary pixels one takes a Bernoulli decoder, which has no scale to choose. Squared error has one.",
        },
    ),
    "3.Q3": Question(
        "c",
        {
            "a": "Figure 3.12 shows blur with an encoder that is the posterior exactly.",
            "b": "The optimum itself can be blurred, as figure 3.12 shows, and then more steps do not help.",
            "c": "Blur has several causes: a code and decoder that cannot leave out what lies between images, a KL that charges "
            "little for mass where there are no data, and also a bad encoder.",
        },
    ),
    "3.Q4": Question(
        "b",
        {
            "a": "The pathwise estimator wins for small sigma. At sigma = 3 the sine oscillates under the Gaussian: its slope is "
            "not small and points both ways, while f / sigma is small.",
            "b": "The score estimate is at most of the size 1/sigma times the noise. The slope of the sine keeps its size for "
            "every sigma. So no estimator wins always.",
            "c": "Both have the same mean. Their variances cross at one sigma, a little below 1, and for the gradient in sigma at "
            "another one, near 1.5.",
        },
    ),
    "3.Q5": Question(
        "b",
        {
            "a": "Three of the seven directions have less variance than the noise. A code for them costs more than it saves.",
            "b": "6, 4, 2.6 and 1.7 exceed the noise variance 1.35. The other three codes return the prior.",
            "c": "The threshold is the noise variance, not 1. The direction with eigenvalue 1.1 is below it.",
        },
    ),
    "3.Q6": Question(
        "b",
        {
            "a": "Sigma 0 would make the KL term infinite.",
            "b": "Equation (3.2) is 0 only for the prior itself, mean 0 and deviation 1, whatever x is.",
            "c": "The closed form (3.2) is half the sum of mean^2 and v - 1 - log v, where v is the variance. Neither is "
            "negative, and both are 0 only at mean 0 and v = 1.",
        },
    ),
    "3.Q7": Question(
        "c",
        {
            "a": "The second may have a gap that is larger by more than one nat, and then its likelihood is higher.",
            "b": "Nothing excludes that the first has both the higher ELBO and the higher likelihood.",
            "c": "ELBO = log-likelihood minus gap. Importance sampling with growing s closes most of the gap for both.",
        },
    ),
    "3.Q8": Question(
        "a",
        {
            "a": "Halving the pixels divides every eigenvalue by 4, and some may fall below the noise variance.",
            "b": "The eigenvalues fall, so none can come to exceed the threshold.",
            "c": "The threshold compares a variance of the data with the noise variance, and only one of them changed.",
        },
    ),
    "3.Q9": Question(
        "b",
        {
            "a": "That would hold if the gap did not depend on the decoder. It does.",
            "b": "The decoder pays for the gap too, and moves to where the encoder can follow: figure 1.4, and (3.8) here.",
            "c": "The joint KL is defined and has a minimum; only its place moves.",
        },
    ),
    "3.Q10": Question(
        "a",
        {
            "a": "This is called amortization: one set of weights answers for every x, at the price of a gap.",
            "b": "An encoder that returns the prior for every x has collapsed.",
            "c": "No distances between data points are used.",
        },
    ),
}


def _values(answer, *inputs):
    return torch.as_tensor(answer(*inputs), dtype=torch.float64).detach()


def check_kl_term(answer):
    """3.E1, answer(mean (n, k), log_variance (n, k), v) -> (n,): against (3.2) in the prior's units."""
    for seed in range(10):
        rng = generator(seed, "3.E1")
        mean, log_variance = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
        v = 0.3 + 3 * float(torch.rand((), generator=rng))
        got = _values(answer, mean, log_variance, v)
        truth = diagonal_gaussian_kl(mean / v**0.5, log_variance - math.log(v))  # measured in deviations of the prior
        if got.shape != truth.shape:
            raise Wrong(f"For 5 rows it should return 5 numbers; the shape is {tuple(got.shape)}.")
        if wrong := off(got, truth):
            m, s = ([round(entry, 3) for entry in part[int(wrong.place)].tolist()] for part in (mean, log_variance))
            raise Wrong(
                f"For mean {m}, log-variance {s} and v = {v:.3f} it should return {wrong.right}, not {wrong.given}."
            )


def solve_kl_term(mean, log_variance, v):
    """KL in nats (n,) of N(mean, exp(log_variance)), both (n, k), from the prior N(0, v)."""
    return ((mean**2 + log_variance.exp()) / v - 1 - log_variance + math.log(v)).sum(1) / 2


def check_bound(answer):
    """3.E2, answer(log_weights (s, n)) -> (n,): where exponentials underflow, in all columns or all but one, or overflow."""
    near, wide = 3, 800  # nats: in the last case the weights of a column lie farther apart than exp can bear
    cases = (
        ((0.0,) * 4, 50, near),
        ((-100.0,) * 4, 20, near),
        ((-1000.0,) * 4, 7, near),
        ((0.0, -100.0, -1000.0, -2000.0), 9, near),
        ((-1000.0,) * 4, 9, wide),
    )
    for seed, (levels, s, spread) in enumerate(cases):
        noise = torch.randn(s, 4, generator=generator(seed, "3.E2"), dtype=torch.float64)
        weights = torch.tensor(levels, dtype=torch.float64) + spread * noise
        got, truth = _values(answer, weights), vae.importance_bound(weights, s)
        if got.shape != truth.shape:
            raise Wrong(f"For weights of shape ({s}, 4) it should return 4 numbers; the shape is {tuple(got.shape)}.")
        around = "With log-weights around " + ", ".join(f"{level:g}" for level in dict.fromkeys(levels)) + ","
        if spread == wide:
            around += f" which lie up to {float((weights.max(0).values - weights.min(0).values).max()):.0f} apart,"
        if not got.isfinite().all():
            column = int((~got.isfinite()).nonzero()[0])
            flow = "overflow" if got[column] > 0 else "underflow"
            raise Wrong(f"{around} column {column} gives {got[column]}: the exponentials {flow}.")
        if wrong := off(got, truth):
            raise Wrong(f"{around} column {wrong.place} should give {wrong.right}, not {wrong.given}.")


def solve_bound(log_weights):
    """Log of the mean weight in nats (n,), from log-weights (s, n)."""
    largest = log_weights.max(0).values
    return largest + (log_weights - largest).exp().mean(0).log()


def check_in_use(answer):
    """3.E3, answer(x (n, d), latent, noise_variance) -> a whole number: 15 data sets with known spectra, five of 12 rows."""
    for seed in range(15):
        rng = generator(seed, "3.E3")
        scale = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.7, 0.4]).double()
        few = seed >= 10  # so few rows that dividing by n - 1 lifts an eigenvalue above the noise
        x = 5 + torch.randn(12 if few else 400, 6, generator=rng, dtype=torch.float64) * scale
        values = vae.spectrum(x)[1]
        cut = seed % 5
        noise_variance = float(1.02 * values[cut + 1] if few else (values[cut] * values[cut + 1]).sqrt())
        for latent in (2, 6):
            truth = min(cut + 1, latent)
            if (got := answer(x, latent, noise_variance)) != truth:
                raise Wrong(
                    f"For {len(x)} rows whose covariance (sums divided by n) has the eigenvalues "
                    f"{', '.join(f'{v:.2f}' for v in values)}, with {latent} codes and noise variance {noise_variance:.2f}, "
                    f"the number of codes in use should be {truth}, not {got}."
                )


def solve_in_use(x, latent, noise_variance):
    """How many of `latent` codes the linear VAE uses on data x (n, d), by (3.6)."""
    centered = x - x.mean(0)
    eigenvalues = torch.linalg.eigvalsh(centered.T @ centered / len(x)).flip(0)
    return int((eigenvalues[:latent] > noise_variance).sum())


def check_baseline(answer):
    """3.E4, answer(f, mean, std) -> b (): four functions, three Gaussians, against quadrature."""
    functions = {"z squared": torch.square, "sin z": torch.sin, "exp z": torch.exp, "z + 5": lambda z: z + 5}
    for name, f in functions.items():
        for mean, std in ((0.0, 1.0), (1.0, 0.5), (-0.7, 1.2)):
            got = _values(answer, f, mean, std)
            truth = vae.expectation(lambda z, noise, f=f: f(z) * noise**2, mean, std)
            if got.shape != ():
                raise Wrong(f"It should return one number; the shape is {tuple(got.shape)}.")
            if wrong := off(got, truth):
                spread = [
                    float(vae.expectation(lambda z, e, f=f, b=b, s=std: ((f(z) - b) * e / s) ** 2, mean, std))
                    for b in (got, truth)
                ]
                flat = f"{spread[0]:.4g}" == f"{spread[1]:.4g}"  # the moment hardly changes near the best b
                raise Wrong(
                    f"For f = {name}, mean {mean:g}, std {std:g} your b is {wrong.given} and the best is {wrong.right}."
                    if flat
                    else f"For f = {name}, mean {mean:g}, std {std:g} your b gives the second moment {spread[0]:.4g}; "
                    f"{spread[1]:.4g} is possible."
                )


def solve_baseline(f, mean, std):
    """The constant b () that makes the score-function estimate of E f(z), z from N(mean, std^2), vary least."""
    # E (f - b)^2 noise^2 is least where E (f - b) noise^2 = 0, and E noise^2 = 1
    return vae.expectation(lambda z, noise: f(z) * noise**2, mean, std)


def _small(seed, latent=3, pixels=8):
    """A small VAE with Bernoulli pixels, its optimizer (plain gradient descent), a binary batch (6, pixels) and noise."""
    nets = vae.networks(seed, pixels=pixels, hidden=(5,), latent=latent)
    rng = generator(seed, "exercise of chapter 3")
    x = torch.bernoulli(torch.full((6, pixels), 0.5), generator=rng)
    return nets, {"vae": torch.optim.SGD(nets.parameters(), lr=0.1)}, x, torch.randn(4, 6, latent, generator=rng)


def _importance_loss(nets, x, z):
    """Minus B_s of (3.10), averaged over the batch, from torch's own densities; z (s, n, latent)."""
    mean, log_variance = nets["encoder"](x)
    encoder = torch.distributions.Normal(mean, (log_variance / 2).exp())
    code = encoder.loc + encoder.scale * z
    log_weight = nets["decoder"].log_likelihood(x, code) - encoder.log_prob(code).sum(-1)
    log_weight = log_weight + torch.distributions.Normal(0.0, 1.0).log_prob(code).sum(-1)
    return -(log_weight.logsumexp(0) - math.log(len(z))).mean()


def check_step(answer):
    """3.E5, answer(nets, opts, x (n, d), z (s, n, latent)) -> loss (): one SGD step on the importance-weighted bound.

    The images of the last batch have so many pixels that their weights are 0 in single precision, and for a decoder that
    expects white pixels the white image is so much likelier than the black one that the ratio of their weights is 0 too.
    """
    for seed, pixels in enumerate((8, 8, 300)):
        nets, opts, x, z = _small(seed, pixels=pixels)
        if pixels == 300:
            x[0], x[1] = 1, 0
            with torch.no_grad():
                nets["decoder"].net[-1].bias.fill_(2.0)
        loss = _importance_loss(nets, x, z)
        one_descent(functools.partial(answer, nets, opts, x, z), nets, loss, 0.1, seed)


def solve_step(nets, opts, x, z):
    """One step on the importance-weighted bound: images x (n, d), noise z (s, n, latent) -> loss () in nats."""
    mean, log_variance = nets["encoder"](x)  # (n, latent) each
    code = vae.sample(mean, log_variance, z)  # (s, n, latent)
    log_weight = (
        nets["decoder"].log_likelihood(x, code)
        + vae.log_normal(code, torch.zeros_like(code), torch.zeros_like(code))
        - vae.log_normal(code, mean, log_variance)
    )  # (s, n)
    loss = -(torch.logsumexp(log_weight, 0) - math.log(len(z))).mean()
    opts["vae"].zero_grad()
    loss.backward()
    opts["vae"].step()
    return loss.detach()


def check_mend(answer):
    """3.E6, answer(eigenvalues (d,), pixels, used) -> a KL weight that leaves `used` dimensions in use."""
    for seed in range(10):
        rng = generator(seed, "3.E6")
        pixels = int(torch.randint(9, 80, (), generator=rng))
        values = torch.rand(9, generator=rng, dtype=torch.float64).sort(descending=True).values * pixels / 20
        for used in (0, 1, 4, 8):
            weight = answer(values, pixels, used)
            alive = len(values)
            if weight > 0:
                alive = int((vae.rates(values, pixels * weight) > 1e-12).sum())  # by more than rounding
            if alive != used:
                raise Wrong(
                    f"With the eigenvalues {', '.join(f'{v:.3f}' for v in values)} and the squared error averaged over {pixels} "
                    f"pixels, your KL weight {weight:.4g} leaves {alive} of the dimensions in use; it should leave {used}."
                )


def solve_mend(eigenvalues, pixels, used):
    """The KL weight beside a squared error averaged over pixels, halfway between two eigenvalues (d,)."""
    # loss = (1/pixels) (error / 2 + pixels weight KL): the noise variance is pixels * weight
    above = eigenvalues[used - 1] if used else 2 * eigenvalues[0]
    return (above + eigenvalues[used]) / 2 / pixels


EXERCISES = {
    "3.E1": Exercise(
        check=check_kl_term,
        hints=(
            "KL does not change if both densities are measured in another unit. Take the prior's deviation sqrt(v) as the unit.",
            "In that unit the mean is mean / sqrt(v) and the variance is log_variance.exp() / v. Now use (3.2).",
            "Sum (mean**2 + log_variance.exp()) / v - 1 - log_variance + log v over dimension 1 and halve it.",
        ),
        solution=solve_kl_term,
    ),
    "3.E2": Exercise(
        check=check_bound,
        hints=(
            "exp(-1000) is 0 in floating point, and log 0 is minus infinity.",
            "A constant c may be taken out: log mean exp(a) = c + log mean exp(a - c).",
            "Take the largest log-weight of every column for c. torch.logsumexp does this; then subtract log s.",
        ),
        solution=solve_bound,
    ),
    "3.E3": Exercise(
        check=check_in_use,
        hints=(
            "Use the boldface rule below (3.6).",
            "The covariance is that of the centered data, with sums divided by n, since the likelihood is an average "
            "over the n rows. torch.linalg.eigvalsh returns eigenvalues in rising order.",
            "Count those among the `latent` largest eigenvalues that exceed the noise variance.",
        ),
        solution=solve_in_use,
        gives="whole number",
    ),
    "3.E4": Exercise(
        check=check_baseline,
        hints=(
            "The mean of the estimate does not depend on b, so minimize its second moment.",
            "The second moment is E (f(z) - b)^2 noise^2 / std^2, a parabola in b.",
            "Its derivative vanishes at b = E f(z) noise^2 / E noise^2. This is not E f(z).",
        ),
        solution=solve_baseline,
        gives="number",
    ),
    "3.E5": Exercise(
        check=check_step,
        hints=(
            "You need the weights of (3.10). Encode once, and draw the s codes of every image with z: vae.sample gives them "
            "the shape of z.",
            "log_likelihood(x, code) gives (s, n). Add the log-density of the prior, subtract that of the encoder: this gives "
            "the log-weights. Then do as in 3.E2, over dimension 0.",
            "The loss is minus the average of that over the images. The last lines are those of vae.step: zero_grad, backward, "
            "step. Return loss.detach().",
        ),
        solution=solve_step,
        gives="number",
    ),
    "3.E6": Exercise(
        check=check_mend,
        hints=(
            "Write the averaged loss as 1/pixels times the loss of a Gaussian decoder, up to constants. What is its sigma^2?",
            "error / (2 pixels) + weight KL = (1 / pixels) (error / 2 + pixels weight KL). Divide the bracket by pixels weight.",
            "So sigma^2 is pixels times the weight, and it has to lie between eigenvalue number `used` and the next one.",
        ),
        solution=solve_mend,
        gives="number",
    ),
}
