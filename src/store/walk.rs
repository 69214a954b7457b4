//! All records of a consortium in the order of the normal form, block by block.
//!
//! The way out for `/exchange/records` and `export`: by `person_id`, then kind, time and
//! source, with no more than a block of records in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Access, RecordQuery, Records, Relation, Result, Store, StoredRecord, Test, TimeTest};
use crate::fhir::id::{self, Hash96};
use crate::registry::{PARTICIPANTS, Row};

/// Participants asked for in one query.
const PEOPLE: usize = 64;
/// Records read from the database at a time.
const BLOCK: usize = 2000;

/// Which records.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Of this consortium.
    pub consortium_id: String,
    /// Of this participant only.
    pub person_id: Option<String>,
    /// Of the kinds at these places.
    pub kinds: Vec<usize>,
    /// Measured then.
    pub time: Option<TimeTest>,
    /// Last updated then or later, in milliseconds since the epoch.
    pub since: Option<i64>,
    /// Whether a newer `update_time` of the same content stands in the place of the
    /// version's, as the protocol export gives it.
    pub newest_update_time: bool,
}

/// A walk through the selected records.
pub struct Walk {
    store: Arc<Store>,
    access: Access,
    selection: Selection,
    /// The last row of the former page of participants; `None` before the first.
    after: Option<Row>,
    waiting: VecDeque<Hash96>,
    last_page: bool,
    /// What is left to ask of the participants at hand.
    query: Option<RecordQuery>,
}

/// Some of the records, in order.
pub struct Block {
    records: Records,
    order: Vec<usize>,
}

impl Block {
    /// The records with the texts they name.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The rows in the order of the normal form.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &StoredRecord> {
        self.order.iter().map(|&i| &self.records.rows[i])
    }
}

impl Walk {
    /// A walk that has not begun.
    pub fn new(store: Arc<Store>, access: Access, selection: Selection) -> Walk {
        let hash = |person: &String| id::participant_hash(&selection.consortium_id, person);
        Walk {
            waiting: selection.person_id.iter().map(hash).collect(),
            last_page: selection.person_id.is_some(),
            store,
            access,
            selection,
            after: None,
            query: None,
        }
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn next(&mut self) -> Result<Option<Block>> {
        loop {
            let mut query = match self.query.take() {
                Some(query) => query,
                None => {
                    self.people().await?;
                    if self.waiting.is_empty() {
                        return Ok(None);
                    }
                    self.first_query()
                }
            };
            let mut page = self.store.search(&self.access, &query).await?;
            if self.selection.newest_update_time {
                page.records.with_seen();
            }
            let full = page.next.is_some();
            let order = by_source(&page.records, full);
            if full {
                // The place is that of the last row as the store orders them.
                query.from = order.len().checked_sub(1).map(|last| page.after(last));
                self.query = Some(query);
            }
            if !order.is_empty() {
                let records = page.records;
                return Ok(Some(Block { records, order }));
            }
        }
    }

    fn first_query(&mut self) -> RecordQuery {
        let people = Test::Hash(self.waiting.drain(..).collect());
        let kinds = self.selection.kinds.iter();
        let mut tests = vec![
            Test::related(Relation::RecordParticipant, people),
            Test::of_kinds(kinds.map(|&kind| (kind, Test::ALWAYS))),
        ];
        tests.extend(self.selection.time.map(|test| Test::Time(vec![test])));
        let since = self.selection.since;
        tests.extend(since.map(|at| Test::Updated(vec![(at, i64::MAX)])));
        RecordQuery {
            test: Test::all(tests),
            limit: BLOCK,
            ..RecordQuery::default()
        }
    }

    async fn people(&mut self) -> Result<()> {
        if !self.waiting.is_empty() || self.last_page {
            return Ok(());
        }
        let consortium = self.selection.consortium_id.as_str();
        let page = self
            .store
            .registry_page(
                &self.access,
                &PARTICIPANTS,
                Some(consortium),
                self.after.as_ref(),
                PEOPLE,
            )
            .await?;
        self.last_page = page.len() < PEOPLE;
        for stored in &page {
            let person = stored.row.text("person_id").unwrap_or_default();
            self.waiting
                .push_back(id::participant_hash(consortium, person));
        }
        self.after = page.into_iter().last().map(|stored| stored.row);
        Ok(())
    }
}

/// The rows with those of one kind and time by source: the store numbers sources as they
/// came. Of a full block the last such group is left for the next one, where it may go on.
fn by_source(records: &Records, full: bool) -> Vec<usize> {
    let group = |i: usize| {
        let row = &records.rows[i];
        (row.key.participant, row.kind, row.key.time)
    };
    let mut order: Vec<usize> = (0..records.rows.len()).collect();
    if full && let Some(&last) = order.last() {
        let whole = order.iter().rposition(|&i| group(i) != group(last));
        order.truncate(whole.map_or(order.len(), |at| at + 1));
    }
    for same in order.chunk_by_mut(|&a, &b| group(a) == group(b)) {
        let source = |i: usize| records.record(&records.rows[i]).source();
        same.sort_by(|&a, &b| source(a).cmp(source(b)));
    }
    order
}
