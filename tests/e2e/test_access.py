"""Decisions of the proxy: a table of requests and users, other spellings of paths, and drawn requests.

Only HAProxy and the registry together show whether a request returns content. The tests need no cluster.
"""

import http.client
import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import strategies as st

from dev.loopback import wait_until
from registry.access import resolve_access
from registry.access.haproxy import MOST_GUESSES
from registry.settings import AccessSettings
from tests.e2e.access_server import AccessServer, Response, basic_auth, digest_of, serve
from tests.e2e.drawing import SEED, draw_examples
from tests.e2e.lab import SOAK

pytestmark = [pytest.mark.e2e, pytest.mark.together]

RULES: list[Mapping[str, list[str]]] = [
    {"users": ["admin"], "repositories": ["**"], "rights": ["push", "delete"]},
    {"users": ["ann"], "repositories": ["team/*"], "rights": ["push"]},
    {"users": ["ann", "ben"], "repositories": ["team/web"], "rights": ["delete"]},
    {"users": ["authenticated"], "repositories": ["shared/**"], "rights": ["pull"]},
]

SETTINGS = AccessSettings(
    users=["admin", "ann", "ben"],
    access=RULES,
    anonymous_pull=["public/**"],
    robots={"ci": {"repositories": ["team/web"], "rights": ["push"]}},
    pull_secrets=["builds"],
    pull_secret_repositories=["team/web", "shared/*"],
    password_generations={"ben": [1, 2]},
)

USERS = ("", "admin", "ann", "ben", "ben-2", "ci", "pull")
"""Columns of the table. "" sends no login, and ben-2 is the second generation of ben."""

REQUESTS = 10_000 if SOAK else 1_000
"""Number of drawn requests."""

REPOSITORIES = ("public/app", "team/web", "team/api", "shared/base", "private/app")

MISSING_DIGEST = f"sha256:{'0' * 64}"
"""Digest that no content has."""

MISSING_UPLOAD = "11111111-1111-4111-8111-111111111111"
"""ID that no upload has."""

