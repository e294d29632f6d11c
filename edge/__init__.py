"""What runs on the Raspberry Pi: sources, ring, signal path, model, publisher, command line."""

__version__ = "0.1.0"
