"""WGAN-GP: a training step of `gentools` against a plainly written textbook loop.

    python benchmarks/wgan_gp.py [--rounds 7] [--quick]      or      make bench

What is compared. Both sides train the same networks with several steps of the critic per step of the generator: on points
in the plane (2-128-128, ReLU, batch 256, two critic steps), and on pictures of 784 pixels (generator 100-128-256-512-1024-784
with BatchNorm, critic 784-512-256-1, LeakyReLU, batch 64, five critic steps), the sizes of a widely copied program.
Ours is `gentools.lab.training.train`, checks and history included, with `wgan_gp.step`, whose penalty is differentiated twice
("plain"), and with `wgan_gp.piecewise_step`, the same update with the critic's gradient in closed form ("closed"). The peer
is the loop that most tutorials print: default Adam, separate passes for real and fake, the generator run with its graph in
the critic's turn, double backward, every gradient computed and the critic's thrown away in the generator's turn, losses kept
by `.item()`. It takes its data in up to three ways: the batches and noise of our stream ("stored", the leanest, which measures
little but the step), from a shuffling DataLoader over the same rows ("DataLoader"), or, as that program does, from a DataLoader
whose every item goes from uint8 to a PIL image, on to a float tensor and is normalized ("pictures").
Before any time is printed both steps run from the same weights on the same batches, noise and places, and their losses must
agree to 1e-3 of their size or of 1; otherwise the script stops with status 1.

What the goal means. It was set against the program as published, on pictures. There an update needs 4.3 GFLOP of matrix products
and the loop computes 7.5, a factor of 1.7; at the speed that one such product alone reaches they take about two thirds of our
time. The rest of the factor has to come from elsewhere: the samples for all steps of the critic in one product of each layer,
which is faster than five small ones, one fused Adam, one pass where the loop takes three, no graph of the critic, and no
loader: 320 pictures a step pass through the loop's. Against stored rows the ratio stays below the goal: when the products are
left out, Adam, activations, BatchNorm and the calls themselves take more of our time than the goal would leave for them.
On the points an update needs .23 GFLOP and the loop computes .31, a factor of 1.3, and the products are about a quarter of
our time. Most of it goes into passes over activations and into nearly 800 small calls, and the generator's step is the
same on both sides. So 2.1 is not reached there. A busy machine, whose caches are shared, lowers both ratios.

How. One process, one thread on both sides, all sides in turn, the order reversed every round. Process CPU time; the figure
is the median of the per-round ratios, with their range.
"""

# ruff: noqa: E402 (thread counts are read when the libraries are imported)

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TQDM_DISABLE"] = "1"

import argparse
import copy
import functools
import statistics
import sys
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gentools import wgan_gp
from gentools.dcgan import signed
from gentools.lab import data
from gentools.lab.networks import mlp
from gentools.lab.optim import adam
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.timing import rotate
from gentools.lab.training import train

MINUTES = 3  # roughly, on two quiet cores
RATE, BETAS, GOAL = 1e-4, (0.5, 0.9), 2.1
torch.set_num_threads(1)


class Case(NamedTuple):
    """One case: networks() -> both players, rows() -> stored data, how a batch of it is prepared, size of one z, settings."""

    name: str
    networks: object
    rows: object
    prepare: object
    latent: int
    batch: int
    critic_steps: int
    penalty_weight: float


def wide_networks():
    """Players for rows of 784 numbers; the generator has BatchNorm, the critic has none."""
    leaky, layers, n = functools.partial(nn.LeakyReLU, 0.2), [], 100
    torch.manual_seed(0)
    for m in (128, 256, 512, 1024):
        layers += [nn.Linear(n, m), *([nn.BatchNorm1d(m)] if n > 100 else []), leaky()]
        n = m
    g = nn.Sequential(*layers, nn.Linear(n, 784), nn.Tanh())
    return nn.ModuleDict({"generator": g, "critic": mlp([784, 512, 256, 1], leaky, generator=generator(0, "critic"))})


def grays():
    """10,000 pictures of 28x28 random grays in uint8, as rows."""
    return torch.randint(0, 256, (10_000, 784), generator=generator(0, "rows"), dtype=torch.uint8)


CASES = (
    Case("points, 2-128-128", lambda: wgan_gp.toy_networks(0), lambda: data.grid(100_000, 0)[0], None, 2, 256, 2, 0.1),
    Case("pictures, 784-512-256", wide_networks, grays, signed, 100, 64, 5, 10.0),
)


class Pictures(Dataset):
    """Pictures item by item, as torchvision serves them: uint8 -> PIL image -> float tensor (1, 28, 28), normalized."""

    def __init__(self, rows):
        self.images = rows.view(-1, 28, 28).numpy()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        picture = Image.fromarray(self.images[i])
        x = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        x = x.view(picture.size[1], picture.size[0], 1).permute(2, 0, 1).contiguous()
        x = x.to(dtype=torch.get_default_dtype()).div(255)
        middle, half = (torch.as_tensor([0.5], dtype=x.dtype, device=x.device).view(-1, 1, 1) for _ in range(2))
        return (x.clone().sub_(middle).div_(half),)


