"""The metrics against closed forms, numerical integration, simulation and other libraries."""

import copy
import inspect
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from chapters import source
from scipy import integrate, linalg, stats
from scipy.special import logsumexp

from gentools import evaluation, neighbors, similarity
from gentools.lab import data, records
from gentools.lab.divergences import mutual_information
from gentools.lab.networks import mlp
from gentools.lab.optim import adam
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, unit
from gentools.lab.training import train
from gentools.recipes import evaluation_points

SETS = {"grid": (data.grid_centers(), data.GRID_STD), "ring": (data.ring_centers(), data.RING_STD)}


def test_modes_by_hand():
    centers = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    x = torch.tensor([[0.1, 0.0], [0.0, 0.29], [3.8, 0.1], [0.31, 0.0], [2.0, 2.0], [0.0, 0.0]])
    found = evaluation.modes(x, centers, 0.1)
    assert found.covered == 2
    assert found.quality == pytest.approx(4 / 6)
    assert found.overlap == pytest.approx(1 / 3 + 1 / 6)
    assert evaluation.modes(torch.tensor([[3.0, 0.0]]), centers[:1], 1.0).covered == 1  # 3 std away is within


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
    with pytest.raises(ValueError, match="2 of the 2 numbers of centers are NaN or infinite"):
        evaluation.modes(torch.zeros(4, 2), torch.full((1, 2), math.nan), 1)


def test_expected_modes_of_nothing_and_of_nonsense():
    p = torch.tensor([0.25, 0.5])
    assert evaluation.expected_modes(p, 0) == 0 and evaluation.expected_modes(p, 1) == 0.75
    assert evaluation.expected_modes(torch.tensor([1.0, 0.0]), 3) == 1
    assert str(evaluation.expected_modes(0 * p, 5)) == "0.0"  # and not -0.0
    for probabilities, n in ((p, -5), (p, math.nan), (p, math.inf), (p - 1, 3), (p + 0.75, 3), (p * math.nan, 3)):
        with pytest.raises(ValueError, match="n >= 0 samples"):
            evaluation.expected_modes(probabilities, n)
    with pytest.raises(ValueError, match=r"hits one mode at most, and these probabilities sum to 1\.25"):
        evaluation.expected_modes(p + 0.25, 3)


def test_modes_whose_discs_overlap_have_no_chance_lines():
    with pytest.raises(ValueError, match=r"two centers are 2 apart, less than 6 std = 2\.4"):
        evaluation.chance_lines(SETS["grid"][0], 0.4)
    assert evaluation.chance_lines(SETS["grid"][0], 0.33)["true data"][1] < 1
    assert evaluation.chance_lines(torch.zeros(1, 2), 0.3)["true data"][0] == pytest.approx(1)


def test_discs_that_leave_the_uniform_square_have_no_chance_lines():
    """At a spacing of 20 and std 2 the quadrature would say 0.574 for a share of 0.634."""
    with pytest.raises(ValueError, match=r"discs of 3 std = 6 leave the square.*scale both down"):
        evaluation.chance_lines(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), 2.0)
    with pytest.raises(ValueError, match=r"discs of 3 std = 1\.05 leave"):
        evaluation.chance_lines(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), 0.35)
    assert evaluation.chance_lines(torch.zeros(1, 2), 1 / 3)["uniform"][1] == pytest.approx(math.pi / 4)


