//! The table of resources: what each is made from, what it can be searched by, which
//! interactions it has.
//!
//! Requests are routed by this table, and the CapabilityStatement and the OpenAPI document
//! are written from it, so that none can claim what is not there.

use serde_json::Value;

use super::canonical::Canonical;
use super::registry::{self, Meta};
use super::search::{
    DEVICE, DEVICE_DEFINITION, GROUP, OBSERVATION, ORGANIZATION, PATIENT, PROVENANCE,
    RESEARCH_STUDY, RESEARCH_SUBJECT, Searchable,
};
use crate::registry::{CONSORTIA, LABORATORIES, List, PARTICIPANTS, Row};
use crate::store::Table;

/// What can be done with a resource (<https://hl7.org/fhir/R4/http.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// `GET [type]/[id]`
    Read,
    /// `GET [type]/[id]/_history/[vid]`
    Vread,
    /// `POST [type]`, with `If-None-Exist` or without
    Create,
    /// `POST [type]` with `If-None-Exist`, of a type that registries write: it finds what is
    /// there, and creates nothing
    ConditionalCreate,
    /// `PUT [type]/[id]`, `PUT [type]?…`
    Update,
    /// `PATCH [type]/[id]`, `PATCH [type]?…`
    Patch,
    /// `DELETE [type]/[id]`, `DELETE [type]?…`
    Delete,
    /// `GET [type]/[id]/_history`
    HistoryInstance,
    /// `GET [type]/_history`
    HistoryType,
    /// `GET [type]`, `POST [type]/_search`
    Search,
}

impl Interaction {
    /// The code of FHIR's `restful-interaction`; a conditional create alone has none.
    pub fn code(self) -> Option<&'static str> {
        Some(match self {
            Interaction::Read => "read",
            Interaction::Vread => "vread",
            Interaction::Create => "create",
            Interaction::ConditionalCreate => return None,
            Interaction::Update => "update",
            Interaction::Patch => "patch",
            Interaction::Delete => "delete",
            Interaction::HistoryInstance => "history-instance",
            Interaction::HistoryType => "history-type",
            Interaction::Search => "search-type",
        })
    }
}

/// What can be done with all resources at once (<https://hl7.org/fhir/R4/http.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemInteraction {
    /// `POST` of a Bundle of requests, each done by itself
    Batch,
    /// `POST` of a Bundle of requests, all of them done or none
    Transaction,
    /// `GET _history`
    History,
}

impl SystemInteraction {
    /// All that there are.
    pub const ALL: &[SystemInteraction] = &[
        SystemInteraction::Batch,
        SystemInteraction::Transaction,
        SystemInteraction::History,
    ];

    /// The code of FHIR's `system-restful-interaction`.
    pub fn code(self) -> &'static str {
        match self {
            SystemInteraction::Batch => "batch",
            SystemInteraction::Transaction => "transaction",
            SystemInteraction::History => "history-system",
        }
    }

    /// What is to be known of it.
    pub fn about(self) -> &'static str {
        match self {
            SystemInteraction::Batch => {
                "Each entry is done by itself and has a status and an outcome of its own. \
                 What is read is answered after what is written."
            }
            SystemInteraction::Transaction => {
                "All entries are written or none; one OperationOutcome names those that fail. \
                 References by urn:uuid and conditional references are resolved. What is read is \
                 answered after what is written."
            }
            SystemInteraction::History => {
                "The versions of all resources that keep them (Observation, Patient, \
                 ResearchSubject), the newest first."
            }
        }
    }
}

/// Rows of a list, and the resource that each becomes.
#[derive(Debug, Clone, Copy)]
pub struct RowSource {
    /// The list.
    pub list: &'static List,
    /// Makes the resource.
    pub make: fn(&Canonical, &Row, Option<&Meta>) -> Value,
}

/// What the instances of a resource are made from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Stored records.
    Record,
    /// Rows of a registry list.
    Row(RowSource),
    /// Rows of `devices`, with those of `activity-recording-times`.
    Model,
    /// Device parts of records.
    Device,
    /// What a write did to the records of a participant.
    Delivery,
    /// Consortia and stages of HbA1c, with the number of those who are in them.
    Group,
}

impl Source {
    /// Whether the ids of its resources are the hashes of its rows.
    pub fn is_hashed(&self) -> bool {
        matches!(self, Source::Row(_) | Source::Model | Source::Device)
    }

    /// The table that it is.
    pub fn table(&self) -> Table {
        match self {
            Source::Record => Table::Record,
            Source::Row(row) => Table::List(row.list),
            Source::Model => Table::Model,
            Source::Device => Table::Device,
            Source::Delivery => Table::Delivery,
            Source::Group => Table::Group,
        }
    }

