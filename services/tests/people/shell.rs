//! How the commands get on with a shell.

use std::process::Stdio;

use super::{Ran, command};
use crate::world::TestWorld;

#[tokio::test]
async fn a_closed_pipe_is_no_error_and_completions_complete() {
    let world = TestWorld::start().await;
    for args in
        [&["list"][..], &["list", "--json"], &["completions", "bash"], &["doctor"], &["submit", "--help"], &["bench"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command(world.folder.path(), &world.url(""), args);
        let child = command.stdout(Stdio::from(writer)).spawn().expect("kiln runs");
        // The command holds the pipe too, and it has no reader.
        drop(command);
        let ran = Ran::of(&child.wait_with_output().await.expect("it ends"));
        assert!(!ran.log.contains("panicked"), "{args:?}: {}", ran.log);
        assert!(ran.code == 0 || args == ["doctor"], "{args:?}: {} {}", ran.code, ran.log);
    }
    for (shell, word) in [("bash", "complete -F _kiln"), ("zsh", "#compdef kiln"), ("fish", "complete -c kiln")] {
        let script = world.kiln(&["completions", shell]).await.expect(0);
        assert!(script.contains(word) && script.contains("flat-4k-portrait"), "{shell}: {script}");
    }
    world.stop().await;
}
