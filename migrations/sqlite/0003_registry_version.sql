-- Former versions of registry rows, and the versions that say that a row went: those have no
-- content. `list` is the table, `content` the row as the registry's JSON.
CREATE TABLE registry_version (
    list TEXT NOT NULL,
    hash BLOB NOT NULL,
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    content TEXT,
    PRIMARY KEY (list, hash, version)
) WITHOUT ROWID;
