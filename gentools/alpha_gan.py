"""Chapter 14: a VAE whose two intractable terms are read off discriminators. alpha-GAN (Rosca et al. 2017).

The generator draws x from q(x|z), and so makes two laws of x: q(x) from the prior and rho(x) from the codes of the data,
the reconstructions. l(x|z) is the density behind the reconstruction error, Laplace for an absolute and Gaussian for a
squared one. D(x) is the probability of "data" beside samples and reconstructions, C(z) that of "prior" beside codes.
Tables are float64 with x along dim 0 and z along dim 1. Shapes: p_joint, q_joint, likelihood and q_x_given_z (n, k), q_z
(k,), p_x, q_x and rho_x (n,), rows of data x (n, d), noise z (n, 2, k). Divergences are in nats, 0-d.
"""

import math

import torch
from torch import nn

from gentools import gan, vae
from gentools.age import bend
from gentools.gan import descend, discriminator_loss, kl_loss
from gentools.lab.divergences import cross_entropy, js, kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.randomness import generator
from gentools.lab.shapes import (
    alone,
    distributions,
    flat,
    loss_weights,
    no_negative,
    positive,
    same_rows,
    same_shape,
    vectors,
)

# The joints, exactly


def laws(p_joint, q_x_given_z, q_z):
    """What the generator makes of the prior and of the codes of the data: q(x) and rho(x), each (n,)."""
    same_shape(p_joint=p_joint, q_x_given_z=q_x_given_z)
    vectors(q_z=q_z)
    distributions(p_joint=p_joint, q_z=q_z)
    distributions(0, q_x_given_z=q_x_given_z)
    return q_x_given_z @ q_z, q_x_given_z @ p_joint.sum(0)


def synthetic(p_joint, q_joint):
    """E_P log q(x|z)/p(x) in nats: the likelihood term as a ratio, which a discriminator of pairs would estimate. (14.2)"""
    same_shape(p_joint=p_joint, q_joint=q_joint)
    distributions(p_joint=p_joint, q_joint=q_joint)
    q_z = q_joint.sum(0)
    ratio = q_joint / q_z.where(q_z > 0, 1.0) / p_joint.sum(1, keepdim=True)  # a code that Q never draws explains no x
    return (p_joint * ratio.where(p_joint > 0, 1.0).log()).sum()  # what p never draws costs nothing


def objective(p_joint, likelihood, q_x_given_z, q_z):
    """E_P[-log l(x|z)] + KL(rho || p) + KL(q || p) + KL(p(z) || q(z)): alpha-GAN with a D for each law. (14.5)"""
    same_shape(p_joint=p_joint, likelihood=likelihood)
    distributions(0, likelihood=likelihood)
    p_x = p_joint.sum(1)
    q_x, rho_x = laws(p_joint, q_x_given_z, q_z)
    return cross_entropy(p_joint, likelihood) + kl(rho_x, p_x) + kl(q_x, p_x) + kl(p_joint.sum(0), q_z)


def shared_objective(p_joint, likelihood, q_x_given_z, q_z):
    """The same where one D judges both laws, each counted half: 2 KL((q + rho)/2 || p) in place of the two. (14.6)"""
    same_shape(p_joint=p_joint, likelihood=likelihood)
    distributions(0, likelihood=likelihood)
    p_x = p_joint.sum(1)
    q_x, rho_x = laws(p_joint, q_x_given_z, q_z)
    return cross_entropy(p_joint, likelihood) + 2 * kl((q_x + rho_x) / 2, p_x) + kl(p_joint.sum(0), q_z)


def shared_logit(p_x, q_x, rho_x):
    """The best logit of one D that sees data, samples and reconstructions 2 : 1 : 1, (n,): log p/((q + rho)/2). (14.4)"""
    same_shape(p_x=p_x, q_x=q_x, rho_x=rho_x)
    return gan.best_logit(p_x, (q_x + rho_x) / 2)


def blind(q_x, rho_x):
    """2 JS(q, rho) in nats: by how much two discriminators charge more than a shared one. (14.6)"""
    same_shape(q_x=q_x, rho_x=rho_x)
    return 2 * js(q_x, rho_x)


