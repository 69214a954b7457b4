//! `serve --print-config`: the settings of a server as a commented TOML file.
//!
//! The file is written from the options themselves: groups, descriptions and defaults are those of
//! `serve --help`. A key without a default stands as an example of its kind, commented out like all.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::file;

/// Options of `serve` without a heading of their own.
const GENERAL: &str = "Server";

/// The file: each option of `serve` with its description and default, commented out.
pub fn config(command: &Command) -> String {
    let mut out = String::from(
        "# Settings of kenko-fhir, as --config reads them. Each key is an option of the same name;\n\
         # option > environment (KENKO_<KEY>) > this file > default. The values are the defaults.\n",
    );
    let serve = command.find_subcommand("serve");
    let own = serve.into_iter().flat_map(Command::get_arguments);
    let mut groups: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for arg in command.get_arguments().chain(own) {
        if file::setting(arg).is_none_or(|name| name == file::CONFIG) {
            continue;
        }
        let heading = arg.get_help_heading().unwrap_or(GENERAL);
        match groups.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading, vec![arg])),
        }
    }
    for (heading, args) in groups {
        let _ = write!(out, "\n# ---- {heading}\n");
        for arg in args {
            let _ = write!(out, "\n{}", entry(arg));
        }
    }
    out
}

/// An option as a comment and a commented key.
fn entry(arg: &Arg) -> String {
    let name = file::setting(arg).unwrap_or_default();
    let mut out = String::new();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    for line in help.lines() {
        let _ = writeln!(out, "# {line}");
    }
    let values = arg.get_possible_values();
    if !values.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        let _ = writeln!(out, "# One of: {}", names.join(", "));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<String> = defaults.map(|v| v.to_string_lossy().into_owned()).collect();
    let value = match (arg.get_action(), defaults.as_slice()) {
        (ArgAction::SetTrue, _) => "false".to_owned(),
        (ArgAction::Append, values) => {
            let values: Vec<String> = values.iter().map(|value| toml(value)).collect();
            format!("[{}]", values.join(", "))
        }
        (_, [value]) => toml(value),
        _ => {
            let names = arg.get_value_names().unwrap_or_default();
            let _ = writeln!(out, "# (none by default)");
            let example = names.first().map_or("…", |name| name.as_str());
            return format!("{out}# {name} = \"{example}\"\n");
        }
    };
    format!("{out}# {name} = {value}\n")
}

/// A value as TOML writes it: a number where it is one, else a string.
fn toml(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) => toml::Value::String(value.to_owned()).to_string(),
    }
}
