"""syncbridge: device state, merged, versioned, durable and republished over your own MQTT broker."""

__version__ = "0.1.0"
