"""Rules for who may do what: access rules, robots, the pull Secrets' user, and tokens of another issuer."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .access_rules import (
    ANONYMOUS,
    AUTHENTICATED,
    COMPONENT,
    DELETE,
    EVERYTHING,
    PULL,
    PULL_USER,
    RIGHTS,
    makes_void,
    rule_of,
)
from .basics import MOST_ENTRIES, did_you_mean, rule_list, text, texts
from .errors import InvalidInput, quoted
from .images import NEWEST, image, is_before_3, version_of

RULE_FIELDS = ("users", "repositories", "rights")

ROBOT_FIELDS = ("repositories", "rights")

NEWEST_FRONT = "haproxy:3.4.6-alpine"

FRONT_FLOOR = (2, 8, 2)
"""Version of HAProxy whose rules do not read `#` as a part of the path (CVE-2023-45539)."""

LONGEST_GLOB = 255
"""Bytes of a repository name (github.com/distribution/reference, RepositoryNameTotalLengthMax)."""

GROUPS = (ANONYMOUS, AUTHENTICATED)

EXAMPLE_RULE = "For example [{users: [jean], repositories: [team/*], rights: [push]}]"
EXAMPLE_ROBOT = "For example {ci: {repositories: [team/*], rights: [push]}}"
EXAMPLE_GLOB = "For example 'team/web', 'team/*' for one more part, or '**' for every repository"


def access(value: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Require rules with users, repositories and rights."""
    items = rule_list("access", value, EXAMPLE_RULE, "Summarize them by globs and by groups of users")
    return [_rule(f"access[{position}]", rule) for position, rule in enumerate(items)]


def _rule(key: str, rule: Mapping[str, Any]) -> dict[str, list[str]]:
    fields = _fields(key, rule, RULE_FIELDS, EXAMPLE_RULE)
    if ANONYMOUS in fields["users"] and fields["rights"] != [PULL]:
        problem = f"must be [{PULL}] for {ANONYMOUS}, because anybody could push or delete"
        remedy = f"Set it to [{PULL}], or use {AUTHENTICATED} instead of {ANONYMOUS}"
        raise InvalidInput(f"{key}.rights", "right-of-anonymous", problem, remedy)
    if len(fields["users"]) > 1 and (groups := [name for name in fields["users"] if name in GROUPS]):
        problem = f"has {groups[0]} next to other users, which it includes"
        raise InvalidInput(f"{key}.users", "group-and-users", problem, f"Keep {groups[0]} alone, or remove it")
    return fields


def _fields(key: str, entry: Mapping[str, Any], fields: Sequence[str], example: str) -> dict[str, list[str]]:
    """Require exactly these fields, each with its kind of entries. `example` is the remedy if one is missing."""
    for field in entry:
        if field not in fields:
            remedy = did_you_mean(field, fields) if isinstance(field, str) else ""
            problem = f"has the field {quoted(field)}, but only {', '.join(fields)} exist"
            raise InvalidInput(key, "unknown-key", problem, remedy or "Remove it")
    for field in fields:
        if not entry.get(field):
            raise InvalidInput(f"{key}.{field}", "missing", "is missing", example)
    checked = {field: _entries(f"{key}.{field}", entry[field], field) for field in fields}
    for glob in checked["repositories"]:
        check_glob(f"{key}.repositories", glob)
    for right in checked["rights"]:
        if right not in RIGHTS:
            problem = f"must be {', '.join(RIGHTS)}, not {quoted(right)}"
            remedy = did_you_mean(right, RIGHTS) or "Whoever may push or delete may pull too"
            raise InvalidInput(f"{key}.rights", "not-a-choice", problem, remedy)
    return checked


def _entries(key: str, value: object, field: str) -> list[str]:
    return texts(key, value, {"users": "jean", "repositories": "team/web", "rights": PULL}[field])


def check_glob(key: str, glob: str) -> None:
    """Require a repository name (OCI distribution specification), whose parts may also be `*` or `**`."""
    parts = glob.split("/")
    is_name = all(part in ("*", EVERYTHING) or re.fullmatch(COMPONENT, part, re.ASCII) for part in parts)
    if not is_name or len(glob.encode()) > LONGEST_GLOB:
        problem = f"must be names of repositories, whose parts may be '*' or '**', not {quoted(glob)}"
        raise InvalidInput(key, "not-a-glob", problem, EXAMPLE_GLOB)


