"""The configuration of HAProxy, the proxy that decides on every request.

A client requests `GET /v2/`. The answer names `/token`, and the client gets a token there for its login. For a
generated password, the token is the credentials themselves, which are compared by their SHA-256. For a chosen password,
the token is a signature of its hash, so bcrypt is computed once for each token. A token is valid as long as the
password (docs/adr/0023-access.md).

The rules of the frontend are read from top to bottom. The last one refuses what no rule has allowed.

Without access rules, the registry decides. The proxy then only terminates TLS, with a certificate that cert-manager or
the user renews.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from ..validation.access_rules import ANONYMOUS, AUTHENTICATED, DELETE, EVERYTHING, PUSH, Access, AccessRule, pattern_of
from ..validation.users import Hashes

CONTENT = "(manifests|blobs)/[^/]+"
READABLE = f"({CONTENT}|tags/list|referrers/[^/]+)"
UPLOADS = "blobs/uploads/[^/]*"
WRITABLE = f"(manifests/[^/]+|{UPLOADS})"
"""Patterns of routes of the API below the name of a repository (OCI distribution specification, endpoints)."""

SEGMENT = "[A-Za-z0-9_]([A-Za-z0-9._:+=-]|%3[Aa])*"
PLAIN_TARGET = rf"^/(token|v2(/{SEGMENT})*/?)?(\?.*)?$"
"""Pattern of request targets without dot segments, encodings and repeated slashes. Others are ambiguous and refused.

An encoded colon is allowed, because some clients encode that of a digest."""

TOKEN_SECONDS = 3600
"""Lifetime in the answer of `/token`, in seconds. A client asks for another token after that."""

MOST_GUESSES = 10
"""Wrong passwords of one user with a chosen password, from one address in ten seconds. Each takes 50 ms of a core."""

LOG_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "error": "err"}
"""Name of each level in HAProxy."""

LOGGED_AS_TEXT = "%[date,utime(%Y-%m-%dT%H:%M:%SZ)] %ci %[var(txn.user)] %HM %[capture.req.uri] %ST %B bytes %Ta ms"

LOGGED_AS_JSON = (
    '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","client":"%ci","user":"%[var(txn.user)]","method":"%HM",'
    '"target":"%[capture.req.uri,json(utf8ps)]","status":%ST,"bytes":%B,"milliseconds":%Ta}'
)
"""Log lines of a request. The user is "-" without a login, and after a wrong login."""

REMEMBERED_SECONDS = 3600
"""Seconds after a login during which bcrypt does not check the same password again. Each login starts them again."""

BUFFER_BYTES = 65_536
"""Bytes of a buffer. With 16 KiB, the default, large layers take a tenth to a fifth more of a core."""

MOST_THREADS = 4
"""Threads on a node with more processors, because each takes memory."""

MOST_CONNECTIONS = 2000
"""Open connections of clients. Each takes up to 95 KiB before the login, and the container has 256 MiB."""

IDLE_SECONDS = 60
"""Seconds until an idle connection is closed. After a reload, its next request is still decided by the old rules,
which must end within 90 seconds."""

RELOAD_SECONDS = 3600
"""Seconds that open requests may take to finish after a reload. When the Pod stops, watch.sh ends them earlier."""

CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""Ciphers of TLS 1.3, in Go's order. OpenSSL prefers 256 bits, which take more of a core."""

VALUES_OF_A_LINE = 40
"""Values in one line of an ACL. HAProxy reads at most 64 words of a line (MAX_LINE_ARGS)."""


class Endpoints(NamedTuple):
    """Addresses of the proxy, and the folder with its files.

    Attributes:
        address: Address and port for clients, such as `:5000`.
        registry: Path of the registry's Unix socket.
        folder: Folder of the files.
        storage_state: Path of the map with the state of the storage, which watch.sh writes, or "".
        certificate: Path of the certificate, if its files are not in `folder`, or "". Its key is next to it, with the
            suffix .key.
        has_ipv6: Whether clients may connect to an IPv6 address. A node without IPv6 could not bind one.
    """

    address: str
    registry: str
    folder: str
    storage_state: str = ""
    certificate: str = ""
    has_ipv6: bool = False


class Logging(NamedTuple):
    """How the proxy logs, by the inputs `log_level` and `log_format`. It logs each request at the level `info`."""

    level: str
    format: str


class KeyPair(NamedTuple):
    """The server certificate with its chain, and its key, PEM."""

    certificate: str
    key: str


