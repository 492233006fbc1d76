"""The running maximum of event time of one partition log, one record after the other."""

from __future__ import annotations


class RunningMaximum:
    """The largest event time of one partition log so far (decisions 2 and 3 of `join`)."""

    def __init__(self, max_jump_ms: int | None, jump_ids: int) -> None:
        self.value: int | None = None
        self.max_jump_ms, self.jump_ids = max_jump_ms, jump_ids
        self._held: dict[str, int] = {}

    def move(self, at_ms: int, id_: str) -> None:
        if self.max_jump_ms is None:
            self.value = at_ms if self.value is None else max(self.value, at_ms)
        elif self.value is not None and at_ms <= self.value + self.max_jump_ms:
            self.value = max(self.value, at_ms)
        else:
            self._drop_reached(self.max_jump_ms)
            self._held.setdefault(id_, at_ms)
            if len(self._held) >= self.jump_ids:
                self.value = min(self._held.values())
                for held_ms in sorted(self._held.values()):
                    if held_ms <= self.value + self.max_jump_ms:
                        self.value = held_ms
                self._drop_reached(self.max_jump_ms)

    def _drop_reached(self, max_jump_ms: int) -> None:
        if self.value is not None:
            self._held = {i: t for i, t in self._held.items() if t > self.value + max_jump_ms}
