"""What is done stays done: whole files, one run a folder, and a full disk loses nothing that was there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.errors import TrainingError
from trainer.history import Epoch, History
from trainer.run_folder import IDENTITY, LOCK, RunFolder
from trainer.trial import Answers, TrialResult


def made_result(key: str = "person-s1-f1--network", *, history: bool = True) -> TrialResult:
    generator = np.random.default_rng(3)
    sides = [
        Answers(
            "window",
            generator.dirichlet(np.ones(3), 5).astype(np.float32),
            np.array([0, 1, 2, 0, 1]),
            np.array(["a", "b", "c", "a", "b"]),
        )
        for _ in range(2)
    ]
    epochs = (Epoch(0.5, 1.0, 0.4, 1.1), Epoch(0.6, 0.9, 0.5, 1.0))
    return TrialResult(
        key=key,
        method="network",
        protocol="person",
        fold="person-s1-f1",
        seed=1,
        note="",
        validation=sides[0],
        test=sides[1],
        temperature=1.3,
        n_train_people=12,
        n_train_windows=340,
        duration_s=1.5,
        history=History(epochs, 1) if history else None,
    )


@pytest.mark.parametrize("history", [True, False])
def test_a_result_comes_back_as_it_was(tmp_path: Path, history: bool) -> None:
    folder = RunFolder(tmp_path / "run", {"config": (1, 2)}, {})
    result = made_result(history=history)
    assert not folder.has(result.key)
    folder.checkpoint(result.key).write_bytes(b"epochs")
    folder.save(result)
    assert folder.has(result.key)
    assert not folder.checkpoint(result.key).exists()
    again = folder.load_all([result.key])[0]
    for name in TrialResult.__dataclass_fields__:
        if name not in ("validation", "test"):
            assert getattr(again, name) == getattr(result, name), name
    for side in ("validation", "test"):
        for name in Answers.__dataclass_fields__:
            assert np.array_equal(getattr(getattr(again, side), name), getattr(getattr(result, side), name)), name


def test_the_same_run_goes_on_and_another_is_refused_with_what_differs(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"seeds": (1, 2), "people": 7}, {"version": "1"}).save(made_result())
    assert RunFolder(tmp_path / "run", {"seeds": (1, 2), "people": 7}, {"version": "2"}).has(made_result().key)
    with pytest.raises(TrainingError, match="differs in people"):
        RunFolder(tmp_path / "run", {"seeds": (1, 2), "people": 8}, {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="no folder of a run"):
        RunFolder(tmp_path / "other", {}, {})
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_keeps_what_was_there_and_says_what_to_do(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", {}, {})
    folder.write("figures.json", b"the first")
    # The file that would take its place is on a device that is always full.
    (tmp_path / "run" / f".figures.json.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"figures\.json: cannot be written: No space left.*run the same command"):
        folder.write("figures.json", b"the second")
    assert (tmp_path / "run" / "figures.json").read_bytes() == b"the first"
    folder.write("figures.json", b"the third")
    assert (tmp_path / "run" / "figures.json").read_bytes() == b"the third"
    assert not list((tmp_path / "run").glob(".figures*"))


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_kept_out_until_this_one_ends_and_this_one_never_is(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run", {}, {})
    first.save(made_result())
    assert RunFolder(tmp_path / "run", {}, {}).has(made_result().key)
    command = [sys.executable, "-c", HOLDER]
    refused = subprocess.run([*command, tmp_path / "run" / LOCK], capture_output=True, text=True)
    assert "BlockingIOError" in refused.stderr

    (tmp_path / "other").mkdir()
    with subprocess.Popen(
        [*command, tmp_path / "other" / LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match="other: another process is at this run; wait for it"):
            RunFolder(tmp_path / "other", {}, {})
        assert [path.name for path in (tmp_path / "other").iterdir()] == [LOCK]
        other.kill()
    RunFolder(tmp_path / "other", {}, {}).save(made_result())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"identity": null}', b"\xff"])
def test_a_damaged_identity_is_said_and_nothing_is_touched(tmp_path: Path, text: bytes) -> None:
    RunFolder(tmp_path / "run", {"people": 7}, {}).save(made_result())
    (tmp_path / "run" / IDENTITY).write_bytes(text)
    with pytest.raises(TrainingError, match=r"run\.json: damaged"):
        RunFolder(tmp_path / "run", {"people": 7}, {})
    assert (tmp_path / "run" / IDENTITY).read_bytes() == text
    assert len(list((tmp_path / "run" / "trials").iterdir())) == 1


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="file/run: cannot be written: Not a directory"):
        RunFolder(tmp_path / "file" / "run", {}, {})
    folder = RunFolder(tmp_path / "run", {}, {})
    folder.write("models", b"mine")
    with pytest.raises(TrainingError, match=r"models/one\.json: cannot be written: .*choose another --out"):
        folder.write_json("models/one.json", {})
    assert (tmp_path / "run" / "models").read_bytes() == b"mine"
