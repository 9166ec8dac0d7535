"""Unpacking an archive that somebody else made: nothing in it is believed before it was counted, named and hashed."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.archive.manifest import FORMAT, LARGEST_RECORD, MANIFEST, Manifest, Member, disk_error, refused, unfit
from harness.errors import RecordError, UsageError

_BLOCK = tarfile.BLOCKSIZE
_LONGEST_END = tarfile.RECORDSIZE + 2 * _BLOCK
"""Bytes of zeros that may follow the last member."""
_PIECE = 2**20


def unpack(archive: Path, into: Path) -> Manifest:
    """Lay an archive's files out in an empty folder, each checked against the manifest while it is read.

    What is read is a plain tar in gzip, its manifest first and then exactly the files that it names, in that order.
    Extended headers, links, devices and folders are refused like any other header that the manifest does not announce.

    Raises:
        UsageError: There is no such file.
        RecordError: It is refused, or the disk is full; the message says why.
    """
    with _told(archive), gzip.open(archive) as stream:
        manifest = _manifest(archive, stream)
        _ensure_room(archive, into, manifest)
        for member in manifest.files:
            _unpack(archive, stream, member, into)
        rest = stream.read(_LONGEST_END + 1)
        if len(rest) > _LONGEST_END or rest.strip(b"\0"):
            raise refused(archive, "something follows the last file that its manifest names")
    return manifest


def peek(archive: Path) -> Manifest:
    """An archive's manifest alone, which nothing has been held against yet.

    Raises:
        UsageError: There is no such file.
        RecordError: It is refused.
    """
    with _told(archive), gzip.open(archive) as stream:
        return _manifest(archive, stream)


@contextmanager
def _told(archive: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with an archive, whatever the libraries raise."""
    if not archive.is_file():
        remedy = "`reproof pack ATTEMPT` writes one"
        raise UsageError("there is no archive here", where=archive, expected="a file", remedy=remedy)
    if not archive.stat().st_size:  # nor is what the kernel shows as a file, and cannot read
        raise refused(archive, "it is no archive of Reproof, or cut short", got="an empty file")
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise refused(archive, "it is no archive of Reproof, or cut short", got=error) from None
    except OSError as error:
        raise disk_error(archive, error) from error


def _manifest(archive: Path, stream: gzip.GzipFile) -> Manifest:
    size = _header(archive, stream, MANIFEST)
    if size > LARGEST_RECORD:
        raise refused(archive, "its manifest is too large", got=f"{size} bytes")
    text = b"".join(_content(archive, stream, size))
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(archive, "its manifest cannot be read", got=error) from None
    if manifest.format != FORMAT:
        raise refused(archive, f"its format is not {FORMAT}", got=repr(manifest.format[:50]))
    if why := unfit(manifest.files):
        raise refused(archive, why)
    return manifest


def _header(archive: Path, stream: gzip.GzipFile, name: str) -> int:
    """Read the header of the one member that may come now.

    Returns:
        Its size in bytes.
    """
    try:
        # Header by header: the library's own reader would take extended headers of any length into memory.
        found = tarfile.TarInfo.frombuf(stream.read(_BLOCK), "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise refused(archive, f"{name} should stand here", got=error) from None
    if found.type != tarfile.REGTYPE or found.name != name or found.size < 0:
        got = f"{found.name[:200]!r} of type {found.type.decode('ascii', 'replace')!r}"
        raise refused(archive, f"{name} should stand here, as a plain file", got=got)
    return found.size


def _content(archive: Path, stream: gzip.GzipFile, size: int) -> Iterator[bytes]:
    """A member's bytes in pieces, and the padding behind it left behind."""
    left = size
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise refused(archive, "it is cut short")
        left -= len(piece)
        yield piece
    stream.read(-size % _BLOCK)


def _unpack(archive: Path, stream: gzip.GzipFile, member: Member, into: Path) -> None:
    if (size := _header(archive, stream, member.name)) != member.size:
        raise refused(archive, f"{member.name} has {size} bytes, and its manifest says {member.size}")
    path, digest = into / member.name, hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for piece in _content(archive, stream, size):
            digest.update(piece)
            file.write(piece)
    path.chmod(0o755 if member.executable else 0o644)
    if digest.hexdigest() != member.sha256:
        raise refused(archive, f"{member.name} is not the file that its manifest names", got=digest.hexdigest())


def _ensure_room(archive: Path, into: Path, manifest: Manifest) -> None:
    """See that the disk holds everything, before the first file is written."""
    needed, free = sum(-member.size // -4096 * 4096 for member in manifest.files), shutil.disk_usage(into).free
    if needed > free:
        remedy = "make room, or name another folder with --results"
        raise RecordError(
            "the disk has no room for what is packed", where=into, expected=needed, got=f"{free} bytes", remedy=remedy
        )
