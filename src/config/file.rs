//! The environment and the TOML file, laid under the options that [`super::Cli`] declares.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use crate::fault::Lang;

/// Options that are neither in the environment nor in the file: they say what a command is to do.
const OPTIONS_ONLY: &[&str] = &[
    "to",
    "as",
    "shape",
    "edition",
    "output",
    "all",
    "report",
    "empty",
    "print-config",
];
/// The option that names the file; it is in the environment too.
pub(super) const CONFIG: &str = "config";
/// The tables of the file: `key` in `[section]` is the option `--section-key`.
const SECTIONS: &[&str] = &[];

/// Why the file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// No option has this name.
    #[error("{}: {}", path.display(), unknown(key))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, with its table.
        key: String,
    },
    /// The option does not take this value.
    #[error("{}: {key}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with its table.
        key: String,
        /// Why not.
        reason: String,
    },
}

/// A text in the language of the terminal.
fn said(english: &str, japanese: &str) -> String {
    match Lang::of_terminal() {
        Lang::En => english.to_owned(),
        Lang::Ja => japanese.to_owned(),
    }
}

fn unknown(key: &str) -> String {
    match Lang::of_terminal() {
        Lang::En => format!("unknown key {key}"),
        Lang::Ja => format!("{key} というキーはありません"),
    }
}

/// The name of an option that environment and file may set.
pub(super) fn setting(arg: &Arg) -> Option<&str> {
    arg.get_long()
        .filter(|name| !OPTIONS_ONLY.contains(name) && !matches!(*name, "help" | "version"))
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Gives each option its variable `KENKO_<OPTION>`.
pub(super) fn with_environment(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let Some(name) = setting(&arg) else {
                return arg;
            };
            let variable = format!("KENKO_{}", name.to_ascii_uppercase().replace('-', "_"));
            // A database URL may hold a password, which `--help` must not show.
            let arg = arg.env(OsString::from(variable)).hide_env_values(true);
            if is_flag(&arg) {
                arg.value_parser(BoolishValueParser::new())
            } else {
                arg
            }
        })
        .mut_subcommands(with_environment)
}

/// The file that `--config` or `KENKO_CONFIG` names, whatever else is wrong.
pub(super) fn named(command: &Command, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(arguments)
        .ok()?;
    matches.get_one::<PathBuf>(CONFIG).cloned()
}

/// Makes the values of the file the defaults of their options.
pub(super) fn with_file(command: Command, path: &Path) -> Result<Command, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Io {
        path: path.to_owned(),
        source,
    })?;
    let table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| FileError::Syntax {
            path: path.to_owned(),
            message: e.to_string().trim_end().to_owned(),
        })?;
    let mut command = command;
    for (key, name, value) in settings(&table, SECTIONS) {
        let found = find(&command, &name).filter(|arg| arg.get_long() != Some(CONFIG));
        let (Some(arg), Some(value)) = (found, value) else {
            return Err(FileError::UnknownKey {
                path: path.to_owned(),
                key,
            });
        };
        let values = texts(value, &arg).and_then(|values| check(&arg, &values).map(|()| values));
        let values = values.map_err(|reason| FileError::Value {
            path: path.to_owned(),
            key,
            reason,
        })?;
        command = with_default(command, &name, &values);
    }
    Ok(command)
}

/// The keys of the file as they are shown, the options they mean, and their values; a table
/// that is no section has none.
fn settings<'a>(table: &'a Table, sections: &[&str]) -> Vec<(String, String, Option<&'a Value>)> {
    let mut out = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if sections.contains(&key.as_str()) => {
                for (name, value) in inner {
                    let option = format!("{key}-{}", name.replace('_', "-"));
                    let value = (!value.is_table()).then_some(value);
                    out.push((format!("{key}.{name}"), option, value));
                }
            }
            Value::Table(_) => out.push((key.clone(), String::new(), None)),
            _ => out.push((key.clone(), key.replace('_', "-"), Some(value))),
        }
    }
    out
}

/// The option of this name, in whichever command.
fn find(command: &Command, name: &str) -> Option<Arg> {
    command
        .get_arguments()
        .find(|arg| setting(arg) == Some(name))
        .cloned()
        .or_else(|| command.get_subcommands().find_map(|c| find(c, name)))
}

fn texts(value: &Value, arg: &Arg) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        _ => Err(said(
            "expected a string or a number",
            "文字列または数値で指定してください",
        )),
    };
    match (value, arg.get_action()) {
        (Value::Boolean(on), ArgAction::SetTrue) => Ok(vec![on.to_string()]),
        (_, ArgAction::SetTrue) => Err(said(
            "expected true or false",
            "true または false で指定してください",
        )),
        (Value::Array(items), ArgAction::Append) => items.iter().map(one).collect(),
        (Value::Array(_), _) => Err(said("expected one value", "値を一つだけ指定してください")),
        _ => one(value).map(|text| vec![text]),
    }
}

/// Lets the option itself say whether it takes the values. (As defaults they would only be
/// asserted.)
fn check(arg: &Arg, values: &[String]) -> Result<(), String> {
    let Some(name) = arg.get_long().filter(|_| !is_flag(arg)) else {
        return Ok(());
    };
    let alone = arg
        .clone()
        .env(Resettable::Reset)
        .required(false)
        .global(false);
    let arguments = values.iter().map(|value| format!("--{name}={value}"));
    let checked = Command::new(CONFIG)
        .no_binary_name(true)
        .arg(alone)
        .try_get_matches_from(arguments);
    checked.map(drop).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    })
}

fn with_default(command: Command, name: &str, values: &[String]) -> Command {
    command
        .mut_args(|arg| {
            if setting(&arg) != Some(name) {
                return arg;
            }
            let flag = is_flag(&arg);
            let arg = arg
                .default_values(values.iter().map(OsString::from))
                .required(false);
            if flag {
                arg
            } else {
                arg.hide_default_value(true)
            }
        })
        .mut_subcommands(|command| with_default(command, name, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_section_is_the_option_that_begins_with_it() {
        let table: Table = "body_limit = 1\n[consent]\ndeidentified = 'opt-in'\n[other]\nx = 1"
            .parse()
            .unwrap();
        let settings = settings(&table, &["consent"]);
        let names: Vec<_> = settings
            .iter()
            .map(|s| (s.0.as_str(), s.1.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("body_limit", "body-limit"),
                ("consent.deidentified", "consent-deidentified"),
                ("other", "")
            ]
        );
        assert!(settings[2].2.is_none());
    }
}
