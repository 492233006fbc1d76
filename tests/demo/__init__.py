"""The whole loop, as the demo plays it."""
