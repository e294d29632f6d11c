"""Starts the processes of a run on a sensor, restarts what dies, and ends them in order.

`frailedge live` has ingestion, inference and perhaps the recorder; `frailedge calibrate` ingestion alone, and reads the
ring itself.

The ring's file and the doorbell belong to the supervisor and outlive either process, so a restarted one goes on where
its predecessor was.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self

import msgspec

from edge.config import Config
from edge.errors import FrailedgeError
from edge.recording.files import session_name
from edge.recording.settings import RecordSettings
from edge.recording.status import RecorderStatus, read_status, silent_s, unended_words
from edge.ring import RingReader, create_ring, open_doorbell, runtime_dir
from edge.run_settings import FAILED_FOR_GOOD, RunSensor, RunSettings

INGEST: Final = "ingest"
INFER: Final = "infer"
RECORD: Final = "record"
# A process that dies at once again is not started over and over at full speed.
_RESTART_DELAYS_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
# One that lived as long as this is not the one that kept dying: the count towards `max_restarts` begins anew.
_HEALTHY_AFTER_S: Final = 60.0
_INGEST_ENDS_WITHIN_S: Final = 2.0
_INFER_ENDS_WITHIN_S: Final = 1.5
_RECORD_ENDS_WITHIN_S: Final = 2.0
_RECORDER_UP_WITHIN_S: Final = 5.0
_KILLED_WITHIN_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.02
_OWN_READER_ID: Final = 0  # inference's, which is not there then
_SAID_WITHIN_S: Final = 1.0  # a process that ended has said all, unless a child of its own holds the pipe


class ProcessFailedError(FrailedgeError):
    """A process of the run cannot go on; its own message stands above on standard error."""


class Supervisor:
    """One run; a context manager that leaves no process and no file behind.

    ``ingests_only``: neither inference nor recorder; who made it follows the ring by `reader`.
    """

    def __init__(
        self, config: Config, sensors: tuple[RunSensor, ...], *, is_virtual: bool, ingests_only: bool = False
    ) -> None:
        self._config = config
        self._sensors = sensors
        self._is_virtual = is_virtual
        self._ingests_only = ingests_only
        self._records = config.record.on and not ingests_only
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started_s: dict[str, float] = {}
        self._restart_at_s: dict[str, float] = {}
        self._n_recent = dict.fromkeys((INGEST, INFER, RECORD), 0)
        self._session = {"session": session_name(time.time()), "run_token": secrets.token_hex(4)}
        self._recorded: RecorderStatus | None = None
        self._recorder_gave_up = ""
        self._is_recorder_silent = False
        self.n_restarts = 0
        self._is_ending = False
        self._said: list[threading.Thread] = []
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            base = runtime_dir()
            _remove_abandoned(base)
            self._folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=base))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._ring = self._folder / "ring"
            self._doorbell = open_doorbell()
            stack.callback(os.close, self._doorbell)
            create_ring(self._ring, slots=self._config.live.ring_slots)
            stack.callback(self._kill_all)
            if self._records:
                self._start(RECORD)
            if not self._ingests_only:
                self._start(INFER)
            if self._records:
                # The bus keeps no history, and nothing is published before there is something in the ring.
                self._wait_for_recorder()
            self._start(INGEST)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def reader(self) -> RingReader:
        """What the sensors send, for a run that only ingests; to be closed before the run."""
        return RingReader(self._ring, _OWN_READER_ID, doorbell=self._doorbell)

    def check(self) -> None:
        """Restart what died; to be called a few times a second. `ProcessFailedError` where that would be in vain."""
        if self._is_ending:
            return
        for name, process in list(self._processes.items()):
            status = process.poll()
            if status is None:
                continue
            if name not in self._restart_at_s:
                try:
                    self._plan_restart(name, status)
                except ProcessFailedError as error:
                    if name != RECORD:
                        raise
                    # The gait is classified whether or not it can be recorded.
                    print(f"frailedge: {error}; going on without a recording", file=sys.stderr)
                    self._recorder_gave_up = str(error)
                    del self._processes[name]
                    continue
            if time.monotonic() >= self._restart_at_s[name]:
                del self._restart_at_s[name]
                self._start(name)
        self._listen_to_recorder()

    def end(self) -> None:
        """Ingestion stops first and says so in the ring; inference reads to the end, publishes its last and leaves."""
        if self._is_ending:
            return
        self._is_ending = True
        ingest, infer = self._processes[INGEST], self._processes.get(INFER)
        _terminate(ingest)
        _wait(ingest, _INGEST_ENDS_WITHIN_S)
        if infer is not None:
            if ingest.returncode != 0:
                _terminate(infer)  # killed before it could say so in the ring
            if not _wait(infer, _INFER_ENDS_WITHIN_S):
                _terminate(infer)
                _wait(infer, _INFER_ENDS_WITHIN_S)
        if RECORD in self._processes:
            _terminate(self._processes[RECORD])
            _wait(self._processes[RECORD], _RECORD_ENDS_WITHIN_S)
        self._kill_all()
        self._recorded = self.recording

    @property
    def recording(self) -> RecorderStatus | None:
        """How the recording goes, and, once the run has ended, what it came to; None where nothing is recorded."""
        if not self._records or self._recorded is not None:
            return self._recorded
        status = read_status(self._ring) or RecorderStatus()
        problem = self._recorder_gave_up
        if not problem and self._is_ending and status.told_ns and not status.has_ended:
            problem = status.problem or unended_words(status, time.monotonic_ns())
        if not problem and (silent := self._recorder_silent_s(status)):
            problem = _silence(silent)
        return msgspec.structs.replace(status, problem=problem) if problem else status

    def _listen_to_recorder(self) -> None:
        """Say it once when the recorder hangs, and when it is back; one that died meanwhile has words of its own."""
        silent = self._recorder_silent_s(read_status(self._ring))
        if silent and not self._is_recorder_silent:
            print(f"frailedge: {_silence(silent)}; the classification goes on", file=sys.stderr)
        elif self._is_recorder_silent and not silent and self._is_running(RECORD):
            print("frailedge: the recorder answers again", file=sys.stderr)
        self._is_recorder_silent = bool(silent)

    def _recorder_silent_s(self, status: RecorderStatus | None) -> float:
        """For how long it has not answered, where that is too long: 0 also while none runs."""
        if not self._is_running(RECORD):
            return 0.0
        told_ns = 0 if status is None else status.told_ns
        return silent_s(told_ns, round(self._started_s[RECORD] * 1e9), time.monotonic_ns())

    def _is_running(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def _wait_for_recorder(self) -> None:
        """Until it hears what is published; no longer than a sensor that is worn already should wait."""
        until_s = time.monotonic() + _RECORDER_UP_WITHIN_S
        while read_status(self._ring) is None and self._processes[RECORD].poll() is None:
            if time.monotonic() > until_s:
                break
            time.sleep(_LOOK_EVERY_S)

    @property
    def has_ended(self) -> bool:
        """Whether all processes are gone for good, but for one that nothing can end."""
        return self._is_ending and not self._processes

    def _plan_restart(self, name: str, status: int) -> None:
        if status == FAILED_FOR_GOOD:
            raise ProcessFailedError(f"the {name} process gave up: see its message above")
        if time.monotonic() - self._started_s[name] > _HEALTHY_AFTER_S:
            self._n_recent[name] = 0
        n_recent = self._n_recent[name]
        if n_recent >= self._config.live.max_restarts:
            raise ProcessFailedError(
                f"the {name} process died {n_recent + 1} times in a row, last with status {status}"
            )
        print(f"frailedge: the {name} process ended with status {status}; restarting it", file=sys.stderr)
        delay_s = _RESTART_DELAYS_S[min(n_recent, len(_RESTART_DELAYS_S) - 1)]
        self._restart_at_s[name] = time.monotonic() + delay_s
        self._n_recent[name] += 1
        self.n_restarts += int(name != RECORD)

    def _start(self, name: str) -> None:
        kind, more = (RecordSettings, self._session) if name == RECORD else (RunSettings, {})
        settings = kind(
            config=self._config,
            sensors=self._sensors,
            is_virtual=self._is_virtual,
            ring=str(self._ring),
            doorbell=self._doorbell,
            supervisor_pid=os.getpid(),
            n_restarts=self.n_restarts,
            **more,
        )
        path = self._folder / f"{name}.json"
        path.touch(mode=0o600)  # it holds where a sensor was found
        path.write_bytes(msgspec.json.encode(settings))
        self._started_s[name] = time.monotonic()
        if name == RECORD:
            self._is_recorder_silent = False  # it was another
        process = subprocess.Popen(
            [sys.executable, "-m", f"edge.{name}", str(path)],
            pass_fds=(self._doorbell,),
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        self._processes[name] = process
        self._said.append(threading.Thread(target=_pass_on, args=(process,), daemon=True))
        self._said[-1].start()

    def _kill_all(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is None:
                process.kill()
                # A process that waits for a stalled disk in the kernel cannot be killed: the run ends without it.
                if not _wait(process, _KILLED_WITHIN_S):
                    print(f"frailedge: the {name} process cannot be ended now: left behind", file=sys.stderr)
        self._processes.clear()
        for thread in self._said:
            thread.join(_SAID_WITHIN_S)
        self._said.clear()


def _silence(for_s: float) -> str:
    return f"the recorder has not answered for {int(for_s)} s"


def _pass_on(process: subprocess.Popen[bytes]) -> None:
    """What a process says on standard error, line by line on ours: straight to a terminal it would tear the view."""
    assert process.stderr is not None, "it was made with a pipe"
    with process.stderr:
        for line in process.stderr:
            sys.stderr.write(line.decode(errors="replace"))
            sys.stderr.flush()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _remove_abandoned(base: Path) -> None:
    """Folders of runs whose supervisor was killed and could not clean up."""
    for folder in base.glob("run-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
