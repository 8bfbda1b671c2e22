"""DCGAN steps of `gentools` against plainly written loops of two well-known implementations.

    python benchmarks/dcgan.py [--rounds 7] [--quick]      or      make bench

What is compared. Both sides train the same functions from the same weights with Adam and the non-saturating loss.

"32x32": the networks of the repository PyTorch-GAN. The generator upsamples and then convolves 3x3 (128, 64, 1 maps), the
discriminator has four 3x3 convolutions of stride 2 with dropout and BatchNorm (whose eps is 0.8 there, a slip that is
kept). Ours computes each upsampling and convolution as one strided transposed convolution (`dcgan.FoldedUpsampleConv`).
"64x64": the networks of pytorch/examples, 64 maps at the widest images, 3 channels; ours are `dcgan.networks`. In ours the
channels of a pixel lie side by side in memory (torch.channels_last), at 32x32 in the discriminator only.

The peer is the loop that these repositories print: sigmoid at the end of D, binary cross-entropy, default Adam, every
gradient computed and D's thrown away in the generator's turn, both losses fetched after every step. Two things are made
equal: the discriminator moves first on both sides, and its loss is the sum over real and fake. The peer's images come
from a tensor in memory, which costs it less than its own loader. Ours is `gentools.lab.training.train` around
`dcgan.step`, with stream, checks and history. Before any time is printed both steps run from the same weights on the same
batches with the same dropout, in float64, and their losses must agree to 1e-6; otherwise the script stops with status 1.

How. One process, one thread on both sides, all sides in turn, the order reversed every round. Process CPU time; the
figure is the median of the per-round ratios, with their range. A 1024 x 1024 matrix product in float32, and one in
bfloat16, run in the same rotation. `share` is the part of that speed which the needed products of a step reach at our time.
"""

# ruff: noqa: E402 (thread counts are read when the libraries are imported)

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TQDM_DISABLE"] = "1"

import argparse
import copy
import statistics
import sys

import torch
from torch import nn

from gentools import dcgan
from gentools.lab.optim import adam, mixed
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.timing import rotate
from gentools.lab.training import train

MINUTES = 6  # roughly, on two quiet cores
RATE, BETAS, BATCH, LATENT = 2e-4, (0.5, 0.999), 64, 100
torch.set_num_threads(1)


# The networks


def upsampling_generator(layer):
    """PyTorch-GAN's generator for 32x32x1, with `layer` for its upsampling and convolution: (n, 100) -> (n, 1, 32, 32)."""
    return nn.Sequential(
        nn.Linear(LATENT, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128),
        layer(128, 128), nn.BatchNorm2d(128, 0.8), nn.LeakyReLU(0.2, True),
        layer(128, 64), nn.BatchNorm2d(64, 0.8), nn.LeakyReLU(0.2, True),
        nn.Conv2d(64, 1, 3, 1, 1), nn.Tanh(),
    )  # fmt: skip


def strided_discriminator():
    """PyTorch-GAN's discriminator for 32x32x1, without its sigmoid: images -> logits (n,)."""
    layers, n = [], 1
    for m in (16, 32, 64, 128):
        layers += [nn.Conv2d(n, m, 3, 2, 1), nn.LeakyReLU(0.2, True), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(m, 0.8)] if n > 1 else []
        n = m
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 2, 1), nn.Flatten(0))


def nets32(layer):
    nets = nn.ModuleDict({"generator": upsampling_generator(layer), "discriminator": strided_discriminator()})
    dcgan.initialize(nets, generator(0, "nets32"))
    return nets


def examples64(nets):
    """pytorch/examples' own way to write `dcgan.networks(size=64, width=64)`, with the same weights."""
    g, d, maps = [], [], (512, 256, 128, 64)
    for n, m, stride, padding in zip((LATENT, *maps), maps, (1, 2, 2, 2), (0, 1, 1, 1), strict=False):
        g += [nn.ConvTranspose2d(n, m, 4, stride, padding, bias=False), nn.BatchNorm2d(m), nn.ReLU(True)]
    g = nn.Sequential(nn.Unflatten(1, (LATENT, 1, 1)), *g, nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh())
    d = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for n in (64, 128, 256):
        d += [nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * n), nn.LeakyReLU(0.2, True)]
    d = nn.Sequential(*d, nn.Conv2d(512, 1, 4, 1, 0), nn.Flatten(0))
    for peer, ours in ((g, nets["generator"]), (d, nets["discriminator"])):
        for p, q in zip(peer.parameters(), ours.parameters(), strict=True):
            first = p.shape[0] == LATENT  # our linear layer holds the transpose
            p.data.copy_((q.T if first else q).reshape(p.shape))
    return nn.ModuleDict({"generator": g, "discriminator": d})


# The peer


class Textbook:
    """Networks and optimizers as the repositories have them, and one step on a batch."""

    def __init__(self, nets):
        self.generator, self.discriminator = nets["generator"], nn.Sequential(nets["discriminator"], nn.Sigmoid())
        self.opt_g = torch.optim.Adam(self.generator.parameters(), lr=RATE, betas=BETAS)
        self.opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=RATE, betas=BETAS)
        self.criterion = nn.BCELoss()

    def step(self, x, z):
        ones, zeros = x.new_ones(len(x)), x.new_zeros(len(x))
        fake = self.generator(z)
        self.opt_d.zero_grad()
        real_loss = self.criterion(self.discriminator(x), ones)
        real_loss.backward()
        fake_loss = self.criterion(self.discriminator(fake.detach()), zeros)
        fake_loss.backward()
        self.opt_d.step()
        self.opt_g.zero_grad()
        g_loss = self.criterion(self.discriminator(fake), ones)
        g_loss.backward()
        self.opt_g.step()
        return real_loss.item() + fake_loss.item(), g_loss.item()


