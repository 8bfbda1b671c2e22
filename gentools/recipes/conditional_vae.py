"""Experiments of chapter 04: three models on the same images and labels, linear ones exactly, then networks."""

import functools
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from gentools import conditional_vae as cvae
from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS, LINES, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, binarize, unit
from gentools.lab.training import train
from gentools.recipes import Recipe
from gentools.recipes.shared.drawing import CLASS_COLORS
from gentools.recipes.shared.pictures import held_out_bits as test_bits
from gentools.recipes.shared.pictures import labeled as pictures

CLASSES = 10
LOOKS = {
    "VAE": dict(color=COLORS["black"], ls=LINES[3], marker=MARKERS[2]),
    "class means": dict(color=COLORS["vermillion"], ls=LINES[1], marker=MARKERS[1]),
    "CVAE": dict(color=COLORS["blue"], ls=LINES[0], marker=MARKERS[0]),
}
TOLD = "class means, encoder told"  # the linear model needs a fourth: only the prior and the encoder see the label
LINEAR_LOOKS = LOOKS | {TOLD: dict(color=COLORS["green"], ls=LINES[2], marker=MARKERS[3])}


def fit(nets, images, labels, batch, steps, seed, rate, *, device="cpu", kl_weight=1.0, prepare=binarize, watch=None,
        warmup=None, every=100):  # fmt: skip
    """Train with the chapter's step and a cosine schedule; returns networks on the CPU and the History."""
    latent = nets["decoder"].part.net[0].in_features - getattr(nets["decoder"], "classes", 0)
    stream = Stream((images, labels), batch, latent, prepare=prepare, device=device)
    schedule = cosine(steps, min(200, steps // 10) if warmup is None else warmup)
    step = functools.partial(cvae.step, kl_weight=kl_weight)
    nets = nets.to(device)
    history = train(step, nets, {"vae": adam(nets.parameters(), rate)}, stream, steps, seed, schedule=schedule,
                    watch=watch, log_every=every)  # fmt: skip
    return nets.to("cpu"), history


def noise_of(seed, *shape):
    """Standard normal noise of an evaluation, the same for every model."""
    return torch.randn(*shape, generator=generator(seed, "evaluation", *shape))


def accuracy(logits, y):
    """Share of rows whose largest logit is that of the label."""
    return (logits.argmax(1) == y).double().mean()


def classify_step(nets, opts, x, z):
    """One step of a classifier on the cross-entropy of its labels."""
    rows, y = x
    loss = cross_entropy(nets(rows.flatten(1)), y)
    opts["classifier"].zero_grad()
    loss.backward()
    opts["classifier"].step()
    return {"loss": loss.detach()}


def classifier(rows, y, sizes, steps, seed, rate=2e-3, batch=500):
    """A classifier of rows (n, ...), trained on the CPU with Adam and a cosine schedule."""
    net = mlp(sizes, generator=generator(seed, "classifier"))
    stream = Stream((rows, y), min(batch, len(rows)), 1, prepare=unit)
    opts = {"classifier": adam(net.parameters(), rate)}
    train(classify_step, net, opts, stream, steps, seed, schedule=cosine(steps))
    return net.requires_grad_(False)


# 4.1 Which part sees the label


@dataclass(frozen=True)
class Diagram:
    pass


def run_diagram(config, seed, device):
    """Nothing is computed; the picture is drawn from circles and arrows."""
    return {"numbers": {}, "arrays": {}}


def draw_diagram(results, config):
    import matplotlib.pyplot as plt

    places = {"y": (0, 1.5), "z": (1.5, 1.5), "x": (0.75, 0)}
    panels = {
        "VAE": ("zx", "xz"),
        "class means": ("yz zx", "xz"),
        "CVAE": ("yx zx", "xz yz"),
    }
    fig, axes = plt.subplots(1, 3, figsize=(8.2, 3.5))
    for ax, (title, (model, encoder)) in zip(axes, panels.items(), strict=True):
        ax.set(xlim=(-0.6, 2.1), ylim=(-0.45, 2.05), aspect="equal", title=title)
        ax.set_axis_off()
        for name, place in places.items():
            faint = name == "y" and title == "VAE"
            ax.add_patch(plt.Circle(place, 0.3, fc="white", ec="0.75" if faint else "black", lw=1.3, zorder=3))
            ax.text(*place, f"${name}$", ha="center", va="center", fontsize=15, color="0.75" if faint else "black",
                    zorder=4)  # fmt: skip
        for edges, color, style, side in ((model, "vermillion", "-", 0.1), (encoder, "blue", "--", -0.1)):
            for start, end in edges.split():
                (x0, y0), (x1, y1) = places[start], places[end]
                length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
                along, across = ((x1 - x0) / length, (y1 - y0) / length), ((y1 - y0) / length, -(x1 - x0) / length)
                sign = side if start < end else -side  # the two directions run side by side
                shift = [sign * a for a in across]
                a = [p + 0.32 * t + s for p, t, s in zip((x0, y0), along, shift, strict=True)]
                b = [p - 0.36 * t + s for p, t, s in zip((x1, y1), along, shift, strict=True)]
                arrow = dict(arrowstyle="-|>", color=COLORS[color], lw=1.8, ls=style, shrinkA=0, shrinkB=0)
                ax.annotate("", b, a, arrowprops=arrow)
    keys = [plt.Line2D([], [], color=COLORS[c], ls=ls) for c, ls in (("vermillion", "-"), ("blue", "--"))]
    fig.legend(keys, ("model", "encoder"), loc="outside lower center", ncols=2)
    return fig


# 4.2 The linear case, exactly


@dataclass(frozen=True)
class Linear:
    within: tuple = (3.0, 2.0, 0.5, 0.4, 0.2, 0.1)  # variances about the class averages, direction by direction
    between: tuple = (0.0, 1.5, 2.5, 0.0, 0.0, 0.0)  # variances of the class averages
    noise_variance: float = 1.0
    latent: int = 4
    points: int = 900
    batch: int = 300
    steps: int = 5000
    learning_rate: float = 0.01


def linear_data(config, seed):
    """Rows whose covariances within and between three classes are exactly diagonal, before one common rotation."""
    d, y = len(config.within), torch.arange(config.points) % 3
    x = torch.randn(config.points, d, generator=generator(seed, "linear"), dtype=torch.float64)
    x = x - cvae.class_averages(x, y, 3)[y]
    x = torch.linalg.qr(x)[0] * len(x) ** 0.5 * torch.tensor(config.within, dtype=torch.float64).sqrt()
    corners = torch.zeros(3, d, dtype=torch.float64)  # averages on two axes, uncorrelated with equal shares
    first, second = torch.tensor(config.between).argsort(descending=True)[:2]
    corners[:, first] = torch.tensor([1.0, -1.0, 0.0]).double() * (1.5 * config.between[first]) ** 0.5
    corners[:, second] = torch.tensor([1.0, 1.0, -2.0]).double() * (0.5 * config.between[second]) ** 0.5
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator(seed, "turn"), dtype=torch.float64))[0]
    return (x + corners[y]) @ turn, y


