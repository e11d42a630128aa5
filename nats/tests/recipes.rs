//! The recipes of `recipes.md`, tried one by one. A recipe is run by `crate::way`: the ordinary tests send its requests,
//! and the target `nats-cli` runs its commands. What must come of it is the same.

mod beside;
pub(crate) mod book;
mod history;
mod look;
mod mend;
mod publish;
mod replay;

#[test]
fn every_recipe_has_commands_and_requests_and_is_tried() {
    let tests = [
        include_str!("recipes/look.rs"),
        include_str!("recipes/mend.rs"),
        include_str!("recipes/publish.rs"),
        include_str!("recipes/replay.rs"),
    ];
    let titles = book::titles();
    assert!(titles.len() > 15, "{titles:?}");
    for title in titles {
        let blocks = book::blocks_of(title);
        assert!(blocks.iter().any(|block| block.tag == "sh"), "`{title}` has commands");
        assert!(blocks.iter().any(|block| block.tag.starts_with("nats-request")), "`{title}` has requests");
        let known = ["sh", "sh follow", "nats-subscribe", "nats-request", "nats-request follow", "nats-request other"];
        assert!(blocks.iter().all(|block| known.contains(&block.tag)), "`{title}`: {blocks:?}");
        assert!(tests.iter().any(|test| test.contains(&format!("\"{title}\""))), "`{title}` is tried by no test");
    }
}
