"""The Pulumi engine that runs this project: the one on PATH, or one that is built.

The `pulumi` on PATH is used if its plugins are installed or can be downloaded. Otherwise the engine and the plugins
are built from Go modules, with a Pulumi home in the cache. They neither read nor write ~/.pulumi.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from dev import cache
from dev.console import Step, step
from dev.errors import RequirementError
from dev.toolchain.build import build_programs
from dev.toolchain.programs import PROGRAMS

PROVIDERS = ("kubernetes", "tls", "random")
LANGUAGE = "pulumi-language-python"
OFFLINE_VARIABLES = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    "PULUMI_CREDENTIAL_STORE": "plaintext",
}
"""Variables that keep a built engine from using the network, plugins on PATH and the keyring of the system."""

LOGS = "logs"
"""Name of a file in a built engine's home. In a folder of this name, each command of Pulumi would write a log.

It would keep up to 512 MiB of them, and use a tenth of the processor time of `pulumi up`. No variable turns this off
(Pulumi 3.259.0, logging.StartLogging)."""


@dataclass(frozen=True)
class Engine:
    """A `pulumi` and the variables that it needs."""

    path: Path | None = None
    """Folder of the built engine for the front of PATH. None if the `pulumi` of PATH is used."""
    env: dict[str, str] = field(default_factory=dict)
    """PULUMI_* variables of the built engine."""


def provide_engine(programs: Sequence[str] = ()) -> Engine:
    """Return the engine of this machine. Build one only if needed, which takes minutes the first time.

    `programs` are other programs to build with the engine, because they share packages. They are not built if the
    engine on PATH is used.
    """
    wheels = {name: _installed_version(name) for name in ("pulumi", *(f"pulumi-{provider}" for provider in PROVIDERS))}
    on_path = shutil.which("pulumi")
    if on_path and not Path(on_path).is_relative_to(cache.root()) and _is_usable(Path(on_path), wheels):
        return Engine()
    check_pins(wheels)
    home = _create_home(programs)
    return Engine(home / "bin", {"PULUMI_HOME": str(home), **OFFLINE_VARIABLES})


def check_pins(wheels: Mapping[str, str]) -> None:
    """Raise `RequirementError` if a wheel has another version than the program that would be built for it."""
    for wheel, installed in wheels.items():
        program = PROGRAMS["pulumi" if wheel == "pulumi" else wheel.replace("pulumi-", "pulumi-resource-")]
        if program.version != installed:
            raise RequirementError(
                f"The package {wheel} {installed} is installed, but {program.name} {program.version} would be built.",
                "Run `pip install -r requirements.txt`, or change the version in dev/toolchain with the pin.",
            )


def _installed_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise RequirementError(
            f"The Python package {name} is not installed.", "Run `pip install -r requirements.txt`."
        ) from None


def _is_usable(pulumi: Path, wheels: Mapping[str, str]) -> bool:
    """Return whether this `pulumi` has a Python language host, and has or can download the plugins of the wheels."""
    if not shutil.which(LANGUAGE) and not (pulumi.resolve().parent / LANGUAGE).exists():
        return False
    plugin_list = subprocess.run([pulumi, "plugin", "ls", "--json"], capture_output=True, text=True, check=False)
    installed = {(plugin["name"], plugin["version"]) for plugin in json.loads(plugin_list.stdout or "[]")}
    missing_providers = [name for name in PROVIDERS if (name, wheels[f"pulumi-{name}"]) not in installed]
    if not missing_providers:
        return True
    with step(f"plugins of {pulumi} installed: {', '.join(missing_providers)}") as current_step:
        return all(_download_plugin(pulumi, name, wheels[f"pulumi-{name}"], current_step) for name in missing_providers)


def _download_plugin(pulumi: Path, name: str, version: str, current_step: Step) -> bool:
    """Download a plugin. Return whether that succeeded."""
    current_step.show_detail(f"{name} {version}")
    install = [str(pulumi), "plugin", "install", "resource", name, version]
    result = subprocess.run(install, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
        current_step.note(f"{name} {version} cannot be downloaded ({reason}), so an engine is built instead")
    return result.returncode == 0


def _create_home(programs: Sequence[str]) -> Path:
    """Return a Pulumi home with the built engine and plugins. The engine writes to it as to any home."""
    resources = {provider: f"pulumi-resource-{provider}" for provider in PROVIDERS}
    folders = build_programs([*resources.values(), *programs, "pulumi", LANGUAGE])
    bins = [folders["pulumi"], folders[LANGUAGE]]
    plugins = {provider: folders[program] for provider, program in resources.items()}
    names = "\n".join((LOGS, *(folder.name for folder in (*bins, *plugins.values()))))
    key = hashlib.sha256(names.encode()).hexdigest()[:12]

    def assemble(home: Path) -> None:
        for folder in bins:
            _link_files(folder, home / "bin")
        for provider, folder in plugins.items():
            version = PROGRAMS[f"pulumi-resource-{provider}"].version
            _link_files(folder, home / "plugins" / f"resource-{provider}-v{version}")
        (home / LOGS).touch()

    return cache.ensure_folder(cache.root() / "pulumi" / f"{PROGRAMS['pulumi'].version}-{key}", assemble)


def _link_files(source: Path, target: Path) -> None:
    """Create hard links. With symbolic links the engine would look for its language host in the target's folder."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        os.link(file, target / file.name)
