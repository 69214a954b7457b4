//! Registries as JSON: an array of objects, read row by row.
//!
//! All faults of a file are found, not only the first; a row with one is left out.

use std::borrow::Cow;
use std::io::{self, Read};

use super::faults::Faults;
use super::field_type::{FieldType, Wrong};
use super::list::List;
use super::row::Row;
use super::unique::Unique;
use crate::fault::{Code, Fault, Place, shorten};
use crate::json::{self, Event, Reader};

/// How to read.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How many faults are kept; further ones are counted.
    pub max_faults: usize,
    /// Tells the record kinds there are, for `fallback_for`; without it any name is taken.
    pub known_kind: Option<&'a dyn Fn(&str) -> bool>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            max_faults: Faults::DEFAULT_MAX,
            known_kind: None,
        }
    }
}

/// What was read.
#[derive(Debug)]
pub struct ReadRows {
    /// How many rows there were, with a fault or without.
    pub count: u64,
    /// The rows without a fault, in the order of the file.
    pub rows: Vec<Row>,
    /// What is wrong with the others. Pointers are `/{row}/{field}`, rows counted from 0.
    pub faults: Faults,
}

/// Reads a list from JSON: an array of objects whose members are the fields of the list.
///
/// `null` counts as absent, and so does an empty array. Rows of lists that
/// `--registry auto` fills may say `"provisional": true`.
///
/// # Errors
/// Those of `source`. What is wrong with the text is told in [`ReadRows::faults`]; one that
/// is not JSON gets a `json` fault, after which nothing is read.
pub fn read_json(
    list: &'static List,
    source: impl Read,
    options: &Options<'_>,
) -> io::Result<ReadRows> {
    let mut reader = Reader::new(source);
    let mut draft = Draft::new(list, options);
    match read_array(&mut reader, &mut draft) {
        Ok(()) => {}
        Err(json::Error::Io(error)) => return Err(error),
        Err(json::Error::Syntax { place, reason }) => {
            let pointer = draft.place_in_file();
            draft.tell(Fault::syntax(pointer, place, reason));
        }
    }
    Ok(draft.done())
}

fn read_array<R: Read>(reader: &mut Reader<R>, draft: &mut Draft<'_>) -> json::Result<()> {
    let first = reader.next()?;
    if first != Event::ArrayStart {
        let fault = Fault::new(Code::Type, "", reader.place()).expected("an array of objects");
        draft.tell(fault.found(&json::described(first, reader.text())));
        reader.skip(first)?;
        return reader.next().map(drop);
    }
    while !draft.faults.is_full() {
        match reader.next()? {
            Event::ArrayEnd => return reader.next().map(drop),
            Event::ObjectStart => {
                draft.begin(reader.place());
                read_object(reader, draft)?;
                draft.end();
            }
            other => {
                draft.begin(reader.place());
                draft.tell(
                    Fault::new(Code::Type, draft.pointer(&[]), reader.place())
                        .expected("an object")
                        .found(&json::described(other, reader.text())),
                );
                reader.skip(other)?;
                draft.drop_row();
            }
        }
    }
    Ok(())
}

fn read_object<R: Read>(reader: &mut Reader<R>, draft: &mut Draft<'_>) -> json::Result<()> {
    loop {
        if reader.next()? == Event::ObjectEnd {
            return Ok(());
        }
        let column = draft.column(reader.text());
        let name = match column {
            Column::Field(i) => Cow::Borrowed(draft.list.fields[i].name),
            Column::Provisional => Cow::Borrowed(PROVISIONAL),
            Column::Unknown | Column::Passed => Cow::Owned(shorten(reader.text())),
        };
        let key_place = reader.place();
        let event = reader.next()?;
        if !draft.see(column, &name, key_place) {
            reader.skip(event)?;
            continue;
        }
        let place = reader.place();
        match (column, event) {
            (_, Event::Null) | (Column::Unknown | Column::Passed, _) => reader.skip(event)?,
            (Column::Provisional, Event::Bool) => {
                draft.row.provisional = reader.text() == "true";
            }
            (Column::Provisional, _) => {
                let found = json::described(event, reader.text());
                draft.wrong_type(&[&name], place, "true or false", &found);
                reader.skip(event)?;
            }
            (Column::Field(i), Event::ArrayStart) if draft.list.fields[i].list => {
                read_items(reader, draft, i)?;
            }
            (Column::Field(i), _) => {
                let field = &draft.list.fields[i];
                match event {
                    Event::String if !field.ty.is_number() && !field.list => {
                        draft.put(i, None, reader.text(), place);
                    }
                    Event::Number if field.ty.is_number() => {
                        draft.put(i, None, reader.text(), place);
                    }
                    _ => {
                        let expected = match (field.list, field.ty.is_number()) {
                            (true, _) => "an array of strings",
                            (_, true) => "a number",
                            _ => "a string",
                        };
                        draft.refuse(i);
                        let found = json::described(event, reader.text());
                        draft.wrong_type(&[&name], place, expected, &found);
                        reader.skip(event)?;
                    }
                }
            }
        }
    }
}

