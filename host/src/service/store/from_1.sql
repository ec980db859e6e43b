-- From version 1 of the tables: events, audit entries, deliveries and tokens get numbers of their tenant's own. Those that there are keep theirs.
-- Run between the renaming of the old tables and their end, with the new ones beside them. People sign in again.
INSERT INTO tokens (id, tenant, number, hash, previous, previous_until, record)
  SELECT id, tenant, row_number() OVER (PARTITION BY tenant ORDER BY rowid), hash, previous, previous_until, record FROM tokens_1;
INSERT INTO events (tenant, id, pipe, record) SELECT tenant, id, pipe, record FROM events_1;
INSERT INTO audit (tenant, id, at, record) SELECT tenant, id, unixepoch(json_extract(record, '$.at')), record FROM audit_1;
INSERT INTO deliveries (tenant, id, webhook, waits, record) SELECT tenant, id, webhook, waits, record FROM deliveries_1;
INSERT INTO numbers (tenant, kind, last) SELECT tenant, 'token', max(number) FROM tokens GROUP BY tenant;
INSERT INTO numbers (tenant, kind, last) SELECT tenant, 'event', max(id) FROM events GROUP BY tenant;
INSERT INTO numbers (tenant, kind, last) SELECT tenant, 'audit', max(id) FROM audit GROUP BY tenant;
INSERT INTO numbers (tenant, kind, last) SELECT tenant, 'delivery', max(id) FROM deliveries GROUP BY tenant;
DROP TABLE tokens_1;
DROP TABLE events_1;
DROP TABLE audit_1;
DROP TABLE deliveries_1;
