"""MetaMotion and MetaWear boards of mbientlab: the talk that makes them stream both sensors, and what the bytes mean.

Notifications of the one notify characteristic enter, events leave. Boards carry a BMI160 or (MetaMotion S) a BMI270:
each module is asked which, and a board without gyroscope is refused.

::

    commands  module · register · value     03 accelerometer, 13 gyroscope; register 80: what are you?
    data      module · register · 3 × i16   03 04 (2048 a g at ±16 g) and 13 05, or 13 04 of a BMI270 (16.4 a deg/s)

Acceleration and angular velocity are two streams without time or number, sampled together at 100 Hz. They are paired
by count from the first of each on, so a notification that is lost shifts one against the other. That is seen when a
stream runs ahead: by more than `MAX_AHEAD`, or by any number over `LASTING_PAIRS` pairs. Then the samples that are
ahead lost their partners: they are dropped, counted as an estimated gap, and pairing begins again. A single loss may
stay below this, so the two may be up to a sample (10 ms) apart.
"""

import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import ACC, GYR, N_CHANNELS, STANDARD_GRAVITY_M_S2
from firmware_bridge.device import Advert, Ask, DeviceError, DeviceKind, Losses, StreamInfo, Subscribe, Talk, Write
from firmware_bridge.devices.counting import SampleCounter
from firmware_bridge.events import CorruptPacket, Event

SERVICE_UUID: Final = "326a9000-85cb-9195-d9dd-464cfbbae75a"
COMMAND_UUID: Final = "326a9001-85cb-9195-d9dd-464cfbbae75a"
NOTIFY_UUID: Final = "326a9006-85cb-9195-d9dd-464cfbbae75a"

RATE_HZ: Final = 100.0
ACC_RANGE_G: Final = 16.0
GYR_RANGE_DEG_S: Final = 2000.0
MAX_AHEAD: Final = 5
"""Samples that one stream may wait for the other: as many as a slow connection interval of 50 ms holds."""
LASTING_PAIRS: Final = 20
"""So many pairs with a sample left over each time are no accident of the radio."""

_STANDBY: Final = (b"\x13\x01\x00", b"\x03\x01\x00")
_ASK_ACC: Final = b"\x03\x80"
_ASK_GYR: Final = b"\x13\x80"
_CONFIG_ACC: Final = {1: b"\x03\x03\x28\x0c", 4: b"\x03\x03\xa8\x03"}
"""100 Hz and ±16 g, by what the accelerometer module says it is: BMI160, BMI270."""
_CONFIG_GYR: Final = b"\x13\x03\x28\x00"
_DATA_ACC: Final = b"\x03\x04"
_DATA_GYR: Final = {0: b"\x13\x05", 1: b"\x13\x04"}
"""By what the gyroscope module says it is: BMI160, BMI270."""
_READ_BIT: Final = 0x80
"""Set in the register of an answer to a question."""
_DATA_BYTES: Final = 8
_DATA_DTYPE: Final = np.dtype("<i2")
_FULL_COUNTS: Final = 32767
_SCALE: Final = np.empty(N_CHANNELS, np.float32)
_SCALE[ACC] = STANDARD_GRAVITY_M_S2 / 2048
_SCALE[GYR] = math.radians(1 / 16.4)
_SCALE.setflags(write=False)

_Half = NDArray[np.int16] | None
"""``(3,)`` counts; nothing for a notification that came corrupt: its partner must not be paired with the next one."""


class _Pairing:
    """Halves of samples of two streams, paired by count; it keeps at most `MAX_AHEAD` of either."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew with the next sample of each stream."""
        self._waiting: tuple[deque[_Half], deque[_Half]] = (deque(), deque())
        self._is_paired = False
        self._n_pairs_ahead = 0
        self._least_ahead = MAX_AHEAD

    def add(self, is_gyr: bool, half: _Half) -> tuple[NDArray[np.int16] | None, int]:
        """A pair, ``(1, 6)``, if there is one now, and how many samples were found to be without partner."""
        own, other = self._waiting[is_gyr], self._waiting[not is_gyr]
        own.append(half)
        if not other:
            if self._is_paired and len(own) <= MAX_AHEAD:
                return None, 0
            # The other stream has not begun yet, or is silent: only the newest sample can still have a partner.
            self._is_paired = False
            n_lost = len(own) - 1
            for _ in range(n_lost):
                own.popleft()
            return None, n_lost
        self._is_paired = True
        acc, gyr = self._waiting[0].popleft(), self._waiting[1].popleft()
        n_lost = self._realign()
        if acc is None or gyr is None:
            return None, n_lost + 1
        return np.concatenate((acc, gyr)).reshape(1, N_CHANNELS), n_lost

    def _realign(self) -> int:
        """Drop what one stream was ahead by all the time."""
        ahead = self._waiting[0] or self._waiting[1]
        self._n_pairs_ahead = self._n_pairs_ahead + 1 if ahead else 0
        self._least_ahead = min(self._least_ahead, len(ahead)) if ahead else MAX_AHEAD
        if self._n_pairs_ahead < LASTING_PAIRS:
            return 0
        n_lost = self._least_ahead
        for _ in range(n_lost):
            ahead.popleft()
        self._n_pairs_ahead, self._least_ahead = 0, MAX_AHEAD
        return n_lost


