"""The images of the cluster: what is in each, and getting them to where they run.

The project's own pod brings its own configuration; the stock one is here so that the image behaves as the official.
"""

from collections.abc import Iterable
from pathlib import Path

from dev.cluster import host
from dev.cluster.archive import Image, archive
from dev.cluster.node import PAUSE
from dev.cluster.plan import LAPTOP, Host, Plan
from dev.cluster.programs import Programs
from dev.toolchain.programs import PROGRAMS

BUSYBOX = "docker.io/library/busybox:1.35"
CTR = ("ctr", "--namespace=k8s.io", "images")

ENTRYPOINT = """\
#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""

STOCK_CONFIG = """\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def pause(busybox: Path) -> Image:
    """What holds a pod's namespaces."""
    script = "trap exit TERM INT; while :; do sleep 86400 & wait; done"
    return Image(PAUSE, busybox, config={"Entrypoint": ["/bin/sh", "-c", script]})


def test_image(busybox: Path) -> Image:
    """Something small to run, push and pull."""
    return Image(BUSYBOX, busybox, config={"Cmd": ["sh"]})


def registry(busybox: Path, program: Path, version: str = PROGRAMS["registry"].version) -> Image:
    """CNCF Distribution, laid out as the official image."""
    config_path = "/etc/distribution/config.yml" if not version.startswith("2.") else "/etc/docker/registry/config.yml"
    return Image(
        f"docker.io/library/registry:{version}",
        busybox,
        {"/bin/registry": program},
        {"/entrypoint.sh": ENTRYPOINT, config_path: STOCK_CONFIG},
        {
            "Entrypoint": ["/entrypoint.sh"],
            "Cmd": [config_path],
            "Env": ["OTEL_TRACES_EXPORTER=none"],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {"/var/lib/registry": {}},
        },
    )


def of_nodes(programs: Programs) -> tuple[Image, ...]:
    """What nodes must have: they would look for a missing one on the internet, in vain and for long."""
    busybox = Path(programs.busybox)
    return pause(busybox), test_image(busybox), registry(busybox, Path(programs.registry))


def of_docker(programs: Programs) -> tuple[Image, ...]:
    return (test_image(Path(programs.busybox)),)


def containerd_answers(plan: Plan, programs: Programs, node: Host) -> bool:
    """Its socket does not tell: a killed containerd leaves one that refuses."""
    try:
        host.run(plan, node, ("ctr", "--connect-timeout=1s", "version"), programs.environment)
    except host.Failed:
        return False
    return True


def load_into_node(plan: Plan, programs: Programs, node: Host, wanted: Iterable[Image]) -> None:
    """Import into the containerd of `node` what it does not have."""
    present = host.run(plan, node, (*CTR, "ls", "--quiet"), programs.environment).split()
    for image in wanted:
        if image.reference not in present:
            host.run(plan, node, (*CTR, "import", archive(image, plan.images)), programs.environment)


def load_into_docker(plan: Plan, programs: Programs, wanted: Iterable[Image]) -> None:
    """Load into the laptop's Docker engine what it does not have."""
    for image in wanted:
        listed = host.run(plan, LAPTOP, ("docker", "image", "ls", "--quiet", image.reference), programs.environment)
        if not listed:
            load = ("docker", "load", "--input", archive(image, plan.images))
            host.run(plan, LAPTOP, load, programs.environment)
