"""House style for figures, and `show`, which puts a figure with its alternative text into a notebook."""

import io
import itertools

COLORS = {  # Okabe, Ito 2008: distinguishable with every common form of color blindness
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))


def style():
    """Set matplotlib's defaults to the house style: opaque, color-blind safe, readable at stored size."""
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": mpl.cycler(color=list(COLORS.values()), linestyle=LINES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "image.cmap": "viridis",
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "svg.hashsalt": "gentools",
        }
    )


def png(fig, **metadata):
    """The figure as PNG bytes, the same bytes on every run; `metadata` (text) is stored inside the picture.

    It is stored with a palette of its 128 most useful colors, which makes it three times smaller. A drawing loses nothing
    that one could see by it, and a sheet of small photographs little.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer, small, text = io.BytesIO(), io.BytesIO(), PngInfo()
    fig.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB")
    picture = picture.quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    for name, value in metadata.items():
        text.add_text(name, value)
    picture.save(small, "png", optimize=True, pnginfo=text)
    return small.getvalue()


def show_png(data, alt):
    """Display PNG bytes with alternative text; where pictures cannot be shown, as in a plain script, the text stands in."""
    import base64

    from IPython import get_ipython
    from IPython.display import display

    if not alt.strip():
        raise ValueError("alt is empty; describe in a sentence what the picture shows")
    if get_ipython() is None:  # display would print the bytes
        print(f"[picture] {alt}")
        return
    bundle = {"image/png": base64.b64encode(data).decode(), "text/plain": alt}
    display(bundle, metadata={"image/png": {"alt": alt}}, raw=True)


def show(fig, alt):
    """Display a figure once, with alternative text `alt` for readers who cannot see it, and close it."""
    import matplotlib.pyplot as plt

    show_png(png(fig), alt)
    plt.close(fig)


def _of_images(shape):
    """Whether a tensor of this shape holds images (n, h, w) or (n, c, h, w) with c in {1, 3}."""
    return len(shape) == 3 or (len(shape) == 4 and shape[1] in (1, 3))


def image_grid(ax, images, columns=10, vmin=0, vmax=1, interpolation="nearest"):
    """Draw images (n, h, w) or (n, c, h, w) with c in {1, 3} as one sheet on `ax`, row by row, last row filled.

    vmin, vmax: the values that are black and white, 0 and 255 for bytes; the lines between colored images have the value
    vmax. interpolation: as in matplotlib; "hanning" suits images that are drawn smaller than they are. Raises ValueError
    for other shapes.
    """
    import numpy as np

    images = np.asarray(images)
    if not _of_images(images.shape):
        raise ValueError(f"images have the shape (n, h, w), (n, 1, h, w) or (n, 3, h, w), not {images.shape}")
    if images.ndim == 4:
        images = images.transpose(0, 2, 3, 1)
        images = images[..., 0] if images.shape[-1] == 1 else images
    rows = -(-len(images) // columns)
    blank = np.full((rows * columns - len(images), *images.shape[1:]), vmax, images.dtype)
    images = np.concatenate([images, blank])
    pad = [(0, 0), (0, 1), (0, 1)] + [(0, 0)] * (images.ndim - 3)
    tiles = np.pad(images, pad, constant_values=vmax)
    sheet = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    sheet = sheet.reshape(rows * tiles.shape[1], columns * tiles.shape[2], *tiles.shape[3:])
    ax.imshow(sheet, cmap="gray", vmin=vmin, vmax=vmax, interpolation=interpolation)
    ax.set_axis_off()


# What a training cell shows, one call each


NATS = {"discriminator", "elbo", "encoder", "generator", "kl", "loss", "reconstruction", "V"}  # metrics of steps


def curves(history, alt=None, unit=None):
    """Show every metric of a History over the steps: single steps in a pale line, means over a fiftieth of the run on top.

    Where all metrics are in nats the axis says so. Where only some are, they have a panel of their own, left of the others:
    errors of a tenth would lie flat beside a hundred nats. unit: another one for all, in one panel. Raises ValueError for a
    run of 0 steps.
    """
    if not len(history):
        raise ValueError("there is nothing to show: the history is empty, because no step was run")
    import matplotlib.pyplot as plt

    nats = [name for name in history.names if name in NATS]
    rest = [name for name in history.names if name not in NATS]
    panels = [(unit or "nats" if unit or nats else "", history.names)]
    if nats and rest and unit is None:
        panels = [("nats", nats), ("", rest)]
    fig, axes = plt.subplots(1, len(panels), figsize=(6.4 if len(panels) == 1 else 8.4, 2.8), squeeze=False)
    width, colors = max(1, len(history) // 50), dict(zip(history.names, itertools.cycle(COLORS.values())))
    for ax, (label, names) in zip(axes[0], panels, strict=True):
        for name in names:
            values = history[name].detach().reshape(len(history), -1).mean(1)  # (steps,)
            means = values[: len(values) // width * width].reshape(-1, width).mean(1)
            ax.plot(range(len(values)), values, color=colors[name], alpha=0.2, lw=0.6, ls="-")
            ax.plot([(i + 0.5) * width for i in range(len(means))], means, color=colors[name], ls="-", label=name)
        ax.set(xlabel="step", ylabel=label)
        ax.legend(loc="best")
    show(fig, alt or f"Curves over {len(history)} steps: {', '.join(history.names)}.")


def scatter(x, centers=None, alt=None):
    """Show points x (n, 2) in the plane, and crosses at the centers (k, 2) of the true modes.

    Raises ValueError for other shapes, TypeError for what is no tensor.
    """
    import matplotlib.pyplot as plt

    from gentools.lab.shapes import centers_of_modes, tensors

    tensors(x=x)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"points in the plane have the shape (n, 2), not {tuple(x.shape)}; x[:, :2] shows two columns")
    if centers is not None:
        centers_of_modes(2, centers=centers)
    fig, ax = plt.subplots(figsize=(3.6, 3.6))
    ax.plot(*x.detach().cpu().float().T, ".", ms=2, alpha=0.5, color=COLORS["blue"])
    if centers is not None:
        centers = centers.detach().cpu().float()
        reach = 1.3 * float(centers.abs().max())
        ax.plot(*centers.T, "+", ms=6, mew=0.9, color=COLORS["vermillion"])
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set(aspect="equal", xticks=(), yticks=())
    show(
        fig, alt or f"{len(x)} points in the plane{', with crosses at the true modes' if centers is not None else ''}."
    )


def sheet(images, columns=10, alt=None):
    """Show images (n, h, w) or (n, c, h, w), scaled from their least value to their largest, as one sheet.

    Raises ValueError for other shapes, for none, and for values that are not finite, TypeError for what is no tensor.
    """
    import matplotlib.pyplot as plt

    from gentools.lab.shapes import finite, tensors

    tensors(images=images)
    if not images.numel() or not _of_images(images.shape):
        raise ValueError(
            f"images have the shape (n, h, w), (n, 1, h, w) or (n, 3, h, w), n >= 1, not {tuple(images.shape)}; "
            ".permute(0, 3, 1, 2) brings channels to the front, .unflatten(1, (h, w)) turns rows into images"
        )
    finite("a sheet shows numbers alone: was the training stable?", images=images)
    images = images.detach().cpu().float()
    rows = -(-len(images) // columns)
    fig, ax = plt.subplots(figsize=(0.6 * columns, 0.6 * rows))
    low, high = images.min(), images.max()
    image_grid(ax, (images - low) / (high - low).clamp(min=1e-12), columns=columns)
    show(fig, alt or f"A sheet of {len(images)} pictures, {columns} in a row.")
