"""Wrong answers that chapter 13's exercises must refuse, and other right ones that they must accept."""

import math

import scipy.special
import torch

from gentools import age
from gentools.lab.divergences import gaussian_kl


def full_kl(codes, diagonal=False, biased=False):
    mean, cov = codes.mean(0), codes.T.cov(correction=0 if biased else 1)
    cov = torch.diag(cov.diagonal()) if diagonal else cov
    return gaussian_kl(mean, cov, 0 * mean, torch.eye(len(mean), dtype=mean.dtype))


def full_step(sign=1, diagonal=False, biased=False, old=False, keep=False, mean_error=False, value_only=False):
    """The step of 13.E5 by other functions, with one fault where asked for."""

    def error(a, b):
        return (a - b).square().mean() if mean_error else ((a - b) ** 2).sum() / len(a)

    def delta(codes):
        return full_kl(codes, diagonal, biased)

    def step(nets, opts, x, z):
        encoder, generator = nets["encoder"], nets["generator"]
        v = delta(encoder(generator(z))) - delta(encoder(x))
        e_loss = error(x, generator(encoder(x))) - sign * v
        e_slopes = torch.autograd.grad(e_loss, list(encoder.parameters()))

        def moved():
            again = encoder(generator(z))
            g_loss = (delta(again) if not value_only else 0) + error(z, again)
            return g_loss, torch.autograd.grad(g_loss, list(generator.parameters()))

        early = moved()
        move(opts["encoder"], encoder.parameters(), e_slopes, keep)
        g_loss, g_slopes = early if old else moved()
        move(opts["generator"], generator.parameters(), g_slopes, keep)
        return e_loss, g_loss

    return step


def move(optimizer, weights, slopes, keep):
    """One step of the optimizer along these slopes, added to old gradients where `keep`."""
    for weight, slope in zip(weights, slopes, strict=True):
        weight.grad = slope + (weight.grad if keep else 0)
    optimizer.step()


def every_set(p_x, q_x, pick=max, most=None):
    """V of all sets, by bit patterns; with `most`, of those alone that have or lack no more values than that."""
    values = []
    for bits in range(2 ** len(p_x)):
        inside = torch.tensor([bool(bits >> i & 1) for i in range(len(p_x))])
        if most and min(inside.sum(), (~inside).sum()) > most:
            continue
        a, b = p_x[inside].sum(), q_x[inside].sum()
        if 0 < a < 1:  # as the exercise says it
            values.append(float(age.event_value(a, b)))
    return pick(values)


def singles(p_x, q_x):
    return max(float(age.event_value(a, b)) for a, b in zip(p_x, q_x, strict=True)) + 1e-3


def without_guard(p_x, q_x):
    """V of all sets, also of one without data, where it is no number."""
    values = []
    for bits in range(1, 2 ** len(p_x) - 1):
        inside = torch.tensor([bool(bits >> i & 1) for i in range(len(p_x))])
        a, b = p_x[inside].sum(), q_x[inside].sum()
        ratio = b * (1 - b) / (a * (1 - a))
        values.append((ratio - 1 - ratio.log() + (b - a) ** 2 / (a * (1 - a))) / 2)
    return max(values)


WRONG = {
    "13.E1": [
        lambda k, radius: (1 / k - 1 + math.log(k)) / 2,  # the unit sphere's
        lambda k, radius: k * (radius**2 / k - 1 - math.log(radius**2 / k)) / 2,  # of all dimensions together
        lambda k, radius: (
            (radius / k**0.5 - 1 - math.log(radius / k**0.5)) / 2
        ),  # a standard deviation for the variance
    ],
    "13.E2": [
        [0.1, 0.2, 0.4, 0.2, 0.1],  # the data themselves
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.1083, 0.1667, 0.45, 0.1667, 0.1083],  # rounded: the variance is 1.1998
        [0.0, 0.6, 0.0, 0.4, 0.0],
        [0.3, 0.0, 0.7, 0.0, 0.3],  # more than 1
        [0.175, -0.1, 0.85, -0.1, 0.175],  # negative, with the right moments
    ],
    "13.E3": [
        lambda n: float(age.batch_floor(n)),
        lambda n: 1 / n,
        lambda n: float(age.batch_floor(n)) + 0.5 * math.log(n / (n - 1)),  # the mean of v forgotten
    ],
    "13.E4": [
        lambda p_x, q_x: every_set(p_x, q_x, most=2),  # sets of one or two values, and their complements
        lambda p_x, q_x: every_set(p_x, q_x, min),
        singles,
        without_guard,
        lambda p_x, q_x: every_set(q_x, p_x),  # data and model exchanged
        lambda p_x, q_x: (q_x * (q_x / p_x).log()).sum(),
    ],
    "13.E5": [
        full_step(sign=-1),  # the encoder lowers V
        full_step(diagonal=True),
        full_step(biased=True),
        full_step(old=True),  # the generator asks the encoder as it was
        full_step(keep=True),  # old gradients
        full_step(mean_error=True),
        full_step(value_only=True),  # the generator forgets its divergence
    ],
    "13.E6": [
        (100.0, 1000.0),  # the chapter's weights, where V has the weight 1
        (1000.0, 10000.0),
        (10.0, 100.0),
        (3000.0, 150.0),  # the wrong way round
        (150.0, 150.0),  # broken both times
        (150.0, 1000.0),  # images are nearly rebuilt
        (10.0, 3000.0),  # too far apart
        (0.0, 3000.0),
        (1e300, 3000.0),
        (-1.0, 3000.0),
    ],
}

ALTERNATIVE = {
    "13.E1": lambda k, radius: 0.5 * (radius * radius / k - 1) - torch.log(radius) + torch.log(k) / 2,
    "13.E2": [13 / 120, 1 / 6, 9 / 20, 1 / 6, 13 / 120],  # as far from the data as is asked, and no farther
    "13.E3": lambda n: -(scipy.special.digamma((n - 1) / 2) + math.log(2 / n)) / 2,
    "13.E4": every_set,
    "13.E5": full_step(),
    "13.E6": (100.0, 2000.0),
}
