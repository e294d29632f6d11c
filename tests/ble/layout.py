"""What bluetoothd's objects look like on D-Bus: paths, interfaces and properties of an adapter, a device, its services.

A `Peripheral` enters, objects leave; nothing here changes anything.
"""

from collections.abc import Sequence
from typing import Final

from dbus_fast import Variant

from firmware_bridge.peripheral import Peripheral, Service
from tests.ble.objects import Interfaces, Properties

ADAPTER_PATH: Final = "/org/bluez/hci0"
ADAPTER: Final = "org.bluez.Adapter1"
DEVICE: Final = "org.bluez.Device1"
SERVICE: Final = "org.bluez.GattService1"
CHARACTERISTIC: Final = "org.bluez.GattCharacteristic1"

_MTU: Final = 247


def device_path(address: str) -> str:
    return f"{ADAPTER_PATH}/dev_{address.replace(':', '_')}"


def can_notify(flags: Sequence[str]) -> bool:
    return "notify" in flags or "indicate" in flags


def adapter_properties(is_powered: bool) -> Properties:
    """A USB adapter of an address from the range for documentation."""
    return {
        "Address": Variant("s", "00:00:5E:00:53:00"),
        "AddressType": Variant("s", "public"),
        "Name": Variant("s", "fake"),
        "Alias": Variant("s", "fake"),
        "Class": Variant("u", 0),
        "Powered": Variant("b", is_powered),
        "Discoverable": Variant("b", False),
        "DiscoverableTimeout": Variant("u", 180),
        "Pairable": Variant("b", False),
        "PairableTimeout": Variant("u", 0),
        "Discovering": Variant("b", False),
        "UUIDs": Variant("as", []),
        "Modalias": Variant("s", "usb:v1D6Bp0246d0542"),
        "Roles": Variant("as", ["central", "peripheral"]),
    }


def device_properties(peripheral: Peripheral, address: str, address_type: str) -> Properties:
    """A device that advertises and is not connected; without a name its alias is its address."""
    properties = {
        "Adapter": Variant("o", ADAPTER_PATH),
        "Address": Variant("s", address),
        "AddressType": Variant("s", address_type),
        "Alias": Variant("s", peripheral.name or address.replace(":", "-")),
        "UUIDs": Variant("as", list(peripheral.advertised_uuids)),
    }
    for name in ("Paired", "Bonded", "Trusted", "Blocked", "LegacyPairing", "Connected", "ServicesResolved"):
        properties[name] = Variant("b", False)
    if peripheral.name:
        properties["Name"] = Variant("s", peripheral.name)
    if peripheral.manufacturer_data:
        data = {company: Variant("ay", value) for company, value in peripheral.manufacturer_data.items()}
        properties["ManufacturerData"] = Variant("a{qv}", data)
    return properties


def gatt_objects(path: str, services: Sequence[Service]) -> dict[str, Interfaces]:
    """The objects below a device's path, each after the one that it belongs to."""
    objects: dict[str, Interfaces] = {}
    handle = 1
    for service in services:
        service_path = f"{path}/service{handle:04x}"
        handle += 1
        objects[service_path] = {
            SERVICE: {
                "Device": Variant("o", path),
                "Primary": Variant("b", True),
                "UUID": Variant("s", service.uuid),
                "Includes": Variant("ao", []),
            }
        }
        for characteristic in service.characteristics:
            properties = {
                "Service": Variant("o", service_path),
                "UUID": Variant("s", characteristic.uuid),
                "Flags": Variant("as", list(characteristic.properties)),
                "MTU": Variant("q", _MTU),
            }
            if can_notify(characteristic.properties):
                properties |= {"Notifying": Variant("b", False), "NotifyAcquired": Variant("b", False)}
            objects[f"{service_path}/char{handle:04x}"] = {CHARACTERISTIC: properties}
            handle += 3  # declaration, value, and the descriptor that switches notifications
    return objects
