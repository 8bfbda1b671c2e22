"""Wrong answers that chapter 12's exercises must refuse, and other right ones that they must accept."""

import math

import torch
from scipy import stats

from gentools import wgan_gp
from gentools.exercises import wgan_gp as exercises
from gentools.gan import descend


def penalized_step(nets, opts, x, z, weight, penalty, noise=1, graph=True):
    """A step of 12.E3 with another penalty of the slopes, another draw for the generator, or a penalty without gradient."""
    critic = nets["critic"]
    fake = nets["generator"](z[0]).detach()
    between = (0.5 * x + 0.5 * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=graph)
    c_loss = wgan_gp.critic_loss(critic(x), critic(fake))
    descend(opts["critic"], c_loss + weight * penalty(slope).mean())
    g_loss = wgan_gp.generator_loss(critic(nets["generator"](z[noise])))
    descend(opts["generator"], g_loss)
    return c_loss.detach(), g_loss.detach()


def two_sided(nets, opts, x, z, mix, weight):
    fake = nets["generator"](z[0]).detach()
    c_loss = wgan_gp.critic_loss(nets["critic"](x), nets["critic"](fake))
    descend(opts["critic"], c_loss + weight * wgan_gp.gradient_penalty(nets["critic"], x, fake, mix))
    g_loss = wgan_gp.generator_loss(nets["critic"](nets["generator"](z[1])))
    descend(opts["generator"], g_loss)
    return c_loss.detach(), g_loss.detach()


def at_the_middle(nets, opts, x, z, mix, weight):
    return penalized_step(nets, opts, x, z, weight, lambda s: (s.norm(dim=1) - 1).clamp_min(0) ** 2)


def without_gradient(nets, opts, x, z, mix, weight):
    return penalized_step(nets, opts, x, z, weight, lambda s: (s.norm(dim=1) - 1).clamp_min(0) ** 2, graph=False)


def same_noise(nets, opts, x, z, mix, weight):
    return exercises.solve_one_sided(nets, opts, x, torch.stack([z[0], z[0]]), mix, weight)


def in_closed_form(nets, opts, x, z, mix, weight):
    """The right step with the closed form of the slopes."""
    critic, generator = nets["critic"], nets["generator"]
    with torch.no_grad():
        fake = generator(z[0])
    slopes = wgan_gp.piecewise_slopes(critic, wgan_gp.interpolate(x, fake, mix)).norm(dim=1)
    c_loss = critic(fake).mean() - critic(x).mean()
    descend(opts["critic"], c_loss + weight * torch.relu(slopes - 1).pow(2).mean())
    g_loss = -critic(generator(z[1])).mean()
    descend(opts["generator"], g_loss)
    return c_loss.detach(), g_loss.detach()


def by_search(theta, psi, weight):
    """The best of many critics, which reach far enough."""
    tried = (2 + theta.abs() / weight) * torch.linspace(-1, 1, 8_001).double()
    return tried[(-tried * theta - weight * (tried.abs() - 1) ** 2).argmax()]


def climbing(theta, psi, weight):
    """What the game does: one small step."""
    return psi + 0.02 * (wgan_gp.two_sided_pull(psi, weight) - theta)


WRONG = {
    "12.E1": [
        lambda x, y: (x - y).abs().mean(),  # in the given order
        lambda x, y: (x.mean() - y.mean()).abs(),
        lambda x, y: (x.sort().values - y.sort().values).square().mean().sqrt(),  # W2
        lambda x, y: (x[:, None] - y).abs().mean(),  # the independent plan
    ],
    "12.E2": [
        lambda gain, weight: gain,  # the gain is no distance
        lambda gain, weight: 2 * weight * (math.sqrt(1 + gain / weight) - 1),  # from the value with the penalty
        lambda gain, weight: gain / (1 + gain / (2 * weight)),
    ],
    "12.E3": [two_sided, at_the_middle, without_gradient, same_noise],
    "12.E4": [
        lambda theta, psi, weight: -1.01 * theta.sign() * (1 + theta.abs() / (2 * weight)),  # one percent too steep
        climbing,  # the broken game
        lambda theta, psi, weight: -theta.sign(),  # the critic of W1
        lambda theta, psi, weight: -theta.sign() * (1 + theta.abs() / (2 * weight)),  # 0 at 0, where 1 and -1 are best
        lambda theta, psi, weight: theta.sign() * (1 + theta.abs() / (2 * weight)),  # the sign
        lambda theta, psi, weight: -theta / (2 * weight),  # with R1
        lambda theta, psi, weight: (
            -theta.sign() * (1 + theta.abs().clamp_min(0.8) / (2 * weight))
        ),  # right far from 0 only
        lambda theta, psi, weight: -theta.sign() * (1 + theta.abs().clamp_max(4) / (2 * weight)),  # and near 0 only
    ],
    "12.E5": [
        lambda p, n: stats.binom.pmf(range(n + 1), n, p).argmax() / n,  # the mode
        lambda p, n: p,  # as if the batches did not matter
        lambda p, n: round(p * n) / n + 1 / n,
        lambda p, n: 0.5,
        lambda p, n: (n * p // 1 + 1) / n,
        lambda p, n: math.ceil(n * p - 0.5) / n,  # the share nearest to p
    ],
}

ALTERNATIVE = {
    "12.E1": lambda x, y: stats.wasserstein_distance(x.numpy(), y.numpy()),
    "12.E2": lambda gain, weight: 2 * gain / (1 + torch.sqrt(1 + 2 * gain / weight)),
    "12.E3": in_closed_form,
    "12.E4": by_search,
    "12.E5": lambda p, n: stats.binom.median(n, p) / n,
}
