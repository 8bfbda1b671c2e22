"""Chapter 02 against scipy, scikit-learn, brute force over finite tables, and the gradient of the likelihood."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from chapters import source
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.cluster import KMeans
from torch.distributions import MultivariateNormal

from gentools import em, joint_kl
from gentools.lab import data, worlds
from gentools.lab.chapters import CHAPTERS
from gentools.lab.divergences import kl
from gentools.lab.randomness import generator
from gentools.recipes import ROOT, recipes, recording
from gentools.recipes import em as recipe

seeds = st.integers(0, 10**6)


def problem(seed, n=90, k=3, d=2):
    """Random points and a mixture to start from: x, (weights, means, covariances)."""
    rng = generator(seed, "test_em")

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    x = normal(n, d) + 2 * normal(k, d).repeat(n // k, 1)
    root = normal(k, d, d)
    return x, (torch.softmax(normal(k), 0), x[:k].clone(), root @ root.mT + 0.5 * torch.eye(d, dtype=torch.float64))


# Exact tables


@given(seeds)
def test_after_an_e_step_the_joint_kl_is_the_marginal_kl(seed):
    w = worlds.table(seed)
    exact, marginal = em.e_step(w.q_xz.log()), kl(w.p_x, w.q_x)
    assert torch.allclose(exact, w.q_z_given_x, atol=1e-12)
    assert float(em.joint_kl(w.p_x, exact, w.q_xz)) == pytest.approx(float(marginal), abs=1e-12)
    assert em.joint_kl(w.p_x, w.p_z_given_x, w.q_xz) >= marginal - 1e-12
    assert marginal > 1e-6  # the bound is tight, and yet the joint KL is not zero


@given(seeds)
def test_the_bound_is_minus_the_joint_kl_of_equally_weighted_points(seed):
    w = worlds.table(seed)
    n = len(w.p_x)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64)
    joint = em.joint_kl(uniform, w.p_z_given_x, w.q_xz)
    assert float(em.bound(w.p_z_given_x, w.q_xz.log())) == pytest.approx(float(-joint - math.log(n)), abs=1e-12)
    assert em.bound(w.p_z_given_x, w.q_xz.log()) <= em.log_likelihood(w.q_xz.log()) + 1e-12


def test_the_bound_of_certain_responsibilities_is_finite():
    log_joint = torch.tensor([[0.25, 0.0], [0.25, 0.5]]).double().log()
    resp = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    assert float(em.bound(resp, log_joint)) == pytest.approx((math.log(0.25) + math.log(0.5)) / 2)


@given(seeds)
def test_no_other_responsibilities_or_prior_beat_the_half_steps(seed):
    """(2.1) and (2.2) against random tables, near the best one and far from it."""
    w = worlds.table(seed)
    exact = em.e_step(w.q_xz.log())
    least, least_over_priors = em.joint_kl(w.p_x, exact, w.q_xz), kl(w.p_xz, w.q_x_given_z * w.p_z)
    for size in (0.01, 0.1, 1):
        resp = (exact.log() + size * torch.randn(exact.shape, generator=w.rng, dtype=torch.float64)).softmax(1)
        prior = (w.p_z.log() + size * torch.randn(w.p_z.shape, generator=w.rng, dtype=torch.float64)).softmax(0)
        assert em.joint_kl(w.p_x, resp, w.q_xz) > least
        assert kl(w.p_xz, w.q_x_given_z * prior) > least_over_priors


def test_points_and_a_density_have_a_cross_entropy_and_its_differences_are_those_of_the_bound():
    """The joint KL of smoothed points grows without bound, and its changes tend to those of minus the bound (1.2)."""
    x = torch.tensor([[0.0], [1.0], [1.0], [3.0]]).double()  # one point is repeated, as in Old Faithful
    one, two = (
        (torch.tensor([0.5, 0.5]).double(), torch.tensor([[m], [3.0]]).double(), torch.ones(2, 1, 1).double())
        for m in (0.0, 1.0)
    )

    def divergence(q, h):
        return joint_kl.smoothed_kl(
            x, h, lambda y: em.gaussian_log_joint(y.reshape(-1, 1), *q).logsumexp(1).view(y.shape[:-1])
        )

    large = [float(divergence(one, h)) for h in (1e-2, 1e-4, 1e-6)]
    assert large[0] + 4 < large[1] < large[2] - 4  # by log 100 = 4.6 each time
    change = float(divergence(two, 1e-6) - divergence(one, 1e-6))
    likelihoods = [em.log_likelihood(em.gaussian_log_joint(x, *q)) for q in (one, two)]
    assert change == pytest.approx(float(likelihoods[0] - likelihoods[1]), abs=1e-6)


# Gaussians


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_log_joint_against_scipy(seed):
    x, (weights, means, covariances) = problem(seed, d=3)
    ours = em.gaussian_log_joint(x, weights, means, covariances)
    for k in range(3):
        theirs = stats.multivariate_normal(means[k], covariances[k]).logpdf(x) + math.log(weights[k])
        assert np.allclose(ours[:, k], theirs, atol=1e-10)


def test_a_covariance_that_is_singular_but_for_rounding_is_refused_in_words_or_has_a_density():
    """Of the thin one some processors find a Cholesky factor and no inverse, which was LAPACK's error, others find both."""
    x, weights, means = torch.zeros(3, 2).double(), torch.ones(1).double(), torch.zeros(1, 2).double()
    with pytest.raises(ValueError, match="covariances is no covariance"):
        em.gaussian_log_joint(x, weights, means, torch.ones(1, 2, 2, dtype=torch.float64))
    a, b, c = map(float.fromhex, ("0x1.25204cfd0ef6ap+0", "0x1.2313bc41b4467p+0", "0x1.210ad64365b31p+0"))
    thin = torch.tensor([[[a, b], [b, c]]], dtype=torch.float64)
    try:
        log_joint = em.gaussian_log_joint(x, weights, means, thin)
    except ValueError as error:
        assert "covariances is no covariance" in str(error)
    else:
        assert log_joint.isfinite().all()


