"""Rules for inputs that are valid alone and wrong together."""

from typing import Any

from ..choices import IssuerKind
from ..validation.errors import InvalidInput, quoted
from ..validation.external_ips import refuse_port_of_nodes
from ..validation.storage import STORAGE_KINDS
from .table import ACCESS_CONDITIONS, INPUTS, Row, Values

KINDS_IN_WORDS = {"claim": "claim", "s3": "bucket or prefix"}
"""Names of places for a backup."""

CREATE_PULL_SECRETS = (
    "Remove `users_secret`. Or remove `pull_secrets`, and create each pull Secret with "
    "`kubectl create secret docker-registry NAME --docker-server=ENDPOINT --docker-username=USER "
    "--docker-password=PASSWORD`, because the hashes in `users_secret` are not enough to log in"
)
"""Remedy if `pull_secrets` is set together with `users_secret`."""


def check_combinations(values: Values) -> None:
    """Refuse inputs without an effect, missing inputs, and inputs that contradict each other."""
    # One pass for each rule: an input without an effect is reported before another one that is missing.
    for rule in (_refuse_without_effect, _refuse_replaced, _refuse_missing, _refuse_single, _refuse_new_namespace):
        for key, row in INPUTS.items():
            rule(key, row, values)
    _refuse_replicas(values)
    _refuse_maintenance(values)
    _refuse_backup(values)
    _refuse_plain_token(values)
    _refuse_min_free_of_a_mirror(values)
    if values["exposure"] == "external-ips":
        refuse_port_of_nodes(values["port"])
    _refuse_clients_of_a_gateway(values)
    _refuse_unusable_issuer(values)
    _refuse_front_without_reload(values)
    _refuse_own_namespace(values)


def _refuse_without_effect(key: str, row: Row, values: Values) -> None:
    """Refuse an input that has no effect with the values of other inputs."""
    if not row.only_with or not _is_set(key, values) or any(condition.holds(values) for condition in row.only_with):
        return
    actual = " and ".join(f"`{condition.key}` is {_shown(values.get(condition.key))}" for condition in row.only_with)
    needed = " or ".join(str(condition) for condition in row.only_with)
    problem = f"has an effect only if {needed}"
    if any(condition.values for condition in row.only_with):
        problem += f", but {actual}"
    raise InvalidInput(key, "no-effect", problem, f"Remove `{key}`, or change the other input")


def _refuse_replaced(key: str, row: Row, values: Values) -> None:
    """Refuse an input that has no effect because another one is set."""
    for other in row.replaces:
        if _is_set(key, values) and _is_set(other, values):
            is_pull = (key, other) == ("users_secret", "pull_secrets")
            remedy = CREATE_PULL_SECRETS if is_pull else "Remove one of the two"
            problem = f"cannot be set together with `{key}`, because it would have no effect"
            raise InvalidInput(other, "replaced", problem, remedy)


def _refuse_missing(key: str, row: Row, values: Values) -> None:
    """Refuse a missing input that the choice of another input requires."""
    if not row.required or values.get(key) not in (None, [], ""):
        return
    for condition in row.only_with:
        if condition.holds(values):
            argument = f"--path '{key}[0]'" if values.get(key) == [] else key  # the first element of a list
            problem = f"is missing, but {condition}"
            raise InvalidInput(key, "missing", problem, f"For example `pulumi config set {argument} {row.required}`")


def _refuse_single(key: str, row: Row, values: Values) -> None:
    """Refuse one of two inputs that must be set together."""
    if row.both_or_neither and _is_set(key, values) and not _is_set(row.both_or_neither, values):
        problem = f"is missing, but `{key}` is set"
        raise InvalidInput(row.both_or_neither, "missing", problem, "Set both, or neither")


