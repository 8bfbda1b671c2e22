"""Chapter 09: code and data in one game. ALI (BiGAN), the term that Su's derivation drops, and the loss that keeps it.

Tables P = p(x)p(z|x) and Q = q(z)q(x|z) are float64 joints (n, k), x along dim 0 and z along dim 1; M = (P + Q)/2.
D(x,z) = p(y=1|x,z) is the probability that a pair is the encoder's, and at its best P/(P + Q). Losses are functions of
the logit of D. An encoder's loss is averaged over P, a generator's over Q.
Shapes: joint, p_joint, q_joint, p_old, q_old, log_p and log_q (n, k), logit and p_logit (n, ...), data x (n, ...),
codes z (n, k), noise (n, 3, k). Losses and divergences are 0-d tensors.
"""

import functools
import itertools
import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import softplus

from gentools import gan, vae
from gentools.conditional_gan import conditional_gradient
from gentools.gan import best_logit, descend, discriminator_loss, non_saturating_loss, saturating_loss
from gentools.lab import randomness
from gentools.lab.divergences import kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.shapes import (
    distributions,
    draws_of_each,
    filled,
    finite,
    in_this_order,
    loss_weights,
    modes_kept,
    of_two_axes,
    positive,
    same_columns,
    same_rows,
    same_shape,
    without_batchnorm,
)

# The joints, exactly


def divergence(p_joint, q_joint):
    """2 KL(M || P) in nats: twice the joint KL, once D is at its best. (9.2)"""
    same_shape(p_joint=p_joint, q_joint=q_joint)
    return 2 * kl((p_joint + q_joint) / 2, p_joint)


def four_terms(p_joint, q_joint, p_old, q_old):
    """Su's (40) as a vector: E_P[-log D], E_Q[-log D], KL(Q || Q_o), E_Q[log P_o/P]; D is exact for the old pair. (9.3)

    The prior and the data stay, so the third is E_q(z) KL(q(x|z) || q_o(x|z)), and the last is E_Q log p_o(z|x)/p(z|x).
    A pair that never occurs adds nothing to a mean; one that does and has a 0 in the logarithm makes it infinite.
    """
    same_shape(p_joint=p_joint, q_joint=q_joint, p_old=p_old, q_old=q_old)
    distributions(p_joint=p_joint, q_joint=q_joint, p_old=p_old, q_old=q_old)
    minus_log_d = softplus(-best_logit(p_old, q_old))
    means = [(p_joint, minus_log_d), (q_joint, minus_log_d)]
    means += [(q_joint, best_logit(q_joint, q_old)), (q_joint, best_logit(p_old, p_joint))]
    return torch.stack([(joint[joint != 0] * of[joint != 0]).sum() for joint, of in means])


def encoder_gradient(functional, p_x, p_z_given_x):
    """Gradient of functional(P) in the logits of every p(z|x), with the data held; shape (n, k)."""
    of_two_axes(p_z_given_x=p_z_given_x)
    same_rows(p_x=p_x, p_z_given_x=p_z_given_x)
    distributions(p_x=p_x)
    distributions(dim=1, p_z_given_x=p_z_given_x)
    positive(p_z_given_x_summed=p_z_given_x.sum(1))
    return conditional_gradient(lambda joint: functional(joint.T), p_x, p_z_given_x.T).T


def generator_gradient(functional, q_z, q_x_given_z):
    """Gradient of functional(Q) in the logits of every q(x|z), with the prior held; shape (n, k)."""
    of_two_axes(q_x_given_z=q_x_given_z)
    same_columns(q_z=q_z, q_x_given_z=q_x_given_z)
    distributions(q_z=q_z)
    distributions(dim=0, q_x_given_z=q_x_given_z)
    positive(q_x_given_z_summed=q_x_given_z.sum(0))
    return conditional_gradient(functional, q_z, q_x_given_z)


def expected(loss, joint, logit):
    """The mean of a loss over the pairs of a joint, from the logit at each pair."""
    same_shape(joint=joint, logit=logit)
    return gan.expected(loss, joint.flatten(), logit.flatten())


