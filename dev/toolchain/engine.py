"""A Pulumi engine that can run this project: the one on PATH, or one that is built.

A `pulumi` on PATH is used as it is when its plugins are there or can be downloaded. Otherwise the engine and the
plugins are built from Go modules, in a Pulumi home of their own: the user's ~/.pulumi is neither read nor written.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from dev import cache
from dev.console import Step, Unmet, step
from dev.toolchain.build import build
from dev.toolchain.programs import PROGRAMS

PROVIDERS = ("kubernetes", "tls", "random")
LANGUAGE = "pulumi-language-python"
AT_ONCE = 2
"""Programs that are built at the same time. Each takes up to 4 GiB of memory."""

OFFLINE = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    "PULUMI_CREDENTIAL_STORE": "plaintext",
}
"""What keeps a built engine from asking the network for what it already has."""


@dataclass(frozen=True)
class Engine:
    """How to run `pulumi`."""

    path: Path | None = None
    """The folder to put before PATH; None when PATH's own is used."""
    env: dict[str, str] = field(default_factory=dict)
    """The PULUMI_* variables that it needs."""


def provide(also: Sequence[str] = ()) -> Engine:
    """Return the engine of this machine. Build one only if needed, which takes minutes the first time.

    Build the programs `also` at the same time, which is faster than to build them afterwards.
    """
    wheels = {name: _wheel(name) for name in ("pulumi", *(f"pulumi-{provider}" for provider in PROVIDERS))}
    on_path = shutil.which("pulumi")
    if on_path and not Path(on_path).is_relative_to(cache.root()) and _serves(Path(on_path), wheels):
        return Engine()
    check_pins(wheels)
    home = _home(also)
    return Engine(home / "bin", {"PULUMI_HOME": str(home), **OFFLINE})


def check_pins(wheels: Mapping[str, str]) -> None:
    """Refuse wheels of other versions than the programs that would be built for them."""
    for wheel, installed in wheels.items():
        program = PROGRAMS["pulumi" if wheel == "pulumi" else wheel.replace("pulumi-", "pulumi-resource-")]
        if program.version != installed:
            raise Unmet(
                f"{wheel} {installed} is installed, but the plugin that can be built is {program.version}: "
                "`pip install -r requirements.txt`, or move dev/toolchain along with the pin."
            )


def _wheel(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise Unmet(f"The Python package {name} is missing: `pip install -r requirements.txt`.") from None


def _serves(pulumi: Path, wheels: Mapping[str, str]) -> bool:
    """Whether this `pulumi` has, or can download, the plugins that the wheels name."""
    if not shutil.which(LANGUAGE) and not (pulumi.resolve().parent / LANGUAGE).exists():
        return False
    listed = subprocess.run([pulumi, "plugin", "ls", "--json"], capture_output=True, text=True, check=False)
    installed = {(plugin["name"], plugin["version"]) for plugin in json.loads(listed.stdout or "[]")}
    missing = [name for name in PROVIDERS if (name, wheels[f"pulumi-{name}"]) not in installed]
    if not missing:
        return True
    with step(f"Plugins of {pulumi}: {', '.join(missing)}") as current:
        return all(_downloaded(pulumi, name, wheels[f"pulumi-{name}"], current) for name in missing)


def _downloaded(pulumi: Path, name: str, version: str, current: Step) -> bool:
    current.detail(f"{name} {version}")
    install = [str(pulumi), "plugin", "install", "resource", name, version]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "it does not say why").splitlines()[-1]
        current.note(f"{name} {version} cannot be downloaded ({reason}): an engine is built instead")
    return done.returncode == 0


def _home(also: Sequence[str]) -> Path:
    """Return the Pulumi home made of the built programs. The engine keeps its notes in it, as in any home."""
    resources = {provider: f"pulumi-resource-{provider}" for provider in PROVIDERS}
    built = _build_all([*resources.values(), *also, "pulumi", LANGUAGE])
    bins = [built["pulumi"], built[LANGUAGE]]
    plugins = {provider: built[program] for provider, program in resources.items()}
    names = "\n".join(folder.name for folder in (*bins, *plugins.values()))
    key = hashlib.sha256(names.encode()).hexdigest()[:12]

    def assemble(home: Path) -> None:
        for folder in bins:
            _link(folder, home / "bin")
        for provider, folder in plugins.items():
            version = PROGRAMS[f"pulumi-resource-{provider}"].version
            _link(folder, home / "plugins" / f"resource-{provider}-v{version}")

    return cache.folder(cache.root() / "pulumi" / f"{PROGRAMS['pulumi'].version}-{key}", assemble)


def _build_all(names: Sequence[str]) -> dict[str, Path]:
    """Build the programs, longest first, two at a time: one is linked, on one core, while the other is compiled."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(build, name) for name in names]
        try:
            return {name: each.result() for name, each in zip(names, running, strict=True)}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _link(source: Path, target: Path) -> None:
    """Hard links, because the engine looks for its language host beside the file that a symbolic link names."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        os.link(file, target / file.name)
