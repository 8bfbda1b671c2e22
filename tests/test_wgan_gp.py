"""Chapter 12: the penalized critic against cases solved by hand, transport against scipy, and steps that do what they say."""

import copy
import dataclasses
import functools
import math

import pytest
import torch
from chapters import source
from scipy import stats
from torch import nn

from gentools import recipes, wgan_gp
from gentools.lab import records, worlds
from gentools.lab.networks import he, mlp
from gentools.lab.randomness import generator
from gentools.lab.records import summarize
from gentools.recipes import wgan_gp_critics
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.points import GRID

# Losses, penalty, steps


def test_two_points_under_a_linear_critic():
    distance, weight = 0.7, 0.3
    psi = torch.tensor(1 + distance / (2 * weight), requires_grad=True)  # best by hand
    real, fake = torch.full((4, 1), distance), torch.zeros(4, 1)
    loss = wgan_gp.critic_loss(psi * real, psi * fake)
    loss = loss + weight * wgan_gp.gradient_penalty(lambda x: psi * x, real, fake, torch.rand(4))
    loss.backward()
    assert -loss.item() == pytest.approx(distance + distance**2 / (4 * weight), rel=1e-5)
    assert psi.grad.abs() < 1e-5


def test_the_penalty_mixes_whole_rows_and_takes_one_slope_per_row():
    rng = generator(0, "penalty")
    real, fake = torch.randn(2, 5, 1, 3, 3, generator=rng)  # five pictures each
    mix = torch.rand(5, generator=rng)
    found = wgan_gp.gradient_penalty(lambda x: (x**2).flatten(1).sum(1) / 2, real, fake, mix)  # its slope is x
    lengths = [(m * a + (1 - m) * b).norm() for m, a, b in zip(mix, real, fake, strict=True)]
    assert found.item() == pytest.approx(sum((length.item() - 1) ** 2 for length in lengths) / 5, rel=1e-5)


def test_a_flat_critic_has_a_finite_gradient():
    weight = torch.zeros(2, requires_grad=True)
    penalty = wgan_gp.gradient_penalty(lambda x: x @ weight, torch.ones(3, 2), torch.zeros(3, 2), torch.rand(3))
    penalty.backward()
    assert penalty == 1 and weight.grad.isfinite().all()


def trained(steps=3):
    nets = wgan_gp.toy_networks(seed=0, width=16)
    step = functools.partial(wgan_gp.step, critic_steps=3, penalty_weight=0.1)
    fit(step, nets, adams(nets, 1e-3), GRID.draw(100, 0)[0], (2, 2), batch=3 * 8, steps=steps, seed=0, device="cpu")
    return nets


def test_a_step_moves_both_players_and_leaves_the_critic_trainable():
    before, after = wgan_gp.toy_networks(seed=0, width=16).state_dict(), trained()
    still = {name for name, new in after.state_dict().items() if torch.equal(before[name], new)}
    assert still == {"critic.4.bias"}, "the last bias adds a constant to every score, and constants cancel"
    assert all(parameter.requires_grad for parameter in after.parameters())


def test_a_run_depends_on_its_seed_alone():
    first = trained()
    torch.rand(7)  # somebody draws from the generator that the step uses
    assert all(map(torch.equal, first.parameters(), trained().parameters()))


def test_rows_that_cannot_be_shared_out_are_refused():
    nets = wgan_gp.toy_networks(seed=0, width=16)
    with pytest.raises(ValueError, match="equal parts"):
        wgan_gp.step(nets, adams(nets, 1e-3), torch.zeros(7, 2), torch.zeros(7, 2, 2), critic_steps=3, penalty_weight=1)


def test_points_between_are_the_real_ones_at_1_and_let_no_gradient_pass():
    real, fake = torch.ones(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    between = wgan_gp.interpolate(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert between.tolist() == [[0, 0], [0.25, 0.25], [1, 1]] and not between.requires_grad


def test_a_step_uses_the_penalty_that_it_is_given():
    """Gradient and piecewise penalty give equal numbers and do not tell; this one pulls every weight to 0."""
    seen = []

    def shrinking(critic, real, fake, mix):
        seen.append((len(real), len(fake), len(mix)))
        return sum(parameter.square().sum() for parameter in critic.parameters()) / 2

    ends = []
    for weight in (0.0, 0.7):
        nets = wgan_gp.toy_networks(seed=0, width=4)
        start = [parameter.detach().clone() for parameter in nets["critic"].parameters()]
        opts = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.items()}
        rng = generator(0, "points")
        x, z = torch.randn(6, 2, generator=rng), torch.randn(6, 2, 2, generator=rng)
        wgan_gp.step(nets, opts, x, z, critic_steps=1, penalty_weight=weight, penalty=shrinking)
        ends.append([parameter.detach() for parameter in nets["critic"].parameters()])
    for before, free, held in zip(start, *ends, strict=True):
        assert torch.allclose(held - free, -0.1 * 0.7 * before, atol=1e-7)
    assert seen == [(6, 6, 6)] * 2


def test_a_step_is_plain_descent_of_both_players_in_turn():
    """Against SGD by hand: each critic step on its own rows with its own draw, then the generator with the other noise."""
    nets = wgan_gp.toy_networks(seed=1, width=8)
    truth, rng = copy.deepcopy(nets), generator(0, "step")
    x, z = torch.randn(6, 2, generator=rng), torch.randn(6, 2, 2, generator=rng)
    torch.manual_seed(3)
    mixes = [torch.rand(3), torch.rand(3)]
    for i, mix in enumerate(mixes):
        real, fake = x[3 * i : 3 * i + 3], truth["generator"](z[3 * i : 3 * i + 3, 0]).detach()
        between = (mix[:, None] * real + (1 - mix[:, None]) * fake).requires_grad_()
        slope = torch.autograd.grad(truth["critic"](between).sum(), between, create_graph=True)[0]
        loss = truth["critic"](fake).mean() - truth["critic"](real).mean() + 0.7 * ((slope.norm(dim=1) - 1) ** 2).mean()
        descend_by_hand(truth["critic"], loss, 0.1)
    descend_by_hand(truth["generator"], -truth["critic"](truth["generator"](z[:3, 1])).mean(), 0.2)
    opts = {"critic": torch.optim.SGD(nets["critic"].parameters(), 0.1)}
    opts["generator"] = torch.optim.SGD(nets["generator"].parameters(), 0.2)
    torch.manual_seed(3)
    wgan_gp.step(nets, opts, x, z, critic_steps=2, penalty_weight=0.7)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(nets.parameters(), truth.parameters(), strict=True))


