"""Every training step of the course against a textbook step, written here from the formulas alone.

The textbook walks over the rows of a batch one by one where no BatchNorm joins them, writes each loss with log-sigmoids
or Gaussian log densities, and moves every player by hand: weight minus rate times slope. Steps and textbook start from
equal networks in float64 and make two moves each. Then weights, statistics of BatchNorm and metrics must agree to
rounding, and a witness in the optimizers has seen whose turn it was and that no turn left a gradient in another player.
All weights of the losses differ from 0 and 1, all rates from each other.
"""

import copy
import functools
import importlib
import inspect
import math
import pkgutil

import pytest
import torch
from torch import nn
from torch.nn.functional import logsigmoid

import gentools
from gentools import (
    aae,
    age,
    ali,
    alpha_gan,
    autoregressive,
    conditional_gan,
    conditional_vae,
    dcgan,
    diffusion,
    evaluation,
    gan,
    one_map,
    recipes,
    regularized_gan,
    vae,
    wgan_gp,
)
from gentools.lab.networks import frozen, mlp
from gentools.recipes import one_map_points, shared, wgan_gp_critics
from gentools.recipes import regularized_points as regularized_recipes
from gentools.recipes.shared import judging

N = 5  # rows of a batch
CLASSES = 3
LABELS = torch.tensor([0, 2, 1, 1, 2]), torch.tensor([1, 1, 0, 2, 0])
RATES = {
    "vae": 0.03,
    "discriminator": 0.07,
    "code discriminator": 0.17,
    "reconstruction discriminator": 0.043,
    "generator": 0.11,
    "autoencoder": 0.05,
    "players": 0.13,
    "judge": 0.19,
    "critic": 0.02,
    "encoder": 0.017,
    "model": 0.17,
    "denoiser": 0.023,
    "decoder": 0.037,
}


# The textbook's tools


def mean(values):
    """The mean of numbers, one by one."""
    total = 0.0
    for value in values:
        total = total + value
    return total / len(values)


def move(loss, net, name):
    """Every weight of `net` minus rate times slope."""
    weights = [p for p in net.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                weight -= RATES[name] * slope


def log_d(logit):
    return logsigmoid(logit)


def log_not_d(logit):
    return logsigmoid(-logit)


def normal_log_density(x, center, log_variance):
    """log N(x; center, exp(log_variance)) of one point, number by number."""
    total = 0.0
    for a, b, v in zip(x, center, log_variance.expand_as(x), strict=True):
        total = total - 0.5 * math.log(2 * math.pi) - 0.5 * v - (a - b) ** 2 / (2 * torch.exp(v))
    return total


def bernoulli_log_likelihood(x, logits):
    """Sum of x log p + (1 - x) log(1 - p) of one picture."""
    return sum(x_j * log_d(l_j) + (1 - x_j) * log_not_d(l_j) for x_j, l_j in zip(x, logits, strict=True))


def normal_kl(m, v):
    """KL(N(m, exp v) || N(0, I)) of one row, number by number."""
    return sum((torch.exp(v_j) + m_j**2 - 1 - v_j) / 2 for m_j, v_j in zip(m, v, strict=True))


GENERATOR_LOSSES = {
    "saturating": lambda logits: mean([log_not_d(logit) for logit in logits]),
    "non-saturating": lambda logits: mean([-log_d(logit) for logit in logits]),
    "KL": lambda logits: mean([log_not_d(logit) - log_d(logit) for logit in logits]),
}


def discriminator_loss(real, fake):
    """E[-log D] over the real and E[-log(1 - D)] over the fake."""
    return mean([-log_d(logit) for logit in real]) + mean([-log_not_d(logit) for logit in fake])


# The comparison


def owned(name, nets):
    """The networks that the optimizer of this name moves."""
    if name == "autoencoder":
        return nets["encoder"], nets["decoder" if "decoder" in nets else "generator"]
    return [nets] if name in ("vae", "classifier") else [nets[name]]


class Witness(torch.optim.SGD):
    """SGD that notes its turns in `log`, and there who else has got a gradient since the turn before."""

    def __init__(self, name, nets, log):
        mine = [p for net in owned(name, nets) for p in net.parameters()]
        super().__init__([p for p in mine if p.requires_grad], lr=RATES[name])
        self.name, self.log, self.seen = name, log, []
        self.others = [p for p in nets.parameters() if all(p is not own for own in mine)]

    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none)
        self.seen = [None if p.grad is None else p.grad.clone() for p in self.others]

    def step(self, closure=None):
        for before, parameter in zip(self.seen, self.others, strict=True):
            after = parameter.grad
            assert (before is None and after is None) or torch.equal(before, after), f"{self.name} leaves a gradient"
        self.log.append(self.name)
        return super().step(closure)


def compared(step, textbook, nets, batches, turns, rel=1e-9):
    """Two moves of `step` and of `textbook` from equal networks: equal weights, buffers and metrics, and these turns."""
    by_book, log = copy.deepcopy(nets), []
    opts = {name: Witness(name, nets, log) for name in dict.fromkeys(turns)}
    asked = [p.requires_grad for p in nets.parameters()]
    start = copy.deepcopy(nets.state_dict())
    for x, z in batches:
        given = [x, z] if torch.is_tensor(x) else [*x, z]
        kept = [part.clone() for part in given]
        found, expected = step(nets, opts, x, z), textbook(by_book, x, z)
        assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(given, kept, strict=True))
        assert set(found) == set(expected)
        for name, value in found.items():
            assert not value.requires_grad
            assert float(value) == pytest.approx(float(expected[name].detach()), rel=rel, abs=1e-12), name
    assert log == turns * len(batches)
    assert [p.requires_grad for p in nets.parameters()] == asked
    for name, value in by_book.state_dict().items():
        torch.testing.assert_close(
            nets.state_dict()[name], value, rtol=rel, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )
    for name, p in nets.named_parameters():
        if p.requires_grad and name not in UNUSED.get(nets_key(textbook), ()):
            still = int((p == start[name]).sum())
            assert not still, f"{still} numbers of {name} never move, so that the comparison says nothing about them"


UNUSED = {}  # weights that a step rightly leaves alone, by the textbook's name


def nets_key(textbook):
    return getattr(textbook, "func", textbook).__name__


def untouched(*names):
    """Mark a textbook step whose formula does not contain these weights."""

    def mark(textbook):
        UNUSED[textbook.__name__] = names
        return textbook

    return mark


def seeded(step):
    """The step or textbook step with the same random numbers at each call."""

    @functools.wraps(getattr(step, "func", step))  # its name, which `untouched` asks for
    def run(*given):
        torch.manual_seed(3)
        return step(*given)

    return run


