"""The attempt's page: everything the records say, in the promised order, every text escaped, nothing from outside."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from harness.appeals import Dispute
from harness.attempt.desk import Desk
from harness.cli import attempts as verbs
from harness.cli.main import reproof
from harness.errors import RecordError, UsageError
from harness.pipeline import PAGE, score
from harness.report.dossier import Dossier, open_dossier
from harness.report.page import draw_page, write_page
from harness.report.pictures import WIDTH, allowed, measured_words, picture_of
from harness.report.trajectories import MOST_POINTS, families
from harness.rerun.measure import Measurement
from harness.rerun.steps import ServedRun, StepsUsed
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

Attempted = tuple[Any, Score]
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' \x1b[31m\u202egnp.exe {{ 7 * 7 }}"
SECTIONS = ["verdict", "claims", "curves", "budget", "time", "integrity", "disputes", "weight", "people", "versions"]
VOID = {"meta", "img", "line", "rect", "circle", "path", "br"}


class Outline(HTMLParser):
    """What a screen reader would walk through."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.named: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and self.open[-1:] == ["svg"]:
            self.named.append("svg")
        if tag not in VOID:
            self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def dossier(finished: Attempted) -> Dossier:
    return open_dossier(finished[0].desk)


@pytest.fixture(scope="module")
def page(dossier: Dossier) -> str:
    return draw_page(dossier)


@pytest.fixture
def copied(finished: Attempted, tmp_path: Path) -> Desk:
    """The attempt in a folder of its own, which a test may change."""
    folder = tmp_path / "results" / "attempts" / finished[0].folder.name
    shutil.copytree(finished[0].folder, folder)
    return Desk(folder=folder)


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def leaf_like(**more: Any) -> ClaimScore:
    facts: dict[str, Any] = {
        "id": "x", "kind": "numeric", "statement": "It is so.", "path": ["all"], "weight": 1.0, "core": False,
        "verdict": Verdict.CERTIFIED, "score": 1.0, "measured": 1.0, "target": 1.0, "margin": 0.1, "low": 0.95,
        "high": 1.05, "seeds": 3, "instance": "pinned", "trust": "recomputed", "provenance": "paper",
        "explanation": "Measured 1.", "settles": None,
    }  # fmt: skip
    return ClaimScore(**{**facts, **more})


def test_the_sections_stand_in_the_promised_order(page: str) -> None:
    places = [page.index(f'<section id="{name}"') for name in SECTIONS]
    assert places == sorted(places)
    assert page.index("PASS") < page.index("95 % interval") < places[1]


def test_every_leaf_is_there_with_all_that_is_known_of_it(page: str, dossier: Dossier) -> None:
    text = text_of(page)
    for leaf in dossier.score.claims:
        for words in (leaf.id, leaf.statement, leaf.explanation, leaf.where or leaf.id, leaf.metric or leaf.id):
            assert " ".join(words.split()) in text, leaf.id
    assert page.count('<svg class="drawn leaf"') == len(dossier.score.claims)


def test_what_names_the_attempt_is_there_in_full(page: str, dossier: Dossier) -> None:
    told = [
        dossier.score.commit, dossier.attempt.start_commit, dossier.attempt.anchor, dossier.last.digest,
        dossier.score.paper_version, dossier.plan.public_digest, *map(str, dossier.plan.seeds[: dossier.rerun.slots]),
        *(digest[:16] for digests in dossier.plan.held_out.values() for digest in digests),
        *(f"{name} {version}" for name, version in dossier.rerun.runtime.items()),
    ]  # fmt: skip
    assert dossier.rerun.runtime
    assert [item for item in told if item not in text_of(page)] == []
    unused = dossier.plan.seeds[dossier.rerun.slots :]
    assert [seed for seed in unused if str(seed) in page] == []


