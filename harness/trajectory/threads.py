"""Telling conversations apart: which request goes on from which, where they fork, and what only looks like a fork.

Every exchange is a node of a forest: its parent is the exchange whose request and answer it repeats and goes on from. A
thread is a path from where a conversation began, or forked off, to its end; at a fork it follows the branch on which
more was done. What a client asked once more, after a failure say, is no fork of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from harness.trajectory.heard import Element, Heard

_RECENT = 8
"""Exchanges that the next one is compared with first."""
_MOST_TWINS = 8
"""Exchanges with the same conversation that are kept in mind."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """An exchange in its thread."""

    heard: Heard
    new: int
    """Where, among the request's elements, begins what the exchange before had not."""
    rewritten: bool = False
    """Whether the elements before that are not those that were sent earlier."""
    echoed: frozenset[bytes] = frozenset()
    """Marks of the answer before, which the request repeats first."""


@dataclass(slots=True, kw_only=True)
class Thread:
    """A conversation from its beginning, or its fork, to its end."""

    turns: list[Turn]
    after: int | None
    """Number of the exchange, of another thread, that it forked off from."""

    @property
    def first(self) -> int:
        """Number of its first exchange."""
        return self.turns[0].heard.exchange.number


@dataclass(slots=True)
class _Node:
    turn: Turn
    parent: int | None
    path: int
    """The conversation that was sent, as a node of the tree of prefixes."""
    children: list[int] = field(default_factory=list)
    size: int = 1
    """Exchanges that go on from it, itself included."""


def told_apart(all_heard: Sequence[Heard]) -> list[Thread]:
    """The threads of some exchanges, in the order in which they began; each exchange is in one of them."""
    nodes = _Forest().grown(all_heard)
    for place, node in enumerate(nodes):
        if node.parent is not None:
            nodes[node.parent].children.append(place)
    for node in reversed(nodes):
        node.size += sum(nodes[child].size for child in node.children)
    roots = [place for place, node in enumerate(nodes) if node.parent is None]
    pending: list[tuple[list[int], int | None]] = [(group, None) for group in _alike(nodes, roots)]
    threads = []
    while pending:
        group, after = pending.pop()
        thread = Thread(turns=[], after=after)
        while group:
            chosen, again, others = _split(nodes, group)
            thread.turns += _in_turn(nodes, chosen, again)
            pending += [([other], nodes[other].parent) for other in others]
            group = nodes[chosen].children
        threads.append(thread)
    return sorted(threads, key=lambda thread: thread.first)


def _alike(nodes: Sequence[_Node], roots: Iterable[int]) -> list[list[int]]:
    """Conversations that begin with the same request, together."""
    by_path: dict[int, list[int]] = {}
    for place in roots:
        by_path.setdefault(nodes[place].path, []).append(place)
    return list(by_path.values())


def _split(nodes: Sequence[_Node], group: list[int]) -> tuple[int, list[int], list[int]]:
    """Of what goes on from one exchange: the branch to follow, what was only asked once more, and other branches."""
    chosen = max(group, key=lambda place: (nodes[place].size, nodes[place].turn.heard.answered, place))
    again, others = list[int](), list[int]()
    for place in group:
        if place != chosen:
            (again if _once_more(nodes[place], nodes[chosen]) else others).append(place)
    return chosen, again, others


def _once_more(node: _Node, chosen: _Node) -> bool:
    """Whether nothing came of an exchange, and the chosen one asks the same, or it had no answer at all."""
    same = node.path == chosen.path and alike(node.turn.heard.opening, chosen.turn.heard.opening)
    return not node.children and (same or not node.turn.heard.answered)


def _in_turn(nodes: Sequence[_Node], chosen: int, again: Iterable[int]) -> list[Turn]:
    """The chosen exchange and other tries, as they came; what all of them sent is new in the first one only."""
    turns, sent = [], False
    for place in sorted([*again, chosen]):
        turn = nodes[place].turn
        if sent or nodes[place].path != nodes[chosen].path:
            turn.new = len(turn.heard.elements)
        sent = sent or nodes[place].path == nodes[chosen].path
        turns.append(turn)
    return turns


def alike(one: Sequence[Element], other: Sequence[Element]) -> bool:
    """Whether instructions are the same by half; clients put the time, or a number, into them."""
    if one == other:
        return True
    ours = {mark for element in one for mark in element.spoken}
    theirs = {mark for element in other for mark in element.spoken}
    return 2 * len(ours & theirs) >= max(len(ours), len(theirs))


