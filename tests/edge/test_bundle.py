"""A bundle is read whole and sound, or refused in one line; it is written whole, or not at all."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import pywt
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import (
    CHECKSUM_NAME,
    MANIFEST_NAME,
    checksum_text,
    load_bundle,
    write_bundle,
)
from edge.errors import BundleError
from edge.stream.preprocess import n_coefficients
from tests.full_disk import files_of_at_most
from tests.tiny_bundle import tiny_manifest, tiny_models, write_tiny_bundle

Json = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def reseal(folder: Path, manifest: Json) -> None:
    """Write a manifest whose checksum is right, so that only its fields can be at fault."""
    content = json.dumps(manifest).encode()
    (folder / MANIFEST_NAME).write_bytes(content)
    (folder / CHECKSUM_NAME).write_text(checksum_text(content))


def refusal(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    line = str(caught.value)
    assert line.startswith(str(folder))
    assert "\n" not in line
    assert line.isprintable()
    return line


def test_what_is_written_is_what_is_read(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.manifest == tiny_manifest()
    assert bundle.variant_name == "int8"
    assert bundle.model == tiny_models()["int8"]
    assert load_bundle(folder, "dynamic").model == tiny_models()["dynamic"]


def test_an_unknown_variant_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(BundleError, match="no variant 'float16'; it has int8, dynamic"):
        load_bundle(folder, "float16")


def test_sha256sum_understands_the_checksum_file(folder: Path) -> None:
    checked = subprocess.run(["sha256sum", "--check", "--strict", CHECKSUM_NAME], cwd=folder, capture_output=True)
    assert checked.returncode == 0


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each field, and of each item of a list."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [leaf for key in value for leaf in _leaves(value[key], (*path, key))]
    if isinstance(value, list):
        found += [leaf for index in range(len(value)) for leaf in _leaves(value[index], (*path, index))]
    return found


def _set(manifest: Json, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Json:
    changed: Json = json.loads(json.dumps(manifest))
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    change(at, path[-1])
    return changed


def test_a_thousand_damaged_bundles_are_all_refused_in_one_line(folder: Path) -> None:
    """Bit flips and truncations of every file that is read, fields missing, misnamed, of another type or not finite."""
    generator = np.random.default_rng(20261122)
    names = [MANIFEST_NAME, CHECKSUM_NAME, "model.int8.tflite", "model.dynamic.tflite"]
    sound = {name: (folder / name).read_bytes() for name in names}
    manifest = json.loads(sound[MANIFEST_NAME])
    n_refused = 0
    for name in names:
        for _ in range(150):
            damaged = bytearray(sound[name])
            damaged[generator.integers(len(damaged))] ^= 1 << int(generator.integers(8))
            (folder / name).write_bytes(damaged)
            refusal(folder)
            n_refused += 1
        for length in generator.integers(len(sound[name]), size=40):
            (folder / name).write_bytes(sound[name][:length])
            refusal(folder)
            n_refused += 1
        (folder / name).unlink()
        assert name in refusal(folder)
        n_refused += 1
        (folder / name).write_bytes(sound[name])
    # A bundle without its second variant, or with that one by another name, is a sound one.
    may_go = {("variants", "dynamic")}
    # Older bundles lack these: they were trained on all windows, and nothing was corrected.
    may_lack = {("training", "windows"), ("training", "mounting")}
    changes: tuple[Callable[[Any, Any], None], ...] = (
        lambda at, key: at.__setitem__(key, None),
        lambda at, key: at.__setitem__(key, [[]]),
        lambda at, key: at.__delitem__(key),
        lambda at, key: at.__setitem__(f"{key} ", at.pop(key)) if isinstance(at, dict) else at.append(at[key]),
    )
    for path in _leaves(manifest):
        allowed = changes[:2] if path in may_go else (*changes[:2], changes[3]) if path in may_lack else changes
        for change in allowed:
            reseal(folder, _set(manifest, path, change))
            refusal(folder)
            n_refused += 1
    assert n_refused >= 1000
    for name in names:
        (folder / name).write_bytes(sound[name])
    load_bundle(folder)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("schema_version", 2, "schema_version is 2, this program reads version 1"),
        ("name", "../tiny", "name must be"),
        ("created", "yesterday", "created is 'yesterday'"),
        ("created", "2026-11-22T12:00:00", "with its zone"),
        ("labels", [], "labels must be"),
        ("labels", ["robust", "robust", "frail"], "labels must be"),
        ("labels", ["robust", " ", "frail"], "labels must be"),
        ("sample_rate_hz", 49.9, "sample_rate_hz is 49.9, not within 50-1000"),
        ("sample_rate_hz", 1001, "sample_rate_hz"),
        ("sample_rate_hz", "104", "sample_rate_hz"),
        ("window_samples", 1, "window_samples is 1"),
        ("hop_samples", 0, "hop_samples is 0"),
        ("hop_samples", 201, "hop_samples is 201"),
        ("channels", ["acc_y", "acc_x", "acc_z", "gyr_x", "gyr_y", "gyr_z"], "channels must be acc_x"),
        ("units", ["g", "g", "g", "deg/s", "deg/s", "deg/s"], "units must be m/s^2"),
        ("frame", "sensor", "frame is 'sensor'"),
        ("gravity", "maybe", "gravity"),
        ("max_bridged_gap_ms", -1, "max_bridged_gap_ms"),
        ("max_bridged_share", 1, "max_bridged_share"),
        ("outlier_limits.lower", [0, 0, 0, 0, 0], "outlier_limits.lower must be 6 finite numbers"),
        ("outlier_limits.lower", [0, 0, 99, 0, 0, 0], "outlier_limits.lower must be below"),
        ("scaler.mean", [0] * 7, "scaler.mean must be 6"),
        ("scaler.deviation", [1, 1, 0, 1, 1, 1], "scaler.deviation must be above 0"),
        ("wavelet.name", "db2", "wavelet.name"),
        ("wavelet.level", 8, "wavelet.level is 8, not within 1-7 for 200 samples"),
        ("wavelet.level", 3, "level 3 of 200 samples gives 200"),
        ("wavelet.n_coefficients", 200, "level 7 of 200 samples gives 203"),
        ("window_samples", 100, "wavelet.level is 7, not within 1-6 for 100 samples"),
        ("temperature", 0, "temperature is 0"),
        ("decision.half_life_windows", 0, "decision.half_life_windows"),
        ("decision.min_windows", 0, "decision.min_windows"),
        ("decision.switch_margin", -0.1, "decision.switch_margin"),
        ("decision.least_confidence", -0.1, "decision.least_confidence is -0.1, not within 0-1"),
        ("decision.least_confidence", 1.1, "decision.least_confidence is 1.1, not within 0-1"),
        ("variants", {}, "variants is empty"),
        ("default_variant", "float", "default_variant is 'float'"),
        ("variants.int8.file", "../model.int8.tflite", "variants.int8.file"),
        ("variants.int8.file", "/etc/model.tflite", "variants.int8.file"),
        ("variants.int8.file", "..", "variants.int8.file"),
        ("variants.int8.file", "model.dynamic.tflite", "same file"),
        ("variants.int8.sha256", "0" * 64, "sha256"),
        ("variants.int8.sha256", "A" * 64, "variants.int8.sha256 must be"),
        ("variants.int8.n_bytes", 1, "the manifest says 1"),
        ("variants.int8.input.scale", 0, "variants.int8.input"),
        ("variants.int8.output.zero_point", 128, "variants.int8.output"),
        ("variants.dynamic.input.scale", 0.5, "variants.dynamic.input: float32"),
        ("variants.int8.agreement.raw", 1.5, "variants.int8.agreement.raw is 1.5"),
        ("variants.int8.agreement.raw_interval_95", [0.9, 0.8], "raw_interval_95"),
        ("variants.int8.agreement.n_windows", 0, "n_windows"),
        ("training.n_people", {"robust": 3}, "training.n_people"),
        ("training.trained_on", "", "training.trained_on is empty"),
        ("intended_use", "", "intended_use is empty"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, path: str, value: object, words: str) -> None:
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    reseal(folder, _set(manifest, tuple(path.split(".")), lambda at, key: at.__setitem__(key, value)))
    assert words in refusal(folder)


@pytest.mark.parametrize(("number", "words"), [("1e999", "range"), ("NaN", "malformed"), ("Infinity", "malformed")])
def test_numbers_that_are_not_finite_are_refused(folder: Path, number: str, words: str) -> None:
    text = (folder / MANIFEST_NAME).read_text().replace('"temperature": 1.0', f'"temperature": {number}')
    (folder / MANIFEST_NAME).write_text(text)
    (folder / CHECKSUM_NAME).write_text(checksum_text(text.encode()))
    assert words in refusal(folder)


def test_a_newer_schema_is_named_as_such_though_its_fields_are_unknown(folder: Path) -> None:
    reseal(folder, {"schema_version": 7, "something": "new"})
    assert "schema_version is 7, this program reads version 1" in refusal(folder)


def test_a_missing_field_is_named(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    reseal(folder, _set(manifest, ("decision", "min_windows"), lambda at, key: at.__delitem__(key)))
    assert "missing required field `min_windows` - at `$.decision`" in refusal(folder)


def test_a_folder_that_is_not_there_is_no_bundle(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nothing")


def test_a_failed_write_leaves_the_old_bundle_and_nothing_beside_it(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    models = tiny_models()
    models["int8"] = models["int8"][:-1] + b"?"
    with pytest.raises(BundleError, match="sha256"):
        write_bundle(folder, tiny_manifest(name="other"), models, "# other\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_full_disk_leaves_the_old_bundle_and_is_told_in_a_line(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with (
        files_of_at_most(10_000),  # the manifest fits, a model does not
        pytest.raises(BundleError, match=r"bundle can't be written: File too large$"),
    ):
        write_bundle(folder, tiny_manifest(name="other"), tiny_models(), "# other\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_place_where_no_folder_can_be_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BundleError, match=r"can't be written: (Not a directory|File exists) \(.*file"):
        write_bundle(tmp_path / "file" / "bundle", tiny_manifest(), tiny_models(), "# tiny\n")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_new_bundle_takes_the_place_of_the_old_one_whole(folder: Path) -> None:
    (folder / "old.png").write_bytes(b"old")
    bundle = write_bundle(folder, tiny_manifest(name="other"), tiny_models(), "# other\n", {"new.png": b"new"})
    assert bundle.manifest.name == "other"
    names = {"manifest.json", "manifest.json.sha256", "MODEL_CARD.md", "new.png"}
    assert {path.name for path in folder.iterdir()} == names | {"model.int8.tflite", "model.dynamic.tflite"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_with_other_things_in_it_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="is no model bundle: choose another folder"):
        write_bundle(tmp_path, tiny_manifest(), tiny_models(), "# tiny\n")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_picture_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no plain file name"):
        write_bundle(tmp_path / "bundle", tiny_manifest(), tiny_models(), "# tiny\n", {"../x.png": b""})
    assert list(tmp_path.iterdir()) == []


def test_models_and_variants_must_be_the_same(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="are not the variants"):
        write_bundle(tmp_path / "bundle", tiny_manifest(), {}, "# tiny\n")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_can_be_copied_and_moved(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert msgspec.json.encode(load_bundle(tmp_path / "elsewhere").manifest) == msgspec.json.encode(tiny_manifest())


@given(st.integers(2, 400), st.data())
def test_the_coefficient_count_is_what_pywt_gives(window_samples: int, data: st.DataObject) -> None:
    level = data.draw(st.integers(1, window_samples.bit_length() - 1))
    coefficients = pywt.wavedec(np.zeros(window_samples), "db1", level=level)
    assert n_coefficients(window_samples, level) == sum(map(len, coefficients))
