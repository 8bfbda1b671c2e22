"""Chapter 01 against brute force: grid search, numerical integration and explicit conditional Gaussians."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from gentools import joint_kl
from gentools.lab import worlds
from gentools.lab.divergences import gaussian_kl, kl

seeds = st.integers(0, 10**6)


@given(seeds)
def test_gap_and_elbo_by_loops(seed):
    w = worlds.table(seed)
    gap = sum(w.p_x[i] * stats.entropy(w.p_z_given_x[i], w.q_z_given_x[i]) for i in range(len(w.p_x)))
    assert torch.isclose(joint_kl.gap(w.p_xz, w.q_xz), gap, atol=1e-12)
    for i in range(len(w.p_x)):
        terms = [e * np.log(q / e) for e, q in zip(w.p_z_given_x[i].tolist(), w.q_xz[i].tolist(), strict=True)]
        assert joint_kl.elbo(w.p_z_given_x, w.q_xz)[i].item() == pytest.approx(sum(terms), abs=1e-12)


def test_elbo_of_a_certain_encoder_is_finite():
    encoder = torch.tensor([[1.0, 0.0]]).double()
    assert torch.isfinite(joint_kl.elbo(encoder, torch.tensor([[0.3, 0.7]]).double())).all()


@pytest.mark.parametrize("seed", range(5))
def test_forward_fit_beats_a_search(seed):
    w = worlds.line(seed)

    def loss(theta):
        return float(kl(w.p_x, joint_kl.gaussian_cells(w.x, theta[0], np.exp(theta[1]))))

    found = optimize.minimize(loss, [0.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    mean, std = joint_kl.fit_forward(w.x, w.p_x)
    assert float(mean) == pytest.approx(found.x[0], abs=1e-5)
    assert float(std) == pytest.approx(np.exp(found.x[1]), abs=1e-5)


@pytest.mark.parametrize("start", [-3.0, 3.0])
def test_reverse_fit_finds_the_bump_it_starts_from(start):
    x = torch.linspace(-8, 8, 1601).double()
    p = (joint_kl.gaussian_cells(x, -3.0, 0.7) + joint_kl.gaussian_cells(x, 3.0, 0.7)) / 2

    def loss(theta):
        return float(kl(joint_kl.gaussian_cells(x, theta[0], np.exp(theta[1])), p))

    found = optimize.minimize(loss, [start, np.log(0.7)], method="Nelder-Mead")
    mean, std = joint_kl.fit_reverse(x, p, start, 0.7)
    assert float(mean) == pytest.approx(found.x[0], abs=1e-3) and float(std) == pytest.approx(
        np.exp(found.x[1]), abs=1e-3
    )


@pytest.mark.parametrize("h", [0.02, 0.01])
def test_smoothed_kl_against_adaptive_quadrature(h):
    atoms = torch.tensor([-0.7, 0.1, 1.3]).double()

    def integrand(x):
        p = np.mean(stats.norm(atoms.numpy(), h).pdf(x))
        return p * (np.log(p) - stats.norm.logpdf(x)) if p > 0 else 0.0

    total = sum(integrate.quad(integrand, a - 9 * h, a + 9 * h, epsabs=1e-12, limit=200)[0] for a in atoms.tolist())
    assert float(joint_kl.smoothed_kl(atoms, h)) == pytest.approx(total, abs=1e-8)


@given(seeds)
def test_mean_field_beats_other_independent_encoders(seed):
    w = worlds.coupled(seed)
    precision = joint_kl.posterior_precision(w.decoder, 0.5)
    zero, cov = torch.zeros(w.k).double(), torch.linalg.inv(precision)
    gap = joint_kl.mean_field_gap(precision)
    assert torch.isclose(gap, gaussian_kl(zero, joint_kl.mean_field(precision), zero, cov), atol=1e-9)
    other = torch.diag(joint_kl.mean_field(precision).diagonal() * (0.5 + torch.rand(w.k, generator=w.rng)))
    assert gap <= gaussian_kl(zero, other, zero, cov) + 1e-12


def test_posterior_precision_is_the_conditional_of_the_joint():
    w = worlds.gaussian(4)
    joint = torch.cat(
        [torch.cat([torch.eye(w.k).double(), w.decoder.T], 1),
         torch.cat([w.decoder, w.decoder @ w.decoder.T + 0.5 * torch.eye(w.n).double()], 1)]
    )  # fmt: skip
    conditional = torch.linalg.inv(torch.linalg.inv(joint)[: w.k, : w.k])
    assert torch.allclose(torch.linalg.inv(conditional), joint_kl.posterior_precision(w.decoder, 0.5))
