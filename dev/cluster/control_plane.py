"""The control plane on k8s-master: four daemons with flags like those of kubeadm, but without containers.

Each daemon runs once, so there is neither leader election nor high availability.
"""

from dev.cluster.plan import MASTER, Plan
from dev.cluster.process import Daemon

QUICK_PERIODS = {"node_monitor_period": "2s", "node_monitor_grace_period": "20s"}
"""Flags that mark a silent node as lost after 20 s, when five reports are missing. The default is 50 s."""


def define_etcd(plan: Plan) -> Daemon:
    """Return the daemon of etcd. Its data survives `down`."""
    return _daemon(
        "etcd",
        name=MASTER.name,
        data_dir="/var/lib/etcd",
        listen_client_urls="https://127.0.0.1:2379",
        advertise_client_urls="https://127.0.0.1:2379",
        listen_peer_urls="http://127.0.0.1:2380",
        initial_advertise_peer_urls="http://127.0.0.1:2380",
        initial_cluster=f"{MASTER.name}=http://127.0.0.1:2380",
        cert_file=f"{plan.pki}/etcd.crt",
        key_file=f"{plan.pki}/etcd.key",
        client_cert_auth="true",
        trusted_ca_file=f"{plan.pki}/etcd-ca.crt",
    )


def define_api_server(plan: Plan) -> Daemon:
    """Return the daemon of the API server. Pod Security admission is on by default."""
    return _daemon(
        "kube-apiserver",
        **_etcd_client(plan),
        **_kubelet_client(plan),
        **_front_proxy(plan),
        advertise_address=MASTER.address,
        tls_cert_file=f"{plan.pki}/apiserver.crt",
        tls_private_key_file=f"{plan.pki}/apiserver.key",
        client_ca_file=f"{plan.pki}/kubernetes-ca.crt",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        service_cluster_ip_range=plan.services,
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        service_account_key_file=f"{plan.pki}/service-account.pub",
        service_account_signing_key_file=f"{plan.pki}/service-account.key",
        # All clients are on this machine, where compression only costs CPU time.
        feature_gates="APIResponseCompression=false",
    )


def define_controller_manager(plan: Plan) -> Daemon:
    return _daemon(
        "kube-controller-manager",
        **_kubeconfig(plan, "controller-manager"),
        client_ca_file=f"{plan.pki}/kubernetes-ca.crt",
        use_service_account_credentials="true",
        service_account_private_key_file=f"{plan.pki}/service-account.key",
        root_ca_file=f"{plan.pki}/kubernetes-ca.crt",
        cluster_signing_cert_file=f"{plan.pki}/kubernetes-ca.crt",
        cluster_signing_key_file=f"{plan.pki}/kubernetes-ca.key",
        service_cluster_ip_range=plan.services,
        cluster_cidr=plan.pods,
        allocate_node_cidrs="false",
        # With the default of 20 requests a second, the default ServiceAccount, which Pods need, exists 3 s later.
        kube_api_qps="300",
        kube_api_burst="600",
        **({} if plan.default_periods else QUICK_PERIODS),
    )


def define_scheduler(plan: Plan) -> Daemon:
    return _daemon("kube-scheduler", **_kubeconfig(plan, "scheduler"))


def _etcd_client(plan: Plan) -> dict[str, str]:
    return {
        "etcd_servers": "https://127.0.0.1:2379",
        "etcd_cafile": f"{plan.pki}/etcd-ca.crt",
        "etcd_certfile": f"{plan.pki}/apiserver-etcd-client.crt",
        "etcd_keyfile": f"{plan.pki}/apiserver-etcd-client.key",
    }


def _kubelet_client(plan: Plan) -> dict[str, str]:
    return {
        "kubelet_client_certificate": f"{plan.pki}/apiserver-kubelet-client.crt",
        "kubelet_client_key": f"{plan.pki}/apiserver-kubelet-client.key",
        "kubelet_certificate_authority": f"{plan.pki}/kubernetes-ca.crt",
        "kubelet_preferred_address_types": "InternalIP",
    }


def _front_proxy(plan: Plan) -> dict[str, str]:
    return {
        "requestheader_client_ca_file": f"{plan.pki}/front-proxy-ca.crt",
        "requestheader_allowed_names": "front-proxy-client",
        "requestheader_username_headers": "X-Remote-User",
        "requestheader_group_headers": "X-Remote-Group",
        "requestheader_extra_headers_prefix": "X-Remote-Extra-",
        "proxy_client_cert_file": f"{plan.pki}/front-proxy-client.crt",
        "proxy_client_key_file": f"{plan.pki}/front-proxy-client.key",
    }


def _kubeconfig(plan: Plan, user: str) -> dict[str, str]:
    names = ("kubeconfig", "authentication_kubeconfig", "authorization_kubeconfig")
    return dict.fromkeys(names, f"{plan.pki}/{user}.conf") | {"bind_address": "127.0.0.1", "leader_elect": "false"}


def _daemon(name: str, /, **flags: str) -> Daemon:
    argv = (f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())
    return Daemon(MASTER, name, (name, *argv))
