"""Rules for users and their passwords. No message of this module holds a password.

htpasswd has one hash for each name, so each generation of a generated password is a login of its own. Generation 1
logs in by the user's name. Later generations add their number, such as `centos-2`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .access_rules import PULL_USER
from .basics import did_you_mean, text, typed_text
from .commands import set_numbers, set_password
from .errors import InvalidInput, quoted
from .rotation import generations

LONGEST_PASSWORD = 72
"""Bytes of a password that bcrypt reads. It ignores the rest, so a longer password is weaker than it looks."""

BCRYPT = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}", re.ASCII)
"""A bcrypt hash. `$2x$` marks hashes of a broken implementation."""

GO_SPACES = "\t\n\v\f\r \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" + (
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Characters that Go's `strings.TrimSpace` removes from a line of htpasswd. Python's `strip` removes more."""

LONGEST_LINE = 65_535
"""Bytes of a line that Go's `bufio.Scanner` reads. After a longer one the registry refuses every user."""

MOST_USERS = 100
"""Users of a registry. Each is two resources of the stack."""

LOWEST_COST, HIGHEST_COST = 5, 10
"""Costs of a bcrypt hash. At a lower cost, a stolen hash is soon guessed. At a higher one, requests take too long."""

COMMON_PASSWORDS = (
    "password",
    "passw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "changeme",
    "iloveyou",
)
"""Passwords of eight characters and more that are among the most used ones."""


@dataclass(frozen=True)
class Hashes:
    """bcrypt hashes by login, and the logins whose password is chosen. Those take longer to compare."""

    by_login: Mapping[str, str]
    chosen: Collection[str]


FIRST_GENERATION = [1]
"""Generations of a user that `password_generations` does not name."""


def users(value: list[str]) -> list[str]:
    """Require names that htpasswd and HTTP basic authentication can carry (RFC 7617: no colon)."""
    if not isinstance(value, list) or not value:
        problem = f"must be a list with at least one name, not {quoted(value)}"
        raise InvalidInput("users", "not-a-list", problem, "Run `pulumi config set --path 'users[0]' centos`")
    if len(value) > MOST_USERS:
        problem = f"must be at most {MOST_USERS} users, not {len(value)}"
        raise InvalidInput("users", "too-many", problem, "Keep more in a Secret, and set `users_secret`")
    names = [_user(name) for name in value]
    if len(set(names)) < len(names):
        raise InvalidInput("users", "repeated", f"names a user twice: {quoted(value)}", "Name each one once")
    return names


def _user(value: object) -> str:
    name = text("users", typed_text(value), "centos")
    remedy = "Use letters, digits, dots and dashes, for example 'centos'"
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= 255:
        raise InvalidInput("users", "name-length", f"must be names of 1 to 255 bytes, not {quoted(name)}", remedy)
    if ":" in name or name.startswith("#") or name != name.strip() or not name.isprintable():
        problem = "must not have names that contain ':' or control characters, start with '#', or have outer spaces: "
        raise InvalidInput("users", "name-characters", problem + quoted(without_password(name)), remedy)
    return name


def without_password(name: str) -> str:
    """Return the part before ':', so that a pasted `user:password` is not shown."""
    user, colon, _ = name.partition(":")
    return f"{user}:..." if colon else name


def passwords(value: Mapping[str, str]) -> Mapping[str, str]:
    """Require chosen passwords by user: each 1 to 72 bytes of UTF-8 on one line."""
    if not isinstance(value, Mapping):
        problem = f"must be a map by user, not a value of type {type(value).__name__}"
        raise InvalidInput("passwords", "not-a-map", problem, f"Run `{set_password('centos')}`")
    for user, password in value.items():
        _password(str(user), password)
    return value


def _password(user: str, value: str) -> None:
    key = f"passwords.{user}"
    remedy = f"Choose another with `{set_password(user)}`, or leave it out to have one generated"
    if not isinstance(value, str):
        raise InvalidInput(key, "not-text", f"must be text, not a value of type {type(value).__name__}", remedy)
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        # `from None`: the original error holds the password.
        raise InvalidInput(key, "not-unicode", "must be valid Unicode, but has a lone surrogate", remedy) from None
    if not 0 < length <= LONGEST_PASSWORD:
        raise InvalidInput(key, "password-length", f"must be 1 to {LONGEST_PASSWORD} bytes, not {length}", remedy)
    if any(character in value for character in "\n\r\0"):
        raise InvalidInput(key, "not-one-line", "must be one line, but has a line break or NUL", remedy)


def passwords_of_users(passwords: Mapping[str, str], users: Sequence[str]) -> None:
    """Refuse a password of an unknown user, because the user that was meant would keep a generated one."""
    for name in passwords:
        _known_user("passwords", name, users)


def _known_user(key: str, name: str, users: Sequence[str]) -> None:
    if name not in users:
        remedy = did_you_mean(name, users, prefix=f"{key}.") or f"Add {name!r} to `users`, or remove it"
        raise InvalidInput(f"{key}.{name}", "unknown-user", "names a user that is not in `users`", remedy)


