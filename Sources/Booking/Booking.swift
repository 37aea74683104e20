// Booking: to be written.
