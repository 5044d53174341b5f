"""A stable address in front of the registry."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as kubernetes


def expose(
    name: str,
    *,
    namespace: pulumi.Input[str],
    service: str,
    port: int,
    target_port: int,
    external_ips: Sequence[str],
    selector: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> kubernetes.core.v1.Service:
    """A Service that answers on `port` of its cluster address and of every one of `external_ips`.

    `pulumi up` does not wait for its endpoints: that takes the provider ten seconds, and the Pod's readiness has
    already said what they would say. Another port replaces the Service: server-side apply would keep the old one too.
    """
    return kubernetes.core.v1.Service(
        name,
        metadata={
            "name": service,
            "namespace": namespace,
            "annotations": {"pulumi.com/skipAwait": "true"},
        },
        spec={
            "selector": selector,
            "ports": [{"name": "registry", "port": port, "target_port": target_port}],
            "external_ips": external_ips,
        },
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(replace_on_changes=["spec.ports"], delete_before_replace=True)
        ),
    )
