"""Loading a paper's own Python files by path; `papers` is a folder, not a package."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from harness.errors import PaperError


def load_plugin(path: Path) -> ModuleType:
    """Import a trusted Python file under a name of its own; the same content is imported once.

    Raises:
        PaperError: The file is missing or fails to import.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PaperError("this file cannot be read", where=path, got=error) from None
    return _load(path, digest)


@lru_cache(maxsize=64)
def _load(path: Path, digest: str) -> ModuleType:
    name = f"reproof_plugin_{path.stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # `sys.exit` in it ends nothing but its import
        del sys.modules[name]
        raise PaperError("this file does not import", where=path, got=f"{type(error).__name__}: {error}") from error
    return module
