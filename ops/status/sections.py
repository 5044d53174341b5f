"""Build the sections of the page: what to do, the most important values, certificates, space, jobs and repositories."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

from ..volume import DiskSpace
from . import Row
from .catalog import Catalog, Repository, Tag
from .elements import Content, element, format_size, mark, plural, prose, section, table, time_element
from .facts import CertificateAuthority, JobState, ServerCertificate
from .verdicts import LEAST_FREE_SHARE, NOTICE_DAYS

TAG_HEADERS = {"Tag": None, "Digest": "digest", "Size": "number"}
"""Headers of the table of tags, with their classes."""

JOBS = {"collect": "Collection", "scrub": "Scrub", "backup": "Backup"}
"""Titles of the maintenance jobs, by the keys of their rows."""


def to_do(rows: Iterable[Row]) -> Iterator[Element]:
    """Yield a section with the remedies. Values with the same cause, such as a lost cluster, share one item."""
    titles: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.verdict.remedy:
            titles.setdefault(row.verdict, []).append(row.title)
    items = [
        element(
            "li",
            element("p", element("strong", ", ".join(names)), ": ", *prose(summary)),
            element("p", *prose(remedy)),
        )
        for (summary, remedy), names in titles.items()
    ]
    if items:
        yield section("to-do", "What to do", element("ul", *items, class_="actions"), class_="bad")


def figures(rows: Mapping[str, Row], catalog: Catalog, now: datetime) -> Iterator[Element]:
    """Yield the most important values. A value that the report does not have is left out."""
    if catalog.repositories:
        count = len(catalog.repositories)
        tags = sum(repository.tag_count for repository in catalog.repositories)
        details = [f"{tags:,} {plural(tags, 'tag', 'tags')}"] if catalog.has_tags else []
        yield _figure(plural(count, "Repository", "Repositories"), f"{count:,}", *details)
    if catalog.has_tags:
        yield _figure("Images", format_size(catalog.size), "shared layers count once")
    if isinstance(space := _facts(rows, "space"), DiskSpace):
        yield _figure("Free space", format_size(space.free), f"{space.free_share:.0%} of {format_size(space.size)}")
    if isinstance(certificate := _facts(rows, "leaf"), ServerCertificate):
        yield _days_figure("Certificate", certificate.days, now)
    if authorities := _facts(rows, "authorities"):
        yield _days_figure("CA", min(ca.days for ca in authorities), now)
    if nodes := _facts(rows, "nodes"):
        text = f"{nodes.ready} of {nodes.desired}"
        yield _figure("Nodes", text, "trust the CA", is_bad=nodes.ready < nodes.desired)
    if (backup := _facts(rows, "backup")) and backup.last_success:
        hours = (now - datetime.fromisoformat(backup.last_success)).total_seconds() / 3600
        age = f"{hours:.0f} {plural(round(hours), 'hour', 'hours')}" if hours < 48 else f"{hours / 24:.0f} days"
        yield _figure("Last backup", age, "ago", is_bad=bool(rows["backup"].verdict.remedy))


def _days_figure(label: str, days: float, now: datetime) -> Element:
    end = element("span", f"{now + timedelta(days=days):%Y-%m-%d}", class_="date")
    if days < 0:
        return _figure(label, "expired", "on ", end, is_bad=True)
    until = f"{plural(int(days), 'day', 'days')}, until "
    return _figure(label, f"{int(days):,}", until, end, is_bad=days <= NOTICE_DAYS)


def _figure(label: str, value: str, *details: Content, is_bad: bool = False) -> Element:
    detail = element("dd", *details, class_="muted small") if details else None
    return element("div", element("dt", label), element("dd", value, class_="value bad" if is_bad else "value"), detail)


def build_sections(rows: Mapping[str, Row], catalog: Catalog, now: datetime) -> Iterator[Element]:
    """Yield the sections of the page. Without a stack, the report has only certificates."""
    yield _certificates(rows, now)
    if "space" in rows:
        yield _space(rows)
        yield _nodes(rows["nodes"])
        yield _jobs(rows)
    yield _checks(rows.values())
    yield _repositories(catalog)


def _certificates(rows: Mapping[str, Row], now: datetime) -> Element:
    lines = []
    if isinstance(leaf := _facts(rows, "leaf"), ServerCertificate):
        trust = f"issued by {leaf.signer}" + ("" if leaf.trusted else ", which clients do not trust")
        digest = element("div", f"SHA-256 {leaf.fingerprint}", class_="mono muted small") if leaf.fingerprint else None
        lines.append(_certificate_line("server certificate", leaf.days, now, element("div", trust), digest))
    authorities: Sequence[CertificateAuthority] = _facts(rows, "authorities") or ()
    lines += [_certificate_line(ca.name, ca.days, now, element("div", "CA that clients trust")) for ca in authorities]
    unread = [rows[key] for key in ("leaf", "authorities") if rows[key].facts is None]
    rotation, is_known = rows["rotation"], rows["rotation"].facts is not None
    return section(
        "certificates",
        "Certificates",
        *(_failure(row) for row in unread),
        table({"Certificate": None, "Ends": None, "Days left": "number"}, lines) if lines else None,
        element("p", "Rotation: ", *_sentence(rotation.verdict.summary), class_="muted small") if is_known else None,
    )


def _certificate_line(name: str, days: float, now: datetime, *details: Content) -> Element:
    state = "number bad" if days <= NOTICE_DAYS else "number"
    return element(
        "tr",
        element("th", name, element("div", *details, class_="muted small unbold"), scope="row"),
        element("td", f"{now + timedelta(days=days):%Y-%m-%d}", class_="date"),
        element("td", f"{int(days):,}" if days >= 0 else "expired", class_=state),
    )


def _space(rows: Mapping[str, Row]) -> Element:
    space, volume = _facts(rows, "space"), _facts(rows, "volume")
    content: list[Content] = []
    if isinstance(space, DiskSpace):
        content += _meter("Space", space.free_share, f"{format_size(space.free)} of {format_size(space.size)} free")
        if space.inodes:
            text = f"{space.free_inodes:,} of {space.inodes:,} free"
            content += _meter("Inodes", space.free_inode_share, text)
        place = [f"Node {space.node}." if space.node else "", f"Folder {space.folder}." if space.folder else ""]
        if volume is not None:
            place.append(f"Claim {volume.claim}." + (f" Volume {volume.volume}." if volume.volume else ""))
        content.append(element("p", " ".join(filter(None, place)), class_="muted small"))
    else:
        content.append(_failure(rows["space"]))
    return section("space", "Space", *content)


def _meter(label: str, free_share: float, text: str) -> list[Content]:
    """Return a line and a bar of the used share. The bar is red if too little is free."""
    used = f"{1 - free_share:.4f}"
    limits = {"high": f"{1 - LEAST_FREE_SHARE:.2f}", "optimum": "0"}
    bar = element(
        "meter", f"{1 - free_share:.0%} used", value=used, min="0", max="1", aria_label=f"{label} used", **limits
    )
    return [element("p", element("strong", label), f": {text} ({free_share:.0%})"), bar]


def _jobs(rows: Mapping[str, Row]) -> Element:
    return section(
        "jobs", "Jobs", element("div", *(_job(title, rows[key]) for key, title in JOBS.items()), class_="cards")
    )


def _job(title: str, row: Row) -> Element:
    job = row.facts
    lines = [("Result", element("dd", *prose(row.verdict.summary), class_="bad" if row.verdict.remedy else None))]
    if isinstance(job, JobState):
        last = time_element(datetime.fromisoformat(job.last_success)) if job.last_success else "none"
        following = time_element(datetime.fromisoformat(job.next_run)) if job.next_run else "none"
        lines += [("Last success", element("dd", last)), ("Next run", element("dd", following))]
        lines += [("Schedule", element("dd", element("code", job.schedule), " UTC"))]
    details = [part for label, value in lines for part in (element("dt", label), value)]
    return element("div", element("h3", title), element("dl", *details))


def _nodes(row: Row) -> Element:
    content: list[Content] = [_failure(row)]
    if row.facts:
        items = [
            element("li", *mark(not has_files), " ", node, "" if has_files else ": does not have the files yet")
            for node, has_files in row.facts.nodes.items()
        ]
        summary = element("p", f"{row.verdict.summary} nodes trust the CA.")
        content = [summary, element("ul", *items, class_="nodes") if items else None]
    return section("nodes", "Nodes that trust it", *content)


def _checks(rows: Iterable[Row]) -> Element:
    """Return the table that `ops status` prints."""
    lines = [
        element(
            "tr",
            element("td", *mark(bool(row.verdict.remedy)), class_="mark"),
            element("th", row.title, scope="row"),
            element(
                "td",
                element("div", *prose(row.verdict.summary)),
                element("div", "→ ", *prose(row.verdict.remedy), class_="small") if row.verdict.remedy else None,
            ),
        )
        for row in rows
    ]
    return section(
        "checks", "All values", table({"State": "mark", "Value": None, "Result": None}, lines, class_="checks")
    )


def _repositories(catalog: Catalog) -> Element:
    content: list[Content] = []
    if catalog.note:
        text = [*prose(catalog.note), " ", *prose(catalog.remedy)]
        content.append(element("p", *text, class_="bad" if catalog.remedy else "muted"))
    elif not catalog.repositories:
        content.append(element("p", "The registry holds no image yet.", class_="muted"))
    elif catalog.has_tags:
        explanation = "Sizes are those of images with a tag. A layer that images share counts once."
        content.append(element("p", explanation, class_="muted small"))
    if catalog.repositories:
        content += [_tools()] if catalog.has_tags else []
        content.append(
            element("ul", *map(_repository if catalog.has_tags else _name, catalog.repositories), class_="repositories")
        )
    return section("repositories", "Repositories", *content)


def _tools() -> Element:
    """Return the filter and the order. The script shows them, because they do nothing without it."""
    options = [element("option", label, value=value) for value, label in (("name", "name"), ("size", "size"))]
    return element(
        "div",
        element("label", "Filter by name, tag or digest", element("input", id="filter", type="search")),
        element("label", "Order by", element("select", *options, id="order")),
        element("p", id="shown", role="status", class_="muted small"),
        class_="tools",
        hidden="",
    )


def _name(repository: Repository) -> Element:
    return element("li", element("span", repository.name, class_="mono"))


def _repository(repository: Repository) -> Element:
    problems = sum(bool(tag.problem) for tag in repository.tags) + bool(repository.problem)
    count = (
        "unknown" if repository.problem else f"{repository.tag_count:,} {plural(repository.tag_count, 'tag', 'tags')}"
    )
    summary = element(
        "summary",
        element("span", repository.name, class_="name"),
        element("span", count, " " if problems else None, *(mark(True) if problems else ()), class_="muted small"),
        element("span", None if repository.problem else format_size(repository.size), class_="number"),
    )
    left_out = repository.tag_count - len(repository.tags)
    notes = [repository.problem, f"{left_out:,} more tags were not read." if left_out > 0 and repository.tags else ""]
    lines = [_tag(tag) for tag in repository.tags]
    rows = table(TAG_HEADERS, lines, class_="tags", caption=f"Tags of {repository.name}")
    return element(
        "li",
        element(
            "details",
            summary,
            *(element("p", note, class_="small") for note in notes if note),
            rows if lines else None,
        ),
        data_size=str(repository.size),
    )


def _tag(tag: Tag) -> Element:
    return element(
        "tr",
        element(
            "th",
            element("span", tag.name, class_="mono"),
            element("span", tag.kind, class_="kind") if tag.kind else None,
            element("span", tag.problem, class_="kind bad") if tag.problem else None,
            scope="row",
        ),
        element("td", tag.digest, class_="digest mono"),
        element("td", format_size(tag.size) if tag.digest else "unknown", class_="number"),
    )


def _failure(row: Row) -> Element:
    """Return the reason why a section has no values."""
    return element("p", *_sentence(row.verdict.summary), class_="bad" if row.verdict.remedy else "muted")


def _sentence(summary: str) -> Iterator[Element | str]:
    """Yield the parts of a summary with a full stop, which causes have and other summaries lack."""
    return prose(f"{summary.rstrip('.')}.")


def _facts(rows: Mapping[str, Row], key: str) -> Any:
    """Return the facts of a row, or None if the report lacks the row or its value could not be read."""
    return rows[key].facts if key in rows else None
