"""Wrong answers that chapter 10's exercises must refuse, and other right ones that they must accept."""

import math

import torch

from gentools import gan
from gentools.lab.divergences import kl


def tilted(q):
    return q / q.sum()


def after(p_x, q_old):
    """The model after a round of weight 1, and the sum that normalizes it."""
    made = q_old * p_x / (p_x + q_old)
    return made / made.sum(), made.sum()


def anchored(order="after", through=False, penalty=True, decay=None):
    """The step of 10.E4 by the chapter's functions, with one fault where asked for."""

    def step(nets, opts, x, z, weight, given):
        players = nets["generator"], nets["anchor"]
        rate = given if decay is None else decay
        if order == "before":
            follow(*players, rate)
        fake = nets["generator"](z)
        d_loss = gan.discriminator_loss(nets["discriminator"](x), nets["discriminator"](fake.detach()))
        gan.descend(opts["discriminator"], d_loss)
        g_loss = gan.non_saturating_loss(nets["discriminator"](fake))
        held = nets["anchor"](z).detach() if not through else fake.detach()  # tied to itself
        tie = weight * (fake - held).pow(2).sum() / fake.numel()
        gan.descend(opts["generator"], g_loss + tie if penalty else g_loss)
        if order == "after":
            follow(*players, rate)
        return d_loss, g_loss + tie

    return step


@torch.no_grad()
def follow(generator, anchor, decay):
    for slow, new in zip(anchor.parameters(), generator.parameters(), strict=True):
        slow.lerp_(new, 1 - decay)


WRONG = {
    "10.E1": [
        lambda q_old, average, d, weight, slow: tilted(q_old * d ** (1 / weight)),  # one tie
        lambda q_old, average, d, weight, slow: tilted(q_old**weight * average**slow * d),
        lambda q_old, average, d, weight, slow: tilted(
            (weight * q_old + slow * average) / (weight + slow) * d ** (1 / (weight + slow))
        ),  # the arithmetic mean
        lambda q_old, average, d, weight, slow: (q_old**weight * average**slow * d) ** (1 / (weight + slow)),
    ],
    "10.E2": [
        lambda weight: math.ceil(math.log(1000) / -math.log(abs(1 - 1 / weight))) if weight > 0.5 else math.inf,
        lambda weight: math.ceil(math.log(1000) / -math.log(1 - 0.5 / weight)) if weight > 0.5 else math.inf,
        lambda weight: (
            math.ceil(math.log(1000) / -torch.tensor(1 - 0.5 / weight).abs().log()) if weight > 0.25 else math.inf
        ),  # no round where the factor is 0
        lambda weight: 7,
        lambda weight: math.inf,
    ],
    "10.E3": [
        lambda p_x, q_old: -after(p_x, q_old)[1].log(),  # the value at the new model
        lambda p_x, q_old: kl(after(p_x, q_old)[0], q_old),  # the wrong way round
        lambda p_x, q_old: 2 * (kl((p_x + q_old) / 2, p_x) - kl((p_x + after(p_x, q_old)[0]) / 2, p_x)),  # F itself
    ],
    "10.E4": [
        anchored(order="before"),
        anchored(order="never"),
        anchored(through=True),
        anchored(penalty=False),
        anchored(decay=0.1),  # the two shares exchanged
    ],
    "10.E5": [
        ((0.495, 0.495, 0.01), (0.5, 0.5, 0.0)),  # the wrong way round
        ((0.5, 0.5, 0.0), (0.4, 0.4, 0.2)),  # too far apart
        ((0.5, 0.499, 0.001), (0.495, 0.495, 0.01)),  # small is not zero
        ((0.5, 0.5, 0.0), (0.5, 0.5, 1e-300)),
        ((0.5, 0.5, 5e-324), (0.495, 0.495, 0.01)),  # the least number is a number
        ((1.0, 0.0), (0.99, 0.01)),
        ((0.5, 0.6, -0.1), (0.5, 0.6, -0.1)),
    ],
}

ALTERNATIVE = {
    "10.E1": lambda q_old, average, d, weight, slow: (
        (weight * q_old.log() + slow * average.log() + d.log()) / (weight + slow)
    ).softmax(0),
    "10.E2": lambda weight: (
        math.inf
        if abs(1 - 0.5 / weight) >= 1
        else max(1, math.ceil(-math.log(1000) / math.log(abs(1 - 0.5 / weight) or 1e-9) - 1e-9))
    ),
    "10.E3": lambda p_x, q_old: after(p_x, q_old)[1].log() - q_old @ (p_x / (p_x + q_old)).log(),
    "10.E4": anchored(),
    "10.E5": ((0.0, 0.6, 0.4), (0.01, 0.59, 0.4)),
}
