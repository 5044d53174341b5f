"""Check that Go and the registry read each accepted file as the rules do. No cluster is needed.

The offline tests build no programs. Only the programs themselves show how they read a file: Go's TLS server a key and a
chain, and the registry an htpasswd file and YAML.
"""

import os
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import bcrypt
import pytest
from hypothesis import strategies as st

from dev.toolchain.build import build_program
from registry.distribution import render, s3_section
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.pem import to_pem
from registry.validation.secrets import external_credential
from registry.validation.users import htpasswd
from tests.e2e.drawing import SEED, draw_examples
from tests.e2e.lab import SOAK
from tests.e2e.oracles import build_go_verifier, go_objections
from tests.file_inputs import HOST, ISSUING_CA, ROOT, TLS
from tests.file_variants import HARMLESS_CHANGES, variants_of
from tests.job.test_maintenance_job import FakeS3
from tests.registry.test_file_variants import KEY_KINDS, certificate_files, key_files, server_certificate
from tests.serving import serving
from tests.tls_clients import ServedChain

pytestmark = pytest.mark.e2e

EXAMPLE_COUNT = 1000 if SOAK else 200
"""Number of files of each kind."""

LEAST_ACCEPTED = EXAMPLE_COUNT / 8
"""Number of accepted files that must be exceeded, because refused files are not read."""

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$05$abcdefghijklmnopqrstu.").decode()


def is_accepted(rule: Callable[..., object], *arguments: Any) -> bool:
    try:
        rule(*arguments)
    except InvalidInput:
        return False
    return True


def tls_secrets() -> st.SearchStrategy[ServedChain]:
    """Return a strategy for a TLS Secret with variants of a chain and a key, and with the root as its ca.crt."""
    return KEY_KINDS.flatmap(
        lambda kind: st.builds(
            ServedChain,
            st.one_of(
                certificate_files(server_certificate(kind).pem + ISSUING_CA.pem),
                variants_of(server_certificate(kind).pem + ISSUING_CA.pem, HARMLESS_CHANGES),
            ),
            key_files(kind),
            st.just(ROOT.pem),
            st.just((HOST,)),
        )
    )


def test_go_reads_every_accepted_tls_secret_as_the_rules_do(tmp_path: Path, figures: Callable[[str], None]) -> None:
    secrets = draw_examples(EXAMPLE_COUNT, tls_secrets(), lambda secret: secret)
    accepted = [secret for secret in secrets if is_accepted(validate, secret)]
    objections = zip(go_objections(build_go_verifier(tmp_path), accepted), accepted, strict=True)
    assert [(objection, secret) for objection, secret in objections if objection] == []
    figures(f"seed {SEED}: {len(secrets)} TLS Secrets, {len(accepted)} accepted, and Go reads and verifies all of them")
    assert len(accepted) > LEAST_ACCEPTED


def validate(secret: ServedChain) -> str:
    """Apply the rule for a TLS Secret, and return the CAs that the component would trust."""
    texts = {"tls.crt": secret.chain, "tls.key": secret.key, "ca.crt": secret.ca_bundle}
    return to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), list).trusted)


class Htpasswd(NamedTuple):
    """An htpasswd file with the names of its users."""

    content: str
    users: tuple[str, ...]


USUAL_SPACES, UNUSUAL_SPACES = ["", " ", "\t"], ["\ufeff", "\u00a0", "\x1c", "\x85", "\u2028"]
USUAL_LINE_ENDS = ["\n", "\r\n", "\n\n", "\n# team\n"]
UNUSUAL_LINE_ENDS = ["\r", "\v", "\u2028", "\x85", "\n\ufeff# team\n"]


def mostly(usual: Sequence[str], unusual: Sequence[str]) -> st.SearchStrategy[str]:
    """Return a strategy that draws one of the usual values nine times out of ten."""
    return st.integers(0, 9).flatmap(lambda number: st.sampled_from(usual if number else unusual))


def htpasswd_files() -> st.SearchStrategy[Htpasswd]:
    """Return a strategy for files with one to three users. A line may have spaces and line ends of other systems."""
    users = st.lists(st.sampled_from(["centos", "jean dupont", "régis", "a.b@example.com"]), min_size=1, max_size=3)
    space = mostly(USUAL_SPACES, UNUSUAL_SPACES)
    colon = mostly([":"], [" :", ": "])
    end = mostly(USUAL_LINE_ENDS, UNUSUAL_LINE_ENDS)

    def line(name: str) -> st.SearchStrategy[str]:
        return st.tuples(space, colon, space, end).map(lambda part: f"{part[0]}{name}{part[1]}{HASH}{part[2]}{part[3]}")

    return users.flatmap(
        lambda names: st.tuples(*map(line, names)).map(lambda lines: Htpasswd("".join(lines), tuple(names)))
    )


