//! From the pairs of a query to filters and result parameters.

use super::form::{Pair, encode, split};
use super::parameter::{Parameter, Searchable};
use super::{Invalid, Scope};
use crate::store::Order;

/// How many matches a page has.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Where nobody asks for a number.
    pub default: usize,
    /// At most; `_count` is capped to it.
    pub max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            default: 50,
            max: 1000,
        }
    }
}

/// The parameter of `next` links that carries the cursor.
pub const CURSOR: &str = "_cursor";

/// A parameter with its values.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Its name as it was written, with modifier and chain.
    pub name: String,
    /// The row of the table.
    pub parameter: &'static Parameter,
    /// Its modifier.
    pub modifier: Option<String>,
    /// In a chain, the parameter of the resource referred to, with its modifier.
    pub chain: Option<Box<Filter>>,
    /// The values, any of which may hold; still escaped.
    pub values: Vec<String>,
}

impl Filter {
    /// The values as `read` understands them.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn read<T>(
        &self,
        read: impl Fn(&str, &str) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Invalid> {
        self.values.iter().map(|v| read(&self.name, v)).collect()
    }

    /// The values as dates.
    ///
    /// # Errors
    /// The first that is none.
    pub fn dates(&self, scope: &Scope) -> Result<Vec<super::date::DateTest>, Invalid> {
        self.read(|name, value| super::date::DateTest::read(name, value, scope.zone))
    }

    /// The values as tokens.
    ///
    /// # Errors
    /// The first that is none.
    pub fn tokens(&self) -> Result<Vec<super::token::Token>, Invalid> {
        self.read(super::token::Token::read)
    }
}

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
    pub filters: Vec<Filter>,
    /// Matches on a page; 0 where only their number is asked for.
    pub count: usize,
    /// Their order.
    pub order: Order,
    /// Whether their number is asked for.
    pub total: Total,
    /// Where the page begins.
    pub cursor: Option<String>,
    /// What was passed over.
    pub ignored: Vec<Ignored>,
    /// What was used, encoded for links; without the cursor.
    pub used: String,
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
            filters: Vec::new(),
            ignored: Vec::new(),
            used: Vec::new(),
            results: Results::default(),
        };
        for pair in pairs {
            reader.pair(pair)?;
        }
        Ok(reader.done())
    }
}

#[derive(Default)]
struct Results {
    count: Option<usize>,
    order: Option<(Order, String)>,
    total: Option<(Total, String)>,
    summary: Option<String>,
    cursor: Option<String>,
}

struct Reader {
    searchable: &'static Searchable,
    limits: Limits,
    filters: Vec<Filter>,
    ignored: Vec<Ignored>,
    used: Vec<(String, String)>,
    results: Results,
}

