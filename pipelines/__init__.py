"""Retraining: what happens between an alert that says a model has become worse and a challenger worth promoting.

It will be level-triggered on the alerts that are firing, run one user function, command or image, and judge the
challenger on the same delayed labels. It knows the monitor by data only: alerts on a topic, and the decoding and
joining it needs as ports that `monitor.cli` fills. `dataset`, the versions of rows that it trains and judges on, is there.
"""
