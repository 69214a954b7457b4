//! One invented participant: who they are, what they wear, how their values move.
//!
//! The cohort shows an effect on purpose: participants of the intervention arm walk
//! more within weeks, and their weight, blood pressure and HbA1c follow over months.
//! Those of the control arm stay as they are.

use chrono::Datelike;

use super::model::{self, Model};
use super::random::Random;
use super::{Cohort, PREFECTURES};

/// A participant, the same one in every file.
pub(super) struct Person {
    pub(super) id: String,
    pub(super) birth_year_month: String,
    pub(super) sex: &'static str,
    pub(super) prefecture: String,
    pub(super) commute: &'static str,
    pub(super) medications: Vec<&'static str>,
    pub(super) consent: &'static str,
    pub(super) intervention: bool,
    /// The number a hospital knows the person by.
    pub(super) hospital_number: Option<u32>,
    /// The last day of participation, counted from 0, where it ends early.
    pub(super) end: Option<u32>,

    pub(super) scale: Worn,
    pub(super) monitor: Option<Worn>,
    pub(super) activity: Worn,
    pub(super) wear: Option<&'static str>,
    pub(super) cuff: Option<&'static str>,
    /// Out of a hundred days, how many are measured.
    pub(super) diligence: u32,
    /// The laboratory visited, counted from 0.
    pub(super) laboratory: u32,

    /// kg × 100.
    weight: i32,
    /// Per cent × 100.
    fat: i32,
    systolic: i32,
    diastolic: i32,
    pub(super) pulse: i32,
    /// Per cent (NGSP) × 100.
    hba1c: i32,
    steps: i32,
    /// Steps a minute.
    pub(super) cadence: i32,
    /// Length of a step, cm.
    pub(super) stride: i32,
    /// How strongly the person answers to the intervention, per cent.
    response: i32,
    /// The weight's slow wave: days and kg × 100.
    wave: (u32, i32),
}

/// A device in a person's hands.
pub(super) struct Worn {
    pub(super) model: &'static Model,
    pub(super) serial: String,
}

/// A quantity that comes near `full` over time and is half way there after `half` days.
fn towards(full: i32, day: u32, half: u32) -> i32 {
    (i64::from(full) * i64::from(day) / (i64::from(day) + i64::from(half))) as i32
}

