"""Chapter 13: the encoder-generator game against scipy, quadrature, optimizers and simulation."""

import cmath
import functools
import inspect
import itertools
import math
import re
import subprocess
import sys

import pytest
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from chapters import source
from hypothesis import given, settings
from hypothesis import strategies as st

from gentools import age
from gentools.lab import records, worlds
from gentools.lab.divergences import expected_kl, gaussian_kl, kl
from gentools.lab.randomness import generator
from gentools.recipes import age as age_recipes
from gentools.recipes.recording import summary_of
from gentools.recipes.shared import arms

# The joints


def reversed_encoder(joint):
    """p(x|z) as rows per code (k, n), from a joint (n, k)."""
    return (joint / joint.sum(0)).T


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_codes_lose_what_the_joint_keeps(seed):
    """KL(q || p) splits into the codes' divergence and what they do not tell; V differs by a term in the prior."""
    w = worlds.table(seed)
    p_z, q_bar = (age.pushed(law, w.p_z_given_x) for law in (w.p_x, w.q_x))
    p_joint, q_joint = (law[:, None] * w.p_z_given_x for law in (w.p_x, w.q_x))
    lost = expected_kl(q_bar, reversed_encoder(q_joint), reversed_encoder(p_joint))
    assert torch.isclose(kl(w.q_x, w.p_x), kl(q_bar, p_z) + lost, atol=1e-12)
    extra = ((q_bar - p_z) * (p_z / w.q_z).log()).sum()
    assert torch.isclose(age.value(p_z, q_bar, w.q_z), kl(q_bar, p_z) + extra, atol=1e-12)


# Delta


def test_delta_is_the_divergence_of_the_fitted_gaussian():
    codes = 3 + 2 * torch.randn(50, 3, generator=generator(0, "codes"), dtype=torch.float64)
    mean, variance = codes.mean(0), codes.var(0)
    exact = gaussian_kl(mean, torch.diag(variance), 0 * mean, torch.eye(3).double())
    assert torch.isclose(age.delta(codes), exact) and torch.isclose(age.moment_kl(mean, variance), exact)
    assert torch.isclose(age.full_moment_kl(mean, torch.diag(variance)), exact)
    cov = codes.T.cov()
    assert torch.isclose(age.full_moment_kl(mean, cov), gaussian_kl(mean, cov, 0 * mean, torch.eye(3).double()))


@pytest.mark.parametrize("n", [2, 3, 8, 64])
def test_the_floor_of_a_batch_is_what_draws_of_the_prior_score(n):
    codes = torch.randn(20_000, n, generator=generator(n, "floor"), dtype=torch.float64)
    variance, mean = torch.var_mean(codes, 1)
    each = (variance + mean**2 - 1 - variance.log()) / 2
    error = float(each.std()) / len(each) ** 0.5
    assert float(age.batch_floor(n)) == pytest.approx(float(each.mean()), abs=5 * error)


def test_the_floor_of_a_batch_by_quadrature_and_its_rate():
    n = 9
    log_mean, _ = scipy.integrate.quad(lambda s: math.log(s / (n - 1)) * scipy.stats.chi2.pdf(s, n - 1), 0, 200)
    assert float(age.batch_floor(n)) == pytest.approx((1 / n - log_mean) / 2, abs=1e-8)
    assert float(age.batch_floor(4000)) * 4000 == pytest.approx(1, abs=1e-3)
    assert float(age.batch_floor(64)) == pytest.approx(0.0158, abs=1e-4)


def test_the_published_form_doubles_the_logarithm():
    mean, variance = torch.tensor([0.0, 0.3]).double(), torch.tensor([0.25, 2.0]).double()
    wanted = sum((v**2 + m**2) / 2 - math.log(v) - 0.5 for m, v in zip([0.0, 0.3], [0.25, 2.0], strict=True))
    assert float(age.published_kl(mean, variance)) == pytest.approx(wanted)
    assert torch.isclose(age.published_kl(mean, variance), age.moment_kl(mean, variance**2))
    one = torch.tensor([0.25]).double()
    assert float(age.published_kl(0 * one, one)) == pytest.approx(0.9175, abs=1e-4)
    assert float(age.moment_kl(0 * one, one)) == pytest.approx(0.3181, abs=1e-4)


