"""Wrong answers that chapter 15's exercises must refuse, and other right ones that they must accept."""

import math

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from gentools import autoregressive as ar


def masks(place, first, second, inward=torch.ge, middle=torch.ge, outward=torch.gt):
    return tuple(
        compare(a[:, None], b).double()
        for compare, a, b in ((inward, first, place), (middle, second, first), (outward, place, second))
    )


def step(nets, opts, x, seen, keep, weight, hidden=True, zero=True, times=1):
    """A step on the weighted cross-entropy of the unseen pixels, or of all."""
    lost = binary_cross_entropy_with_logits(nets["model"](x, seen), x, reduction="none")
    loss = ((lost * ~seen if hidden else lost).sum(1) * weight(keep, seen)).mean()
    if zero:
        opts["model"].zero_grad()
    loss.backward()
    for _ in range(times):
        opts["model"].step()
    return loss.item()


def by_logsigmoid(nets, opts, x, seen, keep):
    logits = nets["model"](x, seen)
    log_q = torch.where(x == 1, logsigmoid(logits), logsigmoid(-logits))
    loss = -torch.where(seen, torch.zeros_like(log_q), log_q).sum(1).div(1 - keep).mean()
    opts["model"].zero_grad()
    loss.backward()
    opts["model"].step()
    return loss.item()


def right(keep, seen):
    return 1 / (1 - keep)


def total_correlation(p, pairs):
    """Of both pairs, each given nothing or the first one."""
    h = lambda *kept: ar.marginal_entropy(p, list(kept))
    (a, b), (c, d) = pairs
    return h(a) + h(b) - h(a, b) + h(a, b, c) + h(a, b, d) - h(a, b) - h(a, b, c, d)


def by_largest(log_q, weights):
    """By the likelihoods as parts of the largest one; the probability of bits is at most 1."""
    assert (log_q <= 0).all()
    return log_q.amax(0) + ((log_q - log_q.amax(0)).exp() * weights[:, None]).sum(0).log()


PLANS = [((a, b), tuple(i for i in range(4) if i not in (a, b))) for a in range(4) for b in range(a + 1, 4)]

WRONG = {
    "15.E1": [
        lambda log_q, weights: (log_q * weights[:, None]).sum(0),  # averages logarithms
        lambda log_q, weights: (log_q.exp() * weights[:, None]).sum(0).log(),  # underflows
        lambda log_q, weights: log_q.logsumexp(0) - math.log(len(log_q)),  # equal weights
        lambda log_q, weights: (log_q + weights[:, None]).logsumexp(0),  # weights for their logarithms
        lambda log_q, weights: (
            ((log_q - log_q.max()).exp() * weights[:, None]).sum(0).log() + log_q.max()
        ),  # one number
        lambda log_q, weights: ((log_q - log_q.mean()).exp() * weights[:, None]).sum(0).log() + log_q.mean(),
    ],
    "15.E2": [
        lambda place, first, second: masks(place, first, second, outward=torch.ge),  # sees itself
        lambda place, first, second: masks(place, first, second, inward=torch.gt),  # sees less than it may
        lambda place, first, second: masks(place, first, second, middle=torch.gt),
        lambda place, first, second: tuple(mask.T for mask in masks(place, first, second)),
        lambda place, first, second: masks(torch.arange(5), first, second),  # raster order
    ],
    "15.E3": [
        lambda size, row, column, kernel: (
            row and sum(range(size - 1 - column - kernel // 2, 0, -(kernel // 2)))
        ),  # as if the picture had no upper edge
        lambda size, row, column, kernel: 0,
        lambda size, row, column, kernel: sum(max(0, size - 1 - column - up) for up in range(1, row + 1)),  # kernel 3
        lambda size, row, column, kernel: row * (size - 1 - column),  # all to the upper right
        lambda size, row, column, kernel: sum(max(0, size - column - kernel // 2 * up) for up in range(1, row + 1)),
    ],
    "15.E4": [
        lambda *given: step(*given, weight=lambda keep, seen: torch.ones_like(keep)),  # not weighted
        lambda *given: step(*given, weight=lambda keep, seen: seen.shape[1] / (~seen).sum(1).clamp(min=1)),  # (15.7)
        lambda *given: step(*given, weight=lambda keep, seen: 1 / keep),
        lambda *given: step(*given, weight=right, hidden=False),  # seen pixels too
        lambda *given: step(*given, weight=right, zero=False),
        lambda *given: step(*given, weight=right, times=2),
    ],
    "15.E5": [
        lambda made, x, weight: made(x) + weight * x,  # the leak
        lambda made, x, weight: made(x),  # no link
        lambda made, x, weight: made(x) + weight * x.roll(1, 1),  # the last pixel reaches the first logit
        lambda made, x, weight: (
            made(x) + weight * torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)
        ),  # the other way
    ],
    "15.E6": [
        lambda p: total_correlation(p, PLANS[0]),  # the first plan
        lambda p: max(total_correlation(p, plan) for plan in PLANS),
        lambda p: min(total_correlation(p, plan) for plan in PLANS) / math.log(2),  # in bits
        lambda p: 0.0,
    ],
}

ALTERNATIVE = {
    "15.E1": by_largest,
    "15.E2": masks,
    "15.E3": lambda size, row, column, kernel: len(
        [(r, c) for r in range(row) for c in range(size) if c - column > (row - r) * (kernel // 2)]
    ),
    "15.E4": by_logsigmoid,
    "15.E5": lambda made, x, weight: made(x) + weight * torch.nn.functional.pad(x, (1, 0))[:, :-1],
    "15.E6": lambda p: min(total_correlation(p, plan) for plan in PLANS),
}
