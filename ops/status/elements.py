"""Build HTML from elements of the standard library, whose serializer escapes every text."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, tostring

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

Content = Element | str | None
"""A part of an element. None is left out."""


def section(anchor: str, title: str, *content: Content, class_: str | None = None) -> Element:
    """Return a section with a heading that links can point to."""
    heading = f"{anchor}-title"
    return element(
        "section", element("h2", title, id=heading), *content, id=anchor, class_=class_, aria_labelledby=heading
    )


def table(
    headers: Mapping[str, str | None], lines: Iterable[Element], *, class_: str | None = None, caption: str = ""
) -> Element:
    """Return a table. `headers` are the titles of its columns, with their classes."""
    cells = [
        element("th", element("span", title), scope="col", class_=column_class)
        for title, column_class in headers.items()
    ]
    hidden = element("caption", element("span", caption, class_="hidden")) if caption else None
    return element("table", hidden, element("thead", element("tr", *cells)), element("tbody", *lines), class_=class_)


def mark(is_bad: bool) -> list[Element]:
    """Return the mark of the terminal, and a word for screen readers."""
    sign = element("span", "!" if is_bad else "✓", class_="bad" if is_bad else "good", aria_hidden="true")
    return [sign, element("span", "needs action" if is_bad else "fine", class_="hidden")]


def time_element(moment: datetime) -> Element:
    """Return a time in UTC."""
    moment = moment.astimezone(UTC)
    return element("time", f"{moment:%Y-%m-%d %H:%M} UTC", datetime=moment.isoformat(timespec="seconds"))


def prose(text: str) -> Iterator[Element | str]:
    """Yield the parts of a message. Its commands and names in backticks become code."""
    for position, part in enumerate(re.split(r"`([^`]+)`", text)):
        if part:
            yield element("code", part) if position % 2 else part


def element(tag: str, *content: Content, **attributes: str | None) -> Element:
    """Return an element. `class_` stands for `class`, and `aria_label` for `aria-label`. None is left out."""
    values = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    result = Element(tag, values)
    for part in content:
        if isinstance(part, Element):
            result.append(part)
        elif part is not None and len(result):
            result[-1].tail = (result[-1].tail or "") + part
        elif part is not None:
            result.text = (result.text or "") + part
    return result


def serialize(root: Element) -> str:
    """Return the HTML of an element."""
    return tostring(root, encoding="unicode", method="html")


def format_size(size: float) -> str:
    """Return a number of bytes with three digits, such as 1.25 GiB or 25.3 MiB."""
    power = next((power for power in range(len(UNITS)) if size < 1000 * 1024**power), len(UNITS) - 1)
    number = size / 1024**power
    digits = 0 if power == 0 or number >= 100 else 1 if number >= 10 else 2
    return f"{number:.{digits}f} {UNITS[power]}"


def plural(count: int, one: str, many: str) -> str:
    """Return the form of a noun for a count."""
    return one if count == 1 else many
