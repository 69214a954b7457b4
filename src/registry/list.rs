//! What the six lists are: their names, keys and fields.
//!
//! The names of the lists and their items are the protocol's; the physical names are
//! assumed (protocol specification §4). The last columns of `participants`,
//! `laboratories` and `devices` are the project's own crosswalk for data that comes from
//! electronic health records.

use std::fmt;

use super::codes::{
    COMMUTES, CONSENTS, DEVICE_TYPES, MEDICATIONS, METHOD_CLASSES, SEXES, STUDY_ARMS,
    WEAR_POSITIONS,
};
use super::field_type::FieldType::{
    self, AlnumId, Clock, Code, Day, Digits, Identifier, Int, Kind, Month, Name, SignedDecimal,
    Text,
};
use super::prefecture::PREFECTURES;

/// One of the six lists. There is one static value of each; compare by [`List::name`].
pub struct List {
    /// The name in addresses, on the command line and of files: `consortia`.
    pub name: &'static str,
    /// The name of its table in the database, singular: `consortium`.
    pub table: &'static str,
    /// Whether `--registry auto` may make rows of it, which say `"provisional": true`.
    pub provisional: bool,
    /// The fields, those of the key first.
    pub fields: &'static [Field],
}

/// One field of a list.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The physical name: member in JSON, header in CSV, column in the database.
    pub name: &'static str,
    /// What a value (of a list: each item) may be.
    pub ty: FieldType,
    /// Whether every row has it (but for provisional ones).
    pub required: bool,
    /// Whether it holds several values: an array in JSON, separated by `;` in CSV.
    pub list: bool,
    /// Whether it is part of the key; such a field is required.
    pub key: bool,
}

const fn key(name: &'static str, ty: FieldType) -> Field {
    Field {
        name,
        ty,
        required: true,
        list: false,
        key: true,
    }
}

const fn required(name: &'static str, ty: FieldType) -> Field {
    Field {
        name,
        ty,
        required: true,
        list: false,
        key: false,
    }
}

const fn optional(name: &'static str, ty: FieldType) -> Field {
    Field {
        name,
        ty,
        required: false,
        list: false,
        key: false,
    }
}

const fn several(name: &'static str, ty: FieldType) -> Field {
    Field {
        name,
        ty,
        required: false,
        list: true,
        key: false,
    }
}

const CONSORTIUM_ID: Field = key("consortium_id", AlnumId(6));
const MAKER: Field = key("model_manufacturer_code", Text(50));
const MODEL: Field = key("model_number", Text(50));
/// `system|value`, an identifier that another system gives the same person or organization.
const EXTERNAL_IDENTIFIERS: Field = several("external_identifiers", Identifier(500));

/// The consortia: who runs a programme.
pub static CONSORTIA: List = List {
    name: "consortia",
    table: "consortium",
    provisional: true,
    fields: &[
        CONSORTIUM_ID,
        required("consortium_name", Text(100)),
        optional("representative_organization", Text(100)),
        optional("start_date", Day),
        optional("end_date", Day),
    ],
};

/// The participants of each consortium, and when they took part.
pub static PARTICIPANTS: List = List {
    name: "participants",
    table: "participant",
    provisional: true,
    fields: &[
        CONSORTIUM_ID,
        key("person_id", AlnumId(20)),
        required("birth_year_month", Month),
        required("sex_code", Code(SEXES)),
        required("participation_start_date", Day),
        optional("participation_end_date", Day),
        optional("residence_prefecture_code", Code(PREFECTURES)),
        optional("commute_code", Code(COMMUTES)),
        several("medication_codes", Code(MEDICATIONS)),
        optional("measurement_position_code", Code(WEAR_POSITIONS)),
        optional("study_arm_code", Code(STUDY_ARMS)),
        optional("consent_code", Code(CONSENTS)),
        EXTERNAL_IDENTIFIERS,
    ],
};

/// The laboratories (and clinics) that test for each consortium.
pub static LABORATORIES: List = List {
    name: "laboratories",
    table: "laboratory",
    provisional: true,
    fields: &[
        CONSORTIUM_ID,
        key("test_lab_id", Text(12)),
        required("test_lab_name", Text(100)),
        required("prefecture_code", Code(PREFECTURES)),
        optional("institution_code", Digits(10)),
        EXTERNAL_IDENTIFIERS,
        several("default_for", Name(100)),
    ],
};

