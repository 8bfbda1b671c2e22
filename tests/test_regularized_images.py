"""Chapter 10 on pictures: steps by hand and in closed form, a critic on data it must not tell apart, small runs."""

import copy
import dataclasses
import functools
import math

import pytest
import torch
from torch import nn

from gentools import dcgan, gan, recipes, regularized_gan
from gentools.lab import records
from gentools.recipes import regularized_images
from gentools.recipes.shared.fitting import adams


def plane(seed=0):
    """Small networks for points in the plane, with an anchor, in double precision and with plain gradient descent."""
    nets = regularized_gan.toy_networks(seed, False, 8).double()
    nets["anchor"] = copy.deepcopy(nets["generator"]).requires_grad_(False)
    return nets, {k: torch.optim.SGD(nets[k].parameters(), lr=0.1) for k in ("generator", "discriminator")}


def batch(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def weights(nets):
    return torch.cat([p.detach().flatten() for p in nets.parameters()])


@pytest.mark.parametrize("scale", ["quick", "cpu"])
@pytest.mark.parametrize("name", {**regularized_images.EIGHT, **regularized_images.SECOND})
def test_every_arm_takes_a_step_at_its_recorded_size(name, scale):
    """At quick size the discriminator has no BatchNorm, so what a step refuses under BatchNorm shows at the other alone."""
    training = recipes.find("10.7").config(scale).training
    arm = {**regularized_images.EIGHT, **regularized_images.SECOND}[name]
    nets = regularized_images.networks(training, 1, 0, arm.normed)
    norms = [m for m in nets["discriminator"].modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(norms) == (arm.normed and scale == "cpu")
    if not arm.normed:
        assert not any(isinstance(m, nn.BatchNorm2d) for m in nets.modules())
    opts = adams({k: nets[k] for k in ("generator", "discriminator")}, 1e-4)
    x = torch.zeros(4 * arm.batches, 1, training.size, training.size)
    losses = arm.step(nets, opts, x, torch.randn(len(x), *arm.z_axis, training.latent))
    assert all(math.isfinite(loss) for loss in losses.values())


def test_r1_shrinks_a_linear_discriminator_by_its_gradient():
    """For logits w.x + b the penalty is gamma/2 |w|^2, so one step of descent subtracts rate * gamma * w more."""
    ends = []
    for step in (dcgan.step, functools.partial(gan.penalized_step, penalty_weight=0.7)):
        nets, _ = plane()
        torch.manual_seed(0)
        nets["discriminator"] = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)).double()
        start = nets["discriminator"][0].weight.detach().clone()
        opts = {k: torch.optim.SGD(nets[k].parameters(), lr=0.1) for k in ("generator", "discriminator")}
        step(nets, opts, batch(8, 2), batch(8, 2) + 1)
        ends.append(nets["discriminator"][0].weight.detach())
    assert torch.allclose(ends[1] - ends[0], -0.1 * 0.7 * start, atol=1e-12)


def test_anchor_is_a_moving_average_that_ties_from_the_second_step_on():
    runs = []
    for weight in (0.0, 5.0):
        nets, opts = plane()
        before = weights(nets["anchor"])
        for _ in range(2):
            regularized_gan.anchored_step(nets, opts, batch(8, 2), batch(8, 2), weight, decay=0.9)
            moved = 0.9 * before + 0.1 * weights(nets["generator"])
            assert torch.allclose(weights(nets["anchor"]), moved, atol=1e-14)
            before = moved
            runs.append(weights(nets["generator"]))
    assert torch.equal(runs[0], runs[2]) and not torch.equal(runs[1], runs[3])
    nets, opts = plane()
    for _ in range(2):
        dcgan.step(nets, opts, batch(8, 2), batch(8, 2))
    assert torch.allclose(weights(nets["generator"]), runs[1], atol=1e-14)


