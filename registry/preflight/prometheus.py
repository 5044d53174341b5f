"""The lookup of the Prometheus operator's CRDs, which a ServiceMonitor needs."""

import pulumi
from pulumi_kubernetes.apiregistration.v1 import APIService

from ..context import Context

MONITORING_API = "v1.monitoring.coreos.com"
"""The APIService of every cluster that has the operator's CRDs. A CRD itself would fill the state."""


def look_up_operator(ctx: Context, after: pulumi.Output[pulumi.Resource]) -> APIService:
    """Look up the API of the operator, so that `pulumi preview` fails without it.

    Without the lookup the provider would wait for a minute, after everything else was created.
    """
    name = f"{ctx.name}-metrics-needs-the-crds-of-the-prometheus-operator"
    return APIService.get(name, after.apply(lambda _: MONITORING_API), opts=ctx.options())
