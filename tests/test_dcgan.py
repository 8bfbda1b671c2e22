"""Chapter 06 against torch's own layers, dense matrices, scipy and plain loops."""

import dataclasses
import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from chapters import source
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize
from scipy.spatial import geometric_slerp
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.nn.functional import conv1d, conv2d, conv_transpose1d, conv_transpose2d, pad

import gentools
from gentools import dcgan, evaluation, gan, recipes
from gentools.lab import records, worlds
from gentools.lab.divergences import kl
from gentools.lab.networks import classifier
from gentools.lab.optim import Average, adam
from gentools.lab.randomness import generator
from gentools.lab.records import summarize
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import dcgan as experiments
from gentools.recipes import dcgan_few, dcgan_latent
from gentools.recipes.shared import dcgans, fitting

SIZES = (8, 16, 28, 32, 64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "test"), dtype=torch.float64)


# Sizes and shapes


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 3), st.integers(1, 9))
def test_sizes_are_torchs(kernel, stride, padding, n):
    padding = min(padding, kernel - 1)
    x = torch.zeros(1, 1, n, n)
    if n + 2 * padding >= kernel:
        out = nn.Conv2d(1, 1, kernel, stride, padding)(x)
        assert out.shape[-1] == dcgan.conv_size(n, kernel, stride, padding)
    else:
        with pytest.raises(ValueError, match="must fit"):
            dcgan.conv_size(n, kernel, stride, padding)
    if 2 * padding < (n - 1) * stride + kernel:
        out = nn.ConvTranspose2d(1, 1, kernel, stride, padding)(x)
        assert out.shape[-1] == dcgan.transposed_size(n, kernel, stride, padding)
    else:
        with pytest.raises(ValueError, match="leaves nothing"):
            dcgan.transposed_size(n, kernel, stride, padding)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_layers_by_index(stride, padding):
    """The two sums with which chapter 6 says what a convolution and its transpose are; torch does not turn the kernel."""
    x, taps = normal(8), normal(5, seed=1)
    some, painted = torch.zeros(2, 40).double()  # with room for what the padding cuts off: place 0 is at index 4
    for o in range(8):
        some[o] = sum(taps[t] * x[stride * o + t - padding] for t in range(5) if 0 <= stride * o + t - padding < 8)
    for i, t in itertools.product(range(8), range(5)):
        painted[4 + stride * i + t - padding] += taps[t] * x[i]
    found = conv1d(x[None, None], taps[None, None], stride=stride, padding=padding)[0, 0]
    assert torch.allclose(some[: len(found)], found)
    found = conv_transpose1d(x[None, None], taps[None, None], stride=stride, padding=padding)[0, 0]
    assert torch.allclose(painted[4 : 4 + len(found)], found)


def test_equation_6_1_is_tried_on_layers_without_padding_and_on_the_smallest_kernels():
    names = {}
    exec("verify = lambda *args, **kwargs: None\n" + source(6, "imports") + "\n" + source(6, "eq-6-1"), names)
    tried = [names["layers"](seed) for seed in range(100)]
    assert {w.k for w in tried} == set(range(1, 7)) and {w.s for w in tried} == {1, 2, 3}
    for w in tried:
        without = [dcgan.conv_size(w.n, w.k, w.s, 0), dcgan.transposed_size(w.n, w.k, w.s, 0)]
        assert names["torchs"](w)[:, 0].tolist() == without


def test_a_padding_below_0_cuts_before_a_convolution_and_adds_after_a_transposed_one():
    x, kernel = torch.zeros(1, 1, 7, 7), torch.zeros(1, 1, 3, 3)
    assert dcgan.conv_size(7, 3, 1, -1) == conv2d(pad(x, (-1,) * 4), kernel).shape[-1]
    assert dcgan.transposed_size(7, 3, 1, -1) == pad(conv_transpose2d(x, kernel), (1,) * 4).shape[-1]


@pytest.mark.parametrize("size", [dcgan.conv_size, dcgan.transposed_size])
def test_a_padding_is_a_whole_number_of_pixels(size):
    for padding in (0.5, 1.0, math.nan, True, "1", None):
        with pytest.raises(ValueError, match="padding must be a whole number, not"):
            size(7, 3, 1, padding)


def test_sides():
    assert [dcgan.sides(n) for n in (8, 28, 32)] == [[4, 8], [7, 14, 28], [4, 8, 16, 32]]
    assert dcgan.sides(64)[0] == 4 and dcgan.sides(20)[0] == 5 and dcgan.sides(96)[0] == 6
    for size in (0, 4, 7, 9, 30, 36, -8, 28.0, "28", None):
        with pytest.raises(ValueError, match="side of 4, 5, 6 or 7"):
            dcgan.sides(size)
    with pytest.raises(ValueError, match=r"not 100$"):  # the size that was asked for, not the 25 that it halves to
        dcgan.sides(100)


