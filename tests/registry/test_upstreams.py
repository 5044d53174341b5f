"""The servers behind the registry: rules for URLs, proxies, checks of the object store, and the login of a mirror."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from registry import InvalidInput, Mode, PrivateRegistryArgs, Storage
from registry.inputs.table import INPUTS
from registry.validation.servers import DOCKER_HUB, bucket_not_in_endpoint, region_of_endpoint
from registry.workload.configuration import CHECK_INTERVAL_SECONDS, CONNECT_INTERVAL_SECONDS, CONNECT_TIMEOUT_SECONDS
from tests.conftest import Engine, configuration, deploy_once, unwrap_secret

S3: PrivateRegistryArgs = {"storage": Storage.S3, "s3_bucket": "images"}
MIRROR: PrivateRegistryArgs = {"mode": Mode.MIRROR, "mirror_of": DOCKER_HUB}
PROXY = {"https": "http://ci:hunter22@proxy.example.com:3128"}


def container(args: PrivateRegistryArgs) -> dict[str, Any]:
    (one,) = unwrap_secret(deploy_once("registry", args).one("Pod").inputs["spec"])["containers"]
    return dict(one)


def variables(args: PrivateRegistryArgs) -> dict[str, Any]:
    return {variable["name"]: variable for variable in container(args)["env"]}


def files(engine: Engine) -> dict[str, str]:
    return dict(unwrap_secret(engine.by_name("registry-workload-configuration").inputs["stringData"]))


@pytest.mark.parametrize("key", ["mirror_of", "s3_endpoint"])
def test_the_url_of_a_remedy_is_accepted(key: str) -> None:
    for url in ("https://docker.io", "https://hub.docker.com", "https://github.com", "https://gitlab.com"):
        with pytest.raises(InvalidInput) as refusal:
            INPUTS["mirror_of"].rule(url)
        right_url = refusal.value.remedy.strip("`").rpartition(" ")[2]
        assert INPUTS[key].rule(right_url) == right_url


@pytest.mark.parametrize(
    ("endpoint", "bucket", "right"),
    [
        ("https://images.s3.eu-west-3.amazonaws.com", "images", "https://s3.eu-west-3.amazonaws.com"),
        ("http://images.minio.example.com:9000", "images", "http://minio.example.com:9000"),
        ("https://a.b.s3.example.com", "a.b", "https://s3.example.com"),
        ("https://images.storage.googleapis.com", "images", "https://storage.googleapis.com"),
    ],
)
def test_a_bucket_in_the_host_is_refused_with_the_url_without_it(endpoint: str, bucket: str, right: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        bucket_not_in_endpoint(endpoint, bucket)
    assert refusal.value.remedy == f"Run `pulumi config set s3_endpoint {right}`"
    bucket_not_in_endpoint(right, bucket)


@pytest.mark.parametrize(
    ("endpoint", "bucket"),
    [
        ("http://minio.minio:9000", "minio"),
        ("http://minio.minio.svc:9000", "minio"),
        ("https://minio.example.com", "minio"),
        ("https://images.example.com", "images"),
        ("https://imagess.s3.example.com", "images"),
        ("https://s3.eu-west-3.amazonaws.com", "images"),
    ],
    ids=[
        *("short name of a Service", "name of a Service", "server called like the bucket", "not below a known store"),
        *("another first label", "no bucket"),
    ],
)
def test_a_host_whose_first_label_is_not_a_bucket_for_certain_is_accepted(endpoint: str, bucket: str) -> None:
    bucket_not_in_endpoint(endpoint, bucket)


@pytest.mark.parametrize("host", ["s3.eu-west-3", "s3-eu-west-3", "s3.dualstack.eu-west-3"])
def test_the_region_of_an_aws_endpoint_must_be_that_of_the_bucket(host: str) -> None:
    region_of_endpoint(f"https://{host}.amazonaws.com", "eu-west-3")
    with pytest.raises(InvalidInput) as refusal:
        region_of_endpoint(f"https://{host}.amazonaws.com:443", "us-east-1")
    assert "s3_region eu-west-3" in refusal.value.remedy
    region_of_endpoint("https://s3.amazonaws.com", "us-east-1")
    region_of_endpoint("https://s3.eu-west-3.example.com", "us-east-1")


def test_the_registry_checks_its_object_store_and_the_connection_to_it() -> None:
    health = configuration(deploy_once("registry", {**S3, "s3_endpoint": "http://[2001:db8::7]:9000"}))["health"]
    assert health["storagedriver"] == {"enabled": True, "interval": f"{CHECK_INTERVAL_SECONDS}s"}
    assert health["tcp"] == [{"addr": "[2001:db8::7]:9000", "interval": "1s", "timeout": "2s"}]
    named = configuration(deploy_once("registry", {**S3, "s3_endpoint": "https://s3.example.com"}))["health"]
    assert named["tcp"][0]["addr"] == "s3.example.com:443"


def test_the_connection_is_not_checked_if_it_goes_through_a_proxy() -> None:
    args: PrivateRegistryArgs = {**S3, "s3_endpoint": "https://s3.example.com", "outbound_proxy": PROXY}
    assert configuration(deploy_once("registry", args))["health"].keys() == {"storagedriver"}


def test_a_pod_with_an_object_store_is_ready_after_the_first_checks_and_is_not_restarted_for_it() -> None:
    probes = container({**S3, "s3_endpoint": "https://s3.example.com"})
    first_checks = max(CHECK_INTERVAL_SECONDS, CONNECT_INTERVAL_SECONDS + CONNECT_TIMEOUT_SECONDS)
    assert probes["readinessProbe"]["initialDelaySeconds"] > first_checks
    assert probes["readinessProbe"]["httpGet"]["path"] == "/"
    assert probes["livenessProbe"] == {"tcpSocket": {"port": 5000}, "periodSeconds": 10}


def test_a_registry_on_a_volume_has_no_health_check() -> None:
    assert "health" not in configuration(deploy_once("registry", {}))
    assert "initialDelaySeconds" not in container({})["readinessProbe"]


def test_the_pod_takes_proxies_from_a_secret_and_shows_only_the_excluded_hosts() -> None:
    args: PrivateRegistryArgs = {**MIRROR, "outbound_proxy": {**PROXY, "no_proxy": "10.0.0.0/8"}}
    env = variables(args)
    for name, key in {"HTTP_PROXY": "http-proxy", "HTTPS_PROXY": "https-proxy"}.items():
        reference = {"name": "configuration-secret", "key": key, "optional": True}
        assert env[name] == {"name": name, "valueFrom": {"secretKeyRef": reference}}
    assert env["NO_PROXY"]["value"].endswith(",.svc,.cluster.local,10.0.0.0/8")
    engine = deploy_once("registry", args)
    assert files(engine)["https-proxy"] == PROXY["https"]
    assert "http-proxy" not in files(engine)
    assert "hunter22" not in json.dumps(engine.one("Pod").inputs)
    assert not {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} & variables(MIRROR).keys()


@pytest.mark.parametrize(
    ("endpoint", "excluded"),
    [
        ("http://minio", True),
        ("http://minio.storage:9000", True),
        ("https://minio.storage.svc.k8s.example.com", True),
        ("https://ghcr.io", False),
        ("https://s3.example.com", False),
        ("http://192.168.56.1:7070", False),
    ],
)
def test_an_object_store_in_the_cluster_is_reached_without_the_proxy(endpoint: str, excluded: bool) -> None:
    env = variables({**S3, "s3_endpoint": endpoint, "outbound_proxy": PROXY})
    host = endpoint.partition("://")[2].partition(":")[0]
    assert (host in env["NO_PROXY"]["value"].split(",")) == excluded


def test_another_proxy_changes_the_checksum_of_the_pod() -> None:
    first, second = (
        deploy_once("registry", {**MIRROR, "outbound_proxy": {"https": url}}).one("Pod").inputs["metadata"]
        for url in ("http://one", "http://two")
    )
    assert first["annotations"]["checksum/config"] != second["annotations"]["checksum/config"]


@pytest.mark.parametrize("password", ["", "plain", 'it\'s $HOME `id` \\ "quoted" %s', "END", "pässwörd €"])
def test_a_shell_prints_the_login_of_the_upstream_as_a_credential_helper_does(password: str, tmp_path: Path) -> None:
    login: Any = {"mirror_username": "jean", "mirror_password": password} if password else {}
    engine = deploy_once("registry", {**MIRROR, **login})
    program = tmp_path / "upstream-login"
    program.write_text(files(engine)["upstream-login"])
    program.chmod(0o555)
    done = subprocess.run([program, "get"], input="registry-1.docker.io", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"Username": "jean" if password else "", "Secret": password}


def test_a_mirror_has_its_login_as_a_program_and_for_older_versions_as_values() -> None:
    engine = deploy_once("registry", {**MIRROR, "mirror_username": "jean", "mirror_password": "hunter22"})
    proxy = configuration(engine)["proxy"]
    assert proxy["exec"] == {"command": "/etc/distribution/upstream-login"}
    assert (proxy["username"], proxy["password"]) == ("jean", "hunter22")
    volumes = {volume["name"]: volume for volume in unwrap_secret(engine.one("Pod").inputs["spec"])["volumes"]}
    assert volumes["configuration"]["secret"]["defaultMode"] == 0o555
    assert "defaultMode" not in volumes["certificate"]["secret"]
