import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.configuration.discovery import canonical, scan
from weft.errors import WeftWarning

if TYPE_CHECKING:
    from core.tests.conftest import Site

EXPLOSION = "raise SystemExit('a package was imported to be listed')\n"


def keys(found: Any) -> list[str]:
    return [f"{o.kind}.{o.name} of {o.dist} {o.version}" for o in found]


def test_a_package_is_listed_without_being_imported(site: "Site") -> None:
    site.write("bomb/__init__.py", EXPLOSION)
    site.dist("weft-bomb", "2.1", components={"executor.bomb": "bomb.manifest:it"})

    found = scan([str(site.folder)])

    assert keys(found.components) == ["executor.bomb of weft-bomb 2.1"]
    assert found.components[0].target == "bomb.manifest:it"
    assert found.components[0].package == "bomb"
    assert "bomb" not in sys.modules


def test_components_and_hooks_are_told_apart(site: "Site") -> None:
    site.dist("weft-both", components={"monitor.m": "b.m:it"}, hooks={"otel": "b.hooks"})

    found = scan([str(site.folder)])

    assert keys(found.components) == ["monitor.m of weft-both 1.0"]
    assert [(o.name, o.target) for o in found.hooks] == [("otel", "b.hooks")]


def test_names_are_folded_and_extras_dropped(site: "Site") -> None:
    site.dist("a", raw="[weft.components]\n# a comment\nExecutor.My_Thing = a.b : it [gpu]\n")

    (offer,) = scan([str(site.folder)]).components

    assert (offer.kind, offer.name, offer.target) == ("executor", "my-thing", "a.b:it")


def test_the_distribution_first_on_the_path_hides_a_later_one(site: "Site", tmp_path: Path) -> None:
    later = tmp_path / "later"
    site.dist("weft-x", "2.0", components={"executor.x": "x:it"})
    site.dist("Weft.X", "1.0", components={"executor.old": "x:it"}, under=later)

    found = scan([str(site.folder), str(later)])

    assert keys(found.components) == ["executor.x of weft-x 2.0"]
    assert any("is hidden by" in oddity for oddity in found.oddities)


def test_a_folder_that_is_twice_on_the_path_counts_once(site: "Site") -> None:
    site.dist("weft-x", components={"executor.x": "x:it"})

    found = scan([str(site.folder), str(site.folder)])

    assert len(found.components) == 1
    assert not found.oddities


def test_of_two_leftover_versions_in_one_folder_the_newer_counts_and_it_is_told(
    site: "Site",
) -> None:
    site.dist("weft-x", "1.9", components={"executor.old": "x:it"})
    site.dist("weft-x", "1.10", components={"executor.new": "x:it"})

    found = scan([str(site.folder)])

    assert keys(found.components) == ["executor.new of weft-x 1.10"]
    assert any("interrupted installation" in oddity for oddity in found.oddities)


def test_an_editable_installation_with_egg_info_is_found(tmp_path: Path, site: "Site") -> None:
    source = tmp_path / "checkout" / "src"
    site.dist(
        "weft-dev", "0.3", components={"executor.dev": "d:it"}, under=source, metadata="egg-info"
    )

    found = scan([str(site.folder), str(source)])

    assert keys(found.components) == ["executor.dev of weft-dev 0.3"]


def test_an_egg_folder_is_found(tmp_path: Path) -> None:
    egg = tmp_path / "weft_e-1.5-py3.11.egg" / "EGG-INFO"
    egg.mkdir(parents=True)
    (egg / "PKG-INFO").write_text("Name: weft-e\nVersion: 1.5\n")
    (egg / "entry_points.txt").write_text("[weft.components]\nexecutor.e = e:it\n")

    assert keys(scan([str(egg.parent)]).components) == ["executor.e of weft-e 1.5"]


