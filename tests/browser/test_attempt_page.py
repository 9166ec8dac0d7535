"""The attempt's page in Chromium: it opens in peace, obeys nothing, holds when narrow and in print, is accessible."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from evil_pages import said_everywhere, written_everywhere
from playwright.sync_api import Browser, Page, sync_playwright

from harness.report.dossier import Dossier, open_dossier
from harness.report.page import draw_page
from harness.scoring.finding import Verdict
from harness.scoring.score import Score

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
CHROMIUM = "/usr/bin/chromium"
SHOTS = "REPROOF_SHOTS"
"""Environment variable: the folder that keeps the screenshots."""
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m \u202egnp.exe " + "W" * 400
KINDS = ("passed", "failed", "empty", "hostile", "worked")
Show = Callable[..., Page]


def failed(found: Dossier) -> Dossier:
    """Half of the leaves lost, some value short of PASS, a budget overdrawn, a late submission."""
    claims = [
        leaf if place % 2 else leaf.model_copy(update={"verdict": Verdict.FAILED, "score": 0.0, "measured": 1e9})
        for place, leaf in enumerate(found.score.claims)
    ]
    worth = found.score.score.model_copy(update={"value": 0.5, "low": 0.3, "high": 0.7, "lower": 0.34, "upper": 0.66})
    judged = found.score.model_copy(update={"verdict": "FAIL", "claims": claims, "score": worth})
    used = {**found.handed.used, "cpu": 1e6, "working": 1800.0}
    handed = msgspec.structs.replace(found.handed, used=used, declared={"working": 900.0}, late=300.0)
    return replace(found, score=judged, handed=handed)


def empty(found: Dossier) -> Dossier:
    """Nothing that could be measured, and no paper beside it."""
    nothing = {"verdict": Verdict.MISSING, "score": 0.0, "measured": None, "target": None, "low": None, "high": None}
    claims = [leaf.model_copy(update=nothing) for leaf in found.score.claims]
    judged = found.score.model_copy(update={"verdict": "FAIL", "claims": claims, "reasons": ["all is missing"] * 20})
    return replace(found, score=judged, measured=[], points=[], paper=None, missing="The paper is not found.")


@pytest.fixture(scope="module")
def files(finished: tuple[Any, Score], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    found, folder = open_dossier(finished[0].desk), tmp_path_factory.mktemp("pages")
    made = {"passed": found, "failed": failed(found), "empty": empty(found)}
    made |= {"hostile": written_everywhere(found, EVIL), "worked": said_everywhere(found, EVIL)}
    for kind, dossier in made.items():
        (folder / f"{kind}.html").write_text(draw_page(dossier), encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in made}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, files: dict[str, Path]) -> Iterator[Show]:
    """Open a page; whatever it complains of, asks or loads fails the test."""
    troubles: list[str] = []
    contexts = []

    def opened(kind: str, *, width: int = 1280, scheme: Any = "light", bypass_csp: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=bypass_csp
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.on("request", lambda request: None if allowed(request.url) else troubles.append(request.url))
        page.goto(files[kind].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def allowed(url: str) -> bool:
    return url.startswith(("file://", "data:image/svg+xml"))


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = Path(os.environ.get(SHOTS, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_it_opens_in_peace_and_never_scrolls_sideways(
    show: Show, shots: Path, kind: str, width: int, scheme: str
) -> None:
    page = show(kind, width=width, scheme=scheme)
    assert page.title() != "owned"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1
    assert page.locator("img").evaluate_all("all => all.every(img => img.complete && img.naturalWidth > 0)")
    page.screenshot(path=shots / f"{kind}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [("passed", 1280, "light"), ("failed", 1280, "dark"), ("empty", 400, "light"), ("hostile", 400, "dark")],
)
def test_axe_finds_nothing_to_object_to(show: Show, kind: str, width: int, scheme: str) -> None:
    found = Axe().run(show(kind, width=width, scheme=scheme, bypass_csp=True)).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


def test_what_is_folded_opens_without_a_script_and_is_accessible(show: Show, shots: Path) -> None:
    for width in (1280, 400):
        page = show("worked", width=width, bypass_csp=True)
        folds = page.locator("#work details")
        assert folds.count() > 5
        folds.nth(2).locator("summary").click()
        assert folds.nth(2).locator("pre").first.is_visible()
        folds.evaluate_all("all => all.forEach(fold => { fold.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
        page.locator("#work").screenshot(path=shots / f"timeline-{width}.png")


def test_pictures_lie_over_nothing(show: Show) -> None:
    """In a leaf's row no cell's content reaches into the next."""
    for width in (1280, 400):
        wide = show("failed", width=width).locator("table.leaves tbody td, table.leaves tbody th")
        assert wide.evaluate_all("all => all.filter(c => c.scrollWidth > c.clientWidth + 1).length") == 0


def test_narrow_tables_are_cards_that_are_still_tables(show: Show) -> None:
    page = show("passed", width=400)
    assert page.locator("table.leaves tr >> nth=1").evaluate("row => getComputedStyle(row).display") == "block"
    assert page.get_by_role("rowheader").count() > 10


def test_every_link_leads_somewhere(show: Show) -> None:
    page = show("passed")
    lost = "all => all.filter(a => !document.getElementById(a.getAttribute('href').slice(1))).length"
    assert page.locator("a").evaluate_all(lost) == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_it_prints_in_light_and_whole(show: Show, shots: Path) -> None:
    page = show("passed", width=794, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.locator("table.leaves tbody tr").first.evaluate("r => getComputedStyle(r).breakInside") == "avoid"
    paper = page.pdf(path=shots / "passed.pdf", format="A4")
    assert paper.count(b"/Type /Page\n") > 1
    page.screenshot(path=shots / "passed-print.png", full_page=True)
