//! The submissions of the cohort: what a chunk of participants measured in a window.
//!
//! Every value depends on the person and the day alone, so that each file can be
//! written by itself, in any order and by any number of threads.

use super::object::{Date, Object};
use super::person::{Person, Worn};
use super::random::Random;
use super::{CHUNK, Cohort, WINDOW, consortium_id, laboratory_id};

const HOUR: u32 = 3600;

/// Writes one submission in blocks, a participant each.
pub(super) fn write<E>(
    cohort: &Cohort,
    consortium: u32,
    chunk: u32,
    window: u32,
    mut block: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let window = Window::new(cohort, window);
    let mut out = Vec::new();
    let mut envelope = Object::open(&mut out);
    envelope.text("format_version", "1.0");
    envelope.time17(
        "send_time",
        window.date(window.sent()),
        6 * HOUR * 1000 + chunk % 3_600_000,
    );
    envelope.text("consortium_id", &consortium_id(consortium));
    envelope.name("person_information");
    let mut before = b"[\n";
    let from = chunk * CHUNK;
    for number in from..cohort.size(consortium).min(from + CHUNK) {
        let person = Person::new(cohort, consortium, number);
        if !person.takes_part(window.first) {
            continue;
        }
        out.extend_from_slice(before);
        before = b",\n";
        Entry {
            cohort,
            window: &window,
            consortium,
            number,
            person: &person,
        }
        .write(&mut out);
        block(&out)?;
        out.clear();
    }
    out.extend_from_slice(b"\n]}\n");
    block(&out)
}

/// A window of days, with their dates and those of the days in which it is sent.
struct Window {
    number: u32,
    first: u32,
    last: u32,
    dates: Vec<Date>,
    first_weekday: u32,
}

impl Window {
    fn new(cohort: &Cohort, number: u32) -> Window {
        let first = number * WINDOW;
        let last = (first + WINDOW).min(cohort.days()) - 1;
        Window {
            number,
            first,
            last,
            dates: (first..=last + 3).map(|day| cohort.date(day)).collect(),
            first_weekday: cohort.weekday(first),
        }
    }

    /// The day on which results have come back and the file is sent.
    fn sent(&self) -> u32 {
        self.last + 3
    }

    fn date(&self, day: u32) -> Date {
        self.dates[(day - self.first) as usize]
    }

    fn weekend(&self, day: u32) -> bool {
        (self.first_weekday + day - self.first) % 7 >= 5
    }
}

/// One entry of `person_information`.
struct Entry<'a> {
    cohort: &'a Cohort,
    window: &'a Window,
    consortium: u32,
    number: u32,
    person: &'a Person,
}

/// An array of records that is written only once it has one.
struct Records<'a, 'b> {
    section: &'a mut Object<'b>,
    name: &'static str,
    open: bool,
}

impl<'a, 'b> Records<'a, 'b> {
    fn new(section: &'a mut Object<'b>, name: &'static str) -> Records<'a, 'b> {
        Records {
            section,
            name,
            open: false,
        }
    }

    fn record(&mut self) -> Object<'_> {
        let out = if self.open {
            let out = self.section.buffer();
            out.extend_from_slice(b",\n");
            out
        } else {
            let out = self.section.name(self.name);
            out.extend_from_slice(b"[\n");
            out
        };
        self.open = true;
        Object::open(out)
    }

    fn close(self) {
        if self.open {
            self.section.buffer().push(b']');
        }
    }
}

