"""The metrics against closed forms, numerical integration and simulation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from gentools import evaluation
from gentools.lab import data
from gentools.lab.randomness import generator

SETS = {"grid": (data.grid_centers(), data.GRID_STD), "ring": (data.ring_centers(), data.RING_STD)}


def test_modes_by_hand():
    centers = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    x = torch.tensor([[0.1, 0.0], [0.0, 0.29], [3.8, 0.1], [0.31, 0.0], [2.0, 2.0], [0.0, 0.0]])
    found = evaluation.modes(x, centers, 0.1)
    assert found.covered == 2
    assert found.quality == pytest.approx(4 / 6)
    assert found.overlap == pytest.approx(1 / 3 + 1 / 6)


def test_bad_samples_count_as_bad():
    x = torch.tensor([[math.nan, 0.0], [math.inf, 0.0], [1e30, 0.0], [0.0, 0.0]])
    assert evaluation.modes(x, torch.zeros(1, 2), 0.1) == (1, 0.25, 0.25)


def test_one_point_repeated_is_one_mode_of_full_quality():
    centers, std = SETS["grid"]
    found = evaluation.modes(centers[:1].expand(2500, 2), centers, std)
    assert found == (1, 1.0, pytest.approx(1 / 25))


@pytest.mark.parametrize("shapes", [((0, 2), (3, 2)), ((5, 3), (3, 2)), ((5,), (3, 2))])
def test_misshapen_input_is_refused(shapes):
    with pytest.raises(ValueError, match="equal d"):
        evaluation.modes(torch.zeros(shapes[0]), torch.zeros(shapes[1]), 0.1)


@pytest.mark.parametrize("name", SETS)
def test_probability_of_discs_under_a_gaussian_is_a_noncentral_chi_square(name):
    centers, std = SETS[name]
    scale = 1.7
    got = evaluation.disc_probabilities(
        lambda x: torch.exp(-x.square().sum(1) / (2 * scale**2)) / (2 * math.pi * scale**2), centers, 3 * std
    )
    shift = (centers.double() / scale).square().sum(1).numpy()
    np.testing.assert_allclose(got, stats.ncx2.cdf((3 * std / scale) ** 2, 2, shift), rtol=1e-8)


def test_probability_of_a_disc_by_adaptive_quadrature():
    def density(x):
        return torch.exp(-x[:, 0].abs() - x[:, 1] ** 2) / 4

    got = evaluation.disc_probabilities(density, torch.tensor([[1.0, 0.5]]), 0.3)
    inside = integrate.dblquad(
        lambda y, x: math.exp(-abs(x) - y**2) / 4,
        0.7, 1.3, lambda x: 0.5 - math.sqrt(max(0, 0.09 - (x - 1) ** 2)), lambda x: 0.5 + math.sqrt(max(0, 0.09 - (x - 1) ** 2)),
        epsabs=1e-12,
    )[0]  # fmt: skip
    assert float(got[0]) == pytest.approx(inside, rel=1e-7)


def test_expected_modes_by_simulation():
    p = torch.tensor([0.001, 0.01, 0.2])
    draws = np.random.default_rng(0).multinomial(300, [0.001, 0.01, 0.2, 0.789], size=20_000)[:, :3]
    assert evaluation.expected_modes(p, 300) == pytest.approx((draws > 0).sum(1).mean(), abs=0.02)


@pytest.mark.parametrize("name", SETS)
def test_chance_lines_by_simulation(name):
    centers, std = SETS[name]
    lines = evaluation.chance_lines(centers, std)
    rng = generator(0, "chance")
    spread = math.sqrt(float(centers.double().square().mean()) + std**2)
    reach = float(centers.max()) + 1
    samplers = {
        "true data": lambda s: getattr(data, name)(2500, s)[0],
        "Gaussian": lambda s: spread * torch.randn(2500, 2, generator=rng),
        "uniform": lambda s: reach * (2 * torch.rand(2500, 2, generator=rng) - 1),
    }
    for label, sampler in samplers.items():
        found = [evaluation.modes(sampler(s), centers, std) for s in range(100)]
        error = 5 * np.std([f.quality for f in found]) / 10
        assert np.mean([f.quality for f in found]) == pytest.approx(lines[label][1], abs=error)
        assert np.mean([f.covered for f in found]) == pytest.approx(lines[label][0], abs=1.0)


def test_chance_lines_of_the_grid_are_the_known_ones():
    lines = evaluation.chance_lines(*SETS["grid"])
    assert lines["true data"][0] == pytest.approx(25, abs=1e-9)
    assert lines["true data"][1] == pytest.approx(1 - math.exp(-4.5))
    assert lines["uniform"][1] == pytest.approx(25 * math.pi * 0.15**2 / 100)
    assert lines["uniform"][0] == pytest.approx(25 * (1 - (1 - math.pi * 0.15**2 / 100) ** 2500))
    assert 17 < lines["Gaussian"][0] < 18.5 and lines["Gaussian"][1] < 0.02


def test_samples_and_centers_may_differ_in_precision():
    centers = torch.tensor([[0.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[0.1, 0.0], [4.0, 0.1], [2.0, 2.0]])
    want = (2, pytest.approx(2 / 3), pytest.approx(2 / 3))
    for samples, at in ((x, centers), (x.double(), centers.float()), (x.bfloat16(), centers), (x, centers.long())):
        assert evaluation.modes(samples, at, 0.1) == want


@pytest.mark.parametrize("std", [0, -1, math.nan, math.inf])
def test_a_width_that_is_none_is_refused(std):
    with pytest.raises(ValueError, match="std must be positive"):
        evaluation.modes(torch.zeros(4, 2), torch.zeros(1, 2), std)


def test_centers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="centers finite"):
        evaluation.modes(torch.zeros(4, 2), torch.full((1, 2), math.nan), 1)


def test_expected_modes_of_nothing_and_of_nonsense():
    p = torch.tensor([0.5, 1.0])
    assert evaluation.expected_modes(p, 0) == 0 and evaluation.expected_modes(p, 1) == 1.5
    for probabilities, n in ((p, -5), (p, math.nan), (p - 1, 3), (p + 0.5, 3), (p * math.nan, 3)):
        with pytest.raises(ValueError, match="n >= 0 samples"):
            evaluation.expected_modes(probabilities, n)


def test_frechet_of_single_numbers_by_hand():
    """Means 1 and 3, variances 2 and 8: (3 - 1)^2 + (sqrt 8 - sqrt 2)^2 = 6."""
    assert evaluation.frechet(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])) == pytest.approx(6)


@pytest.mark.parametrize("n, m, d", [(300, 300, 2048), (30, 30, 30), (20, 500, 40), (40, 40, 5), (2, 2, 1)])
def test_frechet_of_equal_and_of_moved_features(n, m, d):
    """0 for equal features, never below, and the squared length of a shift, also with fewer rows than dimensions."""
    x = torch.randn(n, d, generator=generator(n, "x"))
    assert 0 <= evaluation.frechet(x, x) < 1e-9 * d
    assert evaluation.frechet(x, x.double() + 2) == pytest.approx(4 * d, rel=1e-9)


@pytest.mark.parametrize("n, m, d", [(20, 30, 40), (12, 200, 40), (200, 12, 40), (40, 41, 40)])
def test_frechet_of_few_rows_agrees_with_a_matrix_root(n, m, d):
    """The direct formula: eigenvalues of the product S T itself, which are real and not negative."""
    x = torch.randn(n, d, generator=generator(n, "x"), dtype=torch.float64)
    y = 2 * torch.randn(m, d, generator=generator(m, "y"), dtype=torch.float64) + 1
    s, t = np.cov(x.numpy().T), np.cov(y.numpy().T)
    root = np.sqrt(np.linalg.eigvals(s @ t).real.clip(1e-12)).sum()
    want = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(s) + np.trace(t) - 2 * root
    assert evaluation.frechet(x, y) == pytest.approx(want, rel=1e-5)
    assert evaluation.frechet(y, x) == pytest.approx(evaluation.frechet(x, y), rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_frechet_refuses_features_that_are_not_finite(bad):
    x = torch.randn(5, 3, generator=generator(0))
    y = x.clone()
    y[2, 1] = bad
    for pair, name in (((x, y), "y"), ((y, x), "x")):
        with pytest.raises(ValueError, match=f"1 of the 5 rows of {name} hold NaN or infinity"):
            evaluation.frechet(*pair)


def test_the_chance_line_of_a_gaussian_has_mean_and_variance_of_a_mixture_off_the_origin():
    """By the noncentral chi-square distribution; the modes are wide, so that their own variance counts."""
    centers, std = torch.tensor([[1.0, 2.0], [4.0, 2.5], [1.5, -2.0]]).double(), 0.8
    mean = centers.mean(0)
    variance = sum(float(x) ** 2 for x in (centers - mean).flatten()) / 6 + 0.64
    far = (centers - mean).square().sum(1).numpy() / variance
    hit = stats.ncx2.cdf((3 * std) ** 2 / variance, 2, far)
    modes, quality = evaluation.chance_lines(centers, std, 7)["Gaussian"]
    assert quality == pytest.approx(hit.sum(), rel=1e-6)
    assert modes == pytest.approx((1 - (1 - hit) ** 7).sum(), rel=1e-6)
