"""The statistics against rliable 1.2.0: same estimates, the same intervals on the same indices, and the speed.

Run `python benchmarks/statistics.py [--json] [--peer-python PYTHON]`. Without `--peer-python` the peer is installed
once, by pip, into a virtual environment in the cache folder: it needs pandas < 3, the harness does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.pop(0)  # this folder, where this file would shadow the standard library's statistics
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.scoring.aggregates import iqm, mean, median, optimality_gap, performance_profile
from harness.scoring.bootstrap import improvement_interval, interval, paired_resamples, resamples

PEER = ("rliable==1.2.0", "pandas<3", "arch<8")
ALGORITHMS, RUNS, TASKS = 3, 10, 26
SEED = 7
GOALS = {"iqm": 20.0, "improvement": 400.0}
TAUS = np.linspace(-2.0, 3.0, 101)

PEER_PROGRAM = '''
"""Times rliable on the scores in a folder and leaves its estimates there."""
import json, sys, time
from pathlib import Path
import numpy as np
from rliable import library, metrics

folder, repetitions, improvements, profiles = Path(sys.argv[1]), *map(int, sys.argv[2:5])
scores = np.load(folder / "scores.npy")
taus = np.load(folder / "taus.npy")
aggregates = {"iqm": metrics.aggregate_iqm, "mean": metrics.aggregate_mean,
              "median": metrics.aggregate_median, "optimality_gap": metrics.aggregate_optimality_gap}
answer = {}

def timed(name, data, function, reps):
    np.random.seed(int(sys.argv[5]))  # rliable ignores its own random_state
    cpu, wall = time.process_time(), time.perf_counter()
    points, intervals = library.get_interval_estimates(data, function, reps=reps)
    answer[name] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "repetitions": reps,
                    "value": [np.ravel(points[k]).tolist() for k in data],
                    "low": [intervals[k][0].tolist() for k in data],
                    "high": [intervals[k][1].tolist() for k in data]}

matrices = {str(i): s for i, s in enumerate(scores)}
for name, function in aggregates.items():
    timed(name, matrices, lambda x: np.array([function(x)]), repetitions if name == "iqm" else 200)
timed("improvement", {"0": [scores[0], scores[1]]},
      lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), improvements)
timed("profile", {"0": scores[0]}, lambda x: library.score_distributions(x, taus), profiles)
(folder / "peer.json").write_text(json.dumps(answer))
'''


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    options = _options()
    scores = _scores()
    peer = _run_peer(options, scores)
    rows = [
        _row("iqm", peer, _ours_iqm(scores, options.repetitions), _same_aggregate(scores, iqm, peer["iqm"])),
        _row(
            "improvement",
            peer,
            _ours_improvement(scores, options.repetitions),
            _same_improvement(scores, peer["improvement"]),
        ),
        _row("profile", peer, _ours_profile(scores, options.profiles), _same_profile(scores, peer["profile"])),
    ]
    others = {
        name: _same_aggregate(scores, function, peer[name])
        for name, function in (("mean", mean), ("median", median), ("optimality_gap", optimality_gap))
    }
    report = {
        "benchmark": "statistics",
        "peer": "rliable 1.2.0",
        "setting": f"{ALGORITHMS} algorithms x {RUNS} runs x {TASKS} tasks",
        "machine": _machine(),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": rows,
        "largest_difference": {**{r["name"]: r["largest_difference"] for r in rows}, **others},
    }
    report["ok"] = all(r["ok"] for r in rows) and max(others.values()) < 1e-12
    print(json.dumps(report) if options.json else _table(report))
    return 0 if report["ok"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-python", type=Path, help="a Python that has rliable 1.2.0")
    parser.add_argument("--repetitions", type=int, default=50_000, help="of the bootstrap (default 50 000)")
    parser.add_argument("--improvements", type=int, default=1_000, help="of the peer's probability of improvement")
    parser.add_argument("--profiles", type=int, default=2_000, help="of the performance profile")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _scores() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores [algorithms, runs, tasks], skewed as benchmark scores are, with some ties."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    levels = rng.gamma(1.5, 0.6, size=(1, 1, TASKS)) + np.linspace(0.0, 0.3, ALGORITHMS)[:, None, None]
    return np.asarray(np.round(levels + 0.3 * rng.standard_normal((ALGORITHMS, RUNS, TASKS)), 2))


def _run_peer(options: argparse.Namespace, scores: np.ndarray[Any, Any]) -> dict[str, Any]:
    python = options.peer_python or _peer_environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "scores.npy", scores)
        np.save(folder / "taus.npy", TAUS)
        (folder / "peer.py").write_text(PEER_PROGRAM, encoding="utf-8")
        counts = (options.repetitions, options.improvements, options.profiles, SEED)
        subprocess.run([python, folder / "peer.py", folder, *map(str, counts)], check=True, stdout=sys.stderr)
        return dict(json.loads((folder / "peer.json").read_text(encoding="utf-8")))


def _peer_environment() -> Path:
    """A virtual environment of the peer's own, made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "reproof" / "rliable-1.2.0"
    python = cache / "bin" / "python"
    if not (cache / "complete").exists():
        print(f"installing {', '.join(PEER)} into {cache}", file=sys.stderr)
        venv.create(cache, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], check=True, stdout=sys.stderr)
        (cache / "complete").touch()
    return python


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _ours_iqm(scores: np.ndarray[Any, Any], repetitions: int) -> tuple[float, float, int]:
    rng = np.random.Generator(np.random.PCG64(SEED))

    def work() -> None:
        for matrix in scores:
            interval(matrix, iqm, indices=resamples((RUNS, TASKS), repetitions=repetitions, rng=rng))

    return *_timed(work), repetitions


