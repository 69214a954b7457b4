-- What was written of records over FHIR and their fields do not hold, as JSON
-- (src/fhir/residue.rs); `aside` is what alone makes no new version. Versions of a record
-- share it until something else is written.
ALTER TABLE record ADD COLUMN residue BIGINT;
ALTER TABLE record_version ADD COLUMN residue BIGINT;
CREATE INDEX record_residue ON record (residue) WHERE residue IS NOT NULL;
CREATE TABLE residue (
    id BIGINT NOT NULL,
    participant BIGINT NOT NULL,
    content TEXT COLLATE "C",
    aside TEXT COLLATE "C",
    PRIMARY KEY (id, participant)
);

-- What searches find in it: by search parameter the codes, identifiers and references, with
-- an empty system where there is none; texts stand folded.
CREATE TABLE residue_value (
    parameter TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    residue BIGINT NOT NULL,
    participant BIGINT NOT NULL,
    PRIMARY KEY (parameter, value, system, residue, participant)
);
CREATE INDEX residue_value_residue ON residue_value (residue);
