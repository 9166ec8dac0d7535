"""Whose seeds, what is counted, what the log says; all that a client could try in order to look luckier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gateway.served import Run, running, served

from harness.errors import HarnessFault, RecordError
from harness.gateway import client
from harness.gateway.log import ROW, EpisodeLog, read_metered, tabulate

CART = "reproof/Cart-v0"


def cart(folder: Path, secret: str = "secret", **more: int):  # type: ignore[no-untyped-def]
    return running(folder, secret, Cart=served("CartPole-v1", **{"steps": 1000, "evaluation_steps": 200, **more}))


def first_states(run: Run, seeds: list[int | None], **keywords: str) -> list[list[float]]:
    env = run.env(**keywords)
    found = []
    for seed in seeds:
        found.append(env.reset(seed=seed)[0].tolist())
        env.step(0)
    env.close()
    return found


def test_the_training_stream_honours_a_seed_and_begins_with_one_of_ours(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        states = first_states(run, [3, None, 3, 4])
        begun = first_states(run, [None])
        _, log = run.end()
    assert states[0] == states[2] != states[3]
    assert log["seed"][:4].tolist() == [3, -1, 3, 4]
    assert log["seed"][4] >= 0
    with cart(tmp_path / "b") as again:
        first_states(again, [3])
        assert first_states(again, [None]) == begun
    with cart(tmp_path / "c", "another") as other:
        first_states(other, [3])
        assert first_states(other, [None]) != begun


def test_the_evaluation_stream_s_luck_is_the_server_s(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        states = first_states(run, [1, 2, None], phase="evaluation")
    with cart(tmp_path / "b") as run:
        assert first_states(run, [7, 7, 7], phase="evaluation") == states
    with cart(tmp_path / "c", "another") as run:
        assert first_states(run, [1, 2, None], phase="evaluation") != states


def test_nobody_can_look_for_a_lucky_start(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        env = run.env(phase="evaluation")
        starts = {tuple(env.reset(seed=seed)[0].tolist()) for seed in range(50)}
        env.close()
        starts.add(tuple(run.env(phase="evaluation").reset()[0].tolist()))
        assert len(starts) == 1
        many = run.vector(8, phase="evaluation")
        assert len({tuple(row) for row in many.reset()[0].tolist()}) == 8
        _, log = run.end()
    assert len(log["episode"]) == 0


def test_an_evaluation_that_is_broken_off_is_in_the_log(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        env = run.env(phase="evaluation")
        for length in (2, 1):
            env.reset()
            [env.step(0) for _ in range(length)]
        env.close()
        closing, log = run.end()
    assert log["outcome"].tolist() == ["abandoned"] * 2
    assert log["length"].tolist() == [2, 1]
    assert log["episode"].tolist() == [0, 1]
    assert set(log["stream"]) == {"evaluation"}
    assert (closing.used[CART].training, closing.used[CART].evaluation) == (0, 3)


def test_the_log_adds_up(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        env, several = run.env(), run.vector(4)
        env.reset(seed=1)
        several.reset(seed=2)
        for step in range(60):
            if any(env.step(step % 2)[2:4]):
                env.reset()
            several.step(np.full(4, step % 2))
        env.close()
        several.close()
        closing, log = run.end()
    assert log["length"].sum() == closing.used[CART].training
    assert (log["return"] == log["length"]).all()
    assert log["steps"].tolist() == sorted(log["steps"])
    assert (np.diff(log["time"]) >= 0).all()
    assert set(log["index"]) == set(range(5))
    assert set(log["outcome"]) == {"terminated", "abandoned"}
    assert not closing.used[CART].exhausted


@pytest.mark.parametrize("count", [None, 3])
def test_the_budget_ends_with_an_error_that_says_so(tmp_path: Path, count: int | None) -> None:
    with cart(tmp_path / "a", steps=20, evaluation_steps=5) as run:
        env = run.env() if count is None else run.vector(count)
        env.reset(seed=1)

        def step_on() -> None:
            for step in range(30):
                over = env.step(step % 2 if count is None else np.full(count, step % 2))[2]
                if count is None and over:
                    env.reset()

        with pytest.raises(RuntimeError, match=r"the training budget of reproof/Cart-v0 is spent: \d+ of 20 steps"):
            step_on()
        with pytest.raises(client.StepsExhausted):
            env.step(0 if count is None else np.zeros(count, dtype=int))
        judged = run.env(phase="evaluation")
        judged.reset()
        for _ in range(5):
            judged.step(0)
        closing, log = run.end()
    used = closing.used[CART]
    assert used.exhausted
    assert 18 <= used.training <= 20
    assert used.evaluation == 5
    assert log["length"].sum() == used.training + used.evaluation


def test_the_log_is_a_table_that_damage_does_not_pass(tmp_path: Path) -> None:
    with EpisodeLog(tmp_path / "raw") as log:
        for row in range(3000):
            log.add(0, row % 2, row % 3, row, row, 5, -1, 1.5, row, row / 7)
    with (tmp_path / "raw").open("ab") as file:
        file.write(b"cut off")
    tabulate(tmp_path / "raw", tmp_path / "table.npy")
    table = read_metered(tmp_path / "table.npy", ["a"])
    assert len(table["return"]) == 3000
    assert table["stream"][:2].tolist() == ["training", "evaluation"]
    np.save(tmp_path / "strange.npy", np.full(1, 9, dtype=ROW))
    with pytest.raises(RecordError, match="damaged"):
        read_metered(tmp_path / "strange.npy", ["a"])


def test_a_server_that_does_not_end_well_is_a_fault(tmp_path: Path) -> None:
    with cart(tmp_path / "a") as run:
        run.gateway._child.kill()
        with pytest.raises(HarnessFault, match="did not end well"):
            run.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_steps_add_little_memory(tmp_path: Path) -> None:
    with cart(tmp_path / "a", steps=1_100_000) as run:
        env, actions = run.vector(64), np.zeros(64, dtype=int)
        env.reset(seed=1)
        [env.step(actions) for _ in range(1000)]
        before = run.gateway.resident
        for _ in range(1_000_000 // 64):
            env.step(actions)
        assert run.gateway.resident - before <= 20 * 2**20
