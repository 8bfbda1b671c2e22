"""Wrong answers that chapter 06's exercises must refuse, and other right ones that they must accept."""

import torch

WRONG = {
    "6.E1": [
        lambda kernel: 1,  # right for 4 only
        lambda kernel: kernel // 2,
        lambda kernel: (kernel - 1) // 2 + 1,
        lambda kernel: (kernel - 1) / 2,  # of a convolution that keeps the side
        lambda kernel: 0,
    ],
    "6.E2": [
        lambda taps, factor: taps,  # no upsampling
        lambda taps, factor: torch.nn.functional.conv1d(
            taps[None, None], taps.new_ones(1, 1, factor), padding=factor - 1
        )[0, 0],
        lambda taps, factor: torch.tensor([taps[2], taps[1] + taps[2], taps[0] + taps[1], taps[0]]),  # factor 2 only
        lambda taps, factor: torch.zeros(factor + 2),
    ],
    "6.E3": [
        lambda average, start, decay, steps: average,
        lambda average, start, decay, steps: average / (1 - decay**steps),  # right for a start at 0
        lambda average, start, decay, steps: average - decay**steps * start,  # weights do not sum to one
        lambda average, start, decay, steps: (average - decay * start) / (1 - decay),  # one step only
    ],
    "6.E4": [
        lambda m: 1.0,
        lambda m: m / 3,  # variance and length mixed up
        lambda m: m**0.5,  # of a plain mean
        lambda m: (3 / m) ** 0.5,
    ],
}

ALTERNATIVE = {
    "6.E1": lambda kernel: kernel / 2 - 1,
    "6.E2": lambda taps, factor: torch.nn.functional.conv1d(
        taps.flip(0)[None, None], taps.new_ones(1, 1, factor), padding=factor - 1
    )[0, 0],
    "6.E3": lambda average, start, decay, steps: start + (average - start) / (1 - decay**steps),
    "6.E4": lambda m: (3 / m) ** -0.5,
}
