//! The registry rows that a submission names, whole.

use super::db::{Bound, bind};
use super::registry::{read, select};
use super::{Access, Result, Store, sql};
use crate::exchange::Submission;
use crate::registry::{
    CONSORTIA, DEVICES, HBA1C_METHODS, LABORATORIES, List, PARTICIPANTS, Registries,
};

impl Store {
    /// The rows of all lists that a submission names and that are registered.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn registries_of(&self, _access: &Access, s: &Submission) -> Result<Registries> {
        let consortium = s.consortium_id.as_str();
        let named = self.named(s);
        let mut out = Registries::new();
        let own = [consortium.to_owned()];
        self.whole_rows(&mut out, &CONSORTIA, None, &own).await?;
        for (list, keys) in [
            (&PARTICIPANTS, &s.persons),
            (&LABORATORIES, &named.laboratories),
        ] {
            self.whole_rows(&mut out, list, Some(consortium), keys)
                .await?;
        }
        for (list, keys) in &named.registered {
            let list = List::by_name(list).unwrap_or(&HBA1C_METHODS);
            self.whole_rows(&mut out, list, None, keys).await?;
        }
        for (maker, model) in &named.models {
            let text = select(
                &DEVICES,
                "WHERE model_manufacturer_code = ? AND model_number = ?",
            );
            let bound = [maker.as_str().into(), model.as_str().into()];
            for row in bind(&text, &bound).fetch_all(&self.read).await? {
                out.insert(read(&DEVICES, &row)?.row);
            }
        }
        Ok(out)
    }

    /// Rows by the last part of their keys.
    async fn whole_rows(
        &self,
        out: &mut Registries,
        list: &'static List,
        consortium: Option<&str>,
        keys: &[String],
    ) -> Result<()> {
        let Some(last) = list.key().last() else {
            return Ok(());
        };
        for chunk in sql::sets(keys) {
            let mut bound: Vec<Bound> = consortium.into_iter().map(Bound::from).collect();
            let of = match consortium {
                Some(_) => "consortium_id = ? AND ",
                None => "",
            };
            let rest = format!("WHERE {of}{} IN ({})", last.name, sql::list(chunk.len()));
            bound.extend(chunk.iter().map(|key| Bound::from(key.as_str())));
            for row in bind(&select(list, &rest), &bound)
                .fetch_all(&self.read)
                .await?
            {
                out.insert(read(list, &row)?.row);
            }
        }
        Ok(())
    }
}
