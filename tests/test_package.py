"""The package as it is installed: a wheel that holds `vidinv` alone, and works beside folders of the same names."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vidinv
from tests.helpers.runs import TINY
from vidinv.bench.synthetic_clip import make_clip

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("vidinv", "stages", "trainers", "configs")  # those that setup.py maps into the one package
FOREIGN = ("batch", "configs", "jobs", "scripts", "stages", "tests", "trainers")  # what a researcher's folder may hold
START = [sys.executable, "-c", "import sys; from vidinv.cli.main import main; sys.exit(main())"]  # as `vidinv` does


def copied_tree(place: Path) -> Path:
    """The tree's sources in another folder: a build writes beside them."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place / name)
    return place


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools, which builds the wheel, is not installed")
    tree = copied_tree(tmp_path_factory.mktemp("tree"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "built", "."]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, timeout=300)
    (built,) = (tree / "built").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of site packages that the wheel is unpacked in."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with packages that have the names of ours, and cannot be imported."""
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('the package {name} of another project')\n")
    return tmp_path


def test_the_wheel_holds_the_one_package_with_all_its_modules_and_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"vidinv"}
    wanted = {
        str(Path("vidinv", "" if top == "vidinv" else top) / path.relative_to(ROOT / top))
        for top in FOLDERS
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix in {".py", ".yaml", ".safetensors", ".j2"}
    }
    assert names >= wanted


@pytest.mark.parametrize("start", [[sys.executable, "-m", "vidinv"], START], ids=["python -m vidinv", "vidinv"])
def test_a_run_works_in_a_folder_with_packages_of_the_same_names(
    start: list[str], installed: Path, foreign: Path
) -> None:
    make_clip(foreign / "in.mp4", frames=3)
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "VIDINV_CACHE": str(foreign / "cache")}
    command = [*start, "run", "in.mp4", "--edit", "age+2", "-o", "out.mp4", *TINY]
    done = subprocess.run(command, cwd=foreign, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (foreign / "out.mp4").is_file()


def test_the_library_is_imported_in_a_folder_with_packages_of_the_same_names(installed: Path, foreign: Path) -> None:
    program = "import vidinv; from vidinv import api; assert vidinv.run is api.run; print(vidinv.__file__)"
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=foreign, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_the_public_names_are_those_of_the_api() -> None:
    from vidinv import api

    assert set(vidinv.__all__) <= set(dir(vidinv))
    assert vidinv.run is api.run and vidinv.load is api.load and issubclass(vidinv.VidinvError, Exception)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vidinv.nothing  # noqa: B018


PLANTED = '''
"""A module that passes text where a number of pixels belongs."""

from vidinv.faces.crops import evenly_spaced

numbers: list[int] = evenly_spaced("three", 5)
'''


@pytest.mark.slow
def test_a_type_error_across_the_folders_is_found(tmp_path: Path) -> None:
    """`stages/` is a folder next to `vidinv/` in a checkout; mypy must see what a stage takes from the library."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    tree = copied_tree(tmp_path)
    (tree / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_types.py", tree / "scripts" / "check_types.py")
    (tree / "stages" / "planted.py").write_text(PLANTED)
    command = [sys.executable, "scripts/check_types.py", "vidinv/stages/planted.py"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr
    assert 'vidinv/stages/planted.py:6: error: Argument 1 to "evenly_spaced" has incompatible type "str"' in done.stdout
