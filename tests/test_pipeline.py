# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""The whole road on papers of next to nothing: the records, going on after a death, and every kind of bad submission."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import STUB, WORK, lean, write_paper

from harness.errors import SubmissionError, UsageError
from harness.handing_in import ensure_submission
from harness.handing_out import hand_out, work
from harness.paper.load import load_paper
from harness.pipeline import Rerun, kept_score, rerun, score, units_of
from harness.record.files import Store
from harness.record.store import read
from harness.rerun.engine import known_records
from harness.rerun.execute import RunRecord
from harness.road import resume
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

Attempted = tuple[Any, Score]
Submit = Callable[..., Attempted]


def silent(text: str) -> None:
    """Tell nobody."""


def leaf(result: Score, name: str) -> ClaimScore:
    return next(claim for claim in result.claims if claim.id == name)


def records_of(road: Any) -> dict[str, RunRecord]:
    """The records of a road's submission by label, faults of ours among them."""
    units = [unit for unit in units_of(road, read(road.records / "rerun.json", Rerun)) if unit.author == "submission"]
    found = known_records(units, road.store)
    return {unit.label: found[unit.key] for unit in units}


def run_files(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted((store.root / "runs").rglob("*")) if path.is_file()}


def test_the_reference_passes_on_every_kind_of_claim(finished: Attempted) -> None:
    road, result = finished
    assert result.verdict == "PASS"
    assert 0.95 <= result.score.value <= 1.0  # a curve's shape is a matter of chance
    assert result.score.coverage == 1.0
    assert result.slots == 3  # foreseen at the first look
    assert {claim.kind for claim in result.claims} == {
        "numeric",
        "exact",
        "ordering",
        "curve",
        "exponent",
        "threshold",
        "probe",
    }
    assert {claim.verdict for claim in result.claims} <= {Verdict.CERTIFIED, Verdict.CONSISTENT}
    assert sum(claim.weight for claim in result.claims) == pytest.approx(1.0)
    assert [gate.gate for gate in result.integrity] == [1, 2, 3, 4, 5, 6]
    assert not any(gate.fired and gate.denies_pass for gate in result.integrity)
    assert {gate.gate for gate in result.integrity if not gate.checked} == {2, 3, 5}, (
        "nothing is reported, or asked for"
    )
    assert result.usage["rerun"].runs == 25
    assert result.usage["reference"].runs == 9
    assert result.usage["rerun"].cpu > 0
    assert road.attempt.paper_version == result.paper_version


def test_what_an_attempt_leaves(finished: Attempted) -> None:
    road, _ = finished
    assert {path.name for path in road.folder.iterdir()} >= {"attempt.json", "ledger.jsonl", "submissions", "workspace"}
    assert road.records == road.folder / "submissions" / "001"
    assert {path.name for path in road.records.iterdir()} >= {
        "submission.bundle", "submission.json", "rerun.json", "measurements.json", "score.json", "private",
    }  # fmt: skip
    kinds = [json.loads(line)["kind"] for line in (road.folder / "ledger.jsonl").read_text().splitlines()]
    assert kinds[:7] == ["started", "resumed", "committed", "paused", "submitted", "rerun", "scored"]
    for folder in (road.folder, road.records, road.private):
        assert folder.stat().st_mode & 0o077 == 0
    plan = json.loads((road.private / "plan.json").read_text())
    public = (road.folder / "ledger.jsonl").read_text()
    assert not any(str(seed) in public for seed in plan["seeds"])
    assert not any(digest in public for digests in plan["held_out"].values() for digest in digests)
    assert not list((road.store.root / "staging").iterdir())


def test_a_run_leaves_log_outputs_and_record(finished: Attempted) -> None:
    road, _ = finished
    units = units_of(road, read(road.records / "rerun.json", Rerun))
    for unit in units:
        folder = road.store.run(unit.key)
        assert {path.name for path in folder.iterdir()} == {"run.json", "log.txt", "outputs"}
        record = read(folder / "run.json", RunRecord)
        assert record.status == "completed"
        assert set(record.outputs) == {path.name for path in (folder / "outputs").iterdir()}
        assert record.spent.wall > 0
        assert record.seed == unit.seed


def test_nothing_is_computed_twice(finished: Attempted) -> None:
    road, result = finished
    before = run_files(road.store)
    told: list[str] = []
    again = resume(road.attempt.id, road.store.root, tell=told.append)
    rerun(again)
    assert run_files(road.store) == before
    assert score(again) == result


