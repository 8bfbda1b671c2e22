"""Experiments of chapter 09: exact games on tables, then networks on the grid of 25 Gaussians and on MNIST."""

import functools
import math
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from gentools import ali, evaluation, gan, vae
from gentools.lab import data, worlds
from gentools.lab.divergences import mutual_information
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS, LINES, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import Recipe
from gentools.recipes import gan as gan_recipe
from gentools.recipes.conditional_gan import load, points_of
from gentools.recipes.shared import fitting
from gentools.recipes.shared.diagrams import Diagram, arrow, box, canvas, run_nothing

LOOKS = {
    "joint KL": (COLORS["green"], LINES[0], MARKERS[0]),
    "joint KL, logit": (COLORS["sky"], LINES[5], MARKERS[4]),
    "truncated": (COLORS["vermillion"], LINES[2], MARKERS[2]),
    "minimax": (COLORS["orange"], LINES[1], MARKERS[1]),
    "swapped": (COLORS["blue"], LINES[3], MARKERS[3]),
}
OTHERS = ("truncated", "minimax", "swapped")
TITLES = {
    "joint KL": "joint KL, repaired",
    "joint KL, logit": "joint KL, logit form",
    "truncated": "truncated (41)",
    "minimax": "minimax (42)",
    "swapped": "swapped (43)",
}


SHORT = {
    "joint KL": "joint\nKL",
    "joint KL, logit": "logit\nform",
    "truncated": "trunc.",
    "minimax": "mini-\nmax",
    "swapped": "swap-\nped",
}


# 9.1 Which way does the encoder go?


@dataclass(frozen=True)
class Games:
    games: int = 20_000


def run_signs(config, seed, device):
    """Cosines between the encoder's gradient of the joint KL and those of three losses, over random games."""
    found = {"Fisher": [], "logits": []}
    for game in range(config.games):
        w = worlds.table(game)
        logit = ali.best_logit(w.p_xz, w.q_xz)
        at = {name: ali.values(losses[0], logit) for name, losses in ali.LOSSES.items()}
        centered = {name: f - (w.p_z_given_x * f).sum(1, keepdim=True) for name, f in at.items()}
        for metric, weight in (("Fisher", w.p_xz), ("logits", w.p_xz**2)):
            size = {name: (weight * f * f).sum().sqrt() for name, f in centered.items()}
            product = [(weight * centered["joint KL"] * centered[name]).sum() / size[name] for name in OTHERS]
            found[metric].append(torch.stack(product) / size["joint KL"])
    arrays = {metric: torch.stack(rows) for metric, rows in found.items()}
    numbers = {}
    for metric, cosines in arrays.items():
        for name, column in zip(OTHERS, cosines.T, strict=True):
            against = column > 0 if name == "truncated" else column < 0
            numbers[f"{metric}, {name}: mean cosine"] = column.mean()
            numbers[f"{metric}, {name}: games with the other sign"] = against.sum()
    return {"numbers": numbers, "arrays": arrays}


def draw_signs(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 3, figsize=(8.4, 4.2), sharex=True, sharey="row")
    for row, (metric, cosines) in zip(axes, results[0]["arrays"].items(), strict=True):
        for ax, name, column in zip(row, OTHERS, cosines.T, strict=True):
            ax.hist(column.numpy(), bins=torch.linspace(-1, 1, 61).numpy(), color=LOOKS[name][0])
            ax.axvline(0, color="black", lw=1, ls="-")
            ax.set(yticks=(), xticks=(-1, -0.5, 0, 0.5, 1))
        row[0].set_ylabel("games, Fisher metric" if metric == "Fisher" else "games, logits")
    for ax, name in zip(axes[0], OTHERS, strict=True):
        ax.set_title(TITLES[name])
    axes[1, 1].set_xlabel("cosine with the encoder's gradient of the joint KL")
    return fig


def verdict_signs(summary):
    other = {
        metric: {name: summary[f"{metric}, {name}: games with the other sign"]["mean"] for name in OTHERS}
        for metric in ("Fisher", "logits")
    }
    broken = sum(other["Fisher"].values())
    theorem = "no game contradicts" if broken == 0 else f"{broken:.0f} games contradict"
    words = ", ".join(f"{count:.0f} with {name}" for name, count in other["logits"].items())
    return (
        f"In the Fisher metric {theorem} the theorem. In logit coordinates, which it does not cover, games with the "
        f"other sign: {words}."
    )


# 9.2 The exact game, played to the end


@dataclass(frozen=True)
class Played:
    sizes: tuple = ((3, 3), (4, 6), (6, 4))
    games: int = 20  # per size
    step_size: float = 4.0
    steps: int = 10_000