def _refuse_new_namespace(key: str, row: Row, values: Values) -> None:
    """Refuse to create the namespace of an existing object."""
    if row.existing and values.get(key) is not None and values["create_namespace"]:
        problem = f"is true, but `{key}` names an existing object, and a new namespace would be empty"
        remedy = f"Set `create_namespace` to false, or remove `{key}`"
        raise InvalidInput("create_namespace", "namespace-is-new", problem, remedy)


def _refuse_replicas(values: Values) -> None:
    """Refuse several replicas if they do not share their storage, or if the registry is a mirror."""
    replicas = values["replicas"]
    is_shared = STORAGE_KINDS[values["storage"]].several_nodes or values["storage_access"] == "ReadWriteMany"
    if replicas > 1 and not is_shared:
        key = "storage_access" if values["storage"] == "class" else "storage"
        problem = f"must be 1, not {replicas}, because `{key}` is {values[key]}"
        remedy = "Use an object store, or `storage` class with `storage_access` ReadWriteMany"
        raise InvalidInput("replicas", "storage-not-shared", problem, remedy)
    if replicas > 1 and values["mode"] == "mirror":
        problem = f"must be 1 for a mirror, not {replicas}, because each replica would overwrite the expiry list of "
        problem += "the other replicas"
        raise InvalidInput("replicas", "mirror-not-shared", problem, "Remove `replicas`")


def _refuse_maintenance(values: Values) -> None:
    """Refuse jobs for a mirror, which removes images by itself, and for a storage that they cannot reach."""
    for key in ("collect", "scrub", "backup"):
        if values.get(key) is None:
            continue
        if values["mode"] == "mirror":
            problem = "cannot be set for a mirror, which removes images by itself after seven days"
            raise InvalidInput(key, "mirror-removes", problem, f"Remove `{key}`, or change `mode`")
        kind = STORAGE_KINDS[values["storage"]]
        if not kind.jobs_read_it:
            problem = f"cannot be set with `storage` {values['storage']}, which the jobs cannot read"
            raise InvalidInput(key, "storage-not-read", problem, f"Remove `{key}`, or use `storage` s3")
        if kind.key and values.get(kind.secret) is None and values.get(kind.key) is None:
            problem = "needs the keys of the bucket, because the job cannot use a role"
            remedy = "Set `s3_secret`, or `s3_access_key` and `s3_secret_key`"
            raise InvalidInput(key, "needs-keys", problem, remedy)
        if values["storage_access"] == "ReadWriteOncePod":
            problem = "needs a claim that two Pods can mount, but `storage_access` is ReadWriteOncePod"
            remedy = f"Set `storage_access` to ReadWriteOnce before the first deployment, or remove `{key}`"
            raise InvalidInput(key, "claim-of-one-pod", problem, remedy)


def _refuse_backup(values: Values) -> None:
    """Refuse a bucket without keys, credentials for a claim, and a backup in the storage of the images."""
    if values.get("backup") is None:
        return
    ((kind, place),) = values["backup"]["to"].items()
    if kind == "s3" and values.get("backup_user") is None and values.get("backup_secret") is None:
        problem = "is missing, but `backup.to.s3` is set, and the job cannot use the role of a node"
        remedy = "Set `backup_user` and `backup_password`, or `backup_secret`"
        raise InvalidInput("backup_user", "missing", problem, remedy)
    for key in ("backup_user", "backup_secret", "backup_ca"):
        if kind == "claim" and values.get(key) is not None:
            problem = "has no effect, because `backup.to.claim` needs no server"
            raise InvalidInput(key, "no-effect", problem, f"Remove `{key}`")
    if _is_storage(kind, place, values):
        problem = "is the storage of the images, so the backup would be lost with them"
        raise InvalidInput(f"backup.to.{kind}", "backup-in-itself", problem, f"Use another {KINDS_IN_WORDS[kind]}")


