"""The ledger of claims: what the sources say, and what the recorded figures say to it. `python -m gentools claims`.

A claim names its figure and a rule. Nothing about the outcome is typed here: the result is what the figure's own verdict
function says of its record, and the ruling is what the rule finds in the same numbers. Every recorded figure with a verdict
is in the ledger, those that no claim names as the course's own findings.
"""

import textwrap
from typing import NamedTuple

from gentools.lab import records
from gentools.lab.chapters import CHAPTERS
from gentools.recipes import find, recipes
from gentools.recipes.shared import verdicts
from gentools.recipes.shared.verdicts import always_above, always_below, ranges_apart, separated, settling, sign

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
    longer: str = (
        ""  # what runs of twice the steps say to the numbers that the ruling rests on, where there are such runs
    )


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


def in_all(pairs):
    """A rule for numbers of several pairs of arms: holds if in each pair every run of the first lies above every run of the
    second, refuted if in each pair below."""
    pairs = list(pairs)

    def rule(summary):
        return _of_one_mind([ranges_apart(summary[one], summary[other]) for one, other in pairs])

    return rule


def better(names):
    """A rule for "better": holds if more than half of the differences (one minus other, less is better) lie below 0 by their
    intervals and none above, refuted the other way round. So one score of many decides nothing, for or against the claim.
    """

    def rule(summary):
        signs = [sign(summary[name]) for name in names]
        found = sum(signs)
        agree = len(set(signs) - {0}) == 1 and abs(found) > len(names) / 2
        return found < 0 if agree else None

    return rule


def where(test):
    """A rule that decides: holds if the test of the summary does, else refuted."""
    return lambda summary: bool(test(summary))


def can(test):
    """A rule for "can": holds if the test of the summary does, else nothing is shown, for one data set refutes no "can"."""
    return lambda summary: True if test(summary) else None


def resolved(name, wish=1):
    """A rule for a difference: holds if its mean is above 0 by its interval, refuted if below; wish -1: the reverse."""

    def rule(summary):
        found = wish * sign(summary[name])
        return None if not found else found > 0

    return rule


def alike(name, within):
    """A rule for "similar": holds if the interval of a difference lies within so much of 0, refuted if it lies beyond."""

    def rule(summary):
        s = summary[name]
        if max(-s["low"], s["high"]) < within:
            return True
        return False if max(-s["high"], s["low"]) > within else None

    return rule


def at_rest(rule, changes):
    """`rule`, undecided unless every {score: its change over the last quarter of the runs} says that the score has settled."""

    def checked(summary):
        ends = [settling(summary[score], summary[change]) for score, change in changes.items()]
        return rule(summary) if all(end == "settled" for end in ends) else None

    return checked


def keeps_up(one, other, what, moved):
    """A rule for "as well as" and for "better": holds if `one` lies above `other` by the intervals of a score of which more
    is better, refuted if below. What still moves may end elsewhere, so the rule answers only where it moves apart, or not
    at all, or if its way is not known, where as much again as it moved over the last quarter would change nothing.

    what, moved: what the names of an arm's score and of its change over the last quarter have after the arm's.
    """

    def rule(summary):
        scores, changes = ([summary[f"{name}{each}"] for name in (one, other)] for each in (what, f"{what}{moved}"))
        found = separated(*scores)
        ends = [settling(*pair) for pair in zip(scores, changes, strict=True)]
        apart = {1: ["still rising", "still falling"], -1: ["still falling", "still rising"]}.get(found, [])
        still = all(end in ("settled", "still moving", allowed) for end, allowed in zip(ends, apart, strict=False))
        reach = [
            _moved_on(*pair) if end == "still moving" else pair[0]
            for *pair, end in zip(scores, changes, ends, strict=True)
        ]
        return found > 0 if found and still and separated(*reach) == found else None

    return rule


def _moved_on(score, change):
    """The interval of a score, longer by that of a change either way."""
    return {"low": score["low"] + min(0, change["low"]), "high": score["high"] + max(0, change["high"])}


def competitive(one, rivals, what, moved):
    """A rule: holds if `one` stands before more of the rivals than behind, refuted if behind more, by intervals of a score
    of which less is better.

    what, moved: what the names of an arm's score and of its change over the last quarter have after the arm's. `one` must
    have settled. A rival that has not may end on either side, so the rule answers only where no such end would change it.
    """

    def rule(summary):
        moving = [arm for arm in (one, *rivals) if settling(summary[arm + what], summary[arm + moved]) != "settled"]
        ahead = sum(separated(summary[rival + what], summary[one + what]) for rival in rivals if rival not in moving)
        return ahead > 0 if one not in moving and abs(ahead) > len(moving) else None

    return rule


