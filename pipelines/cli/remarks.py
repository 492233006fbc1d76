"""What stands beside a file of policies: the secrets of its webhooks, and where these are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import UNSET

from pipelines.cli.common import note
from pipelines.errors import ConfigError, PolicyError
from pipelines.hook_spec import Webhook
from pipelines.hooks import secrets_in
from pipelines.places import Execution
from pipelines.policy import Policy, Promotion


def remark(executors: Mapping[str, Execution]) -> None:
    """Say what is odd, for who only asks what would happen: perhaps on a machine that is not the worker's."""
    for sentence in (*_open(executors), *(f"{model}: {error}" for model, error in _unusable(executors))):
        note(sentence)


def unasked(policies: Iterable[Policy]) -> None:
    """Say where more people are named than will be asked."""
    for policy in policies:
        many = f"approvals ({policy.approvals})"
        if policy.approvals > 1 and policy.promote is Promotion.AUTO:
            note(
                f"{policy.model}: promote: auto asks nobody but for the first version: {many} hold for that one alone. "
                "Write promote: approve to have every version agreed to"
            )
        elif policy.approvals > 1 and policy.promote is Promotion.OBSERVE:
            note(f"{policy.model}: promote: observe promotes nothing, so nobody is asked: {many} say nothing")


def refuse(file: Path, executors: Mapping[str, Execution]) -> None:
    """Raise PolicyError for a secret that cannot be used, before a run begins that would fail over it."""
    problems = tuple(f"{model}.executor.webhook: {error}".rstrip(".") for model, error in _unusable(executors))
    if problems:
        why = "has a mistake:" if len(problems) == 1 else f"has {len(problems)} mistakes:"
        raise PolicyError(str(file), why, "docs/retraining.md says how steps are handed to another system.", problems)
    for sentence in _open(executors):
        note(sentence)


def _hooks(executors: Mapping[str, Execution]) -> Iterator[tuple[str, Webhook]]:
    for model, executor in executors.items():
        if executor.webhook is not UNSET:
            yield model, executor.webhook


def _open(executors: Mapping[str, Execution]) -> Iterator[str]:
    for model, hook in _hooks(executors):
        if hook.open_to_others:
            yield (
                f"{model}: executor.webhook.url is {hook.url!r}: what is sent there is signed, and not encrypted; whoever is "
                "between reads it, and may answer in its place. Write https://, unless the network is your own"
            )


def _unusable(executors: Mapping[str, Execution]) -> Iterator[tuple[str, ConfigError]]:
    for model, hook in _hooks(executors):
        try:
            secrets_in(hook)
        except ConfigError as error:
            yield model, error
