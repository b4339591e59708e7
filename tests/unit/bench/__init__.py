"""The bus: connections, requests, tasks, provisioning."""
