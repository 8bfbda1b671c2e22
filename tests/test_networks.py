"""The multilayer perceptron: shapes, reproducible starts, clear refusals."""

import functools

import pytest
import torch
from torch import nn

from gentools.lab.networks import fan_in, he, mlp
from gentools.lab.randomness import generator


def test_shapes_and_layers():
    net = mlp([6, 5, 4, 3], functools.partial(nn.LeakyReLU, 0.2))
    assert [type(layer).__name__ for layer in net] == ["Linear", "LeakyReLU", "Linear", "LeakyReLU", "Linear"]
    assert net(torch.zeros(2, 7, 6)).shape == (2, 7, 3)
    assert mlp([6, 3])(torch.zeros(6)).shape == (3,)


def test_the_generator_fixes_the_weights_and_nothing_else_does():
    def weights(seed):
        return torch.cat([p.flatten() for p in mlp([9, 8, 7], generator=generator(seed, "net")).parameters()])

    before = torch.get_rng_state()
    first = weights(0)
    torch.rand(3)
    assert torch.equal(first, weights(0)) and not torch.equal(first, weights(1))
    torch.set_rng_state(before)
    weights(2)
    assert torch.equal(before, torch.get_rng_state())


def test_starts_have_the_documented_size():
    uniform, normal = (mlp([400, 900], init=init, generator=generator(0)) for init in (fan_in, he))
    assert uniform[0].weight.abs().max() <= 1 / 20 and uniform[0].bias.abs().max() <= 1 / 20
    assert uniform[0].weight.std().item() == pytest.approx((1 / 1200) ** 0.5, rel=0.01)
    assert normal[0].weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.01)
    assert normal[0].bias.abs().max() == 0


def test_fan_in_is_the_start_of_torch():
    torch.manual_seed(0)
    theirs = torch.cat([nn.Linear(50, 400).weight.flatten() for _ in range(5)])
    ours = torch.cat([mlp([50, 400], generator=generator(i))[0].weight.flatten() for i in range(5)])
    quantiles = torch.linspace(0, 1, 21)
    assert torch.allclose(theirs.quantile(quantiles), ours.quantile(quantiles), atol=2e-3)


def test_he_keeps_the_size_of_activations():
    x = torch.randn(200, 300, generator=generator(0, "x"))
    net = mlp([300] * 12, init=he, generator=generator(0, "net"))[:-1]  # up to the last ReLU
    assert 0.5 < net(x).square().mean() < 2


@pytest.mark.parametrize("sizes", [[], [3], [784, 400, 0], [784, -1], [784, 2.5], [0, 3]])
def test_refuses_sizes(sizes):
    with pytest.raises(ValueError, match="positive integers"):
        mlp(sizes)


def test_an_activation_is_no_layer_yet():
    with pytest.raises(TypeError, match=r"the class nn.ReLU does, not ReLU\(\)"):
        mlp([2, 3, 1], torch.nn.ReLU())


def test_refuses_images_that_are_not_flattened():
    with pytest.raises(ValueError, match=r"784 numbers.*\(2, 1, 28, 28\).*flatten"):
        mlp([784, 10])(torch.zeros(2, 1, 28, 28))


def test_fan_in_spreads_weights_and_biases_over_both_signs():
    layer = mlp([400, 4000], generator=generator(0))[0]
    for values in (layer.weight, layer.bias):
        assert values.min() < -0.99 / 20 and values.max() > 0.99 / 20
        assert float(values.mean().detach()) == pytest.approx(0, abs=2e-3)
        assert float(values.std().detach()) == pytest.approx(1 / 20 / 3**0.5, rel=0.03)
