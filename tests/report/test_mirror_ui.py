"""The mirror in MLflow's own UI: saved views with their columns, descriptions in which hostile text stays text."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.record.entry import default_uri
from harness.record.files import Store
from harness.record.tracking import Mirror
from harness.record.views import VIEWS, view_path
from harness.report.mirror import entries
from harness.report.note import attempt_note
from harness.scoring.score import Score

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
Attempted = tuple[Any, Score]
CHROMIUM = Path("/usr/bin/chromium")
EVIL = "<img src=x onerror=document.title='owned'>[go](http://evil.example)`*eve*"


@pytest.fixture(scope="module")
def shown(finished: Attempted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """MLflow's UI on a hostile participant's attempt: its address, the experiment, the attempt's run."""
    from mlflow import MlflowClient

    road, score = finished
    store = Store(tmp_path_factory.mktemp("ui"))
    parent, children = entries(road)
    evil = score.model_copy(update={"participant": {"kind": "agent", "name": EVIL}, "reasons": [EVIL]})
    tags = {**parent.tags, "mlflow.note.content": attempt_note(evil, page=None), "reproof.participant": EVIL}
    mirror = Mirror(store, uri=None, prefix="reproof/")
    done = mirror.attempt("tiny", road.attempt.id, replace(parent, name=EVIL, tags=tags), children)
    experiment = MlflowClient(tracking_uri=default_uri(store)).get_experiment_by_name("reproof/tiny").experiment_id
    with _served(store) as url:
        yield url, experiment, done.run


@contextlib.contextmanager
def _served(store: Store) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["mlflow", "--results", str(store.root), "--port", str(port)]
    program = [sys.executable, "-c", "from harness.cli.start import main; main()", *words]
    child = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2):
                break
            time.sleep(0.5)
        yield url
    finally:
        os.kill(child.pid, signal.SIGINT)
        child.wait(30)


def in_ci() -> bool:
    return any(os.environ.get(name) for name in ("CI", "REPROOF_CI", "REPROOF_CI_BOUNDED"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        reason = "Chromium is missing: apt-get install chromium"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, shown: tuple[str, str, str]) -> Iterator[Any]:
    """A page as wide as a desk's screen; whatever it asks from elsewhere is noted and refused."""
    opened = browser.new_page(viewport={"width": 1600, "height": 1200})
    opened.set_default_timeout(90_000)
    opened.elsewhere = []

    def route(route: Any) -> None:
        if route.request.url.startswith((shown[0], "data:", "blob:")):
            route.continue_()
        else:
            opened.elsewhere.append(route.request.url)
            route.abort()

    opened.route("**/*", route)
    yield opened
    opened.close()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_a_saved_view_opens_with_its_query_and_columns(page: Any, shown: tuple[str, str, str], view: Any) -> None:
    url, experiment, _ = shown
    page.goto(f"{url}/{view_path(experiment, view)}")
    page.get_by_text("You're viewing a shared view").wait_for()
    page.get_by_text("Run Name").first.wait_for()
    assert view.query in page.locator("input").evaluate_all("inputs => inputs.map(input => input.value)")
    if view.key == "reproof-attempts":
        for column in ("reproof.verdict", "PASS", "score_low"):
            page.get_by_text(column, exact=True).first.wait_for(state="attached")


def test_an_experiment_links_its_views(page: Any, shown: tuple[str, str, str]) -> None:
    url, experiment, _ = shown
    page.goto(f"{url}/#/experiments/{experiment}/runs")
    link = page.get_by_role("link", name=VIEWS[0].title).first
    link.wait_for(state="attached")
    assert f"viewStateShareKey={VIEWS[0].key}" in link.get_attribute("href")


def test_hostile_text_stays_text(page: Any, shown: tuple[str, str, str]) -> None:
    url, experiment, run = shown
    page.goto(f"{url}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning")
    page.get_by_text("Every leaf with its reason").first.wait_for(state="attached")
    page.wait_for_timeout(1000)
    assert page.title() != "owned"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("a[href*='evil.example']").count() == 0
    assert page.get_by_text("onerror").count() > 0, "it is shown"
    assert [address for address in page.elsewhere if "evil" in address] == []


def test_a_run_s_curve_is_drawn(page: Any, shown: tuple[str, str, str]) -> None:
    from mlflow import MlflowClient

    url, experiment, _ = shown
    client = MlflowClient(tracking_uri=url)
    [run, *_] = client.search_runs(
        [experiment], "tags.`reproof.experiment` = 'walk' and tags.`reproof.author` = 'submission'"
    )
    page.goto(f"{url}/#/experiments/{experiment}/runs/{run.info.run_id}/model-metrics")
    page.get_by_text("trace", exact=True).first.wait_for()
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(state="attached")
