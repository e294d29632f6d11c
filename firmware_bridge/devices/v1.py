"""Our own sensor, packet version 1: reading what it is, starting and stopping it, and its notifications as events.

The info, the answers and the data notifications enter; steps and events leave. Decoding is `DecoderV1`'s, which
outlives the connections, so that an outage is counted exactly; only a boot, a rate or a scale that is new makes a new
one. The layout is in ``docs/protocol.md``.
"""

from typing import Final

from firmware_bridge.channels import ACC, GYR
from firmware_bridge.decoder_v1 import DecoderV1
from firmware_bridge.device import (
    Advert,
    Ask,
    DeviceBusyError,
    DeviceError,
    DeviceKind,
    Losses,
    Read,
    StreamInfo,
    Subscribe,
    Talk,
    Write,
)
from firmware_bridge.events import CorruptPacket, Event, Restart
from firmware_bridge.packet_v1 import (
    CONTROL_UUID,
    DATA_UUID,
    FULL_COUNTS,
    INFO_UUID,
    NAME_PREFIX,
    SERVICE_UUID,
    Answer,
    Command,
    Frame,
    Info,
    Op,
    PacketError,
    Status,
)

_REASONS: Final = {
    Status.UNKNOWN: "does not know the command",
    Status.BAD_VALUE: "says that the value is bad",
}


class DeviceV1:
    """One sensor that speaks packet version 1; see `firmware_bridge.device.Device`."""

    def __init__(self) -> None:
        self._decoder: DecoderV1 | None = None
        self._restart: Restart | None = None

    @property
    def stream(self) -> StreamInfo:
        """What the info said; ``RuntimeError`` before the first `start`."""
        if self._decoder is None:
            raise RuntimeError("the stream is known once the sensor was started")
        info = self._decoder.info
        ranges = info.si_per_count * (FULL_COUNTS + 1)
        return StreamInfo(
            rate_hz=info.rate_hz,
            samples_per_packet=info.n_samples,
            acc_range_m_s2=float(ranges[ACC][0]),
            gyr_range_rad_s=float(ranges[GYR][0]),
            has_clock=True,
            is_foot_frame=info.frame is Frame.FOOT,
            boot_id=info.boot_id,
        )

    def start(self, now_ns: int) -> Talk:
        """Read the info, subscribe, start.

        The info comes first: whatever is notified from the moment of subscribing is read with this boot's scales.
        """
        data = yield Read(INFO_UUID)
        try:
            info = Info.from_bytes(data)
        except PacketError as error:
            raise DeviceError(f"its info cannot be used: {error}; update the sensor's firmware to packet v1") from error
        self._info_read(info, now_ns)
        yield Subscribe(CONTROL_UUID, is_data=False)
        yield Subscribe(DATA_UUID)
        answer = yield Ask(CONTROL_UUID, bytes(Command.start()), CONTROL_UUID)
        _check_started(answer)

    def stop(self) -> Talk:
        """Stream no more; the goodbye does not wait for the indication."""
        yield Write(CONTROL_UUID, bytes(Command.stop()))

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """The events of a data notification, after a `Restart` that is still to be told."""
        if self._decoder is None:
            return [CorruptPacket("came before the sensor's info was read", received_ns)]
        if uuid != DATA_UUID:
            return [CorruptPacket(f"no data characteristic: {uuid}", received_ns)]
        events = self._decoder.feed(data, received_ns)
        if self._restart is not None:
            events.insert(0, self._restart)
            self._restart = None
        return events

    def _info_read(self, info: Info, now_ns: int) -> None:
        decoder = self._decoder
        if decoder is not None and _is_same_stream(decoder.info, info):
            decoder.info_read(info, now_ns)
            return
        self._decoder = DecoderV1(info)
        self._restart = Restart(info.boot_id, now_ns)


def _is_same_stream(old: Info, new: Info) -> bool:
    return (
        old.boot_id == new.boot_id
        and old.rate_tenth_hz == new.rate_tenth_hz
        and old.acc_lsb_per_g == new.acc_lsb_per_g
        and old.gyr_lsb_per_10_deg_s == new.gyr_lsb_per_10_deg_s
    )


def _check_started(data: bytes) -> None:
    try:
        answer = Answer.from_bytes(data)
    except PacketError as error:
        raise DeviceError(
            f"its answer to start cannot be used: {error}; update the sensor's firmware to packet v1"
        ) from error
    if answer.op != Op.START:
        raise DeviceError(f"it answered another command ({answer.op}) than start ({Op.START:d}); switch it off and on")
    if answer.status is Status.BUSY:
        raise DeviceBusyError("it does not start: it says that it is busy")
    if answer.status is not Status.DONE:
        raise DeviceError(f"it does not start: it {_REASONS[answer.status]}; switch it off and on")


def _fits(advert: Advert) -> bool:
    return SERVICE_UUID in advert.service_uuids or advert.name.startswith(NAME_PREFIX)


KIND: Final = DeviceKind(
    key="frailedge-v1",
    title="frailedge packet v1",
    source="docs/protocol.md",
    is_verified=True,
    rate_hz=104.0,
    acc_range_g=16.0,
    gyr_range_deg_s=2000.0,
    axes="the sensor's own, or x to the toe, y to the left, z up where its info says so",
    losses=Losses.EXACT,
    fits=_fits,
    make=DeviceV1,
)
