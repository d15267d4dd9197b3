"""Build the source distribution and the wheel in ``dist/``, install them, and check both."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

from airflow_provider_otpiq import __version__
from dev.constraints import environments
from dev.local_airflow import REPOSITORY

PACKAGE = "airflow_provider_otpiq"
SDIST = {PACKAGE, "docs", "example_dags"} | {
    *(".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "pyproject.toml"),
}
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
# Licenses that require no more than a notice, as SPDX, classifiers and some projects name them.
LICENSES = (
    *("Apache-2.0", "Apache-2.0 OR BSD-2-Clause", "Apache-2.0 OR BSD-3-Clause", "BSD-2-Clause", "BSD-3-Clause", "ISC"),
    *("MIT", "MIT-0", "MIT AND PSF-2.0", "MIT OR Apache-2.0", "PSF-2.0", "3-Clause BSD License", "BSD License"),
    *("Apache Software License", "ISC License (ISCL)", "MIT License", "Python Software Foundation License"),
    "The Unlicense (Unlicense)",
)
# The MPL of the first two concerns only those who change their files. The last offers the Artistic License, which
# requires nothing of its users.
REVIEWED = ("certifi", "pathspec", "text-unidecode")

BIN = Path(sys.executable).parent
UV = BIN / "uv"
CONSTRAINTS = REPOSITORY / "dev" / "constraints" / f"{environments()[-1].airflow}.txt"


def main() -> None:
    """Build and check; exit with 1 and a message at the first check that fails."""
    _require_committed()
    shutil.rmtree(REPOSITORY / "dist", ignore_errors=True)
    sdist, wheel = _build(REPOSITORY, REPOSITORY / "dist", umask=0o022)
    with tempfile.TemporaryDirectory() as folder:
        _check_reproducible([sdist, wheel], Path(folder))
        _check_metadata(sdist, wheel)
        _check_contents(sdist, wheel)
        _check_without_dependencies(wheel, Path(folder) / "alone")
        _check_installed(sdist, Path(folder) / "from-sdist")
        _check_installed(wheel, Path(folder) / "from-wheel")
        _check_extras(wheel, Path(folder) / "from-wheel")
    for file in (sdist, wheel):
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(REPOSITORY)}")


def _require_committed() -> None:
    changed = _run("git", "status", "--porcelain", "--", *sorted(SDIST))
    _require(not changed, f"Commit these files first:\n{changed}")


def _check_reproducible(built: list[Path], folder: Path) -> None:
    """Build again from a clone, which has the commit only; there, the wheel is not built from the sdist."""
    clone = folder / "clone"
    _run("git", "clone", "--quiet", str(REPOSITORY), str(clone), umask=0o077)
    for path in clone.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    again = _build(clone, folder / "again", "--sdist", "--wheel", umask=0o077, timezone="Pacific/Kiritimati")
    for one, other in zip(built, again, strict=True):
        _require(one.read_bytes() == other.read_bytes(), f"{one} differs from the build of a clone: {other}")
    print("reproducible: the same bytes from a clone with another path, umask, timezone and file times")
    print("the wheel built from the sdist is the one built from the checkout")


def _check_metadata(sdist: Path, wheel: Path) -> None:
    """Check what a package registry checks; hatchling has checked the classifiers."""
    _run(str(BIN / "twine"), "check", "--strict", str(sdist), str(wheel))
    of_sdist, of_wheel = _read_sdist(sdist)["PKG-INFO"], _read_wheel(wheel)[f"{_dist_info()}/METADATA"]
    _require(of_sdist == of_wheel, "The metadata of the sdist and of the wheel differ")
    metadata = Metadata.from_email(of_sdist, validate=True)
    released = re.findall(r"^## \[(\d[^\]]*)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    versions = [str(metadata.version), __version__, released[0]]
    _require(len(set(versions)) == 1, f"Metadata, package and CHANGELOG have different versions: {versions}")
    _require(metadata.license_expression == "Apache-2.0", f"License-Expression: {metadata.license_expression}")
    _require(
        "apache-airflow>=2.11" in map(str, metadata.requires_dist or []),
        "The dependency on Airflow must be apache-airflow>=2.11",
    )
    print(f"metadata: complete and valid; version {metadata.version}, as in the package and CHANGELOG")


def _check_contents(sdist: Path, wheel: Path) -> None:
    """Compare the files' names with git's; the build of a clone has compared their contents."""
    _require_same("files of the sdist", set(_read_sdist(sdist)), {*_tracked(*sorted(SDIST)), "PKG-INFO"})
    of_wheel = set(_read_wheel(wheel))
    _require_same("files of the wheel", of_wheel, _tracked(PACKAGE) | {f"{_dist_info()}/{name}" for name in DIST_INFO})
    needed = {f"{PACKAGE}/py.typed", f"{PACKAGE}/sandbox/dashboard.html"}
    _require(needed <= of_wheel, f"The wheel lacks one of {needed}")
    unknown = set(re.findall(r"\]\(([\w./-]+)\)", (REPOSITORY / "README.md").read_text())) - set(_read_sdist(sdist))
    _require(not unknown, f"README links to what the sdist lacks: {sorted(unknown)}")
    with tarfile.open(sdist) as archive:
        owners = {(member.uid, member.gid, member.uname, member.gname) for member in archive}
    _require(owners == {(0, 0, "", "")}, f"The sdist contains the builder's user: {owners}")
    print(f"contents: {len(of_wheel)} files in the wheel; the sdist has the package, docs and examples")


def _check_without_dependencies(wheel: Path, venv: Path) -> None:
    """Run the sandbox's command without dependencies; Airflow 3 would install what it needs."""
    _run(str(UV), "venv", "--quiet", "--python", sys.executable, str(venv))
    _install(venv, "--no-deps", str(wheel))
    run = subprocess.run([venv / "bin" / "otpiq-sandbox"], capture_output=True, text=True, check=False, timeout=60)
    printed = run.stdout + run.stderr
    names_the_fix = "pip install 'airflow-provider-otpiq[sandbox]'" in printed and len(printed.splitlines()) == 1
    _require(run.returncode == 1 and names_the_fix, f"otpiq-sandbox without its extra exits with:\n{printed}")
    print(f"without dependencies: {printed.strip()}")


