-- What is deleted from the outbox is looked for by its position. A plan that is made while the outbox is empty, as a dispatcher's
-- is, found this index as good for that as the one on the position, and read all of it ever after.
DROP INDEX drawbridge.outbox_events_entity;
CREATE INDEX outbox_events_entity ON drawbridge.outbox_events (entity_id);
