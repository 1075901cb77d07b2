"""The MQTT connection: one interface (`bridge.link.base`) and its implementations.

`bridge.link.paho_link.PahoLink` speaks MQTT 5 and 3.1.1 through paho-mqtt.
"""