def linear_networks(name, seed, pixels, latent, decoder):
    """The models of figure 4.2."""
    if name == "VAE":
        return cvae.plain_networks(seed, pixels, (), latent, decoder)
    sighted = cvae.cvae_networks(seed, pixels, (), latent, 3, decoder)
    if name == "CVAE":
        return sighted
    nets = cvae.class_mean_networks(seed, pixels, (), latent, 3, decoder)
    if name == TOLD:
        nets["encoder"] = sighted["encoder"]
    return nets


def run_linear(config, seed, device):
    """Linear models of the three kinds: nats per code dimension, and the distance to the best log-likelihood."""
    x, y = linear_data(config, seed)
    total, within = vae.spectrum(x)[1], torch.linalg.eigvalsh(cvae.within_covariance(x, y, 3)).flip(0)
    noise = torch.tensor(config.noise_variance, dtype=torch.float64)
    decoder = functools.partial(vae.Gaussian, noise_variance=config.noise_variance, learn=False)
    arrays, numbers = {"within": within, "total": total}, {}
    for name in LINEAR_LOOKS:
        nets = linear_networks(name, seed, x.shape[1], config.latent, decoder)
        eigenvalues = total if name == "VAE" else within
        best = vae.ppca_log_likelihood(eigenvalues, config.latent, noise)

        def distance(done=None, nets=nets, best=best):
            with torch.no_grad():
                classes = torch.arange(3)
                centers = cvae.decode(nets, torch.zeros(3, config.latent), classes).double()
                w = nets["decoder"].part.net[0].weight[:, : config.latent].double()
                means = nets["prior"](classes).double().expand(3, config.latent)
            likelihood = cvae.linear_log_likelihood(x, y, w, centers, noise)
            return {"distance": float(best - likelihood), "means": float(means.square().sum(1).mean().sqrt())}

        nets, history = fit(nets, x.float(), y, config.batch, config.steps, seed, config.learning_rate, prepare=unit,
                            watch=distance, every=config.steps // 100)  # fmt: skip
        with torch.no_grad():
            mean, log_variance = nets["encoder"](x.float(), y)
            mean = mean - nets["prior"](y)
        rates = diagonal_gaussian_kl(mean[..., None], log_variance[..., None]).mean(0).sort(descending=True).values
        arrays[f"{name}: rates"] = rates
        arrays[f"{name}: predicted"] = vae.rates(eigenvalues[: config.latent], noise)
        arrays["step"] = torch.tensor([w["step"] for w in history.watched])
        for key in ("distance", "means"):
            arrays[f"{name}: {key}"] = torch.tensor([w[key] for w in history.watched])
        numbers |= {
            f"{name}: KL term, nats": rates.sum(),
            f"{name}: KL term predicted": arrays[f"{name}: predicted"].sum(),
            f"{name}: nats below the best log-likelihood": distance()["distance"],
        }
    numbers["class means, encoder told: length of the means, end over half-time"] = (
        arrays[f"{TOLD}: means"][-1] / arrays[f"{TOLD}: means"][len(arrays["step"]) // 2]
    )
    return {"numbers": numbers, "arrays": arrays}


def draw_linear(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.9), width_ratios=(1.35, 1, 1))
    place = torch.arange(1, config.latent + 1)
    for i, (name, look) in enumerate(LINEAR_LOOKS.items()):
        line, at = {k: v for k, v in look.items() if k != "marker"}, place + 0.2 * (i - 1.5)
        for r in results:
            a, label = r["arrays"], name if r is results[0] else None
            axes[0].plot(at, a[f"{name}: rates"], look["marker"], color=look["color"], ms=5, mfc="none")
            axes[1].loglog(a["step"], a[f"{name}: distance"].clamp_min(1e-7), lw=1, label=label, **line)
            if name.startswith("class means"):
                axes[2].plot(a["step"], a[f"{name}: means"], lw=1.2, **line)
        axes[0].bar(at, results[0]["arrays"][f"{name}: predicted"], 0.18, fc="none", ec=look["color"], ls="-", lw=1.2)
    axes[0].set(title="bar: formula,  marker: trained", xlabel="code dimension, sorted", ylabel="nats", xticks=place)
    axes[1].set(title="nats below the best", xlabel="step")
    axes[2].set(title="length of the class means", xlabel="step", ylim=(0, None))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def verdict_linear(summary):
    off = {
        name: max(abs(summary[f"{name}: KL term, nats"][end] - summary[f"{name}: KL term predicted"][end])
                  for end in ("min", "max"))
        for name in LINEAR_LOOKS
    }  # fmt: skip
    short = {name: summary[f"{name}: nats below the best log-likelihood"]["max"] for name in LINEAR_LOOKS}
    exact = [name for name in LINEAR_LOOKS if off[name] < 0.05 and short[name] < 0.01]
    rest = [f"{name} ({off[name]:.2g} nats of KL and {short[name]:.2g} of likelihood away)" for name in LINEAR_LOOKS
            if name not in exact]  # fmt: skip
    text = f"within 0.05 nats of KL and 0.01 of likelihood in every seed: {', '.join(exact) or 'none'}"
    return text + (f"; not so close: {', '.join(rest)}." if rest else ".")


# 4.3, 4.5 and 4.6 Three networks on the same images


@dataclass(frozen=True)
class Comparison:
    data: str = "mnist"
    hidden: tuple = (400,)
    latent: int = 20
    batch: int = 128
    epochs: int = 8
    learning_rates: tuple = (("VAE", 8e-3), ("class means", 8e-3), ("CVAE", 8e-3))
    judge_steps: int = 1500
    reader_steps: int = 2000
    rows: int = 8  # offsets shown
    tuning: tuple = (  # model, learning rate, bound on 10,000 held-out training images after 3 epochs, for two seeds
        ("VAE", 1e-3, -120.53, -120.48),
        ("VAE", 2e-3, -111.80, -112.42),
        ("VAE", 4e-3, -107.42, -107.89),
        ("VAE", 8e-3, -105.44, -105.87),
        ("class means", 1e-3, -117.75, -117.58),
        ("class means", 2e-3, -108.76, -109.13),
        ("class means", 4e-3, -104.32, -104.77),
        ("class means", 8e-3, -102.11, -102.36),
        ("CVAE", 1e-3, -118.50, -118.70),
        ("CVAE", 2e-3, -109.63, -110.42),
        ("CVAE", 4e-3, -105.00, -105.36),
        ("CVAE", 8e-3, -102.26, -102.09),
    )


def fit_model(config, name, images, labels, epochs, rate, seed, device):
    """One of the three models, trained for `epochs`."""
    nets = cvae.NETWORKS[name](seed, images[0].numel(), config.hidden, config.latent)
    return fit(nets, images, labels, config.batch, epochs * len(images) // config.batch, seed, rate, device=device)


@functools.cache
def models(config, seed, device):
    """The three trained models and their histories. Figures 4.3, 4.5 and 4.6 share them within a process."""
    images, labels = pictures(config.data, "train")
    rates = dict(config.learning_rates)
    return {name: fit_model(config, name, images, labels, config.epochs, rates[name], seed, device) for name in LOOKS}


def tune(config, rates=(1e-3, 2e-3, 4e-3, 8e-3), seeds=(100, 101), epochs=3, device="cpu"):
    """The tuning bill: short runs on five sixths of the training images, the bound on the rest."""
    images, labels = pictures(config.data, "train")
    order = torch.randperm(len(images), generator=generator(0, "validation"))
    kept, held = order[len(images) // 6 :], order[: len(images) // 6]
    x, found = binarize(images[held], generator(0, "validation bits")), []
    for name in LOOKS:
        for rate in rates:
            bounds = []
            for seed in seeds:
                nets = fit_model(config, name, images[kept], labels[kept], epochs, rate, seed, device)[0]
                likelihood, kl = cvae.elbo_terms(nets, x, labels[held], noise_of(seed, len(x), config.latent))
                bounds.append(round(float((likelihood - kl).mean()), 2))
            found.append((name, rate, *bounds))
            print(found[-1], flush=True)
    return tuple(found)


def run_bounds(config, seed, device):
    """Held-out bounds, on q(x|y) with the label and on q(x) without, and the two terms over training."""
    images, y = pictures(config.data, "test")
    x, numbers, arrays = test_bits(images), {}, {}
    labels = pictures(config.data, "train")[1]
    shares = cvae.label_entropy(labels, CLASSES)[1].float()
    noise = noise_of(seed, len(x), config.latent)  # one draw per image for all classes: else ten weights beat one
    for name, (nets, history) in models(config, seed, device).items():
        likelihood, kl = cvae.elbo_terms(nets, x, y, noise)
        numbers[f"{name}: bound given the label"] = (likelihood - kl).mean()
        numbers[f"{name}: KL term"] = kl.mean()
        edges = torch.unique(torch.logspace(0.5, torch.tensor(len(history)).log10(), 41).round().long() - 1)
        blocks = [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
        arrays[f"{name}: path"] = torch.stack(
            [torch.stack([history[key][b].mean() for key in ("kl", "reconstruction", "sigma")]) for b in blocks]
        )
        arrays["step"] = edges[1:]
        arrays[f"{name}: held out"] = torch.stack([kl.mean(), -likelihood.mean()])
        if name != "VAE":
            weights = cvae.joint_log_weights(nets, x, shares, noise.expand(CLASSES, -1, -1))
            numbers[f"{name}: bound without the label"] = weights.logsumexp(1).mean()
            numbers[f"{name}: label by Bayes' rule"] = accuracy(weights, y)
    for name in ("class means", "CVAE"):
        bound, plain = (numbers[key] for key in (f"{name}: bound without the label", "VAE: bound given the label"))
        numbers[f"{name} minus VAE, without the label"] = bound - plain
    nets = models(config, seed, device)["class means"][0]
    with torch.no_grad():
        seen = binarize(pictures(config.data, "train")[0], generator(0, "train bits"))
        best = cvae.class_averages(nets["encoder"](seen, labels)[0], labels, CLASSES)
        off = (shares @ (nets["prior"].means - best).square().sum(1)) / 2
    numbers["nats lost by learned instead of averaged means"] = off
    return {"numbers": numbers, "arrays": arrays}


def draw_bounds(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.0))
    ends = torch.stack([r["arrays"][f"{name}: held out"] for r in results for name in LOOKS])
    for name, look in LOOKS.items():
        line = {k: v for k, v in look.items() if k != "marker"}
        for r in results:
            a = r["arrays"]
            axes[0].plot(*a[f"{name}: path"][:, :2].T, lw=1.1, **line, label=name if r is results[0] else None)
            axes[1].plot(*a[f"{name}: held out"], look["marker"], color=look["color"], ms=7, mfc="none", mew=1.4)
    step, path = (results[0]["arrays"][key] for key in ("step", "VAE: path"))
    for mark in (10, 30, 100, 1000):
        if mark < step[-1]:
            kl, reconstruction = path[(step - mark).abs().argmin(), :2].tolist()
            axes[0].plot(kl, reconstruction, ".", color="black", ms=6)
            axes[0].annotate(f"step {mark}", (kl, reconstruction), (6, 3), textcoords="offset points")
    low, high = ends.min(0).values, ends.max(0).values
    margin = 0.12 * (high - low) + 0.3
    box = torch.stack([low - margin, high + margin]).T.tolist()
    paths = torch.cat([r["arrays"][f"{name}: path"][:, :2] for r in results for name in LOOKS])
    corner = [(0, 1.05 * float(paths[:, 0].max())), (0.8 * box[1][0], 1.03 * float(paths[:, 1].max()))]
    for ax, (horizontal, vertical), gap in ((axes[0], corner, None), (axes[1], box, 1.0)):
        ax.set(xlim=horizontal, ylim=vertical, xlabel="KL term, nats")
        reach = torch.tensor(horizontal)
        gap = gap or (vertical[1] - vertical[0]) / 7
        first = torch.tensor(vertical[0] + horizontal[0]).div(gap).ceil() * gap
        while first < vertical[1] + horizontal[1]:
            ax.plot(reach, first - reach, color="0.8", lw=0.8, ls="-", zorder=0)
            first = first + gap
    axes[0].set(ylabel="reconstruction term, nats", title="training batches, from first step to last")
    axes[1].set(title="held-out images at the end (gray lines: 1 nat)")
    axes[0].legend(loc="upper right")
    return fig


def verdict_bounds(summary):
    words = []
    for name in ("class means", "CVAE"):
        s = summary[f"{name} minus VAE, without the label"]
        which = "not resolved" if s["low"] <= 0 <= s["high"] else "better" if s["low"] > 0 else "worse"
        words.append(f"{name} {which} ({s['mean']:+.2f} nats, 95 % [{s['low']:+.2f}, {s['high']:+.2f}])")
    return f"as a model of images without labels, against the VAE: {'; '.join(words)}."


@functools.cache
def judge(name, steps):
    """A classifier of gray images, trained on the training set; and its accuracy on the test set."""
    images, labels = pictures(name, "train")
    net = classifier(images, labels, [images[0].numel(), 400, CLASSES], steps, 0, rate=1e-3)
    test, y = pictures(name, "test")
    return net, accuracy(net(unit(test).flatten(1)), y)


def transfers(nets, x, y, noise):
    """Every row's offset decoded as every class: images (n, classes, d)."""
    offset = cvae.offsets(nets, x, y, noise)
    return torch.stack([cvae.decode(nets, offset, torch.full_like(y, c)) for c in range(CLASSES)], 1)


def followed(net, images, y):
    """Share of transfers (n, classes, d) to another class than y that the judge takes for the class asked for."""
    asked = torch.arange(images.shape[1]).expand(images.shape[:2])
    other = asked != y[:, None]
    return accuracy(net(images[other]), asked[other])


def style_kept(images, y, originals):
    """Correlation of ink and slant between images and their transfers, averaged over the classes asked for; (2,)."""
    side = originals.shape[-1]
    before, found = cvae.ink_and_slant(originals), []
    for c in range(CLASSES):
        rows = y != c
        after = cvae.ink_and_slant(images[rows, c].reshape(-1, side, side))
        found.append(cvae.correlation(before[rows], after))
    return torch.stack(found).mean(0)


def run_grids(config, seed, device):
    """Samples of every class and transfers of held-out images, judged by a classifier and by ink and slant."""
    net, known = judge(config.data, config.judge_steps)
    images, y = pictures(config.data, "test")
    images, y = images[:2000], y[:2000]
    x, shape = test_bits(images), images.shape[2:]
    noise = noise_of(seed, len(x), config.latent)
    numbers, arrays = {"judge: accuracy on held-out images": known}, {"shown": x[: config.rows].reshape(-1, *shape)}
    asked = torch.arange(len(noise)) % CLASSES
    for name in ("class means", "CVAE"):
        nets = models(config, seed, device)[name][0]
        moved = transfers(nets, x, y, noise)
        kept = style_kept(moved, y, x.reshape(-1, *shape))
        numbers |= {
            f"{name}: samples of the class asked for": accuracy(net(cvae.decode(nets, noise, asked)), asked),
            f"{name}: transfers of the class asked for": followed(net, moved, y),
            f"{name}: ink kept, correlation": kept[0],
            f"{name}: slant kept, correlation": kept[1],
        }
        some = noise[: config.rows].repeat_interleave(CLASSES, 0)
        sheet = cvae.decode(nets, some, torch.arange(CLASSES).repeat(config.rows))
        arrays[f"{name}: sheet"] = sheet.reshape(-1, *shape)
        arrays[f"{name}: moved"] = moved[: config.rows].reshape(-1, *shape)
    return {"numbers": numbers, "arrays": arrays}


def draw_grids(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(2, 2, figsize=(8.4, 5.4), width_ratios=(CLASSES, CLASSES + 2))
    for row, name in zip(axes, ("class means", "CVAE"), strict=True):
        image_grid(row[0], a[f"{name}: sheet"][: 6 * CLASSES], columns=CLASSES)
        row[0].set_title(f"{name}: a random offset per row")
        moved, shown = a[f"{name}: moved"].unflatten(0, (-1, CLASSES))[:6], a["shown"][:6, None]
        image_grid(row[1], torch.cat([shown, torch.ones_like(shown), moved], 1).flatten(0, 1), columns=CLASSES + 2)
        row[1].set_title(f"{name}: a held-out image, its offset in every class")
    return fig


def verdict_grids(summary):
    def against(what):
        left, right = (summary[f"{name}: {what}"] for name in ("class means", "CVAE"))
        if left["min"] > right["max"]:
            return "class means higher in every seed"
        return "CVAE higher in every seed" if right["min"] > left["max"] else "not separated"

    names = {
        "samples of the class asked for": "samples",
        "transfers of the class asked for": "transfers",
        "ink kept, correlation": "ink",
        "slant kept, correlation": "slant",
    }
    return "; ".join(f"{short}: {against(what)}" for what, short in names.items()) + "."


def readers(rows, y, test_rows, test_y, steps, seed):
    """How well a linear and a small nonlinear classifier read the label from codes; and the nats the better one finds."""
    found = []
    for hidden in ((), (128,)):
        sizes = [rows.shape[1], *hidden, CLASSES]
        logits = classifier(rows, y, sizes, steps, seed)(test_rows)
        found.append((accuracy(logits, test_y), cross_entropy(logits, test_y)))
    nats = cvae.label_entropy(test_y, CLASSES)[0] - min(f[1] for f in found)
    return found[0][0], found[1][0], nats


def run_readers(config, seed, device):
    """What sampled codes and offsets tell of the label."""
    sets = [
        (binarize(i, generator(0, "reader bits")), y) for i, y in (pictures(config.data, s) for s in ("train", "test"))
    ]
    numbers = {}
    for name, (nets, _) in models(config, seed, device).items():
        found = []
        for x, y in sets:
            offset = cvae.offsets(nets, x, y, noise_of(seed, len(x), config.latent))
            found.append((offset, nets["prior"](y).detach() + offset, y))
        codes = {"code": 1, "offset": 0} if name == "class means" else {"code": 1}
        for what, i in codes.items():
            (rows, y), (test_rows, test_y) = ((f[i], f[2]) for f in found)
            read = readers(rows, y, test_rows, test_y, config.reader_steps, seed)
            label = f"{name}, {what}"
            for key, value in zip(("linear reader", "nonlinear reader", "nats of the label"), read, strict=True):
                numbers[f"{label}: {key}"] = value
    numbers["the most frequent class"] = test_y.bincount().max() / len(test_y)
    return {"numbers": numbers, "arrays": {}}


READ = ("VAE, code", "class means, code", "class means, offset", "CVAE, code")


def draw_readers(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.0), width_ratios=(1.3, 1))
    for r in results:
        n = r["numbers"]
        for i, what in enumerate(READ):
            first = r is results[0] and i == 0
            for key, shift, color, marker in (("linear", -0.12, "green", "s"), ("nonlinear", 0.12, "purple", "o")):
                axes[0].plot(i + shift, n[f"{what}: {key} reader"], marker, color=COLORS[color], mfc="none", ms=7,
                             label=f"{key} reader" if first else None)  # fmt: skip
            axes[1].plot(i, n[f"{what}: nats of the label"], "o", color=COLORS["purple"], mfc="none", ms=7)
    chance = float(results[0]["numbers"]["the most frequent class"])
    axes[0].axhline(chance, color="0.4", ls=":", lw=1.2)
    axes[0].text(-0.4, chance + 0.02, "most frequent class", color="0.3")
    axes[1].axhline(2.3026, color="0.4", ls=":", lw=1.2)
    axes[1].text(0, 2.33, "log 10", color="0.3")
    ticks = [what.replace(", ", ",\n").replace("class means", "class\nmeans") for what in READ]
    for ax in axes:
        ax.set_xticks(range(len(READ)), ticks)
        ax.set_xlim(-0.5, len(READ) - 0.5)
    axes[0].set(title="label read from the code", ylabel="accuracy", ylim=(0, 1.05))
    axes[1].set(title="nats of the label found", ylim=(-0.1, 2.6))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def verdict_readers(summary):
    chance = summary["the most frequent class"]["mean"]
    words = []
    for what in READ:
        s = max((summary[f"{what}: {key} reader"] for key in ("linear", "nonlinear")), key=lambda s: s["mean"])
        level = "nearly all of the label" if s["min"] > 0.9 else "most" if s["min"] > 0.5 else "some"
        level = "next to nothing" if s["max"] < chance + 0.05 else level
        words.append(f"{what}: {level} ({100 * s['mean']:.1f} %)")
    return f"of the label the better reader gets, where guessing gets {100 * chance:.1f} %: {'; '.join(words)}."


# 4.4 A plane of codes


@dataclass(frozen=True)
class Plane:
    data: str = "mnist"
    hidden: tuple = (256,)
    batch: int = 100
    epochs: int = 25
    learning_rate: float = 2e-3
    side: int = 15
    shown: int = 3000
    digit: int = 9


def run_plane(config, seed, device):
    """Two code dimensions: where held-out codes lie, and one class at normal quantiles around its prior mean."""
    images, labels = pictures(config.data, "train")
    test, y = pictures(config.data, "test")
    x, numbers = test_bits(test), {}
    arrays = {"labels": y[: config.shown]}
    quantiles = torch.special.ndtri(torch.linspace(0.05, 0.95, config.side, dtype=torch.float64)).float()
    grid = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)  # rows from top to bottom, left to right
    for name in ("class means", "CVAE"):
        nets = cvae.NETWORKS[name](seed, images[0].numel(), config.hidden, 2)
        steps = config.epochs * len(images) // config.batch
        nets, _ = fit(nets, images, labels, config.batch, steps, seed, config.learning_rate, device=device)
        likelihood, kl = cvae.elbo_terms(nets, x, y, noise_of(seed, len(x), 2))
        numbers[f"{name}: held-out bound given the label"] = (likelihood - kl).mean()
        numbers[f"{name}: KL term"] = kl.mean()
        with torch.no_grad():
            arrays[f"{name}: codes"] = nets["encoder"](x[: config.shown], y[: config.shown])[0]
            arrays[f"{name}: means"] = nets["prior"](torch.arange(CLASSES)).expand(CLASSES, 2)
        pages = cvae.decode(nets, grid, torch.full((len(grid),), config.digit))
        arrays[f"{name}: pages"] = pages.reshape(-1, *images.shape[2:])
    return {"numbers": numbers, "arrays": arrays}


def draw_plane(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(2, 2, figsize=(7.2, 7.0))
    for row, name in zip(axes, ("class means", "CVAE"), strict=True):
        codes, means = a[f"{name}: codes"], a[f"{name}: means"]
        for digit in range(CLASSES):
            chosen = a["labels"] == digit
            row[0].plot(*codes[chosen][:120].T, ".", ms=3, color=CLASS_COLORS[digit], label=str(digit))
            if name == "class means":
                row[0].text(*means[digit], str(digit), fontsize=10, weight="bold", ha="center", va="center",
                            bbox=dict(boxstyle="circle,pad=0.15", fc="white", ec=CLASS_COLORS[digit], alpha=0.9))  # fmt: skip
        edge = float(torch.special.ndtri(torch.tensor(0.95)))
        square = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * edge + means[config.digit]
        row[0].plot(*square.T, color="black", lw=1.4, ls="--")
        row[0].set(title=f"{name}: codes of held-out images", xlabel="$z_1$", ylabel="$z_2$")
        row[0].set_aspect("equal", adjustable="datalim")
        image_grid(row[1], a[f"{name}: pages"], columns=config.side)
        row[1].set_title(f"{name}: a {config.digit} from the square")
    axes[1, 0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), markerscale=4, handletextpad=0, borderpad=0)
    return fig


# 4.7 When it goes wrong: the KL term made cheap


@dataclass(frozen=True)
class Cheap:
    data: str = "mnist"
    hidden: tuple = (400,)
    latent: int = 20
    batch: int = 128
    epochs: int = 1
    learning_rate: float = 8e-3
    weights: tuple = (0.01, 0.1, 1.0)
    judge_steps: int = 1500
    reader_steps: int = 1000


def run_cheap(config, seed, device):
    """The weight of the KL term lowered: does the offset still leave the label alone, and is the label still obeyed?"""
    images, labels = pictures(config.data, "train")
    test, y = pictures(config.data, "test")
    net, _ = judge(config.data, config.judge_steps)
    sets = [(binarize(i, generator(0, "reader bits")), t) for i, t in ((images, labels), (test, y))]
    numbers, rows = {}, []
    for name in ("class means", "CVAE"):
        for weight in config.weights:
            nets = cvae.NETWORKS[name](seed, images[0].numel(), config.hidden, config.latent)
            steps = config.epochs * len(images) // config.batch
            nets, _ = fit(nets, images, labels, config.batch, steps, seed, config.learning_rate, device=device,
                          kl_weight=weight)  # fmt: skip
            offset = [cvae.offsets(nets, x, t, noise_of(seed, len(x), config.latent)) for x, t in sets]
            _, read, _ = readers(offset[0], labels, offset[1], y, config.reader_steps, seed)
            x = sets[1][0][:1000]
            moved = transfers(nets, x, y[:1000], noise_of(seed, len(x), config.latent))
            obeyed = followed(net, moved, y[:1000])
            rows.append(torch.stack([read, obeyed]))
            if weight in (config.weights[0], 1.0):
                numbers[f"{name}, weight {weight:g}: label read from the offset"] = read
                numbers[f"{name}, weight {weight:g}: transfers of the class asked for"] = obeyed
    return {"numbers": numbers, "arrays": {"found": torch.stack(rows).reshape(2, len(config.weights), 2)}}


def draw_cheap(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.5), sharex=True)
    for r in results:
        for i, name in enumerate(("class means", "CVAE")):
            for j, ax in enumerate(axes):
                ax.semilogx(config.weights, r["arrays"]["found"][i, :, j], lw=1.2, mfc="none", **LOOKS[name],
                            label=name if r is results[0] else None)  # fmt: skip
    axes[0].axhline(0.1135, color="0.4", ls=":", lw=1.2)
    axes[0].set(title="label read from the offset", ylabel="accuracy", xlabel="weight of the KL term", ylim=(0, 1.05))
    axes[1].set(title="transfers of the class asked for", xlabel="weight of the KL term", ylim=(0, 1.05))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def verdict_cheap(summary):
    words = []
    for name in ("class means", "CVAE"):
        low, one = ([s for key, s in summary.items() if key.startswith(f"{name}, weight {w}")] for w in ("0.01", "1:"))
        leaks = low[0]["min"] > one[0]["max"]
        disobeys = low[1]["max"] < one[1]["min"]
        words.append(
            f"{name}: at the lowest weight the offset tells {'more' if leaks else 'no more'} of the label, and the asked "
            f"class is obeyed {'less' if disobeys else 'no less'}, in every seed"
        )
    return "; ".join(words) + "."


QUICK = Comparison(data="digits", hidden=(100,), latent=8, batch=100, epochs=50, judge_steps=300, reader_steps=300)
SEEDS = tuple(range(5))

RECIPES = {
    "4.1": Recipe(
        title="Which part sees the label",
        caption="Three models with code z, image x and label y. Arrows show what each conditional distribution is given. With "
        "class means only the prior sees the label; in the CVAE the decoder and the encoder do.",
        alt="Three graphs with circles y, z and x. VAE: arrows between z and x only. Class means: also an arrow from y to z. "
        "CVAE: arrows from y to x, solid, and from y to z, dashed.",
        run=run_diagram, draw=draw_diagram, quick=Diagram(), full=Diagram(),
    ),
    "4.2": Recipe(
        title="The linear case lands on the formula",
        caption="Linear models on data in three classes, all seeds. Left: nats per code dimension, trained and by (4.9). "
        "Middle: distance to the best log-likelihood. Right: root mean square length of the learned class means. With an encoder "
        "that is told the label they grow until the learning rate, which falls to 0, stops them.",
        alt="Left, bars and markers: three dimensions in use for the VAE, two for the CVAE; class means put a third to use "
        "beyond the formula. Middle, VAE and CVAE fall to zero, class means stay high, and lower if the encoder is told. Right, "
        "class means that stay, or grow if the encoder is told.",
        run=run_linear, draw=draw_linear, quick=Linear(steps=1500), full=Linear(), seeds=SEEDS, verdict=verdict_linear,
    ),
    "4.3": Recipe(
        title="Reconstruction against KL",
        caption="The two terms of the bound against each other, three models with equal networks and steps, tuned learning "
        "rates, dynamically binarized MNIST, all seeds. Along a gray line the bound is constant; down and left is better. The hook "
        "in the path is an overshoot of the first thirty steps.",
        alt="Left, paths that start at the upper left, swing out to the right and back, then run down and to the right. Right, "
        "held-out end points: the VAE has the largest KL term, the CVAE the smallest, at about equal reconstruction.",
        run=run_bounds, draw=draw_bounds, quick=QUICK, full=Comparison(), seeds=SEEDS, verdict=verdict_bounds,
    ),
    "4.4": Recipe(
        title="A plane of codes, with labels",
        caption="Two code dimensions on MNIST. Left: encoder means of held-out images, colored by class; circled digits mark the "
        "learned class means. Right: the decoder asked for a 9, at normal quantiles around the prior mean of that class.",
        alt="Above, clouds of 0, 1, 6 and 7 apart from the rest, 4 and 9 in one place, 2, 3, 5 and 8 in another; right, a sheet of "
        "nines with sevens, fours and eights at its edges. Below, ten colors mixed in one cloud around the origin; right, a "
        "sheet of nines throughout.",
        run=run_plane, draw=draw_plane, quick=Plane(data="digits", hidden=(100,), epochs=60), full=Plane(),
    ),
    "4.5": Recipe(
        title="Class grids",
        caption="Decoder means of the networks of figure 4.3. Left: each row is one random offset, each column a class. Right: "
        "the first column is a held-out image (binarized), and its row shows the offset of its code decoded as every class.",
        alt="Two sheets of digits for each of the two models. Columns are the classes 0 to 9; within a row thickness and slant "
        "stay alike, in the transfers too.",
        run=run_grids, draw=draw_grids, quick=QUICK, full=Comparison(), seeds=SEEDS, verdict=verdict_grids,
    ),
    "4.6": Recipe(
        title="What a code tells of the label",
        caption="Two classifiers read the label from sampled codes of held-out images, after training on those of the training "
        "images; all seeds. An offset is a code less the mean of its class. Right: H(y) minus the better reader's cross-entropy, "
        "a lower bound on I(y;z) by (4.7), up to sampling.",
        alt="Both readers are high for the VAE and the class means. For the offset and the CVAE the linear reader is near "
        "guessing, and the nonlinear one gets about three quarters. The nats show the same.",
        run=run_readers, draw=draw_readers, quick=QUICK, full=Comparison(), seeds=SEEDS, verdict=verdict_readers,
    ),
    "4.7": Recipe(
        title="The KL term made cheap",
        caption="The KL term multiplied by a weight, one epoch on MNIST, all seeds. Weight 1 is the bound. Left: accuracy of a "
        "nonlinear reader of the label from the offset (dotted: guessing). Right: how often an offset decoded as another class "
        "is judged to be of that class.",
        alt="Left, curves that fall as the weight rises to 1. Right, curves that rise with it.",
        run=run_cheap, draw=draw_cheap,
        quick=Cheap(data="digits", hidden=(100,), latent=8, batch=100, epochs=20, judge_steps=300, reader_steps=200),
        full=Cheap(), seeds=SEEDS, verdict=verdict_cheap,
    ),
}  # fmt: skip
