"""Type each command of a remedy in a shell, and preview the inputs.

No offline test can show this: only the real engine decides which type a typed value has, and whether Pulumi.yaml allows
it. No cluster is needed.
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
    shown = {"limits": resolved[1], "labels": settings.objects.labels, "subject": settings.tls.certificate_subject}
    with open(f"{pulumi.get_stack()}.json", "w") as file:
        json.dump(shown, file)
pulumi.export("checked", pulumi.Output.all(subjects, settings.workload.limits).apply(write))
"""
"""Program that applies the rules for all inputs, also for secrets. It creates no resource and writes some settings."""

ANSWERS = {
    "client_cidrs": "10.0.0.0/8",
    "requests": "64Mi",
    "limits": "1Gi",
    "tolerations": "dedicated",
    "passwords": "12345678",
    "outbound_proxy": "http://proxy.example.com:3128",
}
"""Answers to the prompts of `pulumi config set`, by input. For other inputs the answer is that of tests/examples.py."""


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

    def preview(self, stack: str, inputs: Inputs, commands: Sequence[str]) -> dict[str, Any]:
        """Create a stack with the inputs, run the commands, and return the settings that a preview writes."""
        salt = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["encryptionsalt"]
        secret = {key: value for key, value in inputs.items() if key in SECRETS and isinstance(value, str)}
        config = {**inputs, **stack_file.encrypt_config(self.environment, salt, secret)}
        contents = {"encryptionsalt": salt, "config": {f"private-registry:{key}": config[key] for key in config}}
        (self.folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(contents))
        stack_file.create(self.environment, "private-registry", stack)
        for command in commands:
            key = key_of(command)
            self.run(f"export PULUMI_STACK={stack}\n{command}", ANSWERS.get(key) or str(EXAMPLES[key]))
        self.run(f"pulumi preview --non-interactive --stack {stack}")
        # The program writes the file only if every rule accepts its value.
        return dict(json.loads((self.folder / f"{stack}.json").read_text()))


def key_of(command: str) -> str:
    """Return the input that the command sets, which is the first name of an input in it."""
    words: list[str] = re.findall(r"\w+", command)
    return next(word for word in words if word in INPUTS)


@dataclass
class CommandGroup:
    """Commands of remedies that one stack can run, because their inputs do not contradict each other.

    Attributes:
        commands: The commands.
        needed_inputs: The other inputs that the commands need.
        inputs: All inputs after the commands.
    """

    commands: list[str]
    needed_inputs: Inputs
    inputs: Inputs


def group_commands() -> list[CommandGroup]:
    """Return the commands of all remedies in groups, because a preview of each would take minutes."""
    groups: list[CommandGroup] = []
    for command, needed_inputs in remedies():
        key = key_of(command)
        inputs = {**needed_inputs, key: True if command.endswith(" true") else EXAMPLES[key]}
        for group in groups:
            needs_agree = all(group.inputs.get(name, value) == value for name, value in needed_inputs.items())
            if key not in group.inputs and needs_agree and accepts(group.inputs | inputs):
                group.commands.append(command)
                group.needed_inputs |= needed_inputs
                group.inputs |= inputs
                break
        else:
            groups.append(CommandGroup([command], dict(needed_inputs), inputs))
    return groups


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
    for number, group in enumerate(group_commands()):
        shell.preview(f"remedies-{number}", group.needed_inputs, group.commands)


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
        "example.com/cost-center": "4711",
        "billed": "true",
        "zip": "01234",
        "number": "9223372036854775807",
    }
    assert settings["subject"] == {"organization": "42"}
