"""Search texts for known secrets.

A text may contain a secret in plain form, in base64, in hex, in a URL or in JSON. The base64 may start at any offset
within a file or a header, and may be encoded twice, as in a Secret within a Secret. A secret may also be cut off, so
the search looks for pieces of it. Results name the secrets and never contain them.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import quote, quote_plus

PIECE_LENGTH = 12
"""Characters of a piece. In base64 they are 72 bits, so a match is no coincidence."""

STEP = 3
"""Characters between the starts of two pieces. Any PIECE_LENGTH + STEP - 1 characters of a secret contain a piece."""

HASH_LENGTH = 31
"""Characters of a bcrypt line that depend on the password. Cost and salt precede them and are not secret."""


def encode_at(secret: bytes, offset: int) -> str:
    """Return the part of the base64 that depends on `secret` alone, if it starts at `offset` modulo three."""
    text = b64encode(bytes(offset) + secret).decode().rstrip("=")
    first, last = -(-offset * 8 // 6), (offset + len(secret)) * 8 // 6
    return text[first:last]


@cache
def forms(secret: str) -> dict[str, str]:
    """Return the forms of a secret that the search finds, by name of the form."""
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    result = {
        "raw": secret,
        "json": escaped,
        "json in json": json.dumps(escaped)[1:-1],
        "url": quote(raw, safe=""),
        "form": quote_plus(raw),
        "hex": raw.hex(),
    }
    for first, second in product(range(3), range(3)):
        once = encode_at(raw, first)
        result[f"base64 at {first}"] = once
        result[f"base64 twice at {first}, {second}"] = encode_at(once.encode(), second)
    return result


@cache
def form_pieces(secret: str) -> tuple[tuple[str, str], ...]:
    """Return (form, piece) for all forms. A secret that is shorter than a piece is a piece itself."""
    pieces = dict.fromkeys((form, piece) for form, text in forms(secret).items() for piece in _pieces(text))
    by_piece = {piece: form for form, piece in reversed(pieces)}
    return tuple((form, piece) for piece, form in by_piece.items())


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, max(len(text) - PIECE_LENGTH, 0) + 1, STEP):
        yield text[start : start + PIECE_LENGTH]
    yield text[-PIECE_LENGTH:]


@cache
def _pieces_by_length(secrets: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the pieces of the usual length in all forms of the secrets, and the shorter pieces."""
    pieces = {piece for secret in secrets for _, piece in form_pieces(secret)}
    usual = frozenset(piece for piece in pieces if len(piece) == PIECE_LENGTH)
    return usual, frozenset(pieces - usual)


def find(secrets: Mapping[str, str], text: str) -> list[str]:
    """Return `NAME (form)` for each secret that the text contains as a whole or in part."""
    matches = _matching_pieces(tuple(secrets.values()), text)
    if not matches:
        return []
    found_forms = {
        name: [form for form, piece in form_pieces(secret) if piece in matches] for name, secret in secrets.items()
    }
    return [f"{name} ({found[0]})" for name, found in found_forms.items() if found]


def _matching_pieces(secrets: tuple[str, ...], text: str) -> frozenset[str]:
    """Return the pieces that a text contains. One pass searches for thousands of pieces of the usual length."""
    usual, shorter = _pieces_by_length(secrets)
    windows = (text[at : at + PIECE_LENGTH] for at in range(len(text) - PIECE_LENGTH + 1))
    return usual.intersection(windows) | {piece for piece in shorter if piece in text}


def secret_of_hash(line: str) -> str:
    """Return the secret part of an htpasswd line."""
    return line.strip()[-HASH_LENGTH:]


def secrets_of_key(name: str, pem: str) -> dict[str, str]:
    """Return the private number of an EC key in PEM and in hex, by `name` and form.

    The rest of the PEM is public. PEM is base64 in lines, so the number starts at one of three offsets and is cut.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    in_pem = {f"{name}, PEM at {offset}": encode_at(number, offset) for offset in range(3)}
    return in_pem | {f"{name}, hex": number.hex()}


def texts(value: Any, *, replace: Callable[[Any], Any] = lambda value: value) -> Iterator[str]:
    """Yield the texts and the keys in a JSON value. `replace` maps each value in it to the value that is searched."""
    value = replace(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts(item, replace=replace)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for item in value:
            yield from texts(item, replace=replace)
