"""Experiments of chapter 08: adversarial autoencoders on tables and on digits, beside the VAE."""

import functools
from dataclasses import dataclass

import torch

from gentools import aae, vae
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.optim import adam
from gentools.lab.plots import COLORS, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, binarize
from gentools.lab.training import train
from gentools.lab.worlds import simplex
from gentools.recipes import Recipe
from gentools.recipes.shared.diagrams import arrow as _arrow
from gentools.recipes.shared.diagrams import box as _box
from gentools.recipes.shared.diagrams import canvas
from gentools.recipes.shared.drawing import CLASS_COLORS
from gentools.recipes.shared.pictures import held_out_bits as test_bits
from gentools.recipes.shared.pictures import labeled as pictures

PRIORS = {"normal": aae.normal, "petals": aae.petals, "swiss roll": aae.swiss_roll}
LOG_PRIORS = {"normal": aae.log_normal_prior, "petals": aae.petals_log_density}


def fit(nets, images, steps, seed, step, device, batch=128, rate=1e-3, labels=None):
    """Train with Adam(rate, betas 0.5 and 0.999) on a device; the networks come back to the CPU.

    There is one optimizer for the autoencoder and one for the discriminator.
    """
    nets.to(device)
    auto = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]
    opts = {"autoencoder": adam(auto, rate, (0.5, 0.999))}
    opts["discriminator"] = adam(nets["discriminator"].parameters(), rate, (0.5, 0.999))
    rows = images if labels is None else (images, labels)
    stream = Stream(rows, min(batch, len(images)), 2 + aae.NOISE, prepare=binarize, device=device)
    history = train(step, nets, opts, stream, steps, seed)
    nets.to("cpu")
    return history


@torch.no_grad()
def codes(nets, x, seed):
    """Mean, log-variance, noise and one sampled code of every image."""
    mean, log_variance = nets["encoder"](x)
    noise = torch.randn(mean.shape, generator=generator(seed, "code noise"))
    return mean, log_variance, noise, vae.sample(mean, log_variance, noise)


def draws(prior, n, seed, c=None):
    """n draws of a prior."""
    return prior(torch.randn(n, aae.NOISE, generator=generator(seed, "prior")), *([] if c is None else [c]))


@torch.no_grad()
def rebuilt(nets, x, z):
    """E[-log q(x|z)] in nats per image."""
    return -nets["decoder"].log_likelihood(x, z).mean()


# 8.1 Which side is real


@dataclass(frozen=True)
class Diagram:
    pass


def run_diagram(config, seed, device):
    """Nothing is computed; the picture is drawn from boxes and arrows."""
    return {"numbers": {}, "arrays": {}}


def draw_diagram(results, config):
    fig, ax = canvas((8.4, 3.4), (-0.1, 10.9), (-2.7, 1.8))
    _box(ax, 0.75, 0.6, "data  $x$", width=1.3)
    _box(ax, 2.8, 0.6, "encoder\n$p(z|x)$", "blue", 1.45, 1.1)
    _box(ax, 5.2, 0.6, "codes  $p(z)$", width=1.6)
    _box(ax, 7.7, 0.6, "decoder\n$q(x|z)$", "vermillion", 1.45, 1.1)
    _box(ax, 5.2, -1.3, "prior  $q(z)$", width=1.6)
    _box(ax, 7.7, -1.3, "discriminator\n$D(z)$", "green", 1.8, 1.1)
    for start, end in [((1.43, 0.6), (2.05, 0.6)), ((3.56, 0.6), (4.36, 0.6)), ((6.04, 0.6), (6.94, 0.6)),
                       ((6.04, -1.3), (6.77, -1.3)), ((5.9, 0.24), (6.9, -0.72)), ((8.46, 0.6), (9.1, 0.6))]:  # fmt: skip
        _arrow(ax, start, end)
    ax.text(9.15, 0.6, "$-\\log q(x|z)$", va="center")
    _arrow(ax, (8.64, -1.3), (9.1, -1.3))
    ax.text(9.15, -1.3, "$y = 1$: prior\n$y = 0$: code", va="center")
    ax.text(5.2, -2.5, "The draws of the prior play the part of the data; the codes are what is generated.",
            color="0.25", ha="center")  # fmt: skip
    return fig


