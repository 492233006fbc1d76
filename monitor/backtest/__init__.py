"""Backtests: what would have been told, against what is known to have happened, and against another configuration.

    events of a replay -> episodes -> incidents, differences, gates

Pure. The engine that gives the events is that of production; nothing is computed here that it computes.
"""
