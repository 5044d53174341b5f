"""The language check of `make lint`."""

from pathlib import Path

import pytest

from tests.harness import language
from tests.harness.parts import ROOT


def problems(tmp_path: Path, name: str, content: str) -> list[str]:
    """Return the problems of a file with that content."""
    path = tmp_path / name
    path.write_text(content)
    return list(language.check(path, name))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('"""What others use."""\n', "a.py:1: module opens with 'What'. Name what the module contains or does."),
        ('def f():\n    """Of the node."""\n', "a.py:2: function opens with 'Of'. Start with a verb"),
        ('class A:\n    """Who signs."""\n', "a.py:2: class opens with 'Who'. Name what the class represents."),
        ('A = 1\n"""Of the volume."""\n', "a.py:2: constant opens with 'Of'. Start with the noun"),
        ('class A:\n    b: int\n    """Where it is."""\n', "a.py:3: constant opens with 'Where'"),
        ("a = 1  # nothing else\n", "a.py:1: comment opens with 'nothing'. Name the subject first."),
        ("# Those of the node:\n# two lines.\n", "a.py:1: comment opens with 'Those'"),
        ('import os\n"""Not a docstring."""\n', "a.py:2: string that describes no constant. Delete it"),
    ],
)
def test_an_unclear_opening_is_a_problem(tmp_path: Path, content: str, expected: str) -> None:
    (problem,) = problems(tmp_path, "a.py", content)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "content",
    [
        'def f():\n    """Return what the node reports."""\n',
        'SECONDS = 3\n"""Seconds to wait for the node."""\n',
        "# Kubernetes counts in seconds.\n# That is too coarse here.\n",
        "#!/usr/bin/env python3\nx = 'of'  # noqa: S105\n",
    ],
)
def test_a_text_that_names_its_subject_has_no_problem(tmp_path: Path, content: str) -> None:
    assert problems(tmp_path, "a.py", content) == []


def test_a_page_is_checked_by_paragraph_and_list_item(tmp_path: Path) -> None:
    page = "# Where it runs\n\nWhich port? 5000.\n\n- **What** the node has.\n\nA line\nof two.\n\n1. Nobody.\n"
    assert problems(tmp_path, "a.md", page) == [
        "a.md:5: paragraph opens with 'What'. Name the subject first.",
        "a.md:10: paragraph opens with 'Nobody'. Name the subject first.",
    ]


def test_a_page_wraps_at_100_columns_outside_of_tables_and_code(tmp_path: Path) -> None:
    long = "x" * 101
    page = f"{long}\n\n| {long} |\n\n```sh\nOf {long}\n```\n"
    assert problems(tmp_path, "a.md", page) == ["a.md:1: line is wider than 100 columns. Wrap it."]


def test_the_check_covers_existing_files_without_generated_pages() -> None:
    names = {str(path.relative_to(ROOT)) for path in language.files()}
    assert {"README.md", "docs/STYLE.md", "tests/docs/test_language.py", "tests/harness/language.py"} <= names
    assert not names & set(language.GENERATED)
    with pytest.raises(FileNotFoundError):
        language.files(("tests/*.rst",))
