"""Configurations of clusters by name, as data: found, shown, filled in, and written as Python."""
