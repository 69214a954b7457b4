//! What an Observation from elsewhere says beside its record: its encounter, the institution,
//! its members, and what its codes tell of a method or a reading.

use crate::fhir::canonical::JP_ECS_INSTITUTION;
use crate::kind::Kind;
use crate::mapping::backward::{self, Derived};
use crate::mapping::{Reading, Role};
use crate::tape::View;

use super::join;
use super::reference::{Ref, Target};
use super::{Inbound, Spot};

/// The most members of one Observation that are looked at.
const MEMBERS_MAX: usize = 64;

/// What stands beside a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub encounter: Option<Ref>,
    /// The institution in the extension of JP-CLINS.
    pub institution: Option<Ref>,
    /// Which of several readings its code says.
    pub reading: Option<u8>,
    /// What its codings say of a registered value.
    pub derived: Option<Derived>,
}

impl Inbound<'_> {
    /// Keeps what stands beside the record that is the next row; its place, where there is
    /// anything.
    pub(super) fn around(
        &mut self,
        kind: &Kind,
        resource: View,
        spot: Spot,
        reading: &Reading,
    ) -> Option<u32> {
        let row = self.taken.rows.len() as u32;
        let mut around = Around {
            derived: reading.agreed(kind),
            ..Around::default()
        };
        if let Some(field) = join::field_of(kind, reading.role)
            && let Some(code) = resource.get("code")
        {
            around.reading = backward::reading_of(&self.kinds.systems, kind, field, code);
        }
        let of_laboratory = kind.laboratory.is_some() || reading.rival.is_some();
        // All of this is residue.
        if !reading.residue.is_empty() {
            if let Some(encounter) = resource.get("encounter") {
                around.encounter = self.refer("Encounter", resource, encounter, spot);
            }
            if of_laboratory {
                around.institution = self.institution(resource);
            }
            if reading.role == Role::Panel
                && let Some(members) = resource.get("hasMember")
            {
                for member in members.items().take(MEMBERS_MAX) {
                    if let Some(at) = self.refer("Observation", resource, member, spot) {
                        self.taken.members.push((row, at));
                    }
                }
            }
        }
        // Elsewhere, a record that names itself needs no other to speak for it. Where it is
        // written, what refers to it is kept.
        let is_spoken_for =
            reading.record.is_none() && (of_laboratory || reading.role != Role::Panel);
        if self.taken.options.write || is_spoken_for {
            let id = resource.text_of("id").unwrap_or_default();
            let target = Target::Row(row);
            self.taken
                .refs
                .define(spot.full_url, "Observation", id, target);
        }
        if around == Around::default() {
            return None;
        }
        self.taken.around.push(around);
        Some(self.taken.around.len() as u32 - 1)
    }

    fn institution(&mut self, resource: View) -> Option<Ref> {
        let mut extensions = resource.get("extension")?.items();
        let extension = extensions.find(|e| e.text_of("url") == Some(JP_ECS_INSTITUTION))?;
        let identifier = extension.get("valueIdentifier")?;
        let system = identifier.text_of("system")?;
        let value = identifier.text_of("value")?;
        Some(self.taken.refs.logical("Organization", system, value))
    }
}
