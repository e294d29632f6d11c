"""A report is one valid page that needs no network, names every protocol, and hides nothing of a dataset or a loss."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("tensorflow", reason="needs the extra `train`")

from tests.trainer.made_report import made_context, made_inspection
from trainer.report import make_report, write_report
from trainer.report_plots import draw_confusions, svg

pytestmark = pytest.mark.train

CONTEXT = made_context()
PAGE = make_report(CONTEXT)
_VOID = {"meta", "img", "br"}
_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Reader(HTMLParser):
    """Text, captions and addresses of a page; an element closed out of turn, or never, is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.captions: list[str] = []
        self.alternatives: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "data", "srcset", "poster"}:
                self.addresses.append(value or "")
            if name == "alt":
                self.alternatives.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "caption":
            self.captions.append(data)
        if "style" not in self.open:
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_closes_what_it_opens() -> None:
    reader = read(PAGE)
    assert PAGE.startswith("<!DOCTYPE html>")
    assert [reader.tags.count(tag) for tag in ("html", "head", "title", "body", "h1")] == [1] * 5
    assert reader.tags.count("table") == len(reader.captions)
    assert all(reader.alternatives)


def test_nothing_is_fetched_and_no_script_runs() -> None:
    reader = read(PAGE)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in reader.addresses)
    assert len(reader.addresses) >= 10
    assert not {"script", "link", "iframe", "object", "base"} & set(reader.tags)
    assert not re.search(r"url\(|@import|https?:", PAGE)


def test_every_table_and_picture_of_figures_names_its_protocol() -> None:
    reader = read(PAGE)
    names = {row.protocol_name for row in CONTEXT.summary.rows} if CONTEXT.summary else set()
    assert len(names) == 3
    told = [
        text for text in (*reader.captions, *reader.alternatives) if re.search("figures by|seed|person,|error", text)
    ]
    assert len(told) > 12
    for text in told:
        assert text.startswith(tuple(names)) or "under every protocol" in text, text
    for name in names:
        assert f"{name}: figures by person" in reader.captions
        assert f"{name}: figures by window" in reader.captions
    assert not re.search(r"window(?! \(in-sample by person\)): ", " ".join(reader.captions))


def test_all_seeds_stand_there_and_the_loss_to_a_baseline_is_told() -> None:
    assert CONTEXT.summary is not None
    text = " ".join(read(PAGE).text)
    for row in CONTEXT.summary.rows:
        assert all(f"{seed.balanced_accuracy:.3f}" in text for seed in row.seeds)
    assert "network is worse than baseline:hand: the interval excludes 0" in text
    assert text.index("figures by person") < text.index("figures by window")


def test_the_leak_check_stands_by_each_protocol() -> None:
    text = " ".join(read(PAGE).text)
    assert "none: in 6 folds 0 of 360 test people and samples of 0 of 2880 test windows were trained on" in text
    assert "LEAKS: in 2 folds 120 of 120 test people and samples of 960 of 960 test windows were trained on" in text


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_banner_of_twins_appears_for_twins_and_for_nobody_else(synthetic: bool) -> None:
    page = make_report(replace(CONTEXT, dataset=made_inspection(synthetic=synthetic), results=(), summary=None))
    assert ("SYNTHETIC TWINS: not valid for people" in page) is synthetic
    assert ("synthetic" in page.lower()) is synthetic
    assert "no medical device" in page


def test_what_a_dataset_says_is_text_and_never_markup() -> None:
    evil = '$</table><script>alert("1")</script><img src="http://elsewhere/x">&amp;'
    dataset = msgspec.structs.replace(
        made_inspection(),
        target=evil,
        kind=evil,
        register=evil,
        licence=evil,
        credit=evil,
        problems=(evil,),
        warnings=(evil,),
        without_recording=(evil,),
        labels=(evil, "b", "c"),
    )
    summary = CONTEXT.summary
    assert summary is not None
    row = replace(
        summary.rows[0], method=evil, people=(replace(summary.rows[0].people[0], person_id=evil, label=evil),)
    )
    page = make_report(
        replace(
            CONTEXT,
            name=evil,
            dataset=dataset,
            summary=replace(summary, rows=(row,), labels=(evil, "b", "c")),
            results=(),
            config_text=evil,
            versions={evil: evil},
            commands=[evil],
        )
    )
    reader = read(page)
    assert "script" not in reader.tags
    assert all(address.startswith("data:") for address in reader.addresses)
    assert "".join(reader.text).count(evil) > 10


def test_the_same_figures_make_the_same_picture_and_a_dollar_sign_makes_no_formula() -> None:
    assert CONTEXT.summary is not None
    row = replace(CONTEXT.summary.rows[0], method=r"$\frac{1}$")
    one, other = (svg(draw_confusions([row], ("a$b$c", "b", "c"))) for _ in range(2))
    assert one == other


def test_a_run_without_protocol_or_bundle_says_so(tmp_path: Path) -> None:
    path = write_report(tmp_path, replace(CONTEXT, summary=None, results=(), leaks=None, bundle=None))
    assert path.name == "report.html"
    text = " ".join(read(path.read_text(encoding="utf-8")).text)
    assert "No protocol was run: there are no figures by person." in text
    assert "quantised" not in text


@pytest.mark.skipif(_BROWSER is None, reason="no chromium on this machine")
def test_a_browser_shows_the_page_with_every_picture(tmp_path: Path) -> None:
    """The browser's own tree, after it has drawn the page: what is misnested would have been moved or dropped."""
    path = write_report(tmp_path, CONTEXT)
    command = [str(_BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shot = tmp_path / "page.png"
    subprocess.run(
        [*command, "--window-size=1200,3000", f"--screenshot={shot}", path.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert shot.stat().st_size > 100_000
    drawn = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert read(drawn.partition("<body>")[2].rpartition("</body>")[0]).captions == read(PAGE).captions
