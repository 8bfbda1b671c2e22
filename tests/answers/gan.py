"""Wrong answers that chapter 05's exercises must refuse, and other right ones that they must accept."""

import torch

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
}

ALTERNATIVE = {
    "5.E1": lambda logit: -torch.nn.functional.logsigmoid(logit),
    "5.E2": lambda p, q, share: 1 / (1 + (1 / share - 1) * q / p),
    "5.E3": lambda logit: -torch.sigmoid(logit) / torch.sigmoid(-logit) + 7.0,  # a constant changes nothing
    "5.E4": lambda step_size: [0.25 * step_size, (16 + step_size**2) / (8 * step_size)],
    "5.E5": lambda p, n: len(p) - torch.exp(n * torch.log1p(-p)).sum(),
}
