-- Records as rows, the registries, receipts. See ARCHITECTURE.md, "The store".
-- The tables of PostgreSQL carry the same numbers and the same names.

-- Which mapping names which kind, and which of its fields is which column.
CREATE TABLE kind (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE kind_field (
    kind INTEGER NOT NULL REFERENCES kind (id),
    column_number INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    PRIMARY KEY (kind, column_number)
);

-- Texts and codes of records, each once.
CREATE TABLE text (
    id INTEGER PRIMARY KEY,
    value TEXT NOT NULL UNIQUE
);

-- One row a device part seen.
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    model_manufacturer_code TEXT NOT NULL,
    model_number TEXT NOT NULL,
    production_specification_serial TEXT NOT NULL,
    first_write INTEGER NOT NULL
);

-- One row a transaction that stored records: lastUpdated and client belong to it.
CREATE TABLE write (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    submission TEXT,
    client TEXT
);
CREATE INDEX write_at ON write (at);
CREATE INDEX write_submission ON write (submission);

-- The six registries. `hash` is of the key, as the ids of their resources carry it.
CREATE TABLE consortium (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    consortium_id TEXT NOT NULL UNIQUE,
    consortium_name TEXT,
    representative_organization TEXT,
    start_date TEXT,
    end_date TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL
);
CREATE TABLE participant (
    -- Never given twice, not even after a deletion.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    consortium_id TEXT NOT NULL,
    person_id TEXT NOT NULL,
    birth_year_month TEXT,
    sex_code TEXT,
    participation_start_date TEXT,
    participation_end_date TEXT,
    residence_prefecture_code TEXT,
    commute_code TEXT,
    medication_codes TEXT,
    measurement_position_code TEXT,
    study_arm_code TEXT,
    consent_code TEXT,
    external_identifiers TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL,
    UNIQUE (consortium_id, person_id)
);
CREATE INDEX participant_person ON participant (person_id);
CREATE TABLE laboratory (
    -- Never given twice, not even after a deletion.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    consortium_id TEXT NOT NULL,
    test_lab_id TEXT NOT NULL,
    test_lab_name TEXT,
    prefecture_code TEXT,
    institution_code TEXT,
    external_identifiers TEXT,
    default_for TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL,
    UNIQUE (consortium_id, test_lab_id)
);
CREATE INDEX laboratory_lab ON laboratory (test_lab_id);
CREATE TABLE device_model (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    model_manufacturer_code TEXT NOT NULL,
    model_number TEXT NOT NULL,
    manufacturer_name TEXT,
    device_name TEXT,
    device_type_code TEXT,
    clock_correction TEXT,
    standards_conformance TEXT,
    accuracy TEXT,
    mean_error_percent TEXT,
    error_q1_percent TEXT,
    error_q3_percent TEXT,
    fallback_for TEXT,
    ledger_number TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL,
    UNIQUE (model_manufacturer_code, model_number)
);
CREATE TABLE hba1c_method (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    measurement_method_code TEXT NOT NULL UNIQUE,
    method_class_code TEXT,
    method_name TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL
);
CREATE TABLE activity_recording_time (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    model_manufacturer_code TEXT NOT NULL,
    model_number TEXT NOT NULL,
    day_start TEXT,
    recorded_minutes TEXT,
    aggregation TEXT,
    provisional INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at INTEGER NOT NULL,
    UNIQUE (model_manufacturer_code, model_number)
);
-- Identifiers that others gave to participants and laboratories (crosswalk columns).
CREATE TABLE external_identifier (
    list TEXT NOT NULL,
    consortium_id TEXT NOT NULL,
    system TEXT NOT NULL,
    value TEXT NOT NULL,
    owner INTEGER NOT NULL,
    PRIMARY KEY (list, consortium_id, system, value)
) WITHOUT ROWID;
CREATE INDEX external_identifier_value ON external_identifier (value, system);
CREATE INDEX external_identifier_owner ON external_identifier (list, owner);

-- The current version of every record. `time` is in seconds, `updated` (update_time of the
-- version) and `seen` (a newer update_time of the same content) in milliseconds since the
-- epoch. `state`: 0 as the version tells, 1 amended, 2 deleted. c1… hold the kind's fields:
-- numbers as (value × 10^decimals) × 8 + decimals written, codes and texts as text.id.
CREATE TABLE record (
    participant INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    time INTEGER NOT NULL,
    source INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    seen INTEGER,
    write INTEGER NOT NULL,
    device INTEGER,
    state INTEGER NOT NULL,
    c1 INTEGER, c2 INTEGER, c3 INTEGER, c4 INTEGER, c5 INTEGER, c6 INTEGER,
    c7 INTEGER, c8 INTEGER, c9 INTEGER, c10 INTEGER, c11 INTEGER, c12 INTEGER,
    PRIMARY KEY (participant, kind, time, source)
) WITHOUT ROWID;
CREATE INDEX record_kind_time ON record (kind, time);
CREATE INDEX record_write ON record (write);

-- Former versions.
CREATE TABLE record_version (
    participant INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    time INTEGER NOT NULL,
    source INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    seen INTEGER,
    write INTEGER NOT NULL,
    device INTEGER,
    state INTEGER NOT NULL,
    c1 INTEGER, c2 INTEGER, c3 INTEGER, c4 INTEGER, c5 INTEGER, c6 INTEGER,
    c7 INTEGER, c8 INTEGER, c9 INTEGER, c10 INTEGER, c11 INTEGER, c12 INTEGER,
    PRIMARY KEY (participant, kind, time, source, version)
) WITHOUT ROWID;
CREATE INDEX record_version_write ON record_version (write);

-- Receipts. `entries` (of the records that were not plainly created or unchanged) and `faults`
-- are JSON, `all_entries` is compact; all three are deflated.
CREATE TABLE submission (
    id TEXT PRIMARY KEY,
    consortium_id TEXT NOT NULL,
    send_time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    lenient INTEGER NOT NULL,
    status INTEGER NOT NULL,
    client TEXT,
    write INTEGER,
    received INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    stale INTEGER NOT NULL,
    conflict INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    warned INTEGER NOT NULL,
    faults BLOB NOT NULL,
    entries BLOB NOT NULL,
    all_entries BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX submission_consortium ON submission (consortium_id, id);
CREATE INDEX submission_received ON submission (received_at);

-- Refused records of lenient submissions that wait to be mended.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    submission TEXT NOT NULL,
    consortium_id TEXT NOT NULL,
    pointer TEXT NOT NULL,
    observation TEXT,
    faults TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    -- Set when the row was mended or deleted: it has left the list.
    left_at INTEGER,
    left_by TEXT
);
CREATE INDEX quarantine_waiting ON quarantine (consortium_id, id) WHERE left_at IS NULL;
CREATE INDEX quarantine_observation ON quarantine (observation) WHERE left_at IS NULL;