# 8.2 Three objectives on tables


@dataclass(frozen=True)
class Tables:
    x_values: int = 6
    z_values: int = 3
    tables: int = 20
    steps: int = 4000
    rate: float = 0.02


def joint_objective(p_joint, q_joint):
    """KL(P || Q): the VAE's, with tables for encoder and decoder."""
    return kl(p_joint, q_joint)


OBJECTIVES = {"joint KL": joint_objective, "without I": aae.objective, "usual loss": aae.usual_objective}


def run_tables(config, seed, device):
    """Free encoder and decoder tables, fitted exactly to random data and priors under three objectives."""
    rng = generator(seed, "tables of chapter 8")
    p_x = torch.stack([simplex(rng, config.x_values) for _ in range(config.tables)])
    q_z = torch.stack([simplex(rng, config.z_values) for _ in range(config.tables)])
    start = torch.randn(2, config.tables, config.x_values, config.z_values, generator=rng, dtype=torch.float64)
    numbers, arrays = {}, {}
    for name, objective in OBJECTIVES.items():
        encoder, decoder = (part.clone().requires_grad_() for part in start)
        optimizer = torch.optim.Adam([encoder, decoder], config.rate)
        for _ in range(config.steps):
            p_joint = p_x[:, :, None] * encoder.softmax(2)
            q_joint = decoder.softmax(1) * q_z[:, None]
            optimizer.zero_grad()
            torch.vmap(objective)(p_joint, q_joint).sum().backward()
            optimizer.step()
        p_joint, q_joint = p_joint.detach(), q_joint.detach()
        told = torch.vmap(mutual_information)(p_joint)
        off = torch.stack([kl(p, q.sum(1)) for p, q in zip(p_x, q_joint, strict=True)])
        arrays |= {f"{name}: I": told, f"{name}: marginal KL": off}
        numbers |= {f"{name}: I(x;z)": told.mean(), f"{name}: marginal KL": off.mean()}
    return {"numbers": numbers, "arrays": arrays}


def draw_tables(results, config):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(6.6, 3.6))
    for i, (name, color) in enumerate(zip(OBJECTIVES, ("blue", "vermillion", "green"), strict=True)):
        told = torch.cat([r["arrays"][f"{name}: I"] for r in results])
        off = torch.cat([r["arrays"][f"{name}: marginal KL"] for r in results]).clamp(min=1e-12)
        ax.semilogy(told, off, MARKERS[i], ms=4, alpha=0.6, color=COLORS[color], label=name)
    ax.set(xlabel="I(x; z), nats", ylabel="KL from data to model, nats", ylim=(1e-13, 3))
    ax.legend(loc="lower right")
    return fig


def verdict_tables(summary):
    low = {name: summary[f"{name}: marginal KL"] for name in OBJECTIVES}
    more = summary["without I: I(x;z)"]["low"] > summary["joint KL: I(x;z)"]["high"]
    exact = low["joint KL"]["max"] < 1e-3 < low["without I"]["min"]
    return (
        f"dropping I {'raises' if more else 'does not clearly raise'} the information in the codes, and "
        f"{'the model of x, exact under the joint KL, is not exact any more' if exact else 'the model of x stays as good'} "
        f"({low['joint KL']['mean']:.4f} against {low['without I']['mean']:.3f} and {low['usual loss']['mean']:.3f} nats)."
    )


# 8.3 Spaces of codes


@dataclass(frozen=True)
class Spaces:
    data: str = "mnist"
    hidden: tuple = (1000, 1000)
    steps: int = 40_000
    weight: float = 10.0
    shown: int = 2000


