// Nothing is called by name: see ShiftedClock.c.