def _ours_improvement(scores: np.ndarray[Any, Any], repetitions: int) -> tuple[float, float, int]:
    rng, shape = np.random.Generator(np.random.PCG64(SEED)), (RUNS, TASKS)

    def work() -> None:
        drawn = paired_resamples(shape, shape, repetitions=repetitions, rng=rng)
        improvement_interval(scores[0], scores[1], indices=drawn)

    return *_timed(work), repetitions


def _ours_profile(scores: np.ndarray[Any, Any], repetitions: int) -> tuple[float, float, int]:
    rng = np.random.Generator(np.random.PCG64(SEED))

    def work() -> None:
        drawn = resamples((RUNS, TASKS), repetitions=repetitions, rng=rng)
        interval(scores[0], lambda x: performance_profile(x, TAUS), indices=drawn)

    return *_timed(work), repetitions


def _peer_stream(state: np.random.RandomState, repetitions: int) -> Iterator[Any]:
    """The index stream that rliable draws, one call a repetition, in chunks of 500."""
    for done in range(0, repetitions, 500):
        count = min(500, repetitions - done)
        yield np.stack([state.choice(RUNS, (RUNS, TASKS), replace=True) for _ in range(count)])


def _same_aggregate(scores: np.ndarray[Any, Any], aggregate: Callable[..., Any], peer: dict[str, Any]) -> float:
    state = np.random.RandomState(SEED)  # one stream through all algorithms, as the peer's
    ours = [interval(m, aggregate, indices=_peer_stream(state, peer["repetitions"])) for m in scores]
    return _difference(ours, peer)


def _same_improvement(scores: np.ndarray[Any, Any], peer: dict[str, Any]) -> float:
    both = _peer_stream(np.random.RandomState(SEED), 2 * peer["repetitions"])
    pairs = ((chunk[::2], chunk[1::2]) for chunk in both)
    return _difference([improvement_interval(scores[0], scores[1], indices=pairs)], peer)


def _same_profile(scores: np.ndarray[Any, Any], peer: dict[str, Any]) -> float:
    drawn = _peer_stream(np.random.RandomState(SEED), peer["repetitions"])
    return _difference([interval(scores[0], lambda x: performance_profile(x, TAUS), indices=drawn)], peer)


def _difference(ours: list[Any], peer: dict[str, Any]) -> float:
    """Largest absolute difference of any estimate or limit."""
    return max(
        float(np.abs(np.ravel([getattr(one, key) for one in ours]) - np.ravel(peer[key])).max())
        for key in ("value", "low", "high")
    )


def _row(name: str, peer: dict[str, Any], ours: tuple[float, float, int], difference: float) -> dict[str, Any]:
    cpu, wall, repetitions = ours
    theirs = peer[name]
    faster = (theirs["cpu"] / theirs["repetitions"]) / (cpu / repetitions)
    goal = GOALS.get(name)
    return {
        "name": name,
        "goal": goal,
        "measured": faster,
        "ours_cpu_s": cpu,
        "ours_wall_s": wall,
        "ours_repetitions": repetitions,
        "peer_cpu_s": theirs["cpu"],
        "peer_wall_s": theirs["wall"],
        "peer_repetitions": theirs["repetitions"],
        "largest_difference": difference,
        "ok": difference < 1e-12 and (goal is None or faster >= goal),
    }


def _machine() -> dict[str, Any]:
    models = [s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")]
    return {
        "cpu": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
    }


def _table(report: dict[str, Any]) -> str:
    machine = report["machine"]
    lines = [
        f"{report['setting']}; peer {report['peer']}; {machine['cpu']}, {machine['cores']} cores, "
        f"Python {machine['python']}, numpy {machine['numpy']}; peak memory {report['peak_memory_mib']:.0f} MiB",
        f"{'':12} {'ours CPU':>10} {'reps':>7} {'peer CPU':>10} {'reps':>7} {'faster':>8} {'goal':>6} {'differs':>9}",
    ]
    lines += [
        f"{r['name']:12} {r['ours_cpu_s']:>8.2f} s {r['ours_repetitions']:>7} {r['peer_cpu_s']:>8.2f} s "
        f"{r['peer_repetitions']:>7} {r['measured']:>7.0f}x {r['goal'] or '-':>6} {r['largest_difference']:>9.1e}"
        for r in report["rows"]
    ]
    lines.append('"faster" is CPU time a repetition; "differs": estimates and limits, same index stream')
    lines.append(f"mean, median, optimality gap differ by {max(report['largest_difference'].values()):.1e} at most")
    return "\n".join([*lines, "every goal met" if report["ok"] else "A GOAL IS MISSED"])


if __name__ == "__main__":
    sys.exit(main())
