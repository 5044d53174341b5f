"""The methods of deployment that `first-push` compares."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from bench.lab import HOST, STATE_FOLDER, Lab
from dev.environment import PROJECT

PACKAGE = Path(__file__).resolve().parent


class Method(Protocol):
    """A method of deployment."""

    @property
    def title(self) -> str: ...

    def prepare(self, lab: Lab) -> None:
        """Prepare the method once. This is not measured."""

    def deploy(self, lab: Lab) -> str:
        """Deploy the registry and install its CA on the laptop. Return the password of the user centos."""

    def remove(self, lab: Lab) -> None:
        """Undo `deploy`."""


@dataclass(frozen=True)
class PulumiUp:
    """`pulumi up` in `folder`, with the config of the stack `dev`."""

    title: str
    folder: Path
    stack: str = "dev"

    def pulumi(self, lab: Lab, *arguments: str) -> str:
        """Run a command of `pulumi` for the stack, and return its output."""
        config = ("--config-file", str(PROJECT / "Pulumi.dev.yaml")) if arguments[0] in ("up", "preview") else ()
        return lab.run("pulumi", "--cwd", str(self.folder), *arguments, "--stack", self.stack, *config)

    def prepare(self, lab: Lab) -> None:
        self.pulumi(lab, "stack", "select", "--create")

    def deploy(self, lab: Lab) -> str:
        self.pulumi(lab, "up", "--yes", "--skip-preview")
        outputs = json.loads(self.pulumi(lab, "stack", "output", "--json", "--show-secrets"))
        lab.ca.parent.mkdir(parents=True, exist_ok=True)
        lab.ca.write_text(outputs["ca_pem"])
        return str(outputs["password"])

    def remove(self, lab: Lab) -> None:
        self.pulumi(lab, "destroy", "--yes", "--skip-preview")


@dataclass(frozen=True)
class Guide:
    """The steps of the guide, as the script `guide.sh`."""

    title: str

    def prepare(self, lab: Lab) -> None:
        """Do nothing. The guide starts with an empty cluster."""

    def deploy(self, lab: Lab) -> str:
        lab.run("bash", str(PACKAGE / "guide.sh"))
        return "centos"

    def remove(self, lab: Lab) -> None:
        lab.run("kubectl", "delete", "namespace", HOST, "--ignore-not-found")
        lab.run("kubectl", "delete", "persistentvolume", HOST, "--ignore-not-found")
        lab.run("kubectl", "label", "node", "k8s-master", "run-docker-registry-")


@dataclass(frozen=True)
class PulumiProject(PulumiUp):
    """`pulumi up` of another program, in a new project with the config of this one."""

    program: Path = PACKAGE / "empty_program.py"
    settings: Mapping[str, int] = field(default_factory=dict)
    """Additional config of the project."""

    def prepare(self, lab: Lab) -> None:
        self.folder.mkdir()
        project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
        project["runtime"]["options"]["virtualenv"] = str(PROJECT / project["runtime"]["options"]["virtualenv"])
        project["config"] |= {key: {"type": "integer", "default": value} for key, value in self.settings.items()}
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (self.folder / "__main__.py").symlink_to(self.program)
        super().prepare(lab)


PULUMI_UP = PulumiUp("`pulumi up`", PROJECT)
GUIDE = Guide("the guide as a shell script")
DEFAULT_WAIT = PulumiProject(
    "`pulumi up`, Service's default wait", STATE_FOLDER / "default-wait", "default-wait", PACKAGE / "default_wait.py"
)
METHODS: tuple[Method, ...] = (PULUMI_UP, GUIDE, DEFAULT_WAIT)

EMPTY = PulumiProject("`pulumi up` of a program without resources", STATE_FOLDER / "empty", "empty")
"""The engine alone, which is part of the time of every `pulumi up`."""