def random_games(n, k, games, seed):
    """`games` random tables of n times k, stacked: softmax of standard normal numbers."""
    rng = generator(seed, "games", n, k)
    shapes = ((n,), (k,), (n, k), (n, k))
    p_x, q_z, p, q = (torch.randn(games, *shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return SimpleNamespace(p_x=p_x.softmax(-1), q_z=q_z.softmax(-1)), p.softmax(-1), q.softmax(-2)


def run_played(config, seed, device):
    """Exact D before every step, gradient steps in the logits of both tables, with each of the four losses."""
    kept = sorted({round(config.steps ** (i / 60)) for i in range(61)})
    numbers, arrays = {"games": config.games * len(config.sizes)}, {"steps": torch.tensor(kept)}
    for name, losses in ali.LOSSES.items():
        curves, told = [], []
        for n, k in config.sizes:
            w, p, q = random_games(n, k, config.games, seed)
            curve = []
            for t in range(1, config.steps + 1):
                p, q = ali.exact_step(w, p, q, losses, config.step_size)
                if t in kept:
                    p_joint, q_joint = w.p_x[..., None] * p, w.q_z[..., None, :] * q
                    curve.append(torch.vmap(ali.divergence)(p_joint, q_joint).clamp_min(0))
            curves.append(torch.stack(curve, 1))
            told.append(torch.vmap(mutual_information)(p_joint))
        arrays[name] = torch.cat(curves)
        end = arrays[name][:, -1]
        numbers[f"{name}: games solved to 1e-12"] = (end < 1e-12).sum()
        numbers[f"{name}: least 2 KL(M||P) at the end"] = end.min()
        numbers[f"{name}: median information, nats"] = torch.cat(told).median()
    return {"numbers": numbers, "arrays": arrays}


def draw_played(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, 4, figsize=(8.4, 2.9), sharey=True)
    for ax, name in zip(axes, ali.LOSSES, strict=True):
        ax.loglog(a["steps"], a[name].clamp_min(1e-16).T, color=LOOKS[name][0], lw=0.7, alpha=0.6, ls="-")
        ax.axhline(1e-15, color="0.4", lw=1, ls=":")
        ax.set(title=TITLES[name], xlabel="step", ylim=(3e-17, 60), xticks=(1, 10, 100, 1000))
    axes[0].set_ylabel("2 KL(M‖P), nats")
    axes[1].annotate("machine precision", (1.2, 2e-15), color="0.3")
    return fig


def verdict_played(summary):
    games = summary["games"]["mean"]
    solved = {name: summary[f"{name}: games solved to 1e-12"]["mean"] for name in ali.LOSSES}
    words = ", ".join(f"{name} {count:.0f}" for name, count in solved.items())
    least = summary["truncated: least 2 KL(M||P) at the end"]["mean"]
    return f"Of {games:.0f} games, solved to 1e-12: {words}. The truncated losses leave at least {least:.1f} nats."


# 9.3 How fast?


@dataclass(frozen=True)
class Speed:
    games: int = 40
    size: int = 4
    step_size: float = 1.0
    steps: int = 600


def joint_between(share, k, rng):
    """A random joint of k values of x and of z: nearly independent for share 0, copies of each other for share 1."""
    joint = (1 - share) * worlds.simplex(rng, k * k).view(k, k) + share / k * torch.eye(k, dtype=torch.float64)
    return joint / joint.sum()


def measured_factor(joint, losses, config, start, noise):
    """By what natural steps multiply a small deviation, read off late, but before rounding or curvature shows."""
    at = SimpleNamespace(p_x=joint.sum(1), q_z=joint.sum(0))
    log_p = ((joint / at.p_x[:, None]).log() + start * noise[0]).log_softmax(1)
    log_q = ((joint / at.q_z).log() + start * noise[1]).log_softmax(0)
    sizes = [start]
    while len(sizes) < config.steps and 1e-7 < sizes[-1] / start < 1e7:
        log_p, log_q = ali.natural_step(log_p, log_q, at, losses, config.step_size)
        logit = ali.best_logit(at.p_x[:, None] * log_p.exp(), at.q_z * log_q.exp())
        sizes.append((joint * logit.square()).sum().sqrt())
    return (sizes[-1] / sizes[-6]) ** 0.2


def run_speed(config, seed, device):
    """Small deviations from P = Q: the factor per step that is measured, beside that of (9.10)."""
    rng, rows = generator(seed, "speed"), []
    for game in range(config.games):
        joint = joint_between(game / config.games, config.size, rng)
        noise = torch.randn(2, *joint.shape, generator=rng, dtype=torch.float64)
        rho = ali.correlations(joint)
        row = [rho[0], rho[-1]]
        for name, losses in ali.LOSSES.items():
            start = 1e-13 if name == "truncated" else 1e-4  # what grows starts small
            row.append(measured_factor(joint, losses, config, start, noise))
        rows.append(torch.stack(row))
    rows = torch.stack(rows)
    half = config.step_size / 2
    theory = dict.fromkeys(ali.LOSSES, 1 - half * (1 - rows[:, 0]))
    theory["truncated"] = 1 + half * (1 - rows[:, 1] ** 2).sqrt()
    numbers = {}
    for i, name in enumerate(ali.LOSSES):
        miss = (rows[:, 2 + i] - theory[name]).abs()
        numbers |= {f"{name}: median miss of the formula": miss.median(), f"{name}: largest miss": miss.max()}
    return {"numbers": numbers, "arrays": {"rows": rows}}


def draw_speed(results, config):
    import matplotlib.pyplot as plt

    rows, half = results[0]["arrays"]["rows"], config.step_size / 2
    rho = torch.linspace(0, 1, 101)
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.5))
    axes[0].plot(rho, 1 - half * (1 - rho), color="black", lw=1.2, ls="-", label="theory")
    axes[0].axhline(1 - half, color="0.45", ls="--", lw=1.2, label="a GAN on x alone")
    axes[1].plot(rho, 1 + half * (1 - rho**2).sqrt(), color="black", lw=1.2, ls="-", label="theory")
    for i, name in enumerate(ali.LOSSES):
        wrong = name == "truncated"
        color, _, marker = LOOKS[name]
        ax, x = (axes[1], rows[:, 1]) if wrong else (axes[0], rows[:, 0])
        ax.plot(
            x, rows[:, 2 + i], ls="", marker=marker, ms=7 - 2 * (i // 2), mfc="none", color=color, label=TITLES[name]
        )
    axes[0].set(title="repaired, minimax, swapped", xlabel="largest correlation of x and z", ylim=(0.45, 1.02))
    axes[1].set(title="truncated", xlabel="smallest correlation of x and z", ylim=(0.98, 1.55))
    axes[0].set_ylabel("factor per step")
    axes[1].axhline(1, color="0.45", lw=1, ls=":")
    for ax, place in zip(axes, ("upper left", "lower left"), strict=True):
        ax.legend(loc=place)
    return fig


def verdict_speed(summary):
    typical, worst = (max(s["max"] for k, s in summary.items() if part in k) for part in ("median", "largest"))
    word = "agree with" if typical < 0.01 else "miss"
    return f"Measured factors {word} the formula: half of the games within {typical:.1g}, all within {worst:.1g}."


# Networks on the grid


@dataclass(frozen=True)
class Training:
    """ALI on the grid. `networks`: a function of the seed that makes them; noise_std is the generator's noise."""

    networks: object = ali.toy_networks
    noise_std: float = 0.05
    batch: int = 128
    steps: int = 12_000
    points: int = 100_000
    betas: tuple = (0.5, 0.999)
    held_out: int = 10_000
    critic_steps: int = 1500


def implicit(steps):
    """ALI's way at a small size: an encoder that takes noise, a generator that has none, both without a density."""
    return Training(networks=ali.implicit_networks, noise_std=0.0, steps=steps)


FULL = Training(networks=ali.ali_networks, noise_std=0.0, batch=100, steps=200_000, betas=(0.8, 0.999))

STEPS = {
    "joint KL": ali.full_step,
    "joint KL, logit": functools.partial(ali.step, losses=(ali.tamed, ali.non_saturating_loss)),
    **{name: functools.partial(ali.step, losses=ali.LOSSES[name]) for name in ("truncated", "minimax", "swapped")},
}


def build(config, seed):
    """The networks of a configuration; only the small ones with a Gaussian encoder take generator noise."""
    if config.networks is ali.toy_networks:
        return ali.toy_networks(seed, noise_std=config.noise_std)
    return config.networks(seed)


def counted(fake):
    """Modes by ALI's rule, nearest to any of the samples; by good samples among 2,500; and the share of good ones."""
    nearest = torch.cdist(fake, data.grid_centers()).argmin(1).unique()
    found = evaluation.modes(fake[: gan_recipe.DRAWN], data.grid_centers(), data.GRID_STD)
    return len(nearest), found.covered, found.quality


def optimize(nets, step, rows, config, rate, seed, steps, device, noise=(3, 2), watch=None, every=500):
    """Train `nets` on rows of data with one step function, the rate falling along a cosine; frozen parameters stay."""
    nets = nets.to(device)
    free = {name: [p for p in net.parameters() if p.requires_grad] for name, net in nets.items()}
    opts = {name: adam(params, rate, config.betas) for name, params in free.items()}
    stream = Stream(rows, config.batch, noise, device=device)
    seen = watch and (lambda done: {"quality": counted(watch())[2]})
    return train(step, nets, opts, stream, steps, seed, schedule=cosine(steps), watch=seen, log_every=every)


def held_out(config, seed, *keys):
    """Fresh points of the grid with their components, and noise for pairs; never the points of training."""
    x, component = data.grid(config.held_out, f"held out {seed} {keys}")
    return x, component, torch.randn(len(x), 3, 2, generator=generator(seed, "held out", *keys))


def drawn(nets, x, noise):
    """Codes, samples and reconstructions on the CPU."""
    device = next(nets.parameters()).device
    return tuple(part.cpu() for part in ali.draw(nets, x.to(device), noise.to(device)))


def mismatch(nets, config, seed):
    """A lower bound of JS(P, Q) in nats from a critic that no player met: trained on fresh pairs, read on others.

    It is log 2 minus half the critic's loss (5.5): 0 if the critic finds nothing, log 2 if it tells every pair.
    """
    critic = ali.PairDiscriminator(mlp([4, 128, 128, 1], generator=generator(seed, "critic")))
    opt = adam(critic.parameters(), 1e-3)
    sets = []
    for part in ("critic trains", "critic is read"):
        x, _, noise = held_out(config, seed, part)
        code, fake, _ = drawn(nets, x, noise)
        sets.append((torch.cat([x, code], 1), torch.cat([fake, noise[:, 0]], 1)))

    def loss(real, fake):
        both = torch.cat([real, fake])
        return gan.discriminator_loss(*critic(both[:, :2], both[:, 2:]).chunk(2))

    for t in range(config.critic_steps):
        chosen = torch.randint(len(sets[0][0]), (2, 256), generator=generator(seed, "critic", t))
        gan.descend(opt, loss(sets[0][0][chosen[0]], sets[0][1][chosen[1]]))
    with torch.no_grad():
        return math.log(2) - loss(*sets[1]) / 2


def judge(nets, config, seed):
    """What figure 9.5 shows: modes and quality of samples, reconstruction error, distance of codes, joint mismatch."""
    x, _, noise = held_out(config, seed)
    code, fake, back = drawn(nets, x, noise)
    _, covered, quality = counted(fake)
    return {
        "modes": covered,
        "high-quality share": quality,
        "reconstruction error": (x - back).norm(dim=1).mean(),
        "codes to prior": evaluation.frechet(code, noise[:, 0]),
        "joint mismatch": mismatch(nets, config, seed),
    }


# 9.4 Choosing the learning rates


@dataclass(frozen=True)
class Rates:
    training: Training
    names: tuple = tuple(STEPS)
    rates: tuple = (1e-3, 3e-3)


def run_rates(config, seed, device):
    """The grid with each loss at each learning rate: how the rates of figure 9.5 were chosen."""
    numbers = {}
    for name in config.names:
        for rate in config.rates:
            nets = build(config.training, seed)
            rows = data.grid(config.training.points, seed)[0]
            optimize(nets, STEPS[name], rows, config.training, rate, seed, config.training.steps, device)
            numbers[f"{name}, rate {rate:g}"] = judge(nets, config.training, seed)["joint mismatch"]
    return {"numbers": numbers, "arrays": {}}


def draw_rates(results, config):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(6.8, 3.6))
    for i, name in enumerate(config.names):
        color, ls, marker = LOOKS[name]
        values = [[float(r["numbers"][f"{name}, rate {rate:g}"]) for r in results] for rate in config.rates]
        x = [rate * 1.012 ** (i - 2) for rate in config.rates]
        ax.plot(x, [sum(v) / len(v) for v in values], label=TITLES[name], color=color, ls=ls)
        for at, v in zip(x, values, strict=True):
            ax.plot([at] * len(v), v, ls="", marker=marker, color=color)
    ax.axhline(math.log(2), color="0.45", lw=1, ls=":")
    ax.set(xscale="log", xlabel="learning rate of all players", ylabel="joint mismatch, nats", ylim=(0, 0.75))
    ax.set_xticks(config.rates, [f"{rate:g}" for rate in config.rates])
    ax.minorticks_off()
    fig.legend(loc="outside right upper")
    return fig


