"""How many examples a property is tried with: fewer where the same tests run thousands of times."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import Phase, settings

PERCENT_VARIABLE: Final = "TEST_EXAMPLES_PERCENT"
"""Environment variable: so many percent of the examples, and the same ones at each run."""

_AT_LEAST: Final = 20


def examples(count: int) -> settings:
    """Return the settings for a property that is tried with so many examples.

    Mutation testing (`make mutate`) takes fewer, and not random ones: a mutant is killed or
    survives, but not now this and now that. Nobody reads its counterexample, so none is made
    smaller.
    """
    percent = os.environ.get(PERCENT_VARIABLE)
    if percent is None:
        return settings(max_examples=count, deadline=None)
    fewer = max(_AT_LEAST, count * int(percent) // 100)
    return settings(
        max_examples=min(count, fewer),
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )
