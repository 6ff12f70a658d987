//! Reads `tidings.toml`: keys at the top level, each a setting of the table.
//! Knows nothing of where the text was read, nor of what the values mean.

use toml::de::{DeTable, DeValue};

use super::table::Shape;
use super::{Given, Origin, TABLE, did_you_mean};

/// What the file gives, and what is wrong with it.
pub(super) fn read(name: &str, text: &str) -> (Vec<Given>, Vec<String>) {
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            return (Vec::new(), vec![format!("{name}:{line}: {}", error.message())]);
        }
    };
    let mut given = Vec::new();
    let mut problems = Vec::new();
    for (key, value) in &table {
        let line = line_at(text, key.span().start);
        let key = key.get_ref().as_ref();
        let Some(setting) = TABLE.iter().find(|setting| setting.key == key) else {
            let what = match value.get_ref() {
                DeValue::Table(_) => ": keys stand at the top level, without sections".into(),
                _ => did_you_mean(key, TABLE.iter().map(|setting| setting.key)),
            };
            problems.push(format!("{name}:{line}: unknown key \"{key}\"{what}"));
            continue;
        };
        if let Shape::Secret(_) = setting.shape {
            problems.push(format!(
                "{name}:{line}: {key}: settings are no place for a secret: put it into a file of \
                 its own, and name that with {}",
                if key == "jwt-secret" { "jwt-key" } else { "token-file" }
            ));
            continue;
        }
        let values = match (value.get_ref(), setting.shape) {
            (DeValue::Array(values), Shape::Many(_)) => {
                values.iter().map(|value| scalar(value.get_ref())).collect()
            }
            (value, _) => scalar(value).map(|value| vec![value]),
        };
        match values {
            Some(values) => {
                let origin = Origin::File { name: name.into(), line };
                given.push(Given { setting, values, origin });
            }
            None => problems.push(format!("{name}:{line}: {key}: takes one value")),
        }
    }
    (given, problems)
}

/// The text of a value as a flag would have it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .ok(),
        DeValue::Float(number) => Some(number.as_str().into()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}
