"""What a virtual sensor sent, as a receiver without losses would have it: notifications enter, a CSV file leaves.

Beside the file stands the description with which ``frailedge replay FILE --sensor FILE.toml`` reads the very same
samples; times are the sensor's own, counted from the first sample on. Samples are decoded by the sensor's own `Device`,
which is started against a twin of the virtual sensor: the bytes on the air are all it sees. Nothing is written while a
notification is taken, so a slow disk holds up no radio.
"""

from pathlib import Path
from typing import Final, TextIO

import numpy as np
import tomli_w

from edge.errors import ConfigError
from firmware_bridge.device import DeviceKind, Subscribe
from firmware_bridge.events import Block
from firmware_bridge.peripheral import Notification, Peripheral, rehearse

_COLUMNS: Final = ("time_ns", "acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z", "saturated")


class SentSamples:
    """The two files of one run; a context manager. `ConfigError` where they cannot be written.

    ``twin`` is made as the virtual sensor itself was, with the same boot and seed, and never put on a radio.
    """

    def __init__(self, path: Path, kind: DeviceKind, twin: Peripheral) -> None:
        self.path = path
        self.sensor_path = path.with_suffix(".toml")
        self.n_samples = 0
        self._device = kind.make()
        self._twin = twin
        self._data_uuids: frozenset[str] = frozenset()
        self._rows: list[str] = []
        # Counted from here: a clock that counts from a year on has more digits than a reader of numbers keeps.
        self._begin_ns: int | None = None
        if self.sensor_path == path:
            raise ConfigError(f"{path}: its description would take the same name; name a file that ends in .csv")
        self.linked(0)
        try:
            self.sensor_path.write_text(_description(kind, self._device.stream.rate_hz))
        except OSError as error:
            raise _unwritable(self.sensor_path, error) from error
        try:
            self._file: TextIO = path.open("w", encoding="ascii", newline="\n")
        except OSError as error:
            raise _unwritable(path, error) from error
        self._rows.append(",".join(_COLUMNS))

    def __enter__(self) -> "SentSamples":
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.write_out()
        finally:
            try:
                self._file.close()
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def linked(self, now_us: int) -> None:
        """A central came, at this device time: what it will say to the sensor is said to the twin."""
        self._twin.link_lost()
        steps = rehearse(self._device.start(now_us * 1000), self._twin, now_us)
        self._data_uuids = frozenset(step.uuid for step in steps if isinstance(step, Subscribe) and step.is_data)

    def take(self, ready_us: int, notification: Notification) -> None:
        """A notification that is handed to the radio, ready at a device time; anything but data is left out."""
        uuid, data = notification
        if uuid not in self._data_uuids:
            return
        for event in self._device.feed(uuid, data, ready_us * 1000):
            if isinstance(event, Block):
                self.n_samples += len(event.samples)
                if self._begin_ns is None:
                    self._begin_ns = int(event.device_time_ns[0])
                times_ns = event.device_time_ns - self._begin_ns
                for time_ns, sample, is_full in zip(times_ns, event.samples, event.saturated, strict=True):
                    self._rows.append(",".join((str(time_ns), *map(shortest, sample), str(int(is_full)))))

    def write_out(self) -> None:
        """Bring what was taken so far to the disk."""
        rows, self._rows = self._rows, []
        try:
            self._file.write("".join(f"{row}\n" for row in rows))
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error


def shortest(value: np.float32) -> str:
    """The shortest decimal text that gives a float32 back, also where it is read as float64 first."""
    text = str(value)
    return text if np.float32(float(text)) == value else repr(float(value))


def _description(kind: DeviceKind, rate_hz: float) -> str:
    time, *channels, saturated = _COLUMNS
    layout = {
        "name": "sent",
        "starts_with": f"{time},",
        "header_lines": 1,
        "time_column": time,
        "time_unit": "ns",
        "saturated_column": saturated,
        "rate_hz": rate_hz,
        "sensor": {"acc": channels[:3], "gyr": channels[3:]},
    }
    return tomli_w.dumps(
        {
            "description": f"What a virtual {kind.title} sent",
            "acc_unit": "m/s^2",
            "gyr_unit": "rad/s",
            "gravity": "included",
            "frame": "foot",
            "layouts": [layout],
        }
    )


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be written: {error.strerror}; make room, or name another file by --csv")
