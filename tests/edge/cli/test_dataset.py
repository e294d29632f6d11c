"""`frailedge dataset`: what is printed of a folder, and a download that is killed and goes on."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge.cli import app
from edge.errors import FrailedgeError
from tests.edge.cli.run import assert_refused, frailedge, start
from tests.trainer.web_server import WebFile, web_server
from trainer.class_figures import draw_people
from trainer.datasets import open_dataset
from trainer.twins import Layout, write_twins

GOT_BYTES = 3 << 18
"""What the client has on disk when the server stops after 900,000 bytes: whole chunks."""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    write_twins(folder, draw_people(4, 1), minutes=0.5, seed=1, layout=Layout(time_column="s"))
    return folder


def test_inspect_says_that_twins_are_synthetic_lists_problems_and_ends_well(twins: Path, tmp_path: Path) -> None:
    stray = twins / "V999.txt"
    stray.write_text("1 2 3\n", encoding="utf-8")
    result = frailedge("dataset", "inspect", twins, "--windows", "--out", tmp_path / "page")
    stray.unlink()
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("SYNTHETIC DATA, nobody walked here")
    assert "4 people, 4 recordings, 2 minutes of signal; gstride, classes by frailty, gravity included" in result.stdout
    assert "4 x acceleration in m/s^2: |acc| at rest is" in result.stdout
    judged = result.stdout.partition("windows the edge would")[2].splitlines()[0]
    assert judged.split()[:3] == ["in", "all", "classify"]
    assert "refuse: standing" in judged
    assert "judging: 4 of 4" in result.stderr
    problems = result.stdout.partition("\nproblems:")[2]
    assert "V999 is not in" in problems
    assert "reading: 4 of 4" in result.stderr
    assert len(list((tmp_path / "page" / "people").glob("*.png"))) == 4
    assert "<title>SYNTHETIC DATA: " in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


def test_inspect_prints_everything_as_json_without_loading_tensorflow(twins: Path) -> None:
    code = "import sys; from edge.cli import app; app(standalone_mode=False); assert 'tensorflow' not in sys.modules"
    options = ["dataset", "inspect", str(twins), "--json"]
    run = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["synthetic"] is True
    assert [line["label"] for line in found["classes"]] == ["robust", "pre-frail", "frail"]
    assert [line["id"] for line in found["people"]] == ["V001", "V002", "V003", "V004"]


def test_a_folder_that_is_no_dataset_is_refused_in_one_line(tmp_path: Path) -> None:
    assert_refused(frailedge("dataset", "inspect", tmp_path), "gstride: ", "truong: ", "folder: people.csv")


def test_a_download_killed_in_the_middle_goes_on_and_the_folder_can_be_read(twins: Path, tmp_path: Path) -> None:
    packed = tmp_path / "twins.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pad.bin", np.random.default_rng(1).bytes(1_500_000))
        for path in sorted(twins.rglob("*")):
            archive.write(path, path.relative_to(twins))
    out = tmp_path / "out"
    with web_server() as server:
        file = WebFile(packed.read_bytes(), hold_at=900_000)
        arguments = ["dataset", "fetch", "gstride", str(out), "--from", server.add("/twins.zip", file)]
        process = start(arguments)
        assert process.stderr is not None
        came = any(line.startswith(f"twins.zip: {GOT_BYTES} of") for line in process.stderr)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert came, "it ended before it could be killed"
        assert (out / "twins.zip.part").stat().st_size == GOT_BYTES
        assert not (out / "twins.zip").exists()
        file.hold_at = 0
        file.release.set()
        result = frailedge(*arguments)
    assert result.returncode == 0, result.stderr
    assert file.asked == [None, f"bytes={GOT_BYTES}-"]
    assert result.stdout.split()[1] == "twins.zip"
    assert "no checksum to compare with" in result.stderr
    assert not list(out.glob("*.part*"))
    assert [subject.id for subject in open_dataset(out).subjects] == ["V001", "V002", "V003", "V004"]


def test_a_full_disk_keeps_what_came_and_a_later_try_goes_on(tmp_path: Path) -> None:
    with web_server() as server:
        file = WebFile(np.random.default_rng(1).bytes(2_000_000))
        arguments = ["dataset", "fetch", "gstride", str(tmp_path), "--from", server.add("/walks.bin", file)]
        # A limit on the size of files stands for a disk with no more room: the write fails in the same way.
        limited = ["sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", sys.executable, "-m", "edge", *arguments]
        result = subprocess.run(limited, capture_output=True, text=True, check=False)
        assert_refused(result, "the disk is full", "walks.bin.part is kept", "run the same command again")
        n_kept = (tmp_path / "walks.bin.part").stat().st_size
        assert 0 < n_kept < 2_000_000
        app(arguments, standalone_mode=False)
    assert file.asked[-1] == f"bytes={n_kept}-"
    assert (tmp_path / "walks.bin").read_bytes() == file.data


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["other"], "choose gstride"),
        (["gstride", "--from", "URL/nothing.zip"], r"/nothing\.zip: the server answers 404 .* --record"),
        (["gstride", "--api", "URL", "--record", "1"], "/1: the server answers 404"),
        (["gstride", "--from", "URL/x", "--record", "1"], "leave --record and --api out"),
        (["gstride", "--sha256", "0" * 64], "--sha256 belongs to one file"),
    ],
)
def test_what_cannot_be_fetched_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    with web_server() as server:
        given = [option.replace("URL", server.url) for option in options]
        with pytest.raises(FrailedgeError, match=said):
            app(["dataset", "fetch", given[0], str(tmp_path), *given[1:]], standalone_mode=False)


def test_a_record_is_fetched_checked_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = b"walk" * 1000
    with web_server() as server:
        address = server.add("/files/walks.bin", WebFile(data))
        entry = {
            "key": "walks.bin",
            "size": len(data),
            "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
            "links": {"self": address},
        }
        server.add("/8003441", WebFile(json.dumps({"files": [entry]}).encode()))
        app(["dataset", "fetch", "gstride", str(tmp_path), "--api", server.url], standalone_mode=False)
    printed = capsys.readouterr()
    assert printed.out == f"{hashlib.sha256(data).hexdigest()}  walks.bin\n"
    assert "4000 bytes, md5 as stated" in printed.err
