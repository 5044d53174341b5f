"""Rules of the Pod Security standard `restricted` for every Pod, and stricter ones for the Pods of a registry.

Two of them have exceptions. The registry runs as root, without capabilities, if its folder on the node belongs to root.
The agents of NodeTrust also do, and write to folders of the node.
"""

from collections.abc import Iterator

from ..resource import NODE_TRUST, REGISTRY, Container, Pod, Resource
from ..rule import Config, container_rule, kinds_of_registry, pod_rule, resource_rule, strings
from ..values import UNKNOWN, items, mapping, may_be

VOLUME_TYPES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Types of volumes that `restricted` allows."""

SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
"""Sysctls that `restricted` allows."""

SELINUX_OPTIONS = {
    "type": (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"),
    "user": (None, ""),
    "role": (None, ""),
}
"""SELinux options that `restricted` allows."""

PROBES, HOOKS = ("readinessProbe", "livenessProbe", "startupProbe"), ("postStart", "preStop")

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace with its Pod Security level."""

EXCEPTIONS = "Types of components whose Pods are excepted"


def _is_excepted(pod: Pod, config: Config) -> bool:
    return any(pod.resource.belongs_to(component) for component in config["except"])


def _is_of_registry(pod: Pod) -> bool:
    return pod.resource.belongs_to(REGISTRY) or pod.resource.belongs_to(NODE_TRUST)


@pod_rule(
    "pod-uses-no-host-namespace",
    "No Pod shares network, processes or IPC with its node.",
    "Remove `hostNetwork`, `hostPID` and `hostIPC`.",
)
def pod_uses_no_host_namespace(pod: Pod, config: Config) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if not may_be(pod.spec.get(field), None, False):
            yield f"The Pod sets `{field}`."


@container_rule(
    "container-uses-no-host-port",
    "No container opens a port of its node.",
    "Remove `hostPort`, and use a Service.",
)
def container_uses_no_host_port(container: Container, config: Config) -> Iterator[str]:
    for port in items(container.fields.get("ports")):
        if not may_be(mapping(port).get("hostPort"), None, 0):
            yield "has a `hostPort`."


@container_rule(
    "container-probes-itself",
    "Probes and hooks of a container connect to no other host.",
    "Remove `host` from the probe or the hook.",
)
def container_probes_itself(container: Container, config: Config) -> Iterator[str]:
    lifecycle = mapping(container.fields.get("lifecycle"))
    handlers = [container.fields.get(name) for name in PROBES] + [lifecycle.get(name) for name in HOOKS]
    for handler in map(mapping, handlers):
        hosts = [mapping(handler.get(kind)).get("host") for kind in ("httpGet", "tcpSocket")]
        if not all(may_be(host, None, "") for host in hosts):
            yield "has a probe or a hook for another host."


@container_rule(
    "container-is-not-privileged",
    "No container is privileged.",
    "Remove `privileged` from its security context.",
)
def container_is_not_privileged(container: Container, config: Config) -> Iterator[str]:
    if not may_be(container.security.get("privileged"), None, False):
        yield "is privileged."


@container_rule(
    "container-has-no-capabilities",
    "Every container drops all capabilities.",
    "Set `capabilities.drop` to [ALL]. At most NET_BIND_SERVICE may be added.",
)
def container_has_no_capabilities(container: Container, config: Config) -> Iterator[str]:
    capabilities = mapping(container.security.get("capabilities"))
    dropped = items(capabilities.get("drop"))
    if "ALL" not in dropped and UNKNOWN not in dropped:
        yield "keeps capabilities."
    if added := [name for name in items(capabilities.get("add")) if not may_be(name, "NET_BIND_SERVICE")]:
        yield f"adds {', '.join(map(str, added))}."


@container_rule(
    "container-gains-no-privileges",
    "No process of a container can gain more privileges than its parent.",
    "Set `allowPrivilegeEscalation` to false.",
)
def container_gains_no_privileges(container: Container, config: Config) -> Iterator[str]:
    if not may_be(container.security.get("allowPrivilegeEscalation"), False):
        yield "allows privilege escalation."


@container_rule(
    "container-has-a-seccomp-profile",
    "Every container has a seccomp profile.",
    "Set `seccompProfile.type` of the Pod to RuntimeDefault.",
)
def container_has_a_seccomp_profile(container: Container, config: Config) -> Iterator[str]:
    profile = mapping(container.security.get("seccompProfile"))
    if not may_be(profile.get("type"), "RuntimeDefault", "Localhost"):
        yield "has no seccomp profile."


