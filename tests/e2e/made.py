"""What the API server is asked about inputs: the objects that they end in, each with as few of them as it needs.

The component itself makes the same, but for far fewer inputs in a second; a test compares the two on some of them.
"""

from collections.abc import Callable
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks, rpc

from registry import PrivateRegistry
from registry.exposure import EXPOSURES
from registry.exposure.ingress import INGRESS_NGINX_ANNOTATIONS
from registry.inputs.table import DEFAULTS, INPUTS
from tests.conftest import Engine, RecordingMonitor
from tests.e2e.oracles import Object, resource

Given = dict[str, Any]

SECRETS = ("tls_secret", "users_secret", "s3_secret", "image_pull_secret")


def objects(args: Given) -> list[Object]:
    """Everything about which the API server has something to say. Numbers are whole in the component's own objects."""
    given: Given = {**DEFAULTS, **{key: int(each) if _is_whole(each) else each for key, each in args.items()}}
    made: list[Object] = [_namespace(given), _bearer(given), _service(given), _pod(given), _node(given), *_named(given)]
    if given["storage"] in ("host-path", "local"):
        made += [_volume(given), _claim(given, "")]
    if given["storage"] == "class":
        made.append(_claim(given, given["storage_class"]))
    if given["client_cidrs"]:
        made.append(_policy(given))
    if given["exposure"] == "ingress":
        made.append(_ingress(given))
    return made


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def with_choice(key: str) -> Given:
    """The choice of another key with which `key` means something."""
    choices = INPUTS[key].only_with
    needs: dict[str, Given] = {"node-port": {"node_port": 30500}, "ingress": {"ingress_class": "nginx"}}
    needs |= {"class": {"storage_class": "fast"}, "external-ips": {"external_ips": []}}
    chosen = {each.key: each.values[0] for each in choices[:1]} or (
        {"exposure": "ingress"} if key == "hostname" else {}
    )
    return {**chosen, **{k: v for value in chosen.values() for k, v in needs.get(str(value), {}).items()}}


def _namespace(given: Given) -> Object:
    return resource("v1", "Namespace", given["namespace"])


def _bearer(given: Given) -> Object:
    """Labels and annotations beside the most that the component adds of its own."""
    labels = {**given["labels"], "private-registry/namespace": given["namespace"]}
    return resource(
        "v1",
        "ConfigMap",
        "c",
        metadata={"labels": labels, "annotations": {**given["annotations"], **INGRESS_NGINX_ANNOTATIONS}},
    )


def _service(given: Given) -> Object:
    port = {"name": "registry", "port": given["port"], "targetPort": 5000}
    port |= {"nodePort": given["node_port"]} if given["exposure"] == "node-port" else {}
    spec = {"type": EXPOSURES[given["exposure"]].service_type, "ports": [port]}
    if given["exposure"] == "external-ips":
        spec["externalIPs"] = given["external_ips"]
    if given["exposure"] == "load-balancer":
        asked = {
            "loadBalancerClass": given.get("load_balancer_class"),
            "loadBalancerIP": given.get("load_balancer_address"),
        }
        spec |= {key: value for key, value in asked.items() if value is not None}
    return resource("v1", "Service", "s", spec)


def _pod(given: Given) -> Object:
    user = given.get("run_as_user", 0)
    container = {
        "name": "registry",
        "image": given["image"],
        "imagePullPolicy": given["image_pull_policy"],
        "resources": {"requests": given["requests"], "limits": given["limits"]},
    }
    spec = {"containers": [container], "securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": user}}
    return resource("v1", "Pod", "p", spec)


def _node(given: Given) -> Object:
    key, _, value = given["node_label"].partition("=")
    return resource(
        "v1", "Node", given["node"], metadata={"labels": {"kubernetes.io/hostname": given["node"], key: value}}
    )


def _volume(given: Given) -> Object:
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [given["node"]]}
    path = {"path": given["storage_path"]}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": given["storage_size"]},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        **({"local": path} if given["storage"] == "local" else {"hostPath": {**path, "type": "DirectoryOrCreate"}}),
    }
    return resource("v1", "PersistentVolume", "v", spec)


def _claim(given: Given, storage_class: str) -> Object:
    access = given["storage_access"] if storage_class else "ReadWriteOnce"
    asked = {"requests": {"storage": given["storage_size"]}}
    spec = {"accessModes": [access], "storageClassName": storage_class, "resources": asked}
    return resource("v1", "PersistentVolumeClaim", "c", spec)


