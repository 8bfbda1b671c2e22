"""Chapter 04: the variational autoencoder with labels. A prior mean per class, and the standard conditional VAE.

`nets` is a ModuleDict of three parts that are called with the label y (n,), whole numbers below `classes`:
prior(y) = mean of q(z|y), whose covariance is I; encoder(x, y) = mean and log-variance of p(z|x,y); and a decoder with
decoder(z, y) = mean of q(x|z,y) and decoder.log_likelihood(x, z, y). A part that does not look at y is `Blind`.
Shapes and units are those of chapter 03: codes (n, k), log-likelihoods and divergences in nats, one per row.
"""

import torch
from torch import nn

from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.shapes import (
    distributions,
    filled,
    labels_within,
    loss_weights,
    no_negative,
    same_columns,
    same_rows,
    same_shape,
    vectors,
    whole,
    within_unit,
)

# Labels


def one_hot(y, classes):
    """Labels (n,) as rows (n, classes) of 0 and one 1, float32. Raises ValueError on anything but labels in range."""
    if y.ndim != 1 or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"labels are whole numbers of shape (n,), not {y.dtype} of shape {tuple(y.shape)}")
    if len(y) and not (y.min() >= 0 and y.max() < classes):
        raise ValueError(f"labels run from 0 to {classes - 1}, and these from {int(y.min())} to {int(y.max())}")
    return nn.functional.one_hot(y.long(), classes).float()


def with_label(rows, y, classes):
    """Rows (n, ...) flattened, with the one-hot label appended: (n, d + classes). Raises ValueError on unequal n."""
    label = one_hot(y, classes)
    if len(rows) != len(label):
        raise ValueError(f"there are {len(rows)} rows and {len(label)} labels")
    return torch.cat([rows.flatten(1), label.to(rows.dtype)], 1)


# The parts of the three models


class Blind(nn.Module):
    """An encoder or decoder of chapter 03, which does not see the label."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, rows, y):
        """rows (n, ...) and labels (n,), which do not count -> what the part of chapter 03 returns, (n, ...)."""
        return self.part(rows)

    def log_likelihood(self, x, z, y):
        """log q(x|z) in nats: x (n, ...), z (n, k), labels (n,) -> (n,)."""
        return self.part.log_likelihood(x, z)


class Labeled(nn.Module):
    """An encoder or decoder of chapter 03 whose input has the label appended."""

    def __init__(self, part, classes):
        super().__init__()
        self.part, self.classes = part, classes

    def forward(self, rows, y):
        """rows (n, d) and labels (n,) -> what the part returns for rows (n, d + classes)."""
        return self.part(with_label(rows, y, self.classes))

    def log_likelihood(self, x, z, y):
        """log q(x|z,y) in nats: x (n, ...), z (n, k), labels (n,) -> (n,)."""
        return self.part.log_likelihood(x, with_label(z, y, self.classes))


class ClassMeans(nn.Module):
    """q(z|y) = N(means[y], I): one learned mean per class, 0 at the start."""

    def __init__(self, classes, latent):
        super().__init__()
        self.means = nn.Parameter(torch.zeros(classes, latent))

    def forward(self, y):
        """Labels (n,) -> prior means (n, k)."""
        return one_hot(y, len(self.means)).to(self.means.dtype) @ self.means


class CommonPrior(nn.Module):
    """q(z|y) = N(0, I) for every class."""

    def forward(self, y):
        """0, which broadcasts against means (n, k)."""
        return torch.zeros((), device=y.device)


def plain_networks(seed, pixels=784, hidden=(400,), latent=20, decoder=vae.Bernoulli):
    """Chapter 03's VAE in the clothes of this chapter: no part sees the label."""
    nets = vae.networks(seed, pixels, hidden, latent, decoder)
    return nn.ModuleDict({"prior": CommonPrior(), "encoder": Blind(nets["encoder"]), "decoder": Blind(nets["decoder"])})


def class_mean_networks(seed, pixels=784, hidden=(400,), latent=20, classes=10, decoder=vae.Bernoulli):
    """The label moves the prior, and nothing else: q(z|y) = N(m_y, I), q(x|z), p(z|x). After a program of J. Su."""
    nets = plain_networks(seed, pixels, hidden, latent, decoder)
    nets["prior"] = ClassMeans(_classes(classes), latent)
    return nets


