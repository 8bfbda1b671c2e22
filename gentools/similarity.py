"""Metrics of chapter 11 that look at pictures: structural similarity at one scale and at several, and of all pairs.

The Gaussian window of SSIM is separable, so filtering a picture is two products with a banded matrix.
Shapes: x and y (n, c, h, w) are pictures, with values that span `span`.
"""

import functools

import torch
from torch.nn.functional import avg_pool2d

from gentools.lab.shapes import graphless, positive, tensors, within_span

WINDOW, WIDTH = 11, 1.5  # pixels of the window, and its standard deviation (Wang et al. 2004)
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of the scales, the finest first (Wang et al. 2003)
PAIRS = 64  # pairs that are filtered at a time


@functools.cache
def _band(size, dtype, device):
    """The matrix (size - 10, size) that filters a column where the whole window fits."""
    window = torch.exp(-((torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2) ** 2) / (2 * WIDTH**2))
    window = window / window.sum()
    band = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for row in range(len(band)):
        band[row, row : row + WINDOW] = window
    return band.to(device, dtype)


def _filtered(x):
    """Local means of x (..., h, w) where the window fits: (..., h - 10, w - 10)."""
    return _band(x.shape[-2], x.dtype, x.device) @ x @ _band(x.shape[-1], x.dtype, x.device).T


def _pictures(span, scales=1, **pictures):
    """Refuse what is no pair of picture stacks of one size, long enough for the scales and within the span."""
    tensors(**pictures)
    if any(x.dtype in (torch.float16, torch.bfloat16) for x in pictures.values()):
        raise ValueError("SSIM in half precision is off in its second digit; use .float()")
    shapes = {tuple(x.shape[1:]) for x in pictures.values()}
    if len(shapes) > 1 or any(x.ndim != 4 or not len(x) or not x.is_floating_point() for x in pictures.values()):
        found = ", ".join(f"{name} {x.dtype} {tuple(x.shape)}" for name, x in pictures.items())
        raise ValueError(f"pictures must be floating-point (n, c, h, w) of one size, n >= 1; they are {found}")
    for name, x in pictures.items():
        if not x.shape[1]:
            raise ValueError(f"{name} has pictures without channels, of shape {tuple(x.shape[1:])}")
        if not x.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity; drop those pictures first")
        if min(x.shape[-2:]) < (need := (WINDOW - 1) * 2 ** (scales - 1) + 1):
            raise ValueError(
                f"{scales} scales with a window of {WINDOW} pixels need sides of at least {need}, not "
                f"{tuple(x.shape[-2:])}; use fewer scales, or enlarge the pictures"
                f"{' (channels last? x.permute(0, 3, 1, 2))' if x.shape[-1] <= 4 else ''}"
            )
    positive(span=span)
    within_span(span, **pictures)
    if len({len(x) for x in pictures.values()}) > 1:
        raise ValueError(
            f"pictures are compared in pairs; there are {' and '.join(str(len(x)) for x in pictures.values())}"
        )


def _terms(mean_x, mean_y, square_sum, product, span):
    """Luminance times contrast-structure, and contrast-structure alone, of local moments (n, c, h, w); each (n,).

    square_sum: local mean of x^2 + y^2, which is all that SSIM needs of the two squares.
    """
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    both, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    structure = (2 * (product - both) + c2) / (square_sum - squares + c2)
    return ((2 * both + c1) / (squares + c1) * structure).mean((1, 2, 3)), structure.mean((1, 2, 3))


def _similar(x, y, span):
    return _terms(_filtered(x), _filtered(y), _filtered(x.square() + y.square()), _filtered(x * y), span)


@graphless
def ssim(x, y, span=1.0):
    """Structural similarity of paired pictures x and y (n, c, h, w): (n,), 1 for equal ones (Wang et al. 2004).

    Window of 11 pixels and standard deviation 1.5, constants 0.01 and 0.03, only where the window fits, mean over maps and
    channels. span: the range of values, 1 for [0, 1] and 2 for [-1, 1]. Raises ValueError for other shapes, NaN, integers,
    half precision, sides below 11 and values that reach far beyond the span.
    """
    _pictures(span, x=x, y=y)
    return _similar(x, y, span)[0]


@graphless
def ms_ssim(x, y, span=1.0, scales=5):
    """SSIM over several scales of x and y (n, c, h, w): (n,) (Wang, Simoncelli, Bovik 2003). Sides of 161 for five scales.

    Each scale halves the sides. All but the last give contrast and structure, the last one all of SSIM; they are multiplied
    with the exponents `SCALES`, scaled to sum 1 where fewer than five are used. Negative ones count as 0.
    """
    if not 1 <= scales <= len(SCALES):
        raise ValueError(f"scales must lie between 1 and {len(SCALES)}, not {scales}")
    _pictures(span, scales, x=x, y=y)
    total = 1.0 if scales == len(SCALES) else sum(SCALES[:scales])  # the published five sum to 1.0001
    found = torch.ones(len(x), dtype=x.dtype, device=x.device)
    for scale, exponent in enumerate(SCALES[:scales]):
        whole, structure = _similar(x, y, span)
        found = found * (whole if scale == scales - 1 else structure).clamp_min(0) ** (exponent / total)
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return found


@graphless
def all_pairs(x, span=1.0):
    """SSIM of every two of the pictures x (n, c, h, w): a symmetric table (n, n) with ones on the diagonal.

    Local means and squares are computed once for each picture; a pair then costs one filtered product.
    """
    _pictures(span, x=x)
    c1, c2, n = (0.01 * span) ** 2, (0.03 * span) ** 2, len(x)
    mean = _filtered(x)  # (n, c, h - 10, w - 10)
    bright = mean.square() + c1 / 2
    varied = _filtered(x.square()) - mean.square() + c2 / 2
    table = torch.eye(n, dtype=x.dtype, device=x.device)
    for i in range(n - 1):
        for start in range(i + 1, n, PAIRS):
            others = slice(start, start + PAIRS)
            both = mean[i] * mean[others]
            structure = (2 * (_filtered(x[i] * x[others]) - both) + c2) / (varied[i] + varied[others])
            luminance = (2 * both + c1) / (bright[i] + bright[others])
            table[i, others] = table[others, i] = (luminance * structure).mean((1, 2, 3))
    return table


@graphless
def sameness(x, span=1.0):
    """Mean SSIM of two different pictures among x (n, c, h, w): low for varied pictures, 1 for copies of one.

    Odena et al. (2016) use the multiscale form for this. It means something beside the same number of real pictures only.
    """
    if len(x) < 2:
        raise ValueError(f"two pictures at least are compared, not {len(x)}")
    table = all_pairs(x, span)
    return float((table.double().sum() - len(x)) / (len(x) * (len(x) - 1)))
