"""Experiments of chapter 09 with networks on the grid of 25 Gaussians. The exact games are in ali_games, digits in
ali_digits."""

import functools
import itertools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from gentools import ali, evaluation, gan, vae
from gentools.lab import data
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, ali_digits, ali_few, ali_games
from gentools.recipes.ali_games import LOOKS
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import last_quarter, late_change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.points import DRAWN, GRID, chance, score

# Networks on the grid


def silent_networks(seed):
    """The small networks of `ali.toy_networks`, with a generator that adds no noise."""
    return ali.toy_networks(seed, noise_std=0.0)


@dataclass(frozen=True)
class Training:
    """ALI on the grid."""

    networks: object = ali.toy_networks  # a function of the seed that makes them
    batch: int = 128
    steps: int = 12_000
    points: int = 100_000  # drawn once, to train on
    betas: tuple = (0.5, 0.999)  # of Adam
    held_out: int = 10_000  # fresh points, to judge with
    critic_steps: int = 1500  # of the independent critic


FULL = Training(networks=ali.ali_networks, batch=100, steps=200_000, betas=(0.8, 0.999))  # ALI's own

STEPS = {
    "joint KL": ali.full_step,
    "joint KL, logit": functools.partial(ali.step, losses=(ali.tamed, ali.non_saturating_loss)),
    **{name: functools.partial(ali.step, losses=ali.LOSSES[name]) for name in ali_games.OTHERS},
}


def optimize(config, nets, step, learning_rate, seed, device, *, steps=None, latent=(3, 2), **how):
    """Train networks on the grid with one step function, the rate falling along half a cosine; what is frozen stays.

    Returns the History. steps: those of the configuration, unless given. latent, how: as in `fitting.fit`.
    """
    nets, steps = nets.to(device), steps or config.steps
    rows = data.grid(config.points, seed)[0]  # (points, 2)
    opts = adams(nets, learning_rate, config.betas)
    return fit(step, nets, opts, rows, latent, batch=config.batch, steps=steps, seed=seed, device=device,
               schedule=cosine(steps), **how)  # fmt: skip


class HeldOut(NamedTuple):
    """Fresh points (n, 2) of the grid with their components (n,), and noise (n, 3, 2) for pairs."""

    x: object
    component: object
    noise: object


def held_out(config, seed, *keys):
    """Points that no training saw, and noise; `keys` tell several such sets of one seed apart."""
    x, component = data.grid(config.held_out, f"held out {seed} {keys}")
    return HeldOut(x, component, torch.randn(len(x), 3, 2, generator=generator(seed, "held out", *keys)))


def drawn(nets, x, noise):
    """Codes, samples and reconstructions, each (n, 2), on the CPU, for x (n, 2) and noise (n, 3, 2)."""
    device = next(nets.parameters()).device
    return tuple(part.cpu() for part in ali.draw(nets, x.to(device), noise.to(device)))


def mismatch(nets, config, seed):
    """A lower bound of JS(P, Q) in nats from a critic that no player met: trained on fresh pairs, read on others.

    It is log 2 minus half the critic's loss (5.5): 0 if the critic finds nothing, log 2 if it tells every pair.
    """
    critic = mlp([4, 128, 128, 1], generator=generator(seed, "critic"))
    sets = []
    for part in ("critic trains", "critic is read"):
        x, _, noise = held_out(config, seed, part)
        code, fake, _ = drawn(nets, x, noise)
        sets.append((torch.cat([x, code], 1), torch.cat([fake, noise[:, 0]], 1)))  # pairs of P and of Q, (n, 4)
    real, fake = sets[0]
    n, steps = len(real), range(config.critic_steps)
    chosen = (torch.randint(n, (2, 256), generator=generator(seed, "critic", t)) for t in steps)
    batches = ((real[i], fake[j]) for i, j in chosen)
    return evaluation.critic_bound(critic, adam(critic.parameters(), 1e-3), batches, *sets[1], evaluation.together)


def judge(nets, config, seed):
    """{what: number}: modes and quality of samples, reconstruction error, distance of codes, joint mismatch."""
    x, _, noise = held_out(config, seed)
    code, fake, back = drawn(nets, x, noise)
    found = score(fake[:DRAWN], GRID)
    return {
        "modes": found.covered,
        "high-quality share": found.quality,
        "reconstruction error": (x - back).norm(dim=1).mean(),
        "codes to prior": evaluation.frechet(code, noise[:, 0]),
        "joint mismatch": mismatch(nets, config, seed),
    }


