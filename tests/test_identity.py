"""A run resumes only as itself: what decides it is compared by name, and what does not decide it never stands in the way."""

import collections
import functools
import inspect
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch import nn

from gentools import ali, dcgan, gan, vae
from gentools.lab import checkpoint, closure, identity
from gentools.lab.checkpoint import CheckpointError
from gentools.lab.networks import mlp
from gentools.lab.optim import Average, adam, cosine, mixed
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train


def points(n=40):
    return torch.randn(n, 2, generator=generator(0, "points"))


def vae_nets(noise_variance=1.0, seed=0):
    decoder = functools.partial(vae.Gaussian, noise_variance=noise_variance, learn=False)
    return vae.networks(seed, 2, (8,), 2, decoder=decoder)


def run(folder=None, steps=3, **change):
    """A small VAE run; every argument can be another one. Returns the bits that it ends with."""
    nets = change.pop("nets", None) or vae_nets()
    parts = change.pop("parts", {"vae": nets})
    opts = {name: adam(net.parameters(), change.get("lr", 1e-3)) for name, net in parts.items()}
    change.pop("lr", None)
    arguments = {"step": vae.step, "stream": Stream(points(), 16, 2), "seed": 0} | change
    step, stream, seed = (arguments.pop(name) for name in ("step", "stream", "seed"))
    history = train(step, nets, opts, stream, steps, seed, folder=folder, save_every=2, **arguments)
    return [history.values.tolist(), [p.tolist() for p in nets.state_dict().values()]]


def weighted(weight):
    """A step with a constant in its closure, as a notebook would write it."""

    def step(nets, opts, x, z):
        return {name: weight * value for name, value in vae.step(nets, opts, x, z).items()}

    return step


def dropping(at):
    return lambda t: 1.0 if t < at else 0.1


def unlike(name, value):
    """Networks that differ in one attribute of the decoder."""
    nets = vae_nets()
    setattr(nets["decoder"], name, value)
    return nets


def frozen_layer():
    nets = vae_nets()
    nets["encoder"].net[0].requires_grad_(False)
    return nets


def two_players(noise_std=0.05):
    nets = ali.toy_networks(0, 8, noise_std)
    return {"nets": nets, "parts": dict(nets.items()), "stream": Stream(points(), 16, (3, 2)), "step": ali.step}


def adversaries(step):
    nets = gan.toy_networks(0, 8)
    return {"nets": nets, "parts": dict(nets.items()), "step": step}


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def doubled():
    nets = vae_nets()
    nets["encoder"].net = Doubled(*nets["encoder"].net)
    return nets


