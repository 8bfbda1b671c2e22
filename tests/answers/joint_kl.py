"""Wrong answers that chapter 01's exercises must refuse, and other right ones that they must accept."""

import torch

from gentools import joint_kl
from gentools.exercises import joint_kl as exercises
from gentools.lab.divergences import kl


def first_gap(p, q):
    return kl(p.sum(2), q.sum(2)) - kl(p.sum((1, 2)), q.sum((1, 2)))


def second_gap(p, q):
    return kl(p, q) - kl(p.sum(2), q.sum(2))


def second_over_model(p, q):
    return (q.sum(2) * kl(p / p.sum(2, keepdim=True), q / q.sum(2, keepdim=True), dim=2)).sum()


def mean(x, p):
    return (p * x).sum()


def deviation(x, p, center):
    return (p * (x - center).abs()).sum()


def median(x, p):
    return x[torch.searchsorted(p.cumsum(0), torch.tensor(0.5, dtype=p.dtype))]


def log_det_gap(precision, variance):
    return (variance * precision.trace() - len(precision) * (1 + variance.log()) - torch.logdet(precision)) / 2


def searched_laplace(x, p):
    """The center among the points, and the scale by a search in steps of 1/100."""
    center = x[((x[:, None] - x).abs() @ p).argmin()]
    scale = torch.arange(1, 500, dtype=torch.float64) / 100
    return center, scale[(scale.log() + deviation(x, p, center) / scale).argmin()]


def searched_shared(precision):
    """The variance by a search in steps of 1/100, with the gap that this one leaves."""
    gaps = {k / 100: log_det_gap(precision, torch.tensor(k / 100, dtype=torch.float64)) for k in range(1, 200)}
    variance = min(gaps, key=gaps.get)
    return variance, gaps[variance]


WRONG = {
    "1.E1": [
        lambda p, q: joint_kl.gap(p.flatten(1), q.flatten(1)),  # of both codes together, one number
        lambda p, q: (second_gap(p, q), first_gap(p, q)),  # exchanged
        lambda p, q: (first_gap(p, q), second_over_model(p, q)),  # weights of the model
        lambda p, q: (kl(p.sum((1, 2)), q.sum((1, 2))), first_gap(p, q)),  # one level too high
    ],
    "1.E2": [
        ([[0.25, 0.25], [0.25, 0.25]], [[0.25, 0.25], [0.25, 0.25]]),  # equal
        (
            torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64),
            torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64) * (1 - 4e-7),
        ),  # equal but for a sum below 1
        (
            torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64) * (1 + 4e-7),
            torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64),
        ),  # equal but for a sum above 1
        (
            [[0.4999, 0.4999], [0.0001, 0.0001]],
            [[0.495, 0.495], [0.005, 0.005]],
        ),  # the two exchanged
        ([[0.5, 0.5], [0.0, 0.0]], [[0.25, 0.25], [0.25, 0.25]]),  # zeros
        ([[0.9, 0.9], [0.1, 0.1]], [[0.25, 0.25], [0.25, 0.25]]),  # does not sum to 1
    ],
    "1.E3": [
        lambda x, p: (
            exercises.solve_laplace(x, p)[0],
            1.05 * exercises.solve_laplace(x, p)[1],
        ),  # five percent too wide
        lambda x, p: (mean(x, p), deviation(x, p, mean(x, p))),  # the mean for the median
        joint_kl.fit_forward,  # the best Gaussian's two numbers
        lambda x, p: (median(x, p), deviation(x, p, median(x, p)) / 2),
        lambda x, p: (median(x, p), -deviation(x, p, median(x, p))),
    ],
    "1.E4": [
        lambda precision: (precision.diagonal().reciprocal().mean(), joint_kl.mean_field_gap(precision)),
        lambda precision: (
            torch.linalg.inv(precision).trace() / len(precision),
            torch.tensor(0.0),
        ),  # marginal variances
        lambda precision: (len(precision) / precision.trace(), joint_kl.mean_field_gap(precision)),  # not the gap left
        lambda precision: 1 / precision.diagonal(),
    ],
}

ALTERNATIVE = {
    "1.E1": lambda p, q: (first_gap(p, q), second_gap(p, q)),
    "1.E2": (
        torch.tensor([[0.7, 0.2], [0.06, 0.04]], dtype=torch.float64),
        torch.tensor([[0.777, 0.222], [0.0006, 0.0004]], dtype=torch.float64),
    ),
    "1.E3": searched_laplace,
    "1.E4": searched_shared,
}
