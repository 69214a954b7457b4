//! From the pairs of a query to filters and result parameters.

use std::cell::Cell;
use std::collections::HashSet;

use super::filter::{Criterion, Written};
use super::form::{Pair, encode, split};
use super::include::Include;
use super::parameter::{ParameterType, Searchable};
use super::{Invalid, Scope};
use crate::fhir::resource::Source;
use crate::fhir::subset::Summary;
use crate::store::{SORT_KEYS_MAX, SortKey, Test};

/// How many matches a page has, and how much a search may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Where nobody asks for a number.
    pub default: usize,
    /// At most; `_count` is capped to it.
    pub max: usize,
    /// Values of all parameters together at most (`--search-values-max`).
    pub values: usize,
    /// References at most that a chain or nested `_has` leads along (`--search-depth-max`).
    pub depth: usize,
    /// Joins of all parameters together at most (`--search-joins-max`).
    pub joins: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            default: 50,
            max: 1000,
            values: 1000,
            depth: 4,
            joins: 64,
        }
    }
}

impl Limits {
    /// Those of a search of our own making, which is as long as what was found before it.
    pub const OWN: Limits = Limits {
        default: 50,
        max: 1000,
        values: usize::MAX,
        depth: usize::MAX,
        joins: usize::MAX,
    };

    /// Counts what a search asks for more.
    fn values(self, name: &str, number: usize) -> Result<(), Invalid> {
        let max = self.values;
        if number <= max {
            return Ok(());
        }
        Err(Invalid::new(
            name,
            format!(
                "with this parameter the search has more than {max} values in all \
                 (--search-values-max); ask for fewer of them at a time"
            ),
            format!(
                "このパラメータまでで、値の合計が上限の {max} 個を超えます（--search-values-max）。\
                 数回に分けて検索してください"
            ),
        ))
    }

    /// Whether a chain may be so deep.
    pub(super) fn depth(self, name: &str, depth: usize) -> Result<(), Invalid> {
        let max = self.depth;
        if depth <= max {
            return Ok(());
        }
        Err(Invalid::new(
            name,
            format!(
                "leads along more than {max} references (--search-depth-max); search for the ids \
                 of what is in between first"
            ),
            format!(
                "たどる参照の段数が上限の {max} を超えます（--search-depth-max）。\
                 途中のリソースの id を先に検索してください"
            ),
        ))
    }

    /// Whether a search may have so many joins.
    pub(super) fn joins(self, name: &str, joins: usize) -> Result<(), Invalid> {
        let max = self.joins;
        if joins <= max {
            return Ok(());
        }
        Err(Invalid::new(
            name,
            format!(
                "with this parameter the search leads along more than {max} references in all, \
                 each counted for every type that it may lead to (--search-joins-max); name the \
                 types (subject:Patient.…) or ask for less at a time"
            ),
            format!(
                "このパラメータまでで、たどる参照の合計（参照先の型ごとに数えます）が上限の {max} を\
                 超えます（--search-joins-max）。型を指定する（subject:Patient.… など）か、\
                 数回に分けて検索してください"
            ),
        ))
    }
}

/// The parameter of `next` links that carries the cursor.
pub const CURSOR: &str = "_cursor";

/// A parameter that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its name, as it was written.
    pub name: String,
    /// Why, in English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

/// Whether the number of matches is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// No.
    #[default]
    None,
    /// Yes; an estimate is given as exactly as a count.
    Accurate,
}

/// A search as it was understood.
#[derive(Debug, Clone)]
pub struct Search {
    /// All of these hold.
    pub criteria: Vec<Criterion>,
    /// Matches on a page; 0 where only their number is asked for.
    pub count: usize,
    /// Their order; whatever is cheap where there is no key.
    pub sort: Vec<SortKey>,
    /// What comes along with them.
    pub includes: Vec<Include>,
    /// How much of each is asked for.
    pub summary: Summary,
    /// The elements that are asked for; all where there is none.
    pub elements: Vec<String>,
    /// Whether their number is asked for.
    pub total: Total,
    /// Where the page begins.
    pub cursor: Option<String>,
    /// What was passed over.
    pub ignored: Vec<Ignored>,
    /// What was used, encoded for links; without the cursor.
    pub used: String,
    limits: Limits,
}