def values(loss, logit):
    """The loss at each logit of a table, shape (n, k): its functional derivative in the joint, up to a constant."""
    return torch.vmap(loss)(logit.flatten()).view_as(logit)


def fisher_product(p_joint, f, g):
    """E_p(x) Cov_p(z|x)(f, g): product of two encoder gradients in the Fisher metric, by their derivatives. (9.6)"""
    same_shape(p_joint=p_joint, f=f, g=g)
    of_two_axes(p_joint=p_joint)
    distributions(p_joint=p_joint)
    positive(p_x=p_joint.sum(1))
    p_x = p_joint.sum(1, keepdim=True)
    weight = p_joint / p_x
    centered = f - (weight * f).sum(1, keepdim=True)
    return (p_joint * centered * g).sum()


# Losses, from logits


def kl_encoder_loss(p_logit):
    """E_P[-log D - 1/D], the encoder's side of the joint KL. At D* it descends 2 KL(M || P). (9.7)

    Its slope in the logit is (1-D)^2/D and has no bound where D is sure of the encoder's failure; see `tamed`.
    """
    filled(p_logit=p_logit)
    return (softplus(-p_logit) - torch.exp(-p_logit)).mean() - 1


def tamed(p_logit, floor=-2.0):
    """`kl_encoder_loss`, continued as a straight line below `floor`, so that one pair cannot own the batch."""
    if not -80 <= floor <= 80:
        raise ValueError(f"floor is a logit from -80 to 80, where a float can hold the slope, not {floor}")
    held = p_logit.clamp(min=floor)
    steepest = math.exp(-floor) / (1 + math.exp(floor))
    return kl_encoder_loss(held) + steepest * (p_logit - held).mean()


def minimax_encoder_loss(p_logit):
    """E_P log D, the encoder's side of the minimax game, Su's (42). At D* it descends 2 JS(P, Q). (9.9)"""
    filled(p_logit=p_logit)
    return -non_saturating_loss(p_logit)


def swapped_encoder_loss(p_logit):
    """E_P[-log(1-D)]: the encoder with the label exchanged, Su's (43). At D* it descends 2 KL(M || Q). (9.9)"""
    filled(p_logit=p_logit)
    return -saturating_loss(p_logit)


LOSSES = {  # name: (encoder's loss over P, generator's loss over Q)
    "joint KL": (kl_encoder_loss, non_saturating_loss),
    "truncated": (non_saturating_loss, non_saturating_loss),  # Su's (41)
    "minimax": (minimax_encoder_loss, saturating_loss),
    "swapped": (swapped_encoder_loss, non_saturating_loss),
}


# The exact game


def exact_step(w, p_z_given_x, q_x_given_z, losses, step_size):
    """D is made exact, then both players take one gradient step in the logits of their tables; new (p(z|x), q(x|z)).

    w holds the data w.p_x (..., n) and the prior w.q_z (..., k), without zeros, as the tables; many games, stacked in
    front, are played at once.
    """
    loss_weights(step_size=step_size)
    same_shape(p_z_given_x=p_z_given_x, q_x_given_z=q_x_given_z)
    distributions(dim=-1, p_z_given_x=p_z_given_x, p_x=w.p_x, q_z=w.q_z)
    distributions(dim=-2, q_x_given_z=q_x_given_z)
    positive(p_z_given_x=p_z_given_x, q_x_given_z=q_x_given_z, p_x=w.p_x, q_z=w.q_z)
    same_columns(p_x=w.p_x, p_of_one_z_given_x=p_z_given_x[..., 0])
    same_columns(q_z=w.q_z, q_of_one_x_given_z=q_x_given_z[..., 0, :])
    p_joint, q_joint = w.p_x[..., None] * p_z_given_x, w.q_z[..., None, :] * q_x_given_z
    at_p, at_q = (values(loss, best_logit(p_joint, q_joint)) for loss in losses)
    slope_p = p_joint * (at_p - (p_z_given_x * at_p).sum(-1, keepdim=True))
    slope_q = q_joint * (at_q - (q_x_given_z * at_q).sum(-2, keepdim=True))
    p_z_given_x = (p_z_given_x.log() - step_size * slope_p).softmax(-1)
    return p_z_given_x, (q_x_given_z.log() - step_size * slope_q).softmax(-2)


