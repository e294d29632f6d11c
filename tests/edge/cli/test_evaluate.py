"""The paper's Figure 4 goes in as a file, its Table 3 comes out; what is no confusion matrix is refused."""

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.edge.cli.run import assert_refused, frailedge
from trainer.class_report import read_counts

FIGURE_4 = """truth,robust,pre-frail,frail
robust,36202,2228,633
pre-frail,1970,34258,2041
frail,434,571,5536
"""


def test_figure_4_of_the_paper_prints_its_table_3(tmp_path: Path) -> None:
    file = tmp_path / "figure4.csv"
    file.write_text(FIGURE_4)
    result = frailedge("evaluate", file)
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["class", "precision", "recall", "F1", "support"],
        ["robust", "0.94", "0.93", "0.93", "39063"],
        ["pre-frail", "0.92", "0.90", "0.91", "38269"],
        ["frail", "0.67", "0.85", "0.75", "6541"],
        ["accuracy", "0.906"],
        ["balanced", "accuracy", "0.889"],
        ["macro", "F1", "0.864"],
    ]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert_refused(frailedge("evaluate", tmp_path / "none.csv"), "none.csv", "cannot be read")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "answers none and truths none"),
        ("truth,a,b\nb,1,2\na,3,4\n", "same order"),
        ("truth,a,b\na,1,2\n", "truths a"),
        ("truth,a,b\na,1\nb,1,2\n", "line 2: needs 2 whole numbers, found 1"),
        ("truth,a,b\na,1,2\nb,-1,2\n", "line 3: needs 2 whole numbers, found -1, 2"),
        ("truth,a,b\na,0,0\nb,0,0\n", "every count is 0"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "counts.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_counts(file)
