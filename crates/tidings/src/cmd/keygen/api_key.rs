//! Makes an API key: its text for the server that uses it, its entry for the hub's file.
//! Knows nothing of what a hub does with the file.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use tidings_core::topic::Selector;
use tidings_server::auth::api_keys::{self, ApiKeys};

use crate::cli::KeygenArgs;
use crate::exit::Usage;
use crate::{api_key, output};

/// A name is for people.
const NAME_CHARS_MAX: usize = 200;

/// What stands in the hub's file.
#[derive(Serialize)]
struct File<'a> {
    key: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    hash: String,
    publish: Vec<String>,
    subscribe: Vec<String>,
}

/// Makes a key of this name. Its entry is written before the key is shown: a key that is lost is
/// made again, but one that a hub does not know would be believed to work.
///
/// # Errors
/// Where the name is taken, or the file can't be written.
pub(super) fn run(name: &str, args: &KeygenArgs) -> anyhow::Result<()> {
    check(name, args)?;
    let key = api_key::make()?;
    let texts = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect();
    let entry = Entry {
        name,
        hash: api_keys::hash(&key).to_string(),
        publish: texts(&args.publish),
        subscribe: texts(&args.subscribe),
    };
    let entry = toml::to_string(&File { key: [entry] })?;
    // As the hub will: its limits are found here.
    ApiKeys::parse(&entry).map_err(|error| Usage(error.to_string()))?;
    match &args.file {
        Some(path) => {
            append(path, name, &entry)?;
            output::line(&key)?;
            let path = path.display();
            eprintln!(
                "This is the key, shown once; {path} has its hash. The hub reads it with \
                 `tidings serve --api-keys {path}`; the server that uses it with \
                 TIDINGS_TOKEN or --token-file."
            );
        }
        None => {
            output::line(&key)?;
            eprintln!(
                "This is the key, shown once. Put its entry into the hub's file of keys \
                 (`tidings serve --api-keys FILE`):\n\n{}",
                entry.trim_end()
            );
        }
    }
    Ok(())
}

fn check(name: &str, args: &KeygenArgs) -> Result<(), Usage> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Usage("--api-key: a name is a text without control characters".into()));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Usage(format!("--api-key: a name has at most {NAME_CHARS_MAX} characters")));
    }
    if args.publish.is_empty() && args.subscribe.is_empty() {
        return Err(Usage(
            "a key that allows nothing is of no use: say what with --publish SELECTOR or \
             --subscribe SELECTOR (\"*\" is everything)"
                .into(),
        ));
    }
    Ok(())
}

/// Writes an entry at the end of the file, which is made if it is not there. What stands in it,
/// comments too, stays as it is.
fn append(path: &Path, name: &str, entry: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let write = || format!("can't write {shown}");
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).open(path).with_context(write)?;
    // Two of us at once would both find a name free.
    file.lock().with_context(|| format!("can't lock {shown}"))?;
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(|| format!("can't read {shown}"))?;
    let gap = match text.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    // Nothing of what stands there is repeated by the error.
    let keys = ApiKeys::parse(&text).with_context(|| format!("{shown} is no file of API keys"))?;
    ensure!(
        keys.iter().all(|key| *key.name != *name),
        "{shown} has a key {name:?} already: give another name, or take that entry out"
    );
    ApiKeys::parse(&format!("{text}{gap}{entry}")).with_context(|| format!("{shown} is full"))?;
    file.seek(SeekFrom::End(0)).with_context(write)?;
    // In one piece: a hub that reads the file meanwhile sees all of it or nothing.
    file.write_all(format!("{gap}{entry}").as_bytes()).with_context(write)?;
    file.sync_all().with_context(write)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(name: &str) -> String {
        let hash = api_keys::hash(name).to_string();
        let entry = Entry { name, hash, publish: vec!["a".into()], subscribe: vec![] };
        toml::to_string(&File { key: [entry] }).unwrap()
    }

    #[test]
    fn entries_come_after_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        append(&path, "a", &entry("a")).unwrap();
        append(&path, "b", &entry("b")).unwrap();
        let both = format!("{}\n{}", entry("a"), entry("b"));
        assert_eq!(fs::read_to_string(&path).unwrap(), both);
        let error = append(&path, "a", &entry("a")).unwrap_err().to_string();
        assert!(error.contains("has a key \"a\" already"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), both);

        let ours = format!("# ours\n{}", entry("x").trim_end());
        fs::write(&path, &ours).unwrap();
        append(&path, "a", &entry("a")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ours}\n\n{}", entry("a")));
        fs::write(&path, "key = 5 # secret").unwrap();
        let error = append(&path, "a", &entry("a")).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("is no file of API keys: line 1"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn any_name_stays_itself_in_the_file() {
        for name in ["billing", "a \"b\" \\ 'c'", "ü # [x]"] {
            let text = entry(name);
            assert!(text.starts_with("[[key]]\n"), "{text}");
            let keys = ApiKeys::parse(&text).unwrap();
            assert_eq!(&*keys.iter().next().unwrap().name, name);
        }
    }
}
