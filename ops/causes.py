"""What went wrong and what to do: exceptions and statuses, put for a person who has a registry to run.

Only what is known to happen is listed; anything else is named as it is. No text here may hold a credential.
"""

import errno
import socket
import ssl
from collections.abc import Iterator

import requests

from .client import TIMEOUT
from .stack import Outputs, Refusal

EXPIRED, NOT_YET_VALID, OTHER_HOST, OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_ numbers; any other number means that no trusted CA vouches for the certificate."""

UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)


class Fault(Exception):
    """A check that did not hold: what was seen, and the remedy."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause, self.remedy = cause, remedy


def explain(error: Exception, outputs: Outputs, where: str) -> Fault:
    """The fault behind `error`, met at `where`; libraries wrap what they meet, so the whole chain is looked through."""
    for link in _chain(error):
        fault = _known(link, outputs, where)
        if fault:
            return fault
    text = f"{type(error).__name__}: {error}"
    text = text.replace(outputs.password, "…") if outputs.password else text
    return Fault(text, f"see `kubectl -n {outputs.namespace} logs --selector app.kubernetes.io/name=docker-registry`")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _known(error: BaseException, outputs: Outputs, where: str) -> Fault | None:
    match error:
        case Fault():
            return error
        case ssl.SSLCertVerificationError():
            return _certificate(error, outputs)
        case Refusal():
            return _refusal(str(error))
        case requests.HTTPError():
            return _status(error.response, outputs)
        case OSError():
            return _connection(error, outputs, where)
        case _:
            return None


def _refusal(text: str) -> Fault:
    """What is in the way, and what to do about it: the two are one line, with one of two signs in between."""
    cause, sign, remedy = text.rpartition("; ")
    if not sign:
        cause, sign, remedy = text.rpartition(": ")
    return Fault(cause, remedy) if sign else Fault(text, text)


def _connection(error: OSError, outputs: Outputs, where: str) -> Fault | None:
    look = f"see `kubectl -n {outputs.namespace} get pods,services`; `pulumi up --refresh` puts back what is missing"
    match error:
        case socket.gaierror():
            line = f"add `ADDRESS {outputs.host}` to /etc/hosts with a node's address, or give --address"
            return Fault(f"no such host: {outputs.host}", line)
        case ssl.SSLEOFError() | ConnectionResetError() | BrokenPipeError():
            return Fault(f"{where} cut the connection", f"the registry may be restarting: {look}")
        case ssl.SSLError():
            return Fault(f"{where} does not speak TLS", f"another program may have the port: {look}")
        case ConnectionRefusedError():
            return Fault(f"connection refused: nothing listens at {where}", look)
        case TimeoutError():
            way = "a firewall on the way? Is the node up, and the address the Service's? Else give --address"
            return Fault(f"timeout: no answer from {where} within {TIMEOUT:.0f} s", way)
        case OSError(errno=number) if number in UNREACHABLE:
            return Fault(f"no route to {where}", "see `ip route`: this machine must reach the node's network")
        case _:
            return None


def _certificate(error: ssl.SSLCertVerificationError, outputs: Outputs) -> Fault:
    renew = "`pulumi up` renews it"
    match error.verify_code:
        case code if code == EXPIRED:
            return Fault("x509: the certificate has expired", f"{renew}; or this machine's clock is ahead")
        case code if code == NOT_YET_VALID:
            return Fault("x509: the certificate is not valid yet", "set this machine's clock: it is behind")
        case code if code in (OTHER_HOST, OTHER_ADDRESS):
            line = "is `hostname` of the config the name that clients type? `pulumi up` makes a certificate for it"
            return Fault(f"x509: the certificate is not for {outputs.host}", line)
        case _:
            cause = f"x509: the certificate is not by the stack's CA ({error.verify_message})"
            line = "another registry answers there, or a Pod from before the last change: `pulumi up --refresh`"
            return Fault(cause, line)


def _status(response: requests.Response, outputs: Outputs) -> Fault:
    request, status = response.request, response.status_code
    cause = f"{status} to {request.method} {(request.path_url or '').partition('?')[0]}"
    logs = f"see `kubectl -n {outputs.namespace} logs --selector app.kubernetes.io/name=docker-registry`"
    if status in (401, 403):
        line = (
            "the registry knows another password: `pulumi up --refresh` writes the stack's; it counts within a minute"
        )
        return Fault(f"{cause}: user {outputs.username!r} is refused", line)
    if status in (500, 507) and request.method in ("POST", "PUT", "PATCH"):
        line = f"`df` on the node; make room, partial uploads lie below the repositories in _uploads; {logs}"
        return Fault(f"{cause}: the registry cannot write: its disk is full, or its folder is not its own", line)
    if status in (502, 503, 504):
        return Fault(f"{cause}: not ready, or something in between answers for it", f"try again in a moment; {logs}")
    return Fault(cause, logs)