def test_a_score_reads_back_as_it_was(finished: Attempted) -> None:
    road, result = finished
    assert read(road.records / "score.json", Score) == result


def test_the_first_seeds_are_the_same_whatever_the_number_of_slots(
    home: Path, attempted: Callable[..., Attempted]
) -> None:
    road, result = attempted(home / "papers" / "lean", home / "all", slots="all")
    assert result.slots == 3
    assert len(read(road.records / "rerun.json", Rerun).looks) == 1


def test_starter_and_mutation_earn_what_they_deserve(
    lean_finished: Attempted, attempted: Callable[..., Attempted]
) -> None:
    folder, results = lean_finished[0].paper.folder, lean_finished[0].store.root
    road, result = attempted(folder, results, "starter")
    assert (result.verdict, result.score.value, result.score.coverage) == ("FAIL", 0.0, 1.0)
    assert "NotImplementedError: the walk is yours to write" in leaf(result, "number_published").explanation
    assert {claim.verdict for claim in result.claims} == {Verdict.MISSING}
    assert result.slots == 1
    road, result = attempted(folder, results, "mutation", name="doubled_step")
    assert result.verdict == "FAIL"
    assert {leaf(result, name).verdict for name in ("number_published", "number_reference", "exact_published")} == {
        Verdict.FAILED
    }
    assert all(record.usable for record in records_of(road).values())


# --- bad submissions ---------------------------------------------------------------------------------------------

HARM = """\
def walk(parameters, seed, instance, out):
    import os, pickle, time
    honest(parameters, seed, instance, out)
    if parameters["method"] == "noisy" and "shift" not in instance:
        position = [3.0, 1.5, 1.0, 0.75]
        {harm}


def honest("""


def harmed(harm: str) -> dict[str, str]:
    """The reference, doing harm on the pinned instance of the noisy walk."""
    assert WORK.count("def walk(") == 1
    return {"reproduction/work.py": WORK.replace("def walk(", HARM.format(harm=harm), 1)}


BAD = {
    "missing output": ("(out / 'position.npy').unlink()", "unusable", "output position is missing"),
    "nan": ("save(out / 'position.npy', [3.0, float('nan'), 1.0, 0.75])", "unusable", "position is not finite: expected finite numbers, got nan at (1,)"),
    "wrong shape": ("save(out / 'position.npy', position[:3])", "unusable", "position has the wrong shape: expected (4), got (3)"),
    "pickle": ("(out / 'position.npy').write_bytes(pickle.dumps(position))", "unusable", "output position cannot be read"),
    "garbage header": ("(out / 'position.npy').write_bytes(b'\\x93NUMPY\\x01\\x00\\x05\\x00((((' + bytes([10]))", "unusable", "output position"),
    "json without a key": ("(out / 'report.json').write_text('{}')", "unusable", "report lacks a key"),
    "nan in json": ("(out / 'report.json').write_text('{\"mean\": NaN, \"steps\": 4}')", "unusable", "report.mean is not finite"),
    "link as output": ("(out / 'position.npy').unlink(); os.symlink('/etc/passwd', out / 'position.npy')", "unusable", "position"),
    "crash": ("raise ValueError('out of luck')", "crashed", "ValueError: out of luck"),
    "exit code": ("os._exit(3)", "crashed", "ended with exit code 3"),
    "signal": ("os.kill(os.getpid(), 11)", "crashed", "exit code 139"),
    "endless loop": ("while True: pass", "killed", "it used more than its 1 s of CPU time"),
    "memory": ("x = bytearray(b'1') * (200 << 20)", None, "memory"),
    "disk": ("(out / 'more.bin').write_bytes(bytes(8 << 20))", None, ""),
}  # fmt: skip


def tight(spec: dict[str, Any]) -> None:
    lean(spec)
    spec["experiments"]["walk"]["limits"] = {"cpu": "1 s", "memory": "64 MiB", "processes": 8, "disk": "1 MiB"}


