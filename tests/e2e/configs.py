"""Generate configurations, accepted and refused ones, from the values in the tables of tests/examples.py."""

import re
from collections import defaultdict
from random import Random
from typing import Any

from hypothesis import strategies as st

from registry.inputs.table import DEFAULTS, INPUTS
from tests.examples import ACCEPTED, REFUSED
from tests.issuing import CertificateSpec, issue

Inputs = dict[str, Any]

AUTHORITY = issue(CertificateSpec())
S3: Inputs = {"storage": "s3", "s3_bucket": "team"}
EXISTING_NAMESPACE: Inputs = {"create_namespace": False}

BASES: list[Inputs] = [
    {},
    {"exposure": "external-ips", "external_ips": ["192.168.56.10"]},
    {"exposure": "node-port", "node_port": 30500},
    {"exposure": "load-balancer", "load_balancer_class": "example.com/internal", "load_balancer_address": "10.0.0.7"},
    {"exposure": "ingress", "ingress_class": "nginx", "client_cidrs": ["10.0.0.0/8"]},
    {"exposure": "gateway", "gateway": "shared", "gateway_namespace": "gateways", "gateway_listener": "passthrough"},
    {"storage": "local", "run_as_user": 65532, "workload": "deployment"},
    {"storage": "claim", "storage_claim": "old", **EXISTING_NAMESPACE},
    {"storage": "class", "storage_class": "fast"},
    {"storage": "class", "storage_class": "shared", "storage_access": "ReadWriteMany", "workload": "deployment"},
    {**S3, "s3_access_key": "id", "s3_secret_key": "hunter2+/=", "workload": "deployment", "replicas": 2},
    {
        **S3,
        "s3_secret": "keys",
        **EXISTING_NAMESPACE,
        "s3_endpoint": "https://s3.example.com:9000",
        "s3_prefix": "team",
    },
    {"storage": "azure", "azure_account": "team", "azure_container": "images", "workload": "deployment"},
    {"storage": "gcs", "gcs_bucket": "images", "gcs_prefix": "team", "workload": "deployment"},
    {"mode": "mirror", "mirror_of": "https://registry-1.docker.io", "mirror_username": "a", "mirror_password": "b"},
    {"mode": "read-only", "metrics": True, "service_monitor": True, "alerts": True, "dashboard": True},
    {"tls_secret": "tls", "users_secret": "users", "image_pull_secret": "pull", **EXISTING_NAMESPACE},
    {"ca_certificate": AUTHORITY.pem, "ca_key": AUTHORITY.key_pem, "certificate_names": ["registry.example.com"]},
    {"users": ["centos", "jean"], "passwords": {"jean": "correct horse"}, "labels": {"example.com/team": "red"}},
    {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}, "priority_class": "high"},
]
"""Configurations that together have every exposure, storage, workload and mode."""

MAX_LENGTH = 5000
"""Characters of a refused value that is too long to be used here: it is slow to send. The offline tests check it."""

COMMON_CHARACTERS = "abcxyz0123456789-._"
RARE_CHARACTERS = "AZ/:=,@%*#~+ \t\n\0é\u0662\u212a"
INSERTIONS: list[str] = [
    *COMMON_CHARACTERS,
    *COMMON_CHARACTERS,
    *RARE_CHARACTERS,
    "..",
    "//",
    "xn--",
    "Gi",
    "m",
    "e3",
    "/32",
    "::",
    ".0",
    "0" * 17,
]
"""Texts to insert into values. Common characters are listed twice, so that they are drawn more often.

Some programs read the Arabic digit U+0662 as 2, and the Kelvin sign U+212A as k.
"""

