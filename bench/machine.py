"""The kind of machine that was measured on: what a reader needs to compare, and nothing that tells which one it was."""

import json
import os
import platform
from importlib.metadata import version

import psutil

from bench.lab import Lab
from dev.toolchain.programs import PROGRAMS


def here() -> str:
    """Cores, memory and the versions that matter to a Python program, in one sentence."""
    memory = round(psutil.virtual_memory().total / 2**30)
    versions = (
        platform.freedesktop_os_release()["PRETTY_NAME"],
        f"Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        f"Pulumi {version('pulumi')}",
    )
    return f"{os.cpu_count()} cores, {memory} GiB, {', '.join(versions)}"


def describe(lab: Lab) -> str:
    """The same, with what the lab runs."""
    kubectl = json.loads(lab.run(lab.place.env["KUBECTL"], "version", "--client", "--output", "json"))
    versions = (
        f"engine {lab.run('pulumi', 'version').strip().lstrip('v')}",
        f"Kubernetes {PROGRAMS['kube'].version}",
        f"kubectl {kubectl['clientVersion']['gitVersion'].lstrip('v')}",
        " ".join(lab.run("openssl", "version").split()[:2]),
        f"Docker {lab.run('docker', 'version', '--format', '{{.Server.Version}}').strip()}",
    )
    return f"{here()}, {', '.join(versions)}"