# Gaussians


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_no_whitening_encoder_beats_the_kl_and_one_reaches_it(seed):
    w = worlds.gaussian(seed)
    shift = w.q_x_mean - w.p_x_mean
    exact = gaussian_kl(w.q_x_mean, w.q_x_cov, w.p_x_mean, w.p_x_cov)
    _, best = age.variance_ratios(w.p_x_cov, w.q_x_cov)
    assert torch.allclose(best @ w.p_x_cov @ best.T, torch.eye(w.n).double(), atol=1e-8)
    assert torch.isclose(age.linear_value(best, w.p_x_cov, w.q_x_cov, shift), exact, atol=1e-8)
    for _ in range(20):
        turn = torch.linalg.qr(torch.randn(w.n, w.n, generator=w.rng, dtype=torch.float64)).Q
        assert age.linear_value(turn @ best, w.p_x_cov, w.q_x_cov, shift) <= exact + 1e-9


def test_free_rows_copy_one_direction():
    """An optimizer over rows of unit variance under the data, against the generalized eigenvalues of scipy."""
    w = worlds.gaussian(3, smallest=3)
    values = scipy.linalg.eigh(w.q_x_cov.numpy(), w.p_x_cov.numpy(), eigvals_only=True)
    assert torch.allclose(age.variance_ratios(w.p_x_cov, w.q_x_cov)[0], torch.from_numpy(values))
    most = max(float(age.bend(torch.tensor(r))) for r in values)

    def loss(flat):
        rows = torch.from_numpy(flat).reshape(3, 3)
        rows = rows / (rows @ w.p_x_cov * rows).sum(1, keepdim=True).sqrt()
        return -float(age.linear_value(rows, w.p_x_cov, w.q_x_cov, torch.zeros(3).double()))

    starts = torch.randn(12, 9, generator=generator(0, "starts"), dtype=torch.float64).numpy()
    found = max(-scipy.optimize.minimize(loss, start).fun for start in starts)
    assert found == pytest.approx(3 * most, rel=1e-4)


def test_the_value_on_a_line_is_that_of_the_gaussians_and_has_no_best_encoder():
    e, w, v = (torch.tensor(s).double() for s in (0.7, 1.3, 2.2))
    zero, one = torch.zeros(1).double(), torch.eye(1).double()
    pushed = [gaussian_kl(zero, e**2 * s * one, zero, one) for s in (w**2, v)]
    assert torch.isclose(age.line_value(e, w, v), pushed[0] - pushed[1])
    wide = [float(age.line_value(torch.tensor(e).double(), w=v.sqrt() * 2, v=v)) for e in (1.0, 10.0, 100.0)]
    assert wide[0] < wide[1] < wide[2] and wide[2] > 1e4
    narrow = [float(age.line_value(torch.tensor(e).double(), w=(v / 2).sqrt(), v=v)) for e in (1.0, 0.1, 1e-4)]
    assert narrow[0] < narrow[1] < narrow[2] == pytest.approx(math.log(2) / 2, abs=1e-6)


def test_the_line_game_follows_its_gradients_and_settles_where_the_laws_agree():
    e, w = torch.tensor([0.9, 1.2]).double().requires_grad_().unbind()
    v = torch.tensor(1.7).double()
    slope = torch.autograd.grad(age.line_value(e, w, v), (e, w))
    moved = age.line_simultaneous(e, w, v, 0.1)
    assert torch.isclose(moved[0] - e, 0.1 * slope[0]) and torch.isclose(moved[1] - w, -0.1 * slope[1])
    state = (e.detach(), w.detach())
    for _ in range(2000):
        state = age.line_simultaneous(*state, v, 0.05)
    assert torch.allclose(torch.stack(state), torch.stack([v**-0.5, v**0.5]), atol=1e-8)
    assert float(age.growth(v, 0.05)) < 1 < float(age.growth(v, 0.5))


