"""Explanations for objects that cannot be created, for example because another stack has created them already.

The API server only says that such an object exists. An error hook logs who may have created it and what to do, next to
that error.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from pulumi.runtime.proto import resource_pb2, resource_pb2_grpc
from pulumi.runtime.settings import SETTINGS, monitor_supports_feature


def explain_conflict(name: str, explanation: Callable[[Mapping[str, Any]], str]) -> pulumi.ResourceHookBinding | None:
    """Return a hook that logs the explanation if an object cannot be created because it exists."""
    return explain_failure(name, explanation, cause="already exists")


def explain_failure(
    name: str, explanation: Callable[[Mapping[str, Any]], str], *, cause: str
) -> pulumi.ResourceHookBinding | None:
    """Return a hook that logs the explanation if an object cannot be created or updated for this cause.

    `cause` is a part of the error, or "" for every error. `name` is unique in the program. `explanation` takes the
    inputs of the object. Return None if the engine is too old for error hooks, and under the Pulumi mocks of users'
    tests, which only claim to support them.
    """
    is_engine = isinstance(SETTINGS.monitor, resource_pb2_grpc.ResourceMonitorStub)
    if not is_engine or not monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS):
        return None

    def log_explanation(failure: pulumi.ErrorHookArgs) -> bool:
        if failure.failed_operation in ("create", "update") and any(cause in error for error in failure.errors):
            pulumi.log.error(explanation(failure.new_inputs or {}))
        return False  # do not retry

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(name, log_explanation)])
