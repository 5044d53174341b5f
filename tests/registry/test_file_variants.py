"""The component normalizes every variant of a file, or refuses it. The next program then reads what the rules checked.

Each property is tested with 40 examples, and with 1000 in a soak. e2e/test_readers.py asks Go and a registry.
"""

from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.nodes import ca_pem
from registry.validation.secrets import read_credentials
from registry.validation.users import htpasswd
from tests.conftest import to_base64
from tests.file_inputs import HASH, HOST, ISSUING_CA, ROOT, S3, TLS
from tests.file_variants import (
    HARMLESS_CHANGES,
    RISKY_CHANGES,
    encode_key_unreadable_in_go,
    files_with_line,
    list_key_files,
    variants_of,
)
from tests.issuing import IssuedCertificate, issue, server_spec
from tests.tls_clients import ServedChain, python_objection

KEY_KINDS = st.sampled_from(["ECDSA"] * 5 + ["RSA"])
"""Strategy for kinds of keys. RSA is rare, because OpenSSL takes 50 ms to load such a key."""


@cache
def server_certificate(kind: str) -> IssuedCertificate:
    """Issue a server certificate for a key of this kind. Each call returns the same one."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ECDSA" else rsa.generate_private_key(65537, 2048)
    return issue(server_spec(HOST), ISSUING_CA, key)


def key_files(kind: str) -> st.SearchStrategy[str]:
    """Return a strategy for files with the key of the server certificate, in every form and after changes."""
    issued = server_certificate(kind)
    files = [*list_key_files(issued.key, issued.pem), encode_key_unreadable_in_go(issued.key)]
    return st.sampled_from(files).flatmap(
        lambda file: st.just(file) | variants_of(file, HARMLESS_CHANGES) | variants_of(file, RISKY_CHANGES)
    )


def certificate_files(pem: str) -> st.SearchStrategy[str]:
    """Return a strategy for files with the certificates after harmless changes, risky changes or both."""
    return (
        variants_of(pem, HARMLESS_CHANGES)
        | variants_of(pem, RISKY_CHANGES)
        | variants_of(pem, {**HARMLESS_CHANGES, **RISKY_CHANGES})
    )


@given(st.data())
def test_every_variant_of_a_ca_key_becomes_the_same_pkcs8(data: st.DataObject) -> None:
    kind = data.draw(KEY_KINDS)
    assert INPUTS["ca_key"].rule(data.draw(key_files(kind))) == server_certificate(kind).key_pem


@pytest.mark.parametrize("key", ["ca_certificate", "upstream_ca", "ca_pem"])
@given(data=st.data())
def test_every_variant_of_certificates_becomes_the_same_pem(key: str, data: st.DataObject) -> None:
    rule = ca_pem if key == "ca_pem" else INPUTS[key].rule
    pem = ISSUING_CA.pem + ROOT.pem
    assert rule(data.draw(certificate_files(pem))) == pem


@pytest.mark.parametrize("key", ["ca_certificate", "upstream_ca"])
@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(ROOT.pem + ISSUING_CA.pem[:300], id="the second block is cut off"),
        pytest.param(
            ROOT.pem + ISSUING_CA.pem.replace("CERT", "TRUSTED CERT"),
            id="only OpenSSL reads a block with trust settings",
        ),
    ],
)
def test_a_file_is_refused_if_the_parser_would_leave_out_a_block(key: str, pem: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS[key].rule(pem)
    assert (refusal.value.key, refusal.value.code) == (key, "unreadable-certificates")


@given(st.data())
def test_a_tls_secret_is_accepted_after_harmless_changes_of_its_files(data: st.DataObject) -> None:
    issued = server_certificate(data.draw(KEY_KINDS))
    key = data.draw(st.sampled_from(list_key_files(issued.key, issued.pem)))
    texts = {
        "tls.crt": data.draw(variants_of(issued.pem + ISSUING_CA.pem, HARMLESS_CHANGES)),
        "tls.key": data.draw(variants_of(key, HARMLESS_CHANGES)),
        "ca.crt": data.draw(certificate_files(ROOT.pem)),
    }
    assert validate_server_chain(TLS, texts, TypedHost(HOST), list).trusted == [ROOT.certificate]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_openssl_reads_a_tls_secret_unless_it_is_refused_for_its_form(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(KEY_KINDS)
    chain = data.draw(certificate_files(server_certificate(kind).pem + ISSUING_CA.pem))
    key = data.draw(key_files(kind))
    code = ""
    try:
        validate_server_chain(TLS, {"tls.crt": chain, "tls.key": key, "ca.crt": ROOT.pem}, TypedHost(HOST), list)
    except InvalidInput as refusal:
        code = refusal.code
    if code:
        assert code in ("byte-order-mark", "pem-lines", "key-encoding")
    else:
        assert python_objection(ServedChain(chain, key, ROOT.pem, (HOST,)), tmp_path) == ""


@given(st.data())
def test_s3_keys_lose_the_byte_order_mark_and_the_outer_whitespace_of_their_file(data: st.DataObject) -> None:
    alphabet = st.characters(min_codepoint=33, max_codepoint=126)
    keys = {name: data.draw(st.text(alphabet, min_size=1, max_size=40)) for name in S3.files}
    marks = st.sampled_from(["", "\ufeff"])
    files = {name: data.draw(marks) + data.draw(files_with_line(key)) for name, key in keys.items()}
    assert read_credentials(S3, {name: to_base64(text) for name, text in files.items()}) == keys


@pytest.mark.parametrize("inside", ["\n", "\r", "\t", "\0", "\x7f", "\u200b", "\u2028", "\x85"])
def test_an_s3_key_with_a_character_that_is_not_printable_is_refused(inside: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_credentials(S3, {"access-key": to_base64(f"KEY{inside}KEY"), "secret-key": to_base64("SECRET")})
    assert (refusal.value.key, refusal.value.code) == ("s3_secret", "not-a-credential")


@given(
    st.lists(st.sampled_from(["centos", "jean dupont", "régis", "a.b@example.com"]), min_size=1, unique=True), st.data()
)
def test_an_htpasswd_file_is_accepted_unchanged_with_whitespace_and_comments(
    users: list[str], data: st.DataObject
) -> None:
    lines = [data.draw(files_with_line(f"{user}:{HASH}")) for user in users]
    separator = data.draw(st.sampled_from(["\n", "\r\n", "\n# team\n"]))
    content = separator.join(lines)
    assert htpasswd(content, "kubectl") == content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(f"\ufeffcentos:{HASH}\n", "name-characters", id="a byte order mark is part of the name"),
        pytest.param(f"\ufeff# team\ncentos:{HASH}\n", "not-bcrypt", id="a byte order mark makes a comment a user"),
        pytest.param(f"centos:{HASH}\rjean:{HASH}\r", "not-bcrypt", id="CR ends no line"),
        pytest.param(f"centos:{HASH}\u2028jean:{HASH}", "not-bcrypt", id="U+2028 ends no line"),
        pytest.param(f"centos:{HASH}\x1c", "not-bcrypt", id="Go does not strip U+001C after the hash"),
        pytest.param(f"\x1ccentos:{HASH}", "name-characters", id="Go does not strip U+001C before the name"),
        pytest.param(f"centos :{HASH}", "name-characters", id="the space is part of the name"),
        pytest.param(f"centos: {HASH}", "not-bcrypt", id="the space is part of the hash"),
        pytest.param(f"cen\u200btos:{HASH}", "name-characters", id="the name has an invisible character"),
        pytest.param(
            f"centos:{HASH}\njean:{HASH}\ncentos:{HASH}", "repeated", id="only the last line of a user counts"
        ),
        pytest.param(f"centos:{HASH}\n# {'x' * 65536}\n", "line-too-long", id="Go stops at a long line"),
    ],
)
def test_an_htpasswd_file_that_does_not_mean_what_it_shows_is_refused(content: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        htpasswd(content, "kubectl")
    assert (refusal.value.key, refusal.value.code) == ("users_secret", code)
