"""Wrong answers that chapter 04's exercises must refuse, and other right ones that they must accept."""

import torch
from torch import distributions as D

from gentools import conditional_vae
from gentools.lab.divergences import diagonal_gaussian_kl


def _guess(mean, means, shares):
    return torch.softmax(shares.log() - (mean[:, None] - means).square().sum(2) / 2, 1)


def _naive(mean, means, shares):
    density = shares * torch.exp(-(mean[:, None] - means).square().sum(2) / 2)
    guess = density / density.sum(1, keepdim=True)  # 0 / 0 far away
    return guess.T @ mean / guess.sum(0)[:, None], guess.mean(0)


def _hard(mean, means, shares):
    nearest = torch.cdist(mean, means).argmin(1)
    rows = torch.nn.functional.one_hot(nearest, len(means)).double()
    return rows.T @ mean / rows.sum(0).clamp_min(1)[:, None], rows.mean(0)


def total(mean, log_variance):
    """Mean and variance of all codes of some images: the mean of the variances plus the variance of the means."""
    return mean.mean(0), log_variance.exp().mean(0) + mean.var(0, correction=0)


def priors(mean, log_variance, y, classes, of):
    rows = [of(mean[y == c], log_variance[y == c]) for c in range(classes)]
    return torch.stack([m for m, _ in rows]), torch.stack([v for _, v in rows])


def step(nets, opts, x, z, shares, kl_of=lambda logs: -logs.logsumexp(1), before=lambda opt: opt.zero_grad(), times=1):
    """A training step without labels; `kl_of` makes the KL term of log share minus KL, (n, classes)."""
    mean, log_variance = nets["encoder"](x, None)
    std = (log_variance / 2).exp()[:, None]
    kl = D.kl_divergence(D.Normal(mean[:, None], std), D.Normal(nets["prior"].means, torch.ones(()))).sum(2)
    code = mean + std[:, 0] * z
    loss = (kl_of(shares.log() - kl) - nets["decoder"].log_likelihood(x, code, None)).mean()
    before(opts["vae"])
    loss.backward()
    for _ in range(times):
        opts["vae"].step()
    return loss.item()


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
        lambda mean, v, y, classes: priors(mean, v, y, classes, lambda m, v: (m.mean(0), v.exp().mean(0))),  # no spread
        lambda mean, v, y, classes: priors(mean, v, y, classes, lambda m, v: (m.mean(0), m.var(0, correction=0))),
        lambda mean, v, y, classes: priors(
            mean, v, y, classes, lambda m, v: (m.mean(0), torch.ones(m.shape[1]).double())
        ),
        lambda mean, v, y, classes: tuple(row.expand(classes, -1) for row in total(mean, v)),  # over all classes
        lambda mean, v, y, classes: priors(mean, v, y, classes, lambda m, v: (m.mean(0), total(m, v)[1].log())),
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
        lambda mean, means: (means, torch.ones(3) / 3),  # stops with a TypeError, for lack of an input
        _naive,  # densities that are 0 far from all classes
    ],
    "4.E5": [
        lambda *inputs: step(*inputs, kl_of=lambda logs: -logs.amax(1)),  # the likeliest class alone
        lambda *inputs: step(*inputs, kl_of=lambda logs: -logs.mean(1)),  # every class alike
        lambda *inputs: step(*inputs, kl_of=lambda logs: logs.logsumexp(1)),  # sign
        lambda *inputs: step(*inputs, kl_of=lambda logs: -logs.exp().sum(1).log()),  # infinite far from all classes
        lambda *inputs: step(*inputs[:4], torch.full_like(inputs[4], 1 / 3)),  # ignores the shares
        lambda *inputs: step(*inputs, before=lambda opt: None),  # adds to old gradients
        lambda *inputs: step(*inputs, times=0),  # no step
        lambda *inputs: step(*inputs, times=2),
        lambda nets, opts, x, z, shares: conditional_vae.step(nets, opts, (x, torch.zeros(6).long()), z)["loss"],
    ],
}

ALTERNATIVE = {
    "4.E1": lambda mean, log_variance, y, means, v: D.kl_divergence(
        D.Normal(mean, (log_variance / 2).exp()), D.Normal(means[y], (v[y] / 2).exp())
    ).sum(1),
    "4.E2": lambda mean, v, y, classes: priors(mean, v, y, classes, total),
    "4.E3": lambda z, y, target, means: z + (means[target] - means[y]),
    "4.E4": lambda mean, means, shares: (
        torch.einsum("nc,nk->ck", _guess(mean, means, shares), mean) / _guess(mean, means, shares).sum(0).unsqueeze(1),
        _guess(mean, means, shares).sum(0) / len(mean),
    ),
    "4.E5": step,
}
