"""Did you mean: the nearest of the allowed names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SYNONYMS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds", "unix"), "s"),
    **dict.fromkeys(("milli", "millis", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("iso8601", "rfc3339", "datetime", "timestamp"), "iso"),
    **dict.fromkeys(("critical", "high", "error"), "page"),
    **dict.fromkeys(("warning", "warn", "medium"), "ticket"),
    **dict.fromkeys(("low", "notice"), "info"),
    **dict.fromkeys(("auc", "auroc", "roc", "aucroc", "auc_roc", "rocauc", "roc_auc_score"), "roc_auc"),
    **dict.fromkeys(("acc", "accuracy_score"), "accuracy"),
    **dict.fromkeys(("f1_score", "f1score", "f_score", "fscore"), "f1"),
    **dict.fromkeys(("logloss", "cross_entropy", "nll"), "log_loss"),
    **dict.fromkeys(("matthews", "matthews_corrcoef", "phi"), "mcc"),
    **dict.fromkeys(("cohen_kappa", "cohen_kappa_score"), "kappa"),
    **dict.fromkeys(("ap", "pr_auc", "auprc", "prauc", "average_precision_score"), "average_precision"),
    **dict.fromkeys(("calibration", "calibration_error", "expected_calibration_error"), "ece"),
    **dict.fromkeys(("balanced_acc", "bacc"), "balanced_accuracy"),
    **dict.fromkeys(("false_positive_rate", "fall_out"), "fpr"),
    **dict.fromkeys(("count", "counts", "rows", "throughput", "traffic"), "volume"),
    **dict.fromkeys(("mean_absolute_error",), "mae"),
    **dict.fromkeys(("mean_squared_error",), "mse"),
    **dict.fromkeys(("root_mean_squared_error",), "rmse"),
    **dict.fromkeys(("mean_absolute_percentage_error", "percentage_error"), "mape"),
    **dict.fromkeys(("msle", "mean_squared_log_error", "root_mean_squared_log_error"), "rmsle"),
    **dict.fromkeys(("median_absolute_error", "medae", "mdae"), "median_ae"),
    **dict.fromkeys(("pearson", "pearson_r", "pearsonr", "corr"), "correlation"),
    **dict.fromkeys(("explained_variance_score", "evs"), "explained_variance"),
    **dict.fromkeys(("pinball", "pinball_loss", "quantile_loss", "mean_pinball_loss"), "pinball_0_9"),
    **dict.fromkeys(("r_squared", "rsquared", "r2_score"), "r2"),
    **dict.fromkeys(("tpr", "sensitivity"), "recall"),
    **dict.fromkeys(("tnr",), "specificity"),
    **dict.fromkeys(("ppv",), "precision"),
    **dict.fromkeys(("brier_score", "brier_loss"), "brier"),
    **dict.fromkeys(("classification",), "binary"),
    **dict.fromkeys(("number", "float", "int", "integer", "numerical"), "numeric"),
    **dict.fromkeys(("category", "string", "text", "enum"), "categorical"),
}
"""What people call things elsewhere -> what they are called here."""


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `given`, or None when nothing is close. Case and `-`/`_` do not count as distance."""
    names = {_plain(name): name for name in allowed}
    if (known := SYNONYMS.get(_plain(given))) in names:
        return known
    if found := difflib.get_close_matches(_plain(given[:100]), names, n=1, cutoff=0.6):
        return names[found[0]]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def hint(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    found = nearest(given, allowed)
    return f"; did you mean {found!r}?" if found is not None and found != given else ""


def listing(allowed: Iterable[str], most: int = 24) -> str:
    """The allowed names in a row, cut short with a count."""
    names = list(allowed)
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