def test_moments_that_a_run_does_not_have_are_refused_before_it_runs():
    config = experiments.Samples(experiments.Training(moments=2))
    with pytest.raises(ValueError, match=r"shown=\(1, 3, 5, 10\) asks for later ones than the 2 moments"):
        experiments.run_samples(config, 0, "cpu")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_players_fit_together(size, channels):
    nets = dcgan.networks(0, size, channels, latent=5, width=4)
    x = nets["generator"](torch.randn(3, 5))
    assert x.shape == (3, channels, size, size) and x.abs().max() <= 1
    assert nets["discriminator"](x).shape == (3,)
    mirrored = [shape for _, shape in dcgan.shapes(nets["discriminator"], x) if len(shape) == 3]
    made = [shape for _, shape in dcgan.shapes(nets["generator"], torch.zeros(1, 5)) if len(shape) == 3]
    assert made == mirrored[::-1]


def test_the_shapes_of_the_paper():
    with torch.device("meta"):
        net = dcgan.Generator(64, 3, 100, 128)
    made = [shape for _, shape in dcgan.shapes(net, torch.zeros(1, 100, device="meta")) if len(shape) == 3]
    assert made == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert net.training and not any(layer._forward_hooks for layer in net.modules())
    leaks = [layer for layer in dcgan.discriminator(0, 16, 1, 4).modules() if isinstance(layer, nn.LeakyReLU)]
    assert [layer.negative_slope for layer in leaks] == [0.2, 0.2]


def test_the_first_layer_is_a_transposed_convolution_of_a_single_pixel():
    net = dcgan.generator(0, 28, latent=5, width=3)
    z, weight = torch.randn(4, 5), net.project.weight
    kernel = weight.T.reshape(5, 6, 7, 7)
    assert torch.allclose(conv_transpose2d(z[:, :, None, None], kernel).flatten(1), net.project(z), atol=1e-6)


