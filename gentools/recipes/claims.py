"""The ledger of claims: what the sources say, and what the recorded figures say to it. `python -m gentools claims`.

A claim names its figure and a rule. Nothing about the outcome is typed here: the result is what the figure's own verdict
function says of its record, and the ruling is what the rule finds in the same numbers. Every recorded figure with a verdict
is in the ledger, those that no claim names as the course's own findings.
"""

import textwrap
from typing import NamedTuple

from gentools.lab import records
from gentools.lab.chapters import CHAPTERS
from gentools.lab.chapters import chapter as chapter_of
from gentools.recipes import find, recipes
from gentools.recipes.shared import verdicts
from gentools.recipes.shared.verdicts import always_above, always_below, ranges_apart, separated, sign

WORDS = {True: "holds", False: "refuted", None: "not shown"}


class Claim(NamedTuple):
    """What a source says, in our words. rule(summary) -> True if the figure's numbers bear it out, False if they speak
    against it, None if they decide nothing."""

    text: str
    source: str
    figure: str
    rule: object


class Row(NamedTuple):
    """One line of the ledger: a claim, or none for a finding of the course itself, and what a record says to it."""

    claim: str
    source: str
    figure: str
    protocol: str
    seeds: int
    result: str
    ruling: str


def more(one, other, what="", wish=1):
    """A rule: the mean of `one` lies above that of `other` by their intervals. wish -1: below. None: not separated."""

    def rule(summary):
        found = wish * separated(summary[f"{one}{what}"], summary[f"{other}{what}"])
        return None if not found else found > 0

    return rule


def every(one, other, wish=1):
    """A rule: every run of `one` lies above every run of `other`; wish -1: below."""

    def rule(summary):
        found = wish * ranges_apart(summary[one], summary[other])
        return None if not found else found > 0

    return rule


def no_worse(names):
    """A rule for "as good": refuted if some of the differences (one minus other, less is better) is above 0."""

    def rule(summary):
        return False if any(sign(summary[name]) > 0 for name in names) else None

    return rule


def better(names):
    """A rule for "better": holds if all of the differences (one minus other, less is better) lie below 0."""

    def rule(summary):
        signs = [sign(summary[name]) for name in names]
        return True if all(s < 0 for s in signs) else False if any(s > 0 for s in signs) else None

    return rule


def where(test):
    """A rule that decides: holds if the test of the summary does, else refuted."""
    return lambda summary: bool(test(summary))


PAIR = "with, recorded z minus without, recorded z"

