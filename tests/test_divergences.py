"""Divergences against SciPy, torch.distributions and quadrature, and their identities as properties."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from gentools.lab import divergences as dv
from gentools.lab import worlds
from gentools.lab.randomness import generator

seeds = st.integers(0, 10**6)


def pair(seed, n=5):
    rng = generator(seed, "pair")
    return worlds.simplex(rng, n), worlds.simplex(rng, n)


@given(seeds)
def test_finite_divergences_agree_with_scipy(seed):
    p, q = pair(seed)
    assert np.isclose(dv.kl(p, q), stats.entropy(p, q), atol=1e-12)
    assert np.isclose(dv.entropy(p), stats.entropy(p), atol=1e-12)
    assert np.isclose(dv.js(p, q), jensenshannon(p, q) ** 2, atol=1e-12)
    assert np.isclose(dv.cross_entropy(p, q), -(p * q.log()).sum(), atol=1e-12)


def test_zeros():
    p, q = (
        torch.tensor([0.5, 0.5, 0.0]).double(),
        torch.tensor([1.0, 0.0, 0.0]).double(),
    )
    assert dv.kl(q, p) == pytest.approx(np.log(2))
    assert torch.isinf(dv.kl(p, q))
    assert dv.entropy(q) == 0
    assert dv.js(p, q) <= np.log(2)


@pytest.mark.parametrize("divergence", [dv.kl, dv.js])
def test_counts_are_no_distributions(divergence):
    counts, p = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).double(), torch.full((2, 2), 0.25).double()
    for pair in ((counts, p), (p, counts)):
        with pytest.raises(
            ValueError, match=r"must sum to 1 over all entries .* sums to 6; counts divided by their sum do"
        ):
            divergence(*pair)
    with pytest.raises(ValueError, match=r"over dim=1, and sums to 0\.5 to 0\.5"):
        divergence(2 * p, p, dim=1)
    conditional = torch.tensor([[0.5, 0.5], [0.0, 0.0]]).double()  # its second condition has no mass
    assert torch.equal(divergence(conditional, conditional, dim=1), torch.zeros(2).double())


@pytest.mark.parametrize("divergence", [dv.kl, dv.js])
def test_a_negative_number_is_no_probability(divergence):
    odd, p = torch.tensor([1.5, -0.5]).double(), torch.tensor([1.0, 0.0]).double()
    with pytest.raises(ValueError, match=r"holds -0\.5, and probabilities are 0 or more"):
        divergence(p, odd)
    for dim in None, 0:
        with pytest.raises(ValueError, match=r"p holds -0\.5"):
            divergence(odd, p, dim)


def test_many_tables_at_once_by_vmap():
    p, q = torch.tensor([[0.5, 0.5], [0.2, 0.8]]).double(), torch.tensor([[0.5, 0.5], [0.5, 0.5]]).double()
    assert torch.allclose(torch.vmap(dv.kl)(p, q), dv.kl(p, q, dim=1))
    assert torch.allclose(torch.vmap(dv.js)(p, q), dv.js(p, q, dim=1))


@given(seeds)
def test_rows_and_whole_tables(seed):
    rng = generator(seed, "rows")
    p, q = worlds.simplex(rng, 4, 3), worlds.simplex(rng, 4, 3)
    rows = torch.stack([dv.kl(a, b) for a, b in zip(p, q, strict=True)])
    assert torch.allclose(dv.kl(p, q, dim=1), rows)
    weights = worlds.simplex(rng, 4)
    assert torch.isclose(dv.expected_kl(weights, p, q), (weights * rows).sum())


@given(seeds)
def test_mutual_information_is_entropy_lost(seed):
    w = worlds.table(seed)
    by_entropies = dv.entropy(w.p_x) + dv.entropy(w.p_z) - dv.entropy(w.p_xz)
    assert torch.isclose(dv.mutual_information(w.p_xz), by_entropies, atol=1e-12)


@given(seeds)
def test_gaussian_kl_agrees_with_torch_distributions(seed):
    w = worlds.gaussian(seed)
    normal = torch.distributions.MultivariateNormal
    reference = torch.distributions.kl_divergence(normal(w.p_mean, w.p_cov), normal(w.q_mean, w.q_cov))
    assert torch.isclose(dv.gaussian_kl(w.p_mean, w.p_cov, w.q_mean, w.q_cov), reference, rtol=1e-6)
    assert torch.isclose(dv.gaussian_entropy(w.p_cov), normal(w.p_mean, w.p_cov).entropy(), rtol=1e-8)


def test_diagonal_gaussian_kl_agrees_with_the_general_form():
    rng = generator(0, "diagonal")
    mean, log_variance = (
        torch.randn(7, 3, generator=rng).double(),
        torch.randn(7, 3, generator=rng).double(),
    )
    zero, one = torch.zeros(3).double(), torch.eye(3).double()
    general = [dv.gaussian_kl(m, torch.diag(v.exp()), zero, one) for m, v in zip(mean, log_variance, strict=True)]
    assert torch.allclose(dv.diagonal_gaussian_kl(mean, log_variance), torch.stack(general))
    assert torch.allclose(dv.diagonal_gaussian_kl(mean[0], log_variance[0]), general[0])  # dim=-1, also of one row
    assert torch.allclose(dv.diagonal_gaussian_kl(mean, log_variance, dim=(0, 1)), torch.stack(general).sum())


def test_cells_on_a_line_give_the_integral():
    w = worlds.line(0)
    p, q = stats.norm(0.3, 1.1), stats.norm(-0.5, 1.4)
    cells = [torch.from_numpy(d.pdf(w.x.numpy())) * w.dx for d in (p, q)]
    exact = np.log(1.4 / 1.1) + (1.1**2 + 0.8**2) / (2 * 1.4**2) - 0.5
    assert dv.kl(*cells) == pytest.approx(exact, abs=1e-9)


def test_an_infinite_kl_of_weight_0_adds_nothing():
    weights, p, q = (torch.tensor(v).double() for v in ([1, 0], [[0.5, 0.5]] * 2, [[0.5, 0.5], [1, 0]]))
    assert dv.expected_kl(weights, p, q) == 0 and dv.expected_kl(1 - weights, p, q) == torch.inf
    with pytest.raises(ValueError, match=r"weights must sum to 1 .*nan"):
        dv.expected_kl(weights * torch.nan, p, q)


TABLES = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).double()
CUBE = TABLES[:, :, None].expand(2, 2, 2)  # sums to 1 along dim 1, as rows of a table do
EYE, ROUNDED = torch.eye(2).double(), torch.tensor([1 + 1e-7, -1e-7]).double()  # what rounding leaves of (1, 0)
REFUSALS = {
    "conditionals with a third axis": (lambda: dv.expected_kl(TABLES[0], CUBE, CUBE), "p must be a table"),
    "weights in a column": (lambda: dv.expected_kl(TABLES[0][:, None], TABLES, TABLES), "weights must be numbers"),
    "other weights": (lambda: dv.expected_kl(TABLES[0, :1] * 2, TABLES, TABLES), "equally many rows"),
    "conditionals of two shapes": (lambda: dv.expected_kl(TABLES[0], TABLES, TABLES[:, :1] * 2), "need one shape"),
    "a joint with a third axis": (lambda: dv.mutual_information(CUBE / 4), "joint must be a table"),
    "counts for a joint": (lambda: dv.mutual_information(4 * TABLES), "joint must sum to 1"),
    "less than 0 in an entropy": (lambda: dv.entropy(ROUNDED), "p holds -1e-07"),
    "less than 0 in a cross entropy": (lambda: dv.cross_entropy(ROUNDED, EYE[0]), "p holds -1e-07"),
    "less than 0 in likelihoods": (lambda: dv.cross_entropy(EYE[0], ROUNDED), "q holds -1e-07"),
    "counts in a cross entropy": (lambda: dv.cross_entropy(4 * TABLES[0], TABLES[0]), "p must sum to 1"),
    "weights less than 0": (lambda: dv.expected_kl(ROUNDED, TABLES, EYE), "weights holds -1e-07"),
    "means in columns": (lambda: dv.gaussian_kl(EYE, EYE, 2 * EYE, EYE), "mean_p must be numbers"),
    "means of another length": (lambda: dv.gaussian_kl(EYE[0, :1], EYE, EYE[0, :1], EYE), "mean_p .1,., cov_p .2, 2."),
    "a stack of covariances": (lambda: dv.gaussian_kl(EYE[0], EYE.expand(2, 2, 2), EYE[1], EYE.expand(2, 2, 2)), "cov_p is one"),
    "a covariance of -1": (lambda: dv.gaussian_entropy(-EYE), "cov is no covariance"),
    "covariances of -1": (lambda: dv.gaussian_kl(EYE[0], -EYE, EYE[0], -EYE), "cov_p is no covariance"),
    "an entropy of an array": (lambda: dv.entropy(TABLES[0].numpy()), "p must be a torch tensor"),
    "a KL of complex numbers": (lambda: dv.kl(TABLES[0] + 0j, TABLES[0] + 0j), "must hold real numbers"),
    "a covariance of whole numbers": (lambda: dv.gaussian_entropy(EYE.long()), "cov must hold floating-point"),
    "means of whole numbers": (lambda: dv.gaussian_kl(EYE[0].long(), EYE, EYE[1].long(), EYE), "mean_p must hold floating"),
    "a mean whose square overflows": (
        lambda: dv.diagonal_gaussian_kl(torch.tensor([2**33]), torch.tensor([0])), "mean must hold floating"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_has_no_divergence_is_refused_by_name(name):
    call, message = REFUSALS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
