"""`ops login`: the program that is run, the password in a pipe, and the remedies of failures."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops.errors import CommandError
from ops.login import log_in
from ops.stack import PASSWORD_DELAY_MINUTES, Outputs

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


def install_recorder(folder: Path, name: str, output: str = "Login Succeeded", error: str = "", code: int = 0) -> Path:
    """Install a program that records its call, prints `output` and `error`, and exits with `code`.

    Return the path of the record.
    """
    program = folder / name
    program.write_text(RECORDER % (output, error, code))
    program.chmod(0o755)
    return folder / f"{name}.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("program", ["docker", "podman"])
def test_the_password_passes_through_a_pipe_only(folder: Path, program: str) -> None:
    record = install_recorder(folder, program)
    result = log_in(OUTPUTS, program, "dev")
    call = json.loads(record.read_text())
    assert call["argv"][1:] == ["login", "docker-registry:5000", "--username", "centos", "--password-stdin"]
    assert call["stdin"] == PASSWORD
    assert PASSWORD not in json.dumps([call["argv"], call["environment"]])
    assert f"`{program} login docker-registry:5000`" in result
    assert result.endswith("\nLogin Succeeded")


@pytest.mark.parametrize(("installed", "used"), [(("docker", "podman"), "docker"), (("podman",), "podman")])
def test_the_first_program_on_path_is_used(folder: Path, installed: tuple[str, ...], used: str) -> None:
    records = {name: install_recorder(folder, name) for name in installed}
    log_in(OUTPUTS, "", "dev")
    assert [name for name in installed if records[name].exists()] == [used]


@pytest.mark.parametrize(("program", "missing"), [("", ["docker", "podman"]), ("podman", ["podman"])])
def test_the_error_names_the_programs_that_are_missing(folder: Path, program: str, missing: list[str]) -> None:
    if program:
        install_recorder(folder, "docker")
    with pytest.raises(CommandError) as error:
        log_in(OUTPUTS, program, "dev")
    assert [name for name in ("docker", "podman") if f"`{name}`" in error.value.cause] == missing


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
            f"within {PASSWORD_DELAY_MINUTES} minutes",
        ),
        (ENGINE + "dial tcp 192.168.56.10:5000: connect: connection refused", "verify --stack mine`"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "DOCKER_HOST"),
        ("an error that is not listed", "`python -m ops verify --stack mine`"),
    ],
)
def test_a_failure_quotes_the_program_and_has_a_remedy(folder: Path, error: str, remedy: str) -> None:
    install_recorder(folder, "docker", output="", error=error, code=1)
    with pytest.raises(CommandError) as failure:
        log_in(OUTPUTS, "docker", "mine")
    assert error.rstrip(".") in failure.value.cause
    assert remedy in failure.value.remedy
    assert "\n" not in str(failure.value)


def test_the_login_is_repeated_if_the_engine_does_not_know_the_name_yet(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_recorder(folder, "docker")
    called = folder / "called"
    (folder / "docker").rename(folder / "real")
    error = f"{ENGINE}dial tcp: lookup docker-registry: no such host"
    unknown = f"[ -e {called} ] || {{ : > {called}; echo '{error}' >&2; exit 1; }}"
    (folder / "docker").write_text(f'#!/bin/sh\n{unknown}\nexec {folder}/real "$@"\n')
    (folder / "docker").chmod(0o755)
    monkeypatch.setattr("ops.login.HOSTS_RELOAD_SECONDS", 0)
    with pytest.raises(CommandError, match="no such host"):
        log_in(OUTPUTS, "docker", "dev")
    called.unlink()
    monkeypatch.setattr("ops.login._resolves", lambda host: host == OUTPUTS.host)
    assert "Login Succeeded" in log_in(OUTPUTS, "docker", "dev")


def test_a_password_in_the_programs_output_is_not_printed(folder: Path) -> None:
    install_recorder(folder, "docker", output=f"I got {PASSWORD}", error=f"it is {PASSWORD}")
    assert PASSWORD not in log_in(OUTPUTS, "docker", "dev")
    install_recorder(folder, "docker", error=f"it is {PASSWORD}", code=1)
    with pytest.raises(CommandError) as failure:
        log_in(OUTPUTS, "docker", "dev")
    assert PASSWORD not in str(failure.value)


def test_a_program_that_does_not_end_is_an_error_after_a_timeout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "docker"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(30)\n")
    program.chmod(0o755)
    monkeypatch.setattr("ops.login.TIMEOUT", 0.2)
    with pytest.raises(CommandError, match=r"0\.2 seconds"):
        log_in(OUTPUTS, "docker", "dev")


def test_the_command_prints_program_and_stack_and_rejects_other_programs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: OUTPUTS)
    install_recorder(folder, "docker")
    result = CliRunner().invoke(command_line.app, ["login", "--stack", "mine"])
    assert result.exit_code == 0, result.output
    assert "`docker login docker-registry:5000` as centos" in result.output
    assert "'mine'" in result.output
    assert "Login Succeeded" in result.output
    assert CliRunner().invoke(command_line.app, ["login", "--with", "nerdctl"]).exit_code == 2
