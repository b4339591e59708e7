"""The only importer of nats-py: connections, requests, durable tasks, the audit trail, provisioning."""