GAUSS = functools.partial(gan.penalized_step, penalty_weight=0.1)
ATTACKS = {  # what is changed: (one run, another run, the words that name the change)
    "a fixed noise variance": (
        lambda: {},
        lambda: {"nets": vae_nets(0.01)},
        r"start\.nets\.decoder\.log_variance is 0\.0 there and -4\.6",
    ),
    "a step of the same name elsewhere": (
        lambda: adversaries(gan.step),
        lambda: adversaries(dcgan.step),
        r"step\.name is gentools\.gan\.step there and gentools\.dcgan\.step here",
    ),
    "a constant in a closure": (
        lambda: {"step": weighted(1.0)},
        lambda: {"step": weighted(2.0)},
        r"step\.constants\.weight is 1\.0 there and 2\.0 here",
    ),
    "a constant of a partial": (
        lambda: adversaries(GAUSS),
        lambda: adversaries(functools.partial(GAUSS, penalty_weight=1.0)),
        r"step\.keywords\.penalty_weight is 0\.1 there and 1\.0 here",
    ),
    "a loss given by a partial": (
        lambda: adversaries(functools.partial(gan.step, generator_loss=gan.kl_loss)),
        lambda: adversaries(functools.partial(gan.step, generator_loss=gan.saturating_loss)),
        r"step\.keywords\.generator_loss\.name is gentools\.gan\.kl_loss there",
    ),
    "a schedule that drops elsewhere": (
        lambda: {"schedule": dropping(20_000)},
        lambda: {"schedule": dropping(20_001)},
        r"schedule\.function\.constants\.at is 20000 there and 20001 here",
    ),
    "a schedule that warms up longer": (
        lambda: {"schedule": cosine(500, warmup=2)},
        lambda: {"schedule": cosine(500, warmup=3)},
        r"schedule\.function\.constants\.warmup is 2 there and 3 here",
    ),
    "ALI's noise": (
        two_players,
        lambda: two_players(0.5),
        r"players\.generator\.noise_std is 0\.05 there and 0\.5 here",
    ),
    "a frozen layer": (
        lambda: {},
        lambda: {"nets": frozen_layer()},
        r"nets\.encoder\.net\.0\.weight is .*float32 frozen",
    ),
    "autocast": (
        lambda: {},
        lambda: {"autocast": mixed("cpu")},
        r"autocast is None there and torch\.bfloat16, on here",
    ),
    "networks of another seed": (
        lambda: {},
        lambda: {"nets": vae_nets(seed=1)},
        r"start\.nets\.encoder\.net\.0\.weight",
    ),
    "the first rate": (
        lambda: {},
        lambda: {"lr": 2e-3},
        r"opts\.vae\.group 0\.initial_lr is 0\.001 there and 0\.002 here",
    ),
    "what an optimizer updates": (
        lambda: {"parts": None},
        lambda: {"parts": "encoder alone"},
        r"opts\.vae\.group 0\.params is .* there and .* here",
    ),
    "an attribute of a layer": (
        lambda: {"nets": unlike("scale", 1.0)},
        lambda: {"nets": unlike("scale", 2.0)},
        r"values\.decoder\.scale is 1\.0 there and 2\.0 here",
    ),
    "a layer's class": (lambda: {}, lambda: {"nets": doubled()}, r"classes\.test_identity\.Doubled is missing there"),
    "the average's decay": (
        lambda: {"ema": Average(vae_nets(), 0.5)},
        lambda: {"ema": Average(vae_nets(), 0.6)},
        r"ema\.decay is 0\.5 there and 0\.6 here",
    ),
    "a preparation of the data": (
        lambda: {"stream": Stream(points(), 16, 2, prepare=lambda x, rng: 2 * x)},
        lambda: {"stream": Stream(points(), 16, 2, prepare=lambda x, rng: 3 * x)},
        r"stream\.prepare\.code",
    ),
    "the seed": (lambda: {}, lambda: {"seed": 1}, r"seed is 0 there and 1 here"),
}


def whole(case):
    """Arguments of `run` from what a case gives."""
    change = case()
    if "parts" in change and not isinstance(change["parts"], dict):
        nets = vae_nets()
        change |= {"nets": nets, "parts": {"vae": nets["encoder"] if change["parts"] else nets}}
    return change


@pytest.mark.parametrize("case", ATTACKS)
def test_a_changed_run_is_refused_by_name_and_an_honest_one_goes_on(tmp_path, capsys, case):
    honest, other, words = ATTACKS[case]
    truth = run(steps=5, **whole(honest))
    run(tmp_path, **whole(honest))
    with pytest.raises(CheckpointError, match=f"another run: .*{words}"):
        run(tmp_path, steps=5, **whole(other))
    assert run(tmp_path, steps=5, **whole(honest)) == truth
    assert "resumed after 3 steps" in capsys.readouterr().out


# Code


def changed_code(monkeypatch, name, old, new):
    """The module `name` as if `old` stood as `new` in its source."""
    original, source = closure.module, inspect.getsource(sys.modules[name])
    assert source.count(old) == 1
    edited = closure.parse(source.replace(old, new))
    monkeypatch.setattr(closure, "module", lambda asked: edited if asked == name else original(asked))


def test_an_edited_loss_is_refused_by_name(tmp_path, monkeypatch):
    """Not only the step's own lines: all that it reaches, in any module."""
    run(tmp_path)
    changed_code(monkeypatch, "gentools.vae", "loss = reconstruction + kl\n", "loss = reconstruction + 2 * kl\n")
    with pytest.raises(CheckpointError, match=r"another run: step\.code\.gentools\.vae\.step is \w{16} there"):
        run(tmp_path, steps=5)
    monkeypatch.undo()
    changed_code(monkeypatch, "gentools.lab.divergences", "mean**2 - 1 - log_variance", "mean**2 - log_variance")
    with pytest.raises(CheckpointError, match=r"step\.code\.gentools\.lab\.divergences\.diagonal_gaussian_kl"):
        run(tmp_path, steps=5)
    monkeypatch.undo()
    changed_code(
        monkeypatch,
        "gentools.vae",
        "return self.net(z)\n\n    def log_lik",
        "return self.net(z) + 0\n\n    def log_lik",
    )
    with pytest.raises(CheckpointError, match=r"classes\.gentools\.vae\.Gaussian\.code\.gentools\.vae\.Gaussian"):
        run(tmp_path, steps=5)