def globs(key: str, value: list[str]) -> list[str]:
    """Require globs of repositories."""
    entries = texts(key, value, "team/web")
    for glob in entries:
        check_glob(key, glob)
    return entries


def robots(value: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Require robots by name, each with repositories and rights."""
    if not isinstance(value, Mapping) or not all(isinstance(robot, Mapping) for robot in value.values()):
        raise InvalidInput("robots", "not-a-map", f"must be a map by name, not {quoted(value)}", EXAMPLE_ROBOT)
    if len(value) > MOST_ENTRIES:
        problem = f"must be at most {MOST_ENTRIES} robots, not {len(value)}"
        raise InvalidInput("robots", "too-many", problem, "Let pipelines of one team share a robot")
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", name) or len(name) > 63:
            problem = f"must have names of small letters, digits, dots and dashes, not {quoted(name)}"
            raise InvalidInput("robots", "name-characters", problem, "For example ci-web")
    return {name: _fields(f"robots.{name}", robot, ROBOT_FIELDS, EXAMPLE_ROBOT) for name, robot in value.items()}


def names_are_distinct(users: Sequence[str], robots: Mapping[str, object], pull_secrets: Sequence[str]) -> None:
    """Refuse a robot with the name of a user, and a user or robot with the name of a group or of the pull user."""
    for name in robots:
        if name in users:
            problem = f"has {name!r}, which is in `users` already"
            raise InvalidInput("robots", "repeated", problem, "Rename one of the two")
    for key, names in (("users", users), ("robots", [*robots])):
        if taken := [name for name in names if name in GROUPS]:
            problem = f"has {taken[0]!r}, which means a group in `access`"
            raise InvalidInput(key, "name-of-a-group", problem, "Rename it")
        if pull_secrets and PULL_USER in names:
            problem = f"has {PULL_USER!r}, the user of the pull Secrets"
            raise InvalidInput(key, "name-of-pull-user", problem, "Rename it")


def names_are_plain(users: Sequence[str], *inputs_of_proxy: object) -> None:
    """Refuse names that are no words in the files of the proxy. `inputs_of_proxy` are those that need the proxy."""
    for name in users:
        if any(inputs_of_proxy) and not re.fullmatch(r"[A-Za-z0-9._@+=-]+", name, re.ASCII):
            problem = "must have names of letters, digits and . _ @ + = - with access rules or `min_free`"
            problem += f", not {quoted(name)}"
            raise InvalidInput("users", "not-plain", problem, "Rename it, or remove the rules and `min_free`")


def rules_name_users(rules: Sequence[Mapping[str, Any]], users: Sequence[str], robots: Mapping[str, object]) -> None:
    """Refuse a rule for an unknown user, or one that an earlier rule makes void."""
    names = [*users, *robots]
    for position, rule in enumerate(rules):
        for name in rule["users"]:
            if name not in (*names, *GROUPS):
                key, remedy = f"access[{position}].users", did_you_mean(name, [*names, *GROUPS])
                problem = f"has {quoted(name)}, who is not in `users` or `robots`"
                raise InvalidInput(key, "unknown-user", problem, remedy or f"Add {name!r} to `users`, or remove it")
    parsed = [rule_of(rule) for rule in rules]
    for position, later in enumerate(parsed):
        if earlier := [at for at, rule in enumerate(parsed[:position]) if makes_void(rule, later, names)]:
            problem = f"allows nothing that `access[{earlier[0]}]` does not allow already"
            remedy = f"Remove it, or narrow `access[{earlier[0]}]`. No rule takes a right away"
            raise InvalidInput(f"access[{position}]", "void-rule", problem, remedy)


def deletion_is_allowed(rules: Sequence[Mapping[str, Any]], robots: Mapping[str, Any], allow_delete: bool) -> None:
    """Refuse the right to delete while the registry refuses every deletion."""
    entries = [
        *((f"access[{at}]", rule) for at, rule in enumerate(rules)),
        *((f"robots.{n}", r) for n, r in robots.items()),
    ]
    for key, entry in entries:
        if DELETE in entry["rights"] and not allow_delete:
            problem = f"has {DELETE}, but `allow_delete` is false, so the registry refuses every deletion"
            remedy = f"Run `pulumi config set allow_delete true`, or remove {DELETE}"
            raise InvalidInput(f"{key}.rights", "deletion-is-off", problem, remedy)


def front_image(value: str) -> str:
    """Require an image of HAProxy without known ways around the rules. A digest alone has no version to check."""
    reference = image(value, key="front_image")
    version = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version_of(reference))
    if version and tuple(int(number or 0) for number in version.groups()) < FRONT_FLOOR:
        problem = f"must be HAProxy {'.'.join(map(str, FRONT_FLOOR))} or newer, not {quoted(reference)}"
        remedy = f"Run `pulumi config set front_image {NEWEST_FRONT}`. The rules of older versions let requests through"
        raise InvalidInput("front_image", "version-with-holes", problem, remedy)
    return reference


EXAMPLE_REALM = "https://gitlab.example.com/jwt/auth"

TOKEN_FIELDS = {
    "realm": EXAMPLE_REALM,
    "service": "container_registry",
    "issuer": "omnibus-gitlab-issuer",
    "jwks": '{"keys": [...]}',
}
"""Example of each field of a token service."""

ASYMMETRIC_KEYS = ("RSA", "EC", "OKP")
"""Values of `kty` with a public half (RFC 7518, section 6.1; RFC 8037)."""

PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
"""Members of a JWK that only its owner may know (RFC 7518, section 6)."""


def token(value: Mapping[str, str]) -> Mapping[str, str]:
    """Require the fields of a token service."""
    if not isinstance(value, Mapping):
        problem = f"must be a map, not a value of type {type(value).__name__}"
        raise InvalidInput("token", "not-a-map", problem, _token_example())
    for field in value:
        if field not in TOKEN_FIELDS:
            remedy = did_you_mean(str(field), TOKEN_FIELDS, prefix="token.") or "Remove it"
            raise InvalidInput(f"token.{field}", "unknown-key", "is not a setting", remedy)
    for field, example in TOKEN_FIELDS.items():
        if not value.get(field):
            raise InvalidInput(f"token.{field}", "missing", "is missing", _token_example())
        text(f"token.{field}", value[field], example)
    _check_realm(value["realm"])
    _check_keys(value["jwks"])
    return value


def keys_are_read(image: str, token: Mapping[str, str]) -> None:
    """Refuse tokens with a version that does not read a JSON Web Key Set (CNCF Distribution: since 3.0)."""
    if token and is_before_3(image):
        problem = f"must be version 3 or newer with `token`, not {quoted(image)}, because older ones read no `jwks`"
        raise InvalidInput("image", "no-key-set", problem, f"Run `pulumi config set image {NEWEST}`")


def _token_example() -> str:
    command = f"pulumi config set --path --plaintext token.realm {EXAMPLE_REALM}"
    return f"Run `{command}`, and set service, issuer, jwks"


def _check_realm(value: str) -> None:
    """Require the URL where clients fetch a token. A login over HTTP could be read on its way."""
    if not re.fullmatch(r"https://[^\s@/?#]+(?:[/?][^\s#]*)?", value):
        problem = f"must be a URL that begins with https://, not {quoted(value)}"
        raise InvalidInput("token.realm", "not-https", problem, f"For example {EXAMPLE_REALM}")


def _check_keys(value: str) -> None:
    """Require a JSON Web Key Set (RFC 7517) with public keys only, each with the ID that tokens name it by."""
    remedy = "Take it from the issuer, for example `curl https://gitlab.example.com/oauth/discovery/keys`"
    try:
        keys = json.loads(value)["keys"]
        kinds = [(key["kty"], key.get("kid"), [name for name in PRIVATE_MEMBERS if name in key]) for key in keys]
    except (TypeError, ValueError, KeyError, AttributeError):
        # `from None`: the value may hold a private key.
        raise InvalidInput("token.jwks", "not-a-jwks", "must be a JSON Web Key Set", remedy) from None
    if not kinds:
        raise InvalidInput("token.jwks", "no-keys", "has no keys, so every token would be refused", remedy)
    for position, (kind, key_id, private) in enumerate(kinds):
        if kind not in ASYMMETRIC_KEYS:
            problem = (
                f"has a key of the kind {quoted(kind)} at {position}, with which whoever can check could also sign"
            )
            raise InvalidInput("token.jwks", "symmetric-key", problem, "Use an issuer with RSA, EC or Ed25519 keys")
        if private:
            problem = f"has the private half of key {position}, which only the issuer may know"
            raise InvalidInput(
                "token.jwks", "private-key", problem, "Take the public keys, and have the issuer replace it"
            )
        if not key_id:
            problem = f"has no `kid` at key {position}, by which tokens name their key"
            raise InvalidInput("token.jwks", "no-key-id", problem, remedy)