def descend_by_hand(net, loss, rate):
    weights = list(net.parameters())
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            weight -= rate * (0 if slope is None else slope)


def test_clipping_keeps_every_weight_within_its_bound_and_descends_first():
    critic = mlp([2, 8, 1], generator=generator(0, "clip"))
    twin = copy.deepcopy(critic)
    real, fake = torch.randn(2, 16, 2, generator=generator(1, "clip"))
    loss = wgan_gp.clipped_critic_step(critic, torch.optim.SGD(critic.parameters(), 0.5), real, fake, bound=0.1)
    theirs = twin(fake).mean() - twin(real).mean()
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-6)
    descend_by_hand(twin, theirs, 0.5)
    for mine, other in zip(critic.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine, other.clamp(-0.1, 0.1), atol=1e-6)


def test_losses_of_no_rows_are_refused_and_noise_holds_two_draws():
    none, some = torch.zeros(0, 1), torch.zeros(3, 1)
    for real, fake in ((none, none), (none, some), (some, none)):
        with pytest.raises(ValueError, match="holds no rows"):
            wgan_gp.critic_loss(real, fake)
    with pytest.raises(ValueError, match="holds no rows"):
        wgan_gp.generator_loss(none)
    nets = wgan_gp.toy_networks(0)
    for step in (wgan_gp.step, wgan_gp.piecewise_step):
        with pytest.raises(ValueError, match=r"2 draws for each row.*\(4, 3, 2\)"):
            step(nets, {}, torch.zeros(4, 2), torch.zeros(4, 3, 2), critic_steps=2, penalty_weight=0.1)


def test_a_critic_of_several_scores_is_refused_before_it_moves():
    """The loss was the mean of all scores."""
    critic = nn.Linear(2, 3)
    before, rows = critic.weight.detach().clone(), torch.ones(4, 2)
    optimizer = torch.optim.SGD(critic.parameters(), 0.1)
    for step, last in ((wgan_gp.clipped_critic_step, 0.1), (wgan_gp.critic_step, 1.0)):
        with pytest.raises(ValueError, match=r"a critic gives one score per row, not \(3,\)"):
            step(critic, optimizer, rows, 2 * rows, last)
    with pytest.raises(ValueError, match="one score per row"):
        wgan_gp.generator_loss(critic(rows))
    assert torch.equal(critic.weight, before)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan])
def test_a_bound_that_no_weight_can_keep_is_refused(bound):
    critic = mlp([2, 8, 1], generator=generator(0, "clip"))
    before = copy.deepcopy(critic)
    with pytest.raises(ValueError, match="bound must be positive"):
        wgan_gp.clip(critic, bound)
    assert all(torch.equal(a, b) for a, b in zip(critic.parameters(), before.parameters(), strict=True))


# The closed form


def critic_and_rows(name, sizes, activation):
    """A critic in float64, and data, samples (9, d) and places (9,) for it, all from the name."""
    critic = mlp(sizes, activation, generator=generator(0, name, len(sizes))).double()
    rng = generator(1, name)
    real, fake = torch.randn(2, 9, sizes[0], generator=rng, dtype=torch.float64)
    return critic, real, fake, torch.rand(9, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("activation", [nn.ReLU, functools.partial(nn.LeakyReLU, 0.2)])
@pytest.mark.parametrize("sizes", [[3, 4, 1], [2, 7, 1], [2, 6, 5, 1], [4, 8, 3, 5, 1]])
def test_the_closed_form_is_the_double_backward(sizes, activation):
    critic, real, fake, mix = critic_and_rows("closed", sizes, activation)
    found = []
    for penalty in (wgan_gp.gradient_penalty, wgan_gp.piecewise_penalty):
        critic.zero_grad()
        value = penalty(critic, real, fake, mix)
        value.backward()
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in critic.parameters()]
        found.append([value.detach(), *grads])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-13)
    assert all((found[1][i + 1] == 0).all() for i, p in enumerate(critic.parameters()) if p.ndim == 1), "biases"


def test_both_forms_of_the_penalty_refuse_rows_with_a_further_axis():
    """The closed form took the length over that axis, and was another number."""
    critic, rows = (
        mlp([2, 8, 1], generator=generator(0, "rows")),
        torch.randn(2, 5, 5, 2, generator=generator(1, "rows")),
    )
    for form in (wgan_gp.gradient_penalty, wgan_gp.piecewise_penalty):
        for real, fake in (rows, rows[:, 0, :2, 0]):
            with pytest.raises(ValueError, match=r"one score per row|must be rows \(n, d\)"):
                form(critic, real, fake, torch.rand(len(real)))
    with pytest.raises(ValueError, match=r"must be rows \(n, d\)"):
        wgan_gp.piecewise_gradient(critic, *rows, torch.rand(5), 1.0)


