"""Starts a bridge of which some parts are wrapped, so that it dies, or errs, where it is told to.

Nothing of this is in the product: no setting, no variable and no flag of it can do the same.

    python -m benchmarks.torture.launcher '{"point": "before-commit", "count": 7}' run --broker …
"""

from __future__ import annotations

import sys

from benchmarks.torture.launch import Launch


def main() -> int:
    """Wrap what the first argument says, and run the bridge's command line with the others."""
    launch = Launch.decode(sys.argv[1])
    sys.argv = ["syncbridge", *sys.argv[2:]]
    # The service is imported here, before the command line does it, so that it can be wrapped.
    from benchmarks.torture import failing, planted

    failing.install(launch)
    planted.install(launch)
    from bridge.cli import main as bridge_main

    return bridge_main()


if __name__ == "__main__":
    sys.exit(main())
