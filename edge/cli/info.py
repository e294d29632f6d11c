"""`frailedge config` and `frailedge schema`: what is in force, and what is sent."""

import sys
from typing import Annotated

import msgspec
import typer

from edge.cli import options as opt
from edge.errors import ConfigError
from edge.messages import TOPICS, schemas


def config_command(config: opt.ConfigFile = None) -> None:
    """Print the configuration in force as TOML."""
    in_force = opt.configured(config)
    sys.stdout.write(msgspec.toml.encode(in_force).decode())


def schema_command(
    topic: Annotated[str | None, typer.Argument(help=f"One of {', '.join(TOPICS.values())}; all if none.")] = None,
) -> None:
    """Print the JSON Schema of the messages."""
    everything = schemas()
    if topic is not None:
        if topic.rstrip("/") not in everything["topics"]:
            raise ConfigError(f"{topic!r} is no topic; there are {', '.join(TOPICS.values())}")
        reference = everything["topics"][topic.rstrip("/")]
        everything = {"$schema": everything["$schema"], **reference, "$defs": everything["$defs"]}
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(everything), indent=2) + b"\n")