TABLE = """
                                                none   admin ann ben ben-2 ci pull
GET    /v2/                                     no     yes   yes yes yes   yes yes
HEAD   /v2/                                     no     yes   yes yes yes   yes yes
GET    /v2/_catalog                             no     yes   no  no  no    no  no
GET    /v2/public/app/manifests/latest          yes    yes   yes yes yes   yes yes
HEAD   /v2/public/app/manifests/latest          yes    yes   yes yes yes   yes yes
GET    /v2/public/app/tags/list                 yes    yes   yes yes yes   yes yes
GET    /v2/public/app/blobs/DIGEST              yes    yes   yes yes yes   yes yes
GET    /v2/public/app/referrers/DIGEST          yes    yes   yes yes yes   yes yes
GET    /v2/public/deep/er/manifests/latest      yes    yes   yes yes yes   yes yes
PUT    /v2/public/app/manifests/new             no     yes   no  no  no    no  no
POST   /v2/public/app/blobs/uploads/            no     yes   no  no  no    no  no
DELETE /v2/public/app/manifests/DIGEST          no     yes   no  no  no    no  no
GET    /v2/public/manifests/latest              no     yes   no  no  no    no  no
GET    /v2/publicity/app/manifests/latest       no     yes   no  no  no    no  no
GET    /v2/team/web/manifests/latest            no     yes   yes yes yes   yes yes
GET    /v2/team/web/tags/list                   no     yes   yes yes yes   yes yes
GET    /v2/team/web/blobs/DIGEST                no     yes   yes yes yes   yes yes
HEAD   /v2/team/web/blobs/DIGEST                no     yes   yes yes yes   yes yes
GET    /v2/team/web/referrers/DIGEST            no     yes   yes yes yes   yes yes
PUT    /v2/team/web/manifests/new               no     yes   yes no  no    yes no
POST   /v2/team/web/blobs/uploads/              no     yes   yes no  no    yes no
PATCH  /v2/team/web/blobs/uploads/UPLOAD        no     yes   yes no  no    yes no
PUT    /v2/team/web/blobs/uploads/UPLOAD        no     yes   yes no  no    yes no
GET    /v2/team/web/blobs/uploads/UPLOAD        no     yes   yes no  no    yes no
DELETE /v2/team/web/blobs/uploads/UPLOAD        no     yes   yes no  no    yes no
DELETE /v2/team/web/manifests/DIGEST            no     yes   yes yes yes   no  no
DELETE /v2/team/web/blobs/DIGEST                no     yes   yes yes yes   no  no
GET    /v2/team/api/manifests/latest            no     yes   yes no  no    no  no
PUT    /v2/team/api/manifests/new               no     yes   yes no  no    no  no
DELETE /v2/team/api/manifests/DIGEST            no     yes   no  no  no    no  no
GET    /v2/team/web/part/manifests/latest       no     yes   no  no  no    no  no
GET    /v2/team/manifests/latest                no     yes   no  no  no    no  no
POST   /v2/team/web/part/blobs/uploads/         no     yes   no  no  no    no  no
GET    /v2/shared/base/manifests/latest         no     yes   yes yes yes   yes yes
GET    /v2/shared/base/deep/manifests/latest    no     yes   yes yes yes   yes no
PUT    /v2/shared/base/manifests/new            no     yes   no  no  no    no  no
GET    /v2/private/app/manifests/latest         no     yes   no  no  no    no  no
GET    /v2/private/app/tags/list                no     yes   no  no  no    no  no
DELETE /v2/private/app/manifests/DIGEST         no     yes   no  no  no    no  no
OPTIONS /v2/team/web/manifests/latest           no     no    no  no  no    no  no
TRACE  /v2/team/web/manifests/latest            no     no    no  no  no    no  no
"""
"""Whether the proxy allows a request, by user. DIGEST and UPLOAD stand for a digest and an ID that do not exist."""

ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    with serve(tmp_path_factory.mktemp("access"), resolve_access(SETTINGS)) as access_server:
        for repository in REPOSITORIES:
            access_server.push(repository, "latest", f"content of {repository}")
        yield access_server


def is_allowed(response: Response, user: str) -> bool:
    """Return whether the proxy has allowed the request. A refusal must be 403, or 401 without a login."""
    if response.status in (401, 403):
        assert response.status == (403 if user else 401), response
        return False
    return True


@pytest.mark.parametrize(("method", "path", "decisions"), [(row[0], row[1], row[2:]) for row in ROWS])
def test_the_proxy_decides_as_the_table_says(
    server: AccessServer, method: str, path: str, decisions: list[str]
) -> None:
    """Only HAProxy shows how it reads the rules of its configuration."""
    target = path.replace("DIGEST", MISSING_DIGEST).replace("UPLOAD", MISSING_UPLOAD)
    actual = [is_allowed(server.send(method, target, user), user) for user in USERS]
    assert ["yes" if allowed else "no" for allowed in actual] == decisions


def test_the_table_has_at_least_two_hundred_decisions() -> None:
    """The table above is for end-to-end tests only, and this test keeps it large."""
    assert len(ROWS) * len(USERS) >= 200


PRIVATE_PATHS = ("/v2/private/app/manifests/latest", "/v2/private/app/tags/list", "/v2/private/app/blobs/BLOB")

DOT_SEGMENTS = ("/", "./", "x/../", "%2e/", "x/%2e%2e/", "%2E%2E/x/")
INSERTIONS = (*DOT_SEGMENTS, "..;/x/", "%2f", "%5c", "\\", ";a=b/", "%00", "%20", "\t")
"""Texts that some programs ignore after a slash, so that the path keeps its meaning."""

