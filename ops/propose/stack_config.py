"""Write a proposal to the config of a stack, without the choices that the user has made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..stack import pulumi, read_own_config
from .proposal import Choice, Proposal

SUBJECTS = (
    (
        *("exposure", "external_ips", "node_port", "load_balancer_class", "load_balancer_address", "ingress_class"),
        *("gateway", "gateway_namespace", "gateway_listener"),
    ),
    (
        *("storage", "storage_path", "storage_claim", "storage_class", "storage_access", "node", "node_label"),
        *("s3_bucket", "s3_region", "s3_endpoint", "s3_prefix", "s3_access_key", "s3_secret_key", "s3_secret"),
        *("s3_encrypt", "s3_kms_key", "s3_storage_class", "s3_redirect", "node_selector"),
        *("azure_account", "azure_container", "azure_endpoint", "azure_prefix", "azure_secret"),
        *("gcs_bucket", "gcs_prefix", "gcs_secret"),
    ),
    ("workload", "replicas"),
    ("namespace", "create_namespace"),
    ("tolerations",),
)
"""Inputs that are chosen together. If the user has set one of them, all of them are left to the user."""


@dataclass(frozen=True)
class Written:
    """The result of a write.

    Attributes:
        keys: Inputs that were set.
        kept: Values of the stack that the proposal does not replace, by input.
    """

    keys: list[str]
    kept: dict[str, str]


def write_proposal(stack: str, proposal: Proposal) -> Written:
    """Set the choices whose subject the stack does not set. A second call has no effect."""
    config = read_own_config(stack)
    taken = [subject for subject in SUBJECTS if not config.keys().isdisjoint(subject)]
    chosen = {_input_of(choice) for choice in proposal.choices}
    kept = {key: _shown(config[key]) for subject in taken for key in subject if key in config and chosen & set(subject)}
    choices = [choice for choice in proposal.choices if not any(_input_of(choice) in subject for subject in taken)]
    _set(stack, [choice for choice in choices if choice.key == _input_of(choice)])
    _set(stack, [choice for choice in choices if choice.key != _input_of(choice)], "--path")
    return Written(list(dict.fromkeys(map(_input_of, choices))), kept)


def _set(stack: str, choices: Sequence[Choice], *options: str) -> None:
    """Set all choices by one command."""
    if choices:
        values = [argument for choice in choices for argument in ("--plaintext", f"{choice.key}={choice.value}")]
        pulumi("config", "set-all", *options, *values, "--stack", stack)


def _input_of(choice: Choice) -> str:
    return choice.key.partition("[")[0]


def _shown(value: Any) -> str:
    """Return the value for people. A secret is not shown."""
    return "[secret]" if isinstance(value, dict) and "secure" in value else str(value)