def test_a_step_with_the_closed_form_is_the_same_step():
    ends = []
    for penalty in (wgan_gp.gradient_penalty, wgan_gp.piecewise_penalty):
        nets = wgan_gp.toy_networks(seed=0, width=16).double()
        x, z = (
            torch.randn(*shape, generator=generator(0, "x"), dtype=torch.float64) for shape in ((12, 2), (12, 2, 2))
        )
        torch.manual_seed(0)
        wgan_gp.step(nets, adams(nets, 1e-3), x, z, 3, 0.5, penalty)
        ends.append(torch.cat([p.detach().flatten() for p in nets.parameters()]))
    assert torch.allclose(*ends, rtol=0, atol=1e-10)


@pytest.mark.parametrize("activation", [nn.ReLU, functools.partial(nn.LeakyReLU, 0.2)])
@pytest.mark.parametrize("sizes", [[3, 1], [2, 7, 1], [2, 6, 5, 1], [4, 8, 3, 5, 1]])
def test_the_gradient_by_hand_is_that_of_autograd(sizes, activation):
    critic, real, fake, mix = critic_and_rows("by hand", sizes, activation)
    loss = wgan_gp.critic_loss(critic(real), critic(fake))
    (loss + 0.7 * wgan_gp.gradient_penalty(critic, real, fake, mix)).backward()
    by_autograd = [parameter.grad for parameter in critic.parameters()]
    critic.zero_grad()
    found = wgan_gp.piecewise_gradient(critic, real, fake, mix, 0.7)
    assert found.item() == pytest.approx(loss.item(), rel=1e-12, abs=1e-14)
    for mine, theirs in zip(critic.parameters(), by_autograd, strict=True):
        assert mine.grad.shape == theirs.shape
        assert torch.allclose(mine.grad, theirs, rtol=1e-12, atol=1e-14)


def test_the_gradient_by_hand_takes_a_flat_critic_and_no_biases():
    flat = mlp([2, 4, 1], generator=generator(0, "flat"))
    nn.init.zeros_(flat[2].weight)
    plain = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False))
    for critic in (flat, plain):
        wgan_gp.piecewise_gradient(critic, torch.ones(3, 2), torch.zeros(3, 2), torch.rand(3), 1.0)
        assert all(parameter.grad.isfinite().all() for parameter in critic.parameters())


def test_the_step_by_hand_is_the_same_step():
    ends = []
    for step in (wgan_gp.step, wgan_gp.piecewise_step):
        nets = wgan_gp.toy_networks(seed=0, width=16).double()
        opts, rng = adams(nets, 1e-3), generator(0, "x")
        for t in range(3):
            x, z = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((12, 2), (12, 2, 2)))
            torch.manual_seed(t)
            found = step(nets, opts, x, z, 3, 0.5)
        ends.append(torch.cat([p.detach().flatten() for p in (*nets.parameters(), *found.values())]))
        assert all(parameter.requires_grad for parameter in nets.parameters())
    assert torch.allclose(*ends, rtol=0, atol=1e-10)


def test_batches_at_once_are_batches_in_turn():
    rng = generator(0, "batches")
    inner = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh())
    ends, stood = [], [nn.BatchNorm1d(5), inner[1]]
    net = nn.Sequential(nn.Linear(3, 5), stood[0], nn.LeakyReLU(0.2), inner).double()
    rows = torch.randn(2, 4, 6, 3, generator=rng, dtype=torch.float64).unbind(0)[
        1
    ]  # 4 batches of as many as `inner` has
    for way in (wgan_gp.batches, lambda net, rows: torch.stack([net(part) for part in rows])):
        for each in stood:
            each.reset_running_stats()
        made = way(net, rows)
        ends.append(
            torch.cat([made.flatten(), *(stat for each in stood for stat in (each.running_mean, each.running_var))])
        )
        assert made.requires_grad == (way is not wgan_gp.batches)
    assert torch.allclose(*ends, rtol=0, atol=1e-12)
    flat = wgan_gp.batches(nn.Flatten(), torch.ones(2, 3, 4, 5))
    assert flat.shape == (2, 3, 20), "a module that is no Sequential gets one batch at a time"


def test_the_closed_form_refuses_layers_that_it_does_not_know():
    with pytest.raises(ValueError, match="not Tanh"):
        wgan_gp.piecewise_slopes(mlp([2, 4, 1], nn.Tanh), torch.zeros(3, 2))
    rows = torch.zeros(3, 2)
    for critic, said in (
        (mlp([2, 4, 1], nn.Tanh), "layer 1 .* is Tanh"),
        (mlp([2, 4, 1])[:2], "end in a Linear layer"),
        (nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 1))), "own their weight"),
        (nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 1))), "layer 0 .* is Parametrized"),
        (nn.Sequential(shared := nn.Linear(2, 2), nn.ReLU(), shared, nn.ReLU(), nn.Linear(2, 1)), "own their weight"),
    ):
        with pytest.raises(ValueError, match=said):
            wgan_gp.piecewise_gradient(critic, rows, rows, torch.rand(3), 1.0)
    for critic in (
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)),
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.ReLU()),
        mlp([2, 3, 2]),
    ):
        with pytest.raises(ValueError, match="one activation between each two, ending in one score"):
            wgan_gp.piecewise_slopes(critic, rows)
    with pytest.raises(ValueError, match="slope of a single one is its weight"):  # (1, d), not one row per point
        wgan_gp.piecewise_slopes(mlp([2, 1]), rows)


