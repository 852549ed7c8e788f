-- `version` counts the steps that ran. One row.
CREATE TABLE throughline_schema (version integer NOT NULL);
INSERT INTO throughline_schema VALUES (0);

-- A record is one row; `seen` is beside it for the sweep. It is json and not jsonb, which would alter numbers. Partitions
-- from the beginning: a large table cannot be cut later without a stop, and each is vacuumed by itself. The room that is left
-- in each page lets a record be written again where it is.
CREATE TABLE visitor (
    id uuid PRIMARY KEY,
    seen bigint NOT NULL,
    record json NOT NULL
) PARTITION BY HASH (id);

CREATE TABLE visitor_0 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 0) WITH (fillfactor = 85);
CREATE TABLE visitor_1 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 1) WITH (fillfactor = 85);
CREATE TABLE visitor_2 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 2) WITH (fillfactor = 85);
CREATE TABLE visitor_3 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 3) WITH (fillfactor = 85);
CREATE TABLE visitor_4 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 4) WITH (fillfactor = 85);
CREATE TABLE visitor_5 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 5) WITH (fillfactor = 85);
CREATE TABLE visitor_6 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 6) WITH (fillfactor = 85);
CREATE TABLE visitor_7 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 7) WITH (fillfactor = 85);
CREATE TABLE visitor_8 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 8) WITH (fillfactor = 85);
CREATE TABLE visitor_9 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 9) WITH (fillfactor = 85);
CREATE TABLE visitor_10 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 10) WITH (fillfactor = 85);
CREATE TABLE visitor_11 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 11) WITH (fillfactor = 85);
CREATE TABLE visitor_12 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 12) WITH (fillfactor = 85);
CREATE TABLE visitor_13 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 13) WITH (fillfactor = 85);
CREATE TABLE visitor_14 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 14) WITH (fillfactor = 85);
CREATE TABLE visitor_15 PARTITION OF visitor FOR VALUES WITH (MODULUS 16, REMAINDER 15) WITH (fillfactor = 85);

-- An identity never gives a number twice, whatever was deleted.
CREATE TABLE revocation (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    at bigint NOT NULL
);

-- For the sweep, which deletes the oldest.
CREATE INDEX revocation_at ON revocation (at);
