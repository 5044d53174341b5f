"""Count unusual habits of language: `python -m tests.habits [-v] [PATH ...]`.

It prints, by directory, how many docstrings, comments and paragraphs have at least one of the habits below. The
patterns are rough, so read them as a trend: rich, typer and requests have 3 to 8 %. With -v it prints every match.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.harness import prose
from tests.harness.language import OPENINGS, files
from tests.harness.parts import ROOT

DIRECTORIES = ("registry", "ops", "policy", "dev", "bench", "tests", "examples", "docs", "README.md", "CONTRIBUTING.md")

NOUNLESS = "given|known|said|made|found|settled|taken|asked|wanted|served|opened|told|read|left|meant"
"""Participles that stand for a noun."""

HABITS = {
    "riddle as opening": rf"^(?:{'|'.join(OPENINGS)})\b",
    "pronoun as opening": r"^(?:Others|Somebody|Everybody|Everything|Whoever|Whatever|So|As|One (?:of|that|who))\b",
    "and, but, or as opening": r"(?:^|[.:] )(?:And|But|Or|Nor|Else)\b",
    "participle as noun": rf"\b(?:the|what is|what was|what are|as|is|are) (?:{NOUNLESS})(?=[,.;:]|$)",
    "none of": r"\b(?:is|are|as|has|have|than|there) none\b|\bnone of\b",
    "as much of": r"\bas (?:much|many|far|often) (?:of|as)\b",
    "preposition which": r"\b(?:by|of|in|on|to|from|with|for|at|after|behind|beside) (?:which|whom)\b",
    "told, said": r"\b(?:told|tells?|said|saying)\b",
    "semicolon": r";(?= |$)",
    "somebody": r"\b(?:some|any|every|no)body\b|\bsomebody else|\bothers\b|\bwhoever\b",
    "nothing but": r"\bnothing (?:but|else|of|is|was|that|in|to)\b|\bbut for\b|\bnothing\b(?=[,.;:]|$)",
    "beside": r"\bbeside\b",
    "where for if": r"(?:, |^)where (?:the|it|they|there|a|an|its|no|one|that|only|nothing|nobody)\b",
    "what as noun": r"\bwhat (?:is|are|was|has|have|it|they|he|the|a|an|others?|must|can|could|would|does|did|may)\b",
    "lie": r"\b(?:lies?|lay|lain)\b",
    "there as verb end": r"\b(?:is|are|was|were|be) there\b(?=[,.;:]| (?:already|yet|before|to|when|as)\b|$)",
    "idiom": r"\b(?:to be had|at hand|in the midst|in sight|in the way|for ever|is the case|likewise|gets? on|goes? on|"
    r"gets? in|of no use|no more|as it is|as they are|and the like)\b",
    "it is ... that": r"\b[Ii]t is (?:the|a|by|for|only|not)\b[^.;:]* that\b",
    "elliptic end": r"\b(?:so|it does|they do|it is|is not|does not|do not|was not)(?=[.;]|$)",
    "each as pronoun": r"\beach(?=[,.;:]|$)| each (?:of|once|is|has|has)\b",
    "shall": r"\bshall\b",
    "noun phrase without verb": r"^(?:The|A|An)(?: (?!\w*s\b|has\b|have\b|are\b|may\b|can\b|must\b)[\w-]+){1,9}"
    r"[,:;] (?:and|or|if|as|by|of|in|unless|once|but)\b",
}
"""Pattern of each habit."""

PATTERNS = {name: re.compile(pattern) for name, pattern in HABITS.items()}


def find_habits(content: str) -> dict[str, str]:
    """Return the matches in a text by habit, without code in backticks and without quotations."""
    plain = re.sub(r"`[^`]*`|\"[^\"]*\"", "X", " ".join(content.split()))
    matches = {name: pattern.search(plain) for name, pattern in PATTERNS.items()}
    return {name: match[0].strip() for name, match in matches.items() if match}


def _texts(paths: list[Path]) -> Iterator[tuple[Path, prose.Text]]:
    for path in paths:
        for text in prose.read(path):
            yield path, text


def main(arguments: list[str]) -> None:
    """Print the share of each directory or file in `arguments`, or of all DIRECTORIES."""
    verbose = "-v" in arguments
    names = [argument for argument in arguments if argument != "-v"] or DIRECTORIES
    for name in names:
        total, matched, habits = 0, 0, Counter[str]()
        for path, text in _texts(files((name,))):
            matches = find_habits(text.content)
            total, matched = total + 1, matched + bool(matches)
            habits.update(matches.keys())
            if verbose and matches:
                details = "; ".join(f"{habit}: {words!r}" for habit, words in matches.items())
                print(f"{path.relative_to(ROOT)}:{text.line}: {details}")
        most = ", ".join(f"{habit} {count}" for habit, count in habits.most_common(5))
        print(f"{name:16} {matched:5} of {total:5}  {matched / max(total, 1):4.0%}  {most}")


if __name__ == "__main__":
    main(sys.argv[1:])
