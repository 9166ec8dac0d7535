"""What a hard-coder takes for known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.validation.replayed import content_of

SENT = {"states": 5, "values": {"npy": "values.npy"}}


def laid(folder: Path, array: object) -> Path:
    folder.mkdir()
    np.save(folder / "values.npy", array)
    return folder


def test_an_array_is_known_by_its_content_and_not_by_the_name_of_its_file(tmp_path: Path) -> None:
    one = content_of(SENT, laid(tmp_path / "one", [0.1, 0.2]))
    assert one["states"] == 5
    assert one == content_of(SENT, laid(tmp_path / "same", [0.1, 0.2]))
    assert one != content_of(SENT, laid(tmp_path / "other", [0.1, 0.3]))
