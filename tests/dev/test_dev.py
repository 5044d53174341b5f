"""The command line of `python -m dev`, its errors, and its calls on the pages."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer.main

from dev import __main__ as command_line
from dev.cluster import Cluster
from dev.deploy import Deployment
from dev.environment import PROJECT, Environment
from dev.errors import BuildError, ClusterError, CommandError, DeploymentError, RequirementError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequirementError("cause", "remedy"), 2),
        (BuildError("cause", "remedy"), 1),
        (ClusterError("cause", "remedy"), 1),
        (DeploymentError("cause", "remedy", 7), 7),
    ],
)
def test_an_error_is_printed_and_sets_the_exit_code(
    error: CommandError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(command_line, "app", fail)
    with pytest.raises(SystemExit) as raised:
        command_line.main()
    assert raised.value.code == code
    assert capsys.readouterr().err == "cause remedy\n"


def test_an_error_shows_its_details_between_cause_and_remedy() -> None:
    assert str(BuildError("It failed.", "Try again.", details="one\ntwo")) == "It failed.\n    one\n    two\nTry again."


CHOICE = {"key": "exposure", "value": "node-port", "reason": "It works everywhere."}
PROPOSAL = {"choices": [CHOICE], "address": "192.168.56.11", "written": {"keys": ["exposure"], "kept": {}}}
OUTPUTS = json.dumps({"refresh": False, "endpoint": "registry:5000", "username": "jean", "ca_pem": "CA", **PROPOSAL})
"""Output of every command: that of `ops recover`, `ops propose`, and the outputs of a stack."""


class FakeEnvironment(Environment):
    """An environment whose commands fail if they contain the word in the variable `fails`."""

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        code = int(self.variables["fails"] in argv)
        return subprocess.CompletedProcess(argv, 3 * code, OUTPUTS, "its error" * code)

    def run_in_foreground(self, *argv: str) -> int:
        return 4 * int(self.variables["fails"] in argv)


def deploy(state: Path, variables: Mapping[str, str], cluster: Cluster | None = None) -> None:
    Deployment(FakeEnvironment(variables), state, cluster).up()


@pytest.mark.parametrize(("command", "code", "details"), [("select", 3, "its error"), ("up", 4, "")])
def test_a_failed_command_of_the_deployment_is_reported_with_its_exit_code(
    tmp_path: Path, command: str, code: int, details: str
) -> None:
    with pytest.raises(DeploymentError) as raised:
        deploy(tmp_path, {"fails": command})
    assert (raised.value.exit_code, raised.value.details) == (code, details)


def test_a_state_that_cannot_be_recovered_is_not_deployed(tmp_path: Path) -> None:
    with pytest.raises(RequirementError) as raised:
        deploy(tmp_path, {"fails": "recover"})
    assert raised.value.details == "its error"


@pytest.mark.parametrize(
    ("name", "is_embedded", "expected"),
    [
        ("dev", True, "-m dev env)"),
        ("other", True, "-m dev env --cluster other)"),
        ("dev", True, "docker with an engine on another host"),
        ("dev", False, "-m ops trust --stack own --address 192.168.56.11\n"),  # no laptop trusts the CA
        ("dev", False, "registry:5000 is up at 192.168.56.11"),
    ],
)
def test_the_next_steps_fit_the_kind_and_the_name_of_the_cluster(
    name: str, is_embedded: bool, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    deploy(tmp_path / name, {"fails": "nothing"}, Cluster(tmp_path / name, name) if is_embedded else None)
    assert expected in capsys.readouterr().out


def test_the_values_of_the_proposal_are_printed_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(tmp_path, {"fails": "nothing"})
    assert "exposure: node-port. It works everywhere." in capsys.readouterr().err


def test_nothing_is_deployed_without_a_proposal(tmp_path: Path) -> None:
    with pytest.raises(RequirementError) as raised:
        deploy(tmp_path, {"fails": "propose"})
    assert raised.value.details == "its error"
    assert "Nothing was created" in raised.value.remedy


def test_a_refused_value_leaves_nothing_on_the_cluster_of_kubeconfig(tmp_path: Path) -> None:
    """The preview refuses it. On the embedded cluster, the preview would only take time."""
    with pytest.raises(DeploymentError):
        deploy(tmp_path, {"fails": "--skip-preview"}, Cluster(tmp_path, "dev"))
    deploy(tmp_path, {"fails": "--skip-preview"})


def test_the_cluster_of_kubeconfig_cannot_be_checked_without_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RequirementError):
        command_line._select_cluster("dev", isolated=False)


@pytest.mark.parametrize("page", ["README.md", "dev/README.md"])
def test_every_call_of_dev_on_a_page_is_valid(page: str) -> None:
    calls = re.findall(r"python -m dev\s([^`)]+)[`)]", (PROJECT / page).read_text())
    assert calls
    for call in calls:
        name, *arguments = call.split()
        if arguments != ["--help"]:
            typer.main.get_group(command_line.app).commands[name].make_context(name, arguments)
