//! Resources that come with others: `_include`, `_revinclude`
//! (<https://hl7.org/fhir/R4/search.html#include>), and what `$everything` adds.
//!
//! What records refer to is known from their rows and from the tree of their kind, without
//! reading what was written; of other resources the references stand where the parameter
//! reads them. What refers to a resource is found by a search of our own.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::find::{self, Error, Found};
use super::id::{self, ObservationKey};
use super::instance::{self, Origin};
use super::resource::{RESOURCES, Resource, Source, by_name};
use super::search::form::Pair;
use super::search::{Include, Limits, Parameter, ParameterType, Scope};
use crate::mapping::{Hole, Piece};
use crate::store::{RecordQuery, Records, Result, Test};

/// Resources that come with the matches of a page at most.
pub const INCLUDED_MAX: usize = 1000;

/// What came with a page.
#[derive(Debug, Default)]
pub struct Included {
    /// The resources.
    pub found: Vec<Found>,
    /// Whether there were more than may come.
    pub cut: bool,
}

/// One run over a page.
struct Run<'a> {
    from: Origin<'a>,
    scope: &'a Scope<'a>,
    includes: &'a [Include],
    /// References of what is on the page.
    seen: HashSet<String>,
    left: usize,
    cut: bool,
}

/// What comes with the matches of a page, each resource once and none of the matches.
///
/// # Errors
/// [`Error`]
pub async fn included(
    from: Origin<'_>,
    scope: &Scope<'_>,
    includes: &[Include],
    matches: &Found,
) -> std::result::Result<Included, Error> {
    let mut out = Included::default();
    if includes.is_empty() || matches.is_empty() {
        return Ok(out);
    }
    let mut run = Run {
        from,
        scope,
        includes,
        seen: matches.references().into_iter().collect(),
        left: INCLUDED_MAX,
        cut: false,
    };
    let mut came = run.round(matches, false).await?;
    while !came.is_empty() && run.left > 0 {
        let mut next = Vec::new();
        for found in &came {
            next.extend(run.round(found, true).await?);
        }
        out.found.append(&mut came);
        came = next;
    }
    out.found.append(&mut came);
    out.cut = run.cut;
    Ok(out)
}

impl Run<'_> {
    /// What comes with some of the page.
    async fn round(
        &mut self,
        found: &Found,
        again: bool,
    ) -> std::result::Result<Vec<Found>, Error> {
        let Some(resource) = found.resource() else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for include in self.includes.iter().filter(|i| i.iterate || !again) {
            let came = match include.reverse {
                false => self.referred(include, resource, found).await?,
                true => self.referring(include, resource, found).await?,
            };
            out.extend(came);
        }
        Ok(out)
    }

    /// What these resources refer to.
    async fn referred(
        &mut self,
        include: &Include,
        resource: &'static Resource,
        found: &Found,
    ) -> std::result::Result<Vec<Found>, Error> {
        let own = include
            .source
            .is_none_or(|s| std::ptr::eq(s, resource.searchable));
        if !own {
            return Ok(Vec::new());
        }
        let mut references = Vec::new();
        for parameter in parameters(include, resource) {
            let start = references.len();
            match found {
                Found::Records(records) => {
                    if let Some(element) = path(parameter).first() {
                        of_records(records, element, &mut references);
                    }
                }
                Found::Instances(instances) => {
                    for instance in instances {
                        at(&instance.body, &path(parameter), &mut references);
                    }
                }
            }
            let mut of_parameter = references.split_off(start);
            of_parameter.retain(|reference| {
                split(reference).is_some_and(|(target, _)| {
                    let name = target.name();
                    parameter.types.contains(&name)
                        && include.target.as_ref().is_none_or(|t| t == name)
                })
            });
            references.append(&mut of_parameter);
        }
        references.retain(|reference| self.seen.insert(reference.clone()));
        self.cut |= references.len() > self.left;
        references.truncate(self.left);
        let came = fetch(self.from, &references).await?;
        self.left -= came.iter().map(Found::len).sum::<usize>().min(self.left);
        Ok(came)
    }

    /// What refers to these resources.
    async fn referring(
        &mut self,
        include: &Include,
        resource: &'static Resource,
        found: &Found,
    ) -> std::result::Result<Vec<Found>, Error> {
        let to = found.references().join(",");
        let mut out = Vec::new();
        for source in RESOURCES {
            let searchable = source.searchable;
            if include.source.is_some_and(|s| !std::ptr::eq(s, searchable)) {
                continue;
            }
            for parameter in parameters(include, source) {
                let mut links = parameter.links.iter();
                let target = include.target.as_ref().is_none_or(|t| t == resource.name());
                if self.left == 0
                    || !target
                    || !links.any(|link| std::ptr::eq(link.resource, resource.searchable))
                {
                    continue;
                }
                let search = find::search(source, &[Pair::new(parameter.name, &to)], Limits::OWN)?;
                // Some of them may be on the page already.
                let limit = self.left + found.len();
                let page = find::page(self.from, self.scope, source, &search, None, limit).await?;
                self.cut |= page.more;
                let mut came = page.found;
                came.retain(|reference| self.seen.insert(reference.to_owned()));
                self.cut |= came.len() > self.left;
                came.truncate(self.left);
                self.left -= came.len();
                if !came.is_empty() {
                    out.push(came);
                }
            }
        }
        Ok(out)
    }
}

/// The references that an include means, of a resource that refers.
fn parameters<'a>(
    include: &'a Include,
    resource: &'static Resource,
) -> impl Iterator<Item = &'static Parameter> + 'a {
    let own = resource.searchable.parameters.iter();
    own.filter(|own| {
        own.ty == ParameterType::Reference
            && include
                .parameter
                .is_none_or(|asked| std::ptr::eq(asked, *own))
    })
}