@pytest.mark.parametrize("v", [0.3, 1.7])
@pytest.mark.parametrize("step_size", [0.05, 0.5])
def test_growth_by_the_roots_of_a_quadratic(v, step_size):
    """At rest the step's slopes are ((1, 2 s), (-2 s, 1 - 2 s/v)): the roots are 1 - s/v and s sqrt(1/v^2 - 4) around it."""
    half = step_size * cmath.sqrt(1 / v**2 - 4)  # two real roots for small v, a rotation for large
    largest = max(abs(1 - step_size / v + sign * half) for sign in (1, -1))
    assert float(age.growth(torch.tensor(v, dtype=torch.float64), step_size)) == pytest.approx(largest, rel=1e-9)


def test_an_event_is_seen_by_its_first_two_moments():
    for a, b in itertools.product((0.04, 0.3, 0.5, 0.9), repeat=2):
        high, low = math.sqrt((1 - a) / a), -math.sqrt(a / (1 - a))  # mean 0 and variance 1 under the data
        mean = b * high + (1 - b) * low
        variance = b * high**2 + (1 - b) * low**2 - mean**2
        exact = age.moment_kl(torch.tensor([mean]), torch.tensor([variance]))
        found = float(age.event_value(torch.tensor(a).double(), torch.tensor(b).double()))
        assert found == pytest.approx(float(exact), abs=1e-5)
        assert (found > 1e-9) == (a != b)
    tiny = [float(age.event_value(torch.tensor(0.5).double(), torch.tensor(b).double())) for b in (1e-4, 1e-6)]
    assert tiny[1] - tiny[0] == pytest.approx(math.log(100) / 2, abs=1e-3)  # -log(b)/2


# The sphere


@pytest.mark.parametrize("k", [1, 2, 3, 64])
def test_codes_on_the_sphere_pay_for_log_variances_alone(k):
    codes = age.on_sphere(torch.randn(400, k, generator=generator(k, "sphere"), dtype=torch.float64))
    assert torch.allclose(codes.norm(dim=1), torch.ones(400).double())
    variance, mean = torch.var_mean(codes, 0, correction=0)
    paid = age.moment_kl(mean, variance)
    assert torch.isclose(paid, (1 - k - variance.log().sum()) / 2)
    assert paid >= k * age.sphere_floor(k) - 1e-12
    corners = torch.cat([torch.eye(k), -torch.eye(k)]).double()
    variance, mean = torch.var_mean(corners, 0, correction=0)
    assert float(age.moment_kl(mean, variance)) == pytest.approx(k * age.sphere_floor(k), abs=1e-12)


def test_the_floors_that_the_text_prints():
    assert age.sphere_floor(64) == pytest.approx(1.587, abs=1e-3)
    assert age.sphere_floor(128) == pytest.approx(1.930, abs=1e-3)
    share = torch.full((128,), 1 / 128).double()
    assert float(age.published_kl(0 * share, share)) / 128 == pytest.approx(4.352, abs=1e-3)


# Networks


def game(seed=0, draws=2):
    nets = age.networks(seed, hidden=(16, 16)).double()
    opts = {name: torch.optim.SGD(net.parameters(), 0.01) for name, net in nets.items()}
    rng = generator(seed, "batch")
    x = torch.randn(20, 2, generator=rng, dtype=torch.float64)
    return nets, opts, x, torch.randn(20, draws, 3, generator=rng, dtype=torch.float64)


