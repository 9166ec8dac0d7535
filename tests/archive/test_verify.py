"""Verifying on an installation that has never seen the attempt: honest archives, forged ones, and what is kept."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import Members, corrected, edit_json, in_order, members_of, write_tar
from filelock import FileLock
from handmade import HOUR, Life, commit
from tiny_paper import METRICS, STUB, WORK, lean, write_paper

from harness.archive import verify as verifying
from harness.archive.pack import HOLDS_REFERENCE, NO_CONSENT, Packed, pack
from harness.archive.verify import FILE, Verification, Verifier
from harness.attempt.participant import Outcome
from harness.errors import HarnessFault, PaperError, RecordError, SubmissionError, UsageError
from harness.handing_in import hand_in
from harness.overtime import over_time
from harness.pipeline import Rerun, rerun, score, units_of
from harness.record.files import Store
from harness.record.store import read
from harness.rerun.execute import RunRecord
from harness.road import Road

Changed = Callable[..., Path]


def reruns(verifier: Verifier, number: int = 1) -> dict[str, str]:
    """When the runs of a verification were made, by key."""
    folder = verifier.results / "verified" / "reruns"
    records = folder.glob(f"*/{number:03}/runs/*/*/run.json")
    return {path.parent.name: json.loads(path.read_text())["started"] for path in records}


def nothing_stays(verifier: Verifier) -> bool:
    staging = verifier.results / "staging"
    return not staging.exists() or not any(staging.iterdir())


@pytest.fixture(scope="module")
def verified(packed: Packed, home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Verifier, Verification]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
        verifier = Verifier(results=tmp_path_factory.mktemp("verified"))
        return verifier, verifier.verify(packed.archive)


def test_an_honest_attempt_is_the_same_elsewhere(
    verified: tuple[Verifier, Verification], packed: Packed, lean_finished: Any
) -> None:
    found, score = verified[1], lean_finished[1]
    assert found.same
    assert found.rerun
    assert found.rescored
    assert (found.archive, found.attempt, found.commit) == (packed.sha256, score.attempt, score.commit)
    assert (found.score.packed, found.score.here) == (score.score.value, score.score.value)
    assert [leaf.id for leaf in found.leaves] == [leaf.id for leaf in score.claims]
    assert all(leaf.same for leaf in found.leaves)
    assert found.problems == []
    assert found.notes == [NO_CONSENT, HOLDS_REFERENCE]
    assert found.runs
    assert found.runs.compared == found.runs.identical > 0


def test_what_is_kept_of_it(verified: tuple[Verifier, Verification]) -> None:
    verifier, found = verified
    kept = verifier.results / "verified"
    assert read(kept / f"{found.attempt}.json", Verification) == found
    assert nothing_stays(verifier)
    assert not (verifier.results / "attempts").exists()
    assert len(reruns(verifier)) > 0


def test_the_runs_are_made_here_and_not_taken_from_the_archive(
    verified: tuple[Verifier, Verification], lean_finished: Any
) -> None:
    road, _ = lean_finished
    made = reruns(verified[0])
    packed = {key: read(road.store.run(key) / "run.json", RunRecord).started.isoformat() for key in made}
    assert made.keys() == packed.keys()
    assert all(made[key] > packed[key] for key in made)


def test_once_more_is_quick_and_again_makes_new_runs(packed: Packed, verifier: Verifier) -> None:
    first = verifier.verify(packed.archive)
    before = reruns(verifier)
    second = verifier.verify(packed.archive)
    assert reruns(verifier) == before
    third = verifier.verify(packed.archive, again=True)
    fresh = reruns(verifier, 2)
    assert fresh.keys() == before.keys()
    assert all(fresh[key] > before[key] for key in fresh)
    lines = (verifier.results / "verified" / f"{first.attempt}.jsonl").read_text().splitlines()
    assert [Verification.model_validate_json(line) for line in lines] == [first, second, third]


def test_a_quick_one_does_not_count(packed: Packed, verifier: Verifier) -> None:
    found = verifier.verify(packed.archive, quick=True)
    assert (found.same, found.rerun, found.rescored, found.runs) == (True, False, True, None)
    assert not (verifier.results / "verified" / f"{found.attempt}.json").exists()
    assert (verifier.results / "verified" / f"{found.attempt}.jsonl").exists()
    assert reruns(verifier) == {}


def test_where_the_attempt_is_known_its_folder_says_so(own: Road, verifier: Verifier, tmp_path: Path) -> None:
    here = replace(verifier, results=own.store.root)
    packed = pack(own, tmp_path / "own.tar.gz")
    keys = set(path.name for path in own.store.root.glob("runs/*/*"))
    found = here.verify(packed.archive)
    assert read(own.folder / FILE, Verification) == found
    assert found.same
    assert reruns(here).keys() <= keys
    assert pack(own, tmp_path / "later.tar.gz").sha256 == packed.sha256


def test_another_attempt_of_that_name_is_not_marked(own: Road, packed: Packed, verifier: Verifier) -> None:
    here = replace(verifier, results=own.store.root)
    score = own.records / "score.json"
    score.write_text(score.read_text().replace("PASS", "FAIL"))
    with pytest.raises(UsageError, match=r"not what was packed(.|\n)*reproof pack"):
        here.verify(packed.archive, quick=True)
    assert not (own.folder / FILE).exists()


def test_without_outputs_only_a_rerun_can_tell(own: Road, verifier: Verifier, tmp_path: Path) -> None:
    small = pack(own, tmp_path / "small.tar.gz", outputs=False)
    with pytest.raises(UsageError, match=r"left out(.|\n)*leave out --quick"):
        verifier.verify(small.archive, quick=True)
    found = verifier.verify(small.archive)
    assert (found.same, found.rerun, found.rescored) == (True, True, False)
    assert found.runs
    assert found.runs.identical == found.runs.compared > 0


def raised(score: dict[str, Any]) -> None:
    score["score"]["value"] = 0.5
    score["verdict"] = "FAIL"


FORGED: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "score": ("score.json", raised, "its ledger tells of another score"),
    "verdict": ("score.json", lambda s: s["claims"][0].update(verdict="failed"), "number_published does not follow"),
    "measured": ("score.json", lambda s: s["claims"][0].update(measured=1.5), "number_published does not follow"),
    "leaf left out": ("score.json", lambda s: s["claims"].pop(), "the packed score has no such leaf"),
    "participant": ("score.json", lambda s: s["participant"].update(name="eve"), "participant of the packed score"),
    "gate": ("score.json", lambda s: s["integrity"][0].update(fired=True), "gate 1 of the packed score"),
    "usage": ("score.json", lambda s: s["usage"]["rerun"].update(cpu=0.0), "usage.rerun.cpu of the packed score"),
    "measurement": ("measurements.json", lambda m: m["measurements"][0].update(value=7.0), "not what the packed"),
    "isolation": ("rerun.json", lambda r: r.update(isolation="process"), "isolation of the packed score"),
    "seeds": ("plan.json", lambda p: p["seeds"].reverse(), "does not commit to this plan"),
    "entropy": ("plan.json", lambda p: p.update(entropy="0" * 32), "not what this paper's generator draws"),
    "no entropy": ("plan.json", lambda p: p.update(entropy="zz"), "entropy is no number"),
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_a_record_that_was_changed_with_its_hash_is_found(changed: Changed, verifier: Verifier, forged: str) -> None:
    name, change, says = FORGED[forged]
    found = verifier.verify(changed(lambda members: edit_json(members, name, change)), quick=True)
    assert not found.same
    assert any(says in problem for problem in found.problems), found.problems


REFUSED: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "commit": ("score.json", lambda s: s.update(commit="0" * 40), "more than one commit"),
    "attempt": ("score.json", lambda s: s.update(attempt="another"), "more than one attempt"),
    "tree": ("rerun.json", lambda r: r.update(tree="../../etc"), "more than one tree"),
    "slots": ("rerun.json", lambda r: r.update(slots=99), "not one that this paper can have"),
    "seeds": ("plan.json", lambda p: p["seeds"].pop(), "not one that this paper can have"),
    "instances": ("plan.json", lambda p: p.update(held_out={}), "not one that this paper can have"),
    "start": ("attempt.json", lambda a: a.update(start_tree="../../../../../etc"), "record is damaged"),
    "anchor": ("attempt.json", lambda a: a.update(anchor="0" * 64), "line 1 of the ledger is damaged"),
    "noted": ("submission.json", lambda h: h["ledger"].__setitem__(1, "0" * 64), "of the ledger is damaged"),
    "unknown key": ("score.json", lambda s: s.update(more=1), "record is damaged"),
    "no record": ("attempt.json", lambda a: a.clear(), "record is damaged"),
    "instance's array": ("instance.json", lambda i: i["arrays"].append("../../../etc/passwd"), "cannot be read back"),
    "instance's values": ("instance.json", lambda i: i.update(values=["x"]), "cannot be read back"),
    "instance's digest": ("instance.json", lambda i: i.update(digest="0" * 64), "was changed"),
}  # fmt: skip


@pytest.mark.parametrize("forged", REFUSED)
def test_records_that_do_not_fit_together_are_refused(changed: Changed, verifier: Verifier, forged: str) -> None:
    name, change, says = REFUSED[forged]
    with pytest.raises(RecordError, match=says):
        verifier.verify(changed(lambda members: edit_json(members, name, change)), quick=True)
    assert nothing_stays(verifier)
    assert not (verifier.results / "verified").exists()


def named(members: Members, end: str) -> str:
    return next(name for name in sorted(members) if name.endswith(end))


def cut_ledger(members: Members) -> None:
    name = named(members, "ledger.jsonl")
    lines = members[name].splitlines(keepends=True)
    members[name] = b"".join([lines[0], *lines[2:]])


def swap_output(members: Members) -> None:
    first, *rest = [name for name in sorted(members) if name.endswith("position.npy")]
    second = next(name for name in rest if members[name] != members[first])  # the slot that is run twice agrees
    members[first], members[second] = members[second], members[first]


def pickle_output(members: Members) -> None:
    name = named(members, "position.npy")
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (4,), }"
    members[name] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x80\x04."
    record = f"{name.partition('/outputs/')[0]}/run.json"
    value = json.loads(members[record])
    value["outputs"]["position.npy"] = hashlib.sha256(members[name]).hexdigest()
    members[record] = json.dumps(value).encode()


def swap_records(members: Members) -> None:
    first, second = [name for name in sorted(members) if name.endswith("/run.json")][:2]
    members[first], members[second] = members[second], members[first]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cut_ledger, "of the ledger is damaged"),
        (swap_output, "are not those of its record"),
        (pickle_output, "cannot be used.*pickle"),
        (swap_records, "is that of another run"),
        (lambda members: members.pop(named(members, "rerun.json")), "does not exist"),
        (lambda members: members.pop(named(members, "submission.json")), "nothing was handed in"),
        (lambda members: members.pop(named(members, "plan.json")), "does not exist"),
        (lambda members: members.pop(named(members, "ledger.jsonl")), "there is no ledger"),
    ],
    ids=["ledger", "outputs", "pickle", "records", "no rerun", "no submission", "no plan", "no ledger"],
)
def test_what_cannot_be_is_refused(changed: Changed, verifier: Verifier, change: Any, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        verifier.verify(changed(change), quick=True)
    assert nothing_stays(verifier)


def test_a_run_that_was_left_out_is_missed(changed: Changed, verifier: Verifier) -> None:
    def leave_out(members: Members) -> None:
        run = named(members, "/run.json").removesuffix("run.json")
        for name in [name for name in members if name.startswith(run)]:
            del members[name]

    found = verifier.verify(changed(leave_out), quick=True)
    assert not found.same
    said = "does not follow from the packed outputs", "of the packed score is"  # the latter of a run that repeats one
    assert any(words in problem for problem in found.problems for words in said)


def test_a_bundle_that_is_none_meets_git_in_the_clean_room_only(changed: Changed, verifier: Verifier) -> None:
    def spoil(members: Members) -> None:
        name = named(members, "submission.bundle")
        members[name] = members[name][:-30] + bytes(30)

    with pytest.raises(SubmissionError):
        verifier.verify(changed(spoil))
    assert nothing_stays(verifier)


def test_a_start_that_is_not_the_commit_s_is_refused(changed: Changed, verifier: Verifier) -> None:
    def spoil(members: Members) -> None:
        members[next(name for name in members if name.startswith("trees/") and name.endswith("TASK.md"))] = b"easy"

    with pytest.raises(RecordError, match="not those of the tree"):
        verifier.verify(changed(spoil))


def test_outputs_that_were_swapped_in_the_packers_own_records_are_found_by_the_rerun(
    submit: Any, lean_finished: Any, verifier: Verifier, tmp_path: Path
) -> None:
    """Whoever runs the harness can write what they like into their records; the rerun elsewhere does not care."""
    reference, _ = lean_finished
    # no mutation's change: the store is shared, and other tests would find the forged runs under their own keys
    wrong = load_work(reference).replace('parameters["step"] / (i + 1)', '2.5 * parameters["step"] / (i + 1)')
    good, _ = submit({"reproduction/work.py": load_work(reference)}, slots="all")
    road, honest = submit({"reproduction/work.py": wrong}, slots="all")
    assert honest.verdict == "FAIL"
    right, theirs = (units_of(at, read(at.records / "rerun.json", Rerun)) for at in (good, road))
    for own, forged in zip(right, theirs, strict=True):
        assert (own.label, own.seed) == (forged.label, forged.seed)
        if forged.author == "submission":
            take_over(road.store, own.key, forged.key)
    assert score(road, again=True).verdict == "PASS"
    packed = pack(road, tmp_path / "forged.tar.gz")
    assert verifier.verify(packed.archive, quick=True).same
    found = verifier.verify(packed.archive)
    assert (found.same, found.problems) == (False, [])
    assert (found.verdict.packed, found.verdict.here) == ("PASS", "FAIL")
    assert not next(leaf for leaf in found.leaves if leaf.id == "number_published").same
    assert found.runs
    assert found.runs.identical < found.runs.compared


def test_what_was_reported_is_read_from_the_packed_commit(submit: Any, verifier: Verifier, tmp_path: Path) -> None:
    road, score = submit({"reproduction/work.py": WORK, "reported.json": '{"exact_published": 0.75}'})
    leaf = next(leaf for leaf in score.claims if leaf.id == "exact_published")
    assert (leaf.reported, leaf.flattery) == (0.75, pytest.approx(-0.03125))
    packed = pack(road, tmp_path / "reported.tar.gz")
    found = verifier.verify(packed.archive, quick=True)
    assert (found.same, found.problems) == (True, [])

    def modest(score: dict[str, Any]) -> None:
        next(leaf for leaf in score["claims"] if leaf["id"] == "exact_published").update(reported=None, flattery=None)

    members = members_of(packed.archive)
    edit_json(members, "score.json", modest)
    forged = verifier.verify(write_tar(tmp_path / "forged.tar.gz", in_order(corrected(members))), quick=True)
    assert any("exact_published.reported of the packed score is None" in problem for problem in forged.problems)


def load_work(road: Road) -> str:
    return (road.paper.private / "reference" / "reproduction" / "work.py").read_text()


def take_over(store: Store, good: str, bad: str) -> None:
    """Put the outputs of one run where those of another were."""
    shutil.rmtree(store.run(bad) / "outputs")
    shutil.copytree(store.run(good) / "outputs", store.run(bad) / "outputs")
    outputs = read(store.run(good) / "run.json", RunRecord).outputs
    path = store.run(bad) / "run.json"
    path.write_text(read(path, RunRecord).model_copy(update={"outputs": outputs}).model_dump_json())


@pytest.fixture(scope="module")
def grown(begin: Callable[..., Road], answered: Callable[[Road], Road]) -> Road:
    """An attempt whose history was scored, too: half of the work at half of the budget."""
    road, life = begin("grown", wall=1e6), Life()
    road.desk.note("resumed", at=life.now)
    for text in (STUB + "\n# mine\n", WORK):
        life.works(0.4 * HOUR)
        seen = commit(road.workspace, {"reproduction/work.py": text}, "a step")
        road.desk.note("committed", commit=seen, at=life.now)
    road.desk.note("paused", reason="done", at=life.now)
    hand_in(road, Outcome(note="by hand", ended="submitted"))
    answered(road)
    rerun(road)
    score(road)
    over_time(road)
    return road


def test_the_score_over_time_goes_along(grown: Road, verifier: Verifier, tmp_path: Path) -> None:
    packed = pack(grown, tmp_path / "grown.tar.gz")
    assert {"/".join(m.name.split("/")[4:]) for m in packed.manifest.files} >= {"over_time.json", "submission.bundle"}
    assert [member for member in packed.manifest.files if "/history/" in member.name]
    assert verifier.verify(packed.archive, quick=True).same


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("/over_time.json", lambda o: o["points"][1]["score"].update(value=1.0), "score at 50% of the budget"),
        ("/over_time.json", lambda o: o["points"][1].update(commit="../../.."), "score at 50% of the budget"),
        ("history", lambda s: s["score"].update(value=1.0), "of its history: value of the packed score"),
    ],
    ids=["point", "path", "history"],
)
def test_a_forged_past_is_found(
    grown: Road, verifier: Verifier, tmp_path: Path, name: str, change: Any, says: str
) -> None:
    members = members_of(pack(grown, tmp_path / "grown.tar.gz").archive)
    scores = [other for other in members if "/history/" in other and other.endswith("score.json")]
    edit_json(members, scores[0] if name == "history" else name, change)
    found = verifier.verify(write_tar(tmp_path / "forged.tar.gz", in_order(corrected(members))), quick=True)
    assert not found.same
    assert any(says in problem for problem in found.problems), found.problems


def test_an_archive_cannot_ask_for_less_isolation(
    changed: Changed, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = verifying.open_sandbox
    monkeypatch.setattr(verifying, "open_sandbox", lambda settings: opened.append(settings) or real(settings))
    monkeypatch.setattr(
        "harness.attempt.room.open_sandbox", lambda settings: pytest.fail("the archive chose its clean room")
    )
    archive = changed(
        lambda members: edit_json(members, "attempt.json", lambda a: a.update(sandbox="process", waived=["network"]))
    )
    assert verifier.verify(archive).same
    assert [(settings.backend, settings.waive) for settings in opened] == [("bubblewrap", ())]


def test_an_archive_cannot_name_the_folder_of_its_paper(changed: Changed, verifier: Verifier, tmp_path: Path) -> None:
    evil = write_paper(tmp_path / "evil" / "lean", lean, metrics="raise SystemExit('run')\n")
    archive = changed(lambda members: edit_json(members, "attempt.json", lambda a: a.update(paper_folder=str(evil))))
    assert verifier.verify(archive, quick=True).same


def test_a_paper_of_another_version_or_none_is_said(
    packed: Packed, verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_paper(tmp_path / "newer" / "lean", lean, metrics=METRICS + "\n# mended\n")
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(tmp_path / "newer"))
    with pytest.raises(UsageError, match=r"another version here(.|\n)*REPROOF_PAPERS_PATH"):
        verifier.verify(packed.archive)
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(tmp_path))
    with pytest.raises(UsageError, match="unknown paper"):
        verifier.verify(packed.archive)


def test_without_the_private_part_only_a_quick_one_is_possible(
    packed: Packed, verifier: Verifier, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "papers" / "lean", tmp_path / "wheel" / "lean", ignore=shutil.ignore_patterns("private"))
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(tmp_path / "wheel"))
    with pytest.raises(PaperError, match=r"no private/reference(.|\n)*private_path"):
        verifier.verify(packed.archive)
    found = verifier.verify(packed.archive, quick=True)
    assert found.same
    assert any("the paper's generator is not here" in note for note in found.notes)
    (tmp_path / "kept").mkdir()
    shutil.copytree(home / "papers" / "lean" / "private", tmp_path / "kept" / "lean")
    elsewhere = replace(verifier, private_path=tmp_path / "kept")
    assert elsewhere.verify(packed.archive).same


def test_another_private_part_is_noted(
    packed: Packed, verifier: Verifier, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "papers" / "lean", tmp_path / "other" / "lean")
    (tmp_path / "other" / "lean" / "private" / "mutations.yaml").write_text("[]\n")
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(tmp_path / "other"))
    found = verifier.verify(packed.archive, quick=True)
    assert found.same
    assert any("private part is another" in note for note in found.notes)


def test_interrupted_it_goes_on(packed: Packed, verifier: Verifier) -> None:
    def stop(done: int, total: int, label: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(verifier, progress=stop).verify(packed.archive)
    before = reruns(verifier)
    assert len(before) >= 3
    assert nothing_stays(verifier)
    assert not list((verifier.results / "verified").glob("*.json*"))
    assert verifier.verify(packed.archive).same
    assert before.items() <= reruns(verifier).items()


def test_a_fault_of_this_machine_says_nothing_about_the_attempt(
    packed: Packed, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verifying.LocalEngine.run

    def faulty(*given: Any, **more: Any) -> dict[str, RunRecord]:
        records = real(*given, **more)
        return {key: record.model_copy(update={"status": "fault"}) for key, record in records.items()}

    monkeypatch.setattr(verifying.LocalEngine, "run", faulty)
    with pytest.raises(HarnessFault, match=r"nothing can be said(.|\n)*start it again"):
        verifier.verify(packed.archive)
    assert not list((verifier.results / "verified").glob("*.json*"))


def test_a_full_disk_is_said(packed: Packed, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/x/y")

    monkeypatch.setattr(verifying, "unpack", full)
    with pytest.raises(HarnessFault, match=r"/x/y: this machine does not go along(.|\n)*No space left(.|\n)*make room"):
        verifier.verify(packed.archive)
    assert nothing_stays(verifier)


def test_two_at_once_are_one_too_many(packed: Packed, verifier: Verifier) -> None:
    lock = Store(verifier.results).lock(f"verify-{packed.manifest.attempt}")
    with FileLock(lock), pytest.raises(UsageError, match="being verified at this moment"):
        verifier.verify(packed.archive)
