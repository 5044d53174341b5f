"""Values of resources: those that preview does not know, and those that are secret.

pulumi-policy 1.21 removes the marks of secrets before a policy runs. `keep_secret_marks` makes it hand out secret texts
as `SecretText` instead. It raises an error for an unknown value, which would end a policy. `plain` returns `UNKNOWN` in
its place, so that a rule judges everything else. The engine asks again during `pulumi up`, when no value is unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi_policy.policy
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, deserialize_properties
from pulumi_policy.proxy import UnknownValueError


class SecretText(str):
    """A text that Pulumi keeps encrypted. Never put it into a message."""

    __slots__ = ()


class Unknown:
    """A value that is known only after the deployment."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class Leaf(NamedTuple):
    """A text in a resource, the path to it, and its last key."""

    path: str
    key: str
    text: str


def keep_secret_marks() -> None:
    """Make pulumi-policy hand out secret texts as `SecretText`."""
    assert hasattr(pulumi_policy.policy, "deserialize_properties"), "pulumi-policy has another structure"
    pulumi_policy.policy.deserialize_properties = _deserialize


def _deserialize(properties: dict[str, Any], proxy_secrets: bool = False) -> dict[str, Any]:
    return deserialize_properties(properties if proxy_secrets else _mark(properties, is_secret=False), proxy_secrets)


def _mark(value: Any, *, is_secret: bool) -> Any:
    """Return the value without Pulumi's objects for secrets, and with `SecretText` in their place."""
    if isinstance(value, str):
        return SecretText(value) if is_secret else value
    if isinstance(value, list):
        return [_mark(item, is_secret=is_secret) for item in value]
    if isinstance(value, dict):
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            return _mark(value["value"], is_secret=True)
        return {key: _mark(item, is_secret=is_secret) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    """Return dictionaries and lists in place of the proxies of pulumi-policy, and UNKNOWN for unknown values."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, position) for position in range(len(value))]
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def may_be(value: Any, *expected: Any) -> bool:
    """Return whether the value is one of the expected ones, or unknown."""
    return value is UNKNOWN or value in expected


class _UnknownFields(dict[str, Any]):
    """The fields of an unknown object. All of them are unknown, and none has a name."""

    def get(self, key: str, default: Any = None) -> Any:
        return UNKNOWN


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping unchanged, unknown fields for an unknown value, and an empty mapping for any other value."""
    if value is UNKNOWN:
        return _UnknownFields()
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list unchanged, one unknown item for an unknown value, and an empty list for any other value."""
    if value is UNKNOWN:
        return [UNKNOWN]
    return value if isinstance(value, list) else []


def number(value: Any, default: float) -> float | None:
    """Return the number, the default for an absent one, or None for an unknown one, and for any other value."""
    if value is None:
        return default
    return value if isinstance(value, int | float) else None


def leaves(value: Any, path: str = "", key: str = "") -> Iterator[Leaf]:
    """Yield every text in the value."""
    if isinstance(value, str):
        yield Leaf(path, key, value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else str(name), str(name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, f"{path}[{position}]", key)
