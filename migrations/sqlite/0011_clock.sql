-- The time of the last write, of records, registries or receipts: every later one has a greater.
CREATE TABLE clock (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
);
INSERT INTO clock (id, at) SELECT 1, coalesce(max(t.at), 0) FROM (
    SELECT max(at) AS at FROM write
    UNION ALL SELECT max(updated_at) FROM consortium
    UNION ALL SELECT max(updated_at) FROM participant
    UNION ALL SELECT max(updated_at) FROM laboratory
    UNION ALL SELECT max(updated_at) FROM device_model
    UNION ALL SELECT max(updated_at) FROM hba1c_method
    UNION ALL SELECT max(updated_at) FROM activity_recording_time
    UNION ALL SELECT max(updated_at) FROM registry_version
    UNION ALL SELECT max(updated_at) FROM device_told
    UNION ALL SELECT max(received_at) FROM submission
) t;
