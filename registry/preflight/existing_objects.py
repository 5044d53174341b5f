"""The objects of the cluster that the settings depend on. They are looked up before anything is created."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pulumi

from ..context import INSTANCE, NAME, Context
from ..lookup import FoundObjects, Object, Objects, Reference, known_values, look_up_objects
from ..settings import ExposureSettings, ObjectSettings
from ..storage.claims import bound_claim, location_of, own_claims
from ..validation.existing_objects import refuse_missing_object, refuse_other_namespace, refuse_wrong_secret_type
from ..validation.external_ips import external_ips_warning, refuse_taken_addresses
from ..validation.families import refuse_families_of_other_clusters, require_service_family, service_versions
from ..validation.gateways import Route, require_listener, route_hostnames
from ..validation.issuers import issuer_advice, refuse_unusable_issuer
from ..validation.maintenance import refuse_claim_of_one_pod
from ..validation.quotas import Demand, refuse_exceeded_quotas
from ..validation.storage import default_class
from .references import (
    API_SERVER,
    CLAIM_KIND,
    CLASSES,
    ISSUER,
    NODES,
    OWN_OBJECTS,
    SERVICE_NETWORKS,
    NamedObject,
)

PULL_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
"""Types of Secrets that the kubelet reads to pull images."""

Others = Mapping[tuple[str, str], Object | None]
"""Objects that no input names, by kind and namespace."""


class ExistingObjects(NamedTuple):
    """The objects of the cluster, once everything that the settings name exists.

    Attributes:
        checked: Resource to wait for. It fails if an object is missing.
        found: The objects.
    """

    checked: pulumi.Output[pulumi.Resource]
    found: pulumi.Output[FoundObjects]


def look_up_existing_objects(
    ctx: Context,
    named: Sequence[NamedObject],
    more: Sequence[Reference],
    objects: ObjectSettings,
    exposure: ExposureSettings,
    demand: pulumi.Output[Demand | None],
    *,
    has_jobs: bool,
) -> ExistingObjects:
    """Look up the objects. Fail at preview if one is missing, a quota is too small, or an address is in use.

    Args:
        ctx: The registry.
        named: The objects that inputs name.
        more: Other objects to look up (`more_objects`).
        objects: The namespace of the registry.
        exposure: The addresses that clients use.
        demand: The amounts that quotas must allow, or None while one is unknown.
        has_jobs: Whether jobs mount the claim of the images too.
    """
    references = [*(item.reference for item in named), *more]
    chart, answered = look_up_objects(ctx, references, has_volumes=NODES in more)
    names = known_values([item.reference.name for item in named])
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
            claim=by_key.get(("storage_claim", objects.namespace)),
            claims=(claims := _items(others[CLAIM_KIND, objects.namespace])),
            storage_class=_class_of_images(ctx, claims, others),
            gateway=by_key.get(("gateway", exposure.gateway_namespace or "")),
            accounts={namespace: item for (key, namespace), item in by_key.items() if key == "default_pull_secret"},
        )
        for at, item in enumerate(named):
            if item.key == ISSUER and item.reference.name:  # and not the API
                _check_issuer(names[at], answers.get(at))
        if objects.create_namespace:
            _refuse_other_namespace(ctx, objects.namespace, others)
        if has_jobs and found.claim:
            refuse_claim_of_one_pod((found.claim.get("spec") or {}).get("accessModes") or [])
        if exposure.asks_for_families:
            refuse_families_of_other_clusters(*_families(exposure), _service_cidrs(others))
        if exposure.external_ips:
            _check_external_ips(ctx, exposure, found.node, others)
        _check_load_balancer(exposure, balancer, others)
        if found.gateway and None not in route:
            _check_gateway(ctx, objects, found.gateway, found.namespace, *route)
        if not objects.create_namespace and amounts is not None:
            _refuse_small_quotas(ctx, objects.namespace, others, amounts)
        return found

    found = pulumi.Output.all(answered, names, demand, addressed).apply(check)
    return ExistingObjects(found.apply(lambda _: chart), found)


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
    objects: ObjectSettings,
    gateway: Object,
    namespace: Object | None,
    listener: str,
    hostname: str,
    certificate_names: Sequence[str],
) -> None:
    """Refuse a listener that does not accept the route of this registry."""
    labels = {**objects.labels, **ctx.selector} if objects.create_namespace else _labels(namespace or {})
    route = Route(objects.namespace, labels, route_hostnames(hostname, certificate_names))
    require_listener(gateway, listener, route)


def _check_load_balancer(settings: ExposureSettings, address: str | None, others: Others) -> None:
    """Refuse an address of another family than the Service. Nothing is checked while it is unknown."""
    if address and _api_server(others):
        require_service_family("load_balancer_address", [address], _service_versions(settings, others))


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


def _refuse_small_quotas(ctx: Context, namespace: str, others: Others, demand: Demand) -> None:
    """Refuse an existing namespace whose quotas are too small."""
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
