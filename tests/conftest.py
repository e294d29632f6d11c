"""For all tests: hypothesis judges what comes out, never how long it took on a busy machine."""

from hypothesis import settings

settings.register_profile("frailedge", deadline=None, print_blob=True)
settings.load_profile("frailedge")
