"""Build objects from inputs for the API server to judge, with as few inputs in each as possible.

The component builds the same objects, but much more slowly. A test sends those of the component for a few
configurations.
"""

from collections.abc import Callable
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks, rpc

from registry import PrivateRegistry
from registry.exposure import EXPOSURES
from registry.exposure.ingress import INGRESS_NGINX_ANNOTATIONS
from registry.inputs.table import DEFAULTS, INPUTS
from tests.conftest import Engine, RecordingMonitor, api_server_service
from tests.e2e.oracles import Object, resource

Inputs = dict[str, Any]

SECRETS = ("tls_secret", "users_secret", "s3_secret", "image_pull_secret")


def api_objects(args: Inputs) -> list[Object]:
    """Return the objects whose fields the API server checks. Whole numbers become integers, as in the component."""
    settings: Inputs = {
        **DEFAULTS,
        **{key: int(each) if _is_whole_number(each) else each for key, each in args.items()},
    }
    result: list[Object] = [
        _namespace(settings),
        _metadata_object(settings),
        _service(settings),
        _pod(settings),
        _node(settings),
        *_existing_objects(settings),
    ]
    if settings["storage"] in ("host-path", "local"):
        result += [_volume(settings), _claim(settings, "")]
    if settings["storage"] == "class":
        result.append(_claim(settings, settings["storage_class"]))
    if settings["client_cidrs"]:
        result.append(_policy(settings))
    if settings["exposure"] == "ingress":
        result.append(_ingress(settings))
    return result


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def required_choice(key: str) -> Inputs:
    """Return the inputs without which `key` has no effect."""
    choices = INPUTS[key].only_with
    needs: dict[str, Inputs] = {"node-port": {"node_port": 30500}, "ingress": {"ingress_class": "nginx"}}
    needs |= {"class": {"storage_class": "fast"}, "external-ips": {"external_ips": []}}
    choice = {condition.key: condition.values[0] for condition in choices[:1]} or (
        {"exposure": "ingress"} if key == "hostname" else {}
    )
    return {**choice, **{k: v for value in choice.values() for k, v in needs.get(str(value), {}).items()}}


def _namespace(settings: Inputs) -> Object:
    return resource("v1", "Namespace", settings["namespace"])


def _metadata_object(settings: Inputs) -> Object:
    """Return an object with the labels and annotations, and the longest ones that the component adds."""
    labels = {**settings["labels"], "private-registry/namespace": settings["namespace"]}
    return resource(
        "v1",
        "ConfigMap",
        "c",
        metadata={"labels": labels, "annotations": {**settings["annotations"], **INGRESS_NGINX_ANNOTATIONS}},
    )


def _service(settings: Inputs) -> Object:
    port = {"name": "registry", "port": settings["port"], "targetPort": 5000}
    port |= {"nodePort": settings["node_port"]} if settings["exposure"] == "node-port" else {}
    spec = {"type": EXPOSURES[settings["exposure"]].service_type, "ports": [port]}
    if settings["exposure"] == "external-ips":
        spec["externalIPs"] = settings["external_ips"]
    if settings["exposure"] == "load-balancer":
        fields = {
            "loadBalancerClass": settings.get("load_balancer_class"),
            "loadBalancerIP": settings.get("load_balancer_address"),
        }
        spec |= {key: value for key, value in fields.items() if value is not None}
    return resource("v1", "Service", "s", spec)


def _pod(settings: Inputs) -> Object:
    user = settings.get("run_as_user", 0)
    container = {
        "name": "registry",
        "image": settings["image"],
        "imagePullPolicy": settings["image_pull_policy"],
        "resources": {"requests": settings["requests"], "limits": settings["limits"]},
    }
    spec: Object = {"tolerations": settings["tolerations"]}
    spec |= {"containers": [container], "securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": user}}
    return resource("v1", "Pod", "p", spec)


def _node(settings: Inputs) -> Object:
    key, _, value = settings["node_label"].partition("=")
    return resource(
        "v1", "Node", settings["node"], metadata={"labels": {"kubernetes.io/hostname": settings["node"], key: value}}
    )


def _volume(settings: Inputs) -> Object:
    node_term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [settings["node"]]}
    path = {"path": settings["storage_path"]}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": settings["storage_size"]},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node_term]}]}},
        **({"local": path} if settings["storage"] == "local" else {"hostPath": {**path, "type": "DirectoryOrCreate"}}),
    }
    return resource("v1", "PersistentVolume", "v", spec)


