// Loop: to be written.