@pytest.fixture(scope="session")
def tight_folder(home: Path) -> Path:
    return write_paper(home / "tight" / "lean", tight)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_submission_loses_what_it_spoils_and_nothing_else(submit: Submit, tight_folder: Path, name: str) -> None:
    harm, status, says = BAD[name]
    road, result = submit(harmed(harm), folder=tight_folder)
    records = records_of(road)
    spoilt = [record for label, record in records.items() if "noisy" in label and "pinned" in label]
    honest = [record for record in records.values() if record not in spoilt]
    assert spoilt
    assert {record.status for record in honest} == {"completed"}
    assert {record.status for record in spoilt} <= ({status} if status else {"crashed", "killed", "unusable"})
    assert result.verdict == "FAIL"
    assert result.score.coverage == 1.0  # it is not our fault
    for lost in ("number_published", "number_said", "threshold_below"):
        assert leaf(result, lost).verdict is Verdict.MISSING
        assert leaf(result, lost).score == 0.0
        assert says.lower() in leaf(result, lost).explanation.lower()
        assert "walk method=noisy" in leaf(result, lost).explanation
    for kept in ("number_reference", "exact_published", "exact_reference"):
        assert leaf(result, kept).score == pytest.approx(1.0, abs=0.3)
    assert "the core leaf number_published is missing" in result.reasons
    assert read(road.records / "score.json", Score) == result


def test_a_link_in_a_submission_is_refused_and_the_attempt_is_kept(submit: Submit, lean_finished: Attempted) -> None:
    before = set(lean_finished[0].store.attempts())
    with pytest.raises(SubmissionError) as caught:
        submit({**harmed("pass"), "reproduction/data.txt": "->/etc/passwd"})
    assert "reproduction/data.txt" in str(caught.value)
    assert caught.value.remedy
    (name,) = set(lean_finished[0].store.attempts()) - before
    assert (lean_finished[0].store.attempt(name) / "ledger.jsonl").exists()
    assert (lean_finished[0].store.attempt(name) / "workspace/reproduction/work.py").exists()


