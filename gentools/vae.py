"""Chapter 03: the variational autoencoder. Gaussian encoder, neural decoder, and the linear case solved exactly.

A batch of data x has shape (n, ...) and is flattened to (n, d); codes and noise are (n, k); log-likelihoods, divergences
and bounds are in nats, one per row. `nets` is a ModuleDict of an "encoder" and a "decoder". An encoder maps x to mean and
log-variance of p(z|x); a decoder has log_likelihood(x, z) = log q(x|z) and maps z to the mean of q(x|z).
Shapes: x (n, ...), mean, log_variance, z and noise (n, k), cov (d, d), eigenvalues (d,).
"""

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from gentools.joint_kl import posterior_precision
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.networks import mlp
from gentools.lab.randomness import generator
from gentools.lab.shapes import (
    distributions,
    falling,
    filled,
    finite,
    flat,
    floating,
    no_negative,
    number_or_like,
    one_matrix,
    one_number,
    positive,
    same_columns,
    same_rows,
    same_shape,
    semidefinite,
    shared_out,
    tensors,
    variances_of_all,
    vectors,
    whole,
)

LOG_2PI = math.log(2 * math.pi)

# Gaussians and their samples


def sample(mean, log_variance, noise):
    """z = mean + sigma * noise: a sample of N(mean, sigma^2) as a differentiable function of both. Equation (3.3).

    Every sample has noise of its own: the result has the shape of the noise, such as (s, n, k) for s samples of n rows.
    """
    z = mean + (log_variance / 2).exp() * noise
    if z.shape != noise.shape:
        raise ValueError(f"noise of shape {tuple(noise.shape)} would be shared; these codes need {tuple(z.shape)}")
    return z


def log_normal(x, mean, log_variance):
    """log N(x; mean, exp(log_variance)) in nats, summed over the last dimension."""
    return -((x - mean) ** 2 * (-log_variance).exp() + log_variance + LOG_2PI).sum(-1) / 2


def expectation(f, mean, std, nodes=60):
    """E f(z, noise) over z = mean + std * noise, noise ~ N(0, 1), by Gauss-Hermite quadrature in float64.

    f is given the nodes (nodes,) and their noise (nodes,) and returns a number for each, or one for all. It is for a smooth
    f that does not swing faster than the nodes lie. Where f jumps, 60 nodes are wrong by some hundredths of the jump, and
    no error says so. Raises ValueError for several means or stds, for more nodes than 300, and for other shapes of f.
    """
    import numpy as np

    one_number(mean=mean, std=std)
    no_negative(std=torch.as_tensor(std))
    whole(nodes=nodes)
    if nodes > 300:  # numpy's weights are NaN from 380 on
        raise ValueError(f"nodes may be 300 at most, not {nodes}: the weights of more overflow in float64")
    noise, weight = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(nodes))
    mean, std = (torch.as_tensor(number, dtype=torch.float64).reshape(()) for number in (mean, std))
    values = f(mean + std * noise, noise)
    number_or_like(noise, f=values)
    return (weight * values).sum() / math.sqrt(2 * math.pi)


def pathwise(slope, z, noise):
    """Gradient of E f(z) in (mean, std), one estimate per sample, through z: f'(z) and f'(z) noise. Equation (3.3).

    slope is f', and gives a number for each of z. Raises ValueError for other shapes of it.
    """
    same_shape(z=z, noise=noise)
    at = slope(z)
    same_shape(z=z, slope=at)
    return at, at * noise


def score(f, z, noise, std):
    """The same gradient through the density: f(z) times the slopes of log N(z; mean, std^2) in mean and std. (3.4)

    std is one number, or one for each of z; f gives a number for each of z. Raises ValueError for other shapes of it.
    """
    at = f(z)
    same_shape(z=z, noise=noise, f=at)
    number_or_like(z, std=std)
    positive(std=std)
    return at * noise / std, at * (noise**2 - 1) / std


# Encoder and decoders