def test_a_gate_is_shown_as_what_it_has_come_to(dossier: Dossier) -> None:
    gates = {gate.gate: gate for gate in dossier.score.integrity}
    flag = gates[5].model_copy(update={"fired": True, "checked": True})
    denied = gates[1].model_copy(update={"fired": True})
    for gate, words in (
        (gates[5], "5, too rosy a report – nothing to look at no numbers are reported"),
        (flag, "5, too rosy a report ⚑ flagged for an audit, takes nothing away"),
        (denied, "1, seed invariance ✘ fired, denies PASS"),
        (gates[6], "6, perturbation ✔ clean"),
    ):
        score = dossier.score.model_copy(update={"integrity": [gate]})
        assert words in text_of(draw_page(replace(dossier, score=score)))


def test_what_is_reported_stands_beside_what_was_measured(page: str, dossier: Dossier) -> None:
    assert "participant reported" not in page
    first = dossier.score.claims[0].model_copy(update={"reported": 1.5, "flattery": 0.25})
    score = dossier.score.model_copy(update={"claims": [first], "reported_problems": [EVIL]})
    shown = draw_page(replace(dossier, score=score))
    assert "the participant reported 1.5, rosier by 0.25" in text_of(shown)
    assert "some are not taken: <script>alert(1)</script>" in text_of(shown)
    assert "<script>" not in shown


def test_a_page_is_one_file_that_loads_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert not outline.all("script", "link", "iframe", "object", "form")
    for tag, attributes in outline.tags:
        assert "style" not in attributes, "the content policy blocks it"
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/svg+xml;base64,")), attributes
    assert "default-src &#39;none&#39;" in page
    assert len(page.encode()) < 2_000_000


