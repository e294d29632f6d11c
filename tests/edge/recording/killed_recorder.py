"""The recorder as a process that is killed again and again: `python -m tests.edge.recording.killed_recorder SETTINGS`.

Each line on standard input starts one life, whose process number is printed: it is forked off a process that has
imported everything, so that a life begins at once.
"""

import os
import sys
from pathlib import Path

import msgspec

from edge.record import record
from edge.recording.settings import RecordSettings
from edge.run_settings import Stop


def main() -> None:
    settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=RecordSettings)
    settings = msgspec.structs.replace(settings, supervisor_pid=os.getpid())
    print("up", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            record(settings, Stop(settings))
            os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
