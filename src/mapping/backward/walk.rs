//! Walks an Observation along its template.

use crate::exchange;
use crate::fault::Code;
use crate::kind::{Kind, Type};
use crate::mapping::template::{Hole, Piece};
use crate::mapping::{FieldAccepts, OnlyWith};
use crate::record::{Cell, Texts};
use crate::tape::{NodeKind, View};
use crate::time::{self, JST, Precision};

use super::rule::{Item, Quantity, Rule, Select};
use super::{Backward, Matcher, Note, PERFORMERS_MAX, Reading, Role, Status, effective};

/// A Matcher of the role, and the field in `value[x]`.
fn matcher(kind: &Kind, role: Role) -> (&Matcher, Option<usize>) {
    let mapping = &kind.mapping;
    match role {
        Role::Panel => (&mapping.panel.matcher, mapping.main),
        Role::Part(part) => {
            let part = &mapping.parts[part];
            (&part.shape.matcher, Some(part.field))
        }
        Role::Loose(field) => (&mapping.panel.matcher, Some(field)),
    }
}

/// The first coding of a component of the template.
pub(super) fn component_coding(kind: &Kind, role: Role, place: usize) -> Option<(&str, &str)> {
    let (matcher, _) = matcher(kind, role);
    let mut members = matcher.members.iter();
    let (_, rule) = members.find(|(name, _)| &**name == "component")?;
    let Rule::Components(components) = rule else {
        return None;
    };
    let (system, code) = components.get(place)?.codings.first()?;
    Some((system, code))
}

/// Whether every coding is one that the template writes.
pub(super) fn is_own_code(backward: &Backward, kind: &Kind, role: Role, code: View) -> bool {
    let (matcher, _) = matcher(kind, role);
    let mut any = false;
    for coding in code.get("coding").into_iter().flat_map(View::items) {
        let (system, code) = (coding.text_of("system"), coding.text_of("code"));
        let (Some(system), Some(code)) = (system, code) else {
            return false;
        };
        let constant = matcher
            .codings
            .iter()
            .any(|(s, c)| code == &**c && same_system(backward, system, s));
        let derived = || {
            let mut derived = kind.mapping.derived.iter();
            derived.any(|d| d.values.iter().any(|(_, v)| v == code))
        };
        any |= constant;
        if !constant && !derived() {
            return false;
        }
    }
    any
}

/// Whether an Observation has the component that one of its codes needs.
pub(super) fn has_component(backward: &Backward, resource: View, needs: &OnlyWith) -> bool {
    let systems = &backward.kinds.systems;
    let has = |concept: Option<View>, pattern: &crate::mapping::CodePattern| {
        let codings = concept.and_then(|c| c.get("coding"));
        codings.into_iter().flat_map(View::items).any(|c| {
            let system = systems.canonical(c.text_of("system").unwrap_or_default());
            pattern.matches(system, c.text_of("code").unwrap_or_default())
        })
    };
    let components = resource.get("component");
    components.into_iter().flat_map(View::items).any(|c| {
        has(c.get("code"), &needs.component) && has(c.get("valueCodeableConcept"), &needs.value)
    })
}

pub(super) fn same_system(backward: &Backward, written: &str, ours: &str) -> bool {
    written == ours || backward.kinds.systems.canonical(written) == ours
}

/// Reads an Observation whose kind and role are known.
pub(super) fn observation(
    backward: &Backward,
    kind: &Kind,
    resource: View,
    texts: &mut Texts,
    out: &mut Reading,
) {
    out.cells.resize(kind.fields.len(), Cell::ABSENT);
    out.nodes.resize(kind.fields.len(), 0);
    let (matcher, main) = matcher(kind, out.role);
    let mut walk = Walk {
        backward,
        kind,
        resource,
        texts,
        out,
    };
    walk.root(matcher, main);
    walk.or_else(matcher);
}

pub(super) struct Walk<'a, 't> {
    pub(super) backward: &'a Backward<'a>,
    pub(super) kind: &'a Kind,
    pub(super) resource: View<'t>,
    pub(super) texts: &'a mut Texts,
    pub(super) out: &'a mut Reading,
}

