"""The lookup of the Prometheus operator's CRDs, which a ServiceMonitor needs."""

from pulumi_kubernetes.apiregistration.v1 import APIService

from ..context import Context

MONITORING_API = "v1.monitoring.coreos.com"
"""The APIService of every cluster that has the operator's CRDs. A CRD itself would fill the state."""


def look_up_operator(ctx: Context) -> APIService:
    """Look up the API of the operator, so that `pulumi preview` fails without it.

    Without the lookup the provider would wait for a minute, after everything else was created. The name of the
    resource holds the remedy (see lookup.py).
    """
    name = f"{ctx.name}-metrics-needs-the-crds-of-the-prometheus-operator"
    return APIService.get(name, MONITORING_API, opts=ctx.options())
