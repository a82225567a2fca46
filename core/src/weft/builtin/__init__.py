"""The components that core brings itself, behind the same door as everyone's."""
