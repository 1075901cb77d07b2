"""Administration of a store over HTTP on a Unix socket: the server in a bridge, and a client."""

from bridge.api.client import AdminClient
from bridge.api.server import serve_administration

__all__ = ["AdminClient", "serve_administration"]