/// The items of a list field, after its `[`.
fn read_items<R: Read>(
    reader: &mut Reader<R>,
    draft: &mut Draft<'_>,
    field: usize,
) -> json::Result<()> {
    let mut item = 0;
    loop {
        match reader.next()? {
            Event::ArrayEnd => return Ok(()),
            Event::String => {
                draft.put(field, Some(item), reader.text(), reader.place());
            }
            other => {
                let name = draft.list.fields[field].name;
                let found = json::described(other, reader.text());
                let parts = [name, &item.to_string()];
                draft.wrong_type(&parts, reader.place(), "a string", &found);
                reader.skip(other)?;
            }
        }
        item += 1;
    }
}

/// The member that tells a row made by `--registry auto`.
pub(super) const PROVISIONAL: &str = "provisional";

/// What a member or a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The field at this position of the list.
    Field(usize),
    /// `provisional`
    Provisional,
    /// Not one of the list.
    Unknown,
    /// A column that was told to be wrong in the header, so that its cells are passed over.
    Passed,
}

/// The row being read, and what the rows before it left behind.
pub(super) struct Draft<'a> {
    pub list: &'static List,
    options: &'a Options<'a>,
    pub row: Row,
    /// The number of the row, from 0.
    pub index: u64,
    /// Fields met, one bit each; the bit after the last is `provisional`.
    seen: u64,
    /// Fields whose value was refused, so that they are not told to be missing as well.
    refused: u64,
    /// Fields for which a CSV file has no column: each is told to be missing once.
    pub no_column: u64,
    told: u64,
    /// Whether the row has a fault that refuses it.
    faulty: bool,
    unique: Unique,
    rows: Vec<Row>,
    pub faults: Faults,
}