OTHER_PREFIXES = (
    "/v2/public/app/../../private/app/",
    "/v2/public/app/%2e%2e/%2e%2e/private/app/",
    "/v2/public/..%2fprivate/app/",
    "/v2/public/app/manifests/..%2f..%2f..%2fprivate%2fapp%2f",
    "/v2/public/app/blobs/uploads/../../../../private/app/",
    "/token/../v2/private/app/",
    "/token/..;/v2/private/app/",
    "//v2/private/app/",
    "/./v2/private/app/",
    "/%76%32/private/app/",
    "/V2/private/app/",
    "https://docker-registry:5000/v2/private/app/",
    "https://other.example.com/v2/private/app/",
    "http://docker-registry/v2/public/../private/app/",
)

SUFFIXES = ("", "?", "?from=public/app", "#", "%23", "/", "%2f", "%00", "%20", ".", ";", "?mount=1", "%3F", "%0a")
"""Prefixes that some programs read as `/v2/private/app/`, and suffixes that some programs ignore."""

OVERRIDING_HEADERS = (
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "X-HTTP-Method-Override",
    "X-Forwarded-Host",
)
"""Headers that replace the path, the method or the host of a request in some programs."""


class Private(NamedTuple):
    """Digests of a manifest and of its configuration in private/app, which only the user admin may read."""

    manifest: str
    blob: str

    def is_in(self, response: Response) -> bool:
        """Return whether the response has the content, the tags or a digest of the private repository."""
        text = f"{response.headers} {response.body.decode('latin-1')}"
        has_content = any(part in text for part in ("content of private/app", self.manifest, '"name":"private/app"'))
        # A refusal may repeat the blob's digest, because it was a part of the request.
        return has_content or (response.status < 300 and self.blob in text)


@pytest.fixture(scope="module")
def private(server: AccessServer) -> Private:
    digests = Private(*server.push("private/app", "latest", "content of private/app"))
    for path in PRIVATE_PATHS:
        assert digests.is_in(server.send("GET", path.replace("BLOB", digests.blob), "admin")), path
    return digests


def spellings(path: str) -> Iterator[str]:
    """Yield other spellings of a path. Some programs may read them as the same path."""
    rest = path.removeprefix("/v2/private/app/")
    after_slashes = [index + 1 for index, character in enumerate(path) if character == "/"]
    for index in range(1, len(path)):
        yield from (f"{path[:index]}{code}{path[index + 1 :]}" for code in _encodings(path[index]))
    for index in after_slashes:
        yield from (f"{path[:index]}{text}{path[index:]}" for text in INSERTIONS)
    for index in after_slashes:
        yield from (f"{path[:index]}{text}{path[index:]}{suffix}" for text in DOT_SEGMENTS for suffix in SUFFIXES)
    yield from (f"{prefix}{rest}{suffix}" for prefix in OTHER_PREFIXES for suffix in SUFFIXES)
    yield from (path.upper(), path.title(), path.replace("/", "\\"))
    yield "".join(_encodings(character)[0] for character in path)


def _encodings(character: str) -> tuple[str, ...]:
    """Return the percent-encodings of a character, and forms that some programs decode."""
    code = f"{ord(character):02x}"
    return f"%{code}", f"%{code.upper()}", f"%25{code}", f"%u00{code}"


def test_no_spelling_of_a_private_path_returns_its_content(
    server: AccessServer, private: Private, figures: Callable[[str], None]
) -> None:
    """Only the two servers show whether they read a path differently."""
    count = 0
    for path in PRIVATE_PATHS:
        for spelling in spellings(path.replace("BLOB", private.blob)):
            for user in ("", "ben"):
                count += 1
                assert not private.is_in(server.send("GET", spelling, user)), spelling
    figures(f"{count} spellings of private paths")
    assert count >= 2000


