"""Chapter 13: a game between encoder and generator without a discriminator (AGE, Ulyanov, Vedaldi and Lempitsky 2017).

The encoder p(z|x) is applied to data and to samples. p_z is the law of the codes of data, q_bar that of the codes of
samples, and q_z the prior. All divergences are in nats, as 0-d tensors if not said otherwise. Networks on the sphere have
codes of length 1, and so has the prior.
Shapes: tables p_x and q_x (n,), p_z, q_bar and q_z (k,), p_z_given_x (n, k), codes and rows (n, k), mean and variance
(..., k), cov, p_cov and q_cov (d, d), encoder matrix (k, d), data x (n, ...), noise (n, k), and e, w and v ().
"""

import math

import torch
from torch import nn

from gentools.gan import descend
from gentools.lab.divergences import diagonal_gaussian_kl, kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.randomness import generator
from gentools.lab.shapes import (
    alone,
    distributions,
    draws_of_each,
    finite,
    loss_weights,
    on_unit_sphere,
    positive,
    positive_definite,
    same_rows,
    same_shape,
    semidefinite,
    tensors,
    vectors,
)

# The joints, exactly


def pushed(p_x, p_z_given_x):
    """The law (k,) of the codes of x that follow p_x (n,), under an encoder p_z_given_x (n, k)."""
    same_rows(p_x=p_x, p_z_given_x=p_z_given_x)
    distributions(p_x=p_x)
    distributions(1, p_z_given_x=p_z_given_x)
    return p_x @ p_z_given_x


def value(p_z, q_bar, q_z):
    """V = KL(q_bar || q_z) - KL(p_z || q_z): what the encoder raises and the generator lowers. (13.2)

    NaN where both are infinite, because the prior lacks codes of the data and codes of the samples.
    """
    same_shape(p_z=p_z, q_bar=q_bar, q_z=q_z)
    return kl(q_bar, q_z) - kl(p_z, q_z)


# The divergence that the game uses: the KL of a fitted Gaussian from N(0, I)


def moment_kl(mean, variance):
    """Delta = sum of (v + m^2 - 1 - log v)/2 over the last axis: KL(N(m, diag v) || N(0, I)). (13.4)

    Raises ValueError for moments that are not finite, and for variances that are not above 0.
    """
    positive(variance=variance)
    finite("a law without moments has no fitted Gaussian", mean=mean, variance=variance)
    return diagonal_gaussian_kl(mean, variance.log())


def full_moment_kl(mean, cov):
    """(tr C + |m|^2 - k - log det C)/2 = KL(N(m, C) || N(0, I)), mean (k,) and covariance (k, k)."""
    positive_definite(cov=cov)
    same_rows(mean=mean, cov=cov)
    vectors(mean=mean)
    return (cov.trace() + mean @ mean - len(mean) - torch.logdet(cov)) / 2


def delta(codes):
    """`moment_kl` of a batch of codes (n, k), from their means and unbiased variances. Raises ValueError for n < 2."""
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"codes need the shape (n, k) with n > 1 for a variance, not {tuple(codes.shape)}")
    variance, mean = torch.var_mean(codes, 0)
    return (variance + mean**2 - 1 - variance.log()).sum() / 2


def published_kl(mean, variance):
    """What the published program computes: it takes the variance for a standard deviation. (13.13)"""
    same_shape(mean=mean, variance=variance)
    positive(variance=variance)
    finite("a law without moments has no fitted Gaussian", mean=mean, variance=variance)
    return ((variance**2 + mean**2) / 2 - variance.log() - 1 / 2).sum(-1)


def batch_floor(n):
    """E `delta` of n codes drawn from N(0, 1), per dimension in nats: about 1/n, though the law is the prior. (13.12)"""
    if not 2 <= n < math.inf or n != int(n):
        raise ValueError(f"a variance needs at least two codes, a whole number of them, not {n}")
    half = torch.tensor((n - 1) / 2, dtype=torch.float64)
    return (1 / n - torch.digamma(half) + half.log()) / 2


# Gaussian data and samples, linear encoders


def bend(ratio):
    """f(r) = (r - 1 - log r)/2, the KL of N(0, r) from N(0, 1); 0 at r = 1 alone. Any shape.

    Raises ValueError unless 0 < r < infinity.
    """
    positive(ratio=ratio)
    finite("towards infinity, as towards 0, the KL grows without bound", ratio=ratio)
    return (ratio - 1 - ratio.log()) / 2


