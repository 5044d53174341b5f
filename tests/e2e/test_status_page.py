"""Open the page of `ops status --html` in Chromium.

Only a browser shows that a page fits a phone, that its policy lets its own script run, and what a screen reader gets.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import status_example
from tests.browser import Browser, open_browser
from tests.harness.parts import ROOT

pytestmark = pytest.mark.e2e

SIZES = {"phone": (360, 740), "desktop": (1280, 800)}
"""Width and height of the window."""

SCHEMES = ("light", "dark")

LEAST_CONTRAST = 4.5
"""Least contrast between text and its background (WCAG 2, level AA)."""

LOW_CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data);
  };
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    for (let parent = element; parent; parent = parent.parentElement) {
      const color = getComputedStyle(parent).backgroundColor;
      if (channels(color)[3] === 255) { return color; }
    }
    return "white";
  };
  const found = {};
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".hidden, script")) {
      continue;
    }
    const pair = [luminance(getComputedStyle(element).color), luminance(background(element))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    count += 1;
    if (contrast < LEAST) { found[walker.currentNode.data.trim()] = contrast; }
  }
  return {count, found};
})()
"""
"""Script that returns the number of texts, and the texts with a lower contrast than LEAST."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "status.html"
    path.write_text(status_example.page())
    return path


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "status.html"
    path.write_text(status_example.page(images=status_example.large_catalog(1000, 1)))
    return path


def expect_quiet(browser: Browser) -> None:
    """Assert that the page has sent no request, and that the console is empty."""
    assert [url for url in browser.requested_urls() if not url.startswith("data:")] == []
    assert browser.complaints() == []


def expect_no_horizontal_scroll(browser: Browser) -> None:
    """Assert that no part of the page is wider than the window, with all repositories open."""
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    width, scroll = browser.run("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width
    cut = browser.run(
        "Array.from(document.querySelectorAll('main *')).filter((each) => each.checkVisibility() && "
        "!each.closest('.hidden') && each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)"
    )
    assert cut == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_the_window_and_is_readable(browser: Browser, page: Path, size: str, scheme: str) -> None:
    browser.open(page, *SIZES[size], scheme=scheme)
    expect_no_horizontal_scroll(browser)
    contrasts = browser.run(LOW_CONTRASTS.replace("LEAST", str(LEAST_CONTRAST)))
    assert contrasts["count"] > 100
    assert contrasts["found"] == {}
    smallest = browser.run(
        "Math.min(...Array.from(document.querySelectorAll('summary, nav a, input, select'))"
        ".map((each) => each.getBoundingClientRect().height))"
    )
    assert smallest >= 24, "a finger hits a target of 24 pixels (WCAG 2.2, level AA)"
    expect_quiet(browser)


def test_names_of_any_length_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "status.html"
    path.write_text(status_example.page(images=status_example.large_catalog(36, 3)))
    browser.open(path, *SIZES["phone"])
    expect_no_horizontal_scroll(browser)


def test_the_filter_and_the_order_work_with_a_thousand_repositories(browser: Browser, large_page: Path) -> None:
    browser.open(large_page, *SIZES["phone"])
    browser.run("document.getElementById('filter').focus()")
    browser.send("Input.insertText", text="SERVICE-0042")
    shown = "Array.from(document.querySelectorAll('.repositories > li')).filter((each) => each.checkVisibility())"
    assert browser.run(f"{shown}.map((each) => each.querySelector('.name').textContent.slice(-12))") == ["service-0042"]
    assert browser.run("document.getElementById('shown').textContent").startswith("1 of 1000 ")
    browser.run("document.getElementById('filter').select()")
    digest = browser.run("document.querySelectorAll('.digest.mono')[500].textContent")
    browser.send("Input.insertText", text=digest)
    assert browser.run(f"{shown}.length") == 1
    browser.run("document.getElementById('filter').select()")
    browser.press("Delete")
    browser.send("Input.insertText", text=" ")
    assert browser.run(f"{shown}.length") == 1000
    browser.run("(() => { const order = document.getElementById('order'); order.value = 'size'; "
                "order.dispatchEvent(new Event('change')); })()")  # fmt: skip
    sizes = browser.run(f"{shown}.map((each) => Number(each.dataset.size))")
    assert sizes == sorted(sizes, reverse=True)
    expect_quiet(browser)


def test_the_keyboard_opens_a_repository(browser: Browser, page: Path) -> None:
    browser.open(page, *SIZES["desktop"])
    browser.run("document.getElementById('order').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.tagName") == "SUMMARY"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is visible"
    browser.press("Enter", "\r")
    assert browser.run("document.activeElement.parentElement.open")


def test_a_screen_reader_gets_headings_and_tables_with_headers(browser: Browser, page: Path) -> None:
    browser.open(page, *SIZES["phone"])
    browser.run("document.querySelector('details').open = true")
    nodes = [node for node in browser.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        roles.setdefault(node["role"]["value"], []).append(node)
    levels = [
        next(each["value"]["value"] for each in node["properties"] if each["name"] == "level")
        for node in roles["heading"]
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert {"banner", "navigation", "main", "contentinfo", "meter", "searchbox", "status"} <= roles.keys()
    assert len(roles["table"]) == 3, "certificates, all values, and the tags of the open repository"
    assert len(roles["columnheader"]) == 9
    assert len(roles["rowheader"]) >= 18
    named = [*roles["meter"], *roles["searchbox"], *roles["combobox"], *roles["region"], roles["table"][2]]
    assert all(node["name"]["value"] for node in named)
    assert browser.run("document.documentElement.lang") == "en"


def test_the_page_prints_without_its_tools(browser: Browser, page: Path) -> None:
    browser.open(page, 794, 1123, media="print", scheme="light")
    assert browser.run("document.querySelector('nav').checkVisibility()") is False
    assert browser.run("document.querySelector('.tools').checkVisibility()") is False
    assert browser.run("document.querySelector('.checks').checkVisibility()") is True
    expect_no_horizontal_scroll(browser)


def test_the_policy_refuses_a_script_that_is_not_the_pages_own(browser: Browser, page: Path, tmp_path: Path) -> None:
    attacked = tmp_path / "attacked.html"
    injected = "<script>document.title = 'attacked'</script><img src='https://192.0.2.1/x'></main>"
    attacked.write_text(page.read_text().replace("</main>", injected))
    browser.open(attacked, *SIZES["desktop"])
    assert browser.run("document.title") != "attacked"
    text = json.dumps(browser.complaints())
    assert "script-src" in text
    assert "img-src" in text


def test_the_picture_of_the_docs_is_drawn_by_the_command_that_contributing_names(tmp_path: Path) -> None:
    assert "`venv/bin/python -m tests.status_example docs`" in (ROOT / "CONTRIBUTING.md").read_text()
    status_example.write_picture(tmp_path)
    drawn, picture = tmp_path / "status.png", ROOT / "docs/status.png"
    with Image.open(drawn) as new, Image.open(picture) as old:
        assert new.size == old.size
    assert max(drawn.stat().st_size, picture.stat().st_size) < 100_000
