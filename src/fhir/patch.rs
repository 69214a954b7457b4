//! Application of a JSON Patch (RFC 6902) whose work and result are bounded.
//!
//! A few operations that copy what others copied could double a document again and again, so
//! each operation pays for what it copies and moves before it is done.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::decimal;
use crate::json::DEPTH_MAX;

/// Bytes that a value takes beside its text.
const NODE: usize = 64;
/// Bytes that are moved for each element of an array into which one is inserted.
const ELEMENT: usize = 8;

/// Work that the patches of one request may still do, in bytes.
#[derive(Debug)]
pub struct Work(usize);

/// Reason for which an operation is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A `test` found another value, or an operation names a place that is not there.
    Refused {
        /// Number of the operation, from 0.
        at: usize,
        /// Description of the mistake.
        why: String,
    },
    /// The work of the request is used up.
    TooCostly {
        /// Number of the operation, from 0.
        at: usize,
    },
    /// The document would be nested deeper than [`DEPTH_MAX`].
    TooDeep {
        /// Number of the operation, from 0.
        at: usize,
    },
}

impl Work {
    /// Work for patches that copy and move at most `bytes`.
    pub fn new(bytes: usize) -> Work {
        Work(bytes)
    }

    /// Whether the work was left.
    fn takes(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Applies the operations one by one.
    ///
    /// # Errors
    /// The first operation that fails; those before it stay done.
    pub fn apply(&mut self, document: &mut Value, patch: &Patch) -> Result<(), Failure> {
        for (at, operation) in patch.0.iter().enumerate() {
            self.pay(document, at, operation)?;
            let failed = match operation {
                PatchOperation::Test(test) => match document.pointer(test.path.as_str()) {
                    Some(found) if equal(found, &test.value) => None,
                    Some(_) => Some("the value is another one".to_owned()),
                    None => Some("there is no value".to_owned()),
                },
                // Without a copy of what it replaces: nothing is kept of a patch that fails.
                other => json_patch::patch_unsafe(document, std::slice::from_ref(other))
                    .err()
                    .map(|error| error.kind.to_string()),
            };
            if let Some(why) = failed {
                return Err(Failure::Refused { at, why });
            }
        }
        Ok(())
    }

    /// Takes the work of an operation that the document is about to see.
    fn pay(
        &mut self,
        document: &Value,
        at: usize,
        operation: &PatchOperation,
    ) -> Result<(), Failure> {
        let path = operation.path().as_str();
        let (value, from) = match operation {
            PatchOperation::Add(add) => (Some(&add.value), None),
            PatchOperation::Replace(replace) => (Some(&replace.value), None),
            PatchOperation::Copy(copy) => (document.pointer(copy.from.as_str()), None),
            PatchOperation::Move(from) => {
                let from = from.from.as_str();
                (document.pointer(from), Some(from))
            }
            PatchOperation::Remove(_) => (None, None),
            PatchOperation::Test(_) => return Ok(()),
        };
        if let Some(value) = value {
            let room = DEPTH_MAX.saturating_sub(path.matches('/').count());
            let fits = self.weigh(value, room);
            fits.map_err(|deep| match deep {
                true => Failure::TooDeep { at },
                false => Failure::TooCostly { at },
            })?;
        }
        let shifted = [Some(path), from].into_iter().flatten();
        let shifted: usize = shifted.map(|path| siblings(document, path)).sum();
        match self.takes(shifted.saturating_mul(ELEMENT)) {
            true => Ok(()),
            false => Err(Failure::TooCostly { at }),
        }
    }

    /// Takes the work of copying a value that may be nested `room` deep.
    ///
    /// # Errors
    /// `true` where it is nested deeper, `false` where the work is used up.
    fn weigh(&mut self, value: &Value, room: usize) -> Result<(), bool> {
        let text = match value {
            Value::String(text) => text.len(),
            Value::Number(number) => number.as_str().len(),
            _ => 0,
        };
        if !self.takes(NODE + text) {
            return Err(false);
        }
        let deeper = || room.checked_sub(1).ok_or(true);
        match value {
            Value::Array(items) => {
                let room = deeper()?;
                items.iter().try_for_each(|item| self.weigh(item, room))
            }
            Value::Object(members) => {
                let room = deeper()?;
                members
                    .iter()
                    .try_for_each(|(name, member)| match self.takes(name.len()) {
                        true => self.weigh(member, room),
                        false => Err(false),
                    })
            }
            _ => Ok(()),
        }
    }
}

/// Elements of the array that a path leads into.
fn siblings(document: &Value, path: &str) -> usize {
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    match parent.and_then(|parent| document.pointer(parent)) {
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    }
}

/// Whether two values are equal as RFC 6902 §4.6 says: numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => decimal::equal(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const WORK: usize = 1 << 20;

