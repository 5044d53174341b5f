"""The commands that a refusal names work as typed, and the rules accept the values that they store.

kubectl, pulumi and htpasswd are fakes that store their input in files. e2e/test_certificates.py types such a command
with the real kubectl.
"""

import json
import os
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput, chains
from registry.validation.chains import TypedHost
from registry.validation.secrets import ExistingSecret, decode_secret_data, read_credentials
from registry.validation.users import htpasswd
from tests.conftest import to_base64
from tests.file_inputs import HASH, HOST, ISSUING_CA, ROOT, S3, TLS
from tests.file_variants import encode_key_unreadable_in_go
from tests.issuing import KEY_PASSWORD, CertificateSpec, IssuedCertificate, issue, server_spec

# The programs import little, because most of their time is the start of Python.
KUBECTL = """
import sys
from binascii import b2a_base64

def content(name):
    with open(name, "rb") as file:
        return b2a_base64(file.read(), newline=False).decode()

arguments = sys.argv[1:]
if arguments[0] == "replace":
    assert arguments == ["replace", "--force", "-f", "-"], arguments
    with open("stored.json", "w") as file:
        file.write(sys.stdin.read())
else:
    assert arguments[:3] == ["create", "secret", "generic"] and "--dry-run=client" in arguments, arguments
    names = [argument.partition("=")[2] for argument in arguments if argument.startswith("--from-file=")]
    print("{%s}" % ", ".join('"%s": "%s"' % (name, content(name)) for name in names))
"""
PULUMI = """
import sys
assert sys.argv[1:3] == ["config", "set"], sys.argv
with open(f"config-{sys.argv[-1]}", "w") as file:
    file.write(sys.stdin.read().removesuffix("\\n"))
"""
HTPASSWD = f"""
import sys
assert sys.argv[1:] == ["-nbBC", "10", "USER", "PASSWORD"], sys.argv
with open("registry.password", "w") as file:
    file.write("USER:{HASH}\\n\\n")
"""

USERS = ExistingSecret("users_secret", "docker-registry", "users", ("registry.password",))
LEAF = issue(server_spec(HOST), ISSUING_CA)
OTHER = issue(server_spec(HOST), ISSUING_CA)
CUT_OFF = LEAF.pem[:-30]


def changed_ca(**changes: Any) -> str:
    return issue(CertificateSpec("Registry CA", **changes)).pem


@cache
def self_signed() -> IssuedCertificate:
    """Issue a certificate as `openssl req -x509 -addext subjectAltName=DNS:...` does: a CA without a key usage."""
    return issue(CertificateSpec(HOST, hosts=(HOST,), usage=None, days=365))


class Case(NamedTuple):
    """A refused value, and the files that a user edits before typing the commands of the remedy.

    Attributes:
        key: The input.
        code: The code of the refusal.
        files: Files of the Secret, or the value of the config under the name of the input.
        edited: Files that the user writes or changes, as the remedy says.
        then: Codes of the next refusals, each with the files to edit, if the commands do not lead to acceptance.
    """

    key: str
    code: str
    files: Mapping[str, str]
    edited: Mapping[str, str] = {}
    then: tuple[tuple[str, Mapping[str, str]], ...] = ()


def tls(crt: str = LEAF.pem + ISSUING_CA.pem, key: str = LEAF.key_pem, ca: str = ROOT.pem) -> dict[str, str]:
    return {"tls.crt": crt, "tls.key": key, "ca.crt": ca}


PKCS7 = serialize_certificates([ISSUING_CA.certificate, ROOT.certificate], Encoding.PEM).decode()

