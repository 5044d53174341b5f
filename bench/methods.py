"""The three ways from a ready cluster to a registry that the laptop can log in to, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from bench.lab import FOLDER, HOST, Lab
from dev.workplace import PROJECT

HERE = Path(__file__).resolve().parent


class Way(Protocol):
    """A way to deploy. What it does not say about itself, `first_push` measures."""

    @property
    def title(self) -> str: ...

    def prepare(self, lab: Lab) -> None:
        """What is done once, before any clock runs."""

    def deploy(self, lab: Lab) -> str:
        """Deploy, and put the CA where the laptop trusts it; the password to log in with."""

    def remove(self, lab: Lab) -> None:
        """Leave the cluster as it was before `deploy`."""


@dataclass(frozen=True)
class PulumiUp:
    """`pulumi up` of the program in `folder`, with the config of the stack dev."""

    title: str
    folder: Path
    stack: str = "dev"

    def pulumi(self, lab: Lab, *arguments: str) -> str:
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
    """The guide's steps, in `guide.sh`."""

    title: str

    def prepare(self, lab: Lab) -> None:
        """Nothing: the guide starts from the cluster."""

    def deploy(self, lab: Lab) -> str:
        lab.run("bash", str(HERE / "guide.sh"))
        return "centos"

    def remove(self, lab: Lab) -> None:
        lab.run("kubectl", "delete", "namespace", HOST, "--ignore-not-found")
        lab.run("kubectl", "delete", "persistentvolume", HOST, "--ignore-not-found")
        lab.run("kubectl", "label", "node", "k8s-master", "run-docker-registry-")


@dataclass(frozen=True)
class Variant(PulumiUp):
    """`pulumi up` of another program, in a project that says what the root's says."""

    program: Path = HERE / "nothing.py"
    settings: Mapping[str, int] = field(default_factory=dict)
    """Config of this project alone."""

    def prepare(self, lab: Lab) -> None:
        self.folder.mkdir()
        project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
        project["runtime"]["options"]["virtualenv"] = str(PROJECT / project["runtime"]["options"]["virtualenv"])
        project["config"] |= {key: {"type": "integer", "default": value} for key, value in self.settings.items()}
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (self.folder / "__main__.py").symlink_to(self.program)
        super().prepare(lab)


UP = PulumiUp("`pulumi up`", PROJECT)
GUIDE = Guide("the guide as a shell script")
WAIT = Variant("`pulumi up`, Service's default wait", FOLDER / "default-wait", "default-wait", HERE / "default_wait.py")
WAYS: tuple[Way, ...] = (UP, GUIDE, WAIT)

EMPTY = Variant("`pulumi up` of a program that makes nothing", FOLDER / "nothing", "nothing")
"""The engine alone: less than this no `pulumi up` can take."""
