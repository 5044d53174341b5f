"""`ops` finds why the registry cannot use a server behind it, in its log, its answers and its Pod."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from kubernetes.client.exceptions import ApiException
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import kubernetes, pod_diagnosis, server_errors, servers, stack, verify
from ops.errors import ClusterError, CommandError
from ops.kubernetes import list_registry_pods
from ops.registry_client import RegistryClient
from ops.server_errors import AZURE, GOOGLE, HEALTH_CHECK, S3, UPSTREAM, Server, explain, find_store
from ops.servers import find_problem
from ops.stack import Outputs
from ops.status import verdicts
from ops.status.facts import StackSettings
from ops.status.servers import read_servers
from ops.status.target import Target
from ops.verify import modes, sample_image
from registry.validation.errors import URL_CREDENTIALS
from tests.ops import test_verify
from tests.ops.test_status import api
from tests.ops.test_verify import PASSWORD, Registry, check, failure

registry, outputs = test_verify.registry, test_verify.outputs

SENT = 's3aws: RequestError: send request failed\\ncaused by: Get \\"https://s3.example.com/b?prefix=\\": '

S3_ERRORS: Mapping[str, tuple[str, str]] = {
    f"{SENT}dial tcp 192.168.56.1:7999: connect: connection refused": ("cannot connect", "`s3_endpoint`"),
    f"{SENT}dial tcp: lookup s3.example.com on 10.96.0.10:53: no such host": ("does not resolve", "`s3_endpoint`"),
    f"{SENT}dial tcp 192.0.2.1:443: i/o timeout": ("does not answer", "`outbound_proxy`"),
    f"{SENT}read tcp 10.0.0.1:33->10.0.0.2:44: read: connection reset by peer": ("closed the connection", "scheme"),
    f"{SENT}tls: failed to verify certificate: x509: certificate signed by unknown authority": (
        "does not trust the certificate",
        "upstream_ca",
    ),
    f"{SENT}tls: failed to verify certificate: x509: certificate is valid for a.example.com, not s3.example.com": (
        "does not contain the host",
        "`s3_endpoint`",
    ),
    f"{SENT}tls: failed to verify certificate: x509: certificate has expired or is not yet valid: now": (
        "expired",
        "clock",
    ),
    f"{SENT}http: server gave HTTP response to HTTPS client": ("does not speak TLS", "http://"),
    f"{SENT}proxyconnect tcp: dial tcp 127.0.0.1:7998: connect: connection refused": ("its proxy", "`outbound_proxy`"),
    f"{SENT}Proxy Authentication Required": ("proxy refuses the login", "`outbound_proxy`"),
    f"{SENT}Unauthorized": ("proxy refuses the login", "`outbound_proxy`"),
    f"{SENT}Forbidden": ("proxy does not allow", "`outbound_proxy.no_proxy`"),
    f"{SENT}Service Unavailable": ("proxy cannot connect", "`s3_endpoint`"),
    f"{SENT}Unable to connect": ("proxy cannot connect", "`s3_endpoint`"),
    "s3aws: NoSuchBucket: The specified bucket does not exist.\\n\\tstatus code: 404": (
        "bucket does not exist",
        "bucket",
    ),
    "s3aws: SignatureDoesNotMatch: The request signature\\n\\tstatus code: 403": (
        "refused the login",
        "`s3_secret_key`",
    ),
    "s3aws: InvalidAccessKeyId: no such key\\n\\tstatus code: 403": ("refused the login", "`s3_access_key`"),
    "s3aws: XAdminUserNotFound: No user exists\\n\\tstatus code: 404": ("refused the login", "`s3_access_key`"),
    "s3aws: AccessDenied: Access Denied\\n\\tstatus code: 403": ("refused the login", "rights"),
    "s3aws: NoCredentialProviders: no valid providers in chain": ("no access key", "`s3_secret`"),
    "s3aws: AuthorizationHeaderMalformed: the region 'a' is wrong\\n\\tstatus code: 400": ("region", "`s3_region`"),
    f"{SENT}tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.1 because it doesn't "
    "contain any IP SANs": ("does not contain the host", "`s3_endpoint`"),
    f"{SENT}tls: failed to verify certificate: x509: negative serial number": ("negative serial number", "log"),
    "s3aws: SlowDown: Please reduce your request rate.\\n\\tstatus code: 503": ("limits the requests", "Wait"),
    "s3aws: RequestTimeTooSkewed: The difference": ("clocks", "clock"),
    "s3aws: InternalError: We encountered an error": ("InternalError", "`s3_endpoint`"),
}
"""Errors of the S3 driver of CNCF Distribution 3.1.2, with a part of the cause and of the remedy."""


def log_line(error: str) -> str:
    return f'time="2026-11-26T04:38:55Z" level=error msg="{HEALTH_CHECK}{error}" go.version=go1.26.8'


AZURE_ERRORS: dict[str, tuple[str, str]] = {
    "azure: HEAD https://team.blob.core.windows.net/images/a%2F\\n---\\nRESPONSE 403: 403 Server failed to "
    "authenticate the request.\\nERROR CODE: AuthenticationFailed": ("refused the login", "`azure_secret`"),
    "azure: GET https://team.blob.core.windows.net/images\\n---\\nRESPONSE 404: 404 The specified container does not "
    "exist.\\nERROR CODE: ContainerNotFound": ("container does not exist", "`azure_container`"),
    'azure: Head \\"https://tem.blob.core.windows.net/images/\\": dial tcp: lookup tem.blob.core.windows.net on '
    "10.96.0.10:53: no such host": ("does not resolve", "`azure_account`"),
    'azure: Head \\"http://10.0.0.7:10000/team/images/\\": dial tcp 10.0.0.7:10000: connect: connection refused': (
        "cannot connect",
        "`azure_endpoint`",
    ),
    "azure: DefaultAzureCredential: failed to acquire a token.\\nAttempted credentials:\\n\\tEnvironmentCredential: "
    "missing environment variable AZURE_TENANT_ID": ("no role", "`azure_secret`"),
    "azure: HEAD https://team.blob.core.windows.net/images\\n---\\nRESPONSE 503: 503 Server Busy": (
        "503",
        "`azure_endpoint`",
    ),
}
"""Errors of the Azure driver of CNCF Distribution 3.1.2, with a part of the cause and of the remedy."""


GOOGLE_ERRORS: dict[str, tuple[str, str]] = {
    "gcs: storage: bucket doesn't exist: googleapi: Error 404: Not Found, notFound": ("not exist", "`gcs_bucket`"),
    "gcs: googleapi: Error 403: registry@team.iam.gserviceaccount.com does not have storage.objects.list access to the "
    "Google Cloud Storage bucket.\\nMore details:\\nReason: forbidden": ("lacks a right", "`gcs_secret`"),
    'gcs: Get \\"https://storage.googleapis.com/storage/v1/b/images/o?alt=json\\": auth: cannot fetch token: 400\\n'
    'Response: {\\"error\\": \\"invalid_grant\\"}': ("refused the login", "`gcs_secret`"),
    'gcs: Post \\"https://storage.googleapis.com/upload/storage/v1/b/images/o?alt=json\\": write tcp 10.244.2.2:55800->'
    "192.168.56.2:443: write: broken pipe": ("closed the connection", "`outbound_proxy`"),
    "google: could not find default credentials. See https://cloud.google.com/docs/authentication": (
        "no role",
        "`gcs_secret`",
    ),
}
"""Errors of the GCS driver of CNCF Distribution 3.1.2, with a part of the cause and of the remedy."""


ERRORS_OF_STORES = [(AZURE, error) for error in AZURE_ERRORS] + [(GOOGLE, error) for error in GOOGLE_ERRORS]


@pytest.mark.parametrize(("store", "error"), ERRORS_OF_STORES)
def test_an_error_of_a_cloud_has_a_cause_and_a_remedy(store: Server, error: str) -> None:
    cause, remedy = (AZURE_ERRORS | GOOGLE_ERRORS)[error]
    line = log_line(error)
    assert find_store(line) is store
    problem = explain(store, line)
    assert cause in problem.cause
    assert remedy in problem.remedy


def test_an_unknown_error_is_shown_without_queries_and_the_rest_of_the_log() -> None:
    line = log_line('gcs: Get \\"https://storage.googleapis.com/b/o?alt=json&prefix=a\\": odd')
    assert explain(GOOGLE, line).cause == (
        'The registry cannot use the Google server: gcs: Get \\"https://storage.googleapis.com/b/o\\": odd.'
    )


@pytest.mark.parametrize("error", S3_ERRORS)
def test_an_error_of_the_s3_server_has_a_cause_and_a_remedy(error: str) -> None:
    cause, remedy = S3_ERRORS[error]
    problem = explain(S3, log_line(error))
    assert cause in problem.cause
    assert remedy in problem.remedy
    assert "{" not in str(problem)


def test_credentials_in_a_url_are_recognized_as_in_the_messages_of_the_component() -> None:
    assert server_errors.URL_CREDENTIALS == URL_CREDENTIALS


def test_an_unknown_error_is_shown_on_one_line_without_credentials() -> None:
    problem = explain(UPSTREAM, 'Get "https://ci:hunter22@registry.example.com":\n odd')
    assert "hunter22" not in str(problem)
    assert "\n" not in problem.cause
    assert "odd" in problem.cause


def pod(
    *, ready: bool = False, store: bool = True, seconds: float = 60, since: float = 60, **metadata: Any
) -> dict[str, Any]:
    """Return a Pod whose container was started `seconds` ago, and whose readiness changed `since` seconds ago.

    Without a `store` it mounts a claim.
    """
    started, changed = ((datetime.now(UTC) - timedelta(seconds=ago)).isoformat() for ago in (seconds, since))
    status = {"name": "registry", "ready": ready, "state": {"running": {"startedAt": started}}}
    volumes: list[Any] = [{"secret": {}}, *([] if store else [{"persistentVolumeClaim": {"claimName": "repository"}}])]
    return {
        "metadata": {"name": "docker-registry", "namespace": "team", **metadata},
        "spec": {"volumes": volumes},
        "status": {
            "containerStatuses": [{"name": "sidecar", "ready": True}, status],
            "conditions": [{"type": "ContainersReady", "lastTransitionTime": changed}],
        },
    }


LOG = "\n".join([log_line("s3aws: NoSuchBucket: old"), log_line("s3aws: SignatureDoesNotMatch: new"), "GET / 503"])


def find_problem_in(monkeypatch: pytest.MonkeyPatch, log: str, *pods: dict[str, Any]) -> str:
    """Return the problem of the Pods whose containers have this log, or ""."""
    monkeypatch.setattr(servers, "read_log", lambda _: log)
    return str(find_problem(list_registry_pods(api(*pods), "team")) or "")


def test_the_last_error_in_the_log_of_a_pod_that_is_not_ready_is_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "refused the login" in find_problem_in(monkeypatch, LOG, pod(ready=True), pod())


def test_the_log_of_a_ready_or_deleted_pod_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_problem_in(monkeypatch, LOG, pod(ready=True), pod(deletionTimestamp="2026")) == ""


@pytest.mark.parametrize(("proxy_is_ready", "cause"), [(False, "refused the login"), (True, "")])
def test_a_pod_with_access_rules_is_ready_if_its_proxy_is(
    monkeypatch: pytest.MonkeyPatch, proxy_is_ready: bool, cause: str
) -> None:
    """The registry's container has no probe then, so Kubernetes always calls it ready."""
    with_proxy = pod(ready=True)
    with_proxy["status"]["containerStatuses"].append({"name": "proxy", "ready": proxy_is_ready})
    problem = find_problem_in(monkeypatch, LOG, with_proxy)
    assert cause in problem
    assert bool(problem) == bool(cause)


