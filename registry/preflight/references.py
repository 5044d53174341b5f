"""The existing objects that the settings depend on: which objects are looked up, and what to do if one is missing."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..choices import IssuerKind
from ..lookup import Reference
from ..settings import ExposureSettings, MaintenanceSettings, ObjectSettings, PullSecretSettings, Settings
from ..validation.gateways import GATEWAY_API
from ..validation.issuers import CERT_MANAGER_API

MONITORING_API = "v1.monitoring.coreos.com"
"""The APIService of every cluster that has the CRDs of the Prometheus operator.

Without them the provider would retry the ServiceMonitor for a minute, after everything else was created."""

ISSUER = "certificate_issuer"
"""Input that names an issuer of cert-manager."""

CLAIM_KIND = "PersistentVolumeClaim"

CLASSES = Reference("storage.k8s.io/v1", "StorageClass")
"""All StorageClasses."""

OWN_OBJECTS = (("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Service"))
"""API version and kind of objects with the name of the registry. It is deployed if one of them exists."""

API_SERVER = Reference("v1", "Service", "kubernetes", "default")
"""The API server's Service."""

SERVICE_NETWORKS = Reference("networking.k8s.io/v1", "ServiceCIDR", "kubernetes")
"""The networks of the cluster's Services, since Kubernetes 1.33."""

NODES = Reference("v1", "Node")
"""All nodes."""


class NamedObject(NamedTuple):
    """An object that an input names: `key` is the input, `what` the kind in words, and `remedy` says what to do."""

    key: str
    what: str
    reference: Reference
    remedy: str


def named_objects(settings: Settings, *, needs_node: bool) -> Iterator[NamedObject]:
    """Yield the objects that inputs name, a namespace before its content."""
    storage, objects, namespace = settings.storage, settings.objects, settings.objects.namespace
    if needs_node:
        yield _object("node", "node", Reference("v1", "Node", storage.node), "nodes")
    if not objects.create_namespace:
        remedy = f"Run `kubectl create namespace {namespace}`, or `pulumi config set create_namespace true`"
        yield NamedObject("namespace", "namespace", Reference("v1", "Namespace", namespace), remedy)
    secrets = {
        "tls_secret": settings.tls.tls_secret,
        "users_secret": settings.users.users_secret,
        **({storage.kind.secret: getattr(storage, storage.kind.secret)} if storage.kind.secret else {}),
        "image_pull_secret": settings.workload.image_pull_secret,
        "backup_secret": settings.maintenance.backup_secret if settings.maintenance is not None else None,
    }
    for key, name in secrets.items():
        if name is not None:
            yield _object(key, "Secret", Reference("v1", "Secret", name, namespace), "secrets")
    account = settings.workload.service_account
    if account is not None and settings.workload.service_account_annotations is None:
        reference = Reference("v1", "ServiceAccount", account, namespace)
        yield _object("service_account", "ServiceAccount", reference, "serviceaccounts")
    if storage.storage_claim is not None:
        yield _object("storage_claim", "claim", Reference("v1", CLAIM_KIND, storage.storage_claim, namespace), "pvc")
    if not objects.create_namespace and (claim := _backup_claim(settings.maintenance)):
        # In a new namespace the claim is created later, because it would be deleted with the namespace.
        reference = Reference("v1", CLAIM_KIND, claim, namespace)
        yield _object("--path backup.to.claim", "claim", reference, "pvc")._replace(key="backup.to.claim")
    classes = {
        "storage_class": ("storage.k8s.io/v1", "StorageClass", storage.storage_class),
        "priority_class": ("scheduling.k8s.io/v1", "PriorityClass", settings.workload.priority_class),
        "ingress_class": ("networking.k8s.io/v1", "IngressClass", settings.exposure.ingress_class),
    }
    for key, (version, kind, class_name) in classes.items():
        if class_name is not None:
            yield _object(key, kind, Reference(version, kind, class_name), kind.lower())
    if (issuer := settings.tls.certificate_issuer) is not None:
        # The list of the Certificates is {} only if the cluster does not have the API.
        remedy = "Install cert-manager, or remove `certificate_issuer`"
        yield NamedObject(ISSUER, "API", Reference(CERT_MANAGER_API, "Certificate", "", namespace), remedy)
        reference = Reference(CERT_MANAGER_API, issuer["kind"], issuer["name"], _namespace_of(issuer, namespace))
        item = _object("--path certificate_issuer.name", issuer["kind"], reference, f"{issuer['kind'].lower()}s")
        yield item._replace(key=ISSUER)
    yield from _gateway_objects(settings.exposure, namespace)
    if settings.pull_secrets is not None:
        yield from _pull_secret_objects(settings.pull_secrets)
    if settings.monitoring is not None and settings.monitoring.service_monitor:
        remedy = "Install the Prometheus operator, or run `pulumi config set service_monitor false`"
        reference = Reference("apiregistration.k8s.io/v1", "APIService", MONITORING_API)
        yield NamedObject("service_monitor", "API", reference, remedy)


