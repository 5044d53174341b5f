"""Client of a registry for backups (OCI distribution specification). It reads images, and writes their list."""

import hashlib
import http.client
import json
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from .connections import basic, connect, parse_proxy
from .manifests import MOST_BYTES
from .storage import CHUNK_BYTES, StorageError

MANIFEST_TYPES = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
"""Media types of manifests. Without them a registry may convert an index to an image."""

TIMEOUT_SECONDS = 120
"""Seconds to wait for a connection, and for each piece of an answer."""

ATTEMPTS = 4
"""Attempts of a request that the registry does not answer, or answers with a status of `RETRIED`."""

BACKOFF_SECONDS = 0.5
"""Seconds before the second attempt. Each further wait is twice as long."""

RETRIED, REDIRECTS = (429, 502, 503, 504), (301, 302, 303, 307, 308)

OK, CREATED, ACCEPTED, UNAUTHORIZED, NOT_FOUND = 200, 201, 202, 401, 404

CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
"""A parameter of the header WWW-Authenticate."""


class RegistryError(StorageError):
    """A registry refuses a request (`is_refusal`), or does not answer. The message is one or two sentences."""

    def __init__(self, message: str, *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Server:
    """A registry.

    Attributes:
        url: Its URL, without a path.
        prefix: Beginning of all repositories, or "".
        ca_pem: CAs of its certificate, PEM, or "" for the public ones.
        proxy: URL of the proxy in front of it, or "".
        container: Container of the Pod that runs it, or "" for another registry.
    """

    url: str
    prefix: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_pem: str = ""
    proxy: str = field(default="", repr=False)
    container: str = ""

    @property
    def host(self) -> str:
        """The host, with a port if the URL has one."""
        return urlsplit(self.url).netloc

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.url.startswith("https://")

    def full_name(self, repository: str) -> str:
        """Return the name of a repository in this registry."""
        return f"{self.prefix}/{repository}" if self.prefix else repository


class Answer(NamedTuple):
    """The answer to a request. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """A client. Several threads may use it at once."""

    def __init__(self, server: Server, sleep: Callable[[float], None] = time.sleep) -> None:
        self.server = server
        self._sleep = sleep
        self._idle: list[http.client.HTTPConnection] = []
        self._tokens: dict[str, str] = {}
        self._context = ssl.create_default_context(cadata=server.ca_pem or None) if server.is_secure else None

    def wait(self, seconds: float) -> None:
        """Wait until the registry answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._send("GET", "/v2/", {}, b"")
                return
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise self._unreachable(error) from None
            self._sleep(0.1)

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of a manifest by its tag or digest, or None if it does not exist."""
        answer = self._request("HEAD", repository, f"manifests/{reference}", {"Accept": MANIFEST_TYPES})
        if answer.status == OK and not answer.headers.get("docker-content-digest"):
            content = self.manifest(repository, reference)
            return f"sha256:{hashlib.sha256(content).hexdigest()}" if content is not None else None
        return answer.headers["docker-content-digest"] if self._exists(answer, repository) else None

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return the bytes of a manifest by its tag or digest, or None if it does not exist."""
        answer = self._request("GET", repository, f"manifests/{reference}", {"Accept": MANIFEST_TYPES})
        return answer.body if self._exists(answer, repository) else None

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob, or None if it does not exist."""
        answer = self._request("HEAD", repository, f"blobs/{digest}")
        return int(answer.headers.get("content-length", -1)) if self._exists(answer, repository) else None

    def blob_hash(self, repository: str, digest: str) -> str:
        """Return the hash of the bytes of a blob, by the algorithm of its digest. It is "" if they end too early."""
        hasher = hashlib.new(digest.partition(":")[0])
        try:
            for chunk in self._download(repository, f"blobs/{digest}"):
                hasher.update(chunk)
        except http.client.IncompleteRead:
            return ""
        return f"{digest.partition(':')[0]}:{hasher.hexdigest()}"

    def blob(self, repository: str, digest: str) -> bytes:
        """Return the bytes of a small blob."""
        return b"".join(self._download(repository, f"blobs/{digest}"))

    def put_blob(self, repository: str, content: bytes) -> str:
        """Upload a small blob. Return its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self.blob_size(repository, digest) == len(content):
            return digest
        start = self._request("POST", repository, "blobs/uploads/")
        location = urlsplit(start.headers.get("location", ""))
        if start.status != ACCEPTED or not location.path:
            raise self._refusal(start, repository)
        path = f"{location.path}?{location.query}{'&' if location.query else ''}digest={quote(digest)}"
        end = self._send_again("PUT", path, repository, {"Content-Type": "application/octet-stream"}, content)
        if end.status != CREATED:
            raise self._refusal(end, repository)
        return digest

    def put_manifest(self, repository: str, tag: str, content: bytes, media_type: str) -> None:
        """Upload a manifest with a tag."""
        answer = self._request("PUT", repository, f"manifests/{tag}", {"Content-Type": media_type}, content)
        if answer.status != CREATED:
            raise self._refusal(answer, repository)

    def _exists(self, answer: Answer, repository: str) -> bool:
        """Return whether a request has found something. Raise for any other status than 200 and 404."""
        if answer.status not in (OK, NOT_FOUND):
            raise self._refusal(answer, repository)
        return answer.status == OK

    def _refusal(self, answer: Answer, repository: str) -> RegistryError:
        name = self.server.full_name(repository)
        message = f"{self.server.host} answers status {answer.status} for the repository {name}."
        return RegistryError(message, is_refusal=answer.status not in RETRIED)

    def _unreachable(self, error: Exception) -> RegistryError:
        hint = f" See the log of the container {self.server.container}." if self.server.container else ""
        return RegistryError(f"{self.server.host} does not answer: {error}.{hint}")

    def _request(
        self, method: str, repository: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        path = f"/v2/{self.server.full_name(repository)}/{path}"
        return self._send_again(method, path, repository, headers or {}, body)

    def _send_again(self, method: str, path: str, repository: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request up to `ATTEMPTS` times. Log in if the registry asks for it."""
        for attempt in range(ATTEMPTS):
            try:
                login = self._authorization(repository)
                answer = self._send(method, path, {**headers, **login}, body)
                if answer.status == UNAUTHORIZED and self._log_in(answer, repository, login):
                    answer = self._send(method, path, {**headers, **self._authorization(repository)}, body)
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS - 1:
                    raise self._unreachable(error) from None
            else:
                if answer.status not in RETRIED or attempt == ATTEMPTS - 1:
                    return answer
            self._sleep(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._exchange(method, path, headers, body) as response:
            return Answer(response.status, _lower(response), response.read(MOST_BYTES))

    def _download(self, repository: str, path: str) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        full_path = f"/v2/{self.server.full_name(repository)}/{path}"
        # The HEAD logs in, and its status shows whether the blob exists.
        if not self._exists(self._request("HEAD", repository, path), repository):
            raise self._refusal(Answer(NOT_FOUND, {}, b""), repository)
        with self._exchange("GET", full_path, self._authorization(repository), b"") as response:
            if response.status in REDIRECTS:
                with urllib.request.urlopen(response.headers["location"], timeout=TIMEOUT_SECONDS) as store:
                    yield from iter(lambda: store.read(CHUNK_BYTES), b"")
                return
            if response.status != OK:
                raise self._refusal(Answer(response.status, {}, b""), repository)
            yield from iter(lambda: response.read(CHUNK_BYTES), b"")
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)

    @contextmanager
    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request on an idle connection, and yield the response. Connect again if the server has closed it."""
        connection, is_new = (self._idle.pop(), False) if self._idle else (self._connect(), True)
        try:
            try:
                connection.request(method, path, body or None, {**headers})
                response = connection.getresponse()
            except (OSError, http.client.HTTPException):
                connection.close()
                if is_new:
                    raise
                connection = self._connect()
                connection.request(method, path, body or None, {**headers})
                response = connection.getresponse()
            yield response
        except BaseException:
            connection.close()
            raise
        if response.isclosed() and not response.will_close:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> http.client.HTTPConnection:
        # Only registries with TLS are reached through the proxy.
        proxy = parse_proxy(self.server.proxy) if self._context else None
        return connect(urlsplit(self.server.url), proxy, self._context, TIMEOUT_SECONDS)

    def _authorization(self, repository: str) -> dict[str, str]:
        token = self._tokens.get(repository)
        return {"Authorization": token} if token else {}

    def _log_in(self, answer: Answer, repository: str, refused: Mapping[str, str]) -> bool:
        """Log in as the header of an answer asks for. Return whether the request is worth another attempt.

        `refused` are the headers of the login that the registry has refused. Another thread may have logged in since.
        """
        kind, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "basic" and self.server.username:
            self._tokens[repository] = basic(self.server.username, self.server.password)
            return self._authorization(repository) != refused
        fields = dict(CHALLENGE.findall(rest))
        if kind.lower() != "bearer" or "realm" not in fields:
            return False
        self._tokens[repository] = f"Bearer {self._fetch_token(fields, repository)}"
        return True

    def _fetch_token(self, fields: Mapping[str, str], repository: str) -> str:
        """Return a token of the server that a registry names in its answer."""
        query = {"scope": f"repository:{self.server.full_name(repository)}:pull,push"}
        query |= {"service": fields["service"]} if "service" in fields else {}
        realm = urlsplit(fields["realm"])
        server = Server(f"{realm.scheme}://{realm.netloc}", ca_pem=self.server.ca_pem, proxy=self.server.proxy)
        login = {"Authorization": basic(self.server.username, self.server.password)} if self.server.username else {}
        with closing(Registry(server)) as registry:
            answer = registry._send("GET", f"{realm.path}?{urlencode(query)}", login, b"")
        try:
            content = json.loads(answer.body)
            token = content.get("token") or content["access_token"]
        except (ValueError, KeyError, AttributeError):
            raise RegistryError(f"{realm.netloc} answers status {answer.status} to a login, without a token.") from None
        return str(token)


def _lower(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
