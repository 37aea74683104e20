// TLS: to be written.
