"""Run a folder as the language host of Python runs plugins and policy packs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]

ENGINE = "127.0.0.1:1"
"""Address of the engine, as the program's argument. No engine listens there."""


@contextmanager
def running(program: Path) -> Iterator[grpc.Channel]:
    """Run `python FOLDER ENGINE` until the block ends, and yield a channel to the port that the program prints."""
    command = [sys.executable, str(program), ENGINE]
    with subprocess.Popen(command, cwd=program.parent, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address = f"127.0.0.1:{process.stdout.readline().strip()}"
            with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
                yield channel
        finally:
            process.kill()
