"""Files made from the code, and checked in: `make schemas` writes them, a test keeps them current."""