@pytest.mark.parametrize("step", [regularized_gan.recorded_phase, regularized_gan.fresh_phase])
def test_phase_by_hand(step):
    x, z = batch(6, 2), batch(6, 2, 2)
    ours, opts = plane()
    step(ours, opts, x, z, penalty_weight=3.0, batches=2)

    theirs, _ = plane()
    g, d = theirs["generator"], theirs["discriminator"]
    for rows in (slice(0, 3), slice(3, 6)):
        fake = g(z[rows, 0]).detach()
        descend(d, -torch.sigmoid(d(x[rows])).log().mean() - (1 - torch.sigmoid(d(fake))).log().mean())
    answered = z[:, 0 if step is regularized_gan.recorded_phase else 1]
    old = g(answered).detach()
    for rows in (slice(0, 3), slice(3, 6)):
        for _ in range(2):
            fake = g(answered[rows])
            penalty = 3.0 * ((fake - old[rows]) ** 2).sum() / fake.numel()
            descend(g, -torch.sigmoid(d(fake)).log().mean() + penalty)
    for name in ("generator", "discriminator"):
        assert torch.allclose(weights(ours[name]), weights(theirs[name]), atol=1e-12)


def descend(net, loss):
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    with torch.no_grad():
        for p, slope in zip(net.parameters(), slopes, strict=True):
            p -= 0.1 * slope


def test_networks_without_batchnorm_keep_no_bias_in_its_place():
    config = regularized_images.QUICK
    nets = regularized_images.networks(config, 1, 0, normed=False)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in nets.modules())
    plain = regularized_images.networks(config, 1, 0, normed=True)
    assert [k for k, _ in nets["generator"].named_parameters()] == [
        k for k, p in plain["generator"].named_parameters() if p.ndim > 1 or ("layers" in k and _last(plain, k))
    ]
    assert nets["discriminator"](nets["generator"](torch.randn(3, config.latent))).shape == (3,)


def _last(nets, name):
    """Is this bias one of the layer that makes the image?"""
    layers = nets["generator"].layers
    return isinstance(layers[int(name.split(".")[1])], nn.ConvTranspose2d)


def test_critic_cannot_tell_the_data_from_themselves_and_can_tell_noise():
    config = dataclasses.replace(regularized_images.QUICK, critic_steps=150)
    real = dcgan.signed(regularized_images.real_pictures(config)[0])

    def copies(z):
        return real[(z[:, 0].abs() * 1e6).long() % len(real)]

    def noise(z):
        return z[:, :1, None, None].expand(-1, 1, 8, 8).clamp(-1, 1)

    same, other = (regularized_images.critic_bound(config, fakes, 0, "cpu") for fakes in (copies, noise))
    assert same < 0.1 and 0.4 < other <= math.log(2)


def test_own_pictures_are_scored_on_pictures_the_critic_has_not_seen(tmp_path):
    import numpy as np

    path = tmp_path / "own.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), dtype=np.uint8))
    config = dataclasses.replace(regularized_images.QUICK, data=str(path), steps=20, moments=2, batch=4, critic_steps=2)
    seen, held = regularized_images.real_pictures(config)
    assert len(seen) == 32 and len(held) == 8
    result = regularized_images.run_first(regularized_images.Compared(config), 0, "cpu")
    assert "1:2, penalty 5: critic" in result["numbers"] and "1:2: distance" not in result["numbers"]
    assert result["arrays"]["1:2: pictures"].shape == (2, 9, 3, 8, 8)


def test_the_sheets_show_every_spread_of_every_arm():
    from matplotlib import pyplot as plt

    config, arrays = recipes.find("10.8").config("quick"), {}
    for name, top in zip(regularized_images.FIRST, (0.9, 1.4), strict=True):
        arrays[f"{name}: pictures"] = torch.zeros(config.training.moments, 4, 3, 8, 8, dtype=torch.uint8)
        arrays[f"{name}: steps"] = 100 * torch.arange(1, config.training.moments + 1)
        arrays[f"{name}: spread"] = torch.linspace(0.5, top, config.training.moments)
    for names in (list(regularized_images.FIRST), list(regularized_images.FIRST)[::-1]):
        fig = regularized_images.draw_sheets(names, [{"numbers": {}, "arrays": arrays}], config)
        assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 1.4 for ax in fig.axes[2:4])
        plt.close(fig)


def test_a_critic_below_zero_lies_within_the_frame():
    from matplotlib import pyplot as plt

    stored = records.load("10.7")["numbers"]
    seed = min(range(5), key=lambda i: stored["1:1, R1: critic"][i])  # in which R1 lies far below 0
    numbers = {name: values[seed] for name, values in stored.items()}
    curves = ("steps", "seconds", "distance", "critic", "classes")
    arrays = {f"{name}: {what}": torch.tensor([1.0, 2.0]) for name in regularized_images.EIGHT for what in curves}
    fig = regularized_images.draw_eight([{"numbers": numbers, "arrays": arrays}], None)
    (ax,) = (ax for ax in fig.axes if ax.get_title() == "critic at the end")
    lowest = min(line.get_ydata()[0] for line in ax.lines)
    assert ax.get_ylim()[0] < lowest < -0.3
    plt.close(fig)


