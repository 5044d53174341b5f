"""A fake engine that answers every request after a fixed latency and records it. It creates no object.

The SDK's own mocks record neither dependencies nor times. A response contains the properties of the request, and the
values that a provider would add.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

PROVIDER_VALUES = {
    "privateKeyPem": "key",
    "privateKeyPemPkcs8": "key",
    "certPem": "certificate",
    "validityEndTime": "2999-12-31T00:00:00Z",
    "certRequestPem": "request",
    "result": "abcdefghijklmnopqrstu",
}
"""Values that the providers of keys, certificates and random values add. The last one is a valid bcrypt salt."""

WORKERS = 128
"""Number of threads, more than a registry has resources. Pulumi uses 16 for each core."""


@dataclass(frozen=True)
class Request:
    """A request for a resource: its dependencies, and the times of request and response in seconds of one clock."""

    urn: str
    name: str
    has_latency: bool
    dependencies: tuple[str, ...]
    requested_at: float
    answered_at: float


@dataclass(eq=False)  # hashable, as the real monitor is
class FakeEngine(mocks.MockMonitor):
    """An engine that answers after `latency` seconds.

    It answers requests for components at once, as no provider handles them, unless `delay_components` is set.
    """

    latency: float = 0.0
    delay_components: bool = False
    requests: list[Request] = field(default_factory=list)

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type != "pulumi:pulumi:Stack":
            self._wait(urn, request, request.custom or self.delay_components, [request.deletedWith])
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=request.name, object=_response(request, request.object)
        )

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self._wait(urn, request, True, [])
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_response(request, request.properties))

    def _wait(self, urn: str, request: Any, has_latency: bool, more_dependencies: list[str]) -> None:
        """Wait for the latency and record the request."""
        requested_at = time.monotonic()
        if has_latency:
            time.sleep(self.latency)
        urns = dict.fromkeys([*request.dependencies, request.parent, *more_dependencies])
        dependencies = tuple(filter(None, urns))
        self.requests.append(Request(urn, request.name, has_latency, dependencies, requested_at, time.monotonic()))


def _response(request: Any, properties: Any) -> Any:
    response = deepcopy(properties)
    if request.type.startswith("kubernetes:"):
        metadata = response.fields["metadata"].struct_value
        metadata["uid"] = "uid"
        if "name" not in metadata:
            metadata["name"] = request.name
    else:
        response.update(PROVIDER_VALUES)
    return response


def run_program(program: Callable[[], None], engine: FakeEngine, workers: ThreadPoolExecutor) -> float:
    """Return the seconds from the start of the program to the last response.

    `workers` wait for the responses. A process can use one engine at a time.
    """
    pulumi.runtime.set_mocks(None, monitor=engine)  # type: ignore[arg-type]  # the monitor uses no mocks

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> None:
        asyncio.get_event_loop().set_default_executor(workers)
        program()

    start = time.monotonic()
    main()
    return time.monotonic() - start
