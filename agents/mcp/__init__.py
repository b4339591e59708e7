"""MCP servers of an agent: clients over stdio and streamable HTTP, and their tools as rows for a toolbox.

Importing this package does not import the SDK, which takes a second and a half.
"""
