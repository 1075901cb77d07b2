"""Administration of a store over HTTP on a Unix socket: the server in a bridge, and a client."""

from bridge.api.client import AdminClient
from bridge.api.metrics import serve_metrics
from bridge.api.offline import offline_client
from bridge.api.server import serve_administration

__all__ = ["AdminClient", "offline_client", "serve_administration", "serve_metrics"]
