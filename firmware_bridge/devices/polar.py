"""Polar sensors that measure acceleration and rotation (Verity Sense): the talk, and both streams made into one.

Answers of the control point and notifications enter, steps and events leave. The sensor is asked what it offers and
started with the best of it; its clock counts what is lost. One without gyroscope (H10) is refused.
Facts: Polar's SDK, ``technical_documentation/online_measurement.pdf`` and the classes named in the modules beside this.
"""

from collections.abc import Generator
from typing import Final

import numpy as np

from firmware_bridge.channels import STANDARD_GRAVITY_M_S2
from firmware_bridge.device import (
    Advert,
    Ask,
    DeviceError,
    DeviceKind,
    Losses,
    Read,
    Step,
    StreamInfo,
    Subscribe,
    Talk,
    Write,
)
from firmware_bridge.devices import polar_control as control
from firmware_bridge.devices.pairing import Half, PairedStreams
from firmware_bridge.devices.polar_frames import ACC_TYPE, GYR_TYPE, FrameError, Scale, parse_frame
from firmware_bridge.events import CorruptPacket, Event, Restart

SERVICE_UUID: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_UUID: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA_UUID: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
NAMES: Final = ("Polar Sense ", "Polar H10 ")
"""Then eight digits. An H10 fits as well: its refusal says more than silence."""

RATE_HZ: Final = 52
ACC_RANGE_G: Final = 8
GYR_RANGE_DEG_S: Final = 2000
MAX_RATE_HZ: Final = 104
"""More, which a sensor in "SDK mode" offers, is not used here and only fills the air."""
SAMPLES_PER_PACKET: Final = 34
"""Of either kind, while walking: delta compression makes it vary."""
MAX_SAMPLES_PER_PACKET: Final = 136
"""At rest."""

_SI: Final = {ACC_TYPE: STANDARD_GRAVITY_M_S2, GYR_TYPE: float(np.pi / 180)}
_HALVES: Final = {ACC_TYPE: Half.ACC, GYR_TYPE: Half.GYR}
_NAMES: Final = {ACC_TYPE: "acceleration", GYR_TYPE: "rotation"}

_Chosen = dict[int, int]


class Polar:
    """One Polar sensor; see `firmware_bridge.device.Device`."""

    def __init__(self) -> None:
        self._rate_hz: int | None = None
        self._scales: dict[int, Scale] = {}
        self._streams = PairedStreams(RATE_HZ)
        self._is_anew = False

    @property
    def stream(self) -> StreamInfo:
        """What was chosen of the sensor's offer; ``RuntimeError`` before the first `start`."""
        if self._rate_hz is None:
            raise RuntimeError("the stream is known once the sensor was started")
        return StreamInfo(
            rate_hz=self._rate_hz,
            samples_per_packet=SAMPLES_PER_PACKET,
            acc_range_m_s2=self._scales[ACC_TYPE].full * _SI[ACC_TYPE],
            gyr_range_rad_s=self._scales[GYR_TYPE].full * _SI[GYR_TYPE],
            has_clock=True,
            max_samples_per_packet=MAX_SAMPLES_PER_PACKET,
            n_streams=2,
        )

    def start(self, now_ns: int) -> Talk:  # noqa: ARG002
        """Ask what it can, choose, subscribe, start both measurements; each answer is checked."""
        self._streams.interrupted()
        feature_bits = yield Read(CONTROL_UUID)
        offered = control.features(feature_bits)
        if GYR_TYPE not in offered or ACC_TYPE not in offered:
            raise DeviceError(
                "it has no gyroscope (a Polar H10 measures acceleration only), and gait needs both; "
                "use a Polar Verity Sense"
            )
        yield Subscribe(CONTROL_UUID, is_data=False)
        offers: dict[int, control.Settings] = {}
        for kind in _HALVES:
            answer = yield Ask(CONTROL_UUID, control.get_settings(kind), CONTROL_UUID)
            offers[kind] = control.parse_settings(control.parameters(answer, control.GET_SETTINGS, kind))
        rate_hz = _common_rate_hz(offers)
        chosen = {kind: _choose(kind, offer, rate_hz) for kind, offer in offers.items()}
        yield Subscribe(DATA_UUID)
        if rate_hz != self._rate_hz:
            self._is_anew = self._rate_hz is not None
            self._streams = PairedStreams(rate_hz)
        for kind, settings in chosen.items():
            factor = yield from _start(kind, settings)
            self._scales[kind] = Scale(factor, settings[control.RANGE])
        self._rate_hz = rate_hz

    def stop(self) -> Talk:
        """End both measurements; the goodbye does not wait for the answers."""
        for kind in _HALVES:
            yield Write(CONTROL_UUID, control.stop(kind))

    def feed(self, uuid: str, data: bytes, received_ns: int) -> list[Event]:
        """What can be said of both streams after one more notification of either."""
        if uuid != DATA_UUID:
            return [CorruptPacket(f"no data characteristic: {uuid}", received_ns)]
        try:
            frame = parse_frame(data, self._scales)
        except FrameError as error:
            return [CorruptPacket(str(error), received_ns)]
        values = (frame.values * _SI[frame.kind]).astype(np.float32)
        events = self._streams.feed(_HALVES[frame.kind], values, frame.saturated, frame.stamp_ns, received_ns)
        if self._is_anew:
            events.insert(0, Restart(0, received_ns))
            self._is_anew = False
        return events


def _common_rate_hz(offers: dict[int, control.Settings]) -> int:
    rates_hz = set.intersection(*(set(offer.get(control.RATE, ())) for offer in offers.values())) - {0}
    if not rates_hz:
        raise DeviceError("it offers no rate that acceleration and rotation have in common; update its firmware")
    return max((rate_hz for rate_hz in rates_hz if rate_hz <= MAX_RATE_HZ), default=min(rates_hz))


def _choose(kind: int, offer: control.Settings, rate_hz: int) -> _Chosen:
    """The widest of each setting but the rate, in the order offered."""
    if not any(offer.get(control.RANGE, ())):
        raise DeviceError(f"it offers no range for {_NAMES[kind]}; update its firmware")
    chosen = {setting: max(values) for setting, values in offer.items() if values and setting != control.FACTOR}
    chosen[control.RATE] = rate_hz
    return chosen


def _start(kind: int, settings: _Chosen) -> Generator[Step, bytes, float]:
    """Start one measurement, anew where one still runs from before; gives its conversion factor."""
    command = control.start(kind, settings)
    answer = yield Ask(CONTROL_UUID, command, CONTROL_UUID)
    if control.status(answer, control.START, kind) == control.ALREADY:
        stopped = yield Ask(CONTROL_UUID, control.stop(kind), CONTROL_UUID)
        control.parameters(stopped, control.STOP, kind)
        answer = yield Ask(CONTROL_UUID, command, CONTROL_UUID)
    return control.factor(control.parse_settings(control.parameters(answer, control.START, kind)))


def _fits(advert: Advert) -> bool:
    return advert.name.startswith(NAMES) or SERVICE_UUID in advert.service_uuids


KIND: Final = DeviceKind(
    key="polar",
    title="Polar Verity Sense (PMD acceleration and gyroscope)",
    source="polarofficial/polar-ble-sdk: technical_documentation/online_measurement.pdf, and its unit tests' frames",
    is_verified=True,
    rate_hz=RATE_HZ,
    acc_range_g=ACC_RANGE_G,
    gyr_range_deg_s=GYR_RANGE_DEG_S,
    axes="the sensor's own, right-handed; Polar publishes no drawing of them",
    losses=Losses.CLOCK,
    fits=_fits,
    make=Polar,
)
