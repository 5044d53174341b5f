"""The project's program with the provider's default readiness check of a Service, which the component skips.

Pulumi runs this file as the program of another project, which the benchmark creates (`methods.DEFAULT_WAIT`).
"""

import runpy
from pathlib import Path
from typing import Any

import pulumi

CLONE = Path(__file__).resolve().parent.parent
SKIP_AWAIT = "pulumi.com/skipAwait"


def remove_skip_await(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Remove the annotation `SKIP_AWAIT` from a Service. Return None for other resources, which stay unchanged."""
    if args.type_ != "kubernetes:core/v1:Service":
        return None
    metadata: Any = args.props["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key != SKIP_AWAIT}
    return pulumi.ResourceTransformResult(
        {**args.props, "metadata": {**metadata, "annotations": annotations}}, args.opts
    )


if __name__ == "__main__":
    pulumi.runtime.register_resource_transform(remove_skip_await)
    runpy.run_path(str(CLONE), run_name="__main__")