@pytest.mark.parametrize(
    "old, new",
    [
        ("loss = reconstruction + kl\n", "loss = reconstruction + kl  # the negative bound\n"),
        ("One step on the negative ELBO of a batch", "One step down the negative ELBO of a batch"),
        ("def spectrum(x):", "def unused(x):\n    return x\n\n\ndef spectrum(x):"),
    ],
    ids=["a comment", "a docstring", "an unused helper"],
)
def test_an_edit_that_changes_no_number_is_not_refused(tmp_path, monkeypatch, old, new):
    truth = run(steps=5)
    run(tmp_path)
    changed_code(monkeypatch, "gentools.vae", old, new)
    assert run(tmp_path, steps=5) == truth


CELL = """
scale = 1.0
def helper(x):
    return scale * x
def step(nets, opts, x, z):
    return {name: helper(value) for name, value in vae.step(nets, opts, x, z).items()}
"""


def cell(source):
    """What `step` is after a notebook cell of this source was run."""
    names = {"vae": vae, "__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), names)
    return names["step"]


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("scale = 1.0", "scale = 2.0", r"step\.globals\.helper\.globals\.scale is 1\.0 there and 2\.0 here"),
        ("scale * x", "scale + x", r"step\.globals\.helper\.code"),
        ("helper(value)", "value", r"step\.code"),
        ("vae.step", "vae.elbo_terms", r"step\.code"),
        ("def helper(x):", 'def helper(x):\n    "A docstring."\n    # and a comment', None),
        ("def step(", "\n\n\ndef step(", None),
    ],
)
def test_a_step_of_a_notebook(tmp_path, old, new, words):
    """Its own code, its helpers and the globals they use; neither comments nor docstrings nor lines."""
    truth = run(steps=5, step=cell(CELL))
    run(tmp_path, step=cell(CELL))
    other = cell(CELL.replace(old, new))
    if words is None:
        assert run(tmp_path, steps=5, step=other) == truth
    else:
        with pytest.raises(CheckpointError, match=f"another run: {words}"):
            run(tmp_path, steps=5, step=other)


def test_another_process_describes_the_same(tmp_path):
    """With other addresses and another order of sets."""
    code = textwrap.dedent("""
        import functools, torch
        from gentools import gan, vae
        from gentools.lab.identity import describe
        def step(nets, x):
            return vae.step(nets, x) if x in {"a", "b", "c"} else {"a", "b"}
        print(describe([step, lambda x: step, functools.partial(gan.step, generator_loss=gan.kl_loss), {"u", "v", "w"},
                        torch.nn.ReLU(), vae.Gaussian(torch.nn.Linear(3, 3, bias=False).requires_grad_(False))][:-1]))
    """)
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": "."}, cwd=closure.Path.cwd()).stdout
        for seed in (1, 2)
    }  # fmt: skip
    assert len(said) == 1 and "0x" not in said.pop()


def test_what_is_described():
    """Tensors by their numbers, modules by their state, objects by class and attributes, a cycle once."""
    a = types.SimpleNamespace(x=1)
    a.me = a
    assert identity.describe(torch.tensor([1.0, 2.0])) == [1.0, 2.0]
    assert identity.describe(torch.zeros(5)) != identity.describe(torch.ones(5))
    assert identity.describe(mlp([2, 2], generator=generator(0))) != identity.describe(
        mlp([2, 2], generator=generator(1))
    )
    assert identity.describe(torch.randn).endswith("randn") and identity.describe(torch.float32) == "torch.float32"
    assert (
        identity.describe(gan.toy_networks)["code"] and identity.describe(nn.Linear) == "torch.nn.modules.linear.Linear"
    )
    assert identity.describe(torch.device("cpu")) == identity.describe(torch.device("meta"))
    holder = [a]
    holder.append(holder)
    assert identity.describe(holder)[1] == "seen elsewhere"


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate):
        self.rate = rate


def remembered(constant):
    return functools.cache(lambda x: x + constant)