# 9.4 Choosing the learning rates

TRIED = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # at one scale or another


@dataclass(frozen=True)
class Rates:
    """Every loss at every learning rate."""

    training: Training
    losses: tuple = tuple(STEPS)
    learning_rates: tuple = (1e-3, 3e-3, 1e-2, 3e-2)  # of all players


def run_rates(config, seed, device):
    """The grid with each loss at each learning rate: how the rates of figure 9.5 were chosen."""
    numbers = {}
    for name in config.losses:
        for rate in config.learning_rates:
            nets = config.training.networks(seed)
            optimize(config.training, nets, STEPS[name], rate, seed, device)
            numbers[arms.at_rate(name, rate)] = judge(nets, config.training, seed)["joint mismatch"]
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    """Joint mismatch against learning rate: a line through the means and a point per seed for each loss."""
    looks = {name: LOOKS[name] for name in config.losses}
    fig, ax = drawing.rates_panel(results, config.learning_rates, looks, beside=1.012, width=6.8)
    ax.axhline(math.log(2), color="0.45", lw=1, ls=":")
    ax.set(xlabel="learning rate of all players", ylabel="joint mismatch, nats", ylim=(0, 0.75))
    fig.legend(loc="outside right upper")
    return fig


def verdict_rates(summary):
    """The learning rate of the least mean joint mismatch, for each loss."""
    return verdicts.best_rates(arms.trials(summary, STEPS, TRIED), "joint mismatch", least_first=True, alike=1e-3)


# 9.5, 9.6 Five losses on the grid, with a density and without


@dataclass(frozen=True)
class Compare:
    """Each loss at its own learning rate, from the same networks, batches and noise."""

    training: Training
    learning_rates: tuple = tuple((name, 1e-2 if name in ("joint KL", "minimax") else 3e-3) for name in STEPS)  # by 9.4
    beside: tuple = ()  # the same at other rates, to see what the rate decides


WHAT = {  # a score of a run: 1 if more of it is better, -1 if less
    "modes": 1,
    "high-quality share": 1,
    "reconstruction error": -1,
    "codes to prior": -1,
    "joint mismatch": -1,
}
FAR = 10.0  # a distance of the codes from the prior, in squared units, that says that they have left it
LOST = "codes have left the prior"  # name of a number that is 1 where they have
SHORT = {
    "joint KL": "joint\nKL",
    "joint KL, logit": "logit\nform",
    "truncated": "trunc.",
    "minimax": "mini-\nmax",
    "swapped": "swap-\nped",
}


def arms_of(config):
    """{arm: (loss, rate)} of a comparison: an arm has its loss's name, and its rate where that is not the loss's own."""
    own = {name: (name, rate) for name, rate in config.learning_rates}
    return own | {arms.at_rate(name, rate): (name, rate) for name, rate in config.beside}


def run_compare(config, seed, device):
    """The grid with each of the losses, from the same networks, batches and noise."""
    numbers = {}
    for arm, (name, rate) in arms_of(config).items():
        nets = config.training.networks(seed)
        optimize(config.training, nets, STEPS[name], rate, seed, device)
        found = judge(nets, config.training, seed)
        numbers |= {(arm, what): found[what] for what in WHAT}
        numbers[arm, LOST] = float(found["codes to prior"] >= FAR)
    return {"numbers": arms.named(numbers), "arrays": {}}


def unskilled():
    """What samplers without skill and pairs without a tie would score: {what: {line: value}}."""
    found = chance(GRID)
    x = data.grid(20_000, "pairs without a tie")[0]
    return {
        "modes": {name: v[0] for name, v in found.items()},
        "high-quality share": {name: v[1] for name, v in found.items()},
        "reconstruction error": {"another point": float((x[:10_000] - x[10_000:]).norm(dim=1).mean())},
        "joint mismatch": {"log 2: every pair told": math.log(2)},
    }


