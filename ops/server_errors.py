"""Turn an error that the registry reports about its object store or its upstream into a cause and a remedy.

Only failures that were observed are listed. Any other error is shown with its own text, without credentials.
"""

import re
from typing import NamedTuple

from .errors import CheckError

HEALTH_CHECK = "storage driver health check: "
"""Text in front of an error of the object store in the log of CNCF Distribution 3."""

URL_CREDENTIALS = re.compile(r"://[^@\s]+@")
"""Pattern of credentials in a URL. It is a copy, because `registry.validation.errors` takes a second to import."""

QUERY = re.compile(r"\?[^\s\"\\]+")
"""Pattern of the query in a URL, which is long and says little."""

END_OF_ERROR = re.compile(r"(?<!\\)\" [\w.]+=")
"""Pattern of the next field in a line of the registry's log."""

LONGEST_ERROR = 200
"""Characters of an unknown error that are shown."""


class Server(NamedTuple):
    """A server that the registry uses: its name in messages, the keys of its URL, and those of the login."""

    name: str
    url_keys: str
    login_keys: str


S3 = Server("S3 server", "`s3_endpoint`", "`s3_access_key` and `s3_secret_key`, or the Secret that `s3_secret` names")
AZURE = Server("Azure server", "`azure_endpoint`", "the Secret that `azure_secret` names")
GOOGLE = Server("Google server", "`outbound_proxy`", "the Secret that `gcs_secret` names")
STORE = Server("object store", f"{S3.url_keys} or {AZURE.url_keys}", f"{S3.login_keys}, or {AZURE.login_keys}")
"""An object store of an unknown kind."""

DRIVERS = {"s3aws": S3, "azure": AZURE, "gcs": GOOGLE, "google": GOOGLE}
"""Object stores, by the name of the driver or of its client in an error of the registry."""

STORES = {"s3": S3, "azure": AZURE, "gcs": GOOGLE}
"""Object stores, by `storage`."""

UPSTREAM = Server("upstream", "`mirror_of`", "`mirror_username` and `mirror_password`")

THEN_UP = "Then run `pulumi up`."

