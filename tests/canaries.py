"""Looking for a secret in every byte of a folder: in any spelling, and inside whatever packs it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import re
import sqlite3
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_DEEPEST = 4


def spellings(secret: str) -> list[bytes]:
    """As it is, in UTF-16 and UTF-32, in addresses, in JSON, in hexadecimal, and in base64 wherever it may begin."""
    plain = secret.encode()
    wide = [secret.encode("utf-16le"), secret.encode("utf-32le")]
    texts = [plain, *wide, quote(secret, safe="").encode(), plain.replace(b"/", b"\\/")]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
        middle = coded[0 if shift == 0 else shift + 1 : len(coded) - 1]  # without what depends on its neighbours
        texts += [middle, middle.translate(bytes.maketrans(b"+/", b"-_"))]
    return [*dict.fromkeys([*texts, plain.hex().encode(), plain.hex().upper().encode()])]


def found_in(data: bytes, secrets: Mapping[str, str]) -> set[str]:
    """Names of the secrets that stand in some bytes, or in what they pack."""
    pieces = list(unpacked(data))
    return {
        name for name, secret in secrets.items() for text in spellings(secret) if any(text in piece for piece in pieces)
    }


def unpacked(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Some bytes, and all that they hold: zip (.npz), gzip, tar, SQLite, and zlib (Git's objects) anywhere."""
    yield data
    if depth == _DEEPEST:
        return
    for opened in (_zip, _gzip, _tar, _sqlite, _deflated):
        with contextlib.suppress(OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, sqlite3.Error):
            for inner in opened(data):
                yield from unpacked(inner, depth + 1)


def _zip(data: bytes) -> Iterator[bytes]:
    if b"PK\x03\x04" in data[:4]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def _gzip(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)


def _tar(data: bytes) -> Iterator[bytes]:
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    yield file.read()


def _sqlite(data: bytes) -> Iterator[bytes]:
    """A long text lies in several pages, so it is read as SQLite reads it."""
    if data.startswith(b"SQLite format 3\0"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            with contextlib.closing(sqlite3.connect(f"file:{file.name}?mode=ro&immutable=1", uri=True)) as database:
                yield "\n".join(database.iterdump()).encode()


def _deflated(data: bytes) -> Iterator[bytes]:
    for match in _ZLIB.finditer(data):
        with contextlib.suppress(zlib.error):
            found = zlib.decompressobj().decompress(data[match.start() :], 1 << 24)
            if len(found) > 8:
                yield found


def seek(root: Path, secrets: Mapping[str, str]) -> dict[str, set[str]]:
    """For each secret, the files beneath a folder that hold it, in their content or in their name; links are names."""
    held: dict[str, set[str]] = {name: set() for name in secrets}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        data = name.encode() + b"\n"
        data += str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        for secret in found_in(data, secrets) | found_in(data[len(name.encode()) + 1 :], secrets):
            held[secret].add(name)
    return held


class CommandLines:
    """Watches what every process of this machine is called by, which anybody on it can read."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = {name: spellings(secret) for name, secret in secrets.items()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[str, str] = {}
        self.looks = 0

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.looks += 1
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    with contextlib.suppress(OSError):
                        self._read((process / "cmdline").read_bytes())

    def _read(self, line: bytes) -> None:
        for name, texts in self._secrets.items():
            if any(text in line for text in texts):
                self.seen[name] = line.replace(b"\0", b" ").decode(errors="replace")
