"""Options that several commands share, each the command-line side of one configuration key."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge.config import Config, load_config
from edge.errors import ConfigError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with what differs from `frailedge config`.", metavar="FILE")
]
BundleDir = Annotated[str | None, typer.Option("--bundle", help="Folder of a model bundle.", metavar="DIR")]
Variant = Annotated[str | None, typer.Option("--variant", help="Model variant: int8 or dynamic.")]
Runtime = Annotated[str | None, typer.Option("--runtime", help="ai_edge_litert or tflite_runtime.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="ZeroMQ address to publish at.")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Encoding of messages: msgpack or json.")]
Coefficients = Annotated[
    bool | None,
    typer.Option("--coefficients/--no-coefficients", help="Publish each window's coefficients on window/ too."),
]
SignalDecimation = Annotated[
    int | None, typer.Option("--signal-decimation", help="Publish every N-th sample on signal/.", metavar="N")
]
QueueMessages = Annotated[
    int | None, typer.Option("--queue-messages", help="Messages kept for a slow subscriber.", metavar="N")
]
BleBackend = Annotated[
    str | None, typer.Option("--backend", help="bluez, or a bumble transport such as usb:0.", metavar="NAME")
]
BleAdapter = Annotated[str | None, typer.Option("--adapter", help="Bluetooth adapter, such as hci1.", metavar="HCI")]
Virtual = Annotated[bool, typer.Option("--virtual", help="A virtual foot sensor in the place of Bluetooth LE.")]
SearchS = Annotated[float | None, typer.Option("--search-s", help="How long to look for the sensors.")]
LowRate = Annotated[bool | None, typer.Option("--low-rate/--no-low-rate", help="Insist on a sensor below 50 Hz.")]
Walker = Annotated[str | None, typer.Option("--walker", help="Who walks: a name or TOML file.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the virtual walk.")]


def configured(path: Path | None, **options: Any) -> Config:
    """The configuration in force; options are named ``section__key``."""
    try:
        return load_config(path, {key.replace("__", "."): value for key, value in options.items()})
    except ValueError as error:  # msgspec names the field that an option does not fit
        raise ConfigError(f"option: {error}") from error
