"""The Secret of the proxy that decides who may do what: users, rules and certificate.

The proxy watches the files of the Secret. So a new user, rule or certificate changes only the Secret, and the Pod keeps
running. A certificate that cert-manager or the user renews is in its own Secret, which the Pod mounts too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from ..context import Context
from ..settings import AccessSettings
from ..validation.access_rules import (
    ANONYMOUS,
    EVERYTHING,
    PULL,
    PULL_USER,
    RIGHTS,
    Access,
    AccessRule,
    expand,
    rule_of,
)
from ..validation.errors import InvalidInput
from ..validation.users import Hashes, logins
from .haproxy import Endpoints, KeyPair, Logging, files, tls_files

__all__ = [
    "ACCESS_SECRET",
    "WATCH_SCRIPT",
    "Certificate",
    "Endpoints",
    "Logging",
    "create_access_secret",
    "create_tls_proxy_secret",
    "resolve_access",
]

ACCESS_SECRET = "access-secret"

WATCH_SCRIPT = "watch.sh"
"""Name of the program that runs the proxy, and reloads it."""

TOKEN_KEY_LENGTH = 43
"""Letters and digits of the key that signs tokens: 256 bits."""

HASH_LENGTH = 60
"""Characters of a bcrypt hash."""

MOST_BYTES = 900_000
"""Bytes of the files without the certificate. A Secret has at most 1 MiB (core/v1, MaxSecretSize)."""


VERIFIED_REPOSITORY = "ops-verify"
"""Repository of the image that `ops verify` pushes and pulls. A rule gives the first user all rights in it."""


class Certificate(NamedTuple):
    """The server certificate with its chain, and its key, PEM. The key is a secret."""

    chain: pulumi.Output[str]
    key: pulumi.Output[str]


def resolve_access(settings: AccessSettings) -> Access:
    """Return all rules, with the logins of each user."""
    names = [*settings.users, *settings.robots]
    by_user = {name: logins([name], settings.password_generations) for name in (*names, PULL_USER)}
    rules = _rules_of_users(settings)
    if settings.anonymous_pull:
        rules.append(AccessRule((ANONYMOUS,), tuple(settings.anonymous_pull), frozenset([PULL])))
    rules += [rule_of({"users": [name], **robot}) for name, robot in settings.robots.items()]
    if settings.pull_secrets:
        rules.append(AccessRule((PULL_USER,), tuple(settings.pull_secret_repositories), frozenset([PULL])))
    rules.append(AccessRule((settings.users[0],), (VERIFIED_REPOSITORY,), frozenset(RIGHTS)))
    authenticated = tuple(login for name in names for login in by_user[name])
    pullers = by_user[PULL_USER] if settings.pull_secrets else []
    return Access((*authenticated, *pullers), authenticated, tuple(expand(rule, by_user) for rule in rules))


def _rules_of_users(settings: AccessSettings) -> list[AccessRule]:
    """Return the rules of `access`. Without any, every user may do everything, as without the proxy."""
    if settings.access:
        return [rule_of(rule) for rule in settings.access]
    return [AccessRule(tuple(settings.users), (EVERYTHING,), frozenset(RIGHTS))]


def create_access_secret(
    ctx: Context,
    settings: AccessSettings,
    logging: Logging,
    endpoints: Endpoints,
    certificate: Certificate | None,
    passwords: pulumi.Output[dict[str, str]],
    hashes: pulumi.Output[Hashes],
) -> kubernetes.core.v1.Secret:
    """Create the Secret with the files of the proxy. Raise `InvalidInput` if the files are too large for a Secret.

    `certificate` is None if cert-manager or the user renews it. Then `endpoints` has its path.
    """
    access = resolve_access(settings)
    _refuse_large(sum(map(len, _largest_files(endpoints, logging, access).values())))
    token_key = random.RandomPassword(
        f"{ctx.name}-access-token-key", length=TOKEN_KEY_LENGTH, special=False, opts=ctx.options()
    ).result

    def render(resolved: Sequence[Any]) -> dict[str, str]:
        pair, known_passwords, known_hashes, signing_key = resolved
        key_pair = KeyPair(*pair) if pair else None
        return files(endpoints, logging, key_pair, known_passwords, known_hashes, signing_key, access)

    content = pulumi.Output.all([*(certificate or ())], passwords, hashes, token_key).apply(render)
    return _create_secret(ctx, content)


def create_tls_proxy_secret(ctx: Context, logging: Logging, endpoints: Endpoints) -> kubernetes.core.v1.Secret:
    """Create the Secret with the files of a proxy that only terminates TLS."""
    return _create_secret(ctx, pulumi.Output.from_input(tls_files(endpoints, logging)))


def _create_secret(ctx: Context, files_by_name: pulumi.Output[dict[str, str]]) -> kubernetes.core.v1.Secret:
    script = {WATCH_SCRIPT: Path(__file__).with_name(WATCH_SCRIPT).read_text()}
    return kubernetes.core.v1.Secret(
        f"{ctx.name}-access",
        metadata=ctx.metadata(ACCESS_SECRET),
        string_data=files_by_name.apply(lambda rendered: {**rendered, **script}),
        opts=ctx.options(),
    )


def _largest_files(endpoints: Endpoints, logging: Logging, access: Access) -> dict[str, str]:
    """Return the files at their greatest length, with a hash for each login, and with placeholders for secrets."""
    passwords = dict.fromkeys(access.logins, "")
    hashes = Hashes(dict.fromkeys(access.logins, "x" * HASH_LENGTH), access.logins)
    return files(endpoints, logging, KeyPair("", ""), passwords, hashes, "x" * TOKEN_KEY_LENGTH, access)


def _refuse_large(size: int) -> None:
    if size > MOST_BYTES:
        problem = f"makes files of {size} bytes for the proxy, which has place for {MOST_BYTES}"
        raise InvalidInput("access", "too-large", problem, "Summarize rules by globs, and users by authenticated")
