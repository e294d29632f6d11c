"""Do the edge's dependencies resolve from wheels alone on a 64-bit Pi? ``python -m tests.wheels_aarch64 3.11``."""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

_PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
# Debian 12 has glibc 2.36, Debian 13 has 2.41; pip matches tags by name, so all that such a system takes are named.
_GLIBC_MINOR = {"3.11": 36, "3.12": 36, "3.13": 41}


def check(python: str) -> bool:
    """Resolve and fetch the base dependencies for one Python version; say what came of it."""
    base = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    # pip judges markers by the Python it runs on, so those of the Pi are judged here.
    environment = {"python_version": python, "platform_machine": "aarch64", "sys_platform": "linux"}
    wanted = [Requirement(line) for line in base]
    names = [f"{req.name}{req.specifier}" for req in wanted if req.marker is None or req.marker.evaluate(environment)]
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, _GLIBC_MINOR[python] + 1)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest", folder]
        command += ["--python-version", python, "--implementation", "cp"]
        for platform in ["manylinux2014_aarch64", *platforms]:
            command += ["--platform", platform]
        found = subprocess.run(command + names, capture_output=True, text=True, check=False)
        n_wheels = len(list(Path(folder).glob("*.whl")))
    ok = found.returncode == 0
    print(f"Python {python}, aarch64: {f'{n_wheels} wheels, no compiler' if ok else 'does not resolve'}")
    if not ok:
        print(found.stderr)
    return ok


if __name__ == "__main__":
    results = [check(python) for python in sys.argv[1:]]
    sys.exit(0 if results and all(results) else 1)
