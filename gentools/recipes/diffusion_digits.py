"""Experiments of chapter 16 on digits: guidance (16.9), steps and nats (16.10)."""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from gentools import diffusion
from gentools.lab.networks import classifier
from gentools.lab.optim import cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.neighbors import nearest, neighborhoods
from gentools.recipes import Recipe
from gentools.recipes.diffusion_exact import SAMPLERS, heun_steps
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.pictures import labeled

CLASSES = 10
VELOCITY = {"path": diffusion.cosine, "target": diffusion.velocity_target}


def rows_of(data, split):
    """Pictures as rows (n, side^2) of floats in [-1, 1], and their labels (n,)."""
    images, labels = labeled(data, split)
    return 2 * unit(images).flatten(1) - 1, labels


def as_images(rows):
    """Rows (n, side^2) in [-1, 1], clipped, as the judge takes them: (n, 1, side, side) in [0, 1]."""
    side = round(rows.shape[1] ** 0.5)
    return (rows.cpu().clamp(-1, 1).reshape(-1, 1, side, side) + 1) / 2


@functools.cache
def judge(data, steps, device):
    """A classifier of gray digits that saw the training pictures alone; and its accuracy on the held-out ones."""
    images, labels = labeled(data, "train")
    net = classifier(images.shape[-1], generator=generator(0, "judge"))
    judging.train_judge(net, images, labels, steps=steps, seed=0, schedule=cosine(steps), device=device)
    test, y = labeled(data, "test")
    return net, judging.accuracy(net, unit(test), y)


# 16.9 Guidance on digits


@dataclass(frozen=True)
class Digits:
    """One labeled denoiser of the 8x8 digits, and guidance weights."""

    data: str = "digits"
    width: int = 256
    blocks: int = 3
    batch: int = 256
    steps: int = 2500
    learning_rate: float = 2e-3  # of Adam at the start; falls along half a cosine to 0
    dropped: float = 0.1  # share of the labels that are hidden
    weights: tuple = (0.0, 1.0, 2.0, 4.0)  # of guidance
    sampling_steps: int = 50  # of DDIM
    rounds: int = 2  # samples for each held-out digit, with its label
    shown: int = 8  # samples of each class in the sheets
    moments: int = 8  # at which samples are scored
    judge_steps: int = 1000
    counts: tuple = (4, 10, 20, 50, 100)  # network calls, figure 16.10
    draws: int = 100  # noise levels of the bound, figure 16.10
    tuning: tuple = (  # rate; of 300 training digits kept out, seed 100, at w = 1: asked class, coverage, nats of the bound
        (5e-4, 0.983, 0.963, 144.2),
        (1e-3, 1.0, 0.983, 135.5),
        (2e-3, 0.997, 0.987, 131.5),
        (4e-3, 0.997, 0.983, 133.2),
        (8e-3, 0.99, 0.983, 139.9),
    )


def denoiser(config, seed):
    """The network of figures 16.9 and 16.10, untrained."""
    net = diffusion.LabeledDenoiser(seed, 64, CLASSES, config.width, config.blocks)
    return nn.ModuleDict({"denoiser": net})


def noise_of(seed, rows, d):
    """Starting noise (rows, d) of the samplers, which depends on the seed alone."""
    return torch.randn(rows, d, generator=generator(seed, "evaluation"))


def draw_guided(net, y, z, weight, steps, how=VELOCITY):
    """DDIM samples (n, d) for labels y (n,) from noise z (n, d), by classifier-free guidance of that weight."""
    told, plain = (
        diffusion.estimates(diffusion.with_label(net, labels), **how) for labels in (y, torch.full_like(y, net.classes))
    )
    estimate = {0.0: plain, 1.0: told}.get(weight) or diffusion.guided(plain, told, weight)
    return diffusion.ddim(estimate, z, diffusion.down(steps), how["path"])


