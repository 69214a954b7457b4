//! Submissions that are told apart by their number.

/// A submission with ten records of one participant.
pub fn submission(number: u32) -> String {
    submission_of(number, 10)
}

/// A submission with so many records of one participant, at most 28 000.
pub fn submission_of(number: u32, records: u32) -> String {
    let records: Vec<String> = (0..records)
        .map(|i| {
            format!(
                r#"{{"observation_time":"201602{:02}{:02}{:02}00","body_weight":{}.5,"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"S{number}","data_input_code":"0","origin_of_time_code":"1","update_time":"20161001000000000"}}"#,
                i / 1000 + 1,
                i % 1000 / 50,
                i % 50,
                50 + i % 10
            )
        })
        .collect();
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P{}","healthcare_information":{{"weighing_scale":[{}]}}}}]}}"#,
        number % 7,
        records.join(",")
    )
}
