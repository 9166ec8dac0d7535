"""Start-up of the command line: `reproof --help` beside a bare interpreter, `inspect --help` and `harbor --help`.

Run `python benchmarks/startup.py [--json] [--repetitions N] [--no-peers] [--inspect-ai-python PYTHON]
[--harbor-python PYTHON]`. Without a peer's Python it is installed once, by pip, into a virtual environment in the
cache folder. All commands run in turn, so that a busy machine slows them alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, command, compared, in_turn, options, ours, report
from benchmarks.peers import PEERS, Peer, chosen_peers, tried, version_of

HELP, BARE, CLICK = "reproof --help", "python -c pass", "import click"
MOST_MS, MOST_TIMES = 150.0, 5.0
PROGRAMS = {"inspect-ai": "inspect", "harbor": "harbor"}
OTHERS = {
    "reproof --version": (("--version",), 0),
    "reproof papers": (("papers",), 0),
    "reproof attempt --help": (("attempt", "--help"), 0),
    "an unknown verb": (("pappers",), 2),
    "an unknown paper": (("paper", "show", "no_such_paper"), 2),
    "an unknown setting": (("attempt", "paper=tree_search", "bugdet=standard"), 2),
}
"""Further commands of ours, with the exit status each must have."""


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=20, peers=tuple(PEERS)).parse_args()
    peers = [tried(peer, lambda one: _peer_help(one)()) for peer in chosen_peers(chosen)]
    runs = in_turn(_commands(peers), chosen.repetitions)
    rows = [*_goals(runs), *_peer_rows(runs, peers), *(compared(name, runs, name, BARE) for name in OTHERS)]
    return report(rows, versions={peer.name: version_of(peer) for peer in peers}, as_json=chosen.json)


def _commands(peers: list[Peer]) -> dict[str, Callable[[], object]]:
    own = {name: command(ours("reproof"), *words, status=(status,)) for name, (words, status) in OTHERS.items()}
    present = [peer for peer in peers if peer.python is not None]
    return {
        BARE: command(sys.executable, "-c", "pass"),
        CLICK: command(sys.executable, "-c", CLICK),
        HELP: command(ours("reproof"), "--help"),
        **own,
        **{_help(peer): _peer_help(peer) for peer in present},
    }


def _peer_help(peer: Peer) -> Callable[[], object]:
    return command(peer.program(PROGRAMS[peer.name]), "--help")


def _help(peer: Peer) -> str:
    return f"{PROGRAMS[peer.name]} --help"


def _goals(runs: Runs) -> Iterator[Row]:
    row, took = compared(HELP, runs, HELP, BARE), 1e3 * runs.median(HELP)
    alone = replace(row, peer=None, peer_measured=None, peer_least=None, ratio=None)
    yield replace(alone, goal=f"measured <= {MOST_MS:g}", met=took <= MOST_MS)
    yield replace(row, goal=f"ratio <= {MOST_TIMES:g}", met=runs.ratio(HELP, BARE) <= MOST_TIMES)
    yield compared(HELP, runs, HELP, CLICK)


def _peer_rows(runs: Runs, peers: list[Peer]) -> Iterator[Row]:
    for peer in peers:
        if peer.python is None:
            yield Row(name=HELP, measured=None, unit="ms", peer=_help(peer), note=f"absent: {peer.absent}")
        else:
            yield compared(HELP, runs, HELP, _help(peer))


if __name__ == "__main__":
    sys.exit(main())
