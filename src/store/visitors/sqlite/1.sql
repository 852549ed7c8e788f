-- A record is one row, so that a first hop writes one page of one tree. `seen` is beside it for the sweep.
CREATE TABLE visitor (
    id BLOB PRIMARY KEY,
    seen INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number is never given twice, whatever was deleted.
CREATE TABLE revocation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL
) STRICT;
