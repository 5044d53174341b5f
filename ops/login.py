"""`ops login`: run `docker login` or `podman login` as the stack's first user.

The password passes from one pipe to another. The output of the program is printed, with a remedy if it fails for a
known cause.
"""

import shutil
import socket
import subprocess
import time

from .errors import CommandError
from .stack import PASSWORD_DELAY_MINUTES, Outputs

PROGRAMS = ("docker", "podman")

TIMEOUT = 60
"""Seconds to wait for the program. Its engine gives up a connection after 15."""

LOOKUP_FAILED = "dial tcp: lookup "
"""Part of the engine's error if the name of the registry does not resolve."""

HOSTS_RELOAD_SECONDS = 6
"""Seconds until an engine notices a new line in /etc/hosts: Go caches the file for five (net/hosts.go)."""


def log_in(outputs: Outputs, program: str, stack: str) -> str:
    """Log in with `program`, or with the first of PROGRAMS on PATH if it is "". Return the command and its output.

    The engine may not have read a new line of /etc/hosts yet. If only the engine does not find the name, the login is
    repeated once. Raise `CommandError` if it fails.
    """
    tool = _find_program(program)
    argv = [tool, "login", outputs.endpoint, "--username", outputs.username, "--password-stdin"]
    command = f"`{tool} login {outputs.endpoint}` as {outputs.username} (stack {stack!r})"
    try:
        result = subprocess.run(argv, input=outputs.password, capture_output=True, text=True, timeout=TIMEOUT)
        if LOOKUP_FAILED in result.stderr and _resolves(outputs.host):
            time.sleep(HOSTS_RELOAD_SECONDS)
            result = subprocess.run(argv, input=outputs.password, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"{command} did not finish within {TIMEOUT} seconds.",
            "Check that the registry can be reached from this machine.",
        ) from None
    output = "\n".join(filter(None, (result.stdout.strip(), result.stderr.strip()))).replace(outputs.password, "…")
    if result.returncode:
        line = (output.splitlines() or ["it printed no error"])[-1].removeprefix("Error: ").rstrip(".")
        raise CommandError(f"{command} failed: {line}.", _remedy(output, "" if stack == "dev" else f" --stack {stack}"))
    return f"{command}\n{output}"


def _resolves(host: str) -> bool:
    """Return whether this machine resolves the name, at this moment and without the engine."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _find_program(program: str) -> str:
    """Return `program`, or the first of PROGRAMS on PATH if it is empty. Raise if it is not on PATH."""
    choices = (program,) if program else PROGRAMS
    for name in choices:
        if shutil.which(name):
            return name
    names = " or ".join(f"`{name}`" for name in choices)
    raise CommandError(f"There is no {names} on PATH.", f"Install {names}.")


def _remedy(output: str, stack_option: str) -> str:
    """Return the remedy for the error in the program's output."""
    remedies = (
        (
            "x509: certificate signed by unknown authority",
            f"Install the CA with `python -m ops trust{stack_option}`.",
        ),
        ("x509: ", f"Check the server certificate with `python -m ops verify{stack_option}`."),
        (LOOKUP_FAILED, f"Add the name to /etc/hosts with `python -m ops trust{stack_option} --address IP`."),
        (
            "401 Unauthorized",
            "Run `pulumi up --refresh` to restore the stack's password. The registry reloads it within "
            f"{PASSWORD_DELAY_MINUTES} minutes.",
        ),
        ("Cannot connect to the Docker daemon", "Start the Docker engine, or check DOCKER_HOST."),
        ("permission denied while trying to connect", "Join the group `docker`, or use sudo."),
    )
    for error, remedy in remedies:
        if error in output:
            return remedy
    return f"Check the registry with `python -m ops verify{stack_option}`."
