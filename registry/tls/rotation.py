"""Rotations go one step at a time. The state remembers the completed steps, because programs do not know the last run.

Each step has a note, a Stash. Its output is the step that was current when the note was written. A completed step
writes its own note again, and other steps leave it (docs/adr/0014-rotation.md).
"""

from collections.abc import Sequence

import pulumi

from ..context import Context
from ..validation.rotation import STEPS, require_next_step, step_of


class Rotation:
    """The notes of one input. They are known at preview, so a step is refused there already."""

    step_allowed: pulumi.Output[pulumi.Resource]
    """For `depends_on` of every resource that the step changes. It fails if the step is refused."""

    def __init__(self, ctx: Context, name: str, key: str, generations: Sequence[int]) -> None:
        self._ctx, self._name, self._step = ctx, name, step_of(generations)
        others = [step for step in range(self._step + 2) if step != self._step]
        notes = [self._note(step, ctx.options(ignore_changes=["input"])) for step in others]

        def check(outputs: list[float | None]) -> pulumi.Resource:
            # Under Pulumi mocks of a user's own tests, a Stash has no output.
            written = {
                step: self._step if output is None else int(output)
                for step, output in zip(others, outputs, strict=True)
            }
            require_next_step(key, generations, written)
            return notes[-1]

        self.step_allowed = pulumi.Output.all(*(note.output for note in notes)).apply(check)

    def record_step(self, after: Sequence[pulumi.Resource]) -> None:
        """Record the step once `after` is deployed, so that a step that was cut off is repeated.

        The last step has no intermediate state, so it is recorded without waiting for the workload.
        """
        dependencies = after if self._step % STEPS else ()
        self._note(
            self._step,
            self._ctx.options(depends_on=[self.step_allowed, *dependencies], replace_on_changes=["input"]),
        )

    def _note(self, step: int, opts: pulumi.ResourceOptions) -> pulumi.Stash:
        return pulumi.Stash(f"{self._name}-step-{step}", input=self._step, opts=opts)
