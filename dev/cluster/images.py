"""The images of the cluster: their content, and how they are loaded into containerd and Docker.

The component configures its registry itself. The default configuration makes the image behave like the official one.
"""

from collections.abc import Iterable
from pathlib import Path

from dev.cluster import host
from dev.cluster.archive import Image, create_archive
from dev.cluster.node import PAUSE_IMAGE
from dev.cluster.plan import LAPTOP, Host, Plan
from dev.cluster.programs import Programs
from dev.errors import ClusterError
from dev.toolchain.programs import PROGRAMS

BUSYBOX = "docker.io/library/busybox:1.35"
CTR_IMAGES = ("ctr", "--namespace=k8s.io", "images")

ENTRYPOINT = """\
#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""

DEFAULT_CONFIG = """\
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


def create_pause_image(busybox: Path) -> Image:
    """Return the image of the container that holds a Pod's namespaces."""
    script = "trap exit TERM INT; while :; do sleep 86400 & wait; done"
    return Image(PAUSE_IMAGE, busybox, config={"Entrypoint": ["/bin/sh", "-c", script]})


def create_test_image(busybox: Path) -> Image:
    """Return a small image to run, push and pull."""
    return Image(BUSYBOX, busybox, config={"Cmd": ["sh"]})


def create_registry_image(busybox: Path, program: Path, version: str = PROGRAMS["registry"].version) -> Image:
    """Return an image of CNCF Distribution with the layout of the official one."""
    config_path = "/etc/distribution/config.yml" if not version.startswith("2.") else "/etc/docker/registry/config.yml"
    return Image(
        f"docker.io/library/registry:{version}",
        busybox,
        {"/bin/registry": program},
        {"/entrypoint.sh": ENTRYPOINT, config_path: DEFAULT_CONFIG},
        {
            "Entrypoint": ["/entrypoint.sh"],
            "Cmd": [config_path],
            "Env": ["OTEL_TRACES_EXPORTER=none"],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {"/var/lib/registry": {}},
        },
    )


def list_node_images(programs: Programs) -> tuple[Image, ...]:
    """Return the images that nodes need. They cannot pull a missing one, as they have no internet access."""
    busybox = Path(programs.busybox)
    registry_image = create_registry_image(busybox, Path(programs.registry))
    return create_pause_image(busybox), create_test_image(busybox), registry_image


def list_docker_images(programs: Programs) -> tuple[Image, ...]:
    return (create_test_image(Path(programs.busybox)),)


def is_containerd_ready(plan: Plan, programs: Programs, node: Host) -> bool:
    """Return whether containerd answers. Its socket may be a leftover of a killed containerd."""
    try:
        host.run(plan, node, ("ctr", "--connect-timeout=1s", "version"), programs.environment)
    except ClusterError:
        return False
    return True


def load_into_node(plan: Plan, programs: Programs, node: Host, required: Iterable[Image]) -> None:
    """Import the images that the containerd of `node` lacks."""
    present = host.run(plan, node, (*CTR_IMAGES, "ls", "--quiet"), programs.environment).split()
    for image in required:
        if image.reference not in present:
            host.run(plan, node, (*CTR_IMAGES, "import", create_archive(image, plan.images)), programs.environment)


def load_into_docker(plan: Plan, programs: Programs, required: Iterable[Image]) -> None:
    """Load the images that the laptop's Docker engine lacks."""
    for image in required:
        image_ids = host.run(plan, LAPTOP, ("docker", "image", "ls", "--quiet", image.reference), programs.environment)
        if not image_ids:
            load = ("docker", "load", "--input", create_archive(image, plan.images))
            host.run(plan, LAPTOP, load, programs.environment)
