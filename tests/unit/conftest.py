"""How many examples the properties try: few and always the same ones here, many with
`pytest tests/unit --hypothesis-profile=long`."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # builders that several test files share

from programs import load  # noqa: F401 - a fixture

quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "unit",
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=quiet,
    report_multiple_bugs=False,
)
settings.register_profile(
    "long",
    max_examples=2000,
    stateful_step_count=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=quiet,
    report_multiple_bugs=False,
)
settings.load_profile("unit")