@pytest.mark.parametrize("header", OVERRIDING_HEADERS)
def test_no_header_changes_the_path(server: AccessServer, private: Private, header: str) -> None:
    """Only the two servers show whether they obey such a header."""
    for path in PRIVATE_PATHS:
        target = path.replace("BLOB", private.blob)
        assert not private.is_in(server.send("GET", "/v2/public/app/tags/list", headers={header: target}))
        assert not private.is_in(server.send("GET", target, headers={header: "/v2/public/app/tags/list"}))


class TestMount:
    """A mount reads one repository and writes another. Without the right to read, it becomes an upload."""

    @pytest.mark.parametrize(
        ("user", "source", "target", "status"),
        [
            ("admin", "private/app", "team/api", 201),
            ("ann", "team/web", "team/api", 201),
            ("ann", "public/app", "team/api", 201),
            ("ann", "private/app", "team/api", 202),
            ("ci", "public/app", "team/web", 201),
            ("ci", "team/api", "team/web", 202),
            ("ci", "private/app", "team/web", 202),
            ("ci", "team/web", "team/api", 403),
            ("pull", "team/web", "team/web", 403),
            ("", "public/app", "team/web", 401),
        ],
    )
    def test_a_mount_needs_the_right_to_pull_its_source(
        self, server: AccessServer, user: str, source: str, target: str, status: int
    ) -> None:
        """Only the registry mounts a blob, and only HAProxy removes the query that asks for it."""
        _, blob = server.push(source, "mounted", f"content of {source}")
        server.ask_registry("DELETE", f"/v2/{target}/blobs/{blob}")
        response = server.send("POST", f"/v2/{target}/blobs/uploads/?mount={blob}&from={source}", user)
        assert response.status == status, response

    @pytest.mark.parametrize("query", ["from=team/web&from=private/app", "from=private/app&from=team/web"])
    def test_a_mount_with_two_sources_is_an_upload(self, server: AccessServer, private: Private, query: str) -> None:
        """Only the registry shows which source it reads."""
        response = server.send("POST", f"/v2/team/web/blobs/uploads/?mount={private.blob}&{query}", "ci")
        assert response.status == 202
        assert server.ask_registry("GET", f"/v2/team/web/blobs/{private.blob}").status == 404


class TestToken:
    """Tokens that the proxy returns. A client without a login gets a token that only allows anonymous pulls."""

    def test_the_challenge_has_the_host_of_the_request(self, server: AccessServer) -> None:
        """Only HAProxy inserts the host of a request into its response."""
        response = server.send("GET", "/v2/", headers={"Host": "registry.example.com:8443"})
        expected = 'Bearer realm="https://registry.example.com:8443/token",service="registry"'
        assert (response.status, response.headers["Www-Authenticate"]) == (401, expected)
        assert json.loads(response.body)["errors"][0]["code"] == "UNAUTHORIZED"

    @pytest.mark.parametrize(("user", "repository", "status"), [("ann", "team/api", 200), ("ci", "team/api", 403)])
    def test_a_token_has_the_rights_of_its_user(
        self, server: AccessServer, user: str, repository: str, status: int
    ) -> None:
        """Only HAProxy creates and checks a token."""
        response = server.send("GET", "/token?service=registry&scope=repository:team/api:pull", user)
        assert response.headers["Cache-Control"] == "no-store"
        token = json.loads(response.body)["token"]
        target = f"/v2/{repository}/manifests/latest"
        assert server.send("GET", target, headers={"Authorization": f"Bearer {token}"}).status == status

    def test_a_client_without_a_login_gets_an_anonymous_token(self, server: AccessServer) -> None:
        """Only HAProxy creates and checks a token."""
        token = json.loads(server.send("GET", "/token").body)["token"]
        header = f"Bearer {token}"
        assert server.send("GET", "/v2/", headers={"Authorization": header}).status == 200
        assert server.send("GET", "/v2/public/app/manifests/latest", headers={"Authorization": header}).status == 200
        assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 401

    @pytest.mark.parametrize(
        "header",
        [
            basic_auth("ann", "wrong"),
            basic_auth("ann", ""),
            basic_auth("unknown", "wrong"),
            basic_auth("annn", "ann's"),
            basic_auth("an", "n:ann's"),
            "Basic ???",
            "Basic",
            "Negotiate abc",
            "Bearer unknown",
            ", ".join([basic_auth("unknown", "x"), basic_auth("ann", "ann's")]),
        ],
    )
    def test_a_wrong_login_is_refused_everywhere(self, server: AccessServer, header: str) -> None:
        """Only HAProxy shows how it parses a malformed header."""
        for target in ("/v2/", "/token", "/v2/team/web/manifests/latest", "/v2/public/app/manifests/latest"):
            response = server.send("GET", target, headers={"Authorization": header})
            assert (target, response.status) == (target, 401)
            assert response.headers["Www-Authenticate"].startswith("Bearer ")

    def test_a_post_returns_no_token(self, server: AccessServer) -> None:
        """Only HAProxy decides about the method of a request."""
        assert server.send("POST", "/token", "ann", body=b"grant_type=password").status == 405


