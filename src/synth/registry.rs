//! The six lists of the cohort, one row a line.

use super::model::MODELS;
use super::object::Object;
use super::person::Person;
use super::{CHUNK, CONSORTIA_MAX, Cohort, LABORATORIES, List, PREFECTURES, consortium_id};

/// Name, lead and place of each consortium, in the order of their numbers.
const CONSORTIA: [(&str, &str, &str); CONSORTIA_MAX as usize] = [
    (
        "七福神健康コンソーシアム",
        "七福神大学医学部附属病院",
        "七福神",
    ),
    ("月うさぎ健康づくり協議会", "月うさぎ健診財団", "月うさぎ"),
    ("竜宮からだ見守り共同体", "竜宮海浜病院", "竜宮"),
    ("桃太郎きびだんご健康会", "鬼ヶ島医科大学", "鬼ヶ島"),
    ("鶴亀長寿コンソーシアム", "鶴亀総合研究所", "鶴亀"),
    ("雪だるま冬も歩こう会", "雪だるま市国民健康保険", "雪だるま"),
    (
        "かぐや竹林健康コンソーシアム",
        "竹取物産健康保険組合",
        "竹取",
    ),
    ("金太郎足柄健康推進会", "金太郎製斧健康保険組合", "足柄"),
];

const LABORATORY_NAMES: [&str; LABORATORIES as usize] =
    ["健診センター", "第二検査所", "駅前クリニック検査室"];

/// Method code, class and name of the `hba1c-methods` list.
const METHODS: [(&str, &str, &str); 4] = [
    ("000001", "2", "HPLC法(機種A)"),
    ("000002", "1", "免疫比濁法(機種B)"),
    ("000003", "3", "酵素法(機種C)"),
    ("000009", "9", "その他"),
];

/// Writes a list in blocks: however many participants there are, one chunk is in memory.
pub(super) fn write<E>(
    cohort: &Cohort,
    list: List,
    mut block: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rows = Rows {
        out: b"[".to_vec(),
        empty: true,
    };
    match list {
        List::Consortia => consortia(cohort, &mut rows),
        List::Participants => {
            for consortium in 0..cohort.consortia() {
                for number in 0..cohort.size(consortium) {
                    if number.is_multiple_of(CHUNK) {
                        block(&rows.out)?;
                        rows.out.clear();
                    }
                    participant(cohort, consortium, number, &mut rows);
                }
            }
        }
        List::Laboratories => laboratories(cohort, &mut rows),
        List::Devices => devices(&mut rows),
        List::Hba1cMethods => methods(&mut rows),
        List::ActivityRecordingTimes => recording_times(&mut rows),
    }
    rows.out.extend_from_slice(b"\n]\n");
    block(&rows.out)
}

/// The rows written so far.
struct Rows {
    out: Vec<u8>,
    empty: bool,
}

impl Rows {
    fn row(&mut self) -> Object<'_> {
        self.out
            .extend_from_slice(if self.empty { b"\n" } else { b",\n" });
        self.empty = false;
        Object::open(&mut self.out)
    }
}

fn consortia(cohort: &Cohort, rows: &mut Rows) {
    let start = cohort.date(0);
    for (number, (name, lead, _)) in (0..cohort.consortia()).zip(CONSORTIA) {
        let mut row = rows.row();
        row.text("consortium_id", &consortium_id(number));
        row.text("consortium_name", name);
        row.text("representative_organization", lead);
        row.date("start_date", start);
        row.close();
    }
}

fn participant(cohort: &Cohort, consortium: u32, number: u32, rows: &mut Rows) {
    let person = Person::new(cohort, consortium, number);
    let mut row = rows.row();
    row.text("consortium_id", &consortium_id(consortium));
    row.text("person_id", &person.id);
    row.text("birth_year_month", &person.birth_year_month);
    row.text("sex_code", person.sex);
    row.date("participation_start_date", cohort.date(0));
    if let Some(end) = person.end {
        row.date("participation_end_date", cohort.date(end));
    }
    row.text("residence_prefecture_code", &person.prefecture);
    row.text("commute_code", person.commute);
    row.list("medication_codes", &person.medications);
    row.option("measurement_position_code", person.wear);
    row.text(
        "study_arm_code",
        if person.intervention { "1" } else { "2" },
    );
    row.text("consent_code", person.consent);
    if let Some(hospital_number) = person.hospital_number {
        let institution = institution_code(consortium, 0);
        row.list(
            "external_identifiers",
            &[format!(
                "urn:oid:1.2.392.100495.20.3.51.1{institution}|{hospital_number:08}"
            )],
        );
    }
    row.close();
}

fn laboratories(cohort: &Cohort, rows: &mut Rows) {
    for (consortium, (_, _, place)) in (0..cohort.consortia()).zip(CONSORTIA) {
        for (number, name) in (0..LABORATORIES).zip(LABORATORY_NAMES) {
            let mut row = rows.row();
            row.text("consortium_id", &consortium_id(consortium));
            row.text("test_lab_id", &super::laboratory_id(number));
            row.text("test_lab_name", &format!("{place}{name}"));
            row.text("prefecture_code", &format!("{:02}", prefecture(consortium)));
            row.text("institution_code", &institution_code(consortium, number));
            row.close();
        }
    }
}

fn prefecture(consortium: u32) -> u32 {
    PREFECTURES[consortium as usize % PREFECTURES.len()]
}

/// Ten digits: prefecture, 1 for medical, and a number that is invented.
fn institution_code(consortium: u32, laboratory: u32) -> String {
    format!(
        "{:02}1999{:02}{:02}",
        prefecture(consortium),
        consortium + 1,
        laboratory + 1
    )
}

fn devices(rows: &mut Rows) {
    for model in MODELS {
        let mut row = rows.row();
        row.text("model_manufacturer_code", model.maker);
        row.text("model_number", model.number);
        row.text("manufacturer_name", model.maker_name);
        row.text("device_name", model.name);
        row.text("device_type_code", model.kind);
        row.option("clock_correction", model.clock_correction);
        row.list("standards_conformance", model.conformance);
        row.option("accuracy", model.accuracy);
        if let Some([mean, q1, q3]) = model.error {
            row.decimal("mean_error_percent", mean, 1);
            row.decimal("error_q1_percent", q1, 1);
            row.decimal("error_q3_percent", q3, 1);
        }
        row.close();
    }
}

fn methods(rows: &mut Rows) {
    for (code, class, name) in METHODS {
        let mut row = rows.row();
        row.text("measurement_method_code", code);
        row.text("method_class_code", class);
        row.text("method_name", name);
        row.close();
    }
}

fn recording_times(rows: &mut Rows) {
    for model in MODELS {
        let Some(aggregation) = model.aggregation else {
            continue;
        };
        let mut row = rows.row();
        row.text("model_manufacturer_code", model.maker);
        row.text("model_number", model.number);
        row.text("day_start", "0000");
        row.int("recorded_minutes", 1440);
        row.text("aggregation", aggregation);
        row.close();
    }
}
