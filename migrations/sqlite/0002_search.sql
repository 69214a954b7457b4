-- What searches look things up by.

-- Names as they are compared (src/fold.rs). Rows from before have none yet: a start of the
-- program folds what is not folded.
ALTER TABLE consortium ADD COLUMN folded TEXT;
ALTER TABLE laboratory ADD COLUMN folded TEXT;
ALTER TABLE device_model ADD COLUMN folded TEXT;
CREATE INDEX consortium_folded ON consortium (folded);
CREATE INDEX laboratory_folded ON laboratory (folded);
CREATE INDEX device_model_folded ON device_model (folded);

-- The makers and models that device parts name: few, however many devices there are.
CREATE TABLE seen_model (
    id INTEGER PRIMARY KEY,
    model_manufacturer_code TEXT NOT NULL,
    model_number TEXT NOT NULL,
    manufacturer_folded TEXT,
    number_folded TEXT,
    UNIQUE (model_manufacturer_code, model_number)
);
INSERT INTO seen_model (model_manufacturer_code, model_number)
    SELECT DISTINCT model_manufacturer_code, model_number FROM device;
CREATE INDEX seen_model_manufacturer ON seen_model (manufacturer_folded);
CREATE INDEX seen_model_number ON seen_model (number_folded);
CREATE INDEX device_seen_model ON device (model_manufacturer_code, model_number);

-- Which participants used which device: records have no index by device, and a search by one
-- goes by participant. A pair stays when its last record goes.
CREATE TABLE participant_device (
    device INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    PRIMARY KEY (device, participant)
) WITHOUT ROWID;
INSERT INTO participant_device (device, participant)
    SELECT DISTINCT device, participant FROM record WHERE device IS NOT NULL;
CREATE INDEX participant_device_participant ON participant_device (participant);

CREATE INDEX participant_birth ON participant (birth_year_month);
CREATE INDEX participant_updated ON participant (updated_at);
CREATE INDEX participant_consortium_updated ON participant (consortium_id, updated_at);