def test_a_guess_at_a_generated_password_costs_no_bcrypt(server: AccessServer) -> None:
    """Only HAProxy's processor time shows that it computes no bcrypt, which takes at least 1.7 ms of a core."""
    before = server.proxy_seconds()
    for number in range(300):
        header = {"Authorization": basic_auth(("unknown", "ann")[number % 2], f"guess {number}")}
        assert server.send("GET", "/v2/", headers=header).status == 401
    assert server.proxy_seconds() - before < 300 * 0.0017


def test_other_paths_are_not_served(server: AccessServer) -> None:
    """Only the two servers show which paths they serve."""
    for target in ("/metrics", "/debug/health", "/v1/", "/v3/", "/config/", "/id"):
        assert server.send("GET", target, "admin").status == 404


@pytest.mark.parametrize(
    ("user", "target", "status"),
    [("ann", "/v2/team/web/tags/list", 200), ("ben", '/v2/private/app/tags/list?a="b', 403), ("", "/v2/", 401)],
)
def test_each_request_is_logged_with_its_user(server: AccessServer, user: str, target: str, status: int) -> None:
    """Only HAProxy writes its log."""
    unique_target = f"{target}{'&' if '?' in target else '?'}n={uuid4().int % 10**9}"
    assert server.send("GET", unique_target, user).status == status

    def read_entries() -> list[dict[str, Any]]:
        # The registry writes to the same file, often first. A complete line of HAProxy begins with the year.
        lines = [line for line in server.log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        entries = (json.loads(line) for line in lines if line.startswith('{"time":"2'))
        return [entry for entry in entries if entry.get("target") == unique_target]

    wait_until(lambda: bool(read_entries()), server.log)
    [entry] = read_entries()
    assert (entry["user"], entry["method"], entry["status"]) == (user or "-", "GET", status)
    assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)) < timedelta(minutes=1)


CHOSEN_PASSWORDS = {"ann": "correct horse battery", "ben": "staple"}


@pytest.fixture(scope="module")
def bcrypt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    """Run a proxy with chosen passwords, which it compares with bcrypt."""
    with serve(tmp_path_factory.mktemp("chosen"), resolve_access(SETTINGS), CHOSEN_PASSWORDS) as access_server:
        access_server.push("team/web", "latest", "content of team/web")
        yield access_server


PARALLEL_GUESSES = 10
"""Number of wrong passwords that are sent at the same time."""