def verdict_rates(summary):
    best = {}
    for name in dict.fromkeys(key.split(", rate ")[0] for key in summary):
        trials = {k.split("rate ")[1]: s["mean"] for k, s in summary.items() if k.startswith(f"{name}, rate")}
        best[name] = min(trials, key=lambda rate: math.inf if trials[rate] is None else trials[rate])
    return "Best rate by mean joint mismatch: " + ", ".join(f"{name} {rate}" for name, rate in best.items()) + "."


# 9.5, 9.6 Four losses on the grid, with a density and without


@dataclass(frozen=True)
class Compare:
    training: Training
    rates: tuple = tuple((name, 3e-3) for name in STEPS)  # figure 9.4 chose them


WHAT = ("modes", "high-quality share", "reconstruction error", "codes to prior", "joint mismatch")


def run_compare(config, seed, device):
    """The grid with each of the losses, from the same networks, batches and noise."""
    numbers = {}
    rows = data.grid(config.training.points, seed)[0]
    for name, rate in config.rates:
        nets = build(config.training, seed)
        optimize(nets, STEPS[name], rows, config.training, rate, seed, config.training.steps, device)
        numbers |= {f"{name}: {what}": value for what, value in judge(nets, config.training, seed).items()}
    return {"numbers": numbers, "arrays": {}}


