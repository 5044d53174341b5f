"""Export: serve metrics about the certificate, the storage and the jobs, for Prometheus.

Nothing is cached between scrapes. If the storage hangs, the scrape gets no response, which is an alert too.
"""

import hashlib
import http.client
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from .certificates import end_of, split_pem
from .results import read_result
from .storage import Storage, StorageError

PORT = 5002

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Type of the answers: the text format of Prometheus."""

TIMEOUT_SECONDS = 3
"""Seconds to wait for each answer of the registry and of the object store. Prometheus waits for ten seconds."""

LATE_PERIODS = 2
"""Periods of its schedule without success until a job is late."""

PREFIX = "private_registry_"
"""Beginning of the names of all metrics."""

HELP = {
    "probe_success": "Whether the registry answers through its Service.",
    "certificate_expiry_timestamp_seconds": "End of the certificate that the registry serves.",
    "certificate_trusted": "Whether a client that trusts the CA bundle accepts this certificate.",
    "ca_expiry_timestamp_seconds": "End of each CA of the CA bundle.",
    "storage_up": "Whether the storage answers.",
    "storage_size_bytes": "Size of the volume.",
    "storage_available_bytes": "Free space of the volume.",
    "storage_inodes": "Inodes of the volume, 0 if its file system does not count them.",
    "storage_available_inodes": "Free inodes of the volume.",
    "job_period_seconds": "Longest time between two scheduled runs of a job.",
    "job_deadline_timestamp_seconds": "Time from which a job is late: two periods after its last success.",
    "job_last_success_timestamp_seconds": "End of the last run without an error.",
    "job_last_end_timestamp_seconds": "End of the last run.",
    "job_last_failed": "Whether the last run ended with an error.",
    "job_last_duration_seconds": "Duration of the last run.",
    "job_last_freed_bytes": "Bytes that the last run has freed.",
    "job_damaged_files": "Damaged files that the last run has found and not repaired.",
}
"""Description of each metric, by its name without the prefix. All of them are gauges."""


class Sample(NamedTuple):
    """A value of a metric. The name lacks the prefix."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


class Served(NamedTuple):
    """The answer of the registry.

    Attributes:
        certificate: Its certificate, DER, or None without an answer.
        is_trusted: Whether a client that trusts the CA bundle accepts the certificate.
        is_serving: Whether the registry serves requests.
    """

    certificate: bytes | None = None
    is_trusted: bool = False
    is_serving: bool = False


@dataclass(frozen=True)
class ExportSettings:
    """The settings of the exporter.

    Attributes:
        address: Address of the Service, without a name, so that a failure of DNS is no failure of the registry.
        port: Port of the Service.
        host: Name that clients type.
        ca_pem: CA bundle of the clients.
        jobs: Periods of the scheduled jobs in seconds, by task.
    """

    address: str
    port: int
    host: str
    ca_pem: str
    jobs: Mapping[str, float] = field(default_factory=dict)


