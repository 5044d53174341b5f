"""The programs that the cluster runs: built ones, unpacked ones, the machine's own."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev import packages
from dev.toolchain.build import build

BUILT = ("kube", "registry")
"""The programs that are built: the others are unpacked, or the machine's own."""


@dataclass(frozen=True)
class Programs:
    """Where they are, as text: it is remembered from one `up` to the next."""

    kube: str
    """The folder of etcd, the Kubernetes daemons and kubectl."""

    registry: str
    busybox: str
    network_plugins: str

    environment: Mapping[str, str] = field(default_factory=dict)
    """What any of them needs to run and to find the others. It does not change with the shell that `up` runs in."""

    def environment_of(self, person: Mapping[str, str]) -> dict[str, str]:
        """The same for a command that a person, or a test, runs on a host: what is on their PATH comes along."""
        return {**self.environment, "PATH": f"{self.kube}:{person.get('PATH', '')}:{self.environment['PATH']}"}


def provide(memory: Path) -> Programs:
    """Build, unpack or find them. With `memory` of the last time apt is not asked again: it takes seconds to answer."""
    kube, registry = (build(name) for name in BUILT)
    registry /= "registry"
    remembered = recall(memory)
    if remembered and (remembered.kube, remembered.registry) == (str(kube), str(registry)) and _are_there(remembered):
        return remembered
    found = packages.provide()
    programs = Programs(
        kube=str(kube),
        registry=str(registry),
        busybox=str(found.find("busybox")),
        network_plugins=str(found.find("host-local").parent),
        environment={**found.env, "PATH": f"{kube}:{found.env['PATH']}"},
    )
    memory.write_text(json.dumps(asdict(programs), indent=2))
    return programs


def recall(memory: Path) -> Programs | None:
    """What `provide` found the last time."""
    return Programs(**json.loads(memory.read_text())) if memory.exists() else None


def _are_there(programs: Programs) -> bool:
    path = os.pathsep.join([programs.environment["PATH"], programs.network_plugins])
    return all(shutil.which(command, path=path) for command in packages.COMMANDS)
