"""Figures of chapter 17: the drawing of the map (17.1), and what the models do on points and pictures (17.2 to 17.4)."""

from gentools.lab.plots import COLORS
from gentools.one_map import MODELS
from gentools.recipes import Recipe, one_map_pictures, one_map_points, one_map_ring
from gentools.recipes.shared import diagrams

# 17.1 The map

TO_COLORS = {
    "KL(P‖Q)": "blue",
    "KL(Q‖P)": "orange",
    "2 JS(P,Q)": "green",
    "KL(M‖P), KL(M‖Q)": "green",
}  # of a direction; others are purple
SHORT = {  # directions that fill a box
    "KL(P‖Q), then KL(Q‖P)": "a KL each",
    "KL(P‖Q), reweighted": "reweighted",
    "W₁(p̃,q), and more by the penalty": "W₁(p̃,q) and more",
}
PLACES = {  # of each row of the map
    "variational inference": (1.2, 9.6),
    "EM": (4.7, 9.6),
    "autoregressive": (8.2, 9.6),
    "wake-sleep": (11.7, 9.6),
    "conditional VAE": (1.2, 7.6),
    "VAE": (4.7, 7.6),
    "diffusion": (8.2, 7.6),
    "flow matching": (11.7, 7.6),
    "AAE": (1.2, 5.4),
    "ALI, minimax": (4.7, 5.4),
    "alpha-GAN": (1.2, 3.4),
    "ALI, truncated": (4.7, 3.4),
    "ALI, swapped": (1.2, 1.4),
    "GAN": (8.2, 4.4),
    "conditional GAN": (11.7, 5.7),
    "regularized GAN": (11.7, 4.0),
    "WGAN-GP": (11.7, 2.0),
    "DCGAN": (8.2, 2.0),
    "AGE": (4.7, 1.4),
}
EDGES = (  # from, to, what changes on the way, and where on it the words stand; negative: below it
    ("variational inference", "EM", "the model\nmoves too", 0.5),
    ("EM", "autoregressive", "no z", 0.5),
    ("EM", "VAE", "one network for\nall x, and draws", 0.5),
    ("VAE", "conditional VAE", "a label y", 0.5),
    ("VAE", "diffusion", "encoder\nfixed,\nmany steps", -0.5),
    ("diffusion", "flow matching", "other\nweights\nof time", 0.5),
    ("VAE", "AAE", "drop I(x;z):\nratio on z", 0.5),
    ("AAE", "alpha-GAN", "a ratio on x\nbeside it", 0.5),
    ("AAE", "ALI, minimax", "one ratio\non (x,z)", 0.5),
    ("GAN", "ALI, truncated", "z beside x,\nminus a term", 0.55),
    ("ALI, truncated", "ALI, minimax", "one number,\nboth ways", 0.5),
    ("ALI, truncated", "ALI, swapped", "the encoder's\nlabel exchanged", 0.5),
    ("GAN", "conditional GAN", "a label c", 0.5),
    ("GAN", "regularized GAN", "keep a bound\nof KL(q‖q_o)", 0.5),
    ("GAN", "DCGAN", "convolutions", 0.5),
    ("GAN", "WGAN-GP", "a critic:\nleave the KL", 0.55),
    ("GAN", "AGE", "moments of\ncodes for D", 0.62),
    ("VAE", "GAN", "a label of origin,\nmodel first", 0.4),
    ("VAE", "wake-sleep", "the encoder by\nthe other direction", 0.42),
)
WIDTH, HEIGHT = 2.26, 0.85  # of a box


def border(a, b):
    """Where the line between the boxes centered at a and b leaves the box of a."""
    run, rise = b[0] - a[0], b[1] - a[1]
    reach = min(WIDTH / 2 / abs(run) if run else 9, HEIGHT / 2 / abs(rise) if rise else 9)
    return a[0] + 1.06 * reach * run, a[1] + 1.06 * reach * rise


def draw_map():
    """A box for each row of the map, in the color of its direction, and an arrow for each change."""
    from matplotlib.patches import FancyBboxPatch

    fig, ax = diagrams.canvas((8.4, 6.3), (-0.1, 13.0), (0.8, 10.2))
    for row in MODELS:
        x, y = PLACES[row.name]
        color = COLORS[TO_COLORS.get(row.direction, "purple")]
        shape = "round,pad=0.02,rounding_size=0.12"
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, fc=color + "2b", ec=color, lw=1.5, boxstyle=shape))
        ax.text(x, y + 0.14, row.name, ha="center", va="center", fontsize=7.8, weight="bold")
        below = f"({row.equation})" if row.equation else f"chapter {row.chapter}"
        ax.text(x, y - 0.2, f"{SHORT.get(row.direction, row.direction)}  {below}", ha="center", va="center", fontsize=7)
    for one, other, text, at in EDGES:
        a, b = PLACES[one], PLACES[other]
        start, end = border(a, b), border(b, a)
        diagrams.arrow(ax, start, end, "0.35")
        x, y = ((1 - abs(at)) * s + abs(at) * e for s, e in zip(start, end, strict=True))
        flat = abs(start[1] - end[1]) < 0.5  # then the words stand above the arrow, or below it
        how = dict(boxstyle="round,pad=0.1", fc="white", ec="none", alpha=0 if flat else 0.9)
        side = (1 if at > 0 else -1) * flat
        va = {1: "bottom", 0: "center", -1: "top"}[side]
        rise = abs((end[1] - start[1]) / (end[0] - start[0])) if flat else 0  # lifts the words off a leaning arrow
        ax.text(x, y + (0.08 + 0.35 * rise) * side, text, ha="center", va=va, fontsize=7, color="0.2", bbox=how)
    return fig