def _gateway_objects(exposure: ExposureSettings, namespace: str) -> Iterator[NamedObject]:
    if (gateway := exposure.gateway) is None:
        return
    # The list of the routes is {} only if the cluster does not have the API.
    remedy = "Install the standard CRDs of Gateway API 1.5 or newer, or set another `exposure`"
    yield NamedObject("exposure", "API", Reference(GATEWAY_API, "TLSRoute", "", namespace), remedy)
    reference = Reference(GATEWAY_API, "Gateway", gateway, exposure.gateway_namespace or "")
    yield _object("gateway", "Gateway", reference, "gateways")


def _pull_secret_objects(settings: PullSecretSettings) -> Iterator[NamedObject]:
    for namespace in settings.pull_secrets:
        remedy = f"Run `kubectl create namespace {namespace}`, or remove it from `pull_secrets`"
        yield NamedObject("pull_secrets", "namespace", Reference("v1", "Namespace", namespace), remedy)
    for namespace in settings.pull_secrets if settings.default_pull_secret else ():
        remedy = f"Run `kubectl create serviceaccount default --namespace {namespace}`"
        reference = Reference("v1", "ServiceAccount", "default", namespace)
        yield NamedObject("default_pull_secret", "ServiceAccount", reference, remedy)


def _namespace_of(issuer: Mapping[str, str], namespace: str) -> str:
    """Return the namespace of an Issuer, or "" for a ClusterIssuer."""
    return namespace if issuer["kind"] == IssuerKind.ISSUER else ""


def _backup_claim(settings: MaintenanceSettings | None) -> str | None:
    """Return the name of the claim for the backup, if that is its place."""
    if settings is None or settings.backup is None:
        return None
    claim: str | None = settings.backup["to"].get("claim")
    return claim


def _object(key: str, what: str, reference: Reference, resource: str) -> NamedObject:
    namespace = f" --namespace {reference.namespace}" if reference.namespace else ""
    remedy = f"Run `pulumi config set {key}` with a name from `kubectl get {resource}{namespace}`"
    return NamedObject(key, what, reference, remedy)


def more_objects(
    app: str,
    objects: ObjectSettings,
    exposure: ExposureSettings,
    *,
    uses_default_class: bool,
    selects_nodes: bool,
) -> list[Reference]:
    """Return references to more objects: claims, own objects, the new namespace or the quotas, and Services.

    `app` is the name of the registry's objects.
    """
    namespace = objects.namespace
    more = [Reference("v1", CLAIM_KIND, "", namespace)]
    more += [Reference(version, kind, app, namespace) for version, kind in OWN_OBJECTS]
    if objects.create_namespace:
        more.append(Reference("v1", "Namespace", namespace))
    else:
        more += [Reference("v1", kind, "", namespace) for kind in ("ResourceQuota", "LimitRange")]
    if exposure.external_ips or exposure.load_balancer_address is not None:
        more.append(API_SERVER)
    if exposure.external_ips:
        more.append(Reference("v1", "Service"))
    if uses_default_class:
        more.append(CLASSES)
    if exposure.asks_for_families:
        more.append(SERVICE_NETWORKS)
    if selects_nodes:
        more.append(NODES)
    return more
