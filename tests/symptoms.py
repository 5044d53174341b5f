"""docs/symptoms.md as data: what each section says that clients say, and the commands that help."""

import re
from dataclasses import dataclass

from dev.workplace import PROJECT

PAGE = PROJECT / "docs/symptoms.md"


@dataclass(frozen=True)
class Fix:
    """One block of commands, and whether it is for a node rather than for the laptop."""

    script: str
    on_node: bool


@dataclass(frozen=True)
class Symptom:
    """A section: its heading, the quoted line of each client, or several of which it says one, and the commands."""

    title: str
    quotes: dict[str, list[str]]
    fixes: tuple[Fix, ...]

    def is_said(self, client: str, said: str) -> bool:
        """Whether what the client printed has a line that is quoted, `...` standing for anything within a line."""
        return any(re.search(pattern(quote), said, re.MULTILINE) for quote in self.quotes[client])


def pattern(quote: str) -> str:
    """A regular expression of the whole line; it may go on only where the quote ends in `...`."""
    return "^" + ".*".join(map(re.escape, quote.split("..."))) + "$"


def read(text: str | None = None) -> list[Symptom]:
    """Every section of the page that quotes somebody."""
    sections = re.split(r"^## ", PAGE.read_text() if text is None else text, flags=re.MULTILINE)[1:]
    return [_section(*section.split("\n", 1)) for section in sections]


def _section(title: str, body: str) -> Symptom:
    (quoted,) = re.findall(r"^```text\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    clients = dict(each.split("\n", 1) for each in re.split(r"^# ", quoted, flags=re.MULTILINE)[1:])
    quotes = {client: said.splitlines() for client, said in clients.items()}
    if not all(quotes.values()):
        raise ValueError(f"`{title}` must quote a line for each client, got {quoted!r}.")
    blocks = re.findall(r"(<!-- on the node -->\n)?^```sh\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    return Symptom(title, quotes, tuple(Fix(script, bool(mark)) for mark, script in blocks))
