"""`ops verify`: run the checks one after the other until one fails, and print them as a table or as JSON."""

import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from ..diagnosis import WRITES, diagnose
from ..errors import CheckError, CommandError
from ..mode import READ_WRITE, require_mode
from ..registry_client import CatalogDenied, open_client
from ..report import FAILED, PASSED, print_json, print_remedies, print_report
from ..stack import Outputs
from . import sample_image
from .checks import CHECKS, CLEAN_UP, Check, CheckContext, Checks, find_pushed_digest
from .modes import CHECKS_BY_MODE, detect_mode

PullOnNodes = Callable[[Outputs, str], Iterable[tuple[str, str | CheckError, float]]]
"""A function that has every node pull a reference. It yields the node, a summary or an error, and the seconds."""

FindCause = Callable[[str, bool], CheckError | None]
"""A function that asks the cluster why a request to the registry in a namespace failed, and whether it was a write.

It returns None if the cluster does not show a cause."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: a summary, the seconds that it took, and the remedy if it failed."""

    title: str
    passed: bool
    summary: str
    seconds: float
    remedy: str = ""
    may_be_server: bool = False
    """Whether a server behind the registry may be the cause of the failure."""
    may_be_volume: bool = False
    """Whether the volume of the images may be the cause: the registry could not write."""


def wait_for_port(outputs: Outputs, address: tuple[str, int] | None, seconds: float) -> None:
    """Return when the registry accepts connections, or after `seconds`. The checks then report the cause.

    A Pod is ready some moments before every node forwards the Service's port to it.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(address or (outputs.host, outputs.port), timeout=1):
            return
        time.sleep(0.1)


def run_checks(
    outputs: Outputs,
    address: tuple[str, int] | None = None,
    pull_on_nodes: PullOnNodes | None = None,
    *,
    mode: str | None = None,
    find_cause: FindCause = lambda namespace, is_write: None,
) -> Iterator[CheckResult]:
    """Yield the result of each check until a check fails.

    If all checks of a read-write registry pass, `pull_on_nodes` adds a result for every node, whether it passed or
    not. The test image is deleted at the end, if the registry allows it. `mode` is that of the stack's config, or None
    if it is unknown. `find_cause` is asked if a server behind the registry, or its volume, may have caused a failure.
    """
    with open_client(outputs, address) as client, tempfile.TemporaryDirectory() as folder:
        context = CheckContext(outputs, address, client, Path(folder))
        for result in _run_all(context, pull_on_nodes, mode):
            yield result if result.passed else _explain(result, outputs, find_cause)


def print_results(results: Iterable[CheckResult], title: str) -> bool:
    """Print a row for each result and the remedies below. Return whether all checks passed."""
    rows = list(results)
    print_report(title, "check", [(PASSED if row.passed else FAILED, row.title, row.summary) for row in rows])
    print_remedies(row.remedy for row in rows if not row.passed)
    return all(row.passed for row in rows)


def print_results_json(results: Iterable[CheckResult], endpoint: str) -> bool:
    """Print all results as one JSON object. Return whether all checks passed."""
    rows = list(results)
    passed = all(row.passed for row in rows)
    checks = [
        {
            "title": row.title,
            "passed": row.passed,
            "seen": row.summary,
            "seconds": row.seconds,
            "remedy": row.remedy,
        }
        for row in rows
    ]
    print_json({"endpoint": endpoint, "passed": passed, "checks": checks})
    return passed


def _run_all(context: CheckContext, pull_on_nodes: PullOnNodes | None, mode: str | None) -> Iterator[CheckResult]:
    """Yield the results of the checks of every registry, of its mode, on the nodes, and of the clean-up."""
    passed = True
    for result in _run_until_failure(context, CHECKS):
        passed = result.passed
        yield result
    if not passed:
        return
    start = time.monotonic()
    try:
        actual_mode = detect_mode(context)
        require_mode(actual_mode, mode)
    except Exception as error:
        yield _failed_result("push" if mode in (None, READ_WRITE) else "push is refused", error, context, start)
        return
    for result in _run_until_failure(context, CHECKS_BY_MODE[actual_mode]):
        passed = result.passed
        yield result
    if actual_mode != READ_WRITE or not passed:
        if passed and pull_on_nodes:
            yield CheckResult("pull on every node", True, f"not checked, because `mode` is {actual_mode}", 0)
        return
    if pull_on_nodes:
        yield from _run_on_nodes(context, pull_on_nodes)
    yield from _run_until_failure(context, CLEAN_UP)


def _explain(result: CheckResult, outputs: Outputs, find_cause: FindCause) -> CheckResult:
    """Return a failed result with the cause that the Pods show, or unchanged if they show none."""
    problem = find_cause(outputs.namespace, result.may_be_volume) if result.may_be_server else None
    return result if problem is None else replace(result, summary=problem.cause, remedy=problem.remedy)


def _run_until_failure(context: CheckContext, checks: Checks) -> Iterator[CheckResult]:
    for title, check in checks.items():
        start = time.monotonic()
        try:
            yield CheckResult(title, True, _summarize(check, context), round(time.monotonic() - start, 3))
        except Exception as error:
            yield _failed_result(title, error, context, start)
            return


def _summarize(check: Check, context: CheckContext) -> str:
    """Return the summary of a check that passed, or the reason if it could not be made."""
    try:
        return check(context)
    except CatalogDenied:
        return f"not checked, because the access rules do not let {context.outputs.username} pull every repository"


def _run_on_nodes(context: CheckContext, pull_on_nodes: PullOnNodes) -> Iterator[CheckResult]:
    start = time.monotonic()
    try:
        reference = f"{context.outputs.endpoint}/{sample_image.REPOSITORY}@{find_pushed_digest(context)}"
        for node, outcome, seconds in pull_on_nodes(context.outputs, reference):
            title = f"pull on {node}"
            if isinstance(outcome, CheckError):
                yield CheckResult(title, False, outcome.cause, round(seconds, 3), outcome.remedy)
            else:
                yield CheckResult(title, True, outcome, round(seconds, 3))
    except Exception as error:
        yield _failed_result("pull on every node", error, context, start)


def _failed_result(title: str, error: Exception, context: CheckContext, start: float) -> CheckResult:
    """Return the result of a check that began at `start` and raised `error`.

    A `CommandError` already has its cause. A wrong certificate or name is not due to a server behind the registry.
    """
    diagnosis = diagnose(error, context.outputs, context.server)
    may_be_server = not isinstance(error, CommandError | ssl.SSLCertVerificationError | socket.gaierror)
    may_be_volume = (
        isinstance(error, requests.HTTPError)
        and error.response.status_code == 500
        and error.response.request.method in WRITES
    )
    seconds = round(time.monotonic() - start, 3)
    return CheckResult(title, False, diagnosis.cause, seconds, diagnosis.remedy, may_be_server, may_be_volume)
