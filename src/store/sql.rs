//! Statements over many rows, and what differs between databases.

use std::fmt::Write as _;

/// Rows of one statement at most: few enough to stay below the limit of bound values,
/// enough to make the cost of a statement disappear.
pub const CHUNK: usize = 256;

/// Cuts `rows` into runs of 256, 128, … 1 so that only nine texts of each statement exist
/// and all of them stay prepared.
pub fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if rows.is_empty() {
            return None;
        }
        let mut size = CHUNK;
        while size > rows.len() {
            size /= 2;
        }
        let (head, tail) = rows.split_at(size);
        rows = tail;
        Some(head)
    })
}

/// `(?, ?), (?, ?)`: placeholders for `rows` of `columns` values.
pub fn values(rows: usize, columns: usize) -> String {
    let mut one = String::from("(");
    for i in 0..columns {
        one.push_str(if i == 0 { "?" } else { ", ?" });
    }
    one.push(')');
    let mut out = String::with_capacity(rows * (one.len() + 2));
    for i in 0..rows {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(&one);
    }
    out
}

/// `?, ?, ?`: placeholders of a list.
pub fn list(n: usize) -> String {
    let mut out = String::with_capacity(n * 3);
    for i in 0..n {
        out.push_str(if i == 0 { "?" } else { ", ?" });
    }
    out
}

/// `3, 7`: numbers of our own in a list.
pub fn numbers(numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    texts.join(", ")
}

/// `prefixc1, prefixc2, …`: the first `n` numbered columns.
pub fn columns(prefix: &str, n: usize) -> String {
    let mut out = String::new();
    for i in 1..=n {
        let comma = if i > 1 { ", " } else { "" };
        let _ = write!(out, "{comma}{prefix}c{i}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_lose_nothing() {
        let rows: Vec<u32> = (0..700).collect();
        let sizes: Vec<usize> = chunks(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [256, 256, 128, 32, 16, 8, 4]);
        assert_eq!(chunks(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn placeholders_are_counted() {
        assert_eq!(values(2, 3), "(?, ?, ?), (?, ?, ?)");
        assert_eq!(list(2), "?, ?");
        assert_eq!(columns("r.", 2), "r.c1, r.c2");
    }
}