def test_weights_that_are_counts_are_refused():
    x, (weights, means, covariances) = problem(0, d=3)
    with pytest.raises(ValueError, match="weights must sum to 1"):
        em.gaussian_log_joint(x, 10 * weights, means, covariances)
    with pytest.raises(ValueError, match="weights must sum to 1"):
        em.bernoulli_log_joint((x > 0).double(), 10 * weights, means.sigmoid())


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_m_step_is_weighted_mean_and_covariance(seed):
    x, start = problem(seed)
    resp = em.e_step(em.gaussian_log_joint(x, *start))
    weights, means, covariances = em.gaussian_m_step(x, resp, floor=0.01)
    for k in range(3):
        by_hand = np.cov(x.T, aweights=resp[:, k], ddof=0) + 0.01 * np.diag(np.var(x.numpy(), axis=0))
        assert np.allclose(means[k], np.average(x, axis=0, weights=resp[:, k]))
        assert np.allclose(covariances[k], by_hand)
    assert torch.allclose(weights, resp.mean(0))


@given(seeds)
def test_no_other_parameters_beat_the_m_step(seed):
    x, start = problem(seed)
    resp = em.e_step(em.gaussian_log_joint(x, *start))
    weights, means, covariances = em.gaussian_m_step(x, resp)
    best = em.bound(resp, em.gaussian_log_joint(x, weights, means, covariances))
    rng = generator(seed, "perturbed")
    for size in (1e-3, 0.3):
        noise = [size * torch.randn(t.shape, generator=rng, dtype=torch.float64) for t in (weights, means, covariances)]
        turn = torch.matrix_exp(noise[2])
        other = torch.softmax(weights.log() + noise[0], 0), means + noise[1], turn @ covariances @ turn.mT
        assert em.bound(resp, em.gaussian_log_joint(x, *other)) <= best + 1e-12