class TestChosenPassword:
    """bcrypt of a chosen password is slow, so it is computed once for a token, and seldom for wrong passwords."""

    def test_its_user_has_the_same_rights(self, bcrypt_server: AccessServer) -> None:
        """Only HAProxy compares passwords with bcrypt."""
        for user, repository, status in (
            ("ann", "team/web", 200),
            ("ann", "private/app", 403),
            ("ci", "team/web", 200),
        ):
            assert bcrypt_server.send("GET", f"/v2/{repository}/manifests/latest", user).status == status
        for password in ("wrong", "", "ann's", "staple"):
            header = {"Authorization": basic_auth("ann", password)}
            assert bcrypt_server.send("GET", "/v2/", headers=header).status == 401

    def test_an_upload_keeps_its_content(self, bcrypt_server: AccessServer) -> None:
        """Only HAProxy passes on a body after a comparison with bcrypt."""
        content = b"x" * 2_000_000
        upload = bcrypt_server.send("POST", "/v2/team/web/blobs/uploads/", "ann")
        target = upload.headers["Location"].partition(":5000")[2]
        response = bcrypt_server.send("PUT", f"{target}&digest={digest_of(content)}", "ann", body=content)
        assert response.status == 201, response
        assert bcrypt_server.send("GET", f"/v2/team/web/blobs/{digest_of(content)}", "ann").body == content

    def test_guesses_are_limited_and_leave_other_users_alone(self, bcrypt_server: AccessServer) -> None:
        """Only HAProxy counts the guesses: ten of an address in ten seconds. The user's token still works meanwhile."""
        token = json.loads(bcrypt_server.send("GET", "/token", "ben").body)["token"]
        with ThreadPoolExecutor(PARALLEL_GUESSES) as threads:
            guesses = [threads.submit(guess, bcrypt_server, number) for number in range(60)]
            path = "/v2/team/web/manifests/latest"
            statuses_of_other_user = [bcrypt_server.send("GET", path, "ci").status for _ in range(20)]
        assert set(statuses_of_other_user) == {200}
        statuses = [future.result().status for future in guesses]
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= MOST_GUESSES + PARALLEL_GUESSES, "parallel guesses are counted when they end"
        assert bcrypt_server.send("GET", "/v2/", headers={"Authorization": f"Bearer {token}"}).status == 200
        assert bcrypt_server.send("GET", "/v2/", "ann").status == 200, "another user of the same address"
        assert bcrypt_server.send("GET", "/v2/", "ben").status == 200, "the right password, which was compared before"

    def test_a_right_password_is_compared_once(self, bcrypt_server: AccessServer) -> None:
        """Only HAProxy's processor time shows it: a comparison takes 50 ms, and a login without one less than 1 ms."""
        assert bcrypt_server.send("GET", "/token", "ann").status == 200
        before = bcrypt_server.proxy_seconds()
        for _ in range(100):
            assert bcrypt_server.send("GET", "/token", "ann").status == 200
        assert bcrypt_server.proxy_seconds() - before < 100 * 0.005


def guess(server: AccessServer, number: int) -> Response:
    """Send a wrong password over a connection of its own."""
    with closing(AccessServer(server.endpoints)) as client:
        return client.send("GET", "/v2/", headers={"Authorization": basic_auth("ben", f"guess {number}")})


def test_a_changed_file_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """Only HAProxy remembers logins. It must forget them when a user, a rule or the certificate changes."""
    new_settings = replace(SETTINGS, access=RULES[:1], robots={}, password_generations={"ben": [2]})
    with serve(tmp_path, resolve_access(SETTINGS), {"ann": "correct horse"}) as server:
        old_logins = [basic_auth(user, server.passwords[user]) for user in ("ann", "ben", "ci")]
        server.push("team/web", "latest", "content of team/web")
        for header in old_logins:
            assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 200
        certificate = server.served_certificate()
        server.configure(resolve_access(new_settings), {"ann": "battery staple"})
        wait_until(lambda: server.served_certificate() != certificate, server.log)
        idle = server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": old_logins[0]})
        assert (idle.status, idle.headers["Connection"]) == (200, "close"), "An idle connection gets one more response."
        for header in old_logins:
            assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 401
        assert server.send("GET", "/v2/team/web/manifests/latest", "ann").status == 403, "her rule is deleted"
        assert server.send("GET", "/v2/team/web/manifests/latest", "admin").status == 200
        assert all(process.is_running() for process in server.processes)


