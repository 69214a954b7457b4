//! Derived codings read back: they tell of the registry row whose key is not written (the
//! method of an HbA1c, by its JLAC10 code).

use crate::kind::Kind;
use crate::tape::View;

use super::Reading;
use super::rule::Select;
use super::walk::Walk;

/// What the derived codings of a resource agree on: the place of the derived value in
/// [`crate::mapping::Mapping::derived`], and in it the place of what it says.
pub type Derived = (u8, u8);

impl Walk<'_, '_> {
    /// Notes what a coding says, which stands where a derived one is written (`select`), or
    /// has its code in another of the Observation's systems.
    pub(super) fn derived(&mut self, select: Option<&Select>, element: View) {
        let mapping = &self.kind.mapping;
        let Some(code) = element
            .text_of("code")
            .filter(|_| !mapping.derived.is_empty())
        else {
            return;
        };
        let own = match select {
            Some(Select::Derived(_, derived)) => Some(*derived),
            Some(_) => return,
            None => {
                let system = element.text_of("system").unwrap_or_default();
                let system = self.backward.kinds.systems.canonical(system);
                let mut codes = mapping.accepts.code.codes.iter();
                if !codes.any(|pattern| pattern.matches(system, code)) {
                    return;
                }
                None
            }
        };
        for (i, derived) in mapping.derived.iter().enumerate() {
            if own.is_some_and(|own| own != i) {
                continue;
            }
            for (j, (_, written)) in derived.values.iter().enumerate() {
                if written == code {
                    self.out.derived.push((i as u8, j as u8));
                }
            }
        }
    }
}

impl Reading {
    /// What the derived codings say of a field that has no value, where they agree.
    pub fn agreed(&self, kind: &Kind) -> Option<Derived> {
        let &first = self.derived.first()?;
        let said = |(i, j): Derived| {
            let derived = kind.mapping.derived.get(usize::from(i))?;
            let (value, _) = derived.values.get(usize::from(j))?;
            Some((derived.from, &derived.list, &derived.column, value))
        };
        let agree = self.derived.iter().all(|&one| said(one) == said(first));
        let (field, ..) = said(first)?;
        (agree && self.cells.get(field)?.is_absent()).then_some(first)
    }
}
