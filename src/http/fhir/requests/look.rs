//! What requests look for before they are written: the resources that conditional
//! interactions name, and what references lead to.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::timeout;

use super::answer::other_id;
use super::{Answer, Ask, Request, Requests, TRIES, Target};
use crate::fhir::inbound::{Known, Named, Taken, Written};
use crate::fhir::resource::{self, Interaction};
use crate::http::error::{Problem, Result};
use crate::http::fhir::condition::{self, Found};
use crate::http::fhir::{create, read};
use crate::store::{Held, Store};

/// How long conditions are searched for while the right to write is held.
const SEARCH_HELD: Duration = Duration::from_millis(250);

impl Requests<'_> {
    /// Finds what conditional interactions name.
    pub(super) async fn find_targets(&mut self, taken: &mut Taken) -> Result<()> {
        for entry in 0..self.requests.len() as u32 {
            let Some(request) = self.request(entry).filter(|r| r.ask.query().is_some()) else {
                continue;
            };
            if let Some(key) = request.names_record(self.call.app.kinds()) {
                let id = key.encode();
                if request.head.id.as_ref().is_some_and(|own| *own != id) {
                    taken.leave_out(entry);
                    self.answer(entry, Err(other_id(&id)));
                } else {
                    self.retarget(entry, Target::Id(id));
                }
                continue;
            }
            let request = request.clone();
            if let Err(problem) = self.find_target(entry, request, taken).await {
                if problem.kind.status().is_server_error() {
                    return Err(problem);
                }
                taken.leave_out(entry);
                self.answer(entry, Err(problem));
            }
        }
        Ok(())
    }

    async fn find_target(&mut self, entry: u32, request: Request, taken: &mut Taken) -> Result<()> {
        let Request {
            resource,
            ask,
            head,
            full_url,
        } = request;
        let Some(query) = ask.query().map(str::to_owned) else {
            return Ok(());
        };
        let found = condition::find(self.call, resource, &query).await?;
        self.looked.push((entry, query, found.clone()));
        match (ask, found) {
            (_, Found::Several) => return Err(condition::several()),
            (Ask::Create { .. }, Found::One(id)) => {
                taken.leave_out(entry);
                taken.redirect(&full_url, resource.name(), &id);
                let answer = Answer::of(resource, StatusCode::OK, id);
                self.answer(entry, Ok(answer));
            }
            (Ask::Create { .. }, Found::None) if !resource.has(Interaction::Create) => {
                return Err(create::not_created(resource));
            }
            (Ask::Create { .. }, Found::None) => {}
            (Ask::Update { .. }, Found::One(id)) => {
                if head.id.as_ref().is_some_and(|own| *own != id) {
                    return Err(other_id(&id));
                }
                self.retarget(entry, Target::Id(id));
            }
            (Ask::Update { precondition, .. }, Found::None) if precondition.holds_for_nothing() => {
                let if_none_exist = None;
                self.ask(entry, Ask::Create { if_none_exist });
            }
            (Ask::Update { .. }, Found::None) => return Err(condition::failed()),
            (Ask::Delete { precondition, .. }, Found::One(id)) => {
                let target = Target::Id(id);
                self.ask(
                    entry,
                    Ask::Delete {
                        target,
                        precondition,
                    },
                );
            }
            (Ask::Delete { precondition, .. }, Found::None) if precondition.holds_for_nothing() => {
                self.answer(entry, Ok(Answer::nothing(resource)));
            }
            (Ask::Delete { .. }, Found::None) => return Err(condition::failed()),
        }
        Ok(())
    }

    fn retarget(&mut self, entry: u32, to: Target) {
        if let Some(Some(Request {
            ask: Ask::Update { target, .. },
            ..
        })) = self.requests.get_mut(entry as usize)
        {
            *target = to;
        }
    }

    fn ask(&mut self, entry: u32, ask: Ask) {
        if let Some(Some(request)) = self.requests.get_mut(entry as usize) {
            request.ask = ask;
        }
    }

    /// Whether any of them asks for a search.
    pub(super) fn looks(&self) -> bool {
        let mut requests = self.requests.iter().flatten();
        requests.any(|request| request.ask.query().is_some())
    }

    /// The right to write, where each condition still finds what it found when this was the
    /// revision; `None` where one finds something else.
    ///
    /// While the right is held, conditions are searched for only where somebody wrote since, and
    /// for [`SEARCH_HELD`] at most: others wait. A search that takes longer is made without it.
    ///
    /// # Errors
    /// 503 and 500; 409 where others write again and again while a search takes so long.
    pub(super) async fn hold(
        &self,
        mut revision: i64,
        client: Option<String>,
    ) -> Result<Option<Held>> {
        let store = self.call.app.store();
        for _ in 0..TRIES {
            let mut held = store.hold(client.clone()).await?;
            if self.looked.is_empty() || held.follows(revision).await? {
                return Ok(Some(held));
            }
            match timeout(SEARCH_HELD, self.finds_otherwise()).await {
                Ok(Ok(false)) => return Ok(Some(held)),
                Ok(otherwise) => {
                    held.release().await?;
                    return otherwise.map(|_| None);
                }
                Err(_) => held.release().await?,
            }
            revision = store.revision().await?;
            if self.finds_otherwise().await? {
                return Ok(None);
            }
        }
        Err(condition::moved())
    }

    /// Whether a condition finds something else now. What was refused stays so.
    async fn finds_otherwise(&self) -> Result<bool> {
        for (entry, query, former) in &self.looked {
            let refused = matches!(self.answers.get(*entry as usize), Some(Some(Err(_))));
            let Some(request) = self.request(*entry).filter(|_| !refused) else {
                continue;
            };
            let found = condition::find(self.call, request.resource, query).await?;
            if found != *former {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks up what references lead to; the entries with a conditional reference that leads
    /// nowhere, or to several (<https://hl7.org/fhir/R4/http.html#trules>).
    pub(super) async fn settle(&self, taken: &mut Taken) -> Result<Vec<(u32, Problem)>> {
        let (store, access) = (self.call.app.store(), self.call.app.access());
        let mut references = taken.references(&self.call.base);
        let mut unresolved = Vec::new();
        for reference in &mut references {
            let Named::Query(query) = &reference.target else {
                continue;
            };
            let name = reference.resource_type.as_str();
            let found = match resource::by_name(name) {
                Some(resource) => condition::find(self.call, resource, query).await,
                None => Ok(Found::None),
            };
            let problem = match found {
                Ok(Found::One(id)) => {
                    reference.target = Named::Id(id);
                    continue;
                }
                Ok(Found::None) => condition::leads_nowhere(name),
                Ok(Found::Several) => condition::leads_to_several(name),
                // That the database failed is no answer.
                Err(problem) if problem.kind.status().is_server_error() => return Err(problem),
                Err(problem) => problem,
            };
            let stands = taken.referring(reference).into_iter();
            unresolved.extend(stands.map(|(entry, at)| (entry, problem.clone().at(at))));
        }
        let named: Vec<(&str, &str)> = references
            .iter()
            .map(|reference| match &reference.target {
                Named::Id(id) => (reference.resource_type.as_str(), id.as_str()),
                Named::Query(_) => ("", ""),
            })
            .collect();
        let found = store.referred(&access, &named).await?;
        for (reference, found) in references.iter().zip(found) {
            if let Some(found) = found {
                taken.settle(reference, &found);
            } else if !Store::can_refer(&reference.resource_type)
                && let Named::Id(id) = &reference.target
                && read::exists(self.call, &reference.resource_type, id).await?
            {
                taken.settle(reference, &crate::store::Referred::Other);
            }
        }
        Ok(unresolved)
    }

    /// What was taken as records, by the rows of the registries that it wants.
    pub(super) async fn written(&self, taken: Taken) -> Result<Written> {
        let kinds = self.call.app.kinds().clone();
        let access = self.call.app.access();
        let wanted = taken.wanted(&kinds);
        let lists = self.call.app.store().wanted(&access, &wanted).await?;
        let finish = move || taken.finish(&kinds, Known::of(&lists));
        Ok(tokio::task::spawn_blocking(finish).await?)
    }
}
