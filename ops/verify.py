"""The visit: every check in turn until one fails, as a table for people or as JSON for programs."""

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .causes import explain
from .checks import CHECKS, Visit
from .client import RegistryClient
from .stack import Outputs


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


def verify(outputs: Outputs, address: tuple[str, int] | None = None) -> Iterator[Check]:
    """The checks as they are made; the last one is the first that failed, or the clean-up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ca = folder / "ca.pem"
        ca.write_text(outputs.ca_pem)
        client = RegistryClient(outputs, ca, address)
        with closing(client.session):
            yield from _until_one_fails(Visit(outputs, address, client, folder))


def _until_one_fails(visit: Visit) -> Iterator[Check]:
    for title, check in CHECKS.items():
        began = time.monotonic()
        try:
            yield Check(title, True, check(visit), round(time.monotonic() - began, 3))
        except Exception as error:
            fault = explain(error, visit.outputs, visit.where)
            yield Check(title, False, fault.cause, round(time.monotonic() - began, 3), fault.remedy)
            return


def show(checks: Iterator[Check], title: str) -> bool:
    """Print a row per check, and the remedy below; whether all passed."""
    table = Table("", "check", "seen", title=title, title_justify="left", box=None, pad_edge=False)
    console = Console()
    for check in checks:
        table.add_row("[green]✓" if check.passed else "[red]✗", check.title, escape(check.seen))
    console.print(table)
    if not check.passed:
        console.print(f"→ {check.remedy}", markup=False, highlight=False, soft_wrap=True)
    return check.passed


def show_json(checks: Iterator[Check], endpoint: str) -> bool:
    """Print one object with all checks; whether all passed."""
    made = list(checks)
    passed = made[-1].passed
    print(json.dumps({"endpoint": endpoint, "passed": passed, "checks": [asdict(check) for check in made]}, indent=2))
    return passed
