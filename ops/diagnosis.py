"""Turn exceptions and HTTP statuses into a cause and a remedy.

Only failures that were observed are listed. Any other error is shown with its own text, without the password.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

import requests

from .errors import CheckError, CommandError
from .server_errors import explain, find_store
from .stack import PASSWORD_DELAY_MINUTES, REGISTRY_SELECTOR, Outputs
from .tls import EXPIRED, NOT_YET_VALID, TIMEOUT, WRONG_ADDRESS, WRONG_HOST

WRITES = ("POST", "PUT", "PATCH")
"""Methods of a push."""

COLLECT = "Run `python -m ops collect`, or use a larger disk."

WRITE_ERRORS = (
    # CNCF Distribution 3 answers with the text, and version 2 with the number of the error.
    (
        r'no space left on device|disk quota exceeded|"Err":\s*(28|122)\b',
        "its disk is full, or has no inodes left",
        COLLECT,
    ),
    (
        r'read-only file system|"Err":\s*30\b',
        "its file system is read-only",
        "Read `dmesg` on the node for the cause, then run `mount -o remount,rw` for that file system.",
    ),
    (
        r'permission denied|"Err":\s*13\b',
        "its folder belongs to another user",
        "Run `chown -R` with the user of the registry on that folder, as docs/symptoms.md shows.",
    ),
)
"""Rows of pattern, cause and remedy for errors of a file system that the registry answers with."""

NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH)


def diagnose(error: Exception, outputs: Outputs, server: str) -> CommandError:
    """Return the cause and remedy of `error`, which occurred while talking to `server`.

    Libraries wrap errors, so the whole chain of exceptions is searched.
    """
    for link in _error_chain(error):
        diagnosis = _diagnose_one(link, outputs, server)
        if diagnosis:
            return diagnosis
    text = str(error).replace(outputs.password, "…") if outputs.password else str(error)
    return CheckError(
        f"Unexpected {type(error).__name__}: {text.rstrip('.')}.",
        f"Read the registry's log: `kubectl -n {outputs.namespace} logs --selector {REGISTRY_SELECTOR}`.",
    )


def _error_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _diagnose_one(error: BaseException, outputs: Outputs, server: str) -> CommandError | None:
    match error:
        case CommandError():
            return error
        case ssl.SSLCertVerificationError():
            return _diagnose_certificate(error, outputs)
        case requests.HTTPError():
            return _diagnose_status(error.response, outputs)
        case OSError():
            return _diagnose_connection(error, outputs, server)
        case _:
            return None


def _diagnose_connection(error: OSError, outputs: Outputs, server: str) -> CheckError | None:
    command = f"`kubectl -n {outputs.namespace} get pods,services`"
    match error:
        case socket.gaierror():
            return CheckError(
                f"The name {outputs.host} does not resolve (no such host).",
                f"Add `ADDRESS {outputs.host}` to /etc/hosts with the address that clients use, or pass --address.",
            )
        case ssl.SSLEOFError() | ConnectionResetError() | BrokenPipeError():
            return CheckError(
                f"{server} closed the connection.",
                f"The registry may be restarting. See {command}. `pulumi up --refresh` creates missing objects again.",
            )
        case ssl.SSLError():
            return CheckError(
                f"{server} does not speak TLS.",
                f"Another program may use the port. See {command}. `pulumi up --refresh` creates missing objects "
                "again.",
            )
        case ConnectionRefusedError():
            return CheckError(
                f"The connection was refused, because no program listens at {server}.",
                f"See {command}. `pulumi up --refresh` creates missing objects again.",
            )
        case TimeoutError():
            return CheckError(
                f"There was no answer from {server} within {TIMEOUT:.0f} seconds (timeout).",
                "Check that the node is up, that the address is right, and that neither a firewall nor `client_cidrs` "
                "blocks this machine. Pass --address to use another address.",
            )
        case OSError(errno=number) if number in NO_ROUTE:
            return CheckError(
                f"There is no route to {server}.",
                "Check with `ip route` that this machine reaches the network of the nodes.",
            )
        case _:
            return None


def _diagnose_certificate(error: ssl.SSLCertVerificationError, outputs: Outputs) -> CheckError:
    match error.verify_code:
        case code if code == EXPIRED:
            return CheckError(
                "The server certificate has expired (x509).",
                "Renew it with `pulumi up`. With `tls_secret`, renew it in that Secret first. If this machine's clock "
                "is ahead, correct the clock.",
            )
        case code if code == NOT_YET_VALID:
            return CheckError(
                "The server certificate is not valid yet (x509).", "Correct this machine's clock, which is behind."
            )
        case code if code in (WRONG_HOST, WRONG_ADDRESS):
            return CheckError(
                f"The server certificate is not valid for {outputs.host} (x509).",
                "Run `pulumi up --refresh`, because the Pod may still serve an old certificate. With `tls_secret`, "
                "issue a certificate for this name.",
            )
        case _:
            return CheckError(
                f"The server certificate was not issued by the stack's CA (x509: {error.verify_message}).",
                "Run `pulumi up --refresh`, because the Pod may still serve an old certificate. If that does not help, "
                "another registry answers at this address.",
            )


def _diagnose_status(response: requests.Response, outputs: Outputs) -> CheckError:
    status, method = response.status_code, response.request.method
    path = (response.request.path_url or "").partition("?")[0]
    logs_command = f"`kubectl -n {outputs.namespace} logs --selector {REGISTRY_SELECTOR}`"
    if status == 401:
        return CheckError(
            f"The registry rejected the password of {outputs.username!r} (401 for {method} {path}).",
            "Run `pulumi up --refresh` to restore the stack's password. The registry reloads it within "
            f"{PASSWORD_DELAY_MINUTES} minutes.",
        )
    if status == 403:
        return CheckError(
            f"The registry accepted the password of {outputs.username!r}, but not the request (403 for {method} "
            f"{path}).",
            "Run `pulumi up --refresh` to restore the access rules, which allow the first user everything in the "
            "repository of the test image.",
        )
    if status == 507:
        return CheckError(
            f"The registry refuses pushes, because less than `min_free` percent of its storage is free (507 for "
            f"{method} {path}).",
            f"{COLLECT} Pushes go on a second after there is enough space.",
        )
    if status == 500 and method in WRITES:
        return _diagnose_write(response.text, f"500 for {method} {path}", logs_command)
    if status in (502, 503, 504):
        return CheckError(
            f"The registry is not ready, or a proxy answered in its place ({status} for {method} {path}).",
            f"Try again in a moment, then read the log: {logs_command}.",
        )
    return CheckError(f"The registry answered {status} to {method} {path}.", f"Read its log: {logs_command}.")


def _diagnose_write(answer: str, request: str, logs_command: str) -> CheckError:
    """Return the cause and remedy of a write that failed, by the text of the registry's answer."""
    for pattern, cause, remedy in WRITE_ERRORS:
        if re.search(pattern, answer):
            return CheckError(f"The registry cannot write: {cause} ({request}).", remedy)
    if store := find_store(answer):
        return explain(store, answer)
    return CheckError(
        f"The registry cannot write ({request}): its disk is full, or it has no permission to write to its folder.",
        f"Check the disk with `df` on the node and free space. Read the log with {logs_command}.",
    )
