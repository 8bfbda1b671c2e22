"""Chapter 02: EM, the joint KL lowered one factor at a time, for mixtures of Gaussians and of Bernoullis.

The latent z is the number of a component. A model is given by its log joint, `log_joint[i, k] = log q(x_i, z=k)`,
(n, K); a table by q(x,z) with x along dim 0. Data count equally: the data distribution has weight 1/n on each point.
Everything is written to be read. `fit_mixture` (gentools/mixtures.py) is the same algorithm, written to be fast.
Shapes: x (n, d), weights (K,), means (K, d), covariances (K, d, d), resp (n, K).
"""

import math

import torch

from gentools.lab.divergences import kl
from gentools.lab.shapes import (
    distributions,
    filled,
    finite,
    floating,
    occupied,
    only_bits,
    positive_definite,
    same_columns,
    same_rows,
    same_shape,
    shared_out,
    whole,
    within_unit,
)
from gentools.mixtures import BernoulliMixture, CollapseError, Mixture, fit_bernoulli_mixture, fit_mixture

__all__ = [
    "BernoulliMixture",
    "CollapseError",
    "Mixture",
    "bernoulli_log_joint",
    "bernoulli_m_step",
    "bound",
    "e_step",
    "fit_bernoulli_mixture",
    "fit_mixture",
    "gaussian_em",
    "gaussian_log_joint",
    "gaussian_m_step",
    "joint_kl",
    "k_means",
    "log_likelihood",
    "nearest",
]


def joint_kl(p_x, p_z_given_x, q_joint):
    """KL(p(x) p(z|x) || q(x,z)) of finite tables: (n,), (n, K) and (n, K), in nats."""
    same_rows(p_x=p_x, p_z_given_x=p_z_given_x)
    same_shape(p_z_given_x=p_z_given_x, q_joint=q_joint)
    distributions(1, p_z_given_x=p_z_given_x)
    return kl(p_x[:, None] * p_z_given_x, q_joint)


def e_step(log_joint):
    """Responsibilities: the posterior q(z|x) = q(x,z) / q(x), which is the encoder p(z|x) of least joint KL. (n, K)."""
    if not log_joint.amax(1).isfinite().all():
        raise ValueError(
            "each point needs a component under which it is possible, and no log joint may be NaN: there is no posterior otherwise"
        )
    return torch.softmax(log_joint, 1)


def log_likelihood(log_joint):
    """Mean over the points of log q(x) = log sum_z q(x,z), in nats per point."""
    filled(log_joint=log_joint)
    return torch.logsumexp(log_joint, 1).mean()


def bound(resp, log_joint):
    """Mean over the points of sum_z p(z|x) log q(x,z) / p(z|x), in nats per point, with `resp` (n, K) as p(z|x).

    It is minus the joint KL, up to the entropy of the data; never above `log_likelihood`, equal to it after an E-step
    (Neal, Hinton 1998). A component with p(z|x) = 0 adds nothing.
    """
    same_shape(resp=resp, log_joint=log_joint)
    filled(resp=resp)
    distributions(1, resp=resp)
    shared_out(resp=resp)
    return torch.where(resp == 0, 0.0, resp * (log_joint - resp.log())).sum(1).mean()


# Mixtures of Gaussians: weights (K,), means (K, d), covariances (K, d, d)


def gaussian_log_joint(x, weights, means, covariances):
    """log q(x, z=k) = log weight_k + log N(x; mean_k, covariance_k) of points `x` (n, d): (n, K)."""
    same_rows(weights=weights, means=means, covariances=covariances)
    same_columns(x=x, means=means)
    positive_definite(covariances=covariances)
    distributions(weights=weights)
    offset = x[:, None] - means  # (n, K, d)
    square = torch.einsum("nki,kij,nkj->nk", offset, torch.linalg.inv(covariances), offset)  # (n, K)
    return weights.log() - (torch.logdet(2 * torch.pi * covariances) + square) / 2


