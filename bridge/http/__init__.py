"""The open API: twins over HTTP, WebSocket and Server-Sent Events, for programs of others."""

from bridge.http.server import serve_http

__all__ = ["serve_http"]
