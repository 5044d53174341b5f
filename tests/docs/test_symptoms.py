"""The structure of docs/symptoms.md. tests/e2e/test_symptoms.py compares its messages with real clients."""

import re

import pytest

from tests.symptoms import CLASSIC, Symptom, quote_pattern, read_symptoms

SYMPTOMS = read_symptoms()


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.title)
def test_the_heading_quotes_the_message_of_a_client(symptom: Symptom) -> None:
    quotes = [quote for lines in symptom.quotes.values() for quote in lines]
    for words in symptom.title.split(", "):
        if words != "not ...":
            parts = words.removesuffix(" ...").split("...")
            assert any(all(part in quote for part in parts) for quote in quotes), words


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.title)
def test_every_section_has_commands(symptom: Symptom) -> None:
    assert symptom.fixes


def test_a_quote_matches_a_whole_line_in_which_dots_stand_for_anything() -> None:
    quote = quote_pattern("dial tcp ...:5000: refused")
    assert re.search(quote, "first\ndial tcp 10.0.0.1:5000: refused\nlast", re.MULTILINE)
    assert not re.search(quote, "dial tcp 10.0.0.1:5000: refused, really", re.MULTILINE)
    assert not re.search(quote, "dial tcp 10.0.0.1\n:5000: refused", re.MULTILINE)


def test_a_section_with_a_client_without_a_message_is_an_error() -> None:
    with pytest.raises(ValueError, match="`a` must quote a line for each client"):
        read_symptoms("## a\n```text\n# docker\n# curl\nno\n```\n")


def test_a_docker_with_its_classic_image_store_is_quoted_as_docker_if_the_messages_are_equal() -> None:
    (equal, different) = read_symptoms(
        f"## a\n```text\n# docker\nno\n```\n## b\n```text\n# docker push\nno\n# docker push{CLASSIC}\nnever\n```\n"
    )
    assert equal.quotes_of(f"docker{CLASSIC}") == ["no"]
    assert different.quotes_of(f"docker push{CLASSIC}") == ["never"]
    assert different.quotes_of("docker push") == ["no"]
    assert (equal.clients, different.clients) == ({"docker"}, {"docker push"})
