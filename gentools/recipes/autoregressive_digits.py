"""Experiments of chapter 15 on binarized 8x8 digits (15.5 to 15.7), with the judge of their samples."""

import copy
import dataclasses
import functools
import time
from dataclasses import dataclass

import torch

from gentools import autoregressive as ar
from gentools import dcgan, evaluation, vae
from gentools.lab.networks import classifier
from gentools.lab.optim import Average, cosine
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize
from gentools.lab.timing import interleaved
from gentools.neighbors import neighborhoods
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.pictures import held_out_bits, labeled


def late(score):
    """The recorded name of what a score gained over the last quarter of the steps."""
    return f"{score}, change over the last quarter"


def mean_log_likelihood(net, x):
    """Mean of log q(x) in nats over bits x (n, ...), as a float."""
    with torch.no_grad():
        return float(torch.cat([ar.log_likelihood(net, part) for part in x.split(1000)]).double().mean())


def uniforms(seed, n, d):
    """Numbers (n, d) in [0, 1] to draw pictures with, which depend on the seed alone."""
    return torch.rand(n, d, generator=generator(seed, "draw"))


# The judge of binary digits

JUDGED = 900  # of the training digits teach the judge; the other 600 are true digits that it has not met


@functools.cache
def judge(steps):
    """A small classifier of binarized 8x8 digits, trained on other draws of the bits in every batch."""
    net, (images, labels) = classifier(8, generator=generator(0, "judge")), labeled("digits", "train")
    return judging.train_judge(net, images[:JUDGED], labels[:JUDGED], steps=steps, seed=0, prepare=binarize)


def scores(bits, steps):
    """What the judge says of bits (n, 64): share of which it is sure, coverage and distance to the held-out digits."""
    real = judging.judged(judge(steps), held_out_bits(labeled("digits", "test")[0]))[0]
    features, shares = judging.judged(judge(steps), bits.reshape(-1, 1, 8, 8))
    sure = (shares.amax(1) > 0.9).double().mean()
    coverage = neighborhoods(real, features).coverage
    return {"sure": sure, "coverage": coverage, "distance": evaluation.frechet(features, real)}


def real_scores(steps, draws=20):
    """What a perfect model would score: {("true digits", what): mean or spread} over draws of as many true digits.

    They are neither those that taught the judge nor the held-out ones, but may be those that taught the models.
    """
    images, n = labeled("digits", "train")[0][JUDGED:], len(labeled("digits", "test")[0])
    found = []
    for i in range(draws):
        chosen = torch.randperm(len(images), generator=generator(0, "real", i))[:n]
        found.append(scores(binarize(images[chosen], generator(0, "real bits", i)), steps))
    numbers = {}
    for what in found[0]:
        values = torch.tensor([float(each[what]) for each in found], dtype=torch.float64)
        numbers["true digits", what] = values.mean()
        numbers["true digits", f"{what}, standard deviation of a draw"] = values.std()
    return numbers


def true_digits(ax, results, what, text="true digits", at=0.02, ha="left"):
    """A line at the mean score of true digits, in a band of two standard deviations of a draw to either side."""
    numbers = results[0]["numbers"]
    mean = numbers[arms.name("true digits", what)]
    spread = numbers[arms.name("true digits", f"{what}, standard deviation of a draw")]
    ax.axhspan(mean - 2 * spread, mean + 2 * spread, color="0.85", lw=0, zorder=0)
    drawing.level(ax, mean, text, at=at, ha=ha, above=-12)


# 15.5 Any order