class Exporter:
    """The exporter. `storage` is None if it may not mount the volume, and `folder` is "" without a volume."""

    def __init__(
        self, settings: ExportSettings, storage: Storage | None, folder: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._folder = folder
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()

    def metrics(self) -> str:
        """Return all metrics in the text format. Raise `TimeoutError` if an earlier scrape still waits."""
        if not self._lock.acquire(timeout=TIMEOUT_SECONDS):
            raise TimeoutError("An earlier scrape has not ended.")
        try:
            return render([*self._of_service(), *self._of_storage()])
        finally:
            self._lock.release()

    def _of_service(self) -> Iterator[Sample]:
        served = probe(self._settings)
        yield Sample("probe_success", served.is_serving)
        if served.certificate is not None:
            yield Sample("certificate_expiry_timestamp_seconds", end_of(served.certificate))
            yield Sample("certificate_trusted", served.is_trusted)
        for ca in split_pem(self._settings.ca_pem):
            labels = {"fingerprint": hashlib.sha256(ca).hexdigest()[:16]}
            yield Sample("ca_expiry_timestamp_seconds", end_of(ca), labels)

    def _of_storage(self) -> Iterator[Sample]:
        for task, period in self._settings.jobs.items():
            yield Sample("job_period_seconds", period, {"task": task})
        if self._storage is None:
            return
        try:
            samples = [*self._of_volume(), *self._of_jobs(self._storage)]
        except (OSError, StorageError) as error:
            print(f"export: the storage fails: {error}", file=sys.stderr, flush=True)
            yield Sample("storage_up", 0)
        else:
            yield Sample("storage_up", 1)
            yield from samples

    def _of_volume(self) -> Iterator[Sample]:
        if self._folder:
            volume = os.statvfs(self._folder)
            yield Sample("storage_size_bytes", volume.f_blocks * volume.f_frsize)
            yield Sample("storage_available_bytes", volume.f_bavail * volume.f_frsize)
            yield Sample("storage_inodes", volume.f_files)
            yield Sample("storage_available_inodes", volume.f_favail)

    def _of_jobs(self, storage: Storage) -> Iterator[Sample]:
        """Yield the results of the jobs. Without a job, read one all the same, to see whether the storage answers."""
        for task in self._settings.jobs or [""]:
            result, labels = read_result(storage, task), {"task": task}
            if not task:
                return
            # Before the first success, the job is late two periods after the start of the exporter.
            since = result.succeeded if result is not None and result.succeeded else self._started
            yield Sample("job_deadline_timestamp_seconds", since + LATE_PERIODS * self._settings.jobs[task], labels)
            if result is None:
                continue
            if result.succeeded:
                yield Sample("job_last_success_timestamp_seconds", result.succeeded, labels)
            yield Sample("job_last_end_timestamp_seconds", result.ended, labels)
            yield Sample("job_last_failed", result.failed, labels)
            yield Sample("job_last_duration_seconds", result.seconds, labels)
            yield Sample("job_last_freed_bytes", result.bytes_freed, labels)
            yield Sample("job_damaged_files", result.damaged, labels)


def probe(settings: ExportSettings) -> Served:
    """Ask the registry as a client does. GET / needs no credentials, and fails if the registry's storage does."""
    trusting, ignoring = ssl.create_default_context(cadata=settings.ca_pem), ssl.create_default_context()
    trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it, and refuses CAs that other clients accept
    ignoring.check_hostname, ignoring.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, http.client.HTTPException):
        try:
            return _ask(settings, trusting, is_trusted=True)
        except ssl.SSLCertVerificationError:
            return _ask(settings, ignoring, is_trusted=False)
    return Served()


def _ask(settings: ExportSettings, context: ssl.SSLContext, *, is_trusted: bool) -> Served:
    with (
        socket.create_connection((settings.address, settings.port), TIMEOUT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=settings.host) as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
        client = http.client.HTTPConnection(settings.host, settings.port)
        client.sock = tls
        try:
            client.request("GET", "/")
            status = client.getresponse().status
        except (OSError, http.client.HTTPException):
            return Served(certificate, is_trusted)
        return Served(certificate, is_trusted, status < http.client.INTERNAL_SERVER_ERROR)


def render(samples: Sequence[Sample]) -> str:
    """Return the samples in the text format of Prometheus."""
    lines: list[str] = []
    for name, text in HELP.items():
        own = [sample for sample in samples if sample.name == name]
        if own:
            lines += [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} gauge"]
            lines += [f"{PREFIX}{name}{_labels(sample.labels)} {float(sample.value)!r}" for sample in own]
    return "\n".join([*lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    """Return the labels of a sample. No value has a character that needs an escape."""
    pairs = [f'{key}="{value}"' for key, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""


class Server(ThreadingHTTPServer):
    """A server for every address of the Pod, IPv6 and IPv4."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, exporter: Exporter) -> None:
        self.exporter = exporter
        super().__init__(("", port), Handler)

    def server_bind(self) -> None:
        """Bind the socket, without the search of HTTPServer for the host's name, which waits for DNS."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "exporter", self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    """Answer GET /metrics, and GET / for probes."""

    timeout = 30

    def do_GET(self) -> None:
        """Answer with the metrics, or with 503 if an earlier scrape still waits for the storage."""
        status, content = 200, "The metrics are at /metrics.\n"
        path = self.path.partition("?")[0]
        if path == "/metrics":
            try:
                content = self.server.exporter.metrics()  # type: ignore[attr-defined]
            except TimeoutError as error:
                status, content = 503, f"{error}\n"
        elif path != "/":
            status, content = 404, "Not found.\n"
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def serve(exporter: Exporter, port: int) -> None:
    """Serve until the process gets SIGTERM, which the first process of a container ignores by default."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server(port, exporter) as server:
        server.serve_forever()
