"""A model's card stands in the page with its tables and words, and brings in nothing else."""

from edge.card_page import card_html
from edge.paths import default_bundle_dir

CARD = """# m: a model

- **Trained on: nobody** (0 people)
- Intended use: none

Plain *words* of
two lines.

| figure | value |
|---|---|
| accuracy | 0.4 |

![confusion](http://elsewhere/confusion.png)
<script>alert(1)</script>
"""


def test_headings_bullets_tables_and_words_become_html() -> None:
    html = "\n".join(card_html(CARD))
    assert "<h3>m: a model</h3>" in html
    assert "<ul><li>Trained on: nobody (0 people)</li><li>Intended use: none</li></ul>" in html
    assert "<p>Plain *words* of</p>" in html
    assert '<th scope="col">figure</th><th scope="col">value</th>' in html
    assert '<tr><th scope="row">accuracy</th><td>0.4</td></tr>' in html
    assert "---" not in html
    assert "<caption>" not in html


def test_no_picture_and_no_markup_of_the_card_s_own_passes() -> None:
    html = "\n".join(card_html(CARD))
    assert "elsewhere" not in html
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_card_cut_anywhere_is_still_shown() -> None:
    for n in range(len(CARD)):
        list(card_html(CARD[:n]))


def test_the_card_of_the_default_bundle_leaves_no_markdown_behind() -> None:
    html = "\n".join(card_html((default_bundle_dir() / "MODEL_CARD.md").read_text(encoding="utf-8")))
    assert "**" not in html
    assert "|---" not in html
    assert "](" not in html
