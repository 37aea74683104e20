// Telemetry: to be written.
