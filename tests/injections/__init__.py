"""How well signals of injected instructions do, measured on texts that they were not written for."""