@dataclass(frozen=True)
class Any:
    """One network for all orders on binarized digits, beside a MADE in raster order."""

    hidden: tuple = (192, 192)  # of the any-order network
    made_hidden: int = 256
    batch: int = 100
    steps: int = 24_000  # of each
    learning_rate: float = 1e-3  # of Adam at the start; falls along half a cosine to 0
    made_rate: float = 3e-3
    tuning: tuple = (  # steps, then (rate, nats of 300 of the training digits after these steps on the others), one run each
        ("one order", 6000, (3e-3, -22.03)),
        ("one order", 12_000, (1e-3, -22.0), (3e-3, -21.78), (1e-2, -22.82)),
        ("one order", 24_000, (3e-4, -22.23), (1e-3, -21.67), (3e-3, -21.69)),
        ("MADE", 6000, (3e-3, -21.93), (1e-2, -21.82)),
        ("MADE", 12_000, (3e-3, -21.73), (1e-2, -21.69)),
        ("MADE", 24_000, (1e-3, -21.85), (3e-3, -21.67), (1e-2, -21.68)),
    )
    orders: int = 8
    counts: tuple = (1, 2, 4, 8)  # of orders that are averaged
    passes: tuple = (1, 2, 4, 8, 16, 32, 64)  # in which a picture is drawn
    judge_steps: int = 1000
    true_draws: int = 20  # of true digits, scored as samples are
    moments: int = 12  # at which held-out digits are scored, equally spaced


