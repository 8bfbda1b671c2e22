"""Wrong answers that chapter 05's exercises must refuse, and other right ones that they must accept."""

import copy

import torch

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


WRONG = {
    "5.E1": [
        lambda logit: -torch.log(torch.sigmoid(logit)),  # infinite at -1e4
        lambda logit: torch.log(1 + torch.exp(-logit)),  # overflows
        torch.nn.functional.softplus,  # -log(1-D)
        lambda logit: -torch.log(torch.sigmoid(logit).clamp(min=1e-8)),  # finite, and wrong
        lambda logit: torch.nn.functional.softplus(-logit).mean(),  # one number
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
        lambda logit: -torch.sigmoid(logit),
    ],
    "5.E4": [
        lambda step_size: (step_size / 4, 1e6),  # no upper limit
        lambda step_size: (step_size / 4, 2 / step_size - step_size / 8),  # that of alternating steps
        lambda step_size: (0.0, 2 / step_size + step_size / 8),
        lambda step_size: (step_size**2 / 4, 2 / step_size + step_size / 8),  # not divided by the step size
        lambda step_size: (step_size / 4, 1.0),  # where the eigenvalues become real
        lambda step_size: (2 / step_size + step_size / 8, step_size / 4),  # exchanged
        lambda step_size: (-step_size / 4, step_size / 4),
    ],
    "5.E5": [
        lambda p, n: (n * p).sum(),  # mean number of good samples
        lambda p, n: 1 - (1 - p.sum()) ** n,  # probability of any good sample
        lambda p, n: (1 - p**n).sum(),
    ],
    "5.E6": [
        lambda nets, opts, x, z: tuple(gan.step(nets, opts, x, z).values()),  # another loss, and in turns
        in_turns,
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
    ],
}

ALTERNATIVE = {
    "5.E1": lambda logit: -torch.nn.functional.logsigmoid(logit),
    "5.E2": lambda p, q, share: 1 / (1 + (1 / share - 1) * q / p),
    "5.E3": lambda logit: -torch.sigmoid(logit) / torch.sigmoid(-logit) + 7.0,  # a constant changes nothing
    "5.E4": lambda step_size: [0.25 * step_size, (16 + step_size**2) / (8 * step_size)],
    "5.E5": lambda p, n: len(p) - torch.exp(n * torch.log1p(-p)).sum(),
    "5.E6": by_copies,
    "5.E7": implicit,
}
