"""Chapter 11: metrics of neighbors against tables of all distances, scikit-learn and exact expectations."""

import contextlib
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from gentools import aae, neighbors
from gentools.lab.randomness import generator


def normal(*shape, name="x"):
    return torch.randn(*shape, generator=generator(0, name))


def by_tables(real, fake, k):
    """The four numbers as Naeem et al. (2020) define them, from whole tables of distances in double precision."""
    real, fake = real.double().numpy(), fake.double().numpy()
    reach = [np.sort(pairwise_distances(a), axis=1)[:, k] for a in (real, fake)]
    cross = pairwise_distances(real, fake)
    inside = cross < reach[0][:, None]
    recall = (cross < reach[1][None]).any(1).mean()
    return inside.any(0).mean(), recall, inside.sum() / (k * len(fake)), (cross.min(1) < reach[0]).mean()


@pytest.mark.parametrize("n, m, d, k", [(300, 300, 2, 5), (1200, 900, 16, 5), (40, 700, 3, 1), (2000, 2000, 64, 7)])
@pytest.mark.parametrize("table", [2**20, 5000])
def test_neighborhoods_agree_with_whole_tables(n, m, d, k, table, monkeypatch):
    monkeypatch.setattr(neighbors, "TABLE", table)
    real, fake = normal(n, d) + 50, 0.9 * normal(m, d, name="fake") + 50.2
    found = neighbors.neighborhoods(real, fake, k)
    assert np.allclose(found, by_tables(real, fake, k), atol=2e-3)
    assert np.allclose(neighbors.neighborhoods(real.double(), fake.double(), k), by_tables(real, fake, k), atol=1e-12)


def test_equal_normals_in_a_thousand_dimensions_have_half_of_the_precision():
    """The authors' README reports precision .477 and recall .471 for 10,000 rows of N(0, I_1000) on both sides."""
    found = neighbors.neighborhoods(normal(2000, 1000), normal(2000, 1000, name="fake"))
    assert 0.4 < found.precision < 0.6 and 0.4 < found.recall < 0.6


@pytest.mark.parametrize("n, m, k", [(60, 60, 5), (40, 90, 3), (80, 20, 5)])
def test_expected_coverage_and_density_are_the_same_in_every_dimension(n, m, k):
    for d in (1, 8):
        draws = [torch.randn(n + m, d, generator=generator(s, "coverage", d)).split([n, m]) for s in range(300)]
        found = [neighbors.neighborhoods(real, fake, k) for real, fake in draws]
        coverage, density = ([getattr(each, name) for each in found] for name in ("coverage", "density"))
        assert np.mean(coverage) == pytest.approx(neighbors.expected_coverage(n, m, k), abs=4 * np.std(coverage) / 17)
        assert np.mean(density) == pytest.approx(1, abs=4 * np.std(density) / 17)  # a fake row has rank k / n


@pytest.mark.parametrize("n, m, k", [(2, 1, 1), (6, 4, 3), (60, 60, 5)])
def test_expected_coverage_counts_the_sets_of_nearest_rows_that_hold_no_fake_one(n, m, k):
    assert neighbors.expected_coverage(n, m, k) == pytest.approx(1 - math.comb(n - 1, k) / math.comb(n + m - 1, k))


@pytest.mark.parametrize("m", [30, 640, 1001])
def test_the_smallest_of_every_row(m):
    table = normal(7, m)
    assert torch.equal(neighbors.smallest(table, 5), table.sort(1).values[:, :5])
    ties = (3 * table).round()
    assert torch.equal(neighbors.smallest(ties, 5), ties.sort(1).values[:, :5])


def test_radii_agree_with_scikit_learn():
    x = normal(700, 6)
    want = NearestNeighbors(n_neighbors=5).fit(x.numpy()).kneighbors()[0][:, -1]
    assert np.allclose(neighbors.radii(x, 5).sqrt(), want, atol=1e-4)


def test_the_nearest_row_agrees_with_scikit_learn():
    x, y = normal(50, 3), normal(80, 3, name="y")
    distance, index = NearestNeighbors(n_neighbors=1).fit(y.numpy()).kneighbors(x.numpy())
    found = neighbors.nearest(x, y)
    assert np.allclose(found.distance, distance[:, 0], atol=1e-5) and np.array_equal(found.index, index[:, 0])


def test_copies_are_memorizing_and_fresh_rows_are_not():
    train, test, fresh = (normal(400, 4, name=name) for name in ("train", "test", "fresh"))
    assert neighbors.memorizing(train[:100], train, test) == 0
    assert neighbors.memorizing(fresh, train, test) == pytest.approx(1, abs=0.1)