CASES: dict[str, Case] = {
    "CA without a key usage": Case("ca_certificate", "not-a-ca", {"ca_certificate": changed_ca(usage=None)}),
    "CA with name constraints": Case(
        "ca_certificate", "name-constraints", {"ca_certificate": changed_ca(permitted_names=("example.com",))}
    ),
    "issuing CA without its root": Case(
        "ca_certificate",
        "root-missing",
        {"ca_certificate": ISSUING_CA.pem},
        {"ca.pem": ISSUING_CA.pem, "root.pem": ROOT.pem},
    ),
    "CA that is cut off": Case(
        "ca_certificate", "unreadable-certificates", {"ca_certificate": ROOT.pem[:-30]}, {"ca.pem": ROOT.pem}
    ),
    "PKCS#7": Case("ca_certificate", "pkcs7", {"ca_certificate": PKCS7}, {"ca.p7b": PKCS7}),
    "key as a CA": Case("ca_certificate", "not-certificates", {"ca_certificate": ROOT.key_pem}, {"ca.pem": ROOT.pem}),
    "upstream CA that is cut off": Case(
        "upstream_ca", "unreadable-certificates", {"upstream_ca": ROOT.pem[:-30]}, {"ca.pem": ROOT.pem}
    ),
    "encrypted CA key": Case(
        "ca_key", "encrypted-key", {"ca_key": ROOT.encrypted_key_pem}, {"encrypted.key": ROOT.encrypted_key_pem}
    ),
    "CA key that is cut off": Case(
        "ca_key", "unreadable-key", {"ca_key": ROOT.key_pem[:-30]}, {"ca.key": ROOT.key_pem}
    ),
    "two CA keys": Case("ca_key", "several-keys", {"ca_key": ROOT.key_pem * 2}, {"ca.key": ROOT.key_pem}),
    "no intermediate": Case("tls_secret", "intermediate-missing", tls(LEAF.pem), {"intermediate.pem": ISSUING_CA.pem}),
    "no root": Case("tls_secret", "root-missing", tls(ca=""), {"root.pem": ROOT.pem, "ca.crt": ""}),
    "an intermediate as ca.crt": Case("tls_secret", "root-missing", tls(ca=ISSUING_CA.pem), {"root.pem": ROOT.pem}),
    "the root in tls.crt alone": Case(
        "tls_secret",
        "root-missing",
        tls(LEAF.pem + ISSUING_CA.pem + ROOT.pem, ca=issue(CertificateSpec("Another CA")).pem),
        {"root.pem": ROOT.pem},
    ),
    "neither intermediate nor root": Case(
        "tls_secret",
        "root-missing",
        tls(LEAF.pem, ca=""),
        {"root.pem": ISSUING_CA.pem, "ca.crt": ""},
        then=(("root-missing", {"root.pem": ROOT.pem}),),
    ),
    "self-signed by openssl": Case("tls_secret", "not-a-ca", tls(self_signed().pem, self_signed().key_pem, "")),
    "key of another certificate": Case(
        "tls_secret", "key-of-another-certificate", tls(key=OTHER.key_pem), {"tls.key": LEAF.key_pem}
    ),
    "tls.crt that is cut off": Case(
        "tls_secret", "unreadable-certificates", tls(CUT_OFF), {"tls.crt": LEAF.pem + ISSUING_CA.pem}
    ),
    "ca.crt that is cut off": Case(
        "tls_secret", "unreadable-certificates", tls(ca=ROOT.pem[:-30]), {"ca.crt": ROOT.pem}
    ),
    "ca.crt with a key": Case("tls_secret", "not-certificates", tls(ca=ROOT.key_pem), {"ca.crt": ROOT.pem}),
    "tls.key that is cut off": Case(
        "tls_secret", "unreadable-key", tls(key=LEAF.key_pem[:-30]), {"tls.key": LEAF.key_pem}
    ),
    "two keys in tls.key": Case("tls_secret", "several-keys", tls(key=LEAF.key_pem * 2), {"tls.key": LEAF.key_pem}),
    "encrypted tls.key": Case(
        "tls_secret",
        "encrypted-key",
        tls(key=LEAF.encrypted_key_pem),
        {"encrypted.key": LEAF.encrypted_key_pem},
    ),
    "byte order mark in tls.crt": Case(
        "tls_secret",
        "byte-order-mark",
        tls(f"\ufeff{LEAF.pem}{ISSUING_CA.pem}"),
        {"tls.crt": LEAF.pem + ISSUING_CA.pem},
    ),
    "blocks on one line": Case(
        "tls_secret",
        "pem-lines",
        tls(LEAF.pem.rstrip() + ISSUING_CA.pem),
        {"tls.crt": LEAF.pem + ISSUING_CA.pem},
    ),
    "key with explicit parameters": Case("tls_secret", "key-encoding", tls(key=encode_key_unreadable_in_go(LEAF.key))),
    "Secret without a key": Case("tls_secret", "secret-incomplete", tls(key=""), {"tls.key": LEAF.key_pem}),
    "S3 Secret without a key": Case(
        "s3_secret", "secret-incomplete", {"access-key": "KEY"}, {"secret-key": "SECRET\n"}
    ),
    "S3 key of two lines": Case(
        "s3_secret",
        "not-a-credential",
        {"access-key": "KEY\nSECRET", "secret-key": "SECRET"},
        {"access-key": "KEY\r\n"},
    ),
    "user with plain text": Case("users_secret", "not-bcrypt", {"registry.password": "centos:hunter2"}),
    "user with a byte order mark": Case(
        "users_secret", "name-characters", {"registry.password": f"\ufeffcentos:{HASH}"}
    ),
    "user who is there twice": Case("users_secret", "repeated", {"registry.password": f"centos:{HASH}\n" * 2}),
    "no users": Case("users_secret", "no-users", {"registry.password": "# empty"}),
}
"""Refusals whose remedy names commands."""


RULES: dict[str, Callable[[dict[str, str]], Any]] = {
    "tls_secret": lambda data: chains.validate_server_chain(
        TLS, decode_secret_data(TLS, data, ("ca.crt",)), TypedHost(HOST), list
    ),
    "s3_secret": lambda data: read_credentials(S3, data),
    "users_secret": lambda data: htpasswd(
        decode_secret_data(USERS, data)["registry.password"], USERS.replace_command()
    ),
}
"""Rules for the data of existing Secrets, by input."""