def linear_value(encoder, p_cov, q_cov, shift):
    """V of the code encoder (x - mean of the data), for data N(mean, p_cov) and samples N(mean + shift, q_cov).

    encoder (k, d), covariances (d, d), shift (d,). Delta is `moment_kl`, which sees no covariance between codes.
    """
    same_shape(p_cov=p_cov, q_cov=q_cov)
    semidefinite(p_cov=p_cov, q_cov=q_cov)
    p_variance, q_variance = ((encoder @ cov * encoder).sum(1) for cov in (p_cov, q_cov))  # (k,)
    return moment_kl(encoder @ shift, q_variance) - moment_kl(0 * p_variance, p_variance)


def whitening(p_cov):
    """A matrix W (d, d) with W p_cov W' = I, from the eigenvectors of p_cov."""
    positive_definite(p_cov=p_cov)
    values, vectors = torch.linalg.eigh(p_cov)
    return vectors.mT / values.sqrt()[:, None]


def variance_ratios(p_cov, q_cov):
    """Eigenvalues (d,) of W q_cov W', and the whitening encoder (d, d) whose codes have them as variances."""
    same_shape(p_cov=p_cov, q_cov=q_cov)
    semidefinite(q_cov=q_cov)
    white = whitening(p_cov)
    ratios, axes = torch.linalg.eigh(white @ q_cov @ white.mT)
    return ratios, axes.mT @ white


def event_value(a, b):
    """V of the one number that says whether x lies in a set of probability a under the data and b under the model,
    shifted and scaled to mean 0 and variance 1 under the data. 0 exactly if a = b, infinite if b is 0 or 1. (13.8)
    Numbers, tensors of one shape, or a () and b of any. Raises ValueError unless 0 < a < 1 and 0 <= b <= 1.
    """
    a, b = map(torch.as_tensor, (a, b))
    if not (((a > 0) & (a < 1)).all() and ((b >= 0) & (b <= 1)).all()):
        raise ValueError(f"a set that tells anything has 0 < a < 1, and 0 <= b <= 1, not a = {a} and b = {b}")
    ratio = b * (1 - b) / (a * (1 - a))
    return (ratio - 1 - ratio.log() + (b - a) ** 2 / (a * (1 - a))) / 2


# The smallest game: data N(0, v), samples w N(0, 1), code e x


def line_value(e, w, v):
    """V(e, w) = e^2 (w^2 - v)/2 - log(w^2/v)/2. (13.5)"""
    positive(v=v)
    return (e**2 * (w**2 - v) - torch.log(w**2 / v)) / 2


def line_simultaneous(e, w, v, step_size):
    """One step of both players at once on (13.5): e up, w down, each against the other's old position."""
    positive(v=v)
    loss_weights(step_size=step_size)
    return e + step_size * e * (w**2 - v), w - step_size * (e**2 * w - 1 / w)


def growth(v, step_size):
    """Factor per step of a small deviation from the equilibrium e = 1/w, w^2 = v: the largest |eigenvalue|. (13.9)

    v is a 0-d tensor. Raises ValueError if it is not positive and finite, or for a step size that is not finite or below 0.
    """
    tensors(v=v)
    if not (0 < v < math.inf and 0 <= step_size < math.inf):  # eigvals of NaN may end the whole process
        raise ValueError(
            f"expected a variance 0 < v < infinity and a finite step size from 0 up, not {v} and {step_size}"
        )
    rest = torch.stack([v**-0.5, v**0.5])
    jacobian = torch.autograd.functional.jacobian(
        lambda s: torch.stack(line_simultaneous(s[0], s[1], v, step_size)), rest
    )
    finite("give a step size of ordinary size", jacobian=jacobian)  # or LAPACK crashes
    return torch.linalg.eigvals(jacobian).abs().max()


# The sphere


def on_sphere(rows):
    """Rows (n, k) scaled to length 1. Standard normal noise becomes uniform on the sphere, a row of zeros NaN."""
    if rows.ndim != 2:
        raise ValueError(f"rows are codes (n, k), one per row, not {tuple(rows.shape)}; z.unbind(1) takes draws apart")
    return rows / rows.norm(dim=1, keepdim=True)


def sphere_floor(k):
    """Least `moment_kl` per dimension, in nats, of codes on the unit sphere in k dimensions. (13.11)"""
    if not 1 <= k < math.inf or k != int(k):
        raise ValueError(f"a code has at least one dimension, a whole number of them, not {k}")
    return (1 / k - 1 + math.log(k)) / 2


# Networks and their step


