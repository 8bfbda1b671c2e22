"""House style: same bytes on every run, readable colors, alternative text always there."""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from gentools.lab import plots
from gentools.lab.history import History

mpl.use("Agg")


def luminance(color):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(color)]
    return np.dot([0.2126, 0.7152, 0.0722], channels)


def simulate(color, matrix):
    return np.clip(np.array(matrix) @ mpl.colors.to_rgb(color), 0, 1)


# Machado, Oliveira, Fernandes 2009, severity 1.0 (applied to gamma-encoded values, a usual approximation)
BLINDNESS = {
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colors_stay_apart_for_color_blind_readers(kind):
    seen = {name: simulate(c, BLINDNESS[kind]) for name, c in plots.COLORS.items()}
    names = list(seen)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    closest = min(pairs, key=lambda ab: np.abs(seen[ab[0]] - seen[ab[1]]).sum())
    assert np.abs(seen[closest[0]] - seen[closest[1]]).sum() > 0.15, closest


def test_text_is_dark_and_backgrounds_are_opaque():
    import matplotlib.pyplot as plt

    plots.style()
    assert (1.05) / (luminance(mpl.rcParams["text.color"]) + 0.05) > 4.5
    assert mpl.rcParams["font.size"] >= 10 and mpl.rcParams["xtick.labelsize"] >= 10
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    picture = np.asarray(Image.open(io.BytesIO(plots.png(fig))).convert("RGBA"))
    assert (picture[..., 3] == 255).all()
    assert plots.png(fig) == plots.png(fig)
    assert Image.open(io.BytesIO(plots.png(fig, Title="Figure 9.9"))).info["Title"] == "Figure 9.9"
    plt.close(fig)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_no_figure_is_left_open_by_the_test_before(turn):
    assert not plt.get_fignums()
    plt.figure()


def test_show_needs_alternative_text():
    with pytest.raises(ValueError, match="alt is empty"):
        plots.show_png(b"", " ")


def test_show_displays_once_and_closes(monkeypatch):
    import IPython.display
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", object)  # in a notebook
    monkeypatch.setattr(IPython.display, "display", lambda *a, **k: shown.append((a, k)))
    fig, _ = plt.subplots()
    plots.show(fig, alt="an empty plot")
    ((bundle,), options), *rest = shown
    assert not rest and not plt.fignum_exists(fig.number)
    assert bundle["text/plain"] == "an empty plot" == options["metadata"]["image/png"]["alt"]


def test_a_plain_script_gets_the_text_and_not_the_bytes(capsys):
    plots.show_png(b"0123456789", "an empty plot")
    assert capsys.readouterr().out == "[picture] an empty plot\n"


@pytest.mark.parametrize("shape", [(7, 5, 4), (7, 1, 5, 4), (7, 3, 5, 4)])
def test_image_grid_keeps_every_pixel(shape):
    import matplotlib.pyplot as plt

    images = np.random.default_rng(0).random(shape)
    fig, ax = plt.subplots()
    plots.image_grid(ax, images, columns=3)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape[:2] == (3 * 6, 3 * 5)
    flat = images.transpose(0, 2, 3, 1).squeeze(-1) if len(shape) == 4 and shape[1] == 1 else images
    flat = flat.transpose(0, 2, 3, 1) if flat.ndim == 4 else flat
    for n in range(7):
        i, j = divmod(n, 3)
        assert np.array_equal(sheet[6 * i : 6 * i + 5, 5 * j : 5 * j + 4], flat[n])
    plt.close(fig)


@pytest.mark.parametrize(
    "names, unit, panels",
    [
        (["discriminator", "generator"], None, {"nats": ["discriminator", "generator"]}),
        (["V", "data error", "kl"], None, {"nats": ["V", "kl"], "": ["data error"]}),
        (["critic"], None, {"": ["critic"]}),
        (["reconstruction", "sigma"], "squared distance", {"squared distance": ["reconstruction", "sigma"]}),
    ],
)
def test_curves_in_nats_have_a_panel_of_their_own(names, unit, panels, monkeypatch):
    history, shown = History(), []
    history.names, history.values = names, torch.rand(60, len(names))
    monkeypatch.setattr(plots, "show", lambda fig, alt: shown.append(fig))
    plots.curves(history, unit=unit)
    found = {ax.get_ylabel(): [text.get_text() for text in ax.get_legend().get_texts()] for ax in shown[0].axes}
    assert found == panels
    plt.close(shown[0])


def test_more_metrics_than_colors_have_a_curve_each(monkeypatch):
    history, shown = History(), []
    history.names, history.values = [f"m{i}" for i in range(9)], torch.rand(60, 9)
    monkeypatch.setattr(plots, "show", lambda fig, alt: shown.append(fig))
    plots.curves(history)
    assert len(shown[0].axes[0].get_legend().get_texts()) == 9


def test_points_of_any_precision_and_centers_with_a_graph_are_drawn(capsys):
    plots.scatter(torch.rand(5, 2).bfloat16(), torch.ones(1, 2, requires_grad=True))
    assert capsys.readouterr().out.startswith("[picture] 5 points in the plane, with crosses")


@pytest.mark.parametrize("draw", [plots.scatter, plots.sheet])
def test_arrays_are_told_that_they_are_no_tensors(draw):
    with pytest.raises(TypeError, match=r"must be a torch tensor, not numpy\.ndarray"):
        draw(np.zeros((3, 2, 2)))


@pytest.mark.parametrize("shape", [(7, 5, 4, 3), (7, 2, 5, 4), (5, 4)])
def test_image_grid_refuses_what_are_no_images(shape):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="images have the shape"):
        plots.image_grid(ax, np.zeros(shape))
