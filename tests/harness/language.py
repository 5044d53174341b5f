"""Check the language of docstrings, comments and pages: `python -m tests.harness.language`.

It checks those rules of docs/STYLE.md that a program can check: the first word of a text, strings that describe no
constant, and the width of a page. It prints `path:line: problem. Remedy.` and exits with 1.
"""

import glob
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.harness import prose
from tests.harness.parts import ROOT

COVERED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "examples",
    "registry",
    "ops",
    "policy",
    "dev",
    "bench",
    "tests",
)
"""Patterns of files and directories that are checked. Add one when its texts follow docs/STYLE.md."""

GENERATED = ("docs/configuration.md", "bench/results", "tests/golden/messages.md")
"""Generated pages and directories."""

OPENINGS = ("Of", "What", "Where", "Who", "Whom", "Whose", "Beside", "Nothing", "Nobody", "Those", "That", "Which")
"""First words that announce a sentence without a named subject."""

MOST_COLUMNS = 100
"""Columns of a line in a page, outside of tables and code blocks."""

REMEDIES: dict[prose.Kind, str] = {
    "module": "Name what the module contains or does",
    "class": "Name what the class represents",
    "function": "Start with a verb, such as Return, Create or Check",
    "constant": "Start with the noun, and its unit if it has one",
    "comment": "Name the subject first",
    "paragraph": "Name the subject first",
}
"""Advice for a text that opens with one of OPENINGS."""


def check(path: Path, name: str) -> Iterator[str]:
    """Yield the problems of one file. `name` is the path that they show."""
    for text in prose.read(path):
        if text.kind == "orphan":
            yield f"{name}:{text.line}: string that describes no constant. Delete it, or move it below its constant."
        elif text.first_word.capitalize() in OPENINGS and not _is_question(text.content):
            yield f"{name}:{text.line}: {text.kind} opens with {text.first_word!r}. {REMEDIES[text.kind]}."
    if path.suffix == ".md":
        for number in _wide_lines(path.read_text()):
            yield f"{name}:{number}: line is wider than {MOST_COLUMNS} columns. Wrap it."


def files(covered: tuple[str, ...] = COVERED) -> list[Path]:
    """Return the Python files and pages that match `covered`, without generated ones."""
    generated = {ROOT / name for name in GENERATED}
    paths = [path for pattern in covered for match in _matches(pattern) for path in _expand(match)]
    return [path for path in paths if generated.isdisjoint({path, *path.parents})]


def _matches(pattern: str) -> list[Path]:
    """Return the paths that match. Raise FileNotFoundError for a pattern without a match, which is probably wrong."""
    matches = sorted(glob.glob(str(ROOT / pattern)))
    if not matches:
        raise FileNotFoundError(pattern)
    return [Path(match) for match in matches]


def _expand(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.suffix in (".py", ".md")) if path.is_dir() else [path]


def _is_question(content: str) -> bool:
    """Return whether the first sentence is a question, which may start with any word."""
    end = re.search(r"([.?!:])(?:\s|$)", content)
    return end is not None and end[1] == "?"


def _wide_lines(source: str) -> Iterator[int]:
    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        if len(line) > MOST_COLUMNS and not fenced and not line.startswith("|"):
            yield number


def main() -> None:
    """Print the problems of all covered files."""
    problems = [problem for path in files() for problem in check(path, str(path.relative_to(ROOT)))]
    print("\n".join(problems) or "language: no problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
