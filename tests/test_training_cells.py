"""The training cells of the chapters: they run as plain Python, and nothing in them is pinned to the CPU."""

import ast
import builtins
import functools
import inspect
import math
import re
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import chapters
import nbformat
import pytest
import torch

import gentools
from gentools import aae, exercises, gan
from gentools.lab import data
from gentools.lab import stream as streams
from gentools.lab.randomness import generator
from gentools.lab.training import train
from gentools.recipes import models
from gentools.recipes.shared.fitting import adams

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHAPTERS = (
    "03_vae",
    "04_conditional_vae",
    "05_gan",
    "06_dcgan",
    "07_conditional_gan",
    "08_aae",
    "09_ali",
    "10_regularized_gan",
    "11_evaluation",
    "12_wgan_gp",
    "13_age",
    "14_alpha_gan",
    "15_autoregressive",
    "16_diffusion",
    "17_one_map",
)
UNREADABLE = re.compile("cannot be called on meta|Cannot copy out of meta")  # numbers that a fake device does not have


class FakeOptimizer:
    """An optimizer for a device that has none."""

    def zero_grad(self):
        pass

    step = zero_grad


def cells(chapter):
    """(id, source) of the imports cell and of every training cell, in their order."""
    nb = nbformat.read(NOTEBOOKS / f"{chapter}.ipynb", 4)
    wanted = [c for c in nb.cells if c.cell_type == "code" and (c.id == "imports" or c.id.startswith("train-"))]
    return [(c.id, c.source) for c in wanted]


def namespace(device, shown):
    """What the setup cell gives, with pictures that go to the list `shown`, and loops by hand of two steps."""
    names = {name: lambda *args, **kwargs: shown.append(args[0]) for name in ("curves", "scatter", "sheet", "show")}
    quiet = {
        name: lambda *args, **kwargs: None for name in ("recorded", "report", "ends", "reproduce", "source", "outcome")
    }
    short = {"range": lambda n: builtins.range(min(n, 2))}
    return {"gentools": gentools, "torch": torch, "SCALE": "quick", "DEVICE": device, **names, **quiet, **short}


def shortened(train):
    """`train` with two steps, whatever the cell asks for."""
    return lambda *args, steps, **kwargs: train(*args, steps=2, **kwargs)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_training_cells_run_from_the_imports_on(chapter, capsys):
    shown = []
    names = namespace("cpu", shown)
    for id, source in cells(chapter):
        exec(compile(source, id, "exec"), names)
        if id == "imports":
            names["train"] = shortened(names["train"])
    assert any(isinstance(thing, torch.Tensor) for thing in shown)
    out = capsys.readouterr().out
    assert re.search(r": (True|False)$", out, re.MULTILINE)  # a verdict, and no digits
    assert not re.search(r"\d\.\d", out)
    if chapter == "03_vae":
        assert "the same losses as by hand: True" in out
    if chapter == "05_gan":
        assert names["kl_step"].keywords == {"generator_loss": gan.kl_loss}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_nothing_is_pinned_to_the_cpu(chapter, monkeypatch):
    for module in (streams, models):  # they would refuse a device that holds no numbers
        monkeypatch.setattr(module, "find_device", torch.device)
    real = streams.generator
    monkeypatch.setattr(streams, "generator", lambda *a, device="cpu": None if device != "cpu" else real(*a))
    runs, shown = [], []

    def train(step, nets, opts, stream, steps, seed, **kwargs):
        runs.append({p.device.type for p in nets.parameters()} | {rows.device.type for rows in stream.data})
        return defaultdict(lambda: torch.zeros(300))

    names = namespace("meta", shown)
    for id, source in cells(chapter):
        try:
            exec(compile(source, id, "exec"), names)
        except (RuntimeError, NotImplementedError) as error:
            if not UNREADABLE.search(str(error)):
                raise
            names["losses"] = torch.zeros(300)  # what a loop by hand could not fetch
        if id == "imports":
            names["train"], names["adam"] = train, lambda *args, **kwargs: FakeOptimizer()
    assert runs and all(devices == {"meta"} for devices in runs)
    assert all(thing.device.type == "meta" for thing in shown if isinstance(thing, torch.Tensor))


def printed(chapter):
    """(module's name in the chapter, name) of everything whose source a chapter prints."""
    nb = nbformat.read(NOTEBOOKS / f"{chapter}.ipynb", 4)
    code = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    return [tuple(name.split(".")) for line in re.findall(r"^source\((.*)\)", code, re.M) for name in line.split(", ")]


