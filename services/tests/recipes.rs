//! The README's recipes, as they stand there.

use std::process::Stdio;

use events::Status;
use tokio::process::Command;

use crate::world::TestWorld;

/// The lines of a chapter that a person would copy: indented, and beginning with a program. Lines that end with a
/// backslash go on.
fn recipes(chapter: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let rest = readme.split_once(&format!("\n## {chapter}\n")).expect("there is such a chapter").1;
    let text = rest.split("\n## ").next().unwrap_or_default().replace("\\\n", "");
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.filter(|line| line.contains("curl ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_recipes_of_the_readme_do_what_they_say() {
    let world = TestWorld::start().await;
    let music = world.music(1);
    std::fs::rename(&music, world.folder.path().join("song.wav")).expect("it can be renamed");
    let recipes = recipes("Submitting");
    assert!(recipes.len() >= 7, "{recipes:?}");
    let mut last = String::new();
    for recipe in recipes {
        let line = recipe.replace("http://127.0.0.1:7700", &world.url("")).replace("JOB", &last);
        let mut shell = Command::new("sh");
        shell.args(["-euc", &line]).current_dir(world.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = shell.output().await.expect("a shell");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}\n{out}\n{}", String::from_utf8_lossy(&output.stderr));
        if out.is_empty() {
            continue;
        }
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{line}\n{out}"));
        assert!(answer["code"].is_null(), "{line}\n{out}");
        if let Some(job) = answer["jobId"].as_str() {
            job.clone_into(&mut last);
            // What comes next may need its end.
            let job = job.parse().expect("a job");
            assert_ne!(world.wait_for_end(job).await.status, Status::Failed, "{line}");
        }
    }
    world.stop().await;
}