def password_generations(value: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Require for each user one generation, or two that follow each other. The first is the one handed out."""
    key = "password_generations"
    if not isinstance(value, Mapping):
        problem = f"must be a map by user, not {quoted(value)}"
        raise InvalidInput(key, "not-a-map", problem, f"Run `{set_numbers(f'{key}.centos', [1])}`")
    return {user: generations(f"{key}.{user}", numbers) for user, numbers in value.items()}


def generations_of_users(
    password_generations: Mapping[str, Sequence[int]],
    users: Sequence[str],
    robots: Collection[str],
    pull_secrets: Sequence[str],
) -> None:
    """Refuse generations of an unknown user, and a user with the same name as the generation of another one."""
    names = [*users, *robots, *([PULL_USER] if pull_secrets else [])]
    for user in password_generations:
        _known_user("password_generations", user, names)
        if alike := [name for name in names if re.fullmatch(rf"{re.escape(user)}-[0-9]+", name)]:
            problem = f"has {alike[0]!r}, which `password_generations` makes the login of a generation of {user!r}"
            raise InvalidInput("users", "name-of-a-generation", problem, "Rename one of the two users")


def generations_are_generated(passwords: Mapping[str, str], password_generations: Mapping[str, Sequence[int]]) -> None:
    """Refuse generations for a chosen password: only generated passwords are rotated this way."""
    for user in password_generations:
        if user in passwords:
            problem = f"is set, but the password of {user!r} is chosen and not generated"
            remedy = f"Remove `password_generations.{user}`, or remove `passwords.{user}` to have one generated"
            raise InvalidInput(f"password_generations.{user}", "password-is-chosen", problem, remedy)


def logins(users: Sequence[str], generations: Mapping[str, Sequence[int]]) -> list[str]:
    """Return every accepted login. The order does not depend on the current login, so that htpasswd stays the same."""
    return [
        _login(user, generation) for user in users for generation in sorted(generations.get(user, FIRST_GENERATION))
    ]


def current_login(user: str, generations: Mapping[str, Sequence[int]]) -> str:
    """Return the login that the outputs hand out for the user."""
    return _login(user, generations.get(user, FIRST_GENERATION)[0])


def _login(user: str, generation: int) -> str:
    return user if generation == 1 else f"{user}-{generation}"


def htpasswd(content: str, command: str) -> str:
    """Require htpasswd lines that the registry accepts: bcrypt hashes only, because it refuses other kinds.

    The registry reads the unchanged file. `command` passes it again.
    """
    remedy = f"Write each line with `htpasswd -nbBC 10 USER PASSWORD` to registry.password, and run `{command}`"
    lines = [(number, line.strip(GO_SPACES)) for number, line in enumerate(content.split("\n"), 1)]
    entries = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not entries:
        raise InvalidInput("users_secret", "no-users", "names a Secret without users", remedy)
    if any(len(line.encode()) > LONGEST_LINE for line in content.split("\n")):
        problem = f"names a Secret with a line of more than {LONGEST_LINE} bytes, where the registry stops reading"
        raise InvalidInput("users_secret", "line-too-long", problem, remedy)
    known: dict[str, int] = {}
    for number, line in entries:
        name, _, hashed = line.partition(":")
        if not name or not BCRYPT.fullmatch(hashed):
            problem = f"names a Secret whose line {number} is not `user:bcrypt` ($2a$, $2b$ or $2y$)"
            raise InvalidInput("users_secret", "not-bcrypt", problem, remedy)
        if name != name.strip() or not name.isprintable():
            problem = f"names a Secret whose user in line {number} has an outer space or a character that clients do "
            problem += "not send, such as a byte order mark"
            raise InvalidInput("users_secret", "name-characters", problem, remedy)
        if name in known:
            problem = f"names a Secret with the same user in lines {known[name]} and {number}, and the registry knows "
            problem += "the last one only"
            raise InvalidInput("users_secret", "repeated", problem, remedy)
        known[name] = number
        _bcrypt_cost(number, hashed, remedy)
    return content


def _bcrypt_cost(number: int, hashed: str, remedy: str) -> None:
    cost = int(hashed.split("$")[2])
    if not LOWEST_COST <= cost <= HIGHEST_COST:
        problem = f"names a Secret whose line {number} has bcrypt cost {cost}, not {LOWEST_COST} to {HIGHEST_COST}"
        raise InvalidInput("users_secret", "bcrypt-cost", problem, remedy)


def guessing_advice(passwords: Mapping[str, str], *inputs_of_proxy: object) -> str:
    """Return a warning about chosen passwords without the proxy that limits guesses, else ""."""
    if not passwords or any(inputs_of_proxy):
        return ""
    return (
        f"The password of {', '.join(passwords)} is chosen, so the registry spends 50 ms of a core on each guess. "
        "Anyone who reaches the port can slow it down, and can find out which of these users exist. Leave the password "
        "out to have one generated, or set `access`: its proxy limits guesses."
    )


def password_advice(passwords: Mapping[str, str] | None) -> str:
    """Return a warning about passwords that are easily guessed, else "".

    They are too short (NIST SP 800-63B), common, or the user's name.
    """
    weak = [
        user
        for user, password in (passwords or {}).items()
        if len(password) < 8 or password.lower() in (user.lower(), *COMMON_PASSWORDS)
    ]
    if not weak:
        return ""
    return (
        f"The password of {', '.join(weak)} is easily guessed: it is shorter than 8 characters, common, or the user's "
        "name. Anyone who reaches the port could push images that your nodes run. Choose a longer one, or leave it "
        "out to have one generated."
    )