def test_a_step_moves_each_player_down_its_own_loss():
    nets, opts, x, z = game()
    encoder, generator_ = nets["encoder"], nets["generator"]
    first, second = z[:, 0] / z[:, 0].norm(dim=1)[:, None], z[:, 1] / z[:, 1].norm(dim=1)[:, None]
    zero, one = torch.zeros(3).double(), torch.eye(3).double()

    def fitted(codes):
        return gaussian_kl(codes.mean(0), torch.diag(codes.var(0)), zero, one)

    codes = encoder(x)
    value = fitted(encoder(generator_(first))) - fitted(codes)
    error = (x - generator_(codes)).abs().mean()
    slopes = torch.autograd.grad(5 * error - value, list(encoder.parameters()))
    wanted = [p.detach() - 0.01 * slope for p, slope in zip(encoder.parameters(), slopes, strict=True)]
    before = [p.detach().clone() for p in generator_.parameters()]
    found = age.step(nets, opts, x, z, data_weight=5.0, code_weight=7.0)
    assert torch.isclose(found["V"], value) and torch.isclose(found["data error"], error)
    assert all(torch.allclose(p, q) for p, q in zip(encoder.parameters(), wanted, strict=True))

    after = [p.detach().clone() for p in generator_.parameters()]
    with torch.no_grad():  # the generator as it was, with the encoder that has moved
        for p, old in zip(generator_.parameters(), before, strict=True):
            p.copy_(old)
    again = encoder(generator_(second))
    apart = 1 - torch.cosine_similarity(second, again).mean()
    slopes = torch.autograd.grad(fitted(again) + 7 * apart, list(generator_.parameters()))
    assert torch.isclose(found["code error"], apart)
    assert all(torch.allclose(p, q - 0.01 * s) for p, q, s in zip(after, before, slopes, strict=True))
    assert all(p.requires_grad for p in nets.parameters())


def test_the_generator_takes_a_step_for_each_further_draw():
    moved = []
    for draws in (1, 2, 3):
        nets, opts, x, z = game(draws=draws)
        before = nets["generator"][0].weight.detach().clone()
        if draws == 1:
            with pytest.raises(ValueError, match="at least two draws"):
                age.step(nets, opts, x, z)
            continue
        age.step(nets, opts, x, z, code_weight=0.0)
        moved.append(float((nets["generator"][0].weight - before).norm().detach()))
    assert moved[1] > 1.2 * moved[0] > 0


def test_samples_and_reconstructions_pass_through_the_sphere():
    nets = age.image_networks(0, pixels=6, hidden=(8,), latent=4)
    z = torch.randn(5, 4, generator=generator(0, "z"))
    assert torch.allclose(age.sample(nets, z), age.sample(nets, 7 * z), atol=1e-6)
    x = torch.rand(5, 1, 2, 3, generator=generator(0, "x"))
    back = age.rebuilt(nets, x)
    assert back.shape == (5, 6) and 0 < back.min() <= back.max() < 1
    assert torch.allclose(nets["encoder"](x).norm(dim=1), torch.ones(5))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="variance"):
        age.delta(torch.randn(1, 3))
    with pytest.raises(ValueError, match="at least two codes"):
        age.batch_floor(1)
    with pytest.raises(ValueError, match="dimension"):
        age.sphere_floor(0)
    with pytest.raises(ValueError, match="positive"):
        age.moment_kl(torch.zeros(2), torch.tensor([1.0, 0.0]))
    for bad in (math.inf, math.nan):
        for mean, variance in ((0.0, bad), (bad, 1.0)):
            for divergence in (age.moment_kl, age.published_kl):
                with pytest.raises(ValueError, match=r"NaN or infinite|positive"):
                    divergence(torch.tensor([0.0, mean]), torch.tensor([1.0, variance]))
        with pytest.raises(ValueError, match=r"NaN or infinite|positive"):
            age.bend(torch.tensor([1.0, bad]))


@pytest.mark.parametrize("n", [2.5, math.inf, math.nan])
def test_floors_are_of_whole_numbers(n):
    for floor in (age.batch_floor, age.sphere_floor):
        with pytest.raises(ValueError, match="a whole number of them"):
            floor(n)


@pytest.mark.parametrize("v", [-1.0, 0.0, math.nan, math.inf])
def test_a_game_without_a_point_of_rest_is_refused(v):
    """In a process of its own, because the eigenvalues of NaN may end it."""
    said = (
        "import math, torch\nfrom gentools import age\nfrom math import nan, inf\n"
        f"try:\n    age.growth(torch.tensor({v}).double(), 0.1)\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", said], check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "expected a variance 0 < v < infinity" in done.stdout, done.stderr


