-- What a service knows beside its pipes' own journals. Each table but `tenants` and `meta` has the tenant, and each query names it.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tenants (tenant TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
-- The last number that was given of each kind of thing with numbers: a tenant's own, so that gaps tell nothing of others, and never given again.
CREATE TABLE IF NOT EXISTS numbers (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, kind TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (tenant, kind)
) STRICT;
-- number: in the order in which they were made. hash: SHA-256 of a token's secret part; previous: that of the one before it was rotated, until previous_until. Times are seconds since 1970.
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, number INTEGER NOT NULL, hash BLOB NOT NULL, previous BLOB, previous_until INTEGER, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS tokens_of_tenant ON tokens (tenant, number);
-- A browser's: hash is SHA-256 of the cookie.
CREATE TABLE IF NOT EXISTS sessions (
  hash BLOB PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, token TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE,
  csrf TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_of_token ON sessions (token);
CREATE INDEX IF NOT EXISTS sessions_that_end ON sessions (expires);
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
-- Uploaded files that a pipe's settings name.
CREATE TABLE IF NOT EXISTS files (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, pipe TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (tenant, pipe, name)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, id INTEGER NOT NULL, pipe TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS events_of_pipe ON events (tenant, pipe, id);
CREATE TABLE IF NOT EXISTS audit (
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, id INTEGER NOT NULL, at INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS audit_that_ends ON audit (tenant, at);
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
  tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE, id INTEGER NOT NULL, webhook TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  waits INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_of_webhook ON deliveries (webhook, tenant, id);
CREATE INDEX IF NOT EXISTS deliveries_that_wait ON deliveries (webhook, id) WHERE waits = 1;