@given(seeds)
def test_the_staircase_never_goes_down(seed):
    x, start = problem(seed)
    _, stairs = em.gaussian_em(x, *start, steps=10)
    assert len(stairs) == 21
    assert (stairs.diff() >= -1e-12).all()


def likelihood_slope(x, weights, means, covariances):
    """Largest derivative of the log-likelihood in logits of the weights and in the means."""
    logits, means = weights.log().requires_grad_(), means.clone().requires_grad_()
    em.log_likelihood(em.gaussian_log_joint(x, torch.softmax(logits, 0), means, covariances)).backward()
    return float(max(logits.grad.abs().max(), means.grad.abs().max()))


def test_em_reaches_maximum_likelihood_only_if_the_weights_move():
    """Erratum E8: with the prior kept at one half, two unequal groups are fitted wrongly."""
    rng = generator(0, "unequal")
    x = torch.randn(2000, 1, generator=rng, dtype=torch.float64)
    x[:400] += 2.5
    start = (
        torch.tensor([0.5, 0.5]).double(),
        torch.tensor([[-1.0], [3.0]]).double(),
        torch.ones(2, 1, 1, dtype=torch.float64),
    )
    free, stairs = em.gaussian_em(x, *start, steps=3000)
    assert likelihood_slope(x, *free) < 1e-6
    fixed = start
    for _ in range(3000):
        _, means, covariances = em.gaussian_m_step(x, em.e_step(em.gaussian_log_joint(x, *fixed)))
        fixed = start[0], means, covariances
    assert likelihood_slope(x, *fixed) > 1e-3
    assert stairs[-1] > em.log_likelihood(em.gaussian_log_joint(x, *fixed)) + 1e-3
    assert float(free[0].min()) == pytest.approx(0.2, abs=0.05)


def test_a_component_collapses_onto_a_point_unless_there_is_a_floor():
    x, (weights, means, covariances) = problem(0)
    covariances[0] = 1e-6 * torch.eye(2)  # its mean is a point
    with pytest.raises(ValueError, match="covariances is no covariance"):
        em.gaussian_em(x, weights, means, covariances, steps=2)
    (_, _, covariances), stairs = em.gaussian_em(x, weights, means, covariances, steps=50, floor=1e-4)
    assert stairs.isfinite().all()
    assert (torch.linalg.eigvalsh(covariances) >= 0.99e-4 * x.var(0, correction=0).min()).all()


def test_three_components_on_old_faithful_end_where_the_text_says():
    """The third one between the clouds, for a while in the upper one, or for good in the lower one, which is best."""
    x = data.old_faithful()
    share = torch.full((3,), 1 / 3, dtype=x.dtype)

    def ends(seed, steps):
        means = x[torch.randperm(len(x), generator=generator(seed, "EM by hand"))[:3]]
        (_, means, _), stairs = em.gaussian_em(x, share, means, x.T.cov(correction=0).expand(3, 2, 2), steps)
        return means[:, 1].sort().values.tolist(), float(stairs[-1])

    upper, lower = (2, 3, 15), 12
    assert f"| {', '.join(map(str, upper))} | in the upper cloud | between the two" in source(2, "train-change")
    assert f"| {lower} | in the lower cloud" in source(2, "train-change")
    for seed in range(20):
        (low, middle, high), _ = ends(seed, 60)
        assert low < 60 and high > 75
        assert middle < 60 if seed == lower else middle > 75 if seed in upper else 60 < middle < 75
    for seed in (0, *upper):
        (low, middle, high), between = ends(seed, 300)
        assert low < 60 < middle < 75 < high
    (_, middle, _), best = ends(lower, 300)
    assert middle < 60 and best > between + 0.01


