//! The registry rows that resources from elsewhere need: whom their identifiers name, and
//! what stands in for what they leave out (mapping specification §5.2).

use std::collections::BTreeSet;

use super::db::{Bound, bind};
use super::registry::{read, select};
use super::{Access, Result, Store, sql};
use crate::registry::{LABORATORIES, List, PARTICIPANTS, Registries, split_identifier};

/// What is wanted of the registries.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Participants by an identifier, `system|value`, that others gave them.
    pub participants: BTreeSet<String>,
    /// Laboratories by such an identifier, or by their institution code.
    pub laboratories: BTreeSet<String>,
    /// The rows of a list that have a value in a column.
    pub having: Vec<(&'static List, &'static str)>,
}

impl Wanted {
    /// Wants the rows of a list that have a value in a column.
    pub fn having(&mut self, list: &'static List, column: &str) {
        if let Some(field) = list.field(column)
            && !self.having.contains(&(list, field.name))
        {
            self.having.push((list, field.name));
        }
    }

    /// Wants what another wants as well.
    pub fn add(&mut self, other: Wanted) {
        self.participants.extend(other.participants);
        self.laboratories.extend(other.laboratories);
        for (list, column) in other.having {
            self.having(list, column);
        }
    }
}

impl Store {
    /// The rows that are wanted, without a statement where none is.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn wanted(&self, _access: &Access, wanted: &Wanted) -> Result<Registries> {
        let mut out = Registries::new();
        for (list, identifiers) in [
            (&PARTICIPANTS, &wanted.participants),
            (&LABORATORIES, &wanted.laboratories),
        ] {
            // The index leads by values, which are as good as unique by themselves.
            let values = identifiers.iter().filter_map(|i| split_identifier(i));
            let values: BTreeSet<&str> = values.map(|(_, value)| value).collect();
            let values: Vec<&str> = values.into_iter().collect();
            for chunk in sql::sets(&values) {
                let rest = format!(
                    "WHERE id IN (SELECT owner FROM external_identifier \
                     WHERE list = ? AND value IN ({}))",
                    sql::list(chunk.len())
                );
                let mut bound = vec![Bound::from(list.table)];
                bound.extend(chunk.iter().map(|&value| Bound::from(value)));
                self.rows_into(&mut out, list, &rest, &bound).await?;
            }
        }
        for (list, column) in &wanted.having {
            let rest = format!("WHERE {column} IS NOT NULL");
            self.rows_into(&mut out, list, &rest, &[]).await?;
        }
        Ok(out)
    }

    async fn rows_into(
        &self,
        out: &mut Registries,
        list: &'static List,
        rest: &str,
        bound: &[Bound],
    ) -> Result<()> {
        let rows = bind(&select(list, rest), bound).fetch_all(&self.read);
        for row in rows.await? {
            out.insert(read(list, &row)?.row);
        }
        Ok(())
    }
}
