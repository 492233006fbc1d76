"""Which rules were in force when: what `evals` and `configs` say about it, for whoever decides again.

An evaluation names the configuration whose rules it went by; the documents themselves are kept by their digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.config import Config
from monitor.config.canonical import digest_bytes
from monitor.config.windows import Window
from monitor.daemon.begun import documents, of_document
from monitor.daemon.tail import Follower, follow_from_start, read_range
from monitor.errors import LedgerError
from monitor.evaluator import Evaluator, TickOutput
from monitor.ledger.evaluated import generation_of, roster_of
from monitor.ledger.fold import Verdict
from monitor.ledger.records import EvalCommit, Generation
from monitor.plan import Plan
from monitor.ports import Log


def evaluations(log: Log, topic: str, end: int, check: Follower | None = None) -> Iterator[EvalCommit]:
    """The evaluations of an `evals` topic that count, in order, below offset `end`; those after what `check` has read, where
    it is given."""
    check = check or follow_from_start(log, topic, 0)
    for stored in read_range(log, topic, 0, check.next_offset, end):
        if check.apply(stored) is Verdict.ACCEPTED and isinstance(stored.record, EvalCommit):
            yield stored.record


class RulesInForce:
    """The rules that an evaluator goes by, as its evaluations name them."""

    def __init__(
        self,
        log: Log,
        config: Config,
        plan: Plan,
        evaluator: Evaluator,
        digest: str = "",
        generation: Generation | None = None,
    ) -> None:
        self._log, self._plan, self._evaluator = log, plan, evaluator
        self.use(config)
        self.digest = digest
        """Of the configuration whose rules are in force; empty before anything was decided."""
        self.generation = generation
        """Which one that is; None where none was recorded."""
        self.windows_from_ms: int | None = None
        """Since when its windows hold, where they came with it."""
        self.roster: int | None = None
        """Number of the roster of models that came with it, where one did."""

    def recorded(self, evaluation: EvalCommit) -> None:
        """Take what an evaluation says of a generation."""
        if (generation := generation_of(evaluation)) is not None:
            self.generation, roster = generation, roster_of(evaluation)
            self.roster = None if roster is None else roster.number

    def use(self, config: Config) -> None:
        """From now on this is the own configuration. What is in force stays."""
        self._config, self.own = config, digest_bytes(config.document().encode())

    def begin_with_own(self) -> None:
        """Nothing was decided under the rules in force: they are forgotten without a trace."""
        self._evaluator.go_by(*self.book(self.own))
        self.digest = self.own

    def go_on_with(self, digest: str, windows_from_ms: int | None) -> Iterator[TickOutput]:
        """Go on with the rules of another configuration, unless these are the ones in force, and with its windows from
        an event time on where one is given. Raises LedgerError for a configuration that is not kept."""
        if digest == self.digest:
            return
        book, budget, windows = self.book(digest)
        if not self.digest:  # nothing was decided yet
            self._evaluator.schedule.begin_with(windows)
            self._evaluator.switch(book, budget)
            self.digest = digest
            return
        if windows_from_ms is not None:
            self._evaluator.change_windows(windows, windows_from_ms)
        output = self._evaluator.switch(book, budget)
        self.digest, self.windows_from_ms = digest, windows_from_ms
        yield output

    def pane_of_change(self) -> int | None:
        """Since when the windows of the own configuration would hold if it came into force now; None where they are those
        that hold anyway, or where nothing was decided yet."""
        same = {window.name for window in self._config.windows} == self._evaluator.schedule.names
        return None if same or not self.digest else self._evaluator.next_pane_ms

    def book(self, digest: str) -> tuple[RuleBook, BudgetWatch, Sequence[Window]]:
        """The rules, the budget and the windows of a configuration that is kept. Raises LedgerError."""
        if digest == self.own:
            return RuleBook.of(self._config, self._plan), BudgetWatch.of(self._config, self._plan), self._config.windows
        topic = self._config.topics().configs
        document = documents(self._log, topic).get(digest.encode())
        if document is None:
            raise LedgerError(
                f"the configuration {digest} that namespace {self._config.namespace!r} was evaluated under is not in "
                f"topic {topic!r}",
                "Choose another `namespace`.",
            )
        config = of_document(document, digest, self._config.namespace)
        return RuleBook.of(config, self._plan), BudgetWatch.of(config, self._plan), config.windows
