"""The MQTT connection: one interface (`bridge.link.base`) and its implementations.

`bridge.link.broker_link.BrokerLink` connects, again and again: in MQTT 5 with the `mqtt5` codec, or
in 3.1.1 with paho-mqtt, whichever the broker speaks.
"""
