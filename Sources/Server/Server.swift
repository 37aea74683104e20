// Server: to be written.