/// The device models, of all consortia.
pub static DEVICES: List = List {
    name: "devices",
    table: "device_model",
    provisional: false,
    fields: &[
        MAKER,
        MODEL,
        optional("manufacturer_name", Text(100)),
        required("device_name", Text(100)),
        required("device_type_code", Code(DEVICE_TYPES)),
        optional("clock_correction", Text(1000)),
        several("standards_conformance", Text(200)),
        optional("accuracy", Text(1000)),
        optional("mean_error_percent", SignedDecimal(10)),
        optional("error_q1_percent", SignedDecimal(10)),
        optional("error_q3_percent", SignedDecimal(10)),
        several("fallback_for", Kind),
        optional("ledger_number", Text(44)),
    ],
};

/// The methods by which HbA1c is measured.
pub static HBA1C_METHODS: List = List {
    name: "hba1c-methods",
    table: "hba1c_method",
    provisional: false,
    fields: &[
        key("measurement_method_code", Text(6)),
        required("method_class_code", Code(METHOD_CLASSES)),
        required("method_name", Text(200)),
    ],
};

/// How a model of activity monitor adds up a day.
pub static ACTIVITY_RECORDING_TIMES: List = List {
    name: "activity-recording-times",
    table: "activity_recording_time",
    provisional: false,
    fields: &[
        MAKER,
        MODEL,
        optional("day_start", Clock),
        optional("recorded_minutes", Int(4)),
        required("aggregation", Text(1000)),
    ],
};

impl List {
    /// Every list, in an order in which each refers only to earlier ones.
    pub const ALL: [&'static List; 6] = [
        &CONSORTIA,
        &PARTICIPANTS,
        &LABORATORIES,
        &DEVICES,
        &HBA1C_METHODS,
        &ACTIVITY_RECORDING_TIMES,
    ];

    /// The list of this name.
    pub fn by_name(name: &str) -> Option<&'static List> {
        List::ALL.into_iter().find(|list| list.name == name)
    }

    /// The fields of the key, in order.
    pub fn key(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| field.key)
    }

    /// The place of a field among [`List::fields`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether its rows belong to a consortium each (`devices` and what follows belong to all).
    pub fn by_consortium(&self) -> bool {
        self.position("consortium_id").is_some()
    }
}

/// The lists that columns of these names may be of: those that have most of them in common. None
/// where most of the names are unknown; several where the names do not decide.
pub fn recognize(names: &[impl AsRef<str>]) -> Vec<&'static List> {
    let names: Vec<&str> = names
        .iter()
        .map(AsRef::as_ref)
        .filter(|n| !n.is_empty())
        .collect();
    if names.contains(&"person_information") || names.contains(&"resourceType") {
        return Vec::new();
    }
    let rank = |list: &'static List| {
        let known = names
            .iter()
            .filter(|name| list.field(name).is_some())
            .count();
        let whole = list.key().all(|field| names.contains(&field.name));
        (known, whole)
    };
    let ranked: Vec<_> = List::ALL
        .into_iter()
        .map(|list| (rank(list), list))
        .collect();
    let Some(best) = ranked.iter().map(|(rank, _)| *rank).max() else {
        return Vec::new();
    };
    let (known, whole) = best;
    if known == 0 || known * 2 < names.len() || (known < 2 && !whole) {
        return Vec::new();
    }
    let best = ranked.into_iter().filter(|(rank, _)| *rank == best);
    best.map(|(_, list)| list).collect()
}

impl PartialEq for List {
    fn eq(&self, other: &List) -> bool {
        self.name == other.name
    }
}

impl Eq for List {}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_found_by_its_name() {
        for list in List::ALL {
            assert_eq!(List::by_name(list.name), Some(list));
        }
        assert_eq!(List::by_name("consortium"), None);
    }

    #[test]
    fn the_key_comes_first_and_names_differ() {
        for list in List::ALL {
            let keys = list.key().count();
            assert!(keys > 0 && list.fields[..keys].iter().all(|field| field.key));
            for (i, field) in list.fields.iter().enumerate() {
                assert_eq!(list.position(field.name), Some(i), "{}", field.name);
            }
        }
    }
}