def files(
    endpoints: Endpoints,
    logging: Logging,
    key_pair: KeyPair | None,
    passwords: Mapping[str, str],
    hashes: Hashes,
    key: str,
    access: Access,
) -> dict[str, str]:
    """Return the files of the proxy by name. They are as secret as the key of the certificate.

    `key_pair` is None if `endpoints` has the path of the certificate. `key` signs the tokens of users with a chosen
    password.
    """
    generated = {login: passwords[login] for login in hashes.by_login if login not in hashes.chosen}
    chosen = {login: hashes.by_login[login] for login in hashes.by_login if login in hashes.chosen}
    frontend = _frontend(endpoints, logging, chosen, key, access)
    return {
        "haproxy.cfg": "\n".join([*_common_sections(endpoints, logging), *_userlist(chosen), *frontend, ""]),
        **({"certificate.pem": key_pair.certificate + key_pair.key} if key_pair is not None else {}),
        "logins.map": "".join(f"{fingerprint(login, word)} {login}\n" for login, word in generated.items()),
        "hashes.map": "".join(f"{login} {hashed}\n" for login, hashed in chosen.items()),
    }


def tls_files(endpoints: Endpoints, logging: Logging) -> dict[str, str]:
    """Return the files of a proxy that only terminates TLS. The registry decides on every request, and logs it."""
    frontend = (
        "frontend clients",
        f"    {_bind(endpoints)}",
        "    http-request set-log-level silent",
        "    http-request set-header X-Forwarded-Proto https",
        "    default_backend registry",
        "",
    )
    return {"haproxy.cfg": "\n".join([*_common_sections(endpoints, logging), *frontend])}


def _bind(endpoints: Endpoints) -> str:
    certificate = endpoints.certificate or f"{endpoints.folder}/certificate.pem"
    addresses = f"{endpoints.address},[::]{endpoints.address} v6only" if endpoints.has_ipv6 else endpoints.address
    return f"bind {addresses} ssl crt {certificate} alpn http/1.1"


def fingerprint(login: str, password: str) -> str:
    """Return the SHA-256 of the credentials in an `Authorization` header.

    The hash is fast, but a generated password has 190 bits, too many to guess.
    """
    return sha256(b64encode(f"{login}:{password}".encode())).hexdigest()


def _common_sections(endpoints: Endpoints, logging: Logging) -> Iterator[str]:
    """Yield the sections that do not depend on users and rules."""
    yield from (
        "global",
        f"    log stdout format raw local0 {LOG_LEVELS[logging.level]}",
        f"    hard-stop-after {RELOAD_SECONDS}s",
        f"    maxconn {MOST_CONNECTIONS}",
        # HAProxy 3 warns if there are more threads than processors.
        ".if version_atleast(3.0)",
        f"    thread-hard-limit {MOST_THREADS}",
        ".else",
        f"    nbthread {MOST_THREADS}",
        ".endif",
        f"    tune.bufsize {BUFFER_BYTES}",
        f"    ssl-default-bind-ciphersuites {CIPHERS}",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
        *(["    ssl-load-extra-del-ext"] if endpoints.certificate else []),
        "",
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option forwardfor",
        "    option disable-h2-upgrade",
        # Without it a reload closes idle connections, and a request that a client sends at this moment fails.
        "    option idle-close-on-response",
        "    timeout connect 5s",
        "    timeout client 15m",
        "    timeout server 15m",
        "    timeout http-request 60s",
        f"    timeout http-keep-alive {IDLE_SECONDS}s",
    )
    body = _error_body("UNAVAILABLE", "The registry does not answer.")
    for status in (502, 503, 504):
        yield f"    http-error status {status} content-type application/json string '{body}' hdr Retry-After 5"
    yield from (
        "",
        "backend registry",
        f"    server registry unix@{endpoints.registry}",
        "",
        "backend guesses",
        "    stick-table type string len 128 size 10k expire 60s store gpc0_rate(10s)",
        "",
        "backend logins",
        f"    stick-table type string len 64 size 1k expire {REMEMBERED_SECONDS}s store gpt0",
        "",
    )


def _userlist(chosen: Mapping[str, str]) -> Iterator[str]:
    """Yield the section with the hashes that bcrypt compares. `chosen` has them by login."""
    yield "userlist chosen"
    yield from (f"    user {login} password {hashed}" for login, hashed in chosen.items())
    yield ""


def _frontend(
    endpoints: Endpoints, logging: Logging, chosen: Mapping[str, str], key: str, access: Access
) -> Iterator[str]:
    yield "frontend clients"
    yield f"    {_bind(endpoints)}"
    yield f"    log-format '{LOGGED_AS_TEXT if logging.format == 'text' else LOGGED_AS_JSON}'"
    for section in (
        _path_rules(),
        _login_rules(endpoints.folder, chosen, key, is_public=access.is_public),
        _token_rules(is_public=access.is_public),
        _api_rules(access),
        _space_rules(endpoints.storage_state) if endpoints.storage_state else (),
    ):
        yield from (f"    {line}" if line else "" for line in section)
    yield "    default_backend registry"


