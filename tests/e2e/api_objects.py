"""Build objects for a dry run of the API server, which judges the inputs in them.

`api_objects` builds small objects directly from the inputs. An object contains few inputs, so many configurations have
equal objects, which are sent only once. An object whose name is not an input has a name of one letter.

`registered_objects` returns the objects that the component registers. This takes much longer, so only one test does it,
for a few configurations.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks, rpc

from registry import PrivateRegistry
from registry.exposure import EXPOSURES
from registry.exposure.ingress import INGRESS_NGINX_ANNOTATIONS
from registry.inputs.resolve import default_limits
from registry.inputs.table import DEFAULTS, INPUTS
from tests.conftest import Engine, RecordingMonitor, api_server_service
from tests.e2e.oracles import Object, resource

Inputs = dict[str, Any]

SECRET_INPUTS = ("tls_secret", "users_secret", "s3_secret", "image_pull_secret")
"""Inputs that name an existing Secret."""

HOSTNAME = "worker-1"
"""Value of the node's label `kubernetes.io/hostname`, which volumes select. No input sets it."""


def api_objects(args: Inputs) -> list[Object]:
    """Return small objects that contain the inputs that the API server checks.

    A float without a fraction becomes an integer, as in the component.
    """
    settings: Inputs = {**DEFAULTS, **{key: _without_fraction(value) for key, value in args.items()}}
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


def _without_fraction(value: Any) -> Any:
    """Return a float without a fraction as an integer, and any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


REQUIRED: dict[str, Inputs] = {
    "node-port": {"node_port": 30500},
    "ingress": {"ingress_class": "nginx"},
    "external-ips": {"external_ips": []},
    "class": {"storage_class": "fast"},
}
"""Further inputs that an exposure or a storage requires, by its name."""


def required_choice(key: str) -> Inputs:
    """Return the other inputs that are necessary for an object to contain the value of `key`."""
    if key == "hostname":  # only an Ingress has the hostname
        return {"exposure": "ingress", **REQUIRED["ingress"]}
    inputs: Inputs = {}
    for condition in INPUTS[key].only_with[:1]:  # one fulfilled condition is enough
        choice = condition.values[0]
        inputs |= {condition.key: choice, **REQUIRED.get(str(choice), {})}
    return inputs


def _namespace(settings: Inputs) -> Object:
    return resource("v1", "Namespace", settings["namespace"])


def _metadata_object(settings: Inputs) -> Object:
    """Return an object with the user's labels and annotations, and with the longest of the component's own.

    The API server limits the length of a label, and of all annotations together.
    """
    labels = {**settings["labels"], "private-registry/namespace": settings["namespace"]}
    return resource(
        "v1",
        "ConfigMap",
        "c",
        metadata={"labels": labels, "annotations": {**settings["annotations"], **INGRESS_NGINX_ANNOTATIONS}},
    )


def _service(settings: Inputs) -> Object:
    port = {"name": "registry", "port": settings["port"], "targetPort": 5000}
    if settings["exposure"] == "node-port":
        port["nodePort"] = settings["node_port"]
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
        "resources": {
            "requests": settings["requests"],
            "limits": settings.get("limits", default_limits(settings["storage"])),
        },
    }
    spec: Object = {"tolerations": settings["tolerations"]}
    spec |= {"containers": [container], "securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": user}}
    return resource("v1", "Pod", "p", spec)


def _node(settings: Inputs) -> Object:
    key, _, value = settings["node_label"].partition("=")
    return resource(
        "v1", "Node", settings["node"], metadata={"labels": {"kubernetes.io/hostname": HOSTNAME, key: value}}
    )


def _volume(settings: Inputs) -> Object:
    node_term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [HOSTNAME]}
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
        **{key: lambda name: resource("v1", "Secret", name) for key in SECRET_INPUTS},
        "storage_claim": lambda name: {**_claim(settings, ""), "metadata": {"name": name}},
        "storage_class": lambda name: resource("storage.k8s.io/v1", "StorageClass", name, provisioner="example.com/x"),
        "priority_class": lambda name: resource("scheduling.k8s.io/v1", "PriorityClass", name, value=1),
        "ingress_class": lambda name: resource("networking.k8s.io/v1", "IngressClass", name, {"controller": "a.com/b"}),
    }
    return [create(settings[key]) for key, create in kinds.items() if settings.get(key) is not None]


class AutonamingEngine(Engine):
    """An engine that names objects without a name, as the provider does. Other objects then refer to these names."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        resource_id, answer = super().new_resource(args)
        if args.typ.startswith("kubernetes:") and isinstance(answer.get("metadata"), dict):
            answer["metadata"] = {"name": autoname(args.name), **answer["metadata"]}
        return resource_id, answer


def autoname(resource_name: str) -> str:
    return f"{resource_name}-0a1b2c3d"


def registered_objects(args: Inputs) -> list[Object]:
    """Return the objects that the component registers, with names and plain secrets, as the provider sends them."""
    # Tests that ran before may have left the thread without an event loop, or with their own.
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    engine = AutonamingEngine(found={("Service", "default", "kubernetes"): _kubernetes_service(args)})
    pulumi.runtime.set_mocks(engine, project="private-registry", stack="test", monitor=RecordingMonitor(engine))

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        # The SDK waits for the registrations in any case. It needs some output to await.
        return PrivateRegistry("registry", cast(Any, args)).passwords

    try:
        main()
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    # A Chart is not an object of the cluster, and the lab has no CRDs of other projects.
    excluded = (":Chart", ":PrometheusRule", ":ServiceMonitor", ":TLSRoute", ":Certificate")
    return [
        _make_independent(_plain_value(registered.inputs), registered.name)
        for registered in engine.resources
        if registered.type.startswith("kubernetes:") and not registered.type.endswith(excluded)
    ]


def _kubernetes_service(args: Inputs) -> Object:
    """Return the API server's Service, so that no rule refuses `args` because of it.

    It has the IP family of the addresses in `args`, and a target port that differs from the input `port`.
    """
    addresses = [*args.get("external_ips", []), args.get("load_balancer_address")]
    is_ipv6 = any(":" in address for address in addresses if address)
    service = api_server_service("fd00::1" if is_ipv6 else "10.96.0.1")
    service["spec"]["ports"][0]["targetPort"] = 6444 if args.get("port") == 6443 else 6443
    return service


def _make_independent(inputs: Object, name: str) -> Object:
    """Return the object with a name, and without its namespace and priority class, which the lab does not have.

    A TLS Secret becomes an opaque Secret, because the API server would refuse the fake engine's PEM.
    """
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
    return _without_fraction(value)