class MetaMotion:
    """One board over any number of connections."""

    def __init__(self) -> None:
        self._counter = SampleCounter(RATE_HZ)
        self._pairing = _Pairing()
        self._data_gyr = _DATA_GYR[0]

    @property
    def stream(self) -> StreamInfo:
        """The same for each one."""
        return StreamInfo(
            rate_hz=RATE_HZ,
            samples_per_packet=1,
            acc_range_m_s2=ACC_RANGE_G * STANDARD_GRAVITY_M_S2,
            gyr_range_rad_s=math.radians(GYR_RANGE_DEG_S),
            has_clock=False,
            n_streams=2,
        )

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Silence what a lost connection left running, ask for the chips, set ranges and rates, start both streams."""
        for command in _STANDBY:
            yield Write(COMMAND_UUID, command)
        yield Subscribe(NOTIFY_UUID)
        acc = _implementation((yield Ask(COMMAND_UUID, _ASK_ACC, NOTIFY_UUID)), _ASK_ACC, "accelerometer")
        gyr = _implementation((yield Ask(COMMAND_UUID, _ASK_GYR, NOTIFY_UUID)), _ASK_GYR, "gyroscope")
        if acc not in _CONFIG_ACC or gyr not in _DATA_GYR:
            raise DeviceError(
                f"a MetaWear board with accelerometer type {acc} and gyroscope type {gyr}: "
                "only those with a BMI160 or a BMI270 can be used"
            )
        self._data_gyr = _DATA_GYR[gyr]
        self._pairing.clear()
        self._counter.interrupted()
        for command in (_CONFIG_ACC[acc], _CONFIG_GYR):
            yield Write(COMMAND_UUID, command)
        for module, data in ((0x13, self._data_gyr), (0x03, _DATA_ACC)):
            yield Write(COMMAND_UUID, data + b"\x01")
            yield Write(COMMAND_UUID, bytes([module, 0x02, 0x01, 0x00]))
            yield Write(COMMAND_UUID, bytes([module, 0x01, 0x01]))

    def stop(self) -> Talk:
        """Both chips to standby, no data interrupts, no data notifications."""
        for module, data in ((0x13, self._data_gyr), (0x03, _DATA_ACC)):
            yield Write(COMMAND_UUID, bytes([module, 0x01, 0x00]))
            yield Write(COMMAND_UUID, bytes([module, 0x02, 0x00, 0x01]))
            yield Write(COMMAND_UUID, data + b"\x00")

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """A notification of either stream; answers to questions are nobody's data."""
        if uuid != NOTIFY_UUID or (len(data) >= 2 and data[1] & _READ_BIT):
            return []
        header = data[:2]
        if header not in (_DATA_ACC, self._data_gyr):
            return [CorruptPacket(f"neither acceleration nor angular velocity: {header.hex() or 'empty'}", received_ns)]
        events: list[Event] = []
        half: _Half = None
        if len(data) == _DATA_BYTES:
            half = np.frombuffer(data, _DATA_DTYPE, 3, offset=2)
        else:
            events.append(CorruptPacket(f"{header.hex()} with {len(data)} bytes, not {_DATA_BYTES}", received_ns))
        counts, n_lost = self._pairing.add(header == self._data_gyr, half)
        self._counter.missed(n_lost)
        if counts is None:
            return events
        saturated = (np.abs(counts.astype(np.int32)) >= _FULL_COUNTS).any(axis=1)
        return events + self._counter.deliver(counts * _SCALE, saturated, received_ns)


def _implementation(answer: bytes, question: bytes, what: str) -> int:
    """The type of a module, from the answer to what it is."""
    if answer == question:
        raise DeviceError(f"this MetaWear board has no {what}: use a MetaMotion")
    if not answer.startswith(question) or len(answer) < 4:
        raise DeviceError(f"a MetaWear board answered {answer[:8].hex() or 'nothing'} when asked for its {what}")
    return answer[2]


def fits(advert: Advert) -> bool:
    """By the service, or by the name it leaves the factory with."""
    return SERVICE_UUID in advert.service_uuids or advert.name == "MetaWear"


KIND: Final = DeviceKind(
    key="metamotion",
    title="MetaMotion (mbientlab)",
    source="mbientlab/MetaWear-SDK-Cpp: test_accelerometer_bmi160.py, test_accelerometer_bmi270.py, "
    "test_gyro_bmi160.py, common.py, gyro_bosch_register.h",
    is_verified=True,
    rate_hz=RATE_HZ,
    acc_range_g=ACC_RANGE_G,
    gyr_range_deg_s=GYR_RANGE_DEG_S,
    axes="those of its Bosch chip, as the maker draws them for each board",
    losses=Losses.ESTIMATED,
    fits=fits,
    make=MetaMotion,
)