def draw_compare(results, config):
    """A panel per score: every seed of every arm, beside what lacks skill; no mean where runs are of two kinds."""
    fig, axes = drawing.panels(3, 2, (8.4, 8.6))
    shown, lines = arms_of(config), unskilled()
    shown = {arm: shown[arm] for arm in sorted(shown, key=lambda arm: [*STEPS].index(shown[arm][0]))}
    split = {arm for arm in shown if len(set(drawing.over_seeds(results, arms.name(arm, LOST)))) > 1}
    twice = {name for name, _ in config.beside}
    for ax, what in zip(axes.flat, WHAT, strict=False):
        for i, (arm, (name, _)) in enumerate(shown.items()):
            values = drawing.over_seeds(results, arms.name(arm, what))
            width = 0.5 / len(values)
            drawing.seed_points(ax, i, values, LOOKS[name], width, size=5, half_width=0 if arm in split else 0.3)
        labels = [f"{SHORT[name]}\n{rate:g}" if name in twice else SHORT[name] for name, rate in shown.values()]
        ax.set(xticks=range(len(shown)), xlim=(-0.5, len(shown) - 0.5))
        ax.set_xticklabels(labels, fontsize=9)
        for (line, value), ls in zip(lines.get(what, {}).items(), ("-", "--", ":"), strict=False):
            ax.axhline(value, color="0.45", ls=ls, lw=1.2, zorder=0, label=line)
        ax.set(title=what)
    axes[0, 0].set_ylim(0, 26.5)
    axes[0, 1].set_ylim(-0.03, 1.06)
    for ax in (axes[1, 0], axes[1, 1]):
        ax.set_yscale("log")
    axes[1, 0].set_yticks((0.5, 1, 2, 5, 10), ("0.5", "1", "2", "5", "10"))
    axes[2, 0].set_ylim(0, 0.75)
    another = lines["reconstruction error"]["another point"]
    for ax, text, value in ((axes[1, 0], "another point", another), (axes[2, 0], "log 2", math.log(2))):
        ax.annotate(text, (len(shown) - 0.6, value), (0, 3), textcoords="offset points", color="0.3", ha="right")
    axes[2, 1].set_axis_off()
    marks = [axes[2, 1].plot([], [], **LOOKS[name].as_points())[0] for name, _ in config.learning_rates]
    axes[2, 1].legend(handles=marks + axes[0, 0].get_legend_handles_labels()[0], loc="center")
    return fig


RIVALS = ("minimax", "swapped")


def verdict_compare(summary):
    """Whether the truncated losses keep up, in how many runs codes leave the prior, how the repaired ones do, and rates."""
    names = [name for name in STEPS if arms.name(name, "modes") in summary]
    beside = {arms.at_rate(*each): each[0] for each in itertools.product(names, TRIED)}
    beside = {arm: name for arm, name in beside.items() if arms.name(arm, "modes") in summary}
    left = arms.scores(summary, [*names, *beside], LOST)
    if not any(map(verdicts.finished, left.values())):
        return "No run finished."
    claims = [_against(summary, "truncated", rival) for rival in RIVALS]
    refuted = any("worse" in claim for claim in claims)
    said = [f"That the truncated losses are as good or slightly better is {'refuted' if refuted else 'not refuted'}"]
    said += claims
    counts = [f"{verdicts.count(s)} of {verdicts.finished(s)} runs of {name}" for name, s in left.items()]
    said.append(f"Codes end at least {FAR:g} from the prior in {verdicts.listed(counts)}")
    two_kinds = {name for name, s in left.items() if 0 < verdicts.count(s) < verdicts.finished(s)}
    for name in ("joint KL", "joint KL, logit"):
        if name not in names:
            continue
        if name in two_kinds:
            said.append(f"{LOOKS[name].label}: its runs are of two kinds, and no mean is compared")
        else:
            said += [f"{LOOKS[name].label}: {'. '.join(_against(summary, name, rival) for rival in RIVALS)}"]
    for arm, name in beside.items():
        if two_kinds & {arm, name}:
            said.append(f"{arm}: there or at the rate of {name} the runs are of two kinds, and no mean is compared")
        else:
            said.append(f"{LOOKS[name].label} at its own rate: {_against(summary, name, arm)}")
    return ". ".join(sentence[0].upper() + sentence[1:] for sentence in said) + "."


def _against(summary, name, rival):
    """In which scores one arm is better than another by the intervals of the means, in which they meet, and in which it is worse."""
    signs = {
        what: better * verdicts.separated(summary[arms.name(name, what)], summary[arms.name(rival, what)])
        for what, better in WHAT.items()
    }
    words = {1: "better in", 0: "intervals meet in", -1: "worse in"}
    parts = {word: [what for what in WHAT if signs[what] == sign] for sign, word in words.items()}
    return f"Against {rival} " + "; ".join(f"{word} {', '.join(found)}" for word, found in parts.items() if found)


# 9.7 Five rows, four columns


