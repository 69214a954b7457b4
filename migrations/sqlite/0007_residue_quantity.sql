-- The units of quantities that were written of records over FHIR beyond their fields, each with
-- the decimals of numbers in it: they are few, and a search compares with the numbers of each.
CREATE TABLE residue_unit (
    id INTEGER PRIMARY KEY,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    unit TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    UNIQUE (system, code, unit, decimals)
);

-- What searches by quantity find: of an Observation itself, or of its components, the number as
-- a whole number of its last decimal, with each code that stands beside it (empty for none).
CREATE TABLE residue_quantity (
    component INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code TEXT NOT NULL,
    system TEXT NOT NULL,
    residue INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    PRIMARY KEY (component, unit, number, code, system, residue, participant)
) WITHOUT ROWID;
CREATE INDEX residue_quantity_residue ON residue_quantity (residue);
