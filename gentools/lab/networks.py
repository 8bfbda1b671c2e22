"""Networks that the chapters share; the losses never live here."""

from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import skip_init


@contextmanager
def frozen(net):
    """`with frozen(discriminator):` a gradient passes through `net` and leaves none in its parameters.

    Afterwards every parameter asks for a gradient exactly if it did before, also when the block ends in an exception.
    """
    before = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.requires_grad_(False)
    try:
        yield net
    finally:
        for parameter, asked in before:
            parameter.requires_grad_(asked)


def fan_in(layer, generator):
    """PyTorch's own start: weights and biases uniform within 1/sqrt(n), n the number of inputs of the layer.

    The variance of the weights is 1/(3n), a sixth of He's: safe, and what most published code used.
    """
    bound = layer.weight[0].numel() ** -0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def he(layer, generator):
    """He et al. (2015): weights N(0, 2/n), biases 0. Under ReLU activations keep their size from layer to layer."""
    nn.init.normal_(layer.weight, 0, (2 / layer.in_features) ** 0.5, generator=generator)
    nn.init.zeros_(layer.bias)


class MLP(nn.Sequential):
    """Linear layers with an activation between them: (..., sizes[0]) -> (..., sizes[-1]). Make one with `mlp`."""

    def forward(self, x):
        """(..., sizes[0]) -> (..., sizes[-1]). ValueError for vectors of another length."""
        if x.shape[-1] != self[0].in_features:
            raise ValueError(
                f"this network takes vectors of {self[0].in_features} numbers and got a tensor of shape "
                f"{tuple(x.shape)}; images are flattened with x.flatten(1)"
            )
        return super().forward(x)


def mlp(sizes, activation=nn.ReLU, *, init=fan_in, generator=None):
    """A multilayer perceptron: mlp([784, 400, 20]) maps 784 numbers to 20 by way of 400 hidden units.

    sizes: widths from input to output, at least two. activation: called once per hidden layer to make a module, for
    example nn.Tanh or functools.partial(nn.LeakyReLU, 0.2); there is none after the last layer, so that it gives
    logits or means. init: `fan_in` or `he`, or a function of (layer, generator).
    generator: a CPU generator that fixes the weights (lab.randomness.generator(seed, "encoder")); by default torch's
    global one. The network is made on the CPU in torch's default dtype, so a seed gives the same weights on every device;
    move it with .to(device). Raises ValueError on a width that is not a positive integer, such as a latent dimension of 0,
    TypeError for an activation that is a layer already.
    """
    sizes = list(sizes)
    if len(sizes) < 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(f"sizes must be at least two positive integers, input first and output last, not {sizes}")
    layers = []
    if isinstance(activation, nn.Module):
        raise TypeError(f"activation makes a layer each time it is called, as the class nn.ReLU does, not {activation}")
    for n, m in pairwise(sizes):
        linear = skip_init(nn.Linear, n, m)  # without the default start, which would draw from the global generator
        init(linear, generator)
        layers += [linear, activation()]
    return MLP(*layers[:-1])


class ConvClassifier(nn.Module):
    """Images (n, channels, size, size) -> logits (n, classes): the judge of pictures. Make one with `classifier`."""

    def __init__(self, size, channels, classes, width=32, features=64):
        super().__init__()
        self.shape = (channels, size, size)
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, features), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        """(n, channels, size, size) -> (n, classes). ValueError for images of another shape."""
        if x.shape[1:] != self.shape:
            raise ValueError(f"images must have shape (n, {', '.join(map(str, self.shape))}), not {tuple(x.shape)}")
        return self.head(self.features(x))


def classifier(size, channels=1, classes=10, width=32, features=64, *, generator=None):
    """A `ConvClassifier` for images of side `size` (at least 4), started by `fan_in`.

    Its `features(x)`, shape (n, features), are what a Frechet distance compares. generator: as in `mlp`.
    """
    if not isinstance(size, int) or size < 4:
        raise ValueError(f"size must be a whole number of pixels, at least 4, not {size!r}")
    with torch.device("meta"):
        net = ConvClassifier(size, channels, classes, width, features)
    net = net.to_empty(device="cpu")
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            fan_in(layer, generator)
    return net
