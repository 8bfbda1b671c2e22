"""Chapter 16 against composed noise steps, dense Gaussian joints, quadrature, integrated equations and brute force."""

import dataclasses
import functools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from chapters import source
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, signal, stats

from gentools import diffusion
from gentools.exercises import diffusion as exercises
from gentools.lab import records
from gentools.lab.divergences import expected_kl, gaussian_entropy, gaussian_kl, kl
from gentools.lab.optim import adam
from gentools.lab.quiz import Wrong
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import claims, diffusion_exact, recording
from gentools.recipes import diffusion as recipe
from gentools.recipes import diffusion_bits as bits
from gentools.recipes import diffusion_digits as digits
from gentools.recipes import diffusion_pictures as pictures
from gentools.recipes.shared import points, verdicts

seeds = st.integers(0, 10**6)
PATHS = (diffusion.straight, diffusion.cosine, diffusion.linear, diffusion.even)
TARGETS = (diffusion.noise_target, diffusion.data_target, diffusion.velocity_target)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed, "test"), dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "normal"), dtype=torch.float64)


def chain_world(seed):
    """Data, schedule and a model that has nothing to do with them."""
    steps = 1 + seed % 6
    mean, variance = normal(1, seed=seed)[0], 0.1 + 3 * uniform(1, seed=seed)[0]
    betas = 0.05 + 0.9 * uniform(steps, seed=seed + 1)
    chain = diffusion.Chain(*normal(2, steps, seed=seed), 0.1 + uniform(steps, seed=seed + 2))
    return mean, variance, betas, chain


# Paths


@pytest.mark.parametrize("path", PATHS)
def test_slopes_of_paths_are_their_derivatives(path):
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64, requires_grad=True)
    mix = path(t)
    for value, slope in ((mix.alpha, mix.alpha_slope), (mix.sigma, mix.sigma_slope)):
        (truth,) = torch.autograd.grad(value.sum(), t, retain_graph=True)
        assert torch.allclose(slope, truth, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_time_of_inverts_the_log_snr(path):
    wanted = torch.tensor([5.0, 1.0, 0.0, -3.0]).double()
    assert torch.allclose(diffusion.log_snr(path(diffusion.time_of(path, wanted))), wanted, atol=1e-8)


def test_the_linear_path_is_the_limit_of_the_thousand_steps():
    kept = diffusion.kept_share(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))[1:]
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    assert (kept.log() - 2 * diffusion.linear(t).alpha.log()).abs().max() < 0.08
    again = diffusion.kept_share(diffusion.betas_of(diffusion.linear, 1000))[1:]
    assert torch.allclose(again, diffusion.linear(t).alpha ** 2, rtol=1e-9)


# Chains


@settings(max_examples=25)
@given(seeds)
def test_the_encoder_by_composing_its_steps(seed):
    mean, variance, betas, _ = chain_world(seed)
    size = len(betas) + 1
    lower = torch.eye(size, dtype=torch.float64)  # x = lower @ (x_0, noise_1, ..., noise_T)
    for t, beta in enumerate(betas, 1):
        lower[t] = (1 - beta).sqrt() * lower[t - 1]
        lower[t, t] = beta.sqrt()
    spread = torch.ones(size, dtype=torch.float64)
    spread[0] = variance
    means, covariance = diffusion.encoder_joint(mean, variance, betas)
    assert torch.allclose(covariance, lower * spread @ lower.T, atol=1e-12)
    assert torch.allclose(means, lower[:, 0] * mean, atol=1e-12)


def test_an_encoder_that_ends_in_pure_noise():
    """The last beta of the cosine path is 1: x_T is independent of all before, and both splits of the KL still hold."""
    mean, variance, betas = (
        torch.tensor(0.3).double(),
        torch.tensor(0.7).double(),
        diffusion.betas_of(diffusion.cosine, 5),
    )
    means, covariance = diffusion.encoder_joint(mean, variance, betas)
    assert betas[-1] == pytest.approx(1) and covariance[-1, :-1].abs().max() < 1e-12
    assert covariance[-1, -1] == pytest.approx(1) and torch.equal(covariance, covariance.T)
    chain = diffusion.exact_chain(mean, variance, betas)
    chain = chain._replace(variance=1.3 * chain.variance)
    whole = gaussian_kl(means, covariance, *diffusion.chain_joint(chain))
    assert torch.isclose(diffusion.joint_terms(mean, variance, betas, chain).sum(), whole, rtol=1e-8)
    broken = torch.tensor([0.2, 1.0, 0.5]).double()  # pure noise on the way
    covariance = diffusion.encoder_joint(mean, variance, broken)[1]
    assert covariance[3, 2] == pytest.approx(0.5**0.5) and covariance[2:, :2].abs().max() == 0


@settings(max_examples=25)
@given(seeds)
def test_posterior_and_exact_chain_by_conditioning_the_joint(seed):
    mean, variance, betas, _ = chain_world(seed)
    means, cov = diffusion.encoder_joint(mean, variance, betas)
    exact = diffusion.exact_chain(mean, variance, betas)
    to_data, to_noisy, narrow = diffusion.posterior(betas)
    for t in range(1, len(betas) + 1):
        slope = cov[t - 1, t] / cov[t, t]
        assert torch.isclose(exact.slope[t - 1], slope)
        assert torch.isclose(exact.offset[t - 1], means[t - 1] - slope * means[t], atol=1e-12)
        assert torch.isclose(exact.variance[t - 1], cov[t - 1, t - 1] - slope * cov[t, t - 1])
        if t > 1:
            seen = cov[[0, t]][:, [0, t]]
            weights = torch.linalg.solve(seen, cov[t - 1, [0, t]])
            assert torch.allclose(weights, torch.stack([to_data[t - 1], to_noisy[t - 1]]), atol=1e-8)
            assert torch.isclose(narrow[t - 1], cov[t - 1, t - 1] - weights @ cov[t - 1, [0, t]], atol=1e-8)
    assert torch.isclose(to_data[0], torch.ones(()).double()) and to_noisy[0] == 0 and narrow[0] == 0


@settings(max_examples=25)
@given(seeds)
def test_both_splits_are_the_kl_of_the_whole_joints(seed):
    mean, variance, betas, chain = chain_world(seed)
    whole = gaussian_kl(*diffusion.encoder_joint(mean, variance, betas), *diffusion.chain_joint(chain))
    assert torch.isclose(diffusion.joint_terms(mean, variance, betas, chain).sum(), whole, rtol=1e-8)
    entropy = gaussian_entropy(variance.reshape(1, 1))
    assert torch.isclose(diffusion.bound_terms(mean, variance, betas, chain).sum(), whole + entropy, rtol=1e-8)


@settings(max_examples=15)
@given(seeds)
def test_what_a_step_of_the_bound_costs_beyond_its_partner_no_model_can_remove(seed):
    """For t >= 2 it is E KL(p(x_{t-1}|x_t, x_0)||p(x_{t-1}|x_t)), in Gaussians half the log of a ratio of variances."""
    mean, variance, betas, chain = chain_world(seed)
    more = (diffusion.bound_terms(mean, variance, betas, chain) - diffusion.joint_terms(mean, variance, betas, chain))[
        2:
    ]
    cov = diffusion.encoder_joint(mean, variance, betas)[1]
    for t, found in enumerate(more, 2):
        left = [
            cov[t - 1, t - 1] - cov[t - 1, seen] @ torch.linalg.solve(cov[seen][:, seen], cov[seen, t - 1])
            for seen in ([t], [0, t])
        ]
        assert float(found) == pytest.approx(float((left[0] / left[1]).log() / 2), abs=1e-8)


def test_the_information_of_16_e2_is_the_expected_kl_that_its_text_names():
    betas, variance = torch.tensor([0.1, 0.3, 0.2]).double(), torch.tensor(1.7).double()
    kept = (1 - betas).prod()
    narrow, wide = 1 - kept, kept * variance + 1 - kept  # of x_T given x_0, and of x_T
    mean_kl = (narrow / wide - 1 - (narrow / wide).log() + kept * variance / wide) / 2
    assert float(exercises.solve_information(betas, variance)) == pytest.approx(float(mean_kl), abs=1e-12)
    assert "KL(p(x_T | x_0) \\Vert p(x_T))" in source(16, "exercises")


