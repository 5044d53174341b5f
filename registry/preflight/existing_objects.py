"""The objects of the cluster that the settings depend on. They are looked up before anything is created."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pulumi

from ..choices import IpFamilyPolicy, IssuerKind
from ..context import INSTANCE, NAME, Context
from ..lookup import FoundObjects, Object, Objects, Reference, known_values, look_up_objects
from ..settings import ExposureSettings, Settings
from ..storage.claims import bound_claim, location_of, own_claims
from ..validation.existing_objects import refuse_missing_object, refuse_other_namespace, refuse_wrong_secret_type
from ..validation.external_ips import external_ips_warning, refuse_taken_addresses
from ..validation.families import refuse_families_of_other_clusters, require_service_family, service_versions
from ..validation.gateways import GATEWAY_API, Route, require_listener, route_hostnames
from ..validation.issuers import CERT_MANAGER_API, issuer_advice, refuse_unusable_issuer
from ..validation.maintenance import refuse_claim_of_one_pod
from ..validation.quotas import Container, Demand, refuse_exceeded_quotas
from ..validation.storage import default_class

PULL_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
"""Types of Secrets that the kubelet reads to pull images."""

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

JOB_PREFIX = "maintenance_"
"""Prefix of the inputs of the maintenance jobs, and of the exporter."""

API_SERVER = Reference("v1", "Service", "kubernetes", "default")
"""The API server's Service."""

SERVICE_NETWORKS = Reference("networking.k8s.io/v1", "ServiceCIDR", "kubernetes")
"""The networks of the cluster's Services, since Kubernetes 1.33."""

NODES = Reference("v1", "Node")
"""All nodes."""

Others = Mapping[tuple[str, str], Object | None]
"""Objects that no input names, by kind and namespace."""


class NamedObject(NamedTuple):
    """An object that an input names: `key` is the input, `what` the kind in words, and `remedy` says what to do."""

    key: str
    what: str
    reference: Reference
    remedy: str


class ExistingObjects(NamedTuple):
    """The objects of the cluster, once everything that the settings name exists.

    Attributes:
        checked: Resource to wait for. It fails if an object is missing.
        found: The objects.
    """

    checked: pulumi.Output[pulumi.Resource]
    found: pulumi.Output[FoundObjects]


def look_up_existing_objects(ctx: Context, settings: Settings, *, needs_node: bool) -> ExistingObjects:
    """Look up the objects. Fail at preview if one is missing, a quota is too small, or an address is in use."""
    named = [*named_objects(settings, needs_node=needs_node)]
    more = _more_objects(ctx, settings)
    references = [*(item.reference for item in named), *more]
    chart, objects = look_up_objects(ctx, references, has_volumes=bool(settings.workload.node_selector))
    names = known_values([item.reference.name for item in named])
    amounts = known_values(
        [settings.storage.storage_size, *(amount for _, *pair in _resources(settings) for amount in pair)]
    )
    exposure = settings.exposure
    addressed = known_values(
        [exposure.load_balancer_address, exposure.gateway_listener, exposure.hostname, exposure.certificate_names]
    )

    def check(resolved: Sequence[Any]) -> FoundObjects:
        answers, names, amounts, (balancer, *route) = resolved
        _refuse_missing(named, names, answers)
        by_key = {(item.key, item.reference.namespace): answers.get(at) for at, item in enumerate(named)}
        others: Others = {
            (reference.kind, reference.namespace): answers.get(at) for at, reference in enumerate(more, len(named))
        }
        found = FoundObjects(
            node=by_key.get(("node", "")),
            nodes=_items(others.get((NODES.kind, ""))),
            namespace=by_key.get(("namespace", "")),
            claim=by_key.get(("storage_claim", settings.namespace)),
            claims=(claims := _items(others[CLAIM_KIND, settings.namespace])),
            storage_class=_class_of_images(ctx, claims, others),
            gateway=by_key.get(("gateway", exposure.gateway_namespace or "")),
            accounts={namespace: item for (key, namespace), item in by_key.items() if key == "default_pull_secret"},
        )
        if (issuer := settings.tls.certificate_issuer) is not None:
            _check_issuer(issuer["name"], by_key.get((ISSUER, _namespace_of(issuer, settings.namespace))))
        if settings.create_namespace:
            _refuse_other_namespace(ctx, settings.namespace, others)
        if settings.maintenance is not None and found.claim:
            refuse_claim_of_one_pod((found.claim.get("spec") or {}).get("accessModes") or [])
        if _has_families(exposure):
            refuse_families_of_other_clusters(*_families(exposure), _service_cidrs(others))
        if exposure.external_ips:
            _check_external_ips(ctx, exposure, found.node, others)
        _check_load_balancer(exposure, balancer, others)
        if found.gateway and None not in route:
            _check_gateway(ctx, settings, found.gateway, found.namespace, *route)
        if not settings.create_namespace and None not in amounts:
            _refuse_small_quotas(ctx, settings, others, _demand(settings, *amounts))
        return found

    found = pulumi.Output.all(objects, names, amounts, addressed).apply(check)
    return ExistingObjects(found.apply(lambda _: chart), found)


