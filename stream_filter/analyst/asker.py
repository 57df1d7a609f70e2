"""Asks about a batch of questions and comes back with a finding on each.

An answer that does not fit is asked for once more, for what is missing of it. What then is still
missing is halved, and each half asked about anew, down to single questions: those end without a
verdict, with the cause.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_filter.analyst.answers import answer_schema, read_answer, short_ids
from stream_filter.analyst.backlog import Question
from stream_filter.analyst.courier import Courier, Delivered
from stream_filter.analyst.endpoint import RequestFailedError
from stream_filter.analyst.outcome import Cause, Finding, Opinion, Spending, majority
from stream_filter.analyst.redaction import Redaction, redact

REASON_CHARS = 300


@dataclass(slots=True)
class _Open:
    """A question while it is being asked about."""

    question: Question
    spent: Spending = field(default_factory=Spending)
    cause: Cause = Cause.MISSING


class Asker:
    """One judge, and those that stand in for it."""

    def __init__(
        self, courier: Courier, *, repeat: int = 1, secrets: Sequence[Redaction] = ()
    ) -> None:
        """`repeat`: how often each is asked. `secrets`: what must not stand in a reason."""
        self.courier = courier
        self._repeat = repeat
        self._secrets = tuple(secrets)

    async def judge(self, batch: Sequence[Question]) -> list[Finding]:
        """A finding on each question of one prompt. Raises ConfigError or BrokerError."""
        if self._repeat == 1:
            return await self._judge(batch)
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(self._judge(batch)) for _ in range(self._repeat)]
        answers = [task.result() for task in tasks]
        return [majority(list(findings)) for findings in zip(*answers, strict=True)]

    async def _judge(self, batch: Sequence[Question]) -> list[Finding]:
        found: dict[int, Finding] = {}
        to_ask = [[_Open(question) for question in batch]]
        while to_ask:
            group = to_ask.pop()
            left = await self._ask(await self._ask(group, found), found)
            if len(left) > 1:
                middle = (len(left) + 1) // 2
                to_ask += [left[:middle], left[middle:]]
            elif left:
                (lost,) = left
                found[id(lost.question)] = Finding(
                    judge=self.courier.judges[0], cause=lost.cause, spent=lost.spent
                )
        return [found[id(question)] for question in batch]

    async def _ask(self, group: list[_Open], found: dict[int, Finding]) -> list[_Open]:
        """Ask once; what has no answer yet."""
        if not group:
            return []
        ids = short_ids(len(group))
        prompt = group[0].question.prompt
        asked = [
            (short, each.question.shown.text, max(1, len(each.question.events)))
            for short, each in zip(ids, group, strict=True)
        ]
        schema = answer_schema(sorted(ids), with_reasons=prompt.with_reasons)
        try:
            delivered = await self.courier.ask(prompt.messages(asked), schema, events=len(group))
        except RequestFailedError as failure:
            for each in group:
                each.cause = failure.cause
            return group
        reply = delivered.reply
        reading = read_answer(reply.content, ids, is_whole=reply.is_whole)
        left = []
        for short, each, share in zip(ids, group, _shares(delivered, len(group)), strict=True):
            each.spent += share
            opinion = reading.opinions.get(short)
            if opinion is None:
                each.cause = Cause.REFUSED if reply.is_refusal else reading.causes[short]
                left.append(each)
            else:
                found[id(each.question)] = Finding(
                    judge=delivered.judge,
                    opinion=self._discreet(opinion, prompt.redactions),
                    spent=each.spent,
                )
        return left

    def _discreet(self, opinion: Opinion, redactions: Sequence[Redaction]) -> Opinion:
        if not opinion.reason:
            return opinion
        (reason,) = redact([opinion.reason], (*redactions, *self._secrets))
        # Cut at the end: half a secret is not known as one.
        return Opinion(important=opinion.important, reason=reason[:REASON_CHARS])


def _shares(delivered: Delivered, count: int) -> list[Spending]:
    reply = delivered.reply
    whole = Spending(
        tokens=reply.input_tokens + reply.output_tokens,
        cost=delivered.cost,
        seconds=reply.seconds,
        answer_ids=(reply.answer_id,),
    )
    return whole.shares(count)
