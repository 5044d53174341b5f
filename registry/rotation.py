"""A rotation goes one step at a time, and the state remembers how far it is: no config can leave a step out.

Nothing else does: a program is not told what the last one was. So each step has a note, a resource of which nothing but
the keepers matters. They say at which step the note was made, and only its own step makes it anew
(docs/adr/0014-rotation.md).
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_random as random

from .validation.generations import STEPS, one_step, step_of


class Rotation:
    """The notes of one key, as children of `parent`. They are known at `preview`, so a refusal is too."""

    permitted: pulumi.Output[pulumi.Resource]
    """For `depends_on` of whatever a step changes: it fails where the step is refused."""

    def __init__(self, name: str, key: str, generations: Sequence[int], parent: pulumi.Resource | None) -> None:
        self._name, self._step, self._parent = name, step_of(generations), parent
        kept = pulumi.ResourceOptions(parent=parent, ignore_changes=["keepers"])
        others = [step for step in range(self._step + 2) if step != self._step]
        notes = [self._note(step, kept) for step in others]

        def judge(keepers: list[Mapping[str, str]]) -> pulumi.Resource:
            one_step(key, generations, {step: int(each["at"]) for step, each in zip(others, keepers, strict=True)})
            return notes[-1]

        self.permitted = pulumi.Output.all(*(note.keepers for note in notes)).apply(judge)

    def taken(self, after: Sequence[pulumi.Resource]) -> None:
        """Note that the step is taken, once `after` is there: one that ended halfway is to be repeated.

        Where it ends a rotation, or none is under way, there is no half: what it drops was of no use any more.
        """
        halfway = after if self._step % STEPS else ()
        self._note(self._step, pulumi.ResourceOptions(parent=self._parent, depends_on=[self.permitted, *halfway]))

    def _note(self, step: int, opts: pulumi.ResourceOptions) -> random.RandomString:
        return random.RandomString(f"{self._name}-step-{step}", length=8, keepers={"at": str(self._step)}, opts=opts)
