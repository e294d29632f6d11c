"""A table of numbers is read as it is meant, in whatever text it comes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import RecordingError
from edge.sources.textfile import read_table

NUMBERS = st.lists(
    st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 4) + 0.0), min_size=3, max_size=3), min_size=2, max_size=8
)


@given(
    rows=NUMBERS,
    style=st.sampled_from([(" ", "."), (" ", ","), (";", "."), (";", ","), ("\t", ","), (",", ".")]),
    crlf=st.booleans(),
)
def test_any_numbers_come_back_in_any_separator_and_decimal_sign(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]], style: tuple[str, str], crlf: bool
) -> None:
    separator, decimal = style
    path = tmp_path_factory.mktemp("t") / "t.txt"
    lines = [separator.join(f"{x:.4f}".replace(".", decimal) for x in row) for row in rows]
    path.write_bytes(("\r\n" if crlf else "\n").join(lines).encode())
    table = read_table(path)
    np.testing.assert_allclose(table.values, rows, atol=1e-9)
    assert (table.separator, table.decimal) == style


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a;b;\r\n1,5;2;\r\n3;4;\r\n", [[1.5, 2], [3, 4]]),
        (b'"a","b"\n"1,5","2,5"\n"3","4"\n', [[1.5, 2.5], [3, 4]]),
        ("\ufeffa b\n1 2\n3 4\n".encode(), [[1, 2], [3, 4]]),
        ("Größe;°\n1;2\n".encode("cp1252"), [[1, 2]]),
        ("a\tb\n1\t2\n".encode("utf-16"), [[1, 2]]),
        (b"1.5, 2.5\n3.5, 4.5\n", [[1.5, 2.5], [3.5, 4.5]]),
        (b"\n\n1 2\n\n3 4\n", [[1, 2], [3, 4]]),
        (b"1;;3\n4;-;nan\n", [[1, np.nan, 3], [4, np.nan, np.nan]]),
        (b"1 2\n1e-3 inf\n", [[1, 2], [0.001, np.nan]]),
    ],
)
def test_odd_but_clear_files_are_read(tmp_path: Path, data: bytes, expected: list[list[float]]) -> None:
    (tmp_path / "t").write_bytes(data)
    np.testing.assert_array_equal(read_table(tmp_path / "t").values, expected)


@pytest.mark.parametrize("text", ["1 2\n1e39 3.4e38\n-1e999 4\n5 6\n", "1 nan\n1e39 3.4e38\n-1e999 4\n5 6\n"])
def test_a_number_that_no_sample_can_hold_is_missing_and_marked_however_it_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    table = read_table(tmp_path / "t")
    assert table.too_large.tolist() == [[False, False], [True, False], [True, False], [False, False]]
    assert np.isnan(table.values[:, 0]).tolist() == [False, True, True, False]
    assert table.values[1, 1] == 3.4e38


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a b\n\n1 2\n\n3 4\n")
    assert read_table(tmp_path / "t").line_numbers.tolist() == [3, 5]
    (tmp_path / "t").write_text("a b\n\n1 2\n\n3 4 5\n6 7\n")
    with pytest.raises(RecordingError, match="line 5 has 3 cells, the lines before have 2"):
        read_table(tmp_path / "t")
