"""Batches and noise: permutations, purity, and the refusal of data that is none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, binarize, find_device, unit


def rows(n, d=1):
    return torch.arange(float(n * d)).reshape(n, d)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_epoch_is_a_permutation(data):
    n = data.draw(st.integers(1, 40))
    stream = Stream(rows(n), data.draw(st.integers(1, n)), 2)
    seed = data.draw(st.integers(-5, 2**40))
    used = torch.cat([stream.batch(seed, t)[:, 0] for t in range(3 * n // stream.size + 3)])
    for epoch in range(3):
        assert sorted(used[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 3))
def test_a_batch_depends_on_seed_and_t_alone(order, seed):
    """Whatever was asked before, and in whatever order, step t gets the same rows and the same noise."""
    torch.manual_seed(len(order))
    used = Stream(rows(10), 4, (2, 3))
    for t in order:
        fresh = Stream(rows(10), 4, (2, 3))
        assert torch.equal(used.batch(seed, t), fresh.batch(seed, t))
        assert torch.equal(used.noise(seed, t), fresh.noise(seed, t))


def test_seeds_epochs_and_steps_differ():
    stream = Stream(rows(100), 50, 3)
    assert not torch.equal(stream.batch(0, 0), stream.batch(1, 0))
    assert not torch.equal(stream.order(0, 0), stream.order(0, 1))
    assert not torch.equal(stream.noise(0, 0), stream.noise(0, 1))
    assert not torch.equal(stream.noise(0, 0), stream.noise(1, 0))


def test_the_global_generator_has_no_part():
    stream, state = Stream(rows(10), 5, 3), torch.get_rng_state()
    stream.batch(0, 3), stream.noise(0, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_noise_has_the_asked_shape_type_and_law():
    z = Stream(rows(2000, 2).double(), 2000, (5, 2)).noise(0, 0)
    assert z.shape == (2000, 5, 2) and z.dtype == torch.float64
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    u = Stream(rows(2000), 2000, 4, noise=torch.rand).noise(0, 0)
    assert u.min() >= 0 and u.max() < 1 and u.dtype == torch.float32


def test_labels_stay_with_their_images():
    images = torch.arange(60, dtype=torch.uint8).reshape(60, 1, 1, 1)
    x, y = Stream((images, torch.arange(60)), 60, 2, prepare=lambda x, rng: -unit(x)).batch(0, 0)
    assert torch.allclose(-x.flatten() * 255, y.float())


def test_uint8_becomes_unit_and_floats_stay():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1)
    assert sorted(Stream(images, 3, 1).batch(0, 0).flatten().tolist()) == pytest.approx([0, 0.2, 1])
    assert sorted(Stream(rows(3), 3, 1).batch(0, 0).flatten().tolist()) == [0, 1, 2]


def test_pictures_come_in_the_precision_of_networks():
    """Also those that numpy made in float64; vectors keep theirs."""
    stream = Stream(torch.rand(6, 1, 2, 2, dtype=torch.float64), 3, 2)
    assert stream.batch(0, 0).dtype == stream.noise(0, 0).dtype == torch.float32
    assert Stream(rows(6).double(), 3, 2).batch(0, 0).dtype == torch.float64


def test_binarize_is_exact_at_the_ends_and_right_between():
    gray = torch.tensor([0, 64, 255], dtype=torch.uint8).repeat(20_000, 1)
    x = binarize(gray, generator(0))
    assert x[:, 0].max() == 0 and x[:, 2].min() == 1 and set(x.unique().tolist()) == {0, 1}
    assert x[:, 1].mean().item() == pytest.approx(64 / 255, abs=0.01)
    stream = Stream(gray, 8, 1, prepare=binarize)
    assert not torch.equal(stream.batch(0, 0), stream.batch(0, 1))
    assert torch.equal(stream.batch(0, 5), Stream(gray, 8, 1, prepare=binarize).batch(0, 5))


def test_identity_tells_streams_apart():
    def identity(data=None, batch=2, z_shape=3, **more):
        return Stream(rows(9) if data is None else data, batch, z_shape, **more).identity()

    assert identity() == identity()
    other = rows(9)
    other[4] += 1e-3
    changes = [identity(data=other), identity(batch=3), identity(z_shape=(3, 1)), identity(noise=torch.rand)]
    changes += [identity(data=rows(9).double()), identity(prepare=lambda x, rng: x)]
    assert all(change != identity() for change in changes)


IMAGES = torch.zeros(6, 1, 4, 4)
BAD = {
    "above 1": (dict(data=IMAGES + 2), r"\[0, 1\].*divide by 255"),
    "below 0": (dict(data=IMAGES - 1), r"\[0, 1\]"),
    "flat images above 1": (dict(data=IMAGES.flatten(1) + 2, prepare=binarize), r"\[0, 1\]"),
    "NaN": (dict(data=IMAGES.flatten(1) * float("nan")), "NaN"),
    "infinite": (dict(data=IMAGES.flatten(1) + float("inf")), "infinite"),
    "channels last": (dict(data=torch.zeros(6, 28, 28, 3)), "channels, height, width"),
    "no channels": (dict(data=torch.zeros(6, 28, 28)), "channels, height, width"),
    "one dimension": (dict(data=torch.zeros(6)), "channels, height, width"),
    "integers": (dict(data=torch.zeros(6, 2, dtype=torch.int64)), "uint8 or floating"),
    "an array": (dict(data=IMAGES.numpy()), "must be a tensor"),
    "a number": (dict(data=torch.tensor(1.0)), "must be a tensor"),
    "nothing": (dict(data=()), "must be a tensor"),
    "bits in bytes": (dict(data=torch.eye(6).byte()), "hold 0 and 1 alone, of 0 to 255"),
    "labeled bits in bytes": (
        dict(data=(torch.eye(6).byte(), torch.arange(6)), prepare=binarize),
        "as bits take .float",
    ),
    "no rows": (dict(data=torch.zeros(0, 3)), "empty"),
    "no columns": (dict(data=torch.zeros(3, 0)), "empty"),
    "labels too short": (dict(data=(IMAGES, torch.zeros(5))), "differ in length"),
    "batch 0": (dict(batch=0), "1 to the 6 rows"),
    "batch larger than the data": (dict(batch=7), "1 to the 6 rows"),
    "batch half": (dict(batch=2.5), "1 to the 6 rows"),
    "latent dimension 0": (dict(z_shape=0), "latent dimension of 0"),
    "a zero among them": (dict(z_shape=(2, 0)), "latent dimension of 0"),
    "no latent": (dict(z_shape=()), "latent dimension of 0"),
    "unknown device": (dict(device="gpu"), "device 'gpu' is unknown.*cpu"),
    "no device": (dict(device=None), "device None is unknown"),
    "meta device": (dict(device="meta"), "device 'meta' is unknown"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    change, message = BAD[case]
    arguments = {"data": IMAGES, "batch": 2, "z_shape": 3} | change
    with pytest.raises(ValueError, match=message):
        Stream(**arguments)


def test_find_device():
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("low, high", [(-0.1, 0.5), (0.5, 1.1), (-0.1, 1.1)])
def test_images_are_refused_at_either_end(low, high):
    pictures = torch.tensor([low, 0.3, high, 0.4]).view(1, 1, 2, 2)
    for data, prepare in ((pictures, None), (pictures.flatten(1), binarize)):
        with pytest.raises(ValueError, match="must lie in"):
            Stream(data, 1, 2, prepare=prepare)
        Stream(data.clamp(0, 1), 1, 2, prepare=prepare)


def test_the_identity_is_that_of_the_numbers_however_they_lie():
    x = torch.rand(6, 4)
    lying = x.T.contiguous().T.requires_grad_()
    assert not lying.is_contiguous()
    assert Stream(lying, 2, 3).identity() == Stream(x, 2, 3).identity()
    last = x.clone()
    last[-1, -1] += 0.5
    assert Stream(last, 2, 3).identity() != Stream(x, 2, 3).identity()