def shaken(nets, seed=0, size=0.5):
    """The networks in float64 with all weights random, also those that start at 0, and no unit that can be dead."""
    for parent in list(nets.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
                setattr(parent, name, nn.Softplus())
    nets, source = nets.double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in nets.parameters():
            p.copy_(size * torch.randn(p.shape, generator=source, dtype=torch.float64))
    return nets


def normals(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniforms(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def players(z=2, x=2):
    """Generator and discriminator with a bend, written out here."""
    g = nn.Sequential(nn.Linear(z, 3), nn.Tanh(), nn.Linear(3, x))
    d = nn.Sequential(nn.Linear(x, 4), nn.Softplus(), nn.Linear(4, 1))
    return shaken(nn.ModuleDict({"generator": g, "discriminator": d}), size=0.8)


def one(net, *rows):
    """A network at one row."""
    return net(*(row[None] for row in rows))[0]


COVERED = {}  # step: the tests that compare it


def covers(*steps):
    """Say which steps a test compares."""

    def mark(test):
        for step in steps:
            COVERED.setdefault(step, []).append(test.__name__)
        return test

    return mark


# Chapters 03 and 04


def vae_textbook(nets, x, z):
    decoder, rates, kls, sigmas = nets["decoder"], [], [], []
    for row, noise in zip(x, z, strict=True):
        m, v = nets["encoder"].net(row).split(2)
        code = m + torch.sqrt(torch.exp(v)) * noise
        out = decoder.net(code)
        if isinstance(decoder, vae.Bernoulli):
            rates.append(-bernoulli_log_likelihood(row, out))
        else:
            rates.append(-normal_log_density(row, out, decoder.log_variance))
        kls.append(normal_kl(m, v))
        sigmas.append(mean([torch.sqrt(torch.exp(v_j)) for v_j in v]))
    metrics = {"loss": mean(rates) + mean(kls), "reconstruction": mean(rates), "kl": mean(kls), "sigma": mean(sigmas)}
    move(metrics["loss"], nets, "vae")
    return metrics


@covers(vae.step)
@pytest.mark.parametrize("decoder", [vae.Bernoulli, vae.Gaussian])
def test_vae(decoder):
    nets = shaken(vae.networks(0, 4, (3,), 2, decoder, activation=nn.Tanh))
    compared(vae.step, vae_textbook, nets, [(uniforms(s, N, 4), normals(s + 10, N, 2)) for s in (1, 2)], ["vae"])


def conditional_vae_textbook(nets, x, z, kl_weight, kind):
    rates, kls, sigmas = [], [], []
    for row, y, noise in zip(*x, z, strict=True):
        told = torch.zeros(CLASSES, dtype=row.dtype)
        told[y] = 1
        told = told if kind == "CVAE" else told[:0]
        m, v = nets["encoder"].part.net(torch.cat([row, told])).split(2)
        center = nets["prior"].means[y] if kind == "class means" else torch.zeros_like(m)
        code = m + torch.sqrt(torch.exp(v)) * noise
        rates.append(-bernoulli_log_likelihood(row, nets["decoder"].part.net(torch.cat([code, told]))))
        kls.append(normal_kl(m - center, v))
        sigmas.append(mean([torch.sqrt(torch.exp(v_j)) for v_j in v]))
    metrics = {"loss": mean(rates) + kl_weight * mean(kls), "reconstruction": mean(rates), "kl": mean(kls)}
    move(metrics["loss"], nets, "vae")
    return metrics | {"sigma": mean(sigmas)}


@covers(conditional_vae.step)
@pytest.mark.parametrize("kl_weight", [None, 0.7])
@pytest.mark.parametrize("kind", conditional_vae.NETWORKS)
def test_conditional_vae(kind, kl_weight):
    told = {} if kind == "VAE" else {"classes": CLASSES}
    nets = shaken(conditional_vae.NETWORKS[kind](0, 4, (3,), 2, **told))
    batches = [((uniforms(s, N, 4), LABELS[s - 1]), normals(s + 10, N, 2)) for s in (1, 2)]
    weight = {} if kl_weight is None else {"kl_weight": kl_weight}
    textbook = functools.partial(conditional_vae_textbook, kl_weight=1.0 if kl_weight is None else kl_weight, kind=kind)
    compared(functools.partial(conditional_vae.step, **weight), textbook, nets, batches, ["vae"])


# Chapter 05


def gan_textbook(nets, x, z, generator_loss="non-saturating", penalty_weight=0.0):
    g, d = nets["generator"], nets["discriminator"]
    fake = [one(g, row).detach() for row in z]
    d_loss = discriminator_loss([one(d, row)[0] for row in x], [one(d, row)[0] for row in fake])
    squares = []
    for row in x:
        at = row.clone().requires_grad_()
        (slope,) = torch.autograd.grad(one(d, at)[0], at, create_graph=True)
        squares.append(sum(s**2 for s in slope))
    move(d_loss + penalty_weight / 2 * mean(squares), d, "discriminator")

    g_loss = GENERATOR_LOSSES[generator_loss]([one(d, one(g, row))[0] for row in z])
    move(g_loss, g, "generator")
    return {"discriminator": d_loss, "generator": g_loss}


def plane(seed, *more):
    return [(normals(s, N, 2), normals(s + 10, N, *more, 2)) for s in (seed, seed + 1)]


TURNS = ["discriminator", "generator"]


def test_the_losses_by_name_are_all_here():
    assert GENERATOR_LOSSES.keys() == gan.LOSSES.keys()
    assert PLAYERS_LOSSES.keys() == ali.LOSSES.keys() | {"tamed"}


@covers(gan.step)
@pytest.mark.parametrize("name", [None, *gan.LOSSES])
def test_gan(name):
    step = functools.partial(gan.step, generator_loss=gan.LOSSES[name]) if name else gan.step
    compared(step, functools.partial(gan_textbook, generator_loss=name or "non-saturating"), players(), plane(1), TURNS)


@covers(gan.penalized_step)
@pytest.mark.parametrize("name", [None, *gan.LOSSES])
def test_penalized_gan(name):
    loss = {"generator_loss": gan.LOSSES[name]} if name else {}
    step = functools.partial(gan.penalized_step, penalty_weight=0.7, **loss)
    textbook = functools.partial(gan_textbook, generator_loss=name or "non-saturating", penalty_weight=0.7)
    compared(step, textbook, players(), plane(3), TURNS)


# Chapters 06 and 10 with pictures: BatchNorm joins the rows of a batch, so that the textbook takes batches whole


def convolutional(norm=nn.BatchNorm2d):
    """Chapter 06's generator, and a discriminator in which BatchNorm joins the rows, so that a mixed batch is seen.

    norm: of two maps; under R1 one that leaves rows apart.
    """
    d = nn.Sequential(nn.Conv2d(1, 2, 4, 2, 1, bias=False), norm(2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(32, 1))
    g = dcgan.generator(0, 8, latent=3, width=2)
    nets = nn.ModuleDict({"generator": g, "discriminator": nn.Sequential(d, nn.Flatten(0))}).double()
    for i, net in enumerate(nets.values()):
        source = torch.Generator().manual_seed(i)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=source, dtype=p.dtype))
    return nets


def pictures(seed, rows=N, *more):
    return [(2 * uniforms(s, rows, 1, 8, 8) - 1, normals(s + 10, rows, *more, 3)) for s in (seed, seed + 1)]


def dcgan_textbook(nets, x, z, generator_loss="non-saturating", gamma=0.0):
    g, d = nets["generator"], nets["discriminator"]
    fake = g(z)
    at = x.clone().requires_grad_()
    real_logit = d(at)
    (slope,) = torch.autograd.grad(real_logit.sum(), at, create_graph=True)
    penalty = gamma / 2 * mean([sum(s**2 for s in row.flatten()) for row in slope]) if gamma else 0.0
    d_loss = discriminator_loss(real_logit, d(fake.detach()))
    move(d_loss + penalty, d, "discriminator")
    g_loss = GENERATOR_LOSSES[generator_loss](d(fake))
    move(g_loss, g, "generator")
    return {"discriminator": d_loss, "generator": g_loss}


@covers(dcgan.step)
@pytest.mark.parametrize("name", [None, *gan.LOSSES])
def test_dcgan(name):
    step = functools.partial(dcgan.step, generator_loss=gan.LOSSES[name]) if name else dcgan.step
    textbook = functools.partial(dcgan_textbook, generator_loss=name or "non-saturating")
    compared(step, textbook, convolutional(), pictures(1), TURNS)


@covers(gan.penalized_step)
@pytest.mark.parametrize("gamma", [10.0, 0.7])
def test_pictures_with_r1(gamma):
    step = functools.partial(gan.penalized_step, penalty_weight=gamma)
    nets = convolutional(functools.partial(nn.GroupNorm, 1))
    compared(step, functools.partial(dcgan_textbook, gamma=gamma), nets, pictures(1), TURNS, rel=1e-8)


def anchored_textbook(nets, x, z, penalty_weight, decay):
    g, d, anchor = nets["generator"], nets["discriminator"], nets["anchor"]
    fake = g(z)
    d_loss = discriminator_loss(d(x), d(fake.detach()))
    move(d_loss, d, "discriminator")
    target = anchor(z).detach()
    g_loss = GENERATOR_LOSSES["non-saturating"](d(fake))
    tie = mean([(a - b) ** 2 for a, b in zip(fake.flatten(), target.flatten(), strict=True)])
    move(g_loss + penalty_weight * tie, g, "generator")
    with torch.no_grad():
        for a, b in zip(anchor.parameters(), g.parameters(), strict=True):
            a.copy_(decay * a + (1 - decay) * b)
    return {"discriminator": d_loss, "generator": g_loss}


@covers(regularized_gan.anchored_step)
@pytest.mark.parametrize("settings", [None, {"penalty_weight": 0.7, "decay": 0.6}])
def test_pictures_with_an_anchor(settings):
    nets = convolutional()
    nets["anchor"] = dcgan.generator(5, 8, latent=3, width=2).double().requires_grad_(False)
    step = functools.partial(regularized_gan.anchored_step, **settings or {})
    textbook = functools.partial(anchored_textbook, **settings or {"penalty_weight": 5.0, "decay": 0.99})
    compared(step, textbook, nets, pictures(5), TURNS)


def phase_textbook(nets, x, z, penalty_weight, batches, recorded):
    """x: all pictures; z: (rows, 2, latent), the codes that D sees first and those that G answers on."""
    g, d = nets["generator"], nets["discriminator"]
    rows = len(x) // batches
    parts = [slice(i * rows, (i + 1) * rows) for i in range(batches)]
    for part in parts:
        fake = g(z[part, 0]).detach()
        d_loss = discriminator_loss(d(x[part]), d(fake))
        move(d_loss, d, "discriminator")
    answered = [z[part, 0 if recorded else 1] for part in parts]
    old = [g(codes).detach() for codes in answered]
    for codes, before in zip(answered, old, strict=True):
        for _ in range(2):
            fake = g(codes)
            g_loss = GENERATOR_LOSSES["non-saturating"](d(fake))
            tie = mean([(a - b) ** 2 for a, b in zip(fake.flatten(), before.flatten(), strict=True)])
            move(g_loss + penalty_weight * tie, g, "generator")
    return {"discriminator": d_loss, "generator": g_loss}


@covers(regularized_gan.phase, regularized_gan.recorded_phase, regularized_gan.fresh_phase)
@pytest.mark.parametrize("batches", [5, 2])
@pytest.mark.parametrize("recorded", [True, False])
def test_phases(recorded, batches):
    step = regularized_gan.recorded_phase if recorded else regularized_gan.fresh_phase
    held = {} if batches == 5 else {"batches": batches}
    textbook = functools.partial(phase_textbook, penalty_weight=0.7, batches=batches, recorded=recorded)
    turns = ["discriminator"] * batches + ["generator"] * 2 * batches
    given = pictures(7, 3 * batches, 2)
    compared(functools.partial(step, penalty_weight=0.7, **held), textbook, convolutional(), given, turns, rel=1e-8)


# Chapter 07


def conditional_gan_textbook(nets, x, z, generator_loss, penalty_weight=0.0):
    g, d = (lambda row, c, n=nets[name]: n.net(torch.cat([row, n.code[c]])) for name in ("generator", "discriminator"))
    fake = [g(noise, c).detach() for noise, c in zip(z, x[1], strict=True)]
    real_logits = [d(row, c)[0] for row, c in zip(*x, strict=True)]
    d_loss = discriminator_loss(real_logits, [d(row, c)[0] for row, c in zip(fake, x[1], strict=True)])
    squares = []
    for row, c in zip(*x, strict=True):
        at = row.clone().requires_grad_()
        (slope,) = torch.autograd.grad(d(at, c)[0], at, create_graph=True)
        squares.append(sum(s**2 for s in slope))
    move(d_loss + penalty_weight / 2 * mean(squares), nets["discriminator"], "discriminator")
    g_loss = GENERATOR_LOSSES[generator_loss]([d(g(noise, c), c)[0] for noise, c in zip(z, x[1], strict=True)])
    move(g_loss, nets["generator"], "generator")
    return {"discriminator": d_loss, "generator": g_loss}


@covers(conditional_gan.step, conditional_gan.penalized_step)
@pytest.mark.parametrize("penalty", [{}, {"penalty_weight": 0.7}])
@pytest.mark.parametrize("name", [None, *gan.LOSSES])
def test_conditional_gan(name, penalty):
    codes = normals(30, CLASSES, 2), normals(31, CLASSES, 3)
    nets = shaken(conditional_gan.networks(0, [2, 4, 2], [2, 4, 1], *codes), size=0.8)
    batches = [((x, c), z) for (x, z), c in zip(plane(9), LABELS, strict=True)]
    taken = conditional_gan.penalized_step if penalty else conditional_gan.step
    step = functools.partial(taken, **penalty, **{"generator_loss": gan.LOSSES[name]} if name else {})
    textbook = functools.partial(conditional_gan_textbook, generator_loss=name or "non-saturating", **penalty)
    compared(step, textbook, nets, batches, TURNS)


# Chapter 08


def petal(noise, c):
    """A point of petal c: 2 away from the origin, of deviation .5 along the radius and .15 across."""
    angle = 2 * math.pi * float(c) / 10
    along, across = 2 + 0.5 * noise[0], 0.15 * noise[1]
    return torch.stack([along * math.cos(angle) - across * math.sin(angle),
                        along * math.sin(angle) + across * math.cos(angle)])  # fmt: skip


@untouched("discriminator.net.0.weight")  # no label of most classes is in the batch
def aae_textbook(nets, x, z, weight, noisy, labeled):
    images, classes = x if labeled else (x, [None] * len(x))
    told = {None: torch.zeros(0, dtype=torch.float64)} | {c: torch.eye(10).double()[c] for c in range(10)}

    def logit(code, c):
        return nets["discriminator"].net(torch.cat([code, told[None if c is None else int(c)]]))[0]

    def encoded(row, noise):
        out = nets["encoder"].net(row)
        return out[:2] + torch.exp(0.5 * out[2:]) * noise[:2] if noisy else out

    drawn = [noise[2:4] if c is None else petal(noise[2:4], c) for noise, c in zip(z, classes, strict=True)]
    codes = [encoded(row, noise) for row, noise in zip(images, z, strict=True)]
    real_logits = [logit(point, c) for point, c in zip(drawn, classes, strict=True)]
    d_loss = discriminator_loss(real_logits, [logit(p.detach(), c) for p, c in zip(codes, classes, strict=True)])
    move(d_loss, nets["discriminator"], "discriminator")

    pairs = zip(images, codes, strict=True)
    rebuilt = mean([-bernoulli_log_likelihood(row, nets["decoder"].net(code)) for row, code in pairs])
    passed = mean([-log_d(logit(code, c)) for code, c in zip(codes, classes, strict=True)])
    move(rebuilt + weight * passed, nn.ModuleList([nets["encoder"], nets["decoder"]]), "autoencoder")
    return {"discriminator": d_loss, "reconstruction": rebuilt, "encoder": passed}


@covers(aae.step)
@pytest.mark.parametrize("labeled", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("weight", [None, 2.5])
def test_aae(weight, noisy, labeled):
    nets = shaken(aae.networks(0, 4, (3,), 2, noisy, 10 if labeled else 0))
    batches = [(uniforms(s, N, 4), normals(s + 10, N, 5)) for s in (1, 2)]
    if labeled:
        batches = [((x, c + 3 * (c > 1)), z) for (x, z), c in zip(batches, LABELS, strict=True)]
    settings = {"prior": aae.petals} if labeled else {}
    step = functools.partial(aae.step, **settings, **{} if weight is None else {"weight": weight})
    textbook = functools.partial(aae_textbook, weight=1.0 if weight is None else weight, noisy=noisy, labeled=labeled)
    compared(step, textbook, nets, batches, ["discriminator", "autoencoder"])


def age_delta(codes):
    """Sum of (v + m^2 - 1 - log v)/2 over the numbers of the codes, each v over n - 1."""
    total = 0.0
    for values in zip(*codes, strict=True):
        m = mean(values)
        v = sum((a - m) ** 2 for a in values) / (len(values) - 1)
        total = total + (v + m**2 - 1 - torch.log(v)) / 2
    return total


def age_textbook(nets, x, z, data_weight, code_weight):
    def unit(row):
        return row / torch.sqrt(sum(a**2 for a in row))

    def encoded(row):
        return unit(nets["encoder"].net(row))

    codes = [encoded(row) for row in x]
    v = age_delta([encoded(nets["generator"](unit(noise[0]))) for noise in z]) - age_delta(codes)
    errors = [mean(abs(row - nets["generator"](code))) for row, code in zip(x, codes, strict=True)]
    move(data_weight * mean(errors) - v, nets["encoder"], "encoder")
    for i in range(1, z.shape[1]):
        again = [encoded(nets["generator"](unit(noise[i]))) for noise in z]
        apart = mean([1 - sum(a * b for a, b in zip(unit(noise[i]), c, strict=True)) for noise, c in zip(z, again)])
        move(age_delta(again) + code_weight * apart, nets["generator"], "generator")
    return {"V": v, "data error": mean(errors), "code error": apart}


def joint_age_textbook(nets, x, z, data_weight, code_weight, value_weight):
    def unit(row):
        return row / torch.sqrt(sum(a**2 for a in row))

    def encoded(row):
        return unit(nets["encoder"].net(row))

    def data_errors():
        return mean([mean(abs(row - nets["generator"](encoded(row)))) for row in x])

    v = age_delta([encoded(nets["generator"](unit(noise[0]))) for noise in z]) - age_delta([encoded(row) for row in x])
    before = data_errors()
    move(data_weight * before - value_weight * v, nets["encoder"], "encoder")
    again = [encoded(nets["generator"](unit(noise[1]))) for noise in z]
    apart = mean([1 - sum(a * b for a, b in zip(unit(noise[1]), c, strict=True)) for noise, c in zip(z, again)])
    loss = value_weight * age_delta(again) + code_weight * apart + data_weight * data_errors()
    move(loss, nets["generator"], "generator")
    return {"V": v, "data error": before, "code error": apart}


@covers(age.joint_step)
@pytest.mark.parametrize("weights", [(2.5, 1.7, 0.6), (0.3, 2.1, 1.4)])
def test_joint_age(weights):
    nets = shaken(age.networks(0, 4, (3,), 2))
    batches = [(uniforms(s, N, 4), normals(s + 10, N, 2, 2)) for s in (1, 2)]
    given = dict(zip(("data_weight", "code_weight", "value_weight"), weights, strict=True))
    step, textbook = functools.partial(age.joint_step, **given), functools.partial(joint_age_textbook, **given)
    compared(step, textbook, nets, batches, ["encoder", "generator"])
    defaults = {name: p.default for name, p in inspect.signature(age.joint_step).parameters.items() if name in given}
    assert defaults == {"data_weight": 1000.0, "code_weight": 1000.0, "value_weight": 1.0}


@covers(age.step)
@pytest.mark.parametrize("draws", [2, 3])
@pytest.mark.parametrize("weights", [None, (2.5, 1.7)])
def test_age(weights, draws):
    nets = shaken(age.networks(0, 4, (3,), 2))
    batches = [(uniforms(s, N, 4), normals(s + 10, N, draws, 2)) for s in (1, 2)]
    given = {} if weights is None else {"data_weight": weights[0], "code_weight": weights[1]}
    textbook = functools.partial(age_textbook, **given or {"data_weight": 10.0, "code_weight": 1000.0})
    compared(functools.partial(age.step, **given), textbook, nets, batches, ["encoder", *["generator"] * (draws - 1)])


CENTER = torch.tensor([1.0, -0.5], dtype=torch.float64)


@untouched("discriminator.net.0.weight", "discriminator.net.0.bias", "discriminator.net.2.weight",
           "discriminator.net.2.bias")  # fmt: skip
def sampled_vae_textbook(nets, x, z):
    """The prior here is N((1, -.5), I/4)."""
    rates, kls = [], []
    for row, noise in zip(x, z, strict=True):
        m, v = nets["encoder"].net(row).split(2)
        code = m + torch.sqrt(torch.exp(v)) * noise[:2]
        rates.append(-bernoulli_log_likelihood(row, nets["decoder"].net(code)))
        kls.append(normal_log_density(code, m, v) - normal_log_density(code, CENTER, torch.tensor(0.25).double().log()))
    both = nn.ModuleList([nets["encoder"], nets["decoder"]])
    move(mean(rates) + mean(kls), both, "autoencoder")
    return {"reconstruction": mean(rates), "kl": mean(kls)}


@covers(aae.sampled_vae_step)
def test_sampled_vae():
    prior = torch.distributions.Normal(CENTER, 0.5)
    step = functools.partial(aae.sampled_vae_step, log_prior=lambda code: prior.log_prob(code).sum(1))
    batches = [(uniforms(s, N, 4), normals(s + 10, N, 5)) for s in (1, 2)]
    compared(step, sampled_vae_textbook, shaken(aae.networks(0, 4, (3,), 2)), batches, ["autoencoder"])


# Chapter 09


def tamed(logit):
    """-log D - 1/D above the logit -2, and its tangent at -2 below."""
    edge = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    value = -log_d(edge) - 1 / torch.sigmoid(edge)
    (slope,) = torch.autograd.grad(value, edge)
    if logit < -2:
        return value.detach() + slope * (logit + 2)
    return -log_d(logit) - 1 / torch.sigmoid(logit)


PLAYERS_LOSSES = {  # of the encoder at one of its pairs, of the generator at one of its
    "joint KL": (lambda p: -log_d(p) - 1 / torch.sigmoid(p), lambda q: -log_d(q)),
    "truncated": (lambda p: -log_d(p), lambda q: -log_d(q)),
    "minimax": (log_d, log_not_d),
    "swapped": (lambda p: -log_not_d(p), lambda q: -log_d(q)),
    "tamed": (tamed, lambda q: -log_d(q)),
}


def moments(encoder, row):
    m, raw = encoder.net(row).split(2)
    return m, 8 * torch.tanh(raw / 8)


def ali_pairs(nets, x, noise):
    """The encoder's pairs (x, code) and the generator's (fake, z), and the noise in its order: prior, code, picture."""
    encoder, generator = nets["players"]["encoder"], nets["players"]["generator"]
    ours, theirs = [], []
    for row, (z, for_code, for_x) in zip(x, noise, strict=True):
        m, v = moments(encoder, row)
        ours.append((row, m + torch.exp(v / 2) * for_code))
        theirs.append((generator.net(z) + 0.3 * for_x, z))
    return ours, theirs


def ali_textbook(nets, x, noise, name, last_term):
    encoder, d = nets["players"]["encoder"], nets["discriminator"]

    def logits(pairs):
        return [d.net(torch.cat(pair))[0] for pair in pairs]

    ours, theirs = ali_pairs(nets, x, noise)
    held = [[(a.detach(), b.detach()) for a, b in pairs] for pairs in (ours, theirs)]
    d_loss = discriminator_loss(logits(held[0]), logits(held[1]))
    move(d_loss, d, "discriminator")
    for_encoder, for_generator = PLAYERS_LOSSES[name]
    p_logits, q_logits = logits(ours), logits(theirs)
    if name == "tamed":
        assert any(p < -2 for p in p_logits) and any(p > -2 for p in p_logits), "both branches must be met"
    e_loss, g_loss = mean([for_encoder(p) for p in p_logits]), mean([for_generator(q) for q in q_logits])
    if last_term:
        e_loss = e_loss + mean([-normal_log_density(z, *moments(encoder, fake.detach())) for fake, z in theirs])
    move(e_loss + g_loss, nets["players"], "players")
    return {"discriminator": d_loss, "encoder": e_loss, "generator": g_loss}


def ali_networks(size=0.8):
    """With bends everywhere, so that no unit is dead: encoder 2-3-4, generator 2-3-2 with noise .3, D on pairs."""
    encoder, generator, d = (
        nn.Sequential(nn.Linear(n, 3), nn.Tanh(), nn.Linear(3, m)) for n, m in ((2, 4), (2, 2), (4, 1))
    )
    nets = ali.assemble(ali.GaussianEncoder(encoder), ali.Generator(generator, 0.3), ali.PairDiscriminator(d))
    return shaken(nets, size=size)


ALI_STEPS = {
    "as it is": (ali.step, "swapped", False),
    "all of (40)": (ali.full_step, "truncated", True),
    "tamed": (functools.partial(ali.step, losses=(ali.tamed, gan.non_saturating_loss)), "tamed", False),
} | {name: (functools.partial(ali.step, losses=losses), name, False) for name, losses in ali.LOSSES.items()}


@covers(ali.step, ali.full_step)
@pytest.mark.parametrize("arm", ALI_STEPS)
def test_ali(arm):
    step, name, last_term = ALI_STEPS[arm]
    textbook = functools.partial(ali_textbook, name=name, last_term=last_term)
    nets = ali_networks()
    if name == "tamed":  # then some logits lie below its floor of -2
        with torch.no_grad():
            nets["discriminator"].net[-1].bias -= 2
    compared(step, textbook, nets, plane(11, 3), ["discriminator", "players"])


D_WEIGHTS = [f"discriminator.net.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]


@untouched(*D_WEIGHTS, *(name.replace("discriminator", "players.generator") for name in D_WEIGHTS))
def inverse_textbook(nets, x, noise):
    _, theirs = ali_pairs(nets, x, noise)
    encoder, distances = nets["players"]["encoder"], []
    for (fake, z), (_, for_code, _) in zip(theirs, noise, strict=True):
        m, v = moments(encoder, fake.detach())
        distances.append(sum((z - m - torch.exp(v / 2) * for_code) ** 2))
    move(mean(distances), encoder, "players")
    return {"inverse": mean(distances)}


@covers(ali.inverse_step)
def test_inverse():
    compared(ali.inverse_step, inverse_textbook, ali_networks(0.4), plane(13, 3), ["players"])


@untouched(*D_WEIGHTS)
def autoencoder_textbook(nets, x, noise):
    ours, _ = ali_pairs(nets, x, noise)
    distances = [sum((row - nets["players"]["generator"].net(code)) ** 2) for row, code in ours]
    move(mean(distances), nets["players"], "players")
    return {"reconstruction": mean(distances)}


@covers(ali.autoencoder_step)
def test_autoencoder():
    compared(ali.autoencoder_step, autoencoder_textbook, ali_networks(0.4), plane(15, 3), ["players"])


# Chapter 10


def tied_textbook(nets, x, z, penalty_weight, recorded):
    g, d = nets["generator"], nets["discriminator"]
    codes = [z[:, 0] if recorded else z[:, i] for i in range(z.shape[1])]
    old = [g(part).detach() for part in codes]
    d_loss = discriminator_loss(d(x)[:, 0], d(old[0])[:, 0])
    move(d_loss, d, "discriminator")
    for part, before in zip(codes, old, strict=True):
        fake = g(part)
        g_loss = GENERATOR_LOSSES["non-saturating"](d(fake)[:, 0])
        tie = mean([(a - b) ** 2 for a, b in zip(fake.flatten(), before.flatten(), strict=True)])
        move(g_loss + penalty_weight * tie, g, "generator")
    return {"discriminator": d_loss, "generator": g_loss}


@covers(regularized_gan.fresh_step, regularized_gan.recorded_step)
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("recorded", [True, False])
def test_tied(recorded, normed):
    nets = shaken(regularized_gan.toy_networks(0, normed, 4), size=0.8)
    step = regularized_gan.recorded_step if recorded else regularized_gan.fresh_step
    textbook = functools.partial(tied_textbook, penalty_weight=0.7, recorded=recorded)
    turns = ["discriminator", *["generator"] * 3]
    compared(functools.partial(step, penalty_weight=0.7), textbook, nets, plane(17, 3), turns, rel=1e-8)


@covers(regularized_recipes.inner_forces)
def test_inner_forces_moves_as_the_textbook_says():
    nets, (_, z) = players(), plane(19)[0]
    by_book, opts = (
        copy.deepcopy(nets),
        {"generator": torch.optim.SGD(nets["generator"].parameters(), RATES["generator"])},
    )
    found = regularized_recipes.inner_forces(nets, opts, z, 3, 0.7)
    g, d = by_book["generator"], by_book["discriminator"]
    old = [one(g, row).detach() for row in z]
    for ratio, cosine in found:
        fake = [one(g, row) for row in z]
        loss = GENERATOR_LOSSES["non-saturating"]([one(d, row)[0] for row in fake])
        tie = 0.7 * mean([(a - b) ** 2 for f, o in zip(fake, old, strict=True) for a, b in zip(f, o, strict=True)])
        pull, back = (torch.cat([s.flatten() for s in torch.autograd.grad(v, list(g.parameters()), retain_graph=True)])
                      for v in (loss, tie))  # fmt: skip
        assert ratio == pytest.approx(float(back.square().sum().sqrt() / pull.square().sum().sqrt()), abs=1e-12)
        if float(back.norm()):
            assert cosine == pytest.approx(float((back * pull).sum() / back.norm() / pull.norm()), rel=1e-9)
        else:
            assert math.isnan(cosine)
        move(loss + tie, g, "generator")
    for mine, theirs in zip(nets.parameters(), by_book.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


# Chapter 12


def wasserstein_move(critic, real, fake, penalty_weight, bound=None):
    """A move of the critic: its loss and the penalty with the slope of each row by itself, or clipping to the bound."""
    loss = mean([one(critic, row)[0] for row in fake]) - mean([one(critic, row)[0] for row in real])
    if bound is not None:
        move(loss, critic, "critic")
        with torch.no_grad():
            for weight in critic.parameters():
                weight.copy_(torch.where(weight.abs() > bound, bound * weight.sign(), weight))
        return loss
    squares = []
    for place, x, y in zip(torch.rand(len(real), dtype=torch.float64), real, fake, strict=True):
        at = (y + place * (x - y)).requires_grad_()
        (slope,) = torch.autograd.grad(one(critic, at)[0], at, create_graph=True)
        squares.append((torch.sqrt(sum(part**2 for part in slope)) - 1) ** 2)
    move(loss + penalty_weight * mean(squares), critic, "critic")
    return loss


@untouched("critic.2.bias")  # a constant cancels in every difference of scores
def wasserstein_textbook(nets, x, z, critic_steps, penalty_weight):
    g, critic = nets["generator"], nets["critic"]
    n = len(x) // critic_steps
    for i in range(critic_steps):
        part = slice(i * n, (i + 1) * n)
        fake = [one(g, noise).detach() for noise in z[part, 0]]
        c_loss = wasserstein_move(critic, x[part], fake, penalty_weight)
    g_loss = mean([-one(critic, one(g, noise))[0] for noise in z[:n, 1]])
    move(g_loss, g, "generator")
    return {"critic": c_loss, "generator": g_loss}


PENALTIES = {
    "default": {},
    "two passes": {"penalty": wgan_gp.gradient_penalty},
    "closed": {"penalty": wgan_gp.piecewise_penalty},
}


@covers(wgan_gp.step)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(("critic_steps", "weight"), [(1, 10.0), (3, 0.7)])
def test_wgan_gp(critic_steps, weight, penalty):
    nets = shaken(wgan_gp.toy_networks(0, 4, 1), size=0.8)
    if penalty == "closed":
        nets["critic"][1] = nn.LeakyReLU(0.3)
    given = {"critic_steps": critic_steps, "penalty_weight": weight}
    rows = N * critic_steps
    batches = [(normals(s, rows, 2), normals(s + 10, rows, 2, 2)) for s in (21, 22)]
    step = seeded(functools.partial(wgan_gp.step, **given, **PENALTIES[penalty]))
    textbook = seeded(functools.partial(wasserstein_textbook, **given))
    compared(step, textbook, nets, batches, ["critic"] * critic_steps + ["generator"])


@covers(wgan_gp.piecewise_step)
@pytest.mark.parametrize(("critic_steps", "weight"), [(1, 10.0), (3, 0.7)])
def test_wgan_gp_by_hand(critic_steps, weight):
    nets = shaken(wgan_gp.toy_networks(0, 4, 1), size=0.8)
    nets["critic"][1] = nn.LeakyReLU(0.3)
    given = {"critic_steps": critic_steps, "penalty_weight": weight}
    rows = N * critic_steps
    batches = [(normals(s, rows, 2), normals(s + 10, rows, 2, 2)) for s in (21, 22)]
    step = seeded(functools.partial(wgan_gp.piecewise_step, **given))
    textbook = seeded(functools.partial(wasserstein_textbook, **given))
    compared(step, textbook, nets, batches, ["critic"] * critic_steps + ["generator"])


@covers(one_map_points.critic_step)
def test_wgan_gp_of_the_last_chapter():
    nets = shaken(wgan_gp.toy_networks(0, 4, 1), size=0.8)
    nets["critic"][1] = nn.LeakyReLU(0.3)
    batches = [(normals(s, 2 * N, 2), normals(s + 10, 2 * N, 2, 2)) for s in (21, 22)]
    step = seeded(functools.partial(one_map_points.critic_step, weight=0.7))
    textbook = seeded(functools.partial(wasserstein_textbook, critic_steps=2, penalty_weight=0.7))
    compared(step, textbook, nets, batches, ["critic", "critic", "generator"])


@untouched("critic.2.bias")
def critic_alone_textbook(nets, x, z, penalty_weight=None, bound=None):
    """The first N rows are data; each of the others, with its noise, is a fake."""
    fake = [row + noise for row, noise in zip(x[N:], z[:N], strict=True)]
    return {"critic": wasserstein_move(nets["critic"], x[:N], fake, penalty_weight, bound)}


@covers(wgan_gp_critics.step_alone)
@pytest.mark.parametrize("way", ["clipped", "penalized"])
def test_critic_alone(way):
    nets = shaken(nn.ModuleDict({"critic": mlp([2, 6, 1])}), size=0.8)
    nets["critic"][1] = nn.LeakyReLU(0.3)
    train, told = {
        "clipped": (wgan_gp_critics.clipped(0.4), {"bound": 0.4}),
        "penalized": (wgan_gp_critics.penalized(0.7), {"penalty_weight": 0.7}),
    }[way]
    step = seeded(functools.partial(wgan_gp_critics.step_alone, train=train))
    textbook = seeded(functools.partial(critic_alone_textbook, **told))
    batches = [(3 * normals(s, 2 * N, 2), normals(s + 10, 2 * N, 2)) for s in (23, 24)]  # to both sides of every bend
    compared(step, textbook, nets, batches, ["critic"])


# Chapter 15


def likelihood_textbook(nets, x, z):
    loss = mean([-bernoulli_log_likelihood(row, one(nets["model"], row)) for row in x])
    move(loss, nets["model"], "model")
    return {"loss": loss}


@covers(autoregressive.step)
def test_autoregressive():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 4))  # the step asks for logits and for no mask
    batches = [(uniforms(s, N, 4).round(), normals(s, N, 1)) for s in (1, 2)]
    compared(autoregressive.step, likelihood_textbook, shaken(nn.ModuleDict({"model": net})), batches, ["model"])


def any_order_textbook(nets, x, z):
    """The t pixels with the smallest noise are seen, t by the normal distribution function of the last number."""
    losses = []
    for row, noise in zip(x, z, strict=True):
        d = len(row)
        t = int(d * 0.5 * (1 + math.erf(float(noise[d]) / math.sqrt(2))))
        seen = set(sorted(range(d), key=lambda i: float(noise[i]))[:t])
        told = torch.cat(
            [
                torch.stack([row[i] * (i in seen) for i in range(d)]),
                torch.tensor([float(i in seen) for i in range(d)]).double(),
            ]
        )
        logits = nets["model"].net(told)
        lost = [-(row[i] * log_d(logits[i]) + (1 - row[i]) * log_not_d(logits[i])) for i in range(d) if i not in seen]
        losses.append(d * mean(lost))
    move(mean(losses), nets["model"], "model")
    return {"loss": mean(losses)}


@covers(autoregressive.any_order_step)
def test_any_order():
    nets = shaken(nn.ModuleDict({"model": autoregressive.AnyOrder(4, (3,), activation=nn.Tanh)}))
    batches = [(uniforms(s, N, 4).round(), normals(s + 10, N, 5)) for s in (1, 2)]
    compared(autoregressive.any_order_step, any_order_textbook, nets, batches, ["model"])


# Chapter 16


def chain_textbook(nets, x, z):
    """Minus the log density of x_0 given x_1, and for t > 1 the KL of p(x_{t-1}|x_t, x_0) and q(x_{t-1}|x_t)."""
    net, losses = nets["denoiser"], []
    for (data,), noise in zip(x, z, strict=True):
        total, kept = 0.0, 1.0  # kept: the product of 1 - beta before the step
        for t, beta in enumerate(net.betas.tolist()):
            after = kept * (1 - beta)
            noisy = math.sqrt(after) * data + math.sqrt(1 - after) * noise[t]
            guess = net.slope[t] * noisy + net.offset[t]
            used = beta * torch.exp(net.log_ratio[t])

            def center(x_0, noisy=noisy, kept=kept, after=after, beta=beta):
                return (math.sqrt(kept) * beta * x_0 + math.sqrt(1 - beta) * (1 - kept) * noisy) / (1 - after)

            square = (center(data) - center(guess)) ** 2
            if t == 0:
                total = total + (torch.log(2 * math.pi * used) + square / used) / 2
            else:
                exact = beta * (1 - kept) / (1 - after)
                total = total + (torch.log(used / exact) + (exact + square) / used - 1) / 2
            kept = after
        losses.append(total)
    move(mean(losses), net, "denoiser")
    return {"loss": mean(losses)}


@covers(diffusion.chain_step)
def test_chain():
    betas = torch.tensor([0.1, 0.35, 0.2, 0.6], dtype=torch.float64)
    nets = shaken(nn.ModuleDict({"denoiser": diffusion.LinearDenoiser(betas)}))
    batches = [(normals(s, N, 1), normals(s + 10, N, 4)) for s in (25, 26)]
    compared(diffusion.chain_step, chain_textbook, nets, batches, ["denoiser"])


PATHS = {  # alpha and sigma at a time; the textbook takes slopes in t by autograd
    "straight": lambda t: (1 - t, t),
    "cosine": lambda t: (torch.cos(math.pi * t / 2), torch.sin(math.pi * t / 2)),
    "linear": lambda t: (torch.exp(-0.05 * t - 4.975 * t**2), torch.sqrt(1 - torch.exp(-0.1 * t - 9.95 * t**2))),
    "even": lambda t: (1 / torch.sqrt(1 + torch.exp(18 * t - 9)), 1 / torch.sqrt(1 + torch.exp(9 - 18 * t))),
}


def asked(target, path, x, z, t):
    """The noisy point alpha x + sigma z and what the network is asked for there."""
    t = t.clone().requires_grad_()
    alpha, sigma = PATHS[path](t)
    alpha_slope, sigma_slope = (torch.autograd.grad(value, t, retain_graph=True)[0] for value in (alpha, sigma))
    wanted = {"noise": z, "data": x, "velocity": alpha_slope * x + sigma_slope * z}[target]
    return (alpha * x + sigma * z).detach(), wanted


def denoiser_textbook(nets, x, z, path, target, dropped=None):
    """Times: row i of n draws its own between i/n and (i + 1)/n. With labels, a draw for each says whether it is hidden."""
    labels = [()] * len(z)
    if dropped is not None:
        x, y = x
        hidden = [float(draw) < dropped for draw in torch.rand(N)]
        assert any(hidden) and not all(hidden), "both branches must be met"
        labels = [(torch.tensor(CLASSES) if hide else label,) for hide, label in zip(hidden, y, strict=True)]
    errors = []
    for i, draw in enumerate(torch.rand(N)):
        t = (i + draw).double() / N
        noisy, wanted = asked(target, path, x[i], z[i], t)
        errors += [(a - b) ** 2 for a, b in zip(one(nets["denoiser"], noisy, t, *labels[i]), wanted, strict=True)]
    move(mean(errors), nets["denoiser"], "denoiser")
    return {"loss": mean(errors)}


@covers(diffusion.step)
@pytest.mark.parametrize("target", ["noise", "data", "velocity"])
@pytest.mark.parametrize("path", PATHS)
def test_diffusion(path, target):
    nets = shaken(nn.ModuleDict({"denoiser": diffusion.PointDenoiser(0, 4, 1)}))
    told = {"path": getattr(diffusion, path), "target": getattr(diffusion, f"{target}_target")}
    step = seeded(functools.partial(diffusion.step, **told))
    textbook = seeded(functools.partial(denoiser_textbook, path=path, target=target))
    batches = [(normals(s, N, 2), normals(s + 10, N, 2)) for s in (27, 28)]
    compared(step, textbook, nets, batches, ["denoiser"])


@covers(diffusion.labeled_step)
@pytest.mark.parametrize("dropped", [0.05, 0.2])
@pytest.mark.parametrize("target", ["noise", "data", "velocity"])
def test_labeled_diffusion(target, dropped):
    nets = shaken(nn.ModuleDict({"denoiser": diffusion.LabeledDenoiser(0, 3, CLASSES, 4, 2)}))
    told = {"path": diffusion.cosine, "target": getattr(diffusion, f"{target}_target"), "dropped": dropped}
    step = seeded(functools.partial(diffusion.labeled_step, **told))
    textbook = seeded(functools.partial(denoiser_textbook, path="cosine", target=target, dropped=dropped))
    batches = [((normals(s, N, 3), y), normals(s + 10, N, 3)) for s, y in zip((29, 30), LABELS, strict=True)]
    compared(step, textbook, nets, batches, ["denoiser"])


# Judges


def classifier_textbook(nets, x, z):
    """The same formula for every judge: minus the log-probability of the label."""
    losses = []
    for row, y in zip(*x, strict=True):
        scores = one(nets["judge"], row)
        losses.append(-torch.log(torch.exp(scores[y]) / sum(torch.exp(s) for s in scores)))
    move(mean(losses), nets["judge"], "judge")
    return {"loss": mean(losses)}


@covers(judging.judge_step)
def test_judge():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, CLASSES))
    batches = [((normals(s, N, 1, 4, 4), LABELS[s]), normals(s, N, 1)) for s in (0, 1)]
    compared(judging.judge_step, classifier_textbook, shaken(nn.ModuleDict({"judge": net})), batches, ["judge"])


# Independent critics


@untouched("critic.2.bias")  # a constant cancels in every difference of scores
def critic_textbook(nets, x, z, penalty_weight):
    """A longer way to write it: row by row, with the slope of each row by itself, at random places between the pairs."""
    torch.manual_seed(3)
    places, critic, squares = torch.rand(N, dtype=torch.float64), nets["critic"], []
    for real, fake, place in zip(*x, places, strict=True):
        at = (fake + place * (real - fake)).requires_grad_()
        (slope,) = torch.autograd.grad(one(critic, at)[0], at, create_graph=True)
        squares.append((torch.sqrt(sum(part**2 for part in slope)) - 1) ** 2)
    gain = mean([one(critic, row)[0] for row in x[0]]) - mean([one(critic, row)[0] for row in x[1]])
    penalty = mean(squares)
    move(penalty_weight * penalty - gain, critic, "critic")
    return {"gain": gain, "penalty": penalty}


@covers(evaluation.critic_step)
@pytest.mark.parametrize("weight", [None, 0.3])
def test_independent_critic(weight):
    def step(nets, opts, x, z):
        torch.manual_seed(3)
        return evaluation.critic_step(nets, opts, x, z, **{} if weight is None else {"penalty_weight": weight})

    nets = shaken(nn.ModuleDict({"critic": mlp([2, 6, 1])}))
    batches = [((normals(s, N, 2), normals(s + 9, N, 2)), normals(s, N, 1)) for s in (0, 1)]
    textbook = functools.partial(critic_textbook, penalty_weight=10.0 if weight is None else weight)
    compared(step, textbook, nets, batches, ["critic"])


# No step without a textbook


# Chapter 14


ALPHA_TURNS = ["discriminator", "code discriminator", "autoencoder"]


def alpha_textbook(nets, x, z, weight, judges=None):
    """z: pairs of draws; the discriminators move on the first alone. judges: who judges samples, who reconstructions."""

    def made_of(noises, draws):
        codes = []
        for row, noise in zip(x, noises, strict=True):
            m, v = nets["encoder"].net(row).split(2)
            codes.append(m + torch.sqrt(torch.exp(v)) * noise)
        return codes, [nets["generator"](code) for code in codes], [nets["generator"](draw) for draw in draws]

    def scores(name, points):
        return [nets[name](point)[0] for point in points]

    pairs = [(z[:, i], z[:, i + 1]) for i in range(0, z.shape[1], 2)]
    codes, back, made = made_of(*pairs[0])
    of_samples, of_back = judges or ("discriminator", "discriminator")
    tried = {"discriminator": (x, back + made)} if judges is None else {of_samples: (x, made), of_back: (x, back)}
    tried["code discriminator"] = (pairs[0][1], codes)
    found = {}
    for name, (real, fake) in tried.items():
        found[name] = discriminator_loss(scores(name, real), scores(name, [point.detach() for point in fake]))
        move(found[name], nets[name], name)

    ratio = GENERATOR_LOSSES["KL"]
    for pair in pairs:
        codes, back, made = made_of(*pair)
        lost = mean([abs(a - b) for row, point in zip(x, back, strict=True) for a, b in zip(row, point, strict=True)])
        lost = lost * x.shape[1]
        passed = ratio(scores(of_samples, made)) + ratio(scores(of_back, back))
        passed = passed + ratio(scores("code discriminator", codes))
        move(weight * lost + passed, nn.ModuleList([nets["encoder"], nets["generator"]]), "autoencoder")
    return {**found, "reconstruction": lost, "passed": passed}


def alpha_compared(step, nets, weight, pairs=1, turns=ALPHA_TURNS, **told):
    step = functools.partial(step, **{} if weight is None else {"reconstruction_weight": weight})
    batches = [(normals(s, N, 3), normals(s + 10, N, 2 * pairs, 2)) for s in (1, 2)]
    textbook = functools.partial(alpha_textbook, weight=1.0 if weight is None else weight, **told)
    compared(step, textbook, shaken(nets), batches, turns)


@covers(alpha_gan.step)
@covers(alpha_gan.autoencoder_step)
@pytest.mark.parametrize("weight", [None, 2.5])
def test_alpha_gan(weight):
    alpha_compared(alpha_gan.step, alpha_gan.networks(0, 3, (4,), 2), weight)


@covers(alpha_gan.repeated_step)
@pytest.mark.parametrize("weight", [None, 2.5])
@pytest.mark.parametrize("pairs", [1, 3])
def test_alpha_gan_with_more_steps_of_encoder_and_generator(pairs, weight):
    turns = [*ALPHA_TURNS, *["autoencoder"] * (pairs - 1)]
    alpha_compared(alpha_gan.repeated_step, alpha_gan.networks(0, 3, (4,), 2), weight, pairs, turns)


@covers(alpha_gan.separate_step)
@pytest.mark.parametrize("weight", [None, 2.5])
def test_alpha_gan_with_two_discriminators(weight):
    second = "reconstruction discriminator"
    turns = ["discriminator", second, "code discriminator", "autoencoder"]
    nets = alpha_gan.separate_networks(0, 3, (4,), 2)
    alpha_compared(alpha_gan.separate_step, nets, weight, turns=turns, judges=("discriminator", second))


def wake_sleep_textbook(nets, x, z):
    def gaussian(row, m, v):
        return mean([sum(-((a - b) ** 2) / (2 * c) - torch.log(2 * math.pi * c) / 2 for a, b, c in zip(*each, strict=True))
                     for each in zip(row, m, v, strict=True)])  # fmt: skip

    def posterior(rows):
        parts = [nets["encoder"].net(row).split(2) for row in rows]
        return [m for m, _ in parts], [torch.exp(v) for _, v in parts]

    noise = torch.randn(*x.shape, dtype=x.dtype)
    variance = torch.exp(nets["decoder"].log_variance)
    codes = [m + torch.sqrt(v) * e for m, v, (e, _) in zip(*posterior(x), z, strict=True)]
    dreams = [nets["decoder"](draw) + torch.sqrt(variance) * e for (_, draw), e in zip(z, noise, strict=True)]
    codes, dreams = [c.detach() for c in codes], [d.detach() for d in dreams]
    wake = -gaussian(x, [nets["decoder"](c) for c in codes], [variance.expand(x.shape[1])] * len(x))
    move(wake, nets["decoder"], "decoder")
    sleep = -gaussian([draw for _, draw in z], *posterior(dreams))
    move(sleep, nets["encoder"], "encoder")
    return {"wake": wake, "sleep": sleep}


@covers(one_map.step)
def test_wake_sleep():
    nets = shaken(vae.networks(0, 3, (4,), 2, vae.Gaussian))
    batches = [(normals(s, N, 3), normals(s + 10, N, 2, 2)) for s in (1, 2)]
    compared(seeded(one_map.step), seeded(wake_sleep_textbook), nets, batches, ["decoder", "encoder"])


def modules():
    """All modules of the chapters, of the recipes and of what these share."""
    for package in (gentools, recipes, shared):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if not found.ispkg and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def is_step(value, module):
    """Does it move networks: a function of (nets, opts, x or z, ...) of this module, or a variant of one with settings?"""
    if isinstance(value, functools.partial):
        return is_step(value.func, module)
    return (
        inspect.isfunction(value)
        and value.__module__ == module.__name__
        and list(inspect.signature(value).parameters)[:3] in (["nets", "opts", "x"], ["nets", "opts", "z"])
    )


def test_every_step_has_a_textbook():
    steps = {f"{m.__name__}.{name}": v for m in modules() for name, v in vars(m).items() if is_step(v, m)}
    assert len(steps) >= 15
    missing = [name for name, step in steps.items() if step not in COVERED]
    assert not missing, f"write a textbook step for {missing} in tests/test_steps.py, and say @covers(...)"


def test_every_textbook_is_about_a_test():
    assert all(test in globals() and test.startswith("test_") for tests in COVERED.values() for test in tests)


# Freezing


def test_frozen_gives_the_flags_back_also_after_an_exception():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[0].weight.requires_grad_(False)
    before = [p.requires_grad for p in net.parameters()]
    with frozen(net) as same:
        assert same is net and not any(p.requires_grad for p in net.parameters())
    assert [p.requires_grad for p in net.parameters()] == before
    with pytest.raises(ZeroDivisionError), frozen(net):
        _ = 1 / 0
    assert [p.requires_grad for p in net.parameters()] == before


def _failing(logits):
    raise FloatingPointError("a loss that fails")


@pytest.mark.parametrize("step", [gan.step, functools.partial(gan.penalized_step, penalty_weight=1.0), dcgan.step])
def test_a_failed_step_leaves_the_discriminator_free(step):
    nets, log = players(), []
    opts = {part: Witness(part, nets, log) for part in TURNS}
    with pytest.raises(FloatingPointError):
        step(nets, opts, *plane(1)[0], generator_loss=_failing)
    assert log == ["discriminator"] and all(p.requires_grad for p in nets.parameters())


def test_no_chapter_freezes_by_hand():
    for module in modules():
        assert "discriminator.requires_grad_(" not in inspect.getsource(module), module.__name__
