"""A checkpoint is whole or the one before, and belongs to one training."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import TrainingError
from trainer.checkpoint import FitState, load_state, save_state
from trainer.history import Epoch

WEIGHTS = tuple(np.full((3, index + 1), 0.1 + index, np.float32) for index in range(12))
STATE = FitState(
    "seed 1",
    (Epoch(0.1, 1 / 3, 0.5, 0.7), Epoch(0.2, np.nan, 0.5, np.inf)),
    0,
    WEIGHTS,
    (np.array(3, np.int64), *WEIGHTS),
    WEIGHTS,
)


@contextmanager
def files_end_at(n_bytes: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond this, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "fit.npz"
    assert load_state(path, "seed 1") is None
    save_state(path, STATE)
    found = load_state(path, "seed 1")
    assert found is not None
    assert repr(found.epochs) == repr(STATE.epochs)
    assert found.best_epoch == 0
    for name in ("weights", "optimiser", "best"):
        for a, b in zip(getattr(found, name), getattr(STATE, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    assert [file.name for file in path.parent.iterdir()] == ["fit.npz"]


def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    save_state(path, STATE)
    before = path.read_bytes()
    with files_end_at(len(before) // 2), pytest.raises(TrainingError, match=r"fit\.npz can't be written: .*make room"):
        save_state(path, replace(STATE, epochs=STATE.epochs * 2))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["fit.npz"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "fit.npz", STATE)
    with pytest.raises(TrainingError, match=r"another training \(seed 1; this is seed 2\)"):
        load_state(tmp_path / "fit.npz", "seed 2")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fit.npz").write_bytes(content)
    with pytest.raises(TrainingError, match="is no checkpoint"):
        load_state(tmp_path / "fit.npz", "seed 1")