def test_the_exact_chain_leaves_only_the_top():
    betas = diffusion.betas_of(diffusion.linear, 30)
    mean, variance = torch.tensor([0.4, 0.3]).double()
    terms = diffusion.joint_terms(mean, variance, betas, diffusion.exact_chain(mean, variance, betas))
    assert terms[1:].abs().max() < 1e-12 and terms[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_of_codes_and_its_decoder_part(seed):
    """The joint KL of a latent diffusion model, over all tables of (x, z, z_1, z_2), against its two terms."""
    rng = generator(seed, "codes")
    joint, up_1, up_2, top, down_2, down_1, decoder = (
        torch.rand(shape, generator=rng, dtype=torch.float64) + 0.05
        for shape in ((5, 4), (4, 3), (3, 2), (2,), (2, 3), (3, 4), (4, 5))
    )
    joint, top = joint / joint.sum(), top / top.sum()
    up_1, up_2, down_2, down_1, decoder = (part / part.sum(1, True) for part in (up_1, up_2, down_2, down_1, decoder))
    P = torch.einsum("xz,za,ab->xzab", joint, up_1, up_2)
    Q = torch.einsum("b,ba,az,zx->xzab", top, down_2, down_1, decoder)
    codes = joint.sum(0)
    chain = kl(P.sum(0), Q.sum(0))
    assert float(chain + expected_kl(codes, (joint / codes).T, decoder) - kl(P, Q)) == pytest.approx(0, abs=1e-12)
    assert float(chain) >= float(kl(codes, Q.sum((0, 2, 3))))  # as a prior, the chain learns p(z)


def test_fixed_variances_cost_what_the_formula_says():
    betas = diffusion.betas_of(diffusion.linear, 50)
    mean, variance = torch.tensor([0.4, 0.3]).double()
    exact = diffusion.exact_chain(mean, variance, betas)
    for used in (betas, diffusion.smaller_variance(betas)):
        terms = diffusion.joint_terms(mean, variance, betas, exact._replace(variance=used))
        assert torch.allclose(terms[1:], diffusion.variance_cost(exact.variance, used), atol=1e-12)
    euler = 0.5772156649015329
    betas = diffusion.betas_of(diffusion.linear, 10**5)
    for variance in torch.tensor([0.25, 1.0, 4.0]).double():
        exact = diffusion.exact_chain(mean, variance, betas).variance
        left = diffusion.variance_cost(exact, diffusion.smaller_variance(betas)).sum()
        assert float(left) == pytest.approx(euler / 2 + (1 - math.log(2)) / 2, abs=4e-3)
        assert diffusion.variance_cost(exact, betas).sum() < 1e-4


def test_a_linear_denoiser_is_its_chain_and_learns_the_exact_one():
    betas = diffusion.betas_of(diffusion.linear, 5)
    mean, variance = torch.tensor([0.5, 0.25]).double()
    net = diffusion.LinearDenoiser(betas)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * normal(5, seed=parameter.numel()))
    rows = mean + variance.sqrt() * normal(50_000, 1)
    sampled = net(rows, normal(50_000, 5, seed=1)).mean(0)
    assert torch.allclose(sampled, diffusion.bound_terms(mean, variance, betas, net.chain())[1:], rtol=0.02)
    nets = torch.nn.ModuleDict({"denoiser": net})
    opts = {"denoiser": adam(net.parameters(), 0.02)}
    train(diffusion.chain_step, nets, opts, Stream(rows, 500, 5), 1500, 0, schedule=lambda t: 1 - t / 1500)
    left = diffusion.joint_terms(mean, variance, betas, net.chain())[1:]
    assert left.max() < 2e-3


def test_what_stands_above_the_top_is_not_named_after_the_bound():
    """L_T of (16.3) is larger than the top term of (16.2), by what x_T tells about x_0: names and messages keep them apart."""
    small = dataclasses.replace(recipe.RECIPES["16.3"].quick, steps=20, points=300)
    result = recipe.RECIPES["16.3"].run(small, 0, "cpu")
    assert "nats above the top term, learned variances" in result["numbers"]
    assert not any("L_T" in name for name in result["numbers"])
    steps, variance, nats = 8, 9.0, 1e-3
    for betas, most in ((torch.full((steps,), 0.3).double(), math.inf), (torch.full((steps,), 0.6).double(), nats)):
        with pytest.raises(Wrong) as refused:
            exercises.check_mended(lambda steps, variance, nats, betas=betas: betas)
        mean, spread = torch.tensor([0.0, variance], dtype=torch.float64)
        chain = diffusion.exact_chain(mean, spread, betas)
        top = float(diffusion.joint_terms(mean, spread, betas, chain)[0])
        of_bound = float(diffusion.bound_terms(mean, spread, betas, chain)[0])
        assert top < most and of_bound > 5 * top
        assert f"first term of (16.2) is {top:.2g} nats" in str(refused.value) and "L_T" not in str(refused.value)


@pytest.mark.parametrize("betas", [[0.1, 1.2], [0.0, 0.5], [-0.1]])
def test_betas_that_are_no_variances_are_refused(betas):
    with pytest.raises(ValueError, match="variance in"):
        diffusion.kept_share(torch.tensor(betas))


# Targets, networks, steps


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("target", TARGETS)
def test_parts_recover_data_and_noise(path, target):
    x, z, t = normal(9, 3), normal(9, 3, seed=1), torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    mix = path(t[:, None])
    a, b = target(mix)
    clean, noise = diffusion.parts(a * x + b * z, mix.alpha * x + mix.sigma * z, mix, target)
    assert torch.allclose(clean, x, atol=1e-6) and torch.allclose(noise, z, atol=1e-6)


def test_times_fill_the_interval_evenly():
    torch.manual_seed(0)
    t = diffusion.times(torch.zeros(100, 2))
    assert torch.equal((t * 100).floor(), torch.arange(100.0)) and 0.2 < (t * 100).frac().mean() < 0.8
    assert (t * 100).frac().std() > 0.2  # a draw of its own for every row


def test_points_in_whole_numbers_have_no_times_and_no_estimate():
    """The time, brought to their kind, would be 0."""
    exact = diffusion.mixture_estimate(torch.zeros(1, 2), 1.0, torch.ones(1), diffusion.cosine)
    learned = diffusion.estimates(lambda noisy, t: 0 * noisy, diffusion.cosine, diffusion.noise_target)
    whole = torch.ones(3, 2).long()
    for estimate in (exact, learned):
        with pytest.raises(TypeError, match=r"noisy must hold floating-point numbers, not torch\.int64"):
            estimate(whole, 0.5)
    with pytest.raises(TypeError, match=r"x must hold floating-point numbers, not torch\.int64"):
        diffusion.times(whole)


def by_hand(net, x, z, t, path, target, *y):
    mix = path(t[:, None])
    a, b = target(mix)
    return (net(mix.alpha * x + mix.sigma * z, t, *y) - (a * x + b * z)).square().mean()


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_is_one_descent_of_the_regression(target):
    net, again = (diffusion.PointDenoiser(0, width=8, octaves=2) for _ in range(2))
    x, z = normal(16, 2).float(), normal(16, 2, seed=1).float()
    torch.manual_seed(3)
    got = diffusion.step({"denoiser": net}, {"denoiser": torch.optim.SGD(net.parameters(), 0.1)}, x, z,
                         path=diffusion.cosine, target=target)  # fmt: skip
    torch.manual_seed(3)
    loss = by_hand(again, x, z, diffusion.times(x), diffusion.cosine, target)
    loss.backward()
    assert torch.isclose(got["loss"], loss)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, other - 0.1 * other.grad, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_a_labeled_step_is_one_descent_of_the_regression(target):
    net, again = (diffusion.LabeledDenoiser(0, d=4, classes=3, width=8, blocks=1) for _ in range(2))
    x, z, y = normal(16, 4).float(), normal(16, 4, seed=1).float(), torch.arange(16) % 3
    torch.manual_seed(3)
    got = diffusion.labeled_step({"denoiser": net}, {"denoiser": torch.optim.SGD(net.parameters(), 0.1)}, (x, y), z,
                                 path=diffusion.cosine, target=target, dropped=0.3)  # fmt: skip
    torch.manual_seed(3)
    hidden = [3 if draw < 0.3 else label for draw, label in zip(torch.rand(16).tolist(), y.tolist(), strict=True)]
    assert 0 < hidden.count(3) < 16
    loss = by_hand(again, x, z, diffusion.times(x), diffusion.cosine, target, torch.tensor(hidden))
    loss.backward()
    assert torch.isclose(got["loss"], loss)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, other - 0.1 * other.grad, atol=1e-6)