def chance():
    """What samplers without skill and pairs without a tie would score: {what: {line: value}}."""
    found = evaluation.chance_lines(data.grid_centers(), data.GRID_STD, gan_recipe.DRAWN)
    x = data.grid(20_000, "pairs without a tie")[0]
    return {
        "modes": {name: v[0] for name, v in found.items()},
        "high-quality share": {name: v[1] for name, v in found.items()},
        "reconstruction error": {"another point": float((x[:10_000] - x[10_000:]).norm(dim=1).mean())},
        "joint mismatch": {"log 2: every pair told": math.log(2)},
    }


def draw_compare(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 3, figsize=(8.4, 6.2))
    names = [name for name, _ in config.rates]
    lines = chance()
    for ax, what in zip(axes.flat, WHAT, strict=False):
        for x, name in enumerate(names):
            color, _, marker = LOOKS[name]
            points_of(ax, x, [float(r["numbers"][f"{name}: {what}"]) for r in results], color, marker)
        for (line, value), ls in zip(lines.get(what, {}).items(), ("-", "--", ":"), strict=False):
            ax.axhline(value, color="0.45", ls=ls, lw=1.2, zorder=0, label=line)
        ax.set(title=what, xticks=range(len(names)), xticklabels=[SHORT[name] for name in names])
        ax.set_xlim(-0.5, len(names) - 0.5)
    axes[0, 0].set_ylim(0, 26.5)
    axes[0, 1].set_ylim(-0.03, 1.06)
    axes[0, 2].set_yscale("log")
    axes[0, 2].set_yticks((0.5, 1, 2, 5, 10), ("0.5", "1", "2", "5", "10"))
    axes[1, 0].set_yscale("log")
    axes[1, 1].set_ylim(0, 0.75)
    for ax, (text, value) in (
        (axes[0, 2], ("another point", lines["reconstruction error"]["another point"])),
        (axes[1, 1], ("log 2", math.log(2))),
    ):
        ax.annotate(text, (-0.4, value), (0, 3), textcoords="offset points", color="0.3")
    axes[1, 2].set_axis_off()
    handles = [plt.Line2D([], [], ls="", color=LOOKS[n][0], marker=LOOKS[n][2], label=TITLES[n]) for n in names]
    axes[1, 2].legend(handles=handles + axes[0, 0].get_legend_handles_labels()[0], loc="center")
    return fig