def named_objects(settings: Settings, *, needs_node: bool) -> Iterator[NamedObject]:
    """Yield the objects that inputs name, a namespace before its content."""
    storage, namespace = settings.storage, settings.namespace
    if needs_node:
        yield _object("node", "node", Reference("v1", "Node", storage.node), "nodes")
    if not settings.create_namespace:
        remedy = f"Run `kubectl create namespace {namespace}`, or `pulumi config set create_namespace true`"
        yield NamedObject("namespace", "namespace", Reference("v1", "Namespace", namespace), remedy)
    secrets = {
        "tls_secret": settings.tls.tls_secret,
        "users_secret": settings.users.users_secret,
        "s3_secret": storage.s3_secret,
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
    if not settings.create_namespace and (claim := _backup_claim(settings)):
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
    if (gateway := settings.exposure.gateway) is not None:
        # The list of the routes is {} only if the cluster does not have the API.
        remedy = "Install the standard CRDs of Gateway API 1.5 or newer, or set another `exposure`"
        yield NamedObject("exposure", "API", Reference(GATEWAY_API, "TLSRoute", "", namespace), remedy)
        reference = Reference(GATEWAY_API, "Gateway", gateway, settings.exposure.gateway_namespace or "")
        yield _object("gateway", "Gateway", reference, "gateways")
    if settings.pull_secrets is not None:
        for other in settings.pull_secrets.pull_secrets:
            remedy = f"Run `kubectl create namespace {other}`, or remove it from `pull_secrets`"
            yield NamedObject("pull_secrets", "namespace", Reference("v1", "Namespace", other), remedy)
        if settings.pull_secrets.default_pull_secret:
            for other in settings.pull_secrets.pull_secrets:
                remedy = f"Run `kubectl create serviceaccount default --namespace {other}`"
                reference = Reference("v1", "ServiceAccount", "default", other)
                yield NamedObject("default_pull_secret", "ServiceAccount", reference, remedy)
    if settings.monitoring is not None and settings.monitoring.service_monitor:
        remedy = "Install the Prometheus operator, or run `pulumi config set service_monitor false`"
        reference = Reference("apiregistration.k8s.io/v1", "APIService", MONITORING_API)
        yield NamedObject("service_monitor", "API", reference, remedy)


def _namespace_of(issuer: Mapping[str, str], namespace: str) -> str:
    """Return the namespace of an Issuer, or "" for a ClusterIssuer."""
    return namespace if issuer["kind"] == IssuerKind.ISSUER else ""


def _backup_claim(settings: Settings) -> str | None:
    """Return the name of the claim for the backup, if that is its place."""
    if settings.maintenance is None or settings.maintenance.backup is None:
        return None
    claim: str | None = settings.maintenance.backup["to"].get("claim")
    return claim


def _object(key: str, what: str, reference: Reference, resource: str) -> NamedObject:
    namespace = f" --namespace {reference.namespace}" if reference.namespace else ""
    remedy = f"Run `pulumi config set {key}` with a name from `kubectl get {resource}{namespace}`"
    return NamedObject(key, what, reference, remedy)


def _more_objects(ctx: Context, settings: Settings) -> list[Reference]:
    """Return references to more objects: claims, own objects, the new namespace or the quotas, and Services."""
    namespace = settings.namespace
    more = [Reference("v1", CLAIM_KIND, "", namespace)]
    more += [Reference(version, kind, ctx.app, namespace) for version, kind in OWN_OBJECTS]
    if settings.create_namespace:
        more.append(Reference("v1", "Namespace", namespace))
    else:
        more += [Reference("v1", kind, "", namespace) for kind in ("ResourceQuota", "LimitRange")]
    if settings.exposure.external_ips or settings.exposure.load_balancer_address is not None:
        more.append(API_SERVER)
    if settings.exposure.external_ips:
        more.append(Reference("v1", "Service"))
    if settings.storage.uses_default_class:
        more.append(CLASSES)
    if _has_families(settings.exposure):
        more.append(SERVICE_NETWORKS)
    if settings.workload.node_selector:
        more.append(NODES)
    return more


def _refuse_missing(named: Sequence[NamedObject], names: Sequence[str], found: Objects) -> None:
    """Refuse the first missing object, or an `image_pull_secret` of the wrong type.

    Objects whose names are unknown until deployment were not looked up.
    """
    for position, (item, name) in enumerate(zip(named, names, strict=True)):
        found_object = found.get(position)
        if found_object is None:
            continue
        if not found_object:
            kind = f"{item.reference.kind} of {item.reference.api_version}"
            refuse_missing_object(item.key, item.what, name or kind, item.remedy)
        if item.key == "image_pull_secret":
            remedy = "Make it with `kubectl create secret docker-registry`"
            refuse_wrong_secret_type(item.key, name, found_object.get("type", ""), PULL_TYPES, remedy)


def _check_external_ips(ctx: Context, settings: ExposureSettings, node: Object | None, others: Others) -> None:
    """Refuse external IPs that the cluster ignores or uses already. Warn if it deprecates them."""
    services = _items(others["Service", ""]) or []
    label = (NAME, ctx.app)
    versions = _service_versions(settings, others)
    refuse_taken_addresses(settings.external_ips, settings.port, _api_server(others), services, label, versions)
    info = ((node or {}).get("status") or {}).get("nodeInfo") or {}
    if warning := external_ips_warning(info.get("kubeletVersion", "")):
        pulumi.log.warn(warning)


def _check_issuer(name: str, issuer: Object | None) -> None:
    """Refuse an issuer that cannot issue the certificate. Say what a public issuer means for the CA bundle."""
    refuse_unusable_issuer(name, issuer or {})
    if advice := issuer_advice(issuer or {}):
        pulumi.log.info(advice)


def _check_gateway(
    ctx: Context,
    settings: Settings,
    gateway: Object,
    namespace: Object | None,
    listener: str,
    hostname: str,
    certificate_names: Sequence[str],
) -> None:
    """Refuse a listener that does not accept the route of this registry."""
    labels = {**settings.labels, **ctx.selector} if settings.create_namespace else _labels(namespace or {})
    route = Route(settings.namespace, labels, route_hostnames(hostname, certificate_names))
    require_listener(gateway, listener, route)


def _check_load_balancer(settings: ExposureSettings, address: str | None, others: Others) -> None:
    """Refuse an address of another family than the Service. Nothing is checked while it is unknown."""
    if address and _api_server(others):
        require_service_family("load_balancer_address", [address], _service_versions(settings, others))


def _has_families(settings: ExposureSettings) -> bool:
    """Return whether an input asks for families of addresses."""
    return bool(settings.ip_families) or settings.ip_family_policy != IpFamilyPolicy.SINGLE_STACK


def _families(settings: ExposureSettings) -> tuple[list[str], str]:
    return settings.ip_families, settings.ip_family_policy


def _service_versions(settings: ExposureSettings, others: Others) -> set[int]:
    """Return 4, 6 or both for the addresses of the Service, as far as they are known."""
    if not (api_server := _api_server(others)):
        return {4, 6}
    return service_versions(*_families(settings), api_server["spec"]["clusterIP"], _service_cidrs(others))


def _service_cidrs(others: Others) -> list[str]:
    """Return the networks of the cluster's Services. The list is empty if they are not known."""
    networks = others.get((SERVICE_NETWORKS.kind, "")) or {}
    return list((networks.get("spec") or {}).get("cidrs") or [])


def _class_of_images(ctx: Context, claims: Sequence[Object] | None, others: Others) -> str | None:
    """Return the class of the bound claim, else the cluster's default class. Return None if no class is looked up.

    A later change of the default must not replace the claim, so the class of a bound claim stays.
    """
    classes = _items(others.get((CLASSES.kind, CLASSES.namespace)))
    if classes is None:
        return None
    if bound := bound_claim(own_claims(claims or [], ctx.selector)):
        return location_of(bound)["storage_class"]
    return default_class(classes)


def _api_server(others: Others) -> Object | None:
    return others.get((API_SERVER.kind, API_SERVER.namespace))


def _refuse_other_namespace(ctx: Context, name: str, others: Others) -> None:
    """Refuse to create the namespace if it exists, unless it or an object in it has the labels of the registry.

    The labels of the namespace alone are not enough, because a user may have edited them.
    """
    namespace = others["Namespace", ""]
    own_objects = [others[kind, name] for _, kind in OWN_OBJECTS]
    labelled = [namespace, *own_objects, *(_items(others[CLAIM_KIND, name]) or [])]
    is_own = any(item and ctx.selector.items() <= _labels(item).items() for item in labelled)
    refuse_other_namespace(name, namespace or {}, is_own=is_own)


def _refuse_small_quotas(ctx: Context, settings: Settings, others: Others, demand: Demand) -> None:
    """Refuse an existing namespace whose quotas are too small."""
    namespace = settings.namespace
    claims = _items(others[CLAIM_KIND, namespace]) or []
    has_claim = any(_labels(claim).get(INSTANCE) == ctx.selector[INSTANCE] for claim in claims)
    refuse_exceeded_quotas(
        namespace,
        _items(others["ResourceQuota", namespace]) or [],
        _items(others["LimitRange", namespace]) or [],
        demand,
        is_deployed=has_claim or any(others[kind, namespace] for _, kind in OWN_OBJECTS),
    )


def _labels(item: Object) -> Mapping[str, str]:
    return (item.get("metadata") or {}).get("labels") or {}


def _items(objects: Object | None) -> list[Object] | None:
    """Return the objects of a list, or None if it is not known."""
    return None if objects is None else list(objects.get("items") or [])


def _resources(settings: Settings) -> Iterator[tuple[str, pulumi.Input[dict[str, str]], pulumi.Input[dict[str, str]]]]:
    """Yield the prefix, requests and limits of each container of a Pod, of a maintenance job, and of the exporter."""
    yield "", settings.workload.requests, settings.workload.limits
    if settings.front is not None:
        yield "front_", settings.front.front_requests, settings.front.front_limits
    if (jobs := settings.maintenance) is not None:
        yield JOB_PREFIX, jobs.maintenance_requests, jobs.maintenance_limits
    if (exporter := settings.monitoring) is not None and exporter.has_exporter:
        yield JOB_PREFIX, exporter.maintenance_requests, exporter.maintenance_limits


def _demand(settings: Settings, storage_size: str, *resources: Mapping[str, str]) -> Demand:
    """Return the amounts that the quotas of an existing namespace must allow.

    `resources` has the requests, then the limits, of each container in turn.
    """
    has_exporter = settings.monitoring is not None and settings.monitoring.has_exporter
    counts = {"services": str(1 + (settings.monitoring is not None) + has_exporter)}
    if settings.exposure.exposure in ("node-port", "load-balancer"):
        counts["services.nodeports"] = "1"
    if settings.exposure.exposure == "load-balancer":
        counts["services.loadbalancers"] = "1"
    if settings.storage.kind.is_mounted and settings.storage.storage_claim is None:
        counts |= {"persistentvolumeclaims": "1", "requests.storage": storage_size}
    created = (settings.tls.tls_secret is None, settings.users.users_secret is None and settings.users.token is None)
    counts["secrets"] = str(1 + sum(created) + (settings.maintenance is not None) + has_exporter + settings.tls.is_live)
    if settings.maintenance is not None:
        # A backup has two CronJobs. One is suspended, and restores the images.
        backup = settings.maintenance.backup
        jobs = (settings.maintenance.collect, settings.maintenance.scrub, backup, backup)
        counts["cronjobs.batch"] = str(sum(job is not None for job in jobs))
    dashboards = settings.monitoring is not None and settings.monitoring.dashboard
    if config_maps := (settings.maintenance is not None) + has_exporter + dashboards:
        counts["configmaps"] = str(config_maps)
    if has_exporter:
        counts["deployments.apps"] = str(1 + (settings.workload.workload == "deployment"))
    prefixes = [prefix for prefix, *_ in _resources(settings)]
    containers = [*map(Container, prefixes, resources[::2], resources[1::2])]
    others = containers[1 + (settings.front is not None) :]
    more = [others[0]] * (_containers_of_job(settings) - 1) if others else []
    return Demand(settings.storage.replicas, containers[: len(containers) - len(others)], others, counts, more)


def _containers_of_job(settings: Settings) -> int:
    """Return the number of containers that run at once in the largest job. A backup has one or two registries."""
    if settings.maintenance is None or settings.maintenance.backup is None:
        return 1
    return 2 if "registry" in settings.maintenance.backup["to"] else 3
