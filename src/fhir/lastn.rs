//! `$lastn`: the newest Observations of each code
//! (<https://hl7.org/fhir/R4/observation-operation-lastn.html>).
//!
//! Codes that stand together in one Observation say the same, and equality is transitive:
//! two record kinds that share a coding are one group (blood pressure at home and at a
//! check-up). The codes of a kind are constants, so groups are known before the database is
//! asked, and a group costs what its newest records cost.

use super::find::Error;
use super::instance::Origin;
use super::resource::Source;
use super::search::{Scope, Search};
use crate::kind::Kinds;
use crate::store::{RecordQuery, Records, SortBy, SortKey, Test};

/// Records looked at in one go, at least.
const AHEAD: usize = 16;
/// Records of a group at most.
const GROUP_MAX: usize = 1000;

/// The newest records that a search finds, by code: so many of each, the newest first.
/// Those of one time count as one, so that no order among them is invented.
///
/// # Errors
/// [`Error`]
pub async fn groups(
    from: Origin<'_>,
    scope: &Scope<'_>,
    search: &Search,
    max: usize,
) -> Result<Vec<Records>, Error> {
    let test = search.test(scope, &Source::Record)?;
    let places = 0..scope.kinds.len();
    let matching = places.filter(|&kind| test.for_kind(Some(kind)) != Test::NEVER);
    let matching: Vec<usize> = matching.collect();
    let newest_first = SortKey {
        by: SortBy::Time,
        descending: true,
    };
    let max = max.min(GROUP_MAX);
    let mut out = Vec::new();
    for kinds in alike(scope.kinds, &matching) {
        let kinds = kinds.into_iter().map(|kind| (kind, Test::ALWAYS));
        let query = RecordQuery {
            test: Test::all([test.clone(), Test::of_kinds(kinds)]),
            sort: vec![newest_first],
            from: None,
            limit: (max + AHEAD).min(GROUP_MAX),
        };
        let mut found = from.store.search(from.access, &query).await?.records;
        let mut times = 0;
        let mut last = None;
        let kept = found.rows.iter().take_while(|row| {
            times += usize::from(last != Some(row.key.time));
            last = Some(row.key.time);
            times <= max
        });
        let kept = kept.count();
        found.rows.truncate(kept);
        if kept > 0 {
            out.push(found);
        }
    }
    Ok(out)
}

/// System and code of each coding.
type Codings = Vec<(String, String)>;

/// Kinds (by place) in groups that share a coding, in the order of their first ones.
fn alike(kinds: &Kinds, places: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, Codings)> = Vec::new();
    for &place in places {
        let mut members = vec![place];
        let mut codings = kinds.at(place).mapping.code_codings();
        // A kind may bring groups together that had nothing in common.
        let (joined, apart): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|(_, others)| others.iter().any(|coding| codings.contains(coding)));
        groups = apart;
        for (others, their) in joined.into_iter().rev() {
            members.splice(0..0, others);
            codings.extend(their);
        }
        groups.push((members, codings));
    }
    groups.sort_by_key(|(members, _)| places.iter().position(|p| Some(p) == members.first()));
    groups.into_iter().map(|(members, _)| members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_share_a_coding_are_one_group() {
        let kinds = Kinds::embedded().unwrap();
        let all: Vec<usize> = (0..kinds.len()).collect();
        let named: Vec<Vec<&str>> = alike(&kinds, &all)
            .iter()
            .map(|group| group.iter().map(|&k| kinds.at(k).name.as_str()).collect())
            .collect();
        assert_eq!(named.iter().flatten().count(), kinds.len());
        let pressure = named.iter().find(|g| g.contains(&"home_blood_pressure"));
        let mut pressure = pressure.unwrap().clone();
        pressure.sort_unstable();
        assert_eq!(pressure, ["checkup_blood_pressure", "home_blood_pressure"]);
        assert_eq!(named.len(), kinds.len() - 1);
    }
}
