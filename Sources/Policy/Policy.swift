// Policy: to be written.