def test_a_screen_reader_finds_its_way(page: str) -> None:
    outline = Outline(page)
    assert dict(outline.tags)["html"] == {"lang": "en"}
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in outline.tags}
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(cell.get("scope") in ("row", "col") for cell in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table"))
    pictures = [svg for svg in outline.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(pictures) == len(outline.named) > 10
    assert all(image.get("alt") for image in outline.all("img"))


def hostile(found: Dossier) -> Dossier:
    """Every text that a participant has a hand in, hostile."""
    own = {"explanation": EVIL, "settles": EVIL, "statement": EVIL, "where": EVIL, "reads": (EVIL,), "metric": EVIL}
    judged = found.score.model_copy(
        update={
            "participant": {"kind": EVIL, "name": EVIL}, "reasons": [EVIL], "isolation": EVIL, "condition": EVIL,
            "claims": [leaf.model_copy(update=own) for leaf in found.score.claims],
            "integrity": [gate.model_copy(update={"detail": EVIL, "fired": True}) for gate in found.score.integrity],
            "reported_problems": [EVIL],
        }
    )  # fmt: skip
    credits = {EVIL: {"working": 1.0, "cpu": 1.0, "commits": 1.0}}
    said = {"attempt": "a", "number": 7, "leaf": EVIL, "because": EVIL, "by": EVIL, "at": EVIL}
    return replace(
        found,
        score=judged,
        handed=msgspec.structs.replace(found.handed, ended=EVIL, note=EVIL, credits=credits),
        attempt=msgspec.structs.replace(
            found.attempt, terms=msgspec.structs.replace(found.attempt.terms, licence=EVIL)
        ),
        disputes=[Dispute(**said, ruling="rejected", answer=EVIL)],
        rerun=found.rerun.model_copy(update={"faults": {EVIL: EVIL}}),
        points=[point.model_copy(update={"score": None, "problem": EVIL}) for point in found.points],
    )


def test_hostile_texts_stay_texts(dossier: Dossier) -> None:
    page = draw_page(hostile(dossier))
    assert Outline(page).open == []
    assert not Outline(page).all("script")
    assert not [image for image in Outline(page).all("img") if image.get("src") == "x"]
    for raw in ("\x1b", "\u202e", "<script>alert"):
        assert raw not in page, raw
    assert "\\x1b[31m\\u202egnp.exe {{ 7 * 7 }}" in text_of(page)
    assert page.count("&lt;script&gt;alert(1)") >= 5 * len(dossier.score.claims)


def test_a_page_is_made_from_the_records_alone(copied: Desk, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = copied.folder / "attempt.json"
    record.write_text(record.read_text().replace(str(Path(copied.attempt.paper_folder)), "/nowhere/at/all"))
    alone = write_page(Desk(folder=copied.folder)).read_text()
    assert "from the records alone" in text_of(alone)
    assert "The paper is not found" in text_of(alone)
    assert alone.count('<svg class="drawn leaf"') == page.count('<svg class="drawn leaf"')


def test_a_paper_of_another_version_is_not_taken_for_the_scored_one(copied: Desk) -> None:
    path = copied.submissions[-1] / "score.json"
    was = Score.model_validate_json(path.read_bytes())
    path.write_text(was.model_copy(update={"paper_version": "f" * 16}).model_dump_json())
    assert "is another version" in text_of(write_page(copied).read_text())


def test_a_score_of_before_the_newer_fields_is_drawn(dossier: Dossier) -> None:
    old = {"metric": None, "reads": (), "where": None, "side": None, "higher": None, "lower": None}
    claims = [leaf.model_copy(update=old) for leaf in dossier.score.claims]
    rerun = dossier.rerun.model_copy(update={"runtime": {}})
    page = draw_page(replace(dossier, score=dossier.score.model_copy(update={"claims": claims}), rerun=rerun))
    assert "not kept when this was rerun" in page
    below = next(leaf for leaf in claims if leaf.id == "threshold_below")
    assert allowed(below) == (-math.inf, 2.0)


def test_the_same_records_give_the_same_page(dossier: Dossier, page: str) -> None:
    assert draw_page(dossier) == page


def test_an_attempt_that_earned_nothing_has_a_page(dossier: Dossier) -> None:
    nothing = {"verdict": Verdict.MISSING, "score": 0.0, "measured": None, "target": None, "low": None, "high": None}
    claims = [leaf.model_copy(update=nothing) for leaf in dossier.score.claims]
    poor = dossier.score.model_copy(update={"claims": claims, "verdict": "FAIL"})
    page = draw_page(replace(dossier, score=poor, measured=[], points=[]))
    assert text_of(page).count("nothing measured") == len(claims)
    assert 'id="curves"' not in page
    assert "It was not made yet" in page


def test_every_verdict_has_its_sign_and_its_word(dossier: Dossier) -> None:
    claims = [
        leaf.model_copy(update={"verdict": verdict})
        for leaf, verdict in zip(dossier.score.claims, Verdict, strict=False)
    ]
    text = text_of(draw_page(replace(dossier, score=dossier.score.model_copy(update={"claims": claims}))))
    for sign, verdict in zip("✔✔?✘∅!", Verdict, strict=True):
        assert f"{sign} {verdict}" in text


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.sampled_from(["numeric", "exact", "threshold", "ordering", "curve"]), numbers, numbers, numbers, numbers)
def test_a_picture_stays_on_its_paper_and_tells_the_truth(
    kind: str, measured: float, target: float, reach: float, margin: float
) -> None:
    leaf = leaf_like(
        kind=kind, measured=measured, target=target, margin=abs(margin), low=measured - abs(reach),
        high=measured + abs(reach), side="above",
    )  # fmt: skip
    drawn = picture_of(leaf)
    assert drawn is not None
    assert drawn.interval is not None
    places = [*drawn.allowed, drawn.target, *drawn.interval, drawn.dot if drawn.dot is not None else 0.0]
    assert all(0.0 <= place <= WIDTH for place in places)
    assert (drawn.dot is None) == bool(drawn.beyond)
    assert drawn.interval[0] <= (drawn.dot if drawn.dot is not None else drawn.interval[1]) <= drawn.interval[1]
    floor, ceiling = allowed(leaf)
    if drawn.dot is not None and floor <= measured <= ceiling:
        assert drawn.allowed[0] - 0.01 <= drawn.dot <= drawn.allowed[1] + 0.01


def test_pictures_say_where_a_claim_holds() -> None:
    far = picture_of(leaf_like(measured=5.0, low=4.9, high=5.1))
    assert far
    assert far.dot
    assert far.dot > far.allowed[1]
    above = picture_of(leaf_like(kind="threshold", side="above", margin=None, measured=2.0, target=1.0))
    assert above
    assert above.allowed[1] == WIDTH
    wide = picture_of(leaf_like(low=-50.0, high=50.0))
    assert wide
    assert wide.open_left
    assert wide.open_right
    lost = picture_of(leaf_like(measured=math.inf, low=None, high=None))
    assert lost
    assert lost.beyond == "right"
    probe = picture_of(leaf_like(kind="probe", measured=1e9, target=1.0, margin=None, low=None, high=None))
    assert probe
    assert probe.beyond == "right"
    fine = picture_of(leaf_like(measured=2.4, target=2.4, margin=1e-9, low=2.4, high=2.4))
    assert fine
    assert fine.ends[0].startswith("target − ")


def test_an_ordering_shows_both_its_sides() -> None:
    leaf = leaf_like(kind="ordering", target=0.0, margin=None, measured=1.0, low=0.5, high=1.5, higher=3.0, lower=2.0)
    assert measured_words(leaf) == "3 against 2, difference 1 [0.5, 1.5]"
    assert measured_words(leaf_like(kind="ordering", target=0.5, measured=0.9)).startswith(
        "higher with probability 0.9"
    )


def curve_at(slot: int, points: list[list[float]], author: str = "submission") -> Measurement:
    return Measurement.model_validate(
        {
            "author": author, "metric": "trace", "trust": "recomputed", "experiment": "walk",
            "parameters": {"method": "noisy", "step": 1.0}, "which": "pinned", "index": 0, "slot": slot,
            "deterministic": False, "value": points, "problem": None, "fault": False, "run": "0" * 64,
        }
    )  # fmt: skip


def test_curves_are_means_over_slots_with_their_spread(finished: Attempted) -> None:
    measured = [curve_at(1, [[1, 2.0], [2, 4.0]]), curve_at(2, [[1, 4.0], [2, 4.0]])]
    [family] = families(measured, [], finished[0].paper)
    own, published = family.lines
    assert own.mean.tolist() == [3.0, 4.0]
    assert (own.high - own.low).tolist() == pytest.approx([2 * math.sqrt(2), 0.0])
    assert (published.name, published.mean.tolist()) == ("paper", [3.0, 1.5, 1.0, 0.75])
    assert family.connected
    assert not family.logarithmic
    assert "submission, 2 slots, from 3 at x = 1" in family.words


def test_a_curve_that_diverges_or_never_ends_can_be_drawn(dossier: Dossier) -> None:
    points = [[float(x), math.inf if x == 3 else 1.0] for x in range(1, 50_000)]
    [family] = families([curve_at(1, points)], [], None)
    assert family.lines[0].x.size <= MOST_POINTS
    assert np.isfinite(family.lines[0].mean).sum() >= MOST_POINTS - 2
    page = draw_page(replace(dossier, measured=[curve_at(1, points), curve_at(1, [[1, math.inf], [2, -math.inf]])]))
    assert len(page.encode()) < 500_000


def test_an_exponent_is_shown_on_logarithmic_axes_and_a_cloud_without_lines() -> None:
    exponent = leaf_like(kind="exponent", metric="trace")
    [family] = families([curve_at(1, [[1, 2.0], [1, 2.5], [2, 1.0]])], [exponent], None)
    assert family.logarithmic
    assert not family.connected
    [negative] = families([curve_at(1, [[1, 2.0], [2, -1.0]])], [exponent], None)
    assert not negative.logarithmic


def test_scoring_again_leaves_no_page_of_the_score_before(copied: Desk, finished: Attempted) -> None:
    page = write_page(copied)
    road = replace(finished[0], desk=copied)
    kept = road.records / "score.json"
    kept.write_text(kept.read_text().replace('"verdict": "PASS"', '"verdict": "FAIL"', 1))
    score(road, again=True)
    assert not page.exists()
    write_page(copied)
    score(road, again=True)
    assert page.exists(), "it shows what is kept: nobody who looks at it meanwhile finds it gone"


def test_a_page_that_cannot_be_drawn_takes_nothing_with_it(copied: Desk) -> None:
    (copied.submissions[-1] / "measurements.json").unlink()
    told: list[str] = []
    assert verbs.leave_page(copied, told.append) is None
    assert "the score stands" in told[0]
    with pytest.raises(RecordError):
        write_page(copied)


def test_the_page_lies_there_before_the_mirror_is_filled(lean_finished: Attempted) -> None:
    road = lean_finished[0]
    (road.records / PAGE).unlink(missing_ok=True)
    verbs.finish(road)
    assert (road.records / PAGE).exists()


@pytest.fixture
def kept(lean_finished: Attempted, tmp_path: Path) -> tuple[str, Path]:
    """The lean attempt's name, and a results folder with a copy of it."""
    road = lean_finished[0]
    shutil.copytree(road.store.root, tmp_path / "kept", symlinks=True)
    return road.attempt.id, tmp_path / "kept"


@pytest.fixture
def call(kept: tuple[str, Path]) -> Callable[..., Result]:
    """A verb, in this process, on the copy."""
    return lambda *words: CliRunner().invoke(reproof, [*map(str, words), "--results", str(kept[1])])


def test_report_writes_the_page_where_it_says(
    kept: tuple[str, Path], call: Callable[..., Result], tmp_path: Path
) -> None:
    name, results = kept
    done = call("report", name, "--page", tmp_path / "own.html")
    path = results / "attempts" / name / "submissions" / "001" / PAGE
    assert done.exit_code == 0, done.output
    assert f"page: {path}" in done.output
    assert (tmp_path / "own.html").read_text() == path.read_text()
    assert json.loads(call("report", name, "--json").stdout)["page"] == str(path)


def test_report_says_why_a_page_cannot_be_written_there(kept: tuple[str, Path], call: Callable[..., Result]) -> None:
    done = call("report", kept[0], "--page", "/proc/no/page.html")
    assert isinstance(done.exception, UsageError)
    assert "nothing can be written there" in str(done.exception)


def test_a_dispute_and_its_answer_stand_on_the_page(kept: tuple[str, Path], call: Callable[..., Result]) -> None:
    name, results = kept
    page = results / "attempts" / name / "submissions" / "001" / PAGE
    call("dispute", "raise", name, "number_said", "--because", "the brief says <b>otherwise</b>")
    assert "the brief says &lt;b&gt;otherwise&lt;/b&gt;" in page.read_text()
    assert "Not answered yet." in page.read_text()
    number = max(event.number for event in Desk(folder=results / "attempts" / name).events())
    call("dispute", "answer", name, number, "--reject", "--because", "it does not")
    assert "it does not" in text_of(page.read_text())


def test_runs_beside_environments_have_a_table_of_their_own(dossier: Dossier, page: str) -> None:
    steps = {EVIL: StepsUsed(training=12_000, evaluation=7, exhausted=True)}
    run = ServedRun(run=EVIL, key="0" * 64, experiment="walk", status="crashed", env_steps=steps, remarks=[EVIL])
    drawn = draw_page(replace(dossier, score=dossier.score.model_copy(update={"environments": [run]})))
    text = text_of(drawn)
    assert "What the submission's runs took of the environments" in text
    assert "12,000" in text
    assert "crashed;" in text
    assert "<script" not in drawn
    assert Outline(drawn).open == []
    assert "What the submission's runs took of the environments" not in text_of(page)
