"""The program with the Service's default wait: `pulumi up` as it would be without the annotation that skips it.

Run by Pulumi as the program of a project of its own, whose folder the benchmark makes (`ways.WAIT`).
"""

import runpy
from pathlib import Path
from typing import Any

import pulumi

PROGRAM = Path(__file__).resolve().parent.parent
SKIP_AWAIT = "pulumi.com/skipAwait"


def with_default_wait(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Take the annotation off a Service; every other resource stays as it is."""
    if args.type_ != "kubernetes:core/v1:Service":
        return None
    metadata: Any = args.props["metadata"]
    kept = {key: value for key, value in metadata["annotations"].items() if key != SKIP_AWAIT}
    return pulumi.ResourceTransformResult({**args.props, "metadata": {**metadata, "annotations": kept}}, args.opts)


if __name__ == "__main__":
    pulumi.runtime.register_resource_transform(with_default_wait)
    runpy.run_path(str(PROGRAM), run_name="__main__")
