"""The programs that the cluster runs. They are built, unpacked from packages, or installed on the machine."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev import packages
from dev.errors import RequirementError
from dev.toolchain.build import build_program
from dev.toolchain.programs import KUBERNETES, OLDEST_KUBERNETES, PROGRAMS, RELEASE

RELEASE_VARIABLE = "K8S"
"""Variable with the release of Kubernetes, such as 1.36, for `make up`, `make test` and `make e2e`."""

CONTAINER_RUNTIME = ("containerd", "containerd-shim-runc-v2")
"""Names of the programs of the container runtime."""


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
    """Variables of the daemons. They do not depend on the shell that runs `up`."""

    kubernetes: str = OLDEST_KUBERNETES
    """Version of Kubernetes."""

    def add_to_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for a command of the user. They include the user's PATH."""
        return {**self.environment, "PATH": f"{self.kube}:{variables.get('PATH', '')}:{self.environment['PATH']}"}


def choose_release() -> str:
    """Return the release of Kubernetes that the variable K8S selects, else the default one."""
    release = os.environ.get(RELEASE_VARIABLE) or RELEASE
    if release not in KUBERNETES:
        raise RequirementError(
            f"The variable {RELEASE_VARIABLE} is {release!r}, which is not a release of Kubernetes that can be built.",
            f"Use {' or '.join(KUBERNETES)}, or leave it out for {RELEASE}.",
        )
    return release


def list_built_programs() -> tuple[str, ...]:
    """Return the names of the programs that are built from Go modules: Kubernetes, the registry, and the runtime."""
    release = choose_release()
    return ("kube" if release == RELEASE else f"kube-{release}", "registry", *CONTAINER_RUNTIME)


def provide_programs(file: Path) -> Programs:
    """Build, unpack or find the programs. Save their paths to `file`, and read them from it if they still exist.

    apt takes seconds to answer.
    """
    names = list_built_programs()
    saved_programs = read_saved_programs(file)
    kubernetes = PROGRAMS[names[0]].version
    if saved_programs:
        _refuse_older_release(saved_programs.kubernetes, kubernetes)
    kube, registry, *runtime = (build_program(name) for name in names)
    search_path = os.pathsep.join(map(str, [kube, *runtime]))
    if (
        saved_programs
        and saved_programs.registry == str(registry / "registry")
        and saved_programs.environment["PATH"].startswith(search_path)
        and _exist(saved_programs)
    ):
        return saved_programs
    debian_packages = packages.provide_packages()
    programs = Programs(
        kube=str(kube),
        registry=str(registry / "registry"),
        busybox=str(debian_packages.find("busybox")),
        network_plugins=str(debian_packages.find("host-local").parent),
        environment={**debian_packages.env, "PATH": f"{search_path}:{debian_packages.env['PATH']}"},
        kubernetes=kubernetes,
    )
    file.write_text(json.dumps(asdict(programs), indent=2))
    return programs


def _refuse_older_release(saved_version: str, version: str) -> None:
    """Raise `RequirementError` if the cluster's data are those of a newer Kubernetes. etcd cannot read newer data."""
    if _numbers(version) < _numbers(saved_version):
        raise RequirementError(
            f"The cluster has data of Kubernetes {saved_version}, which {version} cannot read.",
            f"Use the same {RELEASE_VARIABLE} again, or delete the cluster: `make wipe`.",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def read_saved_programs(file: Path) -> Programs | None:
    """Return the programs of the last `up`, or None before the first one."""
    return Programs(**json.loads(file.read_text())) if file.exists() else None


def _exist(programs: Programs) -> bool:
    """Return whether all commands of the packages exist."""
    path = os.pathsep.join([programs.environment["PATH"], programs.network_plugins])
    return all(shutil.which(command, path=path) for command in packages.COMMANDS)
