"""The folder of an export that fails: gone where the export made it, as it was where it did not."""

from pathlib import Path

import pytest

from edge.bundle import load_bundle
from edge.errors import RecordingError
from edge.export import export
from edge.paths import default_bundle_dir
from tests.edge.recording.made import record_all, recorder, sent


@pytest.fixture(scope="module")
def without_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that ended before its sensor sent a sample."""
    folder = tmp_path_factory.mktemp("session")
    record_all(sent(folder, 1.0)[:2], recorder(folder / "rec", load_bundle(default_bundle_dir()), print))
    return folder / "rec"


@pytest.mark.parametrize("out", ["fresh", "fresh/deep", "fresh/../other/deep"])
@pytest.mark.parametrize("kind", ["csv", "bids"])
def test_a_failed_export_removes_the_folders_it_made(
    without_samples: Path, tmp_path: Path, kind: str, out: str
) -> None:
    with pytest.raises(RecordingError, match="nothing to export"):
        export(without_samples, kind, tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_keeps_the_folders_that_were_there_before(without_samples: Path, tmp_path: Path) -> None:
    (before := tmp_path / "before").mkdir()
    for out in (before / "fresh" / "deep", before):
        with pytest.raises(RecordingError, match="nothing to export"):
            export(without_samples, "csv", out)
        assert list(tmp_path.rglob("*")) == [before]


def test_a_folder_that_cannot_be_made_leaves_none_of_those_above_it(without_samples: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written: File name too long"):
        export(without_samples, "csv", tmp_path / "fresh" / ("x" * 300))
    assert list(tmp_path.iterdir()) == []
