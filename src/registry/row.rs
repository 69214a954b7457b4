//! One row of a registry: its values, aligned with the fields of its list.

use super::field_type::Wrong;
use super::list::List;
use crate::fault::{Code, Place};

/// The most items of a list field. No person has as many identifiers; it bounds what one
/// value may cost.
pub const ITEMS_MAX: usize = 200;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// Not given.
    #[default]
    Absent,
    /// A text, a code, a date, or a number as it was written.
    Text(String),
    /// The items of a list field, at least one, each once.
    List(Vec<String>),
}

/// A row whose values hold the rules of its list's fields.
///
/// Rows are equal when their contents are, wherever they were read.
#[derive(Debug, Clone)]
pub struct Row {
    list: &'static List,
    values: Box<[Value]>,
    /// Whether `--registry auto` made it; such a row may lack what is required.
    pub provisional: bool,
    place: Place,
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.list == other.list
            && self.provisional == other.provisional
            && self.values == other.values
    }
}

impl Eq for Row {}

impl Row {
    /// A row without values.
    pub fn new(list: &'static List) -> Row {
        Row {
            list,
            values: vec![Value::Absent; list.fields.len()].into_boxed_slice(),
            provisional: false,
            place: Place::default(),
        }
    }

    /// A provisional row that has its key only, in the order of [`List::key`].
    pub fn provisional(list: &'static List, key: &[&str]) -> Row {
        let mut row = Row::new(list);
        row.provisional = true;
        for (field, part) in list.key().zip(key) {
            row.set(field.name, Value::Text((*part).to_owned()));
        }
        row
    }

