"""What users log in with: each generation of a generated password is a login of its own, as an htpasswd file has one
hash a name. The first generation logs in by the user's name, the others by that name and their number: `centos-2`.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from . import Described, InvalidInput
from .generations import generations

KEY = "password_generations"

FIRST = [1]
"""Of a user of whom nothing is said."""


def password_generations(value: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """By user: one generation, or two that follow each other, the one that is handed out first."""
    if not isinstance(value, Mapping):
        raise InvalidInput(KEY, "a map by user", value, "for example {centos: [1, 2]}")
    return {user: generations(f"{KEY}.{user}", each) for user, each in value.items()}


def of_the_users(given: Mapping[str, Sequence[int]], users: Sequence[str]) -> None:
    """Refuse generations of nobody, and a user whose name is that of another one's generation."""
    for user in given:
        if user not in users:
            close = get_close_matches(user, users, n=1)
            remedy = f"did you mean `{KEY}.{close[0]}`?" if close else f"add {user!r} to `users`, or remove it"
            raise InvalidInput(f"{KEY}.{user}", "of one of `users`", Described("an unknown user"), remedy)
        if alike := [each for each in users if re.fullmatch(rf"{re.escape(user)}-[0-9]+", each)]:
            got = Described(f"{alike[0]!r}, which would be a generation of {user!r}")
            raise InvalidInput("users", f"names that `{KEY}` does not make", got, "rename one of the two users")


def of_generated(passwords: Mapping[str, str], given: Mapping[str, Sequence[int]]) -> None:
    """Refuse generations of a password that somebody chose: there is the one."""
    for user in given:
        if user in passwords:
            remedy = f"remove `{KEY}.{user}`, or `passwords.{user}` and one is generated"
            raise InvalidInput(f"{KEY}.{user}", f"left out beside `passwords.{user}`", Described("both"), remedy)


def accepted(users: Sequence[str], given: Mapping[str, Sequence[int]]) -> list[str]:
    """Every login that gets in; their order does not tell which is handed out, so that htpasswd lines stay."""
    return [_login(user, each) for user in users for each in sorted(given.get(user, FIRST))]


def handed_out(user: str, given: Mapping[str, Sequence[int]]) -> str:
    """The login by which the user is told to come."""
    return _login(user, given.get(user, FIRST)[0])


def _login(user: str, generation: int) -> str:
    return user if generation == 1 else f"{user}-{generation}"
