//! References: `id`, `Type/id` or an absolute URL (FHIR R4, search, "reference").

use super::filter::{Filter, Modifier};
use super::form::unescape;
use super::parameter::Link;
use super::{Invalid, Scope};
use crate::fhir::resource::Source;
use crate::store::Test;

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This resource, of any type where none is said.
    Own {
        /// Its type.
        resource: Option<String>,
        /// Its logical id.
        id: String,
    },
    /// Something that is not on this server.
    Elsewhere,
}

/// Whether a text can be a logical id.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

impl Target {
    /// Reads a reference; an absolute URL is our own under `base` (`https://host/fhir`).
    ///
    /// A version is read over: none of our references has one.
    ///
    /// # Errors
    /// [`Invalid`] for what is none of the three forms.
    pub fn read(parameter: &str, value: &str, base: &str) -> Result<Target, Invalid> {
        let value = unescape(value);
        let invalid = || {
            Invalid::new(
                parameter,
                "a reference is id, Type/id or an absolute URL",
                "参照は id、Type/id、絶対 URL のいずれかです",
            )
        };
        let absolute = value.starts_with("http://") || value.starts_with("https://");
        let path = match value.strip_prefix(base).and_then(|p| p.strip_prefix('/')) {
            Some(path) => path,
            None if absolute || value.starts_with("urn:") => return Ok(Target::Elsewhere),
            None => &value,
        };
        // Our references name no versions: one that does means the resource.
        let path = match path.split_once("/_history/") {
            Some((path, version)) if is_id(version) => path,
            _ => path,
        };
        let (resource, id) = match path.split_once('/') {
            None if absolute => return Err(invalid()),
            None => (None, path),
            Some((resource, id)) => (Some(resource), id),
        };
        let named = |r: &str| !r.is_empty() && r.bytes().all(|b| b.is_ascii_alphabetic());
        if !is_id(id) || !resource.is_none_or(named) {
            return Err(invalid());
        }
        Ok(Target::Own {
            resource: resource.map(str::to_owned),
            id: id.to_owned(),
        })
    }

    /// The logical id, where it is a resource of this type of ours.
    pub fn id_of(&self, resource_type: &str) -> Option<&str> {
        match self {
            Target::Own { resource, id } => {
                let fits = resource.as_ref().is_none_or(|r| r == resource_type);
                fits.then_some(id)
            }
            Target::Elsewhere => None,
        }
    }
}

/// The meaning of any parameter of type reference: what its links lead to is what is asked
/// for, by id, by type and id, or by identifier.
pub fn reference(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let links = filter.parameter.links;
    let present = || Test::any(links.iter().map(|link| link.there(scope, Test::ALWAYS)));
    filter.judge(present, || {
        let tests = match filter.modifier {
            Some(Modifier::Identifier) => {
                let tests = links.iter().map(|link| identified(scope, link, filter));
                tests.collect::<Result<Vec<_>, _>>()?
            }
            modifier => {
                let targets = filter.read(|name, value| Target::read(name, value, scope.base))?;
                let of_type = |link: &&Link| match modifier {
                    Some(Modifier::Type(name)) => name == link.resource.resource_type,
                    _ => true,
                };
                let links = links.iter().filter(of_type);
                links.map(|link| leads(scope, link, &targets)).collect()
            }
        };
        Ok(Test::any(tests))
    })
}

/// A link leads to one of the targets.
fn leads(scope: &Scope, link: &Link, targets: &[Target]) -> Test {
    let ids = targets
        .iter()
        .filter_map(|t| t.id_of(link.resource.resource_type));
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    link.there(scope, super::rows::has_ids(&link.source, ids))
}

/// A link leads to something with one of these identifiers.
fn identified(scope: &Scope, link: &Link, filter: &Filter) -> Result<Test, Invalid> {
    let Some(parameter) = link.resource.parameter("identifier") else {
        return Ok(Test::NEVER);
    };
    let of_target = Filter {
        parameter,
        modifier: None,
        ..filter.clone()
    };
    let inner = (parameter.means)(scope, &link.source, &of_target)?;
    Ok(link.there(scope, inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let base = "http://h/fhir";
        let read = |text| Target::read("subject", text, base).unwrap();
        for text in ["a1", "Patient/a1", "http://h/fhir/Patient/a1"] {
            assert_eq!(read(text).id_of("Patient"), Some("a1"), "{text}");
        }
        assert_eq!(read("Patient/a1/_history/2").id_of("Patient"), Some("a1"));
        assert_eq!(read("Group/a1").id_of("Patient"), None);
        assert_eq!(read("http://other/fhir/Patient/a1"), Target::Elsewhere);
        for bad in [
            "",
            "Patient/",
            "/a1",
            "Patient/a b",
            "a_b",
            "http://h/fhir/a1",
        ] {
            assert!(Target::read("subject", bad, base).is_err(), "{bad}");
        }
    }
}
