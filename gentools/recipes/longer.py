"""Twice the steps: the configuration of a run that shows whether a longer training would say something else.

A learning rate that falls to 0 lets every run end flat, so that a score which no longer moves has not been shown to have
settled. A run of twice the steps, with the rate stretched over all of them, shows it: its numbers lie where another run
of the recorded length would, or they do not.
"""

import dataclasses

# The lengths of a model's training. Those of judges (classifiers, critics that make a score) and of samplers stay.
LENGTHS = (
    "steps",
    "epochs",
    "long_steps",
    "autoencoder_steps",
    "vae_steps",
    "gan_steps",
    "made_steps",
    "pixelcnn_steps",
)
JUDGES = ("critic",)


def doubled(config):
    """The configuration with every length of a model's training doubled. Raises ValueError where it has none."""
    longer = _doubled(config)
    if longer == config:
        raise ValueError(
            f"{type(config).__name__} holds no length of a training that could be doubled: {', '.join(LENGTHS)}"
        )
    return longer


def _doubled(value):
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(
            value, **_fields({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        )
    if hasattr(value, "_asdict"):  # a NamedTuple
        return value._replace(**_fields(value._asdict()))
    return tuple(map(_doubled, value)) if isinstance(value, tuple) else value


def _fields(named):
    """{field: value} with the lengths doubled, also inside of the values."""
    return {name: 2 * value if name in LENGTHS else value if name in JUDGES else _doubled(value)
            for name, value in named.items()}  # fmt: skip
