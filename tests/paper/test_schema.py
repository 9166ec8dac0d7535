# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Every rule of paper.yaml: a broken file is answered with file, line, what was expected and what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import PAPER, write_paper

from harness.errors import PaperError
from harness.paper.load import Paper, load_paper
from harness.paper.schema import PaperSpec

Edited = Callable[..., Paper]


def refusal(folder: Path) -> str:
    with pytest.raises(PaperError) as caught:
        load_paper(folder)
    return str(caught.value)


def problems(folder: Path) -> list[str]:
    """The listed problems, without head and remedy."""
    return refusal(folder).splitlines()[1:-1]


def test_the_tiny_paper_holds_together(tiny: Paper) -> None:
    assert tiny.id == "tiny"
    assert sum(share.weight for share in tiny.spec.shares()) == pytest.approx(1.0)
    kinds = {claim.kind for claim in tiny.spec.claims.values()}
    assert kinds == {"numeric", "exact", "ordering", "curve", "exponent", "threshold"}
    assert tiny.spec.claims["exact_relay"].target.tolerance == 1e-9  # type: ignore[union-attr]


def test_the_schema_is_json_schema(tiny: Paper) -> None:
    schema = json.loads(json.dumps(PaperSpec.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert "fixed before any run" in json.dumps(schema)  # the docstrings of the fields reach editors


# old text, new text, where the one sentence points, what it says
TEXTS = [
    ("title: A tiny paper", "titel: A tiny paper", "titel", "no such key is known"),
    ("year: 2021", "year: twenty", "year", "expected an integer"),
    ("year: 2021", "year: 1850", "year", "1950"),
    ("authors: [A. Nobody]", "authors: []", "authors", "at least 1"),
    ("award: {name: None, source: a fixture}", "award: {name: None}", "award.source", "this key is required"),
    ("looks: [3, 4]", "looks: [4, 3]", "seeds.looks", "must rise"),
    ("looks: [3, 4]", "looks: [1, 4]", "seeds.looks", "must rise"),
    ("looks: [3, 4]", "looks: []", "seeds.looks", "must rise"),
    ("reference: 3}\nbudgets", "reference: 1}\nbudgets", "seeds.reference", "2"),
    ("working: 1 h", "working: 1 fortnight", "budgets.standard.working", "quantity like '60 s'"),
    ("working: 1 h", "working: 0 s", "budgets.standard.working", "greater than 0"),
    ("disk: 16 MiB", "disk: lots", "budgets.standard.disk", "quantity like '256 MiB'"),
    ("  standard: {", "  generous: {", "budgets", "`standard` is needed"),
    ("goal: 3.0}, held_out: {count: 2}", "goal: 3.0}, held_out: {count: 0}", "instances.held_out.count", "1"),
    ("{count: 1}}", "null}", "update.instances", "pinned or a held-out instance"),
    ("memory: 256 MiB, processes: 8", "memory: 256 MiB, processes: 0", "limits.processes", "1"),
    ("cpu: 5 s, memory", "cpu: -5 s, memory", "limits.cpu", "quantity like '60 s'"),
    ("needs: walk", "needs: walk\n    environments: [CartPole-v1]", "environments", "expected a valid dictionary"),
    ("trust: reported}", "trust: overheard}", "metrics.said_mean.trust", "'recomputed' or 'reported'"),
    ("kind: curve}\n", "kind: line}\n", "metrics.trace.kind", "'number' or 'curve'"),
    ("statement: The still walk has this mean exactly.", "statement: short", "exact_published.statement", "10"),
    ("kind: exponent\n", "kind: slope\n", "claims.exponent_published.kind", "numeric"),
    ("    weight: 2\n    core: true\n  number_ref", "    weight: 0\n    core: true\n  number_ref", "number_published.weight", "greater than 0"),
    ("below: 2.0", "below: 2.0\n    above: 1.0", "claims.threshold_below", "exactly one of `above` and `below`"),
    ("    below: 2.0\n", "", "claims.threshold_below", "exactly one of `above` and `below`"),
    ("by: improvement", "by: magic", "ordering_improvement.by", "'difference' or 'improvement'"),
    ("relative_to: {experiment: walk", "relative_to: {experimint: walk", "number_relative.relative_to.experiment", "required"),
    ("instance: pinned, method: noisy}\n    below", "instance: private, method: noisy}\n    below", "threshold_below.of.instance", "'pinned' or 'held_out'"),
    ("compare: {gradient: {rtol: 1e-9", "compare: {gradient: {rtol: -1e-9", "compare.gradient.rtol", "greater than or equal to 0"),
    ("compare: {gradient: {rtol: 1e-9, atol: 1e-12}}", "compare: {}", "one_update.compare", "at least 1"),
    ("  numbers:\n", "  Numbers:\n", "rubric", "lower case"),
    ("algorithm: {statement: The update itself., weight: 1, leaves: [one_update]}", "algorithm: {statement: The update itself., weight: 1}", "rubric.algorithm", "needs leaves or groups"),
    # what no single field shows
    ("cases: [{method: noisy, step: 1.0}, {method: still, step: 0.5}]", "cases: [{method: noisy, step: 1.0}, {method: still}]", "walk.cases", "same keys"),
    ("file: report.json", "file: position.json", None, None),
    ("file: twice.json, keys: {value: float}}}", "file: a.json, keys: {value: float}}, b: {file: a.json, keys: {v: int}}}", "relay.outputs", "a.json is declared twice"),
    ("deterministic: [{method: still}]\n    instances", "deterministic: [{method: quiet}]\n    instances", "walk.deterministic", "no case matches"),
    ("    needs: walk\n", "", "experiments.relay", "must say its `instances`"),
    ("needs: walk", "needs: run", "relay.needs", "another experiment"),
    ("needs: walk", "needs: relay", "relay.needs", "another experiment"),
    ("[{method: noisy}, {method: still}]", "[{method: noisy}, {method: loud}]", "relay.needs", "exactly one case of walk"),
    ("metric: doubled\n    of", "metric: tripled\n    of", "exact_relay.metric", "mean_position"),
    ("metric: trace\n    of: {experiment: walk, instance: pinned, method: noisy}\n    target: {value: -1.0", "metric: mean_position\n    of: {experiment: walk, instance: pinned, method: noisy}\n    target: {value: -1.0", "exponent_published.metric", "kind curve"),
    ("of: {experiment: walk, instance: pinned, method: still}\n    target", "of: {experiment: run, instance: pinned, method: still}\n    target", "claims.exact_published", "expected an experiment"),
    ("of: {experiment: walk, instance: pinned, method: still}\n    target", "of: {experiment: walk, instance: pinned}\n    target", "claims.exact_published", "exactly one case, it selects 2"),
    ("of: {experiment: update, instance: held_out}", "of: {experiment: update, instance: pinned}", "probes.one_update", "no pinned instance"),
    ("compare: {gradient:", "compare: {hessian:", "one_update.compare.hessian", "expected an output (gradient)"),
    ("of: {experiment: walk, instance: held_out, method: still}\n    target: {ref", "of: {experiment: walk, instance: pinned, method: still}\n    target: {ref", "exact_reference.target", "only a held-out instance"),
    ("kind: paper, where: Table 1", "kind: unverified, where: Table 1", "number_published.target.provenance", "only back an ordering"),
    ("leaves: [exact_published, exact_reference, exact_relay]", "leaves: [exact_published, exact_reference]", "rubric", "exact_relay stands in no group"),
    ("leaves: [exact_published, exact_reference, exact_relay]", "leaves: [exact_published, exact_reference, exact_relay, one_update]", "rubric", "one_update stands in 2 groups"),
    ("leaves: [one_update]", "leaves: [one_update, two_updates]", "rubric", "'two_updates' is neither"),
    ("statement: The update itself., weight: 1", "statement: The update itself., weight: 9", "rubric.algorithm", "one_update carries 64%, at most 40%"),
]  # fmt: skip

CONSEQUENCES = ("titel", "experiments.relay", "relay.needs")
"""Mistakes that rightly break other places too."""


@pytest.mark.parametrize(("old", "new", "where", "says"), TEXTS, ids=[f"{i}-{t[2]}" for i, t in enumerate(TEXTS)])
def test_a_broken_file_gets_one_sentence_with_its_line(
    tmp_path: Path, old: str, new: str, where: str | None, says: str | None
) -> None:
    assert PAPER.count(old) >= 1, "the table no longer fits the fixture"
    text = PAPER.replace(old, new, 1)
    folder = write_paper(tmp_path / "p", paper=text)
    if where is None or says is None:
        load_paper(folder)
        return
    found = problems(folder)
    assert len(found) == 1 or where in CONSEQUENCES, "\n".join(found)
    read = [
        match.groups() for match in (re.match(r"\s*(.+/paper\.yaml):(\d+) (\S+): (.+)$", one) for one in found) if match
    ]
    assert len(read) == len(found)
    assert {Path(file) for file, *_ in read} == {folder / "paper.yaml"}
    about = [int(line) for _, line, path, sentence in read if path.endswith(where) and says in sentence]
    assert len(about) == 1, "\n".join(found)
    changed = text[: text.index(new)].count("\n") + 1 if new and new in text else None
    if changed is not None and not where.startswith(("rubric", "claims.", "probes.", "experiments.", "budgets")):
        assert changed <= about[0] <= changed + new.count("\n") + 3, (changed, about)


TARGETS = [
    ("{value: 1.5625, margin: 0.1, n: 5, spread: {kind: sd, value: 0.02}, provenance: {kind: paper, where: Table 1}}", "margin", "{value: 1.5625, n: 5, spread: {kind: sd, value: 0.02}, provenance: {kind: paper, where: Table 1}}"),
    ("margin: 0.1, n: 5, spread: {kind: sd, value: 0.02}, provenance: {kind: paper, where: Table 1}", "n", "margin: 0.1, n: 0, spread: {kind: sd, value: 0.02}, provenance: {kind: paper, where: Table 1}"),
    ("{kind: sd, value: 0.02}", "spread", "{kind: none, value: 0.02}"),
    ("{kind: sd, value: 0.02}", "spread", "{kind: sd}"),
    ("{kind: sd, value: 0.02}", "kind", "{kind: stddev, value: 0.02}"),
    ("spread: {kind: sd, value: 0.02}, provenance: {kind: paper", "provenance", "spread: {kind: sd, value: 0.02}, provenance: {kind: hearsay"),
    ("margin: {relative: 0.1}", "margin", "margin: {relative: -0.1}"),
    ("{reference: true, margin: {relative: 0.1}}", "margin", "{reference: true}"),
    ("{reference: true, tolerance: 1e-9}", "tolerance", "{reference: true, tolerance: -1}"),
    ("{value: 0.78125, tolerance: 1e-9, provenance", "tolerence", "{value: 0.78125, tolerence: 1e-9, provenance"),
    ("position: {file: position.npy, dtype: float64, shape: [4]}", "dtype", "position: {file: position.npy, dtype: complex64, shape: [4]}"),
    ("position: {file: position.npy, dtype: float64, shape: [4]}", "file", "position: {file: ../position.npy, dtype: float64, shape: [4]}"),
    ("report: {file: report.json, keys: {mean: float, steps: int}}", "keys", "report: {file: report.json, keys: {mean: complex, steps: int}}"),
    ("report: {file: report.json, keys: {mean: float, steps: int}}", "keys", "report: {file: report.json}"),
    ("x: [1, 2, 3, 4]", "curve_published", "x: [1, 2, 3]"),
    ("n: 5\n      margin: 0.2", "n", "n: 1\n      margin: 0.2"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "key", "new"), TARGETS, ids=[f"{i}-{t[1]}" for i, t in enumerate(TARGETS)])
def test_a_mistake_in_a_union_is_one_sensible_sentence(tmp_path: Path, old: str, key: str, new: str) -> None:
    """Pydantic tries every form of a target or an output; the reader made one mistake in one form."""
    assert old in PAPER
    found = problems(write_paper(tmp_path / "p", paper=PAPER.replace(old, new, 1)))
    assert len(found) == 1, "\n" + "\n".join(found)
    assert key in found[0]
    for noise in ("Published", "FromReference", "ExactValue", "ArrayOutput", "JsonOutput", "function-", "union_tag"):
        assert noise not in found[0]


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    text = (
        PAPER.replace("year: 2021", "year: twenty")
        .replace("venue: ICML\n", "")
        .replace("weight: 3\n    leaves", "weight: 0\n    leaves")
    )
    found = problems(write_paper(tmp_path / "p", paper=text))
    assert len(found) == 3
    places = [match[1] for match in (re.match(r".+:\d+ (\S+): ", part) for part in found) if match]
    assert sorted(places) == ["rubric.numbers.weight", "venue", "year"]


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    "old",
    [
        "weight: 3\n    leaves",
        "value: 1.5625, margin",
        "margin: 0.1, n: 5, spread: {kind: sd",
        "below: 2.0",
        "value: 0.02}",
        "atol: 1e-12",
        "cpu: 5 s, memory",
    ],
)
def test_no_infinity_and_no_nan_gets_into_a_claim(tmp_path: Path, old: str, number: str) -> None:
    text = PAPER.replace(old, re.sub(r": [\d.e-]+( s)?", f": {number}", old, count=1), 1)
    assert text != PAPER
    refusal(write_paper(tmp_path / "p", paper=text))


def test_a_claim_may_be_called_like_a_kind(tmp_path: Path) -> None:
    """The name of a claim is no tag of pydantic's."""
    text = PAPER.replace("exact_relay", "exact").replace(
        "value: 0.75, tolerance: 1e-9", "value: nothing, tolerance: 1e-9"
    )
    found = problems(write_paper(tmp_path / "p", paper=text))
    assert len(found) == 1
    assert "claims.exact.target.value" in found[0]


def test_two_experiments_do_not_need_each_other(edited: Edited) -> None:
    with pytest.raises(PaperError, match="cannot need another"):
        edited(lambda spec: spec["experiments"]["walk"].update(needs="relay", instances=None))


def test_a_core_leaf_on_a_reported_number_needs_a_partner(edited: Edited) -> None:
    def alone(spec: dict[str, Any]) -> None:
        spec["claims"]["number_said"]["core"] = True
        for name in ("number_reference", "exact_reference"):
            spec["claims"][name]["core"] = False

    with pytest.raises(PaperError, match=r"number_said.core: a core leaf on a reported number"):
        edited(alone)
    edited(lambda spec: spec["claims"]["number_said"].update(core=True))


def test_a_paper_without_a_core_leaf_is_refused(edited: Edited) -> None:
    def none(spec: dict[str, Any]) -> None:
        for leaf in [*spec["claims"].values(), *spec["probes"].values()]:
            leaf["core"] = False

    with pytest.raises(PaperError, match="no leaf is core"):
        edited(none)


def test_a_probe_and_a_claim_share_no_name(edited: Edited) -> None:
    with pytest.raises(PaperError, match="a claim has the same name"):
        edited(lambda spec: spec["probes"].update(exact_relay=spec["probes"]["one_update"]))


def test_an_improvement_needs_the_same_instances_on_both_sides(edited: Edited) -> None:
    """Instances are its tasks; unequal sides would end the scoring with a ValueError."""
    with pytest.raises(PaperError, match="ordering_improvement"):
        edited(lambda spec: spec["claims"]["ordering_improvement"]["lower"].update(instance="pinned"))


def test_the_points_of_a_published_curve_rise(edited: Edited) -> None:
    with pytest.raises(PaperError, match="curve_published"):
        edited(lambda spec: spec["claims"]["curve_published"]["target"].update(x=[1, 3, 2, 4]))


def test_a_probe_reads_a_deterministic_case(edited: Edited) -> None:
    """Its slot is the first: on a stochastic case submission and reference have different seeds."""
    with pytest.raises(PaperError, match="one_update"):
        edited(lambda spec: spec["experiments"]["update"].update(deterministic=False))


@pytest.mark.parametrize("value", ["2021-06-01", "!!binary aGVsbG8=", "{1: one}", "!!set {a, b}", ".nan"])
def test_a_pinned_instance_is_json(tmp_path: Path, value: str) -> None:
    text = PAPER.replace("pinned: {goal: 3.0}", f"pinned: {{goal: 3.0, start: {value}}}")
    message = refusal(write_paper(tmp_path / "p", paper=text))
    assert "walk.instances" in message


@pytest.mark.parametrize("name", ["brief.md", "metrics.py", "starter/reproduction/__main__.py", "paper.yaml"])
def test_a_missing_file_is_named(tiny_folder: Path, name: str) -> None:
    (tiny_folder / name).unlink()
    assert name in refusal(tiny_folder)


def test_the_version_follows_what_decides_a_score(edited: Edited) -> None:
    versions = [
        edited().version,
        edited(lambda spec: spec["claims"]["threshold_below"].update(below=2.5)).version,
        edited(lambda spec: spec["rubric"]["shapes"].update(weight=1)).version,
        edited(None, metrics="def mean_position(o, i, p): return 0\n").version,
    ]
    assert len(set(versions)) == 4
    assert edited(lambda spec: spec.update(summary="Other words.")).version == versions[0]
