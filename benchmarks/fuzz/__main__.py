"""The command line of fuzzing."""

from __future__ import annotations

import sys

from benchmarks.fuzz.main import main

sys.exit(main())
