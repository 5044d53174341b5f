"""An engine that makes nothing: it answers every request after a fixed latency, and notes who waited for whom.

The SDK's own mocks are neither shown who needs whom nor asked when. What was asked for is the answer, with what
providers would add.
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

ANSWERS = {
    "privateKeyPem": "key",
    "privateKeyPemPkcs8": "key",
    "certPem": "certificate",
    "validityEndTime": "2999-12-31T00:00:00Z",
    "certRequestPem": "request",
    "result": "abcdefghijklmnopqrstu",
}
"""What the providers of keys, certificates and random values add; the last one passes for a salt of bcrypt."""

WORKERS = 128
"""More than a registry has resources. Pulumi gives a program sixteen a core, asyncio alone four more than cores."""


@dataclass(frozen=True)
class Answered:
    """A resource: what it needed, and when it was asked for and answered, in seconds of one clock."""

    urn: str
    name: str
    took_latency: bool
    needs: tuple[str, ...]
    asked: float
    done: float


@dataclass(eq=False)  # hashable, as the real monitor is
class FakeEngine(mocks.MockMonitor):
    """Answers after `latency` seconds; components at once, as nobody but the real engine is asked for them."""

    latency: float = 0.0
    components_too: bool = False
    answered: list[Answered] = field(default_factory=list)

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type != "pulumi:pulumi:Stack":
            self._wait(urn, request, request.custom or self.components_too, [request.deletedWith])
        return resource_pb2.RegisterResourceResponse(urn=urn, id=request.name, object=_answer(request, request.object))

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self._wait(urn, request, True, [])
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_answer(request, request.properties))

    def _wait(self, urn: str, request: Any, takes_latency: bool, more: list[str]) -> None:
        asked = time.monotonic()
        if takes_latency:
            time.sleep(self.latency)
        needs = tuple(need for need in dict.fromkeys([*request.dependencies, request.parent, *more]) if need)
        self.answered.append(Answered(urn, request.name, takes_latency, needs, asked, time.monotonic()))


def _answer(request: Any, asked: Any) -> Any:
    answer = deepcopy(asked)
    if request.type.startswith("kubernetes:"):
        metadata = answer.fields["metadata"].struct_value
        metadata["uid"] = "uid"
        if "name" not in metadata:
            metadata["name"] = request.name
    else:
        answer.update(ANSWERS)
    return answer


def run(program: Callable[[], None], engine: FakeEngine, workers: ThreadPoolExecutor) -> float:
    """Seconds from the program's first line to the last answer. Call it in a process of its own: it has one engine."""
    pulumi.runtime.set_mocks(None, monitor=engine)  # type: ignore[arg-type]  # only a MockMonitor asks them

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> None:
        asyncio.get_event_loop().set_default_executor(workers)
        program()

    began = time.monotonic()
    main()
    return time.monotonic() - began
