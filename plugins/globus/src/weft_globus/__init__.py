"""Globus for weft: files of its collections, for tasks."""
