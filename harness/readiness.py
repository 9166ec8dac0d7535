"""Whether an attempt could be begun and gone through with: looked at before anything is handed out."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.attempt.attempt import Budget, Who
from harness.attempt.installed import find
from harness.attempt.participant import Participant, open_agent
from harness.attempt.quarters import PORT, Endpoint
from harness.config import BudgetSettings, ModelSettings, Settings
from harness.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from harness.proxy.host import Access

KEY = "reproof"
"""What stands for a key inside: a word that opens nothing."""
FORMATS = {
    "openai": ("chat", "responses"),
    "local": ("chat", "responses"),
    "anthropic": ("messages",),
    "gemini": ("generate",),
}
"""Which wire formats a provider speaks, by the names that the proxy has for them."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_URL = re.compile(r"https?://[^/\s@?#]+(/[^\s@?#]*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def ensure_ready(settings: Settings, budget: Budget | None = None) -> None:
    """See that nothing is missing that an agent will need.

    Args:
        settings: Of the attempt.
        budget: What it will be granted; None: what the settings say of it.

    Raises:
        UsageError: An unknown adapter, a program that is not installed, or a key that is not set.
        ConfigError: Settings that do not go together.
    """
    access = access_of(settings)
    _ensure_metered(settings.budget, settings.models)
    if settings.participant.adapter == "human":
        return
    adapter = open_agent(settings.participant.adapter, settings.agents_path)
    _ensure_understood(settings, getattr(adapter, "SPEAKS", None))
    _ensure_installed(adapter, dict(settings.participant.options))
    if access is not None:
        from harness.proxy.host import check

        dollars = budget.dollars if budget else settings.budget.dollars
        check(replace(access, dollars=dollars))


def _ensure_installed(adapter: Participant, options: dict[str, Any]) -> None:
    """See that an adapter has what it needs: as it says itself, or else that its program is installed.

    Raises:
        UsageError: The program is not installed.
        ConfigError: The options do not fit.
    """
    if (look := getattr(adapter, "ready", None)) is not None:
        look(options)
    elif (installation := getattr(adapter, "INSTALLATION", None)) is not None:
        find(installation, options)


def _ensure_understood(settings: Settings, speaks: str | None) -> None:
    """See that the provider speaks the format that an adapter names, if it names one.

    Raises:
        ConfigError: It does not, or there is none.
    """
    formats = FORMATS.get(settings.models.provider, ())
    if speaks is None or speaks in formats:
        return
    fitting = [provider for provider, spoken in FORMATS.items() if speaks in spoken]
    raise ConfigError(
        f"{settings.participant.adapter} needs a model that it can talk to",
        where="models",
        expected=" or ".join(f"models={provider}" for provider in fitting),
        got=f"models={settings.models.provider}",
    )


def access_of(settings: Settings) -> Access | None:
    """What the proxy may reach for this attempt; None where no model is given.

    Raises:
        ConfigError: A model without a provider or the other way round, or a name that cannot be one.
        UsageError: The variable that holds the key is not set.
    """
    models, model = settings.models, settings.participant.model
    if models.provider == "none":
        if model is not None:
            raise _unfit("participant.model", f"a provider too: models=NAME beside {model}", "models=none")
        return None
    if settings.participant.kind != "agent":
        raise _unfit("models", "models=none: only agents are given a model", models.provider)
    if model is None:
        raise ConfigError("the model is not named", where="participant.model", remedy="name it: participant.model=NAME")
    for name in (model, *models.models):
        if not _NAME.fullmatch(name):
            raise _unfit("participant.model", "a model's name", repr(name))
    if not _URL.fullmatch(models.upstream or ""):
        raise _unfit("models.upstream", "a URL such as https://host/path, without a password", models.upstream)
    if settings.sandbox.backend == "process" or "network" in settings.sandbox.waive:
        raise _unfit("sandbox", "a network of its own, on which an agent reaches its model", settings.sandbox.backend)
    from harness.proxy.host import Access

    return Access(
        format=models.provider,
        upstream=str(models.upstream).rstrip("/"),
        key=_key(models),
        models=tuple(dict.fromkeys([model, *models.models])),
        prices=models.prices,
        tokens=settings.budget.tokens,
        dollars=settings.budget.dollars,
    )


def endpoint_of(who: Who) -> Endpoint:
    """How a participant reaches their model from inside."""
    return Endpoint(base=f"http://127.0.0.1:{PORT}", key=KEY, model=who.model or "")


def _key(models: ModelSettings) -> str | None:
    """The key, from the environment.

    Raises:
        ConfigError: What should name a variable does not; it is not repeated, for it may be a key.
        UsageError: The variable is not set.
    """
    if models.key is None:
        return None
    if not _VARIABLE.fullmatch(models.key) or models.key.startswith("sk-"):
        raise ConfigError(
            "this names no environment variable",
            where="models.key",
            remedy="say where the key is, not what it is: models.key=OPENAI_API_KEY, and set that variable",
        )
    key = os.environ.get(models.key, "").strip()
    if not key:
        remedy = f"export {models.key}=..., or name another variable: models.key=NAME"
        raise UsageError("the key of the model's provider is not set", where=models.key, remedy=remedy)
    return key


def _ensure_metered(budget: BudgetSettings, models: ModelSettings) -> None:
    if models.provider == "none" and (budget.tokens or budget.dollars):
        raise _unfit("budget", "no tokens and dollars where no model is given", "models=none")


def _unfit(where: str, expected: str, got: Any) -> ConfigError:
    return ConfigError("these settings do not go together", where=where, expected=expected, got=got)