def _all_or_none(signs):
    """True if every sign is 1, False if one is -1, None else."""
    return False if -1 in signs else True if all(s == 1 for s in signs) else None


def _of_one_mind(signs):
    """True if every sign is 1, False if every sign is -1, None else."""
    return {1: True, -1: False}.get(signs[0]) if len(set(signs)) == 1 else None


def _reaches(one, ideal):
    """Of a distance: True if no run of one lies above all of the ideal, False if every run does, None else."""
    return False if ranges_apart(one, ideal) > 0 else True if one["max"] <= ideal["max"] else None


def _last_quarters(what, arms, moved="at the end minus after three quarters"):
    """{score: its change} for `at_rest`. moved: what a chapter calls the change, after the name of the score."""
    return {f"{arm}: {what}": f"{arm}: {what}, {moved}" for arm in arms}


PAIR = "with, recorded z minus without, recorded z"
GRID = [f"no BN, {z} z, penalty %d, {n} steps" for z in ("recorded", "fresh") for n in (5, 10)]

CLAIMS = (
    Claim("Both directions of the joint KL may stand in for the marginal one", "Su 2018", "1.3",
          where(lambda s: always_below(s["share of pairs with KL(Q||P) < KL(p||q)"], 1e-9))),
    Claim("Once the joint KL is minimized, q is p, whatever the family", "Su 2018", "1.4",
          where(lambda s: always_below(s["marginal KL given up"], 1e-9))),
    Claim("The M-step may keep the prior", "Su 2018", "2.5",
          lambda s: {1: False, 0: None, -1: True}[verdicts.beside(s["lost by holding it"], 0)]),
    Claim("The distance of x from its reconstruction needs no scale", "Blog on ALI", "3.11",
          where(lambda s: always_above(s["sigma fixed at 1: dimensions in use"], 0))),
    Claim("Blur means that the posterior was not learned", "Anonymous 2018", "3.12",
          where(lambda s: not (always_below(s["gap of the encoder, nats"], 1e-6)
                               and always_above(s["share in the middle half, PPCA"], 0.1)))),
    Claim("A mean for each class makes samples of the class asked for", "Notes", "4.5",
          where(lambda s: always_above(s["class means: samples of the class asked for"], 0.5))),
    Claim("Samples of a conditional model can serve as training data, with 5, 20 and 80 labels a class", "Notes", "4.8",
          can(lambda s: min(sign(s[f"and CVAE samples minus labeled alone, {few} a class"]) for few in (5, 20, 80)) > 0)),
    Claim("-log D trains better than log(1 - D)", "Anonymous 2018", "5.6",
          more("non-saturating", "saturating", ": overlap")),
    Claim("Without a penalty, training breaks down, by modes, when D is far too good", "Arjovsky, Bottou 2017", "5.7",
          where(lambda s: always_below(s["100 times, no penalty: modes"], 5))),
    Claim("Real and fake pictures belong into batches of their own under BatchNorm", "Chintala et al. 2016", "6.5",
          every("two batches: distance", "one batch: distance", -1)),
    Claim("GANs can be trained with few data", "Anonymous 2018", "6.10",
          can(lambda s: all(sign(s[f"{n} pictures minus 1500 pictures: least distance"]) <= 0 for n in (100, 400)))),
    Claim("Arithmetic with means of three codes works better than arithmetic with pixels", "Radford et al. 2015", "6.8",
          more("three exemplars", "three, in pixels", ": right class and bright")),
    Claim("A label in both players makes the class asked for", "Mirza, Osindero 2014", "7.3",
          where(lambda s: always_above(s["asked class comes out"], 0.5))),
    Claim("The codes of an AAE end with the law of the prior", "Makhzani et al. 2015", "8.3",
          lambda s: _reaches(s["AAE, weight 10: energy distance"], s["two draws of the prior: energy distance"])),
    Claim("The codes of an AAE, weight 10, lie nearer to a prior of petals than a VAE's", "Makhzani et al. 2015", "8.3",
          resolved("AAE, weight 10: energy distance minus VAE: energy distance", -1)),
    Claim("With labels for the code discriminator, most codes fall into the part of the prior of their class", "Makhzani et al. 2015",
          "8.5", where(lambda s: all(always_above(s[f"{law}: codes in the part of their class"], 0.5)
                                     for law in ("petals", "swiss roll")))),
    Claim("A reconstruction beside matched codes costs less than .01 nats, with 96 codes", "Su 2018", "8.8",
          where(lambda s: always_below(s["without I, 96 codes: marginal KL"], 0.01))),
    Claim("The truncated losses of ALI reach P = Q", "Su 2018", "9.2",
          where(lambda s: s["truncated: games solved to 1e-12"]["mean"] == s["games"]["mean"])),
    Claim("The truncated losses of ALI do as well as minimax, or slightly better", "Su 2018", "9.5",
          more("truncated", "minimax", ": high-quality share")),
    Claim("The truncated losses of ALI do as well as minimax without noise, or slightly better", "Su 2018", "9.6",
          more("truncated", "minimax", ": high-quality share")),
    Claim("BiGAN's codes serve nearest neighbors as well as an autoencoder's", "Donahue et al. 2016", "9.8",
          keeps_up("BiGAN", "autoencoder", ": nearest neighbor right", ", change over the last quarter")),
    Claim("A GAN covers fewer modes than ALI", "Dumoulin et al. 2016", "9.10",
          at_rest(resolved("ALI for GAN: modes gained"), _last_quarters("modes", ("ALI", "GAN"), "change over the last quarter"))),
    Claim("What BiGAN's encoder computes helps a linear classifier that sees few labels, beside pixels", "Dumoulin et al. 2016", "9.11",
          lambda s: _of_one_mind([sign(s[f"BiGAN, hidden layer minus pixels, {n} a class"]) for n in (10, 30, 100)])),
    Claim("The distance to the old generator, as printed, acts in every step", "Su 2018", "10.5",
          lambda s: True if always_above(s["no BN, 1 steps: ratio at the first"], 0)
          else False if always_below(s["no BN, 1 steps: ratio at the first"], 1e-12) else None),
    Claim("The penalty steadies a GAN: two steps with it beat one without", "Su 2018", "10.11",
          keeps_up("recorded z, penalty 5", "one step", ": overlap", ", change over the last quarter")),
    Claim("That distance, at weight 5 of three, keeps five and ten steps from collapse, on points", "Su 2018", "10.6",
          in_all((f"{arm % 0}: collapsed", f"{arm % 5}: collapsed") for arm in GRID)),
    Claim("That distance keeps a DCGAN from collapse", "Su 2018", "10.8", more("1:2", "1:2, penalty 5", ": collapsed")),
    Claim("Without BatchNorm it makes training faster, by a critic (at its ceiling in all arms)", "Su 2018", "10.9",
          better([f"{PAIR}: critic", f"{PAIR}: critic, a quarter of the steps"])),
    Claim("Without BatchNorm it makes training faster, on clothes", "Su 2018", "10.10",
          better([f"{PAIR}: {score}, a quarter of the steps" for score in ("distance", "critic")])),  # not seconds: its machine was loaded
    Claim("An independent critic finds copies of training data", "Danihelka et al. 2017", "11.4",
          more("copies of 100", "the data", ": gap on new rows")),
    Claim("The penalty keeps slopes near 1, and clipped weights explode or vanish", "Gulrajani et al. 2017", "12.4",
          where(lambda s: abs(s["penalty: slope at the data, log10"]["mean"]) < 0.3
                and abs(s["c = 0.1: slope at the data, log10"]["mean"]) > 1
                and abs(s["c = 0.001: slope at the data, log10"]["mean"]) > 1)),
    Claim("A critic of 1,000 digits overfits, so far that it gains more on them than on others", "Gulrajani et al. 2017", "12.5",
          resolved("1000 pictures: lead of training")),
    Claim("WGAN-GP can cover the 25 modes", "Gulrajani et al. 2017", "12.6", can(lambda s: always_above(s["modes"], 24.5))),
    Claim("Encoder and generator alone can learn a density, without a discriminator", "Ulyanov et al. 2017", "13.5",
          can(lambda s: always_above(s["AGE: high-quality share"], 0.5))),
    Claim("With V, samples come closer to the data than the same autoencoder's, each at its best rate", "Ulyanov et al. 2017", "13.4",
          lambda s: _all_or_none([-sign(s[f"distance: {arm} minus autoencoder"])
                                  for arm in ("AGE", "authors' weights", "both rebuild")])),
    Claim("alpha-GAN is competitive with GAN, WGAN-GP and AGE", "Review of Rosca et al. 2017", "14.6",
          competitive("alpha-GAN", ("GAN", "WGAN-GP", "AGE"), ": Fréchet",
                      ": Fréchet, at the end minus after three quarters")),
    Claim("Two updates of the generator for each of the discriminator help", "Rosca et al. 2017", "14.8",
          at_rest(resolved("Fréchet: two updates minus alpha-GAN", -1),
                  _last_quarters("Fréchet", ("two updates", "alpha-GAN")))),
    Claim("The error of reconstruction keeps alpha-GAN from losing modes, by recall, each at its best rate", "Rosca et al. 2017", "14.8",
          at_rest(resolved("recall: no reconstruction minus alpha-GAN", -1),
                  _last_quarters("recall", ("no reconstruction", "alpha-GAN")))),
    Claim("Two stacks of masked convolutions see every earlier pixel, and plain masks do not", "van den Oord et al. 2016", "15.1",
          where(lambda s: s["gated: earlier pixels not seen"]["max"] == 0 < s["plain masks: earlier pixels not seen"]["min"])),
    Claim("Autoregressive models are slow to draw from", "Blog on ALI", "15.3",
          where(lambda s: s["MADE with a cache: ms per picture of 576 pixels"]["min"]
                > s["decoder: ms per picture of 576 pixels"]["max"])),
    Claim("Logits averaged over orders give a likelihood", "pytorch-made", "15.4",
          where(lambda s: always_below(s['two bits, agreeing 0.9: sum of the "probabilities"'], 1 + 1e-9))),
    Claim("Averaging eight orders of one network beats its single orders, the best of them too", "Germain et al. 2015", "15.5",
          more("likelihoods of 8 orders averaged, nats", "one order, the best, nats")),  # MADE beside it is a smaller network
    Claim("GANs make better pictures than VAEs, by distance, seed by seed", "Blog on ALI", "15.6",
          at_rest(resolved("GAN: distance minus VAE: distance", -1),
                  _last_quarters("distance", ("GAN", "VAE"), "change over the last quarter"))),
    Claim("Flow matching along straight paths is better at rest than the prediction of noise", "Lipman et al. 2022", "16.6",
          at_rest(resolved("overlap: flow minus noise"),
                  _last_quarters("overlap", ("flow", "noise"), "change over the last quarter"))),
    Claim("In ten network calls DDIM draws better samples than the ancestral sampler", "Song et al. 2020", "16.7",
          resolved("DDIM minus ancestral, 10 network calls: overlap")),
    Claim("The fixed reverse variances give similar samples in a thousand steps (by our measure: overlaps within 0.02)", "Ho et al. 2020", "16.13",
          alike("trained, 1000 steps: overlap, beta minus beta-tilde", 0.02)),
    Claim("More guidance makes samples surer of their class, and cover less", "Ho, Salimans 2022", "16.9",
          lambda s: _all_or_none([separated(s["w = 4: asked class"], s["w = 1: asked class"]),
                                  separated(s["w = 1: coverage"], s["w = 4: coverage"])])),
)  # fmt: skip

