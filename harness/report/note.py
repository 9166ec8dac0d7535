"""The descriptions that MLflow shows of runs: Markdown in which what a participant wrote is inert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.text import inline, plain
from harness.rerun.execute import RunRecord
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

# Each part is cut by itself: a note cut as a whole could lose the mark that ends a stretch of code.
_LONGEST, _LOG = 300, 2000
_REASONS, _LEAVES = 5, 20


def code(text: str) -> str:
    """A text as Markdown's inline code, in which no dialect looks for links, HTML or emphasis.

    >>> code("`<b>` http://x")
    "`'<b>' http://x`"
    """
    return f"`{inline(text).replace('`', chr(39)).strip()[:_LONGEST] or ' '}`"


def attempt_note(score: Score, *, page: str | None) -> str:
    """An attempt in a few lines: the verdict, its reasons, the core leaves that were lost, what to look at.

    Args:
        score: The attempt's score.
        page: The name of its page among the artifacts, where there is one.
    """
    return "\n".join(_attempt(score, page))


def _attempt(score: Score, page: str | None) -> Iterator[str]:
    worth = score.score
    interval = f"**{worth.value:.3f}** [{worth.low:.3f}, {worth.high:.3f}]"
    yield f"**{score.verdict}** · score {interval} · coverage {worth.coverage:.0%}"
    yield ""
    yield from (f"- {line}" for line in _about(score))
    yield from (f"- {code(reason)}" for reason in score.reasons[:_REASONS])
    lost = [leaf for leaf in score.claims if leaf.core and leaf.verdict in (Verdict.FAILED, Verdict.MISSING)]
    if lost:
        yield from ("", "Core leaves that were lost:", "")
        yield from (f"- {code(leaf.id)} {leaf.verdict}: {_figures(leaf)}" for leaf in lost[:_LEAVES])
    flags = [gate for gate in score.integrity if gate.fired and not gate.denies_pass]
    if flags:
        yield from ("", "Flags for an audit, which take nothing away:", "")
        yield from (f"- gate {gate.gate}, {code(gate.name)}: {code(gate.detail)}" for gate in flags)
    where = f"{code(page)}, {code('score.json')}" if page else code("score.json")
    yield ""
    yield f"Every leaf with its reason: {where} under Artifacts, or {code('reproof report ' + score.attempt)}"


def _about(score: Score) -> Iterator[str]:
    yield f"{code(score.participant['name'])} ({score.participant['kind']}, {score.condition})"
    yield f"submission {score.submission}, commit {code(score.commit[:12])}, paper {code(score.paper_version[:12])}"


def _figures(leaf: ClaimScore) -> str:
    if leaf.measured is None:
        return "nothing was measured"
    target = "" if leaf.target is None else f", target {leaf.target:.4g}"
    return f"measured {leaf.measured:.4g}{target}"


def run_note(record: RunRecord, remarks: Sequence[str] = ()) -> str:
    """Why a run does not count, what was amiss between it and its environments, and the end of its log."""
    said = list(dict.fromkeys([*record.problems, *remarks]))[:_REASONS]
    why = "\n".join(f"- {code(problem)}" for problem in said)
    log = plain(record.log_tail).replace("`", "'")[-_LOG:]
    return f"**{record.status}**\n\n{why}\n\n```text\n{log}\n```"