def test_a_distribution_in_a_zip_is_found(tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr(
            "weft_z-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weft-z\nVersion: 1.0\n"
        )
        bundle.writestr(
            "weft_z-1.0.dist-info/entry_points.txt", "[weft.components]\nexecutor.z = z:it\n"
        )

    assert keys(scan([str(file)]).components) == ["executor.z of weft-z 1.0"]


def test_what_a_custom_finder_knows_is_found(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Dist:
        name, version = "weft-vault", "7"

        @property
        def metadata(self) -> dict[str, str]:
            return {"Name": self.name}

        def read_text(self, name: str) -> str | None:
            return (
                "[weft.components]\nexecutor.vault = v:it\n" if name == "entry_points.txt" else None
            )

    class Finder:
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, _context: object) -> list[Dist]:
            return [Dist()]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    assert "executor.vault of weft-vault 7" in keys(scan().components)


def test_a_custom_finder_that_raises_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Finder:
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, _context: object) -> list[Any]:
            raise OSError("the vault is closed")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    with pytest.warns(WeftWarning, match="cannot list its distributions"):
        scan()


def test_folders_that_are_not_there_or_hold_rubbish_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "file-1.0.dist-info").write_text("not a folder")
    bad = tmp_path / "bad-1.0.dist-info"
    bad.mkdir()
    (bad / "entry_points.txt").write_bytes(
        b"[weft.components]\nexecutor.b\xff\xfe = b:it\nnonsense\n= :\n"
    )

    found = scan([str(tmp_path), str(tmp_path / "missing"), ""])

    assert found.components == ()


def test_an_entry_point_that_is_not_kind_dot_name_is_ignored_and_told(site: "Site") -> None:
    site.dist("weft-odd", components={"threads": "o:it", "executor.ok": "o:it", "executor.no": "o"})

    found = scan([str(site.folder)])

    assert keys(found.components) == ["executor.ok of weft-odd 1.0"]
    assert sum("is ignored" in oddity for oddity in found.oddities) == 2


def test_a_kind_that_this_weft_does_not_know_is_ignored_and_told(site: "Site") -> None:
    site.dist("weft-odd", components={"exekutor.odd": "o:it", "EXECUTOR.Even": "o:it"})

    found = scan([str(site.folder)])

    assert keys(found.components) == ["executor.even of weft-odd 1.0"]
    (told,) = found.oddities
    assert "'exekutor.odd = o:it', and this weft knows no kind 'exekutor'" in told
    assert "Kinds are executor, provider" in told


def test_without_metadata_the_folder_tells_name_and_version(site: "Site") -> None:
    folder = site.dist("weft-bare", "3.2", components={"executor.bare": "b:it"})
    (folder / "METADATA").unlink()

    assert keys(scan([str(site.folder)]).components) == ["executor.bare of weft_bare 3.2"]


def test_the_scan_agrees_with_importlib(
    site: "Site", monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("WEFT_DEBUG_DISCOVERY", "1")
    site.dist("weft-x", components={"executor.x": "x:it"}, hooks={"h": "x.h"})

    scan([str(site.folder)])
    scan()

    assert [str(w.message) for w in recwarn] == []


def test_a_difference_from_importlib_is_warned_of(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    from weft.configuration import discovery

    monkeypatch.setenv("WEFT_DEBUG_DISCOVERY", "1")
    site.dist("weft-x", components={"executor.x": "x:it"})
    monkeypatch.setattr(discovery, "_metadata_in", lambda *_: iter(()))

    with pytest.warns(WeftWarning, match="only importlib finds executor.x"):
        scan([str(site.folder)])


@pytest.mark.parametrize("name", ["Weft_HTEX", "weft-htex", "weft.htex", "weft__htex"])
def test_names_of_distributions_are_compared_without_regard_to_spelling(name: str) -> None:
    assert canonical(name) == "weft-htex"


def test_the_working_folder_is_looked_through_where_the_path_says_so(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.folder)
    site.dist("weft-x", components={"executor.x": "x:it"})

    assert len(scan([""]).components) == 1
    assert Path.cwd() == site.folder
