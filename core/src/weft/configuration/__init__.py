"""From names to parts: configurations, how plugins are found, and what can be wrong with either."""
