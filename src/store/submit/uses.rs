//! Which participants used which devices.

use std::collections::HashSet;

use super::{NULL, Pending};
use crate::store::db::query;
use crate::store::work::Work;
use crate::store::{Result, Store, sql};

impl Store {
    /// Notes the pairs of device and participant that written records bring and that are not
    /// known yet.
    pub(super) async fn note_uses(&self, work: &mut Work, by_kind: &[Vec<Pending>]) -> Result<()> {
        let mut new: HashSet<(i64, i64), foldhash::fast::RandomState> = HashSet::default();
        // Records of a participant stand together: the last pair is the next one mostly.
        let mut last = (NULL, NULL);
        for p in by_kind
            .iter()
            .flatten()
            .filter(|p| p.writes() && p.device != NULL)
        {
            let pair = (p.device, p.participant);
            if pair != last && self.dictionary.uses.get(&pair).is_none() {
                new.insert(pair);
            }
            last = pair;
        }
        let mut new: Vec<(i64, i64)> = new.into_iter().collect();
        new.sort_unstable();
        for chunk in sql::chunks(&new) {
            let text = format!(
                "INSERT INTO participant_device (device, participant) VALUES {} \
                 ON CONFLICT (device, participant) DO NOTHING",
                sql::values(chunk.len(), 2)
            );
            let values = chunk
                .iter()
                .flat_map(|&(device, participant)| [device, participant]);
            query(text).bind_all(values).execute(&mut work.tx).await?;
        }
        work.new_uses.extend(new);
        Ok(())
    }
}
