"""A guess as a commented YAML config. Comments say on what a value rests, and what to look at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from monitor.config.durations import format_duration
from monitor.config.envelopes import Format
from monitor.config.infer_columns import Column, Table, Times
from monitor.config.infer_guess import FEW_PAIRS, Guess, nice_ms
from monitor.config.infer_lines import comment, indent
from monitor.config.infer_pairs import find_pairs, pair_lines
from monitor.config.infer_quality import quality_lines
from monitor.config.infer_write_other import other_rule, other_settings, why_other
from monitor.config.times import Time
from monitor.config.yaml_text import flow, scalar

SKEW_MS: int = Time.model_fields["skew_ms"].default
"""Written even where no label was seen to need it: it is a part of what the numbers mean."""

DEFAULT_HORIZON_MS = 7 * 86_400_000
_MOST_MODELS = 20


def write(
    guess: Guess,
    predictions_topic: str,
    labels_topic: str | None,
    bootstrap_servers: str | None,
    namespace: str,
    envelopes: tuple[Format | None, Format | None] = (None, None),
) -> str:
    """The text of the config."""
    lines = [
        *comment("Proposed by driftline from a sample of the topics. Lines marked CHECK are guesses: look at them."),
        *comment("Every key is explained in docs/configuration.md; `driftline check` looks at the result."),
        f"namespace: {scalar(namespace)}",
        "",
    ]
    if bootstrap_servers:
        lines += ["kafka:", f"  bootstrap_servers: {scalar(bootstrap_servers)}", ""]
    lines += ["streams:", *indent(_predictions(guess, predictions_topic, envelopes[0]))]
    if labels_topic is not None:
        lines += indent(_labels(guess, labels_topic, envelopes[1]))
    lines += ["", *_time(guess, labels_topic is not None), "", *_models(guess, predictions_topic), "", *_windows(guess)]
    if pairs := list(pair_lines(find_pairs(guess.features.watched))):
        lines += ["", *pairs]
    lines += ["", *_rule(guess, labels_topic is not None)]
    return "\n".join(lines) + "\n"


def _predictions(guess: Guess, topic: str, envelope: Format | None) -> Iterator[str]:
    part = guess.predictions
    yield "predictions:"
    yield from indent(_sampled(part))
    yield f"  topic: {scalar(topic)}"
    yield from indent(_wrapped(envelope))
    yield "  fields:"
    yield from indent(_id(guess), 4)
    yield from indent(_named("model", guess.model, _topic_name(topic)), 4)
    yield from indent(_named("version", guess.version, "unversioned"), 4)
    yield from indent(_at(guess.at, guess.at_others, guess, "the prediction was made"), 4)
    yield from indent(_answers(guess), 4)
    if guess.features.watched:
        yield "  features:"
        for feature in guess.features.watched:
            column = feature.column.source
            default = column.path == ("features", feature.name)
            place = feature.type if default else flow({"from": column.text(), "type": feature.type})
            yield f"    {scalar(feature.name)}: {place}"
    else:
        yield from indent(comment("no feature was found; add inputs to watch under features:"))
    if guess.features.left_out:
        names = ", ".join(f"{place} ({why})" for place, why in guess.features.left_out[:12])
        more = f" and {len(guess.features.left_out) - 12} more" if len(guess.features.left_out) > 12 else ""
        yield from indent(comment(f"left out: {names}{more}"))
    if guess.prediction_values:
        yield from indent(comment(f"numbers for the words of the prediction, {guess.prediction_how}"))
        yield f"  values: {flow(guess.prediction_values)}"


def _wrapped(envelope: Format | None) -> list[str]:
    if envelope is None:
        return []
    what = {"cloudevents": "CloudEvents", "debezium": "change events of Debezium"}[envelope]
    lines = comment(f"the records are {what}: $.… is a place in what is in them, envelope:$.… one in the envelope")
    return [*lines, f"envelope: {envelope}"]


def _sampled(part: Table) -> list[str]:
    if not part.records:
        return comment("no record was found in this topic, so everything below is a placeholder", mark=True)
    lines = comment(f"from a sample of {part.records} records")
    if part.unreadable:
        text = f"{part.unreadable} of {part.records} sampled records are not JSON objects and will be rejected"
        lines += comment(text, mark=part.unreadable > 0.1 * part.records)
    return lines


def _topic_name(topic: str) -> str:
    """A name for the model of a topic that names none."""
    words = topic.replace(".", "-").replace("_", "-").split("-")
    kept = [word for word in words if word.lower() not in ("predictions", "prediction", "topic", "events", "v1", "")]
    return "-".join(kept) or "model"


def _id(guess: Guess) -> Iterator[str]:
    ids = guess.ids
    if ids is None:
        yield from comment("nothing that identifies a prediction was found; this is a placeholder", mark=True)
        yield "id: $.id"
        return
    if ids.label is not None:
        text = f"{ids.shared} of {ids.labels} sampled label ids are among the sampled predictions"
        yield from comment(
            text if ids.shared else f"{text}; chosen by name and by how rarely it repeats", not ids.shared
        )
    distinct = len(set(ids.prediction.texts().values()))
    if distinct < 0.9 * len(ids.prediction.texts()):
        yield from comment(
            f"{len(ids.prediction.texts())} predictions share {distinct} ids: several versions scoring the same thing "
            "are fine, repeats by one version count once"
        )
    yield f"id: {flow(ids.prediction.source.text())}"


def _named(what: str, column: Column | None, constant: str) -> Iterator[str]:
    if column is not None:
        yield f"{what}: {flow(column.source.text())}"
        return
    yield from comment(f"no field names the {what}; it is taken to be always the same", mark=True)
    yield f"{what}: {flow({'const': constant})}"


def _at(times: Times | None, others: tuple[str, ...], guess: Guess, what: str) -> Iterator[str]:
    if times is None:
        without = ", ".join(guess.no_offset)
        reason = f" ({without} lacks the offset from UTC, so its instant is unknown)" if without else ""
        text = f"no field that says when {what} was found{reason}; this is a placeholder, and without it no record can be used"
        yield from comment(text, mark=True)
        yield "at: $.at"
        return
    if others:
        yield from comment(f"when {what}; other times in the records: {', '.join(others[:6])}", mark=True)
    place = times.column.source.text()
    yield f"at: {flow(place)}" if times.unit == "ms" else f"at: {flow({'from': place, 'unit': times.unit})}"


def _answers(guess: Guess) -> Iterator[str]:
    if guess.score is None and guess.prediction is None:
        yield from comment("neither a score between 0 and 1 nor a class was found; this is a placeholder", mark=True)
        yield "score: $.score"
        return
    if guess.score is not None:
        if not guess.score_is_named:
            yield from comment(
                "the only number between 0 and 1 outside the features; its name does not say so", mark=True
            )
        yield f"score: {flow(guess.score.source.text())}"
    if guess.prediction is not None:
        yield f"prediction: {flow(guess.prediction.source.text())}"
        if guess.other is not None and guess.other.scores:
            places = {name: column.source.text() for name, column in guess.other.scores.items()}
            yield from comment("the probability of each class")
            yield f"scores: {flow(places)}"
    else:
        yield from comment("no class was found: the prediction is score >= the model's threshold")
    if guess.withdrawn is not None:
        yield f"withdrawn: {flow(guess.withdrawn.source.text())}"


def _labels(guess: Guess, topic: str, envelope: Format | None) -> Iterator[str]:
    assert guess.labels is not None, "a labels topic was sampled"
    yield "labels:"
    yield from indent(_sampled(guess.labels))
    yield f"  topic: {scalar(topic)}"
    yield from indent(_wrapped(envelope))
    yield "  fields:"
    if guess.ids is not None and guess.ids.label is not None:
        yield f"    id: {flow(guess.ids.label.source.text())}"
    else:
        yield from indent(comment("nothing that identifies the prediction was found; a placeholder", mark=True), 4)
        yield "    id: $.id"
    yield from indent(_at(guess.truth.at, guess.truth.at_others, guess, "the label became known"), 4)
    if guess.truth.label is None:
        yield from indent(comment("no class (0/1, booleans or a few words) was found; a placeholder", mark=True), 4)
        yield "    label: $.label"
        return
    yield f"    label: {flow(guess.truth.label.source.text())}"
    if guess.truth.values:
        mark = "look" in guess.truth.how
        yield from indent(comment(f"numbers for the words of the label, {guess.truth.how}", mark=mark))
        yield f"  values: {flow(guess.truth.values)}"
    numbers = {value for value in guess.truth.label.counts() if not isinstance(value, str)}
    if len(guess.truth.label.counts()) == 1 and numbers:
        text = "only one label value was seen; if the others are simply never sent, say what their absence means:"
        yield from indent(comment(f"{text} absent: {{value: 0, after: 7d}}", mark=True))


def _time(guess: Guess, labelled: bool) -> Iterator[str]:
    delays = guess.delays_ms
    yield "time:"
    if not labelled:
        horizon = 86_400_000
        yield from indent(comment("no labels: this only says how long identities are kept"))
    elif not delays:
        horizon = DEFAULT_HORIZON_MS
        met = guess.ids is not None and guess.ids.shared
        why = "sampled labels have no time that can be read" if met else "no sampled label met its prediction"
        yield from indent(comment(f"{why}, so the delay of labels is unknown; 7d is a placeholder", mark=True))
    else:
        horizon = nice_ms(max(60_000, 2 * delays[-1]))
        seen = format_duration(max(0, delays[-1]) // 1000 * 1000)
        middle = format_duration(max(0, delays[len(delays) // 2]) // 1000 * 1000)
        yield from indent(
            comment(
                f"longest wait for a label. Seen on {len(delays)} pairs: median {middle}, longest {seen}"
                + ("; too few to rely on" if len(delays) < FEW_PAIRS else ""),
                mark=len(delays) < FEW_PAIRS,
            )
        )
    disorder = min(nice_ms(guess.disorder_ms), horizon)
    yield f"  horizon: {format_duration(horizon)}"
    early = sum(delay < 0 for delay in delays)
    if early:
        yield from indent(comment(f"{early} of {len(delays)} sampled labels are dated before their prediction"))
    else:
        yield from indent(comment("how far clocks may disagree: a label so much before its prediction still counts"))
    yield f"  skew: {format_duration(max(SKEW_MS, nice_ms(-delays[0]) if early else 0))}"
    yield from indent(comment("how much disorder is normal: ticks close this far behind the newest record"))
    yield f"  disorder: {format_duration(max(60_000, disorder) if horizon >= 60_000 else disorder)}"
    yield "  tick: 1m"


def _models(guess: Guess, topic: str) -> Iterator[str]:
    names = [_topic_name(topic)]
    if guess.model is not None:
        names = [str(name) for name, _ in guess.model.counts().most_common()]
    settings: dict[str, Any] = {"task": "binary"}
    if guess.other is not None:
        settings = other_settings(guess.other)
    elif guess.score is not None or guess.prediction is None:
        settings["threshold"] = 0.5 if guess.threshold is None else guess.threshold
    if guess.other is None:
        settings["positive"] = guess.truth.positive
    if len(names) > _MOST_MODELS:
        yield from comment(f"{len(names)} models were seen: all are treated alike")
        yield "unlisted_models:"
        yield from indent(_model(guess, settings, None, traffic=False))
        return
    yield "models:"
    for name in names:
        first, *rest = _model(guess, {"name": name, **settings}, _rows_of(guess, name))
        yield f"  - {first}"
        yield from indent(rest, 4)


def _rows_of(guess: Guess, name: str) -> set[int] | None:
    """The records of a model; None where none says of which model it is."""
    if guess.model is None:
        return None
    return {row for row, value in guess.model.filled().items() if str(value) == name}


def _model(
    guess: Guess, settings: Mapping[str, Any], rows: Collection[int] | None, *, traffic: bool = True
) -> list[str]:
    lines = []
    for key, value in settings.items():
        if key == "threshold" and guess.prediction is not None:
            text = "no threshold separates the sampled predictions; those sent are used as they are"
            if guess.threshold is not None:
                text = "separates the sampled predictions"
            lines += comment(text, mark=guess.threshold is None)
        elif key in ("task", "classes", "largest") and guess.other is not None:
            lines += why_other(guess.other, key)
        elif key == "threshold":
            lines += comment("the score from which on the model says yes; 0.5 is the default, not a finding", mark=True)
        lines.append(f"{key}: {flow(value)}")
    if guess.features.segments:
        lines += comment("slices that are counted apart")
        lines.append("segments:")
        lines += [f"  {scalar(name)}: {flow(list(values))}" for name, values in guess.features.segments]
    lines += quality_lines(guess.predictions, guess.at, guess.features.watched, rows, traffic=traffic)
    return lines


ROWS_THAT_TELL: Final = 2_000


def _windows(guess: Guess) -> Iterator[str]:
    per_hour = _per_hour(guess)
    if per_hour is None or per_hour >= 200:
        yield from comment(
            "a rule judges a window when it is over: for a first try add 5m, and let the rule below look at it"
        )
        yield "windows: [1h, 1d]"
        return
    yield from comment(f"about {per_hour:.0f} predictions an hour: too few for windows of an hour to say much")
    yield "windows: [1d, 7d]"


def _per_hour(guess: Guess) -> float | None:
    if guess.at is None or len(guess.at.at_ms) < 2:
        return None
    at = sorted(guess.at.at_ms.values())
    span, longest = at[-1] - at[0], max(later - at_ms for at_ms, later in itertools.pairwise(at))
    if (
        2 * longest > span
    ):  # of a long topic the first and the last records are looked at, and none of what lies between
        span -= longest
    return len(at) * 3_600_000 / span if span else None


def _judged(guess: Guess) -> str:
    """The window of the example. Of an hour where that has so many rows that a value as far off as the threshold is no chance:
    0.1 is nine standard errors of an accuracy of 2,000."""
    per_hour = _per_hour(guess)
    return "1h" if per_hour is not None and per_hour >= ROWS_THAT_TELL else "1d"


def _rule(guess: Guess, labelled: bool) -> Iterator[str]:
    yield "rules:"
    if not labelled:
        feature = next((feature.name for feature in guess.features.watched), None)
        metric, op, threshold = (f"missing:{feature}", ">", 0.1) if feature else ("volume", "<", 10)
        rule: dict[str, Any] = {"name": "inputs", "metric": metric, "op": op, "threshold": threshold, "window": "1d"}
        yield from indent(comment("an example: an input that is missing more often than one time in ten"))
        yield f"  - {flow(rule)}"
        return
    if guess.other is not None:
        yield from indent(other_rule(guess.other, _judged(guess)))
        return
    threshold, text = 0.5, "an example; its threshold is not a finding"
    if guess.correct is not None and guess.correct[1] >= 30:
        right, pairs = guess.correct
        threshold = max(0.05, math.floor((right / pairs - 0.1) * 20) / 20)
        text = f"an example: accuracy was {right / pairs:.2f} on {pairs} sampled pairs"
    yield from indent(comment(text))
    rule = {
        "name": "low-accuracy",
        "metric": "accuracy",
        "op": "<",
        "threshold": round(threshold, 2),
        "window": _judged(guess),
    }
    yield f"  - {flow({**rule, 'min_rows': 200, 'min_coverage': 0.5, 'severity': 'ticket'})}"
