//! Who and what resources from elsewhere mean, by the registries (mapping specification
//! §5.2): participants, laboratories, devices that stand in.

use crate::fault::{Code, Fault};
use crate::kind::Kind;
use crate::kind::Kinds;
use crate::record::Cell;
use crate::registry::{
    ACTIVITY_RECORDING_TIMES, DEVICES, LABORATORIES, List, PARTICIPANTS, Registries,
};
use crate::store::Wanted;

use super::around::Around;
use super::finish::Finish;
use super::reference::{Actor, DevicePart, Ref, Target};
use super::{Performers, Row, Taken};

/// What is known beside what came.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The registries: at least the rows that [`Taken::wanted`] names.
    pub lists: &'a Registries,
    /// Who sent it.
    pub client: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// The registries; who sent it is not told.
    pub fn of(lists: &'a Registries) -> Known<'a> {
        Known {
            lists,
            client: None,
        }
    }
}

/// Whom a reference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A participant, by our own identifier.
    Own(u32, u32),
    /// A participant, by an identifier that the registry knows.
    Registered(u32, u32),
    /// Nobody who is known.
    Nobody,
    /// Several participants.
    Several,
}

impl Whose {
    /// Consortium and person, where it is one.
    pub fn person(self) -> Option<(u32, u32)> {
        match self {
            Whose::Own(consortium, person) | Whose::Registered(consortium, person) => {
                Some((consortium, person))
            }
            Whose::Nobody | Whose::Several => None,
        }
    }
}

/// How a laboratory is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    OwnIdentifier,
    Registry,
}

impl Taken {
    /// What is wanted of the registries to make records of what was taken; nothing where it
    /// tells all by our own names.
    pub fn wanted(&self, kinds: &Kinds) -> Wanted {
        let mut wanted = Wanted::default();
        let reports = self.reports_by_row();
        for (place, row) in self.rows.iter().enumerate().filter(|(_, r)| !r.refused) {
            let of_reports = reports.get(&(place as u32)).copied();
            self.row_wants(kinds, row, of_reports, &mut wanted);
        }
        // Elements that the record does not render are kept beside it, derived values included.
        for row in self.kept.iter().map(|kept| &self.rows[kept.row]) {
            for derived in &kinds.at(usize::from(row.kind)).mapping.derived {
                let is_read = !self.cells[row.cells as usize + derived.from].is_absent();
                if let Some(list) = List::by_name(&derived.list).filter(|_| is_read) {
                    wanted.having(list, &derived.column);
                }
            }
        }
        let individuals = self.participants.iter().filter_map(|p| p.individual);
        for at in individuals {
            self.person_wanted(at, &mut wanted);
        }
        for beside in &self.beside {
            let Some((literal, identifier)) = self.refs.identifier_beside(beside.needed.at) else {
                continue;
            };
            for at in [literal, identifier] {
                let laboratories = self.refs.identifiers(at).map(str::to_owned);
                wanted.laboratories.extend(laboratories);
                self.person_wanted(at, &mut wanted);
            }
        }
        wanted
    }

    fn person_wanted(&self, at: Ref, wanted: &mut Wanted) {
        let identifiers = self.refs.identifiers(at).map(str::to_owned);
        wanted.participants.extend(identifiers);
    }

