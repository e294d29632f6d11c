"""WitMotion WT901BLE and BWT901BLE5: the talk that makes them stream at 100 Hz, and what their bytes mean.

Notifications enter, events leave. They are pieces of one stream of frames, cut anywhere and without checksum, so
frames are put together here; bytes that belong to none are skipped and reported. The sensor says neither time nor
number of its samples: `firmware_bridge.devices.counting` numbers them.

::

    55 61   3 × i16 acc (16 g / 32768) · 3 × i16 gyr (2000 deg/s / 32768) · 3 × i16 angle, unused
    55 71   u16 first register · 8 × u16 registers, the answer to FF AA 27 rr 00

The two kinds send the same frames over the same characteristics: public sources tell them apart by their names only.
Early data sheets of the WT901BLE list return rates up to 50 Hz, the protocol of the BWT901BLE5 up to 200 Hz; so the
rate is read back before the first sample is delivered, and a sensor with another one is refused. Neither has a battery
service: the voltage stands in register 64 (hexadecimal), which is not read, so the battery stays unknown.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2
from firmware_bridge.device import (
    Advert,
    Ask,
    DeviceError,
    DeviceKind,
    Losses,
    Pause,
    StreamInfo,
    Subscribe,
    Talk,
    Write,
)
from firmware_bridge.devices.counting import SampleCounter
from firmware_bridge.events import CorruptPacket, Event

SERVICE_UUID: Final = "0000ffe5-0000-1000-8000-00805f9a34fb"
"""Not the Bluetooth base UUID: 9a where that has 9b."""
NOTIFY_UUID: Final = "0000ffe4-0000-1000-8000-00805f9a34fb"
WRITE_UUID: Final = "0000ffe9-0000-1000-8000-00805f9a34fb"

RATE_HZ: Final = 100.0
ACC_RANGE_G: Final = 16.0
GYR_RANGE_DEG_S: Final = 2000.0
COMMAND_PAUSE_S: Final = 0.1
"""What the maker's own software leaves between two commands."""
MOST_QUESTIONS: Final = 3
"""An answer that is cut is no answer; one that never comes ends the attempt."""

_UNLOCK: Final = bytes.fromhex("ffaa6988b5")
_SET_100_HZ: Final = bytes.fromhex("ffaa030900")
_SAVE: Final = bytes.fromhex("ffaa000000")
_READ_RATE: Final = bytes.fromhex("ffaa270300")
_RATE_CODE: Final = b"\x09\x00"
_RATES: Final = dict(enumerate(("0.1", "0.5", "1", "2", "5", "10", "20", "50", "100", "200"), start=1))

_FRAME_BYTES: Final = 20
_DATA: Final = b"\x55\x61"
_REGISTERS: Final = b"\x55\x71"
_RATE_ANSWER: Final = _REGISTERS + b"\x03\x00"
_HEADERS: Final = (_DATA, _REGISTERS)
_FRAME_DTYPE: Final = np.dtype("<i2")
_SAMPLE_END: Final = 2 + 2 * N_CHANNELS
_FULL_COUNTS: Final = 32767
_SCALE: Final = np.empty(N_CHANNELS, np.float32)
_SCALE[ACC] = ACC_RANGE_G * STANDARD_GRAVITY_M_S2 / 32768
_SCALE[GYR] = math.radians(GYR_RANGE_DEG_S) / 32768
_SCALE.setflags(write=False)


class _Frames:
    """The byte stream, put together to frames; it keeps less than one frame."""

    def __init__(self) -> None:
        self._rest = b""

    def clear(self) -> None:
        """Forget the half of a frame: its other half never comes."""
        self._rest = b""

    def add(self, data: bytes) -> tuple[list[bytes], int, int]:
        """Frames that are whole now; how many bytes were skipped before them, and how many data frames were cut."""
        n_skipped = n_cut = 0
        if self._rest and data.startswith(_HEADERS) and not self._continues(data):
            n_skipped, n_cut = len(self._rest), int(not self._rest.startswith(_REGISTERS))
            self._rest = b""
        stream = self._rest + data
        frames: list[bytes] = []
        at = 0
        while at < len(stream):
            if not _may_start(stream, at):
                at += 1
                n_skipped += 1
            elif at + _FRAME_BYTES > len(stream):
                break
            elif (inner := _inner_header(stream, at)) is not None:
                n_skipped += inner - at
                n_cut += int(stream.startswith(_DATA, at))
                at = inner
            else:
                frames.append(stream[at : at + _FRAME_BYTES])
                at += _FRAME_BYTES
        self._rest = stream[at:]
        return frames, n_skipped, n_cut

    def _continues(self, data: bytes) -> bool:
        """Whether a notification that looks like a new frame is the rest of the old: the next one follows there."""
        n_missing = _FRAME_BYTES - len(self._rest)
        return data.startswith(_HEADERS, n_missing)


