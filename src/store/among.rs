//! Conditions on lists of values, whatever their length.
//!
//! A few values are placeholders of their own: the usual search has one to ten, few texts of
//! statements exist and stay prepared, and a planner sees how many there are. Beyond [`FEW`], a
//! list is one bound text of JSON, which SQLite and PostgreSQL read as rows: the text of a
//! statement does not grow with it, nor the number of its placeholders. What reads it differs,
//! and stands in the text as a mark (`@texts(?)`) until the statement runs ([`marked`]).

use std::borrow::Cow;

use super::db::Bound;
use super::query::Condition;
use crate::fhir::id::Hash96;
use crate::store::sql;

/// Values that are bound one by one.
pub const FEW: usize = 16;

/// Each mark with what SQLite and PostgreSQL read it by.
const MARKS: [(&str, &str, &str); 4] = [
    (
        "@texts(?)",
        "SELECT value FROM json_each(?)",
        "SELECT json_array_elements_text(?::json)",
    ),
    (
        "@hashes(?)",
        "SELECT unhex(value) FROM json_each(?)",
        "SELECT decode(json_array_elements_text(?::json), 'hex')",
    ),
    (
        "@pairs(?)",
        "SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each(?)",
        "SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_array_elements(?::json)",
    ),
    (
        "@ranges(?)",
        "SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each(?)",
        "SELECT (value ->> 0)::int8 AS a, (value ->> 1)::int8 AS b \
         FROM json_array_elements(?::json)",
    ),
];

/// The text of a statement with what a database reads its lists by.
pub fn marked(text: Cow<'static, str>, postgres: bool) -> Cow<'static, str> {
    if !text.contains('@') {
        return text;
    }
    let mut out = text.into_owned();
    for (mark, sqlite, server) in MARKS {
        if out.contains(mark) {
            out = out.replace(mark, if postgres { server } else { sqlite });
        }
    }
    out.into()
}

/// A list as it is bound.
fn json<T: serde::Serialize>(values: &[T]) -> Bound {
    Bound::Text(serde_json::to_string(values).unwrap_or_default())
}

/// A text without the one character that no stored text has, and databases refuse in JSON.
fn plain(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{FFFD}").into(),
        false => text.into(),
    }
}

/// A condition over a list of texts, `sql` of what stands in `IN (…)`; never where there is
/// none.
pub fn texts(values: &[String], sql: impl Fn(&str) -> String) -> Condition {
    match values.len() {
        0 => Condition::never(),
        n @ 1..=FEW => {
            let bound = values.iter().map(|v| Bound::from(v.as_str())).collect();
            Condition::new(sql(&sql::list(n)), bound)
        }
        _ => {
            let values: Vec<Cow<'_, str>> = values.iter().map(|v| plain(v)).collect();
            Condition::new(sql("@texts(?)"), vec![json(&values)])
        }
    }
}

/// A column has one of these hashes.
pub fn hashes(column: &str, values: &[Hash96]) -> Condition {
    if values.len() <= FEW {
        let list = sql::list(values.len());
        let bound = values.iter().map(Bound::from).collect();
        return Condition::new(format!("{column} IN ({list})"), bound);
    }
    let hex = |hash: &Hash96| -> String { hash.iter().map(|b| format!("{b:02x}")).collect() };
    let values: Vec<String> = values.iter().map(hex).collect();
    Condition::new(format!("{column} IN (@hashes(?))"), vec![json(&values)])
}

/// The columns of a value and its system have one of these pairs; any where either is absent.
pub fn pairs(
    name: &str,
    [value, system]: [&str; 2],
    these: &[(Option<String>, Option<String>)],
) -> Condition {
    let (value, system) = (format!("{name}.{value}"), format!("{name}.{system}"));
    if these.len() <= FEW {
        return Condition::any(these.iter().map(|(of, is)| {
            let mut one = Condition::default();
            for (column, asked) in [(&value, is), (&system, of)] {
                if let Some(asked) = asked {
                    one.and(&format!("{column} = ?"), &[asked.as_str().into()]);
                }
            }
            one.or_always().in_brackets()
        }));
    }
    let (mut values, mut systems, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for pair in these {
        match pair {
            (None, Some(is)) => values.push(is.clone()),
            (Some(of), None) => systems.push(of.clone()),
            (Some(of), Some(is)) => both.push([plain(is), plain(of)]),
            (None, None) => return Condition::always(),
        }
    }
    let mut parts = vec![
        texts(&values, |list| format!("{value} IN ({list})")),
        texts(&systems, |list| format!("{system} IN ({list})")),
    ];
    if !both.is_empty() {
        parts.push(Condition::new(
            format!("({value}, {system}) IN (@pairs(?))"),
            vec![json(&both)],
        ));
    }
    Condition::any(parts)
}

/// A column begins with one of these texts: each is a range, which an index answers, since no
/// text has a character after the last one. `many` says it of a list of ranges, from `a` until
/// not `b`.
pub fn begins(column: &str, starts: &[String], many: impl Fn(&str) -> String) -> Condition {
    let mut starts: Vec<Cow<'_, str>> = starts.iter().map(|start| plain(start)).collect();
    starts.sort_unstable();
    // Those that begin with another one come right after it.
    starts.dedup_by(|start, former| start.starts_with(&**former));
    let range = |start: Cow<'_, str>| {
        let end = format!("{start}{}", char::MAX);
        [start.into_owned(), end]
    };
    let ranges = starts.into_iter().map(range);
    if ranges.len() > FEW {
        let ranges: Vec<[String; 2]> = ranges.collect();
        return Condition::new(many("@pairs(?)"), vec![json(&ranges)]);
    }
    let sql = format!("({column} >= ? AND {column} < ?)");
    Condition::any(ranges.map(|range| Condition::new(&*sql, range.map(Bound::Text).to_vec())))
}