CLAIMS = (
    Claim("Both directions of the joint KL may stand in for the marginal one", "Su 2018", "1.3",
          where(lambda s: always_below(s["share of pairs with KL(Q||P) < KL(p||q)"], 1e-9))),
    Claim("Once the joint KL is minimized, q is p", "Su 2018", "1.4",
          where(lambda s: always_below(s["marginal KL given up"], 1e-9))),
    Claim("The M-step may keep the prior", "Su 2018", "2.5",
          lambda s: {1: False, 0: None, -1: True}[verdicts.beside(s["lost by holding it"], 0)]),
    Claim("The loss of a VAE may be a bare squared error", "Blog on ALI", "3.11",
          where(lambda s: always_above(s["sigma fixed at 1: dimensions in use"], 0))),
    Claim("Blur means that the posterior was not learned", "Anonymous 2018", "3.12",
          where(lambda s: not (always_below(s["gap of the encoder, nats"], 1e-6)
                               and always_above(s["share in the middle half, PPCA"], 0.1)))),
    Claim("A mean for each class makes samples of the class asked for", "Notes", "4.5",
          where(lambda s: always_above(s["class means: samples of the class asked for"], 0.5))),
    Claim("-log D trains better than log(1 - D)", "Anonymous 2018", "5.6",
          more("non-saturating", "saturating", ": overlap")),
    Claim("Training breaks down when D is too good", "Arjovsky, Bottou 2017", "5.7",
          where(lambda s: always_below(s["100 times, no penalty: modes"], 5))),
    Claim("Real and fake pictures belong into batches of their own under BatchNorm", "Radford et al. 2015", "6.5",
          every("two batches: distance", "one batch: distance", -1)),
    Claim("Means of three codes can be added like words, and pixels cannot", "Radford et al. 2015", "6.8",
          more("three exemplars", "three, in pixels", ": right class and bright")),
    Claim("A label in both players makes the class asked for", "Mirza, Osindero 2014", "7.3",
          where(lambda s: always_above(s["asked class comes out"], 0.5))),
    Claim("The codes of an AAE end with the law of the prior", "Makhzani et al. 2015", "8.3",
          lambda s: False if ranges_apart(s["AAE, weight 10: energy distance"],
                                          s["two draws of the prior: energy distance"]) > 0 else None),
    Claim("A reconstruction beside matched codes disturbs nothing", "Su 2018", "8.2",
          where(lambda s: always_below(s["without I: marginal KL"], 1e-3))),
    Claim("The truncated losses of ALI reach P = Q", "Su 2018", "9.2",
          where(lambda s: s["truncated: games solved to 1e-12"]["mean"] == s["games"]["mean"])),
    Claim("The truncated losses of ALI do as well as minimax, or slightly better", "Su 2018", "9.5",
          more("truncated", "minimax", ": high-quality share")),
    Claim("A GAN covers fewer modes than ALI", "Dumoulin et al. 2016", "9.7", more("ALI", "GAN", ": modes, any sample")),
    Claim("BiGAN's codes serve nearest neighbors as well as an autoencoder's", "Donahue et al. 2016", "9.8",
          lambda s: {1: True, 0: None, -1: False}[separated(s["BiGAN: nearest neighbor right"],
                                                            s["autoencoder: nearest neighbor right"])]),
    Claim("The distance to the old generator acts in every step", "Su 2018", "10.5",
          where(lambda s: always_above(s["no BN, 1 steps: ratio at the first"], 0))),
    Claim("That distance keeps a DCGAN from collapse", "Su 2018", "10.8", better(["1:2, penalty 5 minus 1:2: critic"])),
    Claim("Without BatchNorm it makes training faster", "Su 2018", "10.9",
          better([f"{PAIR}: critic", f"{PAIR}: critic, a quarter of the steps"])),
    Claim("The penalty keeps slopes near 1, and clipped weights explode or vanish", "Gulrajani et al. 2017", "12.4",
          where(lambda s: abs(s["penalty: slope at the data, log10"]["mean"]) < 0.3
                and abs(s["c = 0.1: slope at the data, log10"]["mean"]) > 1
                and abs(s["c = 0.001: slope at the data, log10"]["mean"]) > 1)),
    Claim("A critic of 1,000 digits overfits", "Gulrajani et al. 2017", "12.5",
          lambda s: True if always_above(s["1000 pictures: lead of training"], 0) else None),
    Claim("WGAN-GP covers the 25 modes", "Gulrajani et al. 2017", "12.6", where(lambda s: always_above(s["modes"], 24.5))),
    Claim("Encoder and generator alone learn a density, without a discriminator", "Ulyanov et al. 2017", "13.5",
          where(lambda s: always_above(s["AGE: high-quality share"], 0.5))),
    Claim("The value V, and not the autoencoder, makes AGE's samples", "Ulyanov et al. 2017", "13.4",
          lambda s: {-1: True, 0: None, 1: False}[sign(s["distance: both rebuild minus autoencoder"])]),
    Claim("Autoregressive models are slow to draw from", "Blog on ALI", "15.3",
          where(lambda s: s["MADE: ms per picture of 576 pixels"]["min"] > s["one pass: ms per picture of 576 pixels"]["max"])),
    Claim("Logits averaged over orders give a likelihood", "pytorch-made", "15.4",
          where(lambda s: always_below(s['two bits, agreeing 0.9: sum of the "probabilities"'], 1 + 1e-9))),
    Claim("The fixed reverse variances beta and beta-tilde give similar results", "Ho et al. 2020", "16.3",
          lambda s: False if separated(s["nats above L_T, beta"], s["nats above L_T, beta-tilde"]) else None),
)  # fmt: skip

