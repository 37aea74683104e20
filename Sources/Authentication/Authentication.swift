// Authentication: to be written.
