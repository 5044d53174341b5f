"""The project's program with the provider's default readiness check of a Service, which the component skips.

Pulumi runs this file as the program of another project, which the benchmark creates (`methods.DEFAULT_WAIT`).
"""

import runpy
from pathlib import Path
from typing import Any

import pulumi

PROGRAM = Path(__file__).resolve().parent.parent
SKIP_AWAIT = "pulumi.com/skipAwait"


def with_default_wait(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Remove the annotation from a Service. Leave every other resource unchanged."""
    if args.type_ != "kubernetes:core/v1:Service":
        return None
    metadata: Any = args.props["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key != SKIP_AWAIT}
    return pulumi.ResourceTransformResult(
        {**args.props, "metadata": {**metadata, "annotations": annotations}}, args.opts
    )


if __name__ == "__main__":
    pulumi.runtime.register_resource_transform(with_default_wait)
    runpy.run_path(str(PROGRAM), run_name="__main__")
