"""The package as it is installed: from a wheel, from an sdist, and editable."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROBE = (
    "import hubdistill, hubdistill.card, hubdistill.cli.init, importlib.resources as r\n"
    "folder = hubdistill.card.templates_folder()\n"
    "print(hubdistill.__file__); print(folder)\n"
    "print(sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()))\n"
    "print(r.files('hubdistill.cli').joinpath(hubdistill.cli.init.TEMPLATE).is_file())\n"
)


def templates() -> list[str]:
    folder = ROOT / "templates"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def probe(path: Path | None, cwd: Path) -> tuple[Path, Path, str, str]:
    """Where hubdistill and its templates are found; a folder may be put first on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, cwd=cwd, env=environment
    )
    package, folder, files, recipe = done.stdout.splitlines()
    return Path(package), Path(folder), files, recipe


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    return folder


def pip_install(source: Path, target: Path) -> None:
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], check=True, capture_output=True
    )


def unpack_sdist(dist: Path, folder: Path) -> Path:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_templates_are_found_when_installed(dist: Path, tmp_path: Path, kind: str) -> None:
    source = next(dist.glob("*.whl")) if kind == "wheel" else unpack_sdist(dist, tmp_path / "unpacked")
    target = tmp_path / "site"
    pip_install(source, target)
    package, folder, files, recipe = probe(target, tmp_path)
    assert package == target / "hubdistill" / "__init__.py"
    assert folder == target / "hubdistill" / "templates"
    assert files == str(templates())
    assert recipe == "True"


def test_templates_are_found_in_an_unpacked_sdist(dist: Path, tmp_path: Path) -> None:
    source = unpack_sdist(dist, tmp_path)
    package, folder, files, _ = probe(source, tmp_path)
    assert package == source / "hubdistill" / "__init__.py"
    assert folder == source / "templates"
    assert files == str(templates())


def test_templates_are_found_in_an_editable_install(tmp_path: Path) -> None:
    """The environment that `pip install -e` made, which is the one that tests run in."""
    origin = importlib.metadata.distribution("hubdistill").read_text("direct_url.json") or "{}"
    if not json.loads(origin).get("dir_info", {}).get("editable"):
        pytest.skip("hubdistill is not installed editable here")
    package, folder, files, recipe = probe(None, tmp_path)
    assert package == ROOT / "hubdistill" / "__init__.py"
    assert folder == ROOT / "templates"
    assert files == str(templates())
    assert recipe == "True"


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        scripts = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"hubdistill"}
    assert "hubdistill/py.typed" in names
    assert "hubdistill = hubdistill.cli:main" in scripts
    assert "hf-distill = hubdistill.cli:main" in scripts


def test_the_sdist_can_test_itself(dist: Path, tmp_path: Path) -> None:
    source = unpack_sdist(dist, tmp_path)
    for name in ("tests/test_packaging.py", "recipes/bge-m3.yaml", "constraints.txt", "README.md", "LICENSE"):
        assert (source / name).is_file(), name


def test_every_metric_travels_in_the_wheel(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hubdistill").rglob("*.py")}
    assert here <= names
