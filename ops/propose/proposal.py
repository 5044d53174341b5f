"""A proposal: the choices for a stack and the omitted ones, each with its reason."""

import shlex
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Choice:
    """A value for an input or a part of it, with the reason in one sentence."""

    key: str
    value: str
    reason: str

    @property
    def command(self) -> str:
        """Return the command that sets the value."""
        path = "--path " if "[" in self.key else ""
        return f"pulumi config set {path}{shlex.quote(self.key)} {shlex.quote(self.value)}"


@dataclass(frozen=True)
class Omission:
    """A choice that was not made, and why."""

    subject: str
    reason: str


@dataclass
class Proposal:
    """The choices and the omitted choices.

    Attributes:
        version: Version of the API server.
        nodes: Names of all nodes.
        address: Address for clients, if the stack will not know it: that of a node or of a Gateway.
    """

    version: str
    nodes: list[str]
    choices: list[Choice] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    address: str = ""

    def value_of(self, key: str) -> str:
        """Return the value that was chosen for an input, or ""."""
        return next((choice.value for choice in self.choices if choice.key == key), "")

    def choose(self, key: str, value: str, reason: str) -> None:
        """Add a choice."""
        self.choices.append(Choice(key, value, reason))

    def omit(self, subject: str, reason: str) -> None:
        """Add an omitted choice."""
        self.omissions.append(Omission(subject, reason))