def test_two_components_as_wide_as_all_eruptions_come_close_and_part_again():
    """As the text on forgotten covariances says. Other starts end where this one goes, and a Gaussian is hardly worse."""
    assert "within 60 steps and drift apart again later (`STEPS = 4000`)" in source(2, "train-change")
    x = data.old_faithful()
    wide = x.T.cov(correction=0).expand(2, 2, 2)
    one = float(MultivariateNormal(x.mean(0), wide[0]).log_prob(x).mean())

    def ends(seed, *stops):
        m, pi = x[torch.randperm(len(x), generator=generator(seed, "EM by hand"))[:2]], torch.full((2,), 0.5)
        apart, normals = [float((m[0] - m[1]).norm())], MultivariateNormal(torch.zeros(2, dtype=x.dtype), wide)
        for step in range(1, max(stops) + 1):
            log_joint = pi.log() + normals.log_prob(x[:, None] - m)
            r = log_joint.softmax(1)
            pi, m = r.mean(0), r.T @ x / r.sum(0)[:, None]
            if step in stops:
                apart.append(float((m[0] - m[1]).norm()))
        return apart, float(log_joint.logsumexp(1).mean())

    (start, close, far), likelihood = ends(0, 60, 4000)
    assert close < 3 and start > 2 * close and far > 2 * close and one < likelihood < one + 0.001
    (_, close, far), likelihood = ends(4, 60, 1000)
    assert close > 6 and far > 10 and one < likelihood < one + 0.001


def test_a_step_of_em_removes_the_ratio_of_two_curvatures_of_the_error():
    """The speed beside (2.6): one free mean, near its best value."""
    x = data.old_faithful()[:, 1:]
    half, variance = torch.tensor([0.5, 0.5], dtype=x.dtype), torch.full((2, 1, 1), 80.0, dtype=x.dtype)

    def log_joint(a):
        return em.gaussian_log_joint(x, half, torch.stack([torch.full_like(a, 54.0), a])[:, None], variance)

    def step(a):
        resp = em.e_step(log_joint(a))[:, 1]
        return resp @ x[:, 0] / resp.sum()

    best = torch.tensor(75.0, dtype=x.dtype)
    for _ in range(500):
        best = step(best)
    held = em.e_step(log_joint(best))
    a, b = (
        -float(torch.autograd.functional.hessian(objective, best))
        for objective in (lambda m: em.log_likelihood(log_joint(m)), lambda m: em.bound(held, log_joint(m)))
    )
    assert 0.05 < a / b < 0.95
    assert float((step(best + 1e-4) - best) / 1e-4) == pytest.approx(1 - a / b, abs=1e-5)


def test_bic_charges_the_sum_of_the_log_densities_and_not_their_mean():
    """Half of log n per parameter, off the mean, would make one component best; off the sum two are."""
    assert "the sum of their log-densities, which is $n$ times" in source(2, "choose-why")
    x = data.old_faithful()
    fits = [em.fit_mixture(x, k, floor=1e-3, tol=1e-4).log_density(x) for k in (1, 2, 3, 4)]
    charge = [(6 * k - 1) / 2 * math.log(len(x)) for k in (1, 2, 3, 4)]
    off_sum, off_mean = ([float(f) - c for f, c in zip(each, charge, strict=True)] for each in
                         ([f.sum() for f in fits], [f.mean() for f in fits]))  # fmt: skip
    assert off_sum.index(max(off_sum)) == 1 and off_mean.index(max(off_mean)) == 0


def test_the_cut_decides_which_number_of_components_is_best_on_held_out_eruptions():
    x = data.old_faithful()

    def best(cut):
        parts = torch.randperm(len(x), generator=generator(cut, "five parts")).chunk(5)

        def held_out(part, k):
            rest = torch.cat([p for p in parts if p is not part])
            return float(em.fit_mixture(x[rest], components=k, floor=1e-3, tol=1e-4).log_density(x[part]).mean())

        return max((2, 3, 4), key=lambda k: sum(held_out(part, k) for part in parts))

    assert [best(cut) for cut in (0, 6)] == [4, 2]


# k-means


