"""The HTML edition: what is mentioned is linked, what is asked is answered, what is searched is found, on every screen.

The pages are built once, where the packages for it are (`make book` installs them); a browser is used where one is found.
"""

import functools
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from types import SimpleNamespace

import browser
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from synthetic import code as cell
from synthetic import markdown, notebook

from gentools import (
    age,
    ali,
    autoregressive,
    conditional_gan,
    diffusion,
    em,
    evaluation,
    exercises,
    gan,
    joint_kl,
    one_map,
    regularized_gan,
    vae,
    wgan_gp,
)
from gentools.lab import data, records
from gentools.lab.divergences import gaussian_kl, js, kl, mutual_information
from gentools.lab.quiz import Exercise, Question
from gentools.press import notebooks
from gentools.press.notebooks import ROOT
from gentools.recipes.claims import ledger

BUILDERS = ("myst_nb", "sphinx_book_theme", "sphinx_copybutton", "sphinx_design", "bs4")


def module(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


mentions, answers, reports, demos = module("mentions"), module("answers"), module("reports"), module("demos")


# Without Sphinx

KNOWN = {
    ("equation", "5.3"): "05.html#e53",
    ("equation", "5.4"): "05.html#e54",
    ("figure", "5.3"): "05.html#f53",
    ("figure", "5.6"): "05.html#f56",
    ("figure", "10.10"): "10.html#f1010",
    ("chapter", "5"): "05.html",
    ("chapter", "10"): "10.html",
}


@pytest.mark.parametrize(
    "text, linked",
    [
        ("by (5.3) it is so", {"(5.3)": "05.html#e53"}),
        ("(5.3) and (5.4)", {"(5.3)": "05.html#e53", "(5.4)": "05.html#e54"}),
        ("see (5.3, 5.4).", {"5.3": "05.html#e53", "5.4": "05.html#e54"}),
        ("Figure 5.6 shows", {"Figure 5.6": "05.html#f56"}),
        ("figures 5.3, 5.6 and 10.10.", {"figures 5.3": "05.html#f53", "5.6": "05.html#f56", "10.10": "10.html#f1010"}),
        ("(figure 5.6)", {"figure 5.6": "05.html#f56"}),
        ("KL term 7.1 (5.3 to 9.1), after (5.3)", {"(5.3)": "05.html#e53"}),
        ("chapter 05, and chapters 5 and 10", {"chapter 05": "05.html", "chapters 5": "05.html", "10": "10.html"}),
        ("chapter 5\u2019s figure", {"chapter 5": "05.html"}),
        ("Chapter 11 is planned; (9.9), figure 9.9", {}),
        ("5.6 of 10 at rate 5.3, (5.35), chapter of 5, p(5.3)x 5.3", {"(5.3)": "05.html#e53"}),
    ],
)
def test_mentions_are_found_with_their_targets(text, linked):
    pieces = mentions.split(text, KNOWN)
    assert "".join(words for words, _ in pieces) == text
    assert {words: target for words, target in pieces if target} == linked


def test_places_prefer_the_chapter_of_a_number(tmp_path):
    pages = {
        "05_gan": [markdown("$$a = b \\tag{5.3}$$", "a"), cell('recorded("6.1")\nrecorded("5.6")', "b")],
        "06_dcgan": [cell('recorded("6.1")', "a"), cell("recorded(id)", "b"), markdown('`recorded("5.7")`', "c")],
    }
    for name, cells in pages.items():
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook(cells)))
    assert mentions.places(tmp_path) == {
        ("chapter", "5"): "05_gan.html",
        ("chapter", "6"): "06_dcgan.html",
        ("equation", "5.3"): "05_gan.html#equation-5-3",
        ("figure", "5.6"): "05_gan.html#figure-5-6",
        ("figure", "6.1"): "06_dcgan.html#figure-6-1",
    }


def right(x):
    """A solution."""
    return x + 1


def test_what_waits_for_an_answer_is_answered_in_a_fold():
    said = "Question 1.Q1: not answered yet. Put a letter in place of None.\nkept\n"
    cells = [
        markdown("# Toy\n\nPut a letter in place of `None`. Guess.", "title"),
        cell('ask("1.Q1", None)\npredict("1.Q2", None)', "a", said),
        cell("x = 1", "b"),
    ]
    cells += [cell('check("1.E1", None)', "c", "Exercise 1.E1: not attempted. Try.\n")]
    question = Question("b", {"a": "No: 1 * 2_3 < $5", "b": "Yes."})
    exercise = Exercise(lambda answer: None, ("Think.", "Add [one]."), right)
    nb = answers.answered(notebook(cells), {"1.Q1": question, "1.Q2": question}, {"1.E1": exercise})
    kinds = [(cell["cell_type"], cell["id"]) for cell in nb["cells"][1:]]
    assert nb["cells"][0]["source"] == "# Toy\n\nChoose a letter. Guess."
    assert kinds == [("code", "a"), ("markdown", "a-folded"), ("code", "b"), ("code", "c"), ("markdown", "c-folded")]
    assert nb["cells"][1]["outputs"][0]["text"] == ["kept\n"] and nb["cells"][4]["outputs"] == []
    fold = nb["cells"][2]["source"]
    assert "{dropdown} Question 1.Q1" in fold and "{dropdown} Prediction 1.Q2" in fold
    assert r"- (a) Not so. No\: 1 \* 2\_3 \< \$5" in fold and r"- (b) Right. Yes\." in fold
    fold = nb["cells"][5]["source"]
    hints, solution = fold.split("{dropdown} A solution")  # a second fold within the first
    assert r"2. Add \[one\]\." in hints and "return x + 1" in solution


PRINTED = """\
Figure 5.6. A plot. Left, see (5.3).
Made by `python -m gentools figures 5.6 --scale full` (2 seeds, cpu, torch 2.13.0, 3 s in all).
above the line
2 seeds         mean    95 % interval  range
 a: share       0.5000  0.4 to 0.6     0.45 to 0.55
count, whole    3       in every seed
no run          none                   2 failed
Settings: steps 30, rates ((a, 0.1),
(b, 0.2)).
Verdict: a is ahead;
  b is not.
Twice the steps, seed 0: 1 of 2 numbers lie where 19 of 20 runs of the recorded length would; elsewhere: a:
share 1 (0 to 0.9).
one value  -3e-05
Outcome: predict first.
And more.
"""


def test_what_a_report_prints_is_taken_apart_and_what_is_not_known_stays():
    found = reports.parts(PRINTED)
    kinds = ["caption", "made", "table", "settings", "verdict", "twice", "table", "text"]
    assert [part.kind for part in found] == kinds
    table, one = found[2], found[6]
    assert table.lines == ("above the line",) and table.rows[0] == ("2 seeds", "mean", "95 % interval", "range")
    assert table.rows[1:] == (
        ("a: share", "0.5000", "0.4 to 0.6", "0.45 to 0.55"),
        ("count, whole", "3", "in every seed", ""),
        ("no run", "none", "", "2 failed"),
    )
    assert one.rows == (("one value", "-3e-05"),) and found[7].lines == ("Outcome: predict first.", "And more.")
    assert found[3].lines == ("Settings: steps 30, rates ((a, 0.1), (b, 0.2)).",)
    assert found[4].lines == ("Verdict: a is ahead;", "b is not.")


