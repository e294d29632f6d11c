"""`frailedge virtual-sensor`: a sensor without hardware as a real Bluetooth LE peripheral.

Options enter, checked as far as they can be before a controller is opened; the running sensor is
`edge.ble.virtual_run`'s.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edge.ble.selection import find_kind
from edge.ble.sent import SentSamples
from edge.config import VirtualConfig
from edge.errors import ConfigError
from edge.sources.described_sensor import read_description
from edge.sources.virtual import walk_source
from firmware_bridge.device import DeviceKind
from firmware_bridge.devices import v1
from firmware_bridge.kinds import PERIPHERALS
from firmware_bridge.packet_v1 import Frame, Info
from firmware_bridge.peripheral import Peripheral
from firmware_bridge.peripherals.described import DescribedPeripheral
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.virtual_sensor import RATES_TENTH_HZ, Faults


def command(
    transport: Annotated[
        str | None, typer.Option("--transport", help="HCI transport of the Bluetooth controller to use.", metavar="HCI")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Kind of sensor, as in `frailedge live --list-sensors`, or its TOML file.")
    ] = v1.KIND.key,
    walker: Annotated[str | None, typer.Option("--walker", help="Who walks: a name or TOML file.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name to advertise.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the walk and of the faults.")] = 0,
    rate_hz: Annotated[float | None, typer.Option("--rate-hz", help="Sampling rate of a frailedge-v1 sensor.")] = None,
    speed: Annotated[float, typer.Option("--speed", help="How many times as fast as real time.")] = 1.0,
    duration_s: Annotated[float | None, typer.Option("--duration-s", help="End after this time.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write what was sent, and its description FILE.toml beside it.", metavar="FILE"),
    ] = None,
    drop_share: Annotated[float, typer.Option("--drop-share", help="Share of the packets that get lost.")] = 0.0,
    burst_packets: Annotated[int, typer.Option("--burst-packets", help="How many are lost in a row.")] = 1,
    wrong_share: Annotated[float, typer.Option("--wrong-share", help="Share of the packets that are spoilt.")] = 0.0,
    silence_every_s: Annotated[
        float, typer.Option("--silence-every-s", help="Fall silent so often, on average.")
    ] = 0.0,
    silence_s: Annotated[float, typer.Option("--silence-s", help="How long a silence lasts.")] = 0.0,
    disconnect_every_s: Annotated[
        float, typer.Option("--disconnect-every-s", help="Break the connection so often, on average.")
    ] = 0.0,
    battery: Annotated[int, typer.Option("--battery", help="Percentage that the battery shows.")] = 80,
) -> None:
    """Be a foot sensor for another machine, over a Bluetooth controller of its own; Ctrl-C ends it with a summary."""
    if transport is None:
        raise ConfigError(
            "--transport is missing: say which Bluetooth controller to use, such as usb:0 (a USB dongle that BlueZ "
            "does not use), serial:/dev/ttyACM0,1000000 or tcp-client:127.0.0.1:6402"
        )
    for option, value, is_right, right in (
        ("--speed", speed, speed > 0, "above 0"),
        ("--duration-s", duration_s, duration_s is None or duration_s > 0, "above 0"),
        ("--battery", battery, 0 <= battery <= 100, "0 to 100"),
        ("--drop-share", drop_share, 0 <= drop_share <= 1, "0 to 1"),
        ("--wrong-share", wrong_share, 0 <= wrong_share <= 1, "0 to 1"),
        ("--burst-packets", burst_packets, burst_packets >= 1, "1 or more"),
    ):
        if not is_right:
            raise ConfigError(f"{option} {value}: must be {right}")
    # The extra `bumble` may be missing, which is told in a line; no other command needs it.
    from edge.ble.virtual_run import LinkFaults, VirtualRun  # noqa: PLC0415

    found = find_kind(kind)
    try:
        faults = Faults(radio_drop=drop_share, burst_packets=burst_packets, spoil=wrong_share)
        link_faults = LinkFaults(silence_every_s, silence_s, disconnect_every_s)
        make = _factory(found, kind, walker, name, seed, rate_hz, faults, battery)
        peripheral = make()
    except ValueError as error:
        raise ConfigError(f"option: {error}") from error
    with contextlib.ExitStack() as files:
        sent = None if csv is None else files.enter_context(SentSamples(csv, found, make()))
        asyncio.run(VirtualRun(found, peripheral, sent, seed).serve(transport, speed, link_faults, duration_s))


def _factory(
    kind: DeviceKind,
    asked: str,
    walker: str | None,
    name: str | None,
    seed: int,
    rate_hz: float | None,
    faults: Faults,
    battery_percent: int,
) -> Callable[[], Peripheral]:
    """Makes the same sensor, in the same boot, as often as it is called."""
    walk = VirtualConfig(seed=seed)
    source = walk_source(walk if walker is None else VirtualConfig(seed=seed, walker=walker))
    if rate_hz is not None and kind.key != v1.KIND.key:
        raise ConfigError(f"--rate-hz {rate_hz:g}: {kind.key} runs at the {kind.rate_hz:g} Hz that it is told to")
    if kind.key == v1.KIND.key:
        rate_tenth_hz = round((kind.rate_hz if rate_hz is None else rate_hz) * 10)
        if rate_tenth_hz not in RATES_TENTH_HZ:
            rates = ", ".join(f"{rate / 10:g}" for rate in RATES_TENTH_HZ)
            raise ConfigError(f"--rate-hz {rate_hz:g}: a {kind.key} sensor has {rates} Hz")
        # A new boot each time: numbers seen before mean nothing to a central that was there already.
        info = Info(secrets.randbits(32), rate_tenth_hz=rate_tenth_hz, frame=Frame.FOOT)
        named = PeripheralV1(source).name if name is None else name
        return lambda: PeripheralV1(
            source, name=named, faults=faults, seed=seed, battery_percent=battery_percent, info=info
        )
    if kind.key in PERIPHERALS:
        factory = PERIPHERALS[kind.key]
        if name is None:
            return lambda: factory(source, faults=faults, seed=seed, battery_percent=battery_percent)
        return lambda: factory(source, name=name, faults=faults, seed=seed, battery_percent=battery_percent)
    description = read_description(Path(asked))
    return lambda: DescribedPeripheral(
        source, description, name=name or "", faults=faults, seed=seed, battery_percent=battery_percent
    )
