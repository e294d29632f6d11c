"""What a decoder says about the notifications it was fed: values only, validated once, never changed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.channels import N_CHANNELS, Samples


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples as they came in one packet.

    ``first_sample_index`` counts every sample taken since the sensor booted, with the wrap of the wire undone; of a
    sensor that does not count, every sample and every one of a `Gap` since its first packet.
    ``device_time_ns`` has shape ``(n,)``, strictly increasing, on the sensor's own clock with its wrap undone; of a
    sensor without clock, the sample's number at the nominal rate.
    ``samples`` has shape ``(n, 6)``, see `firmware_bridge.channels`; ``saturated`` has shape ``(n,)``.
    ``received_ns`` is the host's monotonic time at which the notification came.
    """

    first_sample_index: int
    device_time_ns: NDArray[np.int64]
    samples: Samples
    saturated: NDArray[np.bool_]
    received_ns: int

    def __post_init__(self) -> None:
        n_samples = len(self.samples)
        if self.samples.shape != (n_samples, N_CHANNELS) or n_samples == 0:
            raise ValueError(f"samples must have shape (n, {N_CHANNELS}) with n > 0, got {self.samples.shape}")
        if self.device_time_ns.shape != (n_samples,) or self.saturated.shape != (n_samples,):
            raise ValueError("device_time_ns and saturated must have one value a sample")


@dataclass(frozen=True, slots=True)
class Gap:
    """``n_samples`` samples that were taken from ``first_sample_index`` on and never arrived.

    ``is_estimated``: the sensor has neither counter nor clock, so the number follows from its rate and its silence.
    """

    first_sample_index: int
    n_samples: int
    received_ns: int
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class CorruptPacket:
    """A notification that is no packet, with the reason in words; its samples, if it had any, show up as a `Gap`."""

    reason: str
    received_ns: int


@dataclass(frozen=True, slots=True)
class DuplicatePacket:
    """A packet whose samples were delivered already, or that arrived after its place was given up as a gap."""

    packet_seq: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The sensor booted anew: numbers seen before mean nothing from here on."""

    boot_id: int
    received_ns: int


Event = Block | Gap | CorruptPacket | DuplicatePacket | Restart
