"""Experiment of chapter 16 on MNIST, 28x28: a U-Net, samples by three samplers, and what lies near them (16.11)."""

import contextlib
import functools
from dataclasses import dataclass

import torch
from torch import nn

from gentools import diffusion, evaluation
from gentools.dcgan import signed
from gentools.lab.optim import Average, cosine, mixed
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.neighbors import nearest
from gentools.recipes import Recipe
from gentools.recipes.diffusion_digits import CLASSES, VELOCITY, as_images, judge, noise_of
from gentools.recipes.diffusion_exact import SAMPLERS, heun_steps
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import labeled

REAL, HELD_OUT = "training pictures", "held-out pictures"
SIDES = {"digits": 8, "mnist": 28, "fashion_mnist": 28}
SAMPLES = "samples"  # by DDIM with the most calls


@dataclass(frozen=True)
class Pictures:
    """One U-Net that is told the class, and how its samples are judged."""

    data: str = "mnist"
    width: int = 64  # channels of the largest maps; those of half the side have twice, the smallest four times as many
    batch: int = 128
    steps: int = 50_000
    learning_rate: float = 5e-4  # of Adam after the warm-up; falls along half a cosine to 0
    warmup: int = 500  # steps in which it rises to that
    average: float = 0.999  # decay of the averaged weights, which are sampled from
    dropped: float = 0.1  # share of the labels that are hidden
    judge_steps: int = 3000
    judged: int = 5000  # samples for each distance, with the labels of as many held-out pictures
    moments: int = 10  # at which samples are judged
    sampling_steps: int = 20  # of DDIM, at those moments
    counts: tuple = (5, 10, 20, 50, 100)  # calls of the network
    near: int = 100  # samples, and held-out pictures, whose nearest training picture is sought
    pairs: int = 32  # of them, samples that are shown beside it


def unet(config, seed):
    """The network of figure 16.11, untrained."""
    net = diffusion.UNet(seed, SIDES[config.data], 1, CLASSES, config.width)
    return nn.ModuleDict({"denoiser": net})


def short(device):
    """Autocast to bfloat16, which doubles the speed or more, where the device has it; None elsewhere."""
    return mixed(device) if torch.amp.is_autocast_available(torch.device(device).type) else None


def halved(net, y, at_once=250):
    """The prediction of a U-Net for labels y (n,) with products in bfloat16, a few rows at a time; float32 (n, d)."""

    def predict(noisy, t):
        with short(noisy.device) or contextlib.nullcontext(), torch.no_grad():
            rows = zip(*(part.split(at_once) for part in (noisy, t, y)), strict=True)
            return torch.cat([net(*each).float() for each in rows])

    return predict


def samples(config, net, y, z, name, calls, rng):
    """Samples (n, d) for labels y (n,) from noise z (n, d) by a sampler that asks the network `calls` times."""
    estimate, path = diffusion.estimates(halved(net, y), **VELOCITY), VELOCITY["path"]
    if name == "ancestral":
        return diffusion.ancestral(estimate, z, diffusion.down(calls), path, rng)
    if name == "Heun":
        return diffusion.heun(estimate, z, diffusion.down(heun_steps(calls)), path)
    return diffusion.ddim(estimate, z, diffusion.down(calls), path)


@functools.cache
def held_out_features(data, judge_steps, device):
    """The judge's features (n, 64) of all held-out pictures."""
    return judging.judged(judge(data, judge_steps, device)[0], unit(labeled(data, "test")[0]))[0]


def scores(config, rows, asked, device):
    """What the judge says of rows (n, d) with labels (n,): Frechet distance to the held-out pictures, and right classes."""
    net, _ = judge(config.data, config.judge_steps, device)
    features, shares = judging.judged(net, as_images(rows))
    real = held_out_features(config.data, config.judge_steps, device)
    right = (shares.argmax(1) == asked.cpu()).double().mean()
    return {"Fréchet": evaluation.frechet(features, real), "asked class": float(right)}


