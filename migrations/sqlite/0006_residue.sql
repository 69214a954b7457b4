-- What was written of records over FHIR and their fields do not hold, as JSON
-- (src/fhir/residue.rs); `aside` is what alone makes no new version. Versions of a record
-- share it until something else is written.
ALTER TABLE record ADD COLUMN residue INTEGER;
ALTER TABLE record_version ADD COLUMN residue INTEGER;
CREATE INDEX record_residue ON record (residue) WHERE residue IS NOT NULL;
CREATE TABLE residue (
    id INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    content TEXT,
    aside TEXT,
    PRIMARY KEY (id, participant)
) WITHOUT ROWID;

-- What searches find in it: by search parameter the codes, identifiers and references, with
-- an empty system where there is none; texts stand folded.
CREATE TABLE residue_value (
    parameter TEXT NOT NULL,
    value TEXT NOT NULL,
    system TEXT NOT NULL,
    residue INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    PRIMARY KEY (parameter, value, system, residue, participant)
) WITHOUT ROWID;
CREATE INDEX residue_value_residue ON residue_value (residue);
