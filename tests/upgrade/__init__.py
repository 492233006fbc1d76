"""Upgrades between releases: other code than this tree's runs beside it, as processes on a real broker."""
