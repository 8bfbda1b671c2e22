"""Sphinx configuration of the HTML edition. `make book` copies it beside the stored notebooks and runs it there."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pages.py

about = json.loads(Path(__file__).with_name("about.json").read_text())  # written by build.py

project = "Generative Models from One Joint KL"
author = "its authors"
copyright = "2026, its authors. Text and figures CC BY 4.0, code MIT"
release = about["version"]

extensions = ["myst_nb", "sphinx_copybutton", "sphinx_design", "pages"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # what is shown is what is stored, and nbval proves that
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]  # links to files of the repository

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"] if Path(__file__).with_name("_static").is_dir() else []
html_favicon = "_static/icon.svg"
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"}), ("questions.js", {"defer": "defer"})]
demo_scripts = about["demos"]  # {page: names}; see pages.py
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_show_sourcelink = False
html_copy_source = True  # the download button gives the notebook
html_theme_options = {
    "logo": {"text": project},
    "repository_url": about["repository"],
    "repository_branch": about["tag"],
    "path_to_docs": "notebooks",
    "use_repository_button": about["published"],
    "launch_buttons": {"colab_url": "https://colab.research.google.com"} if about["published"] else {},
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "article_header_start": ["toggle-primary-sidebar"],  # opens the list of chapters where the screen is narrow
    "navbar_persistent": [],
}
if about["mathjax"]:
    mathjax_path = about["mathjax"]