def test_the_divergence_of_full_moments_takes_one_mean():
    eye = torch.eye(2).double()
    assert age.full_moment_kl(torch.tensor([3.0, 4.0]).double(), eye) == 12.5
    with pytest.raises(ValueError, match="mean must be numbers"):
        age.full_moment_kl(0 * eye, eye)  # with a table the answer was a table


def test_the_value_is_nan_where_the_prior_lacks_codes_of_both():
    half, prior = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 0.0]).double()
    assert age.value(half, half, prior).isnan() and age.value(prior, half, prior) == math.inf
    assert age.value(half, prior, prior) == -math.inf


def test_a_step_size_without_bounds_is_refused():
    for step_size in (math.nan, math.inf):
        with pytest.raises(ValueError, match="a finite step size"):
            age.growth(torch.tensor(1.0).double(), step_size)


def test_an_event_takes_plain_numbers_and_the_growth_asks_for_a_tensor():
    a, b = torch.tensor([0.2, 0.3], dtype=torch.float64)
    assert float(age.event_value(0.2, 0.3)) == pytest.approx(float(age.event_value(a, b)), abs=1e-6)
    with pytest.raises(TypeError, match="v must be a torch tensor"):
        age.growth(1.0, 0.3)


def test_an_event_needs_probabilities_and_is_infinite_where_the_model_is_sure():
    half = torch.tensor(0.5).double()
    many = age.event_value(half, torch.tensor([0.0, 0.5, 1.0]).double())
    assert many.tolist() == [math.inf, 0.0, math.inf]
    for a, b in ((0.0, 0.3), (1.0, 0.3), (0.5, 1.5), (0.5, -0.1), (math.nan, 0.3), (0.5, math.nan)):
        with pytest.raises(ValueError, match="0 < a < 1"):
            age.event_value(torch.tensor(a).double(), torch.tensor(b).double())


@pytest.mark.parametrize("ends,changes,said", [
    ([7.4, 7.6, 8.1], [0.1, -0.1, 0.05], "settled"),
    ([7.4, 7.6, 8.1], [0.1, -3.0, 0.05], "still moving in single seeds"),
    ([7.4, 7.4, 19.6, 25.3, 205.5], [0.1, -0.1, 0.2, -0.2, 0.1], "not known, its runs are of two kinds"),
])  # fmt: skip
def test_one_lost_run_does_not_make_the_others_settled(ends, changes, said):
    """Its distance widens the interval, and any change lies within that."""
    summary = {arms.name("AGE", age_recipes.DISTANCE): summary_of("distance", ends),
               arms.name("AGE", age_recipes.CHANGE): summary_of("change", changes)}  # fmt: skip
    assert age_recipes.steady(summary, "AGE") == said


def test_a_share_of_0_is_not_said_to_fall():
    """Its interval has no width, and the last good sample that was lost would count as movement."""
    runs = {"AGE": ([0.4, 0.2, 0.3], [-0.1, -0.12, -0.11]), "both rebuild": ([0.0] * 3, [-0.0004, 0.0, 0.0])}
    summary = {}
    for name, (shares, changes) in runs.items():
        found = {"modes": [0.0] * 3, "high-quality share": shares, age_recipes.SHARE_CHANGE: changes}
        summary |= {arms.name(name, what): summary_of(what, values) for what, values in found.items()}
    lost, empty = age_recipes.verdict_tight(summary).splitlines()
    assert "still falling" in lost and "still" not in empty


def test_chapter_13_says_how_the_ring_is_rebuilt():
    """In the paper's way two of five seeds rebuild badly, of which the first does well after twice the steps."""
    record = records.load("13.5")
    errors = record["numbers"]["AGE: data error"]
    bad = [seed for seed, error in zip(record["seeds"], errors, strict=True) if error > 0.1]
    assert len(bad) == 2 and record["twice"]["seeds"] == [0] and 0 in bad
    assert record["twice"]["numbers"]["AGE: data error"][0] < 0.02
    far = record["twice"]["numbers"]["both rebuild: median distance from the middle"][0]
    assert far > 2 * 2, "most samples lie far outside the ring of radius 2"


