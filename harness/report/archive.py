"""What packing and verifying say: lines for people, plain values for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.archive.compare import LeafCheck, Value
from harness.archive.pack import Packed
from harness.archive.verify import Verification
from harness.paper.quantities import show_size
from harness.report.text import inline

_NAME, _VALUE = 34, 26
"""Widths of columns."""


def packed_facts(found: Packed) -> dict[str, Any]:
    """What `reproof pack --json` prints."""
    return {
        "archive": str(found.archive),
        "sha256": found.sha256,
        "attempt": found.manifest.attempt,
        "files": len(found.manifest.files),
        "bytes": found.bytes,
        "consent": found.manifest.consent,
        "outputs": found.manifest.outputs,
        "notes": found.manifest.notes,
    }


def pack_lines(found: Packed) -> Iterator[str]:
    """The same for people."""
    left = "" if found.manifest.outputs else ", without the outputs of runs"
    yield f"packed: {found.archive} ({len(found.manifest.files)} files, {show_size(found.bytes)}{left})"
    yield f"sha256: {found.sha256}"
    yield from (f"note: {note}" for note in found.manifest.notes)
    yield f"next: whoever holds it can check it: reproof verify {found.archive}"


def verification_facts(found: Verification) -> dict[str, Any]:
    """What `reproof verify --json` prints."""
    return found.model_dump(mode="json")


def verification_lines(found: Verification) -> Iterator[str]:
    """Leaf by leaf what was packed and what was found here, then what does not hold together, the whole last."""
    yield f"{found.paper} · commit {found.commit[:12]} · attempt {found.attempt}"
    yield f"archive {found.archive}"
    yield ""
    yield f"    {'leaf':{_NAME}} {'packed':{_VALUE}} {'here':{_VALUE}} why"
    yield from map(_leaf, found.leaves)
    yield ""
    yield from (f"note: {inline(note)}" for note in found.notes)
    yield from (f"problem: {inline(problem)}" for problem in found.problems)
    if found.runs is not None:
        yield f"runs: outputs of {found.runs.identical} of {found.runs.compared} are the same to the last bit"
    yield f"packed: {_total(found.verdict.packed, found.score.packed)}"
    yield f"here:   {_total(found.verdict.here, found.score.here)}"
    yield _verdict(found)


def _leaf(leaf: LeafCheck) -> str:
    sign = "✔" if leaf.same else "✘"
    return f"  {sign} {inline(leaf.id):{_NAME}} {_value(leaf.packed):{_VALUE}} {_value(leaf.here):{_VALUE}} {leaf.why}"


def _value(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value.verdict} {value.score:.2f}" + ("" if value.measured is None else f" ({value.measured:.6g})")


def _total(verdict: float | str, score: float | str) -> str:
    return f"{verdict}, score {score:.3f}" if isinstance(score, float) else f"{verdict}, score {score}"


def _verdict(found: Verification) -> str:
    if not found.rerun:
        head = (
            "the score follows from what was packed" if found.same else "the score does not follow from what was packed"
        )
        return f"{head}; nothing was rerun, so this does not count as verified"
    return (
        "VERIFIED: the rerun here gives the same" if found.same else "DIFFERENT: the rerun here does not give the same"
    )
