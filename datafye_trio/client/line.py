"""What one connection after another carries: some of a feed's boards, and what is known of its far end. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datafye_trio.client.board import RequestBudget
from datafye_trio.client.decoding import Intake
from datafye_trio.client.topic import Topic
from datafye_trio.model import TopicKey

if TYPE_CHECKING:
    from datafye_trio.client.board import Board, BoardKey

__all__ = ["Line"]


@attrs.define(eq=False)
class Line:
    """See the module.

    Attributes:
        intake: takes what comes.
        boards: the topics that it carries, by dataset, channel and frequency.
        budget: what one request may hold.
        dirty: whether what is wanted may not be what is on the wire.
    """

    intake: Intake
    boards: dict[BoardKey, Board] = attrs.Factory(dict)
    budget: RequestBudget = RequestBudget()
    dirty: bool = False

    def new_topic(self, key: TopicKey) -> Topic:
        """A topic, by the rules that hold on this line."""
        return Topic(key)

    def cut(self) -> None:
        """The connection is gone: what was wanted is not on the wire any more."""
        self.intake.routes.clear()
        self.dirty, self.budget = True, RequestBudget()
        for board in self.boards.values():
            board.cut()
