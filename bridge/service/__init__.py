"""The service: joins link, wire, core and store. It alone knows them all."""

from bridge.service.bridge import Bridge

__all__ = ["Bridge"]
