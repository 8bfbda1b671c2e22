"""Chapter 10: the regularized GAN. The distance to the previous generator: what it is, when it acts, when it is stable.

Tables p_x, q_x are float64 vectors over the values of x. The exact game works with their logarithms, so that a mass of
1e-300 is a number like any other. `proximal_weight` is the factor of KL(q || q_old) in the generator's problem; the
derivation gives it the value 1. `penalty_weight` is the factor of the mean squared distance in a network's loss.
Shapes: p_x, q_x, q_old, d and inverse_ratio (n,), log_ratio and values (..., n), points x and log_d_slope (n, d),
codes z (n, inner, k).
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from gentools import gan
from gentools.lab import randomness
from gentools.lab.divergences import kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.shapes import (
    distributions,
    draws_of_each,
    filled,
    finite,
    loss_weights,
    number_or_column,
    one_number,
    positive,
    probabilities,
    same_columns,
    same_rows,
    same_shape,
    whole,
)

# The exact game


def objective(p_x, q_x):
    """F(q) = 2 KL(m || p) in nats, m = (p + q)/2: what a best discriminator shows the generator, see (5.4)."""
    same_shape(p_x=p_x, q_x=q_x)
    return 2 * kl((p_x + q_x) / 2, p_x)


def generator_problem(q_x, q_old, d, proximal_weight):
    """E_q[-log D] + proximal_weight KL(q || q_old) in nats: what the generator minimizes with D held. (10.2)"""
    same_shape(q_x=q_x, q_old=q_old, d=d)
    one_number(proximal_weight=proximal_weight)
    positive(proximal_weight=proximal_weight)
    probabilities(d=d)
    return -torch.xlogy(q_x, d).sum() + proximal_weight * kl(q_x, q_old)


def answer(q_old, d, proximal_weight):
    """The generator that solves its problem exactly: q proportional to q_old D^(1/proximal_weight). (10.2)"""
    same_shape(q_old=q_old, d=d)
    one_number(proximal_weight=proximal_weight)
    positive(proximal_weight=proximal_weight)
    distributions(q_old=q_old)
    if not ((d >= 0).all() and (d[q_old > 0] > 0).any()):
        raise ValueError("D must be at least 0, and above 0 at some value that q_old takes")
    return (q_old.log() + d.log() / proximal_weight).softmax(0)


def proximal_step(log_q, log_p, proximal_weight):
    """One round of the exact game in logarithms: D is made exact, then the generator answers. (10.2)

    log_q, log_p: (..., n), normalized along the last dimension, as is the result. proximal_weight: a number, or a tensor
    (..., 1) with one for each of many games, which are played at once. Of log_q -inf is allowed, of log_p not: raises
    ValueError, and so do tables that are no logarithms of probabilities, and weights along their last dimension.
    """
    _logarithms(log_q, log_p, proximal_weight)
    return _answer(log_q, log_p, proximal_weight)


def orbit(log_q, log_p, proximal_weight, steps):
    """The exact game of `proximal_step` from log_q on: (steps + 1, ..., n), the start first."""
    whole(0, steps=steps)
    _logarithms(log_q, log_p, proximal_weight)
    path = [log_q]
    for _ in range(steps):
        path.append(_answer(path[-1], log_p, proximal_weight))
    return torch.stack(path)


def _logarithms(log_q, log_p, proximal_weight):
    """Refuse what `proximal_step` cannot play. Raises ValueError."""
    positive(proximal_weight=proximal_weight)
    number_or_column(proximal_weight=proximal_weight)
    finite("q leaves a value that the data never take after one round: drop it from both tables", log_p=log_p)
    same_columns(log_q=log_q, log_p=log_p)
    distributions(dim=-1, **{"exp(log_q)": log_q.exp(), "exp(log_p)": log_p.exp()})


def _answer(log_q, log_p, proximal_weight):
    """`proximal_step` without its refusals."""
    return (log_q - softplus(log_q - log_p) / proximal_weight).log_softmax(-1)


def local_factor(proximal_weight):
    """By what a round multiplies every small deviation q/p - 1: 1 - 1/(2 proximal_weight). (10.5)"""
    positive(proximal_weight=proximal_weight)
    return 1 - 1 / (2 * proximal_weight)


def halving_factor(inverse_ratio, p_x):
    """C = E_p[1/(1 + s)] with s = p/q, at most 1/2: a round with proximal weight 1 is s' = C (s + 1). (10.6)"""
    same_shape(inverse_ratio=inverse_ratio, p_x=p_x)
    distributions(p_x=p_x)
    if not (inverse_ratio >= 0).all():
        raise ValueError("p/q is at least 0, and NaN where neither takes a value: drop that value")
    if (total := float((p_x / inverse_ratio).nan_to_num(0.0).sum())) > 1 + 1e-4:
        raise ValueError(f"p divided by p/q is q, and sums to {total:.6g} here: this ratio belongs to no q")
    return (p_x / (1 + inverse_ratio)).sum()


