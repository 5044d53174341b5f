"""Rules for the servers behind the registry: S3, and the registry that it mirrors."""

import re
from ipaddress import ip_address

from .basics import text
from .errors import InvalidInput, quoted
from .names import is_dns_name, is_localhost
from .network import ip_version

SERVER_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?", re.ASCII
)
"""The URL of a server. The host is checked apart."""

DOCKER_HUB = "https://registry-1.docker.io"
"""URL of the registry of Docker Hub."""

REGISTRY_OF = {
    **dict.fromkeys(("docker.io", "www.docker.io", "index.docker.io", "registry.docker.io"), DOCKER_HUB),
    **dict.fromkeys(("docker.com", "www.docker.com", "hub.docker.com", "registry.hub.docker.com"), DOCKER_HUB),
    "auth.docker.io": DOCKER_HUB,
    "github.com": "https://ghcr.io",
    "gitlab.com": "https://registry.gitlab.com",
    "gallery.ecr.aws": "https://public.ecr.aws",
    "k8s.gcr.io": "https://registry.k8s.io",
}
"""URL of the registry by a host that people type for it: a prefix of image names, a website or a former name."""

AWS_ENDPOINT = re.compile(
    r"s3[.-](?:dualstack\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9])\.amazonaws\.com(?:\.cn)?", re.ASCII
)
"""Host of the S3 service of a region of AWS, which takes only requests for this region."""

STORE_LABELS = re.compile(r"(s3|oss|cos|obs|minio|storage|objects?|object-?storage|ceph|rgw)([.-]|$)", re.ASCII)
"""Beginning of a host that an object store has. If a bucket stands before it, the URL is virtual-hosted style."""

STORE_DOMAINS = (
    ".amazonaws.com",
    ".backblazeb2.com",
    ".digitaloceanspaces.com",
    ".googleapis.com",
    ".linodeobjects.com",
    ".r2.cloudflarestorage.com",
    ".wasabisys.com",
    ".your-objectstorage.com",
)
"""Domains of providers below which any first label may be a bucket."""


def s3_endpoint(value: str, *, key: str = "s3_endpoint") -> str:
    """Require the URL of an S3 server."""
    return server_url(key, value, "https://s3.example.com:9000")


def bucket_not_in_endpoint(s3_endpoint: str, s3_bucket: str, *, prefix: str = "s3_") -> None:
    """Refuse the virtual-hosted style, because requests name the bucket in the path: the server would read it twice.

    `prefix` is that of the keys.
    """
    scheme, _, server = s3_endpoint.partition("://")
    bucket, dot, rest = server[: len(s3_bucket)], server[len(s3_bucket) :][:1], server[len(s3_bucket) + 1 :]
    if bucket != s3_bucket or dot != "." or not _is_store(rest):
        return
    problem = f"must not contain the bucket {quoted(s3_bucket)}, which `{prefix}bucket` names already"
    url = f"{scheme}://{rest}"
    remedy = f"Run `pulumi config set s3_endpoint {url}`" if prefix == "s3_" else f"Use {url!r}"
    raise InvalidInput(f"{prefix}endpoint", "bucket-in-host", problem, remedy)


def region_of_endpoint(s3_endpoint: str, s3_region: str, *, prefix: str = "s3_") -> None:
    """Refuse the endpoint of another region of AWS, which would reject the signature of every request.

    `prefix` is that of the keys.
    """
    match = AWS_ENDPOINT.fullmatch(s3_endpoint.partition("://")[2].partition(":")[0])
    if match and match["region"] != s3_region:
        problem = f"is {quoted(s3_region)}, but `{prefix}endpoint` is a server of {quoted(match['region'])}"
        region = match["region"]
        change = f"Run `pulumi config set s3_region {region}`" if prefix == "s3_" else f"Use {region!r}"
        remedy = f"{change}, or remove `{prefix}endpoint`"
        raise InvalidInput(f"{prefix}region", "region-of-endpoint", problem, remedy)


def clients_reach_bucket(s3_endpoint: str, s3_redirect: bool) -> None:
    """Refuse redirects to a Service of the cluster, whose name neither nodes nor other machines resolve."""
    labels = _host(s3_endpoint).split(".")
    if s3_redirect and (len(labels) == 1 or "svc" in labels[2:]):
        problem = f"must be false, because `s3_endpoint` is {quoted(s3_endpoint)}, whose name clients cannot resolve"
        remedy = "Run `pulumi config set s3_redirect false`, or use a server that clients reach by the same URL"
        raise InvalidInput("s3_redirect", "endpoint-in-cluster", problem, remedy)


def mirror_of(value: str) -> str:
    """Require the URL of a registry, and not that of a website or of a prefix of image names."""
    url = server_url("mirror_of", value, DOCKER_HUB)
    host = _host(url)
    right_url = REGISTRY_OF.get(host, DOCKER_HUB if url.startswith(f"http://{DOCKER_HUB[8:]}") else None)
    if right_url is not None:
        problem = f"must be the URL of a registry, not {quoted(url)}"
        raise InvalidInput("mirror_of", "not-the-registry", problem, f"Run `pulumi config set mirror_of {right_url}`")
    return url


def server_url(key: str, value: str, example: str) -> str:
    """Return the URL without its final slash. Refuse credentials, a path, a query or a fragment."""
    url = text(key, value, example)
    match = SERVER_URL.fullmatch(url)
    if "@" in url:
        problem = "must be a URL without credentials"
        remedy = "Set the credentials by their own keys, so that they stay secret"
        raise InvalidInput(key, "url-credentials", problem, remedy)
    if not match or not is_url_host(match["host"]) or not is_port(match["port"]):
        problem = f"must be the http or https URL of a server, without a path, not {quoted(url)}"
        raise InvalidInput(key, "not-a-server-url", problem, f"For example {example!r}")
    if is_own_host(match["host"]):
        problem = f"must not be {quoted(url)}, which is the Pod itself"
        raise InvalidInput(key, "loopback", problem, f"Use the address that Pods reach, for example {example!r}")
    return url.rstrip("/")


def _host(url: str) -> str:
    match = SERVER_URL.fullmatch(url)
    return match["host"] if match else ""


def is_port(port: str | None) -> bool:
    """Return whether the digits are a TCP port. None stands for the default of the scheme."""
    return 0 < int(port or 443) <= 65535


def is_url_host(host: str) -> bool:
    """Return whether it is a name, an IPv4 address, or an IPv6 address in brackets."""
    if version := ip_version(host.strip("[]")):
        return version == (6 if host.startswith("[") else 4)
    return is_dns_name(host) and not host.rsplit(".", 1)[-1].isdigit()


def is_own_host(host: str) -> bool:
    """Return whether a Pod that connects to the host reaches itself."""
    if not ip_version(host.strip("[]")):
        return is_localhost(host)
    address = ip_address(host.strip("[]"))
    return address.is_loopback or address.is_unspecified


def _is_store(server: str) -> bool:
    """Return whether `host[:port]` looks like an object store without a bucket in front of it."""
    host = server.partition(":")[0]
    is_service = host.partition(".")[2].split(".")[:1] == ["svc"] or "." not in host
    return not is_service and (bool(STORE_LABELS.match(host)) or f".{host}".endswith(STORE_DOMAINS))
