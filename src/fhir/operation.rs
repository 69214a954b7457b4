//! The table of operations (<https://hl7.org/fhir/R4/operations.html>): where each can be
//! called, with what, and what it gives.
//!
//! Requests are routed by this table, and the CapabilityStatement and the OpenAPI document
//! are written from it, as they are from that of resources.

use super::canonical::Canonical;
use super::resource::{RESOURCES, Resource};

/// Which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `$everything`
    Everything,
    /// `$lastn`
    LastN,
    /// `$match`
    Match,
    /// `$meta`
    Meta,
    /// `$stats`
    Stats,
    /// `$to-exchange`
    ToExchange,
    /// `$to-fhir`
    ToFhir,
    /// `$validate`
    Validate,
}

/// The resource types at which an operation can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    /// None.
    None,
    /// All that are served here.
    All,
    /// These.
    Only(&'static [&'static str]),
}

impl Types {
    /// Whether a type is among them.
    pub fn contains(self, resource: &Resource) -> bool {
        match self {
            Types::None => false,
            Types::All => true,
            Types::Only(names) => names.contains(&resource.name()),
        }
    }
}

/// What the body of a call by POST may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Parameters; no body where there is nothing to say.
    Parameters,
    /// Parameters, or a resource that is the parameter `resource`.
    Resource,
    /// What the operation reads itself, in this media type first of all.
    Document(&'static str),
}

/// A parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type in R4's OperationDefinition.
    pub ty: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it may be given several times.
    pub repeats: bool,
    /// What it says.
    pub about: &'static str,
}

impl Parameter {
    /// Whether it can stand in an address.
    pub fn is_primitive(&self) -> bool {
        self.ty.starts_with(|c: char| c.is_ascii_lowercase())
    }
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Which.
    pub code: Code,
    /// Its name, without the dollar sign.
    pub name: &'static str,
    /// Its OperationDefinition, where it is HL7's.
    pub hl7: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// Whether it can be called at the base.
    pub system: bool,
    /// The types at which it can be called.
    pub types: Types,
    /// The types at whose instances it can be called.
    pub instances: Types,
    /// Whether it changes what is stored.
    pub affects_state: bool,
    /// What its body may be.
    pub takes: Takes,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// A type whose search parameters are its parameters too.
    pub searches: Option<&'static str>,
}

impl Operation {
    /// The canonical of its definition.
    pub fn definition(&self, base: &Canonical) -> String {
        match self.hl7 {
            Some(name) => format!("http://hl7.org/fhir/OperationDefinition/{name}"),
            None => format!("{}/OperationDefinition/{}", base.base(), self.name),
        }
    }

    /// Whether it may be called by GET: nothing changes, and what must be said can stand in
    /// an address.
    pub fn by_get(&self) -> bool {
        let sayable = |p: &Parameter| p.is_primitive() || !p.required;
        !self.affects_state
            && !matches!(self.takes, Takes::Document(_))
            && self.parameters.iter().all(sayable)
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// Where it can be called: the type (none at the base) and whether at instances of it.
    pub fn places(&self) -> Vec<Place> {
        let mut out = Vec::new();
        if self.system {
            out.push(Place::System);
        }
        for resource in RESOURCES {
            if self.types.contains(resource) {
                out.push(Place::Type(resource));
            }
            if self.instances.contains(resource) {
                out.push(Place::Instance(resource));
            }
        }
        out
    }

    /// The operations at a resource type or its instances.
    pub fn of(resource: &Resource) -> impl Iterator<Item = &'static Operation> {
        OPERATIONS
            .iter()
            .filter(move |o| o.types.contains(resource) || o.instances.contains(resource))
    }
}

/// Where an operation is called.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// At the base.
    System,
    /// At a type.
    Type(&'static Resource),
    /// At an instance of a type.
    Instance(&'static Resource),
}

impl Place {
    /// The address of an operation there, relative to the base.
    pub fn path(self, operation: &Operation) -> String {
        let name = operation.name;
        match self {
            Place::System => format!("/${name}"),
            Place::Type(resource) => format!("/{}/${name}", resource.name()),
            Place::Instance(resource) => format!("/{}/{{id}}/${name}", resource.name()),
        }
    }
}

/// A parameter that may be given once.
const fn may(name: &'static str, ty: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        ty,
        required: false,
        repeats: false,
        about,
    }
}

/// A parameter that may be given several times.
const fn repeats(name: &'static str, ty: &'static str, about: &'static str) -> Parameter {
    Parameter {
        repeats: true,
        ..may(name, ty, about)
    }
}

/// A parameter that must be given.
const fn must(name: &'static str, ty: &'static str, about: &'static str) -> Parameter {
    Parameter {
        required: true,
        ..may(name, ty, about)
    }
}

/// An operation of our own at the base, which reads a document.
const fn converts(
    code: Code,
    name: &'static str,
    media: &'static str,
    about: &'static str,
) -> Operation {
    Operation {
        code,
        name,
        hl7: None,
        about,
        system: true,
        types: Types::None,
        instances: Types::None,
        affects_state: false,
        takes: Takes::Document(media),
        parameters: &[],
        searches: None,
    }
}

