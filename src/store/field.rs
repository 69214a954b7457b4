//! Tests of the numbered columns of one kind.

use super::db::Bound;
use super::layout::{KindLayout, Slot};
use super::query::Condition;
use super::sql;
use crate::registry::List;

/// A test of one field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldTest {
    /// The field's text is the key of a row of a registry list, and a column of that row
    /// has one of these values: the class of a method, say.
    Registered {
        /// The field, a text.
        field: usize,
        /// The list; its key is one field.
        list: &'static List,
        /// The column.
        column: &'static str,
        /// The values.
        values: Vec<String>,
    },
}

/// Adds tests, any of which may hold; none at all is no condition.
pub(super) fn and_fields(condition: &mut Condition, layout: &KindLayout, tests: &[FieldTest]) {
    if tests.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    let mut bound = Vec::new();
    for test in tests {
        let FieldTest::Registered {
            field,
            list,
            column,
            values,
        } = test;
        let (Some(Slot::Column(n)), Some(key)) = (layout.slots.get(*field), list.key().last())
        else {
            continue;
        };
        parts.push(format!(
            "r.c{} IN (SELECT t.id FROM {} m JOIN text t ON t.value = m.{} WHERE m.{column} IN ({}))",
            n + 1,
            list.table,
            key.name,
            sql::list(values.len())
        ));
        bound.extend(values.iter().map(|v| Bound::from(v.as_str())));
    }
    if parts.is_empty() {
        *condition = Condition::never();
        return;
    }
    condition.and(&format!("({})", parts.join(" OR ")), &bound);
}
