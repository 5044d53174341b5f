"""docs/symptoms.md as data: the errors of the clients in each section, and the commands that help."""

import re
from dataclasses import dataclass

from dev.cluster.plan import MASTER, WORKER
from dev.environment import PROJECT

PAGE = PROJECT / "docs/symptoms.md"

LAPTOP = "laptop"

CLASSIC = " with its classic image store"
"""End of the name of a Docker client whose engine does not store images in containerd."""

LOG_IN = "Log in first"
NOT_ALLOWED = "Your login does not allow this here, 403 Forbidden"
TOO_MANY = "Too many wrong passwords"
REFUSALS = (LOG_IN, NOT_ALLOWED, TOO_MANY)
"""Sections for refusals of the proxy, which tests/e2e/test_access_clients.py provokes without a cluster."""

HOSTS = {"": LAPTOP, "on the node": WORKER.name, "on the node with the images": MASTER.name}
"""Host of a block of commands, by the comment above it."""


@dataclass(frozen=True)
class Fix:
    """One block of commands, and the host that they are for."""

    script: str
    host: str


@dataclass(frozen=True)
class Symptom:
    """A section of the page.

    Attributes:
        title: The heading.
        quotes: Lines of an error by client. The client prints one of the lines.
        fixes: The commands that help.
    """

    title: str
    quotes: dict[str, list[str]]
    fixes: tuple[Fix, ...]

    @property
    def clients(self) -> set[str]:
        """The names of the clients. Docker has one name for both of its image stores."""
        return {client.removesuffix(CLASSIC) for client in self.quotes}

    def quotes_of(self, client: str) -> list[str]:
        """Return the quotes of a client. The page quotes the stores of Docker separately only if they differ."""
        return self.quotes[client if client in self.quotes else client.removesuffix(CLASSIC)]

    def is_quoted(self, client: str, output: str) -> bool:
        """Return whether the client's output has a quoted line. `...` matches any text within a line."""
        return any(re.search(quote_pattern(quote), output, re.MULTILINE) for quote in self.quotes_of(client))


def quote_pattern(quote: str) -> str:
    """Return a regular expression for the whole line of a quote. `...` in the quote matches any text."""
    return "^" + ".*".join(map(re.escape, quote.split("..."))) + "$"


def read_symptoms(text: str | None = None) -> list[Symptom]:
    """Return every section of `text`, or of the page if it is None."""
    sections = re.split(r"^## ", PAGE.read_text() if text is None else text, flags=re.MULTILINE)[1:]
    return [_section(*section.split("\n", 1)) for section in sections]


def _section(title: str, body: str) -> Symptom:
    (quoted,) = re.findall(r"^```text\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    clients = dict(part.split("\n", 1) for part in re.split(r"^# ", quoted, flags=re.MULTILINE)[1:])
    quotes = {client: text.splitlines() for client, text in clients.items()}
    if not all(quotes.values()):
        raise ValueError(f"`{title}` must quote a line for each client, got {quoted!r}.")
    blocks = re.findall(r"(?:<!-- (on .*?) -->\n)?^```sh\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    return Symptom(title, quotes, tuple(Fix(script, HOSTS[marker]) for marker, script in blocks))
