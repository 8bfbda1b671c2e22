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
