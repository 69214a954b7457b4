//! The six lists that are registered before data flows (protocol specification §4).
//!
//! In: JSON (an array of objects) or CSV (a header row of field names), through
//! [`read_json`] and [`read_csv`]. Out: [`Row`]s whose every value holds the rules of its
//! [`Field`], or [`Faults`] with pointer, line and column. [`write`](mod@write) writes rows
//! the way they are read; [`Registries`] keeps them in memory, found by key, for the
//! commands that work without a database.
//!
//! What the lists are is data: a [`List`] names its key and its [`Field`]s, a field has a
//! [`FieldType`]. Reading, writing, checking and storing walk these tables, so a further
//! column is one line in `list.rs`.
//!
//! ```
//! use kenko_fhir::registry::{self, Options};
//!
//! let csv = "consortium_id,consortium_name,start_date\nA00001,健康の会,20160901\n";
//! let read = registry::read_csv(
//!     &registry::CONSORTIA, csv.as_bytes(), registry::Charset::Utf8, &Options::default())?;
//! assert!(!read.faults.refuses());
//! assert_eq!(read.rows[0].text("consortium_name"), Some("健康の会"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod check;
mod codes;
mod csv_records;
mod directory;
mod faults;
mod field_type;
mod list;
mod prefecture;
mod read;
mod read_csv;
mod row;
mod stage;
mod unique;
pub mod write;

pub use check::{Verdicts, check};
pub use codes::{CodeEntry, DEVICE_TYPES, WEAR_POSITIONS};
pub use csv_records::Charset;
pub use directory::{Form, LoadError, Registries, example, load_dir, read_bytes, read_file};
pub use faults::Faults;
pub use field_type::{FieldType, Wrong, split_identifier};
pub use list::{
    ACTIVITY_RECORDING_TIMES, CONSORTIA, DEVICES, Field, HBA1C_METHODS, LABORATORIES, List,
    PARTICIPANTS, recognize,
};
pub use prefecture::{PREFECTURES, prefecture_code, prefecture_name};
pub use read::{Options, ReadRows, read_json};
pub use read_csv::read_csv;
pub use row::{ITEMS_MAX, Row, Value};
pub use stage::{HBA1C, Stage, TREATMENTS};
pub use unique::{Unique, check_unique};