@pytest.mark.parametrize("off", [0.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("bandwidth", [0.05, 0.5])
def test_parzen_far_from_the_origin_is_that_at_the_origin(off, bandwidth):
    x, y = (torch.randn(n, 3, generator=generator(n, "parzen"), dtype=torch.float64) for n in (100, 50))
    x, y = ((1024 * rows).round() / 1024 for rows in (x, y))  # whole after adding `off`
    want = logsumexp(-((x[:, None] - y) ** 2).sum(2).numpy() / (2 * bandwidth**2), axis=0).mean()
    want -= math.log(100) + 3 * math.log(bandwidth * math.sqrt(2 * math.pi))
    assert evaluation.parzen(x + off, y + off, bandwidth) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("norm", [torch.nn.BatchNorm1d, torch.nn.LayerNorm])
def test_a_slope_per_row_has_no_meaning_under_batchnorm(norm):
    critic = torch.nn.Sequential(torch.nn.Linear(2, 5), norm(5), torch.nn.Linear(5, 1))
    inputs = torch.randn(4, 2), torch.randn(4, 2), torch.rand(4)
    refused = pytest.raises(ValueError, match="under BatchNorm") if norm is torch.nn.BatchNorm1d else nullcontext()
    with refused:
        evaluation.slope_penalty(critic, *inputs)
    assert evaluation.slope_penalty(critic.eval(), *inputs).isfinite()


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


@pytest.mark.parametrize("n, m", [(20, 200), (200, 20)])
def test_frechet_of_few_rows_beside_many_keeps_its_digits(n, m):
    """Rows, each ten times and twice as large: T = c S, and no root of a rounded 0 may add up."""
    x = torch.randn(20, 40, generator=generator(20, "x"), dtype=torch.float64)
    c = 4 * 10 * 19 / 199
    want = float(x.mean(0).square().sum() + x.var(0).sum() * (1 - math.sqrt(c)) ** 2)
    pair = {20: x, 200: 2 * x.repeat(10, 1)}
    assert evaluation.frechet(pair[n], pair[m]) == pytest.approx(want, rel=1e-11)


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
    centers, std = torch.tensor([[1.0, 2.0], [4.0, 2.5], [1.5, -2.0]]).double(), 1 / 3
    mean = centers.mean(0)
    variance = sum(float(x) ** 2 for x in (centers - mean).flatten()) / 6 + 1 / 9
    far = (centers - mean).square().sum(1).numpy() / variance
    hit = stats.ncx2.cdf((3 * std) ** 2 / variance, 2, far)
    modes, quality = evaluation.chance_lines(centers, std, 7)["Gaussian"]
    assert quality == pytest.approx(hit.sum(), rel=1e-6)
    assert modes == pytest.approx((1 - (1 - hit) ** 7).sum(), rel=1e-6)


# What chapter 11 added


def normal(*shape, name="x"):
    return torch.randn(*shape, generator=generator(0, name), dtype=torch.float64)


class Extractor(torch.nn.Module):
    """Features for torchmetrics: pixels of 1 x d pictures, as they are."""

    def __init__(self, d):
        super().__init__()
        self.num_features = d
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.filterwarnings("ignore")
def test_frechet_agrees_with_torchmetrics_and_with_scipy():
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = normal(400, 12) @ normal(12, 12, name="a"), 0.9 * normal(500, 12, name="y") + 0.3
    metric = FrechetInceptionDistance(feature=Extractor(12), normalize=True, input_img_size=(1, 1, 12))
    metric.set_dtype(torch.float64)
    metric.update(x.reshape(-1, 1, 1, 12), real=True)
    metric.update(y.reshape(-1, 1, 1, 12), real=False)
    assert evaluation.frechet(x, y) == pytest.approx(float(metric.compute()), rel=1e-6)
    s, t = np.cov(x.numpy().T), np.cov(y.numpy().T)
    want = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert evaluation.frechet(x, y) == pytest.approx(want, rel=1e-10)
    moments = [torch.as_tensor(a) for a in (x.mean(0), s, y.mean(0), t)]
    assert evaluation.frechet_of_moments(*moments) == pytest.approx(want, rel=1e-10)


def test_frechet_of_moments_of_singular_covariances():
    a, b = normal(9, 3), normal(9, 4, name="b")
    zero, s, t = torch.zeros(9).double(), a @ a.T, b @ b.T
    want = np.trace(s + t) - 2 * np.sqrt(np.linalg.eigvals(s @ t).real.clip(1e-14)).sum()
    assert evaluation.frechet_of_moments(zero, s, zero, t) == pytest.approx(want, rel=1e-5)
    assert evaluation.frechet_of_moments(zero, s, zero + 1, s) == pytest.approx(9, rel=1e-5)
    assert evaluation.frechet_of_moments(zero, 0 * s, zero, t) == pytest.approx(float(t.trace()), rel=1e-6)


@pytest.mark.parametrize("n, m", [(300, 300), (200, 800), (250, math.inf)])
def test_the_bias_of_frechet_by_simulation(n, m):
    """Correlated Gaussians whose covariances do not commute; against exact moments for m = inf."""
    d, draws = 6, 300
    a, b = normal(d, d, name="a"), normal(d, d, name="b") + torch.eye(d).double()
    s, t, zero = a @ a.T + torch.eye(d), b @ b.T, torch.zeros(d).double()
    limit = evaluation.frechet_of_moments(zero, s, zero, t)
    roots = torch.linalg.cholesky(s), torch.linalg.cholesky(t)
    rng, found = generator(0, "bias"), []
    for _ in range(draws):
        x = torch.randn(n, d, generator=rng, dtype=torch.float64) @ roots[0].T
        y = torch.randn(1 if m == math.inf else m, d, generator=rng, dtype=torch.float64) @ roots[1].T
        pair = (zero, t) if m == math.inf else (y.mean(0), y.T.cov())
        found.append(evaluation.frechet_of_moments(x.mean(0), x.T.cov(), *pair))
    error = np.std(found) / math.sqrt(draws)
    assert np.mean(found) - limit == pytest.approx(evaluation.frechet_bias(s, t, n, m), abs=4 * error + 0.02)


def test_the_bias_of_frechet_in_closed_form():
    eye = torch.eye(7).double()
    assert evaluation.frechet_bias(eye, eye, 50, 50) == pytest.approx(7 * 12 / 100)
    assert evaluation.frechet_bias(eye, eye, 50) == pytest.approx(7 * 12 / 200)
    values = torch.tensor([3.0, 1.0, 0.2]).double()
    pairs = sum(a * b / (a + b) for i, a in enumerate(values) for j, b in enumerate(values) if i != j)
    one = torch.diag(values)
    assert evaluation.frechet_bias(one, one, 40, 40) == pytest.approx(float(3 * values.sum() + pairs) / 40)
    assert evaluation.frechet_bias(one, 0 * one, 40) == pytest.approx(4.2 / 40)  # against a point: of the mean alone


@pytest.mark.filterwarnings("ignore")
def test_kid_agrees_with_torchmetrics_and_with_moments():
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y = normal(150, 5), 1.3 * normal(150, 5, name="y") + 0.2
    metric = KernelInceptionDistance(feature=Extractor(5), subsets=1, subset_size=150, normalize=True).double()
    metric.update(x.reshape(-1, 1, 1, 5), real=True)
    metric.update(y.reshape(-1, 1, 1, 5), real=False)
    assert evaluation.kid(x, y, at_once=40) == pytest.approx(float(metric.compute()[0]), rel=1e-6)
    # degree 1 sees means alone: |difference|^2 / d, where a row meets itself in neither mean
    n, d = x.shape
    inner = [float((f.sum(0).square().sum() - f.square().sum()) / (n * (n - 1))) for f in (x, y)]
    want = (sum(inner) - 2 * float(x.mean(0) @ y.mean(0))) / d
    assert evaluation.kid(x, y, degree=1) == pytest.approx(want, rel=1e-9)


def test_kid_is_unbiased():
    found = [evaluation.kid(*torch.randn(2, 12, 3, generator=generator(s, "kid"))) for s in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20 and np.mean([f < 0 for f in found]) > 0.4


@pytest.mark.filterwarnings("ignore")
def test_the_score_agrees_with_torchmetrics_and_with_tables():
    from torchmetrics.image.inception import InceptionScore

    logits = 2 * normal(300, 7)
    metric = InceptionScore(feature=Extractor(7), splits=1).double()
    metric.update(logits.reshape(-1, 1, 1, 7))
    assert evaluation.classifier_score(logits.softmax(1)) == pytest.approx(float(metric.compute()[0]), rel=1e-6)
    joint = logits.softmax(1) / 300
    assert math.log(evaluation.classifier_score(logits.softmax(1))) == pytest.approx(float(mutual_information(joint)))
    assert evaluation.classifier_score(torch.eye(4).repeat(3, 1)) == pytest.approx(4)
    assert evaluation.classifier_score(torch.eye(4)[:1].expand(9, 4)) == pytest.approx(1)


def test_the_bias_of_the_score():
    """Sure of every sample, k equal classes: -(k - 1)/2n; and a classifier that is unsure, by simulation."""
    rng, k, n = generator(0, "score"), 40, 400
    sure = [torch.eye(k)[torch.randint(k, (n,), generator=rng)] for _ in range(200)]
    found = [math.log(evaluation.classifier_score(p)) - math.log(k) for p in sure]
    assert np.mean(found) == pytest.approx(-(k - 1) / (2 * n), rel=0.05)
    table = (3 * normal(50, 5)).softmax(1)
    limit = math.log(evaluation.classifier_score(table))
    draws = [
        math.log(evaluation.classifier_score(table[torch.randint(50, (100,), generator=rng)])) for _ in range(4000)
    ]
    bias = evaluation.classifier_score_bias(table.repeat(2, 1))
    assert np.mean(draws) - limit == pytest.approx(bias, abs=4 * np.std(draws) / math.sqrt(4000) + 0.1 * abs(bias))


def test_birthdays_by_hand_and_by_simulation():
    x = torch.tensor([[0.0], [0.01], [5.0], [5.02], [5.01], [9.0]])
    assert evaluation.birthdays(x, 0.1) == (4, 15 / 4, 15)
    assert evaluation.birthdays(x, 0.001) == (0, math.inf, 15)
    assert evaluation.birthdays(x[[2, 5]], 4.0) == (0, math.inf, 1)  # 5 and 9 are not closer than 4
    assert evaluation.birthdays(4 * normal(300, 2).float(), 1e-6).pairs == 0  # many rows, far from the origin
    p = torch.tensor([0.5, 0.3, 0.1, 0.1])
    drawn = torch.multinomial(p, 3000, replacement=True, generator=generator(0))[:, None].float()
    assert evaluation.birthdays(drawn, 0.5, at_once=700).size == pytest.approx(1 / 0.36, rel=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_that_single_precision_takes_for_one_are_no_pair(sign):
    """Such as names of samples: they are refused, and told apart in double precision."""
    names = sign * torch.tensor([[2**24], [2**24 + 1], [2]])
    calls = [
        lambda x: evaluation.birthdays(x, 0.5),
        lambda x: evaluation.modes(x, torch.zeros(1, 1), 0.1),
        lambda x: neighbors.nearest(x[:1], x[1:]),
        lambda x: evaluation.parzen(x, x, 1.0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"become one in torch\.float32; give \w+\.double"):
            call(names)
        call(names.double())
    assert evaluation.birthdays(names.double(), 0.5).pairs == 0
    assert evaluation.birthdays(names[[0, 2, 2]], 0.5).pairs == 1  # 2^24 itself is exact
    with pytest.raises(ValueError, match=r"one in torch\.float64"):
        evaluation.checked(x=names * 2**30, y=names.double())


def test_parzen_agrees_with_scikit_learn():
    from sklearn.neighbors import KernelDensity

    x, y = normal(50, 3), normal(20, 3, name="y")
    want = KernelDensity(bandwidth=0.3).fit(x.numpy()).score_samples(y.numpy()).mean()
    assert evaluation.parzen(x, y, 0.3, at_once=7) == pytest.approx(want, rel=1e-10)
    assert evaluation.parzen(x[:1], y[:1], 0.3) == pytest.approx(
        float(torch.distributions.Normal(x[0], 0.3).log_prob(y[0]).sum())
    )


def test_the_likelihood_of_a_linear_gaussian_and_its_bias():
    """z ~ N(0, 1), x = 1.3 z + noise of variance .5: q(x) is N(0, 2.19). The proposal is a little too wide."""
    x = torch.tensor([0.5, -1.0, 2.0]).double()
    z = x / 1.69 + 0.7 * normal(20_000, 3)
    joint = torch.distributions.Normal
    log_weight = joint(0.0, 1.0).log_prob(z) + joint(1.3 * z, math.sqrt(0.5)).log_prob(x)
    log_weight -= joint(x / 1.69, 0.7).log_prob(z)
    exact = joint(0.0, math.sqrt(2.19)).log_prob(x)
    found = evaluation.log_likelihood(log_weight)
    assert (found.value - exact).abs().max() < 0.02 and (found.effective < 20_000).all()
    groups = log_weight.reshape(1000, 20, 3)
    seen = torch.stack([evaluation.log_likelihood(part).value for part in groups]).mean(0) - exact
    assert torch.allclose(seen, found.bias * 1000, rtol=0.25, atol=2e-3)


def test_log_likelihood_of_two_draws_by_hand():
    """Weights 1 and 3: mean 2, variance 2, so the bias is -2 / (2 * 2 * 4), and 16 / 10 draws count."""
    found = evaluation.log_likelihood(torch.tensor([[1.0], [3.0]]).double().log())
    assert [float(value) for value in found] == pytest.approx([math.log(2), -1 / 8, 1.6])


def test_log_likelihood_of_equal_weights_is_exact():
    found = evaluation.log_likelihood(torch.full((5, 2), -900.0).double())
    assert torch.equal(found.value, torch.full((2,), -900.0).double())
    assert (found.bias == 0).all() and torch.allclose(found.effective, torch.full((2,), 5.0).double())


def test_the_slope_penalty_of_a_linear_and_of_a_quadratic_critic():
    real, fake = normal(8, 3), normal(8, 3, name="y")
    mix = torch.linspace(0, 1, 8).double()
    linear = torch.nn.Linear(3, 1).double()
    want = (linear.weight.detach().norm() - 1) ** 2
    assert float(evaluation.slope_penalty(linear, real, fake, mix).detach()) == pytest.approx(float(want))
    lengths = (mix[:, None] * real + (1 - mix[:, None]) * fake).norm(dim=1)
    found = evaluation.slope_penalty(lambda x: x.square().sum(1) / 2, real, fake, mix)
    assert float(found.detach()) == pytest.approx(float((lengths - 1).square().mean()))


def test_an_independent_critic_finds_the_distance_of_shifted_points():
    """Two Gaussians at distance 1.5: W1 is 1.5, and a critic that is held to slope 1 gains about as much, on new rows."""
    nets = torch.nn.ModuleDict({"critic": mlp([2, 32, 1], generator=generator(0, "critic"))})
    opts = {"critic": adam(nets.parameters(), 3e-3)}

    def rows(name, shift):
        return torch.randn(4000, 2, generator=generator(0, name)) + torch.tensor([shift, 0.0])

    real, fake = rows("real", 1.5), rows("fake", 0.0)
    for t in range(400):
        part = slice(64 * (t % 60), 64 * (t % 60) + 64)
        found = evaluation.critic_step(nets, opts, (real[part], fake[part]), None)
    assert set(found) == {"gain", "penalty"}
    gap = evaluation.critic_gap(nets["critic"], rows("new real", 1.5), rows("new fake", 0.0))
    assert gap == pytest.approx(1.5, abs=0.15)
    assert evaluation.critic_gap(nets["critic"], real, real) == 0


def descent(loss, net, steps, rate=0.1):
    """What plain gradient descent makes of the parameters of a copy of `net`; loss(copy, t) -> () at step t."""
    net = copy.deepcopy(net)
    for t in range(steps):
        slopes = torch.autograd.grad(loss(net, t), list(net.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(net.parameters(), slopes, strict=True):
                parameter -= rate * slope
    return net


def test_the_step_of_an_independent_critic_by_hand():
    """Two steps of gradient descent on 10 E (|slope| - 1)^2 - E f(real) + E f(fake), for a linear f."""
    critic, real, fake = torch.nn.Linear(2, 1), GOOD, GOOD.flip(1) / 2 - 1

    def loss(net, t):
        return 10 * (net.weight.norm() - 1).square() - net(real).mean() + net(fake).mean()

    right, first = descent(loss, critic, 2), float((critic(real).mean() - critic(fake).mean()).detach())
    nets, opts = torch.nn.ModuleDict({"critic": critic}), {"critic": torch.optim.SGD(critic.parameters(), 0.1)}
    assert float(evaluation.critic_step(nets, opts, (real, fake), None)["gain"]) == pytest.approx(first)
    evaluation.critic_step(nets, opts, (real, fake), None)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(critic.parameters(), right.parameters(), strict=True))


def test_the_bound_of_an_independent_critic_by_hand():
    """Trained by gradient descent on two batches, and read without dropout on other rows."""
    critic = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.0))
    batches, real, fake = [(GOOD, GOOD - 1), (2 * GOOD, GOOD.flip(1) - 2)], GOOD + 1, GOOD - 2

    def loss(net, x, y):
        return -(net(x).sigmoid().log().mean() + (1 - net(y).sigmoid()).log().mean())

    right = descent(lambda net, t: loss(net, *batches[t]), critic, 2)
    found = evaluation.critic_bound(critic, torch.optim.SGD(critic.parameters(), 0.1), batches, real, fake)
    assert found == pytest.approx(math.log(2) - float(loss(right, real, fake).detach()) / 2, abs=1e-6)
    critic[1].p = 0.5
    again = evaluation.critic_bound(critic.train(), None, [], real, fake)
    assert again == found and not critic.training


def test_a_critic_is_read_in_eval_mode_and_goes_on_in_its_own():
    critic = torch.nn.Sequential(
        torch.nn.Linear(2, 4), torch.nn.Dropout(0.5).eval(), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)
    )
    modes = [layer.training for layer in critic.modules()]
    found = evaluation.critic_gap(critic, GOOD, 2 * GOOD)
    assert [layer.training for layer in critic.modules()] == modes and critic[2].num_batches_tracked == 0
    assert evaluation.critic_gap(critic.eval(), GOOD, 2 * GOOD) == found and not critic.training


NAN_ROW = torch.tensor([[0.0, 1.0], [math.nan, 0.0], [2.0, 2.0]])
GOOD = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
FAR = GOOD[1:2].expand(9, 2).double() * 2.07e51  # the kernel of two rows is finite, and the sum over all pairs is not
EYE = torch.eye(2).double()
CRITIC = torch.nn.Linear(2, 1).double()


def trained_on(rows):
    """The bound of a critic that is trained on these rows as data and read on good ones."""
    critic = torch.nn.Linear(2, 1)
    return evaluation.critic_bound(critic, torch.optim.SGD(critic.parameters(), 0.1), [(rows, GOOD)], GOOD, GOOD)


REFUSALS = {
    "kid, NaN": (lambda: evaluation.kid(GOOD, NAN_ROW), "1 of the 3 rows of y hold NaN"),
    "kid, one row": (lambda: evaluation.kid(GOOD[:1], GOOD), "x has 1 rows, and this needs at least 2"),
    "kid, other length": (lambda: evaluation.kid(GOOD, torch.zeros(3, 4)), "need one length"),
    "kid, pictures": (lambda: evaluation.kid(torch.zeros(3, 1, 4, 4), GOOD), "flatten"),
    "score, NaN": (lambda: evaluation.classifier_score(NAN_ROW), "hold NaN"),
    "score, logits": (lambda: evaluation.classifier_score(GOOD), "probabilities that sum to 1"),
    "score, negative": (lambda: evaluation.classifier_score(torch.tensor([[2.0, -1.0]] * 2)), "probabilities"),
    "bias of the score, logits": (lambda: evaluation.classifier_score_bias(GOOD), "probabilities"),
    "birthdays, one sample": (lambda: evaluation.birthdays(GOOD[:1], 0.1), "at least 2"),
    "birthdays, radius 0": (lambda: evaluation.birthdays(GOOD, 0.0), "radius must be positive"),
    "parzen, bandwidth 0": (lambda: evaluation.parzen(GOOD, GOOD, 0.0), "bandwidth must be positive"),
    "parzen, NaN": (lambda: evaluation.parzen(NAN_ROW, GOOD, 1.0), "rows of x hold NaN"),
    "likelihood, one draw": (lambda: evaluation.log_likelihood(GOOD[:1]), "s >= 2 draws"),
    "likelihood, NaN": (lambda: evaluation.log_likelihood(NAN_ROW), "without NaN"),
    "moments, NaN": (lambda: evaluation.frechet_of_moments(EYE[0], EYE * math.nan, EYE[0], EYE), "cov_x must be a finite"),
    "moments, NaN in a mean": (lambda: evaluation.frechet_of_moments(EYE[0] * math.nan, EYE, EYE[0], EYE), "means hold"),
    "moments, shapes": (lambda: evaluation.frechet_of_moments(EYE[0], EYE, EYE[0, :1], EYE), "need one shape"),
    "score, half": (lambda: evaluation.classifier_score(torch.full((9, 3), 0.333)), "run from 0.9990 to"),
    "moments, -I": (lambda: evaluation.frechet_of_moments(EYE[0], -EYE, EYE[0], EYE), "cov_x is no covariance"),
    "moments, one direction of -1": (
        lambda: evaluation.frechet_of_moments(EYE[0], EYE, EYE[0], 3 * torch.ones_like(EYE) - EYE), "cov_y is no covariance"
    ),
    "moments, a factor": (lambda: evaluation.frechet_of_moments(EYE[0], EYE, EYE[0], EYE + GOOD[0]), "cov_y is no covariance"),
    "moments, other d": (lambda: evaluation.frechet_of_moments(EYE[0, :1], EYE, EYE[0, :1], EYE), "go together"),
    "moments, indefinite": (
        lambda: evaluation.frechet_of_moments(EYE[0], EYE + 2 * EYE.flip(0), EYE[0], EYE), "one direction it has the variance -1"
    ),
    "bias, -I": (lambda: evaluation.frechet_bias(-EYE, EYE, 5), "cov_x is no covariance"),
    "kid, degree 2.5": (lambda: evaluation.kid(GOOD, GOOD, degree=2.5), "degree must be at least 1 and a whole number"),
    "kid, degree 0": (lambda: evaluation.kid(GOOD, GOOD, degree=0), "degree must be at least 1"),
    "kid, at_once 0": (lambda: evaluation.kid(GOOD, GOOD, at_once=0), "at_once must be at least 1"),
    "parzen, at_once 0": (lambda: evaluation.parzen(GOOD, GOOD, 1.0, at_once=0), "at_once must be at least 1"),
    "birthdays, at_once 0": (lambda: evaluation.birthdays(GOOD, 1.0, at_once=0), "at_once must be at least 1"),
    "no features": (lambda: evaluation.kid(GOOD[:, :0], GOOD[:, :0]), "one row per sample"),
    "modes, no centers": (lambda: evaluation.modes(GOOD, GOOD[:0], 0.1), "k >= 1"),
    "critic, NaN in training": (lambda: trained_on(NAN_ROW), "1 of the 3 numbers of real_logit are NaN"),
    "critic, NaN in held-out rows": (
        lambda: evaluation.critic_bound(CRITIC, None, [], GOOD.double(), NAN_ROW.double()), "numbers of fake_logit are NaN"
    ),
    "frechet, one row": (lambda: evaluation.frechet(GOOD, GOOD[:1]), "n, m > 1"),
    "pictures for features": (lambda: evaluation.frechet(torch.zeros(9, 1, 4, 4), torch.zeros(9, 1, 4, 4)), "flatten"),
    "likelihood, half": (lambda: evaluation.log_likelihood(GOOD.half()), "off by whole nats"),
    "likelihood, infinity": (lambda: evaluation.log_likelihood(GOOD / 0), "without bounds"),
    "critic, no held-out rows": (lambda: evaluation.critic_bound(CRITIC, None, [], GOOD[:0], GOOD), "held-out rows"),
    "critic, unequal in one batch": (lambda: evaluation.together(CRITIC, GOOD, GOOD[:2]), "equally many"),
    "gap, no rows": (lambda: evaluation.critic_gap(CRITIC, GOOD[:0], GOOD), "no real rows"),
    "critic, no rows in a batch": (lambda: trained_on(GOOD[:0]), "real holds no rows"),
    "moments of no features": (
        lambda: evaluation.frechet_of_moments(EYE[0, :0], EYE[:0, :0], EYE[0, :0], EYE[:0, :0]), "d >= 1"
    ),
    "kid, sums that overflow": (lambda: evaluation.kid(FAR, GOOD), "9 of the 9 numbers of kernel_of_x .* sums overflow"),
    "kid, others that overflow": (lambda: evaluation.kid(GOOD, FAR), "9 of the 9 numbers of kernel_of_y .* sums overflow"),
    "birthdays, a radius per row": (lambda: evaluation.birthdays(GOOD, GOOD[:, 0] + 1), "radius is one number"),
    "parzen, a bandwidth per row": (lambda: evaluation.parzen(GOOD, GOOD, GOOD[:, 0] + 1), "bandwidth is one number"),
    "parzen, bandwidth 1e-200": (lambda: evaluation.parzen(GOOD, GOOD, 1e-200), "0 or infinite in float64"),
    "parzen, bandwidth 1e200": (lambda: evaluation.parzen(GOOD, GOOD, 1e200), "0 or infinite in float64"),
    "bias, n 0": (lambda: evaluation.frechet_bias(EYE, EYE, 0), "n must be positive"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_has_no_score_is_refused_with_a_reason(name):
    call, message = REFUSALS[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [lambda x: x.numpy(), lambda x: x.tolist(), lambda x: x + 0j, lambda x: None])
def test_what_is_no_tensor_of_real_numbers_is_refused_by_name(kind):
    x, mean = kind(GOOD), kind(EYE[0])
    calls = [
        lambda: evaluation.frechet(GOOD, x),
        lambda: evaluation.kid(x, GOOD),
        lambda: evaluation.modes(x, GOOD, 0.1),
        lambda: evaluation.parzen(GOOD, x, 1.0),
        lambda: evaluation.birthdays(x, 1.0),
        lambda: evaluation.classifier_score(x),
        lambda: evaluation.log_likelihood(x),
        lambda: evaluation.expected_modes(mean, 3),
        lambda: evaluation.chance_lines(x, 1e-4),
        lambda: evaluation.frechet_of_moments(mean, EYE, EYE[0], EYE),
        lambda: evaluation.frechet_bias(kind(EYE), EYE, 3),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"must be a torch tensor, not|must hold real numbers"):
            call()
    for read in (evaluation.critic_gap, lambda critic, *rows: evaluation.critic_bound(critic, None, [], *rows)):
        with pytest.raises(TypeError, match="a network"):
            read(lambda rows: rows.sum(1), GOOD, GOOD)


def test_a_critic_that_failed_is_refused():
    critic = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(critic.weight, math.nan)
    with pytest.raises(ValueError, match="scores of the real rows hold NaN"):
        evaluation.critic_gap(critic, GOOD, GOOD)


# What chapter 11 says


def test_chapter_11_says_how_many_training_points_its_copies_leave_out():
    """Those of 1,000 more than a third, those of 100 nine tenths."""
    for seed in range(5):
        rng = generator(seed, "copies")
        points, known = None, torch.arange(1000.0)[:, None]
        left = {
            name: 1 - len(evaluation_points.SAMPLERS[name](points, known, 1000, rng).unique()) / 1000
            for name in ("copies of 1,000", "copies of 100")
        }
        assert 1 / 3 < left["copies of 1,000"] < 0.4 and 0.9 <= left["copies of 100"] < 0.91


def test_chapter_11_says_that_only_copies_are_far_nearer_to_the_training_set():
    """Blurred pictures lie just below real ones, in every seed."""
    found = {
        name.removesuffix(": near train"): values
        for name, values in records.load("11.5")["numbers"].items()
        if name.endswith(": near train")
    }
    assert len(found) == 10 and set(found.pop("copies of 100")) == {0.0}
    assert all(min(values) > 0.9 for values in found.values())
    below = [name for name, values in found.items() if max(values) < min(found["real pictures"])]
    assert below == ["blurred"] and max(found["blurred"]) > min(found["real pictures"]) - 0.005


def test_chapter_11_says_how_little_the_gap_of_copies_falls_against_their_own_set():
    """The third change that the training cell proposes, seed 0: by less than a fifth on learned rows and on new ones."""
    order = torch.randperm(1797, generator=generator(0, "split"))
    known, validation, test, _ = unit(data.digits()[0][order]).flatten(1).split([400, 400, 400, 597])
    copies, gaps = known[torch.randint(50, (597,), generator=generator(0, "copies"))], []
    for rows in (validation, known):
        nets = torch.nn.ModuleDict({"critic": mlp([64, 64, 64, 1], generator=generator(0, "critic"))})
        opts = {"critic": adam(nets.parameters(), lr=1e-3, betas=(0.5, 0.9))}
        train(evaluation.critic_step, nets, opts, Stream((rows, copies[:400]), batch=64, z_shape=1), steps=400, seed=0)
        pairs = ((rows, copies[:400]), (test, copies[400:]))
        gaps.append([evaluation.critic_gap(nets["critic"], *pair) for pair in pairs])
    assert all(0.8 < after / before < 1 for before, after in zip(*gaps, strict=True))


# No graph


def rows(n=12, d=3):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


X, Y, PICTURES, POSITIVE = rows(), rows(13), rows(2, 144).view(2, 1, 12, 12), torch.eye(3, dtype=torch.float64)
SURE = rows().softmax(1)
OPEN = torch.nn.Linear(3, 1).double()  # a critic whose parameters ask for gradients
READ = {  # every metric, and the tensors that it reads
    evaluation.modes: (lambda x, y: evaluation.modes(x, y, 0.1), X, Y),
    evaluation.disc_probabilities: (
        lambda c: evaluation.disc_probabilities(lambda p: (p * c[0]).sum(1), c, 0.1),
        X[:, :2],
    ),
    evaluation.expected_modes: (lambda p: evaluation.expected_modes(p, 5), SURE[0]),
    evaluation.chance_lines: (lambda c: evaluation.chance_lines(c, 1e-4), X[:, :2]),
    evaluation.frechet: (evaluation.frechet, X, Y),
    evaluation.frechet_of_moments: (evaluation.frechet_of_moments, X[0], POSITIVE, Y[0], 2 * POSITIVE),
    evaluation.frechet_bias: (lambda s, t: evaluation.frechet_bias(s, t, 9), POSITIVE, 2 * POSITIVE),
    evaluation.kid: (evaluation.kid, X, Y),
    evaluation.classifier_score: (evaluation.classifier_score, SURE),
    evaluation.classifier_score_bias: (evaluation.classifier_score_bias, SURE),
    evaluation.birthdays: (lambda x: evaluation.birthdays(x, 0.4), X),
    evaluation.parzen: (lambda x, y: evaluation.parzen(x, y, 0.3), X, Y),
    evaluation.log_likelihood: (evaluation.log_likelihood, X),
    evaluation.critic_bound: (lambda x, y: evaluation.critic_bound(OPEN, None, (), x, y), X, Y),
    evaluation.critic_gap: (lambda x, y: evaluation.critic_gap(OPEN, x, y), X, Y),
    neighbors.smallest: (lambda table: neighbors.smallest(table, 2), X),
    neighbors.radii: (lambda x: neighbors.radii(x, 3), X),
    neighbors.neighborhoods: (lambda x, y: neighbors.neighborhoods(x, y, 3), X, Y),
    neighbors.nearest: (neighbors.nearest, X, Y),
    neighbors.memorizing: (neighbors.memorizing, X, Y, Y + 0.1),
    neighbors.nearest_neighbor_accuracy: (neighbors.nearest_neighbor_accuracy, X, X.flip(1)),
    similarity.ssim: (similarity.ssim, PICTURES, PICTURES.flip(3)),
    similarity.ms_ssim: (lambda x, y: similarity.ms_ssim(x, y, scales=1), PICTURES, PICTURES.flip(3)),
    similarity.all_pairs: (similarity.all_pairs, PICTURES),
    similarity.sameness: (similarity.sameness, PICTURES),
}
NO_METRICS = {
    "checked",
    "expected_coverage",
    "apart",
    "together",
    "slope_penalty",
    "critic_step",
}  # or they train a critic


def leaves(value):
    """The tensors and numbers of a result, in order, as tensors."""
    if isinstance(value, (tuple, dict)):
        return [leaf for part in (value.values() if isinstance(value, dict) else value) for leaf in leaves(part)]
    return [torch.as_tensor(value)]


def test_every_metric_is_read():
    modules = (evaluation, neighbors, similarity)
    here = [f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]
    assert {f.__name__ for f in here if not f.__name__.startswith("_")} == {f.__name__ for f in READ} | NO_METRICS


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", READ, ids=lambda metric: metric.__name__)
def test_metrics_take_tensors_with_a_graph_and_give_none(metric):
    """Features straight from a network give the numbers of detached ones, in silence, and hold no graph."""
    read, *given = READ[metric]
    leaf = [tensor.clone().requires_grad_() for tensor in given]
    inner = [2 * tensor / 2 for tensor in leaf]  # what a network gives: part of a graph, and no leaf
    right = leaves(read(*given))
    for asked in (leaf, inner):
        found = leaves(read(*asked))
        assert not any(tensor.requires_grad for tensor in found)
        assert all(torch.equal(a, b) for a, b in zip(found, right, strict=True))
    assert torch.is_grad_enabled() and all(tensor.grad is None for tensor in leaf)


def test_chapter_11_says_what_the_names_of_three_samplers_leave_open():
    """Weights that fall by a fifth from mode to mode, a tenth of the points replaced, and 100 fresh points of 1,000."""
    points, rows = evaluation_points.GRID, torch.zeros(1000, 2)

    def drawn(name, n):
        return evaluation_points.SAMPLERS[name](points, rows, n, generator(0, name))

    centers = points.centers()
    found = torch.cdist(drawn("uneven weights", 100_000), centers).argmin(1).bincount(minlength=25).double()
    shares = 0.8 ** torch.arange(25).double()
    assert stats.chisquare(found.numpy(), (1e5 * shares / shares.sum()).numpy()).pvalue > 0.01
    far = torch.cdist(drawn("10 % noise", 100_000), centers).amin(1) > 6 * points.std
    reach = float(centers.abs().max()) + 1
    free = 1 - 25 * math.pi * (6 * points.std) ** 2 / (2 * reach) ** 2  # of the square that noise fills
    assert float(far.double().mean()) == pytest.approx(0.1 * free, abs=0.004)
    assert len(drawn("each ten times", 1000).unique(dim=0)) == 100


def test_the_root_of_a_matrix_to_second_order():
    """The lines above (11.6): (r_i + r_j) X_ij = E_ij and 2 r_i Y_ii = -sum_j X_ij^2; what is left falls like h^3."""
    rng = generator(0, "root")
    r = 0.5 + torch.rand(4, generator=rng).double()
    e = torch.randn(4, 4, generator=rng).double()
    e, sums = e + e.T, r[:, None] + r
    x = e / sums
    traces = x.diagonal().sum(), (-x.square().sum(1) / (2 * r)).sum()
    assert float(traces[1]) == pytest.approx(float(-(e.square() / (r[:, None] * r * sums)).sum() / 4))
    left = []
    for h in (0.004, 0.002):
        root = torch.linalg.eigvalsh(torch.diag(r**2) + h * e).sqrt().sum()
        left.append(float(root - r.sum() - h * traces[0] - h**2 * traces[1]))
    assert 7 < left[0] / left[1] < 9


def test_chapter_11_says_that_the_critic_sees_the_broad_gaussian_seed_by_seed():
    numbers = records.load("11.3")["numbers"]
    pairs = zip(numbers["one broad Gaussian: critic"], numbers["the data: critic"], strict=True)
    assert all(broad > real for broad, real in pairs)
    assert "the broad Gaussian's gap is above the data's in every seed" in source(11, "fig-11-3-text")
