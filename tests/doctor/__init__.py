"""Tests of the examination of a broker."""
