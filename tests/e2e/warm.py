"""A virtual environment whose Python is warm: it runs a Pulumi program without importing the SDKs first.

Half of the processor time of a `pulumi up` of this project is Python's, most of it for imports that are the same in
each run. In this environment `bin/python` hands its arguments, variables, working directory and standard streams to a
server that has done those imports and forks for each run. Engine, language host, providers and program are the real
ones. What a person types runs in the real environment, and so do tests that look at processes.

Three processes of each `pulumi up` run this file's imports, so what only the server needs is imported there.

`python -m tests.e2e.warm SOCKET` is the server, `bin/python` is this file too, run without its package.
"""

import array
import gc
import json
import os
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "python.sock"
FORWARDED = (signal.SIGINT, signal.SIGTERM)
"""Signals that reach the program: the language host sends them when the engine ends an update."""

STREAMS = 3
LIST = ["-m", "pip", "list", "-v", "--format", "json"]
"""Arguments by which the language host looks for plugins in each run. The environment stays as it is: asked once."""

LONGEST = 1 << 22
"""Bytes of the longest request: arguments and variables."""


def ask(path: str) -> int:
    """Have the server run this process's arguments; return the exit code. Runs in a Python without site-packages."""
    if not sys.argv[1:] or (sys.argv[1][0] == "-" and sys.argv[1] not in ("-u", "-m")):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps({"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}).encode()
        streams = array.array("i", range(STREAMS))
        server.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        server.sendall(request)
        for number in FORWARDED:
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        return int(server.recv(8) or b"1")


def serve(path: str) -> None:
    """Answer at `path` until the process is ended: a child for each request sees to its program."""
    import subprocess

    listed = subprocess.run([sys.executable, *LIST], stdout=subprocess.PIPE, check=True).stdout
    _import_what_is_slow()
    gc.freeze()  # what is there stays: no child looks through it, which would also copy its pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(16)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _attend(connection, listed)
            connection.close()


def _attend(connection: socket.socket, listed: bytes) -> None:
    """Run one program and tell its exit code. End it if whoever asked is gone. `listed` is what LIST prints."""
    import select
    from contextlib import suppress

    head, ancillary, *_ = connection.recvmsg(4, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
    streams = array.array("i", ancillary[0][2])
    request = json.loads(_read(connection, int.from_bytes(head, "big")))
    if request["argv"] == LIST:
        with open(streams[1], "wb") as stdout:
            stdout.write(listed)
        connection.sendall(b"0")
        os._exit(0)
    program = os.fork()
    if program == 0:
        connection.close()
        _become(request, streams)
    ended = os.pidfd_open(program)
    while ended not in select.select([ended, connection.fileno()], [], [])[0]:
        told = connection.recv(1)
        os.kill(program, told[0] if told else signal.SIGKILL)
        if not told:
            break
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def _read(connection: socket.socket, length: int) -> bytes:
    assert length < LONGEST
    content = b""
    while len(content) < length:
        content += connection.recv(length - len(content))
    return content


def _become(request: "dict[str, Any]", streams: "array.array[int]") -> None:
    """Be the process that asked: run a module (`-m NAME`) or a file as `__main__`, and exit as Python does."""
    import runpy

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a daemon of a shell starts with it ignored
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    argv = [each for each in request["argv"] if each != "-u"]
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(write_through=True)  # type: ignore[union-attr]
    code: Any = 0
    try:
        if argv[0] == "-m":
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            sys.path[0] = os.path.dirname(argv[0])
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os._exit(code or 0)


def _import_what_is_slow() -> None:
    """Import the component for what it imports, then forget the component itself: a program brings its own."""
    import pulumi.log
    import pulumi.provider.experimental.component
    import pulumi_kubernetes.core.v1
    import pulumi_random
    import pulumi_tls

    debug = pulumi.log.debug
    import registry

    pulumi.log.debug = debug  # a program's own import replaces it
    # Resolved at their first use only.
    _ = (pulumi_kubernetes.core.v1.Secret, pulumi_random.RandomPassword, pulumi_tls.PrivateKey, registry)
    for name in [each for each in sys.modules if each.partition(".")[0] == "registry"]:
        del sys.modules[name]


if __name__ == "__main__":
    if __package__:
        serve(sys.argv[1])
    else:
        sys.exit(ask(os.path.join(os.path.dirname(os.path.dirname(sys.argv[0])), SOCKET)))
