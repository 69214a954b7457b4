-- How many current records there are of each kind (column_number 0), and of each value of its
-- indexed numbers (value × 10^decimals).
CREATE TABLE tally (
    kind INTEGER NOT NULL,
    column_number INTEGER NOT NULL,
    value INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (kind, column_number, value)
) WITHOUT ROWID;
INSERT INTO tally (kind, column_number, value, records)
SELECT kind, 0, 0, count(*) FROM record WHERE state <> 2 GROUP BY kind;
