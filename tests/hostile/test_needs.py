"""A run that is given another's outputs, and would rather change them, or hand them in as its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import WORK

from harness.pipeline import Rerun, units_of
from harness.record.store import read
from harness.rerun.engine import known_records

pytestmark = pytest.mark.slow
ACTS = {
    "written into": "(needed / 'report.json').write_text('{}')",
    "opened for writing": "os.open(needed / 'report.json', os.O_RDWR)",
    "removed": "(needed / 'report.json').unlink()",
    "replaced": "os.replace(out / 'x', needed / 'report.json')",
    "made writable": "(needed / 'report.json').chmod(0o777)",
    "given another time": "os.utime(needed / 'report.json', (0, 0))",
    "added to": "(needed / 'more.json').write_text('{}')",
    "linked out": "os.link(needed / 'report.json', out / 'linked.json')",
    "mounted over": "ctypes.CDLL(None).mount(b'x', bytes(needed), b'tmpfs', 0, 0) == 0 or 1 / 0",
}


def test_what_a_run_is_given_stays_as_it_was(
    home: Path, agents_folder: Path, attempted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(agents_folder))
    acts = "".join(
        f"    try:\n        {act}\n        print('CHANGED', {name!r})\n"
        "    except (OSError, ZeroDivisionError) as error:\n        print('held', type(error).__name__)\n"
        for name, act in ACTS.items()
    )
    spoil = f"def spoil(needed, out):\n    import ctypes, os\n    (out / 'x').write_text('x')\n{acts}\n\ndef work("
    relayed = '        report = json.loads(open(run["needs"]'
    assert WORK.count(relayed) == 1
    harmed = WORK.replace(relayed, f'        spoil(type(out)(run["needs"]["walk"]), out)\n{relayed}').replace(
        "def work(", spoil, 1
    )
    road, score = attempted(home / "papers" / "tiny", home / "results", "hand",
                            options={"files": {"reproduction/work.py": harmed}})  # fmt: skip
    assert score.verdict == "PASS"
    units = [unit for unit in units_of(road, read(road.records / "rerun.json", Rerun)) if unit.author == "submission"]
    records = known_records(units, road.store)
    relays = [records[unit.key] for unit in units if unit.experiment == "relay"]
    assert relays
    for record in relays:
        assert record.status == "completed", record.problems
        assert "CHANGED" not in record.log_tail
        assert record.log_tail.count("held") == len(ACTS)
    for unit in units:
        folder = road.store.run(unit.key) / "outputs"
        assert {path.name for path in folder.iterdir()} == set(records[unit.key].outputs)
