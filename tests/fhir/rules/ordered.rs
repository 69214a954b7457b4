//! What dates, numbers and quantities of a search mean
//! (<https://hl7.org/fhir/R4/search.html#prefix>).

use super::parameters::{found, refused, weights};
use crate::server::Server;

#[tokio::test]
async fn c1_28_prefixes_of_dates_and_numbers() {
    let server = weights(&[
        ("20160831235959", "65.44"),
        ("20160901000000", "65.45"),
        ("20160901235959", "65.50"),
        ("20160902000000", "65.55"),
    ])
    .await;
    found(
        &server,
        "Observation",
        &[
            ("date=2016-09-01", 2),
            ("date=eq2016-09-01", 2),
            ("date=ne2016-09-01", 2),
            ("date=gt2016-09-01", 1),
            ("date=ge2016-09-01", 3),
            ("date=lt2016-09-01", 1),
            ("date=le2016-09-01", 3),
            ("date=sa2016-09-01", 1),
            ("date=eb2016-09-01", 1),
            ("date=ap2016-09-01", 4),
            ("date=gt2016-09", 0),
            ("date=le2016-09", 4),
            ("date=eb2016-09", 1),
            ("value-quantity=65.5", 2),
            ("value-quantity=eq65.5", 2),
            ("value-quantity=ne65.5", 2),
            ("value-quantity=gt65.5", 1),
            ("value-quantity=ge65.5", 2),
            ("value-quantity=lt65.5", 2),
            ("value-quantity=le65.5", 3),
            ("value-quantity=gt65.45", 2),
            ("value-quantity=ap65", 4),
            ("value-quantity=ap70", 4),
            ("value-quantity=ap80", 0),
            ("value-quantity=gt65&value-quantity=lt65.46", 2),
        ],
    )
    .await;
    refused(
        &server,
        "Observation",
        &[
            "date=xx2016",
            "date=gt",
            "value-quantity=xx65",
            "value-quantity=gt",
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_29_dates_as_fine_as_they_are_told_in_japans_zone() {
    let server = weights(&[
        ("20160831235959", "65"),
        ("20160901000000", "65"),
        ("20160901235959", "65"),
        ("20160902000000", "65"),
    ])
    .await;
    found(
        &server,
        "Observation",
        &[
            ("date=2016", 4),
            ("date=2015", 0),
            ("date=2016-09", 3),
            ("date=2016-09-01", 2),
            ("date=2016-09-01T23:59", 1),
            ("date=2016-09-01T23:59:59", 1),
            ("date=2016-09-01T23:59:58", 0),
            ("date=2016-09-01T23:59:59+09:00", 1),
            ("date=2016-09-01T23:59:59%2B09:00", 1),
            ("date=2016-09-01T23:59:59%2009:00", 1),
            ("date=2016-09-01T14:59:59Z", 1),
            ("date=2016-09-01T23:59:59Z", 0),
            ("date=2016-09-01T14:59Z", 1),
            ("date=2016-09-01T09:59:59-05:00", 1),
            (
                "date=ge2016-09-01T00:00:00+09:00&date=lt2016-09-02T00:00:00+09:00",
                2,
            ),
            ("date=2016-09-01,2016-08-31", 3),
        ],
    )
    .await;
    // 30 hours, no month 13, no day 31 in September, an hour without minutes.
    refused(
        &server,
        "Observation",
        &[
            "date=2016-09-01T07",
            "date=2016-09-01T30:00",
            "date=2016-13",
            "date=2016-09-31",
            "date=16",
            "date=2016-9-1",
            "date=2016-09-01T10:00+25:00",
            "date=yesterday",
        ],
    )
    .await;

    // A day of activity is a Period: it starts and ends with the day.
    let server = Server::with_example().await;
    found(
        &server,
        "Observation",
        &[
            ("code=41950-7&date=2016-09-01", 2),
            ("code=41950-7&date=2016-09-01T00:00:00", 0),
            ("code=41950-7&date=ge2016-09-01T12:00", 2),
            ("code=41950-7&date=gt2016-09-01T12:00", 2),
            ("code=41950-7&date=lt2016-09-01T12:00", 2),
            ("code=41950-7&date=sa2016-09-01T12:00", 0),
            ("code=41950-7&date=eb2016-09-02", 2),
        ],
    )
    .await;
    found(
        &server,
        "Patient",
        &[
            ("birthdate=1961-04", 1),
            ("birthdate=1961", 1),
            ("birthdate=1961-04-15", 0),
            ("birthdate=ge1961-04&birthdate=lt1968-11", 1),
            ("birthdate=lt1961-04", 0),
            ("birthdate=gt1961-04", 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_30_numbers_equal_by_their_digits() {
    let server = weights(&[
        ("20160901010000", "6.84"),
        ("20160901020000", "6.85"),
        ("20160901030000", "6.89"),
        ("20160901040000", "6.90"),
        ("20160901050000", "6.94"),
        ("20160901060000", "6.95"),
        ("20160901070000", "100"),
    ])
    .await;
    found(
        &server,
        "Observation",
        &[
            ("value-quantity=6.9", 4),
            ("value-quantity=6.90", 1),
            ("value-quantity=6.900", 1),
            ("value-quantity=6.89", 1),
            ("value-quantity=7", 6),
            ("value-quantity=6", 0),
            ("value-quantity=ne6.9", 3),
            ("value-quantity=100", 1),
            ("value-quantity=1e2", 1),
            ("value-quantity=1.00E2", 1),
            ("value-quantity=0", 0),
            ("value-quantity=-6.9", 0),
        ],
    )
    .await;
    refused(
        &server,
        "Observation",
        &[
            "value-quantity=six",
            "value-quantity=6.9.0",
            "value-quantity=1e",
            "value-quantity=NaN",
            "value-quantity=1e999999999",
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_31_quantities_by_code_by_unit_and_across_units() {
    let server = Server::with_example().await;
    found(
        &server,
        "Observation",
        &[
            ("value-quantity=65.5", 1),
            ("value-quantity=65.5|http://unitsofmeasure.org|kg", 1),
            ("value-quantity=65.5%7Chttp://unitsofmeasure.org%7Ckg", 1),
            ("value-quantity=65.5||kg", 1),
            ("value-quantity=65500|http://unitsofmeasure.org|g", 1),
            ("value-quantity=65500||g", 1),
            ("value-quantity=65.5|http://unitsofmeasure.org|m", 0),
            ("value-quantity=65.5|http://example.org|kg", 0),
            ("value-quantity=65.5||mmHg", 0),
            ("value-quantity=gt60||kg", 1),
            ("value-quantity=gt60000||g", 1),
            ("value-quantity=lt0.06|http://unitsofmeasure.org|t", 2),
            ("component-value-quantity=128||mmHg", 1),
            ("component-value-quantity=128||mm[Hg]", 1),
            (
                "component-value-quantity=128|http://unitsofmeasure.org|mm[Hg]",
                1,
            ),
            ("combo-value-quantity=128||mm[Hg]", 1),
            ("combo-value-quantity=65.5||kg", 1),
            ("value-quantity=7.0|http://unitsofmeasure.org|%25", 1),
        ],
    )
    .await;
    refused(
        &server,
        "Observation",
        &["value-quantity=|kg", "value-quantity=1|a|b|c"],
    )
    .await;
}
