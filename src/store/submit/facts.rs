//! The registry rows that a submission names, and those that `--registry auto` adds.

use std::collections::{HashMap, HashSet};

use crate::exchange::Submission;
use crate::registry::{
    CONSORTIA, DEVICES, LABORATORIES, List, PARTICIPANTS, Registries, Row, Value,
};
use crate::store::db::{Db, query};
use crate::store::work::Work;
use crate::store::{Result, Store, registry, sql};
use crate::time;

/// The keys of registry rows that a submission names.
pub(in crate::store) struct Named {
    pub laboratories: Vec<String>,
    pub models: Vec<(String, String)>,
    pub registered: Vec<(String, Vec<String>)>,
}

impl Store {
    /// The registry rows that a submission names.
    pub(super) async fn facts(&self, db: &mut Db<'_>, s: &Submission) -> Result<Registries> {
        let mut facts = Registries::new();
        let consortium = s.consortium_id.as_str();
        for row in keyed(db, &CONSORTIA, None, &[consortium.to_owned()]).await? {
            facts.insert(row);
        }
        for row in keyed(db, &PARTICIPANTS, Some(consortium), &s.persons).await? {
            facts.insert(row);
        }
        let named = self.named(s);
        for row in keyed(db, &LABORATORIES, Some(consortium), &named.laboratories).await? {
            facts.insert(row);
        }
        for (list, keys) in &named.registered {
            if let Some(list) = List::by_name(list) {
                for row in keyed(db, list, None, keys).await? {
                    facts.insert(row);
                }
            }
        }
        for (maker, model) in &named.models {
            let text = "SELECT mean_error_percent FROM device_model \
                        WHERE model_manufacturer_code = ? AND model_number = ?";
            let row = query(text)
                .bind(maker)
                .bind(model)
                .fetch_optional(db.again())
                .await?;
            if let Some(found) = row {
                let mut row = Row::new(&DEVICES);
                row.set("model_manufacturer_code", Value::Text(maker.clone()));
                row.set("model_number", Value::Text(model.clone()));
                if let Some(error) = found.try_get::<Option<String>>(0)? {
                    row.set("mean_error_percent", Value::Text(error));
                }
                facts.insert(row);
            }
        }
        Ok(facts)
    }

    /// The keys of registry rows that a submission names, each once.
    pub(in crate::store) fn named(&self, s: &Submission) -> Named {
        let mut labs: HashSet<i64> = HashSet::new();
        let mut models: HashSet<(i64, i64)> = HashSet::new();
        let mut registered: HashMap<&str, HashSet<i64>> = HashMap::new();
        for row in &s.rows {
            let kind = self.kinds.at(usize::from(row.kind));
            let cells = s.cells(&self.kinds, row);
            labs.extend(kind.laboratory.and_then(|f| cells[f].raw()));
            if let Some([maker, model, _]) = kind.device {
                models.extend(cells[maker].raw().zip(cells[model].raw()));
            }
            for (field, list) in &kind.registered {
                registered
                    .entry(list)
                    .or_default()
                    .extend(cells[*field].raw());
            }
        }
        let text = |place: i64| s.texts.get(place).to_owned();
        Named {
            laboratories: labs.into_iter().map(text).collect(),
            models: models
                .into_iter()
                .map(|(a, b)| (text(a), text(b)))
                .collect(),
            registered: registered
                .into_iter()
                .map(|(list, places)| (list.to_owned(), places.into_iter().map(text).collect()))
                .collect(),
        }
    }

    /// Adds what `--registry auto` adds.
    pub(super) async fn register_unknown(&self, work: &mut Work, s: &Submission) -> Result<()> {
        let facts = self.facts(&mut (&mut work.tx).into(), s).await?;
        let consortium = s.consortium_id.as_str();
        let mut rows: Vec<Row> = Vec::new();
        if facts.consortium(consortium).is_none() {
            rows.push(Row::provisional(&CONSORTIA, &[consortium]));
        }
        let mut first: Vec<i64> = vec![i64::MAX; s.persons.len()];
        for row in s.rows.iter().filter(|row| !row.refused) {
            if let Some(person) = row.person {
                let time = s.record(&self.kinds, row).seconds();
                first[person as usize] = first[person as usize].min(time);
            }
        }
        for (person, first) in s.persons.iter().zip(first) {
            if first < i64::MAX && facts.participant(consortium, person).is_none() {
                let mut row = Row::provisional(&PARTICIPANTS, &[consortium, person]);
                row.set("sex_code", Value::Text("0".into()));
                let day = time::text(|out| time::write14(out, first));
                row.set("participation_start_date", Value::Text(day[..8].to_owned()));
                rows.push(row);
            }
        }
        for lab in &self.named(s).laboratories {
            if facts.laboratory(consortium, lab).is_none() {
                rows.push(Row::provisional(&LABORATORIES, &[consortium, lab]));
            }
        }
        for list in [&CONSORTIA, &PARTICIPANTS, &LABORATORIES] {
            let these: Vec<Row> = rows.iter().filter(|r| r.list() == list).cloned().collect();
            for chunk in sql::chunks(&these) {
                registry::upsert(work, list, chunk, &mut registry::Changed::default()).await?;
            }
        }
        Ok(())
    }
}

/// Rows of a list by the last part of their keys; only what the checks need of them.
async fn keyed(
    db: &mut Db<'_>,
    list: &'static List,
    consortium: Option<&str>,
    keys: &[String],
) -> Result<Vec<Row>> {
    let Some(last) = list.key().last() else {
        return Ok(Vec::new());
    };
    let wanted = [
        "participation_start_date",
        "participation_end_date",
        "method_class_code",
    ];
    let fields: Vec<&'static str> = list
        .fields
        .iter()
        .filter(|f| f.key || wanted.contains(&f.name))
        .map(|f| f.name)
        .collect();
    let mut out = Vec::new();
    for chunk in sql::sets(keys) {
        let of = if consortium.is_some() {
            "consortium_id = ? AND "
        } else {
            ""
        };
        let text = format!(
            "SELECT {} FROM {} WHERE {of}{} IN ({})",
            fields.join(", "),
            list.table,
            last.name,
            sql::list(chunk.len())
        );
        let statement = query(text).bind_all(consortium).bind_all(chunk);
        for found in statement.fetch_all(db.again()).await? {
            let mut row = Row::new(list);
            for (i, field) in fields.iter().enumerate() {
                if let Some(text) = found.try_get::<Option<String>>(i)? {
                    row.set(field, Value::Text(text));
                }
            }
            out.push(row);
        }
    }
    Ok(out)
}
