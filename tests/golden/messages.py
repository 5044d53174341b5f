"""messages.md: every text that people read on a screen, so that a review of the language is a review of one page."""

import ast
from functools import cache
from pathlib import Path

from tests.golden.help import read_help
from tests.golden.texts import Text, read_texts

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("messages.md")

PACKAGES = ("registry", "ops", "policy", "dev", "bench")

ERROR_MODULES = {"ops": "ops/errors.py", "dev": "dev/errors.py", "bench": "dev/errors.py"}
"""File with the error classes of a package."""

INTRODUCTION = """\
# Messages

`make schema` makes this page from the source, and a test compares them. A value is shown as
`{expression}`, and ` / ` stands between two texts of which one is shown. Tests assert codes and
classes, so a text changes here and in the source only.

A bold word is the code of an `InvalidInput`, the class of another error, or the kind of a text:
verdict (value → remedy), remedy, title, row (pattern and text), step, output, note, warning, usage
error, or text.
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for package in PACKAGES:
        parts.append(f"\n## {package}\n")
        for path, texts in package_texts(package).items():
            parts.append(f"\n`{path.relative_to(ROOT)}`\n\n")
            parts += map(_item, texts)
    parts.append("\n## --help\n")
    parts += (f"\n```text\n$ {command} --help\n{text}\n```\n" for command, text in read_help())
    return "".join(parts)


@cache
def package_texts(package: str) -> dict[Path, list[Text]]:
    """Return the texts of each file of a package that has any."""
    errors = error_classes(package)
    files = [path for path in sorted((ROOT / package).rglob("*.py")) if ".venv" not in path.parts]
    return {path: texts for path in files if (texts := read_texts(path, errors))}


def error_classes(package: str) -> set[str]:
    """Return the names of the error classes that the package raises."""
    module = ERROR_MODULES.get(package)
    tree = ast.parse((ROOT / module).read_text()) if module else ast.Module([], [])
    return {"InvalidInput", *(node.name for node in tree.body if isinstance(node, ast.ClassDef))}


def _item(text: Text) -> str:
    """Return a list item. A text of several lines is a block."""
    if "\n" not in text.content.strip():
        return f"- **{text.kind}** {text.content.strip()}\n"
    lines = "".join(f"  {line}".rstrip() + "\n" for line in text.content.strip("\n").splitlines())
    return f"- **{text.kind}**\n\n  ```text\n{lines}  ```\n"