    fn applied(document: Value, patch: Value) -> Result<Value, Failure> {
        let patch = serde_json::from_value(patch).unwrap();
        let mut document = document;
        Work::new(WORK)
            .apply(&mut document, &patch)
            .map(|()| document)
    }

    fn copies(number: usize, operation: Value) -> Value {
        vec![operation; number].into()
    }

    #[test]
    fn what_doubles_a_document_is_stopped_before_it_is_large() {
        let doubled = json!({ "op": "copy", "from": "/a", "path": "/a/-" });
        let list = json!({ "a": ["x".repeat(1000)] });
        let stopped = applied(list, copies(22, doubled));
        assert!(
            matches!(stopped, Err(Failure::TooCostly { at }) if at < 12),
            "{stopped:?}"
        );
        let nested = json!({ "op": "copy", "from": "", "path": "/a" });
        let stopped = applied(json!({}), copies(100, nested));
        assert_eq!(stopped, Err(Failure::TooDeep { at: DEPTH_MAX - 1 }));
    }

    #[test]
    fn moves_and_insertions_pay_for_what_they_shift() {
        let list = json!({ "a": vec![0; 1000], "b": "x".repeat(WORK / 10) });
        for operation in [
            json!({ "op": "add", "path": "/a/0", "value": 1 }),
            json!({ "op": "move", "from": "/a/999", "path": "/a/0" }),
            json!({ "op": "move", "from": "/b", "path": "/b" }),
            json!({ "op": "copy", "from": "/b", "path": "/c" }),
        ] {
            let few = applied(list.clone(), copies(5, operation.clone()));
            assert!(few.is_ok(), "{few:?}");
            let many = applied(list.clone(), copies(200, operation));
            assert!(matches!(many, Err(Failure::TooCostly { .. })), "{many:?}");
        }
        let removed = applied(list, copies(900, json!({ "op": "remove", "path": "/a/0" })));
        assert!(
            matches!(removed, Err(Failure::TooCostly { .. })),
            "{removed:?}"
        );
    }

    #[test]
    fn nothing_is_nested_deeper_than_a_document_that_is_read() {
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX - 1 {
            deep = json!([deep]);
        }
        let add = |value: &Value| json!([{ "op": "add", "path": "/a", "value": value }]);
        assert!(applied(json!({}), add(&deep)).is_ok());
        let deeper = applied(json!({}), add(&json!([deep])));
        assert_eq!(deeper, Err(Failure::TooDeep { at: 0 }));
    }

    #[test]
    fn patches_of_one_request_share_its_work() {
        let patch = json!([{ "op": "copy", "from": "/a", "path": "/b" }]);
        let patch = serde_json::from_value(patch).unwrap();
        let mut work = Work::new(1000);
        let done = (0..10).take_while(|_| {
            let mut document = json!({ "a": "x".repeat(300) });
            work.apply(&mut document, &patch).is_ok()
        });
        assert_eq!(done.count(), 2);
    }
}
