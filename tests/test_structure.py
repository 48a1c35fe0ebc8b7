"""The structure of the packages: imports, public names, what an import loads, what a wheel holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.metadata import files, requires
from pathlib import Path

import pytest

PACKAGES = (
    "cli",
    "report",
    "scorers",
    "pictograms",
    "judge",
    "runs",
    "models",
    "constitution",
    "metrics",
    "sources",
    "media",
    "content",
)
ROOT = Path(__file__).parents[1]


def run(*command: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, **options)


def test_import_contracts_hold():
    lint = run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert "0 broken" in lint.stdout


@pytest.mark.parametrize("name", ["jurat", *(f"jurat.{package}" for package in PACKAGES)])
def test_all_lists_every_public_name_once(name):
    package = import_module(name)
    names = package.__all__
    assert names, "an empty __all__"
    assert len(set(names)) == len(names)
    assert not [public for public in names if not hasattr(package, public)]
    assert package.__doc__, "no docstring"
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018


def imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """Our modules that a file imports anywhere, inside functions and for types too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {
                full if (full := f"{node.module}.{alias.name}") in modules else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()


def test_imports_have_no_cycles():
    modules = {
        ".".join(path.relative_to(ROOT / root).with_suffix("").parts): path
        for root, package in (("src", "jurat"), (".", "training"))
        for path in (ROOT / root / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    graph = {name: imports(path, modules) - {name} for name, path in modules.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the files


HEAVY = ("torch", "transformers", "pyarrow", "scipy", "jinja2", "playwright", "matplotlib")


def test_packages_import_nothing_heavy_and_export_no_modules():
    """A module of the same name would hide a public name once it is imported."""
    names = ["jurat", *(f"jurat.{package}" for package in PACKAGES)]
    code = (
        "import sys, types\n"
        "from importlib import import_module\n"
        f"for name in {names}:\n"
        "    import_module(name)\n"
        f"    print(name, *[m for m in {HEAVY} if m in sys.modules])\n"
        f"for name in {names}:\n"
        "    package = import_module(name)\n"
        "    found = {public: getattr(package, public) for public in package.__all__}\n"
        "    print(name, *[n for n, value in found.items() if isinstance(value, types.ModuleType)])"
    )
    found = run(sys.executable, "-c", code)
    assert (found.stdout.splitlines(), found.stderr) == (names * 2, "")


def test_every_module_has_a_docstring():
    sources = sorted(path for folder in ("src", "training") for path in (ROOT / folder).rglob("*.py"))
    assert len(sources) > 30
    silent = [str(p) for p in sources if p.stat().st_size and not p.read_text().startswith(('"""', 'r"""'))]
    assert silent == []


@pytest.mark.slow  # a ratio of times says nothing on a busy machine
def test_help_takes_at_most_twice_a_bare_typer_start():
    measured = run(sys.executable, "perf/startup.py", "--only", "help", "--runs", "7")
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "met" in measured.stdout


def test_base_requirements_include_no_heavy_package():
    plain = [need for need in requires("jurat") or [] if "extra ==" not in need]
    names = {need.split(">")[0].split("<")[0].split("=")[0].strip() for need in plain}
    assert {"pydantic", "typer", "pillow"} <= names
    assert not names & {"torch", "transformers", "scipy", "pandas", "matplotlib", "openai"}
    assert files("jurat") is not None


def test_wheel_holds_all_package_data(tmp_path):
    import zipfile

    from hatchling.builders.wheel import WheelBuilder

    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        held = set(wheel.namelist())
    wanted = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/jurat").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held
    assert all(name.startswith(("jurat/", "jurat-")) for name in held), "training and tests are not installed"
    for name in ("py.typed", "report/verdicts/templates/page.html", "constitution/shelf/nursery.yaml"):
        assert f"jurat/{name}" in held
    assert [name for name in held if name.endswith("entry_points.txt")]


def plain(requirement: str) -> str:
    """A requirement with its name as indexes compare names."""
    return re.sub(r"^[\w.-]+", lambda name: re.sub(r"[-_.]+", "-", name[0]).lower(), requirement)


def test_every_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(plain(line).split("==") for line in lines if line and not line.startswith("#"))
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    needs = sum(project["optional-dependencies"].values(), project["dependencies"])
    direct = {re.split(r"[\[<>=; ]", plain(need))[0] for need in needs}
    assert direct <= set(pins)
    assert all("+" not in version for version in pins.values()), "a build is chosen by the index, not by us"


def test_make_dev_installs_every_extra():
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = Path(sys.executable).parent.parent
    told = subprocess.run(
        ["make", "-n", "-B", "dev", f"VENV={folder}"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert f'-e ".[{",".join(extras)}]"' in told