impl Person {
    /// The `number`-th participant (from 0) of a consortium (from 0).
    pub(super) fn new(cohort: &Cohort, consortium: u32, number: u32) -> Person {
        let mut random = Random::new(&[cohort.seed, u64::from(consortium), u64::from(number), 0]);
        let r = &mut random;
        let sex = match r.below(200) {
            0 => "0",
            1 => "9",
            n if n % 2 == 0 => "1",
            _ => "2",
        };
        let age = r.between(34, 74);
        let year = (cohort.start.year() - age).clamp(0, 9999);
        let home = PREFECTURES[consortium as usize % PREFECTURES.len()];
        let prefecture = if r.chance(85) { home } else { 1 + r.below(47) };
        let commute = if age < 65 {
            r.pick(&["1", "2", "3", "3", "3", "4", "4", "9"])
        } else {
            r.pick(&["0", "0", "0", "1", "4"])
        };

        let height = if sex == "2" { 156 } else { 169 } + r.noise(14);
        let bmi = 250 + r.noise(75);
        let weight = bmi * height * height / 1000;
        let fat = (bmi - 200) * 8 + if sex == "2" { 2500 } else { 1700 } + r.noise(300);

        let mut medications = Vec::new();
        let hba1c = match r.below(100) {
            0..25 => r.between(500, 554),
            25..60 => r.between(560, 640),
            60..85 => r.between(650, 760),
            stage => {
                medications.push("1");
                if stage > 95 {
                    medications.push("2");
                }
                r.between(640, if stage == 99 { 1060 } else { 860 })
            }
        };
        let systolic = 130 + r.noise(34);
        if systolic > 138 || r.chance(15) {
            medications.push("4");
        }
        if r.chance(20) {
            medications.push("5");
        }
        if r.chance(10) {
            medications.push("9");
        }
        if medications.is_empty() && r.chance(80) {
            medications.push("0");
        }

        let commuting = match commute {
            "1" => 1500,
            "3" => 1100,
            "4" => -500,
            _ => 0,
        };
        let activity: &Model = match r.below(10) {
            0..5 => &model::ACTIVITY_MONITOR,
            5..8 => &model::WRISTBAND,
            _ => &model::PHONE_APP,
        };
        let wear = match activity.number {
            "AYUMI-3" => r.pick(&["30", "31", "31"]),
            "OSANPO" => r.pick(&["10", "11", "40", "50"]),
            _ => r.pick(&["10", "11", "20", "21", "21"]),
        };
        let monitor: &Model = if r.chance(75) {
            &model::ARM_MONITOR
        } else {
            &model::WRIST_MONITOR
        };
        let cuff = if monitor.number == "BP-200" {
            r.pick(&["左上腕", "左上腕", "左上腕", "右上腕"])
        } else {
            r.pick(&["左手首", "右手首"])
        };
        let scale: &Model = if r.chance(70) {
            &model::BODY_COMPOSITION
        } else {
            &model::PLAIN_SCALE
        };

        // The first of each chunk stays to the end, so that no submission is empty.
        let days = cohort.days();
        let leaves = r.chance(5) && days >= 10 && !number.is_multiple_of(super::CHUNK);
        let end = leaves.then(|| days / 3 + r.below(days * 2 / 3 - 1));

        let mut worn = |model: &'static Model| Worn {
            model,
            serial: serial(r, model, consortium, number),
        };
        let (scale, monitor, activity) = (worn(scale), worn(monitor), worn(activity));
        Person {
            id: format!("P{:019}", u64::from(number) + 1),
            birth_year_month: format!("{year:04}{:02}", r.between(1, 12)),
            sex,
            prefecture: format!("{prefecture:02}"),
            commute,
            medications,
            consent: match r.below(100) {
                0..3 => "0",
                3..20 => "1",
                20..80 => "2",
                _ => "3",
            },
            intervention: r.chance(50),
            hospital_number: r.chance(20).then_some(number + 1),
            end,
            scale,
            monitor: r.chance(90).then_some(monitor),
            activity,
            wear: r.chance(85).then_some(wear),
            cuff: r.chance(80).then_some(cuff),
            diligence: 97 - r.below(18) - if r.chance(10) { 25 } else { 0 },
            laboratory: r.below(super::LABORATORIES),
            weight,
            fat,
            systolic,
            diastolic: systolic * 6 / 10 + r.noise(9) + 3,
            pulse: 70 + r.noise(18),
            hba1c,
            steps: 6200 + r.noise(3600) + commuting,
            cadence: r.between(96, 118),
            stride: height * 42 / 100,
            response: r.between(50, 150),
            wave: (50 + r.below(70), r.between(10, 60)),
        }
    }

    /// Whether the person takes part on that day.
    pub(super) fn takes_part(&self, day: u32) -> bool {
        self.end.is_none_or(|end| day <= end)
    }

    fn effect(&self, full: i32, day: u32, half: u32) -> i32 {
        if self.intervention {
            towards(full * self.response / 100, day, half)
        } else {
            0
        }
    }

    /// kg × 100.
    pub(super) fn weight(&self, day: u32, r: &mut Random) -> i32 {
        let (period, height) = self.wave;
        let at = day % period;
        let up = at.min(period - at) as i32;
        let wave = up * 4 * height / period as i32 - height;
        self.weight + wave - self.effect(self.weight * 3 / 100, day, 120) + r.noise(70)
    }

    /// Per cent × 100.
    pub(super) fn fat(&self, day: u32, r: &mut Random) -> i32 {
        (self.fat - self.effect(120, day, 120) + r.noise(120)).clamp(500, 5500)
    }

    /// Systolic and diastolic; `rise` is what the place or the hour adds.
    pub(super) fn pressure(&self, day: u32, rise: i32, r: &mut Random) -> (i32, i32) {
        let systolic = self.systolic + rise - self.effect(6, day, 90) + r.noise(24);
        let diastolic = self.diastolic + rise / 2 - self.effect(3, day, 90) + r.noise(16);
        let systolic = systolic.clamp(84, 210);
        (systolic, diastolic.clamp(44, systolic - 18))
    }

    /// Per cent (NGSP) × 100.
    pub(super) fn hba1c(&self, day: u32, r: &mut Random) -> i32 {
        let excess = self.hba1c - 480;
        let drift = if self.intervention {
            0
        } else {
            towards(6, day, 180)
        };
        self.hba1c - self.effect(excess * 30 / 100, day, 90) + drift + r.noise(16)
    }

    /// Steps of a day.
    pub(super) fn steps(&self, day: u32, weekend: bool, r: &mut Random) -> i32 {
        let usual = self.steps + self.effect(2400, day, 21);
        let of_day = if weekend { 86 } else { 103 } + r.noise(75);
        (usual * of_day / 100 + r.noise(90)).clamp(180, 32_000)
    }
}

/// A serial in the maker's form. A tenth of the devices have none: the consortium's id
/// and the number in its ledger stand for it. A phone app names the phone.
fn serial(r: &mut Random, model: &Model, consortium: u32, number: u32) -> String {
    if model.serial.is_empty() {
        return format!("{:08x}{:08x}", r.below(u32::MAX), r.below(u32::MAX));
    }
    if r.chance(10) {
        return format!(
            "{}{}-{number:07}",
            super::consortium_id(consortium),
            model.serial
        );
    }
    format!("{}{}{number:07}", model.serial, consortium + 1)
}