    fn row_wants(
        &self,
        kinds: &Kinds,
        row: &Row,
        reports: Option<Performers>,
        wanted: &mut Wanted,
    ) {
        if let Some(at) = row.subject {
            self.person_wanted(at, wanted);
        }
        let kind = kinds.at(usize::from(row.kind));
        // Which kind it is may depend on who performed it, and that on a row of a registry.
        let rival = row.rival.map(|rival| kinds.at(usize::from(rival)));
        for &at in self.performers(row.performers) {
            if self.refs.actor(at).is_none() {
                self.person_wanted(at, wanted);
            }
        }
        let may_be = |is: fn(&Kind) -> bool| is(kind) || rival.is_some_and(|rival| is(rival));
        let device = self.device_of(row);
        if may_be(|kind| kind.device.is_some()) && !device.is_some_and(|d| d.is_whole()) {
            wanted.having(&DEVICES, "fallback_for");
        }
        if may_be(|kind| kind.laboratory.is_some()) && row.claim.is_none() {
            let candidates = self.organizations(row, reports);
            let certain = candidates
                .iter()
                .position(|(at, _)| matches!(self.refs.follow(*at).1, Target::Laboratory(..)));
            let before = &candidates[..certain.unwrap_or(candidates.len())];
            for (at, _) in before {
                let identifiers = self.refs.identifiers(*at).map(str::to_owned);
                wanted.laboratories.extend(identifiers);
            }
            if certain.is_none() {
                wanted.having(&LABORATORIES, "default_for");
            }
        }
        let cells = &self.cells[row.cells as usize..];
        for (&field, accepts) in &kinds.at(usize::from(row.kind)).mapping.accepts.fields {
            if accepts.fallback.is_some() && cells.get(field).is_some_and(|c| c.is_absent()) {
                wanted.having(&ACTIVITY_RECORDING_TIMES, "recorded_minutes");
            }
        }
        if let Some((derived, _)) = self.around(row).derived
            && let Some(derived) = kind.mapping.derived.get(usize::from(derived))
            && let Some(list) = List::by_name(&derived.list)
        {
            wanted.having(list, &derived.column);
        }
    }

    /// What stands beside a row.
    pub(super) fn around(&self, row: &Row) -> Around {
        let around = row.around.and_then(|at| self.around.get(at as usize));
        around.copied().unwrap_or_default()
    }

    /// The performers of DiagnosticReports by the rows that they list.
    pub(super) fn reports_by_row(&self) -> Reports {
        let mut out = Reports::default();
        for &(at, performers) in &self.reports {
            if let Target::Row(row) = self.refs.target(at) {
                out.entry(row).or_insert(performers);
            }
        }
        out
    }

    /// The Device of a row, as far as it is known.
    pub(super) fn device_of(&self, row: &Row) -> Option<DevicePart> {
        match self.refs.follow(row.device?).1 {
            Target::Device(place) => self.refs.device_part(place),
            _ => None,
        }
    }

    pub(super) fn performers(&self, (from, count): Performers) -> &[Ref] {
        let range = from as usize..from as usize + usize::from(count);
        self.performers.get(range).unwrap_or_default()
    }

    /// The Organizations that may be the laboratory of a row, best first, and how each is
    /// called.
    fn organizations(&self, row: &Row, reports: Option<Performers>) -> Vec<(Ref, &'static str)> {
        let mut out = Vec::new();
        let performers = self.performers(row.performers).iter();
        let may_be = |at: &&Ref| matches!(self.refs.actor(**at), None | Some(Actor::Organization));
        let performers = performers.filter(may_be);
        out.extend(performers.map(|&at| (at, "performer")));
        let around = self.around(row);
        out.extend(around.encounter.map(|at| (at, "encounter.serviceProvider")));
        if let [custodian] = self.custodians[..] {
            out.push((custodian, "Composition.custodian"));
        }
        let reports = reports.map_or(&[][..], |performers| self.performers(performers));
        out.extend(reports.iter().map(|&at| (at, "DiagnosticReport.performer")));
        let institution = around.institution;
        out.extend(institution.map(|at| (at, "JP_eCS_InstitutionNumber")));
        out
    }
}

/// Performers of DiagnosticReports, by row.
pub(super) type Reports = std::collections::HashMap<u32, Performers, foldhash::fast::RandomState>;

