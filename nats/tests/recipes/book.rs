//! Reads `recipes.md`: a recipe is a heading, some sentences, and fenced blocks.

const BOOK: &str = include_str!("../../recipes.md");

/// A fenced block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    /// What stands behind the opening fence.
    pub(crate) tag: &'static str,
    pub(crate) text: &'static str,
}

fn recipes() -> impl Iterator<Item = (&'static str, &'static str)> {
    BOOK.split("\n## ").skip(1).map(|recipe| recipe.split_once('\n').expect("a recipe has a body"))
}

pub(crate) fn titles() -> Vec<&'static str> {
    recipes().map(|(title, _)| title).collect()
}

/// The blocks of one recipe, in order.
pub(crate) fn blocks_of(title: &str) -> Vec<Block> {
    let (_, body) = recipes().find(|(found, _)| *found == title).unwrap_or_else(|| panic!("no recipe `{title}`"));
    let mut parts = body.split("```").skip(1);
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        let (tag, text) = block.split_once('\n').expect("a block has a tag");
        blocks.push(Block { tag, text: text.trim_end() });
        parts.next();
    }
    blocks
}
