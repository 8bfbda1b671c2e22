"""Experiments of chapter 09 on tables: exact gradients, the game played to its end and near it, and a diagram."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from gentools import ali
from gentools.lab import worlds
from gentools.lab.divergences import mutual_information
from gentools.lab.plots import LINES
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, diagrams, drawing, verdicts
from gentools.recipes.shared.drawing import Look

LOOKS = {  # of the losses in all figures of the chapter
    "joint KL": Look("joint KL, repaired", "green", LINES[0], "o"),
    "joint KL, logit": Look("joint KL, logit form", "sky", LINES[5], "v"),
    "truncated": Look("truncated (41)", "vermillion", LINES[2], "^"),
    "minimax": Look("minimax (42)", "orange", LINES[1], "s"),
    "swapped": Look("swapped (43)", "blue", LINES[3], "D"),
}
OTHERS = ("truncated", "minimax", "swapped")


# 9.1 Which way does the encoder go?


@dataclass(frozen=True)
class Games:
    """Random games, in each of which one gradient is compared."""

    games: int = 20_000


METRICS = {"Fisher": lambda p_xz: p_xz, "logits": lambda p_xz: p_xz**2}  # how a product weighs each pair (x, z)


def cosines(w):
    """Cosines (2, 3) between the encoder's gradient of the joint KL and those of the OTHERS in both METRICS, D exact."""
    logit = ali.best_logit(w.p_xz, w.q_xz)  # (n, k)
    at = {name: ali.values(losses[0], logit) for name, losses in ali.LOSSES.items()}
    centered = {name: f - (w.p_z_given_x * f).sum(1, keepdim=True) for name, f in at.items()}
    found = []
    for weight in (metric(w.p_xz) for metric in METRICS.values()):
        size = {name: (weight * f * f).sum().sqrt() for name, f in centered.items()}
        product = [(weight * centered["joint KL"] * centered[name]).sum() / size[name] for name in OTHERS]
        found.append(torch.stack(product) / size["joint KL"])
    return torch.stack(found)


def run_signs(config, seed, device):
    """Cosines between the encoder's gradient of the joint KL and those of three losses, over random games."""
    found = torch.stack([cosines(worlds.table(game)) for game in range(config.games)])  # (games, 2, 3)
    arrays, numbers = dict(zip(METRICS, found.unbind(1), strict=True)), {}
    for metric, columns in arrays.items():
        for loss, column in zip(OTHERS, columns.T, strict=True):
            against = column > 0 if loss == "truncated" else column < 0
            numbers[(metric, loss), "mean cosine"] = column.mean()
            numbers[(metric, loss), "games with the other sign"] = against.sum()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_signs(results, config):
    """Histograms of the cosines (games, 3): a row per metric, a column per loss."""
    fig, axes = drawing.panels(2, 3, (8.4, 4.2), sharex=True, sharey="row")
    for row, (metric, found) in zip(axes, results[0]["arrays"].items(), strict=True):
        for ax, name, column in zip(row, OTHERS, found.T, strict=True):
            ax.hist(column.numpy(), bins=torch.linspace(-1, 1, 61).numpy(), color=LOOKS[name].rgb)
            ax.axvline(0, color="black", lw=1, ls="-")
            ax.set(yticks=(), xticks=(-1, -0.5, 0, 0.5, 1))
        row[0].set_ylabel("games, Fisher metric" if metric == "Fisher" else "games, logits")
    for ax, name in zip(axes[0], OTHERS, strict=True):
        ax.set_title(LOOKS[name].label)
    axes[1, 1].set_xlabel("cosine with the encoder's gradient of the joint KL")
    return fig


def verdict_signs(summary):
    """In how many games a loss goes the other way than expected, in either metric."""
    other = {
        metric: {name: summary[arms.name((metric, name), "games with the other sign")] for name in OTHERS}
        for metric in METRICS
    }
    if not all(map(verdicts.finished, other["Fisher"].values())):
        return "No run finished."
    broken = sum(s["mean"] for s in other["Fisher"].values())
    theorem = "no game contradicts" if broken == 0 else f"{broken:.0f} games contradict"
    words = ", ".join(f"{verdicts.mean(s, '.0f')} with {name}" for name, s in other["logits"].items())
    return (
        f"In the Fisher metric {theorem} the theorem. In logit coordinates, which it does not cover, games with the "
        f"other sign: {words}."
    )


