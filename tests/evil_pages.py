"""Attempts with a text of somebody's choice wherever a participant writes, as their pages are drawn from."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from talks import Talk, exchange

from harness.report.dossier import Dossier
from harness.trajectory.derive import derive


def written_everywhere(found: Dossier, text: str) -> Dossier:
    """In names, reasons, explanations, notes, gates and reports."""
    wrote = {"explanation": text, "settles": text, "reported": -1.23456e300, "flattery": 1.23456e300}
    claims = [leaf.model_copy(update=wrote) for leaf in found.score.claims]
    gates = [gate.model_copy(update={"detail": text, "fired": True}) for gate in found.score.integrity]
    who = {"kind": "agent", "name": text}
    more = {"participant": who, "claims": claims, "integrity": gates, "reasons": [text] * 5, "verdict": "UNDECIDED"}
    more["reported_problems"] = [text] * 3
    credits = {text: {"working": 1.0, "cpu": 1.0, "commits": 1.0}}
    handed = msgspec.structs.replace(found.handed, ended=text, note=text, credits=credits, instead=text)
    points = [point.model_copy(update={"score": None, "problem": text}) for point in found.points]
    return replace(found, score=found.score.model_copy(update=more), handed=handed, points=points)


def said_everywhere(found: Dossier, text: str) -> Dossier:
    """In what an agent says, calls and gets back, and in a conversation beside it."""
    talk, began = Talk("messages", system=text), found.attempt.started
    turns = [("I read the brief.", "cat BRIEF.md", "# The brief\n" * 100), (text, text, text), ("Done.", "", "")]
    made = [
        *talk.turns(turns),
        exchange(3, "chat", Talk("chat", first="A title?").request, None, ended="failed", said=text),
    ]
    made = [msgspec.structs.replace(item, at=began.isoformat(), waited=9.0) for item in made]
    return replace(found, trajectory=derive(made, attempt="a", agent="agent", version="1"))
