"""Tests: each one's docstring is the rule it proves."""

import os
import sys

# A run starts thousands of Python processes. Where bytecode may not be kept, each compiles all that it imports again,
# which takes longer than the import itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
