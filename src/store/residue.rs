//! What was written of a record over FHIR beyond its fields: kept beside it, and found by
//! searches.
//!
//! The store does not look into it. A version of a record names its residue by number; a
//! correction by the protocol, which cannot say such things, goes on naming it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::db::{Db, Transaction, query};
use super::test::{ResidueTest, Test};
use super::work::Work;
use super::{Result, Store, sql};

/// What was written of a record beyond its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residue {
    /// What is kept, as JSON; empty where there is nothing.
    pub content: String,
    /// The same of what makes no new version by itself: `meta`, say.
    pub aside: String,
    /// What searches find in it.
    pub values: Vec<ResidueValue>,
    /// What searches by quantity find.
    pub quantities: Vec<ResidueQuantity>,
}

/// A unit of quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuantityUnit {
    /// The system of its code; empty where there is none.
    pub system: String,
    /// Its code.
    pub code: String,
    /// Its text for people.
    pub unit: String,
    /// Decimals of the numbers.
    pub decimals: u8,
}

/// Where a number of a residue stands; the column `component` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResiduePlace {
    /// In the Observation itself: its value.
    Own = 0,
    /// In a component.
    Component = 1,
    /// In `effective[x]`, where that shows another interval than the record has: the first
    /// millisecond. The unit has the length of the record's interval in milliseconds as its
    /// code, and that of the one shown as its text.
    Effective = 2,
}

/// A quantity beside a code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResidueQuantity {
    /// Where it stands.
    pub place: ResiduePlace,
    /// The system of the code; empty where there is none.
    pub system: String,
    /// The code; empty where there is none.
    pub code: String,
    /// The number, as a whole number of its last decimal.
    pub number: i64,
    /// Its unit.
    pub unit: QuantityUnit,
}

/// What one search parameter reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResidueValue {
    /// The parameter.
    pub parameter: String,
    /// The system of a code or identifier; empty where there is none.
    pub system: String,
    /// The code, the identifier, the reference.
    pub value: String,
}

/// Numbers of residues that one write can make.
const OF_WRITE: i64 = 1 << 20;

/// Distinct residue tests of one query that are looked up at most; those beyond count as
/// found where there is any residue, which one more bit tells.
const LOOKUPS_MAX: usize = 60;

/// The residue tests of a query, and which of them some residue answers.
pub(super) struct ResidueLookup {
    /// Each as it was asked, and with the numbers that its quantities mean.
    asked: Vec<(ResidueTest, ResidueTest)>,
    /// A bit for each of the first ones: whether it was found.
    pub found: i64,
}

impl ResidueLookup {
    /// Whether these bits can be those of the tests.
    pub fn admits(&self, found: i64) -> bool {
        found >= 0 && found >> self.asked.len().min(LOOKUPS_MAX + 1) == 0
    }

    /// The test without what was not found by these bits, and settled otherwise.
    pub fn settle<'t>(&self, test: &'t Test, found: i64) -> Cow<'t, Test> {
        if self.asked.is_empty() {
            return Cow::Borrowed(test);
        }
        let asked = self.asked.iter().enumerate();
        let known: HashMap<ResidueTest, Test> = asked
            .map(|(at, (one, settled))| {
                let is = match found >> at.min(LOOKUPS_MAX) & 1 == 1 {
                    true => Test::Residue(settled.clone()),
                    false => Test::NEVER,
                };
                (one.clone(), is)
            })
            .collect();
        Cow::Owned(test.with_residues(&known))
    }
}

/// Whether two contents say the same, in whatever order.
pub(super) fn same(stored: Option<&String>, written: Option<&Residue>) -> bool {
    let stored = stored.map_or("", String::as_str);
    let written = written.map_or("", |residue| &residue.content);
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    stored == written || (!stored.is_empty() && value(stored) == value(written))
}

/// The residues of these numbers, each as the JSON of a list: `[content, aside]`, of which
/// either may be missing.
pub(super) async fn read(
    db: &mut Db<'_>,
    ids: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, Arc<str>>> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut out = HashMap::with_capacity(ids.len());
    for chunk in sql::sets(&ids) {
        let text = format!(
            "SELECT id, content, aside FROM residue WHERE id IN ({})",
            sql::list(chunk.len())
        );
        for row in query(text).bind_all(chunk).fetch_all(db.again()).await? {
            let parts: [Option<String>; 2] = [row.try_get(1)?, row.try_get(2)?];
            let parts = parts.map(Option::unwrap_or_default);
            out.insert(row.try_get(0)?, list(&parts[0], &parts[1]).into());
        }
    }
    Ok(out)
}

