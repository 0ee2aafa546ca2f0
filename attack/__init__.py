"""Attacks on the atlas that take too long for the tests: `make attack`."""