    /// Whether both are made from the rows of the same table.
    pub fn is(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Row(own), Source::Row(other)) => own.list == other.list,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// The rows of participants as Patients.
pub const PARTICIPANT: RowSource = RowSource {
    list: &PARTICIPANTS,
    make: registry::patient,
};

/// One resource type.
#[derive(Debug)]
pub struct Resource {
    /// What it can be searched by; names the type.
    pub searchable: &'static Searchable,
    /// What its instances are.
    pub about: &'static str,
    /// What its instances are made from.
    pub sources: &'static [Source],
    /// What can be done with it.
    pub interactions: &'static [Interaction],
    /// Profiles that instances claim, beside those of the record kinds.
    pub profiles: &'static [&'static str],
}

impl Resource {
    /// The resource type.
    pub fn name(&self) -> &'static str {
        self.searchable.resource_type
    }

    /// Whether it has an interaction.
    pub fn has(&self, interaction: Interaction) -> bool {
        self.interactions.contains(&interaction)
    }

    /// Whether former versions can be read.
    pub fn keeps_versions(&self) -> bool {
        self.has(Interaction::HistoryInstance)
    }
}

use Interaction::{
    ConditionalCreate, Create, Delete, HistoryInstance, HistoryType, Patch, Read, Search, Update,
    Vread,
};

/// What a resource has that comes from a registry, or is derived.
const SHOWN: &[Interaction] = &[Read, Vread, Search];

/// What a resource has that registries write, and that others refer to.
const LISTED: &[Interaction] = &[Read, Vread, ConditionalCreate, Search];

/// All resources, by name.
pub static RESOURCES: &[Resource] = &[
    Resource {
        searchable: &DEVICE,
        about: "One per serial number seen in a record, or written here. What is written may add \
            identifiers and names.",
        sources: &[Source::Device],
        interactions: &[Read, Vread, Create, Update, Search],
        profiles: &[],
    },
    Resource {
        searchable: &DEVICE_DEFINITION,
        about: "The registered device models, with the recording times of activity monitors.",
        sources: &[Source::Model],
        interactions: LISTED,
        profiles: &[],
    },
    Resource {
        searchable: &GROUP,
        about: "Each consortium, and each stage of HbA1c by the latest value (hba1c-normal, \
            hba1c-pre, hba1c-mild; treated, whatever the value): how many participants are in \
            it, never who.",
        sources: &[Source::Group],
        interactions: LISTED,
        profiles: &[],
    },
    Resource {
        searchable: &OBSERVATION,
        about: "The records, one Observation each. Former versions stay readable.",
        sources: &[Source::Record],
        interactions: &[
            Read,
            Vread,
            Create,
            Update,
            Patch,
            Delete,
            HistoryInstance,
            HistoryType,
            Search,
        ],
        profiles: &[],
    },
    Resource {
        searchable: &ORGANIZATION,
        about: "The registered consortia and laboratories.",
        sources: &[
            Source::Row(RowSource {
                list: &CONSORTIA,
                make: registry::organization_consortium,
            }),
            Source::Row(RowSource {
                list: &LABORATORIES,
                make: registry::organization_laboratory,
            }),
        ],
        interactions: LISTED,
        profiles: &["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Organization"],
    },
    Resource {
        searchable: &PATIENT,
        about: "The registered participants. A Patient written here is one: it needs our identifier with a known consortium, birthDate and gender. Former versions stay readable.",
        sources: &[Source::Row(PARTICIPANT)],
        interactions: &[
            Read,
            Vread,
            Create,
            Update,
            Patch,
            Delete,
            HistoryInstance,
            Search,
        ],
        profiles: &["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Patient"],
    },
    Resource {
        searchable: &PROVENANCE,
        about: "One per participant and submission, or write over FHIR, of records, Patients, \
            ResearchSubjects and (of no participant) Devices; derived, not stored.",
        sources: &[Source::Delivery],
        interactions: SHOWN,
        profiles: &[],
    },
    Resource {
        searchable: &RESEARCH_STUDY,
        about: "The programme of each consortium.",
        sources: &[Source::Row(RowSource {
            list: &CONSORTIA,
            make: registry::research_study,
        })],
        interactions: LISTED,
        profiles: &[],
    },
    Resource {
        searchable: &RESEARCH_SUBJECT,
        about: "Each participant's period of participation and study arm; it has the id of the Patient. Former versions stay readable.",
        sources: &[Source::Row(RowSource {
            list: &PARTICIPANTS,
            make: registry::research_subject,
        })],
        interactions: &[Read, Vread, Create, Update, HistoryInstance, Search],
        profiles: &[],
    },
];

/// The resource type of this name.
pub fn by_name(name: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_stands_once_and_in_order() {
        let names: Vec<&str> = RESOURCES.iter().map(Resource::name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