ENDS = """\
Twice the steps, seed 0: 1 of 2 numbers lie where 19 of 20 runs of the recorded length would.
means of 5 seeds | twice the steps, seed 0  overlap        modes, all
one step, slow D                            0.559 | 0.602  17.6 | 16.8
recorded z                                  0.552 | 0.689  20 (1 failed) | 22.8
each of 2 seeds  codes
one              3 5
one              modes of each run: 3, 5; codes at least 10 from the prior in 0 of 2
means of 2 seeds, in words
"""


def test_what_ends_prints_is_a_table_with_a_head_and_no_title():
    before = "against penalty 0  penalty 5\ncollapsed          -0.5 ± 0.1\n"
    for text, first in ((ENDS, "twice"), (before + ENDS.partition("\n")[2], "text")):
        found = reports.parts(text)
        assert [part.kind for part in found] == [first, "table", "table", "text"]
        _, table, other, rest = found
        assert table.lines == other.lines == () and reports.headed(table.rows) and reports.headed(other.rows)
        assert table.rows == (
            ("means of 5 seeds | twice the steps, seed 0", "overlap", "modes, all"),
            ("one step, slow D", "0.559 | 0.602", "17.6 | 16.8"),
            ("recorded z", "0.552 | 0.689", "20 (1 failed) | 22.8"),
        )
        assert other.rows == (("each of 2 seeds", "codes"), ("one", "3 5"))
        assert len(rest.lines) == 2
    assert not reports.headed((("one value", "-3e-05"),))


@pytest.mark.parametrize("id, ways, scores, each", [
    ("10.11", ("one step", "fresh z"), ("overlap", "modes"), False), ("9.10", ("ALI", "GAN"), ("modes",), True),
    ("10.6", ("no BN, plain",), ("overlap", "collapsed"), False),
])  # fmt: skip
def test_what_ends_prints_of_a_record_is_all_in_the_table(capsys, id, ways, scores, each):
    records.ends(id, ways, *scores, each=each)
    text = capsys.readouterr().out
    (table,) = reports.parts(text)
    assert table.kind == "table" and [row[0] for row in table.rows[1:]] == [*ways] and table.rows[0][1:] == scores
    assert " ".join(" ".join(row) for row in table.rows).split() == text.split()


def test_the_ledger_of_claims_is_taken_apart():
    text = """1.3    refuted    Both may stand in (Su 2018). scale full, cpu, 0 s, 5 seeds.
       the forward joint bounds
       in every pair.
       open       Few data are enough (Anonymous 2018).
       not run: figures 6.4
1 refuted; 1 open
"""
    one, other, end = reports.parts(text)
    claim = "Both may stand in (Su 2018). scale full, cpu, 0 s, 5 seeds."
    assert one == ("claim", ("1.3", "refuted", claim, "the forward joint bounds in every pair."), ())
    assert other.lines == ("", "open", "Few data are enough (Anonymous 2018).", "not run: figures 6.4")
    assert (end.kind, end.lines) == ("text", ("1 refuted; 1 open",))


KNOWN_LINES = re.compile(
    r"^(Figure \d|Made by|((means|each) of )?\d+ seeds|Settings|Verdict|Twice the steps)", re.MULTILINE
)


def test_no_word_of_a_stored_report_is_lost_and_all_of_it_is_known():
    for path in notebooks.find(ROOT):
        for each in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if each["cell_type"] != "code" or not reports.PRINTS.search("".join(each["source"])):
                continue
            text = "".join("".join(o["text"]) for o in each["outputs"] if o["output_type"] == "stream")
            found = reports.parts(text)
            words = [word for part in found for word in (*part.lines, *(cell for row in part.rows for cell in row))]
            assert " ".join(words).split() == text.split(), each["id"]
            left = "\n".join(line for part in found if part.kind == "text" for line in part.lines)
            assert not KNOWN_LINES.search(left), (path.name, each["id"])


# The built pages


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built pages."""
    if missing := [name for name in BUILDERS if importlib.util.find_spec(name) is None]:
        pytest.skip(f"the book needs {', '.join(missing)}; make book installs what builds it")
    folder = tmp_path_factory.mktemp("site")
    env = os.environ | {"GENTOOLS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "book/build.py", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "book"


@pytest.fixture(scope="module")
def pages(site):
    """Every chapter's page, parsed, by file name."""
    from bs4 import BeautifulSoup

    return {
        p.name: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in sorted(site.glob("[0-9]*.html"))
    }


def test_every_link_within_the_book_has_its_target(site, pages):
    ids = {name: {node["id"] for node in page.find_all(id=True)} for name, page in pages.items()}
    links = [(name, a["href"]) for name, page in pages.items() for a in page.find_all("a", href=True)]
    within = [(name, href) for name, href in links if not re.match(r"[a-z]+:", href)]
    assert len(within) > 500
    for name, href in within:
        file, _, place = href.partition("#")
        assert (site / (file or name)).exists(), f"{name}: {href}"
        assert not place or place in ids.get(file or name, {place}), f"{name}: {href}"


def test_every_link_has_words_or_a_picture_and_none_is_within_another(pages):
    for name, page in pages.items():
        assert [a["href"] for a in page.select("article a a")] == [], name
        for a in page.find("article").find_all("a", href=True):
            assert a.get_text().strip() or a.img or a.get("title") or a.get("aria-label"), (name, a["href"])


def test_every_page_describes_itself(site, pages):
    from bs4 import BeautifulSoup

    front = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    described = {
        name: [meta["content"] for meta in page.find_all("meta", attrs={"name": "description"})]
        for name, page in (pages | {"index.html": front}).items()
    }
    assert all(len(words) == 1 and len(words[0]) > 100 for words in described.values()), described
    assert len({words for (words,) in described.values()}) == len(described)
    name = "Generative Models from One Joint KL"
    assert front.title.get_text(strip=True) == name
    assert all(page.select_one(".navbar-brand").get_text(strip=True) == name for page in (front, *pages.values()))


def test_code_in_what_answers_are_told_is_set_as_code(pages):
    assert answers.plain("add `factor` copies of *(c, b)*") == r"add `factor` copies of \*\(c\, b\)\*"
    for name, page in pages.items():
        told = page.select("details.book-question li, details.book-exercise li")
        left = [
            text for each in told for text in each.find_all(string=re.compile("`")) if text.find_parent("pre") is None
        ]
        assert left == [], name


