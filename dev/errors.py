"""Errors of `python -m dev` and `python -m bench`. Their command lines print them without a traceback.

CommandError            exit code 1
├── RequirementError    exit code 2: the machine or its setup lacks something
├── BuildError          a program could not be built
├── ClusterError        a host or a daemon of the embedded cluster failed
├── DeploymentError     a command for the stack failed, and its exit code is used
└── BenchmarkError      a measured command failed, so the times of this run are invalid
"""

from textwrap import indent


class CommandError(Exception):
    """An error with its cause and its remedy. `details` is the output of the program that failed."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str, details: str = "") -> None:
        super().__init__(cause, remedy, details)
        self.cause = cause
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        if not self.details:
            return f"{self.cause} {self.remedy}"
        return f"{self.cause}\n{indent(self.details, '    ')}\n{self.remedy}"


class RequirementError(CommandError):
    """The machine or its setup lacks something that the user can provide."""

    exit_code = 2


class BuildError(CommandError):
    """A program could not be built."""


class ClusterError(CommandError):
    """A host or a daemon of the embedded cluster failed."""


class DeploymentError(CommandError):
    """A command for the stack failed."""

    def __init__(self, cause: str, remedy: str, exit_code: int, details: str = "") -> None:
        super().__init__(cause, remedy, details)
        self.exit_code = exit_code


class BenchmarkError(CommandError):
    """A measured command failed, so the times of this run are invalid."""
