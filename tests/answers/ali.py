"""Wrong answers that chapter 09's exercises must refuse, and other right ones that they must accept."""

import math

import torch

from gentools import ali, gan


def together(losses=ali.LOSSES["swapped"], labels=1, leak=False, alternating=False):
    """The step of 9.E6 by the chapter's functions and backward(), with one fault where asked for."""

    def step(nets, opts, x, noise):
        real, fake = ali.pairs(nets, x, noise)
        ask = nets["discriminator"]
        d_loss = gan.discriminator_loss(*((ask(*real), ask(*fake))[::labels]))
        nets.zero_grad()
        if not leak:  # the slopes of the players' loss in the discriminator are thrown away
            e_loss, g_loss = losses[0](ask(*real)), losses[1](ask(*fake))
            if alternating:
                gan.descend(
                    opts["discriminator"], gan.discriminator_loss(ask(*map(detached, real)), ask(*map(detached, fake)))
                )
                e_loss, g_loss = losses[0](ask(*real)), losses[1](ask(*fake))
            (e_loss + g_loss).backward(retain_graph=True)
            ask.zero_grad()
            players = {p: None if p.grad is None else p.grad.clone() for p in nets["players"].parameters()}
        else:
            e_loss, g_loss = losses[0](ask(*real)), losses[1](ask(*fake))
            (e_loss + g_loss).backward(retain_graph=True)
        if not alternating:
            d_loss.backward()
        if not leak:
            for p, slope in players.items():
                p.grad = slope
        opts["players"].step()
        if not alternating:
            opts["discriminator"].step()
        return d_loss, e_loss, g_loss

    return step


def detached(part):
    return part.detach()


WRONG = {
    "9.E1": [
        lambda logit: (1 - torch.sigmoid(logit)) ** 2,  # not divided by D
        lambda logit: -torch.sigmoid(-logit),  # the truncated loss
        lambda logit: torch.exp(-logit),  # -1/D alone
        lambda logit: (1 - torch.sigmoid(logit)) ** 2 / torch.sigmoid(logit).float(),  # rounds
        lambda logit: torch.exp(-logit).mean(),
    ],
    "9.E2": [
        lambda logit: -logit,  # uphill
        lambda logit: -torch.exp(-logit),  # KL(Q||P)
        torch.nn.functional.softplus,  # 2 KL(M||Q)
        lambda logit: logit.mean(),
    ],
    "9.E3": [
        lambda v: 1 / (v * (2 - v)) if v < 2 else math.inf,  # no root
        lambda v: 1 / math.sqrt(v),
        lambda v: 1 / math.sqrt(v * (2 - v)) if v < 1.96 else math.inf,
        lambda v: (v * (2 - v)) ** -0.5 if v != 2 else math.inf,  # complex beyond 2
        lambda v: v,
    ],
    "9.E4": [
        lambda rho, step_size: math.log(0.5) / math.log(1 - step_size / 2),  # a GAN's
        lambda rho, step_size: 1 / (step_size * (1 - rho)),
        lambda rho, step_size: math.log(0.5) / math.log(1 - step_size * (1 - rho / 2)),
    ],
    "9.E5": [
        lambda p, q: (
            1 / (len(p) * len(q) * p[:, None].repeat(1, len(q))),
            1 / (len(p) * len(q) * q.repeat(len(p), 1)),
        ),  # P = Q, and rows that do not sum to 1
        lambda p, q: (q.expand(len(p), -1), q.expand(len(p), -1)),  # the generator ignores the data
        lambda p, q: (torch.eye(len(p), len(q)), torch.eye(len(p), len(q))),
        lambda p, q: (p[:, None] * q, p[:, None] * q),  # joints instead of conditionals
    ],
    "9.E6": [
        together(losses=ali.LOSSES["truncated"]),
        together(losses=ali.LOSSES["minimax"]),
        together(labels=-1),  # the generator's pairs as the real side
        together(leak=True),  # every loss moves every network
        together(alternating=True),  # the chapter's step
        ali.step,  # which returns a dict
    ],
    "9.E7": [
        (1.95, 2.05),  # the wrong way round
        (3.0, 1.0),  # too far apart
        (2.3, 2.2),
        (1.9, 1.8),
        (2.05, -1.95),
    ],
}

ALTERNATIVE = {
    "9.E1": lambda logit: torch.exp(-logit - torch.nn.functional.softplus(logit)),
    "9.E2": lambda logit: logit + 3.0,
    "9.E3": lambda v: math.inf if v >= 2 else 1 / torch.sqrt(v * (2 - v)),
    "9.E4": lambda rho, step_size: -math.log(2) / torch.log1p(-step_size * (1 - rho) / 2),
    "9.E6": together(),
    "9.E7": (2.2, 2.0),  # by 10 %, up to rounding
    "9.E5": lambda p, q: (q.repeat(len(p), 1), p[:, None].repeat(1, len(q))),
}
