// Installation: to be written.