/// A residue as the JSON of a list.
fn list(content: &str, aside: &str) -> String {
    let parts = [content, aside].into_iter().filter(|part| !part.is_empty());
    format!("[{}]", parts.collect::<Vec<_>>().join(","))
}

impl Residue {
    /// Whether it is what is kept, read so.
    pub(super) fn is(&self, kept: Option<&str>) -> bool {
        kept == Some(list(&self.content, &self.aside).as_str())
    }
}

impl Store {
    /// Whether there is any: what other programs wrote is seen, too.
    async fn has_residue(&self) -> Result<bool> {
        if self.has_residue.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let statement = query("SELECT 1 FROM residue LIMIT 1");
        let found = statement.fetch_optional(&self.read).await?.is_some();
        self.has_residue.store(found, Ordering::Relaxed);
        Ok(found)
    }

    /// The test without what no residue can answer, so that what is left of it is as little
    /// as where there is no residue; and with the numbers that quantities mean.
    pub(super) async fn without_residue<'t>(&self, test: &'t Test) -> Result<Cow<'t, Test>> {
        let residues = self.residues(test).await?;
        Ok(residues.settle(test, residues.found))
    }

    /// Looks up which of the residue tests of a query any residue can answer.
    pub(super) async fn residues(&self, test: &Test) -> Result<ResidueLookup> {
        let mut all = Vec::new();
        test.residues(&mut all);
        let mut seen = HashSet::new();
        let asked: Vec<&ResidueTest> = all.into_iter().filter(|one| seen.insert(*one)).collect();
        let mut lookup = ResidueLookup {
            asked: Vec::with_capacity(asked.len()),
            found: 0,
        };
        if asked.is_empty() {
            return Ok(lookup);
        }
        let has_any = self.has_residue().await?;
        let mut units = Vec::new();
        if has_any && asked.iter().any(|test| test.asks_units()) {
            units = self.residue_units().await?;
        }
        for (at, one) in asked.into_iter().enumerate() {
            let settled = one.settled(&units);
            let at = at.min(LOOKUPS_MAX);
            if has_any && (at == LOOKUPS_MAX || self.is_found(&settled).await?) {
                lookup.found |= 1 << at;
            }
            lookup.asked.push((one.clone(), settled));
        }
        Ok(lookup)
    }

    /// The units of what is kept, by number.
    async fn residue_units(&self) -> Result<Vec<(i64, QuantityUnit)>> {
        let statement = query("SELECT id, system, code, unit, decimals FROM residue_unit");
        let rows = statement.fetch_all(&self.read).await?;
        let each = rows.iter().map(|row| {
            let unit = QuantityUnit {
                system: row.try_get(1)?,
                code: row.try_get(2)?,
                unit: row.try_get(3)?,
                decimals: row.try_get::<i64>(4)?.try_into().unwrap_or_default(),
            };
            Ok((row.try_get(0)?, unit))
        });
        each.collect()
    }

    async fn is_found(&self, test: &ResidueTest) -> Result<bool> {
        let condition = test.condition("v");
        if condition.is_never() {
            return Ok(false);
        }
        let text = format!(
            "SELECT 1 FROM {} v WHERE {} LIMIT 1",
            test.table(),
            condition.sql
        );
        let statement = query(text).bind_all(condition.bound);
        Ok(statement.fetch_optional(&self.read).await?.is_some())
    }
}

/// The contents of some residues.
pub(super) async fn contents(tx: &mut Transaction, ids: &[i64]) -> Result<HashMap<i64, String>> {
    let mut out = HashMap::with_capacity(ids.len());
    for chunk in sql::sets(ids) {
        let text = format!(
            "SELECT id, content FROM residue WHERE id IN ({})",
            sql::list(chunk.len())
        );
        for row in query(text).bind_all(chunk).fetch_all(&mut *tx).await? {
            let content: Option<String> = row.try_get(1)?;
            out.insert(row.try_get(0)?, content.unwrap_or_default());
        }
    }
    Ok(out)
}

