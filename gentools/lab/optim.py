"""What a training run updates with: Adam, a learning-rate schedule, averaged weights, mixed precision."""

import copy
import math

import torch


def adam(params, lr, betas=(0.9, 0.999)):
    """Adam in one fused kernel: several times faster than torch's default loop on a CPU, one launch on a GPU."""
    return torch.optim.Adam(params, lr=lr, betas=betas, fused=True)


def cosine(steps, warmup=0):
    """A schedule: the factor rises linearly over `warmup` steps, then falls along half a cosine to 0 at `steps`.

    A step beyond `steps`, where the cosine would rise again, is a ValueError.
    """
    if not 0 <= warmup < steps:
        raise ValueError(f"cosine needs 0 <= warmup < steps, not warmup={warmup}, steps={steps}")

    def factor(t):
        if t > steps:
            raise ValueError(
                f"this schedule ends at step {steps} and is asked for step {t}: give cosine all steps of the training"
            )
        if t < warmup:
            return (t + 1) / warmup
        return (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))) / 2

    return factor


def mixed(device, dtype=torch.bfloat16):
    """Autocast for `train`, without the cache of cast weights.

    A GAN's step updates the discriminator and then uses it: from the cache the generator would get the old weights.
    """
    return torch.autocast(torch.device(device).type, dtype, cache_enabled=False)


class Average:
    """Exponential moving average of the networks: average.nets = decay * average.nets + (1 - decay) * nets."""

    def __init__(self, nets, decay):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {decay}")
        self.nets, self.decay = copy.deepcopy(nets).requires_grad_(False), decay

    @torch.no_grad()
    def update(self, nets):
        """Move the averaged weights toward those of `nets`; buffers (of BatchNorm) are copied.

        Raises ValueError for networks of other shapes: torch would spread their weights over the average.
        """
        if [mine.shape for mine in self.nets.parameters()] != [theirs.shape for theirs in nets.parameters()]:
            raise ValueError("these networks are of other shapes than those that the average was made from")
        torch._foreach_lerp_(list(self.nets.parameters()), list(nets.parameters()), 1 - self.decay)
        for mine, theirs in zip(self.nets.buffers(), nets.buffers()):
            mine.copy_(theirs)


def groups(opts):
    """The parameter groups of all optimizers in a dict; their "lr" is what a schedule sets."""
    return [group for opt in opts.values() for group in getattr(opt, "param_groups", ())]


def strangers(nets, opts):
    """Names of the optimizers in a dict that hold parameters, and none of those of the networks."""
    own = set(map(id, nets.parameters()))
    held = {name: {id(p) for group in groups({name: opt}) for p in group["params"]} for name, opt in opts.items()}
    return [name for name, ids in held.items() if ids and not ids & own]
