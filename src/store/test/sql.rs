//! Tests as SQL.

use std::collections::HashMap;

use super::relation::Join;
use super::residue;
use super::{ColumnTest, Comparison, FieldTest, Relation, Table, Test};
use crate::fhir::id::ObservationKey;
use crate::kind::{Kind, Kinds};
use crate::store::layout::{KindLayout, Layout, Slot};
use crate::store::query::Condition;
use crate::store::read::DELETED;
use crate::store::{among, sql};

/// What had to be asked of the database before a test can be SQL: no statement joins
/// records with anything but registries.
#[derive(Debug, Default)]
pub struct Known {
    /// Ranges of milliseconds as ranges of write ids; none where nothing was written then.
    pub writes: HashMap<(i64, i64), Option<(i64, i64)>>,
    /// Participant and source of the records that an id can mean.
    pub records: HashMap<ObservationKey, Vec<(i64, i64)>>,
}

impl Known {
    /// Collects what a test needs to be known: ranges of milliseconds, and ids.
    pub fn needs(test: &Test, ranges: &mut Vec<(i64, i64)>, keys: &mut Vec<ObservationKey>) {
        match test {
            Test::All(tests) | Test::Any(tests) => {
                tests.iter().for_each(|t| Known::needs(t, ranges, keys));
            }
            Test::OfKind(tests) => tests
                .iter()
                .for_each(|(_, t)| Known::needs(t, ranges, keys)),
            Test::Not(test) | Test::Related(_, test) => Known::needs(test, ranges, keys),
            Test::Updated(these) => ranges.extend(among::merged(these)),
            Test::Keys(these) => keys.extend(these),
            _ => {}
        }
    }
}

/// Where a test stands: rows of a table under a name; records are of one kind, or of some.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// The table.
    pub table: Table,
    /// Its name in the statement.
    pub name: &'a str,
    /// The place of the kind of the records, where it is one.
    pub kind: Option<usize>,
    /// The places of the kinds that the records may be of, where they are several.
    pub among: &'a [usize],
}

impl<'a> At<'a> {
    /// Rows of a table; records of this kind.
    pub fn new(table: Table, name: &'a str, kind: Option<usize>) -> At<'a> {
        At {
            table,
            name,
            kind,
            among: &[],
        }
    }
}

/// Makes SQL of tests.
pub struct Compiler<'a> {
    kinds: &'a Kinds,
    layout: &'a Layout,
    known: &'a Known,
    /// How many tables were given a name.
    tables: usize,
    /// How many tests were made SQL of.
    pub steps: usize,
}

