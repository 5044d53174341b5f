"""Put faults into a registry, and type the commands of remedies."""

import json
import re
import shlex
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from dev.cluster import network
from dev.cluster.plan import LAPTOP, MASTER
from tests.e2e.kube_api import Object
from tests.e2e.lab import NAMESPACE, Lab, Registry, eventually
from tests.e2e.load import connection_fields
from tests.issuing import CertificateSpec, issue, server_spec

CHANGING_COMMANDS = ("python -m ops", "pulumi up", "pulumi config set", "kubectl", "mount", "chown")
"""Beginnings of the commands that a test types. All other commands, such as `dmesg`, only show something."""

READING_VERBS = (" describe ", " logs ", " get ")
"""Verbs of kubectl that only show something."""

GARBAGE_BLOBS, GARBAGE_BYTES = 60, 200_000
"""Number and size of the blobs that `add_garbage` stores."""

LARGEST_MANIFEST, MANIFESTS = 4 * 2**20, 40
"""Bytes of the largest manifest that the registry accepts, and number of them that exceed a memory limit of 64Mi."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

QUICK_JOB = 'exec python3 -B -m job "$@" --pause 1'
"""Script of a job that waits for one second instead of two minutes before it deletes the files in its trash."""


def run_on_node(lab: Lab, script: str) -> str:
    """Run a script on the node with the images, and return its output."""
    done = lab.cluster.run(MASTER.name, ["bash", "-eu", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def find_task(pod: Object, container: str = "registry") -> str:
    """Return the name of a container's task in containerd."""
    (status,) = [each for each in pod["status"]["containerStatuses"] if each["name"] == container]
    return str(status["containerID"]).removeprefix("containerd://")


def kill_container(lab: Lab, pod: Object, container: str = "registry") -> None:
    """Kill the first process of a container. The kernel then kills the container's other processes."""
    command = ["ctr", "--namespace=k8s.io", "task", "kill", "--signal", "SIGKILL", find_task(pod, container)]
    lab.cluster.run(pod["spec"]["nodeName"], command, check=True)


def patch_secret(lab: Lab, namespace: str, name: str, data: Mapping[str, str]) -> None:
    """Put text into keys of a Secret."""
    lab.kubectl("--namespace", namespace, "patch", "secret", name, "--patch", json.dumps({"stringData": data}))


def serve_certificate_of_another_ca(lab: Lab, namespace: str) -> None:
    """Replace the certificate in the Secret of a Deployment, and restart the registry once its Pod has the new one."""
    certificate = issue(server_spec(NAMESPACE), issue(CertificateSpec(name="another CA")))
    patch_secret(lab, namespace, "cert-secret", {"tls.crt": certificate.pem, "tls.key": certificate.key_pem})
    exec_in_pod = ("exec", "--namespace", namespace, f"deploy/{NAMESPACE}", "--")
    encoded_certificate = b64encode(certificate.pem.encode()).decode()
    eventually(
        120,
        "the Pod has the edited certificate",
        lambda: lab.kubectl(*exec_in_pod, "base64", "-w0", "/certs/tls.crt") == encoded_certificate,
        pause=1,
    )
    lab.kill_registry(namespace, f"deploy/{NAMESPACE}")