/// The elements that lead to what a reference parameter reads:
/// `Provenance.agent.who` is `agent`, `who`.
fn path(parameter: &Parameter) -> Vec<&'static str> {
    let elements = parameter.reads.split('.').skip(1);
    elements.take_while(|part| !part.contains('(')).collect()
}

/// The references at a path of a resource.
fn at(value: &Value, path: &[&str], out: &mut Vec<String>) {
    match (value, path.split_first()) {
        (Value::Array(items), _) => items.iter().for_each(|item| at(item, path, out)),
        (value, Some((name, rest))) => {
            if let Some(value) = value.get(name) {
                at(value, rest, out);
            }
        }
        (value, None) => {
            let reference = value["reference"].as_str();
            out.extend(reference.map(|r| without_version(r).to_owned()));
        }
    }
}

/// The resources that references name, which are served here.
async fn fetch(from: Origin<'_>, references: &[String]) -> Result<Vec<Found>> {
    let mut by_type: Vec<(&'static Resource, Vec<&str>)> = Vec::new();
    for (resource, id) in references.iter().filter_map(|r| split(r)) {
        match by_type.iter_mut().find(|(r, _)| std::ptr::eq(*r, resource)) {
            Some((_, ids)) => ids.push(id),
            None => by_type.push((resource, vec![id])),
        }
    }
    let mut out = Vec::new();
    for (resource, ids) in by_type {
        let found = if matches!(resource.sources, [Source::Record]) {
            let keys = ids.iter().filter_map(|id| ObservationKey::decode(id));
            let query = RecordQuery {
                test: Test::Keys(keys.collect()),
                limit: ids.len(),
                ..RecordQuery::default()
            };
            Found::Records(from.store.search(from.access, &query).await?.records)
        } else {
            Found::Instances(instance::by_ids(from, resource, &ids).await?)
        };
        if !found.is_empty() {
            out.push(found);
        }
    }
    Ok(out)
}

/// The references within a resource to resources that are wanted: `Patient/{id}`. Those to what
/// is contained, or elsewhere, are left out.
pub fn references(value: &Value, wanted: &impl Fn(&Resource) -> bool, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" => {
                        let of_type = text.split_once('/').and_then(|(name, _)| by_name(name));
                        if !of_type.is_some_and(wanted) {
                            continue;
                        }
                        let text = without_version(text);
                        if split(text).is_some() {
                            out.push(text.to_owned());
                        }
                    }
                    _ => references(value, wanted, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, wanted, out)),
        _ => {}
    }
}

/// What records refer to by one of the elements of their Observations: each reference once.
pub fn of_records(records: &Records, element: &str, out: &mut Vec<String>) {
    // Few devices and laboratories stand in many records: nothing is written twice.
    let mut known = HashSet::new();
    let mut laboratories = HashSet::new();
    let mut holes_of = HashMap::new();
    for row in &records.rows {
        let record = records.record(row);
        let holes = holes_of.entry(row.kind).or_insert_with(|| {
            let mut holes = Vec::new();
            if let Some(node) = record.kind.mapping.panel.root.get(element) {
                node.holes(&mut holes);
            }
            holes
        });
        for &hole in holes.iter() {
            let reference = match hole {
                Hole::Piece(Piece::Subject) => &row.person.reference,
                Hole::Piece(Piece::Device) => match &row.device {
                    Some(device) => &device.reference,
                    None => continue,
                },
                Hole::Piece(Piece::Laboratory) => {
                    let laboratory = record.kind.laboratory.map_or("", |f| record.text(f));
                    if !laboratory.is_empty()
                        && laboratories.insert((record.consortium_id, laboratory))
                    {
                        let id = id::laboratory(record.consortium_id, laboratory);
                        out.push(format!("Organization/{id}"));
                    }
                    continue;
                }
                _ => continue,
            };
            if known.insert(reference.as_str()) {
                out.push(reference.clone());
            }
        }
    }
}

/// A reference without the version that it names.
fn without_version(reference: &str) -> &str {
    let end = reference.find("/_history/").unwrap_or(reference.len());
    &reference[..end]
}

/// The resource type, which must be served here, and the id of a reference.
pub fn split(reference: &str) -> Option<(&'static Resource, &str)> {
    let (name, id) = reference.split_once('/')?;
    let resource = by_name(name)?;
    (!id.contains('/')).then_some((resource, id))
}

/// What references lead to. `seen` has the references that were followed before, and gets
/// these; nothing is given twice.
///
/// # Errors
/// Those of the store.
pub async fn follow(
    from: Origin<'_>,
    mut references: Vec<String>,
    seen: &mut HashSet<String>,
) -> Result<Vec<Found>> {
    references.retain(|reference| seen.insert(reference.clone()));
    fetch(from, &references).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let value = json!({
            "subject": { "reference": "Patient/a" },
            "agent": [{ "who": { "reference": "Device/b" } }],
            "contained": [{ "x": { "reference": "#c" } }],
            "other": { "reference": "http://h/Patient/d" },
            "unknown": { "reference": "Nothing/e" },
        });
        let mut out = Vec::new();
        references(&value, &|_| true, &mut out);
        assert_eq!(out, ["Patient/a", "Device/b"]);
    }

    #[test]
    fn a_parameter_leads_to_its_references() {
        let value = json!({ "resourceType": "Provenance", "agent": [
            { "who": { "reference": "Device/a" } },
            { "who": { "display": "someone" } },
            { "who": { "reference": "Organization/b" } },
        ] });
        let mut out = Vec::new();
        at(&value, &["agent", "who"], &mut out);
        assert_eq!(out, ["Device/a", "Organization/b"]);
    }
}