impl<'a> Compiler<'a> {
    pub fn new(kinds: &'a Kinds, layout: &'a Layout, known: &'a Known) -> Compiler<'a> {
        Compiler {
            kinds,
            layout,
            known,
            tables: 0,
            steps: 0,
        }
    }

    /// The condition of a test that was worked out for the kind ([`Test::for_kind`]).
    pub fn condition(&mut self, test: &Test, at: &At) -> Condition {
        let parts = test.conjuncts().iter().map(|test| self.part(test, at));
        Condition::all(parts.collect::<Vec<_>>())
    }

    /// One conjunct, in brackets where it needs them.
    fn part(&mut self, test: &Test, at: &At) -> Condition {
        self.steps += 1;
        match test {
            Test::Constant(true) => Condition::always(),
            Test::Constant(false) => Condition::never(),
            Test::All(_) => self.condition(test, at).in_brackets(),
            Test::Any(tests) => {
                let parts: Vec<Condition> = tests.iter().map(|t| self.part(t, at)).collect();
                Condition::any(parts)
            }
            Test::Not(inner) => {
                let inner = self.part(inner, at);
                if inner.is_never() {
                    Condition::always()
                } else if inner.is_always() {
                    Condition::never()
                } else {
                    Condition::new(format!("({}) IS NOT TRUE", inner.sql), inner.bound)
                }
            }
            Test::OfKind(_) if at.among.is_empty() => self.part(&test.for_kind(at.kind), at),
            Test::Related(relation, inner) => self.related(*relation, inner, at),
            _ => match (at.table, at.kind) {
                (Table::Record, Some(kind)) => self.of_record(test, at, kind),
                (Table::Record, None) => self.by_kind(test, at),
                (Table::Delivery, _) => self.of_delivery(test, at),
                (table, _) => of_row(test, at.name, table),
            },
        }
    }

    /// Of a record of any of several kinds, what is to hold for each of them; kinds of which the
    /// same holds together.
    fn by_kind(&mut self, test: &Test, at: &At) -> Condition {
        let mut groups: Vec<(Condition, Vec<i64>)> = Vec::new();
        for &kind in at.among {
            let of_one = At::new(at.table, at.name, Some(kind));
            let condition = self.part(&test.for_kind(Some(kind)), &of_one);
            let id = self.layout.of(kind).id;
            match groups.iter_mut().find(|(same, _)| *same == condition) {
                _ if condition.is_never() => {}
                Some((_, kinds)) => kinds.push(id),
                None => groups.push((condition, vec![id])),
            }
        }
        let one = groups.first();
        if let Some((condition, kinds)) = one
            && kinds.len() == at.among.len()
        {
            return condition.clone();
        }
        Condition::any(groups.into_iter().map(|(condition, kinds)| {
            let kinds = format!("{}.kind IN ({})", at.name, sql::numbers(&kinds));
            let mut out = Condition::new(kinds, Vec::new());
            out.and_also(condition);
            out
        }))
    }

    fn of_record(&self, test: &Test, at: &At, kind: usize) -> Condition {
        let kind: &Kind = self.kinds.at(kind);
        let layout = self.layout.of(kind.place);
        let mut out = Condition::default();
        match test {
            Test::Time(tests) => {
                out.and_time(&format!("{}.time", at.name), kind, tests);
                out.or_always()
            }
            Test::Updated(ranges) => self.written(ranges, at.name),
            Test::Status(statuses) => of_status(statuses, at.name),
            Test::Residue(test) => residue::of_record(test, at.name),
            Test::Field { field, test } => of_field(test, at.name, *field, kind, layout),
            Test::Keys(keys) => {
                let mut parts = Vec::new();
                for key in keys.iter().filter(|key| key.kind == kind.hash) {
                    let found = self.known.records.get(key);
                    for (participant, source) in found.into_iter().flatten() {
                        parts.push(Condition::new(
                            "({0}.participant = ? AND {0}.time = ? AND {0}.source = ?)"
                                .replace("{0}", at.name),
                            vec![(*participant).into(), key.seconds.into(), (*source).into()],
                        ));
                    }
                }
                Condition::any(parts)
            }
            _ => Condition::never(),
        }
    }

    fn of_delivery(&self, test: &Test, at: &At) -> Condition {
        match test {
            Test::Updated(ranges) => self.written(ranges, at.name),
            Test::Occurred(ranges) => {
                let mut sent = Condition::default();
                sent.and_ranges("coalesce(s.send_time, w.at)", &closed(ranges));
                let sent = sent.or_always();
                Condition::new(
                    format!(
                        "{}.write IN (SELECT w.id FROM write w \
                         LEFT JOIN submission s ON s.id = w.submission WHERE {})",
                        at.name, sent.sql
                    ),
                    sent.bound,
                )
            }
            Test::Transmission(sent) => {
                let (these, bound) = match sent {
                    None => ("", Vec::new()),
                    Some((consortium, at)) => (
                        " WHERE s.consortium_id = ? AND s.send_time = ?",
                        vec![consortium.as_str().into(), (*at).into()],
                    ),
                };
                let sql = format!(
                    "{}.write IN (SELECT w.id FROM submission s \
                     JOIN write w ON w.submission = s.id{these})",
                    at.name
                );
                Condition::new(sql, bound)
            }
            Test::Delivery(ids) => Condition::any(ids.iter().map(|(id, hash)| {
                let mut out = Condition::new(
                    "{0}.write = (SELECT id FROM write WHERE submission = ?)"
                        .replace("{0}", at.name),
                    vec![id.as_str().into()],
                );
                let participant = format!("{}.participant", at.name);
                match hash {
                    None => out.and(&format!("{participant} = 0"), &[]),
                    // One who was deleted is told of still.
                    Some(hash) => out.and(
                        &format!(
                            "{participant} IN (SELECT id FROM participant WHERE hash = ? UNION ALL \
                             SELECT participant FROM registry_write WHERE hash = ?)"
                        ),
                        &[hash.into(), hash.into()],
                    ),
                }
                out.in_brackets()
            })),
            _ => Condition::never(),
        }
    }

    /// Written in any of these ranges of milliseconds.
    fn written(&self, ranges: &[(i64, i64)], name: &str) -> Condition {
        let ranges = among::merged(ranges);
        let found = ranges.iter().filter_map(|r| *self.known.writes.get(r)?);
        let found: Vec<(i64, i64)> = found.collect();
        let mut out = Condition::default();
        out.and_ranges(&format!("{name}.write"), &found);
        out.or_always()
    }

    fn related(&mut self, relation: Relation, inner: &Test, at: &At) -> Condition {
        let Some(join) = relation.join() else {
            return self.part(inner, at);
        };
        if let Some(resource) = relation.written_as()
            && let Some(written) = written_about(resource, inner, at.name)
        {
            return written;
        }
        if let Some(implied) = relation.implies(inner) {
            let mut both = self.part(&implied, at);
            both.and_also(self.joined(&join, inner, at));
            return both;
        }
        self.joined(&join, inner, at)
    }

    fn joined(&mut self, join: &Join, inner: &Test, at: &At) -> Condition {
        self.tables += 1;
        let name = format!("t{}", self.tables);
        let of = |kind| At::new(join.to, &name, kind);
        if !matches!(join.to, Table::Record) {
            return self.leading(join, &inner.for_kind(None), at, &of(None));
        }
        let mut left = Vec::new();
        for kind in 0..self.kinds.len() {
            let inner = inner.for_kind(Some(kind));
            if inner != Test::NEVER {
                left.push((kind, inner));
            }
        }
        if left.len() > 1 && inner.joins() > 0 {
            // Were it said for each kind, every link of a chain would multiply the statement by
            // the number of kinds.
            let among: Vec<usize> = left.iter().map(|(kind, _)| *kind).collect();
            let far = At {
                among: &among,
                ..of(None)
            };
            return self.leading(join, inner, at, &far);
        }
        let parts = left.iter();
        let parts = parts.map(|(kind, inner)| self.leading(join, inner, at, &of(Some(*kind))));
        Condition::any(parts.collect::<Vec<_>>())
    }

    /// A join to rows of which a test holds.
    fn leading(&mut self, join: &Join, inner: &Test, at: &At, far: &At) -> Condition {
        // The laboratory is a field of the record, at whichever end that is.
        let record = match at.table {
            Table::Record => at,
            _ => far,
        };
        let laboratory = self.laboratory(record);
        if join.sql.contains("{laboratory}") && laboratory.is_none() {
            return Condition::never();
        }
        let inner = self.condition(inner, far);
        if inner.is_never() {
            return inner;
        }
        let name = far.name;
        let mut condition = Condition::default();
        if matches!(far.table, Table::Record) {
            let id = |kind: &usize| self.layout.of(*kind).id;
            let kinds = match &far.kind {
                Some(kind) => format!("= {}", id(kind)),
                None => {
                    let ids: Vec<i64> = far.among.iter().map(id).collect();
                    format!("IN ({})", sql::numbers(&ids))
                }
            };
            condition.and(&format!("{name}.kind {kinds}"), &[]);
            if !join.deleted {
                condition.and(&format!("{name}.state <> {DELETED}"), &[]);
            }
        }
        condition.and(&inner.sql, &inner.bound);
        let text = join
            .sql
            .replace("{table}", join.to.from())
            .replace("{near}", at.name)
            .replace("{far}", name)
            .replace("{laboratory}", laboratory.as_deref().unwrap_or_default())
            .replace("{inner}", &condition.sql);
        Condition::new(text, condition.bound)
    }

    /// The column with the text of a record's laboratory.
    fn laboratory(&self, at: &At) -> Option<String> {
        let column = |kind: usize| {
            let kind: &Kind = self.kinds.at(kind);
            match self.layout.of(kind.place).slots.get(kind.laboratory?)? {
                Slot::Source => Some(format!("{}.source", at.name)),
                Slot::Column(n) => Some(format!("{}.c{}", at.name, n + 1)),
                Slot::Time | Slot::Updated | Slot::Device => None,
            }
        };
        if let Some(kind) = at.kind {
            return column(kind);
        }
        let each = at.among.iter().filter_map(|&kind| {
            let id = self.layout.of(kind).id;
            Some(format!(" WHEN {id} THEN {}", column(kind)?))
        });
        let each: String = each.collect();
        (!each.is_empty()).then(|| format!("CASE {}.kind{each} END", at.name))
    }
}

/// The deliveries that tell of something by its id, or of anything of a type: of what was
/// deleted since as well. `None` where more is asked of it than that.
fn written_about(resource: &str, inner: &Test, name: &str) -> Option<Condition> {
    let (these, bound) = match inner {
        Test::Constant(true) => (String::new(), Vec::new()),
        Test::Hash(hashes) if !hashes.is_empty() => {
            let these = among::hashes("w.hash", hashes);
            (format!(" AND {}", these.sql), these.bound)
        }
        _ => return None,
    };
    let text = format!(
        "({name}.write, {name}.participant) IN (SELECT w.write, w.participant \
         FROM registry_write w WHERE w.resource = '{resource}'{these})"
    );
    Some(Condition::new(text, bound))
}

/// `Observation.status` as [`crate::store::StoredRecord`] gives it.
fn of_status(statuses: &[&str], name: &str) -> Condition {
    let parts = statuses.iter().map(|status| {
        let sql = match *status {
            "amended" => "{0}.state = 1",
            "corrected" => "({0}.state = 3 OR ({0}.state <> 1 AND {0}.version > 1))",
            "final" => "({0}.state NOT IN (1, 3) AND {0}.version = 1)",
            _ => return Condition::never(),
        };
        Condition::new(sql.replace("{0}", name), Vec::new())
    });
    Condition::any(parts)
}

fn of_field(
    test: &FieldTest,
    name: &str,
    field: usize,
    kind: &Kind,
    layout: &KindLayout,
) -> Condition {
    let Some(slot) = layout.slots.get(field) else {
        return Condition::never();
    };
    let column = match slot {
        Slot::Column(n) => format!("{name}.c{}", n + 1),
        Slot::Source => format!("{name}.source"),
        Slot::Device => format!("{name}.device"),
        Slot::Time => format!("{name}.time"),
        Slot::Updated => format!("{name}.updated"),
    };
    match test {
        // Where there is no source, its number is 0.
        FieldTest::Present if *slot == Slot::Source => {
            Condition::new(format!("{column} <> 0"), Vec::new())
        }
        FieldTest::Present => Condition::new(format!("{column} IS NOT NULL"), Vec::new()),
        FieldTest::Range(ranges) => {
            // The written decimals are in the low three bits.
            let raw = ranges.iter().map(|&(lo, hi)| {
                let lo = lo.checked_mul(8).unwrap_or(i64::MIN);
                let hi = hi.checked_mul(8).map_or(i64::MAX, |hi| hi + 7);
                (lo, hi)
            });
            let mut out = Condition::default();
            out.and_ranges(&column, &raw.collect::<Vec<_>>());
            if out.sql.is_empty() {
                out.and(&format!("{column} IS NOT NULL"), &[]);
            }
            out
        }
        FieldTest::Code(places) => {
            let ids = places.iter().filter_map(|&p| layout.codes[field].get(p));
            let mut ids: Vec<i64> = ids.copied().collect();
            ids.sort_unstable();
            ids.dedup();
            match ids.is_empty() {
                true => Condition::never(),
                false => {
                    let ids = sql::numbers(&ids);
                    Condition::new(format!("{column} IN ({ids})"), Vec::new())
                }
            }
        }
        FieldTest::Text(values) => {
            let table = match (slot, kind.device) {
                (Slot::Device, Some([maker, ..])) if field == maker => {
                    "device WHERE model_manufacturer_code"
                }
                (Slot::Device, _) => "device WHERE model_number",
                _ => "text WHERE value",
            };
            among::texts(values, |list| {
                format!("{column} IN (SELECT id FROM {table} IN ({list}))")
            })
        }
        FieldTest::Registered {
            list,
            column: asked,
            values,
        } => {
            let Some(key) = list.key().last() else {
                return Condition::never();
            };
            among::texts(values, |these| {
                format!(
                    "{column} IN (SELECT t.id FROM {} m JOIN text t ON t.value = m.{} \
                     WHERE m.{asked} IN ({these}))",
                    list.table, key.name
                )
            })
        }
    }
}

fn of_row(test: &Test, name: &str, table: Table) -> Condition {
    match (test, table) {
        (Test::Hash(hashes), _) => among::hashes(&format!("{name}.hash"), hashes),
        (Test::Column { name: column, test }, _) => of_column(test, name, column, table),
        (Test::External(these), Table::List(list)) => {
            let mut part = Condition::new("x.list = ?", vec![list.table.into()]);
            part.and_also(among::pairs("x", ["value", "system"], these));
            Condition::new(
                format!(
                    "{name}.id IN (SELECT x.owner FROM external_identifier x WHERE {})",
                    part.sql
                ),
                part.bound,
            )
        }
        (Test::External(these), Table::Device) => {
            let part = among::pairs("x", ["value", "system"], these);
            Condition::new(
                format!(
                    "{name}.id IN (SELECT x.device FROM device_identifier x WHERE {})",
                    part.sql
                ),
                part.bound,
            )
        }
        (Test::Updated(ranges), _) => {
            let mut out = Condition::default();
            out.and_ranges(&format!("{name}.updated_at"), &closed(ranges));
            out.or_always()
        }
        _ => Condition::never(),
    }
}

/// Bytes of a text that is looked for within others at most.
const PATTERN_MAX: usize = 10_000;

/// Ranges without their ends as ranges with them.
fn closed(ranges: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let last = |until: i64| match until {
        i64::MAX => i64::MAX,
        until => until.saturating_sub(1),
    };
    let ranges = ranges.iter().map(|&(from, until)| (from, last(until)));
    ranges.filter(|(from, last)| from <= last).collect()
}

fn of_column(test: &ColumnTest, name: &str, own: &str, table: Table) -> Condition {
    let column = &format!("{name}.{own}");
    match test {
        ColumnTest::Present => Condition::new(format!("{column} IS NOT NULL"), Vec::new()),
        ColumnTest::Equals(values) => among::texts(values, |list| format!("{column} IN ({list})")),
        ColumnTest::Compare(comparison, value) => {
            let sign = match comparison {
                Comparison::Less => "<",
                Comparison::AtMost => "<=",
                Comparison::AtLeast => ">=",
                Comparison::Greater => ">",
            };
            let bound = vec![value.as_str().into()];
            Condition::new(format!("{column} {sign} ?"), bound)
        }
        ColumnTest::Begins(starts) => among::begins(column, starts, |list| {
            // Each text of the list looks for its range of an index.
            format!(
                "{column} IN (SELECT b.{own} FROM ({list}) l CROSS JOIN {} b \
                 WHERE b.{own} >= l.a AND b.{own} < l.b)",
                table.from()
            )
        }),
        ColumnTest::Contains(parts) => {
            // No name is so long, and databases refuse such patterns.
            let parts = parts.iter().filter(|part| part.len() <= PATTERN_MAX);
            let patterns: Vec<String> = parts.map(|part| pattern(part)).collect();
            if patterns.len() <= among::FEW {
                return Condition::any(patterns.into_iter().map(|pattern| {
                    Condition::new(format!("{column} LIKE ? ESCAPE '!'"), vec![pattern.into()])
                }));
            }
            among::texts(&patterns, |list| {
                format!(
                    "EXISTS (WITH l (a) AS MATERIALIZED ({list}) \
                     SELECT 1 FROM l WHERE {column} LIKE l.a ESCAPE '!')"
                )
            })
        }
    }
}

/// The pattern of `LIKE` for texts that contain this one.
fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
