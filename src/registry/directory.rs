//! Registries in memory, found by key: for the commands that work without a database, and
//! for the part of the lists that one submission needs.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::csv_records::Charset;
use super::faults::Faults;
use super::field_type::split_identifier;
use super::list::{
    ACTIVITY_RECORDING_TIMES, CONSORTIA, DEVICES, HBA1C_METHODS, LABORATORIES, List, PARTICIPANTS,
};
use super::read::{Options, ReadRows, read_json};
use super::read_csv::read_csv;
use super::row::Row;
use crate::fhir::canonical::INSTITUTION_NO;

/// Rows of all six lists, found by their keys and by their crosswalk columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    /// The rows of each list in the order of their keys.
    rows: BTreeMap<(&'static str, String), Row>,
    /// `list`, `system|value` → the keys of the rows that have it.
    identifiers: HashMap<(&'static str, String), Vec<String>>,
    /// Consortium and client → laboratory.
    default_laboratories: HashMap<(String, String), String>,
    /// Record kind → device.
    fallback_devices: HashMap<String, String>,
}

impl Registries {
    /// No rows.
    pub fn new() -> Registries {
        Registries::default()
    }

    /// Adds a row, or replaces the one of its key.
    pub fn insert(&mut self, row: Row) {
        let list = row.list().name;
        let key = join(&row.key());
        if let Some(former) = self.rows.remove(&(list, key.clone())) {
            self.forget(&former, &key);
        }
        for identifier in identifiers(&row) {
            self.identifiers
                .entry((list, identifier))
                .or_default()
                .push(key.clone());
        }
        let consortium = row.text("consortium_id").unwrap_or_default();
        for client in row.items("default_for") {
            let of = (consortium.to_owned(), client.clone());
            self.default_laboratories.insert(of, key.clone());
        }
        for kind in row.items("fallback_for") {
            self.fallback_devices.insert(kind.clone(), key.clone());
        }
        self.rows.insert((list, key), row);
    }

    fn forget(&mut self, row: &Row, key: &str) {
        for identifier in identifiers(row) {
            if let Some(keys) = self.identifiers.get_mut(&(row.list().name, identifier)) {
                keys.retain(|other| other != key);
            }
        }
        self.default_laboratories
            .retain(|_, other| row.list() != &LABORATORIES || other != key);
        self.fallback_devices
            .retain(|_, other| row.list() != &DEVICES || other != key);
    }

    /// The row of a list with this key.
    pub fn get(&self, list: &'static List, key: &[&str]) -> Option<&Row> {
        self.by_joined(list, join(key))
    }

    fn by_joined(&self, list: &'static List, key: String) -> Option<&Row> {
        self.rows.get(&(list.name, key))
    }

    /// The rows of a list in the order of their keys.
    pub fn rows(&self, list: &'static List) -> impl Iterator<Item = &Row> {
        self.rows
            .range((list.name, String::new())..)
            .take_while(move |((name, _), _)| *name == list.name)
            .map(|(_, row)| row)
    }

    /// Whether there are rows of a list. An empty list knows nothing, so nothing can be
    /// unknown to it.
    pub fn has(&self, list: &'static List) -> bool {
        self.rows(list).next().is_some()
    }

    /// A row of `consortia`.
    pub fn consortium(&self, consortium_id: &str) -> Option<&Row> {
        self.get(&CONSORTIA, &[consortium_id])
    }

    /// A row of `participants`.
    pub fn participant(&self, consortium_id: &str, person_id: &str) -> Option<&Row> {
        self.get(&PARTICIPANTS, &[consortium_id, person_id])
    }

    /// A row of `laboratories`.
    pub fn laboratory(&self, consortium_id: &str, test_lab_id: &str) -> Option<&Row> {
        self.get(&LABORATORIES, &[consortium_id, test_lab_id])
    }

    /// A row of `devices`.
    pub fn device(&self, maker: &str, model: &str) -> Option<&Row> {
        self.get(&DEVICES, &[maker, model])
    }

    /// A row of `hba1c-methods`.
    pub fn method(&self, measurement_method_code: &str) -> Option<&Row> {
        self.get(&HBA1C_METHODS, &[measurement_method_code])
    }

    /// A row of `activity-recording-times`.
    pub fn recording_time(&self, maker: &str, model: &str) -> Option<&Row> {
        self.get(&ACTIVITY_RECORDING_TIMES, &[maker, model])
    }

    /// The participants or laboratories with an external identifier (`system|value`; of
    /// laboratories their institution code as well); several only where several consortia
    /// know it.
    pub fn identified(&self, list: &'static List, identifier: &str) -> Vec<&Row> {
        let keys = self.identifiers.get(&(list.name, identifier.to_owned()));
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.by_joined(list, key.clone()))
            .collect()
    }

    /// The laboratory of a consortium that stands in for results of a client that name none:
    /// the one `default_for` the client, else the one for any (`*`).
    pub fn default_laboratory(&self, consortium_id: &str, client: Option<&str>) -> Option<&Row> {
        let of = |client: &str| {
            let of = (consortium_id.to_owned(), client.to_owned());
            self.default_laboratories.get(&of)
        };
        let key = client.and_then(of).or_else(|| of("*"))?;
        self.by_joined(&LABORATORIES, key.clone())
    }

    /// The device model that stands in for a record kind when maker or serial is unknown.
    pub fn fallback_device(&self, kind: &str) -> Option<&Row> {
        let key = self.fallback_devices.get(kind)?;
        self.by_joined(&DEVICES, key.clone())
    }
}

