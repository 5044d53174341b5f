"""Rules against secrets in plain text.

A text is secret if Pulumi marks it, if it has the form of a secret, or if it has the name of one. No message has the
text itself.
"""

import re
from collections.abc import Iterator, Sequence

from ..resource import STACK, Pod, Resource
from ..rule import CRITICAL, Config, Finding, kinds, pod_rule, resource_rule, stack_rule
from ..values import Leaf, SecretText, items, leaves

SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:passwords?|passwd|passphrase|secrets?|tokens?|credentials?|(?:api|access|private|secret)[_-]?key)$",
    re.IGNORECASE,
)
"""Names of variables, keys and outputs with a secret. Words in camelCase are separated first."""

SECRET_FORMS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a URL with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$]+:[^\s/@'\"{}$]+@"),
    "a bcrypt hash": re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"),
    "an AWS key": re.compile(r"\bA(?:KIA|SIA)[A-Z0-9]{16}\b"),
}
"""Forms of secrets, which need no name."""

SECRET_OPTION = re.compile(r"(?i)^--?[a-z0-9-]*(?:password|passwd|secret|token)(?:=(?![/$])\S+)?$")
"""An option of a command line for a secret, with or without its value. A path or a variable is no secret."""

SHORTEST_SECRET = 12
"""Characters of a generated secret that is searched for. A shorter one may be a part of any text."""

GENERATORS = ("random:", "tls:index/privateKey:")
"""Beginnings of the types whose outputs are generated secrets."""


def has_secret_name(key: str) -> bool:
    """Return whether a variable, a key or an output has the name of a secret."""
    return SECRET_NAME.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)) is not None


def secret_form(text: str) -> str | None:
    """Return what makes the text itself a secret, or None."""
    if isinstance(text, SecretText):
        return "a secret of the program"
    return next((form for form, pattern in SECRET_FORMS.items() if pattern.search(text)), None)


def _reason(leaf: Leaf) -> str | None:
    """Return what makes the text of a leaf a secret, or None. A path is not secret, whatever its name."""
    if form := secret_form(leaf.text):
        return form
    return "a secret by its name" if leaf.text and leaf.text[0] != "/" and has_secret_name(leaf.key) else None


@pod_rule(
    "environment-has-no-secret",
    "No variable of a container has a secret as its value.",
    "Put it into a Secret, and refer to it with `valueFrom.secretKeyRef`.",
    severity=CRITICAL,
)
def environment_has_no_secret(pod: Pod, config: Config) -> Iterator[str]:
    for container in pod.containers:
        for name, value in container.variables:
            if isinstance(value, str) and (reason := _reason(Leaf(name, name, value))):
                yield f"The variable {name} of the container `{container.name}` is {reason}."


@pod_rule(
    "command-has-no-secret",
    "No command or argument of a container is a secret.",
    "Put it into a Secret, and let the program read a file or a variable. Every user of a node sees arguments.",
    severity=CRITICAL,
)
def command_has_no_secret(pod: Pod, config: Config) -> Iterator[str]:
    for container in pod.containers:
        words = [word for key in ("command", "args") for word in items(container.fields.get(key))]
        texts = [word for word in words if isinstance(word, str)]
        for position, word in enumerate(texts):
            following = texts[position + 1] if position + 1 < len(texts) else ""
            if reason := secret_form(word) or _option_reason(word, following):
                yield f"Word {position + 1} of the command of the container `{container.name}` is {reason}."


def _option_reason(word: str, following: str) -> str | None:
    if not SECRET_OPTION.match(word):
        return None
    has_value = "=" in word or (following != "" and following[0] not in "-/$")
    return "an option with a secret" if has_value else None


@resource_rule(
    "config-map-has-no-secret",
    "No ConfigMap has a secret.",
    "Put it into a Secret.",
    of=kinds("ConfigMap"),
    severity=CRITICAL,
)
def config_map_has_no_secret(resource: Resource, config: Config) -> Iterator[str]:
    for leaf in leaves({key: resource.props.get(key) for key in ("data", "binaryData")}):
        if reason := _reason(leaf):
            yield f"The key {leaf.key} of the ConfigMap `{resource.name}` has {reason}."


@resource_rule(
    "metadata-has-no-secret",
    "No name, label or annotation is a secret.",
    "Remove it. Metadata is readable for all who may list objects.",
    of=lambda resource: resource.kind != "",
    severity=CRITICAL,
)
def metadata_has_no_secret(resource: Resource, config: Config) -> Iterator[str]:
    found = {leaf.path: leaf for leaf in leaves(resource.metadata, "metadata")}
    if (pod := resource.pod) is not None and pod.metadata is not resource.metadata:
        found |= {leaf.path: leaf for leaf in leaves(pod.metadata, "template.metadata")}
    for path, leaf in found.items():
        if reason := secret_form(leaf.text):
            yield f"`{path}` of {resource.kind} `{resource.name}` is {reason}."


@resource_rule(
    "secret-data-is-encrypted",
    "The data of every Secret is encrypted in the state.",
    "Mark it with `pulumi.Output.secret`, or read it with `config.require_secret`.",
    of=kinds("Secret"),
    severity=CRITICAL,
)
def secret_data_is_encrypted(resource: Resource, config: Config) -> Iterator[str]:
    for field in ("data", "stringData"):
        for leaf in leaves(resource.props.get(field)):
            if leaf.text and not isinstance(leaf.text, SecretText):
                yield f"The key {leaf.key} of the Secret `{resource.name}` is in plain text in the state."


@stack_rule(
    "outputs-have-no-plain-secret",
    "Secret outputs of the stack are marked as secret.",
    "Export it with `pulumi.Output.secret`.",
    severity=CRITICAL,
)
def outputs_have_no_plain_secret(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    for resource in resources:
        if resource.type == STACK:
            for leaf in leaves(resource.props):
                if not isinstance(leaf.text, SecretText) and (reason := _reason(leaf)):
                    yield Finding(f"The output {leaf.path} is {reason}.", resource.urn)


@stack_rule(
    "generated-secret-is-not-copied",
    "A generated password or key is in no text that is not secret.",
    "Do not use `pulumi.Output.unsecret` for it.",
    severity=CRITICAL,
)
def generated_secret_is_not_copied(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    secrets = {
        leaf.text: resource.name
        for resource in resources
        if resource.type.startswith(GENERATORS)
        for leaf in leaves(resource.props)
        if isinstance(leaf.text, SecretText) and len(leaf.text) >= SHORTEST_SECRET
    }
    for resource in resources:
        for leaf in leaves(resource.props):
            if not isinstance(leaf.text, SecretText):
                for source in {name for text, name in secrets.items() if text in leaf.text}:
                    yield Finding(f"`{leaf.path}` of `{resource.name}` has the secret of `{source}`.", resource.urn)


RULES = (
    environment_has_no_secret,
    command_has_no_secret,
    config_map_has_no_secret,
    metadata_has_no_secret,
    secret_data_is_encrypted,
    outputs_have_no_plain_secret,
    generated_secret_is_not_copied,
)
