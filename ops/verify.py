"""The visit: every check in turn until one fails, as a table for people or as JSON for programs."""

import json
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import image
from .causes import Fault, explain
from .checks import CHECKS, CLEAN_UP, Checks, Visit, pushed_digest
from .client import RegistryClient
from .stack import Outputs

Pulls = Callable[[Outputs, str], Iterable[tuple[str, str | Fault, float]]]
"""Has nodes pull a reference; each node, what it saw or what is at fault, and after how many seconds."""


@dataclass(frozen=True)
class Check:
    """What was checked, what was seen, how long it took; the remedy of a check that failed."""

    title: str
    passed: bool
    seen: str
    seconds: float
    remedy: str = ""


def parse_address(text: str, port: int) -> tuple[str, int]:
    """`IP`, `IP:port` or `[IP]:port`; `port` where none is given."""
    host, colon, given = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, given = text, str(port)
    return str(ip_address(host.strip("[]"))), int(given)


def wait_for_answer(outputs: Outputs, address: tuple[str, int] | None, seconds: float) -> None:
    """Return when something accepts connections, or after `seconds`; what is wrong then, the checks say.

    A Pod is ready some moments before every node sends the Service's port on to it.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(address or (outputs.host, outputs.port), timeout=1):
            return
        time.sleep(0.1)


def verify(outputs: Outputs, address: tuple[str, int] | None = None, pulls: Pulls | None = None) -> Iterator[Check]:
    """The checks as they are made, each only if those before it passed; but every one of the nodes, which follow if
    `pulls` makes them, and the clean-up after those."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ca = folder / "ca.pem"
        ca.write_text(outputs.ca_pem)
        client = RegistryClient(outputs, ca, address)
        with closing(client.session):
            yield from _visited(Visit(outputs, address, client, folder), pulls)


def _visited(visit: Visit, pulls: Pulls | None) -> Iterator[Check]:
    passed = True
    for check in _until_one_fails(visit, CHECKS):
        passed = check.passed
        yield check
    if passed and pulls:
        yield from _from_nodes(visit, pulls)
    if passed:
        yield from _until_one_fails(visit, CLEAN_UP)


def _until_one_fails(visit: Visit, checks: Checks) -> Iterator[Check]:
    for title, check in checks.items():
        began = time.monotonic()
        try:
            yield Check(title, True, check(visit), round(time.monotonic() - began, 3))
        except Exception as error:
            yield _failed(title, error, visit, began)
            return


def _from_nodes(visit: Visit, pulls: Pulls) -> Iterator[Check]:
    began = time.monotonic()
    try:
        reference = f"{visit.outputs.endpoint}/{image.REPOSITORY}@{pushed_digest(visit)}"
        for node, found, seconds in pulls(visit.outputs, reference):
            passed = not isinstance(found, Fault)
            seen, remedy = (found, "") if not isinstance(found, Fault) else (found.cause, found.remedy)
            yield Check(f"pull on {node}", passed, seen, round(seconds, 3), remedy)
    except Exception as error:
        yield _failed("pull on every node", error, visit, began)


def _failed(title: str, error: Exception, visit: Visit, began: float) -> Check:
    fault = explain(error, visit.outputs, visit.where)
    return Check(title, False, fault.cause, round(time.monotonic() - began, 3), fault.remedy)


def show(checks: Iterator[Check], title: str) -> bool:
    """Print a row per check, and the remedies below; whether all passed."""
    table = Table("", "check", "seen", title=title, title_justify="left", box=None, pad_edge=False)
    console = Console()
    made = list(checks)
    for check in made:
        table.add_row("[green]✓" if check.passed else "[red]✗", check.title, escape(check.seen))
    console.print(table)
    for remedy in dict.fromkeys(check.remedy for check in made if not check.passed):
        console.print(f"→ {remedy}", markup=False, highlight=False, soft_wrap=True)
    return all(check.passed for check in made)


def show_json(checks: Iterator[Check], endpoint: str) -> bool:
    """Print one object with all checks; whether all passed."""
    made = list(checks)
    passed = all(check.passed for check in made)
    print(json.dumps({"endpoint": endpoint, "passed": passed, "checks": [asdict(check) for check in made]}, indent=2))
    return passed
