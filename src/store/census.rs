//! How many participants there are, by consortium and by stage of HbA1c: the `quantity` of
//! Groups.
//!
//! The stage of a participant depends on their latest HbA1c: one seek in the key of the
//! records each, so the work grows with the participants and not with the records. A count
//! is kept as long as nothing was written, by this program or another, which the number of the
//! last transaction tells; so what is answered is what is stored. One exception keeps
//! a large database that is written to all the time from counting all the time: a count
//! that took long stands for twenty times as long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::db::{bind, query};
use super::layout::Slot;
use super::{Access, Result, Store};
use crate::fhir::canonical::LOINC;
use crate::registry::{HBA1C, Stage, TREATMENTS};

/// A count that took longer stands for a while, whatever is written meanwhile.
const LONG: Duration = Duration::from_millis(50);
/// So many times as long as it took.
const STANDS: u32 = 20;

/// How many participants there are.
#[derive(Debug, Default)]
pub struct Census {
    /// By consortium.
    consortia: HashMap<String, u64>,
    /// By stage, in the order of [`Stage::ALL`].
    stages: [u64; 4],
}

impl Census {
    /// Participants of a consortium.
    pub fn of_consortium(&self, consortium_id: &str) -> u64 {
        self.consortia.get(consortium_id).copied().unwrap_or(0)
    }

    /// Participants in a stage.
    pub fn of_stage(&self, stage: Stage) -> u64 {
        self.stages[stage as usize]
    }
}

struct Kept {
    /// The number of the last transaction when it was counted.
    revision: i64,
    census: Arc<Census>,
    counted: Instant,
    took: Duration,
}

/// The last count.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<Kept>>);

impl Cache {
    fn get(&self, revision: i64) -> Option<Arc<Census>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        let stands = kept.took > LONG && kept.counted.elapsed() < kept.took * STANDS;
        (stands || kept.revision == revision).then(|| kept.census.clone())
    }

    fn put(&self, kept: Kept) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

impl Store {
    /// How many participants there are now.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn census(&self, _access: &Access) -> Result<Arc<Census>> {
        let revision = self.revision().await?;
        if let Some(census) = self.census.get(revision) {
            return Ok(census);
        }
        let counted = Instant::now();
        let census = Arc::new(Census {
            consortia: self.by_consortium().await?,
            stages: self.by_stage().await?,
        });
        self.census.put(Kept {
            revision,
            census: census.clone(),
            counted,
            took: counted.elapsed(),
        });
        Ok(census)
    }

    async fn by_consortium(&self) -> Result<HashMap<String, u64>> {
        let mut out = HashMap::new();
        let counts =
            query("SELECT consortium_id, count(*) FROM participant GROUP BY consortium_id");
        for row in counts.fetch_all(&self.read).await? {
            out.insert(row.try_get(0)?, row.try_get::<i64>(1)? as u64);
        }
        Ok(out)
    }

    async fn by_stage(&self) -> Result<[u64; 4]> {
        let treated: Vec<String> = TREATMENTS
            .iter()
            .map(|code| format!("p.medication_codes LIKE '%\"{code}\"%'"))
            .collect();
        let mut bound = Vec::new();
        let measured = match self.hba1c() {
            Some((kind, column, decimals)) => {
                let below = |stage: Stage| cell(stage.range().0, decimals);
                bound.extend([below(Stage::Pre).into(), below(Stage::Mild).into()]);
                format!(
                    "(SELECT CASE WHEN r.c{column} < ? THEN 0 WHEN r.c{column} < ? THEN 1 ELSE 2 END \
                     FROM record r WHERE r.participant = p.id AND r.kind = {kind} AND r.state <> 2 \
                     AND r.c{column} IS NOT NULL ORDER BY r.time DESC, r.source DESC LIMIT 1)"
                )
            }
            None => "NULL".to_owned(),
        };
        let text = format!(
            "SELECT CAST(s.stage AS BIGINT), count(*) FROM (SELECT CASE WHEN {} THEN 3 ELSE {measured} END AS stage \
             FROM participant p) s WHERE s.stage IS NOT NULL GROUP BY s.stage",
            treated.join(" OR ")
        );
        let mut out = [0; 4];
        for row in bind(&text, &bound).fetch_all(&self.read).await? {
            let stage: i64 = row.try_get(0)?;
            if let Some(count) = out.get_mut(stage as usize) {
                *count = row.try_get::<i64>(1)? as u64;
            }
        }
        Ok(out)
    }

    /// The kind of HbA1c: `kind.id`, its value's numbered column from 1, and the value's
    /// decimals.
    fn hba1c(&self) -> Option<(i64, usize, u32)> {
        self.kinds.iter().find_map(|kind| {
            let is = |(system, code): &(String, String)| system == LOINC && code == HBA1C;
            kind.mapping.code_codings().iter().any(is).then_some(())?;
            let main = kind.mapping.main?;
            let layout = self.layout.of(kind.place);
            let Slot::Column(n) = layout.slots[main] else {
                return None;
            };
            let decimals = kind.fields[main].ty.decimals();
            Some((layout.id, n + 1, u32::from(decimals)))
        })
    }
}

/// A number with one decimal as a column of `decimals` decimals keeps it, none of them
/// written.
fn cell(written: Option<&str>, decimals: u32) -> i64 {
    let tenths: i64 = written
        .and_then(|w| w.replace('.', "").parse().ok())
        .unwrap_or(0);
    // Where there are no decimals, what is below 5.6 is below 6.
    (tenths * 10_i64.pow(decimals)).div_euclid(10) * 8 + if decimals == 0 { 8 } else { 0 }
}