impl Finish<'_> {
    /// Whether it was measured at home (mapping specification §5.1, rule 3).
    pub(super) fn is_home(&mut self, row: &Row) -> bool {
        let has_device = |this: &Self| this.taken.device_of(row).is_some_and(|d| d.is_whole());
        !row.encounter && (has_device(self) || self.is_by_person(row))
    }

    /// Whether the Patient or a RelatedPerson performed it.
    pub(super) fn is_by_person(&mut self, row: &Row) -> bool {
        let performers = self.taken.performers(row.performers).to_vec();
        performers.into_iter().any(|at| {
            if row.subject == Some(at) {
                return true;
            }
            match self.taken.refs.actor(at) {
                Some(actor) => actor == Actor::Person,
                // Nobody tells the type: the registry may know a person by the identifier.
                None => self.whose(at).person().is_some(),
            }
        })
    }

    /// Refuses what names one by a literal reference and another by the identifier beside it.
    pub(super) fn check_identities(&mut self) {
        for beside in std::mem::take(&mut self.taken.beside) {
            let needed = beside.needed;
            let Some((literal, identifier)) = self.taken.refs.identifier_beside(needed.at) else {
                continue;
            };
            let (one, other) = (self.identities(literal), self.identities(identifier));
            if one.is_empty() || other.is_empty() || one.iter().any(|one| other.contains(one)) {
                continue;
            }
            if self.taken.options.write {
                self.taken.outcome.about(needed.entry);
            }
            let fault = Fault::new(Code::Identity, needed.pointer, needed.place)
                .expected("an identifier of what the reference beside it leads to")
                .found(&beside.value);
            self.taken.outcome.push(fault);
            if let Some(row) = beside.row.and_then(|row| self.taken.rows.get_mut(row)) {
                row.refused = true;
            }
            if self.taken.options.write {
                self.taken.participants.retain(|p| p.entry != needed.entry);
                let devices = &mut self.taken.written_devices;
                devices.retain(|device| device.entry != needed.entry);
            }
        }
    }

    /// Which participants, laboratories or devices a reference may mean.
    fn identities(&mut self, at: Ref) -> Vec<Target> {
        match self.taken.refs.follow(at).1 {
            target @ (Target::Person(..) | Target::Laboratory(..) | Target::Model(..)) => {
                return vec![target];
            }
            Target::Device(place) => {
                let part = self.taken.refs.device_part(place);
                return match part.filter(DevicePart::is_whole) {
                    Some(part) => vec![self.taken.refs.device(DevicePart::known(part.cells))],
                    None => Vec::new(),
                };
            }
            Target::Unknown | Target::Named(_) => {}
            _ => return Vec::new(),
        }
        let mut named: Vec<(bool, [String; 2])> = Vec::new();
        for identifier in self.taken.refs.identifiers(at) {
            for row in self.known.lists.identified(&PARTICIPANTS, identifier) {
                let name = |field| row.text(field).unwrap_or_default().to_owned();
                named.push((true, [name("consortium_id"), name("person_id")]));
            }
            for row in self.known.lists.identified(&LABORATORIES, identifier) {
                let name = |field| row.text(field).unwrap_or_default().to_owned();
                named.push((false, [name("consortium_id"), name("test_lab_id")]));
            }
        }
        let mut out = Vec::new();
        for (is_person, names) in named {
            let [consortium, name] = names.map(|name| self.taken.texts.intern(&name));
            out.push(match is_person {
                true => Target::Person(consortium, name),
                false => Target::Laboratory(consortium, name),
            });
        }
        out
    }

    /// Whom a reference to a Patient means.
    pub(super) fn whose(&mut self, at: Ref) -> Whose {
        if let Target::Person(consortium, person) = self.taken.refs.target(at) {
            return Whose::Own(consortium, person);
        }
        if let Some(&known) = self.people.get(&at) {
            return known;
        }
        let found = self.look_up_person(at);
        self.people.insert(at, found);
        found
    }

    fn look_up_person(&mut self, at: Ref) -> Whose {
        if let (_, Target::Person(consortium, person)) = self.taken.refs.follow(at) {
            return Whose::Own(consortium, person);
        }
        let mut found: Option<(&str, &str)> = None;
        for identifier in self.taken.refs.identifiers(at) {
            for row in self.known.lists.identified(&PARTICIPANTS, identifier) {
                let name = |field| row.text(field).unwrap_or_default();
                let one = (name("consortium_id"), name("person_id"));
                if found.is_some_and(|found| found != one) {
                    return Whose::Several;
                }
                found = Some(one);
            }
        }
        match found {
            Some((consortium, person)) => {
                let mut text = |text: &str| self.taken.texts.intern(text);
                Whose::Registered(text(consortium), text(person))
            }
            None => Whose::Nobody,
        }
    }

    /// The laboratory of a row, and where it is named if that is not the performer itself.
    pub(super) fn laboratory(
        &mut self,
        place: u32,
        row: &Row,
        consortium: u32,
    ) -> Option<(u32, Option<&'static str>)> {
        let claimed = row.claim.map(|claim| claim.source);
        for (at, source) in self
            .taken
            .organizations(row, self.reports.get(&place).copied())
        {
            // What names itself needs no other to speak for it.
            if source != "performer" && claimed.is_some() {
                break;
            }
            if let Some((laboratory, by)) = self.laboratory_at(at, consortium) {
                let is_plain = source == "performer" && by == By::OwnIdentifier;
                return Some((laboratory, (!is_plain).then_some(source)));
            }
        }
        if let Some(source) = claimed {
            let is_named = !self.taken.texts.get(i64::from(source)).is_empty();
            return is_named.then_some((source, None));
        }
        let name = self.taken.texts.get(i64::from(consortium));
        let row = self
            .known
            .lists
            .default_laboratory(name, self.known.client)?;
        let laboratory = row.text("test_lab_id")?;
        let laboratory = self.taken.texts.intern(laboratory);
        Some((laboratory, Some("laboratories.default_for")))
    }

    pub(super) fn laboratory_at(&mut self, at: Ref, consortium: u32) -> Option<(u32, By)> {
        if let (_, Target::Laboratory(of, laboratory)) = self.taken.refs.follow(at) {
            return (of == consortium).then_some((laboratory, By::OwnIdentifier));
        }
        let name = self.taken.texts.get(i64::from(consortium));
        let mut identifiers = self.taken.refs.identifiers(at);
        let laboratory = identifiers.find_map(|identifier| {
            let rows = self.known.lists.identified(&LABORATORIES, identifier);
            let row = rows
                .into_iter()
                .find(|row| row.text("consortium_id") == Some(name))?;
            row.text("test_lab_id")
        })?;
        Some((self.taken.texts.intern(laboratory), By::Registry))
    }

    /// The device that stands in for a kind's unknown ones in a consortium.
    pub(super) fn fallback_device(&mut self, kind: &Kind, consortium: u32) -> Option<[Cell; 3]> {
        let row = self.known.lists.fallback_device(&kind.name)?;
        let ledger = row.text("ledger_number")?;
        let serial = format!("{}{ledger}", self.taken.texts.get(i64::from(consortium)));
        let maker = row.text("model_manufacturer_code")?;
        let model = row.text("model_number")?;
        let mut text = |text: &str| Cell::plain(i64::from(self.taken.texts.intern(text)));
        Some([text(maker), text(model), text(&serial)])
    }

    /// The registered value that a row's codings mean: the key of the one row of its list
    /// that has it, for the field of the kind.
    pub(super) fn derived(&mut self, row: &Row, kind: &Kind) -> Option<(usize, Cell)> {
        let (derived, value) = self.taken.around(row).derived?;
        let derived = kind.mapping.derived.get(usize::from(derived))?;
        let (value, _) = derived.values.get(usize::from(value))?;
        let rows = self.known.lists.rows(List::by_name(&derived.list)?);
        let mut rows = rows.filter(|row| row.text(&derived.column) == Some(value));
        let (Some(only), None) = (rows.next(), rows.next()) else {
            return None;
        };
        let key = self.taken.texts.intern(only.key().first()?);
        Some((derived.from, Cell::plain(i64::from(key))))
    }
}