# What the reconstruction error costs, on Gaussians


def squared_error_scale(correlation, strength):
    """std(q)/std(p) that squared error leaves beside ratio terms, for p(z) = q(z) and corr(x, z) = correlation. (14.9)

    strength: 2 * weight * variance of the data / number of ratio terms, >= 0. The positive root of
    g^2 (strength + 1) - strength * correlation * g - 1 = 0: 1 without reconstruction, and toward the correlation as the
    strength grows. Raises ValueError for a strength below 0 or infinite and a correlation outside [0, 1].
    """
    if not (0 <= strength < math.inf and 0 <= correlation <= 1):
        raise ValueError(f"expected a strength of at least 0 and a correlation in [0, 1]: {strength} and {correlation}")
    pull = strength * correlation / (strength + 1)  # no square of the strength, which may overflow
    return (pull + (pull**2 + 4 / (strength + 1)) ** 0.5) / 2


def linear_objective(decoder, encoder, variance, noise_variance, on_samples=1.0, on_reconstructions=1.0):
    """`objective` on one axis: data N(0, variance), code encoder * x, and x = decoder * z + noise is what D sees. (14.10)

    All 0-d or broadcast together; the weights stand before KL(q || p) and KL(rho || p). Both 0: the adversarial
    autoencoder. Raises ValueError for variances that are not above 0 and for weights below 0.
    """
    positive(variance=variance, noise_variance=noise_variance)
    no_negative(on_samples=torch.as_tensor(on_samples), on_reconstructions=torch.as_tensor(on_reconstructions))
    code = encoder**2 * variance
    lost = (1 - decoder * encoder) ** 2 * variance / noise_variance
    likelihood = ((2 * torch.pi * noise_variance).log() + lost) / 2
    samples, rebuilt = ((decoder**2 * c + noise_variance) / variance for c in (torch.ones_like(code), code))
    return likelihood + on_samples * bend(samples) + on_reconstructions * bend(rebuilt) + bend(code)


# Networks and their steps


def networks(seed, pixels=2, hidden=(128, 128), latent=2):
    """For vectors (n, pixels): a Gaussian "encoder", "generator", "discriminator" and "code discriminator", with ReLU."""
    inner = list(hidden)
    sizes = {
        "generator": [latent, *inner[::-1], pixels],
        "discriminator": [pixels, *inner, 1],
        "code discriminator": [latent, *inner, 1],
    }
    nets = {name: mlp(size, generator=generator(seed, name)) for name, size in sizes.items()}
    return nn.ModuleDict({"encoder": vae.networks(seed, pixels, hidden, latent)["encoder"], **nets})


def image_networks(seed, pixels=784, hidden=(256, 256), latent=32):
    """`networks` whose generator ends in a sigmoid, for images as rows (n, pixels) with gray values in [0, 1]."""
    nets = networks(seed, pixels, hidden, latent)
    nets["generator"] = nn.Sequential(nets["generator"], nn.Sigmoid())
    return nets


def players(nets):
    """What each optimizer moves, {name: module}: encoder and generator are one player, the "autoencoder"."""
    judges = {name: net for name, net in nets.items() if "discriminator" in name}
    return {"autoencoder": nn.ModuleList([nets["encoder"], nets["generator"]]), **judges}


def attempt(nets, x, z):
    """Codes of x (n, d), draws of the prior, each (n, k), and what the generator makes of both, (2n, d); z (n, 2, k)."""
    flat(x=x)
    same_rows(x=x, z=z)
    if z.ndim != 3 or z.shape[1] != 2:
        raise ValueError(f"z holds two draws for each row, (n, 2, k), and has the shape {tuple(z.shape)}")
    noise, draw = z.unbind(1)  # (n, k) each
    code = vae.sample(*nets["encoder"](x), noise)  # (n, k)
    return code, draw, nets["generator"](torch.cat([code, draw]))  # reconstructions, then samples


