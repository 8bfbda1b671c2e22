"""Chapter 00: the map shows the chapters that exist, and the two coins are found."""

import re

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from gentools.exercises import start as exercises
from gentools.lab import worlds
from gentools.lab.chapters import CHAPTERS
from gentools.lab.divergences import kl
from gentools.lab.quiz import Wrong
from gentools.lab.randomness import generator
from gentools.press import notebooks
from gentools.recipes import start


def test_the_map_shows_every_chapter_once_and_which_are_written():
    assert sorted(start.PLACES) == [chapter.number for chapter in CHAPTERS] == list(range(18))
    places = [(column, row) for column, row, _ in start.PLACES.values()]
    assert len(set(places)) == len(places)
    assert all(before in start.PLACES for *_, needs in start.PLACES.values() for before in needs)


def test_the_arrows_of_the_map_lead_from_left_to_right_or_down():
    for column, row, needs in start.PLACES.values():
        for before in needs:
            left, above, _ = start.PLACES[before]
            assert left < column or (left == column and above < row)
    assert "arrows lead from left to right or down" in start.RECIPES["0.1"].caption


def led_to(number):
    """The chapters from which arrows of the map lead to one, on the way or at once."""
    needs = start.PLACES[number][2]
    return set(needs).union(*map(led_to, needs))


@pytest.mark.parametrize("number", [number for number in start.PLACES if number not in (0, 11, 17)])
def test_the_map_has_an_arrow_from_every_chapter_that_a_chapter_says_it_needs(number):
    text = notebooks.load(notebooks.find(notebooks.ROOT, str(number))[0])["cells"][0]["source"]
    said = {int(found) for found in re.findall(r"\]\((\d\d)_\w+\.ipynb\)", text.split("\nNeeds: ")[1])}
    assert set(start.PLACES[number][2]) <= said <= led_to(number)


def test_the_decoder_is_binomial():
    heads = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    expected = [[scipy.stats.binom.pmf(x, 3, float(h)) for h in heads] for x in range(4)]
    assert torch.allclose(start.decoder(heads), torch.tensor(expected, dtype=torch.float64))


def test_gradient_descent_finds_the_coins_and_the_split_holds_on_the_way():
    result = start.run_bag(start.Bag(steps=1000), seed=7, device="cpu")
    numbers, curves = result["numbers"], result["arrays"]["curves"]
    assert abs(numbers["chance of heads, first coin"] - 0.8) < 0.01
    assert abs(numbers["chance of heads, second coin"] - 0.3) < 0.01
    assert torch.allclose(curves[:, 0], curves[:, 1] + curves[:, 2], atol=1e-12)


def test_three_free_numbers_do_not_make_every_distribution_of_reports_possible():
    """Of all bags, with any number of coins, the closest to these reports stays 0.2 nats away (0.Q4)."""
    reports = torch.tensor([0.01, 0.49, 0.49, 0.01], dtype=torch.float64)
    coins = start.decoder(torch.linspace(0, 1, 1001, dtype=torch.float64).clamp(1e-9, 1 - 1e-9))
    weights = torch.full((1001,), 1 / 1001, dtype=torch.float64)
    for _ in range(3000):  # EM in the weights, a convex problem
        weights = weights * ((reports / (coins @ weights)) @ coins)
    slopes = (reports / (coins @ weights)) @ coins
    assert slopes.max() < 1 + 1e-3  # no bag is closer by more than the logarithm of this
    assert float(kl(reports, coins @ weights)) == pytest.approx(0.2117, abs=1e-3)


@given(st.integers(0, 10**6))
def test_the_best_model_takes_the_codes_for_its_prior(seed):
    """(0.4): shares and coins together; coins alone leave KL(p(z) || q(z)) behind. By loops over z."""
    rng = generator(seed, "test_start")
    p_xz = worlds.simplex(rng, 8).reshape(4, 2)
    heads, prior = 0.05 + 0.9 * torch.rand(2, generator=rng, dtype=torch.float64), worlds.simplex(rng, 2)
    shares, x = p_xz.sum(0), torch.arange(4, dtype=torch.float64)
    best = (x @ p_xz) / shares / 3
    cost = kl(p_xz, start.decoder(heads) * prior) - kl(p_xz, start.decoder(best) * shares)
    coins = sum(
        3 * float(shares[z]) * scipy.stats.entropy([best[z], 1 - best[z]], [heads[z], 1 - heads[z]]) for z in range(2)
    )
    assert float(cost) == pytest.approx(scipy.stats.entropy(shares, prior) + coins, abs=1e-10)
    assert float(kl(p_xz, start.decoder(best) * prior) - kl(p_xz, start.decoder(best) * shares)) == pytest.approx(
        scipy.stats.entropy(shares, prior), abs=1e-10
    )


def test_a_coin_with_one_face_on_both_sides_is_a_coin():
    """0.E1: sums of logarithms are NaN where a chance is 0 or 1."""

    def by_logarithms(weights, heads, tosses):
        x = torch.arange(tosses + 1.0, dtype=torch.float64)[:, None]
        ways = torch.lgamma(torch.tensor(tosses + 1.0)) - torch.lgamma(x + 1) - torch.lgamma(tosses - x + 1)
        return (ways + x * heads.log() + (tosses - x) * (1 - heads).log()).exp() @ weights

    with pytest.raises(Wrong, match="nan"):
        exercises.check_marginal(by_logarithms)
    exercises.check_marginal(exercises.solve_marginal)