def test_the_start_is_fixed_by_the_seed_and_has_the_documented_size():
    before = torch.get_rng_state()
    nets, again, other = (dcgan.networks(seed, 32, 1, 100, 32) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    state, same, differs = (n.state_dict() for n in (nets, again, other))
    assert all(torch.equal(state[k], same[k]) for k in state) and all(v.isfinite().all() for v in state.values())
    assert not torch.equal(state["generator.project.weight"], differs["generator.project.weight"])
    for name, value in nets.named_parameters():
        if value.ndim > 1 and value.numel() > 5000:
            assert float(value.detach().std()) == pytest.approx(0.02, rel=0.05), name
        if "bias" in name:
            assert not value.any()
    norm = nets["generator"].layers[1]
    assert float(norm.weight.detach().mean()) == pytest.approx(1, abs=0.01)
    assert float(norm.weight.detach().std()) == pytest.approx(0.02, rel=0.25)  # of 128 factors
    assert norm.running_var.eq(1).all() and norm.running_mean.eq(0).all() and norm.num_batches_tracked == 0


@pytest.mark.parametrize("name", ["channels", "latent", "width"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_impossible_networks_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        dcgan.networks(0, **{name: value})


def test_misshapen_input_is_refused_in_words():
    nets = dcgan.networks(0, 8, 1, 5, 4)
    with pytest.raises(ValueError, match=r"z must have shape \(n, 5\), not \(2, 6\)"):
        nets["generator"](torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"must have shape \(n, 5\), not \(2, 5, 1, 1\)"):
        nets["generator"](torch.zeros(2, 5, 1, 1))
    with pytest.raises(ValueError, match=r"images must have shape \(n, 1, 8, 8\), not \(2, 1, 28, 28\)"):
        nets["discriminator"](torch.zeros(2, 1, 28, 28))
    with pytest.raises(ValueError, match=r"floats in \[-1, 1\], not torch.uint8"):
        nets["discriminator"](torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_signed():
    gray = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.allclose(dcgan.signed(gray), torch.tensor([-1.0, -0.6, 1.0]))
    assert torch.allclose(dcgan.signed(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="x holds no rows"):
        dcgan.signed(torch.zeros(0, 1, 8, 8))


def test_fold_of_another_kernel_says_what_it_takes():
    with pytest.raises(ValueError, match=r"\(out, in, 3, 3\), not \(1, 1, 5, 5\)"):
        dcgan.fold(torch.ones(1, 1, 5, 5))


# The step


def plain_step(nets, opts, x, z):
    """As in textbooks: probabilities, a pass per kind of image, gradients of D thrown away in the generator's turn."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z)
    opts["discriminator"].zero_grad()
    d_loss = (
        -torch.sigmoid(discriminator(x)).log().mean() - (1 - torch.sigmoid(discriminator(fake.detach()))).log().mean()
    )
    d_loss.backward()
    opts["discriminator"].step()
    opts["generator"].zero_grad()
    g_loss = -torch.sigmoid(discriminator(fake)).log().mean()
    g_loss.backward()
    opts["generator"].step()
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def batch(t, n=6):
    return normal(n, 1, 16, 16, seed=t).tanh(), normal(n, 5, seed=100 + t)


def test_step_is_the_textbook_step():
    sides = []
    for _ in range(2):
        nets = dcgan.networks(0, 16, 1, 5, 4).double()
        sides.append((nets, {k: torch.optim.SGD(nets[k].parameters(), lr=0.1) for k in nets}))
    for t in range(4):
        got, want = dcgan.step(*sides[0], *batch(t)), plain_step(*sides[1], *batch(t))
        assert all(torch.isclose(got[k], want[k], atol=1e-12) for k in want)
    for a, b in zip(sides[0][0].state_dict().values(), sides[1][0].state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    assert all(p.requires_grad for p in sides[0][0].parameters())


def test_step_is_short():
    assert len(inspect.getsource(dcgan.step).split('"""')[2].strip().splitlines()) <= 20


def test_one_batch_is_another_function():
    nets = dcgan.networks(0, 16, 1, 5, 4).double()
    x, z = batch(0)
    fake = nets["generator"](z).detach()
    apart = torch.cat([nets["discriminator"](x), nets["discriminator"](fake)])
    assert not torch.allclose(nets["discriminator"](torch.cat([x, fake])), apart, rtol=1e-2)


def test_samples_do_not_depend_on_their_company():
    net = dcgan.generator(0, 16, 1, 5, 4)
    net(torch.randn(50, 5))
    z = torch.randn(7, 5)
    x = dcgan.sample(net, z, batch=3)
    assert torch.allclose(dcgan.sample(net, z[2:3]), x[2:3], atol=1e-6)
    assert net.training and not x.requires_grad
    net.eval()
    dcgan.sample(net, z)
    assert not net.training


def test_measured_statistics_are_those_of_the_batch():
    net, z = dcgan.generator(0, 16, 1, 5, 4).double(), normal(400, 5)
    weights = [p.clone() for p in net.parameters()]
    want = net(z).detach()
    dcgan.measure_statistics(net, z)
    assert torch.allclose(dcgan.sample(net, z), want, atol=1e-2) and net.training
    assert all(layer.momentum == 0.1 for layer in net.modules() if isinstance(layer, nn.BatchNorm2d))
    assert all(torch.equal(a, b) for a, b in zip(weights, net.parameters(), strict=True))


def test_statistics_that_fail_leave_modes_and_momentum():
    net = dcgan.generator(0, 16, 1, 5, 4).eval()
    for bad in (torch.zeros(4, 6), torch.zeros(4, 5).double()):
        with pytest.raises((ValueError, RuntimeError)):
            dcgan.measure_statistics(net, bad)
        assert not any(layer.training for layer in net.modules())
        assert all(layer.momentum == 0.1 for layer in net.modules() if isinstance(layer, nn.BatchNorm2d))


def test_training_resumes_bit_for_bit_with_averaged_weights(tmp_path):
    images = (torch.rand(40, 1, 8, 8, generator=generator(0)) * 255).to(torch.uint8)

    def run(steps, folder=None):
        nets = dcgan.networks(3, 8, 1, 4, 4)
        opts = {k: adam(net.parameters(), 1e-3, (0.5, 0.999)) for k, net in nets.items()}
        average = Average(nets, 0.9)
        stream = Stream(images, 8, 4, prepare=dcgan.signed)
        history = train(dcgan.step, nets, opts, stream, steps, 3, ema=average, folder=folder,
                        log_every=5, watch=lambda done: {"pictures": dcgan.sample(nets["generator"], torch.ones(2, 4))})  # fmt: skip
        return [*nets.state_dict().values(), *average.nets.state_dict().values(), history.watched[0]["pictures"]]

    whole = run(10)
    run(5, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(whole, run(10, tmp_path), strict=True))


# Upsample and convolve


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_folded_upsampling_is_the_same_function(n, m, height, width, bias, seed):
    plain = dcgan.UpsampleConv(n, m, bias).double()
    folded = dcgan.FoldedUpsampleConv(n, m, bias).double()
    folded.load_state_dict(plain.state_dict())
    x = normal(2, n, height, width, seed=seed)
    push = normal(2, m, 2 * height, 2 * width, seed=seed + 1)
    results = []
    for layer in (plain, folded):
        at = x.clone().requires_grad_()
        out = layer(at)
        results.append([out, *torch.autograd.grad((out * push).sum(), [at, *layer.parameters()])])
    assert all(torch.allclose(a, b, rtol=1e-11, atol=1e-11) for a, b in zip(*results, strict=True))


def test_the_fold_by_hand():
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0] = torch.tensor([1.0, 10.0, 100.0])[:, None] * torch.tensor([1.0, 0.0, 0.0])
    columns = torch.tensor([100.0, 110.0, 11.0, 1.0])
    assert torch.equal(dcgan.fold(weight)[0, 0], columns[:, None] * torch.tensor([0.0, 0.0, 1.0, 1.0]))


def stripes(weight, upsample):
    """How much the output for a constant input varies away from the border."""
    x = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    out = conv_transpose2d(x, dcgan.fold(weight) if upsample else weight, stride=2, padding=1)
    return float(out[0, 0, 3:-3, 3:-3].std())


def test_kernel_4_promises_no_checkerboard_and_upsampling_keeps_a_constant_constant():
    """At the start kernel 4 has equal variances; other weights can make stripes. The fold of any weights cannot."""
    for seed in range(5):
        rng = generator(seed, "stripes")
        assert stripes(torch.randn(1, 1, 4, 4, generator=rng, dtype=torch.float64), upsample=False) > 1e-3
        assert stripes(torch.randn(1, 1, 3, 3, generator=rng, dtype=torch.float64), upsample=True) < 1e-12


def test_a_frechet_distance_cannot_see_a_store_of_training_pictures():
    x = torch.randn(3000, 6, generator=generator(0, "memory")).double()
    known, new, real = x.split(1000)
    store = known[torch.randint(1000, (1000,), generator=generator(0, "draws"))]
    model = new + 0.5 * torch.randn(new.shape, generator=generator(0, "noise"))  # new pictures, not quite right
    assert evaluation.frechet(store, real) < evaluation.frechet(model, real)
    assert torch.cdist(store, known).min(1).values.median() < 1e-6 < torch.cdist(new, known).min(1).values.median()


# What a family sees


@pytest.mark.parametrize("seed", range(4))
def test_best_joint_kl_is_a_minimum(seed):
    w = worlds.table(seed)
    part = torch.arange(len(w.p_x)) % 2

    def joint(logits):
        return float(gan.joint_kl(w.p_x, w.q_x, torch.sigmoid(torch.from_numpy(logits))[part]))

    found = optimize.minimize(joint, np.zeros(2), method="BFGS").fun
    best = float(dcgan.best_joint_kl(w.p_x, w.q_x, part))
    assert found == pytest.approx(best, abs=1e-8)
    assert best == pytest.approx(float(kl(w.mix, w.p_x) + dcgan.unseen(w.p_x, w.q_x, part)), abs=1e-12)
    assert float(dcgan.unseen(w.p_x, w.q_x, torch.arange(len(w.p_x)))) == pytest.approx(0, abs=1e-12)


def test_counts_are_written_in_white_where_the_field_is_dark():
    from matplotlib import pyplot as plt

    recipe = recipes.find("6.2")
    fig = recipe.draw([recipe.run(recipe.full, 0, "cpu")], recipe.full)
    for ax in fig.axes:
        field = ax.images[0]
        for text in ax.texts:
            shade = field.cmap(field.norm(float(text.get_text())))[0]  # 0 black, 1 white
            assert abs(shade - (text.get_color() == "white")) > 0.5
    plt.close(fig)


# Averages, walks, arithmetic


@given(st.floats(0.1, 0.95), st.floats(0.05, 3))
def test_average_gain_by_simulation(decay, angle):
    average = 1 + 0j
    for t in range(2000):
        average = decay * average + (1 - decay) * np.exp(1j * angle * t)
    assert abs(average) == pytest.approx(
        float(dcgan.average_gain(decay, torch.tensor(angle, dtype=torch.float64))), abs=1e-9
    )


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.999, 0.9999, 0.99999])
@pytest.mark.parametrize("angle", [0.0, 1e-5, 1e-4, 1e-3, 0.3, math.pi])
def test_average_gain_in_float32_is_that_of_float64(decay, angle):
    """1 - 2 decay cos(angle) + decay^2 itself loses all its digits there: the decays in use are near 1."""
    want = (1 - decay) / abs(1 - decay * np.exp(1j * np.longdouble(angle)))
    assert float(dcgan.average_gain(decay, torch.tensor(angle))) == pytest.approx(float(want), rel=1e-3)
    assert float(dcgan.average_gain(decay, angle)) == pytest.approx(float(want), rel=1e-3)  # a Python number
    assert float(dcgan.average_gain(decay, torch.tensor(angle).double())) == pytest.approx(float(want), rel=1e-6)


def test_great_circle_between_unequal_lengths_starts_and_ends_there():
    a, b = normal(2, 5, 7)
    path = dcgan.great_circle(a, 3 * b, torch.linspace(0, 1, 9).double()[:, None, None])
    assert torch.allclose(path[0], a) and torch.allclose(path[-1], 3 * b)
    for row in range(5):  # in the plane of both
        assert torch.linalg.matrix_rank(torch.stack([a[row], b[row], *path[:, row]]), rtol=1e-9) == 2


@pytest.mark.parametrize("angle", [1e-3, 0.1, 3.0, math.pi - 1e-3])
def test_great_circle_turns_by_its_share_of_a_small_and_of_a_large_angle(angle):
    a, b = (torch.tensor([math.cos(s), math.sin(s)], dtype=torch.float64) for s in (0, angle))
    turned = [math.cos(0.3 * angle), math.sin(0.3 * angle)]
    assert dcgan.great_circle(a, b, 0.3).tolist() == pytest.approx(turned, abs=1e-9)


@settings(deadline=None)
@given(st.integers(2, 6), st.floats(0, 1), st.integers(0, 1000))
def test_great_circle_is_scipys(k, t, seed):
    a, b = normal(2, k, seed=seed)
    a, b = a / a.norm(), b / b.norm()
    if abs(float(a @ b)) > 0.999:
        return
    want = torch.from_numpy(geometric_slerp(a.numpy(), b.numpy(), np.array([t])))[0]
    assert torch.allclose(dcgan.great_circle(a, b, t), want, atol=1e-9)
    assert torch.allclose(dcgan.great_circle(3 * a, 3 * b, t), 3 * want, atol=1e-9)


def test_short_z_give_pictures_that_vary_less_and_long_ones_more():
    """What the text says of figure 6.6, with its generator: halfway along lines, along circles, and for z of length
    sqrt(2 k), which occur no more often than those of the line."""
    net = gentools.trained("6.4")
    a, b = normal(2, 500, 64).float()
    sets = {
        "ends": a,
        "line": dcgan.linear_walk(a, b, 0.5),
        "circle": dcgan.great_circle(a, b, 0.5),
        "long": 2**0.5 * a,
    }
    varied = {name: float(dcgan.sample(net, z).flatten(1).var(0).sum()) for name, z in sets.items()}
    assert varied["line"] < 0.9 * varied["ends"] and varied["long"] > 1.1 * varied["ends"]
    assert varied["circle"] == pytest.approx(varied["ends"], rel=0.05)
    assert chi2.sf(2 * 64, 64) < chi2.cdf(64 / 2, 64) < 1e-3


def test_chapter_6_says_what_averaging_brings_and_what_twice_the_steps_still_change():
    record, text = records.load("6.4"), source(6, "ema-3")
    gains = record["numbers"]["averaged, own statistics, minus as they are"]
    interval = record["summary"]["averaged, own statistics, minus as they are"]
    assert sum(gain < 0 for gain in gains) == 4 and interval["low"] < 0 < interval["high"] < 0.3
    assert "four of five seeds" in text and "the interval of the difference just holds 0" in text
    long = record["twice"]["numbers"]
    for name in ("weights as they are", "averaged", "averaged, own statistics"):
        fall = 1 - long[f"{name}: distance"][0] / record["numbers"][f"{name}: distance"][0]
        assert 0 < fall < 0.2, "less than a fifth"
    assert gains[0] > 0 > long["averaged, own statistics, minus as they are"][0] and record["twice"]["seeds"] == [0]
    assert (
        "The one other seed was run for twice the steps" in text and "averaged weights are ahead in it as well" in text
    )


@pytest.mark.parametrize("id", ["6.3", "6.6", "6.7", "6.8"])
def test_a_caption_says_that_training_is_not_counted_where_it_is_not(id):
    a_training = records.load("6.4")["seconds"] / len(records.load("6.4")["seeds"])
    record = records.load(id)
    counted = record["seconds"] / len(record["seeds"]) > a_training / 2
    assert ("is not counted here" in recipes.find(id).caption) != counted


def test_any_z_gives_the_right_class_of_figure_6_8_once_in_ten():
    """For all ten classes can be B, and every picture is of one class."""
    assert set(records.load("6.8")["numbers"]["classes with enough exemplars"]) == {10}
    assert "(any z: one in ten)" in recipes.find("6.8").caption


@pytest.mark.parametrize("side, left_out", [(6, 0), (7, 1)])
def test_backpropagation_through_a_convolution_is_the_transposed_layer(side, left_out):
    """(6.4), where the stride divides n + 2 padding - kernel; otherwise with what the floor in (6.1) left out."""
    x, kernel = normal(1, 2, side, side).requires_grad_(), normal(1, 2, 4, 4, seed=1)
    out = conv2d(x, kernel, stride=2, padding=1)
    push = normal(*out.shape, seed=2)
    (slope,) = torch.autograd.grad((push * out).sum(), x)
    plain = conv_transpose2d(push, kernel, stride=2, padding=1)
    told = conv_transpose2d(push, kernel, stride=2, padding=1, output_padding=left_out)
    assert torch.allclose(told, slope) and (plain.shape == x.shape) == (left_out == 0)


def test_walks_start_and_end_where_they_should():
    a, b = normal(2, 5, 7)
    for walk in (dcgan.linear_walk, dcgan.great_circle):
        assert torch.allclose(walk(a, b, 0.0), a) and torch.allclose(walk(a, b, 1.0), b)
    for other in (a, 2 * a):
        assert torch.allclose(dcgan.great_circle(a, other, 0.3), dcgan.linear_walk(a, other, 0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [2, 64])
@pytest.mark.parametrize("short", [0, 1e-7, 1e-5, 1e-4, 1e-3, 4e-3, 6e-3, 1e-2, 0.1, 1.0])
def test_great_circle_keeps_the_length_or_refuses(dtype, k, short):
    """Between vectors that lack the angle `short` to a half turn."""
    a, aside = normal(2, 50, k)
    a = a / a.norm(dim=-1, keepdim=True)
    aside = aside - (aside * a).sum(-1, keepdim=True) * a
    b = math.sin(short) * aside / aside.norm(dim=-1, keepdim=True) - math.cos(short) * a
    refused = 0
    for one, other in zip(a.to(dtype), b.to(dtype), strict=True):
        try:
            path = dcgan.great_circle(one, other, torch.linspace(0, 1, 11, dtype=dtype)[:, None])
        except ValueError:
            refused += 1
        else:
            assert path.norm(dim=-1).sub(1).abs().max() < 0.012
    assert refused == (50 if short < (5e-3 if dtype == torch.float32 else 1e-6) else 0)


def test_analogy():
    a, b, c = normal(3, 4, 2, 2)
    assert torch.allclose(dcgan.analogy(a, b, c), torch.from_numpy(np.mean(a.numpy() - b.numpy() + c.numpy(), 0)))


# What the comparisons use


def test_classifier():
    net, again = (classifier(28, 3, 7, 4, 5, generator=generator(1)) for _ in range(2))
    x = torch.rand(2, 3, 28, 28)
    assert net(x).shape == (2, 7) and net.features(x).shape == (2, 5)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert net.features[2].weight.abs().max() <= (4 * 16) ** -0.5
    assert classifier(8)(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"must have shape \(n, 3, 28, 28\)"):
        net(x[:, :1])
    with pytest.raises(ValueError, match="size must be"):
        classifier(2)


def test_frechet_is_scipys():
    x, y = normal(300, 6) @ normal(6, 6, seed=1), normal(200, 6, seed=2) @ normal(6, 6, seed=3) + 1
    s, t = np.cov(x.numpy().T), np.cov(y.numpy().T)
    want = ((x.mean(0) - y.mean(0)) ** 2).sum().item() + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert evaluation.frechet(x, y) == pytest.approx(want, rel=1e-9)
    assert evaluation.frechet(y, x) == pytest.approx(want, rel=1e-9)
    assert evaluation.frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_rows_than_features_and_bad_shapes():
    x = normal(3, 10)
    assert evaluation.frechet(x, x + 2) == pytest.approx(40, rel=1e-6)
    assert math.isfinite(evaluation.frechet(x, normal(50, 10)))
    for a, b in ((x, normal(3, 9)), (x[0], x), (x[:1], x)):
        with pytest.raises(ValueError, match="features need shapes"):
            evaluation.frechet(a, b)


def test_exemplars_follow_the_rule():
    rng = generator(0, "exemplars")
    probabilities = torch.softmax(6 * torch.randn(400, 3, generator=rng), 1)
    shade = torch.rand(400, generator=rng)
    found, begins = dcgan_latent.exemplars(probabilities, shade, 0.9)
    for (k, kind), rows in found.items():
        assert (probabilities[rows, k] >= 0.9).all() and (rows.diff() > 0).all()
        sure = shade[probabilities[:, k] >= 0.9]
        rank = torch.stack([(sure < s).double().mean() for s in shade[rows]])
        assert (rank >= 0.7).all() if kind == "bright" else (rank <= 0.25).all()
        assert kind == "dark" or shade[rows].min() >= begins[k] - 1e-6


def test_own_pictures_have_no_labels(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((3, 16, 16, 3), np.uint8))
    images, labels = dcgans.pictures(str(tmp_path / "own.npz"), "train", 16)
    assert images.shape == (3, 3, 16, 16) and labels is None


def test_own_pictures_train_and_give_a_figure(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "own.npz", x=pixels)
    config = dcgans.Training(str(tmp_path / "own.npz"), 16, width=4, latent=5, batch=8, steps=4, moments=2, evaluated=4)
    result = experiments.run_samples(experiments.Samples(config, shown=(1, 2)), 0, "cpu")
    assert result["arrays"]["pictures"].shape == (2, 40, 3, 16, 16)
    experiments.draw_samples([result], experiments.Samples(config, shown=(1, 2)))


SMALL = dcgans.Training("digits", 8, width=4, latent=8, batch=8, steps=4, judge_steps=150, evaluated=60, moments=2)


def test_a_run_is_kept_under_what_is_trained_and_what_is_looked_at(tmp_path, monkeypatch):
    """Short runs leave nothing. A long one is found again by the next figure, with what was seen of it."""
    monkeypatch.setenv("GENTOOLS_CHECKPOINTS", str(tmp_path))
    dcgans.train_dcgan(SMALL, 0, "cpu")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(fitting, "LONG", 1)
    first = dcgans.train_dcgan(SMALL, 0, "cpu")
    kept = len(list(tmp_path.iterdir()))
    again = dcgans.train_dcgan(SMALL, 0, "cpu")
    assert len(list(tmp_path.iterdir())) == kept
    assert [w["settled"] for w in again[2].watched] == [w["settled"] for w in first[2].watched]
    for one, other in ((first[0], again[0]), (first[1].nets, again[1].nets)):  # live and averaged weights
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for changed in ({"evaluated": 50}, {"width": 6}):
        dcgans.train_dcgan(dataclasses.replace(SMALL, **changed), 0, "cpu")
    dcgans.train_dcgan(SMALL, 1, "cpu")
    dcgans.train_dcgan(SMALL, 0, "cpu", gan.step)
    assert len(list(tmp_path.iterdir())) == kept + 4 + 1  # four other runs, and one judge for all of them


def test_comparisons_run_and_speak():
    few = dataclasses.replace(SMALL, steps=8, moments=8)
    tried = {"6.4": experiments.Averages(SMALL), "6.6": dcgan_latent.Walks(SMALL), "6.10": dcgan_few.Few(few)}
    for id, config in tried.items():
        recipe = recipes.find(id)
        results = [recipe.run(config, seed, "cpu") for seed in (0, 1)]
        assert all(math.isfinite(float(v)) for r in results for v in r["numbers"].values())
        summary = {k: summarize([float(r["numbers"][k]) for r in results]) for k in results[0]["numbers"]}
        assert len(recipe.verdict(summary)) > 40
        recipe.draw(results, config)


def test_chapter_6_says_what_fewer_pictures_do():
    """The text above figure 6.10: farther in every seed, and than copies; and what D knows by heart."""
    record, text = records.load("6.10"), source(6, "slips")
    assert record["seeds"] == [0, 1, 2, 3, 4] and record["config"]["sizes"] == [100, 400, 1500]
    numbers, told = record["numbers"], {n: record["summary"][f"{n} pictures: told apart"] for n in (100, 400, 1500)}
    for n in (100, 400):
        assert min(numbers[f"{n} pictures minus 1500 pictures: distance"]) > 0
        assert min(numbers[f"{n} pictures minus 1500 pictures: least distance"]) > 0
    for n in (100, 400, 1500):
        pairs = zip(numbers[f"{n} pictures: distance"], numbers[f"copies of {n} pictures: distance"], strict=True)
        assert all(made > copied for made, copied in pairs)
    assert (
        f"in {told[100]['mean']:.2f} of pairs with 100, in {told[1500]['mean']:.2f} with 1,500".replace("0.", ".")
        in text
    )
    copied = (f"{record['summary'][f'copies of {n} pictures: distance']['mean']:.0f}" for n in (100, 400, 1500))
    assert f"copies of these digits would be nearer with each number ({', '.join(copied)})" in text
    assert min(min(numbers[f"{n} pictures: nearest training picture"]) for n in (100, 400, 1500)) > 1, "no copies"
    assert (
        f"with 100 only {record['summary']['100 pictures: nearest training picture']['mean']:.2f} times as far" in text
    )


@pytest.mark.parametrize("decimals", [0, 3])
def test_told_apart_is_the_area_under_the_roc_curve(decimals):
    rng = np.random.default_rng(0)
    known, new = rng.normal(0.5, 1, 70).round(decimals), rng.normal(0, 1, 40).round(decimals)  # with and without ties
    want = roc_auc_score([1] * 70 + [0] * 40, np.r_[known, new])
    assert float(dcgan_few.told_apart(torch.tensor(known), torch.tensor(new))) == pytest.approx(want, abs=1e-12)


def test_farther_by_scikit_learn():
    fake, new, known = (torch.randn(n, 1, 3, 3, generator=generator(0, n)) for n in (40, 50, 60))
    search = NearestNeighbors(n_neighbors=1).fit(known.flatten(1).numpy())
    a, b = (np.sort(search.kneighbors(x.flatten(1).numpy())[0][:, 0]) for x in (fake, new))
    want = a[19] / b[24]  # torch's median is the lower of the two middle ones
    assert float(dcgan_few.farther(fake, new, known)) == pytest.approx(want, abs=1e-5)
    assert float(dcgan_few.farther(known[:9], new, known)) == 0


def test_few_pictures_are_part_of_more_and_new_for_every_seed(monkeypatch):
    seen = []

    def made_up(config, known, seed, device):
        seen.append(known.flatten(1))
        curves = {what: torch.arange(8.0) + len(known) for what in dcgan_few.CURVES}
        return curves, torch.zeros(2, 1, 8, 8)

    monkeypatch.setattr(dcgan_few, "train_on", made_up)
    config = dcgan_few.Few(dataclasses.replace(SMALL, evaluated=60), (20, 40))
    one, other = (dcgan_few.run_few(config, seed, "cpu")["numbers"] for seed in (0, 1))
    assert [len(x) for x in seen] == [20, 40] * 2
    assert torch.equal(seen[0], seen[1][:20]) and not torch.equal(seen[0], seen[2])
    assert float(one["20 pictures: distance"]) == 6.5 + 20 and float(one["20 pictures: least distance"]) == 20
    assert float(one["20 pictures: distance, change over the last quarter"]) == 2
    assert float(one["20 pictures minus 40 pictures: least distance"]) == -20
    assert float(one["copies of 20 pictures: distance"]) != float(other["copies of 20 pictures: distance"])


def test_verdicts_can_say_either():
    down, none = summarize([-2.0, -2.1, -1.9]), summarize([-1.0, 1.0, 0.1])
    assert "lowers the distance in every seed" in experiments.change(down)
    assert "no resolved difference" in experiments.change(none)
    assert dcgan_latent.against(none) == "are not resolved from"


def test_an_untrained_generator_has_no_exemplars():
    for run in (dcgan_latent.run_picture, dcgan_latent.run_scores):
        with pytest.raises(ValueError, match="train longer"):
            run(dcgan_latent.Analogies(SMALL, candidates=300), 0, "cpu")


def test_only_layers_without_batchnorm_have_a_bias():
    """What BatchNorm subtracts needs no weight; the last layer of G and the first and last of D have one."""
    nets = dcgan.networks(0, size=32, channels=3, latent=5, width=2)
    biased = {name: [k for k, m in net.named_modules() if getattr(m, "bias", None) is not None and not isinstance(m, nn.BatchNorm2d)]
              for name, net in nets.items()}  # fmt: skip
    assert biased == {"generator": ["layers.9"], "discriminator": ["features.0", "head"]}
    assert nets["generator"].project.weight.shape == (8 * 4 * 4, 5)
    slopes = [m.negative_slope for m in nets["discriminator"].modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2, 0.2, 0.2]
    convolutions = [m for m in nets["discriminator"].modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(3, 2), (2, 4), (4, 8)]
    assert all((m.kernel_size, m.stride, m.padding) == ((4, 4), (2, 2), (1, 1)) for m in convolutions)


def test_looking_at_shapes_changes_nothing():
    nets = dcgan.networks(0, size=16, latent=5, width=2)
    before = {name: value.clone() for name, value in nets.state_dict().items()}
    nets["generator"].eval()
    dcgan.shapes(nets["generator"], torch.randn(3, 5))
    dcgan.shapes(nets["discriminator"], torch.randn(3, 1, 16, 16))
    assert all(torch.equal(before[name], value) for name, value in nets.state_dict().items())
    assert not nets["generator"].training and nets["discriminator"].training
