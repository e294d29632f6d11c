"""`frailedge report`: one page of a recorded session that needs no network and hides neither a doubt nor a loss.

With ``FRAILEDGE_REPORT_PICTURE=docs/img/report.png`` the browser's picture is kept there: so that file is made.
"""

import dataclasses
import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from edge.bundle import Bundle
from edge.cli import report
from edge.config import ModelConfig
from edge.errors import ConfigError, RecordingError
from edge.infer import Inference
from edge.messages import Gait, Health, Message, Prediction
from edge.opening import open_model
from edge.recording.entries import RecordedSensor
from edge.session_report import make_report
from edge.session_result import KINDS, SessionResult, session_result
from edge.sources.session_reader import Published
from tests.edge.cli.run import assert_refused, frailedge
from tests.edge.recording.made import recorder, sent, settings
from tests.edge.recording.session_log import SessionLog, read_messages
from tests.tiny_bundle import write_tiny_bundle

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PICTURE = "FRAILEDGE_REPORT_PICTURE"
_VOID = {"meta"}


class Reader(HTMLParser):
    """Text, tags and addresses of a page; an element closed out of turn, or never, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        # HTMLParser calls both for <rect/>, so such a one is opened and closed like any other.
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def record_walk(folder: Path, duration_s: float, *, rotate_s: float = 600.0) -> Bundle:
    """What `frailedge live --virtual --record` leaves: a sensor that loses packets, with all that is published."""
    bundle, classifier = open_model(ModelConfig(variant="dynamic"))  # the quicker one
    records = sent(folder, duration_s, drop_share=0.01)
    recording = recorder(folder, bundle, print, rotate_s=rotate_s)
    sequences: Counter[str] = Counter()
    received_ns = 0

    def sink(message: Message) -> None:
        """Stamped as the publisher does."""
        name = type(message).__name__
        sequences[name] += 1
        recording.take_message(
            msgspec.structs.replace(
                message, boot_id="made", sequence=sequences[name] - 1, time_s=1_763_800_000 + received_ns / 1e9
            ),
            received_ns,
        )

    inference = Inference(settings(Path(), "left"), "left", bundle, classifier, sink, is_first_life=True)
    for sequence, record in records:
        received_ns = record.item.received_ns
        inference.take(record)
        recording.take_record(sequence, record)
        recording.commit_if_due(received_ns / 1e9)
    inference.finish()
    inference.publish_health(0)
    recording.commit(received_ns / 1e9)
    recording.close()
    return bundle


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """110 s: as many stretches of 20 s as an interval needs, after the sensor stood."""
    folder = tmp_path_factory.mktemp("session")
    return folder, record_walk(folder, 110.0)


@pytest.fixture(scope="module")
def page(walk: tuple[Path, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    report.command(walk[0], out)
    return out


def result_of(session: SessionLog) -> SessionResult:
    names = [sensor.name for sensor in session.info.sensors]
    return session_result(session.messages, min_windows=4, sensors=names)


def reported(session: SessionLog, bundle: Bundle, card: str = "") -> str:
    return make_report(session.info, result_of(session), bundle.manifest, card, session.losses)


def text_of(html: str) -> str:
    return " ".join(Reader(html).text)


def test_the_page_needs_no_network_and_runs_no_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    reader = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert [reader.tags.count(tag) for tag in ("html", "head", "body", "h1", "svg")] == [1] * 5
    assert reader.addresses == []
    assert not {"script", "link", "iframe", "object", "base", "img"} & set(reader.tags)
    assert not re.search(r"url\(|@import", text)
    assert "size: A4" in text


def test_the_page_says_result_doubt_use_losses_and_what_it_is_not(page: Path, walk: tuple[Path, Bundle]) -> None:
    text = " ".join(Reader(page.read_text(encoding="utf-8")).text)
    folder, bundle = walk
    result = result_of(read_messages(folder, KINDS)).together
    assert result.label is not None
    assert result.interval_95 is not None
    assert f"This session: {result.label}, probability {result.probabilities[result.label]:.2f}; 95 % interval" in text
    assert "not about the model's errors" in text
    assert "guessing gives 0.33" in text
    assert "Research use only. No medical device: not for diagnosis." in text
    assert "Synthetic: the model was trained on synthetic twins" in text
    assert "left is a virtual sensor. Nobody walked." in text
    assert bundle.manifest.intended_use in text
    for told in (
        "P007",
        "cadence of both feet, steps/min",
        "refused: standing",
        "flagged: gaps",
        "stride length, m",
        "GSTRIDE register",
        "lost samples",
    ):
        assert told in text
    assert "Whatever reached the program is in the recording." in text
    assert "not without faults" not in text


def test_the_figures_stand_beside_ranges_for_each_class_and_steps_are_twice_the_strides(
    page: Path, walk: tuple[Path, Bundle]
) -> None:
    text = text_of(page.read_text(encoding="utf-8"))
    (left,) = result_of(read_messages(walk[0], KINDS)).sensors
    assert left.figures.n_strides > 60
    assert left.figures.cadence_strides_min.mean is not None
    steps_min = f"{2 * left.figures.cadence_strides_min.mean:.0f}"
    row = text.partition("cadence of both feet, steps/min")[2].split()[:3]
    assert row == [steps_min, "–", str(left.figures.cadence_strides_min.n)]
    for told in ("0.50 to 1.38", "41.7 to 61.2", "66.5 to 75.5", "65 robust, 73 pre-frail, 20 frail", "CC BY 4.0"):
        assert told in text


def test_the_page_s_own_numbers_agree_and_the_walk_s_strides_lie_in_its_bouts(walk: tuple[Path, Bundle]) -> None:
    """The mounting is found by the strides themselves; those that told it are counted, and lie where they were."""
    (left,) = result_of(read_messages(walk[0], KINDS)).sensors
    assert left.gait is not None
    assert left.gait.mounting in {"as configured", "corrected"}
    assert left.figures.n_strides - sum(bout.n_strides for bout in left.bouts) <= 2
    first_used_s = next(window.start_s for window in left.windows if not window.refusal)
    assert left.bouts[0].start_ns / 1e9 < first_used_s - 5.0
    assert left.walked_s > 80.0


def test_windows_that_came_to_nothing_are_rows_of_their_own(walk: tuple[Path, Bundle]) -> None:
    """Every window is used, refused for a reason, or one whose prediction is lost."""
    folder, bundle = walk
    session = read_messages(folder, KINDS)
    (before,) = result_of(session).sensors
    assert before.health is not None
    assert before.n_refused["gaps"] == before.health.n_windows_refused > 0
    predictions = [one for one in session.messages if isinstance(one.message, Prediction)]
    left_over = tuple(one for one in session.messages if one not in predictions[20:27])
    text = text_of(reported(dataclasses.replace(session, messages=left_over), bundle))
    n_windows = len(before.windows)
    assert f"of {n_windows} windows" in text
    assert text.partition("prediction lost ")[2].split()[:2] == ["7", f"{7 / n_windows:.1%}"]
    assert text.partition("refused: gaps ")[2].split()[0] == str(before.n_refused["gaps"])
    assert f"used, in a bout {before.result.n_windows - 7} " in text
    assert before.result.n_windows + before.n_outside_bouts + sum(before.n_refused.values()) == n_windows


def test_where_no_stride_is_known_the_page_does_not_say_that_nobody_walked(walk: tuple[Path, Bundle]) -> None:
    folder, bundle = walk
    session = read_messages(folder, KINDS)
    told = tuple(one for one in session.messages if not isinstance(one.message, Gait))
    text = text_of(reported(dataclasses.replace(session, messages=told), bundle))
    assert "The foot walked, but no stride of it is known, so no bout can be told, and no class." in text
    assert "no result: too few windows in walking bouts" in text
    assert "used at the time, outside every bout " in text
    assert "Walked 0 s" not in text


def test_what_was_counted_before_inference_died_stays_in_the_link_s_table(walk: tuple[Path, Bundle]) -> None:
    """Two reboots of the sensor, then a new publisher, which knows only that a process died before it."""
    folder, bundle = walk
    session = read_messages(folder, KINDS)
    last = next(one for one in reversed(session.messages) if isinstance(one.message, Health))
    assert isinstance(last.message, Health)
    n_samples = last.message.n_samples_received
    assert n_samples == last.message.n_samples > 10_000
    rebooted = msgspec.structs.replace(last.message, n_restarts=2)
    new = msgspec.structs.replace(
        last.message,
        boot_id="later",
        n_restarts=1,
        n_restarts_before=1,
        n_samples=40,
        n_samples_received=n_samples + 99,
    )
    told = (*session.messages, *(Published(one, last.received_ns) for one in (rebooted, new)))

    def row_of(messages: tuple[Published, ...]) -> list[str]:
        text = text_of(reported(dataclasses.replace(session, messages=messages), bundle))
        return text.partition(" lost in the ring ")[2].partition("Model and settings")[0].split()

    row = row_of(told)
    assert (row[0], row[1], row[6]) == ("left", str(n_samples + 99), "3")
    old = tuple(
        Published(msgspec.structs.replace(one.message, n_samples_received=0, n_restarts_before=None), one.received_ns)
        if isinstance(one.message, Health)
        else one
        for one in told
    )
    assert row_of(old)[1:4] == ["at", "least", str(n_samples + 40)], "an older recording does not say what came"


def test_two_sensors_have_a_result_together_and_a_part_of_the_page_each(walk: tuple[Path, Bundle]) -> None:
    folder, bundle = walk
    session = read_messages(folder, KINDS)
    right = tuple(
        Published(msgspec.structs.replace(one.message, sensor="right"), one.received_ns) for one in session.messages
    )
    info = msgspec.structs.replace(
        session.info, sensors=(*session.info.sensors, RecordedSensor(name="right", kind="metawear"))
    )
    both = dataclasses.replace(session, info=info, messages=(*session.messages, *right))
    html = reported(both, bundle)
    text = text_of(html)
    assert html.count("<svg ") == 2
    for told in ("All sensors together: ", "left: ", "right: ", "Sensor left", "Sensor right", "right (metawear)"):
        assert told in text
    assert text.count("Gait figures of this foot") == 2


def test_strides_that_were_left_out_are_said(walk: tuple[Path, Bundle]) -> None:
    folder, bundle = walk
    session = read_messages(folder, KINDS)
    told = tuple(
        Published(msgspec.structs.replace(one.message, n_implausible=3), one.received_ns)
        if isinstance(one.message, Gait)
        else one
        for one in session.messages
    )
    assert "no stride that anybody takes: 3, beside" in text_of(
        reported(dataclasses.replace(session, messages=told), bundle)
    )


def test_the_model_s_card_is_in_the_page_and_prints(page: Path, walk: tuple[Path, Bundle]) -> None:
    html = page.read_text(encoding="utf-8")
    assert "<details open><summary>The model&#x27;s card</summary>" in html
    text = text_of(html)
    assert f"{walk[1].manifest.name}: a demonstration, not valid for people" in text
    for told in ("balanced accuracy by person", "65 robust, 73 pre-frail, 20 frail", "Apache-2.0", "How good it is"):
        assert told in text.partition("The model's card")[2]
    without = text_of(reported(read_messages(walk[0], KINDS), walk[1]))
    assert "The model's folder holds no card." in without
    assert walk[1].manifest.intended_use in without


def test_a_part_alone_is_no_whole_session(walk: tuple[Path, Bundle], tmp_path: Path) -> None:
    bundle = record_walk(tmp_path, 30.0, rotate_s=12.0)
    second = sorted(tmp_path.glob("*.mcap"))[1]
    text = text_of(reported(read_messages(second, KINDS), bundle))
    assert "The recording is not without faults: part 2 of the session alone" in text
    assert "Whatever reached the program" not in text


def test_a_page_that_is_there_is_replaced_only_by_force(page: Path, walk: tuple[Path, Bundle]) -> None:
    page_before = page.read_bytes()
    page.write_text("mine", encoding="utf-8")
    assert_refused(frailedge("report", walk[0], "--out", page), "there already", "--force")
    assert page.read_text(encoding="utf-8") == "mine"
    forced = frailedge("report", walk[0], "--out", page, "--force")
    assert (forced.returncode, forced.stdout.strip()) == (0, str(page)), forced.stderr
    assert page.read_bytes() == page_before
    assert [path.name for path in page.parent.iterdir()] == [page.name]


def test_only_its_owner_may_read_what_it_says_of_somebody_s_health(page: Path) -> None:
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_what_cannot_be_reported_is_refused_in_one_line(walk: tuple[Path, Bundle], tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\.mcap"):
        report.command(tmp_path, tmp_path / "x.html")
    with pytest.raises(RecordingError, match="cannot be written"):
        report.command(walk[0], tmp_path / "nowhere" / "x.html")
    write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(ConfigError, match=r"twins-demo.*tiny.*--bundle"):
        report.command(walk[0], tmp_path / "x.html", bundle=str(tmp_path / "tiny"))
    assert not list(tmp_path.glob("*.html"))


def test_a_walk_of_two_steps_has_no_result_and_says_why(tmp_path: Path) -> None:
    bundle = record_walk(tmp_path, 7.0)
    session = read_messages(tmp_path, KINDS)
    text = " ".join(Reader(reported(session, bundle)).text)
    assert "This session: no result: too few windows" in text
    assert "95 % interval " not in text.partition("How to read this")[0]


def test_losses_are_listed_and_what_a_session_says_is_text_never_markup(walk: tuple[Path, Bundle]) -> None:
    folder, bundle = walk
    evil = '</svg><script>alert("1")</script><img src="http://elsewhere/x">&amp;'
    session = read_messages(folder, KINDS)
    changed = tuple(
        Published(msgspec.structs.replace(one.message, sensor=evil), one.received_ns) for one in session.messages
    )
    info = msgspec.structs.replace(
        session.info, person=evil, bundle=evil, sensors=(RecordedSensor(name=evil, kind=evil),)
    )
    text = reported(SessionLog(info, changed, ("3 records are missing", evil), (1,)), bundle, f"# {evil}\n- {evil}\n")
    reader = Reader(text)
    assert not {"script", "img"} & set(reader.tags)
    assert "".join(reader.text).count(evil) >= 7
    assert "3 records are missing" in "".join(reader.text)
    assert "Nobody walked" not in text, "a sensor of a kind is no virtual one"


@pytest.mark.skipif(_BROWSER is None, reason="no chromium on this machine")
def test_a_browser_shows_the_page_with_its_timeline(page: Path, tmp_path: Path) -> None:
    shot = Path(os.environ.get(_PICTURE) or tmp_path / "report.png").absolute()
    subprocess.run(
        [
            *(str(_BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=880,2000"),
            *(f"--screenshot={shot}", page.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert 80_000 < shot.stat().st_size < 300_000
