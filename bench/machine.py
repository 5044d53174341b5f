"""The description of the measured machine: what readers need to compare results, without a name or an address."""

import json
import os
import platform
from importlib.metadata import version

import psutil

from bench.lab import Lab
from dev.cluster.programs import choose_release
from dev.toolchain.programs import KUBERNETES


def describe_machine() -> str:
    """Return cores, memory, and the versions of system, Python and Pulumi."""
    memory = round(psutil.virtual_memory().total / 2**30)
    versions = (
        platform.freedesktop_os_release()["PRETTY_NAME"],
        f"Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        f"Pulumi {version('pulumi')}",
    )
    return f"{os.cpu_count()} cores, {memory} GiB, {', '.join(versions)}"


def describe_lab(lab: Lab) -> str:
    """Return the description of the machine with the versions of the programs in the lab."""
    kubectl = json.loads(lab.run(lab.environment.env["KUBECTL"], "version", "--client", "--output", "json"))
    versions = (
        f"engine {lab.run('pulumi', 'version').strip().lstrip('v')}",
        f"Kubernetes {KUBERNETES[choose_release()]}",
        f"kubectl {kubectl['clientVersion']['gitVersion'].lstrip('v')}",
        " ".join(lab.run("openssl", "version").split()[:2]),
        f"Docker {lab.run('docker', 'version', '--format', '{{.Server.Version}}').strip()}",
    )
    return f"{describe_machine()}, {', '.join(versions)}"
