"""Wrong answers that chapter 08's exercises must refuse, and other right ones that they must accept."""

import math

import torch

from gentools import gan
from gentools.lab.divergences import entropy, kl

IDENTITY, SWAPPED, FLAT = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]


def pair_step(kl_loss=gan.kl_loss, swap=False, mean_pixels=False, detach=True, old=False, train=True):
    """The step of 8.E5 by other functions, with one fault where asked for."""

    def step(nets, opts, x, noise, draw):
        code = nets["encoder"](x, noise)
        real, fake = nets["discriminator"](x, draw), nets["discriminator"](x, code.detach() if detach else code)
        d_loss = gan.discriminator_loss(fake, real) if swap else gan.discriminator_loss(real, fake)
        early = nets["discriminator"](x, code)
        auto = [p for name in ("encoder", "decoder") for p in nets[name].parameters()]
        if old:  # both losses from the networks as they were
            logit = early
        elif train:
            both = [*nets["discriminator"].parameters(), *([] if detach else auto)]
            slopes = torch.autograd.grad(d_loss, both, retain_graph=True, allow_unused=True)
            move(both, slopes)
            logit = nets["discriminator"](x, nets["encoder"](x, noise) if not detach else code)
        else:
            logit = early
        each = torch.nn.functional.binary_cross_entropy_with_logits(nets["decoder"](code), x, reduction="none")
        loss = (each.mean() if mean_pixels else each.sum() / len(x)) + kl_loss(logit)
        if train:
            slopes = torch.autograd.grad(loss, auto)
            if old:
                move(
                    nets["discriminator"].parameters(), torch.autograd.grad(d_loss, nets["discriminator"].parameters())
                )
            move(auto, slopes)
        return d_loss, loss

    return step


@torch.no_grad()
def move(weights, slopes):
    """One step of gradient descent, written out."""
    for weight, slope in zip(weights, slopes, strict=True):
        if slope is not None:
            weight -= 0.3 * slope


WRONG = {
    "8.E1": [
        lambda p_xz, q_z: -(p_xz * (p_xz / p_xz.sum(0)).log()).sum(),  # the reconstruction alone
        lambda p_xz, q_z: entropy(p_xz) + kl(p_xz.sum(0), q_z),
        lambda p_xz, q_z: entropy(p_xz.sum(1)),  # the entropy of the data, which bounds a VAE's loss
        lambda p_xz, q_z: entropy(p_xz) - entropy(p_xz.sum(1)) + kl(p_xz.sum(0), q_z),  # H(z|x) for H(x|z)
        lambda p_xz, q_z: (
            kl(p_xz.sum(0), q_z) - (p_xz * (p_xz / p_xz.sum(0)).log()).sum()
        ),  # NaN where a table has zeros
    ],
    "8.E2": [
        lambda p_z, q_z, share: (q_z / p_z).log(),  # as if the shares were equal
        lambda p_z, q_z, share: (p_z / q_z).log() + math.log(share / (1 - share)),  # codes for the prior
        lambda p_z, q_z, share: share * q_z / (share * q_z + (1 - share) * p_z),  # D, not its logit
    ],
    "8.E3": [
        lambda weight, pixels: weight / 8,  # as if the errors were summed
        lambda weight, pixels: weight * pixels / 2,  # as if values ran from 0 to 1
        lambda weight, pixels: weight * pixels / 4,  # an error doubled, not its square
        lambda weight, pixels: pixels / (2 * weight),  # the weight before the error
    ],
    "8.E4": [
        (FLAT, FLAT),
        (IDENTITY, SWAPPED),  # the decoder reads the code the wrong way
        (IDENTITY, [[1.0, 1.0], [0.0, 0.0]]),
        ([[1.0, 0.0], [1.0, 0.0]], IDENTITY),  # one code for both
        ([[2.0, 0.0], [0.0, 2.0]], IDENTITY),  # no probabilities
    ],
    "8.E5": [
        pair_step(kl_loss=gan.non_saturating_loss),  # -log D, which is not the KL
        pair_step(swap=True),  # codes as the real side
        pair_step(mean_pixels=True),  # an error averaged over the pixels
        pair_step(detach=False),  # the encoder moves with the discriminator
        pair_step(old=True),  # the encoder asks the discriminator before its update
        pair_step(train=False),  # losses alone
    ],
    "8.E6": [
        (3.0, 0.01),  # the wrong way round
        (0.01, 0.02),
        (0.01, 100.0),  # codes that say nothing
        (-1.0, 3.0),
        (0.1, 3.0),  # a tenth: nearer than half of what counts as far
        (3.0, 3.0),
        (0.01, 64 * 3.0),  # a weight for nats per pixel
        (1e300, 3.0),
    ],
}

ALTERNATIVE = {
    "8.E1": lambda p_xz, q_z: entropy(p_xz) - entropy(p_xz.sum(0)) + kl(p_xz.sum(0), q_z),
    "8.E2": lambda p_z, q_z, share: torch.log(q_z) - torch.log(p_z) + torch.logit(share),
    "8.E3": lambda weight, pixels: 0.5 / (4 / (weight * pixels)),
    "8.E4": (SWAPPED, SWAPPED),
    "8.E5": pair_step(),
    "8.E6": (0.02, 1.0),
}
