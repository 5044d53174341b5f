"""Whole configurations, right and wrong near the boundary: the rows of the offline tier's tables, and what is near."""

import re
from collections import defaultdict
from random import Random
from typing import Any

from hypothesis import strategies as st

from registry.inputs.table import DEFAULTS, INPUTS
from tests.issuing import Wanted, issue
from tests.test_validation import ACCEPTED, REFUSED

Given = dict[str, Any]

AUTHORITY = issue(Wanted())
S3: Given = {"storage": "s3", "s3_bucket": "team"}
STAYS: Given = {"create_namespace": False}

BASES: list[Given] = [
    {},
    {"exposure": "external-ips", "external_ips": ["192.168.56.10"]},
    {"exposure": "node-port", "node_port": 30500},
    {"exposure": "load-balancer", "load_balancer_class": "example.com/internal", "load_balancer_address": "10.0.0.7"},
    {"exposure": "ingress", "ingress_class": "nginx", "client_cidrs": ["10.0.0.0/8"]},
    {"storage": "local", "run_as_user": 65532, "workload": "deployment"},
    {"storage": "claim", "storage_claim": "old", **STAYS},
    {"storage": "class", "storage_class": "fast"},
    {"storage": "class", "storage_class": "shared", "storage_access": "ReadWriteMany", "workload": "deployment"},
    {**S3, "s3_access_key": "id", "s3_secret_key": "hunter2+/=", "workload": "deployment", "replicas": 2},
    {**S3, "s3_secret": "keys", **STAYS, "s3_endpoint": "https://s3.example.com:9000", "s3_prefix": "team"},
    {"mode": "mirror", "mirror_of": "https://registry-1.docker.io", "mirror_username": "a", "mirror_password": "b"},
    {"mode": "read-only", "metrics": True, "service_monitor": True},
    {"tls_secret": "tls", "users_secret": "users", "image_pull_secret": "pull", **STAYS},
    {"ca_certificate": AUTHORITY.pem, "ca_key": AUTHORITY.key_pem, "certificate_names": ["registry.example.com"]},
    {"users": ["centos", "jean"], "passwords": {"jean": "correct horse"}, "labels": {"example.com/team": "red"}},
    {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}, "priority_class": "high"},
]
"""Each choice of the component with what it needs."""

LONGEST = 5000
"""Of a value's text: what is longer is refused in the offline tier, and is slow to send."""

LIKELY = "abcxyz0123456789-._"
STRANGE = "AZ/:=,@%*#~+ \t\n\0é\u0662\u212a"
ODD: list[str] = [*LIKELY, *LIKELY, *STRANGE, "..", "//", "xn--", "Gi", "m", "e3", "/32", "::", ".0", "0" * 17]
"""What is put into texts: Arabic digits and the sign of the Kelvin scale among it, which some take for 2 and for k."""

SEEDS: dict[str, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
for key, value, *_ in ACCEPTED:
    SEEDS[key][0].append(value)
for key, value, _ in REFUSED:
    if value is not None and len(repr(value)) < LONGEST:
        SEEDS[key][1].append(value)


JUDGED = (
    *("hostname", "port", "external_ips", "node_port", "load_balancer_class", "load_balancer_address"),
    *("ingress_class", "client_cidrs", "namespace", "labels", "annotations", "certificate_names"),
    *("certificate_subject", "certificate_key", "certificate_days", "ca_days", "tls_secret", "users_secret"),
    *("storage_path", "storage_size", "storage_claim", "storage_class", "s3_secret", "node", "node_label"),
    *("run_as_user", "requests", "limits", "priority_class", "image", "image_pull_policy", "image_pull_secret"),
)
"""Inputs on which the API server, Go or OpenSSL have a word. The others are the registry's, or bcrypt's, or S3's."""


def configs() -> st.SearchStrategy[Given]:
    """A base with one to three inputs set otherwise, mostly ones that mean something there.

    Out of one random number each: drawn one by one, the choices would make few configurations and those many times.
    """
    return st.randoms(use_true_random=True).map(_config)


def _config(chance: Random) -> Given:
    base = chance.choice(BASES)
    meant = [key for key in INPUTS if _means_something(key, base)]
    weights = [8 if key in JUDGED else 1 for key in meant]
    keys = chance.choices(meant, weights, k=chance.choice([1, 1, 1, 2, 3]))
    return {**base, **{key: _value(chance, key) for key in keys}}


def _means_something(key: str, base: Given) -> bool:
    whole = {**DEFAULTS, **base}
    is_replaced = any(key in INPUTS[other].replaces for other in base)
    conditions = INPUTS[key].only_with
    return not is_replaced and (not conditions or any(condition.holds(whole) for condition in conditions))


def _value(chance: Random, key: str) -> Any:
    """A value of the tables, or one a step or two away from it; more often a right one, as changes spoil many."""
    right, wrong = SEEDS[key]
    is_right = chance.random() < 0.85 and right
    value = chance.choice(right if is_right else wrong or right)
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        value = _changed(chance, value)
    return value


def _changed(chance: Random, value: Any) -> Any:
    """One step away: in a list or a map, of one entry."""
    if isinstance(value, bool) or value is None:
        return chance.choice([True, False, 0, "true"])
    if isinstance(value, int | float):
        return value + chance.choice([-1, 1, 7, 100, 0.5]) if abs(value) < 2**40 else 0
    if isinstance(value, str):
        return _respelled(chance, value)
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        return [*value[:place], _changed(chance, value[place]), *value[place + chance.randint(0, 1) :]]
    if isinstance(value, dict) and value:
        key = chance.choice(sorted(value, key=str))
        rest = {each: other for each, other in value.items() if each != key}
        renamed = chance.random() < 0.5
        return {
            **rest,
            (_changed(chance, key) if renamed else key): value[key] if renamed else _changed(chance, value[key]),
        }
    return value


def _respelled(chance: Random, text: str) -> str:
    """With a character more or less, in other letters, or just as long as a limit."""
    odd: str = chance.choice(ODD)
    place, how = chance.randint(0, len(text)), chance.randrange(8)
    if how <= 2:
        return text[:place] + odd + text[place:]
    if how == 3:
        return text[:place] + odd + text[place + 1 :]
    if how == 4:
        return text[:place] + text[place + 1 :]
    if how == 5:
        return chance.choice([text.upper(), text.title(), f"{text}.{text}", f"{text}/{text}", text[::-1]])
    if how == 6:
        return re.sub("[0-9]+", lambda found: str(int(found[0]) + chance.randint(-1, 9)), text, count=1)
    length = chance.choice([2, 63, 64, 65, 128, 129, 253, 254, 255, 256])
    return (text * (length // max(len(text), 1) + 1))[:length]
