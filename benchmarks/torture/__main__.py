"""The command line of torture: rounds in parallel lanes, and the sum of them."""

from __future__ import annotations

import sys

from benchmarks.torture.main import main

sys.exit(main())
