"""What is missing for an agent is found before anything is handed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config import BudgetSettings, ModelSettings, Settings, compose
from harness.errors import ConfigError, UsageError
from harness.handing_out import hand_out
from harness.paper.load import Paper
from harness.readiness import access_of

KEY = "sk-worth-a-fortune"
Chosen = Callable[..., Settings]


@pytest.fixture
def chosen(tiny: Paper, tmp_path: Path, settings: Chosen, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    monkeypatch.setenv("SOME_KEY", KEY)

    def make(
        models: dict[str, Any] | None = None, *, kind: str = "agent", budget: dict[str, Any] | None = None, **rest: Any
    ) -> Settings:
        options = {"run": "true", "model": "m-1", **rest.pop("options", {})}
        found = settings(tiny.folder, tmp_path / "results", rest.pop("adapter", "command"), options=options, **rest)
        local = {"provider": "local", "upstream": "http://127.0.0.1:9", "key": "SOME_KEY", **(models or {})}
        changes = {
            "participant": found.participant.model_copy(update={"kind": kind}),
            "models": ModelSettings(**local),
            "budget": BudgetSettings(name="standard", **(budget or {})),
        }
        return found.model_copy(update=changes)

    return make


def test_the_proxy_gets_the_key_and_the_models(chosen: Chosen) -> None:
    access = access_of(chosen({"models": ["m-2", "m-1"], "upstream": "http://127.0.0.1:9/"}))
    assert access is not None
    assert (access.key, access.models, access.upstream) == (KEY, ("m-1", "m-2"), "http://127.0.0.1:9")
    assert KEY not in repr(access)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"models": {"key": "NOT_SET"}}, "NOT_SET"),
        ({"models": {"key": KEY}}, "names no environment variable"),
        ({"models": {"key": "$(cat x)"}}, "names no environment variable"),
        ({"models": {"upstream": None}}, "models.upstream"),
        ({"models": {"upstream": "file:///etc"}}, "models.upstream"),
        ({"models": {"upstream": "https://me:secret@host"}}, "models.upstream"),
        ({"models": {"provider": "none"}}, "participant.model"),
        ({"options": {"model": None}}, "the model is not named"),
        ({"options": {"model": "a b\n"}}, "a model's name"),
        ({"kind": "reference"}, "only agents"),
        ({"backend": "process"}, "a network of its own"),
        ({"budget": {"dollars": 1.0}}, "price"),
        ({"adapter": "nobody"}, "unknown adapter"),
        ({"models": {"provider": "none"}, "options": {"model": None}, "budget": {"tokens": 5}}, "no tokens"),
    ],
    ids=range(14),
)
def test_what_cannot_work_is_said_and_nothing_is_handed_out(chosen: Chosen, wrong: dict[str, Any], said: str) -> None:
    settings = chosen(**wrong)
    with pytest.raises(UsageError) as caught:
        hand_out(settings, tell=len)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert not list(settings.results.glob("attempts/*"))


def test_an_adapter_is_asked_whether_it_is_ready(
    chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picky.py").write_text(
        "from harness.errors import ConfigError\n"
        "def ready(options):\n    raise ConfigError('not today', got=options['run'])\n"
        "def work(assignment):\n    return None\n"
    )
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="not today: got true"):
        hand_out(chosen(adapter="picky"), tell=len)


def test_configs_name_providers_and_never_keys() -> None:
    for provider, variable in (
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("gemini", "GEMINI_API_KEY"),
    ):
        [found] = compose(
            ["paper=tree_search", "participant=command", "participant.run=true", f"models={provider}",
             "participant.model=m", "budget.tokens=1000", "budget.dollars=2.5"]
        )  # fmt: skip
        assert (found.models.provider, found.models.key, found.participant.model) == (provider, variable, "m")
        assert (found.budget.tokens, found.budget.dollars) == (1000, 2.5)
    [found] = compose(["paper=tree_search"])
    assert (found.models.provider, found.participant.model) == ("none", None)
