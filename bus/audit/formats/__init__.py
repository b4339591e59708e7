"""Events in other forms: lines for people, CloudEvents, OpenTelemetry, OCSF, CSV."""
