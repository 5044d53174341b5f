"""The exporter: the metrics that it serves, and the results of the jobs that it reads.

tests/e2e/test_alerts.py runs it on a cluster, and lets a real Prometheus scrape it.
"""

import http.client
import io
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from registry.maintenance.job import __main__ as program
from registry.maintenance.job import export as export_module
from registry.maintenance.job.certificates import end_of, split_pem
from registry.maintenance.job.export import HELP, PREFIX, Exporter, ExportSettings, Sample, Server, render
from registry.maintenance.job.layout import data_path
from registry.maintenance.job.report import Report
from registry.maintenance.job.results import Result, read_result, save_result
from registry.maintenance.job.scrub import Scrubber, ScrubOptions
from registry.maintenance.job.storage import FolderStorage, StorageError
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec
from tests.registry_model import DAY, MemoryStorage, Registry, digest_of
from tests.serving import serving

CA = issue(CertificateSpec())
HOST = "docker-registry"
NOW = 1_000_000_000.0

LINE = re.compile(
    r'(?P<name>[a-z_:][a-z0-9_:]*)(?:\{(?P<labels>[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*)\})? (?P<value>\S+)'
)
"""A sample in the text format of Prometheus, without the parts that the exporter does not use."""

Metrics = dict[str, float]
"""Values by name and labels, as the text format has them, without the prefix."""


def parse(text: str) -> Metrics:
    """Return the samples of a text. Fail if it breaks the format: each metric has one block with help and type."""
    assert text.endswith("\n")
    samples: Metrics = {}
    described: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            described.append(line.split()[2])
            assert len(set(described)) == len(described)
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {described[-1]} gauge"
        else:
            match = LINE.fullmatch(line)
            assert match, line
            assert match["name"] == described[-1]
            key = f"{match['name'].removeprefix(PREFIX)}{{{match['labels']}}}" if match["labels"] else match["name"]
            assert key not in samples
            samples[key.removeprefix(PREFIX)] = float(match["value"])
    return samples


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/" else 404)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Suppress the log."""