impl Search {
    /// Reads the parameters of a search.
    ///
    /// # Errors
    /// [`Invalid`] for a value or a modifier that is wrong.
    pub fn read(
        searchable: &'static Searchable,
        pairs: &[Pair],
        limits: Limits,
    ) -> Result<Search, Invalid> {
        let mut reader = Reader {
            searchable,
            limits,
            criteria: Vec::new(),
            ignored: Vec::new(),
            used: Vec::new(),
            results: Results::default(),
            values: 0,
            joins: Cell::new(0),
        };
        let mut seen = HashSet::new();
        for pair in pairs {
            // Said twice is said.
            if seen.insert(pair) {
                reader.pair(pair)?;
            }
        }
        Ok(reader.done())
    }

    /// What must hold for the rows of a source.
    ///
    /// # Errors
    /// [`Invalid`] for a value that is wrong.
    pub fn test(&self, scope: &Scope, source: &Source) -> Result<Test, Invalid> {
        let mut tests = Vec::with_capacity(self.criteria.len());
        let mut joins = 0;
        for criterion in &self.criteria {
            let test = criterion.test(scope, source)?;
            joins += test.joins();
            let name = criterion.filter().map_or("", |filter| &filter.name);
            self.limits.joins(name, joins)?;
            tests.push(test);
        }
        Ok(Test::all(tests))
    }
}

#[derive(Default)]
struct Results {
    count: Option<usize>,
    sort: Vec<(SortKey, String)>,
    total: Option<(Total, String)>,
    summary: Option<(Summary, String)>,
    includes: Vec<Include>,
    elements: Vec<String>,
    cursor: Option<String>,
}

struct Reader {
    searchable: &'static Searchable,
    limits: Limits,
    criteria: Vec<Criterion>,
    ignored: Vec<Ignored>,
    used: Vec<(String, String)>,
    results: Results,
    /// Values of all parameters so far.
    values: usize,
    /// Links of all chains so far.
    joins: Cell<usize>,
}

/// The result parameters, which every search has.
type ReadResult = fn(&mut Reader, &str) -> Result<(), Invalid>;
const RESULTS: &[(&str, ReadResult)] = &[
    ("_count", Reader::count),
    ("_sort", Reader::sort),
    ("_summary", Reader::summary),
    ("_elements", Reader::elements),
    ("_filter", Reader::filter),
    ("_include", |reader, value| {
        reader.include("_include", value)
    }),
    ("_include:iterate", |reader, value| {
        reader.include("_include:iterate", value)
    }),
    ("_include:recurse", |reader, value| {
        reader.include("_include:recurse", value)
    }),
    ("_revinclude", |reader, value| {
        reader.include("_revinclude", value)
    }),
    ("_revinclude:iterate", |reader, value| {
        reader.include("_revinclude:iterate", value)
    }),
    ("_revinclude:recurse", |reader, value| {
        reader.include("_revinclude:recurse", value)
    }),
    ("_total", Reader::total),
    ("_format", |reader, value| {
        reader.elsewhere("_format", value)
    }),
    ("_pretty", |reader, value| {
        reader.elsewhere("_pretty", value)
    }),
    (CURSOR, |reader, value| {
        reader.results.cursor = Some(value.to_owned());
        Ok(())
    }),
];

impl Reader {
    fn pair(&mut self, pair: &Pair) -> Result<(), Invalid> {
        let value = pair.value()?;
        let result = RESULTS.iter().find(|(name, _)| *name == pair.name);
        let values = |value: &str| -> Vec<String> {
            let parts = split(value, ',').into_iter();
            parts.filter(|v| !v.is_empty()).map(str::to_owned).collect()
        };
        let plain = values(&value);
        self.values += plain.len().max(1);
        self.limits.values(&pair.name, self.values)?;
        if plain.is_empty() {
            self.ignore(&pair.name, "has no value", "値がありません");
            return Ok(());
        }
        if let Some((_, read)) = result {
            return read(self, &value);
        }
        let text = pair.text()?;
        let written = Written {
            name: &pair.name,
            plain: &plain,
            spaced: &values(&text),
            limits: self.limits,
            depth: 0,
            joins: &self.joins,
        };
        let criterion = Criterion::read(self.searchable, &pair.name, written)?;
        // Where one of several ways was one too many, the others are no answer.
        self.limits.joins(&pair.name, self.joins.get())?;
        match criterion {
            Some(criterion) => {
                let ty = criterion.filter().map(|filter| filter.parameter.ty);
                let used = match ty {
                    Some(ParameterType::String) => text,
                    _ => value,
                };
                self.criteria.push(criterion);
                self.used.push((pair.name.clone(), used));
            }
            None => self.ignore(
                &pair.name,
                format!(
                    "is no search parameter of {} here",
                    self.searchable.resource_type
                ),
                format!(
                    "{} の検索パラメータではありません",
                    self.searchable.resource_type
                ),
            ),
        }
        Ok(())
    }

