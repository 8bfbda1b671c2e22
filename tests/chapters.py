"""What the chapters say, for tests that hold it to records and to code."""

from gentools.press import notebooks


def source(chapter, cell):
    """The source of one cell of a chapter's notebook. chapter: its number; cell: the cell's id."""
    (path,) = notebooks.find(notebooks.ROOT, str(chapter))
    return next(notebooks.text(each["source"]) for each in notebooks.load(path)["cells"] if each["id"] == cell)
