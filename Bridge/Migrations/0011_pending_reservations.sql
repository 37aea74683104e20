-- Reservations taken while the PMS could not be reached: what is to be written there, and what bookings look like until then.
-- It holds guests' particulars, which otherwise only the PMS has, and goes when the reservation is written, or given up.
CREATE TABLE drawbridge.pending_reservations (
    booking_id UUID PRIMARY KEY REFERENCES drawbridge.bookings ON DELETE CASCADE,
    hotel_id INTEGER NOT NULL,
    content JSONB NOT NULL CHECK (jsonb_typeof(content) = 'object'),
    taken_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX pending_reservations_hotel ON drawbridge.pending_reservations (hotel_id);
