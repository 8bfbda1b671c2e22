"""Chapter 08: x and z exchanged. The adversarial autoencoder: a discriminator on codes in place of the KL term.

Tables are float64 joints (n, k) with x along dim 0 and z along dim 1: P = p(x)p(z|x) and Q = q(z)q(x|z). The label y is 1
for a draw of the prior and 0 for a code of the data, so D(z) = p(y=1|z) is the probability of "prior". A prior turns
standard normal noise (n, 3) into points of the plane (n, 2); `nets` holds "encoder", "decoder" and "discriminator".
Shapes: d, p_z and q_z (k,), p_joint and q_joint (n, k), rows of data x (n, ...), their noise z (n, k + 3), the noise
of a prior (n, 3), classes c (n,). Functions of tables return 0-d tensors.
"""

import math

import torch
from torch import nn

from gentools import gan, vae
from gentools.conditional_gan import look_up, one_hot
from gentools.gan import descend, discriminator_loss, non_saturating_loss
from gentools.lab.divergences import cross_entropy, kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.randomness import generator
from gentools.lab.shapes import (
    distributions,
    filled,
    finite,
    floating,
    labels_within,
    loss_weights,
    noise_told_apart,
    of_width,
    same_columns,
    same_shape,
    told_apart,
    whole,
)

CLASSES = 10
NOISE = 3  # standard normal numbers that a prior turns into one point of the plane

# The joints, exactly


def code_game(p_z, q_z, d):
    """KL(p(z,y) || q(z,y)) in nats: the GAN of chapter 5 with the prior as data and the codes as model. (8.1)"""
    return gan.joint_kl(q_z, p_z, d)


def reconstruction(p_joint, q_joint):
    """E_P[-log q(x|z)] in nats."""
    same_shape(p_joint=p_joint, q_joint=q_joint)
    distributions(p_joint=p_joint, q_joint=q_joint)
    q_z = q_joint.sum(0)
    return cross_entropy(p_joint, torch.where(q_z > 0, q_joint / q_z, 0.0))  # a code that Q never draws explains no x


def objective(p_joint, q_joint):
    """E_P[-log q(x|z)] + KL(p(z) || q(z)): what is left of the joint KL without I(x; z). (8.2)"""
    return reconstruction(p_joint, q_joint) + kl(p_joint.sum(0), q_joint.sum(0))


def usual_objective(p_joint, q_joint):
    """E_P[-log q(x|z)] + 2 KL(m || q(z)), m the mean of p(z) and q(z): what -log D at its best leaves. (8.3)"""
    p_z, q_z = p_joint.sum(0), q_joint.sum(0)
    return reconstruction(p_joint, q_joint) + 2 * kl((p_z + q_z) / 2, q_z)


# Priors in the plane, from standard normal noise


def normal(noise, c=None):
    """N(0, I), whatever the class."""
    of_width(NOISE, noise=noise)
    return noise[:, :2]


def _turned(radial, across, angle):
    return torch.stack([radial * angle.cos() - across * angle.sin(), radial * angle.sin() + across * angle.cos()], 1)


def _class(noise, c):
    """The class, drawn from the third number of the noise where none is given."""
    if c is None:
        return (torch.special.ndtr(noise[:, 2]) * CLASSES).long().clamp(0, CLASSES - 1)
    return labels_within(c, CLASSES, len(noise))


PETAL = (2.0, 0.5, 0.15)  # distance of the centers from the origin, std along the radius, std across it


def petals(noise, c=None):
    """Ten equal Gaussians around the origin, each stretched along its radius (Makhzani et al. 2015); component c."""
    of_width(NOISE, noise=noise)
    radius, along, across = PETAL
    angle = 2 * math.pi / CLASSES * _class(noise, c).to(noise.dtype)
    return _turned(radius + along * noise[:, 0], across * noise[:, 1], angle)


def petals_log_density(z):
    """log q(z) of `petals` without a class, in nats, shape (n,)."""
    of_width(2, z=z)
    radius, along, across = PETAL
    angle = -2 * math.pi / CLASSES * torch.arange(CLASSES, device=z.device, dtype=z.dtype)
    turned = torch.stack([_turned(z[:, 0], z[:, 1], a) for a in angle], 1)
    scaled = (turned - turned.new_tensor([radius, 0.0])) / turned.new_tensor([along, across])
    log_each = -scaled.square().sum(2) / 2 - math.log(2 * math.pi * along * across)
    return torch.logsumexp(log_each, 1) - math.log(CLASSES)


def swiss_roll(noise, c=None):
    """A spiral from the angle 0.6 pi to 3 pi with a little width, cut into ten stretches of equal length; stretch c."""
    of_width(NOISE, noise=noise)
    share = (_class(noise, c) + torch.special.ndtr(noise[:, 0])) / CLASSES
    turns = (0.04 + 0.96 * share).sqrt()  # equal lengths of arc, nearly: the radius grows like the root
    angle = 3 * math.pi * turns
    return _turned(2.7 * turns + 0.08 * noise[:, 1], torch.zeros_like(turns), angle)


# Networks and their step


