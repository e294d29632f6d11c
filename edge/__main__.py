"""``python -m edge`` is ``frailedge``."""

from edge.cli import main

main()
