"""Who may log in. A message of this module never holds a password."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from . import Described, InvalidInput, text

LONGEST_PASSWORD = 72
"""Bytes that bcrypt looks at; Go's bcrypt cuts the rest off, so a longer password would be weaker than it looks."""

SET = "pulumi config set --secret --path 'passwords[\"{user}\"]'"
"""Quoted, as a name may have dots."""

BCRYPT = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}", re.ASCII)
"""A bcrypt hash. `$2x$` marks hashes of a broken implementation."""

MOST_USERS = 100
"""Each is two resources of the stack."""

CHEAPEST, DEAREST = 5, 10
"""Costs: below, a stolen hash is soon guessed; above, a core serves five requests a second and no more."""

COMMON = ("password", "passw0rd", "12345678", "123456789", "1234567890", "qwertyuiop", "changeme", "iloveyou")
"""Of eight characters and more, from every published list of the most used ones."""


def users(value: list[str]) -> list[str]:
    """At least one name as an htpasswd line and HTTP basic authentication can carry it (RFC 7617: no colon)."""
    if not isinstance(value, list) or not value:
        raise InvalidInput("users", "a list with a name or more", value, "for example ['centos']")
    if len(value) > MOST_USERS:
        got = Described(str(len(value)))
        raise InvalidInput("users", f"at most {MOST_USERS} users", got, "keep more in a Secret, and set `users_secret`")
    for name in value:
        _user(name)
    if len(set(value)) < len(value):
        raise InvalidInput("users", "a list without repetition", value, "name each one once")
    return value


def _user(value: str) -> None:
    name = text("users", value, "centos")
    remedy = "use letters, digits, dots and dashes, for example 'centos'"
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= 255:
        raise InvalidInput("users", "names of 1 to 255 bytes", name, remedy)
    if ":" in name or name.startswith("#") or name != name.strip() or not name.isprintable():
        # What is behind a colon may well be a password.
        raise InvalidInput(
            "users", "free of ':', of a leading '#' and of outer or control characters", before_colon(name), remedy
        )


def before_colon(name: str) -> str:
    """As much of a name as is none of a password."""
    user, colon, _ = name.partition(":")
    return f"{user}:..." if colon else name


def passwords(value: Mapping[str, str]) -> Mapping[str, str]:
    """Passwords that persons chose, by user: each 1 to 72 bytes of UTF-8 on one line."""
    if not isinstance(value, Mapping):
        got = Described(f"a value of type {type(value).__name__}")
        raise InvalidInput("passwords", "a map by user", got, f"`{SET.format(user='centos')}`")
    for user, given in value.items():
        _password(str(user), given)
    return value


def _password(user: str, value: str) -> None:
    key = f"passwords.{user}"
    remedy = f"choose another with `{SET.format(user=user)}`, or leave it out and one is generated"
    if not isinstance(value, str):
        raise InvalidInput(key, "text", Described(f"a value of type {type(value).__name__}"), remedy)
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        # `from None`: the original error holds the password.
        raise InvalidInput(key, "valid Unicode", Described("a lone surrogate"), remedy) from None
    if not 0 < length <= LONGEST_PASSWORD:
        raise InvalidInput(key, f"1 to {LONGEST_PASSWORD} bytes", Described(f"{length} bytes"), remedy)
    if any(character in value for character in "\n\r\0"):
        raise InvalidInput(key, "one line", Described("a line break or NUL"), remedy)


def of_the_users(passwords: Mapping[str, str], users: list[str]) -> None:
    """Refuse a password of nobody: a typo would otherwise leave the user with another password than the one meant."""
    for name in passwords:
        if name not in users:
            close = get_close_matches(name, users, n=1)
            remedy = f"did you mean `passwords.{close[0]}`?" if close else f"add {name!r} to `users`, or remove it"
            raise InvalidInput(f"passwords.{name}", "of one of `users`", Described("an unknown user"), remedy)


def htpasswd(content: str) -> str:
    """The lines of an existing users' Secret, as the registry reads them: bcrypt only, another kind is never let in."""
    lines = [line.strip() for line in content.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    remedy = "make each line with `htpasswd -nbBC 10 USER PASSWORD`"
    if not entries:
        raise InvalidInput("users_secret", "a Secret with a user or more", Described("no line"), remedy)
    for number, line in enumerate(entries, 1):
        name, _, hashed = line.partition(":")
        if not name or not BCRYPT.fullmatch(hashed):
            got = Described(f"another kind in line {number}")
            raise InvalidInput("users_secret", "a Secret with `user:bcrypt` lines ($2a$, $2b$, $2y$)", got, remedy)
        _affordable(number, hashed)
    return content


def _affordable(number: int, hashed: str) -> None:
    cost = int(hashed.split("$")[2])
    if not CHEAPEST <= cost <= DEAREST:
        got = Described(f"cost {cost} in line {number}")
        remedy = "make the line anew with `htpasswd -nbBC 10 USER PASSWORD`"
        raise InvalidInput("users_secret", f"a Secret with hashes of cost {CHEAPEST} to {DEAREST}", got, remedy)


def foreign(key: str, value: str) -> str:
    """A key, token or password of another server. It may be secret, so no message shows it."""
    if not isinstance(value, str):
        raise InvalidInput(key, "text", Described(f"a value of type {type(value).__name__}"), "put it in quotes")
    if not 0 < len(value) <= 4096 or not value.isprintable() or value != value.strip():
        got = Described(f"{len(value)} characters")
        remedy = f"`pulumi config set --secret {key}` once more"
        raise InvalidInput(key, "1 to 4096 printable characters without outer spaces", got, remedy)
    return value


def password_advice(passwords: Mapping[str, str] | None) -> str:
    """What to say of a password that a guess or two finds: too short (NIST SP 800-63B), common, or the user's name."""
    weak = [
        user for user, value in (passwords or {}).items() if len(value) < 8 or value.lower() in (user.lower(), *COMMON)
    ]
    if not weak:
        return ""
    return (
        f"the password of {', '.join(weak)} is easily guessed (shorter than 8 characters, common, or the user's name):"
        " whoever reaches the port may push images that your nodes will run; choose a longer one, or leave it out and"
        " one is generated"
    )
