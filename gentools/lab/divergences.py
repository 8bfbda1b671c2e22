"""Distances between distributions: the book's subject, for finite tables and for Gaussians.

Tables are float64 tensors of probabilities. Every function sums over all entries unless `dim` names the
axes to sum over, so a table of any shape is one distribution and `dim=1` treats each row as one.
Quantities are in nats. Convention: 0 log 0 = 0, and mass where the reference has none costs infinity.
Shapes: p and q (..., n), joint (n, k), mean and log_variance (..., d). Results are 0-d, or what `dim` leaves.
"""

import torch

from gentools.lab.shapes import (
    distributions,
    floating,
    no_negative,
    of_two_axes,
    one_axis_of_codes,
    one_matrix,
    positive_definite,
    same_rows,
    same_shape,
    vectors,
)


def _sum(terms, dim):
    return terms.sum() if dim is None else terms.sum(dim)


def entropy(p, dim=None):
    """H(p) = -sum p log p, in nats. Raises ValueError for tables that do not sum to 1 or hold less than 0."""
    distributions(dim, p=p)
    no_negative(p=p)
    return -_sum(torch.xlogy(p, p), dim)


def cross_entropy(p, q, dim=None):
    """H(p, q) = -sum p log q, in nats. Infinite if q is 0 where p is not.

    Raises ValueError for p that do not sum to 1, and for less than 0 in p or q. What q sums to is free: it may hold the
    likelihoods of several codes.
    """
    same_shape(p=p, q=q)
    distributions(dim, p=p)
    no_negative(p=p, q=q)
    return -_sum(torch.xlogy(p, q), dim)


def kl(p, q, dim=None):
    """KL(p || q) = sum p log(p / q), in nats. Infinite if q is 0 where p is not (Kullback, Leibler 1951).

    Raises ValueError for tables that do not sum to 1, for which this sum may be negative and means nothing.
    """
    distributions(dim, q=q)  # p is looked at by the two below
    return cross_entropy(p, q, dim) - entropy(p, dim)


def expected_kl(weights, p, q):
    """E_weights KL(p(.|i) || q(.|i)): `weights` is (n,), row i of `p` and `q` (n, k) is the i-th conditional.

    Raises ValueError as `kl` does, and for other shapes.
    """
    same_rows(weights=weights, p=p)
    same_shape(p=p, q=q)
    vectors(weights=weights)
    of_two_axes(p=p)
    distributions(weights=weights)
    no_negative(weights=weights)
    met = weights != 0  # what never happens adds nothing, even where the KL is infinite
    return (weights[met] * kl(p[met], q[met], dim=1)).sum()


def js(p, q, dim=None):
    """Jensen-Shannon divergence, KL(p||m)/2 + KL(q||m)/2 with m = (p+q)/2; between 0 and log 2 (Lin 1991).

    Raises ValueError as `kl` does.
    """
    same_shape(p=p, q=q)
    distributions(dim, p=p, q=q)
    mix = (p + q) / 2
    return (kl(p, mix, dim) + kl(q, mix, dim)) / 2


def mutual_information(joint):
    """I(x; z) = KL(p(x,z) || p(x) p(z)) of a table with x along dim 0 and z along dim 1.

    Raises ValueError for a table of other axes, and as `kl` does.
    """
    one_axis_of_codes(joint=joint)
    distributions(joint=joint)
    return kl(joint, joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True))


def gaussian_entropy(cov):
    """Differential entropy of a Gaussian with covariance `cov` (d, d), in nats. Raises ValueError for another matrix."""
    floating(cov=cov)
    positive_definite(cov=cov)
    d = cov.shape[-1]
    return (d * (1 + torch.log(torch.tensor(2 * torch.pi, dtype=cov.dtype))) + torch.logdet(cov)) / 2


def gaussian_kl(mean_p, cov_p, mean_q, cov_q):
    """KL(N(mean_p, cov_p) || N(mean_q, cov_q)) in closed form; means (d,), covariances (d, d) positive definite.

    KL = 1/2 [ tr(cov_q^-1 cov_p) + (mean_q - mean_p)' cov_q^-1 (mean_q - mean_p) - d + log det cov_q / det cov_p ].
    Raises ValueError for other shapes and matrices, TypeError for what is no tensor of floating-point numbers.
    """
    floating(mean_p=mean_p, cov_p=cov_p, mean_q=mean_q, cov_q=cov_q)
    same_shape(mean_p=mean_p, mean_q=mean_q)
    same_shape(cov_p=cov_p, cov_q=cov_q)
    vectors(mean_p=mean_p)
    one_matrix(cov_p=cov_p)
    same_rows(mean_p=mean_p, cov_p=cov_p)
    positive_definite(cov_p=cov_p, cov_q=cov_q)
    shift = mean_q - mean_p
    trace = torch.trace(torch.linalg.solve(cov_q, cov_p))
    square = shift @ torch.linalg.solve(cov_q, shift)
    return (trace + square - len(shift) + torch.logdet(cov_q) - torch.logdet(cov_p)) / 2


def diagonal_gaussian_kl(mean, log_variance, dim=-1):
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), summed over `dim` (Kingma, Welling 2013, appendix B).

    Raises ValueError for tensors of two shapes, TypeError for what is no tensor of floating-point numbers.
    """
    floating(mean=mean, log_variance=log_variance)
    same_shape(mean=mean, log_variance=log_variance)
    return (log_variance.exp() + mean**2 - 1 - log_variance).sum(dim) / 2