def fit_digits(step, nets, config, seed, device, latent, watch=None, rate=None):
    """Train on digits binarized anew in every batch. Returns the History. rate: where it is not the configuration's."""
    steps = config.steps
    return fit(step, nets, adams(nets, rate or config.learning_rate), labeled("digits", "train")[0], latent, batch=config.batch,
               steps=steps, seed=seed, device=device, prepare=binarize, schedule=cosine(steps), watch=watch,
               log_every=max(1, steps // config.moments))  # fmt: skip


def run_any(config, seed, device):
    """Held-out nats: single orders, likelihoods averaged, logits averaged. And samples in few and in many passes."""
    x = held_out_bits(labeled("digits", "test")[0]).flatten(1)  # (n, 64)
    n, d = x.shape
    made = ar.networks(seed, 8, config.made_hidden).to(device)
    net = ar.AnyOrder(d, config.hidden, generator(seed, "any order"))
    nets = torch.nn.ModuleDict({"model": net}).to(device)
    orders = [torch.randperm(d, generator=generator(seed, "order", i)).expand(n, d) for i in range(config.orders)]

    def watch_made(done):
        return {"nats": mean_log_likelihood(made["model"], x.to(device))}

    def watch(done):  # one of the orders; each takes d passes
        return {"nats": ar.order_log_likelihood(net, x.to(device), orders[0].to(device)).mean().item()}

    histories = {
        "MADE in raster order": fit_digits(ar.step, made, config, seed, device, 1, watch_made, config.made_rate),
        "one order": fit_digits(ar.any_order_step, nets, config, seed, device, d + 1, watch),
    }
    net, made = net.to("cpu"), made.to("cpu")
    logits = torch.stack([ar.order_logits(net, x, place) for place in orders])  # (orders, n, d)
    log_q = torch.stack([ar.bits_log_likelihood(x, each) for each in logits])  # (orders, n)
    averaged = torch.stack([ar.average_orders(log_q[:k]).mean() for k in config.counts])
    slip = torch.stack([ar.bits_log_likelihood(x, logits[:k].mean(0)).mean() for k in config.counts])
    curves = {name: torch.tensor([w["nats"] for w in history.watched]) for name, history in histories.items()}
    numbers = {
        "MADE in raster order, nats": mean_log_likelihood(made["model"], x),
        "one order, mean over orders, nats": log_q.mean(),
        "one order, the best, nats": log_q.mean(1).max(),
        f"likelihoods of {config.counts[-1]} orders averaged, nats": averaged[-1],
        f"logits of {config.counts[-1]} orders averaged, no likelihood": slip[-1],
    }
    numbers |= {f"{name}, nats, change over the last quarter": change(curve) for name, curve in curves.items()}
    arrays = {"averaged": averaged, "slip": slip, "single": log_q.mean(1)}
    arrays |= {"step": torch.tensor([w["step"] for w in histories["one order"].watched])}
    arrays |= {f"{name}: curve": curve for name, curve in curves.items()}
    place = ar.places(torch.randn(n, d, generator=generator(seed, "drawing order")))
    drawn = {passes: ar.unmask(net, uniforms(seed, n, d), place, passes) for passes in config.passes}
    for passes, bits in drawn.items():
        numbers |= {f"{passes} passes: {what}": value for what, value in scores(bits, config.judge_steps).items()}
    numbers |= arms.named(real_scores(config.judge_steps, config.true_draws))
    arrays |= {f"{passes} passes": drawn[passes][:12].to(torch.uint8) for passes in config.passes}
    return {"numbers": numbers, "arrays": arrays}


def draw_any(results, config):
    """Nats over training and against the number of orders; distance against passes; samples (12, 64) in three counts of passes."""
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(8.4, 5.6))
    top, bottom = fig.subfigures(2, 1, height_ratios=(2, 1.15))
    first, *axes = top.subplots(1, 3)
    for name, look in (
        ("MADE in raster order", Look("MADE", "green", "-.")),
        ("one order", Look("one of all orders", "blue")),
    ):
        drawing.seed_curves(first, results[0]["arrays"]["step"], [r["arrays"][f"{name}: curve"] for r in results], look)
    first.set(xlabel="step", ylabel="held-out digits, nats")
    first.legend(loc="lower right")
    for i, r in enumerate(results):
        for key, look in (("averaged", Look("likelihoods", "blue")),
                          ("slip", Look("logits", "vermillion", "--", "s"))):  # fmt: skip
            axes[0].plot(config.counts, r["arrays"][key], **look.as_both(lw=1.1, ms=4, label=None if i else look.label))
        axes[1].plot(config.passes, [r["numbers"][f"{k} passes: distance"] for k in config.passes],
                     **Look("samples", "blue").as_both(lw=1.1, ms=4, label=None if i else "samples"))  # fmt: skip
    made = drawing.over_seeds(results, "MADE in raster order, nats")
    drawing.level(axes[0], sum(made) / len(made), "MADE in raster order", at=0.98, ha="right", above=-12)
    true_digits(axes[1], results, "distance", at=0.98, ha="right")
    for ax, ticks in zip(axes, (config.counts, config.passes), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks, [str(k) for k in ticks])
        ax.minorticks_off()
    axes[0].set(xlabel="orders averaged", ylabel="nats at the end")
    axes[0].legend(loc="best", title="averages of")
    axes[1].set(xlabel="passes per picture", ylabel="distance to true digits", ylim=(0, None))
    shown = [config.passes[0], config.passes[len(config.passes) // 2], config.passes[-1]]
    rows = {f"{k} pass{'es' if k > 1 else ''}": results[0]["arrays"][f"{k} passes"].float() for k in shown}
    drawing.picture_rows(bottom, rows)
    return fig


def verdict_any(summary):
    """What averaging gains, what averaged logits claim, what fewer passes cost, by ranges over the seeds; what has settled."""
    averaged = next(s for name, s in summary.items() if name.startswith("likelihoods of"))
    slip = next(s for name, s in summary.items() if name.startswith("logits of"))
    distances = [s for name, s in summary.items() if name.endswith("passes: distance")]

    def against(one, other):
        return {1: "more in every seed", -1: "less in every seed", 0: "not told apart"}[
            verdicts.ranges_apart(one, other)
        ]

    made, single = summary["MADE in raster order, nats"], summary["one order, mean over orders, nats"]
    gains = {"MADE in raster order": made, "one order": single}
    gained = ", ".join(_gained(name, score, summary[late(f"{name}, nats")]) for name, score in gains.items())
    return (
        f"nats of averaged likelihoods against single orders: {against(averaged, single)}; "
        f"against MADE in raster order: {against(averaged, made)}; what averaged logits claim, against averaged likelihoods: "
        f"{against(slip, averaged)}; against MADE: {against(slip, made)}; distance in one pass against a pass for every pixel: "
        f"{against(distances[0], distances[-1])}. Nats gained over the last quarter of the steps: {gained}."
    )


def _gained(name, score, change):
    """The name of a model, what its score gained over the last quarter, and whether it has settled."""
    return f"{name} {verdicts.mean(change, '.2f')} ({verdicts.settling(score, change)})"


# 15.6 Three families


@dataclass(frozen=True)
class Families:
    """A VAE, a GAN, a MADE and a gated PixelCNN of binarized digits, of similar CPU time but for the last, which takes more."""

    batch: int = 100
    vae_hidden: int = 200
    latent: int = 16
    vae_steps: int = 16_000
    vae_rate: float = 3e-3
    gan_width: int = 16  # maps of the DCGAN's largest layer
    gan_latent: int = 32
    gan_batch: int = 64
    gan_betas: tuple = (0.5, 0.999)  # of Adam
    gan_decay: float = 0.99  # of the averaged weights
    gan_steps: int = 24_000
    gan_rate: float = 2e-3
    made_hidden: int = 256
    made_steps: int = 24_000
    made_rate: float = 1e-2
    channels: int = 16
    layers: int = 7  # the fewest with which every pixel sees all pixels before it
    pixelcnn_batch: int = 25
    pixelcnn_steps: int = 8000
    pixelcnn_rate: float = 3e-3
    importance: int = 500  # samples per picture for the VAE's likelihood
    judge_steps: int = 1000
    true_draws: int = 20  # of true digits, scored as samples are
    drawn: int = 297  # pictures, as many as are held out
    moments: int = 8
    tuning: tuple = (  # of one run of all steps each on 1,200 digits: rates, then nats of the 300 others, for the GAN its distance
        ("VAE", (1e-3, 3e-3, 1e-2), (-22.56, -22.37, -22.57)),
        ("GAN", (1e-3, 2e-3, 4e-3), (15.32, 12.02, 15.61)),
        ("MADE", (3e-3, 1e-2, 3e-2), (-22.16, -22.1, -22.68)),
        ("gated PixelCNN", (1e-3, 3e-3, 1e-2), (-22.58, -22.25, -22.79)),
        ("gated PixelCNN, 3 layers", (1e-2,), (-23.93,)),
    )


FAMILIES = {
    "VAE": Look("VAE", "blue", "-", "o"),
    "GAN": Look("GAN", "orange", "--", "s"),
    "MADE": Look("MADE", "green", "-.", "^"),
    "gated PixelCNN": Look("gated PixelCNN", "vermillion", ":", "D"),
}


def untrained(name, config, seed):
    """Networks, step, optimizers, the shape of a row's noise, batch, steps, and what else `fit` takes, of one model."""
    if name == "VAE":
        nets = vae.networks(seed, 64, (config.vae_hidden,), config.latent)
        opts = adams({"vae": nets}, config.vae_rate)
        return nets, vae.step, opts, config.latent, config.batch, config.vae_steps, {}
    if name == "GAN":
        nets = dcgan.networks(seed, 8, 1, config.gan_latent, config.gan_width)
        opts = adams(nets, config.gan_rate, config.gan_betas)
        more = {"prepare": dcgan.signed, "ema": Average(nets, config.gan_decay)}
        return nets, dcgan.step, opts, config.gan_latent, config.gan_batch, config.gan_steps, more
    if name == "MADE":
        nets = ar.networks(seed, 8, config.made_hidden)
        return nets, ar.step, adams(nets, config.made_rate), 1, config.batch, config.made_steps, {}
    nets, steps = ar.pixelcnn_networks(seed, 8, config.channels, config.layers), config.pixelcnn_steps
    return nets, ar.step, adams(nets, config.pixelcnn_rate), 1, config.pixelcnn_batch, steps, {}


def fit_family(name, config, seed, images, x):
    """Train one model on images (n, 1, 8, 8). Returns its networks, CPU seconds, and {"nats" of bits x (m, 1, 8, 8), "distance":
    (moments,) over training}; a GAN has no nats."""
    nets, step, opts, latent, batch, steps, more = untrained(name, config, seed)
    begin, looking = time.process_time(), []

    def now():
        return mean_generator(more["ema"], config, seed) if name == "GAN" else nets

    def watch(done):
        looked = time.process_time()
        nats = nats_of(name, nets, config, x, seed, 50)
        seen = {} if nats is None else {"nats": nats}
        distance = scores(drawn_by(name, now(), config, seed), config.judge_steps)["distance"]
        looking.append(time.process_time() - looked)
        return seen | {"distance": float(distance)}

    history = fit(step, nets, opts, images, latent, batch=batch, steps=steps, seed=seed, device="cpu", schedule=cosine(steps),
                  watch=watch, log_every=max(1, steps // config.moments), **({"prepare": binarize} | more))  # fmt: skip
    spent = time.process_time() - begin - sum(looking)
    curves = {what: [w[what] for w in history.watched] for what in ("nats", "distance") if what in history.watched[0]}
    return now(), spent, curves


def mean_generator(ema, config, seed):
    """A copy of the GAN's generator with averaged weights, and BatchNorm's statistics measured on 2,000 draws."""
    noise = torch.randn(2000, config.gan_latent, generator=generator(seed, "statistics"))
    return dcgan.measure_statistics(copy.deepcopy(ema.nets["generator"]), noise)


@torch.no_grad()
def drawn_by(name, nets, config, seed):
    """Pictures of bits (drawn, 64) of a trained model. The GAN's gray levels are binarized as those of the data are."""
    n = config.drawn
    uniform = uniforms(seed, n, 64)
    if name == "VAE":
        z = torch.randn(n, config.latent, generator=generator(seed, "prior"))
        return (uniform < nets["decoder"](z)).float()
    if name == "GAN":
        gray = (dcgan.sample(nets, torch.randn(n, config.gan_latent, generator=generator(seed, "prior"))) + 1) / 2
        return (uniform < gray.flatten(1)).float()
    return ar.cached_sample(nets["model"], uniform) if name == "MADE" else ar.sample(nets["model"], uniform)


def nats_of(name, nets, config, x, seed, samples):
    """Mean log-likelihood of bits x (n, 1, 8, 8): exact, for a VAE from that many importance samples, for a GAN None."""
    if name == "GAN":
        return None
    if name == "VAE":
        noise = torch.randn(samples, len(x), config.latent, generator=generator(seed, "importance"))
        weights = torch.cat([vae.log_weights(nets, x, part) for part in noise.split(50)])  # (importance, n)
        return float(vae.importance_bound(weights, samples).mean())
    return mean_log_likelihood(nets["model"], x)


def run_families(config, seed, device):
    """Four models of the same bits: nats, milliseconds per picture, and what the judge says of their samples."""
    images, test = (labeled("digits", split)[0] for split in ("train", "test"))
    x, numbers, arrays = held_out_bits(test), {}, {"digits": held_out_bits(test)[:24].flatten(1)}
    trained = {name: fit_family(name, config, seed, images, x) for name in FAMILIES}
    draws = {name: functools.partial(drawn_by, name, nets, config, seed) for name, (nets, *_) in trained.items()}
    seconds = interleaved(draws)
    for name, (nets, spent, curves) in trained.items():
        numbers[name, "seconds"], numbers[name, "ms per picture"] = spent, 1000 * seconds[name] / config.drawn
        if "nats" in curves:
            numbers[name, "nats"] = nats_of(name, nets, config, x, seed, config.importance)
        numbers |= {(name, late(what)): change(curve) for what, curve in curves.items()}
        arrays |= {f"{name}: {what} over training": torch.tensor(curve) for what, curve in curves.items()}
        bits = draws[name]()
        numbers |= {(name, what): value for what, value in scores(bits, config.judge_steps).items()}
        arrays[name] = bits[:24].to(torch.uint8)
    numbers |= real_scores(config.judge_steps, config.true_draws)
    return {"numbers": arms.named(numbers), "arrays": arrays}


TITLES = {
    "nats": "log-likelihood, nats",
    "ms per picture": "ms to draw a picture",
    "sure": "share of sure digits",
    "coverage": "coverage",
    "distance": "distance to true digits",
}


def draw_families(results, config):
    """Nats and distance (moments,) over training, and five scores, a point per seed and model; sixteen samples (16, 64) of the
    first seed."""
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(8.4, 9.8))
    top, bottom = fig.subfigures(2, 1, height_ratios=(1.5, 1))
    both, below = top.subfigures(2, 1, height_ratios=(1, 1.1))
    first, second = both.subplots(1, 2)
    axes = below.subplots(1, 5)
    for ax, what in ((first, "nats"), (second, "distance")):
        for name, look in FAMILIES.items():
            key = f"{name}: {what} over training"
            curves = [r["arrays"][key] for r in results if key in r["arrays"]]
            if curves:
                share = torch.arange(1, len(curves[0]) + 1) / len(curves[0])
                drawing.seed_curves(ax, share, curves, look, marker=look.marker, ms=3.5)
        ax.set(xlabel="share of the steps")
        ax.set_title(f"{TITLES[what]}, over training", fontsize=10)
    second.set_yscale("log")
    second.set_yticks((6, 10, 20), ("6", "10", "20"))
    second.minorticks_off()
    first.legend(*second.get_legend_handles_labels(), loc="lower right", fontsize=9)
    for ax, what in zip(axes, TITLES, strict=True):
        for place, (name, look) in enumerate(FAMILIES.items()):
            if arms.name(name, what) in results[0]["numbers"]:
                drawing.seed_points(ax, place, drawing.over_seeds(results, arms.name(name, what)), look, size=5)
        if arms.name("true digits", what) in results[0]["numbers"]:
            true_digits(ax, results, what, "true digits" if what == "sure" else "")  # elsewhere it would lie on points
        ax.set_title(what, fontsize=10)
        ax.set_xticks(range(len(FAMILIES)), ["VAE", "GAN", "MADE", "gated\nPixelCNN"], rotation=60, fontsize=9)
        ax.set_xlim(-0.5, len(FAMILIES) - 0.5)
    axes[0].annotate("none", (1, 0.5), xycoords=("data", "axes fraction"), ha="center", color="0.3", rotation=90)
    axes[1].set_yscale("log")
    rows = {"true digits, binarized": results[0]["arrays"]["digits"][:16].float()}
    drawing.picture_rows(bottom, rows | {name: results[0]["arrays"][name][:16].float() for name in FAMILIES})
    return fig


def verdict_families(summary):
    """The order of the models by each score, whether nats have settled, and what the columns say to the source's words."""
    said, settled, still = [], [], []
    for what in TITLES:
        found = arms.scores(summary, FAMILIES, what)
        bound = " (of the VAE a bound)" if what == "nats" else ""
        said.append(f"{what}{bound}: {verdicts.ordered(found, least_first=what in ('ms per picture', 'distance'))}")
    for name in FAMILIES:
        key = arms.name(name, late("nats"))
        if key in summary:
            settled.append(_gained(name, summary[arms.name(name, "nats")], summary[key]))
        still.append(
            f"{name} {verdicts.settling(*(summary[arms.name(name, w)] for w in ('distance', late('distance'))))}"
        )
    below = [name for name in FAMILIES if _against(summary, "sure", name, "true digits") == -1]
    return (
        f"By intervals of means, {'; '.join(said)}. Nats gained over the last quarter of the steps: {', '.join(settled)}. Distance over the last "
        f"quarter: {', '.join(still)}. Less sure than of true "
        f"digits, in every seed: {verdicts.listed(below)}. {claims(summary)}"
    )


def _against(summary, what, one, other):
    return verdicts.ranges_apart(summary[arms.name(one, what)], summary[arms.name(other, what)])


def claims(summary):
    """The words of the source against the columns, model by model, by the ranges over the seeds."""
    words = {1: "more in every seed", -1: "less in every seed", 0: "not told apart"}
    sure = {
        pair: words[_against(summary, "sure", *pair)]
        for pair in (("VAE", "GAN"), ("MADE", "GAN"), ("gated PixelCNN", "GAN"))
    }
    time = {name: summary[arms.name(name, "ms per picture")]["mean"] for name in ("GAN", "MADE", "gated PixelCNN")}
    slower = "no run finished"
    if None not in time.values():
        slower = ", ".join(f"{name} {time[name] / time['GAN']:.1f} times" for name in ("MADE", "gated PixelCNN"))
    return (
        f'"VAE: blurred", sure of its samples against the GAN\'s: {sure["VAE", "GAN"]}. "Autoregressive: draws well", the same: '
        f'MADE {sure["MADE", "GAN"]}, gated PixelCNN {sure["gated PixelCNN", "GAN"]}. "Slow", time of a picture over the GAN\'s: '
        f"{slower}."
    )


def tune_families(config, rates, seed=100):
    """The tuning bill of figure 15.6: each model on 1,200 training digits at each rate, scored on the 300 others.

    rates: {field of the configuration: rates to try}. Models with a likelihood by nats, the GAN by its distance.
    """
    images = labeled("digits", "train")[0]
    order = torch.randperm(len(images), generator=generator(0, "validation"))
    x, found = binarize(images[order[1200:]], generator(0, "validation bits")), []
    for (field, tried), name in zip(rates.items(), FAMILIES, strict=True):
        for rate in tried:
            chosen = dataclasses.replace(config, **{field: rate})
            nets, *_ = fit_family(name, chosen, seed, images[order[:1200]], x)
            nats = nats_of(name, nets, chosen, x, seed, 50)
            score = scores(drawn_by(name, nets, chosen, seed), config.judge_steps)["distance"] if nats is None else nats
            found.append((name, rate, round(float(score), 2)))
    return tuple(found)


# 15.7 A leak


@dataclass(frozen=True)
class Leak:
    """MADE on digits, once with masks by which every output sees its own pixel."""

    hidden: int = 128
    batch: int = 100
    steps: int = 1200
    learning_rate: float = 1e-2  # of Adam at the start; falls along half a cosine to 0
    moments: int = 40


KINDS = {"as it should be": Look("as it should be", "blue"), "with a leak": Look("with a leak", "vermillion", "--")}


def with_leak(nets):
    """The slip: "at least" in place of "greater" where hidden units and pixels meet outputs. Returns the networks."""
    made = nets["model"]
    place, units = (
        made.order.argsort(),
        made.inward.mask.sum(1) - 1,
    )  # (d,), (hidden,): the numbers m of pixels and units
    made.outward.mask.copy_(place[:, None] >= units)
    made.direct.mask.copy_(place[:, None] >= place)
    return nets


def run_leak(config, seed, device):
    """The "nats" that a leak reports, what it draws, and what the test by gradient says of it."""
    x, numbers = held_out_bits(labeled("digits", "test")[0]).to(device), {}
    arrays = {"digits": x[:12].flatten(1).to(torch.uint8)}
    for name in KINDS:
        nets = ar.networks(seed, 8, config.hidden)
        nets = (with_leak(nets) if name == "with a leak" else nets).to(device)

        def watch(done, nets=nets):
            return {"nats": mean_log_likelihood(nets["model"], x)}

        history = fit_digits(ar.step, nets, config, seed, device, 1, watch)
        net = nets["model"].to("cpu")
        arrays[f"{name}: nats"] = torch.tensor([w["nats"] for w in history.watched])
        arrays[f"{name}: step"] = torch.tensor([w["step"] for w in history.watched])
        bits = ar.sample(net, uniforms(seed, len(x), 64))
        arrays[f"{name}: samples"] = bits[:12].to(torch.uint8)
        numbers[name, "reported, nats"] = arrays[f"{name}: nats"][-1]
        numbers[name, "share of white pixels in samples"] = bits.mean()
        numbers[name, "outputs that see themselves"] = (ar.sees(net, torch.full((64,), 0.5)).diagonal() > 0).sum()
    numbers["digits", "share of white pixels"] = x.mean()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_leak(results, config):
    """The reported nats over training, every seed; twelve samples (12, 64) of both, first seed, and twelve digits."""
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(8.4, 3.2))
    left, right = fig.subfigures(1, 2, width_ratios=(1, 1.25))
    ax = left.subplots()
    for name, look in KINDS.items():
        curves = [r["arrays"][f"{name}: nats"] for r in results]
        drawing.seed_curves(ax, results[0]["arrays"][f"{name}: step"], curves, look)
    ax.set(xlabel="step", ylabel="reported, nats", ylim=(-40, 1))
    ax.legend(loc="center right")
    rows = {"held-out digits, binarized": results[0]["arrays"]["digits"].float()}
    drawing.picture_rows(right, rows | {f"samples, {k}": results[0]["arrays"][f"{k}: samples"].float() for k in KINDS})
    return fig


def verdict_leak(summary):
    """Whether the leak reports more, draws other pictures, and is found by the gradient."""

    def apart(what):
        return verdicts.ranges_apart(*(summary[arms.name(name, what)] for name in KINDS))

    more, fewer = apart("reported, nats") == -1, apart("share of white pixels in samples")
    found = verdicts.always_above(summary["with a leak: outputs that see themselves"], 0)
    clean = verdicts.always_below(summary["as it should be: outputs that see themselves"], 1)
    return (
        f"{'in every seed' if more else 'not in every seed'} the leak reports more nats; its samples are "
        f"{ {1: 'darker', -1: 'lighter', 0: 'not told apart by their share of white pixels'}[fewer] }; the gradient "
        f"{'tells the two apart in every seed' if found and clean else 'does not tell the two apart in every seed'}."
    )


RECIPES = {
    "15.5": Recipe(
        title="Any order",
        caption="One network for all orders on binarized 8x8 digits, a line per seed. Left, nats of held-out digits over "
        "training: of a MADE trained in raster order, and of the network for all orders, which is larger, in one random "
        "order. Middle, nats at the end against the number of random orders whose likelihoods are averaged (solid). The "
        "averages of their logits (dashed) are the likelihood of no model. Right, the distance of samples to held-out "
        "digits against the number of passes in which a picture is drawn; the gray band is two standard deviations of what "
        "as many true digits score, to either side of their mean. Below, samples. Both rates are the best of three that "
        "were tried over all steps; they fall to 0.",
        alt="Left, rising curves over the steps, those of MADE above the others. Middle, blue curves that rise with the number of "
        "orders, red dashed ones above them, and a dotted line for MADE. Right, "
        "the distance falls from one pass to the right, towards a gray band for true digits. Below, three rows of binary digits: "
        "noise in one pass, rough shapes, digits.",
        run=run_any, draw=draw_any, seeds=tuple(range(5)), verdict=verdict_any, full=Any(),
        quick=Any((64,), 64, steps=300, orders=4, counts=(1, 2, 4), passes=(1, 8, 64), judge_steps=200, moments=4),
    ),
    "15.6": Recipe(
        title="Three families, measured",
        caption="A VAE, a GAN and two autoregressive models of binarized 8x8 digits, a line or a point per seed. Above, "
        "over training: the log-likelihood of held-out digits (exact, for the VAE a bound by importance sampling, for the "
        "GAN none), and the distance of samples to true digits in the features of a judge of digits. Middle, at the end: "
        "nats again, CPU milliseconds to draw a picture, the share of samples of which the judge is sure, the share of "
        "held-out digits that have a sample near them, and the distance again. The bands are two standard deviations of "
        "what as many true digits score, to either side of their mean. All rates fall to 0. Below, true digits, and samples "
        "of the first seed.",
        alt="Rising curves of nats over training, curves of distances that end flat and lie among each other, and five panels with "
        "points for four models. The gated PixelCNN and MADE have higher log-likelihoods than the VAE; the gated PixelCNN takes longest "
        "to draw by far; the judge is surer of samples of these two than of the VAE's and the GAN's. Bands mark true digits. "
        "Below, five rows of binary digits.",
        run=run_families, draw=draw_families, seeds=tuple(range(5)), verdict=verdict_families, full=Families(),
        quick=Families(vae_steps=400, gan_steps=150, made_steps=400, pixelcnn_steps=30, importance=50, judge_steps=200, channels=8, layers=2),
    ),
    "15.7": Recipe(
        title="A leak",
        caption="MADE on binarized 8x8 digits, as it should be, and with \"at least\" in place of \"greater\" in its masks, "
        "so that every output sees its own pixel. Left, the nats that are reported for held-out digits, a curve per seed. "
        "Right, held-out digits, and what the two networks draw.",
        alt="Left, the dashed curves of the leak rise to nearly zero, the others level off far below. Right, a row of binary digits, a "
        "row of pictures that look like them, and a row of pictures that do not.",
        run=run_leak, draw=draw_leak, seeds=tuple(range(5)), verdict=verdict_leak, full=Leak(),
        quick=Leak(steps=200, moments=8),
    ),
}  # fmt: skip