class _Forest:
    """Finds out for each exchange which one it goes on from; linear in what is sent."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._nodes: list[_Node] = []
        self._tree: dict[tuple[int, bytes], int] = {}
        self._ends: dict[int, list[int]] = {}
        """The exchanges that have sent a conversation, by the end of its path."""
        self._answers: dict[bytes, int] = {}
        """The last exchange that was answered so, by the marks of its answer."""

    def grown(self, all_heard: Sequence[Heard]) -> list[_Node]:
        """A node for each exchange, in their order."""
        for place, heard in enumerate(all_heard):
            node = self._node(heard)
            self._nodes.append(node)
            ends = self._ends.setdefault(node.path, [])
            self._ends[node.path] = [*ends[1 - _MOST_TWINS :], place]
            self._answers |= dict.fromkeys(heard.answer.marks, place)
        return self._nodes

    def _node(self, heard: Heard) -> _Node:
        path, sent = self._walk(heard)
        parent, new = sent if sent else (None, 0)
        echo = self._echo(heard, beyond=new, surely=self._repeats(heard, parent, new))
        if echo is not None and (parent is None or echo[0] > parent):
            parent, new = echo
        rewritten = parent is not None and (sent is None or parent != sent[0])
        echoed = self._nodes[parent].turn.heard.answer.marks if parent is not None else frozenset()
        return _Node(Turn(heard=heard, new=new, rewritten=rewritten, echoed=echoed), parent, path)

    def _repeats(self, heard: Heard, parent: int | None, new: int) -> bool:
        """Whether what follows the beginning is what was answered to it."""
        if parent is None:
            return False
        answer = self._nodes[parent].turn.heard.answer.marks
        following = takewhile(lambda element: element.by_agent, heard.elements[new:])
        return any(element.marks & answer for element in following)

    def _walk(self, heard: Heard) -> tuple[int, tuple[int, int] | None]:
        """The path of a conversation, and the exchange that sent the most of its beginning with how much that was."""
        (start, path), last = self._begun(heard), None
        for place, key in enumerate(heard.keys[start:], start):
            if place and path in self._ends:
                last = (self._ends[path], place)
            path = self._tree.setdefault((path, key), len(self._tree) + 1)
        return path, (self._twin(heard, *last), last[1]) if last else None

    def _begun(self, heard: Heard) -> tuple[int, int]:
        """How much of a conversation one of the last exchanges has sent already, and the path of that."""
        keys, found = heard.keys, (0, 0)
        for node in self._nodes[-_RECENT:]:
            sent = node.turn.heard.keys
            if found[0] < len(sent) < len(keys) and keys[: len(sent)] == sent:
                found = (len(sent), node.path)
        return found

    def _twin(self, heard: Heard, twins: list[int], place: int) -> int:
        """Of exchanges that sent the same, the one whose answer is repeated, or whose instructions are the same."""
        follows = heard.elements[place].marks

        def fits(twin: int) -> tuple[bool, bool, int]:
            theirs = self._nodes[twin].turn.heard
            return bool(theirs.answer.marks & follows), alike(theirs.opening, heard.opening), twin

        return twins[0] if len(twins) == 1 else max(twins, key=fits)

    def _echo(self, heard: Heard, *, beyond: int, surely: bool) -> tuple[int, int] | None:
        """The exchange whose answer is the last that a request repeats, and where; only from `beyond` on.

        If it has to be sure, only calls count, by their identifiers: a client may have joined several answers into one.
        """
        for place in range(len(heard.elements) - 1, beyond - 1, -1):
            element = heard.elements[place]
            if element.by_agent:
                marks = element.named if surely else element.marks
                found = max((self._answers[mark] for mark in marks if mark in self._answers), default=None)
                if found is not None and self._akin(heard, element, found):
                    return found, place
        return None

    def _akin(self, heard: Heard, element: Element, other: int) -> bool:
        """Whether two conversations begin alike, or what one repeats is too much to be chance."""
        theirs = self._nodes[other].turn.heard
        begun = bool(theirs.elements) and theirs.elements[0].key == heard.elements[0].key
        return begun or bool(element.sure & theirs.answer.sure)
