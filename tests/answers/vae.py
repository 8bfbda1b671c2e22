"""Wrong answers that chapter 03's exercises must refuse, and other right ones that they must accept."""

import math

import torch

from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl

WRONG = {
    "3.E1": [
        lambda mean, log_variance: (mean**2 + log_variance.exp() - 1 - log_variance).mean(1) / 2,  # averaged
        lambda mean, log_variance: (
            (mean**2 + log_variance.exp() - 1 - log_variance / 2).sum(1) / 2
        ),  # log of the deviation
        lambda mean, log_variance: (
            (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
        ),  # over the batch as well
        lambda mean, log_variance: -(mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2,  # sign
    ],
    "3.E2": [
        lambda w: w.mean(0),  # averages logarithms: the ELBO
        lambda w: w.exp().mean(0).log(),  # underflows
        lambda w: w.logsumexp(0),  # forgets to divide
        lambda w: w.logsumexp(1) - math.log(len(w)),  # the wrong axis
    ],
    "3.E3": [
        lambda x, latent, v: latent,
        lambda x, latent, v: int((torch.linalg.eigvalsh(x.T @ x / len(x)).flip(0)[:latent] > v).sum()),  # not centered
        lambda x, latent, v: int((vae.spectrum(x)[1] > v).sum()),  # more than there are codes
        lambda x, latent, v: int((vae.spectrum(x)[1][:latent].sqrt() > v).sum()),  # deviations
    ],
    "3.E4": [
        lambda f, mean, std: vae.expectation(lambda z, noise: f(z), mean, std),  # the mean of f
        lambda f, mean, std: 0.0,
        lambda f, mean, std: f(torch.tensor(mean)),  # f at the mean
    ],
}

ALTERNATIVE = {
    "3.E1": lambda mean, log_variance: torch.stack(
        [diagonal_gaussian_kl(m, v) for m, v in zip(mean, log_variance, strict=True)]
    ),
    "3.E2": lambda w: torch.logsumexp(w, 0) - math.log(len(w)),
    "3.E3": lambda x, latent, v: int((torch.linalg.svdvals(x - x.mean(0))[:latent] ** 2 / len(x) > v).sum()),
    "3.E4": lambda f, mean, std: (
        vae.expectation(lambda z, e: f(z) * e**2, mean, std) / vae.expectation(lambda z, e: e**2, mean, std)
    ),
}