def peak_memory(lab: Lab, pod: Object, container: str = "registry") -> float:
    """Return the peak memory of a container's first process in MiB (VmHWM of proc_pid_status(5))."""
    node, task = pod["spec"]["nodeName"], find_task(pod, container)
    script = f"cat /proc/$(ctr --namespace=k8s.io task ls | grep {task} | awk '{{print $2}}')/status"
    status = lab.cluster.run(node, ["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@contextmanager
def unfinished_manifests(registry: Registry) -> Iterator[None]:
    """Send large manifests without their last byte until the block ends.

    The registry keeps them all in memory, however slow the machine is, until the kernel kills it.
    """
    with ExitStack() as connections:
        with suppress(OSError):  # the registry has been killed
            for number in range(MANIFESTS):
                _send_part(registry, f"/v2/large/manifests/{number}", connections)
        yield


def _send_part(registry: Registry, path: str, connections: ExitStack) -> None:
    """Send a manifest without its last byte. `connections` closes the connection."""
    fields = connection_fields(registry)
    address, port = fields["address"]
    tcp = connections.enter_context(network.connect(registry.project.lab.cluster.plan, LAPTOP, port, address))
    tls = ssl.create_default_context(cadata=fields["ca"])
    client = connections.enter_context(tls.wrap_socket(tcp, server_hostname=fields["host"]))
    lines = [
        f"PUT {path} HTTP/1.1",
        f"Host: {registry.outputs['endpoint']}",
        f"Content-Type: {MANIFEST_TYPE}",
        f"Content-Length: {LARGEST_MANIFEST}",
        f"Authorization: Basic {b64encode(fields['login'].encode()).decode()}",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode() + b" " * (LARGEST_MANIFEST - 1))


@contextmanager
def small_disk(lab: Lab, folder: str, size: str, inodes: int) -> Iterator[None]:
    """Mount a small file system at a folder of the node with the images, until the block ends."""
    run_on_node(lab, f"mkdir -p {folder}; mount -t tmpfs -o size={size},nr_inodes={inodes},mode=755 tmpfs {folder}")
    try:
        yield
    finally:
        run_on_node(lab, f"umount --lazy {folder}")


def add_garbage(lab: Lab, folder: str) -> None:
    """Store old blobs that no image needs. A full small disk has enough space again after their deletion."""
    root = f"{folder}/docker/registry/v2"
    run_on_node(
        lab,
        f"""
        for number in $(seq {GARBAGE_BLOBS}); do
            digest=$(printf %064d "$number")
            blob={root}/blobs/sha256/00/$digest link={root}/repositories/garbage/_layers/sha256/$digest
            mkdir -p "$blob" "$link"
            head -c {GARBAGE_BYTES} /dev/zero > "$blob/data"
            printf %s "sha256:$digest" > "$link/link"
            touch -d '3 hours ago' "$blob/data" "$link/link"
        done
        """,
    )


def fill_disk(lab: Lab, folder: str) -> None:
    """Fill the disk to its last byte with the file `ballast`."""
    run_on_node(lab, f"dd if=/dev/zero of={folder}/ballast bs=4096 2> /dev/null || true")


def use_inodes(lab: Lab, folder: str) -> None:
    """Create files in the folder `ballast` until the disk has no inode left."""
    run_on_node(
        lab, f"mkdir {folder}/ballast; i=0; while : > {folder}/ballast/$i; do i=$((i + 1)); done 2> /dev/null || true"
    )


def remove_ballast(lab: Lab, folder: str) -> None:
    run_on_node(lab, f"rm -rf {folder}/ballast")


@contextmanager
def quick_jobs(lab: Lab, namespace: str) -> Iterator[None]:
    """Have the job of `collect` wait for a second instead of two minutes, until the block ends."""
    cron_job = lab.get("cronjob", "docker-registry-collect", namespace)
    (container,) = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    _set_command(lab, namespace, ["sh", "-c", QUICK_JOB, "job"])
    try:
        yield
    finally:
        _set_command(lab, namespace, container["command"])


def _set_command(lab: Lab, namespace: str, command: list[str]) -> None:
    container = {"name": "maintenance", "command": command}
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    patch = ["patch", "cronjob", "docker-registry-collect", "--patch", json.dumps({"spec": spec})]
    lab.kubectl("--namespace", namespace, *patch)


def find_commands(text: str) -> list[str]:
    """Return the commands in backticks that change something, in their order. `text` is a remedy or a page."""
    quoted = re.findall(r"`([^`]+)`", text)
    return [
        command
        for command in quoted
        if command.startswith(CHANGING_COMMANDS) and not any(verb in f"{command} " for verb in READING_VERBS)
    ]


def type_commands(registry: Registry, commands: list[str]) -> None:
    """Type commands as a person would: `ops` and `pulumi` in the program's folder, `mount` and `chown` on the node.

    The test adds the name of the stack, and answers questions with yes.
    """
    assert commands, "the remedy has a command"
    lab, project = registry.project.lab, registry.project
    for command in commands:
        words = shlex.split(command)
        if words[:3] == ["python", "-m", "ops"]:
            done = registry.ops(*words[3:], connects=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        elif words[:2] == ["pulumi", "up"]:
            # Only --refresh and --replace are passed on, because `up` adds the other options.
            project.up(*(word for word in words[2:] if word.startswith("--r")))
        elif words[0] == "pulumi":
            project.pulumi(*words[1:])
        elif words[0] == "kubectl":
            lab.kubectl(*words[1:])
        else:
            run_on_node(lab, command)