def run_spaces(config, seed, device):
    """Held-out codes of AAE and VAE under the normal and the petal prior."""
    images, _ = pictures(config.data, "train")
    test, labels = pictures(config.data, "test")
    x, labels = test_bits(test)[: config.shown], labels[: config.shown]
    numbers, arrays = {}, {"labels": labels}
    for prior in ("normal", "petals"):
        steps = {
            "AAE": functools.partial(aae.step, prior=PRIORS[prior], weight=config.weight),
            "VAE": functools.partial(aae.sampled_vae_step, log_prior=LOG_PRIORS[prior]),
        }
        for name, step in steps.items():
            nets = aae.networks(seed, images[0].numel(), config.hidden)
            fit(nets, images, config.steps, seed, step, device)
            *_, z = codes(nets, x, seed)
            arrays[f"{name}, {prior}"] = z
            numbers[f"{name}, {prior}: reconstruction"] = rebuilt(nets, x, z)
            numbers[f"{name}, {prior}: energy distance"] = aae.energy_distance(z, draws(PRIORS[prior], len(z), seed))
    return {"numbers": numbers, "arrays": arrays}


def scatter_codes(ax, z, labels, limit=4.0):
    """Codes in the plane, colored by class."""
    for digit in range(10):
        ax.plot(*z[labels == digit].T, ".", ms=2, color=CLASS_COLORS[digit])
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=(-2, 0, 2), yticks=(-2, 0, 2), aspect="equal")


def draw_spaces(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, 4, figsize=(8.4, 2.7))
    names = [name for name in a if name != "labels"]
    for ax, name in zip(axes, names, strict=True):
        scatter_codes(ax, a[name], a["labels"])
        ax.set_title(name)
    dots = [plt.Line2D([], [], ls="", marker="o", ms=5, color=CLASS_COLORS[d], label=str(d)) for d in range(10)]
    fig.legend(handles=dots, loc="outside lower center", ncols=10, handletextpad=0.1, columnspacing=1.0)
    return fig


# 8.4 The measurement


@dataclass(frozen=True)
class Measured:
    data: str = "mnist"
    hidden: tuple = (1000, 1000)
    steps: int = 40_000
    held_out: int = 2000


ARMS = {  # name: (has a noisy encoder, step)
    "VAE": (True, functools.partial(aae.sampled_vae_step, log_prior=aae.log_normal_prior)),
    "AAE, weight 1": (True, aae.step),
    "AAE, weight 10": (True, functools.partial(aae.step, weight=10.0)),
    "AAE, point codes": (False, functools.partial(aae.step, weight=10.0)),
}


def run_measured(config, seed, device):
    """VAE and AAEs under the normal prior, on held-out images: reconstruction, I(x; z), distance to the prior."""
    images, _ = pictures(config.data, "train")
    x = test_bits(pictures(config.data, "test")[0])[: config.held_out]
    numbers = {}
    for name, (noisy, step) in ARMS.items():
        nets = aae.networks(seed, images[0].numel(), config.hidden, noisy=noisy)
        fit(nets, images, config.steps, seed, step, device)
        mean, log_variance, noise, z = codes(nets, x, seed)
        numbers[f"{name}: reconstruction"] = rebuilt(nets, x, z)
        numbers[f"{name}: energy distance"] = aae.energy_distance(z, draws(aae.normal, len(z), seed))
        if noisy:
            told, off = aae.split_kl_term(mean, log_variance, noise, aae.log_normal_prior)
            numbers |= {f"{name}: I(x;z)": told, f"{name}: KL(p(z)||q(z))": off}
    two = draws(aae.normal, len(x), seed), draws(aae.normal, len(x), seed + 1000)
    numbers["energy distance of two draws of the prior"] = aae.energy_distance(*two)
    return {"numbers": numbers, "arrays": {}}