def _refuse_plain_token(values: Values) -> None:
    """Refuse a role of Azure without TLS, because its client sends no token then. An Output is checked by no rule."""
    endpoint = values.get("azure_endpoint")
    if isinstance(endpoint, str) and endpoint.startswith("http://") and values.get("azure_secret") is None:
        problem = f"must be an https URL without `azure_secret`, not {quoted(endpoint)}, because a role needs TLS"
        raise InvalidInput("azure_endpoint", "role-without-tls", problem, "Use https, or set `azure_secret`")


def _is_storage(kind: str, place: Any, values: Values) -> bool:
    """Return whether the place of the backup is that of the images, as far as it is known before deployment."""
    if kind == "claim":
        return values["storage"] == "claim" and bool(values.get("storage_claim") == place)
    keys = ("bucket", "endpoint", "prefix")
    return kind == values["storage"] == "s3" and all(place.get(key) == values.get(f"s3_{key}") for key in keys)


def _refuse_min_free_of_a_mirror(values: Values) -> None:
    """Refuse `min_free` for a mirror, which fills its storage by pulls."""
    if values["min_free"] and values["mode"] == "mirror":
        problem = "limits pushes, and a mirror accepts no pushes, but fills its storage by pulls"
        raise InvalidInput("min_free", "no-pushes", problem, "Remove `min_free`, or change `mode`")


def _refuse_unusable_issuer(values: Values) -> None:
    """Refuse an Issuer in a namespace that does not exist yet, and a certificate that cert-manager renews too late."""
    issuer = values.get("certificate_issuer")
    if issuer is None:
        return
    if issuer["kind"] == IssuerKind.ISSUER and values["create_namespace"]:
        problem = "is true, but `certificate_issuer` names an Issuer, and a new namespace would be empty"
        remedy = "Set `create_namespace` to false, or use a ClusterIssuer"
        raise InvalidInput("create_namespace", "namespace-is-new", problem, remedy)
    if not values["renew_before_days"]:
        problem = "must be at least 1 with `certificate_issuer`, because cert-manager renews before the end"
        raise InvalidInput("renew_before_days", "renewed-too-late", problem, "Use for example 30")


def _refuse_front_without_reload(values: Values) -> None:
    """Refuse settings of the proxy if `certificate_reload` turns it off, and no access rule needs it."""
    if values["certificate_reload"] or any(condition.holds(values) for condition in ACCESS_CONDITIONS):
        return
    for key in ("front_image", "front_requests", "front_limits"):
        if _is_set(key, values):
            problem = "has no effect, because `certificate_reload` is false, and so the Pod has no proxy"
            raise InvalidInput(key, "no-effect", problem, f"Remove `{key}` or `certificate_reload`")


def _refuse_clients_of_a_gateway(values: Values) -> None:
    """Refuse networks of clients behind a Gateway, which passes connections on with its own address."""
    if values["exposure"] == "gateway" and _is_set("client_cidrs", values):
        problem = "cannot be set when `exposure` is gateway, because the registry sees the address of the Gateway"
        remedy = "Remove `client_cidrs`, and restrict the clients at the Gateway"
        raise InvalidInput("client_cidrs", "clients-hidden", problem, remedy)


def _refuse_own_namespace(values: Values) -> None:
    """Refuse a pull Secret in the namespace that the component creates, because no other Pods run there."""
    if values["create_namespace"] and values["namespace"] in values["pull_secrets"]:
        problem = f"has the namespace {values['namespace']!r}, which the component creates for the registry alone"
        remedy = "Remove it from the list, or set `create_namespace` to false if that namespace exists already"
        raise InvalidInput("pull_secrets", "own-namespace", problem, remedy)


def _shown(value: object) -> str:
    return "not set" if value is None else str(value).lower()


def _is_set(key: str, values: Values) -> bool:
    """Return whether the input differs from its default.

    The engine passes the defaults of Pulumi.yaml like other values.
    """
    value, default = values.get(key), INPUTS[key].default
    return value is not None and (default is None or bool(value != default))