def _claim(settings: Inputs, storage_class: str) -> Object:
    access = settings["storage_access"] if storage_class else "ReadWriteOnce"
    fields = {"requests": {"storage": settings["storage_size"]}}
    spec = {"accessModes": [access], "storageClassName": storage_class, "resources": fields}
    return resource("v1", "PersistentVolumeClaim", "c", spec)


def _policy(settings: Inputs) -> Object:
    peers = [{"ipBlock": {"cidr": cidr}} for cidr in settings["client_cidrs"]]
    spec = {"podSelector": {}, "ingress": [{"from": peers}]}
    return resource("networking.k8s.io/v1", "NetworkPolicy", "n", spec)


def _ingress(settings: Inputs) -> Object:
    backend = {"service": {"name": "s", "port": {"name": "registry"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    host = settings["hostname"]
    spec = {
        "ingressClassName": settings["ingress_class"],
        "tls": [{"hosts": [host], "secretName": "cert-secret"}],
        "rules": [{"host": host, "http": {"paths": [path]}}],
    }
    return resource("networking.k8s.io/v1", "Ingress", "i", spec)


def _existing_objects(settings: Inputs) -> list[Object]:
    """Return objects with the names of existing objects, because such a name must be valid for its kind."""
    kinds: dict[str, Callable[[str], Object]] = {
        **{key: lambda name: resource("v1", "Secret", name) for key in SECRETS},
        "storage_claim": lambda name: _claim({**settings, "storage_size": "1Gi"}, "") | {"metadata": {"name": name}},
        "storage_class": lambda name: resource("storage.k8s.io/v1", "StorageClass", name, provisioner="example.com/x"),
        "priority_class": lambda name: resource("scheduling.k8s.io/v1", "PriorityClass", name, value=1),
        "ingress_class": lambda name: resource("networking.k8s.io/v1", "IngressClass", name, {"controller": "a.com/b"}),
    }
    return [create(settings[key]) for key, create in kinds.items() if settings.get(key) is not None]


class AutonamingEngine(Engine):
    """Return generated names like those of the provider, because other objects refer to them."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        identity, answer = super().new_resource(args)
        if args.typ.startswith("kubernetes:") and isinstance(answer.get("metadata"), dict):
            answer["metadata"] = {"name": autoname(args.name), **answer["metadata"]}
        return identity, answer


def autoname(resource_name: str) -> str:
    return f"{resource_name}-0a1b2c3d"


def registered_objects(args: Inputs) -> list[Object]:
    """Return the objects that the component registers, with names and plain secrets, as the provider sends them."""
    engine = AutonamingEngine(found={("Service", "", ""): {"items": [_kubernetes_service(args)]}})
    pulumi.runtime.set_mocks(engine, project="private-registry", stack="test", monitor=RecordingMonitor(engine))

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        return PrivateRegistry("registry", cast(Any, args)).passwords

    main()
    # The chart of the lookups is no object.
    registrations = [
        each for each in engine.resources if each.type.startswith("kubernetes:") and not each.type.endswith(":Chart")
    ]
    return [
        _strip_references(_plain_value(each.inputs), each.name)
        for each in registrations
        if not each.type.endswith("ServiceMonitor")
    ]


def _kubernetes_service(args: Inputs) -> Object:
    """Return the Service `kubernetes` of a cluster with the same IP family, and with another API server port."""
    addresses = [*args.get("external_ips", []), args.get("load_balancer_address")]
    is_ipv6 = any(":" in each for each in addresses if each)
    service = api_server_service("fd00::1" if is_ipv6 else "10.96.0.1")
    service["spec"]["ports"][0]["targetPort"] = 6444 if args.get("port") == 6443 else 6443
    return service


def _strip_references(inputs: Object, name: str) -> Object:
    """Remove references to a namespace, a priority class and a PEM that do not exist on the lab."""
    metadata = {"name": autoname(name), **inputs["metadata"]}
    metadata.pop("namespace", None)
    spec = inputs.get("spec", {})
    for pod_spec in (spec, spec.get("template", {}).get("spec", {})):
        pod_spec.pop("priorityClassName", None)
    opaque = {"type": "Opaque"} if inputs.get("type") == "kubernetes.io/tls" else {}
    return {**inputs, **opaque, "metadata": metadata}


def _plain_value(value: Any) -> Any:
    """Return the value with plain secrets, and with integers for whole numbers."""
    if isinstance(value, dict):
        if rpc.is_rpc_secret(value):
            return _plain_value(value["value"])
        return {key: _plain_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain_value(each) for each in value]
    return int(value) if _is_whole_number(value) else value