impl<'a> Draft<'a> {
    pub fn new(list: &'static List, options: &'a Options<'a>) -> Draft<'a> {
        Draft {
            list,
            options,
            row: Row::new(list),
            index: 0,
            seen: 0,
            refused: 0,
            no_column: 0,
            told: 0,
            faulty: false,
            unique: Unique::new(),
            rows: Vec::new(),
            faults: Faults::with_max(options.max_faults),
        }
    }

    /// What the member or header of this name is.
    pub fn column(&self, name: &str) -> Column {
        match self.list.position(name) {
            Some(i) => Column::Field(i),
            None if name == PROVISIONAL && self.list.provisional => Column::Provisional,
            None => Column::Unknown,
        }
    }

    /// Begins a row at `place`.
    pub fn begin(&mut self, place: Place) {
        self.row = Row::new(self.list).at(place);
        self.seen = 0;
        self.refused = 0;
        self.faulty = false;
    }

    /// `/{row}`, and the parts after it.
    pub fn pointer(&self, parts: &[&str]) -> String {
        let mut pointer = format!("/{}", self.index);
        for part in parts {
            pointer.push('/');
            pointer.push_str(&json::pointer_part(part));
        }
        pointer
    }

    /// The row being read, or nothing before the first.
    fn place_in_file(&self) -> String {
        if self.row.place().line == 0 {
            return String::new();
        }
        self.pointer(&[])
    }

    /// Takes a fault of the row (or of the file).
    pub fn tell(&mut self, fault: Fault) {
        self.faulty |= fault.is_error();
        self.faults.push(fault);
    }

    pub fn wrong_type(
        &mut self,
        parts: &[&str],
        place: Place,
        expected: &'static str,
        found: &str,
    ) {
        let pointer = self.pointer(parts);
        let fault = Fault::new(Code::Type, pointer, place).expected(expected);
        self.tell(fault.found(found));
    }

    /// Notes that a field was met; false, with a fault, when it should not be there.
    pub fn see(&mut self, column: Column, name: &str, place: Place) -> bool {
        let code = match column {
            Column::Unknown | Column::Passed => Code::UnknownField,
            _ => {
                let bit = match column {
                    Column::Field(i) => 1 << i,
                    _ => 1 << self.list.fields.len(),
                };
                let first = self.seen & bit == 0;
                self.seen |= bit;
                if first {
                    return true;
                }
                Code::DuplicateKey
            }
        };
        let pointer = self.pointer(&[name]);
        self.tell(Fault::new(code, pointer, place));
        false
    }

    /// Notes that the field has a value, though not one that is taken.
    pub fn refuse(&mut self, field: usize) {
        self.refused |= 1 << field;
    }

    /// Checks a value (an item of a list field) and takes it.
    pub fn put(&mut self, field: usize, item: Option<usize>, text: &str, place: Place) {
        let checked = self.check_kind(field, text);
        if let Err(wrong) = checked.and_then(|()| self.row.put_at(field, text)) {
            self.refuse(field);
            let name = self.list.fields[field].name;
            let pointer = match item {
                Some(item) => self.pointer(&[name, &item.to_string()]),
                None => self.pointer(&[name]),
            };
            self.tell(
                Fault::new(wrong.code, pointer, place)
                    .expected(wrong.expected)
                    .found(text),
            );
        }
    }

    fn check_kind(&self, field: usize, text: &str) -> Result<(), Wrong> {
        match (self.list.fields[field].ty, self.options.known_kind) {
            (FieldType::Kind, Some(known)) if !known(text) => Err(Wrong {
                code: Code::CodeUnknown,
                expected: "a record kind".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Ends the row: checks it as a whole and keeps it unless it has a fault.
    pub fn end(&mut self) {
        let missing: Vec<&str> = self.row.missing().collect();
        for name in missing {
            let bit = 1 << self.list.position(name).unwrap_or_default();
            if self.told & bit != 0 {
                self.faulty = true;
            } else if self.refused & bit == 0 {
                self.told |= bit & self.no_column;
                let pointer = self.pointer(&[name]);
                self.tell(Fault::new(Code::RequiredMissing, pointer, self.row.place()));
            }
        }
        for (field, wrong) in self.row.inconsistencies() {
            let position = self.list.position(field).unwrap_or_default();
            if self.refused & 1 << position != 0 {
                continue;
            }
            let found = self.row.text(field).unwrap_or_default();
            let fault = Fault::new(wrong.code, self.pointer(&[field]), self.row.place())
                .expected(wrong.expected)
                .found(found);
            self.tell(fault);
        }
        // A row whose key is incomplete would collide with others of its like.
        if self.row.key().iter().all(|part| !part.is_empty()) {
            let row = std::mem::replace(&mut self.row, Row::new(self.list));
            if self.unique.add(&row, self.index, &mut self.faults) && !self.faulty {
                self.rows.push(row);
            }
        }
        self.index += 1;
    }

    /// Ends a row that is none.
    fn drop_row(&mut self) {
        self.index += 1;
    }

    pub fn done(self) -> ReadRows {
        ReadRows {
            count: self.index,
            rows: self.rows,
            faults: self.faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{
        ACTIVITY_RECORDING_TIMES, CONSORTIA, DEVICES, HBA1C_METHODS, LABORATORIES, PARTICIPANTS,
    };

    fn read(list: &'static List, text: &str) -> ReadRows {
        read_json(list, text.as_bytes(), &Options::default()).unwrap()
    }

    fn faults(list: &'static List, text: &str) -> Vec<(Code, String, u32, u32)> {
        let faults = read(list, text).faults.into_kept().into_iter();
        faults
            .map(|fault| (fault.code, fault.pointer, fault.line, fault.column))
            .collect()
    }

    #[test]
    fn a_participant_is_read_with_all_that_is_known() {
        let text = r#"[{"consortium_id":"A00001","person_id":"P1","birth_year_month":"196104",
            "sex_code":"1","participation_start_date":"20160901","commute_code":null,
            "medication_codes":["1","4"],"external_identifiers":["urn:oid:1.2|00012345"]}]"#;
        let read = read(&PARTICIPANTS, text);
        assert_eq!(read.faults.kept(), []);
        let row = &read.rows[0];
        assert_eq!(row.key(), ["A00001", "P1"]);
        assert_eq!(row.text("birth_year_month"), Some("196104"));
        assert_eq!(row.text("commute_code"), None);
        assert_eq!(row.items("medication_codes"), ["1", "4"]);
        assert_eq!((row.place().line, row.place().column), (1, 2));
    }

    #[test]
    fn numbers_keep_the_digits_written() {
        let text = r#"[{"model_manufacturer_code":"ACME","model_number":"1","device_name":"機器",
            "device_type_code":"3","mean_error_percent":-1.20,"error_q1_percent":"1"}]"#;
        let got = read(&DEVICES, text);
        assert_eq!(got.faults.kept().len(), 1);
        assert_eq!(got.faults.kept()[0].code, Code::Type);
        assert_eq!(got.faults.kept()[0].pointer, "/0/error_q1_percent");
        let got = read(
            &DEVICES,
            &text.replace("\"error_q1_percent\":\"1\"", "\"error_q1_percent\":0.0"),
        );
        assert_eq!(got.rows[0].text("mean_error_percent"), Some("-1.20"));
        assert_eq!(got.rows[0].text("error_q1_percent"), Some("0.0"));
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = "[\n {\"measurement_method_code\": \"1234567\", \"method_class_code\": \"8\",\n  \
                    \"method_class_code\": \"1\", \"a/b\": [1, {}]},\n 7]";
        assert_eq!(
            faults(&HBA1C_METHODS, text),
            [
                (Code::Digits, "/0/measurement_method_code".into(), 2, 30),
                (Code::CodeUnknown, "/0/method_class_code".into(), 2, 62),
                (Code::DuplicateKey, "/0/method_class_code".into(), 3, 3),
                (Code::UnknownField, "/0/a~1b".into(), 3, 29),
                (Code::RequiredMissing, "/0/method_name".into(), 2, 2),
                (Code::Type, "/1".into(), 4, 2),
            ]
        );
    }

    #[test]
    fn what_is_not_json_or_not_an_array_is_refused() {
        assert_eq!(faults(&CONSORTIA, "[{}")[1].0, Code::RequiredMissing);
        let cut = faults(&CONSORTIA, "[{\"consortium_id\" 1");
        assert_eq!(cut, [(Code::Json, "/0".into(), 1, 19)]);
        assert_eq!(faults(&CONSORTIA, ""), [(Code::Json, String::new(), 1, 1)]);
        assert_eq!(
            faults(&CONSORTIA, "{}"),
            [(Code::Type, String::new(), 1, 1)]
        );
        assert_eq!(faults(&CONSORTIA, "[] []")[0].0, Code::Json);
        assert!(faults(&CONSORTIA, "[]").is_empty());
    }

    #[test]
    fn only_a_provisional_row_may_lack_what_is_required() {
        let text = r#"[{"consortium_id":"A00001","test_lab_id":"1","provisional":true}]"#;
        let got = read(&LABORATORIES, text);
        assert!(got.rows[0].provisional);
        assert_eq!(
            faults(&LABORATORIES, &text.replace("true", "false")).len(),
            2
        );
        assert_eq!(
            faults(&LABORATORIES, &text.replace("true", "1"))[0].0,
            Code::Type
        );
        let text = r#"[{"model_manufacturer_code":"A","model_number":"1","aggregation":"x",
            "recorded_minutes":1440,"provisional":true}]"#;
        assert_eq!(
            faults(&ACTIVITY_RECORDING_TIMES, text)[0].0,
            Code::UnknownField
        );
    }

    #[test]
    fn a_stand_in_names_a_known_kind() {
        let text = r#"[{"model_manufacturer_code":"A","model_number":"1","device_name":"x",
            "device_type_code":"1","fallback_for":["weighing_scale","weight"],"ledger_number":"L"}]"#;
        let known = |kind: &str| kind == "weighing_scale";
        let options = Options {
            known_kind: Some(&known),
            ..Options::default()
        };
        let got = read_json(&DEVICES, text.as_bytes(), &options).unwrap();
        assert_eq!(got.faults.kept()[0].pointer, "/0/fallback_for/1");
        assert_eq!(got.faults.kept()[0].code, Code::CodeUnknown);
    }

    #[test]
    fn faults_are_bounded_and_counted() {
        let text = format!("[{}1]", "1,".repeat(99));
        let options = Options {
            max_faults: 10,
            ..Options::default()
        };
        let got = read_json(&CONSORTIA, text.as_bytes(), &options).unwrap();
        assert_eq!((got.faults.kept().len(), got.faults.total()), (10, 100));
    }
}
