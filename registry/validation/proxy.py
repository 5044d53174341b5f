"""Rules for the proxy through which the registry connects to servers. No message shows a value, which may be secret."""

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import unquote

from .basics import did_you_mean
from .errors import InvalidInput
from .names import is_dns_name
from .network import ip_version
from .servers import is_own_host, is_port, is_url_host

PROXY_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<login>(?:[a-z0-9._~!$&'()*+,;=:-]|%[0-9a-f]{2})+)@)?"
    r"(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
"""The URL of a proxy. The login is percent-encoded, RFC 3986. Go fails to parse any other login, and logs the URL."""

PROXY_KEYS = ("http", "https", "no_proxy")

MOST_EXCLUDED = 200
"""Most entries of `no_proxy`. The environment of a process has room for many more."""


def outbound_proxy(value: Mapping[str, str]) -> dict[str, str]:
    """Require the URLs of proxies, and hosts that are reached without them. No message shows a value."""
    if not isinstance(value, Mapping):
        problem = f"must be a map with {', '.join(PROXY_KEYS)}, not a value of type {type(value).__name__}"
        raise InvalidInput("outbound_proxy", "not-a-map", problem, _set_proxy("https", "http://proxy.example.com:3128"))
    for key in value:
        if key not in PROXY_KEYS:
            remedy = did_you_mean(str(key), PROXY_KEYS, "outbound_proxy.") or f"The keys are {', '.join(PROXY_KEYS)}"
            raise InvalidInput("outbound_proxy", "unknown-key", "has a key that is no setting", remedy)
    if not value.get("http") and not value.get("https"):
        problem = "names no proxy"
        remedy = _set_proxy("https", "http://proxy.example.com:3128")
        raise InvalidInput("outbound_proxy", "missing", problem, remedy)
    proxies = {key: _proxy_url(f"outbound_proxy.{key}", value[key]) for key in ("http", "https") if value.get(key)}
    excluded = _excluded(value.get("no_proxy") or "")
    return proxies | ({"no_proxy": ",".join(excluded)} if excluded else {})


def has_no_login(text: str) -> bool:
    """Return whether `outbound_proxy`, as the JSON of a stack's config, is a map without a login."""
    try:
        return isinstance(json.loads(text), dict) and "@" not in text
    except ValueError:
        return False


def _proxy_url(key: str, value: object) -> str:
    """Return the URL without its final slash. It may contain a password, so no message shows it."""
    example = "http://proxy.example.com:3128"
    remedy = _set_proxy(key.partition(".")[2], example)
    match = PROXY_URL.fullmatch(value) if isinstance(value, str) else None
    if match is None or not is_url_host(match["host"].lower()) or not is_port(match["port"]):
        problem = "must be the http or https URL of a proxy, without a path"
        encoding = "In user and password, write other characters percent-encoded, such as %40 for @"
        raise InvalidInput(key, "not-a-proxy-url", problem, f"{remedy}. {encoding}")
    if not unquote(match["login"] or "x").isprintable():
        raise InvalidInput(key, "not-a-proxy-url", "has a control character in its login", remedy)
    if is_own_host(match["host"].lower()):
        raise InvalidInput(key, "loopback", "must not be the Pod itself", f"Use the address that Pods reach: {remedy}")
    return match[0].rstrip("/")


def _excluded(value: object) -> list[str]:
    """Return the entries of `no_proxy` as Go reads them: hosts, .domains, addresses and networks."""
    key, example = "outbound_proxy.no_proxy", "10.0.0.0/8,.example.com"
    remedy = f"Run `pulumi config set --path {key} {example}`"
    if not isinstance(value, str):
        problem = f"must be text with commas, not a value of type {type(value).__name__}"
        raise InvalidInput(key, "not-text", problem, remedy)
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if len(entries) > MOST_EXCLUDED:
        raise InvalidInput(key, "too-many", f"must have at most {MOST_EXCLUDED} entries, not {len(entries)}", remedy)
    for entry in entries:
        if not _is_excludable(entry):
            problem = "must be hosts, .domains, addresses or networks with commas, without schemes and paths"
            raise InvalidInput(key, "not-a-host", problem, remedy)
    return entries


def _is_excludable(entry: str) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return bool(ip_network(entry, strict=False))
        except ValueError:
            return False
    host, colon, port = entry.rpartition(":")
    if not colon or ip_version(entry):
        host, port = entry, ""
    if port and not (port.isdigit() and is_port(port)):
        return False
    return bool(ip_version(host.strip("[]"))) or is_dns_name(host.lower().removeprefix("*").removeprefix("."))


def _set_proxy(key: str, example: str) -> str:
    return f"Run `pulumi config set --secret --path outbound_proxy.{key} {example}`"
