"""Real recordings beside the checkout: used where present, never copied in; a test without them skips and says so."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(relative: str) -> Path:
    """The path of one file or folder of the shared data; skips the calling test where it is absent."""
    path = SHARED_DATA / relative
    if not path.exists():
        pytest.skip(f"real data absent: ../shared/data/{relative} is not beside the checkout")
    return path