def cvae_networks(seed, pixels=784, hidden=(400,), latent=20, classes=10, decoder=vae.Bernoulli):
    """The standard conditional VAE (Sohn, Lee, Yan 2015): prior N(0, I), q(x|z,y) and p(z|x,y) both see the label.

    The weights of the label start at 0, so that all three models start as the same function.
    """
    nets = plain_networks(seed, pixels, hidden, latent, decoder)
    for name in ("encoder", "decoder"):
        part = nets[name].part
        part.net[0] = _widened(part.net[0], _classes(classes))
        nets[name] = Labeled(part, classes)
    return nets


def _widened(linear, extra):
    """The same layer with `extra` further inputs of weight 0."""
    wide = nn.Linear(linear.in_features + extra, linear.out_features)
    with torch.no_grad():
        wide.weight.zero_()[:, : linear.in_features] = linear.weight
        wide.bias.copy_(linear.bias)
    return wide


def _classes(classes):
    whole(classes=classes)
    return classes


NETWORKS = {"VAE": plain_networks, "class means": class_mean_networks, "CVAE": cvae_networks}


# The bound


def step(nets, opts, x, z, kl_weight=1.0):
    """One step on the negative conditional ELBO. x: images and labels; z: standard normal noise (n, k). (4.1)"""
    loss_weights(kl_weight=kl_weight)
    images, y = x
    filled(images=images)
    mean, log_variance = nets["encoder"](images, y)
    code = vae.sample(mean, log_variance, z)
    reconstruction = -nets["decoder"].log_likelihood(images, code, y).mean()
    kl = class_kl(mean, log_variance, nets["prior"](y)).mean()
    loss = reconstruction + kl_weight * kl

    opts["vae"].zero_grad()
    loss.backward()
    opts["vae"].step()
    sigma = (log_variance / 2).exp().mean()
    metrics = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "sigma": sigma}
    return {name: value.detach() for name, value in metrics.items()}


def class_kl(mean, log_variance, class_mean):
    """KL(N(mean, exp(log_variance)) || N(class_mean, I)) of every row: that of the offset to N(0, I). Equation (4.4).

    mean, log_variance: (n, k), class_mean: (n, k), or the one 0 of a `CommonPrior`. Returns (n,).
    """
    return diagonal_gaussian_kl(mean - _one_each(class_mean, mean), log_variance)


def _one_each(class_mean, mean):
    """Prior means (n, k), one for each of the means (n, k), or the one 0 of a `CommonPrior`."""
    if class_mean.ndim:
        same_shape(mean=mean, class_mean=class_mean)
    return class_mean


@torch.no_grad()
def elbo_terms(nets, x, y, noise):
    """log q(x|z,y) at one sampled code and KL(p(z|x,y) || q(z|y)) of every row, both (n,). (4.1)"""
    mean, log_variance = nets["encoder"](x, y)
    z = vae.sample(mean, log_variance, noise)
    return nets["decoder"].log_likelihood(x, z, y), class_kl(mean, log_variance, nets["prior"](y))


@torch.no_grad()
def log_weights(nets, x, y, noise):
    """log q(x|z,y) q(z|y) / p(z|x,y) at one sampled code, (n,): its mean bounds log q(x|y) from below."""
    mean, log_variance = nets["encoder"](x, y)
    z, center = vae.sample(mean, log_variance, noise), _one_each(nets["prior"](y), mean).expand_as(mean)
    prior = vae.log_normal(z, center, torch.zeros_like(mean))
    return nets["decoder"].log_likelihood(x, z, y) + prior - vae.log_normal(z, mean, log_variance)


def joint_log_weights(nets, x, shares, noise):
    """log_weights + log q(y) for every class, (n, classes). noise (classes, n, k); shares (classes,) are q(y).

    Their logsumexp bounds log q(x) from below, in expectation; their softmax estimates q(y|x). Equation (4.8).
    """
    same_rows(shares=shares, noise=noise)
    vectors(shares=shares)
    same_rows(x=x, noise_of_a_class=noise[0])
    within_unit(shares=shares)
    distributions(shares=shares)
    if any(len(shares) != len(getattr(part, "means", shares)) for part in nets.values()) or any(
        len(shares) != getattr(part, "classes", len(shares)) for part in nets.values()
    ):
        raise ValueError(f"there are {len(shares)} shares, and the model knows another number of classes")
    label = torch.ones(len(x), dtype=torch.long, device=x.device)
    rows = [log_weights(nets, x, c * label, noise[c]) + shares[c].log() for c in range(len(shares))]
    return torch.stack(rows, 1)