@pytest.mark.parametrize("weight", [0.3, 2.0])
@pytest.mark.parametrize(
    "pull,charge",
    [
        (wgan_gp.two_sided_pull, lambda length: (length - 1) ** 2),
        (wgan_gp.one_sided_pull, lambda length: (length - 1).clamp_min(0) ** 2),
        (wgan_gp.centered_pull, lambda length: length**2),
    ],
)
def test_a_pull_is_minus_the_slope_of_its_penalty(pull, charge, weight):
    for size in (0.4, 1.7):
        psi = size * nn.functional.normalize(torch.randn(3, generator=generator(0, "pull"), dtype=torch.float64), dim=0)
        psi.requires_grad_(True)
        (slope,) = torch.autograd.grad(weight * charge(psi.norm()), psi)
        assert torch.allclose(pull(psi.detach(), weight), -slope, rtol=1e-12, atol=1e-14)


def test_batchnorm_hides_the_slope_from_the_penalty():
    """A linear critic behind batch normalization: its scores sum to 0, so the slope of the sum is 0 for every weight."""
    x, y, mix = torch.randn(8, 1), torch.randn(8, 1), torch.rand(8)
    for weight in (1.0, 100.0):
        penalty = wgan_gp.gradient_penalty(lambda x, w=weight: w * (x - x.mean(0)), x, y, mix)
        assert penalty.item() == pytest.approx(1, abs=1e-3)


# Transport


def plane(seed):
    """Tables on random points of the plane, and the distances between them."""
    w = worlds.table(seed)
    x = torch.randn(len(w.p_x), 2, generator=w.rng, dtype=torch.float64)
    return w.p_x, w.q_x, torch.cdist(x, x), x


@pytest.mark.parametrize("seed", range(10))
def test_both_linear_programs_agree_with_scipys_distance(seed):
    p, q, cost, x = plane(seed)
    value, plan = wgan_gp.transport(p, q, cost)
    f = wgan_gp.best_critic(p, q, cost)
    truth = stats.wasserstein_distance_nd(x.numpy(), x.numpy(), p.numpy(), q.numpy())
    assert value.item() == pytest.approx(truth, abs=1e-10)
    assert wgan_gp.gain(f, p, q).item() == pytest.approx(truth, abs=1e-10)
    assert torch.allclose(plan.sum(1), p) and torch.allclose(plan.sum(0), q) and plan.min() >= -1e-12
    assert (f[:, None] - f <= cost + 1e-10).all()


@pytest.mark.parametrize("scale", (1.0, 1e-8, 1e6))
@pytest.mark.parametrize("seed", (13, 80, 7))
def test_programs_take_skewed_tables_and_any_unit_of_x(seed, scale):
    rng = torch.Generator().manual_seed(seed)
    p, q = (torch.rand(6, generator=rng, dtype=torch.float64) ** 8 for _ in range(2))
    x = scale * torch.rand(6, generator=rng, dtype=torch.float64).sort().values
    p, q, cost = p / p.sum(), q / q.sum(), (x[:, None] - x).abs()
    value, plan = wgan_gp.transport(p, q, cost)
    truth = stats.wasserstein_distance(x.numpy(), x.numpy(), p.numpy(), q.numpy()) / scale
    assert value.item() / scale == pytest.approx(truth, abs=1e-9)
    assert wgan_gp.gain(wgan_gp.best_critic(p, q, cost), p, q).item() / scale == pytest.approx(truth, abs=1e-9)
    assert torch.allclose(plan.sum(1), p, atol=1e-9) and torch.allclose(plan.sum(0), q, atol=1e-9)


@pytest.mark.parametrize("mass", (1e-7, 1e-9))
def test_programs_carry_small_masses(mass):
    p, q = torch.tensor([1 - mass, mass, 0]).double(), torch.tensor([1 - mass, 0, mass]).double()
    cost = torch.tensor([[0.0, 1, 3], [1, 0, 2], [3, 2, 0]]).double()
    assert wgan_gp.transport(p, q, cost)[0].item() == pytest.approx(2 * mass, rel=1e-6)
    assert wgan_gp.gain(wgan_gp.best_critic(p, q, cost), p, q).item() == pytest.approx(2 * mass, rel=1e-6)


def test_transport_takes_float32_whose_sums_differ_by_rounding():
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    p, q, x = *logits.softmax(1), torch.arange(50.0)
    value, _ = wgan_gp.transport(p, q, (x[:, None] - x).abs())
    assert value.item() == pytest.approx(float(wgan_gp.line_distance(x, p, q)), rel=1e-5)
    nothing = wgan_gp.transport(0 * p, 0 * q, (x[:, None] - x).abs())
    assert nothing[0] == 0 and not nothing[1].any()


def test_transport_says_what_does_not_fit():
    p = torch.tensor([0.5, 0.5]).double()
    with pytest.raises(ValueError, match="a row for each of 2"):
        wgan_gp.transport(p, p, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="their sums differ: p_x 1, q_x 2"):
        wgan_gp.transport(p, 2 * p, torch.ones(2, 2))
    with pytest.raises(ValueError, match="p_x holds a probability below 0"):
        wgan_gp.transport(torch.tensor([-0.5, 1.5]), p, torch.ones(2, 2))
    with pytest.raises(ValueError, match="one shape"):
        wgan_gp.best_critic(p, torch.ones(3) / 3, torch.ones(2, 2))
    with pytest.raises(ValueError, match="a row and a column for each of 2"):
        wgan_gp.best_critic(p, p, torch.ones(3, 3))


