//! Components of an Observation: told by their codes, in any order.

use crate::fault::Code;
use crate::tape::{NodeKind, View};

use super::codes::{Classified, Meaning, classify};
use super::rule::Component;
use super::walk::{Walk, find, same_system};
use super::{Note, names_of};

impl Walk<'_, '_> {
    /// The components of an Observation.
    pub(super) fn components(&mut self, components: &[Component], view: View) {
        if view.kind() != NodeKind::Array {
            self.residue(view);
            return;
        }
        let mut next = 0;
        for element in view.items() {
            let Some(code) = element.get("code") else {
                self.residue(element);
                continue;
            };
            let places = (next..components.len()).chain(0..next.min(components.len()));
            let exact = places
                .into_iter()
                .find(|&i| self.is_exactly(&components[i], code));
            let (place, by_code) = match exact {
                Some(i) => {
                    next = i + 1;
                    (i, None)
                }
                None => match self.recognise(components, code) {
                    Some(found) => found,
                    None => {
                        self.residue(element);
                        continue;
                    }
                },
            };
            if self.component(&components[place], by_code, element) && exact.is_none() {
                self.out.components.push((element.node(), place));
            }
        }
    }

    /// Whether the codings are the template's, in its order.
    fn is_exactly(&self, component: &Component, code: View) -> bool {
        let mut ours = component.codings.iter();
        for coding in code.get("coding").into_iter().flat_map(View::items) {
            let Some((system, code)) = ours.next() else {
                return false;
            };
            if coding.text_of("code") != Some(code)
                || !coding
                    .text_of("system")
                    .is_some_and(|s| same_system(self.backward, s, system))
            {
                return false;
            }
        }
        ours.len() < component.codings.len()
    }

    /// The place of the component that a foreign one is, with the entry of `by code`.
    fn recognise(&mut self, components: &[Component], code: View) -> Option<(usize, Option<u8>)> {
        let systems = &self.backward.kinds.systems;
        let kind = self.kind.place as u16;
        match classify(&self.backward.kinds.codes, systems, code, Some(kind)) {
            Classified::Of(of) => match of.first()?.1 {
                Meaning::Field(field, by_code) => {
                    let field = Some(usize::from(field));
                    let component = components.iter().position(|c| c.field == field)?;
                    Some((component, by_code))
                }
                _ => None,
            },
            Classified::Ambiguous => {
                let note = Note::new(Code::CodeAmbiguous, code).found(&names_of(code));
                self.note(note);
                None
            }
            // A constant component, whose codes are those of no field.
            _ => {
                let is = |c: &Component| {
                    c.field.is_none()
                        && code
                            .get("coding")
                            .into_iter()
                            .flat_map(View::items)
                            .any(|w| {
                                c.codings.iter().any(|(s, c)| {
                                    w.text_of("code") == Some(c)
                                        && w.text_of("system")
                                            .is_some_and(|w| same_system(self.backward, w, s))
                                })
                            })
                };
                components.iter().position(is).map(|place| (place, None))
            }
        }
    }

    /// Reads a component; whether it is the one of the template.
    fn component(&mut self, component: &Component, by_code: Option<u8>, element: View) -> bool {
        if let Some(field) = component.field {
            let bit = 1_u64.checked_shl(field as u32).unwrap_or(0);
            let before = self.out.seen & bit != 0;
            let substituted = self.out.substituted & bit != 0;
            if before && by_code.is_some() {
                self.residue(element);
                return false;
            }
            if before && !substituted {
                let note = Note::new(Code::RecordInconsistent, element);
                self.note(note.expected("one component of this code"));
                return false;
            }
            self.out.seen |= bit;
            if by_code.is_some() {
                self.out.substituted |= bit;
            } else {
                self.out.substituted &= !bit;
            }
        }
        let mut next = 0;
        for (name, value) in element.members() {
            let rule = find(&component.members, &mut next, name);
            match (rule, component.field) {
                (_, _) if name == "modifierExtension" => {
                    self.note(Note::new(Code::Modifier, value));
                }
                (Some(rule), Some(field)) if name.starts_with("value") => {
                    self.value(field, by_code, value, rule);
                }
                (None, Some(field)) if name.starts_with("value") => {
                    self.wrong_value(field, value);
                }
                (Some(rule), _) => self.rule(rule, value),
                (None, _) => self.residue(value),
            }
        }
        true
    }
}
