// Availability: to be written.
