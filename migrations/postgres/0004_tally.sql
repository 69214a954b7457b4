-- How many current records there are of each kind (column_number 0), and of each value of its
-- indexed numbers (value × 10^decimals).
CREATE TABLE tally (
    kind BIGINT NOT NULL,
    column_number BIGINT NOT NULL,
    value BIGINT NOT NULL,
    records BIGINT NOT NULL,
    PRIMARY KEY (kind, column_number, value)
);
INSERT INTO tally (kind, column_number, value, records)
SELECT kind, 0, 0, count(*) FROM record WHERE state <> 2 GROUP BY kind;
