"""A server certificate that cert-manager issues, and a renewed certificate that the Pod serves without `pulumi up`."""

from typing import Any, ClassVar

import pytest

from registry import PrivateRegistry
from registry.access.haproxy import Endpoints, Logging, tls_files
from registry.inputs.resolve import resolve
from registry.monitoring.alerts import thresholds
from registry.validation import InvalidInput
from registry.validation.issuers import issuer_advice
from tests.conftest import Deploy, Engine, to_base64, unwrap_secret
from tests.issuing import CertificateSpec, issue, server_spec
from tests.parts import preconditions

Inputs = dict[str, Any]

ROOT = issue(CertificateSpec("Root"))
ISSUING_CA = issue(CertificateSpec("Issuing CA"), ROOT)
HOST = "registry.example.com"
LOOKUP = "registry-tls-from-kubectl-get-secrets"

ISSUER: Inputs = {"certificate_issuer": {"name": "team-ca", "kind": "ClusterIssuer"}}
OUTSIDE: Inputs = {"hostname": HOST, "exposure": "node-port", "node_port": 30500}
EXISTING: Inputs = {"tls_secret": "tls", "create_namespace": False, **OUTSIDE}
ACCESS: Inputs = {"anonymous_pull": ["public/**"]}


def secret_data(ca: str = ROOT.pem) -> dict[str, Any]:
    """Return a Secret with a new certificate, as cert-manager writes it."""
    server = issue(server_spec(HOST), ISSUING_CA)
    files = {"tls.crt": server.pem + ISSUING_CA.pem, "tls.key": server.key_pem, "ca.crt": ca}
    return {"data": {name: to_base64(text) for name, text in files.items()}}


def deploy_registry(deploy: Deploy, engine: Engine, args: Inputs) -> dict[str, Any]:
    engine.live.setdefault(LOOKUP, secret_data())
    return deploy(lambda: PrivateRegistry("registry", args))  # type: ignore[arg-type]


def pod_of(engine: Engine) -> dict[str, Any]:
    inputs = dict(engine.one("Pod").inputs)
    return {**inputs, "spec": unwrap_secret(inputs["spec"])}


