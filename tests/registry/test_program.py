"""The root program with a recording engine: its config, its registry and its exports."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime.config import set_all_config

from registry import PrivateRegistry
from registry.validation import InvalidInput
from tests.conftest import Engine, unwrap_secret

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
DECLARATIONS = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


@pytest.fixture
def run_program(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the program with the defaults of Pulumi.yaml and with `changes`."""

    def run(secret: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
        values = {key: declaration["default"] for key, declaration in DECLARATIONS.items()} | changes
        config = {f"private-registry:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
        monkeypatch.setattr(sys, "argv", ["."])
        set_all_config(config, [f"private-registry:{key}" for key in secret])
        exports: dict[str, Any] = {}
        monkeypatch.setattr(pulumi, "export", exports.__setitem__)

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def main() -> Any:
            runpy.run_path(str(ROOT / "__main__.py"))
            return pulumi.Output.all(**exports).apply(exports.update)

        main()
        return exports

    yield run
    set_all_config({}, [])


def test_the_defaults_create_a_registry(run_program: Any, engine: Engine) -> None:
    exports = run_program()
    assert list(exports) == list(PrivateRegistry.__annotations__)
    assert exports["endpoint"] == "docker-registry.docker-registry.svc:5000"
    assert engine.one("Pod").name == "registry-workload-pod"


def test_the_config_reaches_the_component(run_program: Any, engine: Engine) -> None:
    run_program(
        **{"port": 5001, "hostname": "registry.example.com", "storage_size": "9Gi"},
        **{"exposure": "external-ips", "external_ips": ["10.1.2.3"]},
    )
    service = engine.one("Service").inputs["spec"]
    assert (service["ports"][0]["port"], service["externalIPs"]) == (5001, ["10.1.2.3"])
    assert engine.one("CertRequest").inputs["subject"]["commonName"] == "registry.example.com"
    assert engine.one("PersistentVolume").inputs["spec"]["capacity"] == {"storage": "9Gi"}


def test_an_unknown_key_is_refused(run_program: Any, engine: Engine) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(storage_siez="2Gi")
    assert (refusal.value.key, refusal.value.code) == ("storage_siez", "unknown-key")
    assert engine.resources == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("passwords", {"centos": PASSWORD}),
        ("ca_key", PASSWORD),
        ("s3_secret_key", PASSWORD),
        ("mirror_password", PASSWORD),
        ("outbound_proxy", {"https": f"http://ci:{PASSWORD}@proxy.example.com:3128"}),
    ],
)
def test_a_secret_in_plain_text_is_refused_and_not_shown(run_program: Any, key: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(**{key: value})
    assert (refusal.value.key, refusal.value.code) == (key, "plain-text-secret")
    assert PASSWORD not in str(refusal.value)


def test_a_proxy_without_a_login_may_be_in_plain_text(run_program: Any) -> None:
    mirror = {"mode": "mirror", "mirror_of": "https://registry-1.docker.io"}
    run_program(**mirror, outbound_proxy={"https": "http://proxy.example.com:3128"})


def test_a_secret_of_a_wrong_type_is_refused_and_not_shown(run_program: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(secret=("passwords",), passwords=PASSWORD)
    assert (refusal.value.key, refusal.value.code) == ("passwords", "secret-of-wrong-type")
    assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("limits", "limits.memory"),
        ("front_requests", "front_requests.memory"),
        ("maintenance_limits", "maintenance_limits.memory"),
        ("tolerations", "'tolerations[0].key'"),
        ("client_cidrs", "'client_cidrs[0]'"),
    ],
)
def test_the_remedy_for_a_secret_of_a_wrong_type_sets_a_part_of_it(run_program: Any, key: str, path: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(secret=(key,), **{key: "text"})
    assert (refusal.value.key, refusal.value.code) == (key, "secret-of-wrong-type")
    assert f"`pulumi config set --secret --path {path}`" in refusal.value.remedy


@pytest.mark.parametrize("key", ["node_port", "users", "exposure"])
def test_a_secret_that_decides_the_resources_is_refused(run_program: Any, engine: Engine, key: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(secret=(key,), **{key: "30500"})
    assert (refusal.value.key, refusal.value.code) == (key, "secret-not-allowed")
    assert engine.resources == []


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [("node_port", "abc", "out-of-range"), ("metrics", "yes", "not-a-flag"), ("limits", "1", "not-a-map")],
)
def test_a_value_of_a_wrong_type_is_refused_by_the_rule_of_its_input(
    run_program: Any, key: str, value: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        run_program(**{key: value})
    assert (refusal.value.key, refusal.value.code) == (key, code)


def test_a_secret_password_is_accepted(run_program: Any) -> None:
    exports = run_program(secret=("passwords",), passwords={"centos": "correct horse"})
    assert exports["password"] == "correct horse"


def test_a_key_without_a_default_is_read_with_its_type(run_program: Any, engine: Engine) -> None:
    run_program(exposure="node-port", node_port=30500, run_as_user=65532)
    assert engine.one("Service").inputs["spec"]["ports"][0]["nodePort"] == 30500
    assert unwrap_secret(engine.one("Pod").inputs["spec"])["securityContext"]["runAsUser"] == 65532


def test_the_debug_log_is_redacted(run_program: Any) -> None:
    run_program()
    assert getattr(pulumi.log.debug, "redacts", False)
