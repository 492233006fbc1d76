"""Rules over windows, the alerts they raise, and what subscribers read about them.

`rules` says what breaks a rule; `book` drives all rules once per closed tick and decides, each decision with its
reason; `state` is what is remembered between ticks, a value that can be saved at any tick; `event` is what subscribers
get; `cloudevents` puts it into records; `schema` and `asyncapi` describe those records, generated from the same types.

The life of an alert: the newest mature window breaks the rule -> pending -> it has broken it for `for` of event time in
which rows came -> firing -> the newest mature window no longer breaks it -> resolved. What was said about a window is
remembered until the window is final: when late labels turn the verdict, `amended` says so, once per turn. Decided
history is never rewritten: an old window that turns bad after newer ones are mature raises nothing.

Refused here: clocks (a tick is an argument), provisional values between ticks, and verdicts on what is undefined or
immature. Alerts about the daemon itself (a stalled label feed, a flood of bad records) come from recorded decisions,
not from windows: `operational`. Grouping, silences and routing belong to whoever pages people.
"""