    /// The same row, begun at `place` of its file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Row {
        self.place = place;
        self
    }

    /// The list it belongs to.
    pub fn list(&self) -> &'static List {
        self.list
    }

    /// Where it began in its file; all zero for a row that was not read from one.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The values, aligned with the fields of the list.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of a field that holds one; `None` where it is absent.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.value(field) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of a list field; empty where it is absent.
    pub fn items(&self, field: &str) -> &[String] {
        match self.value(field) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The value of a field; `None` where the list has no such field.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.list.position(field).and_then(|i| self.values.get(i))
    }

    /// The values of the key, in order; empty texts for parts that are absent.
    pub fn key(&self) -> Vec<&str> {
        let key = self.list.fields.iter().zip(&self.values);
        key.take_while(|(field, _)| field.key)
            .map(|(_, value)| match value {
                Value::Text(text) => text.as_str(),
                _ => "",
            })
            .collect()
    }

    /// Sets a value that is known to hold its rule, as one from the database is.
    /// Does nothing for a field that the list does not have.
    pub fn set(&mut self, field: &str, value: Value) {
        if let Some(i) = self.list.position(field) {
            self.values[i] = value;
        }
    }

    /// Checks `text` and sets it; to a list field it is added unless it is there.
    ///
    /// # Errors
    /// [`Wrong`] when the field's type refuses the text, or the list has no such field.
    pub fn put(&mut self, field: &str, text: &str) -> Result<(), Wrong> {
        match self.list.position(field) {
            Some(i) => self.put_at(i, text),
            None => Err(Wrong {
                code: Code::UnknownField,
                expected: "a field of the list".into(),
            }),
        }
    }

    /// [`Row::put`] for the field at a position of the list.
    pub(super) fn put_at(&mut self, position: usize, text: &str) -> Result<(), Wrong> {
        let field = &self.list.fields[position];
        let text = field.ty.check(text)?.into_owned();
        let value = &mut self.values[position];
        match value {
            Value::List(items) if field.list => {
                if items.contains(&text) {
                    return Ok(());
                }
                if items.len() == ITEMS_MAX {
                    return Err(Wrong {
                        code: Code::Digits,
                        expected: format!("at most {ITEMS_MAX} items").into(),
                    });
                }
                items.push(text);
            }
            _ if field.list => *value = Value::List(vec![text]),
            _ => *value = Value::Text(text),
        }
        Ok(())
    }

    /// Rules about several fields of one row: the field each concerns, and what is wrong.
    ///
    /// - An end before its start is `time-invalid` at the end.
    /// - `fallback_for` without `ledger_number` is `required-missing` at the latter.
    pub fn inconsistencies(&self) -> Vec<(&'static str, Wrong)> {
        let mut out = Vec::new();
        for (start, end) in [
            ("start_date", "end_date"),
            ("participation_start_date", "participation_end_date"),
        ] {
            if let (Some(from), Some(until)) = (self.text(start), self.text(end))
                && until < from
            {
                let expected = format!("a day not before {start} ({from})").into();
                let code = Code::TimeInvalid;
                out.push((end, Wrong { code, expected }));
            }
        }
        if !self.items("fallback_for").is_empty() && self.text("ledger_number").is_none() {
            let code = Code::RequiredMissing;
            let expected = "ledger_number with fallback_for".into();
            out.push(("ledger_number", Wrong { code, expected }));
        }
        out
    }

    /// The required fields that it lacks; none for a provisional row that has its key.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.list
            .fields
            .iter()
            .zip(&self.values)
            .filter(|(field, value)| {
                **value == Value::Absent && field.required && (field.key || !self.provisional)
            })
            .map(|(field, _)| field.name)
    }

    /// The serial number written for a device that is only known by its model: the consortium
    /// followed by the ledger number of a row of `devices`.
    pub fn ledger_serial(&self, consortium_id: &str) -> Option<String> {
        let number = self.text("ledger_number")?;
        Some(format!("{consortium_id}{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{DEVICES, PARTICIPANTS};

    #[test]
    fn a_provisional_row_may_lack_all_but_its_key() {
        let row = Row::provisional(&PARTICIPANTS, &["A00001", "P1"]);
        assert_eq!(row.key(), ["A00001", "P1"]);
        assert_eq!(row.missing().count(), 0);
        let mut row = Row::new(&PARTICIPANTS);
        row.put("person_id", "P1").unwrap();
        assert_eq!(
            row.missing().collect::<Vec<_>>(),
            [
                "consortium_id",
                "birth_year_month",
                "sex_code",
                "participation_start_date"
            ]
        );
    }

    #[test]
    fn items_are_kept_once_in_their_order() {
        let mut row = Row::new(&PARTICIPANTS);
        for code in ["4", "1", "4"] {
            row.put("medication_codes", code).unwrap();
        }
        assert_eq!(row.items("medication_codes"), ["4", "1"]);
        assert!(row.put("medication_codes", "7").is_err());
        assert_eq!(
            row.put("shoe_size", "7").unwrap_err().code,
            Code::UnknownField
        );
    }

    #[test]
    fn items_are_bounded() {
        let mut row = Row::new(&PARTICIPANTS);
        for i in 0..ITEMS_MAX {
            row.put("external_identifiers", &format!("urn:x|{i}"))
                .unwrap();
        }
        let refused = row.put("external_identifiers", "urn:x|more").unwrap_err();
        assert_eq!(refused.code, Code::Digits);
    }

    #[test]
    fn an_end_is_not_before_its_start() {
        let mut row = Row::new(&PARTICIPANTS);
        row.put("participation_start_date", "20160901").unwrap();
        row.put("participation_end_date", "20160901").unwrap();
        assert!(row.inconsistencies().is_empty());
        row.put("participation_end_date", "20160831").unwrap();
        let found = row.inconsistencies();
        assert_eq!(found[0].0, "participation_end_date");
        assert_eq!(found[0].1.code, Code::TimeInvalid);
    }

    #[test]
    fn a_stand_in_has_a_ledger_number() {
        let mut row = Row::new(&DEVICES);
        row.put("fallback_for", "weighing_scale").unwrap();
        assert_eq!(row.inconsistencies()[0].0, "ledger_number");
        row.put("ledger_number", "L1").unwrap();
        assert!(row.inconsistencies().is_empty());
        assert_eq!(row.ledger_serial("A00001").as_deref(), Some("A00001L1"));
    }
}
