"""Start Pulumi programs in a warm virtual environment, without importing the SDKs in each run.

Python takes half of the processor time of `pulumi up` in this project, mostly for the same imports in each run. In this
environment `bin/python` sends its arguments, variables, working directory and standard streams to a server. The server
has imported the SDKs, and forks for each run. Engine, language host, providers and program are the real ones. Commands
that a person types use the real environment, and so do tests that search processes.

`python -m tests.e2e.warm SOCKET` is the server. `bin/python` is a copy of this file, which runs without its package.
`pulumi up` starts `bin/python` three times, so this file imports at its top only the modules that `bin/python` needs.
"""

import array
import gc
import json
import os
import signal
import socket
import sys

TYPE_CHECKING = False  # mypy takes it for true. To import it from `typing` would take time
if TYPE_CHECKING:
    from typing import Any

SOCKET = "python.sock"
"""Name of the server's socket in the folder of the virtual environment."""

FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals to forward to the program. The language host sends them if the engine ends an update."""

STREAMS = 3
"""Number of standard streams, which are the file descriptors from 0."""

LIST_PLUGINS = ["-m", "pip", "list", "-v", "--format", "json"]
"""Arguments of the language host's search for plugins. The server runs it only once."""

OPS_LIBRARIES = (
    "cryptography.x509",
    "kubernetes.client.api.core_v1_api",
    "kubernetes.config.kube_config",
    "kubernetes.dynamic",
    "kubernetes.stream",
    "requests",
    "rich.console",
    "rich.table",
    "typer",
)
"""Modules that `python -m ops` imports."""

MAX_REQUEST = 1 << 22
"""Bytes of the longest request, with arguments and variables."""


def send_request(path: str) -> int:
    """Let the server run the arguments of this process, and return the exit code.

    Options such as `--version` or `-c` need no SDK. The real Python runs them.
    """
    if not sys.argv[1:] or (sys.argv[1][0] == "-" and sys.argv[1] not in ("-u", "-m")):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps({"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}).encode()
        streams = array.array("i", range(STREAMS))
        server.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        server.sendall(request)
        for number in FORWARDED_SIGNALS:
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        return int(server.recv(8) or b"1")  # no code arrives if the server has ended


def serve(path: str) -> None:
    """Serve requests at the socket `path` until this process ends. Each request gets a child process."""
    import subprocess

    plugin_list = subprocess.run([sys.executable, *LIST_PLUGINS], stdout=subprocess.PIPE, check=True).stdout
    _import_slow_modules()
    gc.freeze()  # a child's garbage collector would copy the pages of all objects
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(16)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _run(connection, plugin_list)
            connection.close()


def _run(connection: socket.socket, plugin_list: bytes) -> None:
    """Run one program and send its exit code, then exit. Kill the program if the client has ended.

    `plugin_list` is the output of LIST_PLUGINS.
    """
    import select
    from contextlib import suppress

    head, ancillary, *_ = connection.recvmsg(4, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
    streams = array.array("i", ancillary[0][2])
    request = json.loads(_read(connection, int.from_bytes(head, "big")))
    if request["argv"] == LIST_PLUGINS:
        with open(streams[1], "wb") as stdout:
            stdout.write(plugin_list)
        connection.sendall(b"0")
        os._exit(0)
    program = os.fork()
    if program == 0:
        connection.close()
        _become_program(request, streams)
    ended = os.pidfd_open(program)
    while ended not in select.select([ended, connection.fileno()], [], [])[0]:
        message = connection.recv(1)  # a signal's number, or nothing if the client has ended
        os.kill(program, message[0] if message else signal.SIGKILL)
        if not message:
            break
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        # The code of a program that a signal ended is negative. A shell's is 128 and the signal.
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def _read(connection: socket.socket, length: int) -> bytes:
    assert length < MAX_REQUEST
    content = b""
    while len(content) < length:
        content += connection.recv(length - len(content))
    return content


def _become_program(request: "dict[str, Any]", streams: "array.array[int]") -> None:
    """Run a module (`-m NAME`) or a file as `__main__` with the client's environment, and exit as Python does."""
    import atexit
    import runpy

    atexit._clear()  # the functions of the server

    signal.signal(signal.SIGINT, signal.default_int_handler)  # daemons start with SIGINT ignored
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    argv = [argument for argument in request["argv"] if argument != "-u"]
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(write_through=True)  # type: ignore[union-attr]
    code: Any = 0
    try:
        if argv[0] == "-m":
            sys.argv = argv[1:]
            sys.path[0] = os.getcwd()
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
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code or 0)


def _import_slow_modules() -> None:
    """Import the SDKs through the component, then remove the component, because a program has its own copy.

    Import also the libraries of `ops`.
    """
    from importlib import import_module

    import pulumi.log
    import pulumi.provider.experimental.component
    import pulumi_kubernetes.core.v1
    import pulumi_random
    import pulumi_tls

    debug = pulumi.log.debug
    import registry

    pulumi.log.debug = debug  # the import replaced it
    # Python resolves these at their first use only.
    _ = (pulumi_kubernetes.core.v1.Secret, pulumi_random.RandomPassword, pulumi_tls.PrivateKey, registry)
    for name in [name for name in sys.modules if name.partition(".")[0] == "registry"]:
        del sys.modules[name]
    for name in OPS_LIBRARIES:
        import_module(name)
    # It reads the variable KUBECONFIG when it is imported.
    del sys.modules["kubernetes.config.kube_config"]


if __name__ == "__main__":
    if __package__:
        serve(sys.argv[1])
    else:
        sys.exit(send_request(os.path.join(os.path.dirname(os.path.dirname(sys.argv[0])), SOCKET)))
