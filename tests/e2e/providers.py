"""Start the providers `random` and `tls` once for a lab, so that a command of the engine does not start them.

The engine attaches to them as it does to a provider in development. They have no state, so one process can serve all
stacks. The Kubernetes provider cannot be shared, because the engine cancels it after an update.
"""

import os
from pathlib import Path

from dev.cluster import Cluster, process
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from dev.toolchain.engine import Engine

VARIABLE = "PULUMI_DEBUG_PROVIDERS"
"""Variable that names providers to attach to, as `NAME:PORT,NAME:PORT`."""

SHARED = ("random", "tls")
"""Names of the providers that this module starts."""


def start(cluster: Cluster, engine: Engine) -> str:
    """Start the shared providers on the laptop, and return the value of VARIABLE. They end with the cluster."""
    return ",".join(f"{name}:{_start(cluster, engine, name)}" for name in SHARED)


def _start(cluster: Cluster, engine: Engine, name: str) -> int:
    """Start a provider, and return its port. The port is the only line that a provider prints at its start."""
    (program,) = Path(engine.env["PULUMI_HOME"]).glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}")
    daemon = Daemon(LAPTOP, f"provider-{name}", (str(program),))
    log = cluster.plan.log(LAPTOP, daemon.name)
    log.unlink(missing_ok=True)
    process.start(cluster.plan, daemon, {"PATH": os.environ["PATH"]})
    process.wait_until_ready(cluster.plan, daemon, lambda: log.read_text().endswith("\n"))
    return int(log.read_text())