impl Work {
    /// Keeps residues, each of a participant; their numbers.
    pub async fn keep(&mut self, these: &[(i64, &Residue)]) -> Result<Vec<i64>> {
        if these.is_empty() {
            return Ok(Vec::new());
        }
        let write = self.write().await?;
        let first = write * OF_WRITE + self.residues;
        self.residues += these.len() as i64;
        let ids: Vec<i64> = (first..).take(these.len()).collect();
        let rows: Vec<(i64, i64, &Residue)> = std::iter::zip(&ids, these)
            .map(|(&id, &(participant, residue))| (id, participant, residue))
            .collect();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        for chunk in sql::chunks(&rows) {
            let mut statement = query(format!(
                "INSERT INTO residue (id, participant, content, aside) VALUES {}",
                sql::values(chunk.len(), 4)
            ));
            for (id, participant, residue) in chunk {
                statement = statement.bind(id).bind(participant);
                statement = statement.bind(text(&residue.content));
                statement = statement.bind(text(&residue.aside));
            }
            statement.execute(&mut self.tx).await?;
        }
        let values: Vec<(i64, i64, &ResidueValue)> = rows
            .iter()
            .flat_map(|(id, participant, r)| r.values.iter().map(|v| (*id, *participant, v)))
            .collect();
        for chunk in sql::chunks(&values) {
            let mut statement = query(format!(
                "INSERT INTO residue_value (parameter, value, system, residue, participant) \
                 VALUES {}",
                sql::values(chunk.len(), 5)
            ));
            for (id, participant, value) in chunk {
                statement = statement.bind_all([&value.parameter, &value.value, &value.system]);
                statement = statement.bind(id).bind(participant);
            }
            statement.execute(&mut self.tx).await?;
        }
        self.keep_quantities(&rows).await?;
        Ok(ids)
    }

    async fn keep_quantities(&mut self, rows: &[(i64, i64, &Residue)]) -> Result<()> {
        let mut units: BTreeMap<&QuantityUnit, i64> = BTreeMap::new();
        let mut quantities: Vec<(i64, i64, &ResidueQuantity)> = Vec::new();
        for (id, participant, residue) in rows {
            for quantity in &residue.quantities {
                if !units.contains_key(&quantity.unit) {
                    let unit = self.unit_number(&quantity.unit).await?;
                    units.insert(&quantity.unit, unit);
                }
                quantities.push((*id, *participant, quantity));
            }
        }
        for chunk in sql::chunks(&quantities) {
            let mut statement = query(format!(
                "INSERT INTO residue_quantity \
                 (component, unit, number, code, system, residue, participant) VALUES {}",
                sql::values(chunk.len(), 7)
            ));
            for (id, participant, quantity) in chunk {
                let unit = units.get(&quantity.unit).copied().unwrap_or_default();
                statement = statement.bind_all([quantity.place as i64, unit, quantity.number]);
                statement = statement.bind_all([&quantity.code, &quantity.system]);
                statement = statement.bind_all([id, participant]);
            }
            statement.execute(&mut self.tx).await?;
        }
        Ok(())
    }

    /// The number of a unit, given one where it is new.
    async fn unit_number(&mut self, unit: &QuantityUnit) -> Result<i64> {
        let texts = [&unit.system, &unit.code, &unit.unit];
        let decimals = i64::from(unit.decimals);
        query(
            "INSERT INTO residue_unit (system, code, unit, decimals) VALUES (?, ?, ?, ?) \
             ON CONFLICT (system, code, unit, decimals) DO NOTHING",
        )
        .bind_all(texts)
        .bind(decimals)
        .execute(&mut self.tx)
        .await?;
        let row = query(
            "SELECT id FROM residue_unit WHERE system = ? AND code = ? AND unit = ? AND decimals = ?",
        )
        .bind_all(texts)
        .bind(decimals)
        .fetch_one(&mut self.tx)
        .await?;
        row.try_get(0)
    }
}

/// Whether any residue is stored, as far as this process knows.
pub(super) async fn any(tx: &mut Transaction) -> Result<AtomicBool> {
    let statement = query("SELECT 1 FROM residue LIMIT 1");
    Ok(statement.fetch_optional(tx).await?.is_some().into())
}
