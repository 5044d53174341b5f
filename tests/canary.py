"""Looking for secrets: the forms in which one may lie in a text, and where a known one is found.

A text may hold a secret as it is, in base64 (as a Secret's data, once more inside another one's, and at any offset, as
a part of a file or of a header), in a URL, or inside JSON; and cut off, so pieces of each form count. Nothing here ever
says what it looked for, only under which name.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import quote, quote_plus

PIECE = 12
"""Characters that are no accident: of base64 they are 72 bits."""

STEP = 3
"""Between two pieces: whatever is cut off at PIECE + STEP - 1 characters or more is found."""

HASH = 31
"""Characters of a bcrypt hash that tell of the password; those before are its cost and its salt, which is no secret."""


def encoded(secret: bytes, offset: int) -> str:
    """What surely stands in the base64 of a text that holds `secret` at an offset of 0, 1 or 2 modulo three."""
    text = b64encode(bytes(offset) + secret).decode().rstrip("=")
    first, last = -(-offset * 8 // 6), (offset + len(secret)) * 8 // 6
    return text[first:last]


@cache
def forms(secret: str) -> dict[str, str]:
    """By name, every form in which `secret` may be written."""
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    found = {
        "raw": secret,
        "json": escaped,
        "json in json": json.dumps(escaped)[1:-1],
        "url": quote(raw, safe=""),
        "form": quote_plus(raw),
        "hex": raw.hex(),
    }
    for first, second in product(range(3), range(3)):
        once = encoded(raw, first)
        found[f"base64 at {first}"] = once
        found[f"base64 twice at {first}, {second}"] = encoded(once.encode(), second)
    return found


@cache
def needles(secret: str) -> tuple[tuple[str, str], ...]:
    """(form, piece) of every piece of every form; a secret shorter than a piece is one itself."""
    pieces = dict.fromkeys((form, piece) for form, text in forms(secret).items() for piece in _pieces(text))
    by_piece = {piece: form for form, piece in reversed(pieces)}
    return tuple((form, piece) for piece, form in by_piece.items())


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, max(len(text) - PIECE, 0) + 1, STEP):
        yield text[start : start + PIECE]
    yield text[-PIECE:]


def found(secrets: Mapping[str, str], text: str) -> list[str]:
    """`NAME (form)` of each of `secrets` that `text` holds, whole or in part."""
    pieces = {piece for secret in secrets.values() for _, piece in needles(secret)}
    there = _present(pieces, text)
    forms_of = {name: [form for form, piece in needles(secret) if piece in there] for name, secret in secrets.items()}
    return [f"{name} ({forms[0]})" for name, forms in forms_of.items() if forms]


def _present(pieces: set[str], text: str) -> set[str]:
    """Return the pieces that `text` holds. It is read once for all pieces of the usual length, which are thousands."""
    windows = {text[at : at + PIECE] for at in range(len(text) - PIECE + 1) if text[at : at + PIECE] in pieces}
    return windows | {piece for piece in pieces if len(piece) != PIECE and piece in text}


def of_hash(line: str) -> str:
    """What is secret of an htpasswd line."""
    return line.strip()[-HASH:]


def of_key(name: str, pem: str) -> dict[str, str]:
    """What is secret of an EC key in PEM, by `name` and place: not its head and its public half, which are everybody's.

    PEM is base64 in lines, so the private number is in it at one of three offsets, and cut into pieces.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    return {f"{name}, PEM at {offset}": encoded(number, offset) for offset in range(3)} | {f"{name}, hex": number.hex()}


def texts(value: Any, *, opened: Callable[[Any], Any] = lambda value: value) -> Iterator[str]:
    """Every text in a JSON value, keys among them; `opened` may put another value in the place of one."""
    value = opened(value)
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from texts(each, opened=opened)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for each in value:
            yield from texts(each, opened=opened)
