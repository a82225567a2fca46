"""From names to parts: what a configuration is, how plugins are found, and what can be wrong with either."""
