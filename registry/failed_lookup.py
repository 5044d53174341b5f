"""The end of a program whose lookups fail, because a right is missing or the cluster does not answer.

The engine prints the provider's reason, answers the request for the chart without the reason, and interrupts the
program. The SDK would print a traceback for the answer and another for the interrupt. So the program ends here, with a
message that says what to do.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

ANSWER = "resource monitor shut down"
"""Answer of the engine to the request that failed. Other requests get a longer answer."""

EXIT_CODE = 32
"""Exit code of a program that has printed its error. After any other code, the engine prints one more error."""

REMEDY = (
    "The registry could not look up objects of the cluster, for the reason in the error above. If the reason is "
    "`forbidden`, grant the rights in docs/rights.yaml to the user who deploys. If the cluster is `unreachable`, use "
    "another one by `kubectl config use-context`, until `kubectl cluster-info` succeeds. docs/symptoms.md has both."
)


class LookupFailed(pulumi.RunError):
    """The provider could not look up the objects. Only the engine knows the reason."""


class _Interrupts:
    """The interrupts of this process. Lookups delay them, so that the message about a failure comes first."""

    def __init__(self) -> None:
        self._lookups = 0
        self._has_arrived = False

    def can_be_delayed(self) -> bool:
        """Return whether an interrupt would end this process, and an event loop can delay the interrupt.

        A plugin handles interrupts itself, only the main thread gets them, and event loops on Windows cannot.
        """
        is_main = threading.current_thread() is threading.main_thread()
        return (
            os.name == "posix"
            and is_main
            and (self._lookups > 0 or signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        )

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Delay interrupts until the last lookup has ended. Drop them if a lookup raises `SystemExit`."""
        loop = asyncio.get_running_loop()
        if not self._lookups:
            loop.add_signal_handler(signal.SIGINT, self._arrive)
        self._lookups += 1
        try:
            yield
        except Exception:  # not SystemExit, which ends the program without its interrupts
            self._end_lookup(loop)
            raise
        else:
            self._end_lookup(loop)

    def _arrive(self) -> None:
        self._has_arrived = True

    def _end_lookup(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lookups -= 1
        if not self._lookups:
            loop.remove_signal_handler(signal.SIGINT)
            if self._has_arrived:
                signal.raise_signal(signal.SIGINT)


_interrupts = _Interrupts()


async def wait_for_lookups(chart: pulumi.Resource) -> None:
    """Wait until the provider has rendered the chart. If it cannot, print the remedy and end the program.

    Raises:
        SystemExit: The lookups failed in a program.
        LookupFailed: They failed in a plugin or in the Automation API, whose process must go on.
    """
    if not _interrupts.can_be_delayed():
        await _wait(chart)
        return
    with _interrupts.delayed():
        try:
            await _wait(chart)
        except LookupFailed:
            raise SystemExit(EXIT_CODE) from None


async def _wait(chart: pulumi.Resource) -> None:
    try:
        await chart.urn.future()
    except Exception as error:
        if str(error) != ANSWER:
            raise
        pulumi.log.error(REMEDY)
        raise LookupFailed(REMEDY) from error
