"""The timeline shows each change that can be seen, and stays small however long the session and however it flickers."""

import itertools
import re
from collections.abc import Sequence

from edge.session_time import TimedWindow
from edge.timeline import timeline

LABELS = ("robust", "frail")
HOP_S, WINDOW_S = 50 / 104, 200 / 104
_RECT = re.compile(r'<rect x="([\d.]+)" y="4" width="([\d.]+)"[^>]*><title>motion: ([a-z ]+), (\d+) to (\d+) s')


def windows(motions: Sequence[str], *, first_s: float = 0.0) -> list[TimedWindow]:
    return [
        TimedWindow(
            first_s + i * HOP_S,
            first_s + i * HOP_S + WINDOW_S,
            motion,
            (),
            "" if motion == "walking" else "standing",
            LABELS[i % 2],
            None,
        )
        for i, motion in enumerate(motions)
    ]


def drawn(motions: Sequence[TimedWindow]) -> list[tuple[float, float, str, int, int]]:
    """Of the motion's band: where it begins on the drawing, how wide it is, what it is, from when to when."""
    found = _RECT.findall(timeline(motions, LABELS, "a walk"))
    return [(float(x), float(width), state, int(begin), int(end)) for x, width, state, begin, end in found]


def test_a_short_session_shows_every_change() -> None:
    pieces = drawn(windows(["standing"] * 20 + ["walking"] * 100 + ["standing"] + ["walking"] * 50))
    assert [piece[2] for piece in pieces] == ["standing", "walking", "standing", "walking"]


def test_eight_hours_that_flicker_are_a_small_drawing() -> None:
    n = round(8 * 3600 / HOP_S)
    for period in (1, 45):  # 45 windows are just wide enough to be seen
        changing = windows([("walking", "standing")[i // period % 2] for i in range(n)])
        text = timeline(changing, LABELS, "a day")
        assert len(text) < 700_000
    pieces = drawn(changing)
    assert all(width >= 0.5 for _, width, *_ in pieces[:-1])
    assert all(x + width <= after + 0.11 for (x, width, *_), (after, *_) in itertools.pairwise(pieces))


def test_what_is_too_narrow_is_shown_as_what_lasted_longest() -> None:
    n = round(8 * 3600 / HOP_S)
    pieces = drawn(windows([("walking", "walking", "standing")[i % 3] for i in range(n)]))
    assert {piece[2] for piece in pieces} == {"walking"}
    assert len(pieces) == 1


def test_an_hour_without_a_window_stays_empty_between_two_moments() -> None:
    pieces = drawn(windows(["walking"]) + windows(["walking"], first_s=3600.0) + windows(["walking"], first_s=7200.0))
    assert [(begin, end) for *_, begin, end in pieces] == [(0, 2), (3600, 3602), (7200, 7202)]