RECIPES = {
    "17.1": diagrams.diagram(
        draw_map,
        title="The map",
        caption="Every model of the course, with the divergence that it measures and the equation at which its chapter "
        "derives it (wake-sleep: the capstone). Colors say the direction. Blue: data first; orange: model first; green: "
        "both at once, against the mean of the joints; purple: both in turns, another measure, or none. An arrow says what "
        "changes.",
        alt="Nineteen boxes joined by labeled arrows. Blue boxes for models that measure KL(P||Q) stand at the left and above, "
        "orange ones for KL(Q||P) at the right and below.",
    ),
    "17.2": Recipe(
        title="Every model on the grid, for half a minute",
        caption="Eleven models of the 25 Gaussians of chapter 5, and the data themselves, five seeds. The networks have two "
        "hidden layers of 128 units (the autoregressive model: one of 256, the denoiser: three). What is equal is time: "
        "about half a minute of one CPU core for each model, less for EM and the autoregressive model. Each rate is the "
        "best of two to four that were tried over all steps on another seed; larger rates were worse after about half of "
        "the steps. The rates fall to 0, so every run comes to rest, finished or not. Above, 2,500 samples of the first "
        "seed. Below, overlap over the run, from 0 at the foot of a row to 1 at its top, and the scores of every seed at "
        "the end. Circles: one function is climbed, squares: a discriminator plays against it, triangles: another game, "
        "diamonds: no model. Dotted: a uniform sampler. Weights beside the first term of a loss: AAE 10, regularized GAN 5, "
        "WGAN-GP 0.1 (two steps of its critic), AGE 10 for data and 1,000 for codes, others 1.",
        alt="Twelve small clouds of points over a five by five grid; below, a row for each model with its curves of overlap, and four "
        "panels with a point for each seed.",
        run=one_map_points.run_grid, draw=one_map_points.draw_grid, verdict=one_map_points.verdict_grid,
        seeds=tuple(range(5)), full=one_map_points.Grid(),
        quick=one_map_points.Grid(
            models=tuple(s._replace(steps=60, batch=min(s.batch, 64)) for s in one_map_points.Grid().models),
            points=2000, compared=200, moments=4,
        ),
    ),
    "17.3": Recipe(
        title=f"Every model on digits, after {one_map_pictures.STEPS:,} steps",
        caption="Handwritten digits of 28x28 pixels, networks of two hidden layers of 128 units (the autoregressive model: one, the "
        f"denoiser: three blocks) and codes of 16 numbers, five seeds. What is equal is {one_map_pictures.STEPS:,} steps with 64 "
        "pictures each; WGAN-GP's critic takes two such steps for each of its generator. Each rate is the best of two to five "
        "that were tried over all steps, around the best of trials with fewer steps. (The latter was tried by two runs, on the first "
        "two of the seeds shown, the others by one run on another seed.) Some best rates lie at an edge: for the autoregressive model "
        "the best is an edge of all that were tried, for VAE, WGAN-GP and flow matching of those over all steps. Left, what the models "
        "draw, first seed: chances of a white pixel where a model has those, else gray values or bits. All are then made bits by one "
        "rule and judged in the features of a classifier of binarized digits. Beside the pictures, the Fréchet distance over the run, "
        "from 5 at the foot of a row to 1,000 at its top, and the scores of every seed at the end. Marks as in figure 17.2. "
        "Weights: AAE 10, regularized GAN 5, WGAN-GP 10, AGE 320 for data and 500 for codes, others 1.",
        alt="Rows of eight small pictures for thirteen samplers, beside curves of a distance and five panels with a row of points for "
        "each.",
        run=one_map_pictures.run_digits, draw=one_map_pictures.draw_digits, verdict=one_map_pictures.verdict_digits,
        seeds=tuple(range(5)), full=one_map_pictures.Digits(),
        quick=one_map_pictures.Digits(
            models=tuple(s._replace(steps=20, batch=min(s.batch, 32)) for s in one_map_pictures.Digits().models),
            components=10, fitted=500, judged=200, judge_steps=60, moments=4,
        ),
    ),
    "17.4": Recipe(
        title="The capstone on the ring",
        caption="A VAE, and the model of the capstone (wake-sleep) from a plain and from an informed start, with the same networks, on the "
        f"ring of eight Gaussians, five seeds. The informed start is a VAE of {one_map_ring.Ring().informed:,} steps at the VAE's rate, "
        "which falls to 0 over them; after it, from step 0 on, come as many rounds as from the plain start. Each rate is the best of three "
        "to five that were tried over all steps on other seeds, by distance; it falls to 0. Left, first seed: samples, and below them codes "
        "of the data. Right, every seed over training: energy distance of the samples from the data (the axis is logarithmic above 0.1), and "
        "below it I(x;z). Dotted gray: the distance of fresh draws of the data, and of a Gaussian with the data's deviation.",
        alt="Clouds of samples and codes for three models, and two panels of curves: the VAE ends nearest to the data and with the "
        "most information in its codes, and the curves of the informed start begin near there.",
        run=one_map_ring.run_ring, draw=one_map_ring.draw_ring, verdict=one_map_ring.verdict_ring,
        seeds=tuple(range(5)), full=one_map_ring.Ring(), quick=one_map_ring.Ring(steps=60, informed=20, points=3000, read=200, moments=4),
    ),
}  # fmt: skip
