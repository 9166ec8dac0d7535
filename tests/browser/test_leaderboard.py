"""The leaderboard's page in Chromium: it opens without errors, sorts, filters, and holds when narrow and in print."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from benchmarks.made_attempts import add, verify
from harness.report.entries import read_results
from harness.report.leaderboard import board
from harness.report.leaderboard_page import leaderboard_page
from harness.scoring.integrity import Gate

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
PAPERS = ("differentiable_simulators", "open_loop", "persistent_es", "tree_search")
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e' onload='x"
LEVELS = {
    ("ada", "human", "human"): 0.93,
    ("ada", "human", "human + assistant"): 0.96,
    ("linus", "human", "human + assistant"): 0.9,
    ("Grace 10", "human", "human"): 0.6,
    ("Grace 9", "human", "human"): 0.5,
    (HOSTILE, "human", "human"): 0.4,
    ("solver-3", "agent", "agent"): 0.35,
    ("solver-" + "x" * 80, "agent", "agent"): 0.2,
    ("</table><script>alert(2)</script>", "agent", "agent"): 0.05,
}
FLAG = Gate(gate=5, name="too rosy a report", fired=True, denies_pass=False, detail=HOSTILE + "W" * 400)
SCREENSHOTS = "REPROOF_SHOTS"
"""Environment variable: the folder that pictures of the page are kept in."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    for number, ((by, kind, condition), level) in enumerate(LEVELS.items()):
        for place, paper in enumerate(PAPERS):
            if (number, place) == (3, 2):
                continue
            name = f"{number}-{place}"
            value = level - 0.01 * ((number + 2 * place) % 4)
            gates = [FLAG] if (number + place) % 5 == 0 else []
            how = {"kind": kind, "condition": condition, "working": 600.0 * 2**number, "gates": gates}
            add(folder, name, paper, value, by=by, **how)
            if number % 2:
                verify(folder, name)
    add(folder, "waits", "open_loop", None, by=HOSTILE)
    add(folder, "r", "open_loop", 1.0, by="reference", kind="reference")
    found = board(read_results([folder]), [folder], papers=PAPERS)
    file = folder / "board.html"
    file.write_text(leaderboard_page(found, own=True, made=datetime(2026, 1, 6, 12, tzinfo=UTC)))
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; whatever it complains of, asks or loads fails the test."""
    width, scheme, script = getattr(request, "param", (1280, "light", True))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())  # type: ignore[func-returns-value]
    page.on("request", lambda sent: complaints.append(sent.url) if sent.url != page_file.as_uri() else None)
    page.goto(page_file.as_uri())
    yield page
    context.close()
    assert complaints == []


def keep(page: Page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"leaderboard-{name}.png", full_page=True)


def head(page: Page, name: str) -> Locator:
    return page.locator("#standings").get_by_role("columnheader", name=name)


def column(page: Page, number: int) -> list[str]:
    """The texts of a column, of the rows that are seen, without their flags."""
    rows = page.locator("#standings tbody tr:visible")
    return [row.locator("td, th").nth(number).inner_text().partition("⚑")[0].strip() for row in rows.all()]


def test_headers_sort_and_say_so(page: Page, tmp_path: Path) -> None:
    names = head(page, "Participant")
    head(page, "Participant").get_by_role("button").click()
    found = [name.lower() for name in column(page, 1)]
    assert names.get_attribute("aria-sort") == "ascending"
    assert found.index("grace 9") < found.index("grace 10"), "numbers in names are numbers"
    assert found.index("ada") < found.index("grace 9") < found.index("linus") < found.index("solver-3")
    head(page, "Participant").get_by_role("button").click()
    assert names.get_attribute("aria-sort") == "descending"
    assert [name.lower() for name in column(page, 1)][::-1][2:] == found[2:]
    keep(page, "wide", tmp_path)


def test_numbers_sort_as_numbers_highest_first(page: Page) -> None:
    head(page, "persistent es").get_by_role("button").click()
    values = [text.split()[0] for text in column(page, 6)]
    assert values[-1] == "missing"
    assert [float(value) for value in values[:-1]] == sorted((float(value) for value in values[:-1]), reverse=True)
    assert page.locator("#standings [aria-sort=none]").count() == page.locator("#standings thead th").count() - 1


def test_the_keyboard_is_enough(page: Page) -> None:
    head(page, "Verified").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head(page, "Verified").get_attribute("aria-sort") == "descending"
    assert column(page, 11)[0] == "4 of 4"


def test_filters_meet_and_are_counted(page: Page) -> None:
    page.locator("#by-kind").select_option("human")
    assert page.get_by_role("status").inner_text() == "6 of 9 rows shown"
    page.locator("#by-condition").select_option("human + assistant")
    assert set(column(page, 1)) == {"ada", "linus"}
    page.get_by_role("searchbox", name="Find").fill("LIN")
    assert column(page, 1) == ["linus"]
    page.get_by_role("button", name="Show all").click()
    assert page.get_by_role("status").inner_text() == "9 of 9 rows shown"


def test_a_paper_s_filter_shows_who_attempted_it_and_that_column(page: Page) -> None:
    page.locator("#by-paper").select_option(label="persistent_es")
    assert "Grace 10" not in column(page, 1)
    heads = [text for text in page.locator("#standings thead th:visible").all_inner_texts() if "_" not in text]
    assert any(head.startswith("persistent es") for head in heads)
    assert not any(head.startswith("open loop") for head in heads)


def test_a_search_for_markup_finds_the_name_that_looks_like_it(page: Page) -> None:
    page.get_by_role("searchbox", name="Find").fill("onerror=alert")
    [name] = column(page, 1)
    assert "<img src=x onerror=alert(1)>\\x1b[31m\\u202e" in name
    assert page.locator("img").count() == 0


def test_options_are_texts(page: Page) -> None:
    assert page.locator("#by-kind option").all_inner_texts() == ["all", "agent", "human"]
    assert page.locator("option img, option script").count() == 0


@pytest.mark.parametrize("page", [(400, "light", True), (400, "dark", True), (320, "light", True)], indirect=True)
def test_it_fits_a_narrow_window(page: Page, tmp_path: Path) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#standings").evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    page.locator("#sort").select_option(label="Participant, A to Z")
    assert page.locator("#standings tbody th:visible").nth(2).inner_text().strip() == "ada"
    keep(page, f"narrow-{page.viewport_size['width']}", tmp_path)  # type: ignore[index]


@pytest.mark.parametrize("page", [(1280, "dark", True)], indirect=True)
def test_it_can_be_read_in_the_dark(page: Page, tmp_path: Path) -> None:
    style = "body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]"
    ink, paper = page.locator("body").evaluate(style)
    assert _light(ink) > 200 > 60 > _light(paper)
    keep(page, "dark", tmp_path)


def _light(colour: str) -> float:
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3


def test_it_can_be_printed(page: Page, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    assert page.locator(".controls:visible").count() == 0
    assert page.locator("#standings tbody tr:visible").count() == len(LEVELS)
    page.set_viewport_size({"width": 1040, "height": 700})  # A4, landscape
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    keep(page, "print", tmp_path)
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("page", [(1280, "light", False)], indirect=True)
def test_without_its_script_the_table_is_whole(page: Page) -> None:
    assert page.locator("#standings tbody tr:visible").count() == len(LEVELS)
    assert page.locator("button:visible, select:visible, input:visible").count() == 0


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    for role in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(role).count() == 1, role  # type: ignore[arg-type]
    levels = page.locator("h1, h2, h3").evaluate_all("heads => heads.map(head => Number(head.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("svg:not([aria-hidden]):not([role=img])").count() == 0
    labels = "all => all.map(one => one.getAttribute('aria-labelledby'))"
    for label in page.locator("svg[role=img]").evaluate_all(labels):
        assert page.locator(f"#{label}").text_content()
