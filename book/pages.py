"""What happens to the pages of the book on their way through Sphinx: anchors, links, index entries, pictures."""

import functools
import html
import json
import re
from pathlib import Path

import mentions
import reports
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


class Printed(SphinxTransform):
    """What cells print about recorded figures becomes captions, tables and sentences; elsewhere output stays as it is."""

    default_priority = 790  # before links are made

    def apply(self, **_):
        for cell in [n for n in self.document.findall(nodes.container) if "cell" in n["classes"]]:
            blocks = list(cell.findall(nodes.literal_block))
            if blocks and reports.PRINTS.search(blocks[0].astext()):
                for block in [b for b in blocks[1:] if "stream" in b["classes"]]:
                    block.parent.replace(block, [_printed(part, block) for part in reports.parts(block.astext())])


def _printed(part, block):
    """The node that shows a part; `block` is the whole output, whose kind a part that is not known keeps."""
    if part.kind == "table":
        return _table(part)
    if part.kind == "text":
        return nodes.literal_block("", "\n".join(part.lines), **block.non_default_attributes())
    if part.kind == "claim":
        figure, ruling, claim, found = part.lines
        told = [nodes.strong("", ruling, classes=[ruling.replace(" ", "-")]), nodes.Text(f" {claim}")]
        told += [nodes.Text(f" Figure {figure}.")] if figure else []
        return nodes.container(
            "", nodes.paragraph("", "", *told), nodes.paragraph("", found), classes=["printed", "claim"]
        )
    said = [nodes.paragraph("", "", *_said(line)) for line in part.lines]
    return nodes.container("", *said, classes=["printed", part.kind])


def _said(line):
    """A line with its first words, up to a full stop or a colon, made strong, and what is between backticks as code."""
    lead = re.match(r"Figure [\d.]+\.|\w+:|Twice the steps", line)
    found = [nodes.strong("", lead[0], classes=["named"])] if lead else []
    for i, piece in enumerate(line[lead.end() if lead else 0 :].split("`")):
        found.append(nodes.literal("", piece) if i % 2 else nodes.Text(piece))
    return found


def _table(part):
    """A table of numbers; the first row is its head where it says of how many seeds they are."""
    width = max(map(len, part.rows))
    rows = [nodes.row("", *(_entry(cell) for cell in row)) for row in part.rows]
    heads = 1 if reports.headed(part.rows) else 0
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in range(width)), cols=width)
    group += [nodes.thead("", *rows[:heads])] if heads else []
    group += nodes.tbody("", *rows[heads:])
    title = [nodes.paragraph("", "", nodes.strong("", line)) for line in part.lines]
    return nodes.container("", *title, nodes.table("", group), classes=["printed", part.kind])


def _entry(words):
    return nodes.entry("", nodes.paragraph("", words))


class Numbered(SphinxTransform):
    """Anchors and index entries of numbered displays and recorded figures; a search finds index entries, also "8.4"."""

    default_priority = 800  # before the domains collect the index, which is at 850

    def apply(self, **_):
        cells = [n for n in self.document.findall(nodes.container) if "cell" in n["classes"]]
        displays = list(self.document.findall(nodes.math_block))
        sources = [(cell, next(iter(cell.findall(nodes.literal_block)), cell).astext(), "code") for cell in cells]
        for node, source, kind in [*sources, *((node, node.astext(), "markdown") for node in displays)]:
            for what, number in mentions.marks(source, kind):
                self._mark(node, what, number)

    def _mark(self, node, kind, number):
        name = mentions.anchor(kind, number)
        if name in self.document.ids:  # shown twice: the first is meant
            return
        target = nodes.target("", "", ids=[name])
        self.document.note_explicit_target(target)
        words = (number, f"{kind} {number}")
        index = addnodes.index(entries=[("single", word, name, "main", None) for word in words])
        node.parent.insert(node.parent.index(node), [index, target])


