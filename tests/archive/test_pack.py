"""Packing: what goes in, what stays at home, and what is not packed."""

from __future__ import annotations

import errno
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from archives import members_of
from talks import Talk, write_journal
from tiny_paper import METRICS, WORK, lean, write_paper

from harness.archive import pack as packing
from harness.archive.manifest import MANIFEST
from harness.archive.pack import HOLDS_REFERENCE, NO_CONSENT, SUFFIX, Packed, pack
from harness.archive.verify import Verifier
from harness.errors import HarnessFault, RecordError, UsageError
from harness.paper.load import load_paper
from harness.proxy.exchange import JOURNAL
from harness.record.files import write_slip
from harness.road import Road

Begin = Callable[..., Road]


def test_packed_twice_it_is_the_same_to_the_last_byte(own: Road, lean_finished: Any, tmp_path: Path) -> None:
    packed = pack(lean_finished[0], tmp_path / "elsewhere.tar.gz")
    for path in own.store.root.rglob("*"):
        os.utime(path, (1, 1))
    first, second = pack(own, tmp_path / "a.tar.gz"), pack(own, tmp_path / "b.tar.gz")
    assert first.archive.read_bytes() == second.archive.read_bytes() == packed.archive.read_bytes()
    assert first.sha256 == packed.sha256


def test_everybody_can_open_it(packed: Packed) -> None:
    with tarfile.open(packed.archive, "r:gz") as tar:
        infos = tar.getmembers()
    assert infos[0].name == MANIFEST
    assert all(info.isreg() and (info.mtime, info.uid, info.gid, info.uname) == (0, 0, 0, "") for info in infos)
    assert len(infos) == len(packed.manifest.files) + 1


def test_an_agent_s_trajectory_goes_along_and_its_exchanges_do_not(
    own: Road, tmp_path: Path, verifier: Verifier
) -> None:
    write_journal(own.folder / JOURNAL, list(Talk("chat").turns([("I look.", "ls", "a.py"), ("Done.", "", "")])))
    packed = pack(own, tmp_path / "with.tar.gz")
    members = members_of(packed.archive)
    name = f"attempts/{own.attempt.id}/trajectory.json"
    assert json.loads(members[name])["steps"][-1]["message"] == "Done."
    assert not [name for name in members if name.endswith(JOURNAL)]
    assert pack(own, tmp_path / "again.tar.gz").sha256 == packed.sha256
    assert verifier.verify(packed.archive, quick=True).same


def test_what_goes_in_and_what_stays_at_home(packed: Packed, lean_finished: Any) -> None:
    road, score = lean_finished
    members = members_of(packed.archive)
    inside = f"attempts/{road.attempt.id}"
    last = f"{inside}/submissions/001"
    for name in ("submission.bundle", "submission.json", "rerun.json", "measurements.json", "score.json"):
        assert members[f"{last}/{name}"] == (road.records / name).read_bytes()
    assert members[f"{last}/private/plan.json"] == (road.private / "plan.json").read_bytes()
    assert members[f"{inside}/ledger.jsonl"] == (road.folder / "ledger.jsonl").read_bytes()
    assert members["paper/metrics.py"] == METRICS.encode()
    assert f"trees/{road.attempt.start_tree}/paper.yaml" in members
    assert packed.manifest.commit == score.commit
    assert packed.manifest.paper_version == score.paper_version
    everything = b"".join(members.values())
    assert b"def draw(experiment, rng)" not in everything
    assert b"doubled_step" not in everything
    assert WORK.encode() not in everything
    assert str(road.store.root.parent).encode() not in everything
    assert not [name for name in members if "private" in name and not name.startswith(inside)]