/// A key as one text: its parts have no control characters. Sorts like the parts do.
fn join(key: &[&str]) -> String {
    key.join("\0")
}

/// The external identifiers of a row, its institution code included.
fn identifiers(row: &Row) -> Vec<String> {
    let mut out = row.items("external_identifiers").to_vec();
    if let Some(code) = row.text("institution_code") {
        let identifier = format!("{INSTITUTION_NO}|{code}");
        if !out.contains(&identifier) {
            out.push(identifier);
        }
    }
    debug_assert!(out.iter().all(|text| split_identifier(text).is_some()));
    out
}

/// Why a folder of registries was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder is not there, or is no folder.
    #[error("{}: not a folder", .0.display())]
    NoFolder(PathBuf),
    /// A list is there as JSON and as CSV.
    #[error("{}: there is a .csv of the same list", .0.display())]
    Twice(PathBuf),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Files have faults; none of them was taken.
    #[error("faults in {} of the registries", .0.len())]
    Faults(Vec<(PathBuf, Faults)>),
}

/// Loads `{list}.json` or `{list}.csv` of each list from a folder (`--registries DIR`);
/// lists without a file stay empty. A CSV file that is not UTF-8 is read as CP932.
///
/// # Errors
/// [`LoadError`]; the faults of all files together.
pub fn load_dir(folder: &Path, options: &Options<'_>) -> Result<Registries, LoadError> {
    if !folder.is_dir() {
        return Err(LoadError::NoFolder(folder.to_owned()));
    }
    let mut registries = Registries::new();
    let mut faulty = Vec::new();
    for list in List::ALL {
        let json = folder.join(format!("{}.json", list.name));
        let csv = folder.join(format!("{}.csv", list.name));
        let path = match (json.exists(), csv.exists()) {
            (true, true) => return Err(LoadError::Twice(json)),
            (true, false) => json,
            (false, true) => csv,
            (false, false) => continue,
        };
        let read = match read_file(list, &path, options) {
            Ok(read) => read,
            Err(source) => return Err(LoadError::Io { path, source }),
        };
        if read.faults.refuses() {
            faulty.push((path, read.faults));
            continue;
        }
        for row in read.rows {
            registries.insert(row);
        }
    }
    if faulty.is_empty() {
        Ok(registries)
    } else {
        Err(LoadError::Faults(faulty))
    }
}

/// An example row of a list, with its usual fields filled.
pub fn example(list: &'static List) -> Option<Row> {
    let text = match list.name {
        "consortia" => include_str!("../../examples/registries/consortia.json"),
        "participants" => include_str!("../../examples/registries/participants.json"),
        "laboratories" => include_str!("../../examples/registries/laboratories.json"),
        "devices" => include_str!("../../examples/registries/devices.json"),
        "hba1c-methods" => include_str!("../../examples/registries/hba1c-methods.json"),
        _ => include_str!("../../examples/registries/activity-recording-times.json"),
    };
    let read = read_json(list, text.as_bytes(), &Options::default()).ok()?;
    read.rows.into_iter().next()
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An array of objects.
    Json,
    /// A header row of field names, and a row each; UTF-8, else CP932.
    Csv,
}

/// Reads a list that is in memory.
///
/// # Errors
/// None of the system's; what is wrong in it is told in [`ReadRows::faults`].
pub fn read_bytes(
    list: &'static List,
    form: Form,
    bytes: &[u8],
    options: &Options<'_>,
) -> io::Result<ReadRows> {
    match form {
        Form::Csv => read_csv(list, bytes, Charset::detect(bytes)?, options),
        Form::Json => read_json(list, bytes, options),
    }
}