FAILURES = (
    # An error of Go ends with the status text of the proxy: `Get "https://host/": Forbidden`. The status of the server
    # itself is written as `status code: 403`.
    (
        r'Proxy Authentication Required|": Unauthorized\b',
        "The proxy refuses the login of the registry (401 or 407).",
        f"Correct user and password in `outbound_proxy`. {THEN_UP}",
    ),
    (
        r'": Forbidden\b',
        "The proxy does not allow connections to the {server.name} (403).",
        f"Allow that server at the proxy, or add its host to `outbound_proxy.no_proxy`. {THEN_UP}",
    ),
    (
        r'": (Bad Gateway|Service Unavailable|Gateway Timeout|Unable to connect)\b',
        "The proxy cannot connect to the {server.name}.",
        f"Correct {{server.url_keys}}, or check that the proxy reaches that server. {THEN_UP}",
    ),
    (
        r"proxyconnect",
        "The registry cannot connect to its proxy, so it cannot reach the {server.name}.",
        f"Check the URLs in `outbound_proxy`, and that the proxy is up. {THEN_UP}",
    ),
    (
        r"x509: certificate signed by unknown authority",
        "The registry does not trust the certificate of the {server.name} (TLS, x509).",
        f"Run `pulumi config set upstream_ca < ca.pem` with the CA of that server. {THEN_UP}",
    ),
    (
        r"x509: certificate has expired or is not yet valid",
        "The certificate of the {server.name} is expired or not yet valid (TLS, x509).",
        "Renew it at that server, or correct the clock of the node.",
    ),
    (
        r"x509: (certificate is (not )?valid for|certificate relies on|cannot validate certificate for) ",
        "The certificate of the {server.name} does not contain the host in {server.url_keys} (TLS, x509).",
        f"Use a name or address of the certificate in {{server.url_keys}}. {THEN_UP}",
    ),
    (
        r"server gave HTTP response to HTTPS client|does not look like a TLS handshake",
        "The {server.name} does not speak TLS.",
        f"Begin {{server.url_keys}} with http:// instead of https://. {THEN_UP}",
    ),
    (
        r"HTTP request to an HTTPS server",
        "The {server.name} speaks only TLS.",
        f"Begin {{server.url_keys}} with https:// instead of http://. {THEN_UP}",
    ),
    (
        r"NoSuchBucket",
        "The bucket does not exist on the S3 server (NoSuchBucket).",
        f"Create the bucket, or correct `s3_bucket`. {THEN_UP}",
    ),
    (
        r"ContainerNotFound",
        "The container does not exist on the Azure server (ContainerNotFound).",
        f"Create the container, or correct `azure_container`. {THEN_UP}",
    ),
    (
        r"bucket doesn't exist",
        "The bucket does not exist on the Google server.",
        f"Create the bucket, or correct `gcs_bucket`. {THEN_UP}",
    ),
    (
        r"could not find default credentials",
        "The registry has no role for the Google server (default credentials).",
        f"Set `gcs_secret`, or give the node or the ServiceAccount of the Pods a role for the bucket. {THEN_UP}",
    ),
    (
        r"azure: .*no such host",
        "The registry cannot connect: the name of the Azure server does not resolve (no such host).",
        f"Correct `azure_account` or {AZURE.url_keys}. {THEN_UP}",
    ),
    (
        r"azure: .*DefaultAzureCredential",
        "The registry has no role for the Azure server (DefaultAzureCredential).",
        "Set `azure_secret`, or give the node or the ServiceAccount of the Pods an identity that may use the "
        f"container. {THEN_UP}",
    ),
    (
        r"AuthorizationHeaderMalformed|BucketRegionError|PermanentRedirect|IllegalLocation|invalid region provided",
        "The bucket is in another region, or the region does not exist.",
        f"Set `s3_region` to the region of the bucket. {THEN_UP}",
    ),
    (
        r"RequestTimeTooSkewed",
        "The clocks of the node and of the S3 server differ by too much (RequestTimeTooSkewed).",
        "Correct the clock of the node or of the server.",
    ),
    (
        r"NoCredentialProviders",
        "The registry found no access key for the S3 server (NoCredentialProviders).",
        f"Set {S3.login_keys}. Or give the node an IAM role that may use the bucket. {THEN_UP}",
    ),
    # XAdminUserNotFound is an error of VersityGW.
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|XAdminUserNotFound|AccessDenied|Forbidden|status code: 40[13]"
        r"|RESPONSE 40[13]|googleapi: Error 40[13]|invalid_grant"
        r"|UNAUTHORIZED|incorrect username or password",
        "The {server.name} refused the login, or the user lacks a right.",
        f"Correct {{server.login_keys}}, and check the rights of that user. {THEN_UP}",
    ),
    (
        r"SlowDown",
        "The {server.name} limits the requests to the bucket (SlowDown).",
        "Wait, then try again.",
    ),
    (
        r"TOOMANYREQUESTS|status code: 429|RESPONSE 429|googleapi: Error 429",
        "The {server.name} limits the requests of the registry (too many requests).",
        f"Wait, or set {{server.login_keys}} to a user with a higher limit. {THEN_UP}",
    ),
    (
        r"no such host|: lookup \S+( on \S+)?: ",
        "The registry cannot connect: the name of the {server.name} does not resolve (no such host).",
        f"Correct {{server.url_keys}}, or add the name to the cluster's DNS. {THEN_UP}",
    ),
    (
        r"connection refused",
        "The registry cannot connect: no program listens at the address of the {server.name} (connection refused).",
        f"Start the server, or correct host and port of {{server.url_keys}}. {THEN_UP}",
    ),
    (
        r"i/o timeout|deadline exceeded|no route to host|network is unreachable|Client\.Timeout",
        "The registry cannot connect: the {server.name} does not answer.",
        "Check that the server is up, that {server.url_keys} is right, and that no firewall blocks the nodes. "
        "If Pods need a proxy, set `outbound_proxy`.",
    ),
    (
        r"connection reset|broken pipe|EOF",
        "The {server.name} closed the connection of the registry.",
        f"Check the scheme and the port in {{server.url_keys}}, and read the log of that server. {THEN_UP}",
    ),
)
"""Rows of pattern, cause and remedy. The patterns match errors of Go, of registries, and of clients of the stores.

The first match counts."""


def find_store(error: str) -> Server | None:
    """Return the object store that an error of the registry is about, or None if it is about none."""
    return next((server for driver, server in DRIVERS.items() if f"{driver}: " in error), None)


def explain(server: Server, error: str) -> CheckError:
    """Return the cause and remedy of `error`, which the registry reports about `server`.

    An unknown error is shown without credentials.
    """
    for pattern, cause, remedy in FAILURES:
        if re.search(pattern, error):
            return CheckError(cause.format(server=server), remedy.format(server=server))
    text = " ".join((error.partition(HEALTH_CHECK)[2] or error).split())
    text = QUERY.sub("", URL_CREDENTIALS.sub("://...@", END_OF_ERROR.split(text)[0]))[:LONGEST_ERROR].rstrip(".")
    return CheckError(
        f"The registry cannot use the {server.name}: {text}.",
        f"Check {server.url_keys}, and read the log of that server.",
    )
