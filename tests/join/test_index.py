"""The id index against a dict: whatever is claimed and released, in whatever batches."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.join.rows import ChainedRows
from tests.examples import examples


class Chains(RuleBasedStateMachine):
    """Rows come, most with an id of their own, and go in any order. `crowd`: many ids share their home bucket."""

    @initialize(crowd=st.booleans())
    def begin(self, crowd: bool) -> None:
        self.rows = ChainedRows({})
        self.crowd = crowd
        self.held: dict[int, list[int]] = {}  # id -> rows, oldest first

    def ids(self, names: list[int]) -> np.ndarray:
        first = np.array(names, np.uint64) << np.uint64(0 if self.crowd else 40)
        return np.stack([first, np.array(names, np.uint64) * np.uint64(0x9E3779B97F4A7C15)], axis=1)

    @rule(names=st.lists(st.integers(1, 4_000), min_size=1, max_size=600))
    def come(self, names: list[int]) -> None:
        rows = self.rows.allocate(len(names))
        self.rows.ids[rows] = self.ids(names)
        heads = self.rows.index.claim(self.rows.ids, rows, self.ids(names))
        for name, row, head in zip(names, rows.tolist(), heads.tolist(), strict=True):
            chain = self.held.setdefault(name, [])
            assert head == (chain[0] if chain else row)
            if chain:
                self.rows.next_row[chain[-1]] = row
            chain.append(row)

    @rule(data=st.data(), share=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    def go(self, data: st.DataObject, share: float) -> None:
        rows = sorted(row for chain in self.held.values() for row in chain)
        keep = data.draw(st.randoms(use_true_random=False))
        gone = {row for row in rows if keep.random() < share}
        self.rows.remove(np.array(sorted(gone), np.uint32))
        self.held = {n: left for n, chain in self.held.items() if (left := [r for r in chain if r not in gone])}

    @invariant()
    def every_chain_is_found(self) -> None:
        if not hasattr(self, "rows"):
            return
        names = [*self.held, 5_000, 5_001]
        heads = self.rows.head(self.ids(names)).tolist()
        assert [list(self.rows.chain(head)) for head in heads] == [*self.held.values(), [], []]
        assert len(self.rows) == sum(map(len, self.held.values()))
        assert sorted(self.rows.used().tolist()) == sorted(row for chain in self.held.values() for row in chain)


TestChains = Chains.TestCase
TestChains.settings = settings(max_examples=examples(60), stateful_step_count=12, deadline=None)
