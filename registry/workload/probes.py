"""The probes: when the kubelet calls a Pod ready, and when it restarts its container."""

from pulumi_kubernetes.core.v1 import HTTPGetActionArgsDict, ProbeArgsDict

from .configuration import FIRST_CHECK_SECONDS, PORT


def probes(*, is_remote: bool) -> tuple[ProbeArgsDict, ProbeArgsDict]:
    """Return the probes for readiness and liveness.

    GET / needs no credentials. If the images are in an object store (`is_remote`), the answer is 503 while the store
    fails. Then the Pod is not ready, but continues to run: a restart would not help, and its back-off would delay the
    recovery.
    """
    http_get: HTTPGetActionArgsDict = {"path": "/", "port": PORT, "scheme": "HTTPS"}
    if not is_remote:
        return {"http_get": http_get, "period_seconds": 1}, {"http_get": http_get, "period_seconds": 10}
    readiness: ProbeArgsDict = {
        "http_get": http_get,
        "period_seconds": 1,
        "initial_delay_seconds": FIRST_CHECK_SECONDS,
    }
    return readiness, {"tcp_socket": {"port": PORT}, "period_seconds": 10}