def closed_form(p_x, q_x, steps):
    """(A, B) with 1/q_k = A/q_0 + B/p after k = `steps` rounds of proximal weight 1. (10.7)

    Raises ValueError where a value has probability 0 in both tables: 1/q_k says nothing of it.
    """
    same_shape(p_x=p_x, q_x=q_x)
    distributions(p_x=p_x, q_x=q_x)
    whole(0, steps=steps)
    if ((p_x == 0) & (q_x == 0)).any():
        raise ValueError("some value has probability 0 in both tables: drop it from both")
    inverse_ratio, a, b = p_x / q_x, 1.0, 0.0
    for _ in range(steps):
        c = halving_factor(inverse_ratio, p_x)
        inverse_ratio, a, b = c * (inverse_ratio + 1), c * a, c * (b + 1)
    return a, b


def spread(values):
    """max - min over the last dimension."""
    return values.amax(-1) - values.amin(-1)


def contraction(log_ratio, proximal_weight):
    """Largest |1 - sigmoid(u)/proximal_weight| for u between the extremes of log_ratio = log q/p. (10.8)"""
    positive(proximal_weight=proximal_weight)
    ends = torch.stack([log_ratio.amin(-1), log_ratio.amax(-1)])
    return (1 - torch.sigmoid(ends) / proximal_weight).abs().amax(0)


# From distributions to samples


def implied_width(penalty_weight, numbers):
    """Width of the Gaussian around each sample that a penalty on the mean square stands for, in units of x. (10.4)

    With KL weight 1, penalty_weight/numbers |G - G_o|^2 = |G - G_o|^2 / (2 width^2); numbers: entries of one sample.
    """
    positive(penalty_weight=penalty_weight, numbers=numbers)
    return (numbers / (2 * penalty_weight)) ** 0.5


def flow(x, log_d_slope, proximal_weight, time):
    """One explicit step of dx/dt = gradient of log D / (2 proximal_weight): the proximal step on samples. (10.10)"""
    same_shape(x=x, log_d_slope=log_d_slope)
    one_number(proximal_weight=proximal_weight, time=time)
    positive(proximal_weight=proximal_weight)
    loss_weights(time=time)
    return x + time * log_d_slope / (2 * proximal_weight)


# Networks and their step


class Normed(nn.Sequential):
    """An `mlp` with BatchNorm before each activation, after DCGAN; the layer before a BatchNorm loses its bias."""

    def __init__(self, net):
        layers = []
        for layer in net[:-1]:
            if isinstance(layer, nn.Linear):
                layer.bias = None
                layers += [layer, nn.BatchNorm1d(layer.out_features)]
            else:
                layers.append(layer)
        super().__init__(*layers, net[-1])


def toy_networks(seed, normed, width=128):
    """For points in the plane: generator 2-width-width-2 and discriminator 2-width-width-1, with BatchNorm or without."""
    sizes = {"generator": [2, width, width, 2], "discriminator": [2, width, width, 1]}
    made = {name: mlp(size, generator=randomness.generator(seed, name)) for name, size in sizes.items()}
    return nn.ModuleDict({name: Normed(net) if normed else net for name, net in made.items()})


def fresh_step(nets, opts, x, z, penalty_weight):
    """One step of the discriminator, then one of the generator per batch of codes, tied to the generator before them.

    z: (n, inner, ...), `inner` batches of n codes. The generator descends -log D plus penalty_weight times the mean of
    (G(z) - G_old(z))^2 over rows and numbers, G_old being the generator at the refresh (Su 2018, equation (26)).
    Real and fake points pass the discriminator in separate batches, each with its own statistics of BatchNorm.
    """
    loss_weights(penalty_weight=penalty_weight)
    filled(z=z)
    if z.ndim < 3 or not z.shape[1]:
        raise ValueError(f"z holds one batch of codes or more, (n, inner, ...), and has the shape {tuple(z.shape)}")
    generator, discriminator = nets["generator"], nets["discriminator"]
    codes = z.unbind(1)
    with torch.no_grad():
        old = [generator(part) for part in codes]
    d_loss = gan.discriminator_loss(discriminator(x), discriminator(old[0]))
    gan.descend(opts["discriminator"], d_loss)

    with frozen(discriminator):
        for part, before in zip(codes, old, strict=True):
            fake = generator(part)
            g_loss = gan.non_saturating_loss(discriminator(fake))
            gan.descend(opts["generator"], g_loss + penalty_weight * (fake - before).square().mean())
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def recorded_step(nets, opts, x, z, penalty_weight):
    """`fresh_step` with the first batch of codes used in every inner step, as Su's code does."""
    return fresh_step(nets, opts, x, z[:, :1].expand_as(z), penalty_weight)


