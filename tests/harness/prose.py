"""Read the docstrings and comments of Python files, and the paragraphs of Markdown pages."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["module", "class", "function", "constant", "orphan", "comment", "paragraph"]

DIRECTIVE = re.compile(r"#\s*(!|type:|noqa|pragma|fmt:|ruff:|mypy:)")
"""Start of a comment that is for a program."""

LIST_ITEM = re.compile(r"\s*([-*]|\d+\.)\s+")
"""Start of a list item in Markdown."""

NOT_PROSE = ("#", "|", "<!--")
"""Starts of Markdown lines without running text: headings, tables and comments."""

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Text(NamedTuple):
    """A docstring, a comment or a paragraph, with its first line."""

    kind: Kind
    line: int
    content: str

    @property
    def first_word(self) -> str:
        """Return the first word without quotes and emphasis."""
        words = self.content.split()
        return words[0].strip("`*_\"'(.,:;") if words else ""


def read(path: Path) -> list[Text]:
    """Return the texts of a Python file or of a Markdown page."""
    source = path.read_text()
    return list(_markdown(source) if path.suffix == ".md" else _python(source))


def _python(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Definition):
            yield from _strings(node)
    yield from _comments(source)


def _strings(node: Definition) -> Iterator[Text]:
    """Yield the docstring of a definition, and the strings between its statements."""
    for at, statement in enumerate(node.body):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            content = statement.value.value
            if isinstance(content, str):
                yield Text(_kind(node, at), statement.lineno, content)


def _kind(node: Definition, at: int) -> Kind:
    """Return the kind of the string at index `at` of a body."""
    if at and isinstance(node.body[at - 1], ast.Assign | ast.AnnAssign):
        return "constant"
    if at:
        return "orphan"
    if isinstance(node, ast.Module):
        return "module"
    return "class" if isinstance(node, ast.ClassDef) else "function"


def _comments(source: str) -> Iterator[Text]:
    """Yield the comments. Comments that stand alone on consecutive lines are one text."""
    block: list[str] = []
    begin, next_line = 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or DIRECTIVE.match(token.string):
            continue
        line = token.start[0]
        is_alone = not token.line[: token.start[1]].strip()
        if block and not (is_alone and line == next_line):
            yield Text("comment", begin, " ".join(block))
            block = []
        begin = begin if block else line
        block.append(token.string.lstrip("#").strip())
        next_line = line + 1 if is_alone else 0
    if block:
        yield Text("comment", begin, " ".join(block))


def _markdown(source: str) -> Iterator[Text]:
    """Yield the paragraphs and list items of a page, without headings, tables and code blocks."""
    block: list[str] = []
    begin = 0
    fenced = False
    for number, line in enumerate([*source.splitlines(), ""], 1):
        is_fence = line.lstrip().startswith("```")
        fenced ^= is_fence
        item = LIST_ITEM.match(line)
        is_prose = bool(line.strip()) and not (fenced or is_fence or line.startswith(NOT_PROSE))
        if block and (item or not is_prose):
            yield Text("paragraph", begin, " ".join(block))
            block = []
        if is_prose:
            begin = begin if block else number
            block.append(line[item.end() :] if item else line.strip())