def test_mass_that_nothing_can_carry_is_refused():
    x, p, q = line(0)
    cost = (x[:, None] - x).abs()
    for call in (
        lambda mass: wgan_gp.best_critic(p, mass, cost),
        lambda mass: wgan_gp.surplus(p, mass),
        lambda mass: wgan_gp.line_distance(x, p, mass),
        lambda mass: wgan_gp.penalized_value(x, p, mass, 1.0),
    ):
        for mass in (2 * q, q * math.nan):
            with pytest.raises(ValueError, match="their sums differ: p_x 1, q_x"):
                call(mass)
        call(3 * q / q.sum().item() / 3)  # rounding is no fault


# The penalized critic on a line


def test_points_out_of_order_are_refused_with_the_cure():
    x, p, q = line(1)
    turned = x.flip(0)
    for call in (
        wgan_gp.line_distance,
        wgan_gp.between_density,
        lambda at, *tables: wgan_gp.penalized_value(at, *tables, 1.0),
        lambda at, *tables: wgan_gp.penalized_slope(at, *tables, 1.0),
    ):
        for at in (turned, x * math.nan):
            with pytest.raises(ValueError, match=r"x must be points \(n,\) in rising order; x, order = x.sort\(\)"):
                call(at, p, q)
    sorted_x, order = turned.sort()  # the cure that the message names
    assert wgan_gp.line_distance(sorted_x, p.flip(0)[order], q.flip(0)[order]) == wgan_gp.line_distance(x, p, q)
    assert wgan_gp.line_distance(x[[0, 0, 2, 3, 4, 5]], p, q) >= 0, "two tables may share a point"


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_a_penalty_without_a_weight_is_refused(weight):
    for each in (wgan_gp.penalized_value, wgan_gp.penalized_slope):
        with pytest.raises(ValueError, match="weight must be positive"):
            each(*line(2), weight)


def test_gaps_that_nothing_crosses_add_nothing():
    x = torch.arange(4).double()
    p, q = torch.tensor([[0.5, 0.5, 0, 0], [0.2, 0.8, 0, 0]], dtype=torch.float64)
    alone = wgan_gp.penalized_value(x[:2], p[:2], q[:2], 0.7)  # the same tables without the points beyond
    assert wgan_gp.penalized_value(x, p, q, 0.7) == pytest.approx(float(alone), rel=1e-12)
    slopes = wgan_gp.penalized_slope(x, p, q, 0.7)
    assert slopes.tolist() == pytest.approx([float(wgan_gp.penalized_slope(x[:2], p[:2], q[:2], 0.7)), 1, 1])


@pytest.mark.parametrize("seed", range(100))
def test_rounding_is_no_density_on_gaps_that_nothing_crosses(seed):
    """All mass of p and q on three of eight points: differences of sums left 3e-17 on the gaps beyond, and any slope."""
    rng = generator(seed, "mass in the middle")
    x, p, q = torch.rand(8, generator=rng).double().sort().values, *torch.zeros(2, 8, dtype=torch.float64)
    p[3:6], q[3:6] = torch.rand(2, 3, generator=rng, dtype=torch.float64)
    p, q = p / p.sum(), q / q.sum()
    beyond = torch.tensor([0, 1, 2, 5, 6])
    assert (wgan_gp.between_density(x, p, q)[beyond] == 0).all()
    slopes = wgan_gp.penalized_slope(x, p, q, 0.1)
    assert (slopes[beyond] == 1).all()
    assert torch.allclose(slopes[3:5], wgan_gp.penalized_slope(x[3:6], p[3:6], q[3:6], 0.1), rtol=1e-9)


def line(seed, n=6):
    """Sorted points, and two tables on them."""
    rng = generator(seed, "points on a line")
    x = (0.2 + torch.rand(n, generator=rng, dtype=torch.float64)).cumsum(0)
    return x, worlds.simplex(rng, n), worlds.simplex(rng, n)


@pytest.mark.parametrize("seed", range(5))
def test_distance_and_density_on_a_line(seed):
    x, p, q = line(seed)
    truth = stats.wasserstein_distance(x.numpy(), x.numpy(), p.numpy(), q.numpy())
    assert wgan_gp.line_distance(x, p, q).item() == pytest.approx(truth, abs=1e-12)
    for i, found in enumerate(wgan_gp.between_density(x, p, q)):
        middle = (x[i] + x[i + 1]) / 2
        hit = sum(
            p[a] * q[b] / (x[a] - x[b]).abs()
            for a in range(len(x))
            for b in range(len(x))
            if min(x[a], x[b]) < middle < max(x[a], x[b])
        )
        assert found.item() == pytest.approx(float(hit), rel=1e-12)
    apart = 1 - (p * q).sum()  # what does not stay on one point lies on the gaps
    assert (wgan_gp.between_density(x, p, q) * x.diff()).sum().item() == pytest.approx(float(apart), rel=1e-12)


