"""Chapter 01 against brute force: grid search, numerical integration and explicit conditional Gaussians."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from gentools import joint_kl
from gentools.lab import records, worlds
from gentools.lab.divergences import gaussian_kl, js, kl
from gentools.recipes import joint_kl as recipe

seeds = st.integers(0, 10**6)


@given(seeds)
def test_gap_and_elbo_by_loops(seed):
    w = worlds.table(seed)
    gap = sum(w.p_x[i] * stats.entropy(w.p_z_given_x[i], w.q_z_given_x[i]) for i in range(len(w.p_x)))
    assert torch.isclose(joint_kl.gap(w.p_xz, w.q_xz), gap, atol=1e-12)
    for i in range(len(w.p_x)):
        terms = [e * np.log(q / e) for e, q in zip(w.p_z_given_x[i].tolist(), w.q_xz[i].tolist(), strict=True)]
        assert joint_kl.elbo(w.p_z_given_x, w.q_xz)[i].item() == pytest.approx(sum(terms), abs=1e-12)


def test_values_of_x_without_mass_count_for_nothing():
    w = worlds.table(3)
    none = torch.zeros(1, w.p_xz.shape[1]).double()
    p, q = torch.cat([w.p_xz, none, none]), torch.cat([w.q_xz, none, w.q_xz[:1]])  # nobody's x, and one of the model's
    assert joint_kl.given_x(p)[-2:].eq(0).all()
    q = q / q.sum()
    assert torch.isclose(joint_kl.gap(p, q), joint_kl.gap(w.p_xz, w.q_xz), atol=1e-12)
    assert torch.isclose(joint_kl.js_gap(p, q), js(p, q) - js(p.sum(1), q.sum(1)), atol=1e-12)


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


def test_figure_1_2_shows_the_third_minimum_and_its_grid_holds_every_fit():
    numbers = {name: value for name, (value,) in records.load("1.2")["numbers"].items()}

    def reverse_kl(mean, std):
        """KL(q || p) in nats by the trapezoidal rule over 9 standard deviations of q, on places that follow q."""
        z = np.linspace(-9, 9, 2001)
        q = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        parts = [np.log(c / 0.7) - ((mean + std * z - at) / 0.7) ** 2 / 2 for c, at in ((0.4, -3.0), (0.6, 3.0))]
        return integrate.trapezoid(q * (-np.log(std) - z**2 / 2 - np.logaddexp(*parts)), z)

    for name in recipe.FITS:
        mean, std = numbers[f"{name}: mean"], numbers[f"{name}: std"]
        assert numbers[f"{name}: KL(q||p)"] == pytest.approx(reverse_kl(mean, std), abs=1e-4), name
    found = optimize.minimize(lambda v: reverse_kl(v[0], np.exp(v[1])), [0.6, np.log(3.0)], method="Nelder-Mead")
    both = "reverse, from the forward fit"
    assert numbers[f"{both}: mean"] == pytest.approx(found.x[0], abs=0.01) and abs(found.x[0]) < 1
    assert numbers[f"{both}: std"] == pytest.approx(np.exp(found.x[1]), abs=0.01) and np.exp(found.x[1]) > 2


def test_from_which_distance_on_no_reverse_fit_covers_both_bumps_depends_on_their_weights():
    """As the text says of the third minimum. By symmetry and slopes: at equal weights 0 is its mean at every distance."""
    z = np.linspace(-9, 9, 2001)
    q = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

    def covers(weight, distance):
        def reverse_kl(v):
            x = v[0] + np.exp(v[1]) * z
            parts = [
                np.log(c) - ((x - at) / 0.7) ** 2 / 2 for c, at in ((weight, -distance / 2), (1 - weight, distance / 2))
            ]
            return integrate.trapezoid(q * (-v[1] - z**2 / 2 - np.logaddexp(*parts)), z)

        start = [(0.5 - weight) * distance, np.log(0.4 * distance)]
        return np.exp(optimize.minimize(reverse_kl, start, method="Nelder-Mead").x[1]) > 1.5

    assert covers(0.4, 6.0) and not covers(0.4, 7.3)  # the figure's
    assert not covers(0.3, 5.0) and covers(0.45, 10.0)
    assert all(covers(0.5, distance) for distance in (8.0, 14.0, 20.0))


@pytest.mark.parametrize("h", [0.02, 0.01])
def test_smoothed_kl_against_adaptive_quadrature(h):
    atoms = torch.tensor([-0.7, 0.1, 1.3]).double()

    def integrand(x):
        p = np.mean(stats.norm(atoms.numpy(), h).pdf(x))
        return p * (np.log(p) - stats.norm.logpdf(x)) if p > 0 else 0.0

    total = sum(integrate.quad(integrand, a - 9 * h, a + 9 * h, epsabs=1e-12, limit=200)[0] for a in atoms.tolist())
    assert float(joint_kl.smoothed_kl(atoms, h)) == pytest.approx(total, abs=1e-8)


@pytest.mark.parametrize("points", [[[0.3], [1.1], [0.3]], [[0.2, 1.0], [-1.0, 0.4], [1.5, -2.0]]])
def test_the_limit_of_smoothed_points_counts_repeats_and_dimensions(points):
    """(1.2): the entropy of the points as a table, not log n, and d log h, not log h."""
    points = torch.tensor(points).double()
    n, d = points.shape
    _, count = np.unique(points.numpy(), axis=0, return_counts=True)
    of_points = -stats.multivariate_normal(np.zeros(d)).logpdf(points.numpy()).mean()
    right = of_points - stats.entropy(count / n) - d * (1 + np.log(2 * np.pi)) / 2
    for h in (1e-3, 1e-5):
        assert float(joint_kl.smoothed_kl(points, h)) + d * np.log(h) == pytest.approx(right, abs=1e-5)
    if len(count) < n:
        assert abs(right - (of_points - np.log(n) - d * (1 + np.log(2 * np.pi)) / 2)) > 0.3


def test_smoothed_kl_to_another_density_against_a_fine_grid_in_the_plane():
    points, h = np.array([[0.0, 0.5], [1.0, -0.4]]), 0.05
    q = stats.multivariate_normal([0.5, 0.2], [[1, 0.3], [0.3, 2]])
    side = np.linspace(-6 * h, 6 * h, 81)
    square = np.stack(np.meshgrid(side, side), -1)  # around each point; the bumps do not reach each other
    total = 0.0
    for point in points:
        x = point + square
        p = sum(stats.multivariate_normal(other, h**2 * np.eye(2)).pdf(x) for other in points) / 2
        total += (p * (np.log(p) - q.logpdf(x))).sum() * (side[1] - side[0]) ** 2
    ours = joint_kl.smoothed_kl(torch.from_numpy(points), h, lambda x: torch.from_numpy(q.logpdf(x.numpy())))
    assert float(ours) == pytest.approx(total, abs=1e-6)


@given(seeds)
def test_the_jensen_shannon_divergence_splits_with_unequal_weights(seed):
    """(1.12) by loops over x."""
    w = worlds.table(seed)
    total = 0.0
    for i, weight in enumerate(w.mix.tolist()):
        pi, a, b = float(w.p_x[i] / (w.p_x[i] + w.q_x[i])), w.p_z_given_x[i].numpy(), w.q_z_given_x[i].numpy()
        mixed = pi * a + (1 - pi) * b
        total += weight * (pi * stats.entropy(a, mixed) + (1 - pi) * stats.entropy(b, mixed))
    assert float(joint_kl.js_gap(w.p_xz, w.q_xz)) == pytest.approx(total, abs=1e-12)
    assert float(js(w.p_xz, w.q_xz) - js(w.p_x, w.q_x)) == pytest.approx(total, abs=1e-12)


def test_equal_weights_or_the_weights_of_the_data_do_not_split_the_jensen_shannon_divergence():
    for w in map(worlds.table, range(50)):
        difference = js(w.p_xz, w.q_xz) - js(w.p_x, w.q_x)
        inside = js(w.p_z_given_x, w.q_z_given_x, dim=1)
        assert abs((w.mix * inside).sum() - difference) > 1e-6
        assert abs((w.p_x * inside).sum() - difference) > 1e-6


@given(seeds)
def test_no_f_divergence_grows_when_z_is_forgotten(seed):
    w = worlds.table(seed)
    for f in (
        lambda t: t * torch.log(t),
        lambda t: (t * torch.log(2 * t / (1 + t)) + torch.log(2 / (1 + t))) / 2,  # Jensen-Shannon
        lambda t: (t - 1).abs() / 2,  # total variation
        lambda t: (t - 1) ** 2,  # Pearson's chi square
    ):
        joint, marginal = (w.q_xz * f(w.p_xz / w.q_xz)).sum(), (w.q_x * f(w.p_x / w.q_x)).sum()
        assert marginal <= joint + 1e-12
    t = w.p_x / w.q_x
    as_f = (w.q_x * (t * torch.log(2 * t / (1 + t)) + torch.log(2 / (1 + t))) / 2).sum()
    assert torch.isclose(as_f, js(w.p_x, w.q_x), atol=1e-12)


def test_the_forward_fit_of_two_bumps_peaks_where_data_are_rare():
    """Its peak lies between the bumps, and yet less than half of its mass lies where there are next to no data."""
    x = torch.linspace(-15, 15, 30001, dtype=torch.float64)
    p = 0.4 * joint_kl.gaussian_cells(x, -3.0, 0.7) + 0.6 * joint_kl.gaussian_cells(x, 3.0, 0.7)
    q = joint_kl.gaussian_cells(x, *joint_kl.fit_forward(x, p))
    assert p[q.argmax()] < 0.01 * p.max()
    dense = p.sort(descending=True).values
    outside = q[p < dense[(dense.cumsum(0) < 0.99).sum()]].sum()  # of the densest region that holds 99 % of the data
    assert 0.40 < float(outside) < 0.45


@given(seeds)
def test_no_independent_encoder_of_another_mean_or_shape_beats_the_mean_field(seed):
    """(1.10) against Gaussians with shifted means, and against independent uniform encoders with the best variances."""
    w = worlds.coupled(seed)
    precision = joint_kl.posterior_precision(w.decoder, 0.5)
    zero, cov = torch.zeros(w.k).double(), torch.linalg.inv(precision)
    gap, best = joint_kl.mean_field_gap(precision), joint_kl.mean_field(precision)
    shift = torch.randn(w.k, generator=w.rng, dtype=torch.float64)
    assert gap < gaussian_kl(shift, best, zero, cov)
    width = (
        12 * best.diagonal()
    ).sqrt()  # a uniform density of this width has the best variance, and entropy log width
    energy = ((precision.diagonal() * best.diagonal()).sum() + w.k * np.log(2 * np.pi) - torch.logdet(precision)) / 2
    assert energy - width.log().sum() > gap


@given(seeds)
def test_mean_field_beats_other_independent_encoders(seed):
    w = worlds.coupled(seed)
    precision = joint_kl.posterior_precision(w.decoder, 0.5)
    zero, cov = torch.zeros(w.k).double(), torch.linalg.inv(precision)
    gap = joint_kl.mean_field_gap(precision)
    assert torch.isclose(gap, gaussian_kl(zero, joint_kl.mean_field(precision), zero, cov), atol=1e-9)
    other = torch.diag(joint_kl.mean_field(precision).diagonal() * (0.5 + torch.rand(w.k, generator=w.rng)))
    assert gap <= gaussian_kl(zero, other, zero, cov) + 1e-12


def test_chapter_1_says_how_the_gap_of_figure_1_4_grows():
    """For its W and noise: one correlation of the posterior, rho = 3.6 c^2 / (1 + 3.62 c^2), and -log(1 - rho^2) / 2."""
    config = recipe.RECIPES["1.4"].config("full")
    w, gaps = torch.tensor(config.weights, dtype=torch.float64), []
    for c in (0.0, 0.25, 0.5, 0.74, 1.0):
        rho = 3.6 * c**2 / (1 + 3.62 * c**2)
        precision = torch.eye(2) + c**2 / config.noise_variance * w.T @ w
        assert float(precision[0, 1] / precision.diagonal().prod().sqrt()) == pytest.approx(rho)
        gaps.append(float(joint_kl.mean_field_gap(joint_kl.posterior_precision(c * w, config.noise_variance))))
        assert gaps[-1] == pytest.approx(-np.log(1 - rho**2) / 2)
    assert gaps[0] == 0 and gaps == sorted(gaps) and rho == pytest.approx(0.78, abs=0.005)
    assert gaps[-1] == pytest.approx(records.load("1.4")["numbers"]["gap at c = 1"][0], abs=1e-9)


def test_chapter_1_says_what_both_fits_come_to_in_the_last_panel():
    """Forward: over both bumps, and most probable where data are rare. Reverse: one bump each, and the better is known."""
    numbers = {name: values[0] for name, values in records.load("1.2")["numbers"].items()}
    config = recipe.RECIPES["1.2"].config("full")
    assert numbers["forward: std"] > 4 * config.std and abs(numbers["forward: mean"]) < 1
    ends = [numbers[f"reverse, from the {side}: KL(q||p)"] for side in ("left", "right", "forward fit")]
    assert ends[1] < ends[0] < ends[2], "the better of the reverse fits sits on the heavier bump"
    for side in ("left", "right"):
        assert numbers[f"reverse, from the {side}: std"] == pytest.approx(config.std, abs=0.01)


def test_the_forward_fit_takes_a_line_and_no_table():
    with pytest.raises(ValueError, match="x must be numbers"):
        joint_kl.fit_forward(torch.tensor([[0.0, 10.0], [0.0, 10.0]]).double(), torch.full((2, 2), 0.25).double())


def test_posterior_precision_is_the_conditional_of_the_joint():
    w = worlds.gaussian(4)
    joint = torch.cat(
        [torch.cat([torch.eye(w.k).double(), w.decoder.T], 1),
         torch.cat([w.decoder, w.decoder @ w.decoder.T + 0.5 * torch.eye(w.n).double()], 1)]
    )  # fmt: skip
    conditional = torch.linalg.inv(torch.linalg.inv(joint)[: w.k, : w.k])
    assert torch.allclose(torch.linalg.inv(conditional), joint_kl.posterior_precision(w.decoder, 0.5))


def test_fit_reverse_starts_where_it_is_told_and_moves_by_the_learning_rate():
    x = torch.linspace(-8, 8, 1601).double()
    p = joint_kl.gaussian_cells(x, 1.0, 0.5)
    start = joint_kl.fit_reverse(x, p, -0.3, 1.7, steps=0)
    assert [float(v) for v in start] == [pytest.approx(-0.3, abs=1e-12), pytest.approx(1.7, abs=1e-12)]
    once = joint_kl.fit_reverse(
        x, p, -0.3, 1.7, steps=1, learning_rate=0.1
    )  # Adam's first step has the size of the rate
    assert float(once[0]) == pytest.approx(-0.2, abs=1e-6) and float(once[1]) == pytest.approx(
        1.7 * np.exp(-0.1), abs=1e-6
    )
    mean, std = joint_kl.fit_reverse(x, p, -0.3, 1.7)
    assert float(mean) == pytest.approx(1.0, abs=1e-3) and float(std) == pytest.approx(0.5, abs=1e-3)
    assert not mean.requires_grad and not std.requires_grad
