"""A wheel works without a checkout: configuration, sensor files, walkers and the default bundle travel in it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.edge.cli.run import free_endpoint

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*command, "-w", folder, ROOT], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=unpacked.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_runs_is_the_wheel_and_not_this_checkout(unpacked: Path) -> None:
    where = run(unpacked, "-c", "import edge, edge.paths; print(edge.__file__, edge.paths.configs_dir())")
    assert where.returncode == 0, where.stderr
    assert all(path.startswith(str(unpacked)) for path in where.stdout.split())


def test_every_configuration_file_travels_along(unpacked: Path) -> None:
    here = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.toml")}
    there = {path.relative_to(unpacked / "edge/configs") for path in (unpacked / "edge/configs").rglob("*.toml")}
    assert here == there != set()
    assert not list(unpacked.glob("tests*"))


def test_a_virtual_walk_is_classified_by_the_bundle_in_the_wheel(unpacked: Path) -> None:
    live = run(unpacked, "-m", "edge", "live", "--virtual", "--duration-s", "8", "--endpoint", free_endpoint())
    assert live.returncode == 0, live.stderr
    assert "Summary" in live.stdout
    made = re.search(r"^  (\d+) windows, ", live.stdout, re.MULTILINE)
    assert made is not None, live.stdout
    assert int(made[1]) > 0
