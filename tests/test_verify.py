"""`verify` accepts true equations and cannot be fooled: every way in which a check can be empty is refused."""

from types import SimpleNamespace

import pytest
import torch

from gentools.lab import worlds
from gentools.lab.divergences import cross_entropy, entropy, kl
from gentools.lab.verify import EquationError, same_code, verify


def good():
    return dict(
        left=lambda w: kl(w.p_x, w.q_x),
        right=lambda w: cross_entropy(w.p_x, w.q_x) - entropy(w.p_x),
        wrong=lambda w: cross_entropy(w.p_x, w.q_x),
        slip="forgetting the entropy",
    )


def unseeded():
    return SimpleNamespace(**{name: torch.rand(3).double().softmax(0) for name in ("p_x", "q_x")})


def test_what_is_printed(capsys):
    verify("9.1", **good())
    assert capsys.readouterr().out == "(9.1) holds on 200 random finite tables. Refuted: forgetting the entropy.\n"


@pytest.mark.parametrize(
    "change,match",
    [
        (dict(right=lambda w: kl(w.q_x, w.p_x)), "fails: on world"),
        (dict(wrong=lambda w: kl(w.p_x, w.q_x)), "refuted on 0 of 200"),
        (dict(wrong=lambda w: kl(w.p_x, w.q_x) + 1e-8), "refuted on 0 of 200"),
        (dict(wrong=lambda w: kl(w.p_x, w.q_x) + (len(w.p_x) > 2)), "95 % are needed"),
        (dict(wrong=lambda w: torch.tensor(float("nan"))), "not finite"),
        (dict(wrong=lambda w: torch.tensor(float("inf"))), "not finite"),
        (dict(left=lambda w: torch.tensor(float("nan"))), "not finite"),
        (
            dict(left=lambda w: 0.0, right=lambda w: float(0), wrong=lambda w: 1.0),
            "says nothing",
        ),
        (dict(left=lambda w: w.p_x), "shapes"),
        (dict(slip=""), "slip is empty"),
        (dict(slip=" "), "slip is empty"),
        (dict(count=0), "count must be at least 1"),
        (dict(left=lambda w: w.p_x[:0], right=lambda w: w.q_x[:0]), "a side is empty"),
        (dict(left=lambda w: w.p_x + 1j * w.p_x, right=lambda w: w.p_x + 2j * w.p_x), "a side is complex"),
        (dict(left=lambda w: w.p_x.mul_(2), right=lambda w: 1 * w.p_x, wrong=lambda w: w.p_x + 1), "fails: on world"),
        (
            dict(left=lambda w: 1e-11 * w.p_x, right=lambda w: 1e-11 * w.p_x**2, wrong=lambda w: w.p_x),
            "about as small as the 1e-09 that is allowed",
        ),
        (dict(world=lambda seed: unseeded()), "is another each time"),
        (dict(relation="="), "use '=='"),
        (dict(tight=worlds.tight_table), "Other relations take none"),
        (dict(relation="<="), "needs tight="),
    ],
)
def test_bad_checks_are_refused(change, match, capsys):
    with pytest.raises((EquationError, ValueError), match=match):
        verify("9.1", **(good() | change))
    assert "holds" not in capsys.readouterr().out


def test_a_side_compared_with_itself_is_refused():
    side = good()["left"]
    with pytest.raises(EquationError, match="with itself"):
        verify("9.1", left=side, right=side, wrong=good()["wrong"], slip="none")
    with pytest.raises(EquationError, match="with itself"):
        verify("9.1", left=good()["left"], right=side, wrong=side, slip="none")


def test_sides_of_the_same_code_are_refused():
    def scaled(factor, f=None):
        return lambda w: factor * (f or (lambda v: kl(v.p_x, v.q_x)))(w)

    same = [
        (good()["left"], lambda v: kl(v.p_x, v.q_x)),
        (scaled(2), scaled(2)),
        (scaled(1, lambda w: w.p_x.sum()), scaled(1, lambda v: v.p_x.sum())),
        (lambda w: torch.vmap(lambda t: 2 * t)(w.p_x), lambda v: torch.vmap(lambda s: 2 * s)(v.p_x)),
    ]
    for left, right in same:
        with pytest.raises(EquationError, match="with itself"):
            verify("9.1", left=left, right=right, wrong=good()["wrong"], slip="none")
        with pytest.raises(EquationError, match="with itself"):
            verify("9.1", left=good()["wrong"], right=right, wrong=left, slip="none")
    different = [
        (scaled(2), scaled(3)),
        (scaled(1, torch.sum), scaled(1, torch.mean)),
        (lambda w: w.p_x + 1, lambda w: w.p_x + 2),
        (lambda w: w.p_x, lambda w: w.q_x),
        (torch.sum, torch.mean),
        (lambda w: kl(w.p_x, w.q_x), lambda w: kl(w.q_x, w.p_x)),
    ]
    assert not any(same_code(*pair) for pair in different)


