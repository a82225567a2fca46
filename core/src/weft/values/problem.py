"""``Problem``: something that is wrong, where, and what mends it. ``Finding``: what a check saw."""

import enum

import attrs

__all__ = ["Finding", "Problem", "Severity"]


class Severity(enum.StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    """Nothing can run until it is mended."""
    WARNING = "warning"
    """It can run, but perhaps not as it was meant."""


@attrs.frozen(kw_only=True)
class Problem:
    """Something that is wrong, as ``weft check`` and ``weft doctor`` report it.

    Attributes:
        code: a stable name of the kind of problem, such as ``W-CFG-001``.
        place: where it is, such as ``executors[0].provider.partition``; may be empty.
        what: one or more sentences with the actual values.
        remedy: what to do; may be empty.
        severity: whether it keeps anything from running.
    """

    code: str
    place: str
    what: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """Whether it keeps anything from running."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.what}{f' {self.remedy}' if self.remedy else ''}"


@attrs.frozen(kw_only=True)
class Finding:
    """What one of a component's own checks saw; ``weft doctor`` shows it.

    Attributes:
        what: one or more sentences with the actual values.
        severity: how much it matters; ``None`` if all is well.
        why: the likely cause; may be empty.
        remedy: what to do; may be empty.
    """

    what: str
    severity: Severity | None = None
    why: str = ""
    remedy: str = ""
