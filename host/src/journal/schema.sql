-- What is durable. A record is one JSON document; what is looked up stands in columns of its own.
CREATE TABLE IF NOT EXISTS resyncs (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS tables (
    resync TEXT NOT NULL REFERENCES resyncs (id),
    source TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (resync, source)
) STRICT;
CREATE INDEX IF NOT EXISTS tables_of_source ON tables (source, resync);

CREATE TABLE IF NOT EXISTS chunks (
    resync TEXT NOT NULL REFERENCES resyncs (id),
    source TEXT NOT NULL,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (resync, source, number)
) STRICT;

-- Each step that was begun or done, in order: what a person reads after something went wrong.
CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY,
    resync TEXT NOT NULL,
    at TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT;

-- What a person has asked of the process that is at work.
CREATE TABLE IF NOT EXISTS requests (
    resync TEXT PRIMARY KEY,
    request TEXT NOT NULL
) STRICT;

-- Where the pipe, and a resync of it, are in the binlog.
CREATE TABLE IF NOT EXISTS streams (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;

-- The tables that follow a stream.
CREATE TABLE IF NOT EXISTS followed (
    stream TEXT NOT NULL,
    source TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (stream, source)
) STRICT;

-- What another process has asked the one at work to do, and what it answered.
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    answer TEXT
) STRICT;
