"""Type each command of a remedy in a shell, and preview the inputs.

Only the real engine decides which type a typed value has, and whether Pulumi.yaml allows it. No cluster is needed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.environment import PASSPHRASE, PROJECT, Environment
from dev.toolchain.engine import provide_engine
from registry.inputs.table import INPUTS, SECRETS
from tests.e2e import stack_file
from tests.examples import CA, EXAMPLES, Inputs, accepts
from tests.remedies import remedies

pytestmark = pytest.mark.e2e

PROGRAM = """
import json
import pulumi
from registry.inputs.config import args_from
from registry.inputs.resolve import resolve
settings = resolve(args_from(pulumi.Config()))
subjects = [vars(subject) for subject in vars(settings).values() if hasattr(subject, "__dataclass_fields__")]
def write(resolved):
    shown = {"limits": resolved[1], "labels": settings.labels, "subject": settings.tls.certificate_subject}
    with open(f"{pulumi.get_stack()}.json", "w") as file:
        json.dump(shown, file)
pulumi.export("checked", pulumi.Output.all(subjects, settings.workload.limits).apply(write))
"""
"""The project's program without resources: the rules for all inputs, also for secrets. It writes some settings."""

ANSWERS = {
    "client_cidrs": "10.0.0.0/8",
    "requests": "64Mi",
    "limits": "1Gi",
    "tolerations": "dedicated",
    "passwords": "12345678",
    "outbound_proxy": "http://proxy.example.com:3128",
}
"""Answers to the prompts of `pulumi config set`. The others are those of tests/examples.py."""


@dataclass(frozen=True)
class Shell:
    """A shell in a folder with the project's Pulumi.yaml, and with the engine on its PATH."""

    folder: Path
    environment: Environment

    def run(self, script: str, stdin: str = "") -> None:
        """Run a script, which must succeed."""
        options: dict[str, Any] = {"cwd": self.folder, "env": self.environment.env, "capture_output": True}
        done = subprocess.run(["bash", "-eu", "-c", script], input=stdin, check=False, text=True, **options)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"

    def preview(self, stack: str, others: Inputs, commands: Sequence[str]) -> dict[str, Any]:
        """Return the settings of a new stack with the other inputs, after the commands."""
        salt = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["encryptionsalt"]
        secret = {key: value for key, value in others.items() if key in SECRETS and isinstance(value, str)}
        config = {**others, **stack_file.encrypt_config(self.environment, salt, secret)}
        contents = {"encryptionsalt": salt, "config": {f"private-registry:{key}": config[key] for key in config}}
        (self.folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(contents))
        stack_file.create(self.environment, "private-registry", stack)
        for command in commands:
            key = key_of(command)
            self.run(f"export PULUMI_STACK={stack}\n{command}", ANSWERS.get(key) or str(EXAMPLES[key]))
        self.run(f"pulumi preview --non-interactive --stack {stack}")
        # The program writes the file after every rule has accepted its value.
        return dict(json.loads((self.folder / f"{stack}.json").read_text()))


def key_of(command: str) -> str:
    """Return the input that the command sets: the first word that is one."""
    words: list[str] = re.findall(r"\w+", command)
    return next(word for word in words if word in INPUTS)


def groups() -> list[tuple[list[str], Inputs]]:
    """Return the commands of remedies, and the inputs that they need, in groups that one stack can have."""
    grouped: list[tuple[list[str], Inputs, Inputs]] = []
    for command, others in remedies():
        key = key_of(command)
        proposal = {**others, key: True if command.endswith(" true") else EXAMPLES[key]}
        for commands, all_others, inputs in grouped:
            agrees = key not in inputs and all(inputs.get(name, value) == value for name, value in others.items())
            if agrees and accepts(inputs | proposal):
                commands.append(command)
                all_others |= others
                inputs |= proposal
                break
        else:
            grouped.append(([command], dict(others), proposal))
    return [(commands, others) for commands, others, _ in grouped]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder, engine = tmp_path_factory.mktemp("remedies"), provide_engine()
    project_file = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    project_file["runtime"]["options"]["virtualenv"] = sys.prefix
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project_file))
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "registry").symlink_to(PROJECT / "registry")
    (folder / "ca.pem").write_text(CA.pem)
    (folder / "ca.key").write_text(CA.key_pem)
    (folder / "backend").mkdir()
    path = os.pathsep.join(filter(None, [str(engine.path or ""), os.environ.get("PATH", os.defpath)]))
    backend = {"PULUMI_BACKEND_URL": (folder / "backend").as_uri(), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    return Shell(folder, Environment({**engine.env, **backend, "PATH": path}))


def test_each_command_of_a_remedy_leads_to_accepted_inputs(shell: Shell) -> None:
    for number, (commands, others) in enumerate(groups()):
        shell.preview(f"remedies-{number}", others, commands)


def test_numbers_and_flags_are_accepted_as_they_are_typed(shell: Shell) -> None:
    commands = (
        "pulumi config set --path limits.cpu 2",
        "pulumi config set --path limits.memory 2147483648",
        "pulumi config set storage_size 2147483648",
        "pulumi config set exposure node-port",
        "pulumi config set node_port 30500",
        "pulumi config set --path 'labels[\"example.com/cost-center\"]' 4711",
        "pulumi config set --path labels.billed true",
        "pulumi config set --path labels.zip 01234",
        "pulumi config set --path labels.number 9223372036854775807",
        "pulumi config set --path certificate_subject.organization 42",
        "pulumi config set --path --type string 'users[0]' 1234",
        "pulumi config set --secret --path 'passwords[\"1234\"]'",
    )
    settings = shell.preview("typed", {}, commands)
    assert settings["limits"] == {"cpu": "2", "memory": "2147483648"}
    assert settings["labels"] == {
        **{"example.com/cost-center": "4711", "billed": "true", "zip": "01234", "number": "9223372036854775807"}
    }
    assert settings["subject"] == {"organization": "42"}
