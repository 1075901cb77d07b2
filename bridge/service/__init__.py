"""The service: joins link, wire, core and store. It alone knows them all."""

from bridge.service.bridge import Bridge
from bridge.service.offline import apply_offline

__all__ = ["Bridge", "apply_offline"]
