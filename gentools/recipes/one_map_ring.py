"""Figure 17.4: the model of the capstone on the ring, from two starts, beside a VAE with the same networks."""

import functools
from dataclasses import dataclass

import torch

from gentools import aae, one_map, vae
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.recipes.one_map_points import device_of, from_decoder, noise, vae_networks
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.fitting import fit, fit_kept
from gentools.recipes.shared.points import DRAWN, RING, Points, score

CAPSTONE = {  # name: its step, and whether a VAE trains the networks first
    "VAE": (vae.step, False),
    "wake-sleep": (one_map.step, False),
    "informed start": (one_map.step, True),
}
LINES = {"VAE": "--", "wake-sleep": ":", "informed start": "-"}
SCORES = {"modes": "covered", "quality": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
FAR, KNOWN = "energy distance", "information, nats"
FRESH, CLOUD = "the data", "round cloud"  # levels without a model
CHANGE = "energy distance at the end minus after three quarters"


@dataclass(frozen=True)
class Ring:
    """A VAE and the capstone's model, from the same networks, on the ring."""

    data: Points = RING
    rates: tuple = (("VAE", 3e-3), ("wake-sleep", 1e-3), ("informed start", 3e-3))  # of Adam at the start; fall to 0
    tuning: tuple = (  # rate, energy distances after all steps, a run each of seeds 100 and, where there are two, 101
        ("VAE", (1e-3, 0.0102), (3e-3, 0.0077, 0.0101), (1e-2, 0.1046)),
        ("wake-sleep", (3e-4, 0.0701), (1e-3, 0.067, 0.0689), (3e-3, 0.1046, 0.0648), (1e-2, 0.1046)),
        ("informed start", (3e-4, 0.0688), (1e-3, 0.0681, 0.069), (3e-3, 0.0635, 0.0697), (1e-2, 0.1046)),
    )
    steps: int = 10_000  # the rates fall along half a cosine over them
    informed: int = 400  # of them, but at most half: those of a VAE at a constant rate, for the informed start
    batch: int = 128
    points: int = 20_000  # drawn once, to train on
    read: int = 1500  # points whose codes are read for the information
    moments: int = 8  # at which samples are scored


def optimizers(step, nets, rate):
    """One Adam for a VAE, or one for each network."""
    if step is vae.step:
        return {"vae": adam(nets.parameters(), rate)}
    return {part: adam(nets[part].parameters(), rate) for part in nets}


@torch.no_grad()
def looked_at(nets, rows, config, seed):
    """{score: number} of samples and codes: modes, quality, overlap, energy distance to the data, and I(x; z)."""
    x, device = from_decoder(nets, DRAWN, seed).cpu(), device_of(nets)
    mean, log_variance = (part.cpu() for part in nets["encoder"](rows[: config.read].to(device)))
    told, _ = aae.split_kl_term(mean, log_variance, noise(seed, len(mean), 2), aae.log_normal_prior)
    found = {what: float(getattr(score(x, config.data), field)) for what, field in SCORES.items()}
    return found | {FAR: float(aae.energy_distance(x, rows[-DRAWN:])), KNOWN: float(told)}


def train_capstone(name, rate, config, seed, device, rows):
    """Networks after training, and what `looked_at` saw on the way."""
    nets, (step, informed) = vae_networks(seed).to(device), CAPSTONE[name]
    first = min(config.informed, config.steps // 2) if informed else 0
    if first:
        fit(vae.step, nets, optimizers(vae.step, nets, rate), rows, 2, batch=config.batch, steps=first, seed=seed,
            device=device)  # fmt: skip
    history = fit_kept(
        step, nets, optimizers(step, nets, rate), rows, 2 if step is vae.step else (2, 2), batch=config.batch,
        steps=config.steps - first, seed=seed, device=device, schedule=cosine(config.steps - first),
        watch=lambda done: looked_at(nets, rows, config, seed), log_every=max(1, (config.steps - first) // config.moments),
    )  # fmt: skip
    return nets, [{**seen, "step": seen["step"] + first} for seen in history.watched]


def run_ring(config, seed, device):
    """Scores over training, samples and codes of the VAE and of the capstone's model from both starts."""
    rows, numbers, arrays = config.data.draw(config.points, seed)[0], {}, {}
    for name, rate in config.rates:
        nets, seen = train_capstone(name, rate, config, seed, device, rows)
        for what in (*SCORES, FAR, KNOWN):
            arrays[f"{name} {what}"] = torch.tensor([each[what] for each in seen])
            numbers[name, what] = seen[-1][what]
        distance = arrays[f"{name} {FAR}"]
        numbers[name, CHANGE] = change(distance)
        with torch.no_grad():
            shown = rows[:DRAWN].to(device)
            arrays[f"{name} codes"] = vae.sample(*nets["encoder"](shown), noise(seed, len(shown), 2, like=nets))
        arrays[f"{name} samples"] = from_decoder(nets, DRAWN, seed).cpu()
        arrays[f"{name} step"] = torch.tensor([each["step"] for each in seen])
    return {"numbers": arms.named(numbers), "arrays": arrays}


@functools.cache
def without_model(data, points):
    """{name: {score: number}} of fresh draws of the data, and of a Gaussian with the data's deviation."""
    rows = data.draw(points, 0)[0]
    round_cloud = rows.std() * torch.randn(DRAWN, 2, generator=generator(0, "round cloud"))
    rivals = {FRESH: data.draw(DRAWN, "fresh")[0], CLOUD: round_cloud}
    return {
        name: {FAR: float(aae.energy_distance(x, rows[-DRAWN:])), "quality": score(x, data).quality}
        for name, x in rivals.items()
    }


def draw_ring(results, config):
    """Samples and codes (2500, 2) of the first seed; right, distance and information (moments,) of every seed."""
    fig, axes = drawing.mosaic("acex;bdfy", (8.4, 4.3), width_ratios=(1, 1, 1, 1.35))
    for (one, other), name in zip(("ab", "cd", "ef"), CAPSTONE, strict=True):
        for key, what in ((one, "samples"), (other, "codes")):
            drawing.dots(axes[key], results[0]["arrays"][f"{name} {what}"], "blue", size=1.2)
            axes[key].set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal", xticks=(), yticks=())
        drawing.crosses(axes[one], config.data.centers(), "vermillion", size=4)
        axes[one].set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6))
        axes[one].set_title(name, fontsize=10)
    axes["a"].set_ylabel("samples")
    axes["b"].set_ylabel("codes")
    for key, what in (("x", FAR), ("y", KNOWN)):
        for name in CAPSTONE:
            for r in results:
                label = name if r is results[0] else None
                axes[key].plot(r["arrays"][f"{name} step"], r["arrays"][f"{name} {what}"], color=COLORS["blue"],
                               ls=LINES[name], lw=1, label=label)  # fmt: skip
        axes[key].set_title(what, fontsize=10)
        axes[key].set(ylim=(0, None))
    levels = without_model(config.data, config.points)
    for name, found in levels.items():
        drawing.level(axes["x"], found[FAR], name, at=0.98, ha="right", above=-12 if name == FRESH else 3)
    axes["x"].set_ylim(-0.14 * levels[CLOUD][FAR], 1.2 * levels[CLOUD][FAR])
    axes["y"].set(xlabel="step")
    axes["y"].legend(fontsize=8, loc="lower right")
    return fig


def verdict_ring(summary):
    """The three by energy distance and by information, modes and quality, and what was still moving."""
    ends = [
        f"{name} {verdicts.settling(summary[arms.name(name, FAR)], summary[arms.name(name, CHANGE)])}"
        for name in CAPSTONE
    ]
    levels = without_model(Ring().data, Ring().points)
    quality = [f"{name} {verdicts.span(summary[arms.name(name, 'quality')], '.2f')}" for name in CAPSTONE]
    quality += [f"{name} {found['quality']:.2f}" for name, found in levels.items()]
    far = [f"{name} {round(found[FAR], 4) + 0:.2g}" for name, found in levels.items()]  # the data: 0, but for rounding
    modes = [f"{name} {verdicts.span(summary[arms.name(name, 'modes')], '.0f')}" for name in CAPSTONE]
    return (
        f"by distance to the data, the nearest first, intervals compared: {verdicts.ordered(arms.scores(summary, CAPSTONE, FAR), least_first=True)}; without a model: {', '.join(far)};\n"
        f"  by information in the codes, intervals compared: {verdicts.ordered(arms.scores(summary, CAPSTONE, KNOWN))};\n"
        f"  good samples: {', '.join(quality)};\n"
        f"  modes of 8: {', '.join(modes)}; distance over the last quarter: {', '.join(ends)}."
    )
