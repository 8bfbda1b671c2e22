"""Wrong answers that chapter 16's exercises must refuse, and other right ones that they must accept."""

import torch

from gentools import diffusion


def step(net, optimizer, x, z, t, kept, weight=None, target=None, clear=True, root=True, half=0.5):
    now = kept[t][:, None]
    noisy = (now.sqrt() * x + (1 - now).sqrt() * z) if root else now * x + (1 - now) * z
    noisy = now.sqrt() * x + (1 - now) * z if root == "of the data alone" else noisy
    ratio = kept[t - 1] * (1 - kept[t]) / (kept[t] * (1 - kept[t - 1]))
    weight = half * (ratio - 1) if weight is None else weight
    aim = z if target is None else x
    loss = (weight * (net(noisy, t / (len(kept) - 1)) - aim).square().sum(1)).mean()
    if clear:
        optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def still(net, optimizer, x, z, t, kept):
    before = [p.detach().clone() for p in net.parameters()]
    loss = step(net, optimizer, x, z, t, kept)
    with torch.no_grad():
        for p, old in zip(net.parameters(), before, strict=True):
            p.copy_(old)
    return loss


def clipped(noisy, noise, now, then, clip=True, again=True):
    clean = (noisy - (1 - now) ** 0.5 * noise) / now**0.5
    clean = clean.clamp(-1, 1) if clip else clean
    noise = (noisy - now**0.5 * clean) / (1 - now) ** 0.5 if again else noise
    return then**0.5 * clean + (1 - then) ** 0.5 * noise


def searched(squares, variances, weights):
    """By a search in steps of 1/100 over the expected KL, written with its entropies."""
    shared = torch.arange(1, 400, dtype=torch.float64)[:, None] / 100
    cost = ((squares + variances) / shared + shared.log() - variances.log()) @ weights  # (399,)
    return shared[cost.argmin(), 0]


def by_roots(noisy, noise, now, then):
    """With torch's roots, which take no Python float."""
    clean = ((noisy - torch.sqrt(1 - now) * noise) / torch.sqrt(now)).clamp(-1, 1)
    return torch.sqrt(then) * clean + torch.sqrt(1 - then) * (noisy - torch.sqrt(now) * clean) / torch.sqrt(1 - now)


def rising(steps, variance, nats):
    """Noise that grows from step to step, with as much in all as leaves three quarters of the nats allowed."""
    low, high = 0.0, 40.0
    assert torch.log(variance) < 99 and torch.sqrt(nats) < 1  # tensors, as torch's functions ask for them
    for _ in range(80):
        power = (low + high) / 2
        betas = 1 - (1 - torch.linspace(0.3, 0.9, steps, dtype=torch.float64)) ** power
        top = (1 - betas).prod() * (variance - 1) + 1
        low, high = (power, high) if (top - 1 - top.log()) / 2 > 0.75 * nats else (low, power)
    return betas


def guided(noisy, noise, log_class, kept, w, sign=-1.0, root=True, logs=True):
    """16.E6 with one thing off."""
    noisy = noisy.detach().requires_grad_()
    value = log_class(noisy) if logs else log_class(noisy).exp()
    slope = torch.autograd.grad(value.sum(), noisy)[0]
    return noise + sign * w * (1 - kept) ** (0.5 if root else 1.0) * slope


def row_by_row(noisy, noise, log_class, kept, w):
    """16.E6 with the slopes of one row after the other, from differences."""
    slopes, step = torch.zeros_like(noisy), 1e-5
    for i in range(noisy.shape[1]):
        move = torch.zeros_like(noisy)
        move[:, i] = step
        slopes[:, i] = (log_class(noisy + move) - log_class(noisy - move)) / (2 * step)
    return noise - w * (1 - kept) ** 0.5 * slopes


WRONG = {
    "16.E1": [
        lambda betas, times: betas[torch.tensor(times) - 1],  # ignores the stride
        lambda betas, times: torch.stack([betas[a:b].sum() for a, b in zip([0, *times[:-1]], times, strict=True)]),
        lambda betas, times: 1 - (1 - betas).cumprod(0)[torch.tensor(times) - 1],  # from 0, not from the last stop
    ],
    "16.E2": [
        lambda betas, variance: 0.5 * torch.log(1 + variance * (1 - betas).prod()),  # noise of variance 1
        lambda betas, variance: torch.log(1 + variance * (1 - betas).prod() / (1 - (1 - betas).prod())),
        lambda betas, variance: 0.5 * torch.log(1 + (1 - betas).prod() / (1 - (1 - betas).prod())),
        lambda betas, variance: 0.0,
    ],
    "16.E3": [
        lambda *a: clipped(*a, again=False),  # keeps the stale noise
        lambda *a: clipped(*a, clip=False),
        lambda noisy, noise, now, then: clipped(noisy, noise, now, then).clamp(-1, 1),
    ],
    "16.E4": [
        lambda squares, variances, weights: 1.05 * (weights * (variances + squares)).sum(),
        lambda squares, variances, weights: (weights * variances).sum(),  # forgets the miss of the mean
        lambda squares, variances, weights: (variances + squares).mean(),
        lambda squares, variances, weights: 1 / (weights / (variances + squares)).sum(),
        lambda squares, variances, weights: (weights * (variances + squares).log()).sum().exp(),
    ],
    "16.E5": [
        lambda *a: step(*a, weight=1.0),  # the simple loss
        lambda *a: step(*a, target="data"),
        lambda *a: step(*a, clear=False),
        lambda *a: step(*a, root=False),
        lambda *a: step(*a, root="of the data alone"),
        lambda *a: step(*a, half=1.0),
        still,
    ],
    "16.E6": [
        lambda noisy, noise, log_class, kept, w: noise,  # no classifier
        lambda *a: guided(*a, sign=1.0),
        lambda *a: guided(*a, root=False),  # the variance of the noise in place of its deviation
        lambda noisy, noise, log_class, kept, w: guided(noisy, noise, log_class, 1 - kept, w),  # alpha for sigma
        lambda noisy, noise, log_class, kept, w: (1 - w) * noise + w * guided(noisy, noise, log_class, kept, w),
        lambda *a: guided(*a, logs=False),  # the slope of the probability
    ],
    "16.E7": [
        lambda steps, variance, nats: torch.full((steps,), 0.02).double(),  # the broken run
        lambda steps, variance, nats: diffusion.betas_of(diffusion.linear, steps)[:-1],
        lambda steps, variance, nats: torch.full((steps,), 1.0).double(),
        lambda steps, variance, nats: torch.full((steps,), 0.3).double(),
        lambda steps, variance, nats: torch.full((steps,), 0.99).double(),  # more noise than needed
    ],
}

ALTERNATIVE = {
    "16.E1": lambda betas, times: (
        1
        - torch.stack(
            [(1 - betas[a:b]).log().sum().exp() for a, b in zip([0, *times[:-1]], times, strict=True)],
        )
    ),
    "16.E2": lambda betas, variance: (
        0.5
        * (
            (torch.exp(torch.log(variance)) * (1 - betas).prod() + 1 - (1 - betas).prod()).log()
            - (1 - (1 - betas).prod()).log()
        )  # two entropies
    ),
    "16.E3": by_roots,
    "16.E4": searched,
    "16.E5": step,
    "16.E6": row_by_row,
    "16.E7": rising,
}
