"""Who may use the embedded broker. Imported by amqtt, in the broker's process only."""

from __future__ import annotations

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class OpenLogin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets everyone in, and treats only clients without a user as anonymous.

    amqtt keeps messages for absent clients unless they are anonymous.
    """

    async def authenticate(self, *, session: Session) -> bool:
        """Accept the client; its password, if any, is not looked at."""
        session.is_anonymous = not session.username
        return True