def ends_and_longer(what):
    """{arm: its numbers of that name in figure 13.4}, and {arm: that of the run of twice the steps}."""
    record = records.load("13.4")
    found = {arm: record["numbers"].get(arms.name(arm, what)) for arm in dict(age_recipes.Digits().rates)}
    return found, {arm: record["twice"]["numbers"][arms.name(arm, what)][0] for arm in found}


def test_chapter_13_says_what_twice_the_steps_make_of_the_games():
    """Of the arm in which both rebuild with V, of AGE with data weight 1000, and of the authors' weights."""
    distance, distance_later = ends_and_longer(age_recipes.DISTANCE)
    value, value_later = ends_and_longer("V over the last quarter")
    codes, codes_later = ends_and_longer("code error over the last quarter")
    images, images_later = ends_and_longer("data error, held out")
    assert distance_later["both rebuild"] < min(distance["both rebuild"])
    assert ends_and_longer(age_recipes.CHANGE)[1]["both rebuild"] > 0, "it no longer falls at the end"
    assert value_later["both rebuild"] > 2 * max(value["both rebuild"])
    assert codes_later["both rebuild"] > max(codes["both rebuild"])
    assert images_later["both rebuild"] > max(images["both rebuild"])
    assert codes_later["AGE"] == pytest.approx(codes["AGE"][0] / 2, rel=0.05)
    assert distance_later["AGE"] > distance["AGE"][0]
    for ends, later in ((codes, codes_later), (images, images_later)):  # the price, and after twice the steps
        assert later["authors' weights"] > max(ends["authors' weights"])
        assert min(ends["authors' weights"]) > max(ends["both rebuild"])


def test_chapter_13_says_how_the_arms_are_trained():
    """Its table of weights, steps and rates is that of the recipe."""
    table = source(13, "predict-networks").split("|---|---|---|---|---|---|---|\n")[1].split("\n\n")[0]
    told, rates = [], dict(age_recipes.Digits().rates)
    for line in table.splitlines():
        name, both, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        told.append((name.split(" (")[0], both, *map(float, numbers)))
    found = []
    for name, arm in age_recipes.DIGITS.items():
        step = functools.partial(arm.step)
        defaults = {key: each.default for key, each in inspect.signature(step.func).parameters.items()}
        weights, joint = {"value_weight": 1.0} | defaults | step.keywords, step.func is age.joint_step
        sizes = (weights[f"{of}_weight"] for of in ("data", "code", "value"))
        found.append((name, "yes" if joint else "no", *sizes, arm.draws - 1, rates[name]))
    assert told == found
    assert rates["no V"] == 2 * rates["both rebuild"], "the step of the cell has one rate, and the text says so"
    assert "at twice the rate" in source(13, "train-change")


def test_chapter_13_says_how_the_arms_end():
    """What V does to both errors, who is closer to the data than whom, and than a Gaussian fitted to the pixels."""
    distance = ends_and_longer(age_recipes.DISTANCE)[0]
    codes, images = (ends_and_longer(what)[0] for what in ("code error over the last quarter", "data error, held out"))
    of_codes, of_images = (
        [a / b for a, b in zip(ends["no V"], ends["both rebuild"], strict=True)] for ends in (codes, images)
    )
    assert max(of_codes) < 0.6 < 0.8 < min(of_images) <= max(of_images) < 0.9, "without V: much better, somewhat better"
    for one in ("both rebuild", "authors' weights"):
        assert all(a < b for a, b in zip(distance[one], distance["autoencoder"], strict=True))
    summary, gaussian = (
        records.load("13.4")["summary"],
        records.load("13.4")["numbers"]["distance of a Gaussian in pixels"],
    )
    gaps = {
        other: summary[f"distance: {other} minus autoencoder"] for other in ("both rebuild", "authors' weights", "AGE")
    }
    assert gaps["both rebuild"]["high"] < 0 < gaps["authors' weights"]["high"]
    assert gaps["AGE"]["low"] < 0 < gaps["AGE"]["high"]
    closer = {
        arm: [a < b for a, b in zip(distance[arm], gaussian, strict=True)]
        for arm in ("authors' weights", "both rebuild")
    }
    assert sum(closer["authors' weights"]) == 5 and sum(closer["both rebuild"]) == 3
    assert sum(far > min(gaussian) for far in distance["authors' weights"]) == 1


