"""What `recorded`, `report`, `ends` and the ledger of claims print, as parts: captions, tables, sentences. No Sphinx.

A notebook prints them as lines of text, which a page can show as what they are. Whatever is not known stays as it is.
"""

import re
from typing import NamedTuple

PRINTS = re.compile(r"\b(?:recorded|report|ends|claims\.command)\(")  # a cell that may print such lines
CAPTION = re.compile(r"Figure \d+\.\d+\. ")
HEAD = re.compile(r"(\d+ seeds +)(mean +)(95 % interval +)range$")
ENDS = re.compile(r"(means|each) of \d+ seeds?( \| twice the steps, seeds? [\d, ]*\d)?  +\S")
NUMBERS = re.compile(r"(?:[-+.\de]+|none|nan|-?inf|\(\d+ failed\)|[| ])+")  # a cell of it
ROW = re.compile(r"(\S.*?)  +(-?\d[\d.e+-]*|none|-?inf)$")  # of a figure with one seed
CLAIM = re.compile(r"(?P<figure>\d+\.\d+)? +(?P<ruling>holds|refuted|not shown|open) +(?P<claim>\S.*)$")
SENTENCES = ("Settings: ", "Twice the steps, ")  # wrapped, to the full stop that ends a line


class Part(NamedTuple):
    """kind: "caption", "made", "settings", "verdict", "twice", "claim", "table" or "text"; rows: of a table, tuples of words.

    The lines of a claim are its figure, the ruling, the claim, and what the record says.
    """

    kind: str
    lines: tuple = ()
    rows: tuple = ()


def parts(text):
    """The parts of a printed text, in order. No word is lost or added."""
    found, lines = [], text.rstrip("\n").split("\n")
    while lines:
        part, used = _next(lines)
        if part.kind == "text" and found and found[-1].kind == "text":
            part = Part("text", (*found.pop().lines, *part.lines))
        if part.kind == "table" and not ENDS.match(lines[0]) and found and found[-1].kind == "text":
            *before, title = found.pop().lines  # which numbers the table has
            found += [Part("text", tuple(before))] if before else []
            part = part._replace(lines=(title,))
        found.append(part)
        lines = lines[used:]
    return found


def _next(lines):
    """The part that begins with the first line, and of how many lines it is."""
    first = lines[0]
    if CAPTION.match(first):
        return Part("caption", (first,)), 1
    if first.startswith("Made by `"):
        return Part("made", (first,)), 1
    if first.startswith(SENTENCES):
        used = next((i for i, line in enumerate(lines, 1) if line.endswith(".")), len(lines))
        kind = "settings" if first.startswith("Settings") else "twice"
        return Part(kind, (" ".join(line.strip() for line in lines[:used]),)), used
    if first.startswith("Verdict: "):
        used = next((i for i, line in enumerate(lines) if i and not line.startswith("  ")), len(lines))
        return Part("verdict", tuple(line.strip() for line in lines[:used])), used
    if claim := CLAIM.match(first):
        used = next((i for i, line in enumerate(lines) if i and not _detail(line)), len(lines))
        said = " ".join(line.strip() for line in lines[1:used])
        return Part("claim", (claim["figure"] or "", claim["ruling"], claim["claim"], said)), used
    rows = _rows(lines)
    return (Part("table", rows=rows), len(rows)) if rows else (Part("text", (first,)), 1)


def _detail(line):
    """Whether a line belongs to the claim above it."""
    return line.startswith(" " * 7) and not CLAIM.match(line)


def _rows(lines):
    """The rows of a table that begins with the first line, cut where the heads of its columns begin."""
    if ENDS.match(lines[0]):
        rows = _cut(lines, [0, *(gap.end() for gap in re.finditer("  +", lines[0]))])
        others = (i for i, row in enumerate(rows) if i and not all(map(NUMBERS.fullmatch, row[1:])))
        return rows[: next(others, None)]
    head = HEAD.match(lines[0])
    if head is None:
        found = []
        for line in lines:
            if line.startswith((*SENTENCES, "Verdict: ")) or not (row := ROW.match(line)):
                break
            found.append(row.groups())
        return tuple(found)
    return _cut(lines, [0, *(head.end(i) for i in (1, 2, 3))])


def _cut(lines, starts):
    """The rows whose cells begin at these places, up to the first line that has no such cells."""
    found = []
    for line in lines:
        cells = [line[a:b] for a, b in zip(starts, [*starts[1:], None])]
        if line.startswith((*SENTENCES, "Verdict: ")) or not _apart(cells):
            break
        found.append(tuple(cell.strip() for cell in cells))
    return tuple(found)


def _apart(cells):
    """Whether at least two cells are filled, and each but the last is followed by two spaces or by nothing."""
    return bool(cells[1].strip()) and all(
        cell.endswith("  ") or not any(cells[i:]) for i, cell in enumerate(cells[:-1], 1)
    )


def headed(rows):
    """Whether the first row of a table names its columns."""
    return "mean" in rows[0] or ENDS.match("  ".join(rows[0])) is not None