@contextmanager
def registry(folder: Path, certificate: IssuedCertificate, status: int = 200) -> Iterator[ExportSettings]:
    """Run a server with a certificate. Yield the settings of an exporter for it."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    server.status = status  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client ends the handshake
    file = folder / "pair.pem"
    file.write_text(certificate.key_pem + certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield ExportSettings("127.0.0.1", server.server_port, HOST, CA.pem)


def end(certificate: IssuedCertificate) -> float:
    return certificate.certificate.not_valid_after_utc.timestamp()


def metrics_of(settings: ExportSettings, storage: Any = None, folder: str = "") -> Metrics:
    return parse(Exporter(settings, storage, folder, clock=lambda: NOW).metrics())


CLOSED = ExportSettings("127.0.0.1", 1, HOST, CA.pem)
"""Settings with a port that no program listens on."""


# The certificate


@pytest.mark.parametrize("days", [1, 356, 3650, 20_000])
def test_the_end_of_a_certificate_is_read(days: int) -> None:
    for spec in (CertificateSpec(days=days), server_spec(HOST, days=days)):
        certificate = issue(spec)
        assert end_of(certificate.certificate.public_bytes(Encoding.DER)) == end(certificate)


@pytest.mark.parametrize("length", [0, 1, 5, 40, 150])
def test_a_part_of_a_certificate_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="not a certificate"):
        end_of(CA.certificate.public_bytes(Encoding.DER)[:length])


def test_every_certificate_of_a_bundle_is_read() -> None:
    other = issue(CertificateSpec("Other CA"))
    assert len(split_pem(f"# first\n{CA.pem}\n{other.pem}")) == 2


def test_the_certificate_is_that_which_the_server_presents(tmp_path: Path) -> None:
    certificate = issue(server_spec(HOST), CA)
    with registry(tmp_path, certificate) as settings:
        found = metrics_of(settings)
    assert found["probe_success"] == 1
    assert found["certificate_trusted"] == 1
    assert found["certificate_expiry_timestamp_seconds"] == end(certificate)
    ((_, ca),) = [(key, value) for key, value in found.items() if key.startswith("ca_expiry")]
    assert ca == end(CA)


def test_a_certificate_that_only_a_strict_client_refuses_is_trusted(tmp_path: Path) -> None:
    ca = issue(CertificateSpec(ca_critical=False, usage=None, subject_key=False))
    with registry(tmp_path, issue(server_spec(HOST, authority_key="", subject_key=False), ca)) as settings:
        assert metrics_of(replace(settings, ca_pem=ca.pem))["certificate_trusted"] == 1


@pytest.mark.parametrize(
    "certificate",
    [
        issue(server_spec(HOST), issue(CertificateSpec("Other CA"))),
        issue(server_spec("other-host"), CA),
        issue(server_spec(HOST, starts=-9, days=8), CA),
    ],
    ids=["another CA", "another name", "it has ended"],
)
def test_a_certificate_that_clients_refuse_is_measured_too(tmp_path: Path, certificate: IssuedCertificate) -> None:
    with registry(tmp_path, certificate) as settings:
        found = metrics_of(settings)
    assert (found["probe_success"], found["certificate_trusted"]) == (1, 0)
    assert found["certificate_expiry_timestamp_seconds"] == end(certificate)


def test_a_registry_that_answers_503_does_not_serve(tmp_path: Path) -> None:
    with registry(tmp_path, issue(server_spec(HOST), CA), status=503) as settings:
        found = metrics_of(settings)
    assert (found["probe_success"], found["certificate_trusted"]) == (0, 1)


def test_without_an_answer_there_is_no_certificate() -> None:
    found = metrics_of(CLOSED)
    assert found["probe_success"] == 0
    assert not [key for key in found if key.startswith("certificate")]


# The storage and the jobs


def test_a_volume_has_its_space_and_its_inodes(tmp_path: Path) -> None:
    found = metrics_of(CLOSED, FolderStorage(tmp_path), str(tmp_path))
    assert found["storage_up"] == 1
    assert 0 < found["storage_available_bytes"] < found["storage_size_bytes"]
    assert found["storage_available_inodes"] <= found["storage_inodes"]


def test_an_object_store_has_no_size() -> None:
    found = metrics_of(CLOSED, MemoryStorage())
    assert found["storage_up"] == 1
    assert "storage_size_bytes" not in found


@pytest.mark.parametrize("error", [StorageError("It fails."), PermissionError("denied"), OSError("stale handle")])
def test_a_storage_that_fails_has_no_other_metrics(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(MemoryStorage):
        def chunks(self, path: str) -> Iterator[bytes]:
            raise error

    for jobs in ({}, {"collect": DAY}):
        found = metrics_of(replace(CLOSED, jobs=jobs), Failing())
        assert found["storage_up"] == 0
        assert not [key for key in found if key.startswith("job_last")]
    assert str(error) in capsys.readouterr().err


def test_a_storage_that_is_not_mounted_is_not_measured() -> None:
    found = metrics_of(replace(CLOSED, jobs={"collect": DAY}))
    assert [key for key in found if key.startswith(("storage", "job"))] == ['job_period_seconds{task="collect"}']


def summary(**more: Any) -> dict[str, Any]:
    return {"task": "collect", "seconds": 3.5, "damaged": 5, "repaired": 2, "bytes_freed": 7, **more}


JOB = replace(CLOSED, jobs={"collect": DAY, "scrub": 7 * DAY})


def test_each_job_has_its_last_run_and_its_deadline() -> None:
    storage = MemoryStorage()
    save_result(storage, summary(), NOW - 100)
    found = metrics_of(JOB, storage)
    names = ("last_success_timestamp_seconds", "last_end_timestamp_seconds", "last_failed", "last_duration_seconds")
    values = [found[f'job_{name}{{task="collect"}}'] for name in (*names, "last_freed_bytes", "damaged_files")]
    assert values == [NOW - 100, NOW - 100, 0, 3.5, 7, 3]
    assert found['job_deadline_timestamp_seconds{task="collect"}'] == NOW - 100 + 2 * DAY
    assert found['job_period_seconds{task="scrub"}'] == 7 * DAY
    assert 'job_last_end_timestamp_seconds{task="scrub"}' not in found
    assert found['job_deadline_timestamp_seconds{task="scrub"}'] == NOW + 14 * DAY, "It counts from the start."


def test_a_failed_run_keeps_the_time_of_the_last_success_and_the_damage() -> None:
    storage = MemoryStorage()
    save_result(storage, summary(error="It failed.", damaged=0, repaired=0), NOW)
    assert read_result(storage, "collect") == Result(NOW, failed=True, seconds=3.5, bytes_freed=7)
    save_result(storage, summary(), NOW + 1)
    save_result(storage, summary(error="It failed.", damaged=0, repaired=0), NOW + 2)
    assert read_result(storage, "collect") == Result(NOW + 2, NOW + 1, True, 3.5, 7, 3)
    assert metrics_of(JOB, storage)['job_last_failed{task="collect"}'] == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"ended": "x"}', b"\xff"])
def test_a_damaged_result_counts_as_none(content: bytes) -> None:
    storage = MemoryStorage()
    storage.put("private-registry/state/collect.json", content)
    assert read_result(storage, "collect") is None
    save_result(storage, summary(error="It failed."), NOW)
    assert read_result(storage, "collect") is not None


def test_a_storage_that_fails_does_not_fail_the_job() -> None:
    class Full(MemoryStorage):
        def write(self, path: str, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    save_result(Full(), summary(), NOW)


def test_a_run_of_the_program_leaves_its_result_and_a_dry_run_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "lower_priority", lambda: None)
    folder, settings = tmp_path / "registry", tmp_path / "settings.json"
    settings.write_text(json.dumps({"storage": {"folder": str(folder)}}))
    options = ["--settings", str(settings), "--termination-log", str(tmp_path / "none")]
    assert program.main(["collect", "--dry-run", *options]) == 0
    assert read_result(FolderStorage(folder), "collect") is None
    before = datetime.now(UTC).timestamp()
    for task in ("collect", "scrub"):
        assert program.main([task, *options]) == 0
        result = read_result(FolderStorage(folder), task)
        assert result is not None
        assert result.ended == result.succeeded >= before
    (folder / "private-registry/scrub.json").unlink()
    (folder / "private-registry/scrub.json").mkdir()
    assert program.main(["scrub", *options]) == 1
    result = read_result(FolderStorage(folder), "scrub")
    assert result is not None
    assert result.failed
    assert result.succeeded >= before


def test_damage_is_counted_until_it_is_gone_though_a_run_checks_only_a_part() -> None:
    storage = MemoryStorage()
    model = Registry(storage)
    layers = [b"layer %d" % number for number in range(40)]
    model.push("team/web", "1", [b"config", *layers], age=DAY)

    def scrub(**options: Any) -> int:
        storage.now += DAY
        report = Report("scrub", io.StringIO(), io.StringIO())
        Scrubber(storage, ScrubOptions(days=365, **options), report).run()
        return report.counts["damaged"] - report.counts["repaired"]

    assert scrub() == 0
    for layer in layers[:2]:
        path = data_path(digest_of(layer))
        content, modified = storage.files[path]
        storage.files[path] = b"x" + content, modified
    assert scrub(everything=True) == 2
    assert [scrub(), scrub()] == [2, 2], "A part is hashed in each run, but what was damaged always is."
    storage.put(data_path(digest_of(layers[0])), layers[0], age=DAY)
    assert scrub() == 1
    storage.put(data_path(digest_of(layers[1])), layers[1], age=DAY)
    assert [scrub(), scrub()] == [0, 0]


# The server


def get(port: int, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    with connection.getresponse() as response:
        answer = response.status, response.headers["content-type"], response.read().decode()
    connection.close()
    return answer


def test_the_server_answers_scrapes_and_probes() -> None:
    with serving(Server(0, Exporter(CLOSED, None, ""))) as server:
        status, kind, text = get(server.server_port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert parse(text)["probe_success"] == 0
        assert [get(server.server_port, path)[0] for path in ("/", "/metric")] == [200, 404]


def test_a_scrape_does_not_wait_for_a_storage_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "TIMEOUT_SECONDS", 0.1)
    released, is_reading = threading.Event(), threading.Event()

    class Hanging(MemoryStorage):
        def chunks(self, path: str) -> Iterator[bytes]:
            is_reading.set()
            released.wait(10)
            return iter([b""])

    with serving(Server(0, Exporter(CLOSED, Hanging(), ""))) as server:
        first = threading.Thread(target=get, args=(server.server_port, "/metrics"))
        first.start()
        assert is_reading.wait(10)
        assert [get(server.server_port, path)[0] for path in ("/metrics", "/")] == [503, 200]
        released.set()
        first.join()
        assert get(server.server_port, "/metrics")[0] == 200


@pytest.mark.parametrize(
    ("storage", "measures"),
    [
        (None, False),
        ({"folder": "/"}, True),
        ({"s3": {"bucket": "b", "region": "r", "access_key": "a", "secret_key": "s"}}, False),
    ],
)
def test_the_exporter_is_made_from_its_settings(
    storage: dict[str, Any] | None, measures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = {"address": "127.0.0.1", "port": 1, "host": HOST, "ca_pem": CA.pem, "jobs": {"collect": 3600}}
    found = program.exporter({"storage": storage, "export": export})
    if storage is None or measures:
        assert ("storage_size_bytes" in parse(found.metrics())) == measures


def test_every_metric_has_a_help_and_a_name_with_its_unit() -> None:
    text = render([Sample(name, 1) for name in HELP])
    assert len(parse(text)) == len(HELP)
    units = ("_seconds", "_bytes", "_inodes", "_files", "_success", "_trusted", "_up", "_failed")
    assert all(name.endswith(units) for name in HELP)
