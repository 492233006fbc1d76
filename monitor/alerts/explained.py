"""What an alert says of its own cause: the types of its explanation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Ms = int


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The rise of the error rate, or of a mean, split along one feature (Kitagawa, 1955; Oaxaca, 1973): `mix` + `within` is the
    rise."""

    feature: Annotated[str, Meta(description="A dimension of the configured segments.")]
    mix: Annotated[float, Meta(description="Part of the rise because harder values became more frequent.")]
    within: Annotated[float, Meta(description="Part of the rise because the same values became worse.")]
    harm: Annotated[
        float,
        Meta(
            description="What the shift of its values alone would have cost at the errors of before: no label of now is in it."
        ),
    ]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that became worse than it was, by more than chance."""

    segment: Annotated[str, Meta(description="`dimension=value`.")]
    rows: Annotated[int, Meta(description="Labelled rows of the judged window.")]
    errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    before_rows: Annotated[int, Meta(description="Labelled rows of what it is compared with.")]
    before_errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    expected: Annotated[
        float,
        Meta(description="Error rate that was to be expected: that of before, drawn to the model's with 20 rows."),
    ]
    z: Annotated[float, Meta(description="How far the error rate is above it, in standard errors.")]
    excess: Annotated[float, Meta(description="Errors beyond what was to be expected.")]


class CrossedSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of two segments at once that became worse than they were, by more than chance and than either segment says."""

    segments: Annotated[list[str], Meta(description="`dimension=value`, of two dimensions.")]
    rows: Annotated[int, Meta(description="Labelled rows of the judged window that are in both.")]
    errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    before_rows: Annotated[int, Meta(description="Labelled rows of what it is compared with.")]
    before_errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    expected: Annotated[
        float,
        Meta(description="Error rate that was to be expected: that of before, drawn to the model's with 20 rows."),
    ]
    z: Annotated[float, Meta(description="How far the error rate is above it, in standard errors.")]
    excess: Annotated[float, Meta(description="Errors beyond what was to be expected.")]
    share: Annotated[
        float | None,
        Meta(description="`excess` among all errors beyond the rate of before; null where there are no such."),
    ]


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """What slices of two segments say."""

    searched: Annotated[int, Meta(description="Segments and pairs of segments that were looked at.")]
    slices: Annotated[
        list[CrossedSlice],
        Meta(description="In the order of how much they say that those before do not; five at most."),
    ]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """A bin of a feature whose share moved."""

    bin: Annotated[str, Meta(description="Its values: a category, or a range, as in the reference.")]
    share: Annotated[float, Meta(description="Share of the judged window's predictions.")]
    reference: Annotated[float, Meta(description="Share of the reference's rows.")]


class MeanSlice(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of a regression model that became worse than it was, by more than chance."""

    segment: Annotated[str, Meta(description="`dimension=value`.")]
    rows: Annotated[int, Meta(description="Labelled rows of the judged window.")]
    mean: Annotated[float, Meta(description="Their mean, of what `metric` says.")]
    before_rows: Annotated[int, Meta(description="Labelled rows of what it is compared with.")]
    before_mean: Annotated[float | None, Meta(description="Their mean; null where there are none.")]
    expected: Annotated[
        float, Meta(description="Mean that was to be expected: that of before, drawn to the model's with 20 rows.")
    ]
    deviation: Annotated[float, Meta(description="Standard error of mean - expected.")]
    z: Annotated[float, Meta(description="How far the mean is on the worse side of it, in standard errors.")]
    excess: Annotated[float, Meta(description="rows x (mean - expected).")]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """Of regression models, which have no errors to count: what changed in the mean."""

    metric: Annotated[
        Literal["bias", "mae"], Meta(description="`bias` of rules on it, else `mae`. Splits are in its unit too.")
    ]
    mean: Annotated[float, Meta(description="Of the judged window.")]
    before_mean: Annotated[float, Meta(description="Of the windows before.")]
    slices: Annotated[list[MeanSlice], Meta(description="Segments with z >= 3, the worst first; five at most.")]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Of a rule on labelled windows, how errors changed against windows before; of a rule on a distance, which bins moved."""

    before_start_ms: Annotated[Ms, Meta(description="Start of the first window compared with; 0 where none is.")]
    before_end_ms: Annotated[Ms, Meta(description="End of the last window compared with; 0 where none is.")]
    before_windows: Annotated[
        int, Meta(description="How many windows that is: mature ones that did not break the rule.")
    ]
    rows: Annotated[int, Meta(description="Labelled rows of the judged window; 0 without labels.")]
    errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    before_rows: Annotated[int, Meta(description="Labelled rows of the windows before.")]
    before_errors: Annotated[int, Meta(description="Those of them that were wrong.")]
    splits: Annotated[
        list[Split], Meta(description="One for each dimension of the segments, the most harmful shift first.")
    ]
    slices: Annotated[list[Slice], Meta(description="Segments with z >= 3, the worst first; five at most.")]
    bins: Annotated[list[Bin], Meta(description="The bins that moved most; three at most. Of rules on distances only.")]
    means: Annotated[
        Means | msgspec.UnsetType,
        Meta(description="Of regression models, whose `errors` are 0 and `slices` are here; absent of others."),
    ] = msgspec.UNSET
    crossed: Annotated[
        Crossed | msgspec.UnsetType,
        Meta(description="Slices of two segments; absent where fewer than two dimensions are counted together."),
    ] = msgspec.UNSET