EXAMPLES: dict[str, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
"""Accepted and refused values of each input."""

for key, value, *_ in ACCEPTED:
    EXAMPLES[key][0].append(value)
for key, value, _ in REFUSED:
    if value is not None and len(repr(value)) < MAX_LENGTH:
        EXAMPLES[key][1].append(value)


JUDGED_INPUTS = (
    *("hostname", "port", "external_ips", "node_port", "load_balancer_class", "load_balancer_address"),
    *("ingress_class", "client_cidrs", "namespace", "labels", "annotations", "certificate_names"),
    *("certificate_subject", "certificate_key", "certificate_days", "ca_days", "tls_secret", "users_secret"),
    *("storage_path", "storage_size", "storage_claim", "storage_class", "s3_secret", "node", "node_label"),
    *("run_as_user", "requests", "limits", "priority_class", "tolerations"),
    *("image", "image_pull_policy", "image_pull_secret"),
)
"""Inputs that the API server, Go or OpenSSL check. The registry, bcrypt or S3 check all other inputs."""

WEIGHT_OF_JUDGED = 8
"""Weight of JUDGED_INPUTS in a draw. Each other input has the weight 1, because no judge checks it."""


def configs() -> st.SearchStrategy[Inputs]:
    """Return a strategy for configurations: one of BASES with one to three more inputs that have an effect there.

    Each configuration is made from one random number. With a strategy for each choice, hypothesis would repeat a few
    configurations many times.
    """
    return st.randoms(use_true_random=True).map(_config)


def _config(rng: Random) -> Inputs:
    base = rng.choice(BASES)
    effective_keys = [key for key in INPUTS if _has_effect(key, base)]
    weights = [WEIGHT_OF_JUDGED if key in JUDGED_INPUTS else 1 for key in effective_keys]
    keys = rng.choices(effective_keys, weights, k=rng.choice([1, 1, 1, 2, 3]))
    return {**base, **{key: _value(rng, key) for key in keys}}


def _has_effect(key: str, base: Inputs) -> bool:
    settings = {**DEFAULTS, **base}
    is_replaced = any(key in INPUTS[other].replaces for other in base)
    conditions = INPUTS[key].only_with
    return not is_replaced and (not conditions or any(condition.holds(settings) for condition in conditions))


def _value(rng: Random, key: str) -> Any:
    """Return a value of the tables after up to two mutations, which make many of the accepted values invalid.

    Most values are accepted ones, because a refused value hides the effect of other inputs.
    """
    accepted, refused = EXAMPLES[key]
    prefers_accepted = rng.random() < 0.85
    value = rng.choice(accepted if prefers_accepted and accepted else refused or accepted)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        value = _mutate(rng, value)
    return value


def _mutate(rng: Random, value: Any) -> Any:
    """Return a value with one small change. In a list or a map, one entry changes."""
    if isinstance(value, bool) or value is None:
        return rng.choice([True, False, 0, "true"])
    if isinstance(value, int | float):
        # Python cannot add 0.5 to an integer beyond the range of floats.
        return value + rng.choice([-1, 1, 7, 100, 0.5]) if abs(value) < 2**40 else 0
    if isinstance(value, str):
        return _mutate_text(rng, value)
    if isinstance(value, list) and value:
        position = rng.randrange(len(value))
        # Replace the item, or insert the changed copy before it.
        return [*value[:position], _mutate(rng, value[position]), *value[position + rng.randint(0, 1) :]]
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value, key=str))
        rest = {other_key: other for other_key, other in value.items() if other_key != key}
        renamed = rng.random() < 0.5
        return {
            **rest,
            (_mutate(rng, key) if renamed else key): value[key] if renamed else _mutate(rng, value[key]),
        }
    return value


def _mutate_text(rng: Random, text: str) -> str:
    """Return the text with another character, case or order, or with a length near a limit."""
    insertion: str = rng.choice(INSERTIONS)
    position, choice = rng.randint(0, len(text)), rng.randrange(8)
    if choice <= 2:
        return text[:position] + insertion + text[position:]
    if choice == 3:
        return text[:position] + insertion + text[position + 1 :]
    if choice == 4:
        return text[:position] + text[position + 1 :]
    if choice == 5:
        return rng.choice([text.upper(), text.title(), f"{text}.{text}", f"{text}/{text}", text[::-1]])
    if choice == 6:
        return re.sub("[0-9]+", lambda match: str(int(match[0]) + rng.randint(-1, 9)), text, count=1)
    # Limits: 63 for a label, 64 for a common name, 128 for other names of X.509, 253 for a DNS name.
    length = rng.choice([2, 63, 64, 65, 128, 129, 253, 254, 255, 256])
    return (text * (length // max(len(text), 1) + 1))[:length]