/// A number lies within one of many ranges, which are merged.
pub fn ranges(column: &str, ranges: &[(i64, i64)]) -> Condition {
    let sql = format!(
        "EXISTS (WITH l AS MATERIALIZED (@ranges(?)) \
         SELECT 1 FROM l WHERE {column} BETWEEN l.a AND l.b)"
    );
    Condition::new(sql, vec![json(ranges)])
}

/// Ranges (both ends included, or none of the upper ones) as few as they can be, in their order.
pub fn merged(ranges: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::with_capacity(sorted.len());
    for (lo, hi) in sorted {
        match out.last_mut() {
            Some(last) if lo <= last.1 => last.1 = last.1.max(hi),
            _ => out.push((lo, hi)),
        }
    }
    out
}

/// Bound values from which on equal ones share a placeholder: a statement of many units says the
/// same of each of them.
const SHARED: usize = 1000;

/// The text and values of a statement, `?` as `{sign}1`, `{sign}2`, … where equal values share a
/// number; the same as it was where it has few.
pub fn shared(
    text: Cow<'static, str>,
    values: Vec<Bound>,
    sign: char,
) -> (Cow<'static, str>, Vec<Bound>) {
    use std::collections::HashMap;
    use std::fmt::Write as _;

    if values.len() <= SHARED {
        return (text, values);
    }
    let mut numbers: HashMap<Bound, usize> = HashMap::new();
    let mut kept = Vec::new();
    let mut out = String::with_capacity(text.len() * 2);
    let mut parts = text.split('?');
    out.push_str(parts.next().unwrap_or_default());
    for (value, part) in values.into_iter().zip(parts) {
        let number = *numbers.entry(value).or_insert_with_key(|value| {
            kept.push(value.clone());
            kept.len()
        });
        let _ = write!(out, "{sign}{number}");
        out.push_str(part);
    }
    (out.into(), kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|n| format!("n{n:03}")).collect()
    }

    #[test]
    fn a_list_is_one_value_however_long_it_is() {
        let equals = |n| texts(&names(n), |list| format!("c IN ({list})"));
        assert_eq!(equals(0).sql, "1 = 0");
        assert_eq!(equals(2).sql, "c IN (?, ?)");
        for n in [FEW + 1, 1000] {
            assert_eq!(equals(n).sql, "c IN (@texts(?))");
            assert_eq!(equals(n).bound.len(), 1);
            let begins = begins("c", &names(n), |list| format!("many({list})"));
            assert_eq!((&*begins.sql, begins.bound.len()), ("many(@pairs(?))", 1));
            let systems = |n: usize| Some(format!("s{n}"));
            let these: Vec<_> = (0..n).map(|n| (systems(n), Some("v".into()))).collect();
            assert_eq!(pairs("x", ["value", "system"], &these).bound.len(), 1);
        }
    }

    #[test]
    fn texts_that_others_begin_with_are_enough() {
        let starts = ["ab", "b", "a", "abc"].map(str::to_owned);
        assert_eq!(begins("c", &starts, str::to_owned).bound.len(), 4);
    }

    #[test]
    fn ranges_are_merged() {
        assert_eq!(
            merged(&[(5, 9), (1, 3), (2, 5), (11, 12)]),
            [(1, 9), (11, 12)]
        );
        assert_eq!(
            merged(&[(i64::MIN, 3), (2, i64::MAX)]),
            [(i64::MIN, i64::MAX)]
        );
        assert_eq!(merged(&[]), []);
    }

    #[test]
    fn equal_values_share_a_placeholder() {
        let text = "a = ?, ".repeat(1200);
        let values = (0..1200).map(|n| Bound::Int(n % 3)).collect();
        let (text, values) = shared(text.into(), values, '$');
        assert_eq!(values, [0, 1, 2].map(Bound::Int));
        assert!(text.starts_with("a = $1, a = $2, a = $3, a = $1, "));
        assert_eq!(text.matches('$').count(), 1200);
        let few = shared("a = ?".into(), vec![Bound::Int(1)], '$');
        assert_eq!(few, ("a = ?".into(), vec![Bound::Int(1)]));
    }

    #[test]
    fn each_database_reads_lists_in_its_own_way() {
        let text = "a IN (@texts(?)) AND b IN (@hashes(?))";
        let server = marked(text.into(), true);
        assert!(
            server.contains("::json") && !server.contains('@'),
            "{server}"
        );
        assert!(marked(text.into(), false).contains("json_each(?)"));
    }
}
