"""Tests of installing the program."""