def autoencoder_step(nets, opts, x, code, fakes, reconstruction_weight):
    """Encoder and generator on one loss: x (n, d), code (n, k), fakes (2n, d). Returns error and what is paid to D and C."""
    loss_weights(reconstruction_weight=reconstruction_weight)
    same_shape(x=x, reconstructions=fakes[: len(x)])
    with frozen(nets["discriminator"]), frozen(nets["code discriminator"]):
        lost = (x - fakes[: len(x)]).abs().flatten(1).sum(1).mean()
        passed = 2 * kl_loss(nets["discriminator"](fakes)) + kl_loss(nets["code discriminator"](code))
        descend(opts["autoencoder"], reconstruction_weight * lost + passed)
    return {"reconstruction": lost.detach(), "passed": passed.detach()}


def step(nets, opts, x, z, reconstruction_weight=1.0):
    """Both discriminators, then encoder and generator together on one loss. (14.8)

    x: data (n, d). z: noise (n, 2, k), for the codes and for draws of the prior. opts: one for each of `players`. The
    error is absolute, summed over d.
    """
    loss_weights(reconstruction_weight=reconstruction_weight)
    discriminator, code_discriminator = nets["discriminator"], nets["code discriminator"]
    code, draw, fakes = attempt(nets, x, z)
    d_loss = discriminator_loss(discriminator(x), discriminator(fakes.detach()))
    descend(opts["discriminator"], d_loss)
    c_loss = discriminator_loss(code_discriminator(draw), code_discriminator(code.detach()))
    descend(opts["code discriminator"], c_loss)

    found = autoencoder_step(nets, opts, x, code, fakes, reconstruction_weight)
    return {"discriminator": d_loss.detach(), "code discriminator": c_loss.detach(), **found}


def repeated_step(nets, opts, x, z, reconstruction_weight=1.0):
    """`step`, then one more step of encoder and generator for each further pair of draws: x (n, d), z (n, 2m, k)."""
    if z.ndim != 3 or z.shape[1] % 2 or not z.shape[1]:
        raise ValueError(f"z holds pairs of draws for each row, (n, 2m, k), and has the shape {tuple(z.shape)}")
    first, *more = z.unflatten(1, (-1, 2)).unbind(1)  # (n, 2, k) each
    found = step(nets, opts, x, first, reconstruction_weight)
    for pair in more:
        code, _, fakes = attempt(nets, x, pair)
        found |= autoencoder_step(nets, opts, x, code, fakes, reconstruction_weight)
    return found


def separate_networks(seed, pixels=784, hidden=(256, 256), latent=32):
    """`image_networks` and a "reconstruction discriminator", for `separate_step`."""
    nets = image_networks(seed, pixels, hidden, latent)
    nets["reconstruction discriminator"] = mlp([pixels, *hidden, 1], generator=generator(seed, "second discriminator"))
    return nets


def separate_step(nets, opts, x, z, reconstruction_weight=1.0):
    """`step` with a discriminator for samples and another one for reconstructions; x (n, d), z (n, 2, k). (14.5)"""
    loss_weights(reconstruction_weight=reconstruction_weight)
    code, draw, fakes = attempt(nets, x, z)
    back, made = fakes.chunk(2)  # (n, d) each
    tried = {
        "discriminator": (x, made),
        "reconstruction discriminator": (x, back),
        "code discriminator": (draw, code),
    }
    found = {}
    for name, (real, fake) in tried.items():
        loss = discriminator_loss(nets[name](real), nets[name](fake.detach()))
        descend(opts[name], loss)
        found[name] = loss.detach()

    with frozen(nn.ModuleList([nets[name] for name in tried])):
        lost = (x - back).abs().flatten(1).sum(1).mean()
        passed = sum(kl_loss(nets[name](fake)) for name, (_, fake) in tried.items())
        descend(opts["autoencoder"], reconstruction_weight * lost + passed)
    return {**found, "reconstruction": lost.detach(), "passed": passed.detach()}


@torch.no_grad()
def rebuilt(nets, x, noise):
    """Reconstructions (n, d) of x (n, d) from one code each; noise (n, k)."""
    flat(x=x)
    alone(encoder=nets["encoder"], generator=nets["generator"])
    same_rows(x=x, noise=noise)
    return nets["generator"](vae.sample(*nets["encoder"](x), noise))
