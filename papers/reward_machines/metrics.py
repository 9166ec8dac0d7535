"""How learning in the office world is measured, from the harness's own log of episodes; shown to participants.

An episode counts by its return over its length, divided by what an optimal policy gets on the very map that was served
while it explores as much: 1 is as good as that policy. Value iteration on map and reward machine finds the policy.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Outputs = Mapping[str, Any]
Instance = Mapping[str, Any]
Parameters = Mapping[str, Any]
Log = Mapping[str, Any]

POINTS = 10
"""Points of a learning curve, evenly over the steps."""
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
LONGEST_EPISODE = 1000
ACCURATE = 1e-12
TIE = 1e-9


def learning_curve(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> Any:
    """Performance against steps: the mean over the last `window` episodes that had ended by then."""
    steps, scores = _scores(instance, metered)
    return np.array([[at, _recent(steps, scores, at, instance["window"])] for at in _points(instance)])


def average_performance(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """The mean over the points of the learning curve."""
    return float(learning_curve(outputs, instance, parameters, metered)[:, 1].mean())


def final_performance(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """The mean over all episodes that ended in the last fifth of the steps."""
    steps, scores = _scores(instance, metered)
    late = (steps > 0.8 * instance["steps"]) & (steps <= instance["steps"])
    return float(scores[late].mean()) if late.any() else 0.0


def steps_to_half(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """Steps, in thousands, until the last `window` episodes reach a mean of one half; all steps if they never do."""
    steps, scores = _scores(instance, metered)
    window = instance["window"]
    means = np.convolve(scores, np.ones(window) / window, mode="valid")
    reached = (
        np.flatnonzero((means >= 0.5) & (steps[window - 1 :] <= instance["steps"])) if len(scores) >= window else []
    )
    return float(steps[window - 1 + reached[0]] if len(reached) else instance["steps"]) / 1000.0


def greedy_efficiency(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """Mean over tasks, each walked once in the evaluation stream: the shortest way over the way taken; 0 if unpaid."""
    rows, tasks = metered["stream"] == "evaluation", len(instance["machines"])
    if rows.sum() != tasks:  # whoever wants to look around has the training stream for it
        raise ValueError(f"expected one greedy episode of each of {tasks} tasks and no other, got {rows.sum()}")
    returns, lengths = metered["return"][rows], metered["length"][rows]
    shortest = [_optimum(instance, task).shortest for task in _tasks(metered, rows, tasks)]
    return float(np.mean(returns * np.array(shortest) / lengths))


def steps_taken(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """Steps of the training stream, over all environments that were opened, relative to those that are asked for."""
    rows = metered["stream"] == "training"
    return float(metered["length"][rows].sum()) / instance["steps"]


def untrue_episodes(outputs: Outputs, instance: Instance, parameters: Parameters, metered: Log) -> float:
    """How many episodes were handed in wrong, too many or too few, against the log in the order of ending."""
    rows = (metered["stream"] == "training") & (metered["outcome"] != "abandoned")
    order = np.argsort(metered["steps"][rows], kind="stable")
    returns, lengths = metered["return"][rows][order], metered["length"][rows][order]
    counts = len(returns), len(outputs["returns"]), len(outputs["lengths"])
    both = min(counts)
    wrong = np.abs(returns[:both] - outputs["returns"][:both]) > TIE
    wrong |= lengths[:both] != outputs["lengths"][:both]
    return float(wrong.sum() + max(counts) - both)


def _points(instance: Instance) -> Any:
    return instance["steps"] * np.arange(1, POINTS + 1) / POINTS


def _recent(steps: Any, scores: Any, at: float, window: int) -> float:
    """The mean of the last episodes that had ended, 0 before the first."""
    ended = int(np.searchsorted(steps, at, side="right"))
    return float(scores[max(0, ended - window) : ended].mean()) if ended else 0.0


def _scores(instance: Instance, metered: Log) -> tuple[Any, Any]:
    """Steps of the stream when each training episode ended, rising, and what each is worth; abandoned ones count."""
    rows = metered["stream"] == "training"
    tasks = _tasks(metered, rows, len(instance["machines"]))
    optima = np.array([_optimum(instance, task).rate for task in range(len(instance["machines"]))])
    scores = metered["return"][rows] / metered["length"][rows] / optima[tasks]
    order = np.argsort(metered["steps"][rows], kind="stable")
    return metered["steps"][rows][order].astype(float), scores[order]


def _tasks(metered: Log, rows: Any, tasks: int) -> Any:
    """The task of each episode: every environment that was opened goes through them by itself, from the first on."""
    index, episode = metered["index"][rows], metered["episode"][rows]
    found = np.zeros(len(index), dtype=int)
    for one in np.unique(index):
        own = np.flatnonzero(index == one)
        found[own[np.argsort(episode[own], kind="stable")]] = np.arange(len(own)) % tasks
    return found


class _Optimum(NamedTuple):
    """What an optimal policy of one task gets."""

    shortest: float
    """Steps of its way, without exploring."""
    rate: float
    """Expected return over length, exploring."""


_SOLVED: dict[str, _Optimum] = {}


def _optimum(instance: Instance, task: int) -> _Optimum:
    """The optimum of one task on the map that was served; many metrics ask for the same one, so it is kept."""
    office, machine = instance.get("served", instance)["office"], instance["machines"][task]
    key = repr([office, machine, instance["discount"], instance["epsilon"]])
    if key not in _SOLVED:
        if len(_SOLVED) > 1000:
            _SOLVED.clear()
        after, rewards = _model(office, machine)
        values, best = _iterate(after, rewards, instance["discount"])
        shortest = 1.0 + math.log(values[office["start"]]) / math.log(instance["discount"])
        rate = _explored(after, rewards, best, instance["epsilon"], office["start"])
        _SOLVED[key] = _Optimum(shortest, rate)
    return _SOLVED[key]


def _iterate(after: Any, rewards: Any, discount: float) -> tuple[Any, Any]:
    """Value iteration; values (states and the end,), and which actions are best (states, actions)."""
    values = np.zeros(len(after) + 1)
    while True:
        worth = rewards + discount * values[after]
        most = worth.max(axis=1)
        change = np.abs(most - values[:-1]).max()
        values[:-1] = most
        if change < ACCURATE:
            return values, worth >= most[:, None] - TIE


def _explored(after: Any, rewards: Any, best: Any, epsilon: float, start: int) -> float:
    """Return over length, by the exact distribution, of a policy that takes best actions with equal chances."""
    chances = (1 - epsilon) * best / best.sum(axis=1, keepdims=True) + epsilon / len(MOVES)
    moves = np.zeros((len(after), len(after) + 1))
    for action in range(len(MOVES)):
        np.add.at(moves, (np.arange(len(after)), after[:, action]), chances[:, action])
    paid, mass, rate = (chances * rewards).sum(axis=1), np.zeros(len(after)), 0.0
    mass[start] = 1.0
    for length in range(1, LONGEST_EPISODE + 1):
        rate += float(mass @ paid) / length
        mass = mass @ moves[:, :-1]
    return rate


def _model(office: Mapping[str, Any], machine: Mapping[str, Any]) -> tuple[Any, Any]:
    """Next state and reward, both (states, actions); a state is machine state times cells plus cell, the end last."""
    size, (down, across) = office["size"], office["rooms"]
    height, width = down * size, across * size
    cells, doors = height * width, {frozenset(door) for door in office["doors"]}
    after = np.full((machine["states"] * cells, len(MOVES)), machine["states"] * cells)
    rewards = np.zeros(after.shape)
    for cell in range(cells):
        for action, (dy, dx) in enumerate(MOVES):
            y, x = cell // width + dy, cell % width + dx
            inside = 0 <= y < height and 0 <= x < width
            same = (y // size, x // size) == (cell // width // size, cell % width // size)
            there = y * width + x if inside and (same or frozenset((cell, y * width + x)) in doors) else cell
            events = [name for name, places in office["objects"].items() if there in places]
            for state in range(machine["states"]):
                target, reward = _step(machine, state, events)
                rewards[state * cells + cell, action] = reward
                if target >= 0:
                    after[state * cells + cell, action] = target * cells + there
    return after, rewards


def _step(machine: Mapping[str, Any], state: int, events: list[str]) -> tuple[int, float]:
    """The machine's next state, -1 at its end, and its reward."""
    for source, formula, target, reward in machine["transitions"]:
        literals = [literal.strip() for literal in formula.split("&")]
        if source == state and all((one.lstrip("!") in events) != one.startswith("!") for one in literals):
            return target, reward
    return -1, 0.0
