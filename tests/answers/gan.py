"""Wrong answers that chapter 05's exercises must refuse, and other right ones that they must accept."""

import copy
import math

import torch
from torch.nn.functional import logsigmoid, softplus

from gentools import gan


def losses(nets, x, z):
    real, fake = nets["discriminator"](x), nets["discriminator"](nets["generator"](z))
    return gan.discriminator_loss(real, fake).detach(), gan.saturating_loss(fake).detach()


def unzeroed(nets, opts, x, z):
    """Slopes are added to those that an earlier step left behind."""
    before = losses(nets, x, z)
    real, fake = nets["discriminator"](x), nets["discriminator"](nets["generator"](z))
    (gan.discriminator_loss(real, fake)).backward(inputs=list(nets["discriminator"].parameters()), retain_graph=True)
    gan.saturating_loss(fake).backward(inputs=list(nets["generator"].parameters()))
    for opt in opts.values():
        opt.step()
    return before


def late(nets, opts, x, z):
    """The right step, with the losses after it."""
    by_copies(nets, opts, x, z)
    return losses(nets, x, z)


def in_turns(nets, opts, x, z):
    """The losses before the step, and a step in which the generator meets the discriminator just updated."""
    before = losses(nets, x, z)
    gan.step(nets, opts, x, z, generator_loss=gan.saturating_loss)
    return before


def by_copies(nets, opts, x, z):
    """Each player descends in turn, against a copy of the other one as it was."""
    old, before = copy.deepcopy(nets), losses(nets, x, z)
    gan.descend(
        opts["discriminator"],
        gan.discriminator_loss(nets["discriminator"](x), nets["discriminator"](old["generator"](z))),
    )
    gan.descend(opts["generator"], gan.saturating_loss(old["discriminator"](nets["generator"](z))))
    return before


def implicit(theta, psi, step_size):
    """The pushes at the place where the step ends."""
    new = theta, psi
    for _ in range(60):
        new = theta + step_size * gan.minimax_push(*new), psi + step_size * gan.discriminator_push(*new)
    return new


def discriminator_twice(theta, psi, eta, gamma):
    for _ in range(2):
        psi = psi + eta * gan.discriminator_push(theta, psi, gamma)
    return psi


def twice_then_blind(theta, psi, eta, gamma):
    return theta + eta * gan.minimax_push(theta, psi), discriminator_twice(theta, psi, eta, gamma)


def long_move(theta, psi, eta, gamma):
    psi = psi + 2 * eta * gan.discriminator_push(theta, psi, gamma)
    return theta + eta * gan.minimax_push(theta, psi), psi


def matrix(eta, gamma):
    """A round of 5.E4 as a product: D moves, D moves, G moves."""
    d = torch.tensor([[1.0, 0.0], [-eta / 2, 1 - eta * gamma]], dtype=torch.float64)
    g = torch.tensor([[1.0, eta / 2], [0.0, 1.0]], dtype=torch.float64)
    return g @ d @ d


def signed(eta, gamma):
    values = torch.linalg.eigvals(matrix(eta, gamma))
    return values.real.max() if values.isreal().all() else values.abs().max()


WRONG = {
    "5.E1": [
        lambda real, fake: (
            (2 * math.log(2) + (real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())) / 2
        ),  # -inf
        lambda real, fake: -gan.discriminator_loss(real, fake) / 2,  # without log 2
        lambda real, fake: 2 * math.log(2) - gan.discriminator_loss(real, fake),  # bounds 2 JS
        lambda real, fake: 1 - gan.discriminator_loss(real, fake) / (2 * math.log(2)),  # in bits
        lambda real, fake: math.log(2) - gan.discriminator_loss(fake, real) / 2,  # exchanged
        lambda real, fake: math.log(2) - softplus(torch.cat([-real, fake])).mean(),  # the larger batch weighs more
        lambda real, fake: (
            math.log(2) + (real.sigmoid().clamp(1e-8).log().mean() + (-fake).sigmoid().clamp(1e-8).log().mean()) / 2
        ),  # finite, and wrong
    ],
    "5.E2": [
        lambda p, q, share: p / (p + q),  # equal shares
        lambda p, q, share: share * p,  # not divided
        lambda p, q, share: (1 - share) * q / (share * p + (1 - share) * q),  # probability of "model"
        lambda p, q, share: share * p / (p + q),
    ],
    "5.E3": [
        lambda logit: -logit,  # the reverse KL
        lambda logit: torch.nn.functional.softplus(-logit),  # -log D
        lambda logit: logit.exp(),  # the sign
        lambda logit: -2 * logit.exp(),  # twice the slope
        lambda logit: -torch.sigmoid(logit),
    ],
    "5.E4": [
        lambda eta, gamma: gan.growth(gan.dirac_alternating, eta, gamma),  # one move of D
        lambda eta, gamma: gan.growth(gan.dirac_simultaneous, eta, gamma),
        lambda eta, gamma: gan.growth(gan.dirac_alternating, eta, gamma) ** 2,  # the whole round twice
        lambda eta, gamma: abs(1 - eta * gamma),  # as if the pair were always complex
        lambda eta, gamma: gan.growth(twice_then_blind, eta, gamma),  # the generator uses the old psi
        lambda eta, gamma: gan.growth(long_move, eta, gamma),  # one move of twice the size
        signed,  # the larger eigenvalue, not the larger modulus
    ],
    "5.E5": [
        lambda p, n: (n * p).sum(),  # mean number of good samples
        lambda p, n: 1 - (1 - p.sum()) ** n,  # probability of any good sample
        lambda p, n: (1 - p**n).sum(),
    ],
    "5.E6": [
        lambda nets, opts, x, z: tuple(gan.step(nets, opts, x, z).values()),  # another loss, and in turns
        in_turns,
        late,
        lambda nets, opts, x, z: tuple(
            loss.expand(len(x)) for loss in by_copies(nets, opts, x, z)
        ),  # one loss per point
        lambda nets, opts, x, z: losses(nets, x, z),  # nothing moves
        unzeroed,
    ],
    "5.E7": [
        gan.dirac_simultaneous,  # the broken run itself
        gan.dirac_alternating,  # keeps its distance
        lambda theta, psi, step_size: gan.dirac_alternating(theta, psi, step_size, push=gan.non_saturating_push),
        lambda theta, psi, step_size: gan.dirac_simultaneous(theta, psi, step_size, 0.3),  # a penalty: another game
        lambda theta, psi, step_size: (0.9 * theta, 0.9 * psi),
        lambda theta, psi, step_size: (0 * theta, 0 * psi),
        # tiny steps that are right, and long ones that play nothing
        lambda theta, psi, step: gan.dirac_simultaneous(theta, psi, step) if step < 0.1 else (0 * theta, 0 * psi),
        lambda theta, psi, step: gan.dirac_simultaneous(theta, psi, step) if step < 0.1 else (theta / 2, psi / 2),
    ],
}

ALTERNATIVE = {
    "5.E1": lambda real, fake: (math.log(4) + logsigmoid(real).mean() + logsigmoid(-fake).mean()) / 2,
    "5.E2": lambda p, q, share: torch.sigmoid(torch.log(p / q) + torch.logit(share)),
    "5.E3": lambda logit: -torch.sigmoid(logit) / torch.sigmoid(-logit) + 7.0,  # a constant changes nothing
    "5.E4": lambda eta, gamma: torch.linalg.eigvals(matrix(eta, gamma)).abs().max(),
    "5.E5": lambda p, n: len(p) - torch.exp(n * torch.log1p(-p)).sum(),
    "5.E6": by_copies,
    "5.E7": implicit,
}
