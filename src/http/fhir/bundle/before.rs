//! The order of the entries of a batch that write the same resource.

use std::collections::HashSet;

use super::asked::Asked;
use crate::fhir::resource::Resource;
use crate::http::fhir::requests::{Ask, Target};

/// Resources that the entries of a batch before an entry write.
#[derive(Default)]
pub(super) struct Before {
    /// Resources by type and id.
    named: HashSet<(&'static str, String)>,
    /// Types of which any resource may be written.
    types: HashSet<&'static str>,
}

impl Before {
    /// Whether an entry has to wait for them: it writes by its id what one of them writes, or
    /// changes parts of what one of them may write.
    pub(super) fn waits(&self, asked: &Asked) -> bool {
        let named = |resource: &Resource, target: &Target| match target {
            Target::Id(id) => self.named.contains(&(row_of(resource), id.clone())),
            Target::Query(_) => false,
        };
        match asked {
            Asked::Write(request) => match &request.ask {
                Ask::Update { target, .. } | Ask::Delete { target, .. } => {
                    // Both are made from one row, and may come together.
                    request.resource.name() != "ResearchSubject" && named(request.resource, target)
                }
                Ask::Create { .. } => false,
            },
            Asked::Patch(resource, target, _) => {
                let of_type = |(name, _): &(&str, String)| *name == row_of(resource);
                let by_query = matches!(target, Target::Query(_));
                self.types.contains(row_of(resource))
                    || named(resource, target)
                    || (by_query && self.named.iter().any(of_type))
            }
            Asked::Other => false,
        }
    }

    pub(super) fn add(&mut self, asked: &Asked) {
        let (resource, target) = match asked {
            Asked::Write(request) => match &request.ask {
                Ask::Update { target, .. } | Ask::Delete { target, .. } => {
                    (request.resource, Some(target))
                }
                Ask::Create { .. } => (request.resource, None),
            },
            Asked::Patch(resource, target, _) => (*resource, Some(target)),
            Asked::Other => return,
        };
        let name = row_of(resource);
        match target {
            Some(Target::Id(id)) => drop(self.named.insert((name, id.clone()))),
            Some(Target::Query(_)) | None => drop(self.types.insert(name)),
        }
    }
}

/// The type whose row a resource is made from: Patient and ResearchSubject share one.
fn row_of(resource: &Resource) -> &'static str {
    match resource.name() {
        "ResearchSubject" => "Patient",
        name => name,
    }
}
