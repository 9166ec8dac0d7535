"""The whole way from inside the real clean room, through nothing but Gymnasium."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway.served import Run, running, served

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Job, Limits, SandboxSettings
from harness.gateway import turn

LIMITS = Limits(cpu=60, wall=120, memory=2 << 30, processes=64, disk=16 << 20)
PLAIN = """
import gymnasium, sys
assert not any(name.startswith("harness") for name in sys.modules)
for env in (gymnasium.make("reproof/Cart-v0"), gymnasium.wrappers.TimeLimit(gymnasium.make("reproof/Cart-v0"), 3)):
    theirs = gymnasium.make("CartPole-v1")
    assert (env.reset(seed=3)[0] == theirs.reset(seed=3)[0]).all()
    assert (env.step(1)[0] == theirs.step(1)[0]).all()
several = gymnasium.make_vec("reproof/Cart-v0", num_envs=8)
print(type(several).__name__, several.reset(seed=1)[0].shape, several.metadata["autoreset_mode"].value)
same = gymnasium.make_vec("reproof/Cart-v0", num_envs=2, autoreset_mode="SameStep")
print(same.metadata["autoreset_mode"].value)
judged = gymnasium.make("reproof/Cart-v0", phase="evaluation")
judged.reset()
judged.step(0)
forked = gymnasium.make_vec("reproof/Cart-v0", num_envs=2, vectorization_mode="async")
print(forked.reset(seed=1)[0].shape, forked.step([0, 1])[1].tolist())
forked.close()
print("harness" in sys.modules, gymnasium.spec("reproof/Cart-v0").to_json() != "")
"""
LEARNS = """
import gymnasium, torch

torch.manual_seed(0)
env = gymnasium.make("reproof/Cart-v0")
policy = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
adam = torch.optim.Adam(policy.parameters(), 1e-2)
lengths = []
for episode in range(60):
    state, _ = env.reset(seed=episode)
    logs, over = [], False
    while not over:
        chosen = torch.distributions.Categorical(logits=policy(torch.as_tensor(state)))
        action = chosen.sample()
        logs.append(chosen.log_prob(action))
        state, _, ended, cut, _ = env.step(action.item())
        over = ended or cut
    lengths.append(len(logs))
    left = torch.arange(len(logs), 0, -1, dtype=torch.float32)
    adam.zero_grad()
    (-(torch.stack(logs) * (left - left.mean()) / (left.std() + 1e-6)).sum()).backward()
    adam.step()
print(sum(lengths[:20]) / 20, sum(lengths[-20:]) / 20)
assert sum(lengths[-20:]) > 1.5 * sum(lengths[:20])
"""
HOSTILE = """
import contextlib, gymnasium, os, socket
control = socket.socket(fileno=os.dup(int(os.environ["REPROOF_GATEWAY"])))
control.setblocking(False)
env = gymnasium.make("reproof/Cart-v0")
env.reset(seed=1)
for _ in range(20000):
    with contextlib.suppress(BlockingIOError):
        control.send(os.urandom(100))
env.step(0)
words = env.unwrapped._channel._end.mine
words[8], words[0] = 77, 3
for place in ("/proc/%d/mem" % os.getppid(), "/reproof/gateway/sitecustomize.py"):
    try:
        open(place, "r+b").close()
        print("open", place)
    except OSError:
        pass
for number in range(3, 256):
    with contextlib.suppress(OSError):
        os.ftruncate(number, 0)
os.kill(os.getpid(), 9)
"""

LEARNER = """
import sys
import gymnasium, torch
from stable_baselines3 import PPO

def learned(id):
    model = PPO("MlpPolicy", id, n_steps=512, seed=3, device="cpu")
    return model.learn(4096), torch.nn.utils.parameters_to_vector(model.policy.parameters())

ours, weights = learned("reproof/Cart-v0")
_, same = learned("CartPole-v1")
assert torch.equal(weights, same), (weights - same).abs().max()
judged, lengths = gymnasium.make("reproof/Cart-v0", phase="evaluation"), []
for _ in range(10):
    state, length, over = judged.reset()[0], 0, False
    while not over:
        state, _, ended, cut, _ = judged.step(ours.predict(state, deterministic=True)[0])
        length, over = length + 1, ended or cut
    lengths.append(length)
print(sum(lengths) / 10)
"""


def inside(run: Run, code: str, backend: str = "bubblewrap") -> Completed:
    job = Job(command=("python", "-c", code), limits=LIMITS)
    return open_sandbox(SandboxSettings(backend=backend)).run(run.gateway.dress(job))


@pytest.mark.parametrize("backend", ["bubblewrap", "process"])
def test_plain_gymnasium_reaches_our_environments(tmp_path: Path, backend: str) -> None:
    with running(tmp_path / "run", Cart=served("CartPole-v1", evaluation_steps=10)) as run:
        done = inside(run, PLAIN, backend)
        closing, log = run.end()
    assert done.exit == 0, done.log
    assert done.log.splitlines() == [
        "GatewayVectorEnv (8, 4) NextStep", "SameStep", "(2, 4) [1.0, 1.0]", "False True",
    ]  # fmt: skip
    assert closing.fault is None
    assert not closing.misbehaved
    assert (closing.used["reproof/Cart-v0"].training, closing.used["reproof/Cart-v0"].evaluation) == (4, 1)
    assert sorted(log["stream"]) == ["evaluation", *["training"] * 4]


def test_the_road_in_python_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was compiled; the environment variable reaches the server and the clean room."""
    monkeypatch.setenv(turn.PURE, "1")
    code = f"{PLAIN}\nfrom reproof_gateway import turn; print(turn.Turn is turn.PureTurn)"
    with running(tmp_path / "run", Cart=served("CartPole-v1", evaluation_steps=10)) as run:
        mixed = run.env()  # a client with C, if it was built, and a server without
        mixed.reset(seed=1)
        mixed.close()
        done = inside(run, code)
        closing, _ = run.end()
    assert done.exit == 0, done.log
    assert done.log.splitlines()[-1] == "True"
    assert closing.used["reproof/Cart-v0"].training == 4


def test_a_hostile_job_in_the_clean_room_harms_itself(tmp_path: Path) -> None:
    with running(tmp_path / "run", Cart=served("CartPole-v1")) as run:
        done = inside(run, HOSTILE)
        closing, log = run.end()
    assert done.exit == 137, done.log
    assert "open" not in done.log
    assert closing.fault is None
    assert closing.misbehaved
    assert log["length"].tolist() == [1]


@pytest.mark.slow
def test_a_torch_policy_learns_through_it(tmp_path: Path) -> None:
    with running(tmp_path / "run", Cart=served("CartPole-v1")) as run:
        done = inside(run, LEARNS)
    assert done.exit == 0, done.log


@pytest.mark.slow
def test_a_learner_of_stable_baselines_learns_what_it_learns_in_process(tmp_path: Path) -> None:
    """Unchanged, and to the last bit of its weights; what it has learned is then metered."""
    with running(tmp_path / "run", Cart=served("CartPole-v1", evaluation_steps=5000)) as run:
        done = inside(run, LEARNER)
        closing, log = run.end()
    assert done.exit == 0, done.log
    judged = log["return"][log["stream"] == "evaluation"]
    assert judged.mean() == float(done.log.split()[-1]) > 60  # at random some 22
    assert closing.used["reproof/Cart-v0"].training == 4096
