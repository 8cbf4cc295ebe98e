//! The effective configuration as text.

use std::fmt::Write;

use serde_json::json;
use toml::{Table, Value};

use super::{Effective, Origin};
use crate::cli::error::CliError;

/// What is to be shown, and whether with where it comes from.
pub(super) struct Show<'a> {
    pub(super) effective: &'a Effective,
    pub(super) with_origin: bool,
}

/// A key that someone has set.
pub(super) struct Set {
    pub(super) key: String,
    pub(super) toml: String,
    pub(super) json: serde_json::Value,
    pub(super) origin: String,
}

impl Show<'_> {
    /// As TOML that can be used as a file.
    pub(super) fn toml(&self) -> Result<String, CliError> {
        let mut out = String::new();
        self.section("", &table(self.effective)?, &mut out);
        Ok(out.trim_start().to_owned())
    }

    /// As one object per section; with the origin each key is an object of `value` and `origin`.
    pub(super) fn json(&self) -> Result<serde_json::Value, CliError> {
        let plain = serde_json::to_value(&self.effective.config).map_err(|error| unprintable(&error))?;
        Ok(if self.with_origin { self.annotated("", plain) } else { plain })
    }

    fn section(&self, name: &str, table: &Table, out: &mut String) {
        let is_section = |value: &Value| matches!(value, Value::Table(_));
        // Writing to a string does not fail.
        if !name.is_empty() {
            let _ = writeln!(out, "\n[{name}]");
        }
        for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
            let _ = match self.with_origin {
                true => writeln!(out, "{key} = {value}  # {}", self.effective.origin(&joined(name, key))),
                false => writeln!(out, "{key} = {value}"),
            };
        }
        for (key, value) in table {
            if let Value::Table(inner) = value {
                self.section(&joined(name, key), inner, out);
            }
        }
    }

    fn annotated(&self, name: &str, value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(keys) => keys
                .into_iter()
                .map(|(key, value)| (key.clone(), self.annotated(&joined(name, &key), value)))
                .collect(),
            value => json!({ "value": value, "origin": self.effective.origin(name).to_string() }),
        }
    }
}

/// The keys that are not left at their default, in order.
pub(super) fn changed(effective: &Effective) -> Result<Vec<Set>, CliError> {
    let mut found = Vec::new();
    collect(effective, "", &table(effective)?, &mut found)?;
    Ok(found)
}

fn collect(effective: &Effective, name: &str, table: &Table, found: &mut Vec<Set>) -> Result<(), CliError> {
    for (key, value) in table {
        let key = joined(name, key);
        if let Value::Table(inner) = value {
            collect(effective, &key, inner, found)?;
            continue;
        }
        let origin = effective.origin(&key);
        if origin != Origin::Default {
            let json = serde_json::to_value(value).map_err(|error| unprintable(&error))?;
            found.push(Set { key, toml: value.to_string(), json, origin: origin.to_string() });
        }
    }
    Ok(())
}

fn table(effective: &Effective) -> Result<Table, CliError> {
    Table::try_from(&effective.config).map_err(|error| unprintable(&error))
}

fn joined(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Only a path that is no text can be the reason.
fn unprintable(error: &dyn std::fmt::Display) -> CliError {
    CliError::Config { problem: format!("the configuration cannot be printed: {error}") }
}
