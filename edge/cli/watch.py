"""`frailedge watch`: the terminal view, a plain subscriber like any other."""

from typing import Annotated

import typer

from edge.bus import DEFAULT_ENDPOINT, Subscriber
from edge.view import show


def command(
    endpoint: Annotated[str, typer.Argument(help="ZeroMQ address of a publisher.")] = DEFAULT_ENDPOINT,
    sensor: Annotated[str | None, typer.Option("--sensor", help="Only this sensor.")] = None,
    duration_s: Annotated[float | None, typer.Option("--duration-s", help="Stop after this time.")] = None,
) -> None:
    """Show what is published: late start, restarts and silence of the publisher are all fine."""
    topics = ("prediction", "decision", "signal", "gait", "health")
    subscriber = Subscriber(endpoint, [f"{topic}/{sensor}/" if sensor else f"{topic}/" for topic in topics])
    try:
        show(subscriber, title=f"frailedge watch {endpoint}", duration_s=duration_s)
    finally:
        subscriber.close()
