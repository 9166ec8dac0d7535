"""Exchanges to a trajectory: four formats alike, forks told apart, and nothing that anybody sends breaks it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import Talk, exchange, write_journal

from harness.proxy.exchange import Exchange, Format, Tokens, exchanges
from harness.trajectory.atif import Step, Trajectory
from harness.trajectory.derive import derive
from harness.trajectory.keep import text_of
from harness.trajectory.steps import Allowance

FORMATS = get_args(Format)
HARBOR = "REPROOF_HARBOR_PYTHON"
"""Environment variable: a Python that has Harbor."""
BRIEF = ("I shall read the brief before anything else is done.", "cat BRIEF.md", "# The brief")
WRITE = ("The starter has stubs only; the update goes in first.", "vi algorithm.py", "")
DONE = ("Everything that was asked for is there. I am done.", "", "")


def derived(found: Sequence[Exchange]) -> Trajectory:
    made = derive(found, attempt="attempt", agent="agent", version="1.0")
    assert made is not None
    return made


def told(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [(step.source, step.message) for step in steps]


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


def test_a_conversation_is_told_alike_in_every_format(format: Format) -> None:
    found = derived(list(Talk(format).turns([BRIEF, WRITE, DONE])))
    assert told(found.steps) == [
        ("system", "You are an agent."), ("user", "Read BRIEF.md."),
        ("agent", BRIEF[0]), ("agent", WRITE[0]), ("agent", DONE[0]),
    ]  # fmt: skip
    read, write, done = found.steps[2:]
    assert read.reasoning_content == f"thinking: {BRIEF[0]}"
    assert read.tool_calls
    assert (read.tool_calls[0].function_name, read.tool_calls[0].arguments) == ("shell", {"command": "cat BRIEF.md"})
    assert read.observation
    assert [result.content for result in read.observation.results] == ["# The brief"]
    assert read.observation.results[0].source_call_id == read.tool_calls[0].tool_call_id
    assert write.observation
    assert done.tool_calls is None
    assert found.subagent_trajectories is None
    assert [step.step_id for step in found.steps] == [1, 2, 3, 4, 5]


def test_every_answer_says_what_it_cost_and_when_it_came(format: Format) -> None:
    found = derived(list(Talk(format).turns([BRIEF, DONE])))
    step = found.steps[2]
    assert step.timestamp == "2026-11-23T08:00:02.500Z"
    assert step.metrics is not None
    assert (step.metrics.prompt_tokens, step.metrics.cached_tokens, step.metrics.completion_tokens) == (100, 40, 20)
    assert step.metrics.cost_usd == 0.01
    assert step.metrics.extra == {"reasoning_tokens": 5}
    assert found.final_metrics is not None
    assert found.final_metrics.total_prompt_tokens == 200
    assert found.final_metrics.total_cost_usd == pytest.approx(0.02)
    assert found.agent.model_name == "scripted"
    assert found.agent.tool_definitions
    assert found.agent.tool_definitions[0]["function"]["name"] == "shell"


def test_an_unknown_price_leaves_the_sum_unknown() -> None:
    first, last = Talk("chat").turns([BRIEF, DONE])
    found = derived([first, msgspec.structs.replace(last, dollars=None)])
    assert found.final_metrics is not None
    assert found.final_metrics.total_cost_usd is None


def test_a_title_asked_for_beside_the_work_is_a_conversation_of_its_own(format: Format) -> None:
    title = Talk(format, system="You write titles.", first="Read BRIEF.md.")
    work = list(Talk(format).turns([BRIEF, WRITE, DONE], start=1))
    found = derived([*title.turns([("A title", "", "")]), *work])
    assert [step.message for step in found.steps][2:] == [BRIEF[0], WRITE[0], DONE[0]]
    assert found.subagent_trajectories
    [beside] = found.subagent_trajectories
    assert told(beside.steps)[-1] == ("agent", "A title")
    assert beside.extra == {"kind": "side"}


def test_two_conversations_at_once_are_kept_apart(format: Format) -> None:
    one, other = Talk(format, first="Do the first half."), Talk(format, first="Do the second half.")
    mixed = sorted(
        [*one.turns([BRIEF, WRITE, DONE], start=0, step=2), *other.turns([WRITE, DONE], start=1, step=2)],
        key=lambda item: item.number,
    )
    found = derived(mixed)
    assert [step.message for step in found.steps if step.source == "agent"] == [BRIEF[0], WRITE[0], DONE[0]]
    assert found.subagent_trajectories
    assert [step.message for step in found.subagent_trajectories[0].steps][2:] == [WRITE[0], DONE[0]]


def test_a_question_aside_that_repeats_everything_is_a_fork(format: Format) -> None:
    talk = Talk(format)
    work = list(talk.turns([BRIEF, WRITE]))
    aside = Talk(format)
    aside.list = list(talk.list)
    aside.user("Who speaks next? Answer in one word.")
    work += aside.turns([("model", "", "")], start=2)
    work += talk.turns([DONE], start=3)
    found = derived(work)
    assert [step.message for step in found.steps if step.source == "agent"] == [BRIEF[0], WRITE[0], DONE[0]]
    assert found.subagent_trajectories
    [fork] = found.subagent_trajectories
    assert told(fork.steps)[-2:] == [("user", "Who speaks next? Answer in one word."), ("agent", "model")]
    assert fork.extra == {"kind": "fork", "of": "main", "exchange": 1}


def test_a_request_sent_again_after_a_failure_is_no_fork(format: Format) -> None:
    talk = Talk(format)
    first = list(talk.turns([BRIEF]))
    failed = [
        exchange(number, format, talk.request, None, status=500, ended="failed", said="overloaded", tokens=Tokens())
        for number in (1, 2)
    ]
    found = derived([*first, *failed, *talk.turns([WRITE, DONE], start=3)])
    assert found.subagent_trajectories is None
    assert told(found.steps)[2:] == [
        ("agent", BRIEF[0]), ("system", "No answer, failed: overloaded"), ("system", "No answer, failed: overloaded"),
        ("agent", WRITE[0]), ("agent", DONE[0]),
    ]  # fmt: skip
    assert found.steps[2].observation is not None


def test_the_first_request_sent_again_is_no_fork_either(format: Format) -> None:
    talk = Talk(format)
    failed = exchange(0, format, talk.request, None, status=502, ended="failed", said="away", tokens=Tokens())
    found = derived([failed, *talk.turns([BRIEF, DONE], start=1)])
    assert found.subagent_trajectories is None
    assert [step.source for step in found.steps] == ["system", "user", "system", "agent", "agent"]


def test_instructions_that_change_at_every_request_do_not_divide_a_conversation() -> None:
    talk = Talk("messages")
    work = []
    for number, turn in enumerate([BRIEF, WRITE, DONE]):
        for item in talk.turns([turn], start=number):
            blocks = [{"type": "text", "text": f"billing: {number}"}, {"type": "text", "text": talk.system}]
            work.append(msgspec.structs.replace(item, request={**item.request, "system": blocks}))
    found = derived(work)
    assert found.subagent_trajectories is None
    assert len(found.steps) == 5


def test_marks_for_a_cache_that_move_on_do_not_divide_a_conversation() -> None:
    work = list(Talk("messages").turns([BRIEF, WRITE, DONE]))
    for item in work:
        last = item.request["messages"][-1]
        content = last["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        marked = {**last, "content": [*blocks[:-1], {**blocks[-1], "cache_control": {"type": "ephemeral"}}]}
        item.request["messages"] = [*item.request["messages"][:-1], marked]
    found = derived(work)
    assert found.subagent_trajectories is None
    assert len(found.steps) == 5


def test_a_reminder_that_is_taken_out_again_does_not_divide_a_conversation() -> None:
    talk = Talk("chat")
    work = []
    for number, turn in enumerate([BRIEF, WRITE, DONE]):
        for item in talk.turns([turn], start=number):
            reminder = {"role": "user", "content": f"Reminder {number}: answer with blocks."}
            work.append(
                msgspec.structs.replace(item, request={"messages": [*item.request["messages"], reminder], "tools": []})
            )
    found = derived(work)
    assert found.subagent_trajectories is None
    assert [step.message for step in found.steps if step.source == "agent"] == [BRIEF[0], WRITE[0], DONE[0]]
    assert [step.message for step in found.steps if step.source == "user"][1:] == [
        f"Reminder {number}: answer with blocks." for number in range(3)
    ]


def test_a_call_names_the_conversation_that_it_began(format: Format) -> None:
    task = "Find out which file holds the optimiser, and say no more than its name."
    talk, helper = Talk(format), Talk(format, system="You help.", first=f"<task>{task}</task>")
    [asks] = talk.turns([("I ask a helper.", task, "algorithm.py")])
    found = derived([asks, *helper.turns([BRIEF, DONE], start=1), *talk.turns([DONE], start=3)])
    assert found.subagent_trajectories
    [beside] = found.subagent_trajectories
    assert beside.extra == {"kind": "subagent", "of": "main", "exchange": 0}
    observation = found.steps[2].observation
    assert observation
    assert observation.results[0].subagent_trajectory_ref
    assert observation.results[0].subagent_trajectory_ref[0].trajectory_id == beside.trajectory_id


def test_a_conversation_that_begins_with_a_summary_goes_on_from_it(format: Format) -> None:
    talk = Talk(format)
    summary = "So far: the brief was read, the update is written, the check is still to be run."
    first = list(talk.turns([BRIEF, (summary, "", "")]))
    anew = Talk(format, first=f"This goes on from an earlier conversation.\n{summary}")
    found = derived([*first, *anew.turns([WRITE, DONE], start=2)])
    assert found.subagent_trajectories
    assert found.subagent_trajectories[0].extra == {"kind": "continuation", "of": "main", "exchange": 1}


def test_answers_that_a_client_joins_into_one_do_not_divide_a_conversation() -> None:
    first = {"role": "user", "content": "Begin."}
    answers = [Talk("messages").answer("The next step.", f"step {number}", f"call{number}") for number in range(4)]
    work = []
    for number, answer in enumerate(answers):
        before = answers[:number]
        joined = {"role": "assistant", "content": [block for said in before for block in said["content"][1:]]}
        back = [
            {"type": "tool_result", "tool_use_id": f"call{place}", "content": f"back {place}"}
            for place in range(number)
        ]
        messages = [first, joined, {"role": "user", "content": back}] if number else [first]
        work.append(exchange(number, "messages", {"messages": messages}, answer))
    found = derived(work)
    assert found.subagent_trajectories is None
    assert [step.source for step in found.steps] == ["user", *["agent"] * 4]
    backs = [step.observation.results[0].content for step in found.steps[1:-1] if step.observation]
    assert backs == ["back 0", "back 1", "back 2"]


def test_requests_of_no_conversation_are_noted_and_not_shown() -> None:
    refused = exchange(
        0, "chat", {}, None, status=404, ended="refused", said="HEAD / is not let through", tokens=Tokens()
    )
    found = derived([refused, *Talk("chat").turns([BRIEF], start=1)])
    assert found.subagent_trajectories is None
    assert "1 request belongs to no conversation (the first: HEAD / is not let through)" in (found.notes or "")
    assert derived([refused]).steps[0].source == "system"


def test_a_word_that_two_conversations_share_does_not_join_them() -> None:
    first = exchange(
        0, "chat", {"messages": [{"role": "user", "content": "Is it so?"}]}, Talk("chat").answer("Yes.", "", "")
    )
    example = [{"role": "user", "content": "An example?"}, {"role": "assistant", "content": "Yes."}]
    messages = [*example, {"role": "user", "content": "And this one?"}]
    second = exchange(1, "chat", {"messages": messages}, Talk("chat").answer("No.", "", ""))
    found = derived([first, second])
    assert len(found.subagent_trajectories or []) == 1
    both = [step.message for item in (found, *(found.subagent_trajectories or [])) for step in item.steps]
    assert both.count("An example?") == 1


def test_a_request_that_failed_and_was_written_anew_is_no_fork() -> None:
    talk = Talk("chat")
    first = list(talk.turns([BRIEF]))
    noted = {"messages": [*talk.request["messages"], {"role": "user", "content": "The time is 08:00."}]}
    failed = exchange(1, "chat", noted, None, status=500, ended="failed", said="away", tokens=Tokens())
    found = derived([*first, failed, *talk.turns([DONE], start=2)])
    assert found.subagent_trajectories is None
    assert [step.source for step in found.steps] == ["system", "user", "agent", "system", "agent"]


def test_instructions_that_share_a_header_alone_are_not_the_same() -> None:
    talk, header = Talk("messages"), [{"type": "text", "text": "billing: 7"}]
    title = [*header, *({"type": "text", "text": f"You write titles, rule {n}."} for n in range(4))]
    own = [*header, *({"type": "text", "text": f"You are an agent, rule {n}."} for n in range(4))]
    asked = {**talk.request, "system": title}
    beside = exchange(0, "messages", asked, Talk("messages").answer("A title", "", ""))
    work = [
        msgspec.structs.replace(item, request={**item.request, "system": own})
        for item in talk.turns([BRIEF, DONE], start=1)
    ]
    found = derived([beside, *work])
    assert "A title" not in [step.message for step in found.steps]
    assert len(found.subagent_trajectories or []) == 1


def test_definitions_of_functions_are_bounded() -> None:
    tools = [{"type": "function", "function": {"name": f"f{n}", "description": "d" * 9000}} for n in range(500)]
    found = derived([exchange(0, "chat", {**Talk("chat").request, "tools": tools}, {"choices": []})])
    assert 50 < len(found.agent.tool_definitions or []) < 150


def test_what_the_program_puts_into_the_models_mouth_is_no_answer_of_a_model() -> None:
    messages = [
        {"role": "user", "content": "An example."}, {"role": "assistant", "content": "So I would answer."},
        {"role": "user", "content": "Now you."},
    ]  # fmt: skip
    answer = Talk("chat").answer("I do.", "", "x")
    found = derived([exchange(0, "chat", {"messages": messages}, answer)])
    made_up = found.steps[1]
    assert (made_up.source, made_up.llm_call_count, made_up.is_copied_context) == ("agent", 0, True)
    assert made_up.metrics is None
    assert found.steps[3].llm_call_count == 1


def test_an_answer_that_broke_off_is_kept_and_said_to_have_done_so(format: Format) -> None:
    talk = Talk(format)
    cut = exchange(0, format, talk.request, talk.answer("Half an ans", "", "x"), ended="cut", said="the client went")
    [*_, step] = derived([cut]).steps
    assert step.message == "Half an ans"
    assert step.extra is not None
    assert step.extra["ended"] == "cut"


def test_what_came_back_to_no_known_call_is_kept() -> None:
    messages = [{"role": "user", "content": "Go."}, {"role": "tool", "tool_call_id": "?", "content": "lost"}]
    found = derived([exchange(0, "chat", {"messages": messages}, None)])
    assert ("user", "lost") in told(found.steps)


def test_pictures_are_named_and_not_kept() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 5000}}
    request = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look:"}, image]}]}
    found = derived([exchange(0, "messages", request, {"content": []})])
    assert "AAAA" not in text_of(found)
    assert "[image, " in found.steps[0].message or "[image, " in found.steps[1].message


def test_nothing_exchanged_is_no_trajectory() -> None:
    assert derive([], attempt="a", agent="b", version="c") is None


def test_a_damaged_journal_is_told_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "exchanges.jsonl"
    write_journal(path, list(Talk("chat").turns([BRIEF, WRITE])))
    with path.open("ab") as file:
        file.write(b"{]\n")
    found = derive(exchanges(path), attempt="a", agent="b", version="c")
    assert found is not None
    assert "damaged after 2 exchanges" in (found.notes or "")


def test_texts_beyond_all_measure_are_shortened_and_said_to_be() -> None:
    allowance = Allowance(1000)
    assert allowance.take("a" * 900) == "a" * 900
    assert len(allowance.take("b" * 900)) < 300
    assert allowance.take("c" * 40) == "c" * 40
    assert allowance.short == 1


HOSTILE: list[Any] = [
    None, 0, -1, 2**4000, math.nan, math.inf, "", "\ud800", "\x00\x1b[31m\u202e", [], {}, True, "x" * 3_000_000,
    ["a", 1, None, {"type": 7, "text": {}}], {"role": ["assistant"], "content": {"text": "\udfff"}},
]  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"parts": [value], "content": [value]}
    return value


def well_formed(found: Trajectory) -> None:
    text = text_of(found)
    text.encode()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["schema_version"] == "ATIF-v1.8"
    for item in [found, *(found.subagent_trajectories or [])]:
        assert [step.step_id for step in item.steps] == list(range(1, len(item.steps) + 1))
        for step in item.steps:
            known = {call.tool_call_id for call in step.tool_calls or []}
            for result in step.observation.results if step.observation else []:
                assert result.source_call_id in known


@pytest.mark.parametrize(
    "key", ["messages", "input", "contents", "system", "instructions", "systemInstruction", "tools"]
)
def test_nothing_that_is_sent_breaks_it(format: Format, key: str) -> None:
    field = {"chat": "choices", "responses": "output", "messages": "content", "generate": "candidates"}[format]
    sent = [*HOSTILE, nested(60)]
    for number, value in enumerate(sent):
        for bad in (value, [value], [{"role": "assistant", "content": value, "parts": value, "tool_calls": value}]):
            request = {**Talk(format).request, key: bad}
            well_formed(derived([exchange(number, format, request, {field: bad}, model="m\ud800")]))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["role", "content", "type", "text", "parts", "tool_calls", "id", "name", "function", "input",
                         "arguments", "functionCall", "args", "functionResponse", "response", "call_id", "output"]),
        inner | st.sampled_from(["assistant", "user", "tool", "tool_use", "tool_result", "function_call", "model"]),
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.lists(values, max_size=4), values), min_size=1, max_size=4))
def test_no_shape_of_what_is_sent_breaks_it(format: Format, sent: list[tuple[list[Any], Any]]) -> None:
    name = {"chat": "messages", "responses": "input", "messages": "messages", "generate": "contents"}[format]
    reply = {"chat": "choices", "responses": "output", "messages": "content", "generate": "candidates"}[format]
    made = [
        exchange(number, format, {name: request}, {reply: [{"message": answer, "content": answer}, answer]})
        for number, (request, answer) in enumerate(sent)
    ]
    well_formed(derived(made))


def long_work(count: int, size: int) -> list[Exchange]:
    return list(
        Talk("chat").turns([(f"Step {n}: I go on.", f"cat {n}", f"{n:06}" * (size // 6)) for n in range(count)])
    )


@pytest.mark.slow
def test_time_grows_with_what_is_new(tmp_path: Path) -> None:
    write_journal(tmp_path / "small", long_work(50, 100_000))
    write_journal(tmp_path / "large", long_work(200, 100_000))
    took = {}
    for name in ("small", "large") * 3:
        start = time.process_time()
        made = derive(exchanges(tmp_path / name), attempt="a", agent="b", version="c")
        took[name] = min(took.get(name, math.inf), time.process_time() - start)
        assert made is not None
        assert made.subagent_trajectories is None
    assert took["large"] < 8 * took["small"] + 0.2
    assert took["large"] < 3.0


def test_a_thousand_conversations_at_once_are_told_apart_in_time() -> None:
    made = [
        exchange(
            number,
            "chat",
            {"messages": [{"role": "user", "content": f"Task {number}"}]},
            Talk("chat").answer("ok", "", ""),
        )
        for number in range(3000)
    ]
    start = time.process_time()
    found = derived(made)
    assert len(found.subagent_trajectories or []) == 2999
    assert time.process_time() - start < 5.0


@pytest.mark.slow
@pytest.mark.skipif(HARBOR not in os.environ, reason=f"{HARBOR} names no Python with Harbor")
def test_harbor_takes_it_for_a_trajectory_of_its_own(format: Format, tmp_path: Path) -> None:
    task = "Find out which file holds the optimiser, and say no more than its name."
    talk, helper = Talk(format), Talk(format, system="You help.", first=task)
    work = [*talk.turns([("I ask a helper.", task, "algorithm.py")]), *helper.turns([BRIEF, DONE], start=1)]
    work += [exchange(3, format, talk.request, None, status=500, ended="failed", said="\ud800 away", tokens=Tokens())]
    work += talk.turns([WRITE, DONE], start=4)
    path = tmp_path / "trajectory.json"
    path.write_text(text_of(derived(work)))
    code = "import pathlib, sys; from harbor.utils.trajectory_validator import TrajectoryValidator as T; t = T(); "
    code += "ok = t.validate(pathlib.Path(sys.argv[1])); print(t.errors); sys.exit(not ok)"
    done = subprocess.run([os.environ[HARBOR], "-c", code, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
