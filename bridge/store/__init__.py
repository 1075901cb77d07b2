"""The authoritative store: one interface (`base`), implemented on SQLite (`sqlite`)."""
