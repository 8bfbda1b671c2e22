"""Wrong answers that chapter 04's exercises must refuse, and other right ones that they must accept."""

import torch
from torch import distributions as D

from gentools.lab.divergences import diagonal_gaussian_kl


def _guess(mean, means, shares):
    return torch.softmax(shares.log() - (mean[:, None] - means).square().sum(2) / 2, 1)


def _hard(mean, means, shares):
    nearest = torch.cdist(mean, means).argmin(1)
    rows = torch.nn.functional.one_hot(nearest, len(means)).double()
    return rows.T @ mean / rows.sum(0).clamp_min(1)[:, None], rows.mean(0)


WRONG = {
    "4.E1": [
        lambda mean, log_variance, y, means, _: diagonal_gaussian_kl(mean - means[y], log_variance),  # unit variances
        lambda mean, log_variance, y, means, v: diagonal_gaussian_kl(mean - means[y], log_variance - v[y]),
        lambda mean, log_variance, y, means, v: diagonal_gaussian_kl(
            (mean - means[y]) / v[y].exp(), log_variance - v[y]
        ),
        lambda mean, log_variance, y, means, v: diagonal_gaussian_kl(
            (mean + means[y]) / (v[y] / 2).exp(), log_variance - v[y]
        ),  # sign
        lambda mean, log_variance, y, means, v: diagonal_gaussian_kl(
            (mean - means[y]) / (v[y] / 2).exp(), log_variance - v[y]
        ).mean(),  # one number
    ],
    "4.E2": [
        lambda mean, y, classes: torch.zeros(classes, mean.shape[1]),
        lambda mean, y, classes: mean.mean(0).expand(classes, -1),  # over all classes
        lambda mean, y, classes: torch.stack([mean[y == c].sum(0) / len(mean) for c in range(classes)]),  # shares twice
        lambda mean, y, classes: torch.stack([mean[y == c].median(0).values for c in range(classes)]),
    ],
    "4.E3": [
        lambda z, y, target, means: z + means[target],  # keeps the old mean
        lambda z, y, target, means: means[target],  # throws the style away
        lambda z, y, target, means: z - means[target] + means[y],  # the wrong way round
    ],
    "4.E4": [
        _hard,  # the nearest mean, as in k-means
        lambda mean, means, shares: (
            _guess(mean, means, shares).T @ mean / len(mean),
            _guess(mean, means, shares).mean(0),
        ),
        lambda mean, means, shares: (
            _guess(mean, means, 0 * shares + 1).T @ mean / _guess(mean, means, 0 * shares + 1).sum(0)[:, None],
            _guess(mean, means, 0 * shares + 1).mean(0),
        ),  # ignores the shares
        _guess,  # only the E step
    ],
}

ALTERNATIVE = {
    "4.E1": lambda mean, log_variance, y, means, v: D.kl_divergence(
        D.Normal(mean, (log_variance / 2).exp()), D.Normal(means[y], (v[y] / 2).exp())
    ).sum(1),
    "4.E2": lambda mean, y, classes: (
        torch.linalg.lstsq(torch.nn.functional.one_hot(y, classes).double(), mean).solution
    ),
    "4.E3": lambda z, y, target, means: z + (means[target] - means[y]),
    "4.E4": lambda mean, means, shares: (
        torch.einsum("nc,nk->ck", _guess(mean, means, shares), mean) / _guess(mean, means, shares).sum(0).unsqueeze(1),
        _guess(mean, means, shares).sum(0) / len(mean),
    ),
}