def test_of_the_reference_s_runs_nothing_goes_that_could_quote_it(own: Road) -> None:
    quote = "RuntimeWarning: in scale = sum(instance"
    for path in own.store.root.glob("runs/*/*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "log_tail": quote}))
    shown, answers = packing._keys(own)
    members = members_of(pack(own, own.folder / "a.tar.gz").archive)
    run_of = {key: json.loads(members[f"runs/{key[:2]}/{key}/run.json"]) for key in shown | answers}
    assert answers
    assert {run_of[key]["log_tail"] for key in answers} == {""}
    assert {run_of[key]["log_tail"] for key in shown} == {quote}
    assert not [key for key in answers if f"runs/{key[:2]}/{key}/log.txt" in members]


def test_a_password_in_the_mirror_s_address_stays_at_home(own: Road) -> None:
    attempt = msgspec.structs.replace(own.attempt, tracking_uri="postgresql://lab:s3cret@db/mlflow")
    write_slip(own.folder / "attempt.json", attempt)
    own.desk.__dict__.pop("attempt", None)
    members = members_of(pack(own, own.folder / "a.tar.gz").archive)
    assert own.attempt.tracking_uri == attempt.tracking_uri
    assert b"s3cret" not in b"".join(members.values())


def test_without_outputs_it_is_smaller(own: Road) -> None:
    small, whole = (pack(own, own.folder / f"{n}.tar.gz", outputs=n == 1) for n in range(2))
    assert small.bytes < whole.bytes
    assert not small.manifest.outputs
    assert not [member for member in small.manifest.files if "/outputs/" in member.name]


def test_consent_and_reference_are_said(own: Road, packed: Packed) -> None:
    assert packed.manifest.notes == [NO_CONSENT, HOLDS_REFERENCE]
    terms = msgspec.structs.replace(own.attempt.terms, consent=True)
    who = msgspec.structs.replace(own.attempt.participant, kind="agent")
    write_slip(own.folder / "attempt.json", msgspec.structs.replace(own.attempt, terms=terms, participant=who))
    own.desk.__dict__.pop("attempt", None)
    found = pack(own, own.folder / "a.tar.gz")
    assert (found.manifest.consent, found.manifest.notes) == (True, [])


def test_the_file_is_named_after_the_attempt(own: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pack(own).archive == Path(f"{own.attempt.id}{SUFFIX}")
    assert pack(own).archive.is_file()


def test_another_file_is_not_replaced(own: Road, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("dear diary")
    with pytest.raises(UsageError, match="another file has this name"):
        pack(own, mine)
    assert mine.read_text() == "dear diary"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".mine")] == []


def test_what_was_not_scored_is_not_packed(own: Road, begin: Begin) -> None:
    with pytest.raises(RecordError, match="nothing was handed in yet"):
        pack(begin("nobody"))
    (own.records / "score.json").unlink()
    with pytest.raises(RecordError, match=r"not scored yet(.|\n)*reproof rerun"):
        pack(own)


def test_while_work_goes_on_nothing_is_packed(own: Road) -> None:
    own.desk.note("resumed")
    with pytest.raises(UsageError, match=r"not handed in(.|\n)*reproof submit"):
        pack(own)
    own.desk.note("withdrawn", reason="enough")
    pack(own, own.folder / "a.tar.gz")


def test_a_paper_that_has_changed_since_needs_a_rescoring(own: Road, tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "newer" / "lean", lean, metrics=METRICS + "\n# mended\n")
    with pytest.raises(UsageError, match=r"another version(.|\n)*reproof rescore"):
        pack(replace(own, paper=load_paper(folder)))


def test_an_output_that_was_changed_is_found(own: Road) -> None:
    for output in own.store.root.glob("runs/*/*/outputs/position.npy"):
        output.write_bytes(b"\0" * output.stat().st_size)
    with pytest.raises(RecordError, match="changed since it was measured"):
        pack(own, own.folder / "a.tar.gz")


def test_a_link_among_the_records_is_not_followed(own: Road) -> None:
    (own.records / "page.html").unlink(missing_ok=True)
    (own.records / "page.html").symlink_to("/etc/passwd")
    with pytest.raises(RecordError, match="only plain files"):
        pack(own, own.folder / "a.tar.gz")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=repr)
def test_half_an_archive_never_stays(
    own: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*given: Any) -> None:
        given[0].write(b"half")
        raise error

    monkeypatch.setattr(packing, "_write_members", fails)
    with pytest.raises((KeyboardInterrupt, HarnessFault)) as caught:
        pack(own, tmp_path / "a.tar.gz")
    assert re.search("No space left|^$", str(caught.value))
    assert [path for path in tmp_path.rglob("*a.tar.gz*")] == []
