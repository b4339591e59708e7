"""Bytes of every version of the wire formats, kept for ever."""