def test_every_mention_in_the_text_is_a_link(pages):
    known, linked, left = mentions.places(ROOT / "notebooks"), 0, []
    for name, page in pages.items():
        for node in page.find("article").find_all(["p", "li", "td"]):
            for text in node.find_all(string=True, recursive=False):
                left += [(name, words) for words, target in mentions.split(str(text), known) if target]
            linked += sum("equation-" in a["href"] for a in node.find_all("a", href=True, recursive=False))
    assert left == [] and linked > 100


def test_numbers_under_a_heading_of_figures_are_links(pages):
    row = next(td for td in pages["08_aae.html"].find_all("td") if td.get_text().strip() == "8.3, 8.4")
    assert [a["href"] for a in row.find_all("a")] == ["#figure-8-3", "#figure-8-4"]


def test_every_equation_and_every_figure_has_an_anchor_and_is_in_the_search(site, pages):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(index[index.index("{") : index.rindex("}") + 1])
    for (kind, number), target in mentions.places(ROOT / "notebooks").items():
        if kind == "chapter":
            continue
        file, _, name = target.partition("#")
        assert pages[file].find(id=name) is not None, target
        for entry in (number, f"{kind} {number}"):
            found = {(f"{index['docnames'][doc]}.html", place) for doc, place, _ in index["indexentries"][entry]}
            assert (file, name) in found, (entry, found)


def test_every_question_and_every_exercise_is_answered_in_a_dropdown(pages):
    for name, page in pages.items():
        cells = [cell.get_text() for cell in page.find_all("div", class_="cell_input")]
        calls = {found for cell in cells for found in answers.ASKS.findall(cell)}
        titles = [(fold.summary.get_text(), fold) for fold in page.find_all("details")]
        named = [(re.search(r"\d+\.[QE]\d+", title), title, fold) for title, fold in titles]
        named = [(id[0], "what came out" in title, fold) for id, title, fold in named if id]  # others fold, too
        folds, outcomes = ({id: fold for id, late, fold in named if late == which} for which in (False, True))
        assert {id for call, id in calls if call != "outcome"} == set(folds) and folds, name
        assert {id for call, id in calls if call == "outcome"} == set(outcomes), name
        for waiting in ("not answered yet", "not attempted", "predict first", "a letter in place of"):
            assert waiting not in page.get_text()
        for id, fold in folds.items():
            assert ("Right." in fold.get_text()) == (".Q" in id) and len(fold.find_all("li")) >= 2, id
        for fold in outcomes.values():
            assert "Right." not in fold.get_text() and len(fold.find_all("li")) == 1


def test_reports_are_tables_and_captions_are_text(pages):
    for name, page in pages.items():
        for block in page.find_all("div", class_="cell"):
            source = block.find("div", class_="cell_input")
            if source is not None and reports.PRINTS.search(source.get_text()):
                left = "\n".join(pre.get_text() for pre in block.select("div.cell_output pre"))
                assert not KNOWN_LINES.search(left), (name, left)
    caption = pages["16_diffusion.html"].find(id="figure-16-3").find_next("div", class_="caption")
    assert caption.get_text().strip().startswith("Figure 16.3. ") and caption.strong.a is None
    assert caption.find("a", href="#equation-16-8") is not None
    table = caption.find_next("table")
    assert [th.get_text().strip() for th in table.find_all("th")] == ["5 seeds", "mean", "95 % interval", "range"]
    record = json.loads((ROOT / "figures" / "16_diffusion" / "16.3.json").read_text(encoding="utf-8"))
    assert [row.td.get_text().strip() for row in table.tbody.find_all("tr")] == [*record["summary"]]
    claims = pages["17_one_map.html"].select("div.claim")
    assert len(claims) == len([row for row in ledger() if row.claim])
    assert all(claim.find("a", href=re.compile("#figure-")) for claim in claims if claim.strong.get_text() != "open")


def test_the_download_button_gives_the_notebook_itself(site, pages):
    for name, page in pages.items():
        (link,) = {a["href"] for a in page.find_all("a", href=re.compile(r"\.ipynb$")) if "_sources" in a["href"]}
        assert (site / link).read_bytes() == (ROOT / "notebooks" / name).with_suffix(".ipynb").read_bytes()


def test_the_front_page_has_a_card_with_a_picture_for_every_chapter(site, pages):
    from bs4 import BeautifulSoup

    front = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    cards = {card.find("a", class_="sd-stretched-link")["href"]: card for card in front.select("article .sd-card")}
    assert list(cards) == list(pages)
    for name, card in cards.items():
        assert re.match(rf"{int(name[:2])}\. .+\d+ minutes to read", " ".join(card.get_text().split())), name
        assert len(card.img["alt"]) > 40 and (site / card.img["src"]).stat().st_size > 1000, name


def test_the_controls_of_a_page(pages):
    for name, page in pages.items():
        assert page.select_one(".article-header-buttons, .header-article__inner") is not None
        assert page.select_one("button.primary-toggle") is not None, name
        assert page.body["data-default-mode"] == "auto"


# In a browser


class Quiet(SimpleHTTPRequestHandler):
    """Serves the pages, for a search does not work on files."""

    def log_message(self, *args):
        pass


SEEN = """(selector => { const e = document.querySelector(selector); if (!e || !e.checkVisibility({visibilityProperty: true})) return false;
const b = e.getBoundingClientRect(); return b.width > 0 && b.right > 0 && b.left < innerWidth; })"""
LIST, CONTENTS = 'a[href="06_dcgan.html"].reference', "#pst-page-toc-nav"