def _policy(given: Given) -> Object:
    peers = [{"ipBlock": {"cidr": cidr}} for cidr in given["client_cidrs"]]
    spec = {"podSelector": {}, "ingress": [{"from": peers}]}
    return resource("networking.k8s.io/v1", "NetworkPolicy", "n", spec)


def _ingress(given: Given) -> Object:
    behind = {"service": {"name": "s", "port": {"name": "registry"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": behind}
    host = given["hostname"]
    spec = {
        "ingressClassName": given["ingress_class"],
        "tls": [{"hosts": [host], "secretName": "cert-secret"}],
        "rules": [{"host": host, "http": {"paths": [path]}}],
    }
    return resource("networking.k8s.io/v1", "Ingress", "i", spec)


def _named(given: Given) -> list[Object]:
    """What has to exist under a name can exist under it."""
    kinds: dict[str, Callable[[str], Object]] = {
        **{key: lambda name: resource("v1", "Secret", name) for key in SECRETS},
        "storage_claim": lambda name: _claim({**given, "storage_size": "1Gi"}, "") | {"metadata": {"name": name}},
        "storage_class": lambda name: resource("storage.k8s.io/v1", "StorageClass", name, provisioner="example.com/x"),
        "priority_class": lambda name: resource("scheduling.k8s.io/v1", "PriorityClass", name, value=1),
        "ingress_class": lambda name: resource("networking.k8s.io/v1", "IngressClass", name, {"controller": "a.com/b"}),
    }
    return [make(given[key]) for key, make in kinds.items() if given.get(key) is not None]


class AutonamingEngine(Engine):
    """Answers with the names that the provider would make up, which other objects refer to."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        identity, answer = super().new_resource(args)
        if args.typ.startswith("kubernetes:") and isinstance(answer.get("metadata"), dict):
            answer["metadata"] = {"name": autoname(args.name), **answer["metadata"]}
        return identity, answer


def autoname(resource_name: str) -> str:
    return f"{resource_name}-0a1b2c3d"


def registered(args: Given) -> list[Object]:
    """What the component itself registers, as the provider would send it: named, without secrets' wrapping."""
    claim = {"spec": {"accessModes": ["ReadWriteMany"]}}
    engine = AutonamingEngine(
        live={"registry-data-from-kubectl-get-pvc": claim, "registry-service-of-the-cluster": _fitting_cluster(args)}
    )
    pulumi.runtime.set_mocks(engine, project="private-registry", stack="test", monitor=RecordingMonitor(engine))

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        return PrivateRegistry("registry", cast(Any, args)).passwords

    main()
    ours = [each for each in engine.registered if each.type.startswith("kubernetes:")]
    return [_as_sent(_opened(each.inputs), each.name) for each in ours if not each.type.endswith("ServiceMonitor")]


def _fitting_cluster(args: Given) -> Object:
    """What tells of a cluster: one of the given addresses' family, whose API server has a port of its own."""
    addresses = [*args.get("external_ips", []), args.get("load_balancer_address")]
    is_ipv6 = any(":" in each for each in addresses if each)
    api = {"port": 443, "targetPort": 6444 if args.get("port") == 6443 else 6443}
    return {"spec": {"clusterIP": "fd00::1" if is_ipv6 else "10.96.0.1", "ports": [api]}}


def _as_sent(inputs: Object, name: str) -> Object:
    """In a namespace that is there, and without the class and the PEM that are not: none is asked about here."""
    metadata = {"name": autoname(name), **inputs["metadata"]}
    metadata.pop("namespace", None)
    spec = inputs.get("spec", {})
    for each in (spec, spec.get("template", {}).get("spec", {})):
        each.pop("priorityClassName", None)
    opaque = {"type": "Opaque"} if inputs.get("type") == "kubernetes.io/tls" else {}
    return {**inputs, **opaque, "metadata": metadata}


def _opened(value: Any) -> Any:
    """Numbers are whole, and what is secret is shown."""
    if isinstance(value, dict):
        if rpc.is_rpc_secret(value):
            return _opened(value["value"])
        return {key: _opened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_opened(each) for each in value]
    return int(value) if _is_whole(value) else value
