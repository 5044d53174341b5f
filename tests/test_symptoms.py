"""docs/symptoms.md, as far as it can be checked without a client."""

import re

import pytest

from tests.symptoms import Symptom, pattern, read

SYMPTOMS = read()


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.title)
def test_a_heading_quotes_a_client(symptom: Symptom) -> None:
    quotes = [quote for lines in symptom.quotes.values() for quote in lines]
    for words in symptom.title.split(", "):
        if words != "not ...":
            parts = words.removesuffix(" ...").split("...")
            assert any(all(part in quote for part in parts) for quote in quotes), words


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.title)
def test_every_symptom_has_a_remedy(symptom: Symptom) -> None:
    assert symptom.fixes


def test_a_quote_matches_a_whole_line_and_its_dots_any_text_in_it() -> None:
    quote = pattern("dial tcp ...:5000: refused")
    assert re.search(quote, "first\ndial tcp 10.0.0.1:5000: refused\nlast", re.MULTILINE)
    assert not re.search(quote, "dial tcp 10.0.0.1:5000: refused, really", re.MULTILINE)
    assert not re.search(quote, "dial tcp 10.0.0.1\n:5000: refused", re.MULTILINE)


def test_a_client_without_a_quote_is_an_error_of_the_page() -> None:
    with pytest.raises(ValueError, match="`a` must quote a line for each client"):
        read("## a\n```text\n# docker\n# curl\nno\n```\n")
