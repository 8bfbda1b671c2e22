"""Wrong answers that chapter 07's exercises must refuse, and other right ones that they must accept."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from gentools import conditional_gan as cgan


def turns(nets, opts, real, fake, asked, told, weights=(1, 1, 1), saturating=False):
    """One step from the usual cross-entropy. real, fake: (pictures or z, classes) that D is shown as data and as model."""
    g, d = nets["generator"], nets["discriminator"]
    z, wrong_pairs = fake
    made = g(z, asked)

    def loss(logit, label):
        return cross_entropy(logit, torch.full_like(logit, label))

    terms = [loss(d(*real), 1.0), loss(d(made.detach(), told[0]), 0.0)]
    terms += [loss(d(*wrong_pairs), 0.0)] if wrong_pairs else []
    d_loss = sum(w * term for w, term in zip(weights, terms, strict=False))
    opts["discriminator"].zero_grad()
    d_loss.backward()
    opts["discriminator"].step()
    g_loss = -loss(d(made, told[1]), 0.0) if saturating else loss(d(made, told[1]), 1.0)
    opts["generator"].zero_grad()
    g_loss.backward()
    opts["generator"].step()
    return d_loss.item(), g_loss.item()


def matching(nets, opts, x, c, z, w, weights=(1, 0.5, 0.5), **more):
    return turns(nets, opts, (x, c), (z, (x, w)), c, (c, c), weights, **more)


WRONG = {
    "7.E1": [
        lambda p, q, p_c, q_c: p / (p + q),  # as if the shares were equal
        lambda p, q, p_c, q_c: q * q_c / (p * p_c + q * q_c),  # probability of "model"
        lambda p, q, p_c, q_c: (p * p_c).sum(1) / (p * p_c + q * q_c).sum(1),  # blind
        lambda p, q, p_c, q_c: p * p_c / (p * p_c + q * p_c),  # the data's shares on both sides
    ],
    "7.E2": [
        lambda measured, judge, classes: measured,
        lambda measured, judge, classes: measured / judge,  # forgets the luck
        lambda measured, judge, classes: measured * judge,
        lambda measured, judge, classes: measured - (1 - judge),
    ],
    "7.E3": [
        lambda p_xc, share: p_xc / p_xc.sum(0),  # labels do not matter
        lambda p_xc, share: (1 - share) * p_xc + share * p_xc.sum(1, keepdim=True) * p_xc.sum(0),  # a joint
        lambda p_xc, share: (1 - share) * p_xc / p_xc.sum(0),  # does not sum to 1
        lambda p_xc, share: p_xc.sum(1, keepdim=True).expand_as(p_xc),
    ],
    "7.E4": [
        lambda means, c, s: means[c, (s + 1) % means.shape[1]],  # the class in another style
        lambda means, c, s: means[(c + 1) % means.shape[0], s],  # another class in the style
        lambda means, c, s: means[c].nanmean(0),
        lambda means, c, s: means[c].mean(0),  # not a number
    ],
    "7.E5": [
        lambda nets, opts, x, c, z, w: tuple(cgan.step(nets, opts, (x, c), z).values()),  # the chapter's own
        lambda nets, opts, x, c, z, w: matching(nets, opts, x, c, z, w, weights=(1, 1, 1)),
        lambda nets, opts, x, c, z, w: matching(nets, opts, x, c, z, w, weights=(0.5, 0.5, 0.5)),
        lambda nets, opts, x, c, z, w: matching(nets, opts, x, c, z, w, saturating=True),
        lambda nets, opts, x, c, z, w: turns(
            nets, opts, (x, c), (z, (x, c)), c, (c, c), (1, 0.5, 0.5)
        ),  # right classes
        lambda nets, opts, x, c, z, w: turns(nets, opts, (x, c), (z, (x, w)), w, (w, w), (1, 0.5, 0.5)),
        lambda nets, opts, x, c, z, w: matching(nets, opts, x, c, z, w)[::-1],
    ],
    "7.E6": [
        lambda nets, opts, x, c, z, asked: turns(nets, opts, (x, c), (z, None), asked, (c, c)),  # the broken step
        lambda nets, opts, x, c, z, asked: turns(nets, opts, (x, c), (z, None), asked, (asked, c)),
        lambda nets, opts, x, c, z, asked: turns(nets, opts, (x, c), (z, None), asked, (c, asked)),
        lambda nets, opts, x, c, z, asked: turns(nets, opts, (x, asked), (z, None), asked, (asked, asked)),
        lambda nets, opts, x, c, z, asked: tuple(cgan.step(nets, opts, (x, c), z).values()),  # forgets what was asked
    ],
}

ALTERNATIVE = {
    "7.E1": lambda p, q, p_c, q_c: 1 / (1 + q * q_c / (p * p_c)),
    "7.E2": lambda measured, judge, classes: (
        (measured * (classes - 1) - (1 - judge)) / (judge * (classes - 1) - (1 - judge))
    ),
    "7.E3": lambda p_xc, share: (1 - share) * p_xc / p_xc.sum(0) + share * p_xc.sum(1, keepdim=True),
    "7.E4": lambda means, c, s: (
        means[c].nanmean(0)
        + (
            means[(c + 2) % len(means)][s]
            - means[(c + 2) % len(means)][[i for i in range(means.shape[1]) if i != s]].mean(0)
        )
    ),
    "7.E5": matching,
    "7.E6": lambda nets, opts, x, c, z, asked: turns(nets, opts, (x, c), (z, None), asked, (asked, asked)),
}
