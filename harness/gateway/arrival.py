"""Makes Gymnasium know the ids that are served here, as soon as somebody imports it.

This file is laid into the clean room as `sitecustomize.py`, which Python imports when it starts. Gymnasium has had no
entry point for plugins since its version 1.0. `harness` is not there, so nothing of it is imported; neither is
Gymnasium, until the program does.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType

CLIENT, VARIABLE = "reproof_gateway.client", "REPROOF_ENVIRONMENTS"
"""The module of the client; the environment variable with the ids, separated by spaces."""


class _Registering(Loader):
    """The loader of Gymnasium, which registers our ids afterwards."""

    def __init__(self, real: Loader) -> None:
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        for id in os.environ.get(VARIABLE, "").split():
            module.register(
                id,
                entry_point=f"{CLIENT}:GatewayEnv",
                vector_entry_point=f"{CLIENT}:GatewayVectorEnv",
                kwargs={"served": id},
                disable_env_checker=True,  # the proxy checks more, and in the server
                order_enforce=False,
            )


class _Arrival(MetaPathFinder):
    """Finds Gymnasium where Python finds it, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Arrival())