/// All operations, by name.
pub static OPERATIONS: &[Operation] = &[
    Operation {
        code: Code::Everything,
        name: "everything",
        hl7: Some("Patient-everything"),
        about: "All that is stored about a person: Patient, ResearchSubject, Observations and \
            their Provenance, and the Devices, DeviceDefinitions, Organizations and \
            ResearchStudy that these refer to (as includes). Without _count up to 5000 of the \
            former on a page.",
        system: false,
        types: Types::None,
        instances: Types::Only(&["Patient"]),
        affects_state: false,
        takes: Takes::Parameters,
        parameters: &[
            may("start", "date", "only Observations of this day or later"),
            may("end", "date", "only Observations of this day or earlier"),
            may("_since", "instant", "only what was stored then or later"),
            repeats("_type", "code", "only resources of these types"),
            may(
                "_count",
                "integer",
                "resources on a page; includes come beside them",
            ),
        ],
        searches: None,
    },
    Operation {
        code: Code::LastN,
        name: "lastn",
        hl7: Some("Observation-lastn"),
        about: "The newest Observations of a person, so many of each code; those of one time \
            count as one. Home and check-up measurements that share a code are one group.",
        system: false,
        types: Types::Only(&["Observation"]),
        instances: Types::None,
        affects_state: false,
        takes: Takes::Parameters,
        parameters: &[may(
            "max",
            "positiveInt",
            "Observations of each code; 1 where it is not said",
        )],
        searches: Some("Observation"),
    },
    Operation {
        code: Code::Match,
        name: "match",
        hl7: Some("Patient-match"),
        about: "The Patients that a Patient may be, the likeliest first, with a score and a \
            grade: by identifiers, birth date, gender and prefecture.",
        system: false,
        types: Types::Only(&["Patient"]),
        instances: Types::None,
        affects_state: false,
        takes: Takes::Resource,
        parameters: &[
            must(
                "resource",
                "Resource",
                "the Patient to find, as far as it is known",
            ),
            may(
                "onlyCertainMatches",
                "boolean",
                "only a single Patient that is certain",
            ),
            may("count", "integer", "Patients at most"),
        ],
        searches: None,
    },
    Operation {
        code: Code::Meta,
        name: "meta",
        hl7: Some("Resource-meta"),
        about: "The profiles, security labels and tags of a resource, or those that the \
            instances of a type, or of all, may have.",
        system: true,
        types: Types::All,
        instances: Types::All,
        affects_state: false,
        takes: Takes::Parameters,
        parameters: &[],
        searches: None,
    },
    Operation {
        code: Code::Stats,
        name: "stats",
        hl7: Some("Observation-stats"),
        about: "Statistics of a person's numbers: one Observation a code, one component a \
            statistic. A panel stands for the numbers in it. Percentiles are interpolated; \
            variance and deviation are those of a sample.",
        system: false,
        types: Types::Only(&["Observation"]),
        instances: Types::None,
        affects_state: false,
        takes: Takes::Parameters,
        parameters: &[
            must("subject", "uri", "whose numbers: Patient/[id]"),
            repeats("code", "string", "the code of a number, or of a panel"),
            may("system", "uri", "the code system of code"),
            repeats("coding", "Coding", "a code with its system"),
            may("duration", "decimal", "the last so many hours"),
            may("period", "Period", "measured in this time"),
            Parameter {
                repeats: true,
                ..must(
                    "statistic",
                    "code",
                    "average, maximum, minimum, count, total-count, median, std-dev, sum, \
                     variance, 20-percent, 80-percent, 4-lower, 4-upper, 4-dev, 5-1, 5-2, 5-3, \
                     5-4, skew, kurtosis or regression",
                )
            },
            may(
                "include",
                "boolean",
                "whether the Observations come along as source",
            ),
            may(
                "limit",
                "positiveInt",
                "sources of each code at most; 1000 at most",
            ),
        ],
        searches: None,
    },
    converts(
        Code::ToExchange,
        "to-exchange",
        "application/fhir+json",
        "A Bundle, a resource or NDJSON in, Parameters out: one submission of the protocol \
            a consortium (Binary) and what there is to say about it (OperationOutcome); \
            nothing is stored.",
    ),
    converts(
        Code::ToFhir,
        "to-fhir",
        "application/json",
        "A submission of the protocol in, a collection Bundle out; nothing is stored.",
    ),
    Operation {
        code: Code::Validate,
        name: "validate",
        hl7: Some("Resource-validate"),
        about: "Whether a resource is valid: the structure, cardinalities and rules of R4, the \
            profiles it claims or that are asked for, as far as they are known here, and \
            whether it could be stored. Answers with an OperationOutcome of all issues.",
        system: false,
        types: Types::All,
        instances: Types::All,
        affects_state: false,
        takes: Takes::Resource,
        parameters: &[
            may(
                "resource",
                "Resource",
                "what is judged; at an instance, else the stored one",
            ),
            may("mode", "code", "create, update, delete or profile"),
            repeats("profile", "uri", "a profile that it shall have"),
        ],
        searches: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::resource::by_name;

    #[test]
    fn each_operation_stands_once_in_order_and_somewhere() {
        let names: Vec<&str> = OPERATIONS.iter().map(|o| o.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for operation in OPERATIONS {
            assert!(!operation.places().is_empty(), "{}", operation.name);
            for types in [operation.types, operation.instances] {
                if let Types::Only(names) = types {
                    assert!(names.iter().all(|name| by_name(name).is_some()));
                }
            }
        }
    }

    #[test]
    fn what_only_a_body_can_say_is_not_asked_for_by_get() {
        let by_get = |name: &str| {
            let found = OPERATIONS.iter().find(|o| o.name == name);
            found.unwrap().by_get()
        };
        assert!(by_get("everything") && by_get("lastn"));
        assert!(!by_get("to-fhir"));
    }
}
