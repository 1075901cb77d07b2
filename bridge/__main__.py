"""`python -m bridge` is the program `syncbridge`."""

import sys

from bridge.cli import main

sys.exit(main())