@pytest.mark.parametrize("weight", [0.05, 1.0, 10.0])
def test_the_penalized_critic_against_ascent(weight):
    x, p, q = line(3)
    slope = torch.where(wgan_gp.surplus(p, q) < 0, -1.5, 1.5).double().requires_grad_()
    climb = torch.optim.LBFGS([slope], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def value():
        f = torch.cat([torch.zeros(1).double(), (slope * x.diff()).cumsum(0)])
        return wgan_gp.gain(f, p, q) - weight * wgan_gp.line_penalty(x, p, q, slope)

    def closure():
        climb.zero_grad()
        loss = -value()
        loss.backward()
        return loss

    climb.step(closure)
    assert value().item() == pytest.approx(wgan_gp.penalized_value(x, p, q, weight).item(), rel=1e-9)
    assert torch.allclose(slope.detach(), wgan_gp.penalized_slope(x, p, q, weight), atol=1e-4)


def test_gaussians_by_quadrature():
    """Shift 1, width 0.3, weight 1: the density between them by averaging over pairs, not by the sums of the module."""
    x = torch.linspace(-2, 3, 1001, dtype=torch.float64)
    p, q = (torch.exp(-((x - m) ** 2) / 0.18) for m in (0, 1))
    p, q, dx = p / p.sum(), q / q.sum(), x[1] - x[0]
    u = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    mean, width = 1 - u, 0.3 * (u**2 + (1 - u) ** 2).sqrt()  # of u X + (1 - u) Y
    middle = (x[1:] + x[:-1]) / 2
    density = (torch.exp(-(((middle[:, None] - mean) / width) ** 2) / 2) / (width * (2 * math.pi) ** 0.5)).mean(1)
    g = (q - p).cumsum(0)[:-1]
    truth = (g.abs() + g**2 / (4 * density.clamp_min(1e-30))).sum() * dx
    assert wgan_gp.penalized_value(x, p, q, 1.0).item() == pytest.approx(truth.item(), rel=1e-3)


# The smallest game


def test_several_starts_on_a_line_are_no_start_in_the_plane():
    starts = torch.tensor([[3.0], [-1.0]]).double()
    with pytest.raises(ValueError, match="loop over several starts"):
        wgan_gp.dirac(starts, -starts / 6, 0.1, 2.0, wgan_gp.two_sided_pull)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9, 1.0, 2.0])
def test_where_the_smallest_game_ends(weight):
    theta, psi, h = torch.tensor(2.0).double(), torch.tensor(-0.2).double(), 5e-3
    reached = []
    for t in range(10_000):
        theta, psi = wgan_gp.dirac(theta, psi, h, weight, wgan_gp.two_sided_pull)
        if t >= 8_000:
            reached.append(theta.abs())
    assert max(reached).item() == pytest.approx(wgan_gp.dirac_reach(weight), rel=0.02)
    if weight >= 1:
        assert psi.abs() < 1e-3


@pytest.mark.parametrize("weight", [0.1, 0.4, 0.9])
def test_half_a_turn_of_the_smallest_game_by_its_formula(weight):
    """The place from the center, e^(-weight t) (cos + weight / frequency sin), against small steps of the game."""
    start, frequency, small = 3.0, math.sqrt(1 - weight**2), 1e-4
    place, speed, time = start + 2 * weight, 0.0, 0.0
    while time < math.pi / frequency:
        half = place + small / 2 * speed, speed - small / 2 * (place + 2 * weight * speed)
        place, speed = place + small * half[1], speed - small * (half[0] + 2 * weight * half[1])
        time += small
    kappa = math.exp(-math.pi * weight / frequency)
    assert place == pytest.approx(-kappa * (start + 2 * weight), abs=1e-4) and abs(speed) < 1e-3
    wave = math.cos(frequency * 1.0) + weight / frequency * math.sin(frequency * 1.0)
    turn = torch.tensor([[0.0, 1.0], [-1.0, -2 * weight]]).double().matrix_exp()  # to time 1
    assert float(turn[0, 0]) == pytest.approx(math.exp(-weight) * wave)


def test_other_penalties_in_the_smallest_game():
    for pull, end in ((wgan_gp.one_sided_pull, 1.0), (wgan_gp.centered_pull, 0.0)):
        state = torch.tensor(3.0).double(), torch.tensor(-0.2).double()
        for _ in range(6_000):
            state = wgan_gp.dirac(*state, 1e-2, 0.5, pull)
        assert torch.stack(state).norm().item() == pytest.approx(end, abs=0.02)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_in_the_plane_the_smallest_game_ends_on_the_unit_circle(weight):
    """There psi can turn. |psi| = 1 and psi at a right angle to theta, |theta| = 1, costs no penalty and goes on for ever."""
    theta, psi = torch.tensor([3.0, 0.1]).double(), torch.tensor([-0.2, 0.0]).double()
    for _ in range(8_000):
        theta, psi = wgan_gp.dirac(theta, psi, 5e-3, weight, wgan_gp.two_sided_pull)
    assert theta.norm().item() == pytest.approx(1, abs=0.01) and psi.norm().item() == pytest.approx(1, abs=0.01)
    assert abs(theta @ psi) < 0.01


def test_the_reach_needs_a_penalty():
    with pytest.raises(ValueError, match="positive"):
        wgan_gp.dirac_reach(0.0)
    assert wgan_gp.dirac_reach(1e-9) == pytest.approx(4 / math.pi, rel=1e-4)


# What the recipes conclude


