//! The columns that records are walked by: their SQL, their values, and what stands beyond
//! a place.

use crate::kind::{Kind, Kinds};
use crate::record::Cell;
use crate::store::db::Bound;
use crate::store::layout::{KindLayout, Slot};
use crate::store::query::{Condition, SortBy, SortKey};
use crate::store::read::{AMENDED, CORRECTED, Raw, status};
use crate::store::sql;

/// One column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `time`
    Time,
    /// `participant`
    Participant,
    /// `source`
    Source,
    /// `write`
    Write,
    /// The place of `Observation.status` among the statuses in the order of the alphabet.
    Status,
    /// The same for all records of the kind.
    Constant(i64),
    /// Whether a field has no value.
    Missing(usize),
    /// The number of a field as the store keeps it, 0 where there is none.
    Cell(usize),
    /// The number of a field times a power of ten, 0 where there is none; the greatest number
    /// of 64 bits that is one where it does not fit.
    Number(usize, i32),
}

/// A column with its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed {
    /// The column.
    pub column: Column,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Keyed {
    /// The smallest first.
    pub fn up(column: Column) -> Keyed {
        Keyed {
            column,
            descending: false,
        }
    }

    /// The term of `ORDER BY`; `None` for a constant, which orders nothing.
    pub fn order(&self, layout: &KindLayout) -> Option<String> {
        let direction = if self.descending { " DESC" } else { "" };
        Some(format!("{}{direction}", self.column.sql(layout)?))
    }
}

impl Column {
    /// The columns of one key for records of `kind`, which is one of `kinds`. What has no
    /// value comes last. `last` tells that no other key follows.
    pub fn of_key(
        kinds: &Kinds,
        among: &[usize],
        kind: usize,
        key: SortKey,
        last: bool,
        out: &mut Vec<Keyed>,
    ) {
        let descending = key.descending;
        let mut put = |column| out.push(Keyed { column, descending });
        match key.by {
            SortBy::Time => put(Column::Time),
            SortBy::Written => put(Column::Write),
            SortBy::Participant => put(Column::Participant),
            SortBy::Status => put(Column::Status),
            SortBy::Code => {
                let code = |kind: usize| {
                    let codings = kinds.at(kind).mapping.code_codings();
                    codings.into_iter().next().map(|(_, code)| code)
                };
                let own = code(kind);
                let mut all: Vec<_> = among.iter().map(|&kind| code(kind)).collect();
                all.sort();
                all.dedup();
                let place = all.iter().position(|code| *code == own);
                put(Column::Constant(place.unwrap_or(0) as i64));
            }
            SortBy::Value => {
                let field = |kind: usize| {
                    let kind = kinds.at(kind);
                    let field = kind.mapping.main?;
                    kind.fields[field].ty.is_number().then_some(field)
                };
                let Some(main) = field(kind) else {
                    out.push(Keyed::up(Column::Constant(1)));
                    let column = Column::Constant(0);
                    out.push(Keyed { column, descending });
                    return;
                };
                let own: &Kind = kinds.at(kind);
                out.push(Keyed::up(match own.fields[main].required {
                    true => Column::Constant(0),
                    false => Column::Missing(main),
                }));
                let decimals =
                    |kind: usize| Some(kinds.at(kind).fields[field(kind)?].ty.decimals());
                let own = decimals(kind).unwrap_or(0);
                let most = among.iter().filter_map(|&k| decimals(k)).max();
                let shift = i32::from(most.unwrap_or(own)) - i32::from(own);
                // As it is kept, it is in the order of an index.
                let required = kinds.at(kind).fields[main].required;
                let column = match last && required && among.len() == 1 {
                    true => Column::Cell(main),
                    false => Column::Number(main, shift),
                };
                out.push(Keyed { column, descending });
            }
            SortBy::Id => {
                put(Column::Participant);
                let hash = |kind: usize| kinds.at(kind).hash;
                let before = among.iter().filter(|&&other| hash(other) < hash(kind));
                put(Column::Constant(before.count() as i64));
                put(Column::Time);
                put(Column::Source);
            }
            SortBy::Column(_) => {}
        }
    }

    fn numbered(field: usize, layout: &KindLayout) -> Option<usize> {
        match layout.slots.get(field)? {
            Slot::Column(n) => Some(*n),
            _ => None,
        }
    }

