"""`ops login`: which program is called and how, a password in a pipe alone, and what a failure says."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops.login import log_in
from ops.stack import Outputs, Refusal

PASSWORD = "correct horse battery"
OUTPUTS = Outputs("docker-registry:5000", "a CA", "centos", PASSWORD, "docker-registry")

RECORDER = f"""\
#!{sys.executable}
import json, os, sys
record = dict(argv=sys.argv, stdin=sys.stdin.read(), environment=dict(os.environ))
open(__file__ + ".json", "w").write(json.dumps(record))
print("%s")
print("%s", file=sys.stderr)
sys.exit(%d)
"""


def install(folder: Path, name: str, said: str = "Login Succeeded", error: str = "", code: int = 0) -> Path:
    """A program that notes how it was called; what it noted."""
    program = folder / name
    program.write_text(RECORDER % (said, error, code))
    program.chmod(0o755)
    return folder / f"{name}.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of nothing but what is put there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("program", ["docker", "podman"])
def test_the_password_goes_through_a_pipe_and_nowhere_else(folder: Path, program: str) -> None:
    noted = install(folder, program)
    said = log_in(OUTPUTS, program, "dev")
    called = json.loads(noted.read_text())
    assert called["argv"][1:] == ["login", "docker-registry:5000", "--username", "centos", "--password-stdin"]
    assert called["stdin"] == PASSWORD
    assert PASSWORD not in json.dumps([called["argv"], called["environment"]])
    assert said == f"`{program} login docker-registry:5000` as centos, of the stack 'dev'\nLogin Succeeded"


@pytest.mark.parametrize(("here", "taken"), [(("docker", "podman"), "docker"), (("podman",), "podman")])
def test_the_program_that_is_here_is_taken(folder: Path, here: tuple[str, ...], taken: str) -> None:
    noted = {name: install(folder, name) for name in here}
    log_in(OUTPUTS, "", "dev")
    assert [name for name in here if noted[name].exists()] == [taken]


@pytest.mark.parametrize(("asked", "missing"), [("", "no `docker` and no `podman`"), ("podman", "no `podman`")])
def test_a_program_that_is_missing_is_named(folder: Path, asked: str, missing: str) -> None:
    if asked:
        install(folder, "docker")
    with pytest.raises(Refusal, match=f"^{missing} on PATH: install one"):
        log_in(OUTPUTS, asked, "dev")


ENGINE = "Error response from daemon: Get https://docker-registry:5000/v2/: "


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            ENGINE + "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "`python -m ops trust --stack mine`",
        ),
        (ENGINE + "x509: certificate has expired or is not yet valid", "`python -m ops verify --stack mine`"),
        (
            ENGINE + "dial tcp: lookup docker-registry on 10.0.0.2:53: no such host",
            "`python -m ops trust --stack mine --address IP`",
        ),
        (
            ENGINE + "dial tcp: lookup docker-registry: Temporary failure in name resolution",
            "`python -m ops trust --stack mine --address IP`",
        ),
        (
            "Error response from daemon: login attempt to https://docker-registry:5000/v2/ failed with status: "
            "401 Unauthorized",
            "`pulumi up --refresh`",
        ),
        (ENGINE + "dial tcp 192.168.56.10:5000: connect: connection refused", "verify --stack mine`"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "DOCKER_HOST"),
        ("something nobody has seen yet", "see `python -m ops verify --stack mine`"),
    ],
)
def test_a_failure_is_the_programs_own_word_with_a_remedy(folder: Path, error: str, remedy: str) -> None:
    install(folder, "docker", said="", error=error, code=1)
    with pytest.raises(Refusal) as refusal:
        log_in(OUTPUTS, "docker", "mine")
    assert error in str(refusal.value)
    assert remedy in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_engine_that_has_not_heard_of_the_name_yet_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(folder, "docker")
    asked = folder / "asked"
    (folder / "docker").rename(folder / "known")
    error = f"{ENGINE}dial tcp: lookup docker-registry: no such host"
    unknown = f"[ -e {asked} ] || {{ : > {asked}; echo '{error}' >&2; exit 1; }}"
    (folder / "docker").write_text(f'#!/bin/sh\n{unknown}\nexec {folder}/known "$@"\n')
    (folder / "docker").chmod(0o755)
    monkeypatch.setattr("ops.login.HEARD", 0)
    with pytest.raises(Refusal, match="no such host"):
        log_in(OUTPUTS, "docker", "dev")
    asked.unlink()
    monkeypatch.setattr("ops.login._resolves", lambda host: host == OUTPUTS.host)
    assert "Login Succeeded" in log_in(OUTPUTS, "docker", "dev")


def test_a_program_that_says_the_password_is_not_quoted(folder: Path) -> None:
    install(folder, "docker", said=f"I got {PASSWORD}", error=f"it is {PASSWORD}")
    assert PASSWORD not in log_in(OUTPUTS, "docker", "dev")
    install(folder, "docker", error=f"it is {PASSWORD}", code=1)
    with pytest.raises(Refusal) as refusal:
        log_in(OUTPUTS, "docker", "dev")
    assert PASSWORD not in str(refusal.value)


def test_a_program_that_hangs_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "docker"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(30)\n")
    program.chmod(0o755)
    monkeypatch.setattr("ops.login.TIMEOUT", 0.2)
    with pytest.raises(Refusal, match=r"gave no answer in 0\.2 s"):
        log_in(OUTPUTS, "docker", "dev")


def test_the_command_says_what_it_used_and_refuses_another_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: OUTPUTS)
    install(folder, "docker")
    done = CliRunner().invoke(command_line.app, ["login", "--stack", "mine"])
    assert done.exit_code == 0, done.output
    assert "`docker login docker-registry:5000` as centos, of the stack 'mine'\nLogin Succeeded" in done.output
    assert CliRunner().invoke(command_line.app, ["login", "--with", "nerdctl"]).exit_code == 2