def test_waves_by_hand():
    t = 0.3
    wanted = [f(k * math.pi * t) for f in (math.sin, math.cos) for k in (1, 2, 4)]
    assert diffusion.waves(torch.tensor([t]).double(), 3)[0].tolist() == pytest.approx(wanted, rel=1e-6)


def test_labels_are_hidden_as_often_as_asked():
    class Spy(torch.nn.Module):
        classes = 10

        def __init__(self):
            super().__init__()
            self.scale, self.seen = torch.nn.Parameter(torch.ones(())), None

        def forward(self, x, t, y):
            self.seen = y
            return self.scale * x

    spy, y = Spy(), torch.arange(10).repeat(500)
    for share in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        diffusion.labeled_step({"denoiser": spy}, {"denoiser": torch.optim.SGD(spy.parameters(), 0.1)},
                               (normal(5000, 4).float(), y), normal(5000, 4, seed=1).float(),
                               path=diffusion.cosine, target=diffusion.velocity_target, dropped=share)  # fmt: skip
        hidden = spy.seen == 10
        assert float(hidden.float().mean()) == pytest.approx(share, abs=0.02)
        assert torch.equal(spy.seen[~hidden], y[~hidden])


def test_the_labeled_network_tells_labels_apart_and_refuses_others():
    net = diffusion.LabeledDenoiser(0, d=4, classes=3, width=16, blocks=1)
    x, t = normal(5, 4).float(), torch.full((5,), 0.4)
    outs = [net(x, t, torch.full((5,), label)) for label in range(4)]
    assert all(not torch.allclose(outs[0], out) for out in outs[1:])
    with pytest.raises(ValueError, match="labels run from 0 to 3"):
        net(x, t, torch.full((5,), 4))


def test_the_labeled_network_by_hand():
    """Each block gets the sum of what is there and what is told of time and label: norm, line, SiLU, line; it adds its result."""
    net = diffusion.LabeledDenoiser(0, d=4, classes=3, width=6, blocks=2).double()
    x, t, y = normal(4), 0.3, 2

    def line(layer, v):
        return layer.weight.detach().numpy() @ v + layer.bias.detach().numpy()

    angles = [math.pi * t * 2**k for k in range(8)]
    told = line(net.time, [*map(math.sin, angles), *map(math.cos, angles)]) + line(net.label, [0, 0, 1, 0])
    h = line(net.enter, x.numpy())
    for norm, first, _, last in net.blocks:
        seen = h + told
        seen = (seen - seen.mean()) / np.sqrt(seen.var() + norm.eps)
        inner = line(first, seen)
        h = h + line(last, inner / (1 + np.exp(-inner)))
    found = net(x[None], torch.tensor([t]).double(), torch.tensor([y]))[0].tolist()
    assert found == pytest.approx(line(net.leave, h).tolist(), rel=1e-4)  # powers of 2 in single precision


def test_conditional_and_marginal_regression_have_one_gradient():
    """Regression on the velocity of pairs, and on its mean given x_t, differ by a constant: three points, by quadrature."""
    centers, weights = torch.tensor([[-1.0], [0.2], [1.5]]).double(), torch.tensor([0.3, 0.5, 0.2]).double()
    node, share = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(80))
    share = share / share.sum()
    estimate = diffusion.mixture_estimate(centers, 0.0, weights, diffusion.straight)
    for t in (0.2, 0.5, 0.8):
        theta = torch.tensor([0.4, -0.3, 0.2]).double().requires_grad_()
        x, z = centers.expand(3, 80), node.expand(3, 80)
        noisy = ((1 - t) * x + t * z).reshape(-1, 1)
        mass = (weights[:, None] * share).reshape(-1, 1)
        guess = theta[0] + theta[1] * noisy + theta[2] * noisy.sin()
        clean, noise = estimate(noisy, t)
        pairs = (mass * (guess - (z - x).reshape(-1, 1)) ** 2).sum()
        means = (mass * (guess - (noise - clean)) ** 2).sum()
        for one, other in zip(*(torch.autograd.grad(v, theta, retain_graph=True) for v in (pairs, means)), strict=True):
            assert torch.allclose(one, other, atol=1e-4)
        assert pairs > means


@pytest.mark.parametrize("path", PATHS)
def test_a_mean_over_the_path_moves_as_the_mean_velocity_says(path):
    """d/dt E f(x_t) = E[f'(x_t) E[v|x_t]], on which the deterministic samplers rest: three points, by quadrature."""
    centers, weights = torch.tensor([[-1.0], [0.2], [1.5]]).double(), torch.tensor([0.3, 0.5, 0.2]).double()
    node, share = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(80))
    mass = (weights[:, None] * share / share.sum()).reshape(-1)
    estimate = diffusion.mixture_estimate(centers, 0.0, weights, path)
    t = torch.tensor(0.6).double().requires_grad_()
    mix = path(t)
    noisy = (mix.alpha * centers + mix.sigma * node).reshape(-1, 1)  # one row for each point and node
    (truth,) = torch.autograd.grad((mass * noisy.sin()[:, 0]).sum(), t)
    clean, noise = (part.detach() for part in estimate(noisy.detach(), t.detach()))
    velocity = (mix.alpha_slope * clean + mix.sigma_slope * noise).detach()
    assert float((mass * (noisy.detach().cos() * velocity)[:, 0]).sum()) == pytest.approx(float(truth), abs=1e-4)


def test_the_deterministic_sampler_under_guidance_follows_its_linear_equation():
    """With alpha for time: data and noise of the mixed score, put into x_hat + sigma' eps_hat."""
    for m, s, w, a, x in ((0.7, 0.5, 2.0, 0.4, -0.3), (-1.2, 0.8, 3.5, 0.9, 1.1)):
        k, sigma = 1 - s**2, math.sqrt(1 - a**2)
        v = 1 - k * a**2
        score = -(1 - w) * x - w * (x - a * m) / v
        clean, noise = (x + sigma**2 * score) / a, -sigma * score
        assert clean - a / sigma * noise == pytest.approx((x + score) / a, abs=1e-12)
        assert (x + score) / a == pytest.approx(w / v * (m - k * a * x), abs=1e-12)


# Exact estimates and samplers


@settings(max_examples=10)
@given(seeds, st.sampled_from(PATHS), st.sampled_from([0.0, 0.4]))
def test_mixture_estimate_by_brute_force(seed, path, std):
    centers, weights = normal(4, 2, seed=seed), torch.softmax(normal(4, seed=seed), 0)
    noisy, mix = normal(6, 2, seed=seed + 1), path(torch.tensor(0.5).double())
    clean, noise = diffusion.mixture_estimate(centers, std, weights, path)(noisy, 0.5)
    for row, got in zip(noisy, clean, strict=True):
        total, mean = 0.0, torch.zeros(2).double()
        for center, weight in zip(centers, weights, strict=True):
            spread = mix.alpha**2 * std**2 + mix.sigma**2
            mass = weight * torch.exp(-((row - mix.alpha * center) ** 2).sum() / (2 * spread))
            mean = mean + mass * (center + mix.alpha * std**2 / spread * (row - mix.alpha * center))
            total = total + mass
        assert torch.allclose(got, mean / total, atol=1e-9)
    assert torch.allclose(mix.alpha * clean + mix.sigma * noise, noisy, atol=1e-12)


