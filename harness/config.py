"""Settings of an attempt, composed by Hydra from configs/ and typed; the only importer of hydra and omegaconf."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import ConfigError, PaperError, ReproofError, unknown
from harness.folders import configs_folder, own_configs
from harness.paper.fields import Bytes, Seconds
from harness.paper.source import read

_COMPOSING = threading.Lock()  # Hydra's state is one for the process
MOST_SWEPT = 1000
"""Combinations of one command; each is composed, which takes a tenth of a second."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, use_attribute_docstrings=True)


class ParticipantSettings(_Settings):
    """Who works, and through which adapter."""

    adapter: str
    """A file of agents/."""
    kind: str
    """What the record says of the participant: human, agent, reference, starter or mutation."""
    name: str
    model: str | None = None
    """Which language model it asks, as the provider names it; None: none."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """Attempts that are made of it."""
    options: dict[str, Any] = {}
    """What the adapter reads for itself."""

    @model_validator(mode="before")
    @classmethod
    def _rest_are_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        own: dict[str, Any] = {
            key: value[key] for key in ("adapter", "kind", "name", "model", "repeats") if key in value
        }
        return {**own, "options": {key: item for key, item in value.items() if key not in own}}


class BudgetSettings(_Settings):
    """The name of one of the paper's budgets, and figures that replace its own."""

    name: str
    working: Seconds | None = None
    wall: Seconds | None = None
    cpu: Seconds | None = None
    disk: Bytes | None = None
    env_steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    dollars: float | None = Field(default=None, gt=0)


class ModelSettings(_Settings):
    """Where language models are asked, through a proxy that holds the key and counts."""

    provider: Literal["none", "openai", "anthropic", "gemini", "local"] = "none"
    upstream: str | None = None
    """Its base URL."""
    key: str | None = None
    """The name of the environment variable that holds the key; never the key itself."""
    models: list[str] = []
    """Those that may be asked; none named: the participant's alone."""
    prices: Path | None = None
    """A table of dollars a million tokens; None: the public prices that we know."""


class SandboxChoice(_Settings):
    """Which clean room, and what may be missing from it."""

    backend: Literal["bubblewrap", "process"]
    waive: list[str] = []


class EngineSettings(_Settings):
    """How many runs at once."""

    workers: int | None = Field(default=None, ge=1)


class TrackingSettings(_Settings):
    """Where MLflow mirrors the records."""

    uri: str | None = None
    """None: SQLite inside the results folder; `none`: no mirror."""
    experiment_prefix: str = "reproof/"


class TermsSettings(_Settings):
    """What may be done with the work beyond rerunning and scoring it."""

    licence: str | None = None
    consent: bool = False


class Settings(_Settings):
    """Everything that decides how an attempt is made, rerun, scored and mirrored."""

    paper: str
    participant: ParticipantSettings
    budget: BudgetSettings
    models: ModelSettings = ModelSettings()
    sandbox: SandboxChoice
    engine: EngineSettings
    tracking: TrackingSettings
    results: Path
    private_path: Path | None = None
    agents_path: Path | None = None
    """A folder of adapters that is looked into first."""
    condition: Literal["human", "human + assistant", "agent", "harness"] | None = None
    """None: what the participant's kind says."""
    terms: TermsSettings = TermsSettings()
    workspace: Path | None = None
    """Where the participant works; None: in the attempt's own folder."""
    slots: Literal["curtailed", "all"] = "curtailed"


def quoted(value: object) -> str:
    """A value as Hydra's grammar takes it to the letter: a bare comma would be a sweep.

    >>> quoted("a folder, mine")
    "'a folder, mine'"
    """
    text = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), str(value))
    return "'" + text.replace("${", "\\${") + "'"


def compose(overrides: Sequence[str], *, own: Path | None = None) -> list[Settings]:
    """The settings that Hydra's override grammar asks for; `a=x,y` gives one for each value.

    Args:
        overrides: For instance `["paper=tree_search", "participant=mutation", "participant.name=no_tree"]`.
        own: A folder laid over ours; by default `./configs` where it exists.

    Raises:
        ConfigError: An override that cannot be parsed, an unknown name (with the nearest known one), or a value that
            does not fit.
    """
    laid = own or _ours(own_configs())
    _ensure_modest(laid)
    with _COMPOSING, _hydra(laid):
        return [_one(choice) for choice in _sweep(overrides)]


def _ours(own: Path | None) -> Path | None:
    """See that nobody else put the folder there: it decides which programs run with our rights.

    Raises:
        ConfigError: It is another user's.
    """
    if own is None or (owner := own.stat().st_uid) in (os.geteuid(), 0):
        return own
    raise ConfigError(
        "this folder of settings belongs to another user, and would decide what runs as you",
        where=own.resolve(),
        expected=f"the user {os.geteuid()}",
        got=f"the user {owner}",
        remedy="go to a folder without it; if you trust it, copy it: cp -r configs MINE/configs, and begin in MINE",
    )


def _ensure_modest(own: Path | None) -> None:
    """See that no file of one's own that may be composed unfolds without end: OmegaConf writes out every alias."""
    files = [] if own is None else [own / "config.yaml", *own.glob("*/*.yaml")]
    ours = {path.name for path in configs_folder().iterdir()}
    for path in files:
        if path.is_file() and (path.parent == own or path.parent.name in ours):
            try:
                read(path)
            except PaperError as error:
                remedy = "mend this file, or remove it"
                raise ConfigError(
                    error.message, where=error.where, expected=error.expected, got=error.got, remedy=remedy
                ) from None


