"""Wrong answers that chapter 09's exercises must refuse, and other right ones that they must accept."""

import math

import torch

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
        lambda v: (v * (2 - v)) ** -0.5 if v != 2 else math.inf,  # complex beyond 2
        lambda v: v,
    ],
    "9.E4": [
        lambda rho, step_size: math.log(0.5) / math.log(1 - step_size / 2),  # a GAN's
        lambda rho, step_size: 1 / (step_size * (1 - rho)),
        lambda rho, step_size: math.log(0.5) / math.log(1 - step_size * (1 - rho / 2)),
    ],
    "9.E5": [
        lambda p, q: (q.expand(len(p), -1), q.expand(len(p), -1)),  # the generator ignores the data
        lambda p, q: (torch.eye(len(p), len(q)), torch.eye(len(p), len(q))),
        lambda p, q: (p[:, None] * q, p[:, None] * q),  # joints instead of conditionals
    ],
}

ALTERNATIVE = {
    "9.E1": lambda logit: torch.exp(-logit - torch.nn.functional.softplus(logit)),
    "9.E2": lambda logit: logit + 3.0,
    "9.E3": lambda v: math.inf if v >= 2 else (2 * v - v * v) ** -0.5,
    "9.E4": lambda rho, step_size: -math.log(2) / math.log1p(-step_size * (1 - rho) / 2),
    "9.E5": lambda p, q: (q.repeat(len(p), 1), p[:, None].repeat(1, len(q))),
}
