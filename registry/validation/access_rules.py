"""Access rules: the rights of users and robots in repositories, and the check whether one rule includes another.

All rules allow. A request that no rule allows is refused.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..choices import AccessRight

ANONYMOUS, AUTHENTICATED = "anonymous", "authenticated"
"""Groups in place of a user: every client, also without a login, and every user or robot."""

PULL_USER = "pull"
"""User of the pull Secrets."""

PULL, PUSH, DELETE = RIGHTS = tuple(map(str, AccessRight))
"""Rights of a rule, in the order of `AccessRight`."""

EVERYTHING = "**"
"""Glob of every repository."""

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
"""One component of a repository name (github.com/distribution/reference, regexp.go)."""

NAME = rf"{COMPONENT}(?:/{COMPONENT})*"


class AccessRule(NamedTuple):
    """Users, or one group, that have rights in the repositories of some globs."""

    users: tuple[str, ...]
    repositories: tuple[str, ...]
    rights: frozenset[str]

    @property
    def is_public(self) -> bool:
        """Whether every client has these rights, also without a login."""
        return ANONYMOUS in self.users

    def allows(self, right: str) -> bool:
        """Return whether the rule has the right, or one that includes it."""
        return right in self.rights or right == PULL


class Access(NamedTuple):
    """All rules of a registry, with users expanded to logins.

    Attributes:
        logins: Every login that the registry accepts.
        authenticated: The logins of users and robots.
        rules: The rules, whose users are logins or one group.
    """

    logins: tuple[str, ...]
    authenticated: tuple[str, ...]
    rules: tuple[AccessRule, ...]

    @property
    def is_public(self) -> bool:
        """Whether a client without a login may pull something."""
        return any(rule.is_public for rule in self.rules)


def rule_of(fields: Mapping[str, Sequence[str]]) -> AccessRule:
    """Return the rule of an entry of the input `access`."""
    return AccessRule(tuple(fields["users"]), tuple(fields["repositories"]), frozenset(fields["rights"]))


def expand(rule: AccessRule, logins: Mapping[str, Sequence[str]]) -> AccessRule:
    """Return the rule with logins in place of users. `logins` has those of each user: two during a rotation."""
    if rule.users in ((ANONYMOUS,), (AUTHENTICATED,)):
        return rule
    return rule._replace(users=tuple(login for user in rule.users for login in logins[user]))


def pattern_of(glob: str) -> str:
    """Return a regular expression for the glob. A component may be `*`, any number of them `**`."""
    components = {"*": COMPONENT, EVERYTHING: NAME}
    return "/".join(components.get(part, re.escape(part)) for part in glob.split("/"))


def covers(glob: str, other: str) -> bool:
    """Return whether each repository of the glob `other` is one of `glob`."""
    return _covers(tuple(glob.split("/")), tuple(other.split("/")))


def _covers(glob: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if not glob or not other:
        return not glob and not other
    if glob[0] == EVERYTHING:
        # It stands for one component or more, and one of `other` is used up by each step.
        return _covers(glob[1:], other[1:]) or _covers(glob, other[1:])
    return other[0] != EVERYTHING and glob[0] in ("*", other[0]) and _covers(glob[1:], other[1:])


def makes_void(earlier: AccessRule, later: AccessRule, names: Sequence[str]) -> bool:
    """Return whether the earlier rule allows everything that the later one does. `names` are all users."""
    return (
        _includes(earlier, later, names)
        and all(any(covers(glob, other) for glob in earlier.repositories) for other in later.repositories)
        and all(earlier.allows(right) for right in later.rights)
    )


def _includes(earlier: AccessRule, later: AccessRule, names: Sequence[str]) -> bool:
    if earlier.is_public:
        return True
    if later.is_public:
        return False
    mine, others = (set(names) if AUTHENTICATED in rule.users else set(rule.users) for rule in (earlier, later))
    return others <= mine