@pod_rule(
    "container-runs-as-non-root",
    "No container runs as root.",
    "Set `runAsNonRoot`, and a `runAsUser` other than 0. For a registry set `run_as_user`.",
    config={"except": strings(EXCEPTIONS, [REGISTRY, NODE_TRUST])},
)
def container_runs_as_non_root(pod: Pod, config: Config) -> Iterator[str]:
    if _is_excepted(pod, config):
        return
    for container in pod.containers:
        security = container.security
        if not may_be(security.get("runAsNonRoot"), True) or security.get("runAsUser") == 0:
            yield f"The container `{container.name}` may run as root."


@pod_rule(
    "pod-mounts-no-folder-of-the-node",
    "Pods mount no folders of their node, and no other volumes than those that `restricted` allows.",
    "Use a claim. The agents of NodeTrust are excepted by the config.",
    config={"except": strings(EXCEPTIONS, [NODE_TRUST])},
)
def pod_mounts_no_folder_of_the_node(pod: Pod, config: Config) -> Iterator[str]:
    if _is_excepted(pod, config):
        return
    for volume in items(pod.spec.get("volumes")):
        if others := [key for key in mapping(volume) if key != "name" and key not in VOLUME_TYPES]:
            yield f"The volume `{mapping(volume).get('name')}` is of the type {others[0]}."


@pod_rule(
    "pod-keeps-the-kernel-defaults",
    "Pods change neither sysctls, /proc, SELinux types nor AppArmor profiles.",
    "Remove it from the security context.",
)
def pod_keeps_the_kernel_defaults(pod: Pod, config: Config) -> Iterator[str]:
    for sysctl in items(pod.security.get("sysctls")):
        name = mapping(sysctl).get("name")
        if not may_be(name, *SAFE_SYSCTLS):
            yield f"The Pod sets the sysctl {name}."
    for container in pod.containers:
        security = container.security
        selinux, app_armor = mapping(security.get("seLinuxOptions")), mapping(security.get("appArmorProfile"))
        if not may_be(security.get("procMount"), None, "Default"):
            yield f"The container `{container.name}` has another `procMount`."
        if not all(may_be(selinux.get(key), *allowed) for key, allowed in SELINUX_OPTIONS.items()):
            yield f"The container `{container.name}` has SELinux options."
        if app_armor.get("type") == "Unconfined":
            yield f"The container `{container.name}` runs without AppArmor."
        if not may_be(mapping(security.get("windowsOptions")).get("hostProcess"), None, False):
            yield f"The container `{container.name}` is a process of its host."


@container_rule(
    "container-file-system-is-read-only",
    "The containers of a registry cannot change their own file system.",
    "Set `readOnlyRootFilesystem`.",
    of=_is_of_registry,
)
def container_file_system_is_read_only(container: Container, config: Config) -> Iterator[str]:
    if not may_be(container.security.get("readOnlyRootFilesystem"), True):
        yield "can write to its file system."


@pod_rule(
    "pod-has-no-api-token",
    "The Pods of a registry have no token for the Kubernetes API.",
    "Set `automountServiceAccountToken` to false.",
    of=_is_of_registry,
)
def pod_has_no_api_token(pod: Pod, config: Config) -> Iterator[str]:
    if not may_be(pod.spec.get("automountServiceAccountToken"), False):
        yield "The Pod mounts the token of its ServiceAccount."


@resource_rule(
    "namespace-enforces-pod-security",
    "The namespace of a registry enforces a Pod Security level.",
    f"Set the label `{ENFORCE}` to restricted, or to baseline if the registry runs as root.",
    of=kinds_of_registry("Namespace"),
)
def namespace_enforces_pod_security(resource: Resource, config: Config) -> Iterator[str]:
    labels = mapping(resource.metadata.get("labels"))
    if not may_be(labels.get(ENFORCE), "restricted", "baseline"):
        yield f"The Namespace `{resource.name}` accepts privileged Pods."


RESTRICTED = (
    pod_uses_no_host_namespace,
    container_uses_no_host_port,
    container_probes_itself,
    container_is_not_privileged,
    container_has_no_capabilities,
    container_gains_no_privileges,
    container_has_a_seccomp_profile,
    container_runs_as_non_root,
    pod_mounts_no_folder_of_the_node,
    pod_keeps_the_kernel_defaults,
)
"""Rules that together are the level `restricted`."""

RULES = (
    *RESTRICTED,
    container_file_system_is_read_only,
    pod_has_no_api_token,
    namespace_enforces_pod_security,
)
