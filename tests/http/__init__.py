"""Tests of the HTTP API, with a real bridge, a real broker and real clients."""
