-- What writes over FHIR did to rows of registries and to devices; their Provenance is made
-- from it. `participant` is 0 where it is about none: a device. `hash` is that of the id. `did`:
-- 0 changed, 1 came, 2 went.
CREATE TABLE registry_write (
    write INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    resource TEXT NOT NULL,
    hash BLOB NOT NULL,
    version INTEGER NOT NULL,
    did INTEGER NOT NULL,
    PRIMARY KEY (write, participant, resource, hash)
) WITHOUT ROWID;
CREATE INDEX registry_write_participant ON registry_write (participant, resource);
CREATE INDEX registry_write_hash ON registry_write (hash, resource);

-- Histories go by time.
CREATE INDEX registry_version_updated ON registry_version (list, updated_at, hash, version);

-- What a Device tells that was written over FHIR, beside its part: `content` has the elements
-- as JSON; identifiers and names stand in tables of their own, to be searched by.
CREATE TABLE device_told (
    device INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    content TEXT NOT NULL
);
CREATE TABLE device_identifier (
    value TEXT NOT NULL,
    system TEXT NOT NULL,
    device INTEGER NOT NULL,
    PRIMARY KEY (value, system, device)
) WITHOUT ROWID;
CREATE INDEX device_identifier_system ON device_identifier (system);
CREATE INDEX device_identifier_device ON device_identifier (device);
CREATE TABLE device_name (
    device INTEGER NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    PRIMARY KEY (device, name)
) WITHOUT ROWID;
CREATE INDEX device_name_folded ON device_name (folded);
