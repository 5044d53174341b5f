"""Read the outcome of a pull from the Pod and its events, and find the cause and remedy of a failure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CheckError

Object = Mapping[str, Any]

PULL_FAILURES = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable")
"""Reasons of a waiting container whose image could not be pulled."""

NOT_STARTED = ("ContainerCreating", "PodInitializing")
"""Reasons of a waiting container whose image is not pulled yet."""

TRUST_REMEDY = (
    "Run `pulumi config set node_trust true` and `pulumi up`. Every node then trusts the CA and finds the registry "
    "without DNS."
)

NAME_REMEDY = "Check the address of the name on that node, in DNS, /etc/hosts and the runtime's hosts.toml."

FAILURES = (
    (r"signed by unknown authority", "The node does not trust the registry's CA (x509).", TRUST_REMEDY),
    (
        r"x509: certificate is valid for|x509: cannot validate certificate for|doesn't contain any IP SANs",
        "The server certificate is not valid for the name that the node uses (x509).",
        f"Add the name to `certificate_names` and run `pulumi up`. {NAME_REMEDY}",
    ),
    (
        r"x509: certificate has expired or is not yet valid",
        "The server certificate is expired or not yet valid by the node's clock (x509).",
        "Check `date` on the node. `pulumi up` renews the certificate in its last days.",
    ),
    (
        r"no such host|: lookup \S+( on \S+)?: ",
        "The registry's name does not resolve on the node (no such host).",
        f"{TRUST_REMEDY} Alternatively, add the name to DNS or to /etc/hosts of the nodes.",
    ),
    (
        r"\b401\b|[Uu]nauthorized|authorization failed|no basic auth credentials|access denied|insufficient_scope",
        "The registry rejected the node's credentials (401), although the stack's password works.",
        "Remove an `auth` entry for the registry from the configuration of the node's container runtime. Pods get "
        "their credentials from `pull_secrets`.",
    ),
    (
        r"connection refused",
        "The connection was refused: no program listens at the address that the node uses.",
        NAME_REMEDY,
    ),
    (
        r"i/o timeout|deadline exceeded|no route to host|network is unreachable",
        "The node got no answer from the registry.",
        "Check for a firewall between the nodes, and that `client_cidrs` includes their network.",
    ),
    (
        r"HTTP response to HTTPS client|does not look like a TLS handshake",
        "The server that the node reaches does not speak TLS.",
        NAME_REMEDY,
    ),
    (r"not found", "The image was not found, because the node reaches another registry.", NAME_REMEDY),
)
"""Rows of pattern, cause and remedy. The patterns match messages of containerd and Go. The first match counts."""

DIGEST = re.compile(r"sha256:[0-9a-f]+")
"""Pattern of a digest, which is ignored because it may contain the digits 401."""

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
"""Seconds by unit of a Go duration."""


def read_outcome(pod: Object, events: Sequence[Object]) -> str | CheckError | None:
    """Return a summary, an error, or None if the pull has not finished. `events` are those of the Pod."""
    messages = {event["reason"]: event.get("message", "") for event in events}
    if "Pulled" in messages:
        return _summarize_pull(messages["Pulled"])
    status = pod.get("status", {})
    state: Object = next((container["state"] for container in status.get("containerStatuses", [])), {})
    waiting = state.get("waiting", {})
    if waiting.get("reason") in PULL_FAILURES:
        return diagnose_pull(_most_specific(waiting.get("message", ""), [event.get("message", "") for event in events]))
    if state and waiting.get("reason") not in NOT_STARTED:
        return "pulled"  # The container exists, so the image was pulled. Its event may be lost.
    if status.get("phase") == "Failed":
        reason = ": ".join(filter(None, [status.get("reason"), status.get("message")])).rstrip(".")
        return CheckError(
            f"The node rejected the Pod: {reason}.", f"See `kubectl describe node {pod['spec']['nodeName']}`."
        )
    return None


def diagnose_pull(message: str) -> CheckError:
    """Return the cause and remedy of a runtime's error. An unknown error is reduced to its last, most specific part."""
    for pattern, cause, remedy in FAILURES:
        if re.search(pattern, DIGEST.sub("", message)):
            return CheckError(cause, remedy)
    detail = (message.rpartition('": ')[2] or message or "the runtime gave no reason").rstrip(".")
    return CheckError(f"The image was not pulled: {detail}.", "Read the log of the node's container runtime.")


def _most_specific(message: str, event_messages: Sequence[str]) -> str:
    """Return the longest message of the container and of failed pulls. The message of a back-off may lack the cause."""
    failures = [text for text in event_messages if text.startswith("Failed to pull")]
    return max([message, *failures], key=len)


def _summarize_pull(message: str) -> str:
    """Return the duration from the kubelet's message "Successfully pulled image X in 412ms (...)"."""
    duration = re.search(r" in ((?:[\d.]+(?:h|ms|m|s|µs|us|ns))+)", message)
    if not duration:
        return "pulled"
    parts = re.findall(r"([\d.]+)(h|ms|m|s|µs|us|ns)", duration[1])
    return f"pulled in {sum(float(number) * SECONDS[unit] for number, unit in parts):.1f} s"
