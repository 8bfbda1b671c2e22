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
from gentools.recipes.shared.fitting import fit_kept
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
CHANGE = {
    FAR: "energy distance at the end minus after three quarters",
    KNOWN: "information at the end minus after three quarters, nats",
}
BEGUN = {FAR: "energy distance when the rounds begin", KNOWN: "information when the rounds begin, nats"}
GAIN = "information at the end minus when the rounds begin, nats"


@dataclass(frozen=True)
class Ring:
    """A VAE and the capstone's model, from the same networks, on the ring."""

    data: Points = RING
    rates: tuple = (("VAE", 3e-3), ("wake-sleep", 1e-3), ("informed start", 1e-2))  # of Adam over `steps`; fall to 0
    tuning: tuple = (  # rate, energy distances after all steps, a run each of seeds 100 and, where there are two, 101
        ("VAE", (1e-3, 0.0102), (3e-3, 0.0077, 0.0101), (1e-2, 0.1046)),
        ("wake-sleep", (3e-4, 0.0701), (1e-3, 0.067, 0.0689), (3e-3, 0.1046, 0.0648), (1e-2, 0.1046)),
        # the informed start failed at 1e-1; its nats fall with the rate: 1.81, 2.11, 1.85, 1.58, 1.36 for seed 100
        (
            "informed start",
            (3e-4, 1.6073),
            (1e-3, 1.2185),
            (3e-3, 0.1078, 0.1998),
            (1e-2, 0.0895, 0.2143),
            (3e-2, 0.0841, 1.1316),
        ),
    )
    steps: int = 10_000  # the rates fall along half a cosine over them
    informed: int = 5000  # steps of a VAE before these, for the informed start: its rate falls alike, to 0 over them
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
    mean, log_variance = (part.cpu().double() for part in nets["encoder"](rows[: config.read].to(device)))
    told, _ = aae.split_kl_term(mean, log_variance, noise(seed, len(mean), 2).double(), aae.log_normal_prior)
    found = {what: float(getattr(score(x, config.data), field)) for what, field in SCORES.items()}
    return found | {FAR: float(aae.energy_distance(x, rows[-DRAWN:])), KNOWN: float(told)}


def train_capstone(name, config, seed, device, rows):
    """Networks after training, and what `looked_at` saw on the way: from step 0 on where a VAE has trained them first."""
    nets, (step, informed), rates = vae_networks(seed).to(device), CAPSTONE[name], dict(config.rates)

    def fitted(step, rate, steps, moments):
        every = max(1, steps // moments)
        return fit_kept(
            step, nets, optimizers(step, nets, rate), rows, 2 if step is vae.step else (2, 2), batch=config.batch,
            steps=steps, seed=seed, device=device, schedule=cosine(steps), log_every=every,
            watch=lambda done: looked_at(nets, rows, config, seed),
        )  # fmt: skip

    start = [fitted(vae.step, rates["VAE"], config.informed, 1).watched[-1] | {"step": 0}] if informed else []
    return nets, start + fitted(step, rates[name], config.steps, config.moments).watched


def run_ring(config, seed, device):
    """Scores over training, samples and codes of the VAE and of the capstone's model from both starts."""
    rows, numbers, arrays = config.data.draw(config.points, seed)[0], {}, {}
    for name, _ in config.rates:
        nets, seen = train_capstone(name, config, seed, device, rows)
        for what in (*SCORES, FAR, KNOWN):
            arrays[f"{name} {what}"] = torch.tensor([each[what] for each in seen])
            numbers[name, what] = seen[-1][what]
        for what, changed in CHANGE.items():
            numbers[name, changed] = change([each[what] for each in seen if each["step"] > 0])
        if seen[0]["step"] == 0:
            numbers |= {(name, begun): seen[0][what] for what, begun in BEGUN.items()}
            numbers[name, GAIN] = seen[-1][KNOWN] - seen[0][KNOWN]
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
    far = [float(r["arrays"][f"{name} {FAR}"].max()) for r in results for name in CAPSTONE]
    axes["x"].set_yscale("symlog", linthresh=0.1)
    axes["x"].set_yticks(ticks := (0, 0.05, 0.1, 0.3, 1, 3), [f"{tick:g}" for tick in ticks])
    axes["x"].minorticks_off()
    axes["x"].set_ylim(-0.35 * levels[CLOUD][FAR], 1.2 * max(levels[CLOUD][FAR], *far))
    axes["y"].set(xlabel="step")
    axes["y"].legend(fontsize=8, loc="lower right")
    return fig


def verdict_ring(summary):
    """The three by energy distance and by information, what rounds make of an informed start, modes, quality, what still moved."""
    ends = [
        f"{name} {verdicts.settling(summary[arms.name(name, FAR)], summary[arms.name(name, CHANGE[FAR])])}"
        for name in CAPSTONE
    ]
    told, gain, late = (summary[arms.name("informed start", what)] for what in (KNOWN, GAIN, CHANGE[KNOWN]))
    begun = summary[arms.name("informed start", BEGUN[KNOWN])]
    word = {1: "add to it", -1: "take from it", 0: "change it by nothing resolved"}[verdicts.sign(gain)]
    levels = without_model(Ring().data, Ring().points)
    quality = [f"{name} {verdicts.span(summary[arms.name(name, 'quality')], '.2f')}" for name in CAPSTONE]
    quality += [f"{name} {found['quality']:.2f}" for name, found in levels.items()]
    far = [f"{name} {round(found[FAR], 4) + 0:.2g}" for name, found in levels.items()]  # the data: 0, but for rounding
    modes = [f"{name} {verdicts.span(summary[arms.name(name, 'modes')], '.0f')}" for name in CAPSTONE]
    return (
        f"by distance to the data, the nearest first, intervals compared: {verdicts.ordered(arms.scores(summary, CAPSTONE, FAR), least_first=True)}; without a model: {', '.join(far)};\n"
        f"  by information in the codes, intervals compared: {verdicts.ordered(arms.scores(summary, CAPSTONE, KNOWN))};\n"
        f"  the rounds of the informed start begin at {verdicts.span(begun, '.2f')} nats and end at {verdicts.span(told, '.2f')} ({verdicts.settling(told, late)}): seed by seed the rounds {word};\n"
        f"  good samples: {', '.join(quality)};\n"
        f"  modes of 8: {', '.join(modes)}; distance over the last quarter: {', '.join(ends)}."
    )