@dataclass(frozen=True)
class Rows:
    """ALI beside three other ways to get codes."""

    training: Training
    gan_networks: object = gan.toy_networks  # a function of the seed that makes both players
    learning_rate: float = 3e-3  # of ALI and of the encoder found afterwards, by figure 9.4
    other_learning_rate: float = 1e-3  # of the GAN, by figure 5.8, of its inverse and of the VAE
    inverse_steps: int = 4000
    hidden: tuple = (128, 128)  # layers of the VAE
    every: int = 1000  # steps between evaluations


COLUMNS = {"ALI": "ALI", "inverse": "GAN, inverse", "post-hoc": "GAN, post-hoc", "VAE": "VAE"}
CURVES = {"ALI": Look("ALI", "blue", "-"), "GAN": Look("GAN", "orange", "--")}


def trained(config, nets, step, learning_rate, samples, seed, device, **how):
    """Networks after training, and the high-quality share of samples(nets) on the way, a tensor (looks,)."""

    def seen(done):
        return {"quality": score(samples(nets)[:DRAWN], GRID).quality}

    history = optimize(config.training, nets, step, learning_rate, seed, device, watch=seen, log_every=config.every,
                       **how)  # fmt: skip
    return nets, torch.tensor([look["quality"] for look in history.watched])


def afterwards(config, plain, step, learning_rate, steps, seed, device):
    """An encoder for a finished GAN, whose generator stays as it is."""
    nets = config.training.networks(seed)
    nets["players"]["generator"] = ali.Generator(plain["generator"].eval().requires_grad_(False))
    optimize(config.training, nets, step, learning_rate, seed, device, steps=steps)
    return nets


def vae_parts(config, held, seed, device):
    """Codes, samples and reconstructions (n, 2) of a VAE, on the CPU."""
    nets = vae.networks(seed, 2, config.hidden, 2, vae.Gaussian).to(device)
    t, rows = config.training, data.grid(config.training.points, seed)[0]
    opts = {"vae": adam(nets.parameters(), config.other_learning_rate)}
    fit(vae.step, nets, opts, rows, 2, batch=t.batch, steps=t.steps, seed=seed, device=device, schedule=cosine(t.steps))
    x, noise = held.x.to(device), held.noise.to(device)
    with torch.no_grad():
        code = vae.sample(*nets["encoder"](x), noise[:, 1])  # (n, 2)
        return tuple(part.cpu() for part in (code, nets["decoder"](noise[:, 0]), nets["decoder"](code)))


