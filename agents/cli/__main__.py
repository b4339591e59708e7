"""`python -m agents.cli` is `agentbus`."""

from agents.cli.app import main

if __name__ == "__main__":
    main()
