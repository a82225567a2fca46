"""Blocks: the machines of an executor, asked for and given back as its load changes."""