def natural_step(log_p, log_q, w, losses, step_size):
    """The same along the natural gradient: log-probabilities move by the loss itself; new (log p(z|x), log q(x|z)).

    log_p, log_q: (n, k), finite, normalized along dim 1 and dim 0. w: holds the marginals p_x (n,) and q_z (k,).
    """
    loss_weights(step_size=step_size)
    same_shape(log_p=log_p, log_q=log_q)
    same_rows(p_x=w.p_x, log_p=log_p)
    same_columns(q_z=w.q_z, log_q=log_q)
    distributions(p_x=w.p_x, q_z=w.q_z)
    finite("every probability must be above 0", log_p=log_p, log_q=log_q)
    distributions(dim=1, exp_log_p=log_p.detach().exp())
    distributions(dim=0, exp_log_q=log_q.detach().exp())
    logit = w.p_x.log()[:, None] + log_p - w.q_z.log() - log_q
    at_p, at_q = (values(loss, logit) for loss in losses)
    return (log_p - step_size * at_p).log_softmax(1), (log_q - step_size * at_q).log_softmax(0)


def local_factors(joint, losses, step_size):
    """By what a natural step multiplies small deviations from P = Q = joint: moduli of eigenvalues, ascending. (9.10)"""
    of_two_axes(joint=joint)
    distributions(joint=joint)
    at = SimpleNamespace(p_x=joint.sum(1), q_z=joint.sum(0))
    start = torch.stack([(joint / at.p_x[:, None]).log(), (joint / at.q_z).log()])

    def step(logs):
        return torch.stack(natural_step(*logs, at, losses, step_size))

    jacobian = torch.autograd.functional.jacobian(step, start).view(start.numel(), -1)
    finite("P must be positive everywhere, the step size of ordinary size", jacobian=jacobian)  # or LAPACK crashes
    return torch.linalg.eigvals(jacobian).abs().sort().values


def correlations(joint):
    """How well a function of z can follow a function of x: canonical correlations, descending, k - 1 of them.

    They are the singular values of P/sqrt(p(x) p(z)) after the first, which is 1; zeros fill up where z has more values
    than x. The first returned is the maximal correlation of x and z, 1 if part of the code tells part of x for sure.
    """
    of_two_axes(joint=joint)
    distributions(joint=joint)
    positive(p_x=joint.sum(1), p_z=joint.sum(0))
    n, k = joint.shape
    found = torch.linalg.svdvals(joint / (joint.sum(1, keepdim=True) * joint.sum(0)).sqrt())
    return torch.cat([found, found.new_zeros(max(0, k - n))])[1:]


# Networks


class GaussianEncoder(vae.Encoder):
    """p(z|x) = N(mean, sigma^2) with a density. sigma stays within e^-4 and e^4, so that no loss can drive it away."""

    def forward(self, x, noise):
        """x (n, ...), noise (n, k) -> a code for each row, (n, k)."""
        return vae.sample(*self.moments(x), noise)

    def moments(self, x):
        """Mean and log-variance of p(z|x), both (n, k)."""
        mean, raw = super().forward(x)
        return mean, 8 * torch.tanh(raw / 8)

    def log_density(self, z, x):
        """log p(z|x) of codes z (n, k), one for each row of x (n, ...), in nats: (n,)."""
        return vae.log_normal(z, *self.moments(x))


class ImplicitEncoder(nn.Module):
    """z = net([x, noise]): a sampler of p(z|x) without a density, as ALI's toy experiment has it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, noise):
        """x (n, ...), noise (n, k) -> a code for each row, (n, k)."""
        return self.net(torch.cat([x.flatten(1), noise], 1))


class PlainEncoder(ImplicitEncoder):
    """z = net(x): BiGAN's deterministic encoder. It takes the noise and leaves it alone."""

    def forward(self, x, noise):
        """x (n, ...) -> a code for each row, (n, k)."""
        return self.net(x.flatten(1))


