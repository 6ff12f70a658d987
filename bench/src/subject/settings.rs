//! Settings files of others' programs, made from templates: words between at signs are filled in.
//! Knows nothing of what is set.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// The template `file` of the peers, with each of these words replaced by its value.
///
/// # Errors
/// Where it can't be read, or has a word that is not among these.
pub(super) fn fill(peers: &Path, file: &str, words: &[(&str, String)]) -> anyhow::Result<String> {
    let path = peers.join(file);
    let template =
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let mut text = template;
    for (word, value) in words {
        text = text.replace(&format!("@{word}@"), value);
    }
    let left = text.split('@').nth(1);
    ensure!(left.is_none(), "{}: nobody knows the word `{}`", path.display(), left.unwrap_or(""));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_and_none_is_left() {
        let peers = std::env::temp_dir().join(format!("tidings-settings-{}", std::process::id()));
        fs::create_dir_all(&peers).unwrap();
        fs::write(peers.join("a.conf"), "listen @ADDRESS@;\npid @SCRATCH@/pid;\n").unwrap();
        let address = ("ADDRESS", "[::1]:80".to_owned());
        let filled = fill(&peers, "a.conf", &[address.clone(), ("SCRATCH", "here".to_owned())]);
        assert_eq!(filled.unwrap(), "listen [::1]:80;\npid here/pid;\n");
        let error = fill(&peers, "a.conf", &[address]).unwrap_err().to_string();
        assert!(error.ends_with("nobody knows the word `SCRATCH`"), "{error}");
        fs::remove_dir_all(&peers).unwrap();
    }
}