    /// Its SQL; `None` for a constant.
    pub fn sql(self, layout: &KindLayout) -> Option<String> {
        let cell = |field| Column::numbered(field, layout).map(|n| format!("r.c{}", n + 1));
        Some(match self {
            Column::Time => "r.time".into(),
            Column::Participant => "r.participant".into(),
            Column::Source => "r.source".into(),
            Column::Write => "r.write".into(),
            Column::Status => {
                format!(
                    "CASE WHEN r.state = {AMENDED} THEN 0 \
                     WHEN r.version > 1 OR r.state = {CORRECTED} THEN 1 ELSE 2 END"
                )
            }
            Column::Constant(_) => return None,
            Column::Missing(field) => {
                format!("CASE WHEN {} IS NULL THEN 1 ELSE 0 END", cell(field)?)
            }
            Column::Cell(field) => cell(field)?,
            Column::Number(field, shift) => {
                let power = 10_i64.pow(shift.unsigned_abs());
                let number = format!("({} >> 3)", cell(field)?);
                match power {
                    1 => format!("coalesce({number}, 0)"),
                    _ => {
                        let most = i64::MAX / power;
                        format!(
                            "coalesce(CASE WHEN {number} > {most} THEN {most} ELSE {number} END \
                             * {power}, 0)"
                        )
                    }
                }
            }
        })
    }

    /// Its SQL, a literal for a constant.
    pub fn literal(self, layout: &KindLayout) -> String {
        let sql = self.sql(layout);
        sql.unwrap_or_else(|| match self {
            Column::Constant(value) => value.to_string(),
            _ => "0".into(),
        })
    }

    /// Its value in a row.
    pub fn value(self, raw: &Raw, layout: &KindLayout) -> i64 {
        let cell = |field| Column::numbered(field, layout).and_then(|n| raw.columns[n]);
        match self {
            Column::Time => raw.time,
            Column::Participant => raw.participant,
            Column::Source => raw.source,
            Column::Write => raw.write,
            Column::Status => match status(raw.state, raw.version) {
                "amended" => 0,
                "corrected" => 1,
                _ => 2,
            },
            Column::Constant(value) => value,
            Column::Missing(field) => i64::from(cell(field).is_none()),
            Column::Cell(field) => cell(field).unwrap_or(0),
            Column::Number(field, shift) => {
                let cell = Cell::from_raw(cell(field));
                match cell.is_absent() {
                    true => 0,
                    false => {
                        let power = 10_i64.pow(shift.unsigned_abs());
                        cell.scaled().min(i64::MAX / power) * power
                    }
                }
            }
        }
    }
}

/// What stands beyond these values in the order of the columns, or (`or_equal`) at them.
pub fn beyond(columns: &[Keyed], values: &[i64], or_equal: bool, layout: &KindLayout) -> Condition {
    let (Some((first, rest)), Some((&value, others))) =
        (columns.split_first(), values.split_first())
    else {
        return match or_equal {
            true => Condition::always(),
            false => Condition::never(),
        };
    };
    let down = first.descending;
    let Some(sql) = first.column.sql(layout) else {
        let Column::Constant(own) = first.column else {
            return Condition::never();
        };
        return match own.cmp(&value) {
            std::cmp::Ordering::Equal => beyond(rest, others, or_equal, layout),
            ordering if ordering.is_lt() == down => Condition::always(),
            _ => Condition::never(),
        };
    };
    let sign = if down { '<' } else { '>' };
    let terms: Option<Vec<String>> = columns
        .iter()
        .map(|c| {
            (c.descending == down)
                .then(|| c.column.sql(layout))
                .flatten()
        })
        .collect();
    if let Some(terms) = terms
        && terms.len() == values.len()
    {
        let equal = if or_equal { "=" } else { "" };
        let list = sql::list(values.len());
        let bound = values.iter().copied().map(Bound::Int).collect();
        return Condition::new(
            format!("({}) {sign}{equal} ({list})", terms.join(", ")),
            bound,
        );
    }
    let rest = beyond(rest, others, or_equal, layout);
    let mut out = Condition::new(format!("{sql} {sign}= ?"), vec![value.into()]);
    let mut either = vec![Condition::new(
        format!("{sql} {sign} ?"),
        vec![value.into()],
    )];
    if !rest.is_never() {
        let mut same = Condition::new(format!("{sql} = ?"), vec![value.into()]);
        same.and_also(rest);
        either.push(same);
    }
    out.and_also(Condition::any(either));
    out
}
