"""A D-Bus of the tests' own: a real ``dbus-daemon`` in a temporary folder, of which nobody else knows.

Its address leaves, for ``DBUS_SYSTEM_BUS_ADDRESS`` of this or of another process. It never touches the system's bus.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

ADDRESS_VARIABLE: Final = "DBUS_SYSTEM_BUS_ADDRESS"
NEEDS_DBUS: Final = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs the Debian package dbus")

# Everybody may own and say everything; the limits are those of a session bus: a flood of notifications is no attack.
_CONFIGURATION: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">100000000</limit>
  <limit name="max_outgoing_bytes">100000000</limit>
</busconfig>
"""
_END_TIMEOUT_S: Final = 5.0


class PrivateBus:
    """Runs inside ``with``; `kill` and `start` are for tests of who loses it. The address outlives both."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bus")
        self._process: subprocess.Popen[str] | None = None
        self.address = f"unix:path={self._folder.name}/socket"
        self._configuration = Path(self._folder.name) / "bus.conf"
        self._complaints = Path(self._folder.name) / "stderr"
        self._configuration.write_text(_CONFIGURATION.format(address=self.address), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process take this bus for the system's."""
        return {ADDRESS_VARIABLE: self.address}

    def start(self) -> None:
        """Start the daemon; it is ready when this returns. RuntimeError where it says no address."""
        if self._process is not None:
            raise RuntimeError("the bus runs already")
        with self._complaints.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                ["dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--nopidfile", "--print-address"],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("unix:"):
            self.kill()
            raise RuntimeError(f"dbus-daemon did not start: {self._complaints.read_text(encoding='utf-8')}")

    def kill(self) -> None:
        """End the daemon at once: every connection breaks, nobody can connect."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait(_END_TIMEOUT_S)
        assert process.stdout is not None
        process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()
