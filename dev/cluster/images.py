"""The images of the cluster: their content, and how they are loaded into containerd and Docker.

`DEFAULT_CONFIG` is the configuration of the official registry image without `storage.tag`. A Pod of the component does
not use it, because it mounts another one.
"""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

from dev.cluster import host
from dev.cluster.archive import Image, create_archive
from dev.cluster.node import PAUSE_IMAGE
from dev.cluster.plan import LAPTOP, Host, Plan
from dev.cluster.programs import Programs
from dev.errors import ClusterError
from dev.packages import Packages
from dev.toolchain.programs import PROGRAMS

BUSYBOX_IMAGE = "docker.io/library/busybox:1.35"
HAPROXY_IMAGE = "haproxy:3.4.6-alpine"
"""Image of the proxy that checks access rules, the default of `front_image`.

In the embedded cluster, the image of this name contains the HAProxy of the Debian package, another version."""

PYTHON_IMAGE = "python:3.14.2-alpine"
"""Image of the maintenance jobs, the default of `maintenance_image`. 

In the embedded cluster it contains the Python that runs `python -m dev`."""

REGSYNC_IMAGE = "ghcr.io/regclient/regsync:v0.11.7-alpine"
"""Image of the tool that copies a backup, the default of `backup_image`."""

UNUSED_FOLDERS = {"__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tkinter"}
"""Names of folders of the standard library that the image lacks."""

UNUSED_EXTENSIONS = ("_tkinter", "_test", "nis", "readline")
"""Beginnings of the names of modules that the image lacks, because they need other libraries or are tests."""

CTR_IMAGES_COMMAND = ("ctr", "--namespace=k8s.io", "images")

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
    return Image(BUSYBOX_IMAGE, busybox, config={"Cmd": ["sh"]})


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


def create_haproxy_image(busybox: Path, packages: Packages) -> Image:
    """Return an image with the HAProxy of a Debian package, with the path and the stop signal of the official one."""
    programs = find_libraries("/usr/local/sbin/haproxy", packages.find("haproxy"), packages.env)
    return Image(f"docker.io/library/{HAPROXY_IMAGE}", busybox, programs, config={"StopSignal": "SIGUSR1"})


def create_regsync_image(busybox: Path, program: Path) -> Image:
    """Return an image of regsync with a shell and the paths of the official one."""
    return Image(REGSYNC_IMAGE, busybox, {"/usr/local/bin/regsync": program})


def create_python_image(busybox: Path) -> Image:
    """Return an image of Python with the layout of the official one."""
    library = Path(sysconfig.get_path("stdlib"))
    program, target = Path(sys.executable).resolve(), f"/usr/local/lib/{library.name}"
    files = find_libraries("/usr/local/bin/python3", program, os.environ)
    for folder, folders, names in os.walk(library):
        folders[:] = sorted({*folders} - UNUSED_FOLDERS)
        for name in sorted(names):
            if not name.endswith((".py", ".so")) or name.startswith(UNUSED_EXTENSIONS):
                continue
            path = f"{target}/{Path(folder, name).relative_to(library)}"
            is_extension = name.endswith(".so")
            files |= (
                find_libraries(path, Path(folder, name), os.environ) if is_extension else {path: Path(folder, name)}
            )
    return Image(f"docker.io/library/{PYTHON_IMAGE}", busybox, files)


def find_libraries(path: str, binary: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    """Return the files that an image needs for a program or an extension at `path`, by path in the image.

    They are the binary and the libraries of this machine that `ldd` finds in this environment. Raise
    `CalledProcessError` if it is no dynamically linked binary.
    """
    output = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True, env={**environment}).stdout
    libraries = re.findall(r"(/\S+) \(0x", output)
    return {path: binary, **{_system_path(library): Path(library).resolve() for library in libraries}}


def _system_path(library: str) -> str:
    """Return the path of a library in an image. On this machine it may be in the folder of an unpacked package."""
    return library[library.index("/usr/lib/") :] if "/usr/lib/" in library else library


def required_node_images(programs: Programs) -> tuple[Image, ...]:
    """Return the images that nodes need. They cannot pull a missing one, as they have no internet access."""
    busybox = Path(programs.busybox)
    registry_image = create_registry_image(busybox, Path(programs.registry))
    return create_pause_image(busybox), create_test_image(busybox), registry_image


def required_docker_images(programs: Programs) -> tuple[Image, ...]:
    """Return the images that the laptop's Docker engine needs."""
    return (create_test_image(Path(programs.busybox)),)


def is_containerd_ready(plan: Plan, programs: Programs, node: Host) -> bool:
    """Return whether containerd answers. Its socket may be a leftover of a killed containerd."""
    try:
        host.run(plan, node, ("ctr", "--connect-timeout=1s", "version"), programs.environment)
    except ClusterError:
        return False
    return True


def load_into_node(plan: Plan, programs: Programs, node: Host, required: Iterable[Image]) -> None:
    """Import the images whose references the containerd of `node` lacks."""
    present = host.run(plan, node, (*CTR_IMAGES_COMMAND, "ls", "--quiet"), programs.environment).split()
    for image in required:
        if image.reference not in present:
            host.run(
                plan, node, (*CTR_IMAGES_COMMAND, "import", create_archive(image, plan.images)), programs.environment
            )


def load_into_docker(plan: Plan, programs: Programs, required: Iterable[Image]) -> None:
    """Load the images whose references the laptop's Docker engine lacks."""
    for image in required:
        image_ids = host.run(plan, LAPTOP, ("docker", "image", "ls", "--quiet", image.reference), programs.environment)
        if not image_ids:
            load = ("docker", "load", "--input", create_archive(image, plan.images))
            host.run(plan, LAPTOP, load, programs.environment)
