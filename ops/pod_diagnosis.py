"""Find the cause of a failed request in the Pods: a server behind the registry, or the volume of the images."""

from contextlib import suppress

from kubernetes.dynamic import DynamicClient

from .errors import CheckError, CommandError
from .kubernetes import connect, convert_api_errors, is_running, list_registry_pods
from .servers import find_problem
from .volume import find_write_problem


def ask_cluster(namespace: str, is_write: bool) -> CheckError | None:
    """Return the cause that the Pods in `namespace` show, or None without a cause or an answer of the cluster."""
    with suppress(CommandError), convert_api_errors():
        return find_cause(connect(), namespace, is_write=is_write)
    return None


def find_cause(client: DynamicClient, namespace: str, *, is_write: bool) -> CheckError | None:
    """Return why the Pods cannot use a server behind them or, if a write failed, their volume."""
    pods = list_registry_pods(client, namespace)
    problem = find_problem(pods)
    running = next(filter(is_running, pods), None)
    return find_write_problem(client, running) if problem is None and is_write and running else problem