# What no figure of the course has tried, and the command that would begin to
UNTRIED = (
    ("GANs can be trained with few data", "Anonymous 2018", "figures 6.4, with the first 1,000 pictures of its data"),
    ("Codes of ALI help a classifier that sees few labels", "Dumoulin et al. 2016", "figures 9.8, with 100 labels"),
    ("The regularizer is stable for 50 epochs of CelebA", "Su 2018", "figures 10.8 --scale full, 49 passes longer"),
)

# Claims about the figures of a whole chapter, whichever it records: the result is the figure's verdict, and no rule is asked
OF_CHAPTERS = {
    14: ("Two ratios and a reconstruction keep a VAE's stability and a GAN's sharpness", "Rosca et al. 2017")
}


def judged(id):
    """The record of figure `id` and what its verdict function says of it now: (record, text), or None without both."""
    record = records.load(id)
    if record is None:
        return None
    recipe = find(id)
    if recipe.verdict is None:
        return record, record["caption"]
    return record, recipe.verdict(record["summary"])


def protocol(record):
    """At which scale a record was made, on which data, in how many seconds."""
    data = record["config"].get("data")
    data = data[0] if isinstance(data, list) else data
    where_from = f", {data}" if isinstance(data, str) else ""
    return f"scale {record['scale']}{where_from}, {record['device']}, {record['seconds']:.0f} s"


def _row(claim, source, id, rule):
    found = judged(id)
    if found is None:
        return Row(claim, source, id, "", 0, "not recorded", "open")
    record, said = found
    ruling = WORDS[rule(record["summary"])] if rule else "see the result"
    return Row(claim, source, id, protocol(record), len(record["seeds"]), " ".join(said.split()), ruling)


def with_verdicts():
    """Ids of all recorded figures that have a verdict, in the order of the course."""
    return [
        id
        for chapter in CHAPTERS
        for id, recipe in recipes(chapter.name).items()
        if recipe.verdict is not None and records.load(id) is not None
    ]


def ledger():
    """All rows: the claims of the sources in the order of the figures, then the course's own findings."""
    rows = [_row(*claim) for claim in CLAIMS]
    named, others = {claim.figure for claim in CLAIMS}, []
    for id in with_verdicts():
        number = chapter_of(id).number
        if id in named:
            continue
        if number in OF_CHAPTERS:
            rows.append(_row(*OF_CHAPTERS[number], id, None))
        else:
            others.append(_row("", "the course", id, None))
    rows += [Row(text, source, "", "", 0, f"not run: {how}", "open") for text, source, how in UNTRIED]
    place = {id: i for i, id in enumerate(id for chapter in CHAPTERS for id in recipes(chapter.name))}
    return sorted(rows, key=lambda row: place.get(row.figure, len(place))) + others


def counts(rows):
    """How many of the sources' claims hold, are refuted, are not shown, and wait for a reader: {ruling: number}."""
    found = dict.fromkeys(WORDS.values(), 0)
    for row in rows:
        if row.claim:
            found[row.ruling] = found.get(row.ruling, 0) + 1
    return {word: number for word, number in found.items() if number}


def command():
    """`python -m gentools claims`: print the ledger of claims, every ruling from its record."""
    rows = ledger()
    for row in rows:
        if row.claim:
            print(f"{row.figure:<6} {row.ruling:<10} {row.claim} ({row.source}). {row.protocol}, {row.seeds} seeds.")
            print(textwrap.indent(textwrap.fill(row.result, 108), " " * 7))
    print("; ".join(f"{number} {word}" for word, number in counts(rows).items()))
    return 0