@pytest.mark.slow
def test_a_sleeper_is_missed_and_wins_nothing(submit: Submit, home: Path) -> None:
    """Half a second of CPU gives two and a half of wall; who sleeps them away where they know no answer, has none."""

    def hasty(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["experiments"]["walk"]["limits"]["cpu"] = "0.5 s"
        spec["seeds"] = {"looks": [2, 3], "reference": 2}

    folder = write_paper(home / "hasty" / "lean", hasty)
    road, result = submit(harmed("time.sleep(60)"), folder=folder)
    assert (result.verdict, result.score.coverage) == ("FAIL", 1.0)
    number = leaf(result, "number_published")
    assert (number.verdict, number.score) == (Verdict.MISSING, 0.0)
    assert "it took more than 2.5 s of wall time" in number.explanation
    assert leaf(result, "exact_published").verdict is Verdict.CERTIFIED
    assert result.score.value < 0.9
    slept = [record for record in records_of(road).values() if record.killed_by == "wall"]
    assert slept
    assert {record.status for record in slept} == {"killed"}


def test_a_hostile_log_is_shown_and_not_obeyed(submit: Submit) -> None:
    from rich.console import Console

    from harness.report.table import score_table

    _, result = submit(
        harmed(
            "print('\\x1b[2J\\x1b]0;owned\\x07', flush=True); print('x' * 10**6); raise ValueError('\\x1b[31m[bold]red')"
        )
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(score_table(result))
    text = console.export_text(styles=True)
    assert "owned" not in text.replace("\\x1b]0;owned", "")
    assert "\x1b[2J" not in text
    assert "[bold]red" in text.replace("\n", "")


def test_identical_outputs_for_all_seeds_deny_pass(submit: Submit) -> None:
    _, result = submit({"reproduction/work.py": WORK.replace("random.Random(seed)", "random.Random(7)")})
    gate = result.integrity[0]
    assert gate.fired
    assert gate.denies_pass
    assert "identical outputs for 2 different seeds" in gate.detail
    assert result.verdict == "FAIL"
    assert result.score.value > 0.8  # it is denied by the gate alone


def test_outputs_that_do_not_repeat_themselves_deny_pass(submit: Submit) -> None:
    _, result = submit(
        {
            "reproduction/work.py": WORK.replace("random.Random(seed)", "random.Random()").replace(
                '== "noisy" else 0.0', '== "noisy" else 1e-4'
            )
        }
    )
    assert result.integrity[0].fired
    assert "does not repeat itself" in result.integrity[0].detail
    assert result.verdict == "FAIL"


def test_the_answers_of_the_paper_pasted_in_are_found_on_fresh_instances(submit: Submit) -> None:
    """A hard-coder knows the pinned goal; on a goal drawn for the attempt it gives the same answer."""
    pasted = WORK.replace('instance["goal"]', "3.0").replace(
        'sum(instance.get("shift", [1.0]))', 'len(instance.get("shift", [1.0]))'
    )
    _, result = submit({"reproduction/work.py": pasted})
    assert leaf(result, "number_published").score == pytest.approx(1.0)
    gate = result.integrity[-1]
    assert (gate.gate, gate.fired) == (6, True)
    assert "exact_reference failed" in gate.detail
    assert result.verdict == "FAIL"


def test_where_every_run_crashed_no_gate_is_called_clean(submit: Submit) -> None:
    _, result = submit({"reproduction/work.py": STUB})
    assert result.verdict == "FAIL"
    assert {(gate.gate, gate.fired, gate.checked) for gate in result.integrity} == {
        (number, False, False) for number in range(1, 7)
    }
    assert result.integrity[0].detail == "no run left outputs that could be compared"
    assert "nothing was measured for any of 2 leaves" in result.integrity[-1].detail


ROSY = {"number_published": 1.5625, "exact_published": 0.78125, "threshold_below": 0.25}


def test_a_report_stands_beside_what_was_measured_and_earns_nothing(submit: Submit) -> None:
    worse = {
        "reproduction/work.py": WORK.replace('* parameters["step"] / (i + 1)', '* parameters["step"] * 1.2 / (i + 1)')
    }
    _, silent = submit(worse)
    road, found = submit({**worse, "reported.json": json.dumps({**ROSY, "number_reference": 1.0, "nothing": 1})})
    told = {leaf.id: (leaf.reported, leaf.flattery) for leaf in found.claims if leaf.reported is not None}
    assert {name: reported for name, (reported, _) in told.items()} == ROSY
    assert told["exact_published"][1] == pytest.approx(0.2 * 0.78125)
    assert told["number_published"][1] == pytest.approx(0.2 * 1.5625, rel=0.1)
    assert told["threshold_below"][1] == pytest.approx(1.2 * 1.5625 - 0.25, rel=0.1)
    assert [problem.partition(" is not taken: ")[0] for problem in found.reported_problems] == [
        "reported.json: 'number_reference'", "reported.json: 'nothing'"
    ]  # fmt: skip
    gate = next(gate for gate in found.integrity if gate.gate == 5)
    assert (gate.fired, gate.checked, gate.denies_pass) == (False, True, False)
    assert "0 cannot be told apart from what was measured, 3 flatter" in gate.detail
    assert (found.verdict, found.score) == (silent.verdict, silent.score)
    assert [leaf.score for leaf in found.claims] == [leaf.score for leaf in silent.claims]
    assert all(leaf.reported is None and leaf.flattery is None for leaf in silent.claims)
    assert score(road, again=True) == found


@pytest.mark.parametrize("content", ["[" * 60_000, '{"\\ud800": NaN}'])
def test_no_report_can_end_the_scoring(submit: Submit, content: str) -> None:
    road, found = submit({"reproduction/work.py": WORK, "reported.json": content})
    assert found.verdict == "PASS"
    assert len(found.reported_problems) == 1
    assert not any(gate.fired for gate in found.integrity)
    assert kept_score(road.records) == found


def test_a_score_survives_its_submission_s_files(submit: Submit) -> None:
    """An attempt of before reports were kept, whose tree somebody has removed since, is scored again all the same."""
    road, found = submit({"reproduction/work.py": WORK, "reported.json": json.dumps(ROSY), "lost.txt": "x"})
    tree = read(road.records / "rerun.json", Rerun).tree
    shutil.rmtree(road.store.trees / tree)
    again = score(road, again=True)
    assert (again.verdict, again.score) == (found.verdict, found.score)
    assert again.reported_problems == ["reported.json is not looked at: the stored files are not those of the tree"]
    assert all(leaf.reported is None for leaf in again.claims)


def test_scores_of_before_there_were_reports_are_read(lean_finished: Attempted, tmp_path: Path) -> None:
    kept = json.loads((lean_finished[0].records / "score.json").read_text())
    del kept["reported_problems"]
    kept["integrity"] = [
        gate for gate in kept["integrity"] if gate.pop("checked") is not None and gate["gate"] in (1, 6)
    ]
    for leaf in kept["claims"]:
        del leaf["reported"], leaf["flattery"]
    (tmp_path / "score.json").write_text(json.dumps(kept))
    found = kept_score(tmp_path)
    assert found is not None
    assert [gate.checked for gate in found.integrity] == [True, True]


@pytest.mark.parametrize("ragged", ["[[1, 2], [3]]", "[[[1]], 2]"])
def test_a_ragged_list_cannot_end_the_scoring(submit: Submit, home: Path, ragged: str) -> None:
    def listed(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["experiments"]["walk"]["outputs"]["extra"] = {"file": "extra.json", "keys": {"l": "list", "t": "float"}}

    folder = write_paper(home / "ragged" / "lean", listed)
    harm = "pass"
    text = harmed(harm)["reproduction/work.py"].replace(
        "    honest(parameters, seed, instance, out)\n",
        "    honest(parameters, seed, instance, out)\n    (out / 'extra.json').write_text('{\"l\": "
        + ragged
        + ", \"t\": ' + repr(time.time() % 1) + '}')\n",
    )
    _, result = submit({"reproduction/work.py": text}, folder=folder)
    assert result.integrity[0].fired


CURVES = {
    "empty": "np.zeros((0, 2))",
    "one point": "np.ones((1, 2))",
    "fewer points": "np.column_stack([[1.0, 2.0], [3.0, 1.5]])",
    "falling x": "np.column_stack([[4.0, 3, 2, 1], outputs['position']])",
    "one x": "np.column_stack([np.ones(4), outputs['position']])",
    "infinite x": "np.column_stack([[1.0, 2, 3, np.inf], outputs['position']])",
    "infinite y": "np.column_stack([[1.0, 2, 3, 4], [3.0, np.inf, 1, 0.75]])",
    "negative y": "np.column_stack([[1.0, 2, 3, 4], -outputs['position']])",
    "another shape": "outputs['position']",
    "text": "'curve'",
}


@pytest.mark.parametrize("name", CURVES)
def test_no_curve_can_end_the_scoring(home: Path, finished: Attempted, name: str) -> None:
    """A metric may make anything of what a submission wrote; here it does so of the submission's outputs alone."""
    from harness.rerun.measure import measure
    from harness.scoring.score import grade, verdict_of

    road, _ = finished
    source = (road.paper.folder / "metrics.py").read_text()
    harm = f"    if abs(outputs['report']['mean'] - said()) > 1e-12:\n        return {CURVES[name]}\n"
    units = units_of(road, read(road.records / "rerun.json", Rerun))
    records = known_records(units, road.store)
    folder = write_paper(
        home / "curves" / name.replace(" ", "_") / "tiny",
        metrics=source.replace("    position = outputs", harm.replace("said()", "1e9") + "    position = outputs", 1),
    )
    theirs = measure(road.paper, units, records, road.store)
    mine = measure(load_paper(folder), units, records, road.store)
    measured = [m for m in mine if m.author == "submission"] + [m for m in theirs if m.author == "reference"]
    graded = grade(road.paper, measured, units, records, road.store)
    verdicts = {one.id: one.verdict for one in graded.judged}
    assert verdict_of(graded)[0] in ("PASS", "FAIL", "UNDECIDED")
    assert verdicts["number_published"] is Verdict.CERTIFIED
    assert graded.coverage == 1.0, "a curve of the submission is not our fault"
    spoilt = {verdict for name, verdict in verdicts.items() if name.startswith(("curve", "exponent"))}
    assert spoilt & {Verdict.FAILED, Verdict.MISSING}


# --- without isolation, interruptions, rescoring ------------------------------------------------------------------


def test_without_isolation_nothing_passes(home: Path, attempted: Callable[..., Attempted]) -> None:
    _, result = attempted(home / "papers" / "lean", home / "bare", backend="process")
    assert result.verdict == "UNDECIDED"
    assert result.score.value == pytest.approx(1.0)
    assert any("never PASS" in reason for reason in result.reasons)
    assert "process" in result.isolation


SLOW = WORK.replace(
    "def walk(",
    "def walk(parameters, seed, instance, out):\n    import time\n    time.sleep(0.3)\n    quick(parameters, seed, instance, out)\n\n\ndef quick(",
    1,
)


def begun(home: Path, name: str, environment: dict[str, str]) -> tuple[Path, Path, subprocess.Popen[str]]:
    """An attempt under way in a process group of its own, once its first runs have landed."""
    folder = write_paper(home / name / "lean", lean, work=SLOW)
    (folder / "starter/reproduction/work.py").write_text("def work(run, folder, out):\n    raise NotImplementedError\n")
    results = home / f"{name}-results"
    process = subprocess.Popen(
        [sys.executable, "-c", "from harness.cli.start import main; main()", "attempt", f"paper={folder}", f"results={results}", "tracking=none", "slots=all", "engine.workers=2"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while time.monotonic() < end and len(list((results / "runs").glob("*/*/run.json"))) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return folder, results, process


def judged(result: Score) -> dict[str, tuple[str, float]]:
    return {claim.id: (claim.verdict, claim.score) for claim in result.claims}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_an_interrupted_attempt_goes_on_to_the_same_verdict(
    home: Path, environment: dict[str, str], how: signal.Signals
) -> None:
    _, results, process = begun(home, f"interrupted-{how}", environment)
    os.killpg(process.pid, how)
    _, err = process.communicate(timeout=30)
    done = set((results / "runs").glob("*/*/run.json"))
    assert 2 <= len(done) < 12
    for path in done:
        assert read(path, RunRecord).status == "completed", "a cancelled run was kept as if the submission had failed"
    (name,) = Store(results).attempts()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert f"reproof rerun {name}" in err
        assert "Traceback" not in err
    road = resume(name, results, tell=silent)
    ensure_submission(road)
    rerun(road)
    result = score(road)
    assert result.verdict == "PASS"
    assert set(judged(result).values()) == {(Verdict.CERTIFIED, 1.0)} or result.score.value > 0.95
    assert done < set((results / "runs").glob("*/*/run.json"))
    assert not any((results / "staging").iterdir()) or how != signal.SIGINT


def test_what_was_not_handed_in_yet_is_handed_in_on_going_on(home: Path, settings: Callable[..., Any]) -> None:
    road = hand_out(settings(home / "papers" / "lean", home / "cut"), tell=silent)
    work(road, {})
    again = resume(road.attempt.id, home / "cut", tell=silent)
    handed = ensure_submission(again)
    assert handed.ended == "interrupted"
    assert ensure_submission(again) == handed


def test_a_changed_margin_is_rescored_without_a_run(home: Path, attempted: Callable[..., Attempted]) -> None:
    folder = write_paper(home / "changing" / "lean", lean)
    road, first = attempted(folder, home / "changing-results")
    before = run_files(road.store)

    def narrow(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["claims"]["number_published"]["target"] |= {
            "margin": 1e-6,
            "value": 1.7,
            "spread": {"kind": "sd", "value": 1e-4},
        }

    write_paper(folder, narrow)
    again = score(resume(road.attempt.id, road.store.root, tell=silent), again=True)
    assert run_files(road.store) == before
    assert first.paper_version != again.paper_version == load_paper(folder).version
    assert leaf(first, "number_published").verdict is Verdict.CERTIFIED
    assert leaf(again, "number_published").verdict is Verdict.FAILED
    assert again.verdict == "FAIL"
    kinds = [json.loads(line)["kind"] for line in (road.folder / "ledger.jsonl").read_text().splitlines()]
    assert kinds[-2:] == ["scored", "rescored"]


def test_infinities_travel_through_the_records(submit: Submit) -> None:
    """The ratio of a walk to nothing is infinite: a value that is printed, kept, and read back."""
    road, result = submit(harmed("save(out / 'position.npy', [1e308] * 4)"))
    assert leaf(result, "number_published").verdict is Verdict.FAILED
    measured = leaf(result, "number_published").measured
    assert measured is not None
    assert math.isinf(measured)
    assert read(road.records / "score.json", Score) == result
    assert '"Infinity"' in result.model_dump_json()


def test_unknown_names_are_answered(home: Path, settings: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="unknown attempt"):
        resume("nobody", home / "results", tell=silent)
    asked = settings(home / "papers" / "lean", home / "results")
    budget = asked.budget.model_copy(update={"name": "standart"})
    with pytest.raises(UsageError, match="did you mean standard"):
        hand_out(asked.model_copy(update={"budget": budget}), tell=silent)