@contextmanager
def running_registry(program: str, folder: Path, **sections: Any) -> Iterator[str]:
    """Run a registry on this machine until the block ends, with more sections in its configuration. Yield host:port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    http = {"addr": f"127.0.0.1:{port}", **sections.pop("http", {})}
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}}
    file = folder / f"{program}.yml"
    file.write_text(render({"version": "0.1", "log": {"level": "error"}, "storage": storage, "http": http, **sections}))
    with (folder / f"{program}.log").open("w") as log:
        process = subprocess.Popen([build_program(program) / program, "serve", file], stdout=log, stderr=log)
        try:
            for _ in range(200):
                assert process.poll() is None, (folder / f"{program}.log").read_text()
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def login_status(address: str, user: str) -> int:
    """Return the status of a request with the user's login."""
    basic = b64encode(f"{user}:{PASSWORD}".encode()).decode()
    try:
        with urlopen(
            Request(f"http://{address}/v2/", headers={"Authorization": f"Basic {basic}"}), timeout=10
        ) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("program", ["registry", "registry-2.7"])
def test_every_user_of_an_accepted_htpasswd_file_logs_in(
    program: str, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    files = draw_examples(EXAMPLE_COUNT, htpasswd_files(), lambda file: file)
    accepted = [file for file in files if is_accepted(htpasswd, file.content, "kubectl")]
    path = tmp_path / "htpasswd"
    path.write_text(f"first:{HASH}\n")
    refused = []
    with running_registry(program, tmp_path, auth={"htpasswd": {"realm": "test", "path": str(path)}}) as address:
        assert (login_status(address, "first"), login_status(address, "unknown")) == (200, 401)
        for number, file in enumerate(accepted, 1):
            path.write_bytes(file.content.encode())
            os.utime(path, (time.time() + number,) * 2)  # the registry reads the file again if it is newer
            refused += [(file.content, user) for user in file.users if login_status(address, user) != 200]
            assert login_status(address, "first") == 401, "the registry has read the new file"
    assert refused == []
    figures(
        f"seed {SEED}: {len(files)} htpasswd files, {len(accepted)} accepted, and {program} accepts all of their users"
    )
    assert len(accepted) > LEAST_ACCEPTED


@pytest.mark.parametrize("program", ["registry", "registry-2.7"])
def test_the_registry_reads_every_accepted_credential_unchanged(program: str, tmp_path: Path) -> None:
    """The registry sends the headers of its configuration, so its response has the texts that its YAML reader read."""
    texts = draw_examples(
        EXAMPLE_COUNT, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), str
    )
    values = {f"X-{number}": text for number, text in enumerate(texts) if is_accepted(external_credential, "key", text)}
    headers = {name: [value] for name, value in values.items()}
    with running_registry(program, tmp_path, http={"headers": headers}) as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
            response = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    sent_headers = dict(line.split(": ", 1) for line in response.split("\r\n\r\n")[0].split("\r\n")[1:])
    assert {name: sent_headers.get(name) for name in values} == values
    assert len(values) > LEAST_ACCEPTED
    # YAML writers may encode characters outside of the basic plane in a form that Go does not read.
    assert any(ord(character) > 0xFFFF for value in values.values() for character in value)


def test_the_registry_makes_objects_with_the_encryption_and_the_class_of_its_section(tmp_path: Path) -> None:
    """Only the real driver shows which headers it makes of its section. The S3 server of the labs ignores them."""
    objects = {"encrypt": True, "keyid": "alias/registry", "storageclass": "STANDARD_IA"}
    with serving(FakeS3()) as server:
        endpoint, keys = f"http://127.0.0.1:{server.server_port}", {"accesskey": "AKID", "secretkey": "secret"}
        section = s3_section("images", "us-east-1", endpoint, None, keys, objects=objects)
        with running_registry("registry", tmp_path, storage=section) as address:
            upload = Request(f"http://{address}/v2/team/image/blobs/uploads/", method="POST", data=b"")
            with urlopen(upload, timeout=10) as response:
                assert response.status == 202
        (started,) = [key for key in server.headers if key.startswith("PUT ") and key.endswith("/startedat")]
        assert {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": "alias/registry",
            "x-amz-storage-class": "STANDARD_IA",
        }.items() <= server.headers[started].items()


def test_the_registry_sends_clients_to_the_bucket_for_a_layer(tmp_path: Path) -> None:
    """Only the real driver signs the URL. Its client needs no login for the bucket."""
    digest = "0" * 64
    with serving(FakeS3()) as server:
        folder = "docker/registry/v2"
        server.objects[f"{folder}/blobs/sha256/00/{digest}/data"] = b"a layer"
        server.objects[f"{folder}/repositories/team/image/_layers/sha256/{digest}/link"] = f"sha256:{digest}".encode()
        endpoint, keys = f"http://127.0.0.1:{server.server_port}", {"accesskey": "AKID", "secretkey": "secret"}
        section = s3_section("images", "us-east-1", endpoint, None, keys, redirect=True)
        with running_registry("registry", tmp_path, storage=section) as address:
            connection = HTTPConnection(address, timeout=10)
            connection.request("GET", f"/v2/team/image/blobs/sha256:{digest}")
            response = connection.getresponse()
            response.read()
            connection.close()
    assert response.status == 307
    location = urlsplit(response.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == (
        f"{endpoint}/images/{folder}/blobs/sha256/00/{digest}/data"
    )
    assert parse_qs(location.query)["X-Amz-Expires"] == ["1200"], "the page says 20 minutes"