def train_pictures(config, seed, device):
    """Train the U-Net. Returns its averaged weights and the History, with the scores of samples on the way."""
    images, labels = labeled(config.data, "train")
    nets, d = unet(config, seed).to(device), images[0].numel()
    ema = Average(nets, config.average)
    y = labeled(config.data, "test")[1][: config.judged].to(device)
    z = noise_of(seed, len(y), d).to(device)

    def watch(done):
        rows = samples(config, ema.nets["denoiser"], y, z, "DDIM", config.sampling_steps, None)
        return scores(config, rows, y, device)

    history = fit_kept(
        functools.partial(diffusion.labeled_step, dropped=config.dropped, **VELOCITY), nets,
        adams(nets, config.learning_rate), (images.flatten(1), labels), d, batch=config.batch, steps=config.steps,
        seed=seed, device=device, prepare=signed, schedule=cosine(config.steps, config.warmup), ema=ema,
        autocast=short(device), watch=watch, log_every=max(1, config.steps // config.moments),
        config={"watched with": repr(config)},
    )  # fmt: skip
    return ema.nets, history


def run_pictures(config, seed, device):
    """The trained network under three samplers; its samples beside the nearest training pictures."""
    nets, history = train_pictures(config, seed, device)
    train_rows, labels = signed(labeled(config.data, "train")[0]).flatten(1), labeled(config.data, "train")[1]
    test_rows = signed(labeled(config.data, "test")[0]).flatten(1)
    y = labeled(config.data, "test")[1][: config.judged].to(device)
    numbers, arrays = {}, {"counts": torch.tensor(config.counts)}
    z, most = noise_of(seed, len(y), train_rows.shape[1]).to(device), config.counts[-1]
    for name in SAMPLERS:
        found = []
        for calls in config.counts:
            rng = generator(seed, "ancestral", calls, device=device)
            rows = samples(config, nets["denoiser"], y, z, name, calls, rng)
            of_rows = scores(config, rows, y, device)
            numbers |= {(f"{name}, {calls} calls", what): value for what, value in of_rows.items()}
            found.append(of_rows["Fréchet"])
            if (name, calls) == ("DDIM", most):
                drawn = rows.cpu().clamp(-1, 1)
        arrays[name] = torch.tensor(found)  # (counts,)
    near = nearest(drawn[: config.near], train_rows)
    numbers[SAMPLES, "distance to training pictures"] = near.distance.mean()
    numbers[HELD_OUT, "distance to training pictures"] = nearest(test_rows[: config.near], train_rows).distance.mean()
    chosen = torch.randperm(len(train_rows), generator=generator(seed, "real"))[: len(y)]
    of_real = scores(config, train_rows[chosen], labels[chosen], device)
    numbers |= {(REAL, what): value for what, value in of_real.items()}
    numbers["judge", "accuracy on held-out images"] = judge(config.data, config.judge_steps, device)[1]
    curve = torch.tensor([seen["Fréchet"] for seen in history.watched])
    arrays |= {"step": torch.tensor([seen["step"] for seen in history.watched]), "Fréchet": curve}
    loss = history["loss"]
    parts = loss.tensor_split(min(100, len(loss)))
    arrays["loss"] = torch.stack([part.mean() for part in parts])
    numbers["training", "Fréchet, change over the last quarter"] = change(curve)
    numbers["training", "loss, mean of the last tenth"] = arrays["loss"][-len(parts) // 10 :].mean()
    numbers["training", "loss, change over the last quarter"] = change(arrays["loss"])
    arrays |= {"sheet": gray(drawn[:64]), "near": gray(train_rows[near.index[: config.pairs]])}
    return {"numbers": arms.named(numbers), "arrays": arrays, "nets": nets}


def gray(rows):
    """Rows (n, side^2) in [-1, 1] as pictures uint8 (n, 1, side, side)."""
    return (as_images(rows) * 255).round().to(torch.uint8)


def draw_pictures(results, config):
    """Samples and pairs with the nearest training picture, first seed; loss, distance over training, and over the calls."""
    from matplotlib.ticker import LogLocator, NullLocator

    fig, axes = drawing.mosaic("aaabbb;xxyyzz", (8.4, 7.2), height_ratios=(1.75, 1))
    first, columns = results[0]["arrays"], 8
    drawing.sheet(axes["a"], first["sheet"], "the first 64 samples", columns)
    samples, near = (first[what][: config.pairs].split(columns) for what in ("sheet", "near"))
    rows = [row for pair in zip(samples, near, strict=True) for row in pair]
    drawing.sheet(axes["b"], torch.cat(rows), "samples over their nearest training pictures", columns)
    steps = (torch.arange(len(first["loss"])) + 1) * config.steps / len(first["loss"])
    drawing.seed_curves(axes["x"], steps, [r["arrays"]["loss"] for r in results], Look("loss", "blue"))
    lowest = min(float(r["arrays"]["loss"].min()) for r in results)
    axes["x"].set(title="loss", xlabel="training step", ylim=(0.9 * lowest, 2 * lowest))
    curves = [r["arrays"]["Fréchet"] for r in results]
    drawing.seed_curves(axes["y"], first["step"], curves, Look("samples", "blue"), marker="o", ms=3)
    axes["y"].set(title="distance", xlabel="training step", yscale="log")
    for name, look in SAMPLERS.items():
        curves = [r["arrays"][name] for r in results]
        drawing.seed_curves(axes["z"], config.counts, curves, look, marker=look.marker, ms=3)
    axes["z"].set(title="distance", xlabel="calls of the network", xscale="log", yscale="log")
    axes["z"].set_xticks(config.counts, [str(n) for n in config.counts])
    axes["z"].tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    real = drawing.over_seeds(results, arms.name(REAL, "Fréchet"))
    for key in "yz":
        axes[key].yaxis.set(
            major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_locator=NullLocator()
        )
        drawing.level(axes[key], sum(real) / len(real), REAL, at=0.98, ha="right", above=3)
    for key in "xy":
        axes[key].locator_params(axis="x", nbins=3)
    drawing.legend_below(fig, axes["z"])
    return fig


def calls_of(summary):
    """The numbers of calls that a record knows, rising."""
    return sorted({int(name.split(", ")[1].split(" ")[0]) for name in summary if " calls" in name})


def verdict_pictures(summary):
    """The samplers by distance with few and most calls, each against training pictures; copies; and what was still moving."""
    counts, real, said = calls_of(summary), summary[arms.name(REAL, "Fréchet")], []
    if not verdicts.finished(real):
        return "No run finished."
    for calls in (counts[0], counts[-1]):
        found = {name: summary[arms.name(f"{name}, {calls} calls", "Fréchet")] for name in SAMPLERS}
        done = [name for name in found if verdicts.finished(found[name])]
        ranked = sorted(done, key=lambda name: found[name]["mean"])
        times = [f"{name} {found[name]['mean'] / real['mean']:.1f}" for name in ranked]
        said.append(f"with {calls} calls {', '.join(times) or 'no run finished'}")
    near, held = (summary[arms.name(who, "distance to training pictures")] for who in (SAMPLES, HELD_OUT))
    late, runs = summary["training: Fréchet, change over the last quarter"], verdicts.finished(real)
    moved = "rose or stood still" if late["mean"] >= 0 else "still fell"
    copies = "nearer to" if near["mean"] < held["mean"] else "no nearer to"
    return (
        f"Distance over that of {REAL}, least first: {'; '.join(said)}. On average samples lie {copies} the training pictures "
        f"than held-out ones do. Over the last quarter of training the distance {moved}. "
        f"{'No interval: this is one run' if runs == 1 else f'Means of {runs} runs'}."
    )


RECIPES = {
    "16.11": Recipe(
        title="A U-Net on MNIST",
        caption="MNIST, 28x28: one run of a U-Net that is told the class and names the velocity on the cosine path. Above, "
        "left: the first 64 samples by DDIM with the most calls, for the labels of the first held-out pictures, none "
        "picked; right, 32 of them, below each the training picture nearest to it in pixels. Below, left: the mean loss of "
        "each hundredth of the run. Middle and right: the distance (Fréchet, in the features of a classifier) between "
        "samples and held-out pictures, over training by DDIM with few calls, and at the end for three samplers against the "
        "calls of the network. (Heun asks twice per step and once in the last: 5, 9, 19 and 39 calls.) Gray: as many "
        "training pictures in the place of samples.",
        alt="A sheet of 64 handwritten digits; beside it pairs of a digit and a training picture. Below, the loss over the steps, "
        "the distance over the steps, and the distance over the calls of the network for three samplers, above a gray line.",
        run=run_pictures, draw=draw_pictures, full=Pictures(), record="cpu", seeds=(0,), verdict=verdict_pictures, model=unet,
        cpu=Pictures(width=16, batch=32, steps=3000, learning_rate=2e-3, warmup=200, average=0.998, judge_steps=600, judged=300,
                     moments=8, sampling_steps=10, counts=(5, 10, 20, 40), near=64),
        quick=Pictures("digits", 8, batch=32, steps=40, learning_rate=2e-3, warmup=4, average=0.9, judge_steps=100, judged=100,
                       moments=4, sampling_steps=5, counts=(5, 10)),
    ),
}  # fmt: skip
