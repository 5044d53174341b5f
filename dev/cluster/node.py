"""What runs on a node: containerd, kubelet and kube-proxy, with the configuration that lets them run beside each other.

Pods get addresses by the `ptp` plugin: no bridge, so no br_netfilter in the machine's kernel, and no iptables. hostPort
and cluster DNS are left out: the registry needs neither.
"""

import json
from pathlib import Path
from string import Template
from typing import Any

import yaml

from dev.cluster.plan import DNS_SERVICE, MASTER, PODS, Host, Plan
from dev.cluster.process import Daemon

PAUSE = "registry.k8s.io/pause:3.10"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
"""The guide's label and taint of the master: ordinary pods stay off it."""

SHARED_DISK = {
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
}
"""The disk is the machine's: no image is thrown away and no pod is evicted because others fill it."""

QUICK_PERIODS = {
    "syncFrequency": "5s",
    "nodeLeaseDurationSeconds": 16,
}
"""A changed Secret reaches a Pod's files after 5 s, by default a minute; the node reports every quarter of 16 s."""

CONTAINERD = Template("""\
version = 2
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause"
  disable_apparmor = true
  # root may lack CAP_SYS_RESOURCE (in a container): every sandbox would fail with "can't get final child's PID".
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$plugins"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
""")


def containerd(host: Host, plugins: Path) -> Daemon:
    """The container runtime, with its network plugins taken from the folder `plugins`."""
    files = {
        "/etc/containerd/config.toml": CONTAINERD.substitute(pause=PAUSE, plugins=plugins),
        "/etc/cni/net.d/10-pods.conflist": json.dumps(_pod_network(host), indent=2),
    }
    return Daemon(host, "containerd", ("containerd",), files)


def kubelet(plan: Plan, host: Host) -> Daemon:
    config = "/var/lib/kubelet/config.yaml"
    argv = (
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={plan.pki}/{host.name}.conf",
        f"--hostname-override={host.name}",
        f"--node-ip={host.address}",
    )
    return Daemon(host, "kubelet", argv, {config: yaml.safe_dump(_kubelet_configuration(plan, host))})


def kube_proxy(plan: Plan, host: Host) -> Daemon:
    config = "/var/lib/kube-proxy/config.yaml"
    argv = ("kube-proxy", f"--config={config}")
    return Daemon(host, "kube-proxy", argv, {config: yaml.safe_dump(_proxy_configuration(plan, host))})


def _pod_network(host: Host) -> dict[str, Any]:
    # The addresses in use lie under /run: when a host goes down its pods lose theirs, as the leases do.
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": host.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def _kubelet_configuration(plan: Plan, host: Host) -> dict[str, Any]:
    taint = {"key": CONTROL_PLANE, "effect": "NoSchedule"}
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
        "oomScoreAdj": 0,  # as for containerd's restrict_oom_score_adj
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        # Its default lies in /usr, which is the machine's.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "nodeStatusUpdateFrequency": "5s",
        **SHARED_DISK,
        **({} if plan.stock_periods else QUICK_PERIODS),
        # An imported image that was once pulled with a secret would else want that secret for ever.
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
        "clusterCIDR": PODS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # nf_conntrack_max is the machine's and cannot be written in a namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
