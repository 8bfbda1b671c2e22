"""Every recipe of every chapter: its verdict copes with one seed and with runs that failed, and says so."""

import math

import pytest

from gentools import recipes
from gentools.lab import records
from gentools.lab.chapters import CHAPTERS
from gentools.recipes import recording

ALL = {id: recipe for chapter in CHAPTERS for id, recipe in recipes.recipes(chapter.name).items()}
JUDGED = [id for id, recipe in ALL.items() if recipe.verdict]


def said(id, chosen):
    """The verdict of recipe `id` where `chosen` tells which numbers its seeds had, from those that are recorded."""
    numbers = records.load(id)["numbers"]
    return ALL[id].verdict({name: recording.summary_of(name, chosen(values), id) for name, values in numbers.items()})


def assert_sentence(text):
    assert text.endswith(".") and not {"None", "nan", "inf"} & set(text.replace(",", " ").replace(".", " ").split())


@pytest.mark.parametrize("id", JUDGED)
def test_a_verdict_from_one_seed(id):
    assert_sentence(said(id, lambda values: values[:1]))
    assert_sentence(said(id, lambda values: values[:1] + [math.nan] * (len(values) - 1)))


@pytest.mark.parametrize("id", JUDGED)
def test_a_verdict_where_every_run_failed(id):
    assert_sentence(said(id, lambda values: [math.nan] * len(values)))
    assert_sentence(said(id, lambda values: [math.nan]))


@pytest.mark.parametrize("id", [id for id in JUDGED if len(ALL[id].seeds) > 1])
def test_a_verdict_where_some_runs_failed(id):
    for lost in (0, -1):
        assert_sentence(said(id, lambda values, lost=lost: [*values[:lost], math.nan, *values[lost:][1:]]))
