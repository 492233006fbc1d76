"""What the pipelines keep beside the models, told to the registry: `registry.others.Others` over `pipelines.references`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from registry.others import Reference

if TYPE_CHECKING:
    from pipelines.references import Reference as Named


class PipelineThings:
    """Journals, local models, dataset versions and the rows of runs."""

    def entry(self, log: str, body: bytes, where: str) -> list[Reference] | None:
        """See Others."""
        from pipelines.references import of_entry

        return _told(lambda: of_entry(log, body, where))

    def document(self, name: str, body: bytes, where: str) -> list[Reference] | None:
        """See Others."""
        from pipelines.references import of_document

        return _told(lambda: of_document(name, body, where))

    def blob(self, body: bytes, where: str) -> list[Reference] | None:
        """See Others."""
        from pipelines.references import of_blob

        return _told(lambda: of_blob(body, where))

    def removed(self, name: str, body: bytes, where: str) -> list[str]:
        """See Others."""
        from pipelines.errors import PipelineError
        from pipelines.references import removed_by
        from registry.errors import FormatError

        try:
            return removed_by(name, body, where)
        except PipelineError as error:
            raise FormatError(error.what, error.why, error.remedy) from error


def _told(named: Callable[[], list[Named] | None]) -> list[Reference] | None:
    from pipelines.errors import PipelineError
    from registry.errors import FormatError

    try:
        found = named()
    except PipelineError as error:
        raise FormatError(error.what, error.why, error.remedy) from error
    return None if found is None else [Reference(*each) for each in found]