class Encoder(nn.Module):
    """p(z|x) = N(mean, diag exp(log_variance)); `net` maps d numbers to 2k, the means and then the log-variances."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        """x (n, ...) -> mean (n, k), log-variance (n, k)."""
        return self.net(x.flatten(1)).chunk(2, -1)


class LinearEncoder(nn.Module):
    """p(z|x) with a linear mean and variances that do not depend on x: all that the linear VAE needs."""

    def __init__(self, net):
        super().__init__()
        self.net, self.log_variance = net, nn.Parameter(torch.zeros(net[-1].out_features))

    def forward(self, x):
        """x (n, ...) -> mean (n, k), log-variance (n, k)."""
        mean = self.net(x.flatten(1))
        return mean, self.log_variance.expand_as(mean)


class Bernoulli(nn.Module):
    """q(x|z) for pixels that are 0 or 1: independent, with the logits net(z).

    Its formula takes any x and is a likelihood of none outside [0, 1]. The first x is checked (ValueError), later ones are
    not: that would make every step wait for the device.
    """

    def __init__(self, net):
        super().__init__()
        self.net, self.checked = net, False

    def forward(self, z):
        """Probability that a pixel is 1, (..., d)."""
        return self.net(z).sigmoid()

    def log_likelihood(self, x, z):
        """log q(x|z) = sum_i x_i l_i - log(1 + exp l_i), from the logits l."""
        if not self.checked:
            self.checked = _within_unit(x)
        logits = self.net(z)
        return torch.einsum("...d,...d->...", _rows(x, logits), logits) - softplus(logits).sum(-1)


class Gaussian(nn.Module):
    """q(x|z) = N(net(z), sigma^2 I). sigma^2 is a parameter, learned unless learn is False. Equation (3.5)."""

    def __init__(self, net, noise_variance=1.0, learn=True):
        super().__init__()
        variances_of_all(noise_variance=noise_variance)
        self.net = net
        self.log_variance = nn.Parameter(torch.tensor(float(noise_variance)).log(), requires_grad=learn)

    def forward(self, z):
        """The mean of x, (..., d)."""
        return self.net(z)

    def log_likelihood(self, x, z):
        """log q(x|z), with the term (d/2) log 2 pi sigma^2 that a bare squared error drops."""
        mean = self.net(z)
        return log_normal(_rows(x, mean), mean, self.log_variance)


def _within_unit(x):
    """True; ValueError if a value lies outside [0, 1]."""
    if not x.numel():
        raise ValueError(f"there is nothing in x, of shape {tuple(x.shape)}: a likelihood needs a row at least")
    low, high = x.min().item(), x.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"the Bernoulli decoder is for values in [0, 1] and these lie in [{low:.4g}, {high:.4g}]: divide gray levels "
            "by 255, or choose decoder=Gaussian for other numbers"
        )
    return True


def _rows(x, like):
    """x as rows of d numbers that broadcast against the decoder's output, and not by accident."""
    rows = x.flatten(1)
    if rows.shape[-1] != like.shape[-1] or (like.ndim == 2 and len(rows) not in (1, len(like))):
        raise ValueError(
            f"x of shape {tuple(x.shape)} gives rows {tuple(rows.shape)}, but the decoder's output is {tuple(like.shape)}"
        )
    return rows


def networks(seed, pixels=784, hidden=(400,), latent=20, decoder=Bernoulli, activation=nn.ReLU):
    """Encoder pixels-hidden-2 latent and decoder latent-hidden reversed-pixels; 784-400-20 by default, as in "Notes".

    decoder: Bernoulli, Gaussian or functools.partial(Gaussian, ...). Raises ValueError if the latent dimension is not at
    least 1.
    """
    whole(latent=latent)
    inward = mlp([pixels, *hidden, 2 * latent], activation, generator=generator(seed, "encoder"))
    outward = mlp([latent, *hidden[::-1], pixels], activation, generator=generator(seed, "decoder"))
    return nn.ModuleDict({"encoder": Encoder(inward), "decoder": decoder(outward)})


def linear_networks(seed, pixels, latent, noise_variance=1.0, learn=False):
    """The linear VAE: z ~ N(0, I), x = W z + b + noise, p(z|x) = N(V x + c, diag v), v the same for every x."""
    nets = networks(seed, pixels, (), latent, lambda net: Gaussian(net, noise_variance, learn))
    nets["encoder"] = LinearEncoder(mlp([pixels, latent], generator=generator(seed, "encoder")))
    return nets


# The bound


def step(nets, opts, x, z):
    """One step on the negative ELBO of a batch: x data, z standard normal noise (n, k), one draw per image."""
    filled(x=x)
    mean, log_variance = nets["encoder"](x)
    code = sample(mean, log_variance, z)
    reconstruction = -nets["decoder"].log_likelihood(x, code).mean()
    kl = diagonal_gaussian_kl(mean, log_variance).mean()
    loss = reconstruction + kl

    opts["vae"].zero_grad()
    loss.backward()
    opts["vae"].step()
    sigma = (log_variance / 2).exp().mean()
    metrics = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "sigma": sigma}
    return {name: value.detach() for name, value in metrics.items()}


def images(x):
    """x itself, after making sure that it holds images (n, ...), n >= 1, with values within [0, 1]. Else ValueError."""
    if x.ndim < 2 or x.numel() == 0 or not x.is_floating_point():
        raise ValueError(f"expected floating-point images (n, ...), n >= 1, not {x.dtype} of shape {tuple(x.shape)}")
    low, high = x.min().item(), x.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must lie in [0, 1] and these lie in [{low:.4g}, {high:.4g}]; divide by 255?")
    return x


