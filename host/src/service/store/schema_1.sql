-- Version 1 of the tables, kept for the test that a store of it is taken up.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tenants (tenant TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
-- hash: SHA-256 of a token's secret part; previous: that of the one before it was rotated, until previous_until. Times are seconds since 1970.
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, hash BLOB NOT NULL, previous BLOB, previous_until INTEGER, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS tokens_of_tenant ON tokens (tenant);
-- A browser's: hash is SHA-256 of the cookie.
CREATE TABLE IF NOT EXISTS sessions (
  hash BLOB PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, token TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE,
  csrf TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pipes (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (tenant, name)
) STRICT;
-- pipe: empty for what is the tenant's own, such as the key of a webhook.
CREATE TABLE IF NOT EXISTS secrets (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, pipe TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (tenant, pipe, name)
) STRICT;
CREATE TABLE IF NOT EXISTS plugins (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (tenant, name)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, pipe TEXT NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_of_pipe ON events (tenant, pipe, id);
CREATE INDEX IF NOT EXISTS events_of_tenant ON events (tenant, id);
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_of_tenant ON audit (tenant, id);
-- Answers kept for idempotency keys; without an answer while the first request is at work.
CREATE TABLE IF NOT EXISTS answers (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, key TEXT NOT NULL, request BLOB NOT NULL, at INTEGER NOT NULL, answer TEXT,
  PRIMARY KEY (tenant, key)
) STRICT;
-- Where events are sent. The key that signs them is among the secrets, as `webhook.<id>` of no pipe.
CREATE TABLE IF NOT EXISTS webhooks (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS webhooks_of_tenant ON webhooks (tenant);
-- Events on their way to webhooks. waits: 1 until it was delivered or given up.
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
  webhook TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE, waits INTEGER NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_of_webhook ON deliveries (tenant, webhook, id);
CREATE INDEX IF NOT EXISTS deliveries_that_wait ON deliveries (webhook, id) WHERE waits = 1;