    fn ignore(&mut self, name: &str, en: impl Into<String>, ja: impl Into<String>) {
        self.ignored.push(Ignored {
            name: name.to_owned(),
            en: en.into(),
            ja: ja.into(),
        });
    }

    fn count(&mut self, value: &str) -> Result<(), Invalid> {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(Invalid::new(
                "_count",
                "a whole number, 0 or more, is expected",
                "0 以上の整数を指定してください",
            ));
        }
        // More digits than fit are over the cap all the same.
        self.results.count = Some(
            value
                .parse()
                .unwrap_or(self.limits.max)
                .min(self.limits.max),
        );
        Ok(())
    }

    fn sort(&mut self, value: &str) -> Result<(), Invalid> {
        let mut unknown = Vec::new();
        let mut further = Vec::new();
        for key in value.split(',').filter(|key| !key.is_empty()) {
            let name = key.strip_prefix('-').unwrap_or(key);
            match self.searchable.parameter(name).and_then(|p| p.sort) {
                None => unknown.push(key),
                Some(_) if self.results.sort.len() >= SORT_KEYS_MAX => further.push(key),
                Some(by) => {
                    let descending = key.starts_with('-');
                    let key = (SortKey { by, descending }, key.to_owned());
                    self.results.sort.push(key);
                }
            }
        }
        if !unknown.is_empty() {
            let unknown = unknown.join(",");
            let (en, ja) = match self.searchable.sort_keys().join(", ") {
                keys if keys.is_empty() => (
                    format!(
                        "cannot sort by {unknown}: {} has one order",
                        self.searchable.resource_type
                    ),
                    format!("{unknown} では並べ替えられません"),
                ),
                keys => (
                    format!("cannot sort by {unknown}; {keys} are possible"),
                    format!("{unknown} では並べ替えられません。使えるのは {keys} です"),
                ),
            };
            self.ignore("_sort", en, ja);
        }
        if !further.is_empty() {
            let further = further.join(",");
            self.ignore(
                "_sort",
                format!("sorts by {SORT_KEYS_MAX} keys at most; {further} is left out"),
                format!("並べ替えのキーは {SORT_KEYS_MAX} 個までです。{further} は使いません"),
            );
        }
        Ok(())
    }

    fn summary(&mut self, value: &str) -> Result<(), Invalid> {
        let summary = Summary::read(value)?;
        self.results.summary = Some((summary, value.to_owned()));
        Ok(())
    }

    fn elements(&mut self, value: &str) -> Result<(), Invalid> {
        let names = value.split(',').filter(|name| !name.is_empty());
        self.results.elements.extend(names.map(str::to_owned));
        Ok(())
    }

    fn filter(&mut self, _: &str) -> Result<(), Invalid> {
        self.ignore(
            "_filter",
            "is not supported; write its conditions as parameters of their own",
            "には対応していません。条件を個別のパラメータとして指定してください",
        );
        Ok(())
    }

    fn include(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        let (base, iterate) = match name.split_once(':') {
            Some((base, _)) => (base, true),
            None => (name, false),
        };
        match Include::read(self.searchable, base == "_revinclude", iterate, value) {
            Some(include) => {
                self.results.includes.push(include);
                self.used.push((name.to_owned(), value.to_owned()));
            }
            None => self.ignore(
                name,
                format!(
                    "{value} leads nowhere from {}",
                    self.searchable.resource_type
                ),
                format!(
                    "{value} は {} からたどれる参照ではありません",
                    self.searchable.resource_type
                ),
            ),
        }
        Ok(())
    }

    fn total(&mut self, value: &str) -> Result<(), Invalid> {
        let total = match value {
            "none" => Total::None,
            "estimate" | "accurate" => Total::Accurate,
            _ => {
                return Err(Invalid::new(
                    "_total",
                    "none, estimate or accurate is expected",
                    "none、estimate、accurate のいずれかを指定してください",
                ));
            }
        };
        self.results.total = Some((total, value.to_owned()));
        Ok(())
    }

    fn elsewhere(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        self.used.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn done(self) -> Search {
        let results = self.results;
        let summary = results.summary.as_ref().map(|(summary, _)| *summary);
        let count_only = summary == Some(Summary::Count) || results.count == Some(0);
        let mut used = self.used;
        let mut tell = |name: &str, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            used.extend(value.map(|v| (name.to_owned(), v)));
        };
        let (sort, keys): (Vec<SortKey>, Vec<String>) = results.sort.into_iter().unzip();
        tell("_sort", Some(keys.join(",")));
        tell("_total", results.total.as_ref().map(|(_, v)| v.clone()));
        tell("_summary", results.summary.map(|(_, v)| v));
        tell("_elements", Some(results.elements.join(",")));
        tell("_count", results.count.map(|n| n.to_string()));
        let mut link = String::new();
        for (name, value) in &used {
            link.push_str(if link.is_empty() { "" } else { "&" });
            encode(name, &mut link);
            link.push('=');
            encode(value, &mut link);
        }
        Search {
            limits: self.limits,
            criteria: self.criteria,
            count: if count_only {
                0
            } else {
                results.count.unwrap_or(self.limits.default)
            },
            sort,
            includes: results.includes,
            summary: summary.unwrap_or_default(),
            elements: results.elements,
            total: match results.total {
                _ if count_only => Total::Accurate,
                Some((total, _)) => total,
                None => Total::None,
            },
            cursor: results.cursor,
            ignored: self.ignored,
            used: link,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Modifier;
    use super::super::form::pairs;
    use super::super::{OBSERVATION, PATIENT};
    use super::*;
    use crate::store::SortBy;

    fn read(query: &str) -> Search {
        Search::read(&OBSERVATION, &pairs(query).unwrap(), Limits::default()).unwrap()
    }

    fn wrong(query: &str) -> Invalid {
        Search::read(&OBSERVATION, &pairs(query).unwrap(), Limits::default()).unwrap_err()
    }

    #[test]
    fn a_comma_is_or_and_a_repetition_is_and() {
        let search = read("code=a,b\\,c&code=d");
        assert_eq!(search.criteria.len(), 2);
        assert_eq!(search.criteria[0].filter().unwrap().values, ["a", "b\\,c"]);
        assert_eq!(search.used, "code=a,b%5C,c&code=d");
    }

    #[test]
    fn what_is_not_known_is_ignored_and_not_in_the_link() {
        let search = read("code=a&no-such=1&code=&_sort=value&_include=Patient:x&code.x=1");
        let names: Vec<&str> = search.ignored.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["no-such", "code", "_sort", "_include", "code.x"]);
        assert_eq!(search.used, "code=a");
        let search =
            Search::read(&PATIENT, &pairs("_sort=date").unwrap(), Limits::default()).unwrap();
        assert_eq!(search.ignored.len(), 1);
    }

    #[test]
    fn modifiers_that_a_parameter_does_not_take_are_wrong() {
        assert_eq!(wrong("code:exact=a").parameter, "code:exact");
        assert_eq!(wrong("patient:Group=a").parameter, "patient:Group");
        let search = read("subject:Patient=a");
        let filter = search.criteria[0].filter().unwrap();
        assert_eq!(filter.modifier, Some(Modifier::Type("Patient")));
        let search = read("subject:Patient.identifier=a");
        assert!(matches!(search.criteria[0], Criterion::Chain(_)));
    }

    #[test]
    fn result_parameters() {
        assert_eq!(read("").count, 50);
        assert_eq!(read("_count=7").count, 7);
        assert_eq!(read("_count=5000").used, "_count=1000");
        assert_eq!(read("_count=99999999999999999999999").count, 1000);
        let search = read("_count=0");
        assert_eq!((search.count, search.total), (0, Total::Accurate));
        let search = read("_summary=count&_count=5");
        assert_eq!((search.count, search.total), (0, Total::Accurate));
        assert_eq!(read("_total=accurate").total, Total::Accurate);
        assert_eq!(read("_total=none").total, Total::None);
        let by = SortBy::Time;
        let descending = true;
        assert_eq!(read("_sort=-date").sort, [SortKey { by, descending }]);
        assert_eq!(read("_sort=-date,no-such").used, "_sort=-date");
        assert_eq!(read("_sort=-date,code,patient").sort.len(), 3);
        for bad in [
            "_count=-1",
            "_count=x",
            "_count=1.5",
            "_total=yes",
            "_summary=yes",
        ] {
            wrong(bad);
        }
    }
}
