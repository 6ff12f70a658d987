//! The settings that the documentation gives. Knows nothing of what they mean.

/// What operators read.
const OPERATING: &str = include_str!("../../../../docs/operating.md");

/// The first block of this language.
#[track_caller]
pub(crate) fn block(language: &str) -> String {
    let fence = format!("```{language}\n");
    let (_, rest) = OPERATING.split_once(&fence).expect("docs/operating.md has such a block");
    let (block, _) = rest.split_once("```").unwrap();
    block.into()
}

/// The block with each of these texts, which must stand in it, replaced by another.
#[track_caller]
pub(crate) fn filled(language: &str, replacements: &[(&str, &str)]) -> String {
    let mut block = block(language);
    for (text, by) in replacements {
        assert!(block.contains(text), "{text:?} is not in the block of docs/operating.md: {block}");
        block = block.replace(text, by);
    }
    block
}