def _apart(one, other):
    """-1, 0 or 1: the mean of one lies below, is not separated from, or above that of other, by 95 % intervals."""
    if None in (one["low"], other["low"]) or (one["low"] <= other["high"] and other["low"] <= one["high"]):
        return 0
    return 1 if one["mean"] > other["mean"] else -1


def verdict_compare(summary):
    good = {"modes": 1, "high-quality share": 1, "reconstruction error": -1, "codes to prior": -1, "joint mismatch": -1}

    def against(name, rival):
        signs = {w: sign * _apart(summary[f"{name}: {w}"], summary[f"{rival}: {w}"]) for w, sign in good.items()}
        words = {1: "better in", 0: "not separated in", -1: "worse in"}
        parts = {word: [w for w in good if signs[w] == value] for value, word in words.items()}
        return "; ".join(f"{word} {', '.join(measures)}" for word, measures in parts.items() if measures)

    claims = [against("truncated", rival) for rival in ("minimax", "swapped")]
    stands = all("worse" not in claim for claim in claims)
    sentences = [
        f"That the truncated losses are as good or slightly better is {'not refuted' if stands else 'refuted'}"
    ]
    sentences += [f"against {rival} {claim}" for rival, claim in zip(("minimax", "swapped"), claims, strict=True)]
    for name in ("joint KL", "joint KL, logit"):
        if f"{name}: modes" in summary:
            parts = [f"against {rival} {against(name, rival)}" for rival in ("minimax", "swapped")]
            sentences.append(f"{TITLES[name]}: {'. '.join(part[0].upper() + part[1:] for part in parts)}")
    return ". ".join(s[0].upper() + s[1:] for s in sentences) + "."


# 9.7 Five rows, four columns


@dataclass(frozen=True)
class Rows:
    training: Training
    gan_networks: object = gan.toy_networks
    rate: float = 3e-3  # of ALI and of the encoder found afterwards, by figure 9.4
    other_rate: float = 1e-3  # of the GAN, by figure 5.8, of its inverse and of the VAE
    inverse_steps: int = 4000
    hidden: tuple = (128, 128)  # of the VAE
    every: int = 1000