@contextmanager
def _hydra(own: Path | None) -> Iterator[None]:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class Laid(SearchPathPlugin):
        def manipulate_search_path(self, search_path: Any) -> None:
            if _laid is not None:
                search_path.prepend(provider="own", path=f"file://{_laid.resolve()}")

    global _laid
    _laid = own
    if not any(plugin.__name__ == "Laid" for plugin in Plugins.instance().discover(SearchPathPlugin)):
        Plugins.instance().register(Laid)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(configs_folder().resolve())):
            yield
    finally:
        _laid = None
        GlobalHydra.instance().clear()


_laid: Path | None = None  # read by the search path plugin, which Hydra itself creates


def _sweep(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Each combination of the swept values, as lists of plain overrides."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = []
    for text in overrides:
        try:
            parsed.append(OverridesParser.create().parse_override(text))
        except Exception as error:  # Hydra's grammar calls its functions while it parses, and ANTLR recurses
            raise ConfigError(
                "this override cannot be parsed",
                where=text,
                got=" ".join(str(error).split())[:300] or type(error).__name__,
                expected="key=value in Hydra's grammar",
                remedy="for example: reproof attempt paper=tree_search participant=reference",
            ) from None
    choices = [
        _swept(override) if override.is_sweep_override() else [text]
        for override, text in zip(parsed, overrides, strict=True)
    ]
    if (count := math.prod(map(len, choices))) > MOST_SWEPT:
        raise _too_many(" ".join(overrides), count)
    yield from (list(choice) for choice in product(*choices))


def _swept(override: Any) -> list[str]:
    """An override for each value of a sweep, as long as there are not too many."""
    from hydra.core.override_parser.types import RangeSweep
    from hydra.errors import HydraException

    value = override.value()
    try:
        if isinstance(value, RangeSweep) and _steps(value) > MOST_SWEPT:
            raise _too_many(override.input_line, "more")  # to shuffle them, Hydra would write them all out
        values = list(islice(override.sweep_string_iterator(), MOST_SWEPT + 1))
    except (ArithmeticError, TypeError, ValueError, HydraException) as error:
        raise ConfigError("this sweep has no values", where=override.input_line, got=error) from None
    if len(values) > MOST_SWEPT:
        raise _too_many(override.input_line, "more")
    return [f"{override.get_key_element()}={value}" for value in values]


def _steps(span: Any) -> float:
    return float((span.stop - span.start) / span.step)


def _too_many(where: object, got: object) -> ConfigError:
    remedy = "ask for them in several commands"
    return ConfigError("too many combinations", where=where, expected=f"at most {MOST_SWEPT}", got=got, remedy=remedy)


def _one(overrides: list[str]) -> Settings:
    from hydra import compose as hydra_compose
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue

    try:
        _names_exist(overrides)
        composed = hydra_compose(config_name="config", overrides=overrides)
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = (str(error).split(": ")[-1].splitlines() or [""])[0].strip()
        raise ConfigError(
            f"{key} has no value",
            where=" ".join(overrides) or None,
            remedy=f"say {key}=..., for example {_EXAMPLES.get(key, key + '=NAME')}",
        ) from None
    except ReproofError:
        raise
    except Exception as error:  # Hydra, OmegaConf and PyYAML have many ways to refuse what a stranger wrote
        raise ConfigError(
            "the configuration does not compose",
            where=" ".join(overrides),
            got=" ".join(str(error).split())[:300] or type(error).__name__,
        ) from None
    return _typed(values)


_EXAMPLES = {
    "paper": "paper=tree_search (`reproof papers` lists them)",
    "participant.name": "participant.name=NAME (`reproof paper show PAPER` lists the mutations)",
    "participant.of": "participant.of=results/attempts/ATTEMPT",
    "participant.run": "'participant.run=[python, solve.py]'",
    "tracking.uri": "tracking.uri=http://127.0.0.1:5000",
}


def _names_exist(overrides: list[str]) -> None:
    """Find unknown names before Hydra does, to say which known one is near."""
    from hydra import compose as hydra_compose
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    loader = GlobalHydra.instance().config_loader()
    groups = set(loader.list_groups(""))
    parsed = OverridesParser.create().parse_overrides(overrides)
    chosen = [str(override.input_line) for override in parsed if override.key_or_group in groups]
    for override in parsed:
        if override.key_or_group in groups:
            options = loader.get_group_options(override.key_or_group)
            if override.value() not in options:
                raise unknown(override.key_or_group, str(override.value()), options, where=override.input_line)
    known = OmegaConf.to_container(hydra_compose(config_name="config", overrides=chosen), resolve=False)
    for override in parsed:
        if override.key_or_group not in groups and not override.is_add():
            _key_exists(known, override.key_or_group, override.input_line)


def _key_exists(known: Any, key: str, text: str | None) -> None:
    *above, last = key.split(".")
    node = known
    for part in above:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise unknown("setting", key, _keys(known), where=text)
    if last not in node:
        raise unknown("setting", key, [".".join([*above, name]) for name in node], where=text)


def _keys(node: dict[str, Any], prefix: str = "") -> list[str]:
    below = [_keys(value, f"{prefix}{name}.") for name, value in node.items() if isinstance(value, dict)]
    return [f"{prefix}{name}" for name in node] + [name for names in below for name in names]


def _typed(values: Any) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ").removeprefix("expected ")
        if first["type"] == "missing":
            raise ConfigError(f"{key} has no value", where=key, remedy=f"say {key}=...") from None
        raise ConfigError(f"{key} does not fit", where=key, expected=said, got=repr(first["input"])) from None
