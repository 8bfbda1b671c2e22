"""What decides a training run, as plain values: two runs with one identity end bit for bit alike on one build and device."""

from gentools.lab import checkpoint
from gentools.lab.optim import settings
from gentools.lab.stream import label


def identity_of(step, nets, opts, stream, seed, schedule, ema, config):
    """What must agree before a run resumes from a file. TypeError, naming the place, for a value that is not plain."""
    parts = {
        "config": checkpoint.numbers(config),
        "seed": seed,
        "step": label(step),
        "nets": {name: f"{tuple(v.shape)} {v.dtype}" for name, v in nets.state_dict().items()},
        "layers": {name: label(m) for name, m in nets.named_modules() if not list(m.children())},
        "opts": {name: [label(type(opt)), *settings(opt)] for name, opt in opts.items()},
        "schedule": schedule and [float(schedule(t)) for t in (0, 1, 10, 100, 1000, 10_000, 100_000)],
        "ema": ema and ema.decay,
        "stream": stream.identity(),
    }
    return checkpoint.plain(parts, "identity", tensors=False)