@pytest.mark.parametrize("off, kind", [(3e3, torch.float32), (1e5, torch.float32), (1.7e9, torch.float64)])
def test_k_means_far_from_the_origin(off, kind):
    """Such as raw years or times in seconds: the nearest mean is the one by differences."""
    x = (torch.randn(400, 2, generator=generator(0, "far"), dtype=torch.float64) + off).to(kind)
    means = x[:40].clone()
    square = (x.double()[:, None] - means.double()).square().sum(2)  # (400, 40)
    assert torch.equal(em.nearest(x, means).argmax(1), square.argmin(1))
    assert float(em.k_means(x, means, 1)[1][0]) == pytest.approx(float(square.amin(1).mean()), rel=1e-5)


def test_responsibilities_become_nearest_means_as_the_variance_vanishes():
    x, (weights, means, _) = problem(1)
    hard = em.nearest(x, means)
    assert (hard.sum(1) == 1).all()
    gaps = []
    for variance in (1.0, 1e-1, 1e-2, 1e-4):
        covariances = variance * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
        gaps.append(float((em.e_step(em.gaussian_log_joint(x, weights, means, covariances)) - hard).abs().max()))
    assert gaps[-1] < 1e-12 < gaps[0]


@pytest.mark.parametrize("seed", range(5))
def test_k_means_against_scikit_learn(seed):
    x, (_, means, _) = problem(seed, n=300)
    means = x[[0, 1, 2]] if len(em.nearest(x, means).sum(0).nonzero()) < 3 else means
    ours, distortion = em.k_means(x, means, 100)
    theirs = KMeans(3, init=means.numpy(), n_init=1, max_iter=100, tol=0, algorithm="lloyd").fit(x.numpy())
    assert np.allclose(ours, theirs.cluster_centers_, atol=1e-8)
    assert float(distortion[-1]) == pytest.approx(theirs.inertia_ / len(x))
    assert (distortion.diff() <= 1e-12).all()


def test_a_mean_without_points_stays():
    x = torch.tensor([[0.0], [1.0], [10.0]]).double()
    means, _ = em.k_means(x, torch.tensor([[0.5], [9.0], [100.0]]).double(), 5)
    assert means.flatten().tolist() == [0.5, 10.0, 100.0]


# Bernoullis


def test_bernoulli_mixture_sums_to_one_over_all_binary_points():
    rng = generator(3, "bernoulli")
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5))).double()
    weights = torch.softmax(torch.randn(4, generator=rng, dtype=torch.float64), 0)
    means = torch.rand(4, 5, generator=rng, dtype=torch.float64)
    log_joint = em.bernoulli_log_joint(x, weights, means)
    assert torch.allclose(log_joint.exp().sum(0), weights)
    by_scipy = stats.bernoulli(means[2].numpy()).logpmf(x.numpy()).sum(1) + math.log(weights[2])
    assert np.allclose(log_joint[:, 2], by_scipy)


def test_bernoullis_that_are_certain():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    means = torch.tensor([[1.0, 0.0], [0.3, 0.5]]).double()
    log_joint = em.bernoulli_log_joint(x, torch.tensor([0.4, 0.6]).double(), means)
    by_scipy = [[stats.bernoulli(m).logpmf(row).sum() for m in means.numpy()] for row in x.numpy()]
    assert np.allclose(log_joint.numpy(), np.log([0.4, 0.6]) + by_scipy) and log_joint[1, 0] == -math.inf


def test_points_that_are_no_floating_point_numbers_are_refused_in_words():
    bits, resp = torch.tensor([[True], [False]]), torch.ones(2, 1).double()
    share, half = torch.ones(1).double(), torch.tensor([[0.5]]).double()
    for wrong in (bits, bits.long()):
        for taking in (
            lambda x: em.bernoulli_log_joint(x, share, half),
            lambda x: em.bernoulli_m_step(x, resp),
            lambda x: em.gaussian_m_step(x, resp),
        ):
            with pytest.raises(TypeError, match=r"x must hold floating-point numbers.*x\.double\(\) makes them"):
                taking(wrong)
            taking(wrong.double())


