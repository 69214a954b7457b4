//! The stages of HbA1c by which the programmes group their participants.
//!
//! A participant is in one stage at most: under treatment by what was registered about their
//! medication, else by their latest HbA1c; without either, in none.

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Below 5.6 %.
    Normal,
    /// 5.6 % to below 6.5 %.
    Pre,
    /// 6.5 % and above.
    Mild,
    /// Under treatment, whatever was measured.
    Treated,
}

/// The LOINC code of what the stages are told by.
pub const HBA1C: &str = "4548-4";
/// The `medication_codes` of treatment: oral hypoglycaemic, insulin, dialysis.
pub const TREATMENTS: [&str; 3] = ["1", "2", "3"];

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 4] = [Stage::Normal, Stage::Pre, Stage::Mild, Stage::Treated];

    /// The name in addresses.
    pub const fn id(self) -> &'static str {
        match self {
            Stage::Normal => "hba1c-normal",
            Stage::Pre => "hba1c-pre",
            Stage::Mild => "hba1c-mild",
            Stage::Treated => "treated",
        }
    }

    /// The stage of this name.
    pub fn by_id(id: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.id() == id)
    }

    /// The name for people, in Japanese.
    pub const fn title(self) -> &'static str {
        match self {
            Stage::Normal => "HbA1c 5.6%未満、投薬なし",
            Stage::Pre => "HbA1c 5.6%以上6.5%未満、投薬なし",
            Stage::Mild => "HbA1c 6.5%以上、投薬なし",
            Stage::Treated => "治療中",
        }
    }

    /// The lowest and the highest HbA1c (%, NGSP, one decimal) that belong to it, where
    /// there is such a bound.
    pub const fn range(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Stage::Normal => (None, Some("5.5")),
            Stage::Pre => (Some("5.6"), Some("6.4")),
            Stage::Mild => (Some("6.5"), None),
            Stage::Treated => (None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_of_the_stages_leave_no_gap_at_one_decimal() {
        let tenths = |text: &str| text.replace('.', "").parse::<u32>().unwrap();
        for pair in Stage::ALL[..3].windows(2) {
            let (_, high) = pair[0].range();
            let (low, _) = pair[1].range();
            assert_eq!(tenths(high.unwrap()) + 1, tenths(low.unwrap()));
        }
        for stage in Stage::ALL {
            assert_eq!(Stage::by_id(stage.id()), Some(stage));
        }
    }
}
