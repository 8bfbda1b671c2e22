"""Chapter 00: the map shows the chapters that exist, and the two coins are found."""

import scipy.stats
import torch

from gentools.lab.chapters import CHAPTERS
from gentools.recipes import start


def test_the_map_shows_every_chapter_once_and_which_are_written():
    assert sorted(start.PLACES) == [chapter.number for chapter in CHAPTERS] == list(range(18))
    places = [(column, row) for column, row, _ in start.PLACES.values()]
    assert len(set(places)) == len(places)
    assert all(before in start.PLACES for *_, needs in start.PLACES.values() for before in needs)


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