def test_nearest_neighbor_accuracy_agrees_with_scikit_learn_and_knows_its_ends(monkeypatch):
    monkeypatch.setattr(neighbors, "TABLE", 3000)
    x, y = normal(90, 2), 1.5 * normal(90, 2, name="y")
    pool, kind = np.concatenate([x, y]), np.arange(180) < 90
    nearest = KNeighborsClassifier(1).fit(pool, kind).kneighbors(pool, n_neighbors=2)[1][:, 1]
    assert neighbors.nearest_neighbor_accuracy(x, y) == pytest.approx((kind[nearest] == kind).mean())
    assert neighbors.nearest_neighbor_accuracy(x, x + 100) == 1
    assert neighbors.nearest_neighbor_accuracy(x, x + 1e-4) == 0


def test_a_row_with_k_copies_has_an_empty_ball():
    real, fake = normal(200, 2), normal(20, 2, name="fake").repeat(10, 1)
    assert neighbors.neighborhoods(real.double(), fake.double()).recall == 0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_balls_that_rounding_blurs_are_noticed(kind):
    """Two tight clusters far apart: |x|^2 - 2 x.y + |y|^2 does not tell rows of one apart. Copies go without a word."""
    side = torch.tensor([[0.0], [1e3]]).repeat_interleave(100, 0)
    tight = [(side + 0.01 * normal(200, 4, name=name)).to(kind) for name in ("x", "y")]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        neighbors.neighborhoods(*tight)
        neighbors.neighborhoods(normal(300, 8).to(kind), (20 + normal(50, 8).to(kind)).repeat_interleave(6, 0))
    said = [str(each.message) for each in found]
    blurred = len(said) == 2 and all("smaller than torch.float32 can tell" in each for each in said)
    assert not any("common mean" in each for each in said)  # that was subtracted, and could not help
    assert blurred if kind == torch.float32 else not found
    with pytest.warns(UserWarning, match="distances in x are smaller") if blurred else contextlib.nullcontext():
        radii = neighbors.radii(tight[0])  # alone it says so too
    assert (radii < 1e-2).all() and (blurred or (radii > 0).all())
    with pytest.warns(UserWarning, match="distances in a are smaller than .* subtract a common mean, or give"):
        aae.energy_distance(tight[0].float() + 1e6, tight[1].float())


GOOD, BAD = normal(10, 2), normal(10, 2).index_fill(0, torch.tensor([3]), math.nan)
REFUSALS = {
    "too few": (lambda: neighbors.neighborhoods(GOOD[:5], GOOD), "real has 5 rows, and this needs at least 6"),
    "NaN": (lambda: neighbors.neighborhoods(GOOD, BAD), "1 of the 10 rows of fake hold NaN"),
    "other length": (lambda: neighbors.neighborhoods(GOOD, normal(10, 3)), "need one length"),
    "pictures": (lambda: neighbors.neighborhoods(normal(10, 1, 4, 4), GOOD), "flatten"),
    "k 0": (lambda: neighbors.neighborhoods(GOOD, GOOD, 0), "k must be at least 1"),
    "radii, k 0": (lambda: neighbors.radii(GOOD, 0), "k must be at least 1"),
    "k 5.0": (lambda: neighbors.neighborhoods(GOOD, GOOD, 5.0), "a whole number, not 5.0"),
    "k, a text": (lambda: neighbors.radii(GOOD, "5"), "a whole number, not '5'"),
    "coverage, k 5.0": (lambda: neighbors.expected_coverage(9, 9, 5.0), "k must be at least 1 and a whole number"),
    "nearest, NaN": (lambda: neighbors.nearest(GOOD, BAD), "rows of y hold NaN"),
    "nearest, squares overflow": (
        lambda: neighbors.nearest(1e30 * GOOD.float(), GOOD.float()),
        "scale the features down",
    ),
    "nearest, only differences overflow": (
        lambda: neighbors.nearest(torch.full((1, 1), -1.5e19), torch.full((1, 1), 1.5e19)),
        "scale the features down",
    ),
    "accuracy, squares overflow": (
        lambda: neighbors.nearest_neighbor_accuracy(GOOD.float(), 1e30 * GOOD.float()),
        "scale the features down",
    ),
    "memorizing, sizes": (lambda: neighbors.memorizing(GOOD, GOOD, GOOD[:5]), "equally many rows"),
    "accuracy, sizes": (lambda: neighbors.nearest_neighbor_accuracy(GOOD, GOOD[:5]), "equally many rows"),
    "coverage, k = n": (lambda: neighbors.expected_coverage(5, 5, 5), "1 <= k < n"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_has_no_neighbors_is_refused_with_a_reason(name):
    call, message = REFUSALS[name]
    with pytest.raises(ValueError, match=message):
        call()
