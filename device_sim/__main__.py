"""`python -m device_sim`."""

from __future__ import annotations

import sys

from device_sim.cli import main

sys.exit(main())