@pytest.mark.parametrize("name", CASES)
def test_the_rules_accept_the_files_that_the_commands_of_a_remedy_store(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    refusal = refuse(case.key, {file: b64encode(to_bytes(text)).decode() for file, text in case.files.items()})
    assert (refusal.key, refusal.code) == (case.key, case.code)
    create_programs(tmp_path)
    write(tmp_path, case.files)
    write(tmp_path, case.edited)
    type_commands(tmp_path, refusal.remedy)
    for code, edited in case.then:
        refusal = refuse(case.key, stored(tmp_path, case.key))
        assert refusal.code == code
        write(tmp_path, edited)
        type_commands(tmp_path, refusal.remedy)
    accept(case.key, stored(tmp_path, case.key))


def create_programs(folder: Path) -> None:
    for program, source in (("kubectl", KUBECTL), ("pulumi", PULUMI), ("htpasswd", HTPASSWD)):
        (folder / program).write_text(f"#!{sys.executable} -IS\n{source}")
        (folder / program).chmod(0o755)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_bytes(to_bytes(text))


def to_bytes(text: str) -> bytes:
    """Return the text in UTF-8. A lone surrogate stands for a byte that is not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def type_commands(folder: Path, remedy: str) -> None:
    """Run each command of a remedy in a shell. It reads the password of an encrypted key from standard input."""
    commands = re.findall(r"`((?:cat|htpasswd|kubectl|mv|openssl|pulumi) [^`]*)`", remedy)
    assert commands, remedy
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            ["setsid", "bash", "-c", command],
            cwd=folder,
            env=environment,
            input=f"{KEY_PASSWORD}\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def stored(folder: Path, key: str) -> dict[str, str]:
    """Return the data of the Secret that the commands stored, or the value of the config in base64, by file."""
    if key in RULES:
        content = (folder / "stored.json").read_text()
        return dict(json.loads(content))
    return {key: to_base64((folder / f"config-{key}").read_text())}


def refuse(key: str, data: dict[str, str]) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        apply_rule(key, data)
    return refusal.value


def apply_rule(key: str, data: dict[str, str]) -> Any:
    return RULES[key](data) if key in RULES else INPUTS[key].rule(b64decode(data[key]).decode())


def accept(key: str, data: dict[str, str]) -> None:
    assert apply_rule(key, data)


def test_the_command_for_the_key_of_another_ca_sets_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        chains.require_key_of_authority(ROOT.pem, ISSUING_CA.key_pem)
    assert (refusal.value.key, refusal.value.code) == ("ca_key", "key-of-another-certificate")
    create_programs(tmp_path)
    write(tmp_path, {"ca.key": ROOT.key_pem})
    type_commands(tmp_path, refusal.value.remedy)
    chains.require_key_of_authority(ROOT.pem, b64decode(stored(tmp_path, "ca_key")["ca_key"]).decode())


def test_the_commands_for_a_new_ca_set_a_ca_and_its_key(tmp_path: Path) -> None:
    create_programs(tmp_path)
    type_commands(tmp_path, chains.MAKE_CA)
    ca, key = ((tmp_path / f"config-{name}").read_text() for name in ("ca_certificate", "ca_key"))
    chains.require_key_of_authority(INPUTS["ca_certificate"].rule(ca), INPUTS["ca_key"].rule(key))


def test_a_certificate_for_a_key_of_openssl_genpkey_is_accepted(tmp_path: Path) -> None:
    """The refusals of keys that Go does not read name these two `openssl genpkey` commands."""
    usage = "-subj /CN=x -addext keyUsage=critical,keyCertSign"
    for options in ("EC -pkeyopt ec_paramgen_curve:P-256", "RSA"):
        command = f"openssl genpkey -algorithm {options} > key && openssl req -x509 -key key {usage} -out ca.pem"
        subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)
        assert INPUTS["ca_certificate"].rule((tmp_path / "ca.pem").read_text())


def test_the_command_for_a_hostname_sets_a_name_of_the_certificate() -> None:
    texts = {"tls.crt": LEAF.pem + ISSUING_CA.pem, "tls.key": LEAF.key_pem, "ca.crt": ROOT.pem}
    with pytest.raises(InvalidInput) as refusal:
        chains.validate_server_chain(TLS, texts, TypedHost("other.example.com"), list)
    assert refusal.value.code == "name-missing"
    assert refusal.value.remedy.endswith(f", or run `pulumi config set hostname {HOST}`")
    assert chains.validate_server_chain(TLS, texts, TypedHost(HOST), list)


def test_a_hostname_is_no_remedy_if_clients_type_the_name_of_the_service() -> None:
    texts = {"tls.crt": LEAF.pem + ISSUING_CA.pem, "tls.key": LEAF.key_pem, "ca.crt": ROOT.pem}
    with pytest.raises(InvalidInput) as refusal:
        chains.validate_server_chain(TLS, texts, TypedHost("docker-registry.team.svc", is_hostname=False), list)
    assert "hostname" not in refusal.value.remedy