@pytest.fixture(scope="module")
def page(site, tmp_path_factory):
    """A tab of a browser to which the pages are served."""
    if browser.found() is None:
        pytest.skip("there is no browser here: none of " + ", ".join(browser.NAMES))
    pytest.importorskip("websocket")
    handler = functools.partial(Quiet, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with browser.browser(tmp_path_factory.mktemp("browser")) as opened:
            opened.site = f"http://127.0.0.1:{server.server_port}"
            yield opened
        server.shutdown()


def seen(page, selector):
    return page.run(f"{SEEN}({json.dumps(selector)})")


def opened(page):
    """Ids of the dialogs that are open, each of which makes the rest of the page inert."""
    return page.run("[...document.querySelectorAll('dialog[open]')].map(dialog => dialog.id)")


CLICKED = """((id, letter) => {
const names = row => [...row.previousElementSibling.querySelectorAll('strong')].map(strong => strong.textContent);
const row = [...document.querySelectorAll('.book-letters')].find(row => names(row).includes(id + '.'));
const button = [...row.querySelectorAll('button')].find(button => button.textContent === letter);
button.click();
const outcome = [...document.querySelectorAll('details.book-outcome')].find(o => o.querySelector('summary').textContent.includes(id + ':'));
return [row.querySelector('.book-told').textContent, [...row.querySelectorAll('[aria-pressed=true]')].map(b => b.textContent).join(),
        outcome ? outcome.querySelector('.sd-card-body > p').textContent : null]; })"""


def letters_of(words):
    """Words without what a page sets in another way: quotes, dashes, spaces."""
    return re.sub(r"[^a-z0-9]", "", words.lower())


@pytest.mark.parametrize("path", notebooks.find(ROOT), ids=lambda path: path.stem)
def test_a_click_on_a_letter_tells_what_a_notebook_tells(page, path):
    sources = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    calls = [found for source in sources for found in answers.ASKS.findall(source) if found[0] in ("ask", "predict")]
    assert len(calls) >= 6
    questions = exercises.module(path.stem[3:]).QUESTIONS
    page.open(f"{page.site}/{path.stem}.html", 1300)
    for call, id in calls:
        question = questions[id]
        for letter, words in question.feedback.items():
            told, pressed, compared = page.run(f"{CLICKED}({json.dumps(id)}, {json.dumps(letter)})")
            assert pressed == letter, (id, letter)
            if call == "ask":
                verdict = "Right." if letter == question.answer else "Not so."
                assert letters_of(told) == letters_of(f"{letter} {verdict} {words}") and compared is None, (id, letter)
            else:
                assert letters_of(told) == letters_of(f"{letter} noted. Read on, then open what came out."), (
                    id,
                    letter,
                )
                said = "As you predicted." if letter == question.answer else f"You said ({letter}). {words}"
                assert letters_of(compared) == letters_of(said), (id, letter)
    assert page.run("document.querySelectorAll('details.book-question, details.book-prediction').length") == 0


@pytest.mark.parametrize("width", [390, 950])
@pytest.mark.parametrize("control, content", [(".primary-toggle", LIST), (".secondary-toggle", CONTENTS)])
def test_on_a_narrow_screen_a_control_opens_the_list_and_one_closes_it(page, width, control, content):
    page.open(f"{page.site}/00_start.html", width)
    assert not seen(page, content) and opened(page) == []
    for _ in range(2):
        page.click(control)
        browser.wait(lambda: seen(page, content))
        page.click("dialog[open] .book-close")
        browser.wait(lambda: not seen(page, content) and opened(page) == [])
    page.click(control)
    browser.wait(lambda: seen(page, content))
    page.click(f"dialog[open] {content}" if content == LIST else f"dialog[open] {content} a")
    if content == LIST:
        browser.wait(lambda: page.run("location.pathname").endswith("06_dcgan.html"))
    browser.wait(lambda: opened(page) == [])


@pytest.mark.parametrize("width", [1000, 1200, 1480])
def test_on_a_wide_screen_the_lists_are_there_and_a_control_takes_them_away_and_back(page, width):
    page.open(f"{page.site}/00_start.html", width)
    assert seen(page, LIST) and (width < 1200 or seen(page, CONTENTS)) and not seen(page, ".book-close")
    page.click(".primary-toggle")
    browser.wait(lambda: not seen(page, LIST))
    assert opened(page) == []
    page.click(".primary-toggle")
    browser.wait(lambda: seen(page, LIST))


@pytest.mark.parametrize("width", [390, 1300])
def test_no_control_makes_a_page_inert(page, width):
    """Every visible button of the header: whatever it opens is seen and goes away by Escape."""
    page.open(f"{page.site}/00_start.html", width)
    count = page.run("document.querySelectorAll('.bd-header-article button:not(.dropdown-item)').length")
    tried = 0
    for i in range(count):
        page.open(f"{page.site}/00_start.html", width)
        page.run(
            f"document.querySelectorAll('.bd-header-article button:not(.dropdown-item)')[{i}].classList.add('tried')"
        )
        if not seen(page, ".tried"):
            continue
        tried += 1
        page.click(".tried")
        for name in opened(page):
            browser.wait(lambda name=name: seen(page, f"#{name} input, #{name} a"))
        for kind in ("keyDown", "keyUp"):
            page.ask("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)
        browser.wait(lambda: opened(page) == [])
    assert tried >= 3


WIDE = """[...document.querySelectorAll('article div.math, article table, article pre')].filter(e => {
for (let b = e; b.tagName !== 'ARTICLE'; b = b.parentElement) if (/auto|scroll/.test(getComputedStyle(b).overflowX)) return false;
return e.getBoundingClientRect().right > innerWidth; }).map(e => e.textContent.slice(0, 60))"""


def test_wide_things_scroll_in_their_own_box_and_the_console_is_silent(site, page):
    for path in sorted(p.name for p in site.glob("[0-9]*.html")):
        page.said.clear()
        page.open(f"{page.site}/{path}", 390)
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.run(WIDE) == [], path
        assert [said for said in page.said if "net::ERR" not in said] == [], path


def test_a_wide_display_begins_where_its_box_begins(page):
    """Without a scroll the left end shows, whatever draws the formula."""
    page.open(f"{page.site}/00_start.html", 390)
    begins = """(() => { const box = document.createElement('div');
box.className = 'math notranslate nohighlight';
box.innerHTML = '<div style="min-width: 3000px">wide</div>';
document.querySelector('article').append(box);
return [box.firstChild, box].map(e => e.getBoundingClientRect().left); })()"""
    inner, outer = page.run(begins)
    assert inner == pytest.approx(outer, abs=1)


def test_a_wide_display_gets_smaller_until_it_fits_or_is_too_small_to_read(page):
    """At its right end stands the number of the equation; a display that fits keeps its size."""
    page.open(f"{page.site}/00_start.html", 1200)
    room = page.run("document.querySelector('article').clientWidth")
    widths = {"fits": 0.5, "wide": 1.3, "too wide": 3}
    for name, times in widths.items():
        page.run(f"""(() => {{ const box = document.createElement('div');
box.className = 'math notranslate nohighlight'; box.id = '{name}';
box.innerHTML = '<div style="flex: none; width: {times * room / 16}em">wide</div>';
document.querySelector('article').append(box); }})()""")
    sizes = f"{json.dumps(list(widths))}.map(id => document.getElementById(id)).map(e => [e.style.fontSize, e.scrollWidth > e.clientWidth])"
    browser.wait(lambda: page.run(sizes)[2] == ["65%", True])
    fits, wide, _ = page.run(sizes)
    assert fits == ["", False] and not wide[1] and 65 < float(wide[0].rstrip("%")) < 100 / 1.3


def test_no_formula_in_a_line_of_text_and_no_display_without_a_number_is_cut_off(page):
    """In the boxes that the theme and MathJax give them; the text for screen readers is wider than what is drawn."""
    page.open(f"{page.site}/00_start.html", 1200)
    room = page.run("document.querySelector('article').clientWidth")
    drawn = "<svg style='display: block; flex: none; height: 1em; width: {}em'></svg>"
    boxes = {
        "fits": ("span", drawn.format(1) + "<b style='flex: none; margin-right: -2em; width: 2em'>fits</b>"),
        "line": ("span", drawn.format(1.3 * room / 16)),
        "endless": ("span", drawn.format(3 * room / 16)),
        "bare": ("div", f"<div style='flex: 1; min-width: 0; overflow: auto'>{drawn.format(1.3 * room / 16)}</div>"),
    }
    for name, (tag, inner) in boxes.items():
        page.run(f"""(() => {{ const box = document.createElement('{tag}');
box.className = 'math notranslate nohighlight'; box.id = '{name}'; box.innerHTML = {json.dumps(inner)};
document.querySelector('article').append(box); }})()""")
    sizes = f"{json.dumps(list(boxes))}.map(id => document.getElementById(id)).map(e => [e.style.fontSize, e.style.overflowX])"
    browser.wait(lambda: page.run(sizes)[2] == ["65%", "auto"])
    fits, line, _, bare = page.run(sizes)
    assert fits == ["", ""]
    for size, scrolls in (line, bare):
        assert 65 < float(size.rstrip("%")) < 100 / 1.3 + 1 and scrolls == ""


@pytest.mark.parametrize(
    "query, place", [("8.4", "figure-8-4"), ("figure 8.4", "figure-8-4"), ("equation 5.3", "equation-5-3")]
)
def test_a_search_finds_numbers_and_says_what_they_number(page, query, place):
    page.said.clear()
    page.open(f"{page.site}/search.html?q={query.replace(' ', '+')}", 800)
    links = "[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))"
    browser.wait(lambda: any(place in href for href in page.run(links)))
    excerpt = f"[...document.querySelectorAll('#search-results li')].find(li => li.querySelector('a').href.includes('{place}')).querySelector('p.context')?.textContent"
    assert len(browser.wait(lambda: page.run(excerpt))) > 40
    assert [said for said in page.said if "TypeError" in said] == []


def test_excerpts_have_no_raw_tex(page):
    page.open(f"{page.site}/search.html?q=discriminator", 800)
    excerpts = "[...document.querySelectorAll('#search-results li p.context')].map(p => p.textContent)"
    said = browser.wait(lambda: len(found := page.run(excerpts)) >= 3 and found)
    assert not re.search(r"\\[a-zA-Z(\[]", " ".join(said)), said


# Demos: their formulas against the course's own functions, and what moving them does


def computed(page, name, script):
    """What a script gives on the page of a demo, where `it` is the demo and `state` its state."""
    stem = next(stem for stem, places in demos.PLACES.items() if name in places.values())
    page.open(f"{page.site}/{stem}.html", 1200)
    place = f"document.querySelector('[data-demo={name}]')"
    browser.wait(lambda: page.run(f"Boolean({place}.demo)"))
    return page.run(f"((it, place, state) => {{ {script} }})(Demos.{name}, {place}, {place}.demo.state)")


def test_both_divergences_of_a_gaussian_from_two_humps(page):
    grid = [(0.0, 0.0, 0.7), (2.0, 0.5, 1.0), (3.0, -3.0, 0.4), (1.0, 1.5, 3.0)]
    found = computed(page, "two_kls", f"return {json.dumps(grid)}.map(s => [it.kls(...s), it.fitReverse(...s)])")
    for (apart, mean, std), (kls, reverse) in zip(grid, found, strict=True):

        def log_p(x, apart=apart):
            return np.logaddexp(stats.norm.logpdf(x, -apart, 0.7), stats.norm.logpdf(x, apart, 0.7)) - math.log(2)

        def log_q(x, mean=mean, std=std):
            return stats.norm.logpdf(x, mean, std)

        for key, one, other in (("forward", log_p, log_q), ("reverse", log_q, log_p)):
            exact = quad(lambda x, f=one, g=other: np.exp(f(x)) * (f(x) - g(x)), -24, 24, limit=900, points=[-3, 0, 3])[
                0
            ]
            assert kls[key] == pytest.approx(exact, abs=1e-6), (apart, key)
        x = torch.linspace(-9, 9, 1801, dtype=torch.float64)
        p = torch.tensor(np.exp(log_p(x.numpy())))
        ours = joint_kl.fit_reverse(x, p / p.sum(), mean, std, steps=4000, learning_rate=0.01)
        assert (reverse["mean"], reverse["std"]) == pytest.approx([float(t) for t in ours], abs=2e-3)


def test_the_two_directions_part_where_the_demo_begins_and_meet_where_its_humps_do(page):
    script = "return [state.apart, 1].map(apart => [it.fitForward(apart), it.fitReverse(apart, state.mean, state.std)])"
    (cover, pick), (both, same) = computed(page, "two_kls", script)
    assert abs(cover["mean"]) < 0.01 < 2 < abs(pick["mean"]) and pick["std"] < 1 < cover["std"]
    assert both["mean"] == pytest.approx(same["mean"], abs=1e-3)


def test_the_penalty_of_the_smallest_game_goes_beyond_its_upper_limit(page):
    growths = "return ['at once', 'in turn'].map(order => [2, 10].map(gamma => it.growth({...state, order, gamma})))"
    top = "return [...place.querySelectorAll('input')].find(each => each.name === 'gamma').max"
    assert float(computed(page, "dirac", top)) == 10
    assert all(settles < 1 < leaves for settles, leaves in computed(page, "dirac", growths))


NOWHERE = "const nowhere = {line() {}, dots() {}, bar() {}, clear() {}};"


@pytest.mark.parametrize("name, ties", [
    ("dirac", [{"order": "at once", "eta": e, "gamma": g} for e, g in ((0.4, 5.05), (1.6, 1.45))]
     + [{"order": "in turn", "eta": e, "gamma": g} for e, g in ((0.4, 4.95), (0.8, 2.4), (1.6, 1.05))]),
    ("line", [{"eta": 0.5, "v": 1.0, "e": 0.6, "w": 0.8}, {"eta": 0.2, "v": 2.5, "e": 0.6, "w": 0.8}]),
])  # fmt: skip
def test_rounding_does_not_decide_what_becomes_of_a_deviation(page, name, ties):
    """On the limit a deviation keeps its size, which no last digit of the factor may turn into growth."""
    script = f"{NOWHERE} return {json.dumps(ties)}.map(s => it.draw({{...state, ...s}}, [nowhere, nowhere]))"
    for said in computed(page, name, script):
        assert "multiplied by 1.0000 per step, so what is left out near" in said


def test_every_start_of_em_by_hand_separates_and_is_seen_whole(page):
    script = (
        NOWHERE
        + """const bad = [];
        for (const k of [1, 2, 3, 4])
            for (let number = 0; number < 30; number++) {
                const s = Object.assign(it.start(state.xs), {k, number}), right = {...nowhere, y: [-4.4, -3.7]};
                it.controls[0].changed(s);
                const apart = new Set(s.model.means).size === k;
                it.controls.find(each => each.button === "Ten of both").act(s);
                it.draw(s, [nowhere, right]);
                if (!apart || Math.min(...s.stairs) < right.y[0] || Math.max(...s.stairs) > right.y[1]) bad.push([k, number]);
            }
        return bad"""
    )
    assert computed(page, "em", script) == []


def test_em_by_hand_takes_the_steps_of_the_chapter(page):
    script = """return [2, 3].map(k => { let model = it.begin(state.xs, k, 1), stairs = [it.likelihood(state.xs, model)];
        const start = model;
        for (let i = 0; i < 15; i++) { const resp = it.eStep(state.xs, model); model = it.mStep(state.xs, resp, model);
            stairs.push(it.bound(state.xs, model, resp), it.likelihood(state.xs, model)); }
        return {start, model, stairs}; })"""
    x = data.old_faithful()[:, 1:].double()
    for found in computed(page, "em", script):
        weights, means, variances = (
            torch.tensor(found["start"][k], dtype=torch.float64) for k in ("weights", "means", "variances")
        )
        (weights, means, covariances), stairs = em.gaussian_em(x, weights, means[:, None], variances[:, None, None], 15)
        assert found["stairs"] == pytest.approx(stairs.tolist(), abs=1e-9)
        for key, ours in (("weights", weights), ("means", means[:, 0]), ("variances", covariances[:, 0, 0])):
            assert found["model"][key] == pytest.approx(ours.tolist(), rel=1e-6)


@pytest.mark.parametrize("loss", ["minimax", "non-saturating"])
@pytest.mark.parametrize("order", ["at once", "in turn"])
def test_the_smallest_game_is_played_as_in_the_chapter(page, loss, order):
    push = {"minimax": gan.minimax_push, "non-saturating": gan.non_saturating_push}[loss]
    play = {"at once": gan.dirac_simultaneous, "in turn": gan.dirac_alternating}[order]
    settings = [(0.3, 0.0), (0.5, 0.4), (2.0, 0.9), (1.0, 3.0)]
    states = [{"loss": loss, "order": order, "eta": eta, "gamma": gamma} for eta, gamma in settings]
    script = f"return {json.dumps(states)}.map(s => [it.orbit(s, 25), it.growth(s)])"
    for (eta, gamma), (path, growth) in zip(settings, computed(page, "dirac", script), strict=True):
        at = torch.tensor([0.7, 0.0], dtype=torch.float64)
        for theta, psi in path:
            assert (theta, psi) == pytest.approx(at.tolist(), rel=1e-6, abs=1e-9)
            at = torch.stack(play(at[0], at[1], eta, gamma, push))
        assert growth == pytest.approx(float(gan.growth(play, eta, gamma)), abs=1e-9)


def test_the_optimal_linear_vae_uses_codes_as_in_the_chapter(page):
    script = "return [it.VALUES, [0.2, 1.35, 3, 6.5].map(n => [n, it.rates(n), it.distortions(n), [1, 4, 7].map(k => it.likelihood(k, n))])]"
    values, rows = computed(page, "codes", script)
    values = torch.tensor(values, dtype=torch.float64)
    for noise, rates, distortions, likelihoods in rows:
        assert rates == pytest.approx(vae.rates(values, noise).tolist())
        ours = [float(vae.ppca_log_likelihood(values, k, noise)) for k in (1, 4, 7)]
        assert likelihoods == pytest.approx(ours)
        decoder, _ = vae.ppca(values, torch.eye(7, dtype=torch.float64), 7, noise)
        rate, distortion = vae.linear_terms(values.diag(), *vae.best_encoder(decoder, noise), decoder)
        assert sorted([sum(rates), sum(distortions)]) == pytest.approx(sorted([float(rate), float(distortion)]))


def test_encoder_and_generator_play_on_tables_as_in_the_chapter(page):
    script = f"return {list(ali.LOSSES)}.map(name => [name, it.play(it.begin(2), name, 3, 20), it.DATA, it.PRIOR])"
    for name, path, p_x, q_z in computed(page, "pairs", script):
        tables = [[torch.tensor(t, dtype=torch.float64) for t in pair] for pair in path]
        w = SimpleNamespace(p_x=torch.tensor(p_x, dtype=torch.float64), q_z=torch.tensor(q_z, dtype=torch.float64))
        for before, after in pairwise(tables):
            ours = ali.exact_step(w, *before, ali.LOSSES[name], 3.0)
            assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(after, ours, strict=True)), name


def test_the_exact_game_is_played_as_in_the_chapter(page):
    weights, q = [0.15, 0.25, 0.5, 3.0], [0.1, 0.3, 0.1, 0.2, 0.1, 0.2]
    script = f"return {weights}.map(weight => [it.P, it.orbit({q}, weight, 12), it.factor(weight)])"
    for weight, (p, path, factor) in zip(weights, computed(page, "rounds", script), strict=True):
        log_q, log_p = (torch.tensor(t, dtype=torch.float64).log() for t in (q, p))
        ours = regularized_gan.orbit(log_q, log_p, weight, 12).exp()
        assert torch.allclose(torch.tensor(path, dtype=torch.float64), ours, atol=1e-9)
        assert factor == pytest.approx(regularized_gan.local_factor(weight))


def test_the_sampler_takes_the_steps_of_the_chapter_and_ends_at_the_data(page):
    centers, weights = torch.tensor([[-2.0], [0.5], [2.0]]).double(), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    estimate = diffusion.mixture_estimate(centers, 0.2, weights, diffusion.straight)
    starts = torch.tensor([[-2.5], [-0.1], [0.3], [1.7]], dtype=torch.float64)
    for method, ours in (("Euler (DDIM)", diffusion.ddim), ("Heun", diffusion.heun)):
        script = f"return {starts[:, 0].tolist()}.map(at => it.path(at, 7, '{method}', 0.2).at(-1))"
        ends = ours(estimate, starts, diffusion.down(7), diffusion.straight)[:, 0]
        assert computed(page, "sampler", script) == pytest.approx(ends.tolist(), abs=1e-9)
    misses = computed(page, "sampler", "return [5, 20, 50].map(steps => it.run(steps, 'Heun', 0.2).miss)")
    reached = "return ['Euler (DDIM)', 'Heun'].map(method => it.run(50, method, state.std).miss)"
    assert max(computed(page, "sampler", reached)) < 0.05  # which the text asks for, within the slider
    assert misses == sorted(misses, reverse=True) and misses[-1] < 0.01


def test_what_a_code_tells_of_its_class_is_the_information_of_the_mixture(page):
    script = "return [[0.5, 0.34], [2, 0.9], [5, 0.02], [0, 0.5]].map(s => [...s, it.terms(...s)])"
    for apart, middle, found in computed(page, "classes", script):
        shares = np.array([(1 - middle) / 2, middle, (1 - middle) / 2])

        def density(z, y, apart=apart):
            return stats.norm.pdf(z, (y - 1) * apart, 1)

        def told(z, y, shares=shares, density=density):  # of class y at z
            return density(z, y) * np.log(density(z, y) / sum(q * density(z, k) for k, q in enumerate(shares)))

        told_of = [quad(told, -12, 12, args=(y,), limit=200, points=[-5, 0, 5])[0] for y in range(3)]
        assert found["information"] == pytest.approx(shares @ told_of, abs=1e-5)
        assert found["entropy"] == pytest.approx(float(stats.entropy(shares)))
        assert found["spread"] - found["kl"] == pytest.approx(found["information"], abs=1e-6)  # (4.6)


def test_a_transposed_convolution_of_ones_counts_the_inputs_of_each_output(page):
    script = "return Array.from({length: 50}, (_, i) => [1 + i % 10, 1 + Math.floor(i / 10)]).map(s => [...s, it.counts(...s)])"
    for kernel, stride, counts in computed(page, "taps", script):
        ones = torch.ones(1, 1, 60), torch.ones(1, 1, kernel)
        middle = torch.nn.functional.conv_transpose1d(*ones, stride=stride)[0, 0, 24 * stride :][: len(counts)]
        assert counts == middle.tolist(), (kernel, stride)


def test_the_best_blind_generator_is_the_one_of_the_chapter(page):
    states = [
        {"apart": 2, "share": 0.5, "std": 1},
        {"apart": 4, "share": 0.95, "std": 0.5},
        {"apart": 0, "share": 0.2, "std": 2},
    ]
    for s, (xs, found) in zip(
        states, computed(page, "blind", f"return {json.dumps(states)}.map(s => [it.XS, it.best(s)])"), strict=True
    ):
        x = np.array(xs)
        logs = np.stack([stats.norm.logpdf(x, -s["apart"], 1), stats.norm.logpdf(x, s["apart"], s["std"])], 1)
        joint = torch.tensor(np.exp(logs) * [s["share"], 1 - s["share"]] * 0.05)
        q, rest = conditional_gan.blind_generator(joint / joint.sum())
        assert np.array(found["made"]) * 0.05 == pytest.approx(q.numpy(), abs=1e-9)
        assert found["left"] == pytest.approx(float(rest), abs=1e-6)


def test_the_codes_of_all_images_and_of_each(page):
    script = "return [[0.05, 5, 1.5], [1, 2, 0.5], [0.01, 16, 3], [0.4, 3, 1], [3.16, 2, 3], [3.16, 5, 1.5]].map(([h, n, r]) => [h, it.centers(n, r), it.terms(it.centers(n, r), h)])"
    for h, codes, found in computed(page, "aggregate", script):

        def log_p(z, codes=codes, h=h):
            return np.logaddexp.reduce(stats.norm.logpdf(z, codes, h)) - math.log(len(codes))

        marks = sorted({e + k * h for e in codes for k in (-9, -3, 0, 3, 9)})
        pieces = [
            quad(lambda z: np.exp(log_p(z)) * (log_p(z) - stats.norm.logpdf(z)), a, b, limit=200)[0]
            for a, b in pairwise(marks)
        ]
        assert found["kl"] == pytest.approx(sum(pieces), abs=1e-6)
        each = [
            float(
                gaussian_kl(
                    torch.tensor([e]).double(),
                    torch.tensor([[h * h]]).double(),
                    torch.zeros(1).double(),
                    torch.eye(1).double(),
                )
            )
            for e in codes
        ]
        assert found["each"] == pytest.approx(np.mean(each))
        assert -1e-9 <= found["information"] <= math.log(len(codes)) + 1e-9


def test_a_gaussian_forgets_humps_as_in_the_chapter(page):
    states = [
        {"apart": 1.2, "middle": 0.5, "std": 0.4},
        {"apart": 0, "middle": -2, "std": 2},
        {"apart": 2, "middle": 0, "std": 0.1},
    ]
    rows = computed(
        page, "moments", f"return {json.dumps(states)}.flatMap(s => [s, it.match(s)]).map(s => [s, it.terms(s)])"
    )
    for i, (s, found) in enumerate(rows):

        def log_q(h, s=s):
            ends = [stats.norm.logpdf(h, s["middle"] + side * s["apart"], s["std"]) for side in (-1, 1)]
            return np.logaddexp(*ends) - math.log(2)

        marks = [-14, s["middle"] - s["apart"], s["middle"] + s["apart"] + 1e-9, 14]
        exact = sum(
            quad(lambda h: np.exp(log_q(h)) * (log_q(h) - stats.norm.logpdf(h)), a, b, limit=400)[0]
            for a, b in pairwise(marks)
        )
        assert found["all"] == pytest.approx(exact, abs=1e-6)
        mean, variance = (
            torch.tensor([s["middle"]]).double(),
            torch.tensor([[s["apart"] ** 2 + s["std"] ** 2]]).double(),
        )
        normal = torch.zeros(1).double(), torch.eye(1).double()
        assert found["seen"] == pytest.approx(float(gaussian_kl(mean, variance, *normal)))
        assert found["frechet"] == pytest.approx(evaluation.frechet_of_moments(mean, variance, *normal))
        assert i % 2 == 0 or found["frechet"] == pytest.approx(0, abs=1e-12) == found["seen"]
    assert rows[-1][1]["all"] > 1  # a nat at a Frechet distance of 0, which the text asks for


def test_the_penalized_critic_between_two_points_is_the_one_of_the_chapter(page):
    script = "return [[2, 1], [0.5, 10], [4, 0.1]].map(s => [...s, it.best(...s), it.value(it.best(...s).slope, ...s)])"
    for d, weight, best, value in computed(page, "critic", script):
        x, p, q = (torch.tensor(row, dtype=torch.float64) for row in ([0.0, d], [0.0, 1.0], [1.0, 0.0]))
        assert best["value"] == pytest.approx(float(wgan_gp.penalized_value(x, p, q, weight))) == value
        assert best["slope"] == pytest.approx(float(wgan_gp.penalized_slope(x, p, q, weight)))


def test_encoder_and_generator_move_on_a_line_as_in_the_chapter(page):
    states = [{"eta": eta, "v": v, "e": 0.6, "w": 0.8} for eta, v in ((0.1, 1.0), (0.55, 1.0), (0.2, 0.3), (0.05, 3.0))]
    script = (
        f"return {json.dumps(states)}.map(s => [s, it.orbit(s, 4), it.growth(s.v, s.eta), it.value(s.e, s.w, s.v)])"
    )
    for s, path, growth, value in computed(page, "line", script):
        *at, v = (torch.tensor(s[k], dtype=torch.float64) for k in "ewv")
        assert value == pytest.approx(float(age.line_value(*at, v)))
        for place in path:
            assert place == pytest.approx([float(t) for t in at], rel=1e-6)
            at = age.line_simultaneous(*at, v, s["eta"])
        assert growth == pytest.approx(float(age.growth(v, s["eta"])), abs=1e-9)


def test_a_shared_discriminator_charges_what_the_chapter_says(page):
    states = [
        {"data": d, "samples": a, "rebuilt": b} for d, a, b in ((0.5, 0.9, 0.4), (0.3, 1.0, 0.0), (0.5, 1.0, 0.0))
    ]
    rows = computed(page, "shared", f"return {json.dumps(states)}.map(s => it.charges(s))")
    for s, found in zip(states, rows, strict=True):
        p, q, rho = (torch.tensor([s[k], 1 - s[k]]).double() for k in ("data", "samples", "rebuilt"))
        assert found["two"] == pytest.approx(float(kl(q, p) + kl(rho, p)))
        assert found["unseen"] == pytest.approx(float(2 * js(q, rho)))
        assert found["one"] == pytest.approx(found["two"] - found["unseen"], abs=1e-12)  # (14.6)
    assert rows[-1]["one"] == pytest.approx(0, abs=1e-12) and rows[-1]["two"] == pytest.approx(2 * math.log(2))


def test_scheduled_sampling_settles_where_the_chapter_says(page):
    script = "return [[0.5, 0.9, 0.25], [0.05, 0.98, 1], [0.7, 0, 0.6], [0.4, 0.5, 0]].map(([a, t, r]) => [r, it.joint(a, t), it.trained(it.joint(a, t), r), it.left(it.joint(a, t), r)])"
    for rate, joint, trained, left in computed(page, "fed", script):
        p = torch.tensor(joint, dtype=torch.float64)
        best = autoregressive.scheduled_optimum(p, rate)
        assert torch.allclose(torch.tensor(trained, dtype=torch.float64), best)
        assert left == pytest.approx(float(kl(p, p.sum(1, keepdim=True) * best)), abs=1e-12)
        if rate == 1:
            assert left == pytest.approx(float(mutual_information(p)))


def test_three_distances_of_two_widened_points(page):
    script = "return [[3, 0.5, 1], [0.5, 2, 0.1], [6, 0.05, 4]].map(([t, n, w]) => [t, n, w, it.js(t, n), it.kl(t, n), it.mmd(t, n, w)])"
    x = torch.linspace(-12, 18, 3001, dtype=torch.float64)
    for t, noise, width, found_js, found_kl, found_mmd in computed(page, "apart", script):
        p, q = (torch.softmax(-((x - mean) ** 2) / (2 * noise**2), 0) for mean in (0.0, t))
        assert found_js == pytest.approx(float(js(p, q)), abs=1e-6)
        mean, cov = torch.tensor([t]).double(), torch.tensor([[noise**2]]).double()
        assert found_kl == pytest.approx(float(gaussian_kl(0 * mean, cov, mean, cov)))
        assert found_mmd == pytest.approx(float(one_map.mmd(p, q, one_map.gaussian_kernel(x, width))), abs=1e-6)


def test_the_distance_of_widened_points_is_finite_at_every_place_of_the_sliders(page):
    script = """const worst = []; for (let noise = 0.05; noise <= 2; noise += 0.05) for (let t = 0.25; t <= 6; t += 0.25)
        { const js = it.js(t, noise); if (!(js >= -1e-9 && js <= Math.LN2 + 1e-9)) worst.push([t, noise, js]); } return worst"""
    assert computed(page, "apart", script) == []


def test_wide_samples_of_age_are_drawn_as_what_they_are_whatever_their_sign(page):
    end = computed(page, "line", "return it.orbit({eta: 0.1, v: 1, e: 2.3, w: 2.5}, 200).at(-1)")
    assert end == pytest.approx([1, -1], abs=1e-6)  # a point of rest outside of the picture, of the same law
    script = """Object.assign(state, {eta: 0.1, v: 1, e: 2.3, w: 2.5}); place.demo.redraw();
        const [x, y] = place.querySelector('polyline').getAttribute('points').split(' ').at(-1).split(',').map(Number);
        return [3 * (x - 44) / 266, 3 * (196 - y) / 186]"""
    assert computed(page, "line", script) == pytest.approx([1, 1], abs=1e-2)


@pytest.mark.parametrize("name", [name for places in demos.PLACES.values() for name in places.values()])
def test_a_demo_answers_to_every_one_of_its_controls(page, name):
    page.said.clear()
    seen = "const svgs = () => [...place.querySelectorAll('svg')].map(svg => svg.outerHTML).join() + place.innerText;"
    script = (
        seen
        + """
        const silent = [];
        for (const control of place.querySelectorAll('input, select, button')) {
            const before = svgs();
            if (control.tagName === 'BUTTON') control.click();
            else {
                if (control.tagName === 'SELECT') control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
                else control.value = Number(control.value) > (Number(control.min) + Number(control.max)) / 2 ? control.min : control.max;
                control.dispatchEvent(new Event('input'));
            }
            if (svgs() === before) silent.push(control.name || control.textContent);
        }
        return {silent, count: place.querySelectorAll('input, select, button').length, said: place.querySelector('.demo-said').textContent,
                bad: svgs().match(/NaN|undefined|Infinity/)}"""
    )
    found = computed(page, name, script)
    assert found["silent"] == [] and found["count"] >= 2 and found["bad"] is None and re.search(r"\d", found["said"])
    assert [said for said in page.said if "net::ERR" not in said] == []


@pytest.mark.parametrize("name", [name for places in demos.PLACES.values() for name in places.values()])
def test_a_demo_says_numbers_wherever_its_controls_stand(page, name):
    """At both ends and in the middle of every slider, with every choice, in all combinations."""
    script = """
        const controls = [...place.querySelectorAll('input, select')], bad = [];
        const stops = controls.map(c => c.options ? [...c.options].map(o => o.value) : [c.min, (+c.min + +c.max) / 2, c.max]);
        const all = stops.reduce((found, values) => found.flatMap(some => values.map(value => [...some, value])), [[]]);
        for (const values of all) {
            controls.forEach((c, i) => { c.value = values[i]; c.dispatchEvent(new Event('input')); });
            const said = place.querySelector('.demo-said').textContent;
            const drawn = [...place.querySelectorAll('svg')].map(svg => svg.outerHTML).join();
            if (/NaN|undefined|Infinity/.test(said + drawn) || /-0([.]0+)?(?![\\d.])|e-1[3-9]/.test(said)) bad.push([values, said]);
        }
        const spoken = controls.filter(c => c.type === 'range').map(c => [c.getAttribute('aria-valuetext'), c.parentElement.querySelector('output').textContent]);
        return {bad, count: all.length, spoken}"""
    found = computed(page, name, script)
    assert found["bad"] == [] and found["count"] >= 3
    assert all(spoken == shown for spoken, shown in found["spoken"])


def test_a_place_without_its_cell_is_an_error():
    with pytest.raises(KeyError, match="05_gan has no cell fig-5-4"):
        demos.placed({"cells": []}, "05_gan")
