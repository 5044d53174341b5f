"""Errors of `ops`. Each has a cause and a remedy, both plain sentences without secrets.

CommandError         a command cannot do its work
├── NotDeployedError a stack has no outputs
├── CheckError       a check of `ops verify` or `ops status` failed
├── PulumiError      a Pulumi command failed
└── ClusterError     the Kubernetes API did not answer, or refused a request
"""


class CommandError(Exception):
    """A command cannot do its work."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy)
        self.cause, self.remedy = cause, remedy

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}"


class NotDeployedError(CommandError):
    """A stack has no outputs: `pulumi up` has not ended yet, or has failed."""


class CheckError(CommandError):
    """A check of a registry failed."""


class PulumiError(CommandError):
    """A Pulumi command failed."""


class ClusterError(CommandError):
    """The Kubernetes API did not answer, or refused a request."""