def test_chapter_13_names_four_conditions_and_each_is_needed():
    """Where no encoder that names x meets the prior, the best V is less than KL(q || p), although all else holds."""
    p_x, q_x = torch.tensor([1, 1, 1]).double() / 3, torch.tensor([0.6, 0.3, 0.1]).double()
    prior, share = torch.tensor([0.5, 0.5]).double(), torch.linspace(0, 1, 51).double()
    best = -math.inf
    for first, second in itertools.product(share, share):
        third = 1.5 - first - second  # the codes of the data follow the prior
        if 0 <= third <= 1:
            encoder = torch.stack([torch.stack([c, 1 - c]) for c in (first, second, third)])
            best = max(best, float(age.value(age.pushed(p_x, encoder), age.pushed(q_x, encoder), prior)))
    assert best == pytest.approx(0.1308, abs=1e-4) and float(kl(q_x, p_x)) == pytest.approx(0.2007, abs=1e-4)


def test_codes_on_the_sphere_ask_whether_x_lies_in_a_set():
    """One code for the set and the others even: two variances, and V by their logarithms, as after (13.10)."""
    k, n, rng = 5, 400_000, generator(0, "sphere")
    value, variances = 0.0, []
    for share in (0.2, 0.5):  # under the data, under the model
        codes = age.on_sphere(torch.randn(n, k, generator=rng).double())
        codes[: int(share * n)] = torch.eye(k)[0].double()
        variances.append(codes.var(0))
        along, elsewhere = (1 - share) * (1 + k * share) / k, (1 - share) / k
        assert torch.allclose(variances[-1], torch.tensor([along, *[elsewhere] * (k - 1)]).double(), rtol=0.02)
    value = float((variances[0].log() - variances[1].log()).sum() / 2)
    a, b = 0.2, 0.5
    assert value == pytest.approx(
        k / 2 * math.log((1 - a) / (1 - b)) - math.log((1 + k * b) / (1 + k * a)) / 2, abs=0.01
    )
    assert value > 0


def test_chapter_13_says_what_shows_that_the_encoder_has_won():
    """Data error and distance in every seed; the code error of two seeds is less than in any other run with V."""
    codes, codes_later = ends_and_longer("code error over the last quarter")
    games = ("AGE", "authors' weights", "both rebuild")
    least = min(min(codes[arm]) for arm in games)
    assert sum(error < least for error in codes["data weight 10"]) == 2
    assert codes_later["AGE"] < min(codes["data weight 10"]), "of the seeds alone: the longer run rebuilds codes better"
    for what in (age_recipes.DISTANCE, "data error, held out", "V over the last quarter"):
        found = ends_and_longer(what)[0]
        assert min(found["data weight 10"]) > 2 * max(max(found[arm]) for arm in games)


def test_the_picture_of_the_digits_is_described_by_its_numbers():
    found = ends_and_longer("V over the last quarter")[0]
    ranges = (found[arm] for arm in ("data weight 10", "authors' weights", "both rebuild"))
    told = re.findall(r"between (\d+) and (\d+)", age_recipes.RECIPES["13.4"].alt)
    assert told == [(f"{min(values):.0f}", f"{max(values):.0f}") for values in ranges]


def test_chapter_13_says_how_often_each_rate_was_tried():
    """Three to five rates per arm; one trial seed each but for three rates of the fourth arm; the best mean is taken."""
    config = age_recipes.Digits()
    for name, *trials in config.tuning:
        assert 3 <= len(trials) <= 5
        twice = [rate for rate, *found in trials if len(found) == 2]
        assert len(twice) == (3 if name == "both rebuild" else 0)
        assert all(len(found) <= 2 for _, *found in trials)
        best = min(trials, key=lambda trial: sum(trial[1:]) / len(trial[1:]))
        assert best[0] == dict(config.rates)[name]
