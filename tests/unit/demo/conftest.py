"""The demo is a program beside the installed packages: its tests find it where it lies."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))