def test_chapter_12_says_what_critics_of_weight_10_come_to():
    """Near slope 1 and W1 at the end, no gain below 0; a quarter of the steps leaves one on the wrong side."""
    record = records.load("12.3")
    numbers, config = record["numbers"], recipes.find("12.3").config(record["scale"])
    for name in wgan_gp_critics.SETS:
        distance = numbers[f"{name}: W1 of 800 pairs"]
        for way in wgan_gp_critics.WAYS:
            assert max(numbers[f"{name}, {way}: gain below 0"]) == 0
        assert all(abs(slope - 1) < 0.05 for slope in numbers[f"{name}, penalty 10: mean slope"])
        gains = numbers[f"{name}, penalty 10: gain"]
        assert all(abs(gain / w1 - 1) < 0.2 for gain, w1 in zip(gains, distance, strict=True))
        over = numbers[f"{name}, penalty 0.1: gain over mean slope"]
        assert all(ratio > w1 for ratio, w1 in zip(over, distance, strict=True))
        steep = [f"{name}, penalty 0.1: {what}" for what in ("gain", "mean slope")]
        assert all(2 * max(numbers[at.replace("0.1", "10")]) < min(numbers[at]) for at in steep), (
            "several times as large"
        )
    for distance in (0.5, 0.8):  # one slope, two hills, (12.6): small steps from the wrong side end on the wrong hill
        psi = torch.tensor([-0.3, 0.3], requires_grad=True)
        for _ in range(3000):
            value = psi * distance - 10 * (psi.abs() - 1) ** 2
            psi = (psi + 1e-3 * torch.autograd.grad(value.sum(), psi)[0]).detach().requires_grad_()
        assert psi.tolist() == pytest.approx([distance / 20 - 1, distance / 20 + 1], abs=1e-4)
    config, draw = dataclasses.replace(config, steps=config.steps // 4), wgan_gp_critics.SETS["grid"]
    fresh = draw(1600, 1000)
    real, fake = fresh[:800], fresh[800:] + torch.randn(800, 2, generator=generator(0, "fresh noise"))
    critic = mlp([2, *[config.width] * config.hidden, 1], generator=generator(0, "critic"))
    rows = draw(config.points, 0)
    critic = wgan_gp_critics.train_alone(critic, wgan_gp_critics.penalized(10.0), rows, config, 0, "cpu")
    with torch.no_grad():
        assert -wgan_gp.critic_loss(critic(real), critic(fake)) < -0.1


def test_chapter_12_says_how_deep_the_middle_of_the_ring_lies_under_weight_01():
    """Lower than every group by about half of the gain; so it is after an eighth of the steps."""
    config, draw = recipes.find("12.3").config(records.load("12.3")["scale"]), wgan_gp_critics.SETS["ring"]
    config, fresh = dataclasses.replace(config, steps=config.steps // 8), draw(1600, 1000)
    real, fake = fresh[:800], fresh[800:] + torch.randn(800, 2, generator=generator(0, "fresh noise"))
    critic = mlp([2, *[config.width] * config.hidden, 1], generator=generator(0, "critic"))
    critic = wgan_gp_critics.train_alone(
        critic, wgan_gp_critics.penalized(0.1), draw(config.points, 0), config, 0, "cpu"
    )
    angles = torch.arange(8) * (math.pi / 4)
    with torch.no_grad():
        gain, middle = -wgan_gp.critic_loss(critic(real), critic(fake)), critic(torch.zeros(1, 2))
        groups = critic(math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], 1))
        assert middle < groups.min() and 0.4 < (critic(real).mean() - middle) / gain < 0.65


def test_chapter_12_says_when_the_surplus_is_most_of_the_value():
    """Under weight 0.1, unless the two nearly agree: not at the first shift that is drawn, and from the second on."""
    recipe = recipes.find("12.1")
    config, arrays = recipe.config("quick"), recipe.result("quick")["arrays"]
    share = 1 - arrays["slide, W1"] / arrays["slide, 0.1"]
    assert config.shifts[:2] == (0.0, 0.25) and share[1] < 0.5 < share[2:].min()


def test_chapter_12_says_what_twice_the_steps_make_of_the_overlaps():
    """The grid rises at the end again and ends hardly higher; on the ring one lead of three is gone."""
    record = records.load("12.6")
    change = "overlap at the end minus after three quarters"
    (again,), recorded = record["twice"]["numbers"][change], record["numbers"][change]
    assert record["twice"]["seeds"] == [0] and min(recorded) < again < max(recorded) and again > 0.02
    assert 0 < record["twice"]["numbers"]["overlap"][0] - record["numbers"]["overlap"][0] < 0.01
    record = records.load("12.8")
    leads = {
        name.removeprefix("overlap: WGAN-GP minus "): (values[0], *record["numbers"][name])
        for name, values in record["twice"]["numbers"].items()
        if name.startswith("overlap: WGAN-GP minus ")
    }
    assert abs(leads["saturating"][0]) < 0.002 and abs(leads["non-saturating + R1"][0]) < 0.002
    for name in ("non-saturating", "KL"):
        later, *before = leads[name]
        assert later > min(before) > 0


def test_chapter_12_says_how_the_ways_to_train_on_the_ring_end():
    """All modes; ahead of the three losses and not separated from the control, which leads at every rate but one."""
    record = records.load("12.8")
    summary, ways = record["summary"], dict(record["config"]["learning_rates"])
    assert all(record["numbers"][f"{way}: modes"] == [8.0] * 5 for way in ways)
    control, plain = "non-saturating + R1", "non-saturating"
    for other in ("saturating", plain, "KL"):
        assert summary[f"overlap: WGAN-GP minus {other}"]["low"] > 0
    level = summary[f"overlap: WGAN-GP minus {control}"]
    assert level["low"] < 0 < level["high"] and summary[f"overlap: {control} minus {plain}"]["low"] > 0
    tried = records.load("12.7")
    lead = {
        rate: tried["numbers"][f"{control}, rate {rate}"][0] - tried["numbers"][f"{plain}, rate {rate}"][0]
        for rate in tried["config"]["learning_rates"]
    }
    assert [rate for rate, by in lead.items() if by <= 0] == [0.002]
    assert len(tried["seeds"]) == 1 and record["twice"]["seeds"] == [0]
    shares = {way: record["numbers"][f"{way}: high-quality share"] for way in (plain, control, "WGAN-GP")}
    behind, beside = (
        records.summarize([a - b for a, b in zip(shares[way], shares[plain], strict=True)])
        for way in (control, "WGAN-GP")
    )
    assert behind["high"] < 0 and max(a - b for a, b in zip(shares[control], shares[plain], strict=True)) < 0
    assert beside["low"] < 0 < beside["high"]
    assert "above the control in every seed" in source(12, "compare-read")


