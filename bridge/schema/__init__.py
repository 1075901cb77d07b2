"""JSON Schema for the sections of twins: reading schemas, and holding sections against them."""
