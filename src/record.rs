//! The normal form between both sides: a record as a row of small cells.
//!
//! A [`Cell`] is 64 bits: a number as a scaled integer together with the decimals
//! that were written, a code as its place in the field's list, a text as its place
//! in [`Texts`], a time as seconds or milliseconds since the Unix epoch. The protocol
//! reader fills rows, the store keeps them, the mapping renders them; input and
//! output shapes never meet.

use std::collections::HashMap;
use std::sync::Arc;

use crate::kind::Kind;

/// The value of one field of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell(i64);

/// Bits that hold the number of written decimals.
const WRITTEN_BITS: u32 = 3;

impl Cell {
    /// The field has no value.
    pub const ABSENT: Cell = Cell(i64::MIN);

    /// A number: `scaled` = value × 10^decimals of the field, `written` = decimals written.
    /// Cells of one field compare as their numbers do. A field has no numbers that do not fit
    /// ([`PLACES_MAX`](crate::decimal::PLACES_MAX)); others go by [`Cell::checked_number`].
    pub fn number(scaled: i64, written: u8) -> Cell {
        Cell(scaled << WRITTEN_BITS | i64::from(written & 7))
    }

    /// The same, or `None` for a number that no cell holds.
    pub fn checked_number(scaled: i64, written: u8) -> Option<Cell> {
        let fits = scaled.checked_mul(1 << WRITTEN_BITS)? != Cell::ABSENT.0;
        fits.then(|| Cell::number(scaled, written))
    }

    /// A code (place in the field's list), a text (place in [`Texts`]) or a time.
    pub fn plain(value: i64) -> Cell {
        Cell(value)
    }

    /// The cell as the store keeps it; `None` where it is absent.
    pub fn raw(self) -> Option<i64> {
        (self != Cell::ABSENT).then_some(self.0)
    }

    /// The cell from what the store keeps.
    pub fn from_raw(raw: Option<i64>) -> Cell {
        raw.map_or(Cell::ABSENT, Cell)
    }

    /// Whether there is no value.
    pub fn is_absent(self) -> bool {
        self == Cell::ABSENT
    }

    /// The value of a code, text or time cell (meaningless for an absent one).
    pub fn value(self) -> i64 {
        self.0
    }

    /// The scaled value of a number cell.
    pub fn scaled(self) -> i64 {
        self.0 >> WRITTEN_BITS
    }

    /// The decimals that were written.
    pub fn written(self) -> u8 {
        (self.0 & 7) as u8
    }
}

/// The texts of a set of records, each once.
#[derive(Debug, Default, Clone)]
pub struct Texts {
    list: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
}

impl Texts {
    /// The place of `text`, added where it is new.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let shared: Arc<str> = text.into();
        let place = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(shared.clone());
        self.places.insert(shared, place);
        place
    }

    /// Adds a text without looking whether it is there: for texts read by the store.
    pub fn push(&mut self, text: Arc<str>) -> u32 {
        let place = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(text);
        place
    }

    /// The text at a place; empty for a place that was never given.
    pub fn get(&self, place: i64) -> &str {
        usize::try_from(place)
            .ok()
            .and_then(|i| self.list.get(i))
            .map_or("", |s| s)
    }

    /// All texts in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// One record, as the mapping and the protocol writer see it.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// What kind of record it is; says what the cells mean.
    pub kind: &'a Kind,
    /// The consortium.
    pub consortium_id: &'a str,
    /// The participant.
    pub person_id: &'a str,
    /// One cell a field of the kind, in its order.
    pub cells: &'a [Cell],
    /// The texts that text cells name.
    pub texts: &'a Texts,
}

impl<'a> Record<'a> {
    /// The text of a text field; empty where absent.
    pub fn text(&self, field: usize) -> &'a str {
        match self.cells[field].raw() {
            Some(place) => self.texts.get(place),
            None => "",
        }
    }

    /// `observation_time` in seconds since the Unix epoch.
    pub fn seconds(&self) -> i64 {
        self.cells[self.kind.time].value()
    }

    /// `update_time` in milliseconds since the Unix epoch.
    pub fn updated(&self) -> i64 {
        self.cells[self.kind.update].value()
    }

    /// The source: serial number, laboratory or nothing (protocol specification §5).
    pub fn source(&self) -> &'a str {
        self.kind.source.map_or("", |field| self.text(field))
    }
}

/// Whether two rows of one kind have the same content: every field but `update_time`,
/// numbers by value and not by the decimals written (protocol specification §5).
/// Texts must be places in the same [`Texts`].
pub fn same_content(kind: &Kind, a: &[Cell], b: &[Cell]) -> bool {
    kind.fields.iter().enumerate().all(|(i, field)| {
        i == kind.update
            || a[i] == b[i]
            || (field.ty.is_number()
                && !a[i].is_absent()
                && !b[i].is_absent()
                && a[i].scaled() == b[i].scaled())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_cells_keep_their_order_and_their_decimals() {
        let (low, high) = (Cell::number(600, 2), Cell::number(601, 0));
        assert!(low.value() < high.value());
        assert_eq!((low.scaled(), low.written()), (600, 2));
    }

    #[test]
    fn a_number_that_no_cell_holds_is_none() {
        for scaled in [
            i64::MAX / 8 + 1,
            i64::MIN / 8 - 1,
            i64::MAX,
            i64::MIN,
            i64::MIN / 8,
        ] {
            assert_eq!(Cell::checked_number(scaled, 0), None, "{scaled}");
        }
        for scaled in [0, 1, -1, i64::MAX / 8, i64::MIN / 8 + 1] {
            let cell = Cell::checked_number(scaled, 7).unwrap();
            assert_eq!((cell.scaled(), cell.written()), (scaled, 7));
        }
    }

    #[test]
    fn a_text_has_one_place() {
        let mut texts = Texts::default();
        let a = texts.intern("a");
        assert_ne!(texts.intern("b"), a);
        assert_eq!(texts.intern("a"), a);
        assert_eq!(texts.get(i64::from(a)), "a");
        assert_eq!(texts.get(99), "");
    }
}
