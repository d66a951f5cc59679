"""The benchmark is no part of any package that is installed: it is found from the project's root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
