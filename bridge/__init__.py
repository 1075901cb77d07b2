"""Device state, merged, versioned, durable, and republished on your own MQTT broker."""

__version__ = "0.1.0"
