-- Writes that were set aside because they failed by themselves, and records that cannot be read. One row for each visitor and
-- kind of change.
CREATE TABLE set_aside (
    visitor uuid NOT NULL,
    change text NOT NULL,
    at bigint NOT NULL,
    problem text NOT NULL,
    PRIMARY KEY (visitor, change)
);
