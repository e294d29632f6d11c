"""The one table of sensors: every kind that is understood, and the virtual sensor that speaks its protocol."""

from collections.abc import Mapping
from typing import Final, Protocol

from firmware_bridge.device import DeviceKind
from firmware_bridge.devices import bluest, metamotion, movella_dot, polar, thingy52, v1, witmotion
from firmware_bridge.peripheral import Peripheral
from firmware_bridge.peripherals.bluest import BlueStPeripheral
from firmware_bridge.peripherals.metamotion import MetaMotionPeripheral
from firmware_bridge.peripherals.movella_dot import MovellaDotPeripheral
from firmware_bridge.peripherals.polar import PolarPeripheral
from firmware_bridge.peripherals.thingy52 import Thingy52Peripheral
from firmware_bridge.peripherals.v1 import PeripheralV1
from firmware_bridge.peripherals.witmotion import Bwt901ble5Peripheral, WitMotionPeripheral
from firmware_bridge.virtual_sensor import Faults, SampleSource

KINDS: Final[tuple[DeviceKind, ...]] = (
    v1.KIND,
    movella_dot.KIND,
    polar.KIND,
    witmotion.KIND_WT901BLE,
    witmotion.KIND_BWT901BLE5,
    thingy52.KIND,
    metamotion.KIND,
    bluest.KIND,
)


class PeripheralFactory(Protocol):
    """Makes the virtual sensor of a kind; see `firmware_bridge.peripherals`."""

    def __call__(
        self,
        source: SampleSource,
        *,
        name: str = ...,
        faults: Faults | None = ...,
        seed: int = ...,
        battery_percent: int = ...,
    ) -> Peripheral:
        """A sensor that is switched on now."""
        ...


PERIPHERALS: Final[Mapping[str, PeripheralFactory]] = {
    v1.KIND.key: PeripheralV1,
    movella_dot.KIND.key: MovellaDotPeripheral,
    polar.KIND.key: PolarPeripheral,
    witmotion.KIND_WT901BLE.key: WitMotionPeripheral,
    witmotion.KIND_BWT901BLE5.key: Bwt901ble5Peripheral,
    thingy52.KIND.key: Thingy52Peripheral,
    metamotion.KIND.key: MetaMotionPeripheral,
    bluest.KIND.key: BlueStPeripheral,
}
"""By the kind's key."""