def _path_rules() -> Iterator[str]:
    """Yield the rules for the path alone."""
    yield "acl reads method GET HEAD"
    yield "acl writes method POST PUT PATCH"
    yield f"acl plain url -m reg '{PLAIN_TARGET}'"
    yield _refusal(404, "NAME_INVALID", "This is not a path of the API of a registry.") + " unless plain"
    yield "http-request set-header X-Forwarded-Proto https"
    # The kubelet probes this path each second.
    yield "http-request set-log-level silent if { path / }"
    yield "http-request allow if reads { path / }"


def _login_rules(folder: str, chosen: Mapping[str, str], key: str, *, is_public: bool) -> Iterator[str]:
    """Yield the rules that find out the user. They answer a wrong or unknown login with the challenge."""
    yield ""
    yield "acl has_login req.fhdr_cnt(authorization) gt 0"
    yield "acl well_formed req.fhdr(authorization) -m reg -i '^(basic|bearer) [A-Za-z0-9+/=.]+$'"
    yield "acl basic req.fhdr(authorization) -m beg -i 'basic '"
    yield f"{_challenge()} if has_login !well_formed"
    yield f"{_challenge()} if {{ req.fhdr_cnt(authorization) gt 1 }}"
    yield "http-request set-var(txn.credentials) req.fhdr(authorization),word(2,\\ ) if has_login"
    if is_public:
        yield f"http-request set-var(txn.public) bool(true) if !basic {{ var(txn.credentials) -m str {ANONYMOUS} }}"
        yield "acl public var(txn.public) -m bool"
    yield (
        f"http-request set-var(txn.user) var(txn.credentials),sha2(256),hex,lower,map({folder}/logins.map) if has_login"
    )
    yield "acl known var(txn.user) -m found"
    if chosen:
        yield from _chosen_rules(folder, chosen, key)
    yield f"{_challenge()} if has_login !known{' !public' if is_public else ''}"


def _chosen_rules(folder: str, chosen: Mapping[str, str], key: str) -> Iterator[str]:
    """Yield the rules for users with a chosen password: bcrypt for the password, and a signature for the token.

    A right password is remembered as its HMAC. A reload forgets it.
    """
    encoded_key = b64encode(key.encode()).decode()
    signature = f"map({folder}/hashes.map),hmac(sha256,{encoded_key}),hex,lower"
    yield "http-request set-var(txn.name) var(txn.credentials),b64dec,field(1,:) if basic"
    yield "http-request set-var(txn.name) var(txn.credentials),field(1,.),b64dec if has_login !basic"
    yield from _acl("chosen", "var(txn.name) -m str", chosen)
    yield f"http-request set-var(txn.login) var(txn.credentials),hmac(sha256,{encoded_key}),hex if chosen basic"
    remembered = "{ var(txn.login),table_gpt0(logins) gt 0 }"
    yield f"http-request set-var(txn.user) var(txn.name) if chosen basic {remembered}"
    yield "http-request set-var(txn.guesser) src,concat(/,txn.name) if chosen basic !known"
    yield "http-request track-sc0 var(txn.guesser) table guesses if chosen basic !known"
    too_many = _refusal(429, "TOOMANYREQUESTS", "Too many wrong passwords. Wait for ten seconds.")
    yield f"{too_many} if chosen basic !known {{ sc0_gpc0_rate(guesses) gt {MOST_GUESSES} }}"
    yield "http-request set-var(txn.user) var(txn.name) if chosen basic !known { http_auth(chosen) }"
    yield "http-request sc-inc-gpc0(0) if chosen basic !known"
    yield "http-request track-sc1 var(txn.login) table logins if chosen basic known"
    yield "http-request sc-set-gpt0(1) 1 if chosen basic known"
    yield f"http-request set-var(txn.signature) var(txn.name),{signature} if chosen"
    yield "http-request set-var(txn.given) var(txn.credentials),field(2,.) if chosen !basic"
    signed = "{ var(txn.given),secure_memcmp(txn.signature) -m bool }"
    yield f"http-request set-var(txn.user) var(txn.name) if chosen !basic !known {signed}"
    yield "http-request set-var(txn.encoded) var(txn.name),base64 if chosen basic"
    yield "http-request set-var(txn.credentials) var(txn.encoded),concat(.,txn.signature) if chosen basic known"


def _token_rules(*, is_public: bool) -> Iterator[str]:
    """Yield the rules of `GET /token`."""
    yield ""
    yield "acl token path /token"
    yield "http-request return status 405 if token !{ method GET }"
    yield f"{_token('%[var(txn.credentials)]')} if token known"
    yield f"{_token(ANONYMOUS)} if token !has_login" if is_public else f"{_challenge()} if token"


