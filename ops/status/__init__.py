"""`ops status`: read each value of a registry, rate it, and print what needs action.

A value that cannot be read is also a row, with cause and remedy. A report is most useful when something is broken, so
one failure must not end it. The command only reads, and pushes a small blob.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from registry.node_trust.for_registry import trust_namespace

from ..diagnosis import diagnose
from ..kubernetes import convert_api_errors
from ..report import ATTENTION, PASSED, Verdict, print_json, print_remedies, print_report
from . import drift, mounted_secrets, push, servers, verdicts, workload
from .target import Target


class StatusCheck(NamedTuple):
    """One value of the report: its title, and the functions that read and rate it."""

    title: str
    read: Callable[[Target], Any]
    rate: Callable[[Any, Target], Verdict]


class Row(NamedTuple):
    """One row of the report. `facts` are the raw values, or None if they could not be read."""

    key: str
    title: str
    facts: Any
    verdict: Verdict


TLS_CHECKS = {
    "leaf": StatusCheck(
        "certificate",
        lambda target: target.server_certificate,
        lambda facts, target: verdicts.rate_server_certificate(facts, target.settings),
    ),
    "authorities": StatusCheck(
        "CA",
        lambda target: target.authorities,
        lambda facts, target: verdicts.rate_authorities(facts, target.settings),
    ),
    "rotation": StatusCheck(
        "CA rotation",
        lambda target: verdicts.deployed_generations(target.server_certificate.signer, target.authorities),
        lambda _, target: verdicts.rate_rotation(target.server_certificate.signer, target.authorities, target.settings),
    ),
}
"""Checks that need only the CA and a TLS connection, by their keys in the JSON."""

STACK_CHECKS = {
    "users": StatusCheck("users", lambda target: list(target.users), lambda facts, _: verdicts.rate_users(facts)),
    "image": StatusCheck(
        "image",
        lambda target: workload.read_images(target.client, target.outputs.namespace),
        lambda facts, _: verdicts.rate_images(facts),
    ),
    "push": StatusCheck("push", push.read_push, lambda facts, _: verdicts.rate_push(facts)),
    "space": StatusCheck(
        "free space",
        lambda target: workload.read_disk_space(target.client, target.outputs.namespace),
        lambda facts, _: verdicts.rate_disk_space(facts),
    ),
    "volume": StatusCheck(
        "volume",
        lambda target: workload.read_volume(target.client, target.outputs.namespace),
        lambda facts, target: verdicts.rate_volume(facts, target.outputs.namespace),
    ),
    "restarts": StatusCheck(
        "restarts",
        lambda target: workload.read_terminated_containers(target.client, target.outputs.namespace),
        lambda facts, target: verdicts.rate_restarts(facts, target.outputs.namespace),
    ),
    "secrets": StatusCheck(
        "Secrets in use",
        mounted_secrets.read_secrets,
        lambda facts, target: verdicts.rate_secrets(facts, target.outputs.namespace),
    ),
    "servers": StatusCheck("servers behind it", servers.read_servers, lambda facts, _: verdicts.rate_servers(facts)),
    "nodes": StatusCheck(
        "nodes that trust the CA",
        lambda target: workload.read_node_trust(target.client, target.outputs.namespace),
        lambda facts, target: verdicts.rate_node_trust(facts, trust_namespace(target.outputs.namespace)),
    ),
    "collect": StatusCheck(
        "last collection",
        lambda target: workload.read_job(target.client, target.outputs.namespace, "collect"),
        lambda facts, target: verdicts.rate_job(facts, "collect", target.outputs.namespace),
    ),
    "scrub": StatusCheck(
        "last scrub",
        lambda target: workload.read_job(target.client, target.outputs.namespace, "scrub"),
        lambda facts, target: verdicts.rate_job(facts, "scrub", target.outputs.namespace),
    ),
    "backup": StatusCheck(
        "last backup",
        lambda target: workload.read_job(target.client, target.outputs.namespace, "backup"),
        lambda facts, target: verdicts.rate_job(facts, "backup", target.outputs.namespace),
    ),
    "drift": StatusCheck(
        "drift",
        lambda target: drift.preview_changes(target.stack) if target.check_drift else None,
        lambda facts, target: verdicts.rate_drift(facts, target.stack),
    ),
}
"""Checks that need the stack or its cluster, by their keys in the JSON."""


def run_checks(target: Target) -> Iterator[Row]:
    """Yield one row for each check."""
    for key, check in {**TLS_CHECKS, **(STACK_CHECKS if target.stack else {})}.items():
        yield _run_check(key, check, target)


def print_status(rows: Iterable[Row], target: Target) -> bool:
    """Print the rows as a table and the remedies below. Return whether no action is needed."""
    report = list(rows)
    print_report(
        f"{target.outputs.endpoint} ({target.stack or 'no stack'})",
        "value",
        [(ATTENTION if row.verdict.remedy else PASSED, row.title, row.verdict.summary) for row in report],
    )
    print_remedies(f"{row.title}: {row.verdict.remedy}" for row in report if row.verdict.remedy)
    return not any(row.verdict.remedy for row in report)


def print_status_json(rows: Iterable[Row], target: Target) -> bool:
    """Print one JSON object with an object for each row. Return whether no action is needed."""
    report = list(rows)
    healthy = not any(row.verdict.remedy for row in report)
    values = {
        row.key: {"seen": row.verdict.summary, "remedy": row.verdict.remedy, "facts": row.facts} for row in report
    }
    print_json({"endpoint": target.outputs.endpoint, "stack": target.stack, "healthy": healthy, **values})
    return healthy


def _run_check(key: str, check: StatusCheck, target: Target) -> Row:
    try:
        with convert_api_errors():
            facts = check.read(target)
        return Row(key, check.title, facts, check.rate(facts, target))
    except Exception as error:
        server = target.outputs.describe_connection(target.address)
        diagnosis = diagnose(error, target.outputs, server)
        return Row(key, check.title, None, Verdict(diagnosis.cause, diagnosis.remedy))
