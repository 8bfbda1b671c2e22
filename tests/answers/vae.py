"""Wrong answers that chapter 03's exercises must refuse, and other right ones that they must accept."""

import math

import torch
from torch import distributions as D

from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl


def step(nets, opts, x, z, loss_of, before=lambda opt: opt.zero_grad(), times=1):
    """A training step on minus the bound that `loss_of` makes of the log-weights (k, n)."""
    mean, log_variance = nets["encoder"](x)
    code = mean + (log_variance / 2).exp() * z
    p, q = D.Normal(mean, (log_variance / 2).exp()), D.Normal(torch.zeros(()), torch.ones(()))
    weight = nets["decoder"].log_likelihood(x, code) + (q.log_prob(code) - p.log_prob(code)).sum(-1)
    loss = -loss_of(weight)
    before(opts["vae"])
    loss.backward()
    for _ in range(times):
        opts["vae"].step()
    return loss.item()


def importance(weight):
    return (weight.logsumexp(0) - math.log(len(weight))).mean()


WRONG = {
    "3.E1": [
        lambda mean, log_variance, v: diagonal_gaussian_kl(mean, log_variance),  # the prior N(0, 1)
        lambda mean, log_variance, v: diagonal_gaussian_kl(mean / v, log_variance - math.log(v)),  # v for its root
        lambda mean, log_variance, v: diagonal_gaussian_kl(mean / v**0.5, log_variance),  # the variance not measured
        lambda mean, log_variance, v: diagonal_gaussian_kl(mean / v**0.5, log_variance - math.log(v) / 2),
        lambda mean, log_variance, v: diagonal_gaussian_kl(mean / v**0.5, log_variance - math.log(v)).sum(),
        lambda mean, log_variance, v: -diagonal_gaussian_kl(mean / v**0.5, log_variance - math.log(v)),  # sign
    ],
    "3.E2": [
        lambda w: w.mean(0),  # averages logarithms: the ELBO
        lambda w: w.exp().mean(0).log(),  # underflows
        lambda w: w.logsumexp(0),  # forgets to divide
        lambda w: w.logsumexp(0) - math.log(50),  # right for 50 samples only
        lambda w: w.logsumexp(1) - math.log(len(w)),  # the wrong axis
        lambda w: w.max() + (w - w.max()).exp().mean(0).log(),  # one largest weight for all columns
        lambda w: w.mean(0) + (w - w.mean(0)).exp().mean(0).log(),  # overflows where the weights lie far apart
        lambda w: w.min(0).values + (w - w.min(0).values).exp().mean(0).log(),
        lambda w: w.median(0).values + (w - w.median(0).values).exp().mean(0).log(),
    ],
    "3.E3": [
        lambda x, latent, v: int((torch.linalg.eigvalsh(x.T.cov()).flip(0)[:latent] > v).sum()),  # sums over n - 1
        lambda x, latent, v: latent,
        lambda x, latent, v: int((vae.spectrum(x)[1][:latent] > v).sum()) + 0.9,  # no whole number
        lambda x, latent, v: int((torch.linalg.eigvalsh(x.T @ x / len(x)).flip(0)[:latent] > v).sum()),  # not centered
        lambda x, latent, v: int((vae.spectrum(x)[1] > v).sum()),  # more than there are codes
        lambda x, latent, v: int((vae.spectrum(x)[1][:latent].sqrt() > v).sum()),  # deviations
    ],
    "3.E4": [
        lambda f, mean, std: vae.expectation(lambda z, noise: f(z), mean, std),  # the mean of f
        lambda f, mean, std: 0.0,
        lambda f, mean, std: f(torch.tensor(mean)),  # f at the mean
    ],
    "3.E5": [
        lambda nets, opts, x, z: step(nets, opts, x, z, lambda w: w.mean()),  # the ELBO
        lambda nets, opts, x, z: step(nets, opts, x, z, lambda w: w.logsumexp(0).mean()),  # forgets to divide by k
        lambda nets, opts, x, z: step(nets, opts, x, z, lambda w: w.exp().mean(0).log().mean()),  # log 0 on images
        lambda nets, opts, x, z: step(
            nets, opts, x, z, lambda w: w.logsumexp(1).mean() - math.log(6)
        ),  # the wrong axis
        lambda nets, opts, x, z: step(
            nets, opts, x, z, lambda w: (w.detach().max() + (w - w.detach().max()).exp().mean(0).log()).mean()
        ),  # one largest weight for all images
        lambda nets, opts, x, z: step(nets, opts, x, z, importance, before=lambda opt: None),  # adds to old gradients
        lambda nets, opts, x, z: step(nets, opts, x, z, importance, times=0),  # no step
        lambda nets, opts, x, z: step(nets, opts, x, z, importance, times=2),
        lambda nets, opts, x, z: -step(nets, opts, x, z, importance),
        lambda nets, opts, x, z: vae.step(nets, opts, x, z[0])["loss"],  # the step of the chapter
    ],
    "3.E6": [
        lambda values, pixels, used: 1.0,  # the broken run
        lambda values, pixels, used: 1 / pixels,  # right for sigma^2 = 1 only
        lambda values, pixels, used: float(values[used]) * 0.99,  # forgets the average
        lambda values, pixels, used: 0.0,
        lambda values, pixels, used: float(values[used] - 1e-6) / pixels,  # one too many
    ],
}

ALTERNATIVE = {
    "3.E1": lambda mean, log_variance, v: D.kl_divergence(
        D.Normal(mean, (log_variance / 2).exp()), D.Normal(0.0 * mean, torch.sqrt(v))
    ).sum(1),
    "3.E2": lambda w: torch.logsumexp(w, 0) - math.log(len(w)),
    "3.E3": lambda x, latent, v: (torch.linalg.svdvals(x - x.mean(0))[:latent] > torch.sqrt(len(x) * v)).sum(),
    "3.E4": lambda f, mean, std: (
        vae.expectation(lambda z, e: f(z) * e**2, mean, std) / vae.expectation(lambda z, e: e**2, mean, std)
    ),
    "3.E5": lambda nets, opts, x, z: step(nets, opts, x, z, importance),
    "3.E6": lambda values, pixels, used: 1.0001 * values[used] / pixels,
}