class Generator(nn.Module):
    """x = net(z) + noise_std * noise: q(x|z) is a Gaussian and Q has a density, unless noise_std is 0."""

    def __init__(self, net, noise_std=0.0):
        super().__init__()
        loss_weights(noise_std=noise_std)
        self.net, self.noise_std = net, noise_std

    def forward(self, z, noise=None):
        """z (n, k) and noise (n, d), left out for the mean -> x (n, d)."""
        x = self.net(z)
        if noise is None or not self.noise_std:
            return x
        same_shape(x=x, noise=noise)
        return x + self.noise_std * noise


class PairDiscriminator(nn.Module):
    """The logit of D(x, z): `net` sees x and z side by side."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, z):
        """x (n, ...), z (n, k) -> logits (n, 1)."""
        return self.net(torch.cat([x.flatten(1), z], 1))


def assemble(encoder, generator, discriminator):
    """The networks of this chapter: the players move together, so they share one optimizer."""
    players = nn.ModuleDict({"encoder": encoder, "generator": generator})
    return nn.ModuleDict({"players": players, "discriminator": discriminator})


def toy_networks(seed, width=128, noise_std=0.05):
    """For points in the plane, two hidden ReLU layers each: Gaussian encoder, generator with noise, discriminator."""
    start = {name: randomness.generator(seed, name) for name in ("encoder", "generator", "discriminator")}
    hidden = [width, width]
    return assemble(
        GaussianEncoder(mlp([2, *hidden, 4], generator=start["encoder"])),
        Generator(mlp([2, *hidden, 2], generator=start["generator"]), noise_std),
        PairDiscriminator(mlp([4, *hidden, 1], generator=start["discriminator"])),
    )


def implicit_networks(seed, width=128):
    """As `toy_networks`, but in ALI's way: noise enters the encoder, and the generator has none."""
    nets = toy_networks(seed, width, 0.0)
    net = mlp([4, width, width, 2], generator=randomness.generator(seed, "encoder"))
    nets["players"]["encoder"] = ImplicitEncoder(net)
    return nets


def normalized(sizes):
    """Linear layers with BatchNorm and ReLU between them, and no bias where BatchNorm follows."""
    layers = []
    for n, m in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(n, m, bias=False), nn.BatchNorm1d(m, momentum=0.05), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def ali_networks(seed):
    """ALI's own toy networks (Dumoulin et al. 2016): encoder 4-400-400-2, generator 2-400x4-2, maxout discriminator.

    BatchNorm with averages 0.95/0.05 in the players, none in the discriminator; weights N(0, 0.02^2).
    """
    maxout = [gan.Maxout(4, 200), gan.Maxout(200, 200), gan.Maxout(200, 200), nn.Linear(200, 1)]
    nets = assemble(
        ImplicitEncoder(normalized([4, 400, 400, 2])),
        Generator(normalized([2, 400, 400, 400, 400, 2])),
        PairDiscriminator(nn.Sequential(*maxout)),
    )
    return _small_start(nets, seed)


def image_networks(seed, pixels=784, latent=50, width=1024):
    """BiGAN's networks for MNIST (Donahue et al. 2016), deterministic: encoder and generator with BatchNorm.

    Two hidden layers of `width` each; the paper's z enters at every layer of generator and discriminator, here once.
    """
    leaky = functools.partial(nn.LeakyReLU, 0.2)
    nets = assemble(
        PlainEncoder(normalized([pixels, width, width, latent])),
        Generator(nn.Sequential(normalized([latent, width, width, pixels]), nn.Sigmoid())),
        PairDiscriminator(mlp([pixels + latent, width, width, 1], leaky)),
    )
    return _small_start(nets, seed)


def _small_start(nets, seed):
    """Weights N(0, 0.02^2) and biases 0, as in DCGAN, BiGAN and ALI."""
    rng = randomness.generator(seed, "small start")
    for layer in nets.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.02, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nets


# Steps


