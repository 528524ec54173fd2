"""Every bound in the system, each with its reason.

Workers start with these files too, so they import nothing else.
"""

from __future__ import annotations

from hanse.limits.nodes import *
from hanse.limits.records import *
from hanse.limits.units import *
from hanse.limits.working import *
