"""The ring against a model that is simple enough to be right: random writes, reads, commits and restarts."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.ring import RingReader, RingWriter


class RingAgainstModel(RuleBasedStateMachine):
    """Any order of writing, reading, committing and restarting gives what lists and numbers give."""

    N_SLOTS = 5

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ring"
        self.writer = RingWriter(self.path, slots=self.N_SLOTS, slot_bytes=40)
        self.readers = [RingReader(self.path, 0), RingReader(self.path, 3)]
        self.written: list[bytes] = []
        self.now = [(0, 0), (0, 0)]  # cursor and lost of each reader
        self.committed = [(0, 0), (0, 0)]

    @rule(payloads=st.lists(st.binary(max_size=24), min_size=1, max_size=12))
    def write(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            assert self.writer.write(payload) == len(self.written)
            self.written.append(payload)

    @rule(which=st.integers(0, 1), n_reads=st.integers(1, 6))
    def read(self, which: int, n_reads: int) -> None:
        for _ in range(n_reads):
            cursor, lost = self.now[which]
            oldest = max(cursor, len(self.written) - (self.N_SLOTS - 1))
            cursor, lost = oldest, lost + oldest - cursor
            found = self.readers[which].read()
            if cursor == len(self.written):
                assert found is None
            else:
                assert found == (cursor, self.written[cursor])
                cursor += 1
            self.now[which] = cursor, lost

    @rule(which=st.integers(0, 1))
    def commit(self, which: int) -> None:
        self.readers[which].commit()
        self.committed[which] = self.now[which]

    @rule(which=st.integers(0, 1))
    def restart_reader(self, which: int) -> None:
        self.readers[which].close()
        self.readers[which] = RingReader(self.path, 3 * which)
        self.now[which] = self.committed[which]

    @rule()
    def restart_writer(self) -> None:
        self.writer.close()
        self.writer = RingWriter(self.path, slots=self.N_SLOTS, slot_bytes=40)

    @invariant()
    def counts_agree(self) -> None:
        assert self.writer.written == len(self.written)
        for reader, (cursor, lost) in zip(self.readers, self.now, strict=True):
            assert (reader.cursor, reader.lost, reader.written) == (cursor, lost, len(self.written))
            assert reader.wait(0.0) == (cursor < len(self.written))

    def teardown(self) -> None:
        for end in (self.writer, *self.readers):
            end.close()
        self.folder.cleanup()


TestRingAgainstModel = RingAgainstModel.TestCase
TestRingAgainstModel.settings = settings(max_examples=100, stateful_step_count=40)
