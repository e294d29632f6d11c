"""Where the files that travel with the program lie: beside the packages in a checkout, inside `edge` in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def configs_dir() -> Path:
    """The folder of ``default.toml``, ``sensors/``, ``walkers/`` and ``train/``; a wheel has it as ``edge/configs``."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def default_bundle_dir() -> Path:
    """The folder of the bundle that ships."""
    return _PACKAGE / "bundles" / "default"