@pytest.mark.parametrize(("option", "files"), [("size=8m", 1), ("nr_inodes=200", 120)], ids=["space", "inodes"])
def test_pushes_are_refused_while_the_storage_is_nearly_full(tmp_path: Path, option: str, files: int) -> None:
    """Only a real file system fills up, and only HAProxy reads the file with the state of the storage.

    A file of 6 of 8 MiB, or 120 of 200 inodes, leaves less than a quarter.
    """
    images = tmp_path / "images"
    images.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=8m,{option}", "tmpfs", images], check=True)
    try:
        with serve(tmp_path, resolve_access(SETTINGS), min_free=25) as server:
            uploads = "/v2/team/web/blobs/uploads/"
            manifest, _ = server.push("team/web", "latest", "content")
            assert server.send("POST", uploads, "ann").status == 202
            for number in range(files):
                (images / f"file-{number}").write_bytes(bytes(6 * 2**20 if files == 1 else 1))
            wait_until(lambda: server.send("POST", uploads, "ann").status == 507, server.log)
            assert "nearly full" in server.send("PUT", f"{uploads}x?digest={MISSING_DIGEST}", "ann").body.decode()
            assert server.send("POST", uploads).status == 401
            assert server.send("POST", uploads, "ben").status == 403
            assert server.send("GET", "/v2/team/web/manifests/latest", "ann").status == 200
            assert server.send("DELETE", f"/v2/team/web/manifests/{manifest}", "admin").status == 202
            for number in range(files):
                (images / f"file-{number}").unlink()
            wait_until(lambda: server.send("POST", uploads, "ann").status == 202, server.log)
    finally:
        subprocess.run(["umount", images], check=True)


def test_a_stopped_proxy_finishes_the_open_requests(tmp_path: Path) -> None:
    """Only HAProxy shows how it reacts to a signal. The image decides which one the kubelet sends."""
    content = b"x" * 30_000_000
    for stop in (signal.SIGUSR1, signal.SIGTERM):
        with serve(tmp_path / stop.name, resolve_access(SETTINGS)) as server:
            target = server.send("POST", "/v2/team/web/blobs/uploads/", "ann").headers["Location"].partition(":5000")[2]
            send_signal = partial(server.processes[1].send_signal, stop)
            target = f"{target}&digest={digest_of(content)}"
            assert server.send("PUT", target, "ann", body=content, halfway=send_signal).status == 201
            server.close()
            assert server.processes[1].wait(timeout=5) is not None


PIECES = (
    *("v2", "token", "public", "team", "shared", "private", "app", "web", "api", "base", "ops-verify", "x", "A"),
    *("manifests", "blobs", "uploads", "tags", "list", "referrers", "_catalog", "latest", "new", MISSING_DIGEST),
    *("", ".", "..", "%2e%2e", "%2f", "%5c", ";", "web%2f..", "team%2Fweb", "%00", "~", "*", "**"),
    "{http.auth.user.id}",
)
"""Parts of the drawn paths."""

ENDINGS = (
    "manifests/latest",
    "manifests/new",
    f"blobs/{MISSING_DIGEST}",
    "blobs/uploads/",
    "tags/list",
    "_catalog",
    "",
)

QUERIES = ("", "?", "?n=1", "?mount=x&from=private/app", "?from=team/web&mount=x", "?digest=sha256:1", "?a=%zz", "#x")


class Request(NamedTuple):
    """A drawn request."""

    method: str
    target: str
    user: str


