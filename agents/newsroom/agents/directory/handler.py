"""The directory that comes with the product."""

from agents.directory.skills import directory

skills = directory()
