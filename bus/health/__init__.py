"""How a process says how it is: named checks, numbers, and an HTTP responder that tells them."""