def gaussian(std, path, mean=0.0):
    return diffusion.mixture_estimate(torch.full((1, 1), mean).double(), std, torch.ones(1).double(), path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sampler", [diffusion.ddim, diffusion.heun])
def test_deterministic_samplers_end_with_the_spread_of_the_data(path, sampler):
    std = 0.6
    start = torch.tensor([[1.0]]).double()
    end = sampler(gaussian(std, path), start, diffusion.down(1000, 1 - 1e-6), path)
    at = path(torch.tensor(1 - 1e-6).double())
    ratio = std / (at.alpha**2 * std**2 + at.sigma**2).sqrt()  # the flow of a Gaussian scales
    assert float(end) == pytest.approx(float(ratio), rel=4e-3 if sampler is diffusion.ddim else 5e-4)


def test_heun_is_of_second_order_and_ddim_of_first():
    path, std = diffusion.cosine, 2.0
    errors = {}
    for sampler in (diffusion.ddim, diffusion.heun):
        errors[sampler] = [abs(float(sampler(gaussian(std, path), torch.ones(1, 1).double(), diffusion.down(n), path)) - std)
                           for n in (40, 80)]  # fmt: skip
    assert errors[diffusion.ddim][0] / errors[diffusion.ddim][1] == pytest.approx(2, abs=0.2)
    assert errors[diffusion.heun][0] / errors[diffusion.heun][1] > 2.5
    assert errors[diffusion.heun][1] < errors[diffusion.ddim][1] / 50


def test_the_last_point_of_heun_in_figure_16_5_shows_the_start():
    """The samples begin at N(0, 1), and x_T is a little wider: without that, Heun's error falls fourfold."""
    config = recipe.RECIPES["16.5"].full
    truth, top = 0.5 * math.log(config.variance), diffusion.even(torch.zeros(1).double() + 1)
    start = -0.5 * float((top.alpha**2 * config.variance + top.sigma**2).log())
    before, after = (
        float(diffusion_exact.spread_after("Heun", config.variance, n).log()) - truth for n in config.steps[-2:]
    )
    assert before / after > 6 and 3.8 < (before - start) / (after - start) < 4.2
    assert f"for about {-start:.4f} of the start".replace("0.", ".") in recipe.RECIPES["16.5"].caption


def test_what_chapter_16_says_of_guided_digits():
    numbers = records.load("16.9")["numbers"]
    asked, spread = ([numbers[f"w = {w}: {what}"] for w in (1, 2, 4)] for what in ("asked class", "spread"))
    judge = numbers["judge: accuracy on held-out images"]
    assert sum(a > b for a, b in zip(asked[0], judge, strict=True)) == 4 and set(asked[1] + asked[2]) == {1.0}
    assert all(one > two < four for one, two, four in zip(*spread, strict=True))
    text = source(16, "digits-2")
    assert "in four of five seeds" in text and "rises again a little to 4, in every seed" in text
    longer = records.load("16.9")["twice"]["numbers"]
    assert longer["w = 1: asked class"] == [1.0] and "after twice the steps (one run) at 1 too" in text
    assert longer["w = 4: spread"] > longer["w = 2: spread"]
    claim = next(claim for claim in claims.CLAIMS if claim.figure == "16.9")
    asked = claims.Asked(records.load("16.9")["summary"])
    assert claim.rule(asked) is True and not any("spread" in name for name in asked.names)
    assert "cover less" in claim.text and "diverse" not in claim.text  # the spread of guided samples rises from 2 to 4


def test_the_ancestral_sampler_is_narrower_than_heun_at_most_calls_in_every_seed():
    numbers = records.load("16.10")["numbers"]
    ancestral, heun = (numbers[f"{name}, 100 calls: spread"] for name in ("ancestral", "Heun"))
    assert all(a < h - 0.01 for a, h in zip(ancestral, heun, strict=True))
    assert "the ancestral sampler is narrower still at 100 calls" in source(16, "digits-3")


def test_most_nats_that_digits_cost_beyond_independent_pixels_are_overfitting():
    """As the text below figure 16.10 says: held-out digits against training digits, seed by seed."""
    numbers = records.load("16.10")["numbers"]
    held, seen = (numbers[f"{split} digits: bound, nats"] for split in ("held-out", "training"))
    (pixels,) = set(numbers["held-out digits: independent pixels, nats"])
    assert all(a - b > 0.6 * (a - pixels) for a, b in zip(held, seen, strict=True))
    more, fewer = sum(held) / 5 - pixels, (sum(held) - sum(seen)) / 5
    text = source(16, "digits-3")
    assert f"{more:.0f} nats worse on held-out digits" in text
    assert f"Training digits take {fewer:.0f} fewer: most is overfitting." in text
    x, levels = digits.on_levels(digits.rows_of("digits", "train")[0])  # independent pixels do not overfit
    assert float(digits.independent_nats(x, x[:297]).mean()) == pytest.approx(pixels, abs=1) and len(levels) == 17


def test_more_steps_are_not_promised_where_the_last_quarter_brought_nothing():
    late = records.load("16.11")["numbers"]["training: Fréchet, change over the last quarter"][0]
    assert late > 0 and "more steps need not help" in source(16, "mnist-2")


def test_the_bound_of_twice_the_steps_passes_the_vae_at_its_own_length_alone():
    bits = records.load("16.12")["twice"]["numbers"]["each pixel read as well: nats of one in 10 test pictures"][0]
    record = records.load("3.10")
    short, longer = (found["numbers"]["ELBO, every tenth image"] for found in (record, record["twice"]))
    assert max(short) < bits < longer[0]
    assert "but not the VAE's after twice its own" in source(16, "bits-2")


def test_on_the_straight_path_ddim_is_euler():
    estimate = diffusion.mixture_estimate(normal(5, 2), 0.3, torch.full((5,), 0.2).double(), diffusion.straight)
    x = start = normal(7, 2, seed=3)
    at = diffusion.down(8)
    for t, s in pairwise(at):
        clean, noise = estimate(x, t)
        x = x + (s - t) * (noise - clean)
    assert torch.allclose(diffusion.ddim(estimate, start, at, diffusion.straight), x, atol=1e-12)


def test_ancestral_variance_on_a_gaussian_by_its_recursion():
    """With the exact mean each step multiplies the variance by slope^2 and adds beta-tilde."""
    path, steps, std = diffusion.linear, 12, 0.8
    betas = diffusion.betas_of(path, steps)
    exact = diffusion.exact_chain(torch.zeros(()).double(), torch.tensor(std**2).double(), betas)
    narrow = diffusion.posterior(betas)[2]
    variance = torch.ones(()).double()
    for t in range(steps, 0, -1):
        variance = exact.slope[t - 1] ** 2 * variance + narrow[t - 1]
    drawn = diffusion.ancestral(gaussian(std, path), normal(50_000, 1), diffusion.down(steps), path, generator(0, "x"))
    assert float(drawn.var()) == pytest.approx(float(variance), rel=0.03)
    assert float(variance) < std**2  # too narrow, and with its own variances exact:
    top = exact.variance[-1] + exact.slope[-1] ** 2
    for t in range(steps - 1, 0, -1):
        top = exact.slope[t - 1] ** 2 * top + exact.variance[t - 1]
    assert float(top) == pytest.approx(std**2, rel=1e-4)


def test_the_wide_ancestral_variance_on_a_gaussian_by_its_recursion():
    """As above with beta itself in every step but the last, which adds nothing; rng draws are those of both noises."""
    path, steps, std = diffusion.linear, 12, 0.8
    betas = diffusion.betas_of(path, steps)
    exact = diffusion.exact_chain(torch.zeros(()).double(), torch.tensor(std**2).double(), betas)
    variance = torch.ones(()).double()
    for t in range(steps, 0, -1):
        variance = exact.slope[t - 1] ** 2 * variance + (betas[t - 1] if t > 1 else 0)
    at = diffusion.down(steps)
    drawn = diffusion.ancestral_wide(gaussian(std, path), normal(50_000, 1), at, path, generator(0, "x"))
    assert float(drawn.var()) == pytest.approx(float(variance), rel=0.03)
    narrow = diffusion.ancestral(gaussian(std, path), normal(50_000, 1), at, path, generator(0, "x"))
    assert float(drawn.var()) > 1.1 * float(narrow.var())


def test_chapter_16_says_which_fixed_variance_draws_better():
    """By the differences of overlaps, trained and exact, as the text below figure 16.13 says."""
    record, text = records.load("16.13"), source(16, "variances-2")
    leads = {
        denoiser: [verdicts.sign(record["summary"][recipe.gap(denoiser, n)]) for n in recipe.TOLD]
        for denoiser in ("exact", "trained")
    }
    assert recipe.TOLD == (10, 40, 160, 1000) and leads["trained"] == [1, -1, -1, -1] and leads["exact"][0] == 1
    last = {denoiser: record["summary"][recipe.gap(denoiser, 1000)]["mean"] for denoiser in leads}
    assert -0.03 < last["trained"] < 0 and abs(last["exact"]) < 0.01
    assert "ahead from forty steps on, at 1,000 by little; with ten" in text
    assert "With the exact denoiser they end nearly level" in text


def test_of_one_step_both_variances_make_the_same():
    at, start = diffusion.down(1), normal(40, 1)
    one, other = (
        sampler(gaussian(0.8, diffusion.straight), start, at, diffusion.straight, generator(0, "x"))
        for sampler in (diffusion.ancestral, diffusion.ancestral_wide)
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("steps", [0, 2.5, -1])
def test_samplers_refuse_what_is_no_number_of_steps(steps):
    with pytest.raises(ValueError, match="whole number of steps"):
        diffusion.down(steps)


def test_a_sampler_of_a_training_set_returns_training_points():
    points = normal(12, 3)
    estimate = diffusion.mixture_estimate(points, 0.0, torch.full((12,), 1 / 12).double(), diffusion.cosine)
    drawn = diffusion.ddim(estimate, normal(50, 3, seed=1), diffusion.down(60), diffusion.cosine)
    distance = torch.cdist(drawn, points).min(1).values
    assert distance.median() < 1e-5 and distance.max() < 0.1


def test_tweedie():
    """The estimate of the noise is minus sigma times the slope of log p(x_t)."""
    centers, weights = normal(3, 1), torch.tensor([0.2, 0.5, 0.3]).double()
    for path in PATHS:
        mix = path(torch.tensor(0.6).double())
        noisy = normal(5, 1, seed=2).requires_grad_()
        spread = mix.alpha**2 * 0.09 + mix.sigma**2
        log_p = torch.logsumexp(weights.log() - (noisy - mix.alpha * centers.T) ** 2 / (2 * spread), 1)
        (slope,) = torch.autograd.grad(log_p.sum(), noisy)
        _, noise = diffusion.mixture_estimate(centers, 0.3, weights, path)(noisy.detach(), 0.6)
        assert torch.allclose(noise, -mix.sigma * slope, atol=1e-10)


# The bound


def test_the_bound_of_the_exact_model_is_close_to_the_entropy():
    """Pixels of three levels with known probabilities: with the exact estimate the bound nearly is the code length."""
    levels = torch.tensor([-1.0, 0.0, 1.0]).double()
    shares = torch.tensor([0.5, 0.2, 0.3]).double()
    rows = levels[torch.multinomial(shares, 4000, replacement=True, generator=generator(0, "pixels"))][:, None]
    exact = diffusion.mixture_estimate(levels[:, None], 0.0, shares, diffusion.even)
    nats = diffusion.bound(exact, rows, levels, diffusion.even, 300, generator(0, "bound")).mean()
    truth = -(shares.log()[(rows + 1).long()]).mean()
    assert float(nats) == pytest.approx(float(truth), abs=0.02)
    worse = diffusion.mixture_estimate(levels[:, None], 0.0, torch.full((3,), 1 / 3).double(), diffusion.even)
    other = diffusion.bound(worse, rows, levels, diffusion.even, 300, generator(0, "bound")).mean()
    assert float(other) == pytest.approx(math.log(3), abs=0.02)


def test_a_time_outside_of_the_path_is_refused():
    """With such a time the bound would weigh noise levels that the path does not have."""
    inside = diffusion.time_of(diffusion.even, torch.tensor([8.0, -8.0]))
    assert torch.allclose(diffusion.log_snr(diffusion.even(inside)), torch.tensor([8.0, -8.0]).double(), atol=1e-6)
    short = functools.partial(diffusion.even, reach=6.0)
    with pytest.raises(ValueError, match="does not reach"):
        diffusion.time_of(short, torch.tensor([8.0, -8.0]))
    levels = torch.tensor([-1.0, 1.0])
    with pytest.raises(ValueError, match="does not reach"):
        diffusion.bound(lambda noisy, t: (noisy, noisy), levels[:, None], levels, short, 10, generator(0, "bound"))


def pictures_of_bits(seed, d=3):
    """All 2^d pictures of d bits, -1 and 1, with random shares; float64."""
    rows = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * d)
    shares = 0.02 + uniform(len(rows), seed=seed)
    return rows, shares / shares.sum()


class HalfLogOdds(torch.nn.Module):
    """What the other pixels tell of each, exactly, by summing over all pictures twice: once for white, once for black."""

    def __init__(self, rows, shares, path):
        super().__init__()
        self.rows, self.shares, self.path = rows, shares, path

    def forward(self, x, t, y):
        mix, found = self.path(t[:, None]), []
        for i in range(x.shape[1]):
            weights = []
            for side in (1, -1):
                rows, shares = self.rows[self.rows[:, i] == side], self.shares[self.rows[:, i] == side]
                density = stats.norm(mix.alpha[:, None] * rows, mix.sigma[:, None]).pdf(x[:, None])  # (n, pictures, d)
                weights.append((np.delete(density, i, 2).prod(2) * shares.numpy()).sum(1))
            found.append(np.log(weights[0] / weights[1]) / 2)
        return torch.from_numpy(np.stack(found, 1))


def test_reading_each_pixel_gives_the_exact_denoiser_of_bits():
    rows, shares = pictures_of_bits(4)
    net = diffusion.BitDenoiser(HalfLogOdds(rows, shares, diffusion.cosine), diffusion.cosine)
    exact = diffusion.mixture_estimate(rows, 0.0, shares, diffusion.cosine)
    for t in (0.1, 0.4, 0.9):
        noisy = normal(50, 3, seed=5)
        found = net(noisy, torch.full((50,), t, dtype=torch.float64))
        assert torch.allclose(found, exact(noisy, t)[1], atol=1e-9)


def test_the_bound_of_the_exact_denoiser_of_bits_is_their_entropy():
    rows, shares = pictures_of_bits(7)
    net = diffusion.BitDenoiser(HalfLogOdds(rows, shares, diffusion.even), diffusion.even)
    estimate = diffusion.estimates(net, diffusion.even, diffusion.noise_target)
    x = rows[torch.multinomial(shares, 1000, replacement=True, generator=generator(0, "bits"))]
    found = diffusion.bound(estimate, x, rows[:, 0].unique(), diffusion.even, 100, generator(0, "bound"))
    truth = -shares[(x[:, None] == rows).all(2).int().argmax(1)].log()
    assert float((found - truth).mean()) == pytest.approx(0, abs=0.03)


def test_one_loss_of_bits_is_the_bound_between_the_ends_of_the_path():
    """On the path with an even log-SNR the squared error of the noise times 9 d is the integral of (16.11)."""
    rows, shares = pictures_of_bits(2)
    exact = diffusion.mixture_estimate(rows, 0.0, shares, diffusion.even)
    t = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    losses = []
    for i, each in enumerate(t):
        mix, noise = diffusion.even(each), normal(400, 3, seed=i)
        x = rows[torch.multinomial(shares, 400, replacement=True, generator=generator(i, "bits"))]
        losses.append((noise - exact(mix.alpha * x + mix.sigma * noise, each)[1]).square().mean())
    entropy = -(shares * shares.log()).sum()
    assert 9 * 3 * float(torch.stack(losses).mean()) == pytest.approx(float(entropy), abs=0.03)


def test_both_arms_of_the_figure_of_bits_have_the_same_layers_and_start():
    one, other = (bits.untrained(arm, bits.Bits(width=16, blocks=1), 3, 4) for arm in (bits.ALONE, bits.READ))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    x, t = torch.randn(6, 4, generator=generator(0, "x")), torch.full((6,), 0.3)
    mix, said = diffusion.even(t[:, None]), one["denoiser"](x, t)
    read = (x - mix.alpha * torch.tanh(said + mix.alpha * x / mix.sigma**2)) / mix.sigma
    assert torch.allclose(other["denoiser"](x, t), read, atol=1e-5)


def test_a_last_layer_narrower_than_the_picture_costs_the_network_alone_most_of_its_nats():
    """512 units name 784 pixels' noise: 272 directions are missed at every log-SNR from 8 to -8, 2176 nats for any weights.

    Here the layer is even told the noise, and comes as near to it as it can. The recorded runs lie beyond that floor.
    """
    config, pixels = bits.Bits(), 784
    leave = bits.untrained(bits.ALONE, config, 0, pixels)["denoiser"].net.leave
    floor = 8 * (pixels - int(torch.linalg.matrix_rank(leave.weight)))
    assert floor == 8 * (pixels - config.width) == 2176
    x, basis = 2 * (uniform(20, pixels) < 0.5).double() - 1, torch.linalg.qr(leave.weight.detach().double())[0]

    def told(noisy, t):
        mix = diffusion.even(t)
        return x, (noisy - mix.alpha * x) / mix.sigma @ basis @ basis.T

    nats = diffusion.bound(told, x, bits.LEVELS, diffusion.even, config.draws, generator(0, "bound"))
    assert float(nats.mean()) == pytest.approx(floor, rel=0.01)
    record = records.load("16.12")
    assert record["config"]["width"] == config.width
    found = bits.arms.name(bits.ALONE, bits.scored(config.stride))
    plain = record["summary"][bits.INDEPENDENT]["min"]
    for numbers in (record["numbers"], record["twice"]["numbers"]):
        assert max(numbers[found]) < -floor + plain  # the rest is more than independent pixels cost, as the text says
        assert min(numbers[found]) - plain > -2 * floor  # and the floor is most of the gap to them


def test_white_is_1_in_training_and_in_what_is_scored():
    bytes_of = torch.tensor([[255, 0, 255]], dtype=torch.uint8)
    assert bits.signed_bits(bytes_of, generator(0, "bits")).tolist() == [[1.0, -1.0, 1.0]]
    images, x, seen = bits.rows_of(bits.Bits("digits", stride=3), "cpu")
    gray = 2 * images.double().mean() / 255 - 1  # what the bits are on average
    drawn = bits.signed_bits(images, generator(0, "bits"))
    assert (
        all(abs(float(rows.double().mean() - gray)) < 0.03 for rows in (x, seen, drawn)) and len(x) == len(seen) == 99
    )


def test_nats_of_bits_are_those_of_a_log_likelihood():
    """A net that tells nothing knows each pixel's own noisy value alone: log 2 nats a pixel, with the sign of a likelihood."""
    nothing = diffusion.BitDenoiser(lambda x, t, y: torch.zeros_like(x), diffusion.even)
    x = 2.0 * (uniform(400, 5) < 0.5).float() - 1
    assert float(bits.nats_of(nothing, x, 200)) == pytest.approx(-5 * math.log(2), abs=0.1)


def test_independent_pixels_are_counted_as_by_hand():
    train = torch.tensor([[1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    white = np.array([3.5, 1.5]) / 4
    by_hand = (2 * np.log(white[0]) + np.log(1 - white[1]) + np.log(white[1])) / 2
    found = bits.independent_pixels(train, torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
    assert float(found) == pytest.approx(by_hand, rel=1e-12)


def test_the_verdict_on_bits_compares_all_runs_and_nothing_on_other_pictures():
    def said(read, stride=10):
        numbers = {
            bits.arms.name(arm, what): values
            for arm, nats in ((bits.ALONE, [-900.0, -800.0, -850.0]), (bits.READ, read))
            for what, values in ((bits.scored(stride), nats), (bits.GAINED, [0.5, 0.6, 0.7]))
        }
        numbers[bits.INDEPENDENT] = [-206.0] * 3
        return bits.verdict_bits({name: recording.summary_of(name, found) for name, found in numbers.items()})

    assert "every run above every other's. Against independent pixels: the network alone every run below" in said(
        [-80.0] * 3
    )
    assert "above those of VAE, ELBO" in said([-80.0] * 3) and "above those of MADE" in said([-80.0] * 3)
    assert "below those of MADE" in said([-150.0] * 3) and "among those of MADE" in said([-80.0, -150.0, -90.0])
    assert "not told apart" in said([-80.0, -850.0, -90.0])
    assert said([-80.0] * 3, stride=3) == "on other pictures there is nothing to compare."


def test_the_bound_adds_up_over_pixels():
    """Three independent pixels that are told exactly cost three times as many nats as one."""
    levels, shares = torch.tensor([-1.0, 0.0, 1.0]).double(), torch.tensor([0.5, 0.2, 0.3]).double()
    drawn = torch.multinomial(shares, 6000, replacement=True, generator=generator(1, "pixels")).reshape(2000, 3)
    of_one = diffusion.mixture_estimate(levels[:, None], 0.0, shares, diffusion.even)

    def exact(noisy, t):
        return tuple(part.reshape(noisy.shape) for part in of_one(noisy.reshape(-1, 1), t))

    nats = diffusion.bound(exact, levels[drawn], levels, diffusion.even, 300, generator(0, "bound")).mean()
    assert float(nats) == pytest.approx(-3 * float(shares.log()[drawn].mean()), abs=0.06)


def test_both_ends_of_the_bound_by_quadrature():
    """With the true noise for an estimate, what is left is the level read at the least noise and the KL at the most."""
    levels, reach = torch.tensor([-1.0, 0.2, 1.0]).double(), 2.0  # noise as wide as the levels are apart
    x = levels.repeat(5000)[:, None]

    def truth(noisy, t):
        mix = diffusion.even(t)
        return x, (noisy - mix.alpha * x) / mix.sigma

    found = diffusion.bound(truth, x, levels, diffusion.even, 1, generator(0, "ends"), reach)
    large, small = (
        math.sqrt(1 / (1 + math.exp(side * reach))) for side in (-1, 1)
    )  # alpha and sigma; at the top swapped
    node, share = np.polynomial.hermite_e.hermegauss(80)
    read, top = [], []
    for level in levels.tolist():
        density = sum(stats.norm.pdf(large * (level - other) / small + node) for other in levels.tolist())
        read.append((share * np.log(density / stats.norm.pdf(node))).sum() / share.sum())
        top.append(((small * level) ** 2 + large**2 - 1 - math.log(large**2)) / 2)
    assert min(read) > 0.1 and float(found.mean()) == pytest.approx(np.mean(read) + np.mean(top), abs=0.02)


def test_the_caption_says_how_often_heun_asks():
    counts, asked = digits.Digits().counts, []
    for calls in counts:
        times = []

        def estimate(x, t, times=times):
            times.append(t)
            return x, x

        diffusion.heun(estimate, normal(1, 1), diffusion.down(digits.heun_steps(calls)), diffusion.cosine)
        asked.append(len(times))
    caption = digits.RECIPES["16.10"].caption
    assert (
        f"points at {verdicts.listed(map(str, counts))} stand for {verdicts.listed(map(str, asked))} calls" in caption
    )


def test_a_clipped_answer_of_another_shape_is_told_so():
    with pytest.raises(Wrong, match=r"shape \(5, 3\), not \(5, 1\)"):
        exercises.check_clipped(lambda noisy, noise, now, then: noisy[:, :1])
    with pytest.raises(Wrong, match=r"entry \d, \d should be"):
        exercises.check_clipped(lambda noisy, noise, now, then: noisy)


# Guidance


@pytest.mark.parametrize("mean, std, weight", [(1.0, 0.5, 3.0), (-0.7, 0.8, 1.5), (2.0, 0.3, 1.0), (1.0, 0.6, 0.2)])
def test_guidance_by_integrating_its_equations(mean, std, weight):
    shrunk = 1 - std**2

    def ode(a, y):  # a is alpha; mean and log std
        spread = 1 - a**2 * shrunk
        return [weight * (mean - a * shrunk * y[0]) / spread, -weight * a * shrunk / spread]

    end = integrate.solve_ivp(ode, (0, 1), [0.0, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
    got = diffusion.guided_ode(mean, std, weight)
    assert float(got[0]) == pytest.approx(end[0], rel=1e-7)
    assert float(got[1]) == pytest.approx(math.exp(2 * end[1]), rel=1e-7)

    def sde(a, y):
        spread = 1 - a**2 * shrunk
        pull = 1 / a + 2 * weight * a * shrunk / spread
        return [-(pull - 2 / a * 0) * y[0] + 2 * weight * mean / spread, -2 * pull * y[1] + 2 / a]

    end = integrate.solve_ivp(sde, (1e-6, 1), [0.0, 1.0], rtol=1e-10, atol=1e-12, method="Radau").y[:, -1]
    got = diffusion.guided_sde(mean, std, weight)
    assert float(got[0]) == pytest.approx(end[0], rel=1e-5) and float(got[1]) == pytest.approx(end[1], rel=1e-5)


@pytest.mark.parametrize("std, weight", [(0.15, 10.0), (0.15, 1.0), (0.3, 4.0), (1.0, 10.0), (0.5, 0.0)])
def test_guided_ode_is_exact_as_far_as_it_is_offered(std, weight):
    """The integral in another variable, a = 1 - exp(u), in which the peak of a narrow class is wide."""
    found = integrate.quad(lambda u: (1 - (1 - std**2) * (1 - math.exp(u)) ** 2) ** (-weight / 2 - 1) * math.exp(u), -40, 0,
                           epsabs=0, epsrel=1e-11, limit=500)[0]  # fmt: skip
    mean, _ = diffusion.guided_ode(2.0, std, weight)
    assert float(mean) == pytest.approx(2 * weight * std**weight * found, rel=2e-6)


def test_the_three_answers_of_guidance_agree_without_it():
    for answer in (diffusion.guided_ode, diffusion.guided_sde, diffusion.product):
        mean, variance = answer(*torch.tensor([0.7, 0.5], dtype=torch.float64), 1.0)
        assert float(mean) == pytest.approx(0.7, rel=1e-9) and float(variance) == pytest.approx(0.25, rel=1e-9)


def test_guided_samplers_end_where_the_formulas_say():
    mean, std, weight, path = 1.0, 0.5, 3.0, diffusion.even
    estimate = diffusion.guided(gaussian(1.0, path), gaussian(std, path, mean), weight)
    start = torch.from_numpy(stats.norm.ppf((np.arange(4000) + 0.5) / 4000))[:, None]
    for found, (center, variance) in (
        (diffusion.ddim(estimate, start, diffusion.down(200), path), diffusion.guided_ode(mean, std, weight)),
        (diffusion.ancestral(estimate, start, diffusion.down(200), path, generator(0, "a")),
         diffusion.guided_sde(mean, std, weight)),
    ):  # fmt: skip
        assert float(found.mean()) == pytest.approx(float(center), abs=0.03)
        assert float(found.std()) == pytest.approx(math.sqrt(float(variance)), abs=0.02)


def test_a_product_that_cannot_be_normalized_is_refused():
    with pytest.raises(ValueError, match="precision must be positive"):
        diffusion.product(torch.tensor(1.0), torch.tensor(0.5), -1.0)


def test_training_repeats_bit_for_bit_and_learns_two_points():
    rows = torch.tensor([[-1.0, 0.5], [1.0, -0.5]]).repeat(200, 1)

    def run():
        net = diffusion.PointDenoiser(0, width=32, hidden=2)
        nets = torch.nn.ModuleDict({"denoiser": net})
        step = functools.partial(diffusion.step, path=diffusion.straight, target=diffusion.velocity_target)
        train(step, nets, {"denoiser": adam(net.parameters(), 3e-3)}, Stream(rows, 128, 2), 500, 3)
        return net

    net, again = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    estimate = diffusion.estimates(net, diffusion.straight, diffusion.velocity_target)
    drawn = diffusion.heun(estimate, normal(200, 2).float(), diffusion.down(20), diffusion.straight)
    distance = torch.cdist(drawn, rows[:2]).min(1)
    assert distance.values.median() < 0.3 and 50 < int(distance.indices.sum()) < 150


# Steps of the sampler, guidance on digits, the U-Net


@pytest.mark.parametrize("variances", [(0.5,), (0.1, 0.5), (0.25, 1.0), (1.0, 4.0), (1e-4, 0.01, 0.25, 1.0, 4.0)])
def test_figure_16_2_says_that_beta_is_free_at_variance_1_alone(variances):
    costs = recipe.RECIPES["16.2"]
    config = dataclasses.replace(costs.quick, variances=variances)
    fig = costs.draw([costs.run(config, 0, "cpu")], config)
    said = {ax.get_title(): any("costs 0" in text.get_text() for text in ax.texts) for ax in fig.axes}
    assert said == {f"data variance {v:g}": v == 1 for v in variances[:4]}


def test_figure_16_6_samples_with_enough_steps():
    """By the exact denoiser, which makes no error: forty steps on the linear path lose overlap, those of the figure none."""
    z, config = recipe.noise_of(0, 2500, 2), recipe.Grid()
    own = points.score(points.GRID.draw(2500, 1000)[0], points.GRID).overlap
    for path, _, _ in recipe.OBJECTIVES.values():
        assert recipe.exact_overlap(points.GRID, path, z, config.sampling_steps) == pytest.approx(own, abs=0.02)
    assert recipe.exact_overlap(points.GRID, diffusion.linear, z, 20) < own - 0.2
    assert recipe.exact_overlap(points.GRID, diffusion.straight, z, 20) > own - 0.05


def test_guidance_weights_0_and_1_are_the_two_models():
    """By the network called directly: with the label hidden nothing depends on the label, at weight 1 all is the told one."""
    net = diffusion.LabeledDenoiser(0, 64, 10, 16, 1)
    z, y = normal(6, 64).float(), torch.tensor([0, 1, 2, 3, 4, 5])
    hidden, other = (digits.draw_guided(net, labels, z, 0.0, 4) for labels in (y, y.flip(0)))
    assert torch.equal(hidden, other)
    told = diffusion.ddim(
        lambda x, t: diffusion.parts(net(x, t.expand(6).float(), y), x, diffusion.cosine(t), diffusion.velocity_target),
        z, diffusion.down(4), diffusion.cosine)  # fmt: skip
    assert torch.allclose(digits.draw_guided(net, y, z, 1.0, 4), told, atol=1e-4)
    three = digits.draw_guided(net, y, z, 2.0, 1)  # one step down: linear in the weight
    low, high = (digits.draw_guided(net, y, z, w, 1) for w in (0.0, 1.0))
    assert torch.allclose(three, 2 * high - low, atol=1e-4)


def test_spread_within_classes_by_loops():
    rows, y = normal(40, 3), torch.arange(40) % 10
    found = [np.mean([np.linalg.norm(a - b) for i, a in enumerate(rows[y == c].numpy())
                      for j, b in enumerate(rows[y == c].numpy()) if i != j]) for c in range(10)]  # fmt: skip
    assert float(digits.within_class(rows, y)) == pytest.approx(float(np.mean(found)), rel=1e-9)


def test_held_out_digits_score_as_themselves():
    x, y = digits.rows_of("digits", "test")
    found = digits.score(x, y, digits.QUICK, "cpu")
    assert found["spread"] == pytest.approx(1, abs=1e-5) and found["coverage"] == 1
    one = x[y == 3][:1].expand(len(y), -1)  # a single picture, whatever is asked
    narrow = digits.score(one, y, digits.QUICK, "cpu")
    assert narrow["spread"] == pytest.approx(0, abs=1e-3) and narrow["coverage"] < 0.1
    assert narrow["asked class"] < 0.2


def test_nats_of_independent_pixels_by_counting():
    train_rows, rows = (torch.randint(0, 17, (n, 4), generator=generator(n, "levels")) / 8 - 1 for n in (30, 5))
    found = digits.independent_nats(train_rows, rows)
    for row, nats in zip(rows, found, strict=True):
        wanted = sum(-math.log((int((train_rows[:, j] == row[j]).sum()) + 1) / (30 + 17)) for j in range(4))
        assert float(nats) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("side, channels", [(8, 1), (28, 1), (16, 3)])
def test_the_unet_keeps_the_shape_and_hears_time_and_label(side, channels):
    net = diffusion.UNet(0, side, channels, 10, width=8)
    x, t, y = normal(2, channels * side**2).float(), torch.tensor([0.2, 0.7]), torch.tensor([3, 10])
    out = net(x, t, y)
    assert out.shape == x.shape
    assert not torch.allclose(out, net(x, t.flip(0), y)) and not torch.allclose(out, net(x, t, y.flip(0)))
    assert torch.allclose(out[1:], net(x[1:], t[1:], y[1:]), atol=1e-5), "no row depends on another"
    again = diffusion.UNet(0, side, channels, 10, width=8)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_a_unit_by_hand():
    """Norm, SiLU and correlation, twice; what is told comes between; the input, mixed by 1x1 weights, is added."""
    unit = diffusion.Unit(2, 3, 4).double()
    h, told = normal(1, 2, 5, 6), normal(1, 4)
    found = unit(h, told)[0].detach().numpy()

    def convolved(layers, maps):
        weight, bias = (p.detach().numpy() for p in (layers[2].weight, layers[2].bias))
        ready = [(m - m.mean()) / np.sqrt(m.var() + 1e-5) for m in maps]  # one channel in a group
        ready = [m / (1 + np.exp(-m)) for m in ready]
        both = ([signal.correlate2d(m, w, mode="same") for m, w in zip(ready, row, strict=True)] for row in weight)
        return [sum(parts) + b for parts, b in zip(both, bias, strict=True)]

    shift = (unit.told.weight @ told[0] + unit.told.bias).tolist()
    inner = [m + s for m, s in zip(convolved(unit.enter, h[0].numpy()), shift, strict=True)]
    around, bias = unit.around.weight[:, :, 0, 0].detach().numpy(), unit.around.bias.tolist()
    for i, out in enumerate(convolved(unit.leave, inner)):
        wanted = out + around[i, 0] * h[0, 0].numpy() + around[i, 1] * h[0, 1].numpy() + bias[i]
        assert np.allclose(found[i], wanted, atol=1e-9)


def test_what_the_unet_tells_its_units_by_hand():
    """The waves of the time through a line, plus the label's column and bias; then SiLU, line, SiLU; the same to all units."""
    net, told = diffusion.UNet(0, 8, 1, 3, width=8).double(), []
    units = [*net.down, net.middle, *net.up]
    for unit in units:
        unit.register_forward_pre_hook(lambda _, given: told.append(given[1][0].detach().numpy()))
    t, y = 0.3, 2
    net(normal(1, 64), torch.tensor([t]).double(), torch.tensor([y]))

    def line(layer, v):
        return layer.weight.detach().numpy() @ v + layer.bias.detach().numpy()

    def silu(v):
        return v / (1 + np.exp(-v))

    angles = [math.pi * t * 2**k for k in range(8)]
    both = line(net.time, [*map(math.sin, angles), *map(math.cos, angles)]) + line(net.label, np.eye(4)[y])
    wanted = silu(line(net.mix[1], silu(both)))
    assert len(told) == len(units) and all(np.allclose(each, wanted, rtol=1e-4) for each in told)


def test_the_unet_sees_beyond_a_convolution():
    """The middle of the output depends on pixels eight away: by way of the small maps."""
    net, x = diffusion.UNet(0, 16, 1, 2, width=8), normal(1, 256).float().requires_grad_()
    net(x, torch.tensor([0.5]), torch.tensor([0])).view(16, 16)[8, 8].backward()
    assert (x.grad.view(16, 16)[8, [0, 15]] != 0).all()


@pytest.mark.parametrize("side, width", [(30, 32), (0, 32), (28, 12)])
def test_the_unet_refuses_sides_that_it_cannot_halve_twice(side, width):
    with pytest.raises(ValueError, match="multiple of 4"):
        diffusion.UNet(0, side, 1, 10, width)


def test_the_unet_learns():
    rows = torch.stack([torch.ones(64), -torch.ones(64)]).repeat(8, 1)
    net, labels = diffusion.UNet(0, 8, 1, 2, width=8), torch.tensor([0, 1]).repeat(8)
    told = {"path": diffusion.cosine, "target": diffusion.velocity_target, "dropped": 0.1}
    stream, nets = Stream((rows, labels), 16, 64), torch.nn.ModuleDict({"denoiser": net})
    history = train(
        functools.partial(diffusion.labeled_step, **told),
        nets,
        {"denoiser": adam(net.parameters(), 5e-3)},
        stream,
        40,
        0,
    )
    assert history["loss"][-10:].mean() < history["loss"][:3].mean() / 2


def test_verdicts_call_settled_only_what_has_settled():
    """By hand: a change of .01 beside an interval of +-.004 is no rest; one of .001 of unresolved sign is."""

    def summary(mean, half):
        return {"n": 5, "failed": 0, "mean": mean, "min": mean, "max": mean, "low": mean - half, "high": mean + half}

    numbers = {"overlap: flow minus noise": summary(0.03, 0.01), "the data: overlap": summary(0.957, 0.003)}
    numbers["overlap: the data minus flow"] = summary(0.02, 0.01)
    for arm, change in (("flow", summary(0.01, 0.004)), ("noise", summary(0.001, 0.002))):
        numbers |= {f"{arm}: modes": summary(25, 0), f"{arm}: overlap": summary(0.93, 0.004)}
        numbers[f"{arm}: overlap, change over the last quarter"] = change
    said = recipe.verdict_grid(numbers)
    assert "flow: 25 of 25 modes, overlap over the last quarter still rising" in said
    assert "noise: 25 of 25 modes, overlap over the last quarter settled" in said
    assert "flow's is larger than noise's; that of the data is larger than flow's" in said
    numbers["noise: overlap, change over the last quarter"] = summary(0.04, 0.01)
    assert "larger than noise's, on average by less than noise gained over its last quarter" in recipe.verdict_grid(
        numbers
    )
    numbers["noise: overlap, change over the last quarter"] = summary(0.02, 0.01)
    assert "larger than noise's, on average by more than noise gained over its last quarter" in recipe.verdict_grid(
        numbers
    )


# Figure 16.11


def test_samplers_ask_the_network_as_often_as_said():
    class Counter(torch.nn.Module):
        classes, asked = 10, 0

        def forward(self, x, t, y):
            self.asked += 1
            return torch.zeros_like(x)

    y, z = torch.arange(6), normal(6, 64).float()
    for calls in (1, 5, 10):
        for name in ("ancestral", "DDIM", "Heun"):
            net = Counter()
            pictures.samples(pictures.Pictures("digits"), net, y, z, name, calls, generator(0, "ancestral"))
            heun = {1: 1, 5: 5, 10: 9}[calls]  # two calls a step and one in the last: an odd number
            assert net.asked == (heun if name == "Heun" else calls)


def test_what_is_said_of_the_pictures_follows_their_numbers():
    record = records.load("16.11")["numbers"]
    near, held = "samples: distance to training pictures", "held-out pictures: distance to training pictures"
    late = "training: Fréchet, change over the last quarter"

    def said(**changed):
        numbers = record | {name: [value] for name, value in changed.items()}
        return pictures.verdict_pictures({name: recording.summary_of(name, found) for name, found in numbers.items()})

    assert "on average samples lie nearer to" in said(**{near: 7.0, held: 8.0}).lower()
    assert "no nearer to" in said(**{near: 9.0, held: 8.0})
    assert "still fell" in said(**{late: -1.0}) and "rose or stood still" in said(**{late: 1.0})
    assert said(**{"training pictures: Fréchet": math.nan}) == "No run finished."


def test_a_prediction_in_parts_is_that_of_all_rows():
    net, y = pictures.unet(pictures.Pictures("digits", 8), 0)["denoiser"], torch.arange(9)
    x, t = normal(9, 64).float(), uniform(9).float()
    found = pictures.halved(net, y, at_once=4)(x, t)
    assert found.dtype == torch.float32 and torch.allclose(found, net(x, t, y), atol=0.05)  # bfloat16: two digits


def test_held_out_pictures_are_at_distance_0_from_themselves():
    rows, y = digits.rows_of("digits", "test")
    config = pictures.Pictures("digits", judge_steps=100)
    found, other = (pictures.scores(config, part, y, "cpu") for part in (rows, torch.zeros_like(rows)))
    assert (
        found["Fréchet"] == pytest.approx(0, abs=1e-3) and found["asked class"] == digits.judge("digits", 100, "cpu")[1]
    )
    assert other["Fréchet"] > 1 and other["asked class"] < 0.2