def draw_measured(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.1))
    for ax, quantity, unit in zip(
        axes, ("reconstruction", "I(x;z)", "energy distance"), ("nats", "nats", ""), strict=True
    ):
        for i, name in enumerate(ARMS):
            values = [r["numbers"].get(f"{name}: {quantity}") for r in results]
            if values[0] is not None:
                ax.plot([i] * len(values), values, MARKERS[i], ms=6, color=list(COLORS.values())[i], alpha=0.7)
        ax.set(title=quantity, ylabel=unit, xlim=(-0.6, 3.6))
        ax.set_xticks(range(4), ("VAE", "AAE\n1", "AAE\n10", "AAE\npoint"))
    axes[1].axhline(float(torch.tensor(float(config.held_out)).log()), color="black", ls=":", lw=1.2)
    axes[1].text(-0.5, float(torch.tensor(float(config.held_out)).log()) + 0.03, "log n", va="bottom")
    chance = [float(r["numbers"]["energy distance of two draws of the prior"]) for r in results]
    axes[2].axhline(max(chance), color="black", ls=":", lw=1.2)
    axes[2].set_ylim(bottom=min(0.0, *chance) - 0.002)
    return fig


def verdict_measured(summary):
    said = []
    for name in ("AAE, weight 1", "AAE, weight 10"):
        told, base = summary[f"{name}: I(x;z)"], summary["VAE: I(x;z)"]
        more = (
            "more" if told["min"] > base["max"] else "less" if told["max"] < base["min"] else "not clearly more or less"
        )
        near, far = summary[f"{name}: energy distance"], summary["VAE: energy distance"]
        closer = (
            "closer to the prior" if near["max"] < far["min"]
            else "farther from the prior" if near["min"] > far["max"]
            else "not clearly closer to the prior or farther"
        )  # fmt: skip
        said.append(f"{name} keeps {more} of the image than the VAE, and its codes are {closer}")
    return "; ".join(said) + "."


# 8.5 Told the labels


@dataclass(frozen=True)
class Labeled:
    data: str = "mnist"
    hidden: tuple = (1000, 1000)
    steps: int = 40_000
    weight: float = 10.0
    shown: int = 2000
    columns: int = 10


def along(prior, columns):
    """Points along each component: (10 * columns, 2), one row of `columns` points per class."""
    line = torch.linspace(-1.5, 1.5, columns)
    noise = torch.zeros(aae.CLASSES * columns, aae.NOISE)
    noise[:, 0] = line.repeat(aae.CLASSES)
    return prior(noise, torch.arange(aae.CLASSES).repeat_interleave(columns))


def run_labeled(config, seed, device):
    """The discriminator sees the class beside the code: each class gets its own part of the prior."""
    images, y = pictures(config.data, "train")
    test, labels = pictures(config.data, "test")
    x, labels = test_bits(test)[: config.shown], labels[: config.shown]
    numbers, arrays = {}, {"labels": labels}
    for name in ("petals", "swiss roll"):
        nets = aae.networks(seed, images[0].numel(), config.hidden, classes=aae.CLASSES)
        fit(
            nets,
            images,
            config.steps,
            seed,
            functools.partial(aae.step, prior=PRIORS[name], weight=config.weight),
            device,
            labels=y,
        )
        *_, z = codes(nets, x, seed)
        centers = draws(PRIORS[name], 20_000, seed, torch.arange(20_000) % aae.CLASSES)
        nearest = torch.cdist(z, centers).argmin(1) % aae.CLASSES
        numbers[f"{name}: codes in the part of their class"] = (nearest == labels).double().mean()
        numbers[f"{name}: reconstruction"] = rebuilt(nets, x, z)
        sheet = nets["decoder"](along(PRIORS[name], config.columns)).detach()
        arrays |= {f"{name}: codes": z, f"{name}: sheet": sheet.reshape(-1, *images.shape[2:])}
    return {"numbers": numbers, "arrays": arrays}