/// Reads one file of a list: CSV where its name ends in `.csv`, else JSON. A CSV file that is
/// not UTF-8 is read as CP932.
///
/// # Errors
/// When the file cannot be read; what is wrong in it is told in [`ReadRows::faults`].
pub fn read_file(list: &'static List, path: &Path, options: &Options<'_>) -> io::Result<ReadRows> {
    let is_csv = path
        .extension()
        .is_some_and(|ext| ext.eq_ignore_ascii_case("csv"));
    if is_csv {
        let charset = Charset::detect(File::open(path)?)?;
        read_csv(list, File::open(path)?, charset, options)
    } else {
        read_json(list, File::open(path)?, options)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fault::Code;

    fn row(list: &'static List, values: &[(&str, &str)]) -> Row {
        let mut row = Row::new(list);
        for (field, text) in values {
            row.put(field, text).unwrap();
        }
        row
    }

    #[test]
    fn a_folder_holds_some_of_the_lists_in_either_form() {
        let folder = tempfile::tempdir().unwrap();
        let participants = r#"[{"consortium_id":"A00001","person_id":"P1","birth_year_month":"196104",
            "sex_code":"1","participation_start_date":"20160901"}]"#;
        fs::write(folder.path().join("participants.json"), participants).unwrap();
        let (consortia, _, _) =
            encoding_rs::SHIFT_JIS.encode("consortium_id,consortium_name\r\nA00001,健康の会\r\n");
        fs::write(folder.path().join("consortia.csv"), &consortia).unwrap();
        let registries = load_dir(folder.path(), &Options::default()).unwrap();
        let consortium = registries.consortium("A00001").unwrap();
        assert_eq!(consortium.text("consortium_name"), Some("健康の会"));
        assert!(registries.participant("A00001", "P1").is_some());
        assert!(registries.participant("A00001", "P2").is_none());
        assert!(!registries.has(&LABORATORIES) && registries.has(&PARTICIPANTS));

        fs::write(folder.path().join("participants.csv"), "x").unwrap();
        let twice = load_dir(folder.path(), &Options::default());
        assert!(matches!(twice, Err(LoadError::Twice(_))));
        fs::remove_file(folder.path().join("participants.csv")).unwrap();
        fs::write(folder.path().join("participants.json"), "[{").unwrap();
        let Err(LoadError::Faults(faulty)) = load_dir(folder.path(), &Options::default()) else {
            panic!("taken");
        };
        assert_eq!(faulty[0].1.kept()[0].code, Code::Json);
        let nowhere = load_dir(&folder.path().join("nowhere"), &Options::default());
        assert!(matches!(nowhere, Err(LoadError::NoFolder(_))));
    }

    #[test]
    fn crosswalk_columns_lead_to_their_rows_and_follow_changes() {
        let mut registries = Registries::new();
        let lab = |field, value| {
            let key = [("consortium_id", "A00001"), ("test_lab_id", "1")];
            row(&LABORATORIES, &[key[0], key[1], (field, value)])
        };
        registries.insert(lab("default_for", "*"));
        assert!(
            registries
                .default_laboratory("A00001", Some("ehr"))
                .is_some()
        );
        assert!(
            registries
                .default_laboratory("B00001", Some("ehr"))
                .is_none()
        );
        registries.insert(lab("institution_code", "2312345678"));
        let institution = format!("{INSTITUTION_NO}|2312345678");
        assert!(
            registries
                .default_laboratory("A00001", Some("ehr"))
                .is_none()
        );
        assert_eq!(registries.identified(&LABORATORIES, &institution).len(), 1);
        registries.insert(lab("external_identifiers", "urn:x|1"));
        assert!(
            registries
                .identified(&LABORATORIES, &institution)
                .is_empty()
        );
        registries.insert(row(
            &DEVICES,
            &[
                ("model_manufacturer_code", "ACME"),
                ("model_number", "1"),
                ("fallback_for", "weighing_scale"),
            ],
        ));
        let device = registries.fallback_device("weighing_scale").unwrap();
        assert_eq!(device.key(), ["ACME", "1"]);
        for consortium in ["B00001", "A00001"] {
            registries.insert(row(
                &PARTICIPANTS,
                &[
                    ("consortium_id", consortium),
                    ("person_id", "P1"),
                    ("external_identifiers", "urn:x|1"),
                ],
            ));
        }
        assert_eq!(registries.identified(&PARTICIPANTS, "urn:x|1").len(), 2);
        let keys: Vec<_> = registries.rows(&PARTICIPANTS).map(Row::key).collect();
        assert_eq!(keys, [["A00001", "P1"], ["B00001", "P1"]]);
    }
}