def loaded(dataset, batch):
    """Batches of rows from a shuffling DataLoader, epoch after epoch."""
    loader = DataLoader(dataset, batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for (x,) in loader:
            yield x.flatten(1)


class Textbook:
    """The peer: networks and optimizers, and one step."""

    def __init__(self, nets, case):
        nets = copy.deepcopy(nets)
        self.generator, self.critic, self.case = nets["generator"], nets["critic"], case
        self.opt_g = torch.optim.Adam(self.generator.parameters(), lr=RATE, betas=BETAS)
        self.opt_c = torch.optim.Adam(self.critic.parameters(), lr=RATE, betas=BETAS)

    def penalty(self, real, fake):
        alpha = torch.rand(len(real), 1)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        score = self.critic(between)
        ones = torch.ones(len(real), 1)
        gradients = torch.autograd.grad(score, between, ones, create_graph=True, retain_graph=True, only_inputs=True)[0]
        return ((gradients.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()

    def step(self, x, z):
        for real, noise in zip(x.chunk(self.case.critic_steps), z[:, 0].chunk(self.case.critic_steps), strict=True):
            self.opt_c.zero_grad()
            fake = self.generator(noise)
            penalty = self.penalty(real.data, fake.data)
            loss = -torch.mean(self.critic(real)) + torch.mean(self.critic(fake))
            (loss + self.case.penalty_weight * penalty).backward()
            self.opt_c.step()
            c_loss = loss.item()
        self.opt_g.zero_grad()
        g_loss = -torch.mean(self.critic(self.generator(z[: self.case.batch, 1])))
        g_loss.backward()
        self.opt_g.step()
        return c_loss, g_loss.item()


STEPS = {"plain": wgan_gp.step, "closed": wgan_gp.piecewise_step}


def our_step(case, kind):
    """One of our two steps with the settings of a case."""
    return functools.partial(STEPS[kind], critic_steps=case.critic_steps, penalty_weight=case.penalty_weight)


def optimizers(nets):
    """Ours, for both players."""
    return {name: adam(net.parameters(), RATE, BETAS) for name, net in nets.items()}


def parity(nets, stream, case, kind, steps=10):
    """Largest difference of the losses over some steps, relative to their size or to 1; stops if it exceeds 1e-3."""
    loop, mine, worst = Textbook(nets, case), copy.deepcopy(nets), 0.0
    opts, step = optimizers(mine), our_step(case, kind)
    for t in range(steps):
        x, z = stream.batch(0, t), stream.noise(0, t)
        torch.manual_seed(t)
        theirs = loop.step(x, z)
        torch.manual_seed(t)
        found = step(mine, opts, x, z)
        pairs = zip(theirs, (float(found["critic"]), float(found["generator"])), strict=True)
        worst = max(worst, *(abs(a - b) / max(1.0, abs(b)) for a, b in pairs))
    if not worst <= 1e-3:
        print(f"no parity: the losses differ by {worst:.1e}; nothing was timed")
        sys.exit(1)
    return worst


def peers(nets, case, stream):
    """{way to take the data: a function of the steps that trains a textbook loop of its own}."""

    def peer(batches, noise):
        loop = Textbook(nets, case)

        def run(steps):
            for t in range(steps):
                loop.step(batches(t), noise(t))

        return run

    def draws(loader):
        return lambda t: torch.cat([next(loader) for _ in range(case.critic_steps)])

    def noise(t):
        return torch.randn(stream.size, *stream.z_shape)

    rows = stream.data[0]
    found = {
        "stored": peer(lambda t: stream.batch(0, t), lambda t: stream.noise(0, t)),
        "DataLoader": peer(draws(loaded(TensorDataset(stream.prepare(rows)), case.batch)), noise),
    }
    if not rows.is_floating_point():
        found["pictures"] = peer(draws(loaded(Pictures(rows), case.batch)), noise)
    return found


def table(case, rounds, steps):
    """The rows of one case. Every side keeps its networks and goes on training from round to round."""
    nets = case.networks()
    stream = Stream(case.rows(), case.critic_steps * case.batch, (2, case.latent), prepare=case.prepare)
    print(f"{case.name}: losses agree to {max(parity(nets, stream, case, kind) for kind in STEPS):.0e}")
    theirs = {name: functools.partial(run, steps) for name, run in peers(nets, case, stream).items()}
    ours, calls = {kind: copy.deepcopy(nets) for kind in STEPS}, dict(theirs)
    for kind, mine in ours.items():
        calls[kind] = functools.partial(train, our_step(case, kind), mine, optimizers(mine), stream, steps, 0)
    rotate(calls, 1)  # warm up
    times = rotate(calls, rounds)
    middle = {name: statistics.median(found) / steps * 1e3 for name, found in times.items()}
    print("  ours: " + ", ".join(f"{kind} {middle[kind]:.2f} ms" for kind in STEPS))
    for name in theirs:
        text = f"  textbook, {name:10s} {middle[name]:8.2f} ms"
        for kind in STEPS:
            ratios = [a / b for a, b in zip(times[name], times[kind], strict=True)]
            text += f"   {kind} {statistics.median(ratios):5.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
        print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few steps and 3 rounds: does it run, not how fast")
    args, _ = parser.parse_known_args()
    rounds, steps = (3, 2) if args.quick else (args.rounds, 20)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds of {steps} steps, load {os.getloadavg()[0]:.1f}")
    print("milliseconds of CPU time per step; ratio: median (range) of textbook / ours")
    for case in CASES:
        table(case, rounds, steps)
    print(f"goal: {GOAL}x for the closed form against the loop on pictures")


if __name__ == "__main__":
    main()