/// Finds the rule of a member; members mostly come in the order of the template.
pub(super) fn find<'m>(
    members: &'m [(Box<str>, Rule)],
    next: &mut usize,
    name: &str,
) -> Option<&'m Rule> {
    let from = *next;
    let (before, after) = members.split_at(from.min(members.len()));
    let at = after
        .iter()
        .position(|(n, _)| &**n == name)
        .map(|i| from + i)
        .or_else(|| before.iter().position(|(n, _)| &**n == name))?;
    *next = at + 1;
    Some(&members[at].1)
}

impl<'t> Walk<'_, 't> {
    pub(super) fn note(&mut self, note: Note) {
        self.out.note(note);
    }

    pub(super) fn residue(&mut self, view: View) {
        self.out.residue.push(view.node());
    }

    fn root(&mut self, matcher: &Matcher, main: Option<usize>) {
        let mut next = 0;
        let (mut timed, mut status) = (false, false);
        for (name, value) in self.resource.members() {
            let rule = find(&matcher.members, &mut next, name);
            match name {
                "resourceType" | "contained" => {}
                "status" => {
                    status = true;
                    self.status(value);
                }
                "code" if matches!(self.out.role, Role::Loose(_)) => {}
                "performer" if value.kind() == NodeKind::Array => {
                    let mut performers = value.items().map(View::node);
                    let first = performers.by_ref().take(PERFORMERS_MAX);
                    self.out.performers.extend(first);
                    self.out.residue.extend(performers);
                }
                "component" => match rule {
                    Some(Rule::Components(components))
                        if !matches!(self.out.role, Role::Loose(_)) =>
                    {
                        self.components(components, value);
                    }
                    _ => self.residue(value),
                },
                "implicitRules" | "modifierExtension" => {
                    self.note(Note::new(Code::Modifier, value));
                }
                _ if name.starts_with("effective") => {
                    if timed {
                        let note = Note::new(Code::Type, value);
                        self.note(note.expected("one effective[x]"));
                    } else {
                        self.effective(name, value);
                    }
                    timed = true;
                }
                _ if name.starts_with("value") => self.main(name, value, rule, main),
                _ => match rule {
                    Some(rule) => self.rule(rule, value),
                    None => {
                        self.out.encounter |= name == "encounter";
                        self.residue(value);
                    }
                },
            }
        }
        if !status {
            let note = Note::new(Code::RequiredMissing, self.resource).below(".status");
            self.note(note);
        }
        if !timed {
            let note = Note::new(Code::TimePrecision, self.resource).below(".effective");
            self.note(note.expected("effectiveDateTime"));
        }
    }

    /// `value[x]` of the Observation.
    fn main(&mut self, name: &str, value: View, rule: Option<&Rule>, main: Option<usize>) {
        let Some(field) = main else {
            self.residue(value);
            return;
        };
        let loose = matches!(self.out.role, Role::Loose(_));
        match rule {
            Some(rule) if !loose => self.value(field, self.out.by_code, value, rule),
            _ if loose && name == "valueQuantity" => {
                self.quantity(field, &Quantity::default(), self.out.by_code, value);
            }
            _ => self.wrong_value(field, value),
        }
    }

    pub(super) fn wrong_value(&mut self, field: usize, value: View) {
        let code = match self.kind.fields[field].ty {
            Type::Number { .. } => Code::ValueNotNumeric,
            _ => Code::Type,
        };
        self.note(Note::new(code, value));
    }

    /// A value of a field whose code was recognised.
    pub(super) fn value(&mut self, field: usize, by_code: Option<u8>, value: View, rule: &Rule) {
        match rule {
            Rule::Quantity(_, ours) => self.quantity(field, ours, by_code, value),
            _ => self.rule(rule, value),
        }
    }

    fn status(&mut self, value: View) {
        self.out.status = match value.text() {
            "final" => Status::Final,
            "amended" => Status::Amended,
            "corrected" => Status::Corrected,
            other => {
                let code = match other {
                    "entered-in-error" => Code::StatusWithdrawn,
                    "registered" | "preliminary" | "cancelled" | "unknown" => Code::StatusNotFinal,
                    _ => Code::CodeUnknown,
                };
                let note = Note::new(code, value).expected("final, amended or corrected");
                self.note(note.found(other));
                return;
            }
        };
    }

    fn effective(&mut self, name: &str, value: View) {
        match effective::read(self.kind, name, value) {
            Ok(at) => {
                if self.out.whole_day && !at.day {
                    let note = Note::new(Code::TimePrecision, value);
                    self.note(
                        note.expected("a whole day, for this code")
                            .found(value.text()),
                    );
                    return;
                }
                self.set(self.kind.time, value, Cell::plain(at.seconds));
                if at.dropped {
                    let note = Note::new(Code::Converted, value);
                    self.note(note.expected("whole seconds").found(value.text()));
                }
                if !at.ours {
                    self.out.variants.push(value.node());
                }
            }
            Err(refusal) => {
                let note = Note::new(refusal.code, value);
                self.note(note.expected(refusal.expected).found(value.text()));
            }
        }
    }

    pub(super) fn set(&mut self, field: usize, view: View, cell: Cell) {
        self.out.cells[field] = cell;
        self.out.nodes[field] = view.node();
    }

    pub(super) fn rule(&mut self, rule: &Rule, view: View) {
        match rule {
            Rule::Const(text) => {
                let scalar = !matches!(view.kind(), NodeKind::Object | NodeKind::Array);
                if !scalar || view.text() != &**text {
                    self.residue(view);
                }
            }
            Rule::Hole(hole) => self.hole(*hole, view),
            Rule::Object(members) => self.object(members, view),
            Rule::Quantity(field, ours) => self.quantity(*field, ours, None, view),
            Rule::Reference(piece) => self.reference(*piece, view),
            Rule::Array(items) => self.array(items, view),
            Rule::Components(components) => self.components(components, view),
        }
    }

    pub(super) fn object(&mut self, members: &[(Box<str>, Rule)], view: View) {
        if !view.is_object() {
            self.residue(view);
            return;
        }
        let mut next = 0;
        for (name, value) in view.members() {
            match find(members, &mut next, name) {
                Some(rule) => self.rule(rule, value),
                None if name == "modifierExtension" => {
                    self.note(Note::new(Code::Modifier, value));
                }
                None => self.residue(value),
            }
        }
    }

    fn array(&mut self, items: &[Item], view: View) {
        if view.kind() != NodeKind::Array {
            self.residue(view);
            return;
        }
        let mut next = 0;
        let mut used: u64 = 0;
        for element in view.items() {
            let places = (next..items.len()).chain(0..next.min(items.len()));
            let found = places
                .filter(|&i| i >= 64 || used & 1 << i == 0)
                .find(|&i| self.selects(&items[i].select, element));
            match found {
                Some(i) => {
                    used |= 1_u64.checked_shl(i as u32).unwrap_or(0);
                    next = i + 1;
                    self.derived(Some(&items[i].select), element);
                    self.rule(&items[i].rule, element);
                }
                None => {
                    self.derived(None, element);
                    let url = element.text_of("url").unwrap_or_default();
                    self.out.coincident |= url.ends_with("/CoincidentTimeStampReference");
                    self.residue(element);
                }
            }
        }
    }

    fn selects(&self, select: &Select, element: View) -> bool {
        let system = |ours: &str, element: View| {
            element
                .text_of("system")
                .is_some_and(|written| same_system(self.backward, written, ours))
        };
        match select {
            Select::Any => true,
            Select::Text(text) => element.string() == Some(text),
            Select::Url(url) => element.text_of("url") == Some(url),
            Select::System(ours, code) => {
                system(ours, element)
                    && code
                        .as_ref()
                        .is_none_or(|c| element.text_of("code") == Some(c))
            }
            Select::Derived(ours, derived) => {
                system(ours, element)
                    && element
                        .text_of("code")
                        .is_some_and(|code| self.is_derived(*derived, code))
            }
            Select::Concept(ours, code) => {
                let codings = element.get("coding").into_iter().flat_map(View::items);
                codings.into_iter().any(|c| {
                    system(ours, c)
                        && code
                            .as_ref()
                            .is_none_or(|code| c.text_of("code") == Some(code))
                })
            }
        }
    }

    fn is_derived(&self, derived: usize, text: &str) -> bool {
        let derived = self.kind.mapping.derived.get(derived);
        derived.is_some_and(|d| d.values.iter().any(|(_, v)| v == text))
    }

    fn reference(&mut self, piece: Piece, view: View) {
        match piece {
            Piece::Subject => self.out.subject = Some(view.node()),
            Piece::Device => self.out.device = Some(view.node()),
            _ => {}
        }
        let literal = view.get("reference").is_some();
        for (name, value) in view.members() {
            match name {
                "reference" => {}
                "type" | "identifier" if !literal => {}
                "type" | "identifier" => self.out.variants.push(value.node()),
                _ => self.residue(value),
            }
        }
    }

    fn hole(&mut self, hole: Hole, view: View) {
        match hole {
            Hole::Field(field) => self.field(field, view),
            Hole::Display(field) => {
                let mut codes = self.kind.fields[field].codes.iter();
                if !codes.any(|c| c.title.ja == view.text()) {
                    self.residue(view);
                }
            }
            Hole::Derived(derived) => {
                if !self.is_derived(derived, view.text()) {
                    self.residue(view);
                }
            }
            Hole::Piece(Piece::Record) => self.out.record = Some(view.node()),
            Hole::Piece(Piece::Updated) => self.out.last_updated = Some(view.node()),
            Hole::Piece(_) => {}
        }
    }

    /// A field that stands plainly: a text, a code, a number, the time of the last change.
    fn field(&mut self, place: usize, view: View) {
        let field = &self.kind.fields[place];
        let cell = match (field.ty, view.kind()) {
            (Type::Time17, NodeKind::String) => {
                self.updated(place, view);
                return;
            }
            (Type::Text { max }, NodeKind::String) => {
                exchange::text_cell(view.text(), max, self.texts)
            }
            (Type::Code, NodeKind::String) => field
                .code_place(view.text())
                .map(|i| Cell::plain(i as i64))
                .ok_or_else(|| vec![Code::CodeUnknown]),
            (Type::Number { .. }, NodeKind::Number) => {
                self.number(place, view, None);
                return;
            }
            _ => Err(vec![Code::Type]),
        };
        match cell {
            Ok(cell) => self.set(place, view, cell),
            Err(codes) => {
                for code in codes {
                    let note = Note::new(code, view).expected(exchange::expectation(field, code));
                    self.note(note.found(view.text()));
                }
            }
        }
    }

    fn updated(&mut self, place: usize, view: View) {
        match time::parse_fhir(view.text(), JST) {
            Some(at) if at.precision >= Precision::Second && at.zoned => {
                self.set(place, view, Cell::plain(at.from));
                if at.truncated || view.text().len() != 29 || !view.text().ends_with("+09:00") {
                    self.out.variants.push(view.node());
                }
            }
            _ => {
                let note = Note::new(Code::TimeInvalid, view).expected("an instant");
                self.note(note.found(view.text()));
            }
        }
    }

    pub(super) fn accepts(&self, field: usize) -> Option<&FieldAccepts> {
        self.kind.mapping.accepts.fields.get(&field)
    }

    /// Texts that foreign resources keep elsewhere (`"else": "coding.display"`).
    fn or_else(&mut self, matcher: &Matcher) {
        for (field, member) in &matcher.texts {
            if !self.out.cells[*field].is_absent() {
                continue;
            }
            let Some(path) = self.accepts(*field).and_then(|a| a.or_else.clone()) else {
                continue;
            };
            let mut at = self.resource.get(member);
            for step in path.split('.') {
                at = at.and_then(|v| v.get(step));
                at = match at {
                    Some(v) if v.kind() == NodeKind::Array => v.items().next(),
                    other => other,
                };
            }
            if let Some(view) = at {
                self.field(*field, view);
            }
        }
    }
}