def test_chapter_12_says_that_training_does_not_bring_the_slope_of_deep_critics_back():
    """Near the start, and not on it: by a factor of 1.2 to 3 where the slope is 1e-15 and less."""
    record = records.load("12.4")
    for numbers in (record["numbers"], record["twice"]["numbers"]):
        for bound in ("c = 0.01", "c = 0.001"):
            moved = [abs(by) for by in numbers[f"{bound}: {wgan_gp_critics.MOVED}"]]
            assert max(moved) < 0.5 and max(numbers[f"{bound}: slope at the data, log10"]) < -15
            assert min(moved) > 0.05, "its critics are not those of the start"


def test_in_a_deep_clipped_critic_the_biases_near_the_score_move_and_the_weights_below_do_not():
    """As the chapter says: a bias has the slope from above alone, a weight multiplies it by what differs in the input."""
    config = wgan_gp_critics.Deep(steps=50, points=2000)
    critic = mlp([2, *[config.width] * config.hidden, 1], init=he, generator=generator(0, "deep critic"))
    wgan_gp.clip(critic, 0.01)
    start = copy.deepcopy(critic)
    rows = wgan_gp_critics.swiss_roll(config.points, 0)
    critic = wgan_gp_critics.train_alone(critic, wgan_gp_critics.clipped(0.01), rows, config, 0, "cpu")
    weights, biases = (
        [
            float((getattr(a, kind) - getattr(b, kind)).detach().abs().mean() / 0.01)
            for a, b in zip(critic[::2], start[::2], strict=True)
        ]
        for kind in ("weight", "bias")
    )
    assert max(biases[6:11]) > 1e-2 > 1e-4 > max(weights[:10]), (weights, biases)


def test_chapter_12_says_what_twice_the_steps_make_of_the_leads():
    """Both still grew; that of 200 pictures doubles in the longer run, that of 1,000 stays."""
    record = records.load("12.5")
    leads = [
        [source["numbers"][f"{size} pictures: lead of training"][0] for source in (record, record["twice"])]
        for size in wgan_gp_critics.SIZES
    ]
    assert all(
        min(record["numbers"][f"{size} pictures: {wgan_gp_critics.LEAD_CHANGE}"]) > 0 for size in wgan_gp_critics.SIZES
    )
    every = [record["numbers"][f"{size} pictures: lead of training"] for size in wgan_gp_critics.SIZES]
    assert min(every[0]) > max(every[1]) and min(every[1]) > 0
    (few, few_later), (many, many_later) = leads
    assert 1.8 < few_later / few < 2.4 and 0.9 < many_later / many < 1.1


def test_slopes_of_deep_critics_below_single_precision():
    """Twelve layers that each divide the slope by a thousand: 1e-36 at the data, whose square single precision takes for 0."""
    critic = mlp([2, *[1] * 11, 1])
    with torch.no_grad():
        for layer in critic[::2]:
            layer.weight.fill_(1e-3)
            layer.bias.fill_(1.0)  # every unit is on
    slopes = wgan_gp_critics.layer_slopes(critic, torch.ones(5, 2))
    truth = [1e-3**k for k in range(12, 0, -1)]
    truth[0] *= math.sqrt(2)  # two inputs
    assert slopes.tolist() == pytest.approx(truth, rel=1e-6)
    assert critic[0].weight.dtype == torch.float32, "the critic itself stays as it is"


def test_digits_are_split_anew_for_each_seed():
    one, same, other = (wgan_gp_critics.digit_rows(seed) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one[:1000], other[:1000])
    assert torch.allclose(one.double().sum(0), other.double().sum(0)) and len(one) == 1797, "the same in another order"


@pytest.mark.parametrize(
    "leads, words",
    [((0.1, 0.2, 0.1), "larger"), ((-0.1, -0.2, -0.1), "smaller"), ((-0.1, 0.2, 0.1), "not of one sign")],
)
def test_the_verdict_on_memory_says_what_the_numbers_say(leads, words):
    summary = {}
    for size in wgan_gp_critics.SIZES:
        summary[f"{size} pictures: lead of training"] = summarize(list(leads))
        summary[f"{size} pictures: {wgan_gp_critics.LEAD_CHANGE}"] = summarize([0.0, 0.01, -0.01])
    said = wgan_gp_critics.verdict_memory(summary)
    assert said.count(words) == 2 and said.count("settled") == 2


def test_the_verdict_on_depth_does_not_round_a_share_up_to_all():
    summary = {}
    for name in wgan_gp_critics.DEEP:
        for what, at in (("slope at the data, log10", -9.0), (wgan_gp_critics.MOVED, 0.1)):
            summary[wgan_gp_critics.arms.name(name, what)] = summarize([at, at, at])
        if name != "penalty":
            summary[wgan_gp_critics.arms.name(name, "share of weights at the bound")] = summarize(
                [0.9954, 0.9951, 0.9952]
            )
    said = wgan_gp_critics.verdict_deep(summary)
    assert said.count("99.5 % of the weights at the bound") == len(wgan_gp_critics.DEEP) - 1, said
