-- What a receipt does not list: refused records that were only counted, refused records
-- without an entry (those among them), and faults that no entry tells.
ALTER TABLE submission ADD COLUMN unlisted_records BIGINT NOT NULL DEFAULT 0;
ALTER TABLE submission ADD COLUMN unlisted_entries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE submission ADD COLUMN unlisted_faults BIGINT NOT NULL DEFAULT 0;
