// PMS: to be written.
