"""Chapter 11: structural similarity against torchmetrics and cases solved by hand."""

import math

import pytest
import torch
from torch.nn.functional import avg_pool2d
from torchmetrics.functional.image.ssim import _ssim_update

from gentools import similarity
from gentools.lab.randomness import generator


def pictures(n=6, c=3, h=40, w=32, name="x"):
    """Noise with some structure, in [0, 1]."""
    rough = torch.rand(n, c, h, w, generator=generator(0, name), dtype=torch.float64)
    return 0.5 * rough + 0.5 * rough.cumsum(-1) / rough.cumsum(-1).amax(-1, keepdim=True)


def outside(x, y, span):
    """SSIM and contrast-structure per pair by torchmetrics, where the window fits (it pads, and this cuts that off)."""
    _, full = _ssim_update(x, y, data_range=span, return_full_image=True)
    _, structure = _ssim_update(x, y, data_range=span, return_contrast_sensitivity=True)
    return full[..., 5:-5, 5:-5].mean((1, 2, 3)), structure


@pytest.mark.parametrize("span", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 40, 32), (1, 11, 15)])
def test_ssim_agrees_with_torchmetrics(shape, span):
    x, y = (span * pictures(6, *shape, name=name) for name in ("x", "y"))
    assert torch.allclose(similarity.ssim(x, y, span), outside(x, y, span)[0], atol=1e-10)


@pytest.mark.parametrize("scales, side", [(5, 176), (3, 64), (2, 28), (1, 28)])
def test_ms_ssim_agrees_with_the_scales_of_torchmetrics(scales, side):
    x = pictures(3, 1, side, side)
    y = (0.7 * x + 0.3 * pictures(3, 1, side, side, name="y")).clamp(0, 1)
    found, a, b = torch.ones(3).double(), x, y
    weights = similarity.SCALES[:scales]
    for i, weight in enumerate(weights):
        whole, structure = outside(a, b, 1.0)
        found *= (whole if i == scales - 1 else structure) ** (weight / (1.0 if scales == 5 else sum(weights)))
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    assert torch.allclose(similarity.ms_ssim(x, y, scales=scales), found, atol=1e-10)


def test_pictures_solved_by_hand():
    flat = torch.ones(1, 1, 12, 12).double()
    assert similarity.ssim(flat, flat) == pytest.approx(1)
    a, b, c1 = 0.25, 0.75, 1e-4  # without contrast the luminance alone is left
    assert float(similarity.ssim(a * flat, b * flat)) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))
    board = (torch.arange(12)[:, None] + torch.arange(12)) % 2 * 1.0
    opposite = similarity.ssim(board.double()[None, None], 1 - board.double()[None, None])
    assert float(opposite) == pytest.approx(-1, abs=0.02)  # equal means, opposite structure


@pytest.mark.parametrize("many, span", [(64, 1.0), (3, 2.0)])
def test_all_pairs_is_ssim_of_every_pair(many, span, monkeypatch):
    monkeypatch.setattr(similarity, "PAIRS", many)
    x = 0.2 * span * pictures(7)  # faint, so that the constants, which grow with the span, weigh
    table = similarity.all_pairs(x, span)
    want = torch.stack([similarity.ssim(x, one.expand_as(x), span) for one in x])
    assert torch.allclose(table, want, atol=1e-12) and torch.equal(table, table.T)
    off = want[~torch.eye(7, dtype=bool)]
    assert similarity.sameness(x, span) == pytest.approx(float(off.mean()))


def test_copies_are_the_same():
    assert similarity.sameness(pictures(1).expand(5, -1, -1, -1)) == pytest.approx(1)


REFUSALS = {
    "bytes": (lambda: similarity.ssim(*[torch.zeros(2, 1, 12, 12, dtype=torch.uint8)] * 2), "floating-point"),
    "rows": (lambda: similarity.ssim(torch.zeros(2, 144), torch.zeros(2, 144)), r"\(n, c, h, w\)"),
    "other sizes": (lambda: similarity.ssim(torch.zeros(2, 1, 12, 12), torch.zeros(2, 1, 12, 13)), "of one size"),
    "other numbers": (lambda: similarity.ssim(torch.zeros(2, 1, 12, 12), torch.zeros(1, 1, 12, 12)), "2 and 1"),
    "small": (lambda: similarity.all_pairs(torch.zeros(2, 1, 8, 8)), "at least 11"),
    "small for five scales": (lambda: similarity.ms_ssim(*[torch.zeros(2, 1, 64, 64)] * 2), "at least 161"),
    "six scales": (lambda: similarity.ms_ssim(*[torch.zeros(2, 1, 64, 64)] * 2, scales=6), "between 1 and 5"),
    "NaN": (lambda: similarity.sameness(torch.full((2, 1, 12, 12), math.nan)), "NaN"),
    "half": (lambda: similarity.ssim(*[torch.zeros(2, 1, 12, 12).half()] * 2), "half precision"),
    "channels last": (lambda: similarity.ssim(*[torch.zeros(2, 32, 32, 3)] * 2), "permute"),
    "0 to 255": (lambda: similarity.sameness(255 * pictures()), "span=255 for 0 to 255"),
    "-1 to 1": (lambda: similarity.ms_ssim(2 * pictures() - 1, pictures(), scales=1), "span=2 for -1 to 1"),
    "span 0": (lambda: similarity.all_pairs(pictures(), span=0), "span must be positive"),
    "one picture": (lambda: similarity.sameness(torch.zeros(1, 1, 12, 12)), "two pictures at least"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_has_no_similarity_is_refused_with_a_reason(name):
    call, message = REFUSALS[name]
    with pytest.raises(ValueError, match=message):
        call()


PAIRED = {"ssim": similarity.ssim, "ms_ssim": lambda x, y, span: similarity.ms_ssim(x, y, span, scales=1)}
ALONE = {
    name: lambda x, _, span, of=of: of(x, span)
    for name, of in vars(similarity).items()
    if name in ("all_pairs", "sameness")
}


@pytest.mark.parametrize("name", PAIRED | ALONE)
def test_all_refuse_the_same_pictures(name):
    measure, x = (PAIRED | ALONE)[name], pictures()
    for bad, span, message in (
        (x.half(), 1.0, "half precision"),
        (x * math.nan, 1.0, "NaN"),
        (x[..., :8], 1.0, "at least 11"),
        (x.flatten(1), 1.0, "floating-point"),
        (255 * x, 1.0, "span=255 for 0 to 255"),
        (x, 255.0, "span=255 for 0 to 255"),
        (2 * x - 1, 255.0, "and span=255; say"),
        (x, 0.0, "span must be positive"),
        (x, math.nan, "span must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(bad, bad, span)
    if name in PAIRED:
        with pytest.raises(ValueError, match="in pairs; there are 2 and 1"):
            measure(x[:2], x[:1], 1.0)
