"""The virtual sensors: one file each, from the GATT table to the bytes, for tests, demonstrations and other radios."""
