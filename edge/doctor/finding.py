"""What a check finds: one line for a person, the same fields for a program."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Known to be right; not right or not known, though a run can start; known to keep a run from working."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, how it went, what was seen, and what to do about it (``""`` where nothing is to be done)."""

    name: str
    level: Level
    words: str
    advice: str = ""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.level:<8} {self.name:<14} {self.words}" + (f"; {self.advice}" if self.advice else "")
