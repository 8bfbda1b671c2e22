"""WGAN-GP: a training step of `gentools` against a plainly written textbook loop.

    python benchmarks/wgan_gp.py [--rounds 7] [--quick]      or      make bench

What is compared. Both sides train the same networks with several steps of the critic per step of the generator, on stored
data: points in the plane (2-128-128, ReLU, batch 256, two critic steps), and rows of 784 numbers (generator
100-128-256-512-1024-784 with BatchNorm, critic 784-512-256-1, LeakyReLU, batch 64, five critic steps), the sizes of a widely
copied program.
Ours is `gentools.lab.training.train`, checks and history included, with `wgan_gp.step`, whose penalty is differentiated twice
("plain"), and with `wgan_gp.piecewise_step`, the same update with the critic's gradient in closed form ("closed"). The peer
is the loop that most tutorials print: default Adam, separate passes for real and fake, the generator run with its graph in
the critic's turn, double backward, every gradient computed and the critic's thrown away in the generator's turn, losses kept
by `.item()`. It gets the same batches and noise.
Before any time is printed both steps run from the same weights on the same batches, noise and places, and their losses must
agree to 1e-3 of their size or of 1; otherwise the script stops with status 1.

What the goal means. It was set on the rows of 784. There an update needs 4.3 GFLOP of matrix products and the loop computes
7.5, a factor of 1.7; at the speed that one such product alone reaches they take about two thirds of our time. The rest of
the factor has to come from elsewhere: the samples for all steps of the critic in one product of each layer, which is faster
than five small ones, one fused Adam, one pass where the loop takes three, no graph of the critic. That brings the
ratio near the goal, not to it: when the products are left out, Adam, activations, BatchNorm and the calls
themselves take more of our time than the goal leaves for them.
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

import torch
from torch import nn

from gentools import wgan_gp
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
    """One row of the table: networks() -> both players, stored rows, size of one z, and settings."""

    name: str
    networks: object
    rows: object
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


CASES = (
    Case("points, 2-128-128", lambda: wgan_gp.toy_networks(0), lambda: data.grid(100_000, 0)[0], 2, 256, 2, 0.1),
    Case(
        "rows of 784", wide_networks, lambda: torch.rand(10_000, 784, generator=generator(0, "rows")), 100, 64, 5, 10.0
    ),
)


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


def row(case, rounds, steps):
    """One row of the table. Every side keeps its networks and goes on training from round to round."""
    nets = case.networks()
    stream = Stream(case.rows(), case.critic_steps * case.batch, (2, case.latent))
    worst = max(parity(nets, stream, case, kind) for kind in STEPS)
    loop, ours = Textbook(nets, case), {kind: copy.deepcopy(nets) for kind in STEPS}
    opts = {name: optimizers(each) for name, each in ours.items()}
    calls = {"textbook": lambda: [loop.step(stream.batch(0, t), stream.noise(0, t)) for t in range(steps)]}
    for kind in STEPS:
        calls[kind] = functools.partial(train, our_step(case, kind), ours[kind], opts[kind], stream, steps, 0)
    rotate(calls, 1)  # warm up
    times = rotate(calls, rounds)
    text = f"{case.name:18s} {worst:7.0e} {statistics.median(times['textbook']) / steps * 1e3:9.2f}"
    for name in STEPS:
        ratios = [a / b for a, b in zip(times["textbook"], times[name], strict=True)]
        text += f"{statistics.median(times[name]) / steps * 1e3:9.2f} {statistics.median(ratios):5.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    print(f"{text} {GOAL:5.1f}x", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few steps and 3 rounds: does it run, not how fast")
    args, _ = parser.parse_known_args()
    rounds, steps = (3, 2) if args.quick else (args.rounds, 20)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds of {steps} steps, load {os.getloadavg()[0]:.1f}")
    print("milliseconds of CPU time per step; ratio: median (range) of textbook / ours")
    print(f"{'':18s}  parity  textbook  plain                     closed                   goal")
    for case in CASES:
        row(case, rounds, steps)


if __name__ == "__main__":
    main()
