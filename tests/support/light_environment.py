"""Clean environments with the built wheel of headrace in them: what a user of the light client installs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_UV = Path(sys.executable).parent / "uv"


def light_requirements() -> list[str]:
    """Return the requirements of the light client, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements: list[str] = project["dependencies"]
    return requirements


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into `folder`, without the network."""
    _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


class LightEnvironment:
    """A virtual environment with the wheel and the light client's requirements, and nothing else.

    Args:
        folder: Where to make it.
        wheel: The built wheel.
        resolution: "highest" or "lowest-direct": which versions of the requirements are installed.
    """

    def __init__(self, folder: Path, wheel: Path, resolution: str) -> None:
        self._python = folder / "bin" / "python"
        _uv("venv", "--python", sys.executable, str(folder))
        arguments = ["--python", str(self._python), "--resolution", resolution, "--no-config"]
        _uv("pip", "install", *arguments, str(wheel), *light_requirements())

    def run(self, script: str, *, tests: bool = False) -> str:
        """Run a script in a process of the environment, warnings as errors; return what it prints.

        Args:
            script: The script.
            tests: Whether it may import from tests/, e.g. support.fake_service.
        """
        done = subprocess.run(
            [str(self._python), "-W", "error", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PYTHONPATH": str(ROOT / "tests")} if tests else {},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _uv(*arguments: str) -> None:
    done = subprocess.run([str(_UV), "--quiet", *arguments], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        command: Sequence[str] = ("uv", *arguments)
        pytest.fail(f"{' '.join(command)} failed; is the package index within reach?\n{done.stderr}", pytrace=False)
