"""Who may use the embedded broker. Imported by amqtt, in the broker's process only."""

from __future__ import annotations

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.plugins.topic_checking import TopicAccessControlListPlugin
from amqtt.session import Session


class OpenLogin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets everyone in, and treats only clients without a user as anonymous.

    amqtt keeps messages for absent clients unless they are anonymous.
    """

    async def authenticate(self, *, session: Session) -> bool:
        """Accept the client; its password, if any, is not looked at."""
        session.is_anonymous = not session.username
        return True


class TopicRights(TopicAccessControlListPlugin, BaseAuthPlugin):  # type: ignore[misc]
    """amqtt's list of topics for each login, which holds for last wills and deliveries too.

    amqtt 0.12.1 publishes a last will without a look at the list, and its plugin of this kind lets
    everything through to a client that has taken another one's session by its client id.
    """

    async def authenticate(self, *, session: Session) -> bool | None:
        """Refuse a client whose last will is for a topic that it may not publish to."""
        if not session.will_flag:
            return None
        allowed = await self.topic_filtering(
            session=session, topic=session.will_topic, action=Action.PUBLISH
        )
        return None if allowed else False

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Hold what a client is to receive against what it may subscribe to."""
        if action == Action.RECEIVE:
            action = Action.SUBSCRIBE
        allowed: bool | None = await super().topic_filtering(
            session=session, topic=topic, action=action
        )
        return allowed
