"""Archives for `verify` whose table of contents or records are made to cost more than they are worth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import Members, corrected, in_order, members_of, write_tar

from harness.archive.manifest import MANIFEST, Member
from harness.archive.pack import Packed, pack
from harness.archive.unpack import unpack
from harness.archive.verify import Verifier
from harness.errors import RecordError

ZEROS = "0" * 64
BOMBS: dict[str, list[str]] = {
    "one name of a hundred thousand folders": ["paper" + "/a" * 100_000],
    "one name of a megabyte": ["paper/" + "a/" * 500_000 + "b"],
    "many names of five hundred folders": [f"paper/{number:05}" + "/a" * 500 for number in range(2000)],
    "as many folders as names may have": [f"paper/{number:05}" + "/aaaaaaaaaaaa" * 60 for number in range(4000)],
}


@pytest.fixture(scope="session")
def packed(lean_finished: object, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(lean_finished[0], tmp_path_factory.mktemp("packed") / "lean.tar.gz")  # type: ignore[index]


@pytest.mark.parametrize("names", BOMBS.values(), ids=BOMBS)
def test_names_made_of_folders(packed: Packed, tmp_path: Path, names: list[str]) -> None:
    manifest = json.loads(members_of(packed.archive)[MANIFEST])
    manifest["files"] = [{"name": name, "sha256": ZEROS, "size": 0} for name in sorted(names)]
    archive = write_tar(tmp_path / "a.tar.gz", [(MANIFEST, json.dumps(manifest).encode())])
    (tmp_path / "into").mkdir()
    begun = time.monotonic()
    with pytest.raises(
        RecordError, match=r"no archive holds a file of this name|cannot be read|should stand here"
    ) as caught:
        unpack(archive, tmp_path / "into")
    assert time.monotonic() - begun < 5
    assert len(str(caught.value)) < 2000
    assert list((tmp_path / "into").iterdir()) == []


Change = Callable[[bytes], bytes]
DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
SPOILT: dict[str, Change] = {
    "deep": lambda text: DEEP,
    "deep within": lambda text: text.rstrip().removesuffix(b"}") + b', "more": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "no text": lambda text: b"\xff\xfe",
    "empty": lambda text: b"",
    "a number without end": lambda text: b"9" * 1_000_000,
    "surrogates": lambda text: text.replace(b'"', b'"\\ud800', 1),
}
RECORDS = ["attempt.json", "ledger.jsonl", "submission.json", "plan.json", "rerun.json", "score.json", "run.json"]


CASES = [
    pytest.param(
        record,
        spoil,
        id=f"{record}, {how}",
        marks=[] if how == "deep" or record == "score.json" else [pytest.mark.slow],
    )
    for how, spoil in SPOILT.items()
    for record in RECORDS
]


@pytest.mark.parametrize(("record", "spoil"), CASES)
def test_records_that_are_none(
    packed: Packed,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: str,
    spoil: Callable[[bytes], bytes],
) -> None:
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    members: Members = members_of(packed.archive)
    name = next(name for name in sorted(members) if name.endswith(f"/{record}"))
    members[name] = spoil(members[name].splitlines()[0] if record == "ledger.jsonl" else members[name])
    archive = write_tar(tmp_path / "spoilt.tar.gz", in_order(corrected(members)))
    with pytest.raises(RecordError) as caught:
        Verifier(results=tmp_path / "results").verify(archive, quick=True)
    assert record in str(caught.value) or "ledger" in str(caught.value) or "run" in str(caught.value), caught.value
    assert not list((tmp_path / "results" / "staging").iterdir())


def test_a_file_that_is_a_folder_too_is_found_among_many() -> None:
    from harness.archive.manifest import unfit

    names = sorted(["paper/x", "paper/x/y", *(f"paper/{number:05}/z" for number in range(1000))])
    assert unfit([Member(name=name, sha256=ZEROS, size=1) for name in names]) == "paper/x is both a file and a folder"
