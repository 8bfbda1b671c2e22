"""Sphinx configuration of the HTML edition. `make book` copies it beside the stored notebooks and runs it there."""

import json
from pathlib import Path

about = json.loads(Path(__file__).with_name("about.json").read_text())  # written by build.py

project = "Generative Models from One Joint KL"
author = "its authors"
copyright = "2026, its authors. Text and figures CC BY 4.0, code MIT"
release = about["version"]

extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # what is shown is what is stored, and nbval proves that
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]  # links to files of the repository

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"] if Path(__file__).with_name("_static").is_dir() else []
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = True  # the download button gives the notebook
html_theme_options = {
    "repository_url": about["repository"],
    "repository_branch": about["tag"],
    "path_to_docs": "notebooks",
    "use_repository_button": about["published"],
    "launch_buttons": {"colab_url": "https://colab.research.google.com"} if about["published"] else {},
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "article_header_start": [],  # or a second search box appears
    "navbar_persistent": [],
}
if about["mathjax"]:
    mathjax_path = about["mathjax"]


def _number_displays(app, doctree):
    r"""Hand displays with a \tag to MathJax as they are: Sphinx would wrap them in an environment that forbids it."""
    from docutils import nodes

    for node in doctree.findall(nodes.math_block):
        source = node.astext()
        if r"\tag" in source and not (node.get("no-wrap") or node.get("nowrap")):
            node["no-wrap"] = node["nowrap"] = True
            node.clear()
            node += nodes.Text(rf"\[{source}\]")


def _drop_badges(app, doctree):
    """A badge is a picture from another server; the page has its own launch button."""
    from docutils import nodes

    for node in list(doctree.findall(nodes.image)):
        if "colab-badge" in node.get("uri", ""):
            outer = node.parent if isinstance(node.parent, nodes.reference) else node
            paragraph = outer.parent
            paragraph.remove(outer)
            if isinstance(paragraph, nodes.paragraph) and not paragraph.children:
                paragraph.parent.remove(paragraph)


def _alternative_texts(app, doctree):
    """Pictures of a notebook carry the alternative text that is stored beside them."""
    from docutils import nodes

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


def setup(app):
    """Connect the three."""
    app.connect("doctree-read", _number_displays)
    app.connect("doctree-read", _drop_badges)
    app.connect("doctree-read", _alternative_texts)
