// Client: to be written.