def gaussian_m_step(x, resp, floor=0.0):
    """The weights (K,), means (K, d) and covariances (K, d, d) of least joint KL for points `x` (n, d), `resp` (n, K).

    The weights are the model's prior q(z): they move too. `floor` times the variance of each column is added to the
    diagonals of the covariances, which keeps a component from collapsing onto a point, where the likelihood is
    infinite; with a floor above 0 the step is no longer exactly the best one.
    """
    same_rows(x=x, resp=resp)
    floating(x=x, resp=resp)
    filled(x=x)
    finite("no mean follows from such points: drop them", x=x)
    distributions(1, resp=resp)
    shared_out(resp=resp)
    count = resp.sum(0)  # (K,)
    occupied(count=count)
    if not 0 <= floor < math.inf:
        raise ValueError(f"floor must be a fraction of the data's variance, 0 or more, not {floor!r}")
    means = resp.T @ x / count[:, None]  # (K, d)
    offset = x[:, None] - means  # (n, K, d)
    covariances = torch.einsum("nk,nki,nkj->kij", resp, offset, offset) / count[:, None, None]
    return count / len(x), means, covariances + floor * torch.diag(x.var(0, correction=0))


def gaussian_em(x, weights, means, covariances, steps, floor=0.0):
    """EM in ten lines: the parameters after `steps` steps, and the staircase of the bound, (2 steps + 1,).

    Even entries follow an E-step, where the bound is the log-likelihood; odd ones follow an M-step.
    """
    whole(least=0, steps=steps)
    log_joint = gaussian_log_joint(x, weights, means, covariances)
    stairs = [log_likelihood(log_joint)]
    for _ in range(steps):
        resp = e_step(log_joint)
        weights, means, covariances = gaussian_m_step(x, resp, floor)
        log_joint = gaussian_log_joint(x, weights, means, covariances)
        stairs += [bound(resp, log_joint), log_likelihood(log_joint)]
    return (weights, means, covariances), torch.stack(stairs)


# k-means: equal weights, covariances variance * I, variance -> 0


def nearest(x, means):
    """One-hot (n, K) of the nearest of `means` (K, d) to `x` (n, d): the limit of the responsibilities when the common variance goes to 0."""
    floating(x=x, means=means)
    same_columns(x=x, means=means)
    filled(means=means)
    distance = _distances(x, means)  # (n, K)
    if not distance.isfinite().all():
        raise ValueError("points and means must be finite: to NaN or infinity no mean is the nearest")
    return torch.nn.functional.one_hot(distance.argmin(1), len(means)).to(x.dtype)


def k_means(x, means, steps):
    """EM in that limit (Lloyd 1982): every mean moves to the average of the points nearest to it.

    Returns the means and the mean squared distance to the nearest one, before the first step and after each,
    (steps + 1,). A mean that no point is nearest to stays where it is.
    """
    floating(x=x, means=means)
    same_columns(x=x, means=means)
    filled(x=x, means=means)
    whole(least=0, steps=steps)
    distortion = [_distances(x, means).amin(1).square().mean()]
    for _ in range(steps):
        resp = nearest(x, means)  # (n, K)
        count = resp.sum(0)[:, None]  # (K, 1)
        means = torch.where(count > 0, resp.T @ x / count.clamp(min=1), means)
        distortion.append(_distances(x, means).amin(1).square().mean())
    return means, torch.stack(distortion)


def _distances(x, means):
    """(n, K), from differences: cdist's faster way through |x|^2 loses the digits of what lies far from 0."""
    return torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist")


# Mixtures of Bernoullis: weights (K,), means (K, d) between 0 and 1; x is binary


def bernoulli_log_joint(x, weights, means):
    """log q(x, z=k) = log weight_k + sum_j log Bernoulli(x_j; mean_kj) of binary points `x` (n, d): (n, K)."""
    same_rows(weights=weights, means=means)
    same_columns(x=x, means=means)
    floating(x=x)
    only_bits(x=x)
    within_unit(means=means)
    distributions(weights=weights)
    x = x[:, None]  # (n, 1, d)
    return weights.log() + (torch.xlogy(x, means) + torch.special.xlog1py(1 - x, -means)).sum(2)


def bernoulli_m_step(x, resp, floor=1e-3):
    """The weights (K,) and means (K, d) of least joint KL for `x` (n, d) and `resp` (n, K).

    The means are kept in [floor, 1 - floor].
    """
    same_rows(x=x, resp=resp)
    floating(x=x, resp=resp)
    only_bits(x=x)
    distributions(1, resp=resp)
    shared_out(resp=resp)
    if not 0 <= floor < 0.5:
        raise ValueError(f"floor must lie between 0 and 0.5, not {floor!r}")
    count = resp.sum(0)  # (K,)
    occupied(count=count)
    return count / len(x), (resp.T @ x / count[:, None]).clamp(floor, 1 - floor)
