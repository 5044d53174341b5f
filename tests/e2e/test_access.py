"""Decisions of the proxy: a table of requests and users, other spellings of paths, and drawn requests.

Only the proxy and the registry together show what a request reaches.
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
from typing import NamedTuple
from uuid import uuid4

import pytest
from hypothesis import strategies as st

from dev.loopback import wait_until
from registry.access import resolve_access
from registry.settings import AccessSettings
from tests.e2e.access_server import AccessServer, Response, basic, digest_of, serve
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
"""Columns of the table. The first one has no login, and ben-2 is the second generation of ben."""

REQUESTS = 10_000 if SOAK else 1_000
"""Number of drawn requests."""

REPOSITORIES = ("public/app", "team/web", "team/api", "shared/base", "private/app")

NO_DIGEST = f"sha256:{'0' * 64}"

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

ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    with serve(tmp_path_factory.mktemp("access"), resolve_access(SETTINGS)) as running:
        for repository in REPOSITORIES:
            running.push(repository, "latest", f"content of {repository}")
        yield running


def is_allowed(response: Response, user: str) -> bool:
    """Return whether the registry has answered. A refusal asks a client without login to log in."""
    if response.status in (401, 403):
        assert response.status == (403 if user else 401), response
        return False
    return True


@pytest.mark.parametrize(("method", "path", "decisions"), [(row[0], row[1], row[2:]) for row in ROWS])
def test_a_rule_decides_about_each_request(server: AccessServer, method: str, path: str, decisions: list[str]) -> None:
    target = path.replace("DIGEST", NO_DIGEST).replace("UPLOAD", "11111111-1111-4111-8111-111111111111")
    actual = [is_allowed(server.send(method, target, user), user) for user in USERS]
    assert ["yes" if allowed else "no" for allowed in actual] == decisions


def test_the_table_has_at_least_two_hundred_decisions() -> None:
    assert len(ROWS) * len(USERS) >= 200


PRIVATE = ("/v2/private/app/manifests/latest", "/v2/private/app/tags/list", "/v2/private/app/blobs/BLOB")

INSERTED = (
    *("/", "./", "x/../", "%2e/", "x/%2e%2e/", "%2E%2E/x/", "..;/x/"),
    *("%2f", "%5c", "\\", ";a=b/", "%00", "%20", "\t"),
)
"""Texts that may stand after a slash without a change of the meaning, for some reader."""

BEFORE = (
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

AFTER = ("", "?", "?from=public/app", "#", "%23", "/", "%2f", "%00", "%20", ".", ";", "?mount=1", "%3F", "%0a")

OVERRIDES = ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-HTTP-Method-Override", "X-Forwarded-Host")


class Private(NamedTuple):
    """Digests of a manifest and of its configuration, which only the administrator may read."""

    manifest: str
    blob: str

    def is_in(self, response: Response) -> bool:
        """Return whether the response has the content, the tags or a digest of the private repository."""
        text = f"{response.headers} {response.body.decode('latin-1')}"
        found = any(part in text for part in ("content of private/app", self.manifest, '"name":"private/app"'))
        return found or (response.status < 300 and self.blob in text)


@pytest.fixture(scope="module")
def private(server: AccessServer) -> Private:
    found = Private(*server.push("private/app", "latest", "content of private/app"))
    for path in PRIVATE:
        assert found.is_in(server.send("GET", path.replace("BLOB", found.blob), "admin")), path
    return found


def spellings(path: str) -> Iterator[str]:
    """Yield other spellings of a path, some of which are the same path for some reader."""
    tail = path.removeprefix("/v2/private/app/")
    slashes = [at + 1 for at, character in enumerate(path) if character == "/"]
    yield from (f"{path[:at]}{code}{path[at + 1 :]}" for at in range(1, len(path)) for code in _codes(path[at]))
    yield from (f"{path[:at]}{more}{path[at:]}" for at in slashes for more in INSERTED)
    yield from (f"{path[:at]}{more}{path[at:]}{end}" for at in slashes for more in INSERTED[:6] for end in AFTER)
    yield from (f"{before}{tail}{end}" for before in BEFORE for end in AFTER)
    yield from (path.upper(), path.title(), path.replace("/", "\\"))
    yield "".join(_codes(character)[0] for character in path)


def _codes(character: str) -> tuple[str, ...]:
    code = f"{ord(character):02x}"
    return f"%{code}", f"%{code.upper()}", f"%25{code}", f"%u00{code}"


def test_no_spelling_of_a_private_path_hands_anything_out(
    server: AccessServer, private: Private, figures: Callable[[str], None]
) -> None:
    tried = 0
    for path in PRIVATE:
        for spelled in spellings(path.replace("BLOB", private.blob)):
            for user in ("", "ben"):
                tried += 1
                assert not private.is_in(server.send("GET", spelled, user)), spelled
    figures(f"{tried} spellings of private paths")
    assert tried >= 2000


@pytest.mark.parametrize("header", OVERRIDES)
def test_no_header_changes_the_path(server: AccessServer, private: Private, header: str) -> None:
    for path in PRIVATE:
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
        _, blob = server.push(source, "mounted", f"content of {source}")
        server.ask_registry("DELETE", f"/v2/{target}/blobs/{blob}")
        response = server.send("POST", f"/v2/{target}/blobs/uploads/?mount={blob}&from={source}", user)
        assert response.status == status, response

    @pytest.mark.parametrize("query", ["from=team/web&from=private/app", "from=private/app&from=team/web"])
    def test_two_sources_are_no_source(self, server: AccessServer, private: Private, query: str) -> None:
        response = server.send("POST", f"/v2/team/web/blobs/uploads/?mount={private.blob}&{query}", "ci")
        assert response.status == 202
        assert server.ask_registry("GET", f"/v2/team/web/blobs/{private.blob}").status == 404


class TestToken:
    """The credentials are the token, so a client that has none gets the one of everybody."""

    def test_the_challenge_names_the_host_that_was_asked(self, server: AccessServer) -> None:
        response = server.send("GET", "/v2/", headers={"Host": "registry.example.com:8443"})
        expected = 'Bearer realm="https://registry.example.com:8443/token",service="registry"'
        assert (response.status, response.headers["Www-Authenticate"]) == (401, expected)
        assert json.loads(response.body)["errors"][0]["code"] == "UNAUTHORIZED"

    @pytest.mark.parametrize(("user", "repository", "status"), [("ann", "team/api", 200), ("ci", "team/api", 403)])
    def test_a_token_has_the_rights_of_its_user(
        self, server: AccessServer, user: str, repository: str, status: int
    ) -> None:
        answer = server.send("GET", "/token?service=registry&scope=repository:team/api:pull", user)
        assert answer.headers["Cache-Control"] == "no-store"
        token = json.loads(answer.body)["token"]
        target = f"/v2/{repository}/manifests/latest"
        assert server.send("GET", target, headers={"Authorization": f"Bearer {token}"}).status == status

    def test_a_client_without_login_gets_the_token_of_everybody(self, server: AccessServer) -> None:
        token = json.loads(server.send("GET", "/token").body)["token"]
        header = f"Bearer {token}"
        assert server.send("GET", "/v2/", headers={"Authorization": header}).status == 200
        assert server.send("GET", "/v2/public/app/manifests/latest", headers={"Authorization": header}).status == 200
        assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 401

    @pytest.mark.parametrize(
        "header",
        [
            basic("ann", "wrong"),
            basic("ann", ""),
            basic("unknown", "wrong"),
            basic("annn", "ann's"),
            basic("an", "n:ann's"),
            "Basic ???",
            "Basic",
            "Negotiate abc",
            "Bearer unknown",
            f"{basic('unknown', 'x')}, {basic('ann', 'ann' + chr(39) + 's')}",
        ],
    )
    def test_a_wrong_login_is_refused_everywhere(self, server: AccessServer, header: str) -> None:
        for target in ("/v2/", "/token", "/v2/team/web/manifests/latest", "/v2/public/app/manifests/latest"):
            response = server.send("GET", target, headers={"Authorization": header})
            assert (target, response.status) == (target, 401)
            assert response.headers["Www-Authenticate"].startswith("Bearer ")

    def test_only_get_hands_out_a_token(self, server: AccessServer) -> None:
        assert server.send("POST", "/token", "ann", body=b"grant_type=password").status == 405


def test_a_guess_at_a_generated_password_costs_no_bcrypt(server: AccessServer) -> None:
    """A comparison of the lowest cost takes 1.7 ms of a core, so 300 guesses at unknown and known names take less."""
    before = server.proxy_seconds()
    for number in range(300):
        header = {"Authorization": basic(("unknown", "ann")[number % 2], f"guess {number}")}
        assert server.send("GET", "/v2/", headers=header).status == 401
    assert server.proxy_seconds() - before < 300 * 0.0017


def test_other_paths_are_not_served(server: AccessServer) -> None:
    for target in ("/metrics", "/debug/health", "/v1/", "/v3/", "/config/", "/id"):
        assert server.send("GET", target, "admin").status == 404


@pytest.mark.parametrize(
    ("user", "target", "status"),
    [("ann", "/v2/team/web/tags/list", 200), ("ben", '/v2/private/app/tags/list?a="b', 403), ("", "/v2/", 401)],
)
def test_each_request_is_logged_with_its_user(server: AccessServer, user: str, target: str, status: int) -> None:
    marked = f"{target}{'&' if '?' in target else '?'}n={uuid4().int % 10**9}"
    assert server.send("GET", marked, user).status == status
    wait_until(lambda: marked in server.log.read_text().replace("\\", ""), server.log)
    lines = (json.loads(line) for line in server.log.read_text().splitlines() if line.startswith('{"time":"2'))
    entry = next(line for line in lines if line.get("target") == marked)
    assert (entry["user"], entry["method"], entry["status"]) == (user or "-", "GET", status)
    assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)) < timedelta(minutes=1)


CHOSEN = {"ann": "correct horse battery", "ben": "staple"}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    with serve(tmp_path_factory.mktemp("chosen"), resolve_access(SETTINGS), CHOSEN) as running:
        running.push("team/web", "latest", "content of team/web")
        yield running


class TestChosenPassword:
    """bcrypt of a chosen password is slow, so it is computed once for a token, and seldom for wrong ones."""

    def test_its_user_has_the_same_rights(self, chosen: AccessServer) -> None:
        for user, repository, status in (
            ("ann", "team/web", 200),
            ("ann", "private/app", 403),
            ("ci", "team/web", 200),
        ):
            assert chosen.send("GET", f"/v2/{repository}/manifests/latest", user).status == status
        for password in ("wrong", "", "ann's", "staple"):
            assert chosen.send("GET", "/v2/", headers={"Authorization": basic("ann", password)}).status == 401

    def test_an_upload_keeps_its_content(self, chosen: AccessServer) -> None:
        content = b"x" * 2_000_000
        started = chosen.send("POST", "/v2/team/web/blobs/uploads/", "ann")
        target = started.headers["Location"].partition(":5000")[2]
        done = chosen.send("PUT", f"{target}&digest={digest_of(content)}", "ann", body=content)
        assert done.status == 201, done
        assert chosen.send("GET", f"/v2/team/web/blobs/{digest_of(content)}", "ann").body == content

    def test_guesses_are_limited_and_leave_other_users_alone(self, chosen: AccessServer) -> None:
        """An address may guess ten times in ten seconds. Tokens of the user go on working meanwhile."""
        token = json.loads(chosen.send("GET", "/token", "ben").body)["token"]
        with ThreadPoolExecutor(10) as threads:
            guesses = [threads.submit(guess, chosen, number) for number in range(60)]
            answers = [chosen.send("GET", "/v2/team/web/manifests/latest", "ci").status for _ in range(20)]
        assert set(answers) == {200}
        statuses = [flood.result().status for flood in guesses]
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= 10 + 10, "ten, and those that began at the same time"
        assert chosen.send("GET", "/v2/", headers={"Authorization": f"Bearer {token}"}).status == 200
        assert chosen.send("GET", "/v2/", "ann").status == 200, "another user of the same address"
        assert chosen.send("GET", "/v2/", "ben").status == 200, "who has logged in before"

    def test_a_right_password_is_compared_once(self, chosen: AccessServer) -> None:
        """Clients log in for each push and pull. A comparison takes 50 ms, a login without one less than 1 ms."""
        assert chosen.send("GET", "/token", "ann").status == 200
        before = chosen.proxy_seconds()
        for _ in range(100):
            assert chosen.send("GET", "/token", "ann").status == 200
        assert chosen.proxy_seconds() - before < 100 * 0.005


def guess(server: AccessServer, number: int) -> Response:
    with closing(AccessServer(server.endpoints)) as client:
        return client.send("GET", "/v2/", headers={"Authorization": basic("ben", f"guess {number}")})


def test_a_changed_file_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """Logins are remembered by the proxy, and forgotten when the user, a rule or the certificate changes."""
    later = replace(SETTINGS, access=RULES[:1], robots={}, password_generations={"ben": [2]})
    with serve(tmp_path, resolve_access(SETTINGS), {"ann": "correct horse"}) as server:
        old = {user: basic(user, server.passwords[user]) for user in ("ann", "ben", "ci")}
        server.push("team/web", "latest", "content of team/web")
        for header in old.values():
            assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 200
        certificate = server.served_certificate()
        server.configure(resolve_access(later), {"ann": "battery staple"})
        wait_until(lambda: server.served_certificate() != certificate, server.log)
        server.close()  # an open connection ends with the request that it serves
        for header in old.values():
            assert server.send("GET", "/v2/team/web/manifests/latest", headers={"Authorization": header}).status == 401
        assert server.send("GET", "/v2/team/web/manifests/latest", "ann").status == 403, "The rule is gone."
        assert server.send("GET", "/v2/team/web/manifests/latest", "admin").status == 200
        assert all(process.is_running() for process in server.processes)


@pytest.mark.parametrize(("option", "files"), [("size=8m", 1), ("nr_inodes=200", 120)], ids=["space", "inodes"])
def test_pushes_are_refused_while_the_storage_is_nearly_full(tmp_path: Path, option: str, files: int) -> None:
    """Only a real file system fills up, and only HAProxy reads the file that tells it."""
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
            assert "nearly full" in server.send("PUT", f"{uploads}x?digest={NO_DIGEST}", "ann").body.decode()
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
    """A kubelet sends the stop signal of the image, and kills what is left after 30 seconds."""
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
    *("manifests", "blobs", "uploads", "tags", "list", "referrers", "_catalog", "latest", "new", NO_DIGEST),
    *(
        "",
        ".",
        "..",
        "%2e%2e",
        "%2f",
        "%5c",
        ";",
        "web%2f..",
        "team%2Fweb",
        "%00",
        "~",
        "*",
        "**",
        "{http.auth.user.id}",
    ),
)
"""Parts of the drawn paths."""

ENDINGS = ("manifests/latest", "manifests/new", f"blobs/{NO_DIGEST}", "blobs/uploads/", "tags/list", "_catalog", "")

QUERIES = ("", "?", "?n=1", "?mount=x&from=private/app", "?from=team/web&mount=x", "?digest=sha256:1", "?a=%zz", "#x")


class Request(NamedTuple):
    """A drawn request."""

    method: str
    target: str
    user: str


def requests() -> st.SearchStrategy[Request]:
    """Return a strategy for requests, two thirds of which end like those of clients."""
    path = st.lists(st.sampled_from(PIECES), max_size=7).map("/".join)
    name = st.one_of(path, st.sampled_from(REPOSITORIES))
    plain = st.builds("v2/{}/{}".format, name, st.sampled_from(ENDINGS))
    target = st.builds("/{}{}".format, st.one_of(path, plain, plain), st.sampled_from(QUERIES))
    method = st.sampled_from(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"))
    return st.builds(Request, method, target, st.sampled_from(USERS))


def is_ruled(request: Request) -> bool:
    """Return whether a rule allows the request. This is a second reading of the rules, without regular expressions."""
    parts = request.target.partition("?")[0].partition("#")[0].removeprefix("/").split("/")
    if parts in (["v2"], ["v2", ""]):
        return bool(request.user)
    if parts[0] != "v2" or any(not part or part.strip(".") == "" for part in parts[1:-1]):
        return False
    if parts[1:] == ["_catalog"]:
        return request.user == "admin" and request.method in ("GET", "HEAD")
    for length in range(1, len(parts) - 2):
        name, rest = parts[1 : 1 + length], parts[1 + length :]
        right = right_for(request.method, rest)
        if right and any(matches_glob(glob.split("/"), name) for glob in globs_of(request.user, right)):
            return True
    return False


def right_for(method: str, rest: Sequence[str]) -> str:
    """Return the right that a route below a repository needs, or "" if there is no such route."""
    if len(rest) == 3 and rest[:2] == ["blobs", "uploads"]:
        return "push" if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else ""
    if len(rest) != 2 or not rest[1]:
        return ""
    if method in ("GET", "HEAD"):
        return "pull" if rest[0] in ("manifests", "blobs", "referrers") or rest == ["tags", "list"] else ""
    if method == "DELETE":
        return "delete" if rest[0] in ("manifests", "blobs") else ""
    return "push" if method in ("POST", "PUT", "PATCH") and rest[0] == "manifests" else ""


def globs_of(login: str, right: str) -> Iterator[str]:
    """Yield the globs in which a login has a right, as SETTINGS say."""
    user = login.removesuffix("-2")
    rights = {"pull": ("pull", "push", "delete"), "push": ("push",), "delete": ("delete",)}[right]
    for each in RULES:
        is_user = user in each["users"] or (each["users"] == ["authenticated"] and user not in ("", "pull"))
        if is_user and set(rights) & set(each["rights"]):
            yield from each["repositories"]
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
    """`make soak` draws ten thousand requests."""

    def send(request: Request) -> tuple[Request, Response]:
        try:
            return request, server.send(request.method, request.target, request.user)
        except http.client.HTTPException as error:
            return request, Response(400, {}, str(error).encode())

    answers = draw_examples(REQUESTS, requests(), send)
    for request, response in answers:
        if request.user != "admin":
            assert not private.is_in(response), request
        assert not response.is_from_registry or is_ruled(request) or request.target.partition("?")[0] == "/", (
            request,
            response,
        )
    passed = sum(response.is_from_registry for _, response in answers)
    figures(f"seed {SEED}: {len(answers)} requests, {passed} of them passed on")
    assert passed > len(answers) / 100
    assert private.is_in(server.send("GET", "/v2/private/app/tags/list", "admin")), "The image is still there."