# What no figure of the course has tried, and the command that would begin to
UNTRIED = (
    ("The regularizer is stable for 50 epochs of CelebA", "Su 2018", "figures 10.8 --scale full, 49 passes longer"),
)  # fmt: skip


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
    device = record["device"] if record["device"] == "cpu" else "GPU"
    return f"scale {record['scale']}{where_from}, {device}, {record['seconds']:.0f} s"


def _row(claim, source, id, rule):
    found = judged(id)
    if found is None:
        return Row(claim, source, id, "", 0, "not recorded", "open")
    record, said = found
    asked = Asked(record["summary"], record["numbers"])
    ruling = WORDS[rule(asked)] if rule else ""
    longer = records.after_twice(record, asked.names if rule else None)
    return Row(claim, source, id, protocol(record), len(record["seeds"]), " ".join(said.split()), ruling, longer)


class Asked(dict):
    """A summary that remembers the `names` of the numbers that were asked for."""

    def __init__(self, summary, numbers=None):
        super().__init__(summary)
        self.names, self.numbers = [], numbers or {}

    def __getitem__(self, name):
        self.names.append(name)
        return super().__getitem__(name)

    def __missing__(self, name):
        """The summary of "A minus B", seed by seed, where the record holds A and B and not their difference."""
        one, _, other = name.partition(" minus ")
        self.names += [one, other]
        return records.summarize([a - b for a, b in zip(self.numbers[one], self.numbers[other], strict=True)])


def with_verdicts():
    """Ids of all recorded figures that have a verdict, chapter by chapter."""
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
        if id not in named:
            others.append(_row("", "the course", id, None))
    rows += [Row(text, source, "", "", 0, f"not run: {how}", "open") for text, source, how in UNTRIED]
    return sorted(rows, key=_place) + sorted(others, key=_place)


def _place(row):
    """Where a row stands: by chapter and number of its figure, without one behind all others."""
    return tuple(map(int, row.figure.split("."))) if row.figure else (len(CHAPTERS),)


def counts(rows):
    """How many of the sources' claims hold, are refuted, are not shown, and are open: {ruling: number}."""
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
            tail = f" {row.protocol}, {row.seeds} seed{'s' * (row.seeds > 1)}." if row.seeds else ""
            print(f"{row.figure:<6} {row.ruling:<10} {row.claim} ({row.source}).{tail}")
            for said in filter(None, (row.result, row.longer)):
                print(textwrap.indent(textwrap.fill(said, 108), " " * 7))
    print("; ".join(f"{number} {word}" for word, number in counts(rows).items()))
    return 0
