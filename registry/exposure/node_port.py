"""Exposure by a node port: every node accepts connections on it."""

import pulumi
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..lookup import FoundObjects
from ..settings import ExposureSettings
from .kind import ExposureKind, traffic_policy


def _client_port(settings: ExposureSettings, found: pulumi.Output[FoundObjects]) -> pulumi.Input[int]:
    assert settings.node_port is not None, "the exposure requires a node port"
    return settings.node_port


def _spec_fields(settings: ExposureSettings) -> ServiceSpecArgsDict:
    return traffic_policy(settings)


NODE_PORT = ExposureKind(service_type="NodePort", client_port=_client_port, spec_fields=_spec_fields)