def forces(nets, z, old, penalty_weight):
    """(|gradient of the penalty| / |gradient of -log D|, cosine between them) in the generator's weights, at codes z.

    z: (n, k), old: (n, d), what the generator before made of z. Returns two 0-d tensors. The cosine is NaN where the
    penalty has no gradient, as at old = G(z).
    """
    filled(z=z)
    loss_weights(penalty_weight=penalty_weight)
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake, weights = generator(z), list(generator.parameters())
    same_shape(fake=fake, old=old)
    losses = gan.non_saturating_loss(discriminator(fake)), penalty_weight * (fake - old).square().mean()
    parts = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
    pull, tie = (torch.cat([part.flatten() for part in gradient]) for gradient in parts)
    return tie.norm() / pull.norm(), (tie @ pull) / (tie.norm() * pull.norm())


# Other ties, and several batches per refresh


def anchored_step(nets, opts, x, z, penalty_weight=5.0, decay=0.99):
    """`dcgan.step` with the generator tied to its own moving average nets["anchor"], which lags: the tie always acts.

    x: (n, ...), z: (n, k). After the step the weights of the anchor are decay times their own plus 1 - decay times the
    generator's.
    """
    loss_weights(penalty_weight=penalty_weight)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is the share that the anchor keeps of itself, from 0 to 1, not {decay}")
    generator, discriminator, anchor = nets["generator"], nets["discriminator"], nets["anchor"]
    if anchor is generator:
        raise ValueError("the anchor is a copy of the generator: copy.deepcopy(nets['generator'])")
    fake = generator(z)
    d_loss = gan.discriminator_loss(discriminator(x), discriminator(fake.detach()))
    gan.descend(opts["discriminator"], d_loss)

    with frozen(discriminator):
        with torch.no_grad():
            before = anchor(z)
        g_loss = gan.non_saturating_loss(discriminator(fake))
        gan.descend(opts["generator"], g_loss + penalty_weight * (fake - before).square().mean())
    with torch.no_grad():
        torch._foreach_lerp_(list(anchor.parameters()), list(generator.parameters()), 1 - decay)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def phase(nets, opts, x, played, answered, penalty_weight):
    """Su's second experiment: a step of D per batch, then two of G per batch, all tied to the generator before them.

    x: (batches, n, ...) data; played, answered: (batches, n, k), the codes that D and G see.
    """
    loss_weights(penalty_weight=penalty_weight)
    filled(x=x, played=played, answered=answered)
    generator, discriminator = nets["generator"], nets["discriminator"]
    for real, codes in zip(x, played, strict=True):
        with torch.no_grad():
            fake = generator(codes)
        d_loss = gan.discriminator_loss(discriminator(real), discriminator(fake))
        gan.descend(opts["discriminator"], d_loss)

    with frozen(discriminator):
        with torch.no_grad():
            old = [generator(codes) for codes in answered]
        for codes, before in zip(answered, old, strict=True):
            for _ in range(2):
                fake = generator(codes)
                g_loss = gan.non_saturating_loss(discriminator(fake))
                gan.descend(opts["generator"], g_loss + penalty_weight * (fake - before).square().mean())
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def recorded_phase(nets, opts, x, z, penalty_weight, batches=5):
    """`phase` in which G answers on the codes that D saw. x: (batches * n, ...), z: (batches * n, 2, k)."""
    draws_of_each(2, z=z)
    same_rows(x=x, z=z)
    codes = z[:, 0].unflatten(0, (batches, -1))  # (batches, n, k)
    return phase(nets, opts, x.unflatten(0, (batches, -1)), codes, codes, penalty_weight)


def fresh_phase(nets, opts, x, z, penalty_weight, batches=5):
    """`phase` in which G answers on codes of its own. x: (batches * n, ...), z: (batches * n, 2, k)."""
    draws_of_each(2, z=z)
    same_rows(x=x, z=z)
    played, answered = z.unflatten(0, (batches, -1)).unbind(2)  # (batches, n, k) each
    return phase(nets, opts, x.unflatten(0, (batches, -1)), played, answered, penalty_weight)


# Collapse, by a rule fixed before any run


def collapsed(covered, quality, every, patience=500, share=0.1):
    """Did a run collapse? Modes below half their own maximum so far for `patience` steps, or a final share below `share`.

    covered, quality: modes and high-quality share, one entry per `every` generator steps, in order. A low entry stands for
    the `every` steps before it, so few looks make the rule quick: with one every 250 steps two low ones in a row suffice.
    """
    if len(covered) != len(quality) or not len(quality):
        raise ValueError(f"covered and quality need one entry per moment, and have {len(covered)} and {len(quality)}")
    if any(value != value for value in (*covered, *quality)):
        raise ValueError("covered or quality holds NaN, of which nothing follows; score that run again")
    positive(every=every, patience=patience)
    best, low = 0, 0
    for now in covered:
        best = max(best, now)
        low = low + every if now < best / 2 else 0
        if low >= patience:
            return True
    return bool(quality[-1] < share)
