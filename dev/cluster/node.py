"""The daemons of a node: containerd, kubelet and kube-proxy. Several nodes can run on one machine.

Pods get their addresses from the `ptp` plugin, which needs no bridge, no br_netfilter and no iptables. hostPort and
cluster DNS are missing, because the registry needs neither.
"""

import json
from pathlib import Path
from string import Template
from typing import Any

import yaml

from dev.cluster.plan import CONTAINERD_CERTIFICATES, DNS_SERVICE, MASTER, Host, Plan
from dev.cluster.process import Daemon

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
CONTROL_PLANE_ROLE = "node-role.kubernetes.io/control-plane"
"""Label and taint of the master, as in the guide. Pods without a toleration do not run there."""

DISK_THRESHOLDS = {
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
}
"""Thresholds of the kubelet. Other data on the disk of the machine must not evict Pods or delete images."""

QUICK_PERIODS = {
    "syncFrequency": "5s",
    "nodeLeaseDurationSeconds": 16,
    "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
}
"""Settings that update a Secret in a Pod within 5 s (default: a minute), renew the node's Lease every 4 s, and start a
container again at most a second after its end (default: after 10 s to 5 minutes)."""

CONTAINERD_CONFIG = Template("""\
version = 3
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
]

[plugins."io.containerd.cri.v1.images"]
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$pause"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "$certificates"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  # In a container, root may lack CAP_SYS_RESOURCE. Each sandbox would fail with "can't get final child's PID".
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$plugins"]
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
""")


def define_containerd(plan: Plan, host: Host, plugins: Path) -> Daemon:
    """Return the daemon of the container runtime. `plugins` is the folder of its network plugins."""
    files = {
        "/etc/containerd/config.toml": CONTAINERD_CONFIG.substitute(
            certificates=CONTAINERD_CERTIFICATES, pause=PAUSE_IMAGE, plugins=plugins
        ),
        "/etc/cni/net.d/10-pods.conflist": json.dumps(_pod_network(plan, host), indent=2),
    }
    return Daemon(host, "containerd", ("containerd",), files)


def define_kubelet(plan: Plan, host: Host) -> Daemon:
    config = "/var/lib/kubelet/config.yaml"
    argv = (
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={plan.pki}/{host.name}.conf",
        f"--hostname-override={host.name}",
        f"--node-ip={','.join(plan.families(host.address, host.ipv6))}",
    )
    return Daemon(host, "kubelet", argv, {config: yaml.safe_dump(_kubelet_configuration(plan, host))})


def define_kube_proxy(plan: Plan, host: Host) -> Daemon:
    config = "/var/lib/kube-proxy/config.yaml"
    argv = ("kube-proxy", f"--config={config}")
    return Daemon(host, "kube-proxy", argv, {config: yaml.safe_dump(_proxy_configuration(plan, host))})


def _pod_network(plan: Plan, host: Host) -> dict[str, Any]:
    # The allocated addresses are saved under /run, so they are released when the host stops.
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": subnet}] for subnet in plan.families(host.pods, host.pods_ipv6)],
        "routes": [{"dst": network} for network in plan.families("0.0.0.0/0", "::/0")],
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def _kubelet_configuration(plan: Plan, host: Host) -> dict[str, Any]:
    taint = {"key": CONTROL_PLANE_ROLE, "effect": "NoSchedule"}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": host.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{plan.pki}/kubernetes-ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{plan.pki}/{host.name}.crt",
        "tlsPrivateKeyFile": f"{plan.pki}/{host.name}.key",
        "registerWithTaints": [taint] if host == MASTER else [],
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": str(plan.cgroup(host)),
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # for the same reason as restrict_oom_score_adj of containerd
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        # The default is in /usr, which belongs to the machine.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "nodeStatusUpdateFrequency": "5s",
        **DISK_THRESHOLDS,
        **({} if plan.default_periods else QUICK_PERIODS),
        # Otherwise an imported image that was once pulled with a Secret would require that Secret forever.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
    }


def _proxy_configuration(plan: Plan, host: Host) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "10s"},
        "hostnameOverride": host.name,
        "clientConnection": {"kubeconfig": f"{plan.pki}/proxy.conf"},
        "clusterCIDR": plan.pods,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # nf_conntrack_max is a setting of the machine and read-only in a namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
