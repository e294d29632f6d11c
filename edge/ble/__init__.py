"""Bluetooth LE: from what is on the air to decoded events. bleak, bumble and D-Bus have one file each."""
