"""The real bleak over bumble: virtual sensors as GATT servers, met by its scanner and clients on a virtual air."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest
from bleak import BleakClient
from bleak.exc import BleakError
from hypothesis import given
from hypothesis import strategies as st

from edge.ble.bumble_backend import open_backend
from edge.ble.bumble_host import HciHost, open_host
from edge.ble.bumble_peripheral import ADVERT_BYTES, BumblePeripheral, LinkFaults, advertisement, static_address
from edge.errors import ConfigError, RadioError
from firmware_bridge.channels import Samples
from firmware_bridge.device import BATTERY_LEVEL_UUID, Device, DeviceKind
from firmware_bridge.events import Block, Gap
from firmware_bridge.kinds import KINDS, PERIPHERALS
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    INFO_UUID,
    SERVICE_UUID,
    Answer,
    Command,
    DataPacket,
    Info,
    Op,
    Status,
)
from firmware_bridge.peripheral import Notification, Peripheral
from firmware_bridge.peripherals.v1 import PeripheralV1
from tests.ble.bumble_central import Central, find
from tests.ble.controllers import virtual_air

PATIENCE_S = 20.0


def noise(rate_hz: float) -> Iterator[Samples]:
    rng = np.random.default_rng(7)
    while True:
        yield rng.normal(0.0, 3.0, (round(rate_hz), 6)).astype(np.float32)


class Sensor:
    """A virtual sensor on the air, and what it handed to the radio."""

    def __init__(self, host: HciHost, peripheral: Peripheral, speed: float, faults: LinkFaults | None) -> None:
        self.peripheral = peripheral
        self.sent: list[Notification] = []
        self.served = BumblePeripheral(
            host, peripheral, speed=speed, faults=faults, on_sent=lambda _, sent: self.sent.append(sent)
        )
        self.running = asyncio.create_task(self.served.run())


@asynccontextmanager
async def on_air(
    transport: str, peripheral: Peripheral, speed: float = 10.0, faults: LinkFaults | None = None
) -> AsyncIterator[Sensor]:
    async with open_host(transport, address=static_address(peripheral.name, 0)) as host:
        sensor = Sensor(host, peripheral, speed, faults)
        yield sensor
        sensor.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sensor.running


def run(scene: Callable[[str], Coroutine[None, None, None]]) -> None:
    """Play a scene on an air of its own."""

    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S), virtual_air() as transport:
            await scene(transport)

    asyncio.run(play())


def v1(name: str = "FE-test", seed: int = 0) -> PeripheralV1:
    return PeripheralV1(noise, name=name, seed=seed, battery_percent=37)


def test_a_scan_tells_name_services_and_strength() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()), open_backend(transport) as backend:
            device, data = await find(backend, "FE-test")
            assert (device.name, data.service_uuids, data.manufacturer_data) == ("FE-test", [SERVICE_UUID], {})
            assert data.rssi < 0

    run(scene)


def test_a_client_finds_the_gatt_table_a_large_mtu_info_and_battery() -> None:
    async def scene(transport: str) -> None:
        sensor = v1()
        async with on_air(transport, sensor), open_backend(transport) as backend:
            device, _ = await find(backend, "FE-test")
            async with BleakClient(device, backend=backend.client) as client:
                assert client.mtu_size > 247
                found = {
                    service.uuid: {c.uuid: set(c.properties) for c in service.characteristics}
                    for service in client.services
                }
                for service in sensor.services:
                    assert found[service.uuid] == {c.uuid: set(c.properties) for c in service.characteristics}
                assert Info.from_bytes(bytes(await client.read_gatt_char(INFO_UUID))) == sensor.info
                assert await client.read_gatt_char(BATTERY_LEVEL_UUID) == bytearray([37])
                assert client.is_connected
            assert not client.is_connected

    run(scene)


def test_commands_are_answered_by_indications_and_the_stream_comes_whole_and_in_order() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()) as sensor, open_backend(transport) as backend:
            central = Central(backend, (await find(backend, "FE-test"))[0])
            async with central.client as client:
                await central.subscribe(CONTROL_UUID, central.answers)
                await central.subscribe(DATA_UUID, central.came)
                await client.write_gatt_char(CONTROL_UUID, bytes(Command.start()), response=True)
                assert Answer.from_bytes((await central.answers.get())[1]) == Answer(Op.START, Status.DONE)
                came = await central.take(40)
                await client.write_gatt_char(CONTROL_UUID, bytes(Command.stop()), response=True)
                assert Answer.from_bytes((await central.answers.get())[1]) == Answer(Op.STOP, Status.DONE)
                came += await central.take(central.came.qsize())
            assert came == sensor.sent
            assert [DataPacket.from_bytes(data).packet_seq for _, data in came] == list(range(len(came)))

    run(scene)


def test_nothing_comes_any_more_after_the_subscription_has_ended() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()) as sensor, open_backend(transport) as backend:
            central = Central(backend, (await find(backend, "FE-test"))[0])
            async with central.client as client:
                await central.carry_out(KINDS[0].make().start(0))
                await central.take(3)
                await client.stop_notify(DATA_UUID)
                n_sent, n_came = len(sensor.sent), central.came.qsize()
                idle = sensor.peripheral.counts.samples_idle + 100
                while sensor.peripheral.counts.samples_idle < idle:
                    await client.read_gatt_char(INFO_UUID)
                assert (len(sensor.sent), central.came.qsize()) == (n_sent, n_came)

    run(scene)


def test_after_a_loss_the_sensor_advertises_again_and_what_was_missed_is_counted_exactly() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()) as sensor, open_backend(transport) as backend:
            device, _ = await find(backend, "FE-test")
            decoder = KINDS[0].make()
            n_came = n_lost = 0
            for _ in range(2):
                central = Central(backend, device)
                async with central.client:
                    await central.carry_out(decoder.start(0))
                    for uuid, data in await central.take(10):
                        for event in decoder.feed(uuid, data, 0):
                            n_came += len(event.samples) if isinstance(event, Block) else 0
                            n_lost += event.n_samples if isinstance(event, Gap) else 0
                            if isinstance(event, Block):
                                next_index = event.first_sample_index + len(event.samples)
                await central.lost.wait()
                device, _ = await find(backend, "FE-test")
            assert n_came == 80
            assert n_lost > 0
            first = DataPacket.from_bytes(sensor.sent[0][1]).first_sample_index
            assert n_came + n_lost == next_index - first
            assert sensor.served.counts.connections == 2

    run(scene)


def test_a_central_that_dies_without_a_goodbye_leaves_the_sensor_free_for_the_next() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()) as sensor:
            async with open_backend(transport) as backend:
                dying = Central(backend, (await find(backend, "FE-test"))[0])
                await dying.client.connect()
                await dying.carry_out(KINDS[0].make().start(0))
                await dying.take(1)
            assert sensor.peripheral.counts.samples_sent > 0
            async with open_backend(transport) as backend:
                central = Central(backend, (await find(backend, "FE-test"))[0])
                async with central.client:
                    n_idle = sensor.peripheral.counts.samples_idle
                    await central.carry_out(KINDS[0].make().start(0))
                    await central.take(3)
            assert n_idle > 0
            assert sensor.served.counts.connections == 2

    run(scene)


def test_two_sensors_stream_at_once_over_one_radio() -> None:
    async def scene(transport: str) -> None:
        async with AsyncExitStack() as stack:
            feet = [await stack.enter_async_context(on_air(transport, v1(name, 5))) for name in ("FE-left", "FE-right")]
            backend = await stack.enter_async_context(open_backend(transport))
            centrals = [Central(backend, (await find(backend, foot.peripheral.name))[0]) for foot in feet]
            for central in centrals:
                await stack.enter_async_context(central.client)
                await central.carry_out(KINDS[0].make().start(0))
            for central, foot in zip(centrals, feet, strict=True):
                came = await central.take(20)
                assert came == foot.sent[:20]
            await centrals[0].client.disconnect()
            assert centrals[0].lost.is_set()
            assert not centrals[1].lost.is_set()
            await centrals[1].take(5)

    run(scene)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_every_kind_is_found_started_decoded_and_stopped_over_the_air(kind: DeviceKind) -> None:
    # Not much faster than a clock: a WitMotion stays unlocked for ten seconds of its own.
    async def scene(transport: str) -> None:
        peripheral = PERIPHERALS[kind.key](noise, seed=3, battery_percent=41)
        async with on_air(transport, peripheral, speed=3.0) as sensor, open_backend(transport) as backend:
            device, _ = await find(backend, sensor.served.advertisement.name)
            central = Central(backend, device)
            async with central.client as client:
                decoder: Device = kind.make()
                await central.carry_out(decoder.start(0))
                came = await central.take(12)
                blocks = [e for uuid, data in came for e in decoder.feed(uuid, data, 0) if isinstance(e, Block)]
                assert sum(len(block.samples) for block in blocks) >= 5
                data = [notification for notification in came if notification in sensor.sent]  # the rest are answers
                assert data == sensor.sent[: len(data)]
                assert len(data) >= 10
                assert decoder.stream.rate_hz == pytest.approx(kind.rate_hz)
                if client.services.get_characteristic(kind.battery_uuid) is not None:
                    assert (await client.read_gatt_char(kind.battery_uuid))[0] == 41
                await central.carry_out(decoder.stop())

    run(scene)


def test_a_link_can_break_and_fall_silent_on_purpose() -> None:
    async def scene(transport: str) -> None:
        faults = LinkFaults(silence_every_s=0.1, silence_s=60.0, disconnect_every_s=0.5)
        async with on_air(transport, v1(), faults=faults) as sensor, open_backend(transport) as backend:
            central = Central(backend, (await find(backend, "FE-test"))[0])
            async with central.client:
                await central.carry_out(KINDS[0].make().start(0))
                await central.lost.wait()
            counts = sensor.served.counts
            assert (counts.silences, counts.disconnects_made) == (1, 1)
            assert counts.samples_silenced > 0
            assert counts.packets_handed_over == central.came.qsize() == len(sensor.sent)
            assert counts.samples_silenced + 4 * len(sensor.sent) == sensor.peripheral.counts.samples_sent

    run(scene)


def test_a_client_without_a_link_and_a_device_never_seen_are_bleaks_errors() -> None:
    async def scene(transport: str) -> None:
        async with on_air(transport, v1()), open_backend(transport) as backend:
            with pytest.raises(BleakError, match="no scan of this host has seen it"):
                await BleakClient("C0:00:00:00:00:01", backend=backend.client).connect()
            device, _ = await find(backend, "FE-test")
            client = BleakClient(device, backend=backend.client)
            async with client:
                pass
            with pytest.raises(BleakError):
                await client.read_gatt_char(INFO_UUID)

    run(scene)


def test_a_sensor_whose_controller_is_gone_says_so_and_its_central_is_told() -> None:
    async def scene(transport: str) -> None:
        async with open_backend(transport) as backend:
            async with open_host(transport, address=static_address("x", 0)) as host:
                running = asyncio.create_task(BumblePeripheral(host, v1()).run())
                central = Central(backend, (await find(backend, "FE-test"))[0])
                await central.client.connect()
                host.device.host.hci_sink.close()  # type: ignore[union-attr]
                with pytest.raises(RadioError, match="the controller is gone"):
                    await running
            await central.lost.wait()

    run(scene)


@pytest.mark.parametrize(
    ("transport", "error", "words"),
    [
        ("bluetooth", ConfigError, "no HCI transport"),
        ("usb:", ConfigError, "no HCI transport"),
        ("tcp-client:127.0.0.1:port", ConfigError, "no HCI transport"),
        ("tcp-client:127.0.0.1:1", RadioError, "cannot be opened"),
    ],
)
def test_a_transport_that_cannot_be_opened_is_one_line(transport: str, error: type[Exception], words: str) -> None:
    async def scene(_: str) -> None:
        with pytest.raises(error, match=words):
            async with open_backend(transport):
                pytest.fail("opened")

    run(scene)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bumble", None)
    for name in ("bumble_host", "bumble_backend", "bumble_peripheral"):
        monkeypatch.delitem(sys.modules, f"edge.ble.{name}")
        with pytest.raises(ConfigError, match=r"pip install 'frailedge\[bumble\]'"):
            importlib.import_module(f"edge.ble.{name}")


class Named(PeripheralV1):
    """A sensor of any name and any manufacturer data."""

    def __init__(self, name: str, manufacturer_data: dict[int, bytes]) -> None:
        super().__init__(noise)
        self.name = name
        self._manufacturer_data = manufacturer_data

    @property
    def manufacturer_data(self) -> dict[int, bytes]:
        return self._manufacturer_data


@given(st.text(min_size=1, max_size=40))
def test_an_advertisement_has_at_most_31_bytes_and_a_cut_name_is_a_start_of_the_whole(name: str) -> None:
    made = advertisement(Named(name, {}))
    assert len(made.data) <= ADVERT_BYTES
    assert len(made.scan_response) <= ADVERT_BYTES
    assert name.startswith(made.name)
    assert (made.scan_response == b"") == (made.name == name)
    assert len(made.name.encode()) == len(name.encode()) or len(name.encode()) > 8


def test_manufacturer_data_come_before_the_name_and_what_has_no_room_is_refused() -> None:
    made = advertisement(Named("FE-foot", {0x006B: b"\x01\x02"}))
    assert made.name == "FE"
    assert bytes.fromhex("05ff6b000102") in made.data
    with pytest.raises(ValueError, match="would take"):
        advertisement(Named("FE-foot", {0x006B: bytes(20)}))


@pytest.mark.parametrize("values", [(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
def test_link_faults_that_make_no_sense_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"silence|negative"):
        LinkFaults(*values)


def test_the_address_is_static_random_and_the_same_in_every_run() -> None:
    assert static_address("FE-foot", 1) == static_address("FE-foot", 1)
    assert static_address("FE-foot", 1) != static_address("FE-foot", 2)
    assert int(static_address("FE-foot", 1)[:2], 16) >= 0xC0
