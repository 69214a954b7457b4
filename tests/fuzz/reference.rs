//! A plain JSON Patch (RFC 6902), that the program's own is compared with.

use serde_json::Value;

/// Applies a patch; `None` where an operation fails.
pub fn patched(mut document: Value, patch: &Value) -> Option<Value> {
    for operation in patch.as_array()? {
        let path = pointer(operation["path"].as_str()?)?;
        let from = || pointer(operation["from"].as_str()?);
        match operation["op"].as_str()? {
            "add" => add(&mut document, &path, operation.get("value")?.clone())?,
            "remove" => drop(remove(&mut document, &path)?),
            "replace" => *get(&mut document, &path)? = operation.get("value")?.clone(),
            "copy" => {
                let value = get(&mut document, &from()?)?.clone();
                add(&mut document, &path, value)?;
            }
            "move" => {
                let from = from()?;
                if path.len() > from.len() && path.starts_with(&from) {
                    return None;
                }
                // Removing the whole and adding it again leaves it.
                let value = match from.is_empty() {
                    true => document.clone(),
                    false => remove(&mut document, &from)?,
                };
                add(&mut document, &path, value)?;
            }
            "test" => {
                let found = get(&mut document, &path)?.clone();
                if !same(&found, operation.get("value")?) {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(document)
}

fn pointer(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parts = text.strip_prefix('/')?.split('/');
    Some(
        parts
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect(),
    )
}

fn index(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn get<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Object(members) => members.get_mut(part),
        Value::Array(items) => items.get_mut(index(part)?),
        _ => None,
    })
}

fn add(document: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((last, parent)) = path.split_last() else {
        *document = value;
        return Some(());
    };
    match get(document, parent)? {
        Value::Object(members) => drop(members.insert(last.clone(), value)),
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(last).filter(|&at| at <= items.len())?;
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &[String]) -> Option<Value> {
    let (last, parent) = path.split_last()?;
    match get(document, parent)? {
        Value::Object(members) => members.shift_remove(last),
        Value::Array(items) => {
            let at = index(last).filter(|&at| at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

/// Equality of RFC 6902 §4.6: of numbers by value.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (decimal(a.as_str()), decimal(b.as_str())) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(n, a)| b.get(n).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Sign, digits without zeros at their ends, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let digits = digits.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    if short.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = (digits.len() - short.len()) as i64;
    let power = exponent
        .checked_sub(part.len() as i64)?
        .checked_add(zeros)?;
    Some((negative, short.to_owned(), power))
}
