"""What became of a pull, judged by what the kubelet says of its Pod; and what to do where it failed. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .causes import Fault

Object = Mapping[str, Any]

FAILED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable")
"""Reasons of a container that waits because there is no image."""

NOT_YET = ("ContainerCreating", "PodInitializing")

TRUST = "set `node_trust: true` and `pulumi up`: then every node trusts the CA and finds the registry without DNS"

LOOK = "see what the name is on that node: in DNS, /etc/hosts and the runtime's hosts.toml"

CAUSES = (
    (r"signed by unknown authority", "x509: the node does not trust the registry's CA", TRUST),
    (
        r"x509: certificate is valid for|x509: cannot validate certificate for|doesn't contain any IP SANs",
        "x509: the certificate is not for the name by which the node reaches it",
        f"name it in `certificate_names` and `pulumi up`; {LOOK}",
    ),
    (
        r"x509: certificate has expired or is not yet valid",
        "x509: the certificate is out of date by the node's clock",
        "see `date` on the node; `pulumi up` renews the certificate in its last days",
    ),
    (
        r"no such host|: lookup \S+( on \S+)?: ",
        "no such host: the node does not find the registry by its name",
        f"{TRUST}; or add the name to the nodes' DNS or /etc/hosts",
    ),
    (
        r"\b401\b|[Uu]nauthorized|authorization failed|no basic auth credentials|access denied|insufficient_scope",
        "401: the node's runtime is refused, though the stack's password is right",
        "has the runtime's own configuration an `auth` for the registry? Pods get theirs by `pull_secrets`",
    ),
    (r"connection refused", "connection refused: nothing listens where the node looks", LOOK),
    (
        r"i/o timeout|deadline exceeded|no route to host|network is unreachable",
        "no answer: the node does not reach the registry",
        "is there a firewall between the nodes, or `client_cidrs` without their network?",
    ),
    (r"HTTP response to HTTPS client|does not look like a TLS handshake", "no TLS: something else answers", LOOK),
    (r"not found", "not found: another registry answers where the node looks", LOOK),
)
"""What a runtime says (containerd's words and Go's), the cause and the remedy; the first that matches counts."""

DIGEST = re.compile(r"sha256:[0-9a-f]+")
"""Of the image, in which any number may stand."""

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


def outcome(pod: Object, events: Sequence[Object]) -> str | Fault | None:
    """What was seen, or what is at fault, or nothing as long as it is open. `events` are the Pod's."""
    told = {each["reason"]: each.get("message", "") for each in events}
    if "Pulled" in told:
        return _pulled(told["Pulled"])
    status = pod.get("status", {})
    state: Object = next((each["state"] for each in status.get("containerStatuses", [])), {})
    waiting = state.get("waiting", {})
    if waiting.get("reason") in FAILED:
        return cause_of(_best(waiting.get("message", ""), [each.get("message", "") for each in events]))
    if state and waiting.get("reason") not in NOT_YET:
        return "pulled"  # whatever became of the container afterwards; events are not kept for certain
    if status.get("phase") == "Failed":
        why = ": ".join(filter(None, [status.get("reason"), status.get("message")]))
        return Fault(f"the node takes no Pod: {why}", f"see `kubectl describe node {pod['spec']['nodeName']}`")
    return None


def cause_of(message: str) -> Fault:
    """The fault behind a runtime's message; one that is not known is shown as it is, its last part, which says most."""
    for pattern, cause, remedy in CAUSES:
        if re.search(pattern, DIGEST.sub("", message)):
            return Fault(cause, remedy)
    last = message.rpartition('": ')[2] or message
    return Fault(f"not pulled: {last or 'without a word'}", "see the log of the node's container runtime")


def _best(message: str, others: Sequence[str]) -> str:
    """The message that tells the cause: one of a back-off may not."""
    told = [message, *(each for each in others if each.startswith("Failed to pull"))]
    return max(told, key=len)


def _pulled(message: str) -> str:
    """With the time, where the kubelet tells it: "Successfully pulled image X in 412ms (…)"."""
    took = re.search(r" in ((?:[\d.]+(?:h|ms|m|s|µs|us|ns))+)", message)
    if not took:
        return "pulled"
    parts = re.findall(r"([\d.]+)(h|ms|m|s|µs|us|ns)", took[1])
    return f"pulled in {sum(float(number) * UNITS[unit] for number, unit in parts):.1f} s"
