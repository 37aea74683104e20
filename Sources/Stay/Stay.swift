// Stay: to be written.
