"""What a library writes below Python stays off the terminal, unless it fails."""

import os

import pytest

from trainer.quiet import quiet_stderr


def test_noise_is_kept_off_and_standard_error_works_again(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"noise\n")
    os.write(2, b"news\n")
    assert capfd.readouterr().err == "news\n"


def test_a_failure_brings_back_what_was_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_stderr():
            os.write(2, b"the reason\n")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert "the reason" in capfd.readouterr().err
