"""The config as it is in force, for people: every default in full, every secret masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.config import canonical
from monitor.config.kafka import MASK
from monitor.config.yaml_text import block

if TYPE_CHECKING:
    from monitor.config.types import Config


def render(config: Config) -> str:
    """YAML of the whole config. Secrets read from files say from which; nothing else of them is shown.

    It loads again, but with the masks in place of the secrets: it is for reading, not for copying.
    """
    data = canonical.everything(config)
    if config.kafka is not None:
        shown = config.kafka.shown()
        for key, path in config.kafka.secret_files.items():
            shown[key] = f"{MASK} (from {path})"
        data["kafka"]["properties"] = shown
    order = [name for name in type(config).model_fields if name in data]
    head = f"# config {config.digest}\n"
    references = "".join(f"# reference of {name}: {digest}\n" for name, digest in config.reference_digests.items())
    return head + references + block({name: data[name] for name in order})