def copied(module, name, known):
    """The source of module.name as chapter 0 says to copy it: names that Python does not find take the module's in front.

    `known` holds what the notebook has imported, and `module` is the module's name there. The copy has its own name.
    """
    home, text = known[module], inspect.getsource(getattr(known[module], name))
    nodes = list(ast.walk(ast.parse(text)))
    own = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef)]
    own |= {n.name for f in functions for n in ast.walk(f) if n is not f and n in functions}  # Python finds these
    lines = text.splitlines(keepends=True)
    for n in sorted((n for n in nodes if isinstance(n, ast.Name)), key=lambda n: (n.lineno, -n.col_offset)):
        if n.id in own or n.id in known or hasattr(builtins, n.id):
            # what the notebook has under this name is what the module means, or the copy would go wrong in silence
            assert n.id in own or n.id not in known or vars(home).get(n.id, known[n.id]) is known[n.id], (name, n.id)
            continue
        line = lines[n.lineno - 1]
        assert line[n.col_offset :].startswith(n.id)
        lines[n.lineno - 1] = f"{line[: n.col_offset]}{module}.{line[n.col_offset :]}"
    return re.sub(rf"^(def|class) {name}\b", rf"\1 copied_{name}", "".join(lines), flags=re.M)


def imported(chapter):
    """What the setup cell and the imports cell of a chapter give."""
    names = namespace("cpu", [])
    exec(dict(cells(chapter))["imports"], names)
    return names


def trained(chapter, names, change=lambda source: source):
    """`names` after the imports cell and all training cells of a chapter, which `change` has changed."""
    for id, source in cells(chapter):
        exec(compile(change(source), id, "exec"), names)
        if id == "imports":
            names["train"] = shortened(names["train"])
    return names


