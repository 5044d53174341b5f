"""Rules for objects of the cluster that the registry uses: the node, the claim and the namespace."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..choices import StorageAccess
from .errors import InvalidInput, quoted

HOSTNAME_LABEL = "kubernetes.io/hostname"
"""Label that a volume selects its node by. The kubelet sets it. It may differ from the name of the node."""

LONGEST_LABEL = 63
"""Characters of a label's value. The name of a node may have 253."""

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label that sets the Pod Security level of a namespace."""

WAIT = "WaitForFirstConsumer"
"""Volume binding mode of a class that binds a claim only once a Pod uses it."""


def refuse_missing_object(key: str, what: str, name: str, remedy: str) -> None:
    """Refuse the name of an object that does not exist."""
    raise InvalidInput(key, "does-not-exist", f"names the {what} {quoted(name)}, which does not exist", remedy)


def hostname_of(node: str, labels: Mapping[str, str] | None) -> str:
    """Return the label that volumes select the node by. Without any label, as under Pulumi mocks, it is the name."""
    if not labels:
        return node
    if not labels.get(HOSTNAME_LABEL):
        problem = f"is {quoted(node)}, which has no label {HOSTNAME_LABEL}, so no volume can select it"
        remedy = f"Run `kubectl label node {node} {HOSTNAME_LABEL}={_hostname_label(node)}`"
        raise InvalidInput("node", "no-hostname-label", problem, remedy)
    return labels[HOSTNAME_LABEL]


def _hostname_label(node: str) -> str:
    """Return a value for the label, which has at most 63 characters. A longer name is cut, and gets a digest."""
    if len(node) <= LONGEST_LABEL:
        return node
    digest = hashlib.sha256(node.encode()).hexdigest()[:8]
    return f"{node[: LONGEST_LABEL - 9].rstrip('-.')}-{digest}"


class Claim(NamedTuple):
    """An existing claim. `binding_mode` is that of the StorageClass of a pending claim."""

    name: str
    namespace: str
    volume_mode: str | None
    access_modes: Sequence[str]
    phase: str | None
    is_deleted: bool = False
    binding_mode: str | None = None


def refuse_unusable_claim(claim: Claim, mode: str) -> None:
    """Refuse an existing claim that the Pod could not mount, or that a registry in this mode could not write to."""
    name, show = claim.name, f"`kubectl describe pvc {claim.name} --namespace {claim.namespace}`"
    if claim.volume_mode == "Block":
        problem = f"names the claim {quoted(name)}, a block device, but the registry stores files"
        raise InvalidInput("storage_claim", "claim-is-block", problem, "Use a claim with `volumeMode: Filesystem`")
    modes = claim.access_modes
    if modes and mode != "read-only" and not {*modes} & {*StorageAccess}:
        problem = f"names the claim {quoted(name)}, which is {', '.join(modes)}, but the registry writes to it"
        remedy = "Use a ReadWriteOnce or ReadWriteMany claim, or run `pulumi config set mode read-only`"
        raise InvalidInput("storage_claim", "claim-is-read-only", problem, remedy)
    if claim.is_deleted:
        problem = f"names the claim {quoted(name)}, which is being deleted"
        raise InvalidInput("storage_claim", "claim-is-deleted", problem, "Use another claim")
    if claim.phase == "Lost":
        problem = f"names the claim {quoted(name)}, which has lost its volume"
        raise InvalidInput("storage_claim", "claim-is-lost", problem, f"Find the cause by {show}, or use another claim")
    if claim.phase == "Pending" and claim.binding_mode != WAIT:
        problem = f"names the claim {quoted(name)}, which is not bound to a volume"
        raise InvalidInput("storage_claim", "claim-not-bound", problem, f"Find the cause by {show}, and try again")


def refuse_other_namespace(name: str, namespace: Mapping[str, Any], *, is_own: bool) -> None:
    """Refuse to create a namespace that exists already, unless it is the registry's own.

    The API server would refuse it after other objects were created. A provider with `upsertExistingObjects` would take
    it over, and `pulumi destroy` would delete it with everything in it. `namespace` is {} if it does not exist.
    """
    if namespace and not is_own:
        problem = f"is true, but the namespace {quoted(name)} exists already, and is not the registry's"
        remedy = "Run `pulumi config set create_namespace false` to use it, or set another `namespace`"
        raise InvalidInput("create_namespace", "namespace-exists", problem, remedy)
    refuse_deleted_namespace(name, (namespace.get("status") or {}).get("phase"))


def refuse_deleted_namespace(name: str, phase: str | None) -> None:
    """Refuse a namespace that is being deleted."""
    if phase == "Terminating":
        problem = f"names the namespace {quoted(name)}, which is being deleted"
        remedy = f"Run `kubectl wait --for=delete namespace/{name}`, and try again"
        raise InvalidInput("namespace", "namespace-is-deleted", problem, remedy)


def refuse_unusable_namespace(name: str, labels: Mapping[str, str], phase: str | None, run_as_user: int) -> None:
    """Refuse an existing namespace that would reject the Pod. The Pod meets `restricted`, and as root `baseline`."""
    refuse_deleted_namespace(name, phase)
    if labels.get(ENFORCE) == "restricted" and run_as_user == 0:
        problem = f"must not be 0, because the namespace {quoted(name)} has the Pod Security level restricted"
        remedy = "Run `pulumi config set run_as_user 65532`. On the node, that user must own a host-path"
        raise InvalidInput("run_as_user", "pod-security", problem, remedy)


def refuse_wrong_secret_type(key: str, name: str, actual: str, allowed: tuple[str, ...], remedy: str) -> None:
    """Refuse an existing Secret of a type that its reader ignores."""
    if actual not in allowed:
        problem = f"names the Secret {quoted(name)} of type {actual}, but needs {allowed[0]}"
        raise InvalidInput(key, "secret-type", problem, remedy)
