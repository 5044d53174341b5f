"""Rules for the issuer of cert-manager that issues the server certificate."""

from collections.abc import Mapping
from typing import Any

from .errors import InvalidInput, quoted

CERT_MANAGER_API = "cert-manager.io/v1"


def refuse_unusable_issuer(name: str, issuer: Mapping[str, Any]) -> None:
    """Refuse an issuer that is not ready, or whose certificates are their own CAs."""
    if "selfSigned" in (issuer.get("spec") or {}):
        problem = f"names {quoted(name)}, whose certificates sign themselves, so no client would trust a renewed one"
        remedy = (
            "Let it issue a CA, and name an issuer that uses this CA (https://cert-manager.io/docs/configuration/ca/)"
        )
        raise InvalidInput("certificate_issuer", "self-signed", problem, remedy)
    for condition in (issuer.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] != "True":
            reason = " ".join(str(condition.get("message") or condition.get("reason") or "no reason").split())
            problem = f"names {quoted(name)}, which is not ready: {reason.rstrip('.')}"
            raise InvalidInput("certificate_issuer", "issuer-not-ready", problem, "Correct the issuer, and try again")


def issuer_advice(issuer: Mapping[str, Any]) -> str:
    """Return a note about the CA bundle of a public issuer, else "". Its certificates come without their root."""
    if "acme" not in (issuer.get("spec") or {}):
        return ""
    return (
        "`certificate_issuer` names an ACME issuer, whose Secrets have no ca.crt. So the output `ca_pem` has the CAs "
        "that issued the certificate, up to the public root that this machine trusts."
    )