def draw_labeled(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, 4, figsize=(8.4, 2.8))
    for k, name in enumerate(("petals", "swiss roll")):
        scatter_codes(axes[2 * k], a[f"{name}: codes"], a["labels"], 3.9)
        axes[2 * k].set_title(f"{name}: codes")
        image_grid(axes[2 * k + 1], a[f"{name}: sheet"], columns=config.columns)
        axes[2 * k + 1].set_title("decoded along it")
    dots = [plt.Line2D([], [], ls="", marker="o", ms=5, color=CLASS_COLORS[d], label=str(d)) for d in range(10)]
    fig.legend(handles=dots, loc="outside lower center", ncols=10, handletextpad=0.1, columnspacing=1.0)
    return fig


def verdict_labeled(summary):
    rates = [summary[f"{name}: codes in the part of their class"] for name in ("petals", "swiss roll")]
    where = "in every seed" if min(r["min"] for r in rates) > 0.5 else "not in every seed"
    return (
        f"most held-out codes lie in the part of the prior that belongs to their class {where} "
        f"({100 * rates[0]['mean']:.0f} % and {100 * rates[1]['mean']:.0f} %; chance 10 %)."
    )


# 8.6 Few data


@dataclass(frozen=True)
class Few:
    counts: tuple = (30, 150, 1500)
    hidden: tuple = (128, 128)
    steps: int = 3000
    weight: float = 10.0


def run_few(config, seed, device):
    """Deterministic codes of few digits: how the training codes fit the prior, and how held-out images fare."""
    images, _ = pictures("digits", "train")
    held_out = test_bits(pictures("digits", "test")[0])
    numbers, arrays = {}, {}
    for n in config.counts:
        nets = aae.networks(seed, 64, config.hidden, noisy=False)
        chosen = test_bits(images[torch.randperm(len(images), generator=generator(seed, "few", n))[:n]])
        fit(nets, chosen, config.steps, seed, functools.partial(aae.step, weight=config.weight), device)
        for where, x in (("seen", chosen), ("held out", held_out)):
            *_, z = codes(nets, x, seed)
            numbers[f"{n} images, {where}: reconstruction"] = rebuilt(nets, x, z)
            numbers[f"{n} images, {where}: energy distance"] = aae.energy_distance(z, draws(aae.normal, 2000, seed))
            arrays[f"{n} {where}"] = z
    return {"numbers": numbers, "arrays": arrays}


def draw_few(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.2))
    for ax, quantity in zip(axes, ("reconstruction", "energy distance"), strict=True):
        for i, (where, color) in enumerate((("seen", "blue"), ("held out", "vermillion"))):
            values = torch.tensor(
                [[float(r["numbers"][f"{n} images, {where}: {quantity}"]) for n in config.counts] for r in results]
            )
            for row in values:
                ax.semilogx(config.counts, row, MARKERS[i], ms=4, color=COLORS[color], alpha=0.6)
            ax.semilogx(config.counts, values.mean(0), ls="-", color=COLORS[color], label=where)
        ax.set(xlabel="training images", ylabel="nats" if quantity == "reconstruction" else "", title=quantity)
        ax.set_xticks(config.counts, [str(n) for n in config.counts])
        ax.minorticks_off()
    axes[0].legend()
    return fig


def verdict_few(summary):
    def gap(n):
        ends = [summary[f"{n} images, {where}: reconstruction"]["mean"] for where in ("held out", "seen")]
        return ends[0] - ends[1]

    counts = sorted({int(name.split()[0]) for name in summary})
    smallest = (
        summary[f"{counts[0]} images, held out: reconstruction"],
        summary[f"{counts[0]} images, seen: reconstruction"],
    )
    worse = "worse in every seed" if smallest[0]["min"] > smallest[1]["max"] else "not clearly worse"
    return (
        f"with {counts[0]} images the held-out reconstruction is {worse} than that of the images seen "
        f"(by {gap(counts[0]):.0f} nats on average, against {gap(counts[-1]):.1f} with {counts[-1]})."
    )