def train_digits(config, seed, device):
    """Train the labeled denoiser. Returns its networks and the History with the scores of its samples at weight 1."""
    x, y = rows_of(config.data, "train")
    nets = denoiser(config, seed).to(device)
    asked = labeled(config.data, "test")[1].to(device)
    z = noise_of(seed, len(asked), x.shape[1]).to(device)

    def watch(done):
        drawn = draw_guided(nets["denoiser"], asked, z, 1.0, config.sampling_steps)
        return score(drawn, asked.cpu(), config, device)

    step = functools.partial(diffusion.labeled_step, dropped=config.dropped, **VELOCITY)
    history = fit_kept(
        step, nets, adams(nets, config.learning_rate), (x, y), x.shape[1], batch=config.batch, steps=config.steps,
        seed=seed, device=device, schedule=cosine(config.steps), watch=watch, log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return nets, history


def within_class(rows, y):
    """Mean distance of two rows of one class, averaged over the classes; rows (n, d), y (n,)."""
    found = []
    for c in range(CLASSES):
        own = rows[y == c]
        found.append(torch.cdist(own, own).sum() / (len(own) * (len(own) - 1)))
    return torch.stack(found).mean()


def score(drawn, asked, config, device):
    """What the judge says of samples (k n, d), whose labels (k n,) are those of the n held-out digits k times.

    Asked class: the share that it takes for what was asked. Coverage: of the held-out digits by n samples, in its features
    (Naeem et al. 2020), mean of the k rounds. Spread: mean distance of two samples of a class over that of two held-out
    digits of it, in pixels.
    """
    net, _ = judge(config.data, config.judge_steps, device)
    test, y = labeled(config.data, "test")
    real, images = judging.judged(net, unit(test))[0], as_images(drawn)
    features, shares = judging.judged(net, images)
    rounds = [neighborhoods(real, part).coverage for part in features.split(len(real))]
    spread = within_class(images.flatten(1), asked) / within_class(unit(test).flatten(1), y)
    return {
        "asked class": float((shares.argmax(1) == asked).double().mean()),
        "coverage": sum(rounds) / len(rounds),
        "spread": float(spread),
    }


def real_scores(config, seed, device):
    """The same scores of training digits, as many as are held out: what samples of the data would score."""
    x, y = rows_of(config.data, "train")
    n = len(labeled(config.data, "test")[1])
    chosen = torch.randperm(len(x), generator=generator(seed, "real"))[:n]
    return score(x[chosen], y[chosen], config, device)


def run_guidance(config, seed, device):
    """Samples of the trained network at several guidance weights, and what the judge says of them."""
    nets, history = train_digits(config, seed, device)
    net, (test, y), numbers = nets["denoiser"], rows_of(config.data, "test"), {}
    asked = y.repeat(config.rounds)
    z = noise_of(seed, len(asked), test.shape[1]).to(device)
    few = torch.arange(CLASSES).repeat_interleave(config.shown)
    start = noise_of(seed + 1000, config.shown, test.shape[1]).repeat(CLASSES, 1).to(device)  # one column, one noise
    arrays = {"step": torch.tensor([seen["step"] for seen in history.watched])}
    train_rows = rows_of(config.data, "train")[0]
    for weight in config.weights:
        drawn = draw_guided(net, asked.to(device), z, weight, config.sampling_steps)
        numbers |= {(f"w = {weight:g}", what): value for what, value in score(drawn, asked, config, device).items()}
        distance = nearest(drawn.cpu().clamp(-1, 1), train_rows).distance
        numbers[f"w = {weight:g}", "distance to training digits"] = distance.mean()
        sheet = draw_guided(net, few.to(device), start, weight, config.sampling_steps)
        arrays[f"w = {weight:g}"] = (as_images(sheet) * 255).round().to(torch.uint8)
    for what in ("asked class", "coverage", "spread"):
        arrays[what] = torch.tensor([seen[what] for seen in history.watched])
        numbers["w = 1", f"{what}, change over the last quarter"] = change(arrays[what])
    numbers |= {("training digits", what): value for what, value in real_scores(config, seed, device).items()}
    numbers["held-out digits", "distance to training digits"] = nearest(test, train_rows).distance.mean()
    numbers["judge", "accuracy on held-out images"] = judge(config.data, config.judge_steps, device)[1]
    return {"numbers": arms.named(numbers), "arrays": arrays, "nets": nets}


def draw_guidance(results, config):
    """A sheet (80, 1, 8, 8) for each weight, first seed; below, three scores against the weight, and over training at w = 1
    (moments,), every seed."""
    import matplotlib.pyplot as plt

    fig, look = plt.figure(figsize=(8.4, 7.6), layout="constrained"), Look("samples", "blue")
    above, below = fig.subfigures(2, 1, height_ratios=(2.9, 4.7))
    for ax, weight in zip(above.subplots(1, 4), config.weights, strict=True):
        drawing.sheet(ax, results[0]["arrays"][f"w = {weight:g}"], f"w = {weight:g}", config.shown)
    titles = {"asked class": "judged as the class asked for", "coverage": "coverage", "spread": "spread within a class"}
    for (ax, under), (what, title) in zip(below.subplots(2, 3).T, titles.items(), strict=True):
        real = drawing.over_seeds(results, arms.name("training digits", what))
        rows = [[r["numbers"][arms.name(f"w = {w:g}", what)] for w in config.weights] for r in results]
        drawing.seed_curves(ax, config.weights, rows, look, marker="o", ms=4)
        ax.set(title=title, xlabel="guidance weight w", xticks=config.weights)
        curves = [r["arrays"][what] for r in results]
        drawing.seed_curves(under, results[0]["arrays"]["step"], curves, look, marker="o", ms=3)
        under.set(title=f"{what}, w = 1", xlabel="training step")
        if what == "asked class":  # from w = 1 on its differences are hundredths
            close = ax.inset_axes((0.44, 0.2, 0.54, 0.55))
            drawing.seed_curves(close, config.weights[1:], [row[1:] for row in rows], look, marker="o", ms=4)
            accuracy = drawing.over_seeds(results, arms.name("judge", "accuracy on held-out images"))
            drawing.level(close, sum(accuracy) / len(accuracy), "held out", at=0.97, ls="--", ha="right")
            close.set(xticks=config.weights[1:], xlim=(0.8, 4.2))
            close.tick_params(labelsize=8.5)
        for panel in (ax, close, under) if what == "asked class" else (ax, under):
            text = "training digits" if panel is ax and what != "asked class" else ""
            drawing.level(panel, sum(real) / len(real), text, at=0.98, ha="right")
    return fig


def verdict_guidance(summary):
    """What each score does between the least and the largest weight that asks for the class, and what had settled."""
    said = []
    for what in ("asked class", "coverage", "spread"):
        found = {w: summary[arms.name(f"w = {w}", what)] for w in (1, 2, 4)}
        word = {1: "above", 0: "not separated from", -1: "below"}
        said.append(
            f"{what}: w = 2 {word[verdicts.separated(found[2], found[1])]} w = 1, "
            f"w = 4 {word[verdicts.separated(found[4], found[1])]} w = 1"
        )
    ends = []
    for what in ("asked class", "coverage", "spread"):
        late = summary[arms.name("w = 1", f"{what}, change over the last quarter")]
        ends.append(f"{what} {verdicts.settling(summary[arms.name('w = 1', what)], late)}")
    return f"{'; '.join(said)}. Over the last quarter of training, at w = 1: {', '.join(ends)}."


# 16.10 Steps, and nats


LEVELS = 17  # gray levels of the scans


def on_levels(rows):
    """Rows in [-1, 1] with each entry moved to the nearest of the gray levels, and the levels (17,)."""
    return (rows * 8).round() / 8, torch.arange(LEVELS) / 8 - 1


def independent_nats(train_rows, rows):
    """Nats of rows (n, d) by pixels drawn independently, each gray level as often as in the training rows and once more."""
    share = nn.functional.one_hot(((train_rows + 1) * 8).round().long(), LEVELS).double().sum(0) + 1  # (d, levels)
    log_share = (share / share.sum(1, keepdim=True)).log()
    chosen = ((rows + 1) * 8).round().long()  # (n, d)
    return -log_share.expand(len(rows), -1, -1).gather(2, chosen[:, :, None]).sum((1, 2))


def run_steps(config, seed, device):
    """The networks of figure 16.9 under three samplers with few and many calls; and the bound of held-out digits."""
    nets, _ = train_digits(config, seed, device)
    net, (test, y), numbers = nets["denoiser"], rows_of(config.data, "test"), {}
    told = diffusion.estimates(diffusion.with_label(net, y.to(device)), **VELOCITY)
    z = noise_of(seed, len(y), test.shape[1]).to(device)
    arrays = {"counts": torch.tensor(config.counts)}
    for name in SAMPLERS:
        rows = []
        for n in config.counts:
            at = diffusion.down(n if name != "Heun" else heun_steps(n))
            if name == "ancestral":
                x = diffusion.ancestral(told, z, at, diffusion.cosine, generator(seed, "ancestral", n, device=device))
            else:
                x = (diffusion.ddim if name == "DDIM" else diffusion.heun)(told, z, at, diffusion.cosine)
            found = score(x, y, config, device)
            rows.append([found["asked class"], found["coverage"], found["spread"]])
            if n in (config.counts[0], 20, config.counts[-1]):
                numbers |= {(f"{name}, {n} calls", what): found[what] for what in ("coverage", "spread")}
        arrays[name] = torch.tensor(rows)  # (counts, 3)
    x, levels = on_levels(test.to(device))
    some = on_levels(rows_of(config.data, "train")[0][: len(test)])[0]
    for split, rows, labels in (
        ("held-out", x, y),
        ("training", some.to(device), labeled(config.data, "train")[1][: len(test)]),
    ):
        estimate = diffusion.estimates(diffusion.with_label(net, labels.to(device)), **VELOCITY)
        rng = generator(seed, "bound", device=device)
        numbers[f"{split} digits", "bound, nats"] = diffusion.bound(
            estimate, rows, levels.to(device), diffusion.cosine, config.draws, rng
        ).mean()
    numbers["held-out digits", "independent pixels, nats"] = independent_nats(
        rows_of(config.data, "train")[0], test
    ).mean()
    numbers |= {("training digits", what): value for what, value in real_scores(config, seed, device).items()}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_steps(results, config):
    """Three scores (counts, 3) against the number of network calls, a line per seed and sampler."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.6))
    titles = {"asked class": "judged as the class asked for", "coverage": "coverage", "spread": "spread within a class"}
    for column, (ax, (what, title)) in enumerate(zip(axes, titles.items(), strict=True)):
        for name, look in SAMPLERS.items():
            curves = [r["arrays"][name][:, column] for r in results]
            drawing.seed_curves(ax, config.counts, curves, look, lw=0.6, alpha=0.7, label=None)
            mean = torch.stack(curves).mean(0)  # (counts,)
            ax.plot(config.counts, mean, **look.as_both(lw=2, ms=6))
        real = drawing.over_seeds(results, arms.name("training digits", what))
        drawing.level(ax, sum(real) / len(real), "training digits" if what == "spread" else "", at=0.98, ha="right")
        ax.set(xscale="log", title=title, xlabel="calls of the network")
        if what != "spread":
            ax.set_ylim(min(0.92, ax.get_ylim()[0]), 1.005)
        ax.set_xticks(config.counts, [str(n) for n in config.counts])
        ax.minorticks_off()
    drawing.legend_below(fig, axes[0])
    return fig


def verdict_steps(summary):
    """Order of the samplers by coverage and by spread with few and many calls, and where the bound stands."""
    said = []
    for what in ("coverage", "spread"):
        for n in sorted({int(name.split(", ")[1].split(" ")[0]) for name in summary if " calls" in name}):
            found = {name: summary[arms.name(f"{name}, {n} calls", what)] for name in SAMPLERS}
            said.append(f"{what}, {n} calls: {verdicts.ordered(found)}")
    bound, plain = (summary[arms.name("held-out digits", f"{what}, nats")] for what in ("bound", "independent pixels"))
    word = {1: "more", 0: "not separately more or fewer", -1: "fewer"}[verdicts.separated(bound, plain)]
    return (
        f"Largest first (before: separated by the intervals): {'; '.join(said)}. For held-out digits the bound takes {word} nats "
        f"than independent pixels{' do' if verdicts.finished(bound) else ': no run finished'}."
    )


QUICK = Digits(width=64, blocks=2, steps=100, batch=64, rounds=1, moments=4, judge_steps=100, sampling_steps=10,
               counts=(4, 10, 20), draws=10)  # fmt: skip

RECIPES = {
    "16.9": Recipe(
        title="Guidance on digits",
        caption="One network for all classes of the 8x8 digits, sampled with four guidance weights w (0: no label, 1: the "
        "conditional model). Above: samples of the first seed, a row for each class from 0 to 9, a column for each starting "
        "noise; at w = 0 the class is not told, so all rows are alike. In the middle, against w: how often a judge sees the "
        "class asked for; the share of the held-out digits that have a sample near them in the judge's features; and the "
        "mean distance of two samples of a class, over that of two held-out digits. At the bottom: the same scores over "
        "training, at w = 1, by one sample for each held-out digit. A line per seed. Dotted: training digits in the place "
        "of samples. Inset: the panel from w = 1 on, enlarged; dashed, held-out digits. Most axes do not begin at 0.",
        alt="Four sheets of eighty small digits. In the first all rows show the same eight digits; in the others row by row a digit from 0 to 9, "
        "with less variety and more contrast from sheet to sheet. Below, three panels over the weight: the asked class rises from a tenth at 0 "
        "to nearly 1 from weight 1 on, coverage falls beyond weight 1, the spread lies above the gray line at 0 and below it from 1 on. At the "
        "bottom the same scores over the training step: the first two rise by hundredths and slow down, the spread stays level.",
        run=run_guidance, draw=draw_guidance, full=Digits(), quick=QUICK, seeds=tuple(range(5)), verdict=verdict_guidance,
        model=denoiser, idle=("counts", "draws"),
    ),
    "16.10": Recipe(
        title="Steps and nats on digits",
        caption="The networks of figure 16.9 at w = 1, under three samplers, by the same three scores against the number of times the network "
        "is asked. Heun asks twice per step and once in the last, so it takes half as many steps: its points at 4, 10, 20, 50 and 100 "
        "stand for 3, 9, 19, 49 and 99 calls. Thin: a line per seed, thick: their mean, dotted: training digits. No axis begins at 0.",
        alt="Three panels over calls of the network on a logarithmic axis, with lines for ancestral sampling, DDIM and Heun and a dotted line. In two of them all means lie between 0.96 and 1; in the third those of ancestral sampling and DDIM rise towards that of Heun, which is level.",
        run=run_steps, draw=draw_steps, full=Digits(), quick=QUICK, seeds=tuple(range(5)), verdict=verdict_steps, idle=("weights", "rounds", "shown"),
    ),
}  # fmt: skip