def test_a_critic_that_says_nothing_is_the_best_of_no_order():
    """Of figure 10.7: one run of R1 under BatchNorm lies at -0.4, which would make its mean the least."""
    record = records.load("10.7")
    numbers, verdict = record["numbers"], recipes.find("10.7").verdict
    assert min(numbers["1:1, R1: critic"]) < -0.4
    means = {name: record["summary"][f"{name}: critic"]["mean"] for name in regularized_images.EIGHT}
    zeroed = {name: sum(max(0, v) for v in numbers[f"{name}: critic"]) / 5 for name in means}
    assert min(means, key=means.get) == "1:1, R1" and min(zeroed, key=zeroed.get) == "no BatchNorm, R1"
    text = "critic finds: no BatchNorm, R1 (without 1:1, R1, where a run lies below 0 and says nothing). "
    assert text in verdict(record["summary"])
    above = {"1:1, R1: critic": records.summarize([0.01, 0.02, 0.01])}
    assert "critic finds: 1:1, R1. " in verdict(record["summary"] | above)


def test_spread_of_copies_is_zero_and_of_noise_the_number_of_pixels():
    one = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert regularized_images.spread(one.expand(50, -1, -1, -1)) == pytest.approx(0.0, abs=1e-8)
    noise = torch.randn(4000, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert regularized_images.spread(noise) == pytest.approx(25, rel=0.03)


def test_scores_are_read_between_moments():
    track = {"seconds": torch.tensor([1.0, 3.0]), "distance": torch.tensor([10.0, 20.0])}
    assert regularized_images.reading(track, "distance", 2.0) == 15.0


def test_every_arm_takes_the_same_number_of_generator_steps():
    config = regularized_images.Training()
    for arm in (regularized_images.EIGHT | regularized_images.SECOND).values():
        assert config.steps % (arm.inner * config.moments) == 0
    for id in ("10.8", "10.9"):
        config = recipes.find(id).full.training
        assert all(config.steps % (arm.inner * config.moments) == 0 for arm in regularized_images.SECOND.values())


@pytest.mark.parametrize("arms_of", [regularized_images.EIGHT, regularized_images.FIRST, regularized_images.SECOND])
def test_legends_name_the_arms(arms_of):
    looks = regularized_images.looks_of(arms_of)
    assert [look.label for look in looks.values()] == list(looks) == list(arms_of)


@pytest.mark.parametrize("id", ["10.7", "10.8", "10.9", "10.10"])
def test_recipes_run_and_draw(id):
    from matplotlib import pyplot as plt

    recipe = recipes.find(id)
    config = recipe.quick
    results = [recipe.run(config, seed, "cpu") for seed in (0, 1)]
    results = [{"numbers": {k: float(v) for k, v in r["numbers"].items()}, "arrays": r["arrays"]} for r in results]
    plt.close(recipe.draw(results, config))
    summary = {k: records.summarize([r["numbers"][k] for r in results]) for k in results[0]["numbers"]}
    assert recipe.verdict(summary).endswith(".")
    one_seed = {k: records.summarize([v]) for k, v in results[0]["numbers"].items()}
    assert "better" not in recipe.verdict(one_seed)
    numbers = results[0]["numbers"]
    one, other = (
        "with, recorded z" if id in ("10.9", "10.10") else "1:2, penalty 5",
        "without, recorded z" if id in ("10.9", "10.10") else "1:2",
    )
    gap = numbers[f"{one}: distance"] - numbers[f"{other}: distance"]
    assert numbers[f"{one} minus {other}: distance"] == pytest.approx(gap)


def test_generator_loss_is_the_non_saturating_one():
    nets, opts = plane()
    d, g = nets["discriminator"], nets["generator"]
    z = batch(8, 2)
    later = copy.deepcopy(nets)
    loss = regularized_gan.anchored_step(later, {k: torch.optim.SGD(later[k].parameters(), lr=0.0) for k in opts}, z, z)
    assert torch.isclose(loss["generator"], gan.non_saturating_loss(d(g(z))))
