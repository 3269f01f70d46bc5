"""Structs, events and Protocols that two rooms share: one file per noun."""
