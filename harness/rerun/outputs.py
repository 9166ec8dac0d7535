"""Outputs of untrusted code: checked against what was declared before anything is computed from them."""

from __future__ import annotations

import errno
import json
import math
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from harness.errors import OutputError, machine_fault
from harness.paper.schema import ArchiveOutput, Array, ArrayOutput, Experiment, JsonOutput, Output

_THEIRS = (None, errno.EINVAL)
"""What a library finds in a file, an offset before its beginning, say, and no fault of the disk."""
LARGEST_JSON = 16 * 2**20
"""Bytes; a parsed object takes many times its text."""
LARGEST_TABLE = 2**18
"""Bytes of an archive's table of contents: some thousand members."""
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy packs; of others the library inflates all that it has read at once, whatever it was asked for."""
_END, _LOCATOR = struct.Struct("<4s4H2LH"), 20
"""The last record of an archive, and the bytes of the one before it that giants have."""
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
}


def load_outputs(folder: Path, experiment: Experiment) -> dict[str, Any]:
    """All declared outputs of a run.

    Returns:
        Arrays for `.npy`, dictionaries of arrays for `.npz`, objects for `.json`.

    Raises:
        OutputError: The first output that is not as declared.
    """
    largest = experiment.limits.disk
    return {name: load_output(folder, name, output, largest=largest) for name, output in experiment.outputs.items()}


def problems_of(folder: Path, experiment: Experiment) -> list[str]:
    """Everything that is wrong with a run's outputs, a sentence each."""
    found = []
    for name, output in experiment.outputs.items():
        try:
            load_output(folder, name, output, largest=experiment.limits.disk)
        except OutputError as error:
            found.append(str(error))
    return found


def load_output(folder: Path, name: str, output: Output, *, largest: int) -> Any:
    """One declared output, checked.

    Args:
        folder: Where the collected files lie.
        name: The output's name, for messages.
        output: Its declaration.
        largest: Bytes an output may have, inflated.

    Raises:
        OutputError: It is missing, or not of the declared type, shape or range.
        HarnessFault: The disk does not give it.
    """
    path = folder / output.file
    if not path.is_file() or path.is_symlink():
        raise OutputError(
            f"output {name} is missing",
            where=output.file,
            expected=f"the file {output.file} in OUT/",
            got="no such regular file",
            remedy="every declared output must be written by `python -m reproduction RUN.json OUT/`",
        )
    try:
        if isinstance(output, ArrayOutput):
            with path.open("rb") as file:
                return _array(file, name, output, min(path.stat().st_size, largest))
        if isinstance(output, ArchiveOutput):
            return _archive(path, name, output, largest)
        return _object(path, name, output)
    except OutputError as error:
        raise error.at(output.file) from None
    except OSError as error:
        if error.errno not in _THEIRS:
            error.filename = error.filename or str(path)
            raise machine_fault(error) from error
        raise _unreadable(name, output, error) from None
    except Exception as error:  # numpy, zipfile and json have many ways to refuse a hostile file
        raise _unreadable(name, output, error) from None


def _unreadable(name: str, output: Output, error: Exception) -> OutputError:
    return OutputError(f"output {name} cannot be read", where=output.file, got=f"{type(error).__name__}: {error}")


def _array(file: IO[bytes], name: str, declared: Array, size: int) -> NDArray[Any]:
    """Read an array whose header is believed only after dtype, shape and length agree."""
    dtype, shape, fortran = _header(file, name)
    wanted = np.dtype(declared.dtype)
    if dtype != wanted:
        raise OutputError(f"output {name} has the wrong dtype", expected=wanted, got=dtype, remedy=_hint(dtype))
    if not _fits(shape, declared.shape):
        raise OutputError(f"output {name} has the wrong shape", expected=_shape(declared.shape), got=_shape(shape))
    count = math.prod(shape)
    if count * wanted.itemsize > size:
        raise OutputError(f"output {name} is cut short", expected=f"{count} values", got=f"a file of {size} bytes")
    data = file.read(count * wanted.itemsize)
    array = np.frombuffer(data, dtype=wanted, count=count).reshape(shape, order="F" if fortran else "C")
    if declared.finite and wanted.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise OutputError(f"output {name} is not finite", expected="finite numbers", got=f"{array[where]} at {where}")
    return array