def run_rows(config, seed, device):
    """ALI, a GAN with an inverse mapping, the same GAN with an encoder found afterwards by ALI's game, and a VAE."""
    t, held = config.training, held_out(config.training, seed)
    z, rate, other = held.noise[:, 0], config.learning_rate, config.other_learning_rate

    def of_pairs(nets):
        return drawn(nets, held.x, held.noise)

    def of_gan(nets):
        return gan.sample(nets, z.to(device)).cpu()

    joint, ali_curve = trained(config, t.networks(seed), ali.step, rate, lambda nets: of_pairs(nets)[1], seed, device)
    plain, gan_curve = trained(config, config.gan_networks(seed), gan.step, other, of_gan, seed, device, latent=2)
    inverse = afterwards(config, plain, ali.inverse_step, other, config.inverse_steps, seed, device)
    found = afterwards(config, plain, ali.step, rate, t.steps // 2, seed, device)
    parts = {name: of_pairs(nets) for name, nets in (("ALI", joint), ("inverse", inverse), ("post-hoc", found))}
    parts["VAE"] = vae_parts(config, held, seed, device)
    arrays = {"x": held.x[:2500], "z": z[:2500], "component": held.component[:2500]}
    for name, part in parts.items():
        arrays |= {f"{name} {what}": rows[:2500] for what, rows in zip(("code", "sample", "back"), part, strict=True)}
    curves = {"ALI": ali_curve, "GAN": gan_curve}
    numbers = numbers_of_rows(held.x, parts, curves)
    return {"numbers": numbers, "arrays": arrays | {f"{name} curve": curve for name, curve in curves.items()}}


def numbers_of_rows(x, parts, curves):
    """Reconstruction errors of all columns, three scores of the samples of each model, and two shares halfway."""
    numbers = {(name, "reconstruction error"): (x - back).norm(dim=1).mean() for name, (_, _, back) in parts.items()}
    for model, column in (("ALI", "ALI"), ("GAN", "inverse"), ("VAE", "VAE")):
        fake = parts[column][1]  # (n, 2)
        found = score(fake[:DRAWN], GRID)
        numbers |= {
            (model, "modes, any sample"): len(torch.cdist(fake, GRID.centers()).argmin(1).unique()),  # ALI's rule
            (model, "modes, good samples"): found.covered,
            (model, "high-quality share"): found.quality,
        }
    for model, curve in curves.items():
        numbers[model, "high-quality share halfway"] = curve[len(curve) // 2 - 1]
    return arms.named(numbers)


def draw_rows(results, config):
    """Five rows of samples (2500, 2) of the seed with ALI's median share; below, that share over training (looks,)."""
    order = sorted(results, key=lambda r: float(r["numbers"]["ALI: high-quality share"]))
    keys = [[f"{row} {name}" for name in COLUMNS] for row in range(5)] + [["curve"] * 4]
    fig, axes = drawing.mosaic(keys, (7.8, 10.8), height_ratios=[1] * 5 + [0.85])
    for name in COLUMNS:
        draw_column(axes, name, order[(len(order) - 1) // 2]["arrays"])
    for i, label in enumerate(("held-out data", "codes", "reconstructions", "prior", "samples")):
        axes[f"{i} ALI"].set_ylabel(label)
    for name, look in CURVES.items():
        curves = [r["arrays"][f"{name} curve"] for r in results]
        drawing.seed_curves(axes["curve"], config.every * torch.arange(1, len(curves[0]) + 1), curves, look, lw=1)
    axes["curve"].set(xlabel="step", ylabel="high-quality share", ylim=(0, 1), title="every seed")
    axes["curve"].legend(loc="upper left")
    return fig


def draw_column(axes, name, a, n=1200):
    """Data, codes, reconstructions, prior and samples of one model, colored by component or by the nearest mode."""
    fake = a[f"{name} sample"][:n]
    made = torch.cdist(fake, GRID.centers()).argmin(1)
    for i, points in enumerate((a["x"], a[f"{name} code"], a[f"{name} back"], a["z"], fake)):
        ax, reach = axes[f"{i} {name}"], 4 if i in (1, 3) else 6
        how = dict(c=made if i > 2 else a["component"][:n], cmap="gist_rainbow", vmin=0, vmax=24)
        ax.scatter(*points[:n].T, s=1.6, linewidths=0, antialiased=False, **how)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())
    axes[f"0 {name}"].set_title(COLUMNS[name])


def verdict_rows(summary):
    """ALI against the GAN by four scores of their samples, and whether training still moved their share at the end."""
    words = {1: "above", 0: "not separated from", -1: "below"}
    said = []
    for what in ("modes, any sample", "modes, good samples", "high-quality share halfway", "high-quality share"):
        one, other = (summary[arms.name(name, what)] for name in ("ALI", "GAN"))
        said.append(f"{what.replace(', ', ' of ')}: ALI is {words[verdicts.separated(one, other)]} the GAN")
    ends = ("high-quality share", "high-quality share halfway")
    moving = [name for name in CURVES if verdicts.separated(*(summary[arms.name(name, what)] for what in ends))]
    return (
        "ALI and the GAN are compared over seeds, at equal steps and each at its own learning rate. By "
        f"{'; by '.join(said)}. By its intervals the high-quality share moves in the second half of training with "
        f"{verdicts.listed(moving, 'neither')}."
    )


# 9.10 To the end


class Game(NamedTuple):
    """One way to train to the end: what makes the networks of a seed, the step, the shape of its noise, the look."""

    networks: object
    step: object
    latent: object
    look: Look


PAIRED = ("joint KL", "joint KL, logit", "minimax", "swapped")  # losses, on the networks of figure 9.5
WITHOUT = {  # noise in the generator, as in figure 9.7
    "ALI": Game(
        ali.implicit_networks, STEPS["swapped"], (3, 2), Look("ALI (swapped), G without noise", "black", "-", "P")
    ),
    "GAN": Game(gan.toy_networks, gan.step, 2, Look("GAN, G without noise", "purple", "--", "X")),
}
GAMES = {name: Game(ali.toy_networks, STEPS[name], (3, 2), LOOKS[name]) for name in PAIRED} | WITHOUT
CONTRASTS = {  # recorded name of a difference: its two games
    "logit form for minimax": ("joint KL, logit", "minimax"),
    "logit form for swapped": ("joint KL, logit", "swapped"),
    "minimax for swapped": ("minimax", "swapped"),
    "ALI for GAN": ("ALI", "GAN"),
}
ENDS = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`
AWAY = "share of the last quarter with codes away from the prior"


@dataclass(frozen=True)
class Long:
    """Every game at one constant rate, on and on."""

    training: Training
    learning_rate: float = 1e-3  # of all players in every game
    # (game, (rate, overlap), ...): one run of all steps each, on a seed that is not shown
    tuning: tuple = (
        ("joint KL", (5e-4, 0.402), (1e-3, 0.348), (2e-3, 0.160)),
        ("joint KL, logit", (5e-4, 0.318), (1e-3, 0.338), (2e-3, 0.375)),
        ("minimax", (5e-4, 0.725), (1e-3, 0.653), (2e-3, 0.375)),
        ("swapped", (5e-4, 0.397), (1e-3, 0.417), (2e-3, 0.365)),
        ("ALI", (5e-4, 0.438), (1e-3, 0.510), (2e-3, 0.580)),
        ("GAN", (5e-4, 0.458), (1e-3, 0.305), (2e-3, 0.422)),
    )
    moments: int = 16  # at which a run is judged, equally spaced


def judge_long(nets, config, seed):
    """The scores of the samples in `ENDS`; where the networks have an encoder, also those of reconstructions and pairs."""
    x, _, noise = held_out(config, seed)
    of_pairs = {}
    if "players" in nets:
        code, fake, back = drawn(nets, x, noise)
        of_pairs = {
            "reconstruction error": (x - back).norm(dim=1).mean(),
            "codes to prior": evaluation.frechet(code, noise[:, 0]),
            "joint mismatch": mismatch(nets, config, seed),
        }
    else:
        fake = gan.sample(nets, noise[:, 0].to(next(nets.parameters()).device)).cpu()
    found = score(fake[:DRAWN], GRID)
    return {what: getattr(found, field) for what, field in ENDS.items()} | of_pairs


def run_long(config, seed, device):
    """Every game from one start per seed. These scores swing, so a run ends with the mean of its last quarter."""
    t = config.training
    rows = data.grid(t.points, seed)[0]  # (points, 2)
    ends, arrays = {}, {}
    for name, game in GAMES.items():
        nets = game.networks(seed).to(device)
        seen = fit(game.step, nets, adams(nets, config.learning_rate, t.betas), rows, game.latent, batch=t.batch, steps=t.steps,
                   seed=seed, device=device, watch=lambda done, nets=nets: judge_long(nets, t, seed),
                   log_every=t.steps // config.moments)  # fmt: skip
        curves = {what: torch.tensor([float(moment[what]) for moment in seen.watched]) for what in seen.watched[0]}
        curves.pop("step")
        arrays |= {arms.name(name, what): curve for what, curve in curves.items()}  # (moments,) each
        ends |= {(name, what): last_quarter(curve) for what, curve in curves.items()}
        ends |= {
            (name, f"{what}, change over the last quarter"): late_change(curves[what]) for what in ("overlap", "modes")
        }
        if "codes to prior" in curves:
            ends[name, AWAY] = last_quarter((curves["codes to prior"] >= FAR).float())
    for name, (one, other) in CONTRASTS.items():
        ends |= {(name, f"{what} gained"): ends[one, what] - ends[other, what] for what in ENDS}
    return {"numbers": arms.named(ends), "arrays": arrays}


def draw_long(results, config):
    """Overlap over training, with noise in the generator and without; below, means over the last quarter, every seed."""
    fig, axes = drawing.panels(3, 2, (8.4, 9.0))
    for ax, names, title in zip(axes[0], (PAIRED, WITHOUT), ("noise in the generator", "no noise"), strict=True):
        for name in names:
            steps, look = config.training.steps, GAMES[name].look
            drawing.course(ax, results, arms.name(name, "overlap"), steps, look, markevery=2)
        ax.set(title=title, xlabel="thousand steps", ylim=(0, 1))
    axes[0, 0].set_ylabel("overlap with the grid")
    looks = {name: game.look for name, game in GAMES.items()}
    short = SHORT | {"ALI": "ALI", "GAN": "GAN"}
    for ax, what in zip(axes[1:].flat, ("overlap", "modes", "codes to prior", "joint mismatch"), strict=True):
        names = {name: arms.name(name, what) for name in GAMES if arms.name(name, what) in results[0]["numbers"]}
        drawing.seed_columns(ax, results, names, looks, spread=0.08, half_width=0 if what == "codes to prior" else 0.3)
        ax.set_xticklabels([short[name] for name in names], fontsize=9)
        ax.set(title=f"{what}, last quarter")
    axes[1, 0].set_ylim(0, 1)
    axes[1, 1].set_ylim(0, 25.8)
    axes[2, 0].set_yscale("log")
    axes[2, 1].set_ylim(0, 0.75)
    axes[2, 1].axhline(math.log(2), color="0.45", lw=1, ls=":")
    handles, labels = ([*of[0], *of[1]] for of in zip(*(ax.get_legend_handles_labels() for ax in axes[0]), strict=True))
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


def verdict_long(summary):
    """The games in the order of their overlap and modes, whether these have settled, how often codes are away, differences.

    A mean over runs of two kinds, codes at the prior and away from it, is compared with no other.
    """
    away = arms.scores(summary, PAIRED + tuple(WITHOUT), AWAY)
    two_kinds = [name for name, of in away.items() if of["mean"] is not None and 0 < of["mean"] < 1]
    found = {what: arms.scores(summary, GAMES, what) for what in ("overlap", "modes")}
    moved = {what: arms.scores(summary, GAMES, f"{what}, change over the last quarter") for what in found}
    said = [f"no mean is compared, for the runs are of two kinds: {verdicts.listed(two_kinds)}"] if two_kinds else []
    said += [
        f"{what}, the most first: {verdicts.ordered({name: of[name] for name in of if name not in two_kinds})}"
        for what, of in found.items()
    ]
    for what, of in found.items():
        ends = ", ".join(f"{name} {verdicts.settling(of[name], moved[what][name])}" for name in of)
        said.append(f"{what} over the last quarter: {ends}")
    said.append(f"codes at least {FAR:g} from the prior, share of the last quarter: "
                + ", ".join(f"{name} {verdicts.mean(of, '.2f')}" for name, of in away.items()))  # fmt: skip
    words = {1: "more", 0: "not separated", -1: "less"}
    for what in found:
        gains = arms.scores(summary, CONTRASTS, f"{what} gained")
        said.append(
            f"{what}, seed by seed: {', '.join(f'{name} {words[verdicts.sign(of)]}' for name, of in gains.items())}"
        )
    return ";\n  ".join(said) + "."


FOUR = tuple((name, 3e-3) for name in ali.LOSSES)
SAMPLERS = tuple(STEPS)[1:]  # what an encoder without a density can train with
QUICK = Training(steps=200, points=20_000, critic_steps=100)

RECIPES = ali_games.RECIPES | ali_digits.RECIPES | ali_few.RECIPES | {
    "9.4": Recipe(
        title="Choosing the learning rates",
        caption="Joint mismatch on the grid, as the critic of figure 9.5 measures it, for four learning rates and five losses. Points are two seeds "
        "that no other figure uses, lines lead through their means. Figure 9.5 takes for each loss its best rate. Dotted: log 2.",
        alt="Joint mismatch against learning rate, one line with points per loss. The truncated loss stays at log 2. The "
        "density form and minimax are lowest at 0.01, the logit form and swapped at 0.003; at 0.03 all means lie above 0.6.",
        quick=Rates(Training(steps=100, points=20_000, critic_steps=100)), cpu=Rates(Training()),
        full=Rates(FULL, SAMPLERS, TRIED[:4]), seeds=(100, 101),
        run=run_rates, draw=draw_rates, verdict=verdict_rates, record="cpu",
    ),
    "9.5": Recipe(
        title="Five losses on the grid",
        caption="25 Gaussians, the generator with noise of width 0.05, 12,000 steps on a CPU, each loss at its best learning rate of figure 9.4: "
        "0.01 for the density form and minimax, 0.003 for the others. Beside them stand the density form and minimax at 0.003. Ten seeds. Each "
        "point is one trained pair; bars are means, left out where codes leave the prior in some runs only. Gray lines: what the data, samplers "
        "without skill and unrelated points score. Codes to prior: Fréchet distance. Joint mismatch: an independent critic's lower bound of JS(P, "
        "Q). The scores are not shown to have settled.",
        alt="Five panels of points for five losses, two of them at two rates. The truncated loss has one mode, a Fréchet distance of codes from the "
        "prior near 2,000, and a mismatch at log 2 in every seed. Minimax has 2 to 18 modes at 0.01 and 17 to 24 at 0.003. The density form has 7 "
        "to 12 modes at 0.01 and 3 to 18 at 0.003, and codes far from the prior in two and in five runs. The logit form and swapped have 10 to 22 "
        "modes. The mismatch of swapped is on average above that of all others but the truncated.",
        quick=Compare(QUICK), cpu=Compare(Training(), beside=(("joint KL", 3e-3), ("minimax", 3e-3))),
        full=Compare(FULL, learning_rates=tuple((name, 1e-4) for name in SAMPLERS)), seeds=tuple(range(10)),
        run=run_compare, draw=draw_compare, verdict=verdict_compare, record="cpu",
    ),
    "9.6": Recipe(
        title="The same without noise in the generator",
        caption="As figure 9.5, but without the logit form, and with a generator without noise, so that Q has no density. All losses have learning "
        "rate 0.003. In figure 9.4, where the generator has noise, the means at 0.003 are no worse than those at 0.001; the larger rates there were "
        "not tried here. Five seeds. The scores are not shown to have settled.",
        alt="Five panels of points for four losses. The truncated loss again has one mode, codes far away and a "
        "mismatch at log 2; the other three have 7 to 23 modes, codes within 7 of the prior and a mismatch from 0.27 to 0.62.",
        quick=Compare(replace(QUICK, networks=silent_networks), FOUR), cpu=Compare(Training(silent_networks), FOUR),
        full=Compare(FULL, learning_rates=tuple((name, 1e-4) for name in SAMPLERS)), seeds=tuple(range(5)),
        run=run_compare, draw=draw_compare, verdict=verdict_compare, record="cpu",
    ),
    "9.7": Recipe(
        title="Five rows, four columns",
        caption="Columns: ALI, a GAN with its inverse, the same GAN with an encoder found afterwards (post-hoc), a VAE. Small networks without "
        "noise in the generator, 12,000 steps on a CPU; ALI and the encoder found afterwards at learning rate 0.003, the GAN, its inverse and the "
        "VAE at 0.001. Colors: component of the data, or the mode that G(z) is nearest to. Shown is the seed in which ALI's share of good samples "
        "is the median of ten. Bottom: that share over training, every seed; it flattens as the rates fall to 0, which does not show that it has "
        "settled. A few samples of ALI, and what it makes of their codes, lie to the right of the frame. The published spread of modes is over ten "
        "random settings, ours over ten seeds of one setting.",
        alt="A grid of scatter plots, rows held-out data, codes, reconstructions, prior and samples. ALI: codes in strokes over the prior, samples "
        "along grid lines. GAN with inverse: codes in specks. GAN with encoder found afterwards: codes in rays. VAE: codes in 25 patches, the best "
        "reconstructions, samples smeared along lines. Below, curves rising from 0 to between 0.3 and 0.9, those of the GAN closer together.",
        quick=Rows(Training(ali.implicit_networks, steps=300), inverse_steps=100, every=150),
        cpu=Rows(Training(ali.implicit_networks)),
        full=Rows(FULL, gan.ali_networks, 1e-4, 1e-4, 50_000, (400, 400), 10_000), seeds=tuple(range(10)),
        run=run_rows, draw=draw_rows, verdict=verdict_rows, record="cpu", idle=("critic_steps",),
    ),
    "9.10": Recipe(
        title="To the end",
        caption="25 Gaussians, 64,000 steps of every game at the constant rate 0.001. Above, overlap of the samples with the modes over training, "
        "mean and range of the seeds: left, the networks of figure 9.5, whose generator has noise; right, those of figure 9.7, without it. Below, a "
        "point per seed, its mean over the last quarter; bars are means of the points, left out for the codes, which leave the prior in some runs "
        "of the repaired losses. Codes to prior: Fréchet distance. Joint mismatch: an independent critic's lower bound of JS(P, Q); dotted, log 2.",
        alt="Above, overlap over 64 thousand steps, rising for ten to twenty thousand and then nearly flat: the density form near 0.27, "
        "the logit form near 0.44, minimax and swapped near 0.5, minimax with the widest band; ALI near 0.5 and the GAN near 0.6 with bands that "
        "overlap. Below, points of five seeds: logit form 9 to 18 modes, minimax 16 to 23; codes far from the prior in three runs of the density form and one of the logit form; the mismatch of swapped near 0.52.",
        quick=Long(replace(QUICK, steps=160, critic_steps=20), moments=8), full=Long(Training(steps=64_000)), seeds=tuple(range(5)),
        run=run_long, draw=draw_long, verdict=verdict_long,
    ),
}  # fmt: skip
