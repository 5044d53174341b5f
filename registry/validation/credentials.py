"""Who may log in. A message of this module never holds a password."""

from . import Described, InvalidInput, text

LONGEST_PASSWORD = 72
"""Bytes that bcrypt looks at; Go's bcrypt cuts the rest off, so a longer password would be weaker than it looks."""


def username(value: str) -> str:
    """A name as an htpasswd line and HTTP basic authentication can carry it (RFC 7617: no colon)."""
    name = text("username", value, "centos")
    remedy = "use letters, digits, dots and dashes, for example 'centos'"
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= 255:
        raise InvalidInput("username", "1 to 255 bytes", name, remedy)
    if ":" in name or name.startswith("#") or name != name.strip() or not name.isprintable():
        raise InvalidInput("username", "free of ':', of a leading '#' and of outer or control characters", name, remedy)
    return name


def password(value: str) -> str:
    """A password that a person chose: 1 to 72 bytes of UTF-8 on one line."""
    remedy = "choose another with `pulumi config set --secret password`, or leave it out and one is generated"
    if not isinstance(value, str):
        raise InvalidInput("password", "text", Described(f"a value of type {type(value).__name__}"), remedy)
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        # `from None`: the original error holds the password.
        raise InvalidInput("password", "valid Unicode", Described("a lone surrogate"), remedy) from None
    if not 0 < length <= LONGEST_PASSWORD:
        raise InvalidInput("password", f"1 to {LONGEST_PASSWORD} bytes", Described(f"{length} bytes"), remedy)
    if any(character in value for character in "\n\r\0"):
        raise InvalidInput("password", "one line", Described("a line break or NUL"), remedy)
    return value


def password_advice(name: str, value: str | None) -> str:
    """What to say of a password that a guess or two finds: below NIST SP 800-63B's 8 characters, or the user's name."""
    if value is None or (len(value) >= 8 and value.lower() != name.lower()):
        return ""
    return (
        "`password` is easily guessed (shorter than 8 characters, or the user's name): whoever reaches the port may"
        " push images that your nodes will run; choose a longer one, or leave it out and one is generated"
    )
