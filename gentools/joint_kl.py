"""Chapter 01: the KL between two joint distributions, how it splits, and the bounds that follow.

Tables have x along dim 0 and z along dim 1. P is the data side p(x) p(z|x), Q the model side q(z) q(x|z).
Shapes: joint, p_joint and q_joint (n, k), an even grid x and its cells p (m,), precision (k, k).
"""

import math

import numpy as np
import torch

from gentools.lab.divergences import expected_kl
from gentools.lab.shapes import (
    distributions,
    evenly_rising,
    filled,
    finite,
    no_negative,
    one_axis_of_codes,
    one_matrix,
    one_number,
    positive,
    positive_definite,
    same_columns,
    same_rows,
    same_shape,
    shared_out,
    variances_of_all,
    vectors,
    whole,
)


def joints(p_x, p_z_given_x, q_z, q_x_given_z):
    """The two joints P = p(x) p(z|x) and Q = q(x|z) q(z), both (n, k), from their factors."""
    same_rows(p_x=p_x, p_z_given_x=p_z_given_x)
    same_columns(q_z=q_z, q_x_given_z=q_x_given_z)
    same_shape(p_z_given_x=p_z_given_x, q_x_given_z=q_x_given_z)
    vectors(p_x=p_x, q_z=q_z)
    distributions(p_x=p_x, q_z=q_z)
    distributions(1, p_z_given_x=p_z_given_x)
    distributions(0, q_x_given_z=q_x_given_z)
    return p_x[:, None] * p_z_given_x, q_x_given_z * q_z


def given_x(joint):
    """The conditional of z given x: each row of the joint divided by its sum. A row without mass stays 0, not NaN."""
    one_axis_of_codes(joint=joint)
    no_negative(joint=joint)
    total = joint.sum(1, keepdim=True)
    return joint / torch.where(total > 0, total, 1)


def gap(p_joint, q_joint):
    """What the joint KL adds to the marginal KL: E_p(x) KL(p(z|x) || q(z|x)), in nats. Equation (1.3)."""
    distributions(p_joint=p_joint, q_joint=q_joint)
    return expected_kl(p_joint.sum(1), given_x(p_joint), given_x(q_joint))


def js_gap(p_joint, q_joint):
    """What the joint JS adds to the marginal JS, in nats: a JS of z given x for two sources of unequal weight.

    E_m(x) [ pi KL(p(z|x) || m(z|x)) + (1 - pi) KL(q(z|x) || m(z|x)) ] with m(x) = (p(x) + q(x)) / 2, the chance
    pi(x) = p(x) / (p(x) + q(x)) that x came from the data, and m(z|x) = pi p(z|x) + (1 - pi) q(z|x). Equation (1.12).
    """
    same_shape(p_joint=p_joint, q_joint=q_joint)
    distributions(p_joint=p_joint, q_joint=q_joint)
    p_x, q_x = p_joint.sum(1), q_joint.sum(1)
    mixed = given_x(p_joint + q_joint)  # m(z|x)
    return (expected_kl(p_x, given_x(p_joint), mixed) + expected_kl(q_x, given_x(q_joint), mixed)) / 2


def elbo(p_z_given_x, q_joint):
    """Evidence lower bound of every x: sum_z p(z|x) log q(x,z)/p(z|x), shape (n,), in nats. Equation (1.8)."""
    same_shape(p_z_given_x=p_z_given_x, q_joint=q_joint)
    distributions(1, p_z_given_x=p_z_given_x)
    shared_out(p_z_given_x=p_z_given_x)
    distributions(q_joint=q_joint)
    return (torch.xlogy(p_z_given_x, q_joint) - torch.xlogy(p_z_given_x, p_z_given_x)).sum(1)


def gaussian_cells(x, mean, std):
    """Probabilities of a Gaussian on an even grid `x` (m,), one per cell.

    They sum to 1 if the grid reaches far and its places are not farther apart than `std`.
    """
    one_number(mean=mean, std=std)
    positive(std=std)
    finite("no cell holds anything of such a Gaussian", mean=torch.as_tensor(mean), std=torch.as_tensor(std))
    evenly_rising(x=x)
    z = (x - mean) / std
    return torch.exp(-(z**2) / 2) / (std * (2 * torch.pi) ** 0.5) * (x[1] - x[0])


def fit_forward(x, p):
    """The Gaussian with the least KL(p || q): mean and standard deviation of `p`, cells on grid `x`. Equation (1.9)."""
    same_shape(x=x, p=p)
    vectors(x=x)
    finite("a cell needs a place: drop those", x=x)
    distributions(p=p)
    mean = (p * x).sum()
    return mean, ((p * (x - mean) ** 2).sum()).sqrt()