def run_rows(config, seed, device):
    """ALI, a GAN with an inverse mapping, the same GAN with an encoder found afterwards by ALI's game, and a VAE."""
    t, rows = config.training, data.grid(config.training.points, seed)[0]
    x, component, noise = held_out(t, seed)
    z = noise[:, 0]
    arrays = {"x": x[:2500], "z": z[:2500], "component": component[:2500]}

    def fit(nets, step, rate, steps, shape=(3, 2), watch=None):
        return optimize(nets, step, rows, t, rate, seed, steps, device, shape, watch, config.every)

    joint, plain = build(t, seed), config.gan_networks(seed)
    seen = {
        "ALI": fit(joint, ali.step, config.rate, t.steps, watch=lambda: drawn(joint, x, noise)[1]),
        "GAN": fit(plain, gan.step, config.other_rate, t.steps, 2, lambda: gan.sample(plain, z.to(device)).cpu()),
    }
    found = {"ALI": joint}
    afterwards = {
        "inverse": (ali.inverse_step, config.other_rate, config.inverse_steps),
        "post-hoc": (ali.step, config.rate, t.steps // 2),
    }
    for name, how in afterwards.items():
        found[name] = build(t, seed)
        found[name]["players"]["generator"] = ali.Generator(plain["generator"].eval().requires_grad_(False))
        fit(found[name], *how)
    parts = {name: drawn(nets, x, noise) for name, nets in found.items()}

    coder = vae.networks(seed, 2, config.hidden, 2, vae.Gaussian).to(device)
    fitting.fit(vae.step, coder, fitting.adams({"vae": coder}, config.other_rate), rows, 2, batch=t.batch, steps=t.steps,
                seed=seed, device=device, schedule=cosine(t.steps))  # fmt: skip
    with torch.no_grad():
        mean, log_variance = coder["encoder"](x.to(device))
        code = vae.sample(mean, log_variance, noise[:, 1].to(device))
        parts["VAE"] = tuple(part.cpu() for part in (code, coder["decoder"](z.to(device)), coder["decoder"](code)))

    numbers = {}
    for name, (code, fake, back) in parts.items():
        arrays |= {f"{name} code": code[:2500], f"{name} sample": fake[:2500], f"{name} back": back[:2500]}
        numbers[f"{name}: reconstruction error"] = (x - back).norm(dim=1).mean()
    for name, part in (("ALI", "ALI"), ("GAN", "inverse"), ("VAE", "VAE")):
        assigned, covered, share = counted(parts[part][1])
        numbers |= {
            f"{name}: modes, any sample": assigned,
            f"{name}: modes, good samples": covered,
            f"{name}: high-quality share": share,
        }
    for name, history in seen.items():
        curve = torch.tensor([w["quality"] for w in history.watched])
        arrays[f"{name} curve"] = curve
        numbers[f"{name}: high-quality share halfway"] = curve[len(curve) // 2 - 1]
    return {"numbers": numbers, "arrays": arrays}


COLUMNS = {"ALI": "ALI", "inverse": "GAN, inverse", "post-hoc": "GAN, post-hoc", "VAE": "VAE"}


def draw_rows(results, config):
    import matplotlib.pyplot as plt

    order = sorted(results, key=lambda r: float(r["numbers"]["ALI: high-quality share"]))
    a = order[(len(order) - 1) // 2]["arrays"]
    centers, n = data.grid_centers(), 1200
    keys = [[f"{row} {name}" for name in COLUMNS] for row in range(5)] + [["curve"] * 4]
    fig, axes = plt.subplot_mosaic(keys, figsize=(7.8, 10.8), height_ratios=[1] * 5 + [0.85])
    for name, title in COLUMNS.items():
        fake = a[f"{name} sample"][:n]
        made = torch.cdist(fake, centers).argmin(1)  # the mode that a sample is nearest to
        shown = (a["x"], a[f"{name} code"], a[f"{name} back"], a["z"], fake)
        for i, points in enumerate(shown):
            ax, reach = axes[f"{i} {name}"], 4 if i in (1, 3) else 6
            color = made if i > 2 else a["component"][:n]
            ax.scatter(
                *points[:n].T, s=1.6, c=color, cmap="gist_rainbow", vmin=0, vmax=24, linewidths=0, antialiased=False
            )
            ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())
        axes[f"0 {name}"].set_title(title)
    for i, label in enumerate(("held-out data", "codes", "reconstructions", "prior", "samples")):
        axes[f"{i} ALI"].set_ylabel(label)
    for name, (color, ls) in {"ALI": (COLORS["blue"], "-"), "GAN": (COLORS["orange"], "--")}.items():
        for i, r in enumerate(results):
            curve = r["arrays"][f"{name} curve"]
            steps = config.every * torch.arange(1, len(curve) + 1)
            axes["curve"].plot(steps, curve, color=color, ls=ls, lw=1, label=None if i else name)
    axes["curve"].set(xlabel="step", ylabel="high-quality share", ylim=(0, 1), title="every seed")
    axes["curve"].legend(loc="upper left")
    return fig


def verdict_rows(summary):
    sentences = []
    for what in ("modes, any sample", "modes, good samples", "high-quality share halfway", "high-quality share"):
        words = {1: "above", 0: "not separated from", -1: "below"}[
            _apart(summary[f"ALI: {what}"], summary[f"GAN: {what}"])
        ]
        sentences.append(f"{what}: ALI is {words} the GAN")
    return "At equal steps, over seeds, " + "; ".join(sentences) + "."


# 9.8 BiGAN on digits


@dataclass(frozen=True)
class Digits:
    images: str = "mnist 14x14"
    latent: int = 50
    width: int = 256
    batch: int = 128
    steps: int = 10_000
    autoencoder_steps: int = 5000
    rate: float = 1e-3
    betas: tuple = (0.5, 0.999)


def uniform(*size, generator, device, dtype):
    """BiGAN's prior: independent numbers between -1 and 1."""
    return 2 * torch.rand(*size, generator=generator, device=device, dtype=dtype) - 1


def nearest_label(x, labels, x_test):
    """The label of the nearest row of x, for each row of x_test."""
    squares = x.square().sum(1)
    return torch.cat([labels[(squares - 2 * part @ x.T).argmin(1)] for part in x_test.split(500)])


@torch.no_grad()
def codes(nets, x):
    """Codes of images uint8, with BatchNorm in evaluation mode, on the CPU."""
    encoder = nets["players"]["encoder"].eval()
    device = next(encoder.parameters()).device
    return torch.cat([encoder(part.to(device).float() / 255, None).cpu() for part in x.split(5000)])


def run_digits(config, seed, device):
    """BiGAN, a plain autoencoder of the same networks, and the networks untrained; 1-NN on held-out images."""
    (x, c), (x_test, c_test) = load(config.images, "train"), load(config.images, "test")
    pixels, flat = x[0].numel(), x_test.flatten(1) / 255
    numbers, arrays = {}, {}
    arms = {
        "BiGAN": (ali.step, config.steps),
        "autoencoder": (ali.autoencoder_step, config.autoencoder_steps),
        "untrained": (None, 0),
    }
    for name, (step, steps) in arms.items():
        nets = ali.image_networks(seed, pixels, config.latent, config.width).to(device)
        if step:
            stream = Stream(x, config.batch, (3, config.latent), noise=uniform, device=device)
            opts = {part: adam(net.parameters(), config.rate, config.betas) for part, net in nets.items()}
            train(step, nets, opts, stream, steps, seed, schedule=cosine(steps))
        code = codes(nets, x_test)
        numbers[f"{name}: nearest neighbor right"] = (nearest_label(codes(nets, x), c, code) == c_test).float().mean()
        decoder = nets["players"]["generator"].cpu().eval()
        with torch.no_grad():
            back = decoder(code)
            if name == "BiGAN":
                rng = generator(seed, "samples")
                arrays["samples"] = decoder(
                    uniform(100, config.latent, generator=rng, device="cpu", dtype=torch.float32)
                )
        if step:
            numbers[f"{name}: reconstruction error"] = (back - flat).norm(dim=1).mean()
            arrays[f"{name} back"] = back[:20]
    numbers["pixels: nearest neighbor right"] = (nearest_label(x.flatten(1) / 255, c, flat) == c_test).float().mean()
    numbers["error of another test image"] = (flat - flat.roll(1, 0)).norm(dim=1).mean()
    return {"numbers": numbers, "arrays": arrays | {"x": flat[:20]}}


def draw_digits(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    side = math.isqrt(a["x"].shape[1])
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.3), width_ratios=(1, 1, 0.9))
    image_grid(axes[0], a["samples"].view(-1, 1, side, side))
    rows = torch.stack([a[key].view(2, 10, 1, side, side) for key in ("x", "BiGAN back", "autoencoder back")], 1)
    image_grid(axes[1], rows.view(-1, 1, side, side).clamp(0, 1))
    axes[0].set_title("samples of BiGAN")
    axes[1].set_title("x, G(E(x)), autoencoder")
    names = ("untrained", "pixels", "BiGAN", "autoencoder")
    for i, (name, color) in enumerate(zip(names, ("black", "purple", "blue", "orange"), strict=True)):
        values = [100 * float(r["numbers"][f"{name}: nearest neighbor right"]) for r in results]
        points_of(axes[2], i, values, COLORS[color], MARKERS[i])
    axes[2].set(
        title="nearest neighbor right, %",
        xticks=range(4),
        xticklabels=("un-\ntrained", "pixels", "BiGAN", "auto-\nencoder"),
    )
    return fig


def verdict_digits(summary):
    score = {
        name: summary[f"{name}: nearest neighbor right"] for name in ("BiGAN", "autoencoder", "pixels", "untrained")
    }
    words = {1: "above", 0: "not separated from", -1: "below"}
    told = "; ".join(
        f"{words[_apart(score['BiGAN'], score[other])]} {other}" for other in ("autoencoder", "pixels", "untrained")
    )
    near = _apart(summary["BiGAN: reconstruction error"], summary["error of another test image"]) < 0
    words = "closer to x than another image is" if near else "no closer to x than another image"
    return f"Nearest neighbors in BiGAN's codes: {told}. Its reconstructions are {words}."


# 9.9 Two joints and one discriminator


def draw_pairs(results, config):
    fig, ax = canvas((8.0, 3.0), (-0.2, 10.8), (-0.4, 3.8))
    for x, start, end, net, color, joint in (
        (0.9, ("data\n$x \\sim \\tilde{p}(x)$", 0.4), ("code\n$z$", 3.0), "E", "blue", "$P(x,z)$"),
        (9.7, ("prior\n$z \\sim q(z)$", 3.0), ("sample\n$x$", 0.4), "G", "green", "$Q(x,z)$"),
    ):
        inner = 3.0 if x < 5 else 7.6
        box(ax, x, start[1], start[0], width=1.9, height=0.95)
        box(ax, x, end[1], end[0], width=1.9, height=0.95)
        box(ax, x, 1.7, net, color, width=0.8, height=0.6)
        up = 1 if end[1] > start[1] else -1
        arrow(ax, (x, start[1] + 0.5 * up), (x, 1.7 - 0.33 * up))
        arrow(ax, (x, 1.7 + 0.33 * up), (x, end[1] - 0.5 * up))
        box(ax, inner, 1.7, joint, width=1.5, height=0.8)
        side = 1 if x < 5 else -1
        for y in (0.4, 3.0):
            arrow(ax, (x + 1.0 * side, y), (inner - 0.45 * side, 1.7 + (0.42 if y > 1.7 else -0.42)))
        arrow(ax, (inner + 0.78 * side, 1.7), (5.3 - 0.75 * side, 1.7))
    box(ax, 5.3, 1.7, "D(x, z)", "vermillion", width=1.4, height=0.8)
    ax.text(5.3, 0.85, "whose pair?", ha="center", va="center", fontsize=11)
    return fig


FOUR = tuple((name, 3e-3) for name in ali.LOSSES)
SAMPLERS = tuple(STEPS)[1:]  # what an encoder without a density can train with


def exact(config, quick=None):
    """The scales of a recipe that costs little."""
    return {"quick": quick or config, "full": config}


RECIPES = {
    "9.1": Recipe(
        title="Which way the encoder goes",
        caption="Cosine between the encoder's gradient of the joint KL and the gradient that each loss gives instead, "
        "D exact, over random tables. Top: in the Fisher metric, where the sign is a theorem. Bottom: in the "
        "logits of the tables.",
        alt="Six histograms of cosines between -1 and 1. The truncated loss lies left of zero in both rows, the "
        "minimax loss is its mirror image on the right, the swapped loss lies right of zero and is spread more "
        "evenly.",
        run=run_signs,
        draw=draw_signs,
        verdict=verdict_signs,
        **exact(Games(), Games(300)),
    ),
    "9.2": Recipe(
        title="Four losses in exact games",
        caption="Sixty random tables of three sizes. D is exact before every step, and encoder and generator take "
        "gradient steps in the logits of their tables. Each line is one game.",
        alt="Four panels of falling or rising lines on logarithmic axes. Repaired, minimax and swapped losses fall "
        "to the line of machine precision; with the truncated losses all lines rise and stay above one nat.",
        run=run_played,
        draw=draw_played,
        verdict=verdict_played,
        **exact(Played(), Played(steps=300, games=5)),
    ),
    "9.3": Recipe(
        title="Informative codes are learned slowly",
        caption="By how much one natural step of size 1 multiplies a small deviation from P = Q, in 40 random tables "
        "between independence and copying. Lines are equation (9.10), points are measured.",
        alt="Left: points for three losses on a straight line from one half at correlation 0 to 1 at correlation 1; "
        "a dashed line at one half for a GAN. Right: points for the truncated losses on an arc from 1.5 down to 1.",
        run=run_speed,
        draw=draw_speed,
        verdict=verdict_speed,
        **exact(Speed(), Speed(games=8)),
    ),
    "9.4": Recipe(
        title="Choosing the learning rates",
        caption="Joint mismatch on the grid, as the critic of figure 9.5 measures it, for two learning rates and five "
        "losses, two seeds each that no other figure uses. Each loss goes on with its best rate. Dotted: log 2.",
        alt="Joint mismatch against learning rate, one line with points per loss. The truncated loss stays at log 2, "
        "the others lie lower, the two forms of the joint KL lowest.",
        quick=Rates(Training(steps=100, points=20_000, critic_steps=100)),
        cpu=Rates(Training()),
        full=Rates(FULL, SAMPLERS, (3e-5, 1e-4, 3e-4, 1e-3)),
        seeds=(100, 101),
        run=run_rates,
        draw=draw_rates,
        verdict=verdict_rates,
        record="cpu",
    ),
    "9.5": Recipe(
        title="Five losses on the grid",
        caption="25 Gaussians, the generator with noise of width 0.05, 12,000 steps on a CPU. Each point is one "
        "trained pair. Gray lines: what the data, samplers without skill and unrelated points score. Codes to prior: "
        "Frechet distance. Joint mismatch: an independent critic's lower bound of JS(P, Q).",
        alt="Five panels of points for five losses. The truncated loss has one mode, codes thousands away from the "
        "prior, and a mismatch at log 2 in every seed. The two forms of the joint KL have the lowest mismatch; "
        "minimax and swapped losses have more modes than the density form.",
        run=run_compare,
        draw=draw_compare,
        quick=Compare(Training(steps=200, points=20_000, critic_steps=100)),
        cpu=Compare(Training()),
        full=Compare(FULL, rates=tuple((name, 1e-4) for name in SAMPLERS)),
        seeds=tuple(range(10)),
        verdict=verdict_compare,
        record="cpu",
    ),
    "9.6": Recipe(
        title="The same without noise in the generator",
        caption="As figure 9.5, with a generator without noise, so that Q has no density, and without the logit form. "
        "Five seeds.",
        alt="Five panels of points for four losses. The truncated loss again has one mode, codes far away and a "
        "mismatch at log 2; the other three look much as they do with noise.",
        run=run_compare,
        draw=draw_compare,
        quick=Compare(Training(noise_std=0.0, steps=200, points=20_000, critic_steps=100), FOUR),
        cpu=Compare(Training(noise_std=0.0), FOUR),
        full=Compare(FULL, rates=tuple((name, 1e-4) for name in SAMPLERS)),
        seeds=tuple(range(5)),
        verdict=verdict_compare,
        record="cpu",
    ),
    "9.7": Recipe(
        title="Five rows, four columns",
        caption="Small networks without noise in the generator, 12,000 steps on a CPU. Colors: component of the data, "
        "or the mode that G(z) is nearest to. Shown is the seed whose share of good samples of ALI is the median "
        "of ten. Bottom: that share over training, every seed. The published spread of modes is over ten random "
        "settings, ours over ten seeds of one setting.",
        alt="A grid of scatter plots, rows held-out data, codes, reconstructions, prior and samples. ALI: codes in "
        "strokes over the prior, samples along grid lines. GAN with inverse: codes in specks. GAN with encoder "
        "found afterwards: codes in rays. VAE: codes in 25 patches, the best reconstructions, samples smeared "
        "along lines. Below, curves rising from 0 to between 0.3 and 0.9, those of the GAN closer together.",
        run=run_rows,
        draw=draw_rows,
        quick=Rows(implicit(300), inverse_steps=100, every=150),
        cpu=Rows(implicit(12_000)),
        full=Rows(FULL, gan.ali_networks, 1e-4, 1e-4, 50_000, (400, 400), 10_000),
        seeds=tuple(range(10)),
        verdict=verdict_rows,
        record="cpu",
    ),
    "9.8": Recipe(
        title="BiGAN on digits",
        caption="MNIST averaged to 14x14, networks of width 256, 10,000 steps on a CPU. Left: samples. Middle, twice "
        "three rows: test images, BiGAN's reconstructions, those of an autoencoder. Right: how often the nearest "
        "neighbor among all training codes has the right label, every seed.",
        alt="Left: a sheet of digits, most of them legible. Middle: digits, below them BiGAN's reconstructions, often "
        "another digit of similar shape, and below these an autoencoder's, close to the original. Right: points "
        "between 92 and 98 percent; the untrained network is lowest, then BiGAN, then pixels and the autoencoder.",
        run=run_digits,
        draw=draw_digits,
        quick=Digits("digits", 20, 64, steps=600, autoencoder_steps=300),
        cpu=Digits(),
        full=Digits("mnist", 50, 1024, steps=187_600, autoencoder_steps=187_600, rate=2e-4),
        seeds=tuple(range(5)),
        verdict=verdict_digits,
        record="cpu",
    ),
    "9.9": Recipe(
        title="Two joints and one discriminator",
        caption="The encoder completes data with codes, the generator completes codes with samples. The discriminator "
        "sees whole pairs.",
        alt="A diagram. Left, data x pass the encoder E upward to a code z, and both form a pair of P. Right, a draw z "
        "of the prior passes the generator G downward to a sample x, and both form a pair of Q. Both kinds of pairs go "
        "to the discriminator D in the middle.",
        run=run_nothing,
        draw=draw_pairs,
        **exact(Diagram()),
    ),
}