@torch.no_grad()
def elbo_terms(nets, x, z):
    """log q(x|z) at one sampled code and KL(p(z|x) || q(z)) of every row, both (n,). The ELBO is their difference. (3.1)"""
    tensors(x=x, z=z)
    mean, log_variance = nets["encoder"](x)
    return nets["decoder"].log_likelihood(x, sample(mean, log_variance, z)), diagonal_gaussian_kl(mean, log_variance)


@torch.no_grad()
def log_weights(nets, x, noise):
    """log q(x|z) q(z) / p(z|x) at sampled codes: x (n, ...) and noise (s, n, k) give (s, n)."""
    mean, log_variance = nets["encoder"](x)
    if noise.shape[1:] != mean.shape:
        raise ValueError(
            f"noise needs the shape (s, {len(mean)}, {mean.shape[1]}), s samples per row, not {tuple(noise.shape)}"
        )
    finite("points have no density, and so no weight: give the codes noise", log_variance=log_variance)
    z = sample(mean, log_variance, noise)
    zero = torch.zeros_like(mean)
    return nets["decoder"].log_likelihood(x, z) + log_normal(z, zero, zero) - log_normal(z, mean, log_variance)


def importance_bound(log_weight, samples):
    """E log (1/samples) sum_s w_s from log-weights (s, n), in groups of `samples` rows; (n,). Equation (3.10).

    With samples = 1 this is the ELBO; it rises to log q(x) if the encoder leaves out no code that the posterior has (Burda
    et al. 2015, for bounded weights). Rows that fill no group are left out.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    groups = len(log_weight) // samples
    if not groups:
        raise ValueError(f"there are {len(log_weight)} weights per image, fewer than samples = {samples}")
    grouped = log_weight[: groups * samples].unflatten(0, (groups, samples))
    return (grouped.logsumexp(1) - math.log(samples)).mean(0)


def expected_importance_bound(p_z_given_x, q_joint, samples):
    """`importance_bound` on a table, exactly, by summing over all `samples`-tuples of codes; (n,)."""
    same_shape(p_z_given_x=p_z_given_x, q_joint=q_joint)
    distributions(1, p_z_given_x=p_z_given_x)
    shared_out(p_z_given_x=p_z_given_x)
    distributions(q_joint=q_joint)
    whole(samples=samples)
    weight = torch.where(p_z_given_x > 0, q_joint / p_z_given_x, 0.0)  # codes that the encoder never draws
    total, chance = torch.zeros_like(weight[:, :1]), torch.ones_like(weight[:, :1])
    for _ in range(samples):
        total = (total[:, :, None] + weight[:, None]).flatten(1)
        chance = (chance[:, :, None] * p_z_given_x[:, None]).flatten(1)
    return torch.xlogy(chance, total / samples).sum(1)


# The linear case, exactly (Tipping, Bishop 1999; Lucas et al. 2019). `cov` is the centered covariance (d, d) of the data


def spectrum(x):
    """Covariance of the rows of x (n, d), divided by n, with its eigenvalues, largest first, and eigenvectors (columns)."""
    flat(x=x)
    filled(x=x)
    finite("count and drop those rows first", x=x)
    centered = x.double() - x.double().mean(0)
    cov = centered.T @ centered / len(x)
    values, vectors = torch.linalg.eigh(cov)
    return cov, values.flip(0).clamp_min(0), vectors.flip(1)


def ppca(eigenvalues, eigenvectors, latent, noise_variance=None):
    """The most likely decoder W (d, k) of x = W z + noise, and its noise variance; without one, the most likely too.

    `eigenvalues` (d,) of the data's covariance in falling order, `eigenvectors` (d, d) as columns, k = `latent` codes
    (Tipping, Bishop 1999). Column j is the j-th eigenvector, times sqrt(eigenvalue - noise variance), and 0 where that is
    negative. ValueError for more codes than eigenvalues, or as many without a noise variance: it is the mean of the
    eigenvalues left over, and with none left every value up to the smallest eigenvalue gives the same likelihood.
    """
    falling(eigenvalues=eigenvalues)
    no_negative(eigenvalues=eigenvalues)
    one_matrix(eigenvectors=eigenvectors)
    same_rows(eigenvalues=eigenvalues, eigenvectors=eigenvectors)
    same_columns(eigenvalues=eigenvalues, eigenvectors=eigenvectors)
    d = len(eigenvalues)
    if not 1 <= latent <= d:
        raise ValueError(f"latent must lie between 1 and the dimension {d} of the data, not {latent}")
    if noise_variance is None:
        if latent == d:
            raise ValueError(f"with latent = {d}, the dimension of the data, no noise variance is best; give one")
        noise_variance = eigenvalues[latent:].mean()
    variances_of_all(least=0, noise_variance=noise_variance)
    return eigenvectors[:, :latent] * (eigenvalues[:latent] - noise_variance).clamp_min(0).sqrt(), noise_variance


def linear_log_likelihood(cov, decoder, noise_variance):
    """E log q(x) of x = W z + noise for centered data with covariance `cov`: a Gaussian with W W' + noise_variance I."""
    one_matrix(decoder=decoder)
    same_rows(cov=cov, decoder=decoder)
    semidefinite(cov=cov)
    variances_of_all(noise_variance=noise_variance)
    model = decoder @ decoder.T + noise_variance * torch.eye(len(cov), dtype=cov.dtype)
    return -(len(cov) * LOG_2PI + torch.logdet(model) + torch.trace(torch.linalg.solve(model, cov))) / 2