def _api_rules(access: Access) -> Iterator[str]:
    """Yield the rules of the API. They allow requests, and the last rule refuses the rest."""
    yield ""
    yield "http-request del-header Authorization"
    yield "acl ping path /v2 /v2/"
    yield "http-request set-var(txn.allowed) bool(true) if ping known"
    if access.is_public:
        yield "http-request set-var(txn.allowed) bool(true) if ping public"
    yield from _acl("authenticated", "var(txn.user) -m str", access.authenticated)
    for number, rule in enumerate(access.rules):
        yield from _rule(number, rule)
    # The query of a POST is removed if it has another form than these, or names a source that the user may not pull.
    # The request starts an upload then.
    yield "acl mounts query -m reg '^(mount=[^&]+&from=[^&]+|from=[^&]+&mount=[^&]+)$'"
    yield "acl may_mount var(txn.mountable) -m bool"
    yield "acl one_request query -m reg '^digest=[^&]*$'"
    yield "http-request set-uri %[path] if { method POST } { query -m len gt 0 } !one_request !mounts"
    yield "http-request set-uri %[path] if { method POST } mounts !may_mount"
    yield "acl allowed var(txn.allowed) -m bool"
    yield f"{_refusal(403, 'DENIED', 'Your login does not allow this here.')} if known !allowed"
    yield f"{_challenge()} if !allowed"


def _space_rules(storage_state: str) -> Iterator[str]:
    """Yield the rules that refuse allowed pushes while the storage is nearly full. Pulls and deletions go on."""
    yield ""
    yield f"acl full str(storage),map({storage_state}) -m str full"
    message = "The storage of the registry is nearly full. Delete images and collect garbage, or add space."
    yield f"{_refusal(507, 'DENIED', message)} if writes full"


def _rule(number: int, rule: AccessRule) -> Iterator[str]:
    """Yield the lines that allow what one access rule allows. `number` makes the names of its ACLs unique."""
    yield ""
    groups: dict[tuple[str, ...], str] = {(ANONYMOUS,): "", (AUTHENTICATED,): " authenticated"}
    user = groups.get(rule.users, f" users{number}")
    if rule.users not in groups:
        yield from _acl(f"users{number}", "var(txn.user) -m str", rule.users)
    patterns = [pattern_of(glob) for glob in rule.repositories]

    def allow(name: str, method: str, ending: str) -> Iterator[str]:
        yield from (f"acl {name}{number} path -m reg '^/v2/{pattern}/{ending}$'" for pattern in patterns)
        yield f"http-request set-var(txn.allowed) bool(true) if{user} {method} {name}{number}"

    yield from allow("pull", "reads", READABLE)
    if EVERYTHING in rule.repositories:
        yield f"http-request set-var(txn.allowed) bool(true) if{user} reads {{ path /v2/_catalog }}"
    if PUSH in rule.rights:
        yield from allow("push", "writes", WRITABLE)
        yield from allow("upload", "{ method GET HEAD DELETE }", UPLOADS)
    if DELETE in rule.rights:
        yield from allow("delete", "{ method DELETE }", CONTENT)
    yield from (f"acl source{number} url_param(from),url_dec -m reg '^{pattern}$'" for pattern in patterns)
    yield f"http-request set-var(txn.mountable) bool(true) if{user} source{number}"


def _acl(name: str, sample: str, values: Iterable[str]) -> Iterator[str]:
    """Yield the lines of an ACL. Lines of the same name are alternatives."""
    remaining: Sequence[str] = [*values]
    while remaining:
        yield f"acl {name} {sample} {' '.join(remaining[:VALUES_OF_A_LINE])}"
        remaining = remaining[VALUES_OF_A_LINE:]


def _token(value: str) -> str:
    body = json.dumps({"token": value, "access_token": value, "expires_in": TOKEN_SECONDS})
    return f"http-request return status 200 content-type application/json hdr Cache-Control no-store lf-string '{body}'"


def _challenge() -> str:
    """Return the answer that sends a client to `/token` on the host of its request."""
    bearer = '\'Bearer realm="https://%[req.hdr(host)]/token",service="registry"\''
    return (
        _refusal(401, "UNAUTHORIZED", "Log in first, or check name and password.") + f" hdr WWW-Authenticate {bearer}"
    )


def _refusal(status: int, code: str, message: str) -> str:
    """Return an answer with an error of the OCI distribution specification."""
    return (
        f"http-request return status {status} content-type application/json string '{_error_body(code, message)}' "
        "hdr Docker-Distribution-Api-Version registry/2.0"
    )


def _error_body(code: str, message: str) -> str:
    return json.dumps({"errors": [{"code": code, "message": message}]})
