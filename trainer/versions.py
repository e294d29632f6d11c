"""What figures may depend on besides configuration and data: the program, Python, packages, the processor."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge import __version__
from trainer.tf import tf


def facts() -> dict[str, object]:
    """Versions of all that figures may depend on; they may differ from one start of a run to the next."""
    packages = ("numpy", "PyWavelets", "tensorflow", "tf-keras", "scikit-learn", "imbalanced-learn", "aeon")
    return {
        "frailedge": code_version(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "trained on": ", ".join(device.device_type for device in tf.config.list_physical_devices()),
        "packages": {name: _version(name) for name in packages},
    }


def _version(name: str) -> str:
    """A package's version; TensorFlow goes by several names, of which one may be missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "under another name"


def code_version() -> str:
    """The version, with the commit where this is a checkout."""
    own = Path(__file__)
    try:
        # An installed copy may lie inside somebody else's checkout: only a file that git knows is of this one.
        for command in (("ls-files", "--error-unmatch", own.name), ("describe", "--always", "--dirty")):
            found = subprocess.run(["git", *command], cwd=own.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}+{found.stdout.strip()}"
