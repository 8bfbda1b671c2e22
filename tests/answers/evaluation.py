"""Wrong answers that chapter 11's exercises must refuse, and other right ones that they must accept."""

import numpy as np
import torch

from gentools import evaluation
from gentools.lab.divergences import kl


def marginals(p, labels):
    values, place = labels.unique(return_inverse=True)
    return torch.zeros(len(values), dtype=p.dtype).index_add(0, place, p)


def two_sided(nets, opts, x, z):
    real, fake = x
    penalty = evaluation.slope_penalty(nets["critic"], real, fake, z[:, 0])
    gain = nets["critic"](real).mean() - nets["critic"](fake).mean()
    opts["critic"].zero_grad()
    (10 * penalty - gain).backward()
    opts["critic"].step()
    return gain.detach(), penalty.detach()


def stepped(nets, opts, x, z, sign=1.0, clear=True, graph=True):
    real, fake = x
    between = (fake + z[:, :1] * (real - fake)).requires_grad_()
    (slope,) = torch.autograd.grad(nets["critic"](between).sum(), between, create_graph=graph)
    penalty = torch.relu(slope.norm(dim=1) - 1).square().mean()
    gain = nets["critic"](real).mean() - nets["critic"](fake).mean()
    if clear:
        opts["critic"].zero_grad()
    (10 * penalty - sign * gain).backward()
    opts["critic"].step()
    return gain.detach(), penalty.detach()


def slopes(critic, between):
    between = between.clone().requires_grad_()
    return torch.autograd.grad(critic(between).sum(), between)[0]


def gap(critic, real, fake):
    return (critic(real).mean() - critic(fake).mean()).detach()


WRONG = {
    "11.E1": [
        lambda p, q, h: sum(
            p[h == i].sum() * kl(p[h == i] / p[h == i].sum(), q[h == i] / q[h == i].sum())
            for i in range(int(h.max()) + 1)
            if (h == i).any() and i < 2
        ),  # features 0 and 1 alone
        lambda p, q, h: kl(p, q),  # all of it
        lambda p, q, h: kl(marginals(p, h), marginals(q, h)),  # the seen part
        lambda p, q, h: kl(p, q) - kl(marginals(q, h), marginals(p, h)),  # the other direction
        lambda p, q, h: sum(kl(p[h == i] / p[h == i].sum(), q[h == i] / q[h == i].sum()) for i in (0, 1)),  # no weights
    ],
    "11.E2": [
        lambda n, d: d[-1],  # the largest sample
        lambda n, d: d.min(),
        lambda n, d: d.mean(),
        lambda n, d: np.polyfit(n.numpy(), d.numpy(), 1)[1],  # a line in n
        lambda n, d: np.polyfit(1 / n.numpy(), d.numpy(), 1)[0],  # its slope
    ],
    "11.E3": [
        lambda x, y: (x.mean(0) - y.mean(0)).square().sum(),  # biased
        lambda x, y: (x.mean(0) - y.mean(0)).square().sum() - x.var(0).sum() - y.var(0).sum(),  # not over n
        lambda x, y: (
            (x.mean(0) - y.mean(0)).square().sum() - x.var(0, correction=0).sum() / len(x) - y.var(0).sum() / len(y)
        ),
        lambda x, y: max(0.0, 3 * evaluation.kid(x, y, degree=1)),  # a square, but no longer right on average
    ],
    "11.E4": [
        two_sided,
        lambda nets, opts, x, z: stepped(nets, opts, x, z, sign=-1.0),
        lambda nets, opts, x, z: stepped(nets, opts, x, z, clear=False),
        lambda nets, opts, x, z: stepped(nets, opts, (x[1], x[0]), z),
    ],
    "11.E5": [
        lambda critic, real, fake, between: gap(critic, real, fake),  # grows with the critic
        lambda critic, real, fake, between: gap(critic, real, fake) / slopes(critic, between).norm(dim=1).mean(),
        lambda critic, real, fake, between: (
            gap(critic, real, fake) / slopes(critic, between).norm()
        ),  # of all rows at once
        lambda critic, real, fake, between: gap(critic, real, fake) / slopes(critic, real).norm(dim=1).max(),
        lambda critic, real, fake, between: (
            gap(critic, real, fake).abs() / slopes(critic, between).norm(dim=1).max()
        ),  # no sign
    ],
}

ALTERNATIVE = {
    "11.E1": lambda p, q, h: kl(p, q) - kl(marginals(p, h), marginals(q, h)),
    "11.E2": lambda n, d: np.polyfit(1 / n.numpy(), d.numpy(), 1)[1],
    "11.E3": lambda x, y: 3 * evaluation.kid(x, y, degree=1),
    "11.E4": stepped,
    "11.E5": lambda critic, real, fake, between: (
        evaluation.critic_gap(critic, real, fake) / slopes(critic, between).norm(dim=1).max()
    ),
}
