"""An executor for weft that runs each task at once, and says so."""
