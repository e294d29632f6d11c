"""For all tests: hypothesis judges what comes out, never how long it took on a busy machine; Ctrl-C means Ctrl-C."""

import signal

from hypothesis import settings

settings.register_profile("frailedge", deadline=None, print_blob=True)
settings.load_profile("frailedge")

# A shell that starts the tests in the background has them ignore SIGINT, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
