"""Provenance of runs of weft: as a Provenance Run Crate (RO-Crate), or as W3C PROV."""

__all__: list[str] = []

__version__ = "0.1.0"
