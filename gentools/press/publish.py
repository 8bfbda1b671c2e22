"""One place says where the course is published; this carries it into badges, setup cells, README and CITATION.cff."""

import re

from gentools.press import notebooks

PLACEHOLDER = "OWNER/REPO"
_REPOSITORY = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+"


def set_repo(root, repository=None, tag=None):
    """Rewrite every file that names the repository or the release. Returns the changed ones, relative to the root.

    repository: "owner/name", tag: "v1.2.3"; None keeps what pyproject.toml says, so after editing that file a call
    without arguments brings the rest into line. Raises ValueError on anything else.
    """
    if repository is not None and not re.fullmatch(_REPOSITORY, repository):
        raise ValueError(f"the repository is {repository!r}; give it as owner/name")
    if tag is not None and not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        raise ValueError(f"the tag is {tag!r}; give it as v1.2.3")
    project = root / "pyproject.toml"
    changed = []
    if _substitute(project, _project_edits(repository, tag)):
        changed.append(project)
    repository, tag = notebooks.published(root)
    changed += [path for path in notebooks.find(root) if notebooks.renew(path, root)]
    for name in ("README.md", "CITATION.cff"):
        if (root / name).exists() and _substitute(root / name, edits(repository, tag)):
            changed.append(root / name)
    return [path.relative_to(root) for path in changed]


def _project_edits(repository, tag):
    found = []
    if repository is not None:
        found.append((r'(?m)^Repository = ".*"$', f'Repository = "https://github.com/{repository}"'))
    if tag is not None:
        found.append((r'(?m)^version = ".*"$', f'version = "{tag.removeprefix("v")}"'))
    return found


def edits(repository, tag):
    """(pattern, replacement) pairs for text that names the address or the release."""
    found = [] if repository == PLACEHOLDER else [(r" The badges work once .*? until then\.", "")]
    return [
        *found,
        (
            rf"(colab\.research\.google\.com/github/){_REPOSITORY}/blob/[^/\s)]+/",
            rf"\g<1>{repository}/blob/{tag}/",
        ),
        (rf"(git\+https://github\.com/){_REPOSITORY}@v[\d.]+\d", rf"\g<1>{repository}@{tag}"),
        (
            rf"(git clone https://github\.com/){_REPOSITORY}",
            rf"\g<1>{repository}",
        ),
        (r'(?m)^(repository-code: )".*"$', rf'\g<1>"https://github.com/{repository}"'),
        (r'(?m)^(version: )".*"$', rf'\g<1>"{tag.removeprefix("v")}"'),
    ]


def _substitute(path, pairs):
    before = after = path.read_text(encoding="utf-8")
    for pattern, replacement in pairs:
        after = re.sub(pattern, replacement, after)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before
