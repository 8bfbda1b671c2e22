"""The chapters as cards for the front page: what README's table says of each, with its figure made small."""

import json
import re

from PIL import Image

ROW = re.compile(
    r"^\| \[(?P<title>\d\d [^\]]+)\]\(notebooks/(?P<page>\w+)\.ipynb\) \| (?P<what>.+?) \| \[(?P<figure>\d+\.\d+)\]\("
    r"(?P<path>figures/[^)]+\.png)\) \| (?P<read>\d+) / (?P<run>\d+) \|",
    re.MULTILINE,
)
SIZE = (480, 300)  # pixels of the frame, twice what the page shows


def rows(root):
    """What README's table says of every chapter, as dicts with title, page, what, figure, path, read and run (minutes)."""
    return [found.groupdict() for found in ROW.finditer((root / "README.md").read_text(encoding="utf-8"))]


def small(path, target):
    """Write the picture at `path` so that it fits into the middle of a white frame."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail(SIZE)
    frame = Image.new("RGB", SIZE, "white")
    frame.paste(picture, ((SIZE[0] - picture.width) // 2, (SIZE[1] - picture.height) // 2))
    frame.save(target)


def cards(root, source):
    """Markdown of a card for each chapter; the pictures are written into `source`/cards."""
    (source / "cards").mkdir(parents=True)
    found = ["::::{grid} 1 2 2 3", ":gutter: 3", ""]
    for row in rows(root):
        picture = f"cards/{row['figure']}.png"
        small(root / row["path"], source / picture)
        alt = json.loads((root / row["path"]).with_suffix(".json").read_text(encoding="utf-8"))["alt"]
        number, _, name = row["title"].partition(" ")
        found += [f":::{{grid-item-card}} {int(number)}. {name}", f":link: {row['page']}", ":link-type: doc",
                  f":img-top: {picture}", f":img-alt: {alt}", "", f"{row['what'][0].upper()}{row['what'][1:]}.", "",
                  f"*{row['read']} minutes to read*", ":::", ""]  # fmt: skip
    return "\n".join([*found, "::::"])