@pytest.mark.parametrize("chapter", [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_what_a_chapter_prints_can_be_copied_as_chapter_0_says(chapter):
    names = imported(chapter)
    assert printed(chapter)
    for module, name in printed(chapter):
        text = copied(module, name, names)
        exec(text, names)
        for found in re.findall(rf"\b{module}\.(\w+)", text):
            assert hasattr(names[module], found), found


def test_the_copy_that_chapter_0_speaks_of_runs():
    names = imported("01_joint_kl")
    text = copied("joint_kl", "gap", names)
    assert "joint_kl.given_x(" in text
    exec(text, names)
    exec(re.sub(r".*\.distributions\(.*\n", "", text).replace("copied_gap", "shorter_gap"), names)
    p, q = torch.tensor([[0.1, 0.4], [0.3, 0.2]]), torch.tensor([[0.3, 0.3], [0.2, 0.2]])
    assert names["copied_gap"](p, q) == names["shorter_gap"](p, q) == names["joint_kl"].gap(p, q)


@pytest.mark.parametrize(
    "chapter,things",
    [  # what a text or a hint tells the reader to begin with
        ("04_conditional_vae", ["conditional_vae.step"]),  # 4.E5
        ("06_dcgan", ["dcgan.step"]),  # 6.E5
        ("06_dcgan", ["gan.step"]),  # 6.E6
        ("07_conditional_gan", ["cgan.step"]),  # 7.E5
        ("11_evaluation", ["evaluation.critic_step", "evaluation.slope_penalty"]),  # 11.E4
    ],
)
def test_steps_that_readers_are_told_to_copy_train(chapter, things):
    names = imported(chapter)
    text = "\n\n".join(copied(*thing.split("."), names) for thing in things)
    for thing in things:
        text = re.sub(rf"\b{thing}\b".replace(".", r"\."), "copied_" + thing.split(".")[1], text)
    if things == ["gan.step"]:  # it meets the networks of a chapter that has a step of its own
        things = ["dcgan.step"]
    calls = []

    def change(source):
        return re.sub(rf"\b{things[0]}\b".replace(".", r"\."), "my_step", source)

    def my_step(*args, **how):
        calls.append(names["copied_" + things[0].split(".")[1]](*args, **how))
        return calls[-1]

    names = imported(chapter) | {"my_step": my_step}
    exec(text, names)
    trained(chapter, names, change)
    assert calls and all(value.isfinite() for metrics in calls for value in metrics.values())


@pytest.mark.parametrize("chapter,called", [("06_dcgan", "mended"), ("07_conditional_gan", "careless")])
def test_the_code_in_the_text_of_an_exercise_runs_after_the_training_cells(chapter, called):
    (code,) = re.findall(r"```python\n(.*?)```", chapters.source(chapter, "exercises"), re.S)
    names = trained(chapter, namespace("cpu", []))
    if called not in code.split("def ")[-1].split("(")[0]:  # the reader's own function, which the code calls
        names[called] = exercises.module(chapter[3:]).EXERCISES["6.E6"].solution
    exec(code, names)
    if called == "careless":  # "Train with it instead of `cgan.step`, and look at the rows"
        for id in ("train-run", "train-curves", "train-samples"):
            exec(chapters.source(chapter, id).replace("cgan.step", called), names)


def test_the_mended_run_of_4_e2_shows_another_picture_in_every_column():
    """After the break that the text asks for, by the code that it gives; the broken run shows one picture in a row."""
    names = trained("04_conditional_vae", namespace("cpu", shown := []))
    for id in ("train-run", "train-samples"):
        exec(chapters.source(4, id).replace('"class means"', '"VAE"'), names)
    (code,) = re.findall(r"```python\n(.*?)```", chapters.source(4, "exercises"), re.S)
    names["best_priors"] = exercises.module("conditional_vae").EXERCISES["4.E2"].solution
    exec(code, names)
    broken, mended = (sheet[:40].flatten(1).unflatten(0, (4, 10)) for sheet in shown[-2:])
    assert torch.equal(broken, broken[:, :1].expand_as(broken))
    assert all(len(row.unique(dim=0)) == 10 for row in mended)


def test_the_leaking_network_of_15_e5_trains_in_place_of_the_made():
    """By the code of its text, in the place of a line: the loss falls below anything possible, and samples are nearly black."""
    (code,) = re.findall(r"```python\n(.*?)```", chapters.source(15, "exercises"), re.S)
    names = imported("15_autoregressive")
    short = chapters.source(15, "train-run").replace("(800, 256, 1e-2)", "(200, 64, 1e-2)")
    (line,) = re.findall(r"^nets = .*\n", short, re.M)
    torch.manual_seed(0)
    exec(short.replace(line, code), names)
    drawn = names["ar"].sample(names["nets"]["model"], torch.rand(40, 64, generator=torch.Generator().manual_seed(0)))
    assert names["history"]["loss"][-20:].mean() < 5 and drawn.mean() < 0.15


JUDGED = {  # the cells that judge what was trained: how many lines they print; others look at exact properties
    "03_vae": {"train-curves": 1},
    "04_conditional_vae": {"train-curves": 1},
    "05_gan": {"train-samples": 2},
    "06_dcgan": {"train-samples": 1},
    "07_conditional_gan": {"train-samples": 1, "train-ring": 4},
    "08_aae": {"train-styles": 1},
    "09_ali": {"train-row": 1},
    "10_regularized_gan": {"train-samples": 1},
    "12_wgan_gp": {"train-samples": 2},
    "13_age": {"train-sheet": 1},
    "14_alpha_gan": {"train-sheet": 1},
    "15_autoregressive": {"train-curves": 1},
    "16_diffusion": {"train-samples": 2},
    "17_one_map": {"train-samples": 4},
}


@pytest.mark.parametrize("chapter", JUDGED)
def test_a_cell_that_judges_sees_that_nothing_was_trained(chapter, capsys):
    """Whatever a learner breaks, the line below what he trained must be able to say False."""
    names, said = namespace("cpu", []), {}
    for id, source in cells(chapter):
        exec(compile(source, id, "exec"), names)
        said[id] = re.findall(r": (True|False)$", capsys.readouterr().out, re.MULTILINE)
        if id == "imports":
            names["train"] = lambda *args, **how: defaultdict(lambda: torch.zeros(1))
        if id in JUDGED[chapter]:
            assert said[id] == ["False"] * JUDGED[chapter][id], id
    assert JUDGED[chapter].keys() <= said.keys()


def verdict_of(chapter, last, capsys, **swapped):
    """What the training cell `last` prints at its end with these names exchanged, after two steps of training."""
    names = namespace("cpu", [])
    for id, source in cells(chapter):
        if id == last:
            names |= swapped
        if id == last or id in ("imports", "train-run"):
            exec(compile(source, id, "exec"), names)
        if id == "imports":
            names["train"] = shortened(names["train"])
        if id == last:
            return capsys.readouterr().out.splitlines()[-1].rsplit(": ", 1)[1] == "True"


def test_a_network_that_does_not_look_at_its_image_is_not_said_to_rebuild_it(capsys):
    rows = data.digits()[0].flatten(1).float() / 255
    x = rows[-300:]

    def said(made):
        return verdict_of("14_alpha_gan", "train-sheet", capsys, alpha_gan=SimpleNamespace(rebuilt=lambda *args: made))

    for still in (rows[:-300].median(0).values, rows[:-300].mean(0), torch.zeros(64), torch.full((64,), 0.5)):
        assert not said(still.expand(300, 64))
    assert not said(x.roll(1, 0)) and said(x + 0.09) and not said(x + 0.17)


@pytest.mark.parametrize("prior", [aae.petals, aae.swiss_roll])
def test_codes_that_follow_the_prior_are_not_said_to_be_far_from_it(prior, capsys):
    """In one case of twenty they are; a round cloud of the same size is farther."""
    normal = [torch.randn(300, aae.NOISE, generator=generator(seed, "codes")) for seed in range(16)]
    size = prior(normal[0]).square().mean().sqrt()

    def said(codes):
        def encoder(x):
            many = codes.repeat(len(x) // 300, 1)
            return many, torch.full_like(many, 2 * math.log(0.02))

        def distance(cloud, first):  # of fewer draws, which takes a quarter of the time
            return aae.energy_distance(cloud, first[:2000])

        fewer = SimpleNamespace(NOISE=aae.NOISE, energy_distance=distance)
        return verdict_of("08_aae", "train-codes", capsys, nets={"encoder": encoder}, prior=prior, aae=fewer)

    assert sum(said(prior(noise)) for noise in normal) <= 2
    assert all(said(size * noise[:, :2]) for noise in normal[:2])


def rows_and_pictures():
    """Settings that the lines of chapter 0 find in a reader's session."""
    images = data.digits()[0]
    return {
        "rows": torch.randn(500, 5, generator=generator(0, "rows of a reader")), "inner": 2, "latent": 3, "images": images,
        "pictures": images.flatten(1) / 127.5 - 1, "DEVICE": "cpu", "torch": torch, "data": data,
    }  # fmt: skip


each_its_own = functools.partial(adams, learning_rate=1e-4)


def autoencoder(nets):
    both = [*nets["encoder"].parameters(), *nets["decoder"].parameters()]
    return {
        "autoencoder": torch.optim.Adam(both),
        "discriminator": torch.optim.Adam(nets["discriminator"].parameters()),
    }


# chapter: its step, its optimizers, and samples of the trained networks with their shape, all from the reader's names
YOURS = {
    3: (lambda s: s["vae"].step, lambda nets: {"vae": torch.optim.Adam(nets.parameters())},
        lambda s: s["nets"]["decoder"](torch.randn(7, 3)), (7, 5)),
    5: (lambda s: s["gan"].step, each_its_own, lambda s: s["gan"].sample(s["nets"], torch.randn(7, 5)), (7, 5)),
    8: (lambda s: functools.partial(aae.step, prior=s["prior"], weight=10.0), autoencoder,
        lambda s: s["nets"]["decoder"](s["prior"](torch.randn(7, aae.NOISE))), (7, 64)),
    9: (lambda s: s["ali"].step, lambda nets: each_its_own({name: nets[name] for name in ("players", "discriminator")}),
        lambda s: s["ali"].draw(s["nets"], s["images"][:7] / 255, torch.randn(7, 3, 10))[1], (7, 64)),
    10: (lambda s: functools.partial(s["regularized_gan"].fresh_step, penalty_weight=5.0), each_its_own, lambda s: s["gan"].sample(s["nets"], torch.randn(7, 16)), (7, 1, 8, 8)),
    12: (lambda s: functools.partial(s["wgan_gp"].step, critic_steps=2, penalty_weight=10.0), each_its_own,
         lambda s: s["gan"].sample(s["nets"], torch.randn(7, 16)), (7, 1, 8, 8)),
    16: (lambda s: functools.partial(s["diffusion"].labeled_step, dropped=0.0, **velocity(s)),
         lambda nets: {"denoiser": torch.optim.Adam(nets.parameters())},
         lambda s: s["diffusion"].ddim(
             s["diffusion"].estimates(s["diffusion"].with_label(s["digit_net"], torch.zeros(7).long()), **velocity(s)),
             torch.randn(7, 64), s["diffusion"].down(3), s["diffusion"].cosine), (7, 64)),
}  # fmt: skip


def velocity(s):
    return {"path": s["diffusion"].cosine, "target": s["diffusion"].velocity_target}


def test_the_lines_for_data_of_ones_own_in_chapter_0_train():
    """Each group of lines, in a session of its chapter: three steps with finite losses, and samples of the right shape."""
    groups = re.search(r"```python\n(.*?)```", chapters.source(0, "train-yours"), re.S)[1].strip().split("\n\n")
    assert {int(re.match(r"# Chapter (\d+)", group)[1]) for group in groups} == set(YOURS)
    for group in groups:
        chapter = int(re.match(r"# Chapter (\d+)", group)[1])
        session = rows_and_pictures()
        exec(chapters.source(chapter, "imports"), session)
        exec("from gentools import dcgan\nfrom gentools.lab.networks import mlp", session)
        exec(group, session)
        assert ".to(DEVICE)" in group and "device=DEVICE" in group, group
        step, optimizers, sample, shape = YOURS[chapter]
        nets = session.get("nets", torch.nn.ModuleDict({"denoiser": session.get("digit_net")}))
        stream = session.get("stream", session.get("digit_stream"))
        history = train(step(session), nets, optimizers(nets), stream, steps=3, seed=0)
        assert all(history[name].isfinite().all() for name in history.names), group
        made = sample(session).detach()
        assert made.shape == shape and made.isfinite().all(), group