@torch.no_grad()
def offsets(nets, x, y, noise):
    """Sampled codes less their class's prior mean, (n, k): what is left for style. For a CVAE, the codes themselves."""
    mean, log_variance = nets["encoder"](x, y)
    return vae.sample(mean, log_variance, noise) - _one_each(nets["prior"](y), mean)


@torch.no_grad()
def decode(nets, offset, y):
    """Mean image (n, d) of class y at an offset from its prior mean: with normal offsets, a sample of the class.

    A model of which no part sees the label, the VAE, takes any y and does not look at it.
    """
    return nets["decoder"](_one_each(nets["prior"](y), offset) + offset, y)


# Class means


def class_averages(mean, y, classes):
    """Average of the rows of mean (n, k) in every class, (classes, k): the best class means. Equation (4.5)."""
    if mean.ndim != 2:
        raise ValueError(f"averages are taken of rows (n, k), not of a tensor of shape {tuple(mean.shape)}")
    label = one_hot(y, classes).to(mean.dtype)
    if not (label.sum(0) > 0).all():
        missing = torch.nonzero(label.sum(0) == 0).flatten().tolist()
        raise ValueError(f"there is no row of class {missing[0]}, so it has no average")
    return label.T @ mean / label.sum(0)[:, None]


def log_responsibilities(mean, means, shares):
    """log p(y|x) for class means without labels, (n, classes): shares times exp(-KL), normalized. Equation (4.11).

    mean (n, k) are the encoder's means; its variances add the same to every class and cancel. At a point z instead of
    a mean, this is log q(y|z) of the mixture prior.
    """
    same_rows(means=means, shares=shares)
    vectors(shares=shares)
    distributions(shares=shares)
    distance = torch.cdist(mean, means, compute_mode="donot_use_mm_for_euclid_dist")  # digits far from 0 stay
    return torch.log_softmax(shares.log() - distance.square() / 2, 1)


def within_covariance(x, y, classes):
    """Covariance of the rows of x about their class averages, divided by n, (d, d)."""
    rest = x - class_averages(x, y, classes)[y]
    return rest.T @ rest / len(x)


def linear_log_likelihood(x, y, decoder, centers, noise_variance):
    """E log q(x|y) of x = W e + center_y + noise, e ~ N(0, I), averaged over the rows of x (n, d). (4.9)

    decoder W (d, k), centers (classes, d). Of a linear class-mean model, center_y = W m_y + b.
    """
    same_columns(x=x, centers=centers)
    rest = x - centers[labels_within(y, len(centers), len(x))]
    return vae.linear_log_likelihood(rest.T @ rest / len(x), decoder, noise_variance)


# Style, measured


def ink_and_slant(images):
    """Mean brightness and slant of images (n, h, w), (n, 2). The slant is cov(row, column) / var(row), ink as weight.

    It is 0 for an image without ink. ValueError for one whose ink lies in one line: that has no slant.
    """
    if images.ndim != 3 or images.shape[1] < 2:
        raise ValueError(f"images are (n, h, w) with two lines or more, which a slant needs, not {tuple(images.shape)}")
    no_negative(images=images)
    if ((images > 0).any(2).sum(1) == 1).any():
        raise ValueError("the ink of an image lies in one of its lines, which has no slant; leave that image out")
    h, w = images.shape[1:]
    images = images.double() + 1e-9
    mass = images / images.sum((1, 2), keepdim=True)
    row, column = torch.arange(h).double()[:, None], torch.arange(w).double()
    row = row - (mass * row).sum((1, 2))[:, None, None]
    column = column - (mass * column).sum((1, 2))[:, None, None]
    slant = -(mass * row * column).sum((1, 2)) / (mass * row**2).sum((1, 2))
    return torch.stack([images.mean((1, 2)), slant], 1)


def correlation(a, b):
    """Pearson correlation of each column of a and b, both (n, m): (m,)."""
    same_shape(a=a, b=b)
    filled(a=a)
    if any((each == each[0]).all(0).any() for each in (a, b)):
        raise ValueError("a column that is the same in every row has no correlation with another")
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt()


def label_entropy(y, classes):
    """H(y) in nats and the shares (classes,) of a set of labels (n,)."""
    filled(y=y)
    shares = one_hot(y, classes).double().mean(0)
    return -torch.xlogy(shares, shares).sum(), shares