def _may_start(stream: bytes, at: int) -> bool:
    """Whether a frame stands there, as far as its header has come."""
    return stream.startswith(_HEADERS, at) or stream[at:] == _DATA[:1]


def _inner_header(stream: bytes, at: int) -> int | None:
    """Where a frame that was cut gives way to the next; nothing where the frame ends as it should."""
    end = at + _FRAME_BYTES
    if end == len(stream) or _may_start(stream, end):
        return None
    found = [stream.find(header, at + 2, end + 1) for header in _HEADERS]
    return min((inner for inner in found if inner >= 0), default=None)


class WitMotion:
    """One sensor over any number of connections."""

    def __init__(self) -> None:
        self._counter = SampleCounter(RATE_HZ)
        self._frames = _Frames()

    @property
    def stream(self) -> StreamInfo:
        """The same for each one."""
        return StreamInfo(
            rate_hz=RATE_HZ,
            samples_per_packet=1,
            acc_range_m_s2=ACC_RANGE_G * STANDARD_GRAVITY_M_S2,
            gyr_range_rad_s=math.radians(GYR_RANGE_DEG_S),
            has_clock=False,
        )

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Set 100 Hz for good, as the maker's software does, then read it back; it streams whenever it is on.

        Samples that come before the answer are data like those after it: the rate was set before anybody listened.
        """
        self._frames.clear()
        self._counter.interrupted()
        for command in (_UNLOCK, _SET_100_HZ, _SAVE):
            yield Write(WRITE_UUID, command, with_response=False)
            yield Pause(COMMAND_PAUSE_S)
        yield Subscribe(NOTIFY_UUID)
        for _ in range(MOST_QUESTIONS):
            answer = yield Ask(WRITE_UUID, _READ_RATE, NOTIFY_UUID, with_response=False, mark=_RATE_ANSWER)
            frames = _Frames().add(answer)[0]
            self._counter.missed(sum(frame.startswith(_DATA) for frame in frames))
            codes = [frame[4:6] for frame in frames if frame.startswith(_RATE_ANSWER)]
            if codes:
                _check_rate(codes[0])
                return
        raise DeviceError("the sensor does not say its rate: set 100 Hz in the maker's app, switch it off and on")

    def stop(self) -> Talk:
        """Nothing: there is no command for it."""
        yield from ()

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """A piece of the stream: no frame, one, or several."""
        if uuid != NOTIFY_UUID:
            return []
        frames, n_skipped, n_cut = self._frames.add(data)
        events: list[Event] = []
        if n_skipped > 0:
            self._counter.missed(n_cut)
            events.append(CorruptPacket(f"{n_skipped} bytes between frames", received_ns))
        samples = [frame[2:_SAMPLE_END] for frame in frames if frame.startswith(_DATA)]
        if not samples:
            return events
        counts = np.frombuffer(b"".join(samples), _FRAME_DTYPE).reshape(-1, N_CHANNELS)
        saturated = (np.abs(counts.astype(np.int32)) >= _FULL_COUNTS).any(axis=1)
        return events + self._counter.deliver(counts * _SCALE, saturated, received_ns)


def _check_rate(code: bytes) -> None:
    if code != _RATE_CODE:
        number = int.from_bytes(code, "little")
        rate = f"{_RATES[number]} Hz" if number in _RATES else f"an unknown rate (code {number})"
        raise DeviceError(f"the sensor sends at {rate}, not {RATE_HZ:g} Hz: set it in the maker's app")


def _fits_wt901ble(advert: Advert) -> bool:
    return advert.name.startswith("WT901BLE")


def _fits_bwt901ble5(advert: Advert) -> bool:
    """By its name; and whatever else advertises the service: the bytes are the same."""
    is_service_there = SERVICE_UUID in advert.service_uuids
    return not _fits_wt901ble(advert) and (advert.name.startswith("BWT901BLE") or is_service_there)


def _kind(key: str, title: str, fits: Callable[[Advert], bool]) -> DeviceKind:
    return DeviceKind(
        key=key,
        title=title,
        source="WitMotion SDK, Bluetooth 5.0 communication protocol; "
        "WITMOTION/WitBluetooth_BWT901BLE5_0 device_model.py; "
        "frames of a WT901BLE68 in obedier/vib analyze_wt901_data.py",
        is_verified=True,
        rate_hz=RATE_HZ,
        acc_range_g=ACC_RANGE_G,
        gyr_range_deg_s=GYR_RANGE_DEG_S,
        axes="x and y as printed on the case, z out of its face (up when it lies flat)",
        losses=Losses.ESTIMATED,
        fits=fits,
        make=WitMotion,
    )


KIND_WT901BLE: Final = _kind("wt901ble", "WitMotion WT901BLE", _fits_wt901ble)
KIND_BWT901BLE5: Final = _kind("bwt901ble5", "WitMotion BWT901BLE5", _fits_bwt901ble5)