impl Entry<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut entry = Object::open(out);
        entry.text("person_id", &self.person.id);
        let mut section = Object::open(entry.name("healthcare_information"));
        self.weighing_scale(Records::new(&mut section, "weighing_scale"));
        self.home_blood_pressure(Records::new(&mut section, "blood_pressure"));
        self.physical_activity(Records::new(&mut section, "physical_activity"));
        section.close();
        if let Some(day) = self.visit() {
            let mut section = Object::open(entry.name("health_checkup_information"));
            self.hba1c(day, Records::new(&mut section, "hba1c"));
            self.checkup_blood_pressure(day, Records::new(&mut section, "blood_pressure"));
            section.close();
        }
        entry.close();
    }

    /// The random numbers of one kind in this window.
    fn random(&self, kind: u64) -> Random {
        Random::new(&[
            self.cohort.seed,
            u64::from(self.consortium),
            u64::from(self.number),
            u64::from(self.window.number) + 1,
            kind,
        ])
    }

    /// The days in which the person takes part.
    fn days(&self) -> impl Iterator<Item = u32> {
        let last = self
            .person
            .end
            .unwrap_or(self.window.last)
            .min(self.window.last);
        self.window.first..=last
    }

    fn weighing_scale(&self, mut records: Records) {
        let r = &mut self.random(1);
        let scale = &self.person.scale;
        let composition = scale.model.number == "WS-100";
        for day in self.days() {
            // The first day is always there, so that no entry is empty.
            let measured = r.chance(self.person.diligence) || day == self.window.first;
            let weight = self.person.weight(day, r);
            let fat = self.person.fat(day, r);
            let time = 6 * HOUR + r.below(2 * HOUR);
            let by = Entered::draw(r, 92, 5);
            if !measured {
                continue;
            }
            let (weight, decimals) = match by {
                Entered::ByHand if r.chance(20) => (weight, 0),
                Entered::ByHand => (weight, 1),
                _ if composition => (weight, 1),
                _ => ((weight + 2) / 5 * 5, 2),
            };
            let mut record = records.record();
            record.time14("observation_time", self.window.date(day), time);
            record.decimal("body_weight", weight, decimals);
            if composition && by != Entered::ByHand {
                record.decimal(
                    "body_fat",
                    fat,
                    1 + u32::from(self.number.is_multiple_of(4)),
                );
            }
            device(&mut record, scale);
            self.tail(&mut record, by, scale, day, 20 * HOUR, r);
            record.close();
        }
        records.close();
    }

    fn home_blood_pressure(&self, mut records: Records) {
        let Some(monitor) = &self.person.monitor else {
            return;
        };
        let r = &mut self.random(2);
        for day in self.days() {
            for (hour, rise) in [(6, 0), (21, -5)] {
                let measured = r.chance(self.person.diligence);
                let (systolic, diastolic) = self.person.pressure(day, rise, r);
                let pulse = self.person.pulse + r.noise(14);
                let time = hour * HOUR + 900 + r.below(5400);
                let by = Entered::draw(r, 88, 10);
                if !measured {
                    continue;
                }
                let mut record = records.record();
                record.time14("observation_time", self.window.date(day), time);
                record.int("systolic", systolic);
                record.int("diastolic", diastolic);
                record.int("pulse_rate", pulse);
                record.option("measurement_position", self.person.cuff);
                device(&mut record, monitor);
                self.tail(&mut record, by, monitor, day, 23 * HOUR, r);
                record.close();
            }
        }
        records.close();
    }

    fn physical_activity(&self, mut records: Records) {
        let r = &mut self.random(3);
        let person = self.person;
        let worn = &person.activity;
        let (belt, app) = (worn.model.number == "AM-500", worn.model.number == "OSANPO");
        for day in self.days() {
            let measured = r.chance(person.diligence + 2);
            let steps = person.steps(day, self.window.weekend(day), r);
            let moderate_percent = r.between(18, 45);
            let covered = if r.chance(70) {
                1440
            } else {
                r.between(600, 1439)
            };
            let by = Entered::draw(r, 95, 2);
            let weight = person.weight(day, r);
            if !measured {
                continue;
            }
            let walked = steps / person.cadence;
            let moderate = walked * moderate_percent / 100;
            // 0.5 kcal a kilogram and thousand steps; 24 kcal a kilogram and day at rest.
            let calories = (i64::from(steps) * i64::from(weight) / 2000) as i32;
            let total = weight * 24 + calories;
            let mut record = records.record();
            record.time14("observation_time", self.window.date(day), 0);
            record.int("step", steps);
            if !app {
                record.int("walk_time", walked);
                record.int("moderate_intensity_activity", moderate);
                record.decimal("calories", calories, 1);
                record.decimal("total_calories", total, 1);
            }
            if belt || app {
                record.decimal(
                    "distance",
                    steps * person.stride / 1000,
                    if app { 1 } else { 2 },
                );
            }
            if belt {
                // Exercise counts what is of 3 METs and more, here 4 on average.
                record.decimal("exercise", moderate * 400 / 60, 1);
            } else if !app {
                record.decimal("amount_of_exercise", walked * 320 / 60, 1);
            }
            device(&mut record, worn);
            record.int("total_active_duration", covered);
            self.tail(&mut record, by, worn, day, 24 * HOUR, r);
            record.close();
        }
        records.close();
    }

    /// The day of this window's check-up, about thirty days after the last one.
    fn visit(&self) -> Option<u32> {
        let r = &mut self.random(4);
        let first = self.window.number == 0;
        let day = self.window.first + r.below(7);
        let day = if first {
            day.min(self.window.last)
        } else {
            day
        };
        let kept = first || r.chance(95);
        (kept && day <= self.window.last && self.person.takes_part(day)).then_some(day)
    }

    fn hba1c(&self, day: u32, mut records: Records) {
        let r = &mut self.random(5);
        let mut record = records.record();
        record.time14("observation_time", self.window.date(day), 0);
        record.decimal("hba1c_value", self.person.hba1c(day, r), 1);
        let by = if r.chance(90) {
            Entered::Device
        } else {
            Entered::ByHand
        };
        record.text("data_input_code", by.code());
        // Each laboratory keeps to its method; a tenth of the results do not tell it.
        if r.chance(90) {
            let methods = ["000001", "000002", "000003"];
            record.text(
                "measurement_method_code",
                methods[self.person.laboratory as usize % 3],
            );
        }
        match r.below(10) {
            0 => {}
            1 => record.text("value_criteria_code", "1"),
            _ => record.text("value_criteria_code", "0"),
        }
        record.text("test_lab_id", &laboratory_id(self.person.laboratory));
        self.updated(&mut record, day + 2, 12 * HOUR, r);
        record.close();
        records.close();
    }

    fn checkup_blood_pressure(&self, day: u32, mut records: Records) {
        let r = &mut self.random(6);
        let (systolic, diastolic) = self.person.pressure(day, 6, r);
        let pulse = self.person.pulse + 3 + r.noise(14);
        // One of the laboratories notes the day alone.
        let noted = self.person.laboratory != 1;
        let time = if noted {
            9 * HOUR + r.below(120) * 60
        } else {
            0
        };
        let mut record = records.record();
        record.time14("observation_time", self.window.date(day), time);
        record.int("systolic", systolic);
        record.int("diastolic", diastolic);
        if r.chance(45) {
            record.int("pulse_rate", pulse);
        }
        record.option(
            "measurement_position",
            r.pick(&[None, Some("右上腕"), Some("左上腕")]),
        );
        let by = if r.chance(60) {
            Entered::ByHand
        } else {
            Entered::Device
        };
        record.text("data_input_code", by.code());
        if r.chance(92) {
            record.text("test_lab_id", &laboratory_id(self.person.laboratory));
        }
        self.updated(&mut record, day + 2, 12 * HOUR, r);
        record.close();
        records.close();
    }

    /// The entry, clock and version part. What was edited by hand changed the morning after.
    fn tail(
        &self,
        record: &mut Object,
        by: Entered,
        worn: &Worn,
        day: u32,
        from: u32,
        r: &mut Random,
    ) {
        record.text("data_input_code", by.code());
        if worn.model.aggregation.is_some() {
            record.option("measurement_position_code", self.person.wear);
        }
        record.text("origin_of_time_code", worn.model.origin_of_time);
        let from = if by == Entered::Edited {
            31 * HOUR
        } else {
            from
        };
        self.updated(record, day, from, r);
    }

    /// `update_time`, within an hour from so many seconds after the day's beginning.
    fn updated(&self, record: &mut Object, day: u32, from: u32, r: &mut Random) {
        let millis = from * 1000 + r.below(HOUR * 1000);
        let of_day = 24 * HOUR * 1000;
        record.time17(
            "update_time",
            self.window.date(day + millis / of_day),
            millis % of_day,
        );
    }
}

/// How a value came in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    Device,
    ByHand,
    Edited,
}

impl Entered {
    /// By the device in so many per cent, by hand in so many, edited in the rest.
    fn draw(r: &mut Random, device: u32, by_hand: u32) -> Entered {
        match r.below(100) {
            n if n < device => Entered::Device,
            n if n < device + by_hand => Entered::ByHand,
            _ => Entered::Edited,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Entered::Device => "0",
            Entered::ByHand => "1",
            Entered::Edited => "2",
        }
    }
}

fn device(record: &mut Object, worn: &Worn) {
    record.text("model_manufacturer_code", worn.model.maker);
    record.text("model_number", worn.model.number);
    record.text("production_specification_serial", &worn.serial);
}
