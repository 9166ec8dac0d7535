"""Held-out instances: office maps, reward machines, and steps for single checks.

A map is drawn until it is solvable, about as hard as the pinned one, and such that a hierarchy pays for taking the
nearest coffee: the way on from there is clearly longer than by the other one. Machines and steps are drawn until what
is easily got wrong (falling to the end, filtering what cannot be, an option that ends elsewhere) happens in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOMS, SIZE = (3, 3), 3
HEIGHT, WIDTH = ROOMS[0] * SIZE, ROOMS[1] * SIZE
CELLS = HEIGHT * WIDTH
DECORATIONS = 6
FAR = 10_000
NAMES = ["office", "mail", "a", "b", "c", "d", "coffee", "other coffee", "start"]
DETOUR = {"first": 1.25, "third": 1.2}
"""How much longer than the best the way by the nearest coffee is at least, in the first and the third task."""
BOUNDS = {"first": (9, 14), "second": (12, 20), "third": (15, 23), "fourth": (20, 30)}
"""Lengths of the shortest ways."""
EVENTS = ["coffee", "mail", "office", "a", "b", "c", "d"]
END = -1
MOST_DRAWS = 200_000
N = "!decoration"
DELIVER_BOTH = {
    "states": 4,
    "transitions": [
        [0, f"!coffee & !mail & {N}", 0, 0.0],
        [0, f"coffee & {N}", 1, 0.0],
        [0, f"!coffee & mail & {N}", 2, 0.0],
        [1, f"!mail & {N}", 1, 0.0],
        [1, f"mail & {N}", 3, 0.0],
        [2, f"!coffee & {N}", 2, 0.0],
        [2, f"coffee & {N}", 3, 0.0],
        [3, f"!office & {N}", 3, 0.0],
        [3, f"office & {N}", END, 1.0],
    ],
}


def draw(experiment: str, rng: np.random.Generator) -> dict[str, Any]:
    """One instance that is decisive.

    Raises:
        ValueError: The experiment has no held-out instances, or no draw was accepted.
    """
    makers = {
        "multi": lambda rng: _learning(rng, [_chain("coffee", "office"), _chain("mail", "office"), DELIVER_BOTH,
                                             _chain("a", "b", "c", "d")], steps=30_000, window=100),
        "single": lambda rng: _learning(rng, [DELIVER_BOTH], steps=24_000, window=50),
        "machine": _machine,
        "experiences": _experiences,
        "update": _update,
        "options": _options,
    }  # fmt: skip
    if experiment not in makers:
        raise ValueError(f"no held-out instances for {experiment!r}, only for {', '.join(makers)}")
    for _ in range(MOST_DRAWS):
        instance = makers[experiment](rng)
        if instance is not None:
            return instance
    raise ValueError(f"none of {MOST_DRAWS} draws for {experiment!r} was accepted")


def _chain(*names: str) -> dict[str, Any]:
    """A machine that waits for one event after the other, and pays 1 for the last."""
    transitions: list[list[Any]] = []
    for state, name in enumerate(names):
        last = state == len(names) - 1
        transitions.append([state, f"!{name} & {N}", state, 0.0])
        transitions.append([state, f"{name} & {N}", END if last else state + 1, 1.0 if last else 0.0])
    return {"states": len(names), "transitions": transitions}


def _learning(
    rng: np.random.Generator, machines: list[dict[str, Any]], *, steps: int, window: int
) -> dict[str, Any] | None:
    """The pinned settings on a map of its own, which only the gateway serves."""
    office = _office(rng)
    if office is None:
        return None
    settings = {"steps": steps, "window": window, "discount": 0.9, "learning_rate": 0.5, "epsilon": 0.1}
    return {**settings, "initial_value": 2.0, "machines": machines, "served": {"office": office}}


def _office(rng: np.random.Generator) -> dict[str, Any] | None:
    """Rooms, doors and objects; None where no placing in these rooms will do."""
    doors = [_door(pair, int(rng.integers(SIZE))) for pair in _room_pairs() if rng.random() < 0.85]
    cells = [int(cell) for cell in rng.permutation(CELLS)]
    decorations, free = sorted(cells[:DECORATIONS]), cells[DECORATIONS:]
    distances = _distances(doors, decorations).tolist()
    for _ in range(400):
        placed = dict(zip(NAMES, (free[i] for i in rng.permutation(len(free))[: len(NAMES)]), strict=True))
        if _fits(placed, distances):
            start, other = placed.pop("start"), placed.pop("other coffee")
            objects = {name: [cell] for name, cell in placed.items()}
            objects["coffee"] = sorted([*objects["coffee"], other])
            objects["decoration"] = decorations
            return {"rooms": list(ROOMS), "size": SIZE, "doors": doors, "start": start, "objects": objects}
    return None


def _room_pairs() -> Iterator[tuple[int, int, int, int]]:
    """Rooms side by side or one below the other: row, column, and the step to the neighbour."""
    for row in range(ROOMS[0]):
        for column in range(ROOMS[1]):
            if column + 1 < ROOMS[1]:
                yield row, column, 0, 1
            if row + 1 < ROOMS[0]:
                yield row, column, 1, 0


def _door(pair: tuple[int, int, int, int], offset: int) -> list[int]:
    row, column, down, right = pair
    y = row * SIZE + (SIZE - 1 if down else offset)
    x = column * SIZE + (SIZE - 1 if right else offset)
    return [y * WIDTH + x, (y + down) * WIDTH + x + right]


def _distances(doors: Sequence[Sequence[int]], decorations: Sequence[int]) -> NDArray[np.int64]:
    """Steps between all cells without touching a decoration; FAR where there is no way."""
    near = np.eye(CELLS, dtype=bool)
    open_doors = {frozenset(door) for door in doors}
    for cell in range(CELLS):
        for there, inside in ((cell + 1, cell % WIDTH < WIDTH - 1), (cell + WIDTH, cell + WIDTH < CELLS)):
            if inside and (_room(cell) == _room(there) or frozenset((cell, there)) in open_doors):
                near[cell, there] = near[there, cell] = True
    near[:, decorations] = False
    near[decorations] = False
    distances = np.where(np.eye(CELLS, dtype=bool), 0, FAR)
    reached, step = np.eye(CELLS, dtype=bool), 0
    while True:
        step += 1
        further = (reached.astype(np.float32) @ near.astype(np.float32)) > 0
        if not (further & ~reached).any():
            return distances
        distances[further & ~reached] = step
        reached |= further


def _room(cell: int) -> tuple[int, int]:
    return cell // WIDTH // SIZE, cell % WIDTH // SIZE


def _fits(at: Mapping[str, int], distances: Sequence[Sequence[int]]) -> bool:
    """Whether all tasks are about as long as the pinned ones, and the nearest coffee leads astray in two of them."""

    def way(*names: str) -> int:
        return sum(distances[at[one]][at[other]] for one, other in itertools.pairwise(names))

    def within(task: str, length: int) -> bool:
        return BOUNDS[task][0] <= length <= BOUNDS[task][1]

    if way("start", "coffee") + 2 > way("start", "other coffee"):
        return False
    near, other = way("start", "coffee", "office"), way("start", "other coffee", "office")
    if not within("first", other) or near < DETOUR["first"] * other:
        return False
    if not within("second", way("start", "mail", "office")) or not within("fourth", way("start", "a", "b", "c", "d")):
        return False
    if abs(way("mail", "coffee") - way("mail", "other coffee")) < 2:
        return False
    later = "coffee" if way("mail", "coffee") < way("mail", "other coffee") else "other coffee"
    orders = [("start", coffee, "mail", "office") for coffee in ("coffee", "other coffee")]
    orders += [("start", "mail", coffee, "office") for coffee in ("coffee", "other coffee")]
    best = min(way(*order) for order in orders)
    by_coffee, by_mail = way("start", "coffee", "mail", "office"), way("start", "mail", later, "office")
    clear = abs(by_coffee - by_mail) >= 4  # else luck decides which of them a controller settles on
    return within("third", best) and clear and min(by_coffee, by_mail) >= DETOUR["third"] * best


def _random_machine(rng: np.random.Generator, states: int, pool: Sequence[str]) -> dict[str, Any]:
    """Formulas that exclude each other, rewards on edges and on waiting; only decorations make it fall."""
    transitions: list[list[Any]] = []
    for state in range(states):
        count = int(rng.integers(1, 4))
        names = [str(name) for name in rng.choice(pool, size=count, replace=False)]
        others = [target for target in [*range(states), END] if target != state]
        targets = [int(target) for target in rng.choice(others, size=count, replace=False)]
        waiting = " & ".join([*(f"!{name}" for name in names), N])
        transitions.append([state, waiting, state, round(float(rng.uniform(-0.1, 0.2)), 3)])
        for number, (name, target) in enumerate(zip(names, targets, strict=True)):
            formula = " & ".join([*(f"!{earlier}" for earlier in names[:number]), name, N])
            transitions.append([state, formula, target, round(float(rng.uniform(-0.5, 1.0)), 3)])
    return {"states": states, "transitions": transitions}


def _random_events(rng: np.random.Generator, pool: Sequence[str], *, decorated: float) -> list[str]:
    count = int(rng.choice([0, 1, 2], p=[0.3, 0.5, 0.2]))
    names = [str(name) for name in rng.choice(pool, size=count, replace=False)]
    return sorted([*names, *(["decoration"] if rng.random() < decorated else [])])


def _after(machine: Mapping[str, Any], state: int, events: Sequence[str]) -> tuple[int, bool]:
    """The next state, and whether the machine fell."""
    for source, formula, target, _ in machine["transitions"]:
        literals = formula.split(" & ")
        if source == state and all((one.lstrip("!") in events) != one.startswith("!") for one in literals):
            return target, False
    return END, True


def _pool(rng: np.random.Generator) -> list[str]:
    return [str(name) for name in rng.choice(EVENTS, size=4, replace=False)]


def _machine(rng: np.random.Generator) -> dict[str, Any] | None:
    """A machine in which waiting pays, and a hundred steps in which it falls, ends by a formula, and is everywhere."""
    pool = _pool(rng)
    machine = _random_machine(rng, int(rng.integers(4, 7)), pool)
    events = [_random_events(rng, pool, decorated=0.06) for _ in range(100)]
    state, ends = 0, set()
    visited = set()
    for names in events:
        visited.add(state)
        state, fell = _after(machine, state, names)
        if state == END:
            ends.add(fell)
            state = 0
    if len(ends) < 2 or len(visited) < machine["states"]:
        return None
    discount = round(float(rng.uniform(0.8, 0.95)), 3)
    gained = np.abs(_values(machine, discount, loops=True) - _values(machine, discount, loops=False)).max()
    if gained < 0.05:
        return None
    return {"machine": machine, "events": events, "discount": discount}


def _values(machine: Mapping[str, Any], discount: float, *, loops: bool) -> NDArray[np.float64]:
    """What the machine is worth in each state, with or without the choice to wait."""
    values = np.zeros(machine["states"] + 1)
    for _ in range(100):
        for state in range(machine["states"]):
            ways = [(v, r) for u, _, v, r in machine["transitions"] if u == state and (loops or v != u)]
            values[state] = max(reward + discount * values[after] for after, reward in ways)
    return values


def _experiences(rng: np.random.Generator) -> dict[str, Any] | None:
    """Two or three machines and eight steps; some states cannot be, and the last step meets a decoration."""
    pool = _pool(rng)
    machines = [_random_machine(rng, int(rng.integers(3, 5)), pool) for _ in range(int(rng.integers(2, 4)))]
    steps = _walk(rng, pool, 8)
    steps[-1][-1] = sorted([*steps[-1][-1], "decoration"])
    pairs = [(number, state) for number, one in enumerate(machines) for state in range(one["states"])]
    counts = []
    for *_, names in steps[:-1]:
        reached = {(number, _after(machines[number], state, names)[0]) for number, state in pairs}
        counts.append(len(reached & set(pairs)))
    if min(counts) < 2 or sum(count < len(pairs) for count in counts) < 4:
        return None
    return {"machines": machines, "steps": steps, "discount": round(float(rng.uniform(0.8, 0.95)), 3)}


def _walk(rng: np.random.Generator, pool: Sequence[str], length: int, cells: int = 6) -> list[list[Any]]:
    """Steps [cell, action, cell after, events], each from where the one before led."""
    visited = [int(cell) for cell in rng.integers(cells, size=length + 1)]
    actions = [int(action) for action in rng.integers(4, size=length)]
    events = [_random_events(rng, pool, decorated=0.0) for _ in range(length)]
    return [list(step) for step in zip(visited[:-1], actions, visited[1:], events, strict=True)]


def _settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "discount": round(float(rng.uniform(0.8, 0.95)), 3),
        "learning_rate": round(float(rng.uniform(0.2, 0.8)), 3),
    }


def _update(rng: np.random.Generator) -> dict[str, Any] | None:
    """Two machines, values, and six steps of an episode whose machine changes state and ends by a formula."""
    pool = _pool(rng)
    machines = [_random_machine(rng, int(rng.integers(3, 5)), pool) for _ in range(2)]
    task, steps = int(rng.integers(2)), _walk(rng, pool, 6)
    path = _path(machines[task], [step[-1] for step in steps])
    if path is None or len(set(path)) < 3:
        return None
    values = rng.normal(0.0, 1.0, (sum(one["states"] for one in machines), 6, 4)).round(3).tolist()
    return {"machines": machines, "task": task, "steps": steps, "values": values, **_settings(rng)}


def _path(machine: Mapping[str, Any], events: Sequence[Sequence[str]]) -> list[int] | None:
    """The states before each step, if the machine ends at the last one by a formula."""
    states = [0]
    for names in events:
        if states[-1] == END:
            return None
        after, fell = _after(machine, states[-1], names)
        if fell:
            return None
        states.append(after)
    return states[:-1] if states[-1] == END else None


def _options(rng: np.random.Generator) -> dict[str, Any] | None:
    """Two machines, values, and eight steps with three options: one lasts, one ends elsewhere, the last is true."""
    pool = _pool(rng)
    machines = [_random_machine(rng, int(rng.integers(3, 5)), pool) for _ in range(2)]
    task, steps = int(rng.integers(2)), _walk(rng, pool, 8)
    path = _path(machines[task], [step[-1] for step in steps])
    if path is None:
        return None
    edges = [[(u, v) for u, _, v, _ in one["transitions"] if u != v] for one in machines]
    chosen, astray, longest, length = None, False, 0, 0
    for step, state, after in zip(steps, path, [*path[1:], END], strict=True):
        own = [v for u, v in edges[task] if u == state]
        step.insert(0, None)
        if chosen is None:
            step[0] = chosen = int(rng.integers(len(own)))
            length = 0
        length += 1
        if after != state:
            astray |= own[chosen] != after
            longest, chosen = max(longest, length), None
    if not astray or longest < 3 or len(set(path)) < 3:
        return None
    controller = [
        rng.normal(0.0, 1.0, (6, sum(u == state for u, _ in own))).round(3).tolist()
        for one, own in zip(machines, edges, strict=True)
        for state in range(one["states"])
    ]
    options = rng.normal(0.0, 1.0, (sum(map(len, edges)), 6, 4)).round(3).tolist()
    return {
        "machines": machines,
        "task": task,
        "steps": steps,
        "options": options,
        "controller": controller,
        **_settings(rng),
    }
