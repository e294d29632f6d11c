"""Everything that a user, a file or a sensor can cause, in one tree.

::

    FrailedgeError             exit status 2; the text says what is wrong, where, and what to do
    ├── ConfigError            configuration file or command-line option
    ├── RecordingError         a recording that cannot be read, or not with certainty
    ├── BundleError            a model bundle that is damaged, incomplete or does not fit
    ├── DatasetError           a folder of recordings with its register
    ├── TrainingError          training, conversion or export that ends without a bundle
    ├── RingError              a ring file that is not one, or of another layout
    ├── PublishError           the ZeroMQ address cannot be used
    ├── OutputError            standard output cannot be written; a closed pipe has no line and status 141
    ├── RadioError             no Bluetooth, or none that may be used
    └── SensorError            a sensor that is not there, not known, or not fit for the model

Anything else that is raised is a bug and shows its traceback.
"""


class FrailedgeError(Exception):
    """One clear line for the user; the command line prints it and ends with status 2."""


class ConfigError(FrailedgeError):
    """A configuration value or option that cannot be used."""


class RecordingError(FrailedgeError):
    """A recording that cannot be read, or whose rate, units or layout cannot be told with certainty."""


class BundleError(FrailedgeError):
    """A model bundle that is damaged, incomplete, or made for another signal path."""


class DatasetError(FrailedgeError):
    """A folder that is no dataset, or a register that does not fit its recordings."""


class TrainingError(FrailedgeError):
    """Data that no network can be trained on, a loss that diverged, or a model that fails its checks."""


class RingError(FrailedgeError):
    """A file that is no ring of this version."""


class PublishError(FrailedgeError):
    """An address that cannot be bound or connected to."""


class OutputError(FrailedgeError):
    """Standard output that cannot be written; ``is_closed_pipe``: nobody reads it any more, as with ``| head``."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output cannot be written: {cause.strerror}")
        self.is_closed_pipe = isinstance(cause, BrokenPipeError)


class RadioError(FrailedgeError):
    """Bluetooth that is missing, switched off or not permitted."""


class SensorError(FrailedgeError):
    """A sensor that was not found, that no decoder fits, or whose signal the bundle's model may not see."""