def test_a_pod_that_is_not_ready_and_logs_no_error_waits_for_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry does not log that its connection takes too long."""
    assert "does not answer" in find_problem_in(monkeypatch, "GET / 503", pod())
    assert find_problem_in(monkeypatch, "", pod(seconds=0)) == "", "It has just started."
    assert find_problem_in(monkeypatch, "", pod(store=False)) == "", "It has no store."


def test_the_log_of_a_pod_that_was_just_ready_does_not_have_the_cause_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of Azure repeats a refused connection before the registry logs it."""
    assert "does not have the cause yet" in find_problem_in(monkeypatch, "GET / 503", pod(since=3))
    assert "refused the login" in find_problem_in(monkeypatch, LOG, pod(since=3)), "The log has the cause."


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            'panic: Get "https://up.example.com/v2/": dial tcp 10.0.0.7:443: connect: connection refused',
            "upstream",
        ),
        ("panic: invalid region provided: eu-wst-3", "the region does not exist"),
        ("panic: s3aws: NoSuchBucket: The specified bucket does not exist", "bucket does not exist"),
        ("panic: unable to configure authorization (htpasswd): open /auth: permission denied", ""),
    ],
)
def test_the_error_that_ended_the_registry_at_its_start_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, line: str, cause: str
) -> None:
    problem = find_problem_in(monkeypatch, f"{line}\n\ngoroutine 1 [running]:", pod(store=False))
    assert cause in problem
    assert bool(problem) == bool(cause), "The last panic is not about a server."


