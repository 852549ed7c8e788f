-- Writes that were set aside because they failed by themselves, and records that cannot be read. One row for each visitor and
-- kind of change.
CREATE TABLE set_aside (
    visitor BLOB NOT NULL,
    change TEXT NOT NULL,
    at INTEGER NOT NULL,
    problem TEXT NOT NULL,
    PRIMARY KEY (visitor, change)
) STRICT, WITHOUT ROWID;
