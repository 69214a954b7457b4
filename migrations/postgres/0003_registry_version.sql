-- Former versions of registry rows, and the versions that say that a row went: those have no
-- content. `list` is the table, `content` the row as the registry's JSON.
CREATE TABLE registry_version (
    list TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    content TEXT COLLATE "C",
    PRIMARY KEY (list, hash, version)
);
