"""The platform team's stack: a protected workspace for a team, on a cluster that the config names."""

import pulumi
import pulumi_kubernetes as kubernetes
from workspace import Workspace

from registry import redact_debug_log

redact_debug_log()
config = pulumi.Config()

cluster = kubernetes.Provider("cluster", context=config.get("context") or None)
workspace = Workspace(
    "payments",
    config.require("curl_image"),
    pulumi.ResourceOptions(provider=cluster, protect=config.require_bool("protect")),
)
pulumi.export("endpoint", workspace.endpoint)
pulumi.export("apps", workspace.apps)
