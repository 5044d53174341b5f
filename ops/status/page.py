"""Render the report as one HTML page, which loads nothing from elsewhere.

`page.html` is the frame of the page, with its style and its script. The policy of the page allows these two alone. The
sections are built from elements, so that the serializer escapes every text.
"""

import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote
from xml.etree.ElementTree import Element

from rich.console import Console
from rich.progress import Progress

from ..output_file import replace_text
from . import Row
from .catalog import Catalog, read_catalog
from .elements import element, plural, serialize, time_element
from .facts import PushState
from .sections import build_sections, figures, to_do
from .target import Target

FRAME = Path(__file__).with_name("page.html").read_text()
"""The frame, with placeholders of `string.Template`."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="{}"/></svg>'
)
"""Icon of the page in the tab of a browser: a square in green or red."""

POLICY = (
    "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""Content security policy that allows only the style, the script and the icon of the page."""


def write_page(path: Path, rows: Sequence[Row], target: Target) -> None:
    """Read the repositories, with progress on stderr, and write the page."""
    modes = [row.facts.mode for row in rows if isinstance(row.facts, PushState)]
    with Progress(console=Console(stderr=True)) as progress:
        catalog = read_catalog(
            target,
            next(filter(None, modes), target.settings.mode or ""),
            lambda title, results, total: progress.track(results, total=total, description=title),
        )
    replace_text(path, render_page(rows, target, catalog, datetime.now(UTC)))
    print(f"{path} is written.", file=sys.stderr)


def render_page(rows: Iterable[Row], target: Target, catalog: Catalog, now: datetime) -> str:
    """Return the page of a report that was made at `now`."""
    by_key = {row.key: row for row in rows}
    count = sum(bool(row.verdict.remedy) for row in by_key.values())
    verdict = f"{count} {plural(count, 'value needs', 'values need')} action" if count else "No action is needed"
    sections = list(build_sections(by_key, catalog, now))
    values = element("dl", *figures(by_key, catalog, now), class_="figures")
    return Template(FRAME).substitute(
        policy=_policy(),
        title=escape(f"{verdict}: {target.outputs.endpoint}"),
        icon="data:image/svg+xml," + quote(ICON.format("#a3230f" if count else "#0b6b3a")),
        header=serialize(_header(target, verdict, "bad" if count else "good", now)),
        nav=serialize(_navigation(sections)),
        sections="\n".join(map(serialize, [*to_do(by_key.values()), values, *sections])),
    )


def _policy() -> str:
    """Return the policy with the digests of the style and the script."""
    parts = re.findall(r"<(style|script)>(.*?)</\1>", FRAME, re.DOTALL)
    return POLICY.format(**{tag: b64encode(sha256(text.encode()).digest()).decode() for tag, text in parts})


def _header(target: Target, verdict: str, state: str, now: datetime) -> Element:
    stack = f"Stack {target.stack}. " if target.stack else "Without a stack. "
    age = element("span", id="age")
    written = element("p", stack, "Written ", time_element(now), age, ".", class_="muted small")
    title = element("div", element("h1", target.outputs.endpoint), written)
    return element("header", title, element("p", verdict, class_=f"verdict {state}"))


def _navigation(sections: Sequence[Element]) -> Element:
    links = [element("a", str(section[0].text), href=f"#{section.get('id')}") for section in sections]
    return element("nav", element("ul", *(element("li", link) for link in links)), aria_label="Sections")