/// The result parameters, which every search has.
type ReadResult = fn(&mut Reader, &str) -> Result<(), Invalid>;
const RESULTS: &[(&str, ReadResult)] = &[
    ("_count", Reader::count),
    ("_sort", Reader::sort),
    ("_summary", Reader::summary),
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
        let values: Vec<String> = split(&value, ',')
            .into_iter()
            .filter(|v| !v.is_empty())
            .map(str::to_owned)
            .collect();
        if values.is_empty() {
            self.ignore(&pair.name, "has no value", "値がありません");
            return Ok(());
        }
        if let Some((_, read)) = result {
            return read(self, &value);
        }
        match filter(self.searchable, &pair.name, &pair.name, values)? {
            Some(filter) => {
                self.filters.push(filter);
                self.used.push((pair.name.clone(), value));
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
        let mut keys = value.split(',');
        let first = keys.next().unwrap_or_default();
        let known = self.searchable.sort.contains(&first);
        let order = match first {
            "date" => Order::Time,
            "-date" => Order::TimeDescending,
            "_lastUpdated" => Order::Write,
            _ => Order::WriteDescending,
        };
        let rest: Vec<&str> = if known { keys.collect() } else { vec![value] };
        if known {
            self.results.order = Some((order, first.to_owned()));
        }
        if !rest.is_empty() {
            let keys = self.searchable.sort.join(", ");
            let rest = rest.join(",");
            let (en, ja) = match keys.as_str() {
                "" => (
                    format!(
                        "cannot sort by {rest}: {} has one order",
                        self.searchable.resource_type
                    ),
                    format!("{rest} では並べ替えられません"),
                ),
                _ if known => (
                    format!("sorts by one key, {first}; {rest} is left out"),
                    format!("並べ替えのキーは一つ（{first}）です。{rest} は使いません"),
                ),
                keys => (
                    format!("cannot sort by {rest}; one of {keys} is possible"),
                    format!("{rest} では並べ替えられません。{keys} のいずれか一つを指定できます"),
                ),
            };
            self.ignore("_sort", en, ja);
        }
        Ok(())
    }

    fn summary(&mut self, value: &str) -> Result<(), Invalid> {
        match value {
            "count" | "false" => self.results.summary = Some(value.to_owned()),
            "true" | "text" | "data" => self.ignore(
                "_summary",
                "only count and false are supported",
                "count と false だけに対応しています",
            ),
            _ => {
                return Err(Invalid::new(
                    "_summary",
                    "true, text, data, count or false is expected",
                    "true、text、data、count、false のいずれかを指定してください",
                ));
            }
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
        let count_only = results.summary.as_deref() == Some("count") || results.count == Some(0);
        let mut used = self.used;
        let mut tell = |name: &str, value: Option<String>| {
            used.extend(value.map(|v| (name.to_owned(), v)));
        };
        tell("_sort", results.order.as_ref().map(|(_, v)| v.clone()));
        tell("_total", results.total.as_ref().map(|(_, v)| v.clone()));
        tell("_summary", results.summary);
        tell("_count", results.count.map(|n| n.to_string()));
        let mut link = String::new();
        for (name, value) in &used {
            link.push_str(if link.is_empty() { "" } else { "&" });
            encode(name, &mut link);
            link.push('=');
            encode(value, &mut link);
        }
        Search {
            filters: self.filters,
            count: if count_only {
                0
            } else {
                results.count.unwrap_or(self.limits.default)
            },
            order: results.order.map_or(Order::Key, |(order, _)| order),
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

/// The filter that a name means; `None` where the resource has no such parameter.
fn filter(
    searchable: &'static Searchable,
    written: &str,
    name: &str,
    values: Vec<String>,
) -> Result<Option<Filter>, Invalid> {
    let (own, chain) = match name.split_once('.') {
        Some((own, chain)) => (own, Some(chain)),
        None => (name, None),
    };
    let (base, modifier) = match own.split_once(':') {
        Some((base, modifier)) => (base, Some(modifier)),
        None => (own, None),
    };
    let Some(parameter) = searchable.parameter(base) else {
        return Ok(None);
    };
    if let Some(modifier) = modifier
        && !parameter.modifiers.contains(&modifier)
    {
        return Err(Invalid::new(
            written,
            format!("the modifier :{modifier} is not supported for {base}"),
            format!("{base} は修飾子 :{modifier} に対応していません"),
        ));
    }
    let chain = match chain {
        None => None,
        Some(chain) => {
            // A type in a chain tells which target is meant; there is one.
            let target = parameter
                .target
                .filter(|t| modifier.is_none_or(|m| m == t.resource_type));
            let Some(target) = target else {
                return Ok(None);
            };
            match filter(target, written, chain, values.clone())? {
                Some(filter) => Some(Box::new(filter)),
                None => return Ok(None),
            }
        }
    };
    Ok(Some(Filter {
        name: written.to_owned(),
        parameter,
        modifier: modifier.map(str::to_owned),
        chain,
        values,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::form::pairs;
    use super::super::parameter::{OBSERVATION, PATIENT};
    use super::*;

    fn read(query: &str) -> Search {
        Search::read(&OBSERVATION, &pairs(query).unwrap(), Limits::default()).unwrap()
    }

    fn wrong(query: &str) -> Invalid {
        Search::read(&OBSERVATION, &pairs(query).unwrap(), Limits::default()).unwrap_err()
    }

    #[test]
    fn a_comma_is_or_and_a_repetition_is_and() {
        let search = read("code=a,b\\,c&code=d");
        assert_eq!(search.filters.len(), 2);
        assert_eq!(search.filters[0].values, ["a", "b\\,c"]);
        assert_eq!(search.used, "code=a,b%5C,c&code=d");
    }

    #[test]
    fn what_is_not_known_is_ignored_and_not_in_the_link() {
        let search = read("code=a&no-such=1&code=&_sort=value&_summary=text&device.model=x");
        let names: Vec<&str> = search.ignored.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(
            names,
            ["no-such", "code", "_sort", "_summary", "device.model"]
        );
        assert_eq!(search.used, "code=a");
        let search =
            Search::read(&PATIENT, &pairs("_sort=date").unwrap(), Limits::default()).unwrap();
        assert_eq!(search.ignored.len(), 1);
    }

    #[test]
    fn modifiers_that_a_parameter_does_not_take_are_wrong() {
        assert_eq!(wrong("code:exact=a").parameter, "code:exact");
        assert_eq!(wrong("patient:Group=a").parameter, "patient:Group");
        assert!(read("subject:Patient=a").filters[0].modifier.is_some());
        assert!(
            read("subject:Patient.identifier=a").filters[0]
                .chain
                .is_some()
        );
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
        assert_eq!(read("_sort=-date").order, Order::TimeDescending);
        assert_eq!(read("_sort=-date,_id").used, "_sort=-date");
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