def ppca_log_likelihood(eigenvalues, latent, noise_variance):
    """The largest `linear_log_likelihood` for this noise variance, in nats, from the eigenvalues (d,). See (3.6)."""
    floating(eigenvalues=eigenvalues)
    falling(eigenvalues=eigenvalues)
    no_negative(eigenvalues=eigenvalues)
    whole(least=0, latent=latent)
    if latent > len(eigenvalues):
        raise ValueError(f"{latent} codes are more than the {len(eigenvalues)} dimensions of the data")
    variances_of_all(noise_variance=noise_variance)
    kept = eigenvalues[:latent].clamp_min(noise_variance)  # (k,)
    log_det = (
        kept.log().sum() + (len(eigenvalues) - latent) * torch.as_tensor(noise_variance, dtype=eigenvalues.dtype).log()
    )
    trace = (eigenvalues[:latent] / kept).sum() + eigenvalues[latent:].sum() / noise_variance
    return -(len(eigenvalues) * LOG_2PI + log_det + trace) / 2


def rates(eigenvalues, noise_variance):
    """Nats per dimension that the optimal linear VAE sends: (1/2) log of eigenvalue / noise variance, at least 0. (3.9)"""
    no_negative(eigenvalues=eigenvalues)
    positive(noise_variance=noise_variance)
    return (eigenvalues / noise_variance).log().clamp_min(0) / 2


def best_encoder(decoder, noise_variance):
    """The best independent encoder of x = W z + noise: V (k, d), whose mean is the posterior's, and variances (k,)."""
    precision = posterior_precision(decoder, noise_variance)
    return torch.linalg.solve(precision, decoder.T) / noise_variance, 1 / torch.diagonal(precision)


def linear_terms(cov, encoder, encoder_variance, decoder):
    """Distortion E |x - W z|^2 and rate E KL(p(z|x) || q(z)) in nats of the linear VAE for centered data, exactly.

    cov (d, d), encoder V (k, d) with variances (k,), decoder W (d, k). Both returned as 0-d tensors.
    """
    same_rows(encoder=encoder, encoder_variance=encoder_variance)
    vectors(encoder_variance=encoder_variance)
    one_matrix(encoder=encoder)
    one_matrix(decoder=decoder)
    same_rows(cov=cov, decoder=decoder)
    semidefinite(cov=cov)
    no_negative(encoder_variance=encoder_variance)
    residual = torch.eye(len(cov), dtype=cov.dtype) - decoder @ encoder
    distortion = torch.trace(residual @ cov @ residual.T) + (encoder_variance * (decoder**2).sum(0)).sum()
    moment = torch.diagonal(encoder @ cov @ encoder.T)
    return distortion, (encoder_variance + moment - 1 - encoder_variance.log()).sum() / 2


def linear_elbo(cov, encoder, encoder_variance, decoder, noise_variance):
    """E ELBO(x) of the linear VAE for centered data, exactly: no sampling, no likelihood, only the two terms of (3.1)."""
    variances_of_all(noise_variance=noise_variance)
    distortion, rate = linear_terms(cov, encoder, encoder_variance, decoder)
    log_variance = torch.as_tensor(noise_variance, dtype=cov.dtype).log()
    return -(len(cov) * (LOG_2PI + log_variance) + distortion / noise_variance) / 2 - rate


def axis_angle(decoder, axes):
    """Largest angle in radians of a column of decoder (d, m) to the axis nearest to it among the columns of axes (d, m).

    Unlike the angle of two subspaces it sees a rotation inside the subspace. Signs and order of the columns are free, but
    every axis must be met: two columns on one axis give pi/2.
    """
    same_shape(decoder=decoder, axes=axes)
    if not all((given.norm(dim=0) > 0).all() for given in (decoder, axes)):
        raise ValueError("a column of zeros, as that of a collapsed dimension, has no direction: leave it out of both")
    cosines = (decoder / decoder.norm(dim=0)).T @ (axes / axes.norm(dim=0))
    nearest = torch.minimum(cosines.abs().amax(0).min(), cosines.abs().amax(1).min())
    return nearest.clamp(max=1).acos()
