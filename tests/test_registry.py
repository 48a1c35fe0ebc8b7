"""Names of all kinds are listed without imports; errors of a plug-in name the plug-in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jurat.errors import JuratError, MissingExtra
from jurat.registry import KINDS, Entry, PlugInError, Registry, registry_of

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution `acme-tools` with these entry points and this source of `acme_tools`."""

    def install(entry_points: str, source: str = "") -> None:
        info = tmp_path / "acme_tools-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: acme-tools\nVersion: 1.0\nSummary: Tools.\n"
        )
        (info / "entry_points.txt").write_text(entry_points)
        (tmp_path / "acme_tools.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "acme_tools", raising=False)

    return install


def tools() -> Registry[Entry]:
    ours = [
        Entry("hammer", "drives nails", "tests.test_registry:tools", usage="hammer/NAIL"),
        Entry("saw", "cuts", "no_such_module:saw", extra="local"),
    ]
    return Registry("tools", "tool", Entry, ours)


def test_entry_loads_its_factory_lazily() -> None:
    registry = tools()
    assert registry.names() == ["hammer", "saw"]
    assert registry.find("hammer").load()().names() == ["hammer", "saw"]
    assert [entry.usage for entry in registry] == ["hammer/NAIL", "saw"]


@pytest.mark.parametrize(
    ("name", "hint"), [("hamer", "Did you mean 'hammer'?"), ("xyz", "There are hammer, saw.")]
)
def test_an_unknown_name_suggests_the_closest(name: str, hint: str) -> None:
    with pytest.raises(JuratError) as raised:
        tools().find(name)
    assert (raised.value.message, raised.value.hint) == (f"There is no tool {name!r}.", hint)


def test_an_unknown_kind_suggests_the_closest() -> None:
    with pytest.raises(JuratError, match="Did you mean 'models'"):
        registry_of("model")


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jurat.registry.find_spec", lambda name: None if name == "torch" else object())
    saw = tools().find("saw")
    assert saw.missing == ("torch",)
    with pytest.raises(MissingExtra, match=r"The tool 'saw' needs .*\n.*jurat\[local\]"):
        saw.load("The tool 'saw'")


def test_plug_ins_are_listed_last_and_replace_nothing(install: Install) -> None:
    install(
        "[jurat.tools]\nhammer = acme_tools:x\nplane = acme_tools:plane [fast]\n", "def plane(): return 7"
    )
    registry = tools()
    assert registry.names() == ["hammer", "saw", "plane"]
    plane = registry.find("plane")
    assert (plane.provider, plane.summary, plane.is_plug_in) == ("acme-tools", "Tools.", True)
    assert "acme_tools" not in sys.modules
    assert plane.load()() == 7


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("acme_absent:plane", "cannot be imported: ModuleNotFoundError: No module named 'acme_absent'"),
        ("acme_tools:nothing", "cannot be imported: AttributeError"),
        ("no module at all", "cannot be imported: ModuleNotFoundError"),
        ("acme_tools:PLANE", "cannot be used: acme_tools:PLANE is no function"),
    ],
)
def test_unloadable_plug_in_is_named(target: str, problem: str, install: Install) -> None:
    install(f"[jurat.tools]\nplane = {target}\n", "PLANE = 3")
    with pytest.raises(PlugInError) as raised:
        tools().find("plane").load()
    assert raised.value.message.startswith(f"The plug-in 'plane' of acme-tools {problem}")
    assert raised.value.exit_code == 3


def test_plug_in_exceptions_name_the_plug_in(install: Install) -> None:
    install("[jurat.tools]\nplane = acme_tools:plane\n")
    plane = tools().find("plane")

    def fail(error: Exception) -> Callable[[], None]:
        def step() -> None:
            raise error

        return step

    with pytest.raises(PlugInError, match="The plug-in 'plane' of acme-tools failed: ValueError: a b"):
        plane.attempt("failed", fail(ValueError("a\nb")))
    with pytest.raises(JuratError, match=r"^Set ACME_KEY\.$"):
        plane.attempt("failed", fail(JuratError("Set ACME_KEY.")))
    with pytest.raises(ValueError):
        tools().find("saw").attempt("failed", fail(ValueError("ours stays as it is")))


def test_listing_every_kind_imports_no_optional_package() -> None:
    code = (
        "import sys; from jurat.registry import KINDS, registry_of\n"
        "for kind in KINDS: assert registry_of(kind).names(), kind\n"
        "print({'torch', 'transformers', 'openai', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", KINDS)
def test_built_in_entries_load_and_have_a_summary(kind: str) -> None:
    for entry in registry_of(kind):
        if not entry.is_plug_in:
            assert callable(entry.load()), entry.name
            assert entry.summary and "\n" not in entry.summary