RECIPES = {
    "8.1": Recipe(
        title="Which side is real",
        caption="An adversarial autoencoder. The discriminator compares draws of the prior with codes of the data.",
        alt="A flow from data through an encoder to codes and on to a decoder. Codes and draws of the prior both lead to a "
        "discriminator, which answers 1 for the prior and 0 for a code.",
        run=run_diagram,
        draw=draw_diagram,
        quick=Diagram(),
        full=Diagram(),
    ),
    "8.2": Recipe(
        title="What the information costs",
        caption="Free tables for encoder and decoder, fitted exactly: random data of six values, three codes with a random "
        "prior. Under the joint KL the model of x gets exact, whatever the code tells. Without I(x; z) the code tells as "
        "much as it can, and the model of x pays.",
        alt="A scatter plot with logarithmic vertical axis. Dots of the joint KL lie at the bottom, most at little "
        "information; the two others lie far above and farther to the right.",
        run=run_tables,
        draw=draw_tables,
        quick=Tables(tables=5, steps=1500),
        full=Tables(),
        seeds=tuple(range(5)),
        verdict=verdict_tables,
    ),
    "8.3": Recipe(
        title="Spaces of codes",
        caption="Codes of held-out MNIST digits, colored by class, under a normal and a petal prior. CPU size: two layers of "
        "256 units, 3,000 steps.",
        alt="Four scatter plots of colored points. Under the normal prior both models give a round cloud; under the petal "
        "prior petals can be made out, more clearly with the AAE. Classes overlap in all four.",
        run=run_spaces,
        draw=draw_spaces,
        quick=Spaces(data="digits", hidden=(64, 64), steps=400, shown=297),
        full=Spaces(),
        cpu=Spaces(hidden=(256, 256), steps=3000),
        record="cpu",
    ),
    "8.4": Recipe(
        title="VAE and AAE, measured",
        caption="Normal prior, two code dimensions, held-out MNIST images, all seeds. Left: reconstruction. Middle: nats that "
        "a code tells of which of the held-out images it came from; at most log n. Right: energy distance of the "
        "codes to the prior; dotted, that of two draws of the prior. CPU size: two layers of 256 units, 3,000 steps.",
        alt="Three dot plots of four models. The AAEs tell about two nats more than the VAE, close to log n; in "
        "reconstruction and in distance to the prior the dots of all models overlap.",
        run=run_measured,
        draw=draw_measured,
        quick=Measured(data="digits", hidden=(64, 64), steps=400, held_out=297),
        full=Measured(),
        cpu=Measured(hidden=(256, 256), steps=3000),
        record="cpu",
        seeds=tuple(range(5)),
        verdict=verdict_measured,
    ),
    "8.5": Recipe(
        title="Told the labels",
        caption="The discriminator sees the class beside the code, and the prior draws each class from its own part. Held-out "
        "codes by class, and the decoder along each part, a class per row. CPU size.",
        alt="Two scatter plots, a flower and a spiral, whose parts have one color each; beside each a sheet of digits in which "
        "every row is one digit.",
        run=run_labeled,
        draw=draw_labeled,
        quick=Labeled(data="digits", hidden=(64, 64), steps=400, shown=297),
        full=Labeled(),
        cpu=Labeled(hidden=(256, 256), steps=3000),
        record="cpu",
        seeds=tuple(range(5)),
        verdict=verdict_labeled,
    ),
    "8.6": Recipe(
        title="Point codes of few data",
        caption="Deterministic encoders trained on 30, 150 and 1,500 digits. Few codes can be put anywhere: those of the images "
        "seen say little about the others.",
        alt="Two panels over the number of training images. The curves for images seen and held out are far apart on the left "
        "and meet on the right.",
        run=run_few,
        draw=draw_few,
        quick=Few(counts=(30, 1500), steps=300),
        full=Few(),
        seeds=tuple(range(5)),
        verdict=verdict_few,
    ),
}
