"""Bluetooth without a radio: what the tests put in place of the system bus, of bluetoothd and of the sensors."""