def test_a_container_that_has_not_started_has_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise ApiException(status=400)

    monkeypatch.setattr(kubernetes, "connect_api_client", lambda: None)
    monkeypatch.setattr("kubernetes.client.api.core_v1_api.CoreV1Api.read_namespaced_pod_log", refuse)
    assert kubernetes.read_log(pod()) == ""


def test_verify_reports_the_cause_from_the_cluster_unless_a_check_has_its_own(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = explain(S3, log_line("s3aws: NoSuchBucket: none"))
    registry.full = True
    results = list(verify.run_checks(outputs, ("127.0.0.1", registry.port), find_cause=lambda *_: problem))
    assert (failure(results).summary, failure(results).remedy) == (problem.cause, problem.remedy)
    registry.full, registry.forgetful = False, True
    other = list(verify.run_checks(outputs, ("127.0.0.1", registry.port), find_cause=lambda *_: problem))
    assert "catalog" in failure(other).summary, "A check that found its own cause keeps it."


def test_verify_keeps_its_own_cause_if_the_cluster_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ClusterError("The cluster cannot be read.", "Check KUBECONFIG.")

    monkeypatch.setattr(pod_diagnosis, "connect", refuse)
    assert pod_diagnosis.ask_cluster("team", is_write=True) is None


@pytest.mark.parametrize("command", ["verify", "status"])
def test_the_error_of_a_stack_without_outputs_has_the_cause_for_which_pulumi_up_waits(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`pulumi up` has no outputs yet, because it waits until the Pod is ready."""
    config = {"private-registry:namespace": {"value": "team"}}
    monkeypatch.setattr(stack, "pulumi", lambda *words, **_: json.dumps(config if words[0] == "config" else {}))
    monkeypatch.setattr(servers, "read_log", lambda _: LOG)
    monkeypatch.setattr(pod_diagnosis, "connect", lambda: api(pod()))
    error = CliRunner().invoke(command_line.app, [command]).exception
    assert isinstance(error, CommandError)
    assert "is not deployed" in error.cause
    assert "refused the login" in error.cause
    assert "`s3_secret_key`" in error.remedy


def mirror_target(outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(kubernetes, "connect", lambda: api(pod(ready=True, store=False)))
    address = ("127.0.0.1", registry.port)
    return Target(outputs, "dev", ("centos",), StackSettings(mode="mirror"), address=address)


def test_status_reports_whether_the_upstream_of_a_mirror_answers(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.mode = "mirror"
    healthy = verdicts.rate_servers(read_servers(mirror_target(outputs, registry, monkeypatch)))
    assert healthy == ("upstream: It answers.", "")
    registry.upstream_error = 'Get "https://up.example.com/v2/": dial tcp: lookup up.example.com: no such host'
    verdict = verdicts.rate_servers(read_servers(mirror_target(outputs, registry, monkeypatch)))
    assert "does not resolve" in verdict.summary
    assert "serves what it holds" in verdict.summary
    assert "`mirror_of`" in verdict.remedy
    assert PASSWORD not in str(verdict)


def test_status_does_not_check_an_upstream_if_access_rules_forbid_the_catalog(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.mode, registry.hides_catalog = "mirror", True
    verdict = verdicts.rate_servers(read_servers(mirror_target(outputs, registry, monkeypatch)))
    assert "Not checked" in verdict.summary
    assert verdict.remedy == ""


def test_status_reports_whether_the_s3_server_answers(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    for log, objects, summary in (
        (LOG, [pod()], "refused the login"),
        ("", [pod(seconds=0)], "S3 server: Unknown, because no Pod is ready."),
        (LOG, [pod(ready=True)], "S3 server: It answers."),
        (LOG, [pod(ready=True, store=False)], "not applicable"),
    ):
        monkeypatch.setattr(servers, "read_log", lambda _, log=log: log)
        monkeypatch.setattr(kubernetes, "connect", lambda objects=objects: api(*objects))
        target = Target(outputs, "dev", settings=StackSettings(storage="s3"))
        assert summary in verdicts.rate_servers(read_servers(target)).summary


@pytest.mark.parametrize("mode", ["read-only", "mirror"])
def test_verify_passes_for_a_registry_that_refuses_pushes_as_its_mode_says(
    outputs: Outputs, registry: Registry, mode: str
) -> None:
    check(outputs, registry)  # pushes an image
    registry.mode = mode
    results = list(verify.run_checks(outputs, ("127.0.0.1", registry.port), mode=mode))
    assert [result.title for result in results if not result.passed] == []
    assert {"push is refused", "pull"} <= {result.title for result in results}
    assert "identical" in next(result.summary for result in results if result.title == "pull")
    assert ("upstream" in {result.title for result in results}) == (mode == "mirror")


@pytest.mark.parametrize("mode", ["read-only", "mirror"])
def test_verify_passes_for_a_registry_that_refuses_pushes_and_holds_no_image(
    outputs: Outputs, registry: Registry, mode: str
) -> None:
    registry.mode, registry.names = mode, []
    results = list(verify.run_checks(outputs, ("127.0.0.1", registry.port)))
    assert [result.title for result in results if not result.passed] == []
    assert any("holds no image" in result.summary for result in results)


def test_verify_finds_a_damaged_image_in_a_registry_that_refuses_pushes(outputs: Outputs, registry: Registry) -> None:
    check(outputs, registry)
    registry.mode, registry.damaged = "read-only", True
    assert "does not have its digest" in failure(check(outputs, registry)).summary


@pytest.mark.parametrize(("actual", "configured"), [("read-only", "read-write"), ("read-write", "mirror")])
def test_verify_fails_if_the_mode_differs_from_that_of_the_config(
    outputs: Outputs, registry: Registry, actual: str, configured: str
) -> None:
    registry.mode = actual
    results = list(verify.run_checks(outputs, ("127.0.0.1", registry.port), mode=configured))
    assert f"runs in `mode` {actual}" in failure(results).summary


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ('Get "https://up.example.com/v2/": dial tcp 10.0.0.7:443: connect: connection refused', "cannot connect"),
        ("401", "refused the login"),
    ],
)
def test_an_upstream_that_fails_is_the_last_check_of_a_mirror(
    outputs: Outputs, registry: Registry, error: str, cause: str
) -> None:
    check(outputs, registry)
    registry.mode, registry.upstream_error = "mirror", error
    failed = failure(check(outputs, registry))
    assert failed.title == "upstream"
    assert cause in failed.summary


def test_the_upstream_is_the_cause_if_a_mirror_cannot_pull_the_rest_of_an_image(
    outputs: Outputs, registry: Registry
) -> None:
    check(outputs, registry)
    del registry.contents[f"sha256:{hashlib.sha256(sample_image.build_config()).hexdigest()}"]
    registry.mode, registry.upstream_error = "mirror", 'Get "https://up.example.com/v2/": connection refused'
    failed = failure(check(outputs, registry))
    assert failed.title == "pull"
    assert "cannot connect" in failed.summary


@pytest.mark.parametrize("title", ["pull", "upstream"])
def test_the_upstream_is_the_cause_if_a_mirror_does_not_answer_in_time(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    def time_out(*_: Any) -> Any:
        raise requests.ReadTimeout("Read timed out.")

    check(outputs, registry)
    registry.mode = "mirror"
    if title == "pull":
        monkeypatch.setattr(modes, "check_stored_image", time_out)
    else:
        monkeypatch.setattr(RegistryClient, "send", time_out)
    failed = failure(check(outputs, registry))
    assert failed.title == title
    assert "the upstream does not answer" in failed.summary


def test_an_upstream_that_denies_access_to_the_public_repository_has_answered(
    outputs: Outputs, registry: Registry
) -> None:
    registry.mode, registry.names, registry.upstream_error = "mirror", [], "403"
    assert "denies access" in check(outputs, registry)[-1].summary
