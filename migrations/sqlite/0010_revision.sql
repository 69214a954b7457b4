-- What programs that share a database see of one another: `data` grows with each transaction
-- that writes, `kinds` with each change of how records are kept.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY,
    data INTEGER NOT NULL,
    kinds INTEGER NOT NULL
);
INSERT INTO revision (id, data, kinds) VALUES (1, 0, 0);

-- How the records of a kind are kept, by the mapping that was used last.
ALTER TABLE kind ADD COLUMN fingerprint TEXT;

-- Whether the numbers of a column are counted in `tally`: all programs that write count them.
-- Those of before are counted anew.
ALTER TABLE kind_field ADD COLUMN tallied INTEGER NOT NULL DEFAULT 0;
DELETE FROM tally;
INSERT INTO tally (kind, column_number, value, records)
SELECT kind, 0, 0, count(*) FROM record WHERE state <> 2 GROUP BY kind;
