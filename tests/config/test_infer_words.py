"""Which of two words of a label means 1: by what they mean, else by the scores."""

from __future__ import annotations

from monitor.config import Source
from monitor.config.infer_columns import Column
from monitor.config.infer_roles import word_values


def words_of(rows: list[tuple[str, float]]) -> tuple[dict[str, int], str]:
    column = Column(Source("value", path=("outcome",)), {i: word for i, (word, _) in enumerate(rows)}, len(rows))
    return word_values(column, {i: score for i, (_, score) in enumerate(rows)})


def test_words_that_say_what_they_mean_are_not_asked_of_the_scores() -> None:
    even = [(word, 0.5 + i % 50 / 100) for i in range(300) for word in ("ok", "chargeback")]
    assert words_of(even) == ({"chargeback": 1, "ok": 0}, "by what the words mean")
    worse_than_chance = [
        (word, 0.9 if word == "ok" else 0.1 + i / 1_000) for i in range(50) for word in ("ok", "chargeback")
    ]
    values, how = words_of(worse_than_chance)
    assert values == {"chargeback": 1, "ok": 0}
    assert how.endswith("look at it")


def test_a_word_that_means_neither_is_left_to_whoever_knows() -> None:
    """It was proposed as positive, because it is not negative."""
    rows = [(word, 0.5) for word in ("no", "yes", "perhaps") for _ in range(50)]
    values, how = words_of(rows)
    assert values == {"yes": 1, "no": 0}
    assert how == (
        "by what the words mean; look at it: 'perhaps' could be either, and records with it are rejected until it is here"
    )
    many = [(word, 0.5) for word in ("no", "yes", "a", "b", "c", "d") for _ in range(50)]
    assert "'a', 'b', 'c' and 1 more could be either" in words_of(many)[1]
    assert words_of([(word, 0.5) for word in ("no", "perhaps") for _ in range(50)])[0] == {"perhaps": 1, "no": 0}


def test_scores_decide_only_where_it_cannot_be_chance() -> None:
    apart = [(word, (0.7 if word == "blue" else 0.3) + i % 7 / 100) for i in range(40) for word in ("red", "blue")]
    assert words_of(apart) == ({"blue": 1, "red": 0}, "the word with the higher scores is 1")
    even = [(word, 0.5 + i % 50 / 100) for i in range(300) for word in ("red", "blue")]
    assert words_of(even)[1].endswith("look at it")
