"""The programs that the cluster runs. They are built, unpacked from packages, or installed on the machine."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev import packages
from dev.toolchain.build import build_program

BUILT_PROGRAMS = ("kube", "registry")
"""Names of the programs that are built from Go modules."""


@dataclass(frozen=True)
class Programs:
    """The paths of the programs, as text, because they are saved as JSON for the next `up`."""

    kube: str
    """Folder of etcd, the Kubernetes daemons and kubectl."""

    registry: str
    busybox: str
    network_plugins: str
    """Folder of the CNI plugins."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the daemons. They do not depend on the shell in which `up` runs."""

    def add_to_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for a command of the user. They include the user's PATH."""
        return {**self.environment, "PATH": f"{self.kube}:{variables.get('PATH', '')}:{self.environment['PATH']}"}


def provide_programs(file: Path) -> Programs:
    """Build, unpack or find the programs. Save their paths to `file`, and read them from it if they still exist.

    apt takes seconds to answer.
    """
    kube, registry = (build_program(name) for name in BUILT_PROGRAMS)
    registry /= "registry"
    saved_programs = read_saved_programs(file)
    if (
        saved_programs
        and (saved_programs.kube, saved_programs.registry) == (str(kube), str(registry))
        and _exist(saved_programs)
    ):
        return saved_programs
    debian_packages = packages.provide_packages()
    programs = Programs(
        kube=str(kube),
        registry=str(registry),
        busybox=str(debian_packages.find("busybox")),
        network_plugins=str(debian_packages.find("host-local").parent),
        environment={**debian_packages.env, "PATH": f"{kube}:{debian_packages.env['PATH']}"},
    )
    file.write_text(json.dumps(asdict(programs), indent=2))
    return programs


def read_saved_programs(file: Path) -> Programs | None:
    """Return the programs of the last `up`, or None before the first one."""
    return Programs(**json.loads(file.read_text())) if file.exists() else None


def _exist(programs: Programs) -> bool:
    """Return whether all commands of the packages exist."""
    path = os.pathsep.join([programs.environment["PATH"], programs.network_plugins])
    return all(shutil.which(command, path=path) for command in packages.COMMANDS)
