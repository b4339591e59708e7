"""The operator's page, followed literally on a Debian that has nothing."""
