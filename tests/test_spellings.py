"""Any spelling of a file-like input is handed on as it was read, or refused. The next program reads the same.

The fast part has a few hundred examples, and the soak has thousands. e2e/test_readers.py asks Go and a registry.
"""

from functools import cache
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.nodes import ca_pem
from registry.validation.secrets import s3_credentials
from registry.validation.users import htpasswd
from tests.conftest import to_base64
from tests.file_inputs import HOST, ISSUING_CA, ROOT, S3, TLS
from tests.issuing import IssuedCertificate, issue, server_spec
from tests.spellings import TIDY, UNTIDY, key_forms, lines_spelled, rare_key, spelled
from tests.tls_clients import ServedChain, python_objection


@cache
def pair(kind: str) -> IssuedCertificate:
    """Issue a server certificate for a key of this kind."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ECDSA" else rsa.generate_private_key(65537, 2048)
    return issue(server_spec(HOST), ISSUING_CA, key)


def key_files(kind: str) -> st.SearchStrategy[str]:
    """Return a strategy for files with the key, in every form and spelling."""
    issued = pair(kind)
    files = [*key_forms(issued.key, issued.pem).values(), rare_key(issued.key)]
    return st.sampled_from(files).flatmap(lambda file: st.just(file) | spelled(file, TIDY) | spelled(file, UNTIDY))


def certificate_files(pem: str) -> st.SearchStrategy[str]:
    return spelled(pem, TIDY) | spelled(pem, UNTIDY) | spelled(pem, {**TIDY, **UNTIDY})


KINDS = st.sampled_from(["ECDSA"] * 5 + ["RSA"])
"""Kinds of keys. OpenSSL takes 50 ms to load an RSA key."""


@given(st.data())
def test_a_ca_key_is_handed_on_as_pkcs8_however_it_is_spelled(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    assert INPUTS["ca_key"].rule(data.draw(key_files(kind))) == pair(kind).key_pem


@pytest.mark.parametrize("key", ["ca_certificate", "upstream_ca", "ca_pem"])
@given(data=st.data())
def test_certificates_are_handed_on_without_their_spelling(key: str, data: st.DataObject) -> None:
    rule = ca_pem if key == "ca_pem" else INPUTS[key].rule
    pem = ISSUING_CA.pem + ROOT.pem
    assert rule(data.draw(certificate_files(pem))) == pem


def test_a_block_that_would_be_left_out_is_refused() -> None:
    """Such a block is cut off, or has trust settings of OpenSSL, which other programs do not read."""
    for pem in (ROOT.pem + ISSUING_CA.pem[:300], ROOT.pem + ISSUING_CA.pem.replace("CERT", "TRUSTED CERT")):
        for key in ("ca_certificate", "upstream_ca"):
            with pytest.raises(InvalidInput) as refusal:
                INPUTS[key].rule(pem)
            assert (refusal.value.key, refusal.value.code) == (key, "unreadable-certificates")


@given(st.data())
def test_a_tidy_tls_secret_is_accepted(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    issued = pair(kind)
    keys = st.sampled_from([*key_forms(issued.key, issued.pem).values()])
    key = data.draw(keys.flatmap(lambda file: spelled(file, TIDY)))
    chain = data.draw(spelled(issued.pem + ISSUING_CA.pem, TIDY))
    texts = {"tls.crt": chain, "tls.key": key, "ca.crt": data.draw(certificate_files(ROOT.pem))}
    assert validate_server_chain(TLS, texts, TypedHost(HOST), list).trusted == [ROOT.certificate]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_accepted_tls_secret_is_read_by_openssl(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    chain, key = data.draw(certificate_files(pair(kind).pem + ISSUING_CA.pem)), data.draw(key_files(kind))
    code = ""
    try:
        validate_server_chain(TLS, {"tls.crt": chain, "tls.key": key, "ca.crt": ROOT.pem}, TypedHost(HOST), list)
    except InvalidInput as refusal:
        code = refusal.code
    objection = python_objection(ServedChain(chain, key, ROOT.pem, (HOST,)), tmp_path)
    assert code in ("byte-order-mark", "pem-lines", "key-encoding") if code else objection == ""


@given(st.data())
def test_s3_keys_are_handed_on_without_the_line_end_of_their_file(data: st.DataObject) -> None:
    alphabet = st.characters(min_codepoint=33, max_codepoint=126)
    keys = {name: data.draw(st.text(alphabet, min_size=1, max_size=40)) for name in S3.files}
    marks = st.sampled_from(["", "\ufeff"])
    files = {name: data.draw(marks) + data.draw(lines_spelled(key)) for name, key in keys.items()}
    assert s3_credentials(S3, {name: to_base64(text) for name, text in files.items()}) == keys


@pytest.mark.parametrize("inside", ["\n", "\r", "\t", "\0", "\x7f", "\u200b", "\u2028", "\x85"])
def test_an_s3_key_with_a_character_that_a_header_cannot_hold_is_refused(inside: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        s3_credentials(S3, {"access-key": to_base64(f"KEY{inside}KEY"), "secret-key": to_base64("SECRET")})
    assert (refusal.value.key, refusal.value.code) == ("s3_secret", "not-a-credential")


HASH = bcrypt.hashpw(b"password", b"$2b$05$abcdefghijklmnopqrstu.").decode()


@given(
    st.lists(st.sampled_from(["centos", "jean dupont", "régis", "a.b@example.com"]), min_size=1, unique=True), st.data()
)
def test_a_tidy_htpasswd_file_is_accepted_unchanged(users: list[str], data: st.DataObject) -> None:
    lines = [data.draw(lines_spelled(f"{user}:{HASH}")) for user in users]
    separator = data.draw(st.sampled_from(["\n", "\r\n", "\n# team\n"]))
    content = separator.join(lines)
    assert htpasswd(content, "kubectl") == content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (f"\ufeffcentos:{HASH}\n", "name-characters"),
        (f"\ufeff# team\ncentos:{HASH}\n", "not-bcrypt"),
        (f"centos:{HASH}\rjean:{HASH}\r", "not-bcrypt"),
        (f"centos:{HASH}\u2028jean:{HASH}", "not-bcrypt"),
        (f"centos:{HASH}\x1c", "not-bcrypt"),
        (f"\x1ccentos:{HASH}", "name-characters"),
        (f"centos :{HASH}", "name-characters"),
        (f"centos: {HASH}", "not-bcrypt"),
        (f"cen\u200btos:{HASH}", "name-characters"),
        (f"centos:{HASH}\njean:{HASH}\ncentos:{HASH}", "repeated"),
        (f"centos:{HASH}\n# {'x' * 65536}\n", "line-too-long"),
    ],
)
def test_an_htpasswd_file_that_the_registry_reads_otherwise_is_refused(content: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        htpasswd(content, "kubectl")
    assert (refusal.value.key, refusal.value.code) == ("users_secret", code)
