"""Archives taken apart and put together again, as somebody would who means harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.archive.manifest import MANIFEST

Members = dict[str, bytes]
Change = Callable[[Members], object]


def members_of(archive: Path) -> Members:
    with tarfile.open(archive, "r:gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]], form: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar in gzip with exactly these members."""
    with gzip.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w|", format=form) as tar:
        for named, content in members:
            info = tarfile.TarInfo(named) if isinstance(named, str) else named
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return path


def in_order(members: Members) -> list[tuple[tarfile.TarInfo | str, bytes]]:
    return [(MANIFEST, members[MANIFEST]), *sorted((n, c) for n, c in members.items() if n != MANIFEST)]


def corrected(members: Members) -> Members:
    """The manifest made to fit what the members have become."""
    manifest = json.loads(members[MANIFEST])
    manifest["files"] = [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in sorted(members.items())
        if name != MANIFEST
    ]
    return {**members, MANIFEST: json.dumps(manifest).encode()}


def edit_json(members: Members, end: str, change: Callable[[Any], object]) -> None:
    """Change the one JSON member whose name ends so."""
    [name] = [name for name in members if name.endswith(end)]
    value = json.loads(members[name])
    change(value)
    members[name] = json.dumps(value).encode()
