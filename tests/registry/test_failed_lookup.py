"""A failed lookup ends the program with one message. An interrupt waits until the lookups have ended."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from registry import failed_lookup
from registry.failed_lookup import ANSWER, EXIT_CODE, REMEDY, LookupFailed, wait_for_lookups

FAILED = Exception(ANSWER)
SHUT_DOWN = pulumi.RunError(f"{ANSWER} while waiting for construct to complete")
"""Error of the chart if another resource of the program failed, or a person pressed Ctrl-C."""


@pytest.fixture(autouse=True)
def handler_of_python() -> Iterator[None]:
    """Handle an interrupt as a program does. A shell starts a pytest in the background without a handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the printed errors. A lookup that ends the program leaves its handler, so each test has its own."""
    monkeypatch.setattr(failed_lookup, "_interrupts", failed_lookup._Interrupts())
    printed: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", printed.append)
    return printed


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a program in an event loop of its own, which removes its signal handlers when it ends."""
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(main())


async def look_up(error: Exception | None = None, turns: int = 5, *, interrupt: bool = False) -> None:
    """Wait for lookups that end after some turns of the loop. The engine may interrupt the program before that."""

    async def urn() -> str:
        for turn in range(turns):
            if interrupt and turn == 1:
                signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
        if error is not None:
            raise error
        return "urn"

    await wait_for_lookups(cast(Any, SimpleNamespace(urn=SimpleNamespace(future=urn))))


@pytest.mark.parametrize("interrupt", [False, True], ids=["before the interrupt", "after the interrupt"])
def test_a_failed_lookup_ends_the_program_with_one_message(errors: list[str], interrupt: bool) -> None:
    with pytest.raises(SystemExit) as end:
        run(lambda: look_up(FAILED, interrupt=interrupt))
    assert end.value.code == EXIT_CODE
    assert errors == [REMEDY]


def test_an_interrupt_does_not_print_a_traceback_while_the_program_ends(errors: list[str]) -> None:
    async def main() -> None:
        try:
            await look_up(FAILED)
        finally:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit):
        run(main)
    assert errors == [REMEDY]


def test_a_process_that_must_go_on_gets_an_error(errors: list[str]) -> None:
    with ThreadPoolExecutor() as executor, pytest.raises(LookupFailed):
        executor.submit(run, lambda: look_up(FAILED)).result()
    assert errors == [REMEDY]


def test_a_process_with_a_handler_of_its_own_gets_an_error() -> None:
    signal.signal(signal.SIGINT, lambda *_: None)
    with pytest.raises(LookupFailed):
        run(lambda: look_up(FAILED))


@pytest.mark.parametrize(("interrupt", "end"), [(False, pulumi.RunError), (True, KeyboardInterrupt)])
def test_the_failure_of_another_resource_is_not_one_of_the_lookups(
    errors: list[str], interrupt: bool, end: type[BaseException]
) -> None:
    with pytest.raises(end):
        run(lambda: look_up(SHUT_DOWN, interrupt=interrupt))
    assert errors == []


def test_an_interrupt_ends_the_program_after_lookups_that_succeed() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(lambda: look_up(interrupt=True))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_waits_for_the_lookups_of_every_registry(errors: list[str]) -> None:
    async def main() -> None:
        await asyncio.gather(look_up(interrupt=True), look_up(FAILED, turns=9))

    with pytest.raises(SystemExit):
        run(main)
    assert errors == [REMEDY]
