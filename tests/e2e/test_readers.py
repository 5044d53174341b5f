"""Go and the registry read each accepted file as the rules do. No cluster is needed.

Only the programs themselves show how they read a file: Go's TLS server, the registry's htpasswd and its YAML.
"""

import os
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import bcrypt
import pytest
from hypothesis import strategies as st

from dev.toolchain.build import build_program
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.pem import to_pem
from registry.validation.secrets import external_credential
from registry.validation.users import htpasswd
from registry.workload.configuration import render
from tests.e2e.drawing import SEED, draw_examples
from tests.e2e.lab import SOAK
from tests.e2e.oracles import build_go_verifier, go_objections
from tests.file_inputs import HOST, ISSUING_CA, ROOT, TLS
from tests.file_variants import HARMLESS_CHANGES, variants_of
from tests.test_file_variants import KEY_KINDS, certificate_files, key_files, server_certificate
from tests.tls_clients import ServedChain

pytestmark = pytest.mark.e2e

COUNT = 1000 if SOAK else 200
"""Number of variants of each kind of file."""

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$05$abcdefghijklmnopqrstu.").decode()


def accepted(rule: Callable[..., object], *arguments: Any) -> bool:
    try:
        rule(*arguments)
    except InvalidInput:
        return False
    return True


def tls_secrets() -> st.SearchStrategy[ServedChain]:
    """Return a strategy for a TLS Secret of files in any variant, with the root as its ca.crt."""
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
    secrets = draw_examples(COUNT, tls_secrets(), lambda secret: secret)
    read = [each for each in secrets if accepted(validate, each)]
    objections = go_objections(build_go_verifier(tmp_path), read)
    assert [each for each in zip(objections, read, strict=True) if each[0]] == []
    figures(f"seed {SEED}: {len(secrets)} TLS Secrets, {len(read)} accepted, and Go reads and verifies all of them")
    assert len(read) > COUNT / 8


def validate(secret: ServedChain) -> str:
    texts = {"tls.crt": secret.chain, "tls.key": secret.key, "ca.crt": secret.ca_bundle}
    return to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), list).trusted)


class Htpasswd(NamedTuple):
    """A file, and the users that were written to it."""

    content: str
    users: tuple[str, ...]


SPACES = ["", " ", "\t", "\ufeff", "\u00a0", "\x1c", "\x85", "\u2028"]
LINE_ENDS = ["\n", "\r\n", "\n\n", "\n# team\n", "\r", "\v", "\u2028", "\x85", "\n\ufeff# team\n"]


def often(usual: Sequence[str], others: Sequence[str]) -> st.SearchStrategy[str]:
    """Return a strategy that draws a usual value nine times of ten."""
    return st.integers(0, 9).flatmap(lambda number: st.sampled_from(usual if number else others))


def htpasswd_files() -> st.SearchStrategy[Htpasswd]:
    """Return a strategy for files with one to three users. Every line may have characters of other systems."""
    users = st.lists(st.sampled_from(["centos", "jean dupont", "régis", "a.b@example.com"]), min_size=1, max_size=3)
    parts = (often(SPACES[:3], SPACES[3:]), often([":"], [" :", ": "]), often(SPACES[:3], SPACES[3:]))
    ends = often(LINE_ENDS[:4], LINE_ENDS[4:])

    def line(name: str) -> st.SearchStrategy[str]:
        return st.tuples(*parts, ends).map(lambda part: f"{part[0]}{name}{part[1]}{HASH}{part[2]}{part[3]}")

    return users.flatmap(
        lambda names: st.tuples(*map(line, names)).map(lambda lines: Htpasswd("".join(lines), tuple(names)))
    )


@contextmanager
def running_registry(program: str, folder: Path, **sections: Any) -> Iterator[str]:
    """Start a registry of this machine with more sections in its configuration, and yield host:port."""
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


def status(address: str, user: str) -> int:
    """Return the status of a login."""
    basic = b64encode(f"{user}:{PASSWORD}".encode()).decode()
    try:
        with urlopen(
            Request(f"http://{address}/v2/", headers={"Authorization": f"Basic {basic}"}), timeout=10
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("program", ["registry", "registry-2.7"])
def test_every_user_of_an_accepted_htpasswd_file_logs_in(
    program: str, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    files = draw_examples(COUNT, htpasswd_files(), lambda file: file)
    read = [file for file in files if accepted(htpasswd, file.content, "kubectl")]
    path = tmp_path / "htpasswd"
    path.write_text(f"first:{HASH}\n")
    refused = []
    with running_registry(program, tmp_path, auth={"htpasswd": {"realm": "test", "path": str(path)}}) as address:
        assert (status(address, "first"), status(address, "unknown")) == (200, 401)
        for number, file in enumerate(read, 1):
            path.write_bytes(file.content.encode())
            os.utime(path, (time.time() + number,) * 2)  # the registry reads the file if it is newer
            refused += [(file.content, user) for user in file.users if status(address, user) != 200]
            assert status(address, "first") == 401, "The file was not read again."
    assert refused == []
    figures(f"seed {SEED}: {len(files)} htpasswd files, {len(read)} accepted, and {program} accepts all of their users")
    assert len(read) > COUNT / 8


@pytest.mark.parametrize("program", ["registry", "registry-2.7"])
def test_the_registry_reads_every_accepted_credential_as_it_is(program: str, tmp_path: Path) -> None:
    """The registry repeats the headers of its configuration, so it shows what its YAML reader has read."""
    texts = draw_examples(COUNT, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), str)
    values = {f"X-{number}": text for number, text in enumerate(texts) if accepted(external_credential, "key", text)}
    headers = {name: [value] for name, value in values.items()}
    with running_registry(program, tmp_path, http={"headers": headers}) as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    shown = dict(line.split(": ", 1) for line in answer.split("\r\n\r\n")[0].split("\r\n")[1:])
    assert {name: shown.get(name) for name in values} == values
    assert len(values) > COUNT / 8
    assert any(ord(character) > 0xFFFF for value in values.values() for character in value)
