"""``python -m edge`` and the command ``frailedge``: nothing is imported before Ctrl-C is taken care of."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback even while it is still loading."""
    try:
        from edge.cli import main as run  # noqa: PLC0415 - loading takes long enough to be interrupted

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