def _header(file: IO[bytes], name: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    version = npy.read_magic(file)
    if version != (1, 0):  # later ones have headers of up to 4 GiB, for dtypes that nobody may declare
        raise OutputError(f"output {name} has an unknown version of the npy format", expected="1.0", got=version)
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    if dtype.hasobject:
        raise OutputError(
            f"output {name} holds Python objects",
            expected="plain numbers",
            got="a pickle",
            remedy="pickles are never opened; save a numeric array",
        )
    if any(extent < 0 for extent in shape):
        raise OutputError(f"output {name} has a negative extent", got=_shape(shape))
    return dtype, shape, fortran


def _hint(dtype: np.dtype[Any]) -> str | None:
    return "save it in native little-endian byte order" if dtype.byteorder == ">" else None


def _fits(shape: tuple[int, ...], declared: list[Any]) -> bool:
    return len(shape) == len(declared) and all(
        want in ("any", have) for have, want in zip(shape, declared, strict=True)
    )


def _shape(shape: list[Any] | tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _archive(path: Path, name: str, output: ArchiveOutput, largest: int) -> dict[str, NDArray[Any]]:
    """Read declared members only, each inflated to the declared shape or the limit at most."""
    arrays = {}
    _ensure_modest(path, name)
    with zipfile.ZipFile(path) as archive:
        twice = [member for member, count in Counter(archive.namelist()).items() if count > 1]
        if twice:
            raise OutputError(f"output {name} holds a member twice", where=output.file, got=ascii(min(twice))[:200])
        for member, declared in output.arrays.items():
            try:
                info = archive.getinfo(f"{member}.npy")
            except KeyError:
                raise OutputError(f"output {name} lacks an array", where=output.file, expected=member) from None
            if info.compress_type not in _PACKED:
                remedy = "write it by numpy.savez or numpy.savez_compressed"
                got = f"method {info.compress_type}"
                raise OutputError(f"output {name} is packed in another way", where=member, got=got, remedy=remedy)
            with archive.open(info) as file:
                arrays[member] = _array(file, f"{name}.{member}", declared, min(info.file_size, largest))
    return arrays


def _ensure_modest(path: Path, name: str) -> None:
    """See that an archive's table of contents is small, before the library makes objects of all its entries.

    The end of an archive tells the table's size (APPNOTE.TXT of PKWARE, 4.3.16), and a second one, for giants, would
    overrule it.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END.size - _LOCATOR))
        tail = file.read()
    end = tail[-_END.size :]
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        raise OutputError(f"output {name} ends otherwise than `numpy.savez` ends an archive", where=path.name)
    if tail[: -_END.size].startswith(b"PK\6\7"):
        raise OutputError(f"output {name} is made for giants (ZIP64)", where=path.name, remedy="write fewer arrays")
    if (size := _END.unpack(end)[5]) > LARGEST_TABLE:
        raise OutputError(
            f"output {name} has too many members: its table of contents is too large",
            where=path.name,
            expected=f"at most {LARGEST_TABLE} bytes",
            got=size,
            remedy="write the declared arrays and nothing else",
        )


def _object(path: Path, name: str, output: JsonOutput) -> Mapping[str, Any]:
    if path.stat().st_size > LARGEST_JSON:
        raise OutputError(
            f"output {name} is too large",
            where=output.file,
            expected=f"at most {LARGEST_JSON >> 20} MiB",
            remedy="write long tables as .npy",
        )
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise OutputError(f"output {name} is not an object", where=output.file, got=type(value).__name__)
    for key, kind in output.keys.items():
        if key not in value:
            raise OutputError(f"output {name} lacks a key", where=output.file, expected=key)
        _check_value(value[key], f"{name}.{key}", kind, finite=output.finite)
    return {key: value[key] for key in output.keys}


def _check_value(value: Any, name: str, kind: str, *, finite: bool) -> None:
    if not isinstance(value, _JSON_TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise OutputError(f"output {name} has the wrong type", expected=kind, got=type(value).__name__)
    if isinstance(value, list):
        for item in value:
            _check_value(item, name, "list" if isinstance(item, list) else "float", finite=finite)
    if isinstance(value, int) and kind == "float" and abs(value) > sys.float_info.max:
        raise OutputError(f"output {name} is out of range", expected="a number that fits a double")
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise OutputError(f"output {name} is not finite", expected="a finite number", got=value)