class TestCertificate:
    def test_it_has_the_names_that_clients_type(self, deploy: Deploy, engine: Engine) -> None:
        args = {**ISSUER, **OUTSIDE, "certificate_names": ["*.example.com", "10.0.0.8", HOST]}
        outputs = deploy_registry(deploy, engine, args)
        spec = engine.one("Certificate").inputs["spec"]
        assert spec["issuerRef"] == {"group": "cert-manager.io", "name": "team-ca", "kind": "ClusterIssuer"}
        assert spec["commonName"] == HOST
        assert spec["dnsNames"] == [HOST, "*.example.com"]
        assert spec["ipAddresses"] == ["10.0.0.8"]
        assert spec["privateKey"] | {"encoding": ""} == {
            "algorithm": "ECDSA",
            "size": 256,
            "encoding": "",
            "rotationPolicy": "Always",
        }
        assert (spec["duration"], spec["renewBefore"]) == (f"{356 * 24}h0m0s", f"{30 * 24}h0m0s")
        assert outputs["ca_pem"] == ROOT.pem

    def test_its_key_subject_and_days_are_those_of_the_inputs(self, deploy: Deploy, engine: Engine) -> None:
        subject = {"country": "FR", "organizational_unit": "R&D"}
        more = {"certificate_key": "RSA-3072", "certificate_days": 90, "renew_before_days": 10}
        deploy_registry(deploy, engine, {**ISSUER, **OUTSIDE, **more, "certificate_subject": subject})
        spec = engine.one("Certificate").inputs["spec"]
        assert (spec["privateKey"]["algorithm"], spec["privateKey"]["size"]) == ("RSA", 3072)
        assert spec["subject"] == {"countries": ["FR"], "organizationalUnits": ["R&D"]}
        assert (spec["duration"], spec["renewBefore"]) == ("2160h0m0s", "240h0m0s")
        assert "key encipherment" in spec["usages"]

    def test_a_name_too_long_for_a_common_name_is_an_alternative_name(self, deploy: Deploy, engine: Engine) -> None:
        namespace = "n" * 63
        deploy_registry(deploy, engine, {**ISSUER, "namespace": namespace})
        spec = engine.one("Certificate").inputs["spec"]
        assert spec["dnsNames"] == [f"docker-registry.{namespace}.svc"]
        assert "commonName" not in spec

    def test_the_component_creates_no_ca(self, deploy: Deploy, engine: Engine) -> None:
        deploy_registry(deploy, engine, {**ISSUER, **OUTSIDE})
        assert not [each.type for each in engine.resources if each.type.startswith("tls:")]

    def test_a_chain_without_a_root_is_refused_with_a_remedy_for_the_issuer(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        engine.live[LOOKUP] = secret_data(ca=ISSUING_CA.pem)
        with pytest.raises(InvalidInput) as refusal:
            deploy_registry(deploy, engine, {**ISSUER, **OUTSIDE})
        assert (refusal.value.key, refusal.value.code) == ("certificate_issuer", "root-missing")
        assert "kubectl create secret" not in refusal.value.remedy, "cert-manager would overwrite it"


class TestIssuer:
    REFUSED: ClassVar[list[tuple[Inputs, str]]] = [
        ({"spec": {"selfSigned": {}}}, "self-signed"),
        (
            {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no\nSecret."}]}},
            "issuer-not-ready",
        ),
        ({}, "does-not-exist"),
    ]

    @pytest.mark.parametrize(("issuer", "code"), REFUSED, ids=[code for _, code in REFUSED])
    def test_an_issuer_that_cannot_issue_is_refused(
        self, deploy: Deploy, engine: Engine, issuer: Inputs, code: str
    ) -> None:
        engine.found["ClusterIssuer", "", "team-ca"] = issuer
        with pytest.raises(InvalidInput) as refusal:
            deploy(lambda: preconditions(ISSUER))
        assert (refusal.value.key, refusal.value.code) == ("certificate_issuer", code)

    def test_a_cluster_without_cert_manager_is_refused(self, deploy: Deploy, engine: Engine) -> None:
        engine.found["Certificate", "docker-registry", ""] = {}
        engine.found["ClusterIssuer", "", "team-ca"] = {}
        with pytest.raises(InvalidInput) as refusal:
            deploy(lambda: preconditions(ISSUER))
        assert (refusal.value.key, refusal.value.code) == ("certificate_issuer", "does-not-exist")
        assert "Install cert-manager" in refusal.value.remedy

    def test_an_issuer_of_the_namespace_is_looked_up_there(self, deploy: Deploy, engine: Engine) -> None:
        args = {"certificate_issuer": {"name": "team-ca"}, "create_namespace": False}
        assert deploy(lambda: preconditions(args))["value"]
        engine.found["Issuer", "docker-registry", "team-ca"] = {}
        with pytest.raises(InvalidInput):
            deploy(lambda: preconditions(args))

    def test_an_acme_issuer_is_announced(self) -> None:
        assert "`ca_pem`" in issuer_advice({"spec": {"acme": {}}})
        assert issuer_advice({"spec": {"ca": {}}}) == ""


@pytest.mark.parametrize("args", [{**ISSUER, **OUTSIDE}, EXISTING], ids=["cert-manager", "tls_secret"])
@pytest.mark.parametrize("more", [{}, ACCESS, {"workload": "deployment"}], ids=["plain", "access", "deployment"])
def test_a_renewal_changes_nothing_that_the_component_deploys(
    deploy: Deploy, engine: Engine, args: Inputs, more: Inputs
) -> None:
    deployed = []
    for _ in range(2):
        engine.resources.clear()
        engine.live[LOOKUP] = secret_data()
        deploy_registry(deploy, engine, {**args, **more})
        deployed.append([(each.name, each.inputs) for each in engine.resources if each.name != "registry-lookups"])
    assert deployed[0] == deployed[1]


class TestProxy:
    def test_it_reads_the_certificate_of_the_secret(self, deploy: Deploy, engine: Engine) -> None:
        deploy_registry(deploy, engine, EXISTING)
        spec = pod_of(engine)["spec"]
        registry, proxy = spec["containers"]
        volumes = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec["volumes"]}
        mounts = {volumes[mount["name"]]: mount["mountPath"] for mount in proxy["volumeMounts"]}
        assert mounts["tls"] == "/etc/certificate"
        variables = {variable["name"]: variable["value"] for variable in proxy["env"]}
        assert variables["CERTIFICATE"] == "/etc/certificate/tls.crt"
        assert "/certs" not in [mount["mountPath"] for mount in registry["volumeMounts"]]

    def test_without_access_rules_the_registry_itself_checks_passwords(self, deploy: Deploy, engine: Engine) -> None:
        deploy_registry(deploy, engine, EXISTING)
        registry, _ = pod_of(engine)["spec"]["containers"]
        assert "REGISTRY_AUTH" in [variable["name"] for variable in registry["env"]]
        files = unwrap_secret(engine.by_name("registry-access").inputs["stringData"])
        assert {*files} == {"haproxy.cfg", "watch.sh"}
        assert "ssl-load-extra-del-ext" in files["haproxy.cfg"]
        assert "crt /etc/certificate/tls.crt" in files["haproxy.cfg"]
        configuration = unwrap_secret(engine.by_name("registry-workload-configuration").inputs["stringData"])
        assert "accesslog" not in configuration["config.yml"], "only the registry logs requests"

    def test_with_access_rules_it_decides_and_has_no_copy_of_the_certificate(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        deploy_registry(deploy, engine, {**EXISTING, **ACCESS})
        registry, _ = pod_of(engine)["spec"]["containers"]
        assert "REGISTRY_AUTH" not in [variable["name"] for variable in registry["env"]]
        files = unwrap_secret(engine.by_name("registry-access").inputs["stringData"])
        assert "certificate.pem" not in files
        assert "crt /etc/certificate/tls.crt" in files["haproxy.cfg"]
        assert "logins.map" in files

    def test_without_certificate_reload_a_renewal_replaces_the_pod_at_the_next_up(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        checksums = []
        for _ in range(2):
            engine.resources.clear()
            engine.live[LOOKUP] = secret_data()
            deploy_registry(deploy, engine, {**EXISTING, "certificate_reload": False})
            pod = pod_of(engine)
            assert [container["name"] for container in pod["spec"]["containers"]] == ["registry"]
            checksums.append(pod["metadata"]["annotations"]["checksum/config"])
        assert checksums[0] != checksums[1]

    def test_users_of_an_existing_secret_and_tokens_are_possible(self, deploy: Deploy, engine: Engine) -> None:
        engine.live["registry-auth-from-kubectl-get-secrets"] = {
            "data": {"registry.password": to_base64(f"jean:$2b$05${'a' * 53}")}
        }
        deploy_registry(deploy, engine, {**EXISTING, "users_secret": "users"})
        volumes = pod_of(engine)["spec"]["volumes"]
        assert "users" in [volume.get("secret", {}).get("secretName") for volume in volumes]

    def test_a_log_level_of_the_registry_is_that_of_the_proxy(self) -> None:
        endpoints = Endpoints(":5000", "/run/registry.sock", "/etc/access", certificate="/etc/certificate/tls.crt")
        assert "format raw local0 err" in tls_files(endpoints, Logging("error", "text"))["haproxy.cfg"]


def test_the_alert_for_a_certificate_of_cert_manager_waits_for_half_of_the_renewal_time() -> None:
    metrics = {"metrics": True, "service_monitor": True, "alerts": True}
    days = [
        thresholds(resolve({**metrics, **args}).tls, 0).certificate_days  # type: ignore[typeddict-item]
        for args in ({}, ISSUER, {**ISSUER, "renew_before_days": 1})
    ]
    assert days == [30, 15, 1]