class SphereEncoder(nn.Module):
    """A deterministic encoder whose codes have length 1."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        """x (n, ...) -> codes (n, k)."""
        return on_sphere(self.net(x.flatten(1)))


def networks(seed, pixels=2, hidden=(128, 128), latent=3):
    """Encoder pixels-hidden-latent onto the sphere, and generator latent-hidden-pixels, with ReLU and no BatchNorm.

    Raises ValueError for a latent dimension below 2: a sphere in one dimension is two points.
    """
    if latent < 2:
        raise ValueError(f"a sphere in one dimension is two points: take a latent dimension of 2 or more, not {latent}")
    inner, start = list(hidden), {name: generator(seed, name) for name in ("encoder", "generator")}
    encoder = SphereEncoder(mlp([pixels, *inner, latent], generator=start["encoder"]))
    return nn.ModuleDict(
        {"encoder": encoder, "generator": mlp([latent, *inner[::-1], pixels], generator=start["generator"])}
    )


def image_networks(seed, pixels=64, hidden=(128, 128), latent=10):
    """`networks` whose generator ends in a sigmoid, for images with gray values in [0, 1]."""
    nets = networks(seed, pixels, hidden, latent)
    nets["generator"] = nn.Sequential(nets["generator"], nn.Sigmoid())
    return nets


def step(nets, opts, x, z, data_weight=10.0, code_weight=1000.0):
    """One step of the encoder, then one of the generator for each further draw of noise (AGE, algorithm 1).

    x: data (n, d). z: noise (n, 1 + m, k), one draw for the encoder and m for the generator's m steps.
    The encoder descends Delta(codes of x) - Delta(codes of samples) + data_weight * mean |x - G(E(x))|, the generator
    Delta(codes of samples) + code_weight * mean of 1 - cosine(z, E(G(z))). Returns V and both errors.
    """
    loss_weights(data_weight=data_weight, code_weight=code_weight)
    if z.ndim != 3 or z.shape[1] < 2:
        raise ValueError(f"noise holds at least two draws per row, (n, 1 + m, k) with m > 0, not {tuple(z.shape)}")
    same_rows(x=x, z=z)  # or V compares batches of two sizes, see (13.12)
    encoder, generator = nets["encoder"], nets["generator"]
    for_encoder, *for_generator = map(on_sphere, z.unbind(1))  # (n, k) each
    with frozen(generator):
        codes = encoder(x)
        on_unit_sphere(codes=codes)
        v = delta(encoder(generator(for_encoder))) - delta(codes)
        data_error = (x.flatten(1) - generator(codes)).abs().mean()
        descend(opts["encoder"], data_weight * data_error - v)

    with frozen(encoder):
        for draw in for_generator:
            again = encoder(generator(draw))
            code_error = 1 - (draw * again).sum(1).mean()  # both have length 1
            descend(opts["generator"], delta(again) + code_weight * code_error)
    return {"V": v.detach(), "data error": data_error.detach(), "code error": code_error.detach()}


def joint_step(nets, opts, x, z, data_weight=1000.0, code_weight=1000.0, value_weight=1.0):
    """`step` in which the generator, too, descends the data error. Not the paper's: there each player has one error.

    x: data (n, d). z: noise (n, 2, k), one draw for each player. value_weight: of V in both players' losses; with 0
    there is no game, and what is left is an autoencoder of both data and codes.
    """
    loss_weights(data_weight=data_weight, code_weight=code_weight, value_weight=value_weight)
    same_rows(x=x, z=z)
    draws_of_each(2, z=z)
    encoder, generator = nets["encoder"], nets["generator"]
    for_encoder, for_generator = map(on_sphere, z.unbind(1))  # (n, k) each
    with frozen(generator):
        codes = encoder(x)
        on_unit_sphere(codes=codes)
        v = delta(encoder(generator(for_encoder))) - delta(codes)
        data_error = (x.flatten(1) - generator(codes)).abs().mean()
        descend(opts["encoder"], data_weight * data_error - value_weight * v)

    with frozen(encoder):
        again = encoder(generator(for_generator))
        code_error = 1 - (for_generator * again).sum(1).mean()
        back = (x.flatten(1) - generator(encoder(x))).abs().mean()
        descend(opts["generator"], value_weight * delta(again) + code_weight * code_error + data_weight * back)
    return {"V": v.detach(), "data error": data_error.detach(), "code error": code_error.detach()}


@torch.no_grad()
def sample(nets, noise):
    """What the generator makes of noise (n, k), after projecting it onto the sphere."""
    alone(generator=nets["generator"])
    return nets["generator"](on_sphere(noise))


@torch.no_grad()
def rebuilt(nets, x):
    """Reconstructions G(E(x)) of x (n, ...), flattened to (n, d)."""
    alone(encoder=nets["encoder"], generator=nets["generator"])
    return nets["generator"](nets["encoder"](x))
