"""`docker login` with the stack's first user: the password goes from pipe to pipe, and nowhere else.

What docker says is passed on, with the remedy where the cause is known.
"""

import shutil
import socket
import subprocess
import time

from .stack import Outputs, Refusal

PROGRAMS = ("docker", "podman")

TIMEOUT = 60
"""Seconds: the engine itself gives up a connection after 15."""

UNKNOWN = "dial tcp: lookup "

HEARD = 6
"""Seconds until an engine has heard of a new line in /etc/hosts: Go reads the file again after five (net/hosts.go)."""

CAUSES = (
    ("x509: certificate signed by unknown authority", "the CA is not where it looks: `python -m ops trust{stack}`"),
    ("x509: ", "the certificate is not one for that name and time: `python -m ops verify{stack}`"),
    (UNKNOWN, "give this machine its address: `python -m ops trust{stack} --address IP`"),
    ("401 Unauthorized", "the registry knows another password: `pulumi up --refresh`, it counts within two minutes"),
    ("Cannot connect to the Docker daemon", "start the engine, or see DOCKER_HOST"),
    ("permission denied while trying to connect", "it is for members of the group docker, or sudo"),
    ("connection refused", "nobody listens there: `python -m ops verify{stack}`"),
)
"""What programs say, and what to do; the first that fits."""


def log_in(outputs: Outputs, program: str, stack: str) -> str:
    """Log in with `program`, else with the one that is here; what was used, and what the program said."""
    tool = _tool(program)
    argv = [tool, "login", outputs.endpoint, "--username", outputs.username, "--password-stdin"]
    said = f"`{tool} login {outputs.endpoint}` as {outputs.username}, of the stack {stack!r}"
    try:
        done = subprocess.run(argv, input=outputs.password, capture_output=True, text=True, timeout=TIMEOUT)
        if UNKNOWN in done.stderr and _resolves(outputs.host):
            time.sleep(HEARD)
            done = subprocess.run(argv, input=outputs.password, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Refusal(f"{said} gave no answer in {TIMEOUT} s: is the registry reachable from here?") from None
    answer = "\n".join(filter(None, (done.stdout.strip(), done.stderr.strip()))).replace(outputs.password, "…")
    if done.returncode:
        raise Refusal(f"{said} failed: {_explained(answer, stack)}")
    return f"{said}\n{answer}"


def _resolves(host: str) -> bool:
    """Whether this machine knows the name by now, though the engine did not."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _tool(program: str) -> str:
    """The program asked for, else the first that is here."""
    asked = (program,) if program else PROGRAMS
    found = next((each for each in asked if shutil.which(each)), None)
    if not found:
        raise Refusal(f"no `{' and no `'.join(f'{each}`' for each in asked)} on PATH: install one")
    return found


def _explained(answer: str, stack: str) -> str:
    """The last line of the program's own error, and what to do about it."""
    line = (answer.splitlines() or ["without a word"])[-1].removeprefix("Error: ")
    of = "" if stack == "dev" else f" --stack {stack}"
    remedies = (remedy.format(stack=of) for cause, remedy in CAUSES if cause in answer)
    return f"{line}: {next(remedies, 'see `python -m ops verify' + of + '`')}"
