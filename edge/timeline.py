"""A session at a glance: the windows of one sensor enter, an SVG of three bands over time leaves.

What the foot did, which class was told, and why windows were not used. Colours never stand alone: a legend names them,
and each piece says what it is when it is pointed at. Nothing is fetched, no script runs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

from edge.session_time import TimedWindow

_WIDTH: Final = 760.0
_LEFT: Final = 70.0
_BAND: Final = 22.0
_STEP: Final = 32.0
_LEGEND: Final = 20.0
_TICKS: Final = 8
# Okabe and Ito's colours, which people who see few colours tell apart too.
_OF_CLASSES: Final = ("#009e73", "#e69f00", "#cc79a7", "#0072b2", "#d55e00", "#56b4e9", "#f0e442")
_OF_STATES: Final = {
    "walking": "#009e73",
    "standing": "#0072b2",
    "not worn": "#56b4e9",
    "other": "#e69f00",
    "not walking": "#e69f00",
    "unknown": "#999999",
    "mounting unknown": "#999999",
    "poor quality": "#d55e00",
    "gaps": "#f0e442",
    "unlike training data": "#cc79a7",
}
_OF_ANY_OTHER: Final = "#000000"
# Windows overlap; pieces of the same state closer than this many seconds are one.
_JOIN_S: Final = 0.05

# Narrower than this many units of the drawing nobody sees a piece: several become the one of them that lasts longest.
_NARROW: Final = 0.5

_Piece = tuple[float, float, str]
"""Start and stop in seconds, and what it is."""


def timeline(windows: Sequence[TimedWindow], labels: Sequence[str], title: str) -> str:
    """The bands of at least one window, in order of time; ``labels`` are the classes, for colours that stay."""
    stop_s = max(window.stop_s for window in windows)
    seconds = (_WIDTH - _LEFT - 10) / max(stop_s, 1e-9)
    bands = {
        name: _seen(_pieces(windows, state_of), _NARROW / seconds)
        for name, state_of in (
            ("motion", lambda window: window.motion),
            ("class", lambda window: window.label or ""),
            ("refused", lambda window: window.refusal),
        )
    }
    states = {name: sorted({state for _, _, state in pieces}) for name, pieces in bands.items()}
    states["class"].sort(key=list(labels).index)
    of_classes = {label: _OF_CLASSES[i % len(_OF_CLASSES)] for i, label in enumerate(labels)}
    colours = {
        name: {state: (of_classes if name == "class" else _OF_STATES).get(state, _OF_ANY_OTHER) for state in known}
        for name, known in states.items()
    }
    parts = []
    for row, (name, pieces) in enumerate(bands.items()):
        y = 4 + row * _STEP
        parts.append(f'<text x="0" y="{y + 15:g}">{name}</text>')
        parts.append(
            f'<rect x="{_LEFT:g}" y="{y:g}" width="{stop_s * seconds:.1f}" height="{_BAND:g}" fill="#f0f2f4"/>'
        )
        for begin, end, state in pieces:
            parts.append(
                f'<rect x="{_LEFT + begin * seconds:.1f}" y="{y:g}" width="{max((end - begin) * seconds, 0.5):.1f}" '
                f'height="{_BAND:g}" fill="{colours[name][state]}"><title>'
                f"{escape(f'{name}: {state}, {begin:.0f} to {end:.0f} s')}</title></rect>"
            )
    axis_y = 4 + len(bands) * _STEP
    parts += _axis(stop_s, seconds, axis_y)
    height = axis_y + 24
    for name, known in states.items():
        if known:
            parts += _legend(name, known, colours[name], height)
            height += _LEGEND
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="#1b1f24">{"".join(parts)}</svg>'
    )


def _pieces(windows: Iterable[TimedWindow], state_of: Callable[[TimedWindow], str]) -> list[_Piece]:
    """Where a state lasts, an empty one too; a window holds until the next one begins."""
    pieces: list[_Piece] = []
    for window in windows:
        state = state_of(window)
        if pieces and window.start_s < pieces[-1][1]:
            pieces[-1] = (pieces[-1][0], window.start_s, pieces[-1][2])
        if pieces and pieces[-1][2] == state and window.start_s - pieces[-1][1] <= _JOIN_S:
            pieces[-1] = (pieces[-1][0], window.stop_s, state)
        else:
            pieces.append((window.start_s, window.stop_s, state))
    return pieces


def _seen(pieces: Iterable[_Piece], narrow_s: float) -> list[_Piece]:
    """The pieces that can be told apart: narrower ones in a row are one, and neighbours of one state too."""
    seen: list[_Piece] = []
    row: list[_Piece] = []  # narrow ones that touch, and are not yet as wide as can be seen
    for piece in pieces:
        is_wide = piece[1] - piece[0] >= narrow_s
        if row and (is_wide or piece[0] - row[-1][1] >= narrow_s or row[-1][1] - row[0][0] >= narrow_s):
            _add(seen, row)
            row = []
        if is_wide:
            _add(seen, [piece])
        else:
            row.append(piece)
    _add(seen, row)
    return [piece for piece in seen if piece[2]]


def _add(seen: list[_Piece], row: Sequence[_Piece]) -> None:
    """What lasts longest in ``row``, over all of it."""
    if not row:
        return
    lasting_s: defaultdict[str, float] = defaultdict(float)
    for begin, end, state in row:
        lasting_s[state] += end - begin
    begin, end = row[0][0], row[-1][1]
    state = max(lasting_s, key=lasting_s.__getitem__)
    if seen and seen[-1][2] == state and begin - seen[-1][1] <= _JOIN_S:
        seen[-1] = (seen[-1][0], end, state)
    else:
        seen.append((begin, end, state))


def _axis(stop_s: float, seconds: float, y: float) -> list[str]:
    steps_s = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
    step_s = next((step for step in steps_s if stop_s / step <= _TICKS), stop_s / _TICKS)
    parts, i = [], 0
    while i * step_s <= stop_s:
        x = _LEFT + i * step_s * seconds
        text = f"{i * step_s:.0f} s" if step_s < 60 else f"{i * step_s / 60:.0f} min"
        parts.append(f'<path d="M{x:.1f} {y - 6:g}v5" stroke="#1b1f24"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 10:g}" text-anchor="{"middle" if i else "start"}">{text}</text>')
        i += 1
    return parts


def _legend(name: str, states: Iterable[str], colours: dict[str, str], y: float) -> list[str]:
    parts = [f'<text x="0" y="{y + 10:g}">{name}</text>']
    x = _LEFT
    for state in states:
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="12" height="12" fill="{colours[state]}"/>')
        parts.append(f'<text x="{x + 16:g}" y="{y + 10:g}">{escape(state)}</text>')
        x += 30 + 7 * len(state)
    return parts
