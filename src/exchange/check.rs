//! The rules between the records of one submission.

use super::{FUTURE_MAX, Submission};
use crate::fault::{Code, Fault};
use crate::kind::Kinds;
use crate::record::same_content;
use crate::time;

/// Refuses records later than `send_time`, and the same identity with different content;
/// keeps, of repetitions with the same content, the one with the newest `update_time`
/// (protocol specification §5, §6).
pub fn check(kinds: &Kinds, submission: &mut Submission) {
    future(kinds, submission);
    repeated(kinds, submission);
    submission.sort_faults();
}

/// Records that were read before `send_time` was known.
fn future(kinds: &Kinds, submission: &mut Submission) {
    if submission.broken {
        return;
    }
    let told: Vec<bool> = {
        let mut told = vec![false; submission.rows.len()];
        for (row, fault) in &submission.faults {
            told[*row as usize] |= fault.code == Code::FutureTime;
        }
        told
    };
    for (i, &told) in told.iter().enumerate() {
        let row = submission.rows[i];
        let kind = kinds.at(usize::from(row.kind));
        let cell = submission.cells(kinds, &row)[kind.time];
        if told || cell.is_absent() || cell.value() * 1000 <= submission.send_time + FUTURE_MAX {
            continue;
        }
        let pointer = submission.time_pointer(kinds, &row);
        let place = submission.place(kinds, i, kind.time);
        let fault = Fault::new(Code::FutureTime, pointer, place)
            .expected("no later than a day after send_time")
            .found(&time::text(|out| time::write14(out, cell.value())));
        submission.refuse(i, fault);
    }
}

fn repeated(kinds: &Kinds, submission: &mut Submission) {
    let key = |s: &Submission, i: u32| {
        let row = &s.rows[i as usize];
        let kind = kinds.at(usize::from(row.kind));
        let cells = s.cells(kinds, row);
        let source = kind.source.map_or(-1, |f| cells[f].raw().unwrap_or(-1));
        (row.person, row.kind, cells[kind.time].value(), source)
    };
    let mut order: Vec<u32> = (0..submission.rows.len() as u32)
        .filter(|&i| {
            let row = &submission.rows[i as usize];
            let kind = kinds.at(usize::from(row.kind));
            let cells = submission.cells(kinds, row);
            let source = kind.source.filter(|&f| kind.fields[f].required);
            row.person.is_some()
                && !cells[kind.time].is_absent()
                && !source.is_some_and(|f| cells[f].is_absent())
        })
        .collect();
    order.sort_by_cached_key(|&i| key(submission, i));
    let mut from = 0;
    while from < order.len() {
        let first = key(submission, order[from]);
        let mut to = from + 1;
        while to < order.len() && key(submission, order[to]) == first {
            to += 1;
        }
        if to - from > 1 {
            group(kinds, submission, &order[from..to]);
        }
        from = to;
    }
}

/// The most other places that a fault names.
const OTHERS_MAX: usize = 3;

/// Several records of one identity.
fn group(kinds: &Kinds, submission: &mut Submission, rows: &[u32]) {
    let kind = kinds
        .at(usize::from(submission.rows[rows[0] as usize].kind))
        .clone();
    let newest = rows
        .iter()
        .copied()
        .filter(|&i| !submission.rows[i as usize].refused)
        .max_by_key(|&i| {
            let row = &submission.rows[i as usize];
            // Of equals the first stays, so that its place is the one told.
            (
                submission.cells(kinds, row)[kind.update].value(),
                std::cmp::Reverse(i),
            )
        });
    let Some(newest) = newest else { return };
    let same = rows.iter().all(|&i| {
        let cells = |i: u32| submission.cells(kinds, &submission.rows[i as usize]);
        submission.rows[i as usize].refused || same_content(&kind, cells(i), cells(newest))
    });
    for &i in rows {
        let row = submission.rows[i as usize];
        if row.refused {
            continue;
        }
        if same {
            submission.rows[i as usize].repeated = i != newest;
        } else {
            let pointer = submission.pointer(kinds, &row);
            let others: Vec<String> = rows
                .iter()
                .filter(|&&o| o != i)
                .take(OTHERS_MAX)
                .map(|&o| submission.pointer(kinds, &submission.rows[o as usize]))
                .collect();
            let expected = match rows.len() - 1 - others.len() {
                0 => format!("the same content as {}", others.join(", ")),
                more => format!("the same content as {} and {more} more", others.join(", ")),
            };
            let fault = Fault::new(Code::DuplicateIdentity, pointer, row.position.place);
            submission.refuse(i as usize, fault.expected(expected));
        }
    }
}
