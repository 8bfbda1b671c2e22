"""The toy GAN: a training step of `gentools` against a plainly written textbook loop.

    python benchmarks/gan.py [--rounds 9] [--quick]      or      make bench

What is compared. Both sides train the same networks (2-w-w-2 and 2-w-w-1, ReLU) on the 25-Gaussian grid with the
non-saturating loss and Adam. Ours is `gentools.lab.training.train` with `gan.step`, checks and history included, on a
stream of 100,000 stored points. The peer is the loop that most tutorials print: sigmoid at the end of D, binary
cross-entropy, default Adam, separate passes for real and fake, a fresh run of the generator in each player's turn (on
the same noise, so that both sides compute the same function), every gradient computed and D's thrown away in the
generator's turn, both losses kept. It takes its points in three ways: from a shuffling DataLoader over the same stored
points ("DataLoader"), drawn anew for every batch with torch ("torch"), or point by point with numpy ("numpy"). All three
are common in published examples; the second is the leanest and measures little but the step. Before any time is printed both steps run from the same weights on
the same batches, and their losses must agree to 1e-4; otherwise the script stops with status 1.

How. One process, one thread on both sides, all sides in turn, the order reversed every round. Process CPU time; the
figure is the median of the per-round ratios, with their range. A float32 1024 x 1024 matrix product in the same
rotation is the yardstick for `share`: the fraction of its speed that the needed products of one step reach at our time.
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

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gentools import gan
from gentools.lab import data
from gentools.lab.optim import adam
from gentools.lab.stream import Stream
from gentools.lab.timing import rotate
from gentools.lab.training import train

MINUTES = 3  # roughly, on two quiet cores
RATE, BETAS, GOAL = 1e-3, (0.5, 0.999), 1.5
torch.set_num_threads(1)


class Textbook:
    """The peer: networks and optimizers, and one step on a batch."""

    def __init__(self, nets):
        nets = copy.deepcopy(nets)
        self.generator, self.discriminator = nets["generator"], nn.Sequential(*nets["discriminator"], nn.Sigmoid())
        self.opt_g = torch.optim.Adam(self.generator.parameters(), lr=RATE, betas=BETAS)
        self.opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=RATE, betas=BETAS)
        self.criterion = nn.BCELoss()

    def step(self, x, z):
        ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        self.opt_d.zero_grad()
        real_loss = self.criterion(self.discriminator(x), ones)
        real_loss.backward()
        fake_loss = self.criterion(self.discriminator(self.generator(z).detach()), zeros)
        fake_loss.backward()
        self.opt_d.step()
        self.opt_g.zero_grad()
        g_loss = self.criterion(self.discriminator(self.generator(z)), ones)
        g_loss.backward()
        self.opt_g.step()
        return real_loss.item() + fake_loss.item(), g_loss.item()


def torch_data(batch):
    """A batch of the grid, drawn with torch."""
    centers = data.grid_centers()
    return centers[torch.randint(25, (batch,))] + data.GRID_STD * torch.randn(batch, 2)


def numpy_data(batch):
    """A batch of the grid, drawn point by point with numpy."""
    points = []
    for _ in range(batch):
        center = np.array([2 * np.random.randint(5) - 4, 2 * np.random.randint(5) - 4])
        points.append(center + data.GRID_STD * np.random.randn(2))
    return torch.from_numpy(np.array(points, dtype="float32"))


def loaded(points, batch):
    """Batches from a DataLoader, epoch after epoch."""
    loader = DataLoader(TensorDataset(points), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for (x,) in loader:
            yield x


def peer(loop, draw, batch, steps):
    return [loop.step(draw(), torch.randn(batch, 2)) for _ in range(steps)]


def optimizers(nets):
    return {name: adam(net.parameters(), RATE, BETAS) for name, net in nets.items()}


def parity(nets, stream, steps=20):
    """Largest relative difference of the losses over some steps; ends the benchmark if it exceeds 1e-4."""
    loop, mine = Textbook(nets), copy.deepcopy(nets)
    opts, worst = optimizers(mine), 0.0
    for t in range(steps):
        x, z = stream.batch(0, t), stream.noise(0, t)
        theirs = loop.step(x, z)
        found = gan.step(mine, opts, x, z)
        pairs = zip(theirs, (float(found["discriminator"]), float(found["generator"])), strict=True)
        worst = max(worst, *(abs(a - b) / abs(b) for a, b in pairs))
    if not worst <= 1e-4:
        print(f"no parity: the losses differ by {worst:.1e} (relative); nothing was timed")
        sys.exit(1)
    return worst


def flops(batch, w):
    """Floating point operations of the matrix products that one step needs, two per multiplication and addition.

    A forward pass costs the products of all layers; the gradients of the weights cost as much, and those of the inputs
    as much again, less the first layer's where nothing lies below. D takes 2 batches in its own turn, and one batch in
    the generator's, where only the gradients of its inputs are needed.
    """
    first, g, d = 2 * w, 2 * w + w * w + 2 * w, 2 * w + w * w + w
    return 2 * batch * ((3 * g - first) + 2 * (3 * d - first) + 2 * d)


def row(batch, width, rounds, steps):
    """One row of the table. Every side keeps its networks and goes on training from round to round."""
    nets = gan.toy_networks(0, width)
    stream = Stream(data.grid(100_000, 0)[0], batch, 2)
    difference = parity(nets, stream)
    loops, mine = [Textbook(nets) for _ in range(3)], copy.deepcopy(nets)
    opts, square, batches = optimizers(mine), torch.randn(1024, 1024), loaded(stream.data[0], batch)
    calls = {
        "DataLoader": lambda: peer(loops[0], lambda: next(batches), batch, steps),
        "torch": lambda: peer(loops[1], lambda: torch_data(batch), batch, steps),
        "numpy": lambda: peer(loops[2], lambda: numpy_data(batch), batch, steps),
        "ours": lambda: train(gan.step, mine, opts, stream, steps, 0),
        "mm": lambda: [square.mm(square) for _ in range(10)],
    }
    rotate(calls, 1)  # warm up
    times = rotate(calls, rounds)
    peak = 10 * 2 * 1024**3 / statistics.median(times["mm"])
    step_time = {name: statistics.median(t) / steps for name, t in times.items()}
    text = f"batch {batch:<4d} width {width:<4d} {difference:7.0e} {step_time['ours'] * 1e3:7.2f}"
    for name in ("DataLoader", "torch", "numpy"):
        ratios = [a / b for a, b in zip(times[name], times["ours"], strict=True)]
        text += f"{step_time[name] * 1e3:9.2f} {statistics.median(ratios):5.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    print(
        f"{text} {GOAL:5.1f}x {flops(batch, width) / step_time['ours'] / peak:7.2f} of {peak / 1e9:.0f} GFLOP/s",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="few steps and 3 rounds: does it run, not how fast")
    args, _ = parser.parse_known_args()
    rounds, steps = (3, 5) if args.quick else (args.rounds, 200)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds of {steps} steps, load {os.getloadavg()[0]:.1f}")
    print("milliseconds of CPU time per step; ratio: median (range) of textbook / ours")
    print(
        f"{'':21s}  parity    ours   DataLoader                torch                     numpy                goal  share of GEMM"
    )
    for batch, width in ((64, 64), (128, 128), (256, 128), (512, 128)):
        row(batch, width, rounds, steps)


if __name__ == "__main__":
    main()