def _check_installed(distribution: Path, venv: Path) -> None:
    _run(str(UV), "venv", "--quiet", "--python", sys.executable, str(venv))
    _install(venv, str(distribution))
    home = {"AIRFLOW_HOME": str(venv / "airflow")}
    _run(str(venv / "bin" / "python"), "-I", str(REPOSITORY / "dev" / "check_installed.py"), environment=home)
    get = ["providers", "get", "airflow-provider-otpiq", "--output", "plain"]
    found = _run(str(venv / "bin" / "airflow"), *get, environment=home)
    _require(__version__ in found.split(), f"`airflow {' '.join(get)}` prints:\n{found}")
    print(f"installed {distribution.name}: dependencies fit, all modules import, Airflow finds the provider")


def _check_extras(wheel: Path, venv: Path) -> None:
    _install(venv, f"{wheel}[audience,sandbox]")
    for command in ("otpiq-check", "otpiq-sandbox"):
        _run(str(venv / "bin" / command), "--help")
    allowed = ["--allow-only", ";".join(LICENSES), "--ignore-packages", *REVIEWED]
    _run(str(BIN / "pip-licenses"), "--python", str(venv / "bin" / "python"), *allowed)
    print("licenses: those of all dependencies fit Apache-2.0")


def _build(source: Path, output: Path, *what: str, umask: int, timezone: str = "UTC") -> tuple[Path, Path]:
    """Build both, by default the wheel from the sdist, with the commit's time."""
    commit_time = _run("git", "log", "-1", "--format=%ct").strip()
    options = ["--quiet", "--build-constraints", str(CONSTRAINTS), "--out-dir", str(output), *what]
    environment = {"SOURCE_DATE_EPOCH": commit_time, "TZ": timezone}
    _run(str(UV), "build", *options, str(source), umask=umask, environment=environment)
    (sdist,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return sdist, wheel


def _install(venv: Path, *what: str) -> None:
    python = ["--python", str(venv / "bin" / "python")]
    constraints = ["--constraint", str(CONSTRAINTS), "--build-constraints", str(CONSTRAINTS)]
    _run(str(UV), "pip", "install", "--quiet", *python, *constraints, *what)
    if "--no-deps" not in what:
        _run(str(UV), "pip", "check", *python)


def _tracked(*paths: str) -> set[str]:
    return set(_run("git", "ls-files", "--", *paths).splitlines())


def _dist_info() -> str:
    return f"{PACKAGE}-{__version__}.dist-info"


def _read_sdist(sdist: Path) -> dict[str, bytes]:
    root = f"{PACKAGE}-{__version__}/"
    with tarfile.open(sdist) as archive:
        files = [(member.name.removeprefix(root), archive.extractfile(member)) for member in archive]
        return {name: file.read() for name, file in files if file}


def _read_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _run(*command: str, umask: int = -1, environment: dict[str, str] | None = None) -> str:
    """Run a command in the checkout and return its standard output; exit with its output if it fails."""
    run = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | (environment or {}),
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    _require(run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}")
    return run.stdout


def _require_same(what: str, found: set[str], expected: set[str]) -> None:
    _require(found == expected, f"Unexpected or missing {what}: {sorted(found ^ expected)}")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        sys.exit(f"make dist: {otherwise}")


if __name__ == "__main__":
    main()