# Needed work


def products(net, x):
    """Multiplications of all layers of a forward pass on one row, and of the first layer alone."""
    found = []

    def note(layer, inputs, out):
        weight = dcgan.fold(layer.weight) if isinstance(layer, dcgan.UpsampleConv) else layer.weight
        transposed = isinstance(layer, (nn.ConvTranspose2d, dcgan.UpsampleConv))
        places = inputs[0][0, 0].numel() if transposed else out[0, 0].numel() if out.ndim == 4 else 1
        found.append(weight.numel() * places)

    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return sum(found), found[0]


def flops(nets, shape):
    """Floating point operations that one step needs, two per multiplication and addition, after the refactoring.

    Gradients of the weights cost as much as the forward pass, and so do those of the inputs, less the first layer's where
    nothing lies below. D takes 2 batches in its own turn, and one in the generator's, with gradients of inputs alone.
    """
    g, g_first = products(nets["generator"], torch.zeros(2, LATENT))
    d, d_first = products(nets["discriminator"], torch.zeros(2, *shape))
    return 2 * BATCH * ((3 * g - g_first) + 2 * (3 * d - d_first) + 2 * d)


# The comparison


def optimizers(nets):
    return {name: adam(net.parameters(), RATE, BETAS) for name, net in nets.items()}


def parity(peer, nets, stream, steps):
    """Largest relative difference of the losses over some steps in float64; ends the benchmark if it exceeds 1e-6."""
    loop, opts, worst = Textbook(peer.double()), optimizers(nets.double()), 0.0
    for t in range(steps):
        x, z = stream.batch(0, t).double(), stream.noise(0, t).double()
        torch.manual_seed(t)  # the same dropout
        theirs = loop.step(x, z)
        torch.manual_seed(t)
        found = dcgan.step(nets, opts, x, z)
        pairs = zip(theirs, (float(found["discriminator"]), float(found["generator"])), strict=True)
        worst = max(worst, *(abs(a - b) / abs(b) for a, b in pairs))
    if not worst <= 1e-6:
        print(f"no parity: the losses differ by {worst:.1e} (relative); nothing was timed")
        sys.exit(1)
    return worst


def row(label, ours, peer, shape, goals, rounds, steps):
    """One row of the table. ours: networks; peer: the same function in the repository's own writing."""
    images = (torch.rand(512, *shape, generator=generator(0, "images")) * 255).to(torch.uint8)
    stream = Stream(images, BATCH, LATENT, prepare=dcgan.signed)
    difference = parity(copy.deepcopy(peer), copy.deepcopy(ours), stream, 3)
    loop, memory = Textbook(peer), dcgan.signed(images)
    sides = {name: copy.deepcopy(ours) for name in ("float32", "bfloat16")}
    opts = {name: optimizers(nets) for name, nets in sides.items()}
    squares = {dtype: torch.randn(1024, 1024).to(getattr(torch, dtype)) for dtype in sides}

    def peers():
        for i in range(steps):
            start = i * BATCH % len(memory)
            loop.step(memory[start : start + BATCH], torch.randn(BATCH, LATENT))

    calls = {"peer": peers}
    for name, nets in sides.items():
        cast = mixed("cpu") if name == "bfloat16" else None
        calls[name] = lambda name=name, nets=nets, cast=cast: train(
            dcgan.step, nets, opts[name], stream, steps, 0, autocast=cast
        )
        calls[f"{name} product"] = lambda name=name: [squares[name] @ squares[name] for _ in range(20)]
    rotate(calls, 1)  # warm up
    times = rotate(calls, rounds)
    needed = flops(copy.deepcopy(ours), shape)
    print(f"{label}: losses agree to {difference:.0e}, {needed / 1e9:.1f} GFLOP needed per step")
    print(f"  peer      {statistics.median(times['peer']) / steps * 1e3:8.1f} ms per step")
    for name, goal in zip(sides, goals, strict=True):
        ratios = [a / b for a, b in zip(times["peer"], times[name], strict=True)]
        peak = 20 * 2 * 1024**3 / statistics.median(times[f"{name} product"])
        step_time = statistics.median(times[name]) / steps
        print(
            f"  {name:9s} {step_time * 1e3:8.1f} ms per step, {statistics.median(ratios):.2f}x "
            f"({min(ratios):.2f}-{max(ratios):.2f}), goal {goal}; share {needed / step_time / peak:.2f} of "
            f"{peak / 1e9:.0f} GFLOP/s",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one step and 2 rounds: does it run, not how fast")
    args, _ = parser.parse_known_args()
    rounds, steps = (2, 1) if args.quick else (args.rounds, 3)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds of {steps} steps, load {os.getloadavg()[0]:.1f}")
    print("CPU time per step of 64 images; ratio: median (range) of peer / ours")
    ours, peer = nets32(dcgan.FoldedUpsampleConv), nets32(dcgan.UpsampleConv)
    ours["discriminator"].to(memory_format=torch.channels_last)
    row("32x32, PyTorch-GAN", ours, peer, (1, 32, 32), ("1.9x", "3.2x"), rounds, steps)
    ours = dcgan.networks(0, 64, 3, LATENT, 64)
    goals = ("share 0.93", "1.9x")
    peer = examples64(ours)
    ours = ours.to(memory_format=torch.channels_last)
    row("64x64, pytorch/examples", ours, peer, (3, 64, 64), goals, rounds, 1 if args.quick else 2)


if __name__ == "__main__":
    main()