def fit_reverse(x, p, mean, std, steps=1000, learning_rate=0.02):
    """A Gaussian with locally least KL(q || p), by gradient descent (Adam) from `mean`, `std`.

    Works on the grid `x` (m,) in float64, with numbers mean and std; where it ends depends on where it starts. Returns
    mean and standard deviation, 0-d tensors. `p` must be positive on the whole grid, and the grid reach far enough that
    all Gaussians on the way have their mass on it. Raises ValueError if the last one has not.
    """
    same_shape(x=x, p=p)
    positive(std=std)
    whole(least=0, steps=steps)
    distributions(p=p)
    if not (p > 0).all():
        raise ValueError("p must be positive at every x: KL(q || p) is infinite for a Gaussian q that meets a p of 0")
    m = torch.tensor(float(mean), dtype=torch.float64, requires_grad=True)
    log_s = torch.tensor(float(std), dtype=torch.float64).log().requires_grad_()
    optimizer = torch.optim.Adam([m, log_s], lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        q = gaussian_cells(x, m, log_s.exp())
        loss = (torch.xlogy(q, q) - q * p.log()).sum()
        loss.backward()
        optimizer.step()
    if not abs(gaussian_cells(x, m, log_s.exp()).detach().sum() - 1) < 0.01:
        raise ValueError(
            f"the Gaussian has left the grid, or fits between two of its places, with mean {m:.3g} and standard deviation "
            f"{log_s.exp():.3g}; take a wider or finer grid, or start on it"
        )
    return m.detach(), log_s.detach().exp()


def standard_normal(x):
    """log N(x; 0, I) of points (..., d), shape (...), in nats."""
    return -(x**2).sum(-1) / 2 - x.shape[-1] * math.log(2 * math.pi) / 2


def smoothed_kl(points, h, log_q=standard_normal):
    """KL(data smoothed with width h || q) for `points` (n, d), or (n,) on a line, in nats. Equation (1.2).

    The smoothed data are a mixture of n Gaussians with covariance h^2 I; `log_q` takes points (..., d). The integral is
    a Gauss-Hermite sum around each point. It is right if points are equal or many h apart, and log q is smooth at h.
    """
    positive(h=h)
    finite("a bump needs a width", h=torch.as_tensor(h))
    filled(points=points)
    finite("a bump needs a place: drop those points", points=points)
    if points.ndim > 2:
        raise ValueError(f"points are rows (n, d), or (n,) on a line, not of shape {tuple(points.shape)}")
    points = points.reshape(len(points), -1)  # (n, d)
    d = points.shape[1]
    node, weight = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(9))
    t = torch.cartesian_prod(*[node] * d).reshape(-1, d)  # (m, d): the nodes of a standard normal
    weight = torch.cartesian_prod(*[weight / weight.sum()] * d).reshape(-1, d).prod(1)  # (m,)
    x = points[:, None] + h * t  # (n, m, d): one grid around each point
    offset = (points[:, None] - points)[:, None] / h + t[:, None]  # (n, m, n, d): from every point to x, in units of h
    log_p = torch.logsumexp(standard_normal(offset), 2) - d * math.log(h) - math.log(len(points))
    return ((log_p - log_q(x)) @ weight).mean()


def posterior_precision(decoder, noise_variance):
    """Precision of z given x when z ~ N(0, I) and x = decoder z + noise: I + W'W / noise_variance, shape (k, k)."""
    variances_of_all(noise_variance=noise_variance)
    one_matrix(decoder=decoder)
    finite("no posterior follows from such a decoder", decoder=decoder)
    return torch.eye(decoder.shape[1], dtype=decoder.dtype) + decoder.T @ decoder / noise_variance


def mean_field(precision):
    """Covariance of the independent Gaussian closest to N(., precision^-1) in KL(independent || exact): 1 / diagonal."""
    one_matrix(precision=precision)
    positive_definite(precision=precision)
    return torch.diag(1 / torch.diagonal(precision))


def mean_field_gap(precision):
    """What the best independent Gaussian encoder leaves: (sum_i log precision_ii - log det precision) / 2, in nats.

    Equation (1.10). Zero exactly if the precision is diagonal (Hadamard's inequality).
    """
    one_matrix(precision=precision)
    positive_definite(precision=precision)
    return (torch.diagonal(precision).log().sum() - torch.logdet(precision)) / 2
