"""Commands of a model: in a sandbox that sees its workspace and the programs of the machine, or not at all."""