HOLD = {  # what the text of an object of a library does not show
    "a Gaussian's mean": lambda k: torch.distributions.MultivariateNormal(torch.zeros(2) + k, torch.eye(2)),
    "a digit of a tensor": lambda k: types.SimpleNamespace(w=torch.tensor([0.12341 + 1e-6 * k])),
    "a tensor in a queue": lambda k: collections.deque([torch.arange(5) + k]),
    "a law of scipy": lambda k: stats.norm(0, 1 + k),
    "a fit of scikit-learn": lambda k: PCA(1).fit(np.eye(3) + k * np.arange(3)),
    "a function that remembers": remembered,
    "slots": Slotted,
    "bytes": lambda k: b"%d" % k,
}


@pytest.mark.parametrize("case", HOLD)
def test_objects_of_libraries_count_by_what_they_hold(case):
    first, same, other = (identity.describe(HOLD[case](k)) for k in (0, 0, 1))
    assert first == same != other and "0x" not in repr(first)


def test_a_generator_of_random_numbers_counts_by_its_kind():
    first, later = np.random.default_rng(0), np.random.default_rng(0)
    later.normal()
    assert identity.describe(first) == identity.describe(later)


# What does not decide a run


def interrupt(done):
    raise KeyboardInterrupt


@pytest.mark.parametrize("again", ["the same networks", "new ones"])
def test_stopped_at_step_0_the_same_cell_goes_on_from_the_same_start(tmp_path, again):
    """Ctrl-C after the first step, before anything else was saved: the networks have moved, and the run has not begun."""
    truth, nets = run(steps=5), vae_nets()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, nets=nets, log_every=1, watch=interrupt)
    assert not torch.equal(nets["decoder"].net[0].weight, vae_nets()["decoder"].net[0].weight)
    assert run(tmp_path, steps=5, nets=nets if again == "the same networks" else vae_nets()) == truth


def test_the_same_networks_train_further_and_start_anew_in_an_emptied_folder(tmp_path):
    """A cell that is run again; and one that follows the message's advice to delete the folder."""
    nets = vae_nets()
    run(tmp_path, nets=nets)
    assert run(tmp_path, steps=5, nets=nets) == run(steps=5)
    for path in tmp_path.iterdir():
        path.unlink()
    moved = run(tmp_path, nets=nets)
    assert moved != run(steps=3)
    with pytest.raises(CheckpointError, match=r"another run: start\.nets\.encoder"):
        run(tmp_path, steps=5)  # that run began where the first one ended


def test_the_device_is_no_part_of_it(tmp_path, monkeypatch):
    """Names of devices are nowhere in an identity; mixed precision on another device is the same."""
    nets, stream = vae_nets(), Stream(points(), 16, 2)
    opts = {"vae": adam(nets.parameters(), 1e-3)}
    arguments = (vae.step, nets, opts, stream, 0, cosine(10), Average(nets, 0.5))
    found = identity.identity_of(*arguments, mixed("cpu"), {"latent": 2}, tmp_path)
    assert "cpu" not in repr(found) and "cuda" not in repr(found)
    monkeypatch.setattr(torch.amp.autocast_mode.torch.cuda, "is_available", lambda: True)
    other = torch.autocast("mps", torch.bfloat16, cache_enabled=False)
    assert identity.identity_of(*arguments, other, {"latent": 2}, tmp_path) == found


def test_a_schedule_counts_at_every_step_and_may_end():
    """Rates of two schedules with the same code and constants differ if one step differs, wherever it is."""
    rates = [1.0] * 70_000
    before = identity._rates(rates.__getitem__)
    assert before["ends"] == "at step 70000: IndexError"
    for t, block in ((0, "steps 0 to 0"), (1, "steps 1 to 1"), (37_123, "steps 32768 to 65535")):
        other = [*rates[:t], 0.5, *rates[t + 1 :]]
        after = identity._rates(other.__getitem__)
        assert [key for key in before if before[key] != after[key]] == [block]


def test_checkpoints_of_the_earlier_format_are_refused_in_a_sentence(tmp_path, monkeypatch):
    save = torch.save
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.OLD)
    monkeypatch.setattr(
        torch, "save", lambda content, to: save({k: v for k, v in content.items() if k != "seconds"}, to)
    )
    run(tmp_path)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"earlier version of this course(.|\n)*or delete this one to start"):
        run(tmp_path, steps=5)


def test_networks_that_start_with_nan_are_refused_before_the_first_step(tmp_path):
    nets = vae_nets()
    nets["decoder"].net[0].weight.data[0, 0] = float("nan")
    with pytest.raises(checkpoint.NonFinite, match=r"nets\.decoder\.net\.0\.weight is .* before the first step; there"):
        run(tmp_path, nets=nets)
