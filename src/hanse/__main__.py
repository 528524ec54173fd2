"""`python -m hanse` is `hanse`, for whoever knows where Python is and not where scripts are."""

from hanse.cli import begin

begin()
