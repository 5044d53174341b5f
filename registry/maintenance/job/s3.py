"""The storage in an object store that speaks S3."""

import hashlib
import hmac
import http.client
import ipaddress
import ssl
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import random
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from .connections import connect, parse_proxy
from .storage import CHUNK_BYTES, Entry, StorageError

PARALLEL = 16
"""Requests that are sent at once. Most of them are small."""

ATTEMPTS = 6
"""Attempts of a job's request that the store does not answer, or answers with a status of `RETRIED`."""

BACKOFF_SECONDS = 0.5
"""Least seconds before the second attempt, and at most twice as many. Each further wait is twice as long."""

TIMEOUT_SECONDS = 60
"""Seconds to wait for a connection, and for each piece of an answer."""

MOST_COPIED_BYTES = 5 << 30
"""Bytes of the largest object that one request copies (S3, CopyObject)."""

PART_BYTES = 1 << 30
"""Bytes of each part of a larger object that is copied."""

RETRIED = (408, 429, 500, 502, 503, 504)
"""Statuses that cause a request to be sent again."""

EMPTY_HASH = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class S3Settings:
    """The bucket, its server and the proxies in front of the server.

    Attributes:
        endpoint: URL of a server other than AWS, or "".
        prefix: Folder in the bucket, or "".
        ca_pem: CAs of the server, PEM, or "" for the public ones.
        proxies: URLs of the proxies for servers with the schemes http and https.
        no_proxy: Servers that are reached without a proxy, in the form of the variable NO_PROXY.
        object_headers: Headers of requests that make an object, for its encryption and its storage class.
    """

    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    endpoint: str = ""
    prefix: str = ""
    ca_pem: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    object_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The URL of the server."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.endpoint or f"https://s3.{self.region}.{domain}"


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def fields(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the texts in each XML element of this name, by the names of its children."""
        for element in ElementTree.fromstring(self.body).iter():
            if _local(element.tag) == name:
                yield {_local(child.tag): child.text or "" for child in element}

    def field(self, name: str) -> str:
        """Return the text of the first XML element of this name, or ""."""
        elements = (element.text for element in ElementTree.fromstring(self.body).iter() if _local(element.tag) == name)
        return next(elements, None) or ""


def sign(
    settings: S3Settings,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body_hash: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers of a request with its signature (AWS Signature Version 4).

    `path` is percent-encoded, and `body_hash` is the SHA-256 of the body in hexadecimal digits.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): value.strip() for name, value in headers.items()}
    signed |= {"host": urlsplit(settings.url).netloc, "x-amz-content-sha256": body_hash, "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    request = "\n".join(
        [
            *(method, path, query_string(query)),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            *("", names, body_hash),
        ]
    )
    scope = f"{stamp[:8]}/{settings.region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{settings.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{settings.access_key}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "authorization": authorization}


def query_string(query: Mapping[str, str]) -> str:
    """Return the query string, in the order and the encoding that the signature requires."""
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(query.items()))


def proxy_for(settings: S3Settings) -> str:
    """Return the URL of the proxy to the server, or "".

    NO_PROXY follows the rules of the registry (golang.org/x/net/http/httpproxy, Config.NoProxy).
    """
    server = urlsplit(settings.url)
    host, port = server.hostname or "", server.port or (443 if server.scheme == "https" else 80)
    entries = filter(None, (entry.strip().lower() for entry in settings.no_proxy.split(",")))
    if any(_excludes(entry, host, port) for entry in entries):
        return ""
    return settings.proxies.get(server.scheme, "")


def _excludes(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY is for the server: `*`, a network, an address, a host or a domain.

    `example.com` is also for the hosts below it, and `.example.com` and `*.example.com` are for these alone. A port
    limits an address, a host or a domain to this port.
    """
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(host, entry)
    name, colon, entry_port = entry.rpartition(":")
    if not colon or _is_address(entry):
        name, entry_port = entry, ""
    if entry_port not in ("", str(port)):
        return False
    if _is_address(host):
        return _in_network(host, name.strip("[]"))
    domain = name.removeprefix("*")
    return host == domain or host.endswith(f".{domain.removeprefix('.')}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _in_network(host: str, network: str) -> bool:
    """Return whether the host is an address of the network. An address is a network of one address."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


class S3Storage:
    """The bucket, or a folder in it. All requests use path style."""

    parallel = PARALLEL
    keeps_times = False
    has_disk = False

    def __init__(
        self,
        settings: S3Settings,
        sleep: Callable[[float], None] = time.sleep,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._attempts = attempts
        self._timeout = timeout
        self._server = urlsplit(settings.url)
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._idle: list[http.client.HTTPConnection] = []
        self._context = None
        if self._server.scheme == "https":
            self._context = ssl.create_default_context(cadata=settings.ca_pem or None)

    def entries(self, folder: str) -> Iterator[Entry]:
        query = {"list-type": "2", "prefix": f"{self._prefix}{folder}/"}
        while True:
            answer = self._request("GET", "", query)
            for item in answer.fields("Contents"):
                path = item["Key"].removeprefix(self._prefix)
                if not path.endswith("/"):  # some servers show folders as objects
                    yield Entry(path, int(item["Size"]), _seconds(item["LastModified"]))
            token = answer.field("NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def entry(self, path: str) -> Entry | None:
        try:
            headers = self._request("HEAD", path).headers
        except FileNotFoundError:
            return None
        modified = datetime.strptime(headers["last-modified"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        return Entry(path, int(headers["content-length"]), modified.timestamp())

    def chunks(self, path: str) -> Iterator[bytes]:
        offset, size = 0, None
        for attempt in range(self._attempts):
            headers = {"range": f"bytes={offset}-"} if offset else {}
            try:
                with self._send("GET", path, {}, headers, b"", EMPTY_HASH) as response:
                    if response.status not in (200, 206):
                        self._refuse("GET", path, _answer(response))
                    size = size if size is not None else int(response.headers["content-length"])
                    while chunk := response.read(CHUNK_BYTES):
                        offset += len(chunk)
                        yield chunk
                if offset == size:
                    return
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                last = error
            else:
                last = http.client.IncompleteRead(b"")
            self._wait(attempt)
        raise StorageError(f"GET of {path} failed: {last!r}.")

    def write(self, path: str, content: bytes) -> None:
        self._request("PUT", path, headers=self._settings.object_headers, body=content)

    def move(self, path: str, target: str) -> None:
        self._copy(path, target)
        self.delete(path)

    def restore(self, path: str, target: str) -> None:
        if self.entry(target) is None:
            self._copy(path, target)
        self.delete(path)

    def delete(self, path: str) -> None:
        try:
            self._request("DELETE", path)
        except FileNotFoundError:  # AWS answers 204, and other servers may not
            return

    def remove_folder(self, folder: str) -> None:
        """Do nothing, because a folder is a part of the names of its objects."""

    def abort_uploads(self, before: float) -> int:
        query, aborted = {"uploads": "", "prefix": f"{self._prefix}docker/registry/v2/"}, 0
        while True:
            answer = self._request("GET", "", query)
            for item in answer.fields("Upload"):
                if _seconds(item["Initiated"]) < before:
                    path = item["Key"].removeprefix(self._prefix)
                    try:
                        self._request("DELETE", path, {"uploadId": item["UploadId"]})
                    except FileNotFoundError:  # the registry has ended it
                        continue
                    aborted += 1
            if answer.field("IsTruncated") != "true":
                return aborted
            query |= {"key-marker": answer.field("NextKeyMarker")}
            query |= {"upload-id-marker": answer.field("NextUploadIdMarker")}

    def _copy(self, path: str, target: str) -> None:
        entry = self.entry(path)
        if entry is None:
            raise FileNotFoundError(path)
        source = {"x-amz-copy-source": quote(f"/{self._settings.bucket}/{self._prefix}{path}")}
        if entry.size <= MOST_COPIED_BYTES:
            answer = self._request("PUT", target, headers={**source, **self._settings.object_headers})
            self._require(answer, "CopyObjectResult", target)
            return
        started = self._request("POST", target, {"uploads": ""}, self._settings.object_headers)
        upload = {"uploadId": started.field("UploadId")}
        parts = []
        for number, start in enumerate(range(0, entry.size, PART_BYTES), 1):
            end = min(start + PART_BYTES, entry.size) - 1
            headers = {**source, "x-amz-copy-source-range": f"bytes={start}-{end}"}
            answer = self._request("PUT", target, {**upload, "partNumber": str(number)}, headers)
            self._require(answer, "CopyPartResult", target)
            parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.field('ETag')}</ETag></Part>")
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        self._require(self._request("POST", target, upload, body=body), "CompleteMultipartUploadResult", target)

    def _require(self, answer: Answer, name: str, path: str) -> None:
        """Raise `StorageError` if an answer with status 200 contains an error. S3 sends the status before it copies."""
        if _local(ElementTree.fromstring(answer.body).tag) != name:
            raise StorageError(f"Copying to {path} failed: {answer.field('Code')} {answer.field('Message')}.")

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request until it succeeds, at most `attempts` times. `path` is "" for the bucket.

        Raises:
            FileNotFoundError: The object does not exist.
            StorageError: The last attempt failed, or the error is one that another attempt does not change.
        """
        body_hash = hashlib.sha256(body).hexdigest()
        problem = ""
        for attempt in range(self._attempts):
            try:
                with self._send(method, path, query or {}, headers or {}, body, body_hash) as response:
                    answer = _answer(response)
            except ssl.SSLCertVerificationError as error:
                raise StorageError(f"{self._server.netloc} has no certificate of a trusted CA: {error}.") from None
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
            else:
                if answer.status < 300:
                    return answer
                if answer.status not in RETRIED:
                    self._refuse(method, path, answer)
                problem = f"status {answer.status}"
            self._wait(attempt)
        subject = path or self._settings.bucket
        raise StorageError(f"{method} of {subject} failed {self._attempts} times, last with {problem}.")

    def _refuse(self, method: str, path: str, answer: Answer) -> None:
        """Raise the error of an answer. It is an `HTTPException` if another attempt may succeed."""
        try:
            code = answer.field("Code")
        except ElementTree.ParseError:  # the answer to a HEAD has no body
            code = ""
        if answer.status == 404 and path and code in ("", "NoSuchKey", "NoSuchUpload"):
            raise FileNotFoundError(path)
        if answer.status in RETRIED:
            raise http.client.HTTPException(f"status {answer.status}")
        raise StorageError(
            f"{method} of {path or self._settings.bucket} failed: status {answer.status} {code}".rstrip()
        )

    @contextmanager
    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        body_hash: str,
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield the response to a request. If it was read to its end, its connection is used again."""
        key = f"/{self._prefix}{path}" if path else ""
        target = quote(f"/{self._settings.bucket}{key}", safe="/-_.~")
        signed = sign(self._settings, method, target, query, headers, body_hash, datetime.now(UTC))
        url = f"{target}?{query_string(query)}" if query else target
        proxy = parse_proxy(proxy_for(self._settings))
        if proxy and self._context is None:
            url, signed = f"{self._server.scheme}://{self._server.netloc}{url}", {**signed, **proxy.login}
        connection = self._idle.pop() if self._idle else connect(self._server, proxy, self._context, self._timeout)
        is_reusable = False
        try:
            connection.request(method, url, body, signed)
            with connection.getresponse() as response:
                yield response
                is_reusable = response.isclosed() and not response.will_close
        finally:
            if is_reusable:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _wait(self, attempt: int) -> None:
        """Wait after a failed attempt, counted from 0, unless it is the last one."""
        if attempt < self._attempts - 1:
            self._sleep(BACKOFF_SECONDS * 2**attempt * (1 + random()))


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def _local(tag: str) -> str:
    """Return the name of an element without its namespace."""
    return tag.rpartition("}")[2]


def _seconds(text: str) -> float:
    """Return the POSIX time of a text such as 2026-11-26T12:00:00.000Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
