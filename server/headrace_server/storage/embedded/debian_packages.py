"""Takes PostgreSQL with TimescaleDB as packages from the archive of Debian or Ubuntu that this machine's apt names.

In: an empty folder. Out: the packages' files unpacked below it. apt works in folders of its own (lists, cache, status,
sources), so nothing is installed, the system's state is neither read nor written, and root is not needed. The
machine's own settings for proxies and credentials hold. Every package is verified by apt against the distribution's
own keyring and no other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.errors import CommandError

# Debian 12 has no TimescaleDB in its archive, Debian 13 has, and its programs run on older systems with the libraries
# that they were built with.
DEBIAN_SUITE = "trixie"
OS_RELEASE = Path("/etc/os-release")
KEYRING_FOLDER = Path("/usr/share/keyrings")
KEYRINGS = {
    "debian": ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"),
    "ubuntu": ("ubuntu-archive-keyring.gpg",),
}
# Of everything that the extension depends on, its libraries and PostgreSQL itself are needed. Perl is for the
# distribution's own cluster scripts, LLVM (and z3 for it) for just-in-time compilation, which is switched off.
WANTED = re.compile(r"(z?lib(?!.*perl|llvm|z3)|postgresql-(client-)?\d).*")

APT_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Default-Release;
#clear APT::Architectures;
#clear APT::Snapshot;
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Log "{folder}/log";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"""


@dataclass(frozen=True)
class Archive:
    """A place to take packages from, as apt names it."""

    uri: str
    suite: str
    components: str
    keyring: Path

    def __str__(self) -> str:
        # For logs and errors: a mirror's password stays out of them.
        return f"{re.sub('//[^/@]*@', '//', self.uri)} {self.suite}"


def archives() -> list[Archive]:
    """Return the archives to try, read from the machine's own apt sources; empty where there is no apt.

    Raises:
        OSError, subprocess.SubprocessError: apt cannot read its own sources.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return []
    release = _os_release()
    kin = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    family = "ubuntu" if "ubuntu" in kin else "debian" if "debian" in kin else None
    keyring = next((path for name in KEYRINGS.get(family or "", ()) if (path := KEYRING_FOLDER / name).exists()), None)
    if keyring is None:
        return []
    own_suite = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", "")
    # Without release info: with it, apt leaves out what it never fetched, and a fresh container has fetched nothing.
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = subprocess.run(  # noqa: S603 — fixed arguments, no shell
        ["apt-get", "indextargets", "--no-release-info", "--format", form, "Created-By: Packages"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    # A suite with a dash is a pocket (bookworm-security) or another vendor's (bookworm-pgdg); neither has it all.
    uris = [uri for uri, suite, part in map(str.split, listed.splitlines()) if part == "main" and "-" not in suite]
    suite, components = (DEBIAN_SUITE, "main") if family == "debian" else (own_suite, "main universe")
    return [Archive(uri, suite, components, keyring) for uri in dict.fromkeys(uris)]


def _os_release() -> dict[str, str]:
    try:
        lines = OS_RELEASE.read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines) if value}


async def unpack_from(archive: Archive, folder: Path) -> None:
    """Unpack PostgreSQL, TimescaleDB and their libraries into `folder` / root.

    Raises:
        CommandError: The archive cannot be reached or verified, or has no TimescaleDB.
    """
    apt = _PrivateApt(archive, folder / "apt")
    await apt.update()
    packages = await apt.with_libraries(await apt.newest_timescaledb())
    downloads = await apt.download(packages)
    root = folder / "root"
    root.mkdir()
    for package in downloads:
        await run(["dpkg-deb", "--extract", package, root], timeout_s=120)
    shutil.rmtree(folder / "apt")


class _PrivateApt:
    """apt with everything that it reads and writes in one folder."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._downloads = folder / "downloads"
        for part in ("state/lists/partial", "cache/archives/partial", "log", "downloads"):
            (folder / part).mkdir(parents=True)
        # An empty status file says that nothing is installed, so that what is needed comes whole, C library included.
        (folder / "status").touch()
        source = f"deb [signed-by={archive.keyring}] {archive.uri} {archive.suite} {archive.components}\n"
        (folder / "sources.list").write_text(source)
        (folder / "apt.conf").write_text(APT_CONFIGURATION.format(folder=folder))
        if os.geteuid() == 0:
            # Where root runs it, apt fetches as its own account, which needs the folder.
            try:
                shutil.chown(self._downloads, "_apt")
            except LookupError:
                return

    async def _apt(self, program: str, *arguments: str, timeout_s: float) -> str:
        # -c comes after the machine's own configuration; APT_CONFIG would come before it.
        command: list[str | Path] = [program, "-c", self._folder / "apt.conf", "-qq", *arguments]
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        return await run(command, timeout_s=timeout_s, cwd=self._downloads, environment=proxies)

    async def update(self) -> None:
        await self._apt("apt-get", "update", timeout_s=180)

    async def newest_timescaledb(self) -> str:
        names = await self._apt("apt-cache", "pkgnames", "postgresql-", timeout_s=60)
        majors = [
            int(found[1]) for name in names.split() if (found := re.fullmatch(r"postgresql-(\d+)-timescaledb", name))
        ]
        if not majors:
            raise CommandError("apt-cache", f"finds no TimescaleDB in {self._archive}")
        return f"postgresql-{max(majors)}-timescaledb"

    async def with_libraries(self, package: str) -> list[str]:
        # What would be fetched, not what would be configured when: ordering that takes apt three seconds more.
        plan = await self._apt("apt-get", "install", "--print-uris", package, timeout_s=60)
        names = re.findall(r"^'[^']+' ([^_]+)_", plan, re.MULTILINE)
        return [name for name in names if WANTED.fullmatch(name)]

    async def download(self, packages: list[str]) -> list[Path]:
        await self._apt("apt-get", "download", *packages, timeout_s=600)
        return sorted(self._downloads.glob("*.deb"))
