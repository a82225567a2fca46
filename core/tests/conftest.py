"""What tests of several rooms share: a folder of installed packages, made by hand."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from weft.configuration.registry import Registry, Rules

SETTINGS = """
from typing import ClassVar
import attrs
from weft.values.settings import {marker}, ProviderSettings, LauncherSettings, setting

@attrs.frozen(kw_only=True)
class S({marker}):
    plugin: ClassVar[str] = {name!r}
    size: int = setting(1, help="How big.", unit="things", validator=attrs.validators.ge(1))
{options}
"""

FACTORY = """
from weft.testing.{kind} import Fake{Kind}

def build(settings):
    made = Fake{Kind}()
    made.settings = settings
    return made
"""


class Site:
    """A folder like ``site-packages``, first on ``sys.path``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: set[str] = set()

    def write(self, path: str, text: str, *, under: Path | None = None) -> None:
        file = (under or self.folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        if path.endswith(".py"):
            self.modules.add(path.removesuffix(".py").partition("/")[0])
        importlib.invalidate_caches()

    def dist(
        self,
        name: str,
        version: str = "1.0",
        *,
        components: Mapping[str, str] | None = None,
        hooks: Mapping[str, str] | None = None,
        raw: str = "",
        under: Path | None = None,
        metadata: str = "dist-info",
    ) -> Path:
        """The metadata of an installed distribution."""
        stem = name.replace("-", "_")
        folder = f"{stem}-{version}.{metadata}"
        lines = [f"[weft.components]\n{k} = {v}\n" for k, v in (components or {}).items()]
        lines += [f"[weft.hooks]\n{k} = {v}\n" for k, v in (hooks or {}).items()]
        file = "METADATA" if metadata == "dist-info" else "PKG-INFO"
        header = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not a header\n"
        self.write(f"{folder}/{file}", header, under=under)
        self.write(f"{folder}/entry_points.txt", raw or "\n".join(lines), under=under)
        return (under or self.folder) / folder

    def plugin(
        self,
        dist: str,
        kind: str,
        name: str,
        *,
        version: str = "1.0",
        options: str = "",
        settings: str | None = None,
        factory: str | None = None,
        **declared: Any,
    ) -> str:
        """A whole package that offers one component; returns the name of its module."""
        module = f"{dist.replace('-', '_')}_{kind}_{name.replace('-', '_')}"
        facts = {
            "kind": kind,
            "name": name,
            "settings": f"{module}.settings:S",
            "factory": f"{module}.factory:build",
            "summary": f"The {name} of {dist}.",
        } | declared
        arguments = ", ".join(f"{key}={value!r}" for key, value in facts.items())
        imports = "from weft.values.plugin import Component, Requires, Support\n"
        self.write(f"{module}/__init__.py", "")
        self.write(f"{module}/manifest.py", f"{imports}it = Component({arguments})\n")
        marker = f"{kind.capitalize()}Settings"
        text = SETTINGS.format(marker=marker, name=name, options=options)
        self.write(f"{module}/settings.py", text if settings is None else settings)
        text = FACTORY.format(kind=kind, Kind=kind.capitalize())
        self.write(f"{module}/factory.py", text if factory is None else factory)
        self.dist(dist, version, components={f"{kind}.{name}": f"{module}.manifest:it"})
        return module

    def registry(self, *, builtin: bool = False, **rules: Any) -> Registry:
        """A registry of this folder alone."""
        return Registry([str(self.folder)], rules=Rules(**rules), builtin=builtin)

    def forget(self) -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in self.modules:
                del sys.modules[name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for variable in ("WEFT_PLUGINS", "WEFT_PLUGINS_BLOCK", "WEFT_HOOKS", "WEFT_DEBUG_DISCOVERY"):
        monkeypatch.delenv(variable, raising=False)
    made = Site(folder)
    yield made
    made.forget()
