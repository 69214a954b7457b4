//! The tables that resources are made from, as searches see them.

use super::db::Type;
use super::{device, group};
use crate::registry::List;

/// Where a test is asked: what the rows are.
#[derive(Debug, Clone, Copy)]
pub enum Table {
    /// Records.
    Record,
    /// Rows of a registry list.
    List(&'static List),
    /// Device models: rows of `devices`, with those of `activity-recording-times`.
    Model,
    /// Device parts that records name.
    Device,
    /// The makers and models that device parts name.
    Seen,
    /// Names of devices that were written over FHIR.
    DeviceName,
    /// What a write did to the records of a participant.
    Delivery,
    /// Consortia and stages of HbA1c, as Groups.
    Group,
}

impl Table {
    /// What stands after `FROM`; more than one where rows of several tables are meant.
    pub(super) fn selects(self) -> &'static [&'static str] {
        match self {
            // Versions that others replaced were delivered too.
            Table::Delivery => &["record", "record_version", "registry_write"],
            Table::Record => &["record"],
            Table::List(list) => std::slice::from_ref(&list.table),
            Table::Model => &[device::MODELS],
            Table::Device => &[device::SHOWN],
            Table::Seen => &["seen_model"],
            Table::DeviceName => &["device_name"],
            Table::Group => &[group::GROUPS],
        }
    }

    /// What stands after `FROM`.
    pub(super) fn from(self) -> &'static str {
        match self {
            Table::Delivery => {
                "(SELECT write, participant FROM record \
                 UNION SELECT write, participant FROM record_version \
                 UNION SELECT write, participant FROM registry_write)"
            }
            other => other.selects()[0],
        }
    }

    /// Whether a row is told by write and participant, not by a number.
    pub(super) fn is_pair(self) -> bool {
        matches!(self, Table::Delivery)
    }

    /// What rows are ordered by where that is the ids of their resources: the bits that an id
    /// is made of are in the order of its alphabet.
    pub(super) fn by_id(self) -> (&'static str, Type) {
        match self {
            Table::List(_) | Table::Model | Table::Device => ("t.hash", Type::Bytes),
            Table::Group => (
                "coalesce('consortium-' || t.consortium_id, t.stage)",
                Type::Text,
            ),
            // Later writes have later ids.
            Table::Delivery | Table::Record => ("t.write", Type::Int),
            Table::Seen => ("t.id", Type::Int),
            Table::DeviceName => ("t.device", Type::Int),
        }
    }

    /// The column by which rows are ordered by when they were last updated; none of them
    /// lacks it.
    pub(super) fn updated(self) -> &'static str {
        match self {
            Table::Delivery | Table::Record => "write",
            _ => "updated_at",
        }
    }

    /// Whether rows may lack a value of a column.
    pub(super) fn may_lack(self, column: &str) -> bool {
        match self {
            Table::List(list) => list.field(column).is_none_or(|field| !field.key),
            Table::Device => !matches!(column, "model_manufacturer_code" | "model_number"),
            _ => true,
        }
    }
}
