"""The loop behind the terminal view: messages from a subscriber to a `Board`, drawn until the end."""

import sys
import time
from collections.abc import Callable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from edge.board import Board
from edge.bus import Subscriber
from edge.messages import Message

_DRAW_EVERY_S: Final = 0.2
_LINE_EVERY_S: Final = 2.0


def show(
    subscriber: Subscriber,
    *,
    title: str,
    duration_s: float | None = None,
    is_over: Callable[[], bool] = lambda: False,
    on_message: Callable[[Message], object] = lambda _: None,
    footer: Callable[[], str] = lambda: "",
) -> Board:
    """Draw until ``is_over``, the duration's end or Ctrl-C; without a terminal print a line every two seconds.

    ``footer`` gives a line to stand below, or nothing.
    """
    board = Board()
    console = Console()
    begin_s = time.monotonic()
    end_s = begin_s + duration_s if duration_s is not None else float("inf")
    next_line_s = begin_s + _LINE_EVERY_S
    live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else None
    if live is not None:
        live.start()
    try:
        while not is_over() and (now_s := time.monotonic()) < end_s:
            _receive(subscriber, now_s + _DRAW_EVERY_S, board, on_message)
            if live is not None:
                live.update(_with_footer(board.render(time.time(), title), footer()), refresh=True)
            elif time.monotonic() >= next_line_s:
                next_line_s += _LINE_EVERY_S
                for line in filter(None, [*board.plain_lines(time.time()), footer()]):
                    print(f"{time.monotonic() - begin_s:6.1f} s | {line}")
                sys.stdout.flush()
    except KeyboardInterrupt:
        pass  # the way to end a view
    finally:
        if live is not None:
            live.stop()
    _receive(subscriber, time.monotonic() + _DRAW_EVERY_S, board, on_message)  # what was on its way at the end
    return board


def _with_footer(picture: RenderableType, footer: str) -> RenderableType:
    return Group(picture, Text(footer, style="bold red" if footer.startswith("NOT") else "")) if footer else picture


def _receive(subscriber: Subscriber, until_s: float, board: Board, on_message: Callable[[Message], object]) -> None:
    while (left_s := until_s - time.monotonic()) > 0:
        message = subscriber.receive(left_s)
        if message is not None:
            board.take(message)
            on_message(message)
    board.n_missed = subscriber.n_missed
