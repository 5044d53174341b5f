"""A registry through the SDK that `pulumi package add` generates from the component's folder (README.md).

The component runs in a process and a virtual environment of its own. This program needs neither the component's
dependencies nor its version of Python, unlike one with `from registry import PrivateRegistry`.
"""

import platform_private_registry as private_registry
import pulumi

registry = private_registry.PrivateRegistry(
    "python",
    hostname="python.registry.example.com",
    port=5003,
    namespace="registry-from-python",
    storage_path="/var/lib/registry-from-python",
    storage_size="1Gi",
    certificate_key="P-384",
)
for output in ("endpoint", "ca_pem", "password", "namespace", "next_steps"):
    pulumi.export(output, getattr(registry, output))
