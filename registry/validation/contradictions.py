"""Inputs that are right each for itself and wrong together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import Described, InvalidInput

Given = Mapping[str, Any]


class Choice(NamedTuple):
    """A key and the values of it with which another key means something; without values, any that is not empty."""

    key: str
    values: tuple[object, ...] = ()

    def made(self, given: Given) -> bool:
        return given[self.key] in self.values if self.values else bool(given[self.key])

    def __str__(self) -> str:
        if not self.values:
            return f"`{self.key}` is set"
        return f"`{self.key}` is {' or '.join(str(value).lower() for value in self.values)}"


FOLDER = Choice("storage", ("host-path", "local"))
S3 = Choice("storage", ("s3",))
LOAD_BALANCER = Choice("exposure", ("load-balancer",))
MIRROR = Choice("mode", ("mirror",))
TRUST = Choice("node_trust", (True,))

BELONGS: dict[str, tuple[Choice, ...]] = {
    "external_ips": (Choice("exposure", ("external-ips",)),),
    "node_port": (Choice("exposure", ("node-port",)),),
    "load_balancer_class": (LOAD_BALANCER,),
    "load_balancer_address": (LOAD_BALANCER,),
    "ingress_class": (Choice("exposure", ("ingress",)),),
    "storage_path": (FOLDER,),
    "storage_size": (Choice("storage", ("host-path", "local", "class")),),
    "storage_claim": (Choice("storage", ("claim",)),),
    "storage_class": (Choice("storage", ("class",)),),
    "storage_access": (Choice("storage", ("class",)),),
    "s3_bucket": (S3,),
    "s3_region": (S3,),
    "s3_endpoint": (S3,),
    "s3_prefix": (S3,),
    "s3_access_key": (S3,),
    "s3_secret_key": (S3,),
    "s3_secret": (S3,),
    "upstream_ca": (S3, MIRROR),
    "node": (FOLDER, Choice("exposure", ("external-ips",))),
    "node_label": (FOLDER,),
    "node_trust_image": (TRUST,),
    "containerd_folder": (TRUST,),
    "docker_folder": (TRUST,),
    "replicas": (Choice("workload", ("deployment",)),),
    "mirror_of": (MIRROR,),
    "mirror_username": (MIRROR,),
    "mirror_password": (MIRROR,),
    "allow_delete": (Choice("mode", ("read-write",)),),
    "service_monitor": (Choice("metrics", (True,)),),
    "default_pull_secret": (Choice("pull_secrets"),),
}
"""Keys that mean something with some choices only: set beside another one, they would silently do nothing."""

NEEDS: dict[Choice, str] = {
    Choice("exposure", ("external-ips",)): "external_ips",
    Choice("exposure", ("node-port",)): "node_port",
    Choice("exposure", ("ingress",)): "ingress_class",
    Choice("storage", ("claim",)): "storage_claim",
    Choice("storage", ("class",)): "storage_class",
    S3: "s3_bucket",
    MIRROR: "mirror_of",
}

TOGETHER = (
    ("ca_certificate", "ca_key"),
    ("ca_key", "ca_certificate"),
    ("s3_access_key", "s3_secret_key"),
    ("s3_secret_key", "s3_access_key"),
    ("mirror_password", "mirror_username"),
    ("mirror_username", "mirror_password"),
)
"""The first is of no use without the second."""

INSTEAD: dict[str, tuple[str, ...]] = {
    "tls_secret": (
        *("certificate_names", "certificate_subject", "certificate_key", "certificate_days", "renew_before_days"),
        *("ca_days", "ca_generations", "ca_certificate", "ca_key"),
    ),
    "ca_certificate": ("ca_days", "ca_generations"),
    "users_secret": ("users", "passwords", "password_generations", "pull_secrets"),
    "s3_secret": ("s3_access_key", "s3_secret_key"),
}
"""What brings its own, and the keys that would say otherwise."""

BESIDE_HASHES = "its hashes are no passwords; make the Secrets with `kubectl create secret docker-registry`"

EXISTING = ("tls_secret", "users_secret", "s3_secret", "storage_claim", "image_pull_secret")
"""Names of objects that are there before the registry, and so is the namespace that they are in."""


def refuse_idle(given: Given, defaults: Given) -> None:
    """Refuse a key that the choices of other keys leave without a meaning."""
    for key, choices in BELONGS.items():
        if _set(key, given, defaults) and not any(each.made(given) for each in choices):
            when = " or ".join(str(choice) for choice in choices)
            got = Described(f"a value while {_and(given, choices)}")
            raise InvalidInput(key, f"left out unless {when}", got, f"remove `{key}`, or change the other key")
    for key, others in INSTEAD.items():
        for other in others:
            if _set(key, given, defaults) and _set(other, given, defaults):
                remedy = BESIDE_HASHES if other == "pull_secrets" else "remove one of the two"
                raise InvalidInput(other, f"left out beside `{key}`, which brings its own", Described("both"), remedy)


def refuse_missing(given: Given, defaults: Given) -> None:
    """Refuse a choice without the key that it needs."""
    for choice, key in NEEDS.items():
        if choice.made(given) and given.get(key) in (None, [], ""):
            path = f"--path '{key}[0]'" if key == "external_ips" else key
            raise InvalidInput(key, f"set when {choice}", Described("nothing"), f"`pulumi config set {path} ...`")
    for key, other in TOGETHER:
        if _set(key, given, defaults) and not _set(other, given, defaults):
            raise InvalidInput(other, f"set beside `{key}`", Described("nothing"), "give both, or neither")
    for key in EXISTING:
        if given.get(key) is not None and given["create_namespace"]:
            got = Described("a namespace that is made with the registry, in which nothing exists before")
            remedy = f"set `create_namespace` to false, or leave `{key}` out"
            raise InvalidInput("create_namespace", f"false with `{key}`", got, remedy)


def refuse_unshared_replicas(given: Given) -> None:
    """Several replicas write to one storage, wherever they run."""
    shared = given["storage"] in ("s3", "claim") or given["storage_access"] == "ReadWriteMany"
    if given["replicas"] > 1 and not shared:
        got = Described(f"{given['replicas']} on {given['storage']} {given['storage_access']}")
        remedy = "use `storage` s3, or `storage` class with `storage_access` ReadWriteMany"
        raise InvalidInput("replicas", "1 where the storage is not shared", got, remedy)
    if given["replicas"] > 1 and given["mode"] == "mirror":
        got = Described(f"{given['replicas']} of a mirror")
        remedy = "each would overwrite the list of what expires, which they keep in one place"
        raise InvalidInput("replicas", "1 for a mirror", got, remedy)


def refuse_unshared_claim(replicas: int, modes: list[str]) -> None:
    """The same of an existing claim, whose access modes the cluster knows."""
    if replicas > 1 and "ReadWriteMany" not in modes:
        got = Described(f"{replicas} on a claim that is {', '.join(modes)}")
        raise InvalidInput("replicas", "1 where the storage is not shared", got, "use a ReadWriteMany claim, or s3")


def refuse_endless_renewal(renew_before_days: int, certificate_days: int) -> None:
    """A window as long as the life of the certificate would renew it at every `pulumi up`."""
    if renew_before_days >= certificate_days:
        got = Described(f"{renew_before_days} of {certificate_days} days")
        raise InvalidInput("renew_before_days", "less than `certificate_days`", got, "for example 30 of 356")


def _set(key: str, given: Given, defaults: Given) -> bool:
    """Whether a person set it. From the command line, the defaults of Pulumi.yaml arrive like any other value."""
    value = given.get(key)
    return value is not None and (key not in defaults or bool(value != defaults[key]))


def _and(given: Given, choices: tuple[Choice, ...]) -> str:
    return " and ".join(f"`{choice.key}` is {str(given[choice.key]).lower()}" for choice in choices)