# 9.2 The exact game, played to the end


@dataclass(frozen=True)
class Played:
    """Many games at once, by gradient steps in the logits of the tables."""

    sizes: tuple = ((3, 3), (4, 6), (6, 4))  # values of x and of z
    games: int = 20  # per size
    step_size: float = 4.0  # of both players
    steps: int = 10_000


def random_games(n, k, games, seed):
    """`games` random tables of n times k, stacked: softmax of standard normal numbers."""
    rng = generator(seed, "games", n, k)
    shapes = ((n,), (k,), (n, k), (n, k))
    p_x, q_z, p, q = (torch.randn(games, *shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return SimpleNamespace(p_x=p_x.softmax(-1), q_z=q_z.softmax(-1)), p.softmax(-1), q.softmax(-2)


def played(w, p, q, losses, step_size, kept):
    """2 KL(M||P) after the steps in `kept`, shape (games, kept), and I(x; z) under P after the last, shape (games,)."""
    curve = []
    for t in range(1, max(kept) + 1):
        p, q = ali.exact_step(w, p, q, losses, step_size)  # (games, n, k)
        if t in kept:
            p_joint, q_joint = w.p_x[..., None] * p, w.q_z[..., None, :] * q
            curve.append(torch.vmap(ali.divergence)(p_joint, q_joint).clamp_min(0))
    return torch.stack(curve, 1), torch.vmap(mutual_information)(p_joint)


def run_played(config, seed, device):
    """Exact D before every step, gradient steps in the logits of both tables, with each of the four losses."""
    kept = sorted({round(config.steps ** (i / 60)) for i in range(61)})
    numbers, arrays = {}, {"steps": torch.tensor(kept)}
    for name, losses in ali.LOSSES.items():
        games = [random_games(n, k, config.games, seed) for n, k in config.sizes]
        found = [played(*game, losses, config.step_size, kept) for game in games]
        curves, told = (torch.cat(parts) for parts in zip(*found, strict=True))  # (all games, kept), (all games,)
        arrays[name] = curves
        numbers |= {
            (name, "games solved to 1e-12"): (curves[:, -1] < 1e-12).sum(),
            (name, "least 2 KL(M||P) at the end"): curves[:, -1].min(),
            (name, "median information, nats"): told.median(),
        }
    return {"numbers": {"games": config.games * len(config.sizes)} | arms.named(numbers), "arrays": arrays}


def draw_played(results, config):
    """A panel per loss, a line per game: 2 KL(M||P), shape (games, kept), against the steps that were kept."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 4, (8.4, 2.9), sharey=True)
    for ax, name in zip(axes, ali.LOSSES, strict=True):
        ax.loglog(a["steps"], a[name].clamp_min(1e-16).T, color=LOOKS[name].rgb, lw=0.7, alpha=0.6, ls="-")
        ax.axhline(1e-15, color="0.4", lw=1, ls=":")
        ax.set(title=LOOKS[name].label, xlabel="step", ylim=(3e-17, 60), xticks=(1, 10, 100, 1000))
    axes[0].set_ylabel("2 KL(M‖P), nats")
    axes[1].annotate("machine precision", (1.2, 2e-15), color="0.3")
    return fig


def verdict_played(summary):
    """How many games each loss solves, and how far from their solution the truncated losses end."""
    if not verdicts.finished(summary["games"]):
        return "No run finished."
    solved = arms.scores(summary, ali.LOSSES, "games solved to 1e-12")
    words = ", ".join(f"{name} {verdicts.mean(s, '.0f')}" for name, s in solved.items())
    least = summary["truncated: least 2 KL(M||P) at the end"]["mean"]  # of all games, so rounded down
    least = verdicts.mean({"mean": least if least is None else math.floor(10 * least) / 10}, ".1f")
    games = verdicts.mean(summary["games"], ".0f")
    return f"Of {games} games, solved to 1e-12: {words}. The truncated losses leave at least {least} nats."


# 9.3 How fast?


@dataclass(frozen=True)
class Speed:
    """Natural steps from a small deviation from P = Q."""

    games: int = 40
    size: int = 4  # values of x, and of z
    step_size: float = 1.0  # of both players
    steps: int = 600  # at most


def joint_between(share, k, rng):
    """A random joint (k, k): nearly independent for share 0, copies of each other for share 1."""
    joint = (1 - share) * worlds.simplex(rng, k * k).view(k, k) + share / k * torch.eye(k, dtype=torch.float64)
    return joint / joint.sum()


def measured_factor(joint, losses, config, start, noise):
    """By what natural steps multiply a small deviation, read off late, but before rounding or curvature shows.

    joint: (k, k). start: size of the deviation. noise: (2, k, k), its direction for each player.
    """
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
    rows = torch.stack(rows)  # (games, 2 + losses): largest and smallest correlation, then the factors
    half = config.step_size / 2
    theory = dict.fromkeys(ali.LOSSES, 1 - half * (1 - rows[:, 0]))
    theory["truncated"] = 1 + half * (1 - rows[:, 1] ** 2).sqrt()
    numbers = {}
    for name, factor in zip(ali.LOSSES, rows.T[2:], strict=True):
        miss = (factor - theory[name]).abs()
        numbers |= {(name, "median miss of the formula"): miss.median(), (name, "largest miss"): miss.max()}
    return {"numbers": arms.named(numbers), "arrays": {"rows": rows}}


def draw_speed(results, config):
    """Factors of the rows (games, 2 + losses) against a correlation, over the curves of (9.10)."""
    rows, half = results[0]["arrays"]["rows"], config.step_size / 2
    rho = torch.linspace(0, 1, 101)
    fig, axes = drawing.panels(1, 2, (8.2, 3.5))
    axes[0].plot(rho, 1 - half * (1 - rho), color="black", lw=1.2, ls="-", label="theory")
    axes[0].axhline(1 - half, color="0.45", ls="--", lw=1.2, label="a GAN on x alone")
    axes[1].plot(rho, 1 + half * (1 - rho**2).sqrt(), color="black", lw=1.2, ls="-", label="theory")
    for i, name in enumerate(ali.LOSSES):
        panel = int(name == "truncated")
        how = LOOKS[name].as_points(ms=7 - 2 * (i // 2), mfc="none")
        axes[panel].plot(rows[:, panel], rows[:, 2 + i], **how)
    axes[0].set(title="repaired, minimax, swapped", xlabel="largest correlation of x and z", ylim=(0.45, 1.02))
    axes[1].set(title="truncated", xlabel="smallest correlation of x and z", ylim=(0.98, 1.55))
    axes[0].set_ylabel("factor per step")
    axes[1].axhline(1, color="0.45", lw=1, ls=":")
    for ax, place in zip(axes, ("upper left", "lower left"), strict=True):
        ax.legend(loc=place)
    return fig


def verdict_speed(summary):
    """How far the measured factors are from the formula, in half of the games and in the worst one."""
    misses = [arms.scores(summary, ali.LOSSES, what) for what in ("median miss of the formula", "largest miss")]
    if not all(verdicts.finished(s) for scores in misses for s in scores.values()):
        return "No run finished."
    typical, worst = (max(s["max"] for s in scores.values()) for scores in misses)
    word = "agree with" if typical < 0.01 else "miss"
    typical, worst = map(_one_digit_up, (typical, worst))
    return f"Measured factors {word} the formula: half of the games within {typical:g}, all within {worst:g}."


def _one_digit_up(number):
    """The least number of one digit that is not below this one: 0.06 for 0.0541."""
    near = float(f"{number:.0e}")
    return near if near >= number else float(f"{near + 10.0 ** math.floor(math.log10(near)):.0e}")


# 9.9 Two joints and one discriminator


def draw_pairs():
    """Left the encoder's pair, right the generator's, and between them the discriminator that sees either."""
    fig, ax = diagrams.canvas((8.0, 3.0), (-0.2, 10.8), (-0.4, 3.8))
    for x, start, end, net, color, joint in (
        (0.9, ("data\n$x \\sim \\tilde{p}(x)$", 0.4), ("code\n$z$", 3.0), "E", "blue", "$P(x,z)$"),
        (9.7, ("prior\n$z \\sim q(z)$", 3.0), ("sample\n$x$", 0.4), "G", "green", "$Q(x,z)$"),
    ):
        inner, side = (3.0, 1) if x < 5 else (7.6, -1)
        diagrams.box(ax, x, start[1], start[0], width=1.9, height=0.95)
        diagrams.box(ax, x, end[1], end[0], width=1.9, height=0.95)
        diagrams.box(ax, x, 1.7, net, color, width=0.8, height=0.6)
        up = 1 if end[1] > start[1] else -1
        diagrams.arrow(ax, (x, start[1] + 0.5 * up), (x, 1.7 - 0.33 * up))
        diagrams.arrow(ax, (x, 1.7 + 0.33 * up), (x, end[1] - 0.5 * up))
        diagrams.box(ax, inner, 1.7, joint, width=1.5, height=0.8)
        for y in (0.4, 3.0):
            diagrams.arrow(ax, (x + 1.0 * side, y), (inner - 0.45 * side, 1.7 + (0.42 if y > 1.7 else -0.42)))
        diagrams.arrow(ax, (inner + 0.78 * side, 1.7), (5.3 - 0.75 * side, 1.7))
    diagrams.box(ax, 5.3, 1.7, "D(x, z)", "vermillion", width=1.4, height=0.8)
    ax.text(5.3, 0.85, "whose pair?", ha="center", va="center", fontsize=11)
    return fig


RECIPES = {
    "9.1": Recipe(
        title="Which way the encoder goes",
        caption="Histograms over random tables, D exact: the cosine between the encoder's gradient of the joint KL and "
        "the gradient that each loss gives it instead. Top: in the Fisher metric, where the sign is a theorem. Bottom: "
        "in the logits of the tables.",
        alt="Six histograms of cosines between -1 and 1. The truncated loss lies left of zero in both rows, the "
        "minimax loss is its mirror image on the right, the swapped loss lies right of zero above, most of "
        "it near zero; below it is spread more evenly, with a few games left of zero.",
        run=run_signs, draw=draw_signs, quick=Games(300), full=Games(), verdict=verdict_signs,
    ),
    "9.2": Recipe(
        title="Four losses in exact games",
        caption="Sixty random tables of three sizes: 2 KL(M‖P) over the steps. D is exact before every step, and "
        "encoder and generator take gradient steps in the logits of their tables. Each line is one game.",
        alt="Four panels of falling or rising lines on logarithmic axes. Repaired, minimax and swapped losses fall "
        "to the line of machine precision; with the truncated losses all lines end above one nat, many after a dip.",
        run=run_played, draw=draw_played, quick=Played(steps=300, games=5), full=Played(), verdict=verdict_played,
    ),
    "9.3": Recipe(
        title="Codes that follow the data are learned slowly",
        caption="The factor by which one natural step of size 1 multiplies a small deviation from P = Q, in 40 random "
        "tables between independence and copying. Black lines are equation (9.10), points are measured.",
        alt="Left: points for three losses on a straight line from one half at correlation 0 to 1 at correlation 1; "
        "a dashed line at one half for a GAN. Right: points for the truncated losses on an arc from 1.5 down to 1.",
        run=run_speed, draw=draw_speed, quick=Speed(games=8), full=Speed(), verdict=verdict_speed,
    ),
    "9.9": diagrams.diagram(
        draw_pairs,
        title="Two joints and one discriminator",
        caption="The encoder completes data with codes, the generator completes codes with samples. The discriminator "
        "sees whole pairs.",
        alt="A diagram. Left, data x pass the encoder E upward to a code z, and both form a pair of P. Right, a draw z "
        "of the prior passes the generator G downward to a sample x, and both form a pair of Q. Both kinds of pairs go "
        "to the discriminator D in the middle.",
    ),
}  # fmt: skip