def requests() -> st.SearchStrategy[Request]:
    """Return a strategy for requests. Two thirds of the paths end like the paths of clients."""
    path = st.lists(st.sampled_from(PIECES), max_size=7).map("/".join)
    name = st.one_of(path, st.sampled_from(REPOSITORIES))
    api_path = st.builds("v2/{}/{}".format, name, st.sampled_from(ENDINGS))
    target = st.builds("/{}{}".format, st.one_of(path, api_path, api_path), st.sampled_from(QUERIES))
    method = st.sampled_from(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"))
    return st.builds(Request, method, target, st.sampled_from(USERS))


def rules_allow(request: Request) -> bool:
    """Return whether a rule allows the request. Unlike the proxy, this function uses no regular expressions."""
    parts = request.target.partition("?")[0].partition("#")[0].removeprefix("/").split("/")
    if parts in (["v2"], ["v2", ""]):
        return bool(request.user)
    if parts[0] != "v2" or any(not part or part.strip(".") == "" for part in parts[1:-1]):
        return False
    if parts[1:] == ["_catalog"]:
        return request.user == "admin" and request.method in ("GET", "HEAD")
    for length in range(1, len(parts) - 2):
        name, route = parts[1 : 1 + length], parts[1 + length :]
        right = required_right(request.method, route)
        if right and any(matches_glob(glob.split("/"), name) for glob in globs_of(request.user, right)):
            return True
    return False


def required_right(method: str, route: Sequence[str]) -> str:
    """Return the right that a route below a repository requires, or "" if the route does not exist."""
    if len(route) == 3 and route[:2] == ["blobs", "uploads"]:
        return "push" if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else ""
    if len(route) != 2 or not route[1]:
        return ""
    if method in ("GET", "HEAD"):
        return "pull" if route[0] in ("manifests", "blobs", "referrers") or route == ["tags", "list"] else ""
    if method == "DELETE":
        return "delete" if route[0] in ("manifests", "blobs") else ""
    return "push" if method in ("POST", "PUT", "PATCH") and route[0] == "manifests" else ""


def globs_of(login: str, right: str) -> Iterator[str]:
    """Yield the globs of the repositories of a login. SETTINGS give it the right in these repositories."""
    user = login.removesuffix("-2")
    # Each right includes the right to pull.
    sufficient_rights = {"pull": ("pull", "push", "delete"), "push": ("push",), "delete": ("delete",)}[right]
    for rule in RULES:
        is_user = user in rule["users"] or (rule["users"] == ["authenticated"] and user not in ("", "pull"))
        if is_user and set(sufficient_rights) & set(rule["rights"]):
            yield from rule["repositories"]
    if right == "pull":
        yield "public/**"
        yield from SETTINGS.pull_secret_repositories if user == "pull" else ()
    if user == "admin":
        yield "ops-verify"
    if user == "ci" and right != "delete":
        yield "team/web"


def matches_glob(glob: Sequence[str], name: Sequence[str]) -> bool:
    if not glob or not name:
        return not glob and not name
    if glob[0] == "**":
        return matches_glob(glob[1:], name[1:]) or matches_glob(glob, name[1:])
    return glob[0] in ("*", name[0]) and matches_glob(glob[1:], name[1:])


def test_the_proxy_passes_on_no_request_that_the_rules_do_not_allow(
    server: AccessServer, private: Private, figures: Callable[[str], None]
) -> None:
    """Only the two servers show how they read an unusual request. `make soak` draws ten thousand requests."""

    def send(request: Request) -> tuple[Request, Response]:
        try:
            return request, server.send(request.method, request.target, request.user)
        except http.client.HTTPException as error:
            return request, Response(400, {}, str(error).encode())

    exchanges = draw_examples(REQUESTS, requests(), send)
    for request, response in exchanges:
        if request.user != "admin":
            assert not private.is_in(response), request
        is_probe = request.target.partition("?")[0] == "/"  # every client may send the kubelet's probe
        assert not response.is_from_registry or rules_allow(request) or is_probe, (request, response)
    passed_on = sum(response.is_from_registry for _, response in exchanges)
    figures(f"seed {SEED}: {len(exchanges)} requests, {passed_on} of them passed on")
    assert passed_on > len(exchanges) / 100
    assert private.is_in(server.send("GET", "/v2/private/app/tags/list", "admin")), "the image still exists"
