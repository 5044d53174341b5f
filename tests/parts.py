"""Parts of a registry, each created alone. They have few resources, so tests can try many inputs."""

from collections.abc import Callable
from typing import Any, cast

import pulumi

from registry.context import Context
from registry.exposure import EXPOSURES, resolve_endpoint
from registry.inputs.resolve import resolve
from registry.lookup import FoundObjects
from registry.namespace import use_namespace
from registry.network_policy import Ports, create_network_policy
from registry.pods import own_tolerations
from registry.preflight import check_preconditions
from registry.private_registry import APP, registry_context
from registry.settings import Settings
from registry.storage import Storage
from registry.tls import CertificateAuthority
from registry.upstreams import upstream_urls, with_proxies
from registry.users import Users
from registry.workload import METRICS_PORT, PORT

Inputs = dict[str, Any]


class Part(pulumi.ComponentResource):
    """A component that takes the inputs of a registry, and has the resources of one part.

    Args:
        inputs: Inputs of the registry.
        create: Function that creates the part.
        name: Name of the registry.
    """

    value: pulumi.Output[Any]
    """The value that `create` returned."""

    def __init__(
        self, inputs: Inputs, create: Callable[[Context, Settings], pulumi.Input[Any]], *, name: str = "registry"
    ) -> None:
        super().__init__("private-registry:index:PrivateRegistry", name)
        settings = resolve(cast(Any, inputs))
        self.value = pulumi.Output.from_input(
            create(registry_context(self, name, settings.objects, settings.workload.image), settings)
        )


def preconditions(inputs: Inputs, *, name: str = "registry") -> Part:
    """Look up and reserve the objects that the registry needs. Its value is the namespace, after all resources."""

    def create(ctx: Context, settings: Settings) -> pulumi.Output[str]:
        kind = EXPOSURES[settings.exposure.exposure]
        tolerations = own_tolerations(settings.workload, is_pinned=settings.storage.kind.is_on_node)
        checked = check_preconditions(ctx, settings, tolerations, needs_node=kind.needs_node)
        return pulumi.Output.all(checked.found, *checked.after).apply(lambda _: settings.objects.namespace)

    return Part(inputs, create, name=name)


def existing_namespace(inputs: Inputs) -> Part:
    """Use the namespace of the registry. Its value is the name."""

    def create(ctx: Context, settings: Settings) -> pulumi.Output[str]:
        found, user = _look_up(ctx, settings), settings.workload.run_as_user
        return use_namespace(settings.objects.namespace, run_as_user=user, found=found, after=[]).name

    return Part(inputs, create)


def storage(inputs: Inputs) -> Part:
    """Create a storage that is not a folder of a node. Its value is the name of the claim, or None."""

    def create(ctx: Context, settings: Settings) -> pulumi.Input[str | None]:
        return Storage(ctx, settings.storage, None, _look_up(ctx, settings), None).claim_name

    return Part(inputs, create)


def certificates(inputs: Inputs) -> Part:
    """Create the CA and the server certificate of the registry, and then complete the rotation step.

    Its value is the CA bundle.
    """

    def create(ctx: Context, settings: Settings) -> pulumi.Output[str]:
        found = pulumi.Output.from_input(FoundObjects())
        hosts = resolve_endpoint(APP, settings.objects.namespace, settings.exposure, found).hosts
        authority = CertificateAuthority(ctx, settings.tls, hosts)
        authority.complete_rotation_step(after=[authority.issue(hosts, after=[])])
        return authority.ca_pem

    return Part(inputs, create)


def users(inputs: Inputs) -> Part:
    """Create the users of the registry. Its value has the outputs `username`, `password` and `passwords`."""

    def create(ctx: Context, settings: Settings) -> pulumi.Output[dict[str, Any]]:
        created = Users(ctx, settings.users, has_file=settings.access is None)
        return pulumi.Output.all(username=created.username, password=created.password, passwords=created.passwords)

    return Part(inputs, create)


def network_policy(inputs: Inputs) -> Part:
    """Create the NetworkPolicy of the registry."""

    def create(ctx: Context, settings: Settings) -> None:
        exposure, ports = settings.exposure, Ports(PORT, METRICS_PORT if settings.monitoring is not None else None)
        servers = with_proxies(
            upstream_urls(settings.storage, settings.serving.mirror), settings.workload.outbound_proxy
        )
        behind_ingress = EXPOSURES[exposure.exposure].behind_ingress
        create_network_policy(
            *(ctx, ports, exposure.client_cidrs, settings.storage, servers),
            behind_ingress=behind_ingress,
            has_account=settings.workload.service_account is not None,
        )

    return Part(inputs, create)


def _look_up(ctx: Context, settings: Settings) -> pulumi.Output[FoundObjects]:
    return check_preconditions(ctx, settings, [], needs_node=False).found