def test_the_chance_level_of_figure_2_4_is_that_of_responsibilities_without_a_relation_to_the_scans():
    labels = torch.arange(10).repeat(200)
    sure = torch.nn.functional.one_hot(labels, 10).double()
    assert recipe.share_led(sure, labels) == 1 and recipe.leading(sure, labels).tolist() == list(range(10))
    resp = torch.tensor(
        [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]
    ).double()  # counts of 7: 1.5 and .5; of 3: .5, 1.5
    assert recipe.leading(resp, torch.tensor([7, 7, 3, 3])).tolist() == [7, 3]
    assert recipe.share_led(resp, torch.tensor([7, 3, 3, 3])) == 0.75  # the second scan belongs to class 7's component
    blind = sure[torch.randperm(len(sure), generator=generator(0, "blind"))]
    assert (
        0.1 < recipe.share_led(blind, labels) < 0.2
    )  # each component is named after the class it holds most of by luck
    numbers = recipe.run_digits(recipe.Digits(components=5, restarts=1, max_steps=3), 0, "cpu")["numbers"]
    largest = 183 / 1797  # the commonest class, which no naming after the fact does worse than
    assert (
        largest < numbers["that share by chance"] < 0.2 < numbers["share of scans of their component's leading class"]
    )


def test_the_chapters_to_which_the_grid_returns_are_those_whose_figures_have_it():
    found = set()
    for chapter in CHAPTERS:
        for path in (ROOT / "gentools" / "recipes").glob("*.py"):
            mine = any(path.stem == r.run.__module__.split(".")[-1] for r in recipes(chapter.name).values())
            if mine and re.search(r"\bGRID\b|\bdata\.grid\(", path.read_text(encoding="utf-8")):
                found.add(chapter.number)
    assert found - {2} == {5, 9, 10, 11, 12, 16, 17}
    text = (ROOT / "notebooks" / "02_em.ipynb").read_text(encoding="utf-8")
    assert "which returns in chapters 5, 9 to 12, 16 and 17" in text


def test_the_verdict_of_figure_2_1_says_whether_the_runs_have_come_to_rest():
    known = {"the two components separated": [1.0, 0.0], "smallest rise of a half-step": [0.0, 0.0]}

    def said(*rises):
        given = known | {"rise of the last step": list(rises)}
        return recipe.verdict_faithful({name: recording.summary_of(name, values) for name, values in given.items()})

    assert "1 of 2 starts" in said(0.0, 1e-9) and "every start has come to rest" in said(0.0, 1e-9)
    assert "some start is still climbing" in said(0.0, 5e-5)


@given(seeds)
def test_bernoulli_m_step_is_best_and_em_climbs(seed):
    rng = generator(seed, "bernoulli steps")
    x = torch.bernoulli(torch.rand(40, 6, generator=rng, dtype=torch.float64), generator=rng)
    q = torch.tensor([0.3, 0.7]).double(), 0.1 + 0.8 * torch.rand(2, 6, generator=rng, dtype=torch.float64)
    likelihood = []
    for _ in range(8):
        resp = em.e_step(em.bernoulli_log_joint(x, *q))
        likelihood.append(em.log_likelihood(em.bernoulli_log_joint(x, *q)))
        q = em.bernoulli_m_step(x, resp, floor=0.05)
        other = (q[1] + 0.1 * torch.randn(2, 6, generator=rng, dtype=torch.float64)).clamp(0.05, 0.95)
        beaten = em.bound(resp, em.bernoulli_log_joint(x, q[0], other))
        assert beaten <= em.bound(resp, em.bernoulli_log_joint(x, *q)) + 1e-12
    assert (torch.stack(likelihood).diff()[1:] >= -1e-12).all()  # the first step may enter [floor, 1 - floor]


def test_bernoulli_means_keep_the_floor_from_0_and_from_1():
    x = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]).double()
    _, means = em.bernoulli_m_step(x, torch.ones(2, 1).double(), floor=0.1)
    assert means.tolist() == [[0.1, 0.9, 0.5]]
