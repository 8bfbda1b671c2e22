"""Wrong answers that chapter 01's exercises must refuse, and other right ones that they must accept."""

import torch

from gentools.lab.divergences import expected_kl, kl

WRONG = {
    "1.E1": [
        kl,  # the whole joint KL
        lambda p, q: expected_kl(
            q.sum(1), p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
        ),  # weights of the model
        lambda p, q: kl(p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)),  # no weights
        lambda p, q: kl(p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True), dim=1),  # not averaged
    ],
    "1.E2": [
        ([[0.25, 0.25], [0.25, 0.25]], [[0.25, 0.25], [0.25, 0.25]]),  # equal
        (
            [[0.4999, 0.4999], [0.0001, 0.0001]],
            [[0.495, 0.495], [0.005, 0.005]],
        ),  # the two exchanged
        ([[0.5, 0.5], [0.0, 0.0]], [[0.25, 0.25], [0.25, 0.25]]),  # zeros
        ([[0.9, 0.9], [0.1, 0.1]], [[0.25, 0.25], [0.25, 0.25]]),  # does not sum to 1
    ],
    "1.E3": [
        lambda x, p: (x[p.argmax()], torch.tensor(1.0)),  # the mode
        lambda x, p: (
            (p * x).sum(),
            (p * (x - (p * x).sum()) ** 2).sum(),
        ),  # the variance for the deviation
        lambda x, p: (x.mean(), x.std()),  # of the grid, not of p
    ],
    "1.E4": [
        lambda precision: torch.linalg.inv(precision).diagonal(),  # marginal variances
        lambda precision: precision.diagonal(),
        lambda precision: torch.diag(1 / precision.diagonal()),  # a matrix
    ],
}

ALTERNATIVE = {
    "1.E1": lambda p, q: kl(p, q) - kl(p.sum(1), q.sum(1)),
    "1.E2": (
        torch.tensor([[0.7, 0.2], [0.06, 0.04]], dtype=torch.float64),
        torch.tensor([[0.777, 0.222], [0.0006, 0.0004]], dtype=torch.float64),
    ),
    "1.E3": lambda x, p: (
        torch.dot(p, x),
        torch.sqrt(torch.dot(p, (x - torch.dot(p, x)) ** 2)),
    ),
    "1.E4": lambda precision: precision.diagonal().reciprocal().clone(),
}