class PointEncoder(nn.Module):
    """A deterministic encoder: p(z|x) is a point, a Gaussian of log-variance minus infinity."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        """x (n, ...) -> code (n, k), log-variance (n, k)."""
        mean = self.net(x.flatten(1))
        return mean, torch.full_like(mean, -math.inf)


class Discriminator(nn.Module):
    """Logit of "prior" for codes, with the class beside the code if it sees classes."""

    def __init__(self, net, classes=0):
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, z, c=None):
        """z (n, k), classes (n,) if they are seen -> logit (n, 1). Raises ValueError for classes that are not seen."""
        if c is not None and not self.classes:
            raise ValueError("the discriminator sees no classes: networks(..., classes=10) makes one that does")
        return self.net(z if not self.classes else torch.cat([z, look_up(one_hot(self.classes).to(z), c, len(z))], 1))


def networks(seed, pixels=784, hidden=(1000, 1000), latent=2, noisy=True, classes=0):
    """Encoder, Bernoulli decoder and a discriminator of the same widths. The defaults are the AAE paper's widths.

    noisy: an encoder with Gaussian codes, as in chapter 3, otherwise a `PointEncoder`. classes: how many classes the
    discriminator sees beside the code, 0 for none.
    """
    whole(least=0, classes=classes)
    nets = vae.networks(seed, pixels, hidden, latent)
    if not noisy:
        nets["encoder"] = PointEncoder(mlp([pixels, *hidden, latent], generator=generator(seed, "encoder")))
    rng = generator(seed, "discriminator")
    nets["discriminator"] = Discriminator(mlp([latent + classes, *hidden, 1], generator=rng), classes)
    return nets


def step(nets, opts, x, z, prior=normal, weight=1.0):
    """One step: the discriminator tells draws of the prior from codes; then the autoencoder rebuilds x and passes for it.

    x: images, or images and classes if the discriminator sees classes. z: noise (n, k + 3), for codes and prior.
    weight: of the discriminator's verdict against -log q(x|z) in nats; 1 is the joint KL's own. Raises ValueError for a
    weight below 0, NaN or infinite.
    """
    loss_weights(weight=weight)
    x, *c = x if isinstance(x, (tuple, list)) else (x,)
    noise, draw = z[:, :-NOISE], prior(z[:, -NOISE:], *c)
    code = vae.sample(*nets["encoder"](x), noise)
    discriminator = nets["discriminator"]
    d_loss = discriminator_loss(discriminator(draw, *c), discriminator(code.detach(), *c))
    descend(opts["discriminator"], d_loss)

    with frozen(discriminator):  # the encoder's gradient passes through D and leaves none in it
        rebuilt = -nets["decoder"].log_likelihood(x, code).mean()
        passed = non_saturating_loss(discriminator(code, *c))
        descend(opts["autoencoder"], rebuilt + weight * passed)
    return {"discriminator": d_loss.detach(), "reconstruction": rebuilt.detach(), "encoder": passed.detach()}


def sampled_vae_step(nets, opts, x, z, log_prior):
    """A step of the VAE for any prior with a density: KL(p(z|x) || q(z)) estimated at the one sampled code.

    Raises ValueError for a `PointEncoder`.
    """
    filled(x=x)
    if isinstance(nets["encoder"], PointEncoder):
        raise ValueError("KL(p(z|x) || q(z)) is infinite for point codes: networks(..., noisy=True) makes noisy ones")
    mean, log_variance = nets["encoder"](x)
    code = vae.sample(mean, log_variance, z[:, :-NOISE])
    rebuilt = -nets["decoder"].log_likelihood(x, code).mean()
    kl_term = (vae.log_normal(code, mean, log_variance) - log_prior(code)).mean()
    descend(opts["autoencoder"], rebuilt + kl_term)
    return {"reconstruction": rebuilt.detach(), "kl": kl_term.detach()}


# Measurements


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'| of two samples (n, d), (m, d): 0 in the limit exactly if the laws agree.

    Szekely and Rizzo 2013. Each sample's distances to itself are left out, so two samples of one law average 0.
    """
    floating(a=a, b=b)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(
            f"a and b must be points (n, d) and (m, d), not of shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if torch.float16 in (a.dtype, b.dtype) or torch.bfloat16 in (a.dtype, b.dtype):
        raise ValueError("in half precision the sum over all pairs overflows or loses its digits; use .float()")
    same_columns(a=a, b=b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a distance within a sample needs two points at least; there are {len(a)} and {len(b)}")
    if a.dtype != b.dtype:
        raise ValueError(f"a and b must be of one precision, not {a.dtype} and {b.dtype}; .double() makes them so")
    told_apart(a=(a, a.var(0).sum()), b=(b, b.var(0).sum()))

    def inside(x):
        return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))

    return 2 * torch.cdist(a, b).mean() - inside(a) - inside(b)


@torch.no_grad()
def split_kl_term(mean, log_variance, noise, log_prior, chunk=1000):
    """I(x; z) and KL(p(z) || q(z)) in nats, for x one of the n images whose Gaussian codes are given; p(z) is their mixture.

    mean, log_variance, noise (n, k): one sampled code per image. The two add up to E KL(p(z|x) || q(z)), estimated at
    the same codes; I is at most about log n, whatever the encoder, so read it with the n that it was measured on.
    Raises ValueError for the codes of a `PointEncoder`, for which I is log n and the other term infinite, for no images, and
    where densities of sharp codes overflow. Before that, codes with less noise than their precision can tell beside the
    mean, which in single precision begins at log-variances of about -30, give a warning: use .double().
    """
    same_shape(mean=mean, log_variance=log_variance, noise=noise)
    if not len(mean):
        raise ValueError("there must be at least one image")
    finite("for point codes I(x; z) is log n, and KL(p(z) || q(z)) is infinite", log_variance=log_variance)
    z = vae.sample(mean, log_variance, noise)
    own = vae.log_normal(z, mean, log_variance)
    mixed = torch.cat([vae.log_normal(rows[:, None], mean, log_variance).logsumexp(1) for rows in z.split(chunk)])
    finite("the codes are sharper than their precision can tell: use .double()", own=own, mixed=mixed)
    noise_told_apart(mean, log_variance)
    mixed = mixed - math.log(len(mean))
    return (own - mixed).mean(), (mixed - log_prior(z)).mean()


def log_normal_prior(z):
    """log N(z; 0, I), shape (n,)."""
    return vae.log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
