"""``python -m bet``, the same as the command ``bet``."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; 0 on success, 1 with a message on bad input, 2 on usage errors, 130 when
    interrupted.
    """
    # Everything is imported in here, so that Ctrl-C is as quiet during imports as it is later.
    try:
        from bet.cli.command import run

        return run(arguments)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
