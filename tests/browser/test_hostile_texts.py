"""Texts that would run, load, lead elsewhere or break a page, on every page and wherever a participant writes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from evil_pages import said_everywhere, written_everywhere
from playwright.sync_api import Browser, Page, Route, sync_playwright

from benchmarks.made_attempts import add
from harness.report.dossier import Dossier, open_dossier
from harness.report.entries import read_results
from harness.report.leaderboard import board
from harness.report.leaderboard_page import leaderboard_page
from harness.report.page import draw_page
from harness.scoring.integrity import Gate
from harness.scoring.score import Score

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")]
CHROMIUM = "/usr/bin/chromium"
EVIL = "http://evil.example"
TEXTS = {
    "a script": "<script>window.owned = 1</script>",
    "a picture": "<img src=x onerror='window.owned = 1'>",
    "ends of everything": "</script></style></title></textarea></template></noscript></svg><script>owned = 1</script>",
    "an attribute": "\" ' onmouseover=owned=1 autofocus tabindex=1 onfocus=owned=1 style=position:fixed x=\"",
    "an address": "javascript:owned=1",
    "a page in an address": "data:text/html,<script>owned=1</script>",
    "a drawing": "<svg onload=owned=1><animate onbegin=owned=1 attributeName=x /><script>owned=1</script></svg>",
    "a style": f"</style><style>* {{ background: url({EVIL}/x); display: none }}",
    "more style": f"x; }} body {{ background: url({EVIL}/x) }} /*",
    "another place": f"<meta http-equiv=refresh content='0;url={EVIL}'><base href='{EVIL}/'>",
    "a form": f"<form action={EVIL}><input name=x autofocus onfocus=owned=1><button>Show all</button></form>",
    "frames": f"<iframe src={EVIL}></iframe><object data={EVIL}></object><embed src={EVIL}>",
    "sheets": f"<link rel=stylesheet href={EVIL}/x.css><link rel=prefetch href={EVIL}><style>@import '{EVIL}';</style>",
    "a template": "{{ 7 * 191 }}{% for x in range(9) %}{{ cycler.__init__.__globals__ }}{% endfor %}{# #}",
    "entities": "&lt;script&gt;owned=1&lt;/script&gt; &#60;img src=x onerror=owned=1&#62; &quot;&apos;&NotAName;",
    "comments": "<!-- --!> <![CDATA[ x ]]> <?php ?> <!DOCTYPE html>",
    "two directions": "\u202e\u2066\u2067\u200f\u200b\u200d\ufeff gnp.exe \u0000\u0007\u001b[2J\u009b31m",
    "piled up marks": "Z" + "\u0301\u0489" * 3000,
    "surrogates and others": "\ufffe\uffff\U000e0041\U0010ffff\u2028\u2029",
    "a dialog": "<dialog open>x</dialog><details open ontoggle=owned=1>x</details><marquee onstart=owned=1>x</marquee>",
    "a long word": "W" * 20_000,
}  # fmt: skip
INNOCENT, NOON = "innocent", datetime(2026, 1, 6, 12, tzinfo=UTC)
Draw = Callable[[str], str]
"""The page in which a text stands wherever a participant writes."""


@pytest.fixture(scope="module")
def pages(finished: tuple[Any, Score], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Draw]:
    found = open_dossier(finished[0].desk)

    def drawn(change: Callable[[Dossier, str], Dossier]) -> Draw:
        return lambda text: draw_page(change(found, text))

    def leaderboard(text: str) -> str:
        folder = tmp_path_factory.mktemp("board")
        flag = Gate(gate=5, name="too rosy a report", fired=True, denies_pass=False, detail=text)
        for number, kind in enumerate(("human", "agent")):
            add(folder, str(number), "open_loop", 0.5, by=f"{text}{number}", kind=kind, condition=kind, gates=[flag])
        add(folder, "waits", "open_loop", None, by=text)
        return leaderboard_page(board(read_results([folder]), [folder], papers=("open_loop",)), own=True, made=NOON)

    return {"attempt": drawn(written_everywhere), "work": drawn(said_everywhere), "leaderboard": leaderboard}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page in the browser, of which everything is noted that it does on its own."""

    def __init__(self, browser: Browser, file: Path, *, width: int) -> None:
        self.troubles: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.route("**/*", lambda route: self._routed(route, file))
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self._asked(dialog.message, dialog.dismiss))
        self.page.on("popup", lambda popup: self.troubles.append(popup.url))
        self.page.goto(file.as_uri())

    def _routed(self, route: Route, file: Path) -> None:
        if route.request.url in (file.as_uri(),) or route.request.url.startswith("data:image/svg+xml"):
            route.continue_()
        else:
            self.troubles.append(route.request.url)
            route.abort()

    def _asked(self, said: str, dismiss: Callable[[], None]) -> None:
        self.troubles.append(said)
        dismiss()

    def touched(self) -> Page:
        """The page after everything on it was opened, hovered over and focused."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        for _ in range(12):
            self.page.keyboard.press("Tab")
        self.page.mouse.move(200, 300)
        self.page.mouse.wheel(0, 600)
        return self.page


def elements(page: Page) -> Counter[str]:
    """How many of each element a page has, with the attributes that each bears: texts change none of it."""
    made = page.evaluate(
        "[...document.querySelectorAll('*')].map(e => e.tagName + ' ' + [...e.attributes].map(a => a.name).sort())"
    )
    return Counter(made)


@pytest.fixture(scope="module")
def innocent(
    browser: Browser, pages: dict[str, Draw], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Counter[str]]:
    """What the pages are made of where nothing odd is said."""
    made, folder = {}, tmp_path_factory.mktemp("innocent")
    for name, draw in pages.items():
        (folder / f"{name}.html").write_text(draw(INNOCENT), encoding="utf-8")
        visit = Visit(browser, folder / f"{name}.html", width=1200)
        made[name] = elements(visit.touched())
        visit.context.close()
    return made


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", ["attempt", "work", "leaderboard"])
def test_a_text_is_a_text(
    browser: Browser, pages: dict[str, Draw], innocent: dict[str, Counter[str]], tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "evil.html").write_text(pages[name](text), encoding="utf-8")
    for width in (1200, 400):
        visit = Visit(browser, tmp_path / "evil.html", width=width)
        page = visit.touched()
        assert page.evaluate("typeof window.owned") == "undefined"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nobody has to scroll sideways"
        assert page.url == (tmp_path / "evil.html").as_uri()
        assert elements(page) == innocent[name], "no text makes an element or an attribute"
        visit.context.close()
        assert visit.troubles == []


def test_the_policy_lets_nothing_run_or_load_but_our_own(
    browser: Browser, pages: dict[str, Draw], tmp_path: Path
) -> None:
    for name, draw in pages.items():
        (tmp_path / f"{name}.html").write_text(draw(INNOCENT), encoding="utf-8")
        visit = Visit(browser, tmp_path / f"{name}.html", width=1200)
        policy = visit.page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules.get("base-uri") == rules.get("form-action") == "'none'"
        assert "unsafe-inline" not in rules.get("script-src", "")
        assert "unsafe-eval" not in policy
        # and where some text did become a script, it would not run
        run = "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s)"
        visit.page.evaluate(run)
        assert visit.page.evaluate("typeof window.owned") == "undefined"
        assert len(visit.troubles) == 1
        assert "Content Security Policy" in visit.troubles[0]
        visit.context.close()


@pytest.mark.parametrize("name", ["attempt", "work", "leaderboard"])
def test_words_of_a_megabyte_hold_nobody_up(
    browser: Browser, pages: dict[str, Draw], tmp_path: Path, name: str
) -> None:
    begun = time.monotonic()
    (tmp_path / "page.html").write_text(pages[name]("W" * (1 << 20)), encoding="utf-8")
    assert time.monotonic() - begun < 30
    assert (tmp_path / "page.html").stat().st_size < 64 << 20
    visit = Visit(browser, tmp_path / "page.html", width=400)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
    visit.context.close()
    assert visit.troubles == []
