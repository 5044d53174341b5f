"""From inputs to settings: apply the defaults, check every rule, and warn about unwise values."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar, get_args

import pulumi

from ..settings import (
    OWN_ACCOUNT,
    AccessSettings,
    ExposureSettings,
    FrontSettings,
    MaintenanceSettings,
    MirrorSettings,
    MonitoringSettings,
    NodeTrustSettings,
    ObjectSettings,
    PullSecretSettings,
    ServingSettings,
    Settings,
    StorageSettings,
    TlsSettings,
    UserSettings,
    WorkloadSettings,
)
from ..validation import contains_output, require_plain_value, validate
from ..validation.basics import refuse_unknown_keys
from .args import PrivateRegistryArgs
from .combinations import check_combinations
from .table import ACCESS_CONDITIONS, ADVICE, CROSS_FIELD_RULES, DEFAULTS, INPUTS, JOB_CONDITIONS, SECRETS

Subject = TypeVar("Subject")

ROOT, NONROOT = 0, 65532
"""Default users of the process. The kubelet creates a host path as root. 65532 is the user of distroless images."""

MEMORY, MEMORY_WITH_S3 = "512Mi", "1Gi"
"""Default limits of memory. The S3 driver holds two parts of each layer in flight, and 64 layers at once must fit.

With Azure these take 402 MiB, and with Google 317 MiB (CNCF Distribution 3.1.2, layers of 32 MiB)."""


def resolve(args: PrivateRegistryArgs) -> Settings:
    """Return the checked settings. Raise `InvalidInput`, and log a warning for each value that is unwise."""
    values: dict[str, Any] = {**DEFAULTS, **{key: value for key, value in args.items() if value is not None}}
    refuse_unknown_keys(values, INPUTS)
    values.setdefault("limits", default_limits(values["storage"]))
    values = {key: _validated(key, value) for key, value in values.items()}
    check_combinations(values)
    for rule, keys in CROSS_FIELD_RULES.items():
        _check_together(rule, keys, values)
    _warn(values)
    values.setdefault("run_as_user", ROOT if values["storage"] == "host-path" else NONROOT)
    if values.get("service_account_annotations") is not None:
        values["service_account"] = OWN_ACCOUNT
    return _settings(values)


def default_limits(storage: str) -> dict[str, str]:
    """Return the limits of a replica if the input is not set."""
    return {"memory": MEMORY_WITH_S3 if storage == "s3" else MEMORY}


def is_structural(key: str) -> bool:
    """Return whether the input decides which resources there are. Its type has no Output then."""
    return not any("Output" in str(hint) for hint in get_args(PrivateRegistryArgs.__annotations__[key]))


def _validated(key: str, value: Any) -> Any:
    plain = require_plain_value(key, value) if is_structural(key) else value
    accepted = validate(plain, INPUTS[key].rule)
    return pulumi.Output.secret(accepted) if key in SECRETS else accepted


def _check_together(rule: Callable[..., None], keys: tuple[str, ...], values: dict[str, Any]) -> None:
    """Apply a rule for several inputs. If one of them is an Output, hold the first value back until the rule accepts.

    Without an Output the rule is applied now. If an input is not set, the rule is not applied.
    """
    if any(values.get(key) is None for key in keys):
        return
    operands = [values[key] for key in keys]
    if not contains_output(operands):
        rule(*operands)
        return
    # A CA is public, though the rule compares it with its secret key. So the result of the rule is not secret.
    accepted = pulumi.Output.unsecret(pulumi.Output.all(*operands).apply(lambda resolved: rule(*resolved)))
    values[keys[0]] = pulumi.Output.all(operands[0], accepted).apply(lambda both: both[0])


def _warn(values: Mapping[str, Any]) -> None:
    for advice, keys in ADVICE.items():
        if all(values.get(key) is not None for key in keys):
            pulumi.Output.all(*(values[key] for key in keys)).apply(partial(_log_warning, advice))


def _log_warning(advice: Callable[..., str], operands: list[Any]) -> None:
    if warning := advice(*operands):
        pulumi.log.warn(warning)


def _settings(values: Mapping[str, Any]) -> Settings:
    node_trust = {**values, "node_trust_image": values.get("node_trust_image") or values["image"]}
    has_access = any(condition.holds(values) for condition in ACCESS_CONDITIONS)
    tls = _subject(TlsSettings, values)
    has_jobs = any(condition.holds(values) for condition in JOB_CONDITIONS)
    return _subject(
        Settings,
        values,
        objects=_subject(ObjectSettings, values),
        exposure=_subject(ExposureSettings, values),
        tls=tls,
        users=_subject(UserSettings, values),
        access=_subject(AccessSettings, values) if has_access else None,
        front=_subject(FrontSettings, values) if has_access or tls.is_live else None,
        storage=_subject(StorageSettings, values),
        workload=_subject(WorkloadSettings, values),
        serving=_subject(
            ServingSettings,
            values,
            mirror=_subject(MirrorSettings, values) if values["mode"] == "mirror" else None,
        ),
        maintenance=_subject(MaintenanceSettings, values) if has_jobs else None,
        monitoring=_subject(MonitoringSettings, values) if values["metrics"] else None,
        node_trust=_subject(NodeTrustSettings, node_trust) if values["node_trust"] else None,
        pull_secrets=_subject(PullSecretSettings, values) if values["pull_secrets"] else None,
    )


def _subject(kind: type[Subject], values: Mapping[str, Any], **more: Any) -> Subject:
    """Return an instance whose fields are the inputs of the same names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every subject is a dataclass
    return kind(**{name: more[name] if name in more else values.get(name) for name in names})
