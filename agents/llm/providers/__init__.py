"""One module for each protocol that models are asked in. Importing this package imports no provider's client."""