def pairs(nets, x, noise):
    """A pair of each kind per row: (x, code) from the encoder and (fake, z) from the generator.

    noise (n, 3, k) is the prior's draw z, the encoder's noise and the generator's; the last is used where k = d only.
    """
    same_rows(x=x, noise=noise)
    draws_of_each(3, noise=noise)
    z, for_code, for_x = noise.unbind(1)
    in_this_order(nets["players"], "encoder", "generator")
    encoder, generator = nets["players"].values()
    return (x.flatten(1), encoder(x, for_code)), (generator(z, for_x), z)


def step(nets, opts, x, noise, losses=LOSSES["swapped"], last_term=None):
    """One alternating step: the discriminator, then both players together against the discriminator just updated.

    losses: the encoder's and the generator's, such as LOSSES["minimax"] or (tamed, non_saturating_loss). last_term:
    what the encoder's loss adds, such as `density_term`. Both kinds of pairs pass the discriminator together, so it
    must hold no BatchNorm: raises ValueError otherwise. Returns all three losses.
    """
    if isinstance(losses, str):
        raise TypeError(f"losses are a pair of functions, such as ali.LOSSES[{losses!r}]")
    without_batchnorm(discriminator=nets["discriminator"])
    real, fake = pairs(nets, x, noise)
    discriminator, joined = nets["discriminator"], [torch.cat(parts) for parts in zip(real, fake, strict=True)]
    d_loss = discriminator_loss(*discriminator(*(part.detach() for part in joined)).chunk(2))
    descend(opts["discriminator"], d_loss)

    with frozen(discriminator):  # the players' gradient passes through D and leaves none in it
        p_logit, q_logit = discriminator(*joined).chunk(2)
        e_loss, g_loss = losses[0](p_logit), losses[1](q_logit)
        if last_term is not None:
            e_loss = e_loss + last_term(nets["players"]["encoder"], *fake)
        descend(opts["players"], e_loss + g_loss)
    return {"discriminator": d_loss.detach(), "encoder": e_loss.detach(), "generator": g_loss.detach()}


def density_term(encoder, fake, z):
    """E_Q[-log p(z|x)], the last term of (40) as far as the encoder feels it. It needs an encoder with a density."""
    same_rows(fake=fake, z=z)
    filled(fake=fake)
    if not hasattr(encoder, "log_density"):
        raise TypeError(
            f"the density term needs an encoder with a density, and {type(encoder).__name__} is a sampler alone; "
            "the logit form, losses=(tamed, non_saturating_loss), does without"
        )
    return -encoder.log_density(z, fake.detach()).mean()


full_step = functools.partial(step, losses=LOSSES["truncated"], last_term=density_term)  # all of (40)


def inverse_step(nets, opts, x, noise):
    """The encoder as an inverse mapping: descend |z - E(G(z))|^2 with G held; x is not used."""
    filled(noise=noise)
    draws_of_each(3, noise=noise)
    z, for_code, for_x = noise.unbind(1)
    in_this_order(nets["players"], "encoder", "generator")
    encoder, generator = nets["players"].values()
    with torch.no_grad():
        fake = generator(z, for_x)
    loss = (z - encoder(fake, for_code)).square().sum(1).mean()
    descend(opts["players"], loss)
    return {"inverse": loss.detach()}


def autoencoder_step(nets, opts, x, noise):
    """Encoder and generator as a plain autoencoder: descend |x - G(E(x))|^2. No discriminator and no prior."""
    same_rows(x=x, noise=noise)
    draws_of_each(3, noise=noise)
    filled(x=x)
    in_this_order(nets["players"], "encoder", "generator")
    encoder, generator = nets["players"].values()
    rows = x.flatten(1)
    again = generator(encoder(x, noise[:, 1]))
    same_shape(x=rows, reconstruction=again)
    loss = (rows - again).square().sum(1).mean()
    descend(opts["players"], loss)
    return {"reconstruction": loss.detach()}


@torch.no_grad()
@modes_kept
def draw(nets, x, noise):
    """(code, sample, reconstruction) of a batch, with BatchNorm in evaluation mode.

    Code and sample take their noise as in training; the reconstruction G(E(x)) has no noise of the generator.
    """
    players = nets["players"].eval()
    (_, code), (fake, _) = pairs(nets, x, noise)
    reconstruction = players["generator"](code)
    players.train()
    return code, fake, reconstruction