def bound(**change):
    sides = dict(
        left=lambda w: kl(w.p_x, w.q_x),
        right=lambda w: kl(w.p_xz, w.q_xz),
        wrong=lambda w: 2 * kl(w.p_x, w.q_x) - kl(w.p_xz, w.q_xz),
        slip="the bound upside down",
        relation="<=",
        tight=worlds.tight_table,
    )
    return sides | change


def test_a_bound_must_hold_bite_and_be_attained(capsys):
    verify("9.2", **bound())
    assert "Equality on 200 random finite tables whose encoder" in capsys.readouterr().out
    for change, match in [
        (dict(right=lambda w: kl(w.p_x, w.q_x) - 1e-3), "fails"),
        (dict(right=lambda w: torch.tensor(1e9).double()), "not attained"),
        (dict(tight=worlds.table), "not attained"),
        (dict(wrong=lambda w: kl(w.p_xz, w.q_xz) + 1), "refuted on 0"),
    ]:
        with pytest.raises(EquationError, match=match):
            verify("9.2", **bound(**change))


def test_limits(capsys):
    sides = dict(
        left=lambda w, h: ((w.p_x.sqrt() + h).sum() - w.p_x.sqrt().sum()) / h,
        right=lambda w: torch.tensor(len(w.p_x)).double(),
        wrong=lambda w: w.p_x.sqrt().sum() / 2,
        slip="halving",
        relation="->",
    )
    verify("9.3", **sides)
    with pytest.raises(EquationError, match="does not converge"):
        verify(
            "9.3",
            **(sides | dict(left=lambda w, h: w.p_x.sum() + torch.tensor(h).log())),
        )
    with pytest.raises(EquationError, match=r"fails|does not converge"):
        verify(
            "9.3",
            **(sides | dict(right=lambda w: torch.tensor(len(w.p_x) + 0.01).double())),
        )
    with pytest.raises(EquationError, match="refuted on"):
        verify(
            "9.3",
            **(sides | dict(wrong=lambda w: torch.tensor(len(w.p_x) + 0.01).double())),
        )


def test_an_offset_from_a_small_limit_is_seen():
    sides = dict(
        left=lambda w, h: 0.3 * w.p_x[0] + h, right=lambda w: 0.3 * w.p_x[0], wrong=lambda w: 0.3 * w.p_x[0] + 1,
        slip="adding 1", relation="->",
    )  # fmt: skip
    verify("9.3", **sides)
    with pytest.raises(EquationError, match=r"fails|does not converge"):
        verify("9.3", **(sides | dict(right=lambda w: 0.3 * w.p_x[0] + 6e-5)))
    slow = sides | dict(left=lambda w, h: 0.3 * w.p_x[0] + 6e-5 + h**0.5 * 1e-3)
    with pytest.raises(EquationError, match=r"fails|does not converge"):
        verify("9.3", **slow)


def test_a_side_that_comes_closer_too_slowly_is_no_limit():
    """h^(1/4) falls to a third from one h to the next; a side whose distance is proportional to h falls to a hundredth."""
    sides = dict(
        left=lambda w, h: 1 + w.p_x[0] + 0.005 * h, right=lambda w: 1 + w.p_x[0], wrong=lambda w: w.p_x[0],
        slip="leaving out the 1", relation="->",
    )  # fmt: skip
    verify("9.3", **sides)
    with pytest.raises(EquationError, match="does not converge"):
        verify("9.3", **(sides | dict(left=lambda w, h: 1 + w.p_x[0] + 0.005 * h**0.25)))


def test_symbols(capsys):
    import sympy

    sides = dict(
        left=lambda w: sympy.log(w.a * w.b), right=lambda w: sympy.log(w.a) + sympy.log(w.b),
        wrong=lambda w: sympy.log(w.a) * sympy.log(w.b), slip="multiplying logarithms", world=worlds.symbolic,
    )  # fmt: skip
    verify("9.4", **sides)
    assert capsys.readouterr().out.startswith("(9.4) holds symbolically. Refuted: multiplying logarithms.")
    with pytest.raises(EquationError, match="fails"):
        verify("9.4", **(sides | dict(right=lambda w: sympy.log(w.a))))
    with pytest.raises(EquationError, match="not refuted"):
        verify("9.4", **(sides | dict(wrong=lambda w: sympy.log(w.b) + sympy.log(w.a))))
    with pytest.raises(EquationError, match="no side contains a symbol"):
        verify(
            "9.4",
            **(sides | dict(left=lambda w: 1, right=lambda w: sympy.Integer(1), wrong=lambda w: 2)),
        )


def test_a_world_without_a_name_is_refused():
    def nameless(seed):
        return worlds.table(seed)

    with pytest.raises(EquationError, match="needs a docstring"):
        verify("9.1", **good(), world=nameless)