class Mentions(SphinxTransform):
    """What the text mentions becomes a link: "(5.3)", "figure 5.6", "chapters 3 and 5", numbers under "Figure"."""

    default_priority = 810
    APART = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.title, nodes.raw)
    APART += (nodes.reference, addnodes.pending_xref)  # a link within a link would leave the outer one empty

    def apply(self, **_):
        here, known = f"{self.env.docname}.html", _places(self.env.srcdir)
        for text in [t for t in self.document.findall(nodes.Text) if not _within(t, self.APART)]:
            if "named" in text.parent.get("classes", ()):  # a caption would lead to itself
                continue
            pieces = mentions.split(text.astext(), known)
            if not any(target for _, target in pieces) and _is_figure_column(text):
                pieces = mentions.split(f"figures {text.astext()}", known)
                pieces[0] = (pieces[0][0].removeprefix("figures "), pieces[0][1])
            if any(target for _, target in pieces):
                text.parent.replace(text, [_linked(*piece, here) for piece in pieces])


@functools.cache
def _places(folder):
    return mentions.places(folder)


def _linked(words, target, here):
    if target is None:
        return nodes.Text(words)
    if target.startswith(f"{here}#"):
        target = target.removeprefix(here)
    return nodes.reference(words, words, internal=True, refuri=target)


def _within(node, kinds):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _is_figure_column(text):
    """Whether a text is a cell of a table in a column that is headed "Figure"."""
    entry = text.parent.parent
    if not isinstance(entry, nodes.entry):
        return False
    table, column = entry.parent.parent.parent, entry.parent.index(entry)
    head = next(iter(table.findall(nodes.thead)), None)
    return head is not None and head[0][column].astext().lower().startswith("figure")


def number_displays(app, doctree):
    r"""Hand displays with a \tag to MathJax as they are: Sphinx would wrap them in an environment that forbids it."""
    for node in doctree.findall(nodes.math_block):
        source = node.astext()
        if r"\tag" in source and not (node.get("no-wrap") or node.get("nowrap")):
            node["no-wrap"] = node["nowrap"] = True
            node.clear()
            node += nodes.Text(rf"\[{source}\]")


def drop_badges(app, doctree):
    """A badge is a picture from another server; the page has its own launch button."""
    for node in list(doctree.findall(nodes.image)):
        if "colab-badge" in node.get("uri", ""):
            outer = node.parent if isinstance(node.parent, nodes.reference) else node
            paragraph = outer.parent
            paragraph.remove(outer)
            if isinstance(paragraph, nodes.paragraph) and not paragraph.children:
                paragraph.parent.remove(paragraph)


def alternative_texts(app, doctree):
    """Pictures of a notebook carry the alternative text that is stored beside them."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    alts = [o["metadata"]["image/png"]["alt"] for o in outputs if "alt" in o.get("metadata", {}).get("image/png", {})]
    pictures = [n for n in doctree.findall(nodes.image) if "jupyter_execute" in n["uri"]]
    if len(pictures) == len(alts):
        for node, alt in zip(pictures, alts):
            node["alt"] = alt


def load_demos(app, pagename, *_):
    """Let a page load the scripts of its own demos, and no other page."""
    for name in ("frame", *names) if (names := app.config.demo_scripts.get(pagename)) else ():
        app.add_js_file(f"{name}.js", defer="defer")


def describe(app, pagename, templatename, context, doctree):
    """A page describes itself to search engines with its first paragraph, and its title has the book's name once."""
    first = next((n for n in doctree.findall(nodes.paragraph)), None) if doctree else None
    if first is not None:
        words = html.escape(" ".join(first.astext().split()), quote=True)
        context["metatags"] = f'{context.get("metatags", "")}\n<meta name="description" content="{words}" />'
    if context.get("title") == app.config.html_title:
        context["docstitle"] = ""


def setup(app):
    """Connect them."""
    app.add_config_value("demo_scripts", {}, "html")
    app.connect("html-page-context", load_demos)
    app.connect("html-page-context", describe)
    app.add_transform(Printed)
    app.add_transform(Numbered)
    app.add_transform(Mentions)
    app.connect("doctree-read", number_displays)
    app.connect("doctree-read", drop_badges)
    app.connect("doctree-read", alternative_texts)
    return {"version": "1", "parallel_read_safe": True}
