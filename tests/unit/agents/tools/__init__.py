"""Tools: what the file says, and what a toolbox lets through."""
