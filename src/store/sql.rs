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

/// Cuts `rows` into sets that lists of a condition (`IN`) are made of: each as long as one of
/// the nine texts asks, the last of its rows repeated.
pub fn sets<T: Clone>(rows: &[T]) -> impl Iterator<Item = Vec<T>> {
    rows.chunks(CHUNK).map(|rows| {
        let mut set = rows.to_vec();
        if let Some(last) = rows.last() {
            set.resize(rows.len().next_power_of_two(), last.clone());
        }
        set
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
    fn sets_have_few_lengths_and_the_same_rows() {
        for (rows, lengths) in [
            (0, vec![]),
            (1, vec![1]),
            (3, vec![4]),
            (300, vec![256, 64]),
        ] {
            let rows: Vec<u32> = (0..rows).collect();
            let found: Vec<Vec<u32>> = sets(&rows).collect();
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
            let mut all = found.concat();
            all.dedup();
            assert_eq!(all, rows);
        }
    }

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
