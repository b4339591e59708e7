"""Tools that reach outside: the shell, the web, MCP servers."""
