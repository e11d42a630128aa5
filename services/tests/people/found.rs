//! A running `kiln dev` is found without being named.

use std::path::Path;

use super::{Ran, command};
use crate::life::dev_in;
use crate::support::wait_for;

async fn list(folder: &Path, runtime: &Path) -> Ran {
    let mut command = command(folder, "", &["list"]);
    let output = command.env("XDG_RUNTIME_DIR", runtime).env_remove("KILN_URL").output().await;
    Ran::of(&output.expect("kiln runs"))
}

#[tokio::test]
async fn a_running_dev_is_found_from_anywhere_until_it_ends_and_env_files_come_first() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (runtime, elsewhere) = (folder.path().join("runtime"), folder.path().join("elsewhere"));
    std::fs::create_dir(&elsewhere).expect("a folder");
    let none = list(&elsewhere, &runtime).await.sentence(5);
    assert!(none.contains("no kiln runs on this machine: start one with `kiln dev`"), "{none}");
    let (mut world, client) = dev_in(&folder.path().join(".kiln"), &runtime).await;
    for from in [folder.path(), &elsewhere] {
        let told = wait_for("the world to be found", async || {
            let ran = list(from, &runtime).await;
            (ran.code == 0).then_some(ran.told)
        });
        assert!(told.await.contains("there are no jobs yet"));
    }
    std::fs::write(elsewhere.join(".env"), "KILN_URL=http://127.0.0.1:1\n").expect("written");
    assert!(list(&elsewhere, &runtime).await.sentence(5).contains("http://127.0.0.1:1"));
    std::fs::write(elsewhere.join(".env"), format!("KILN_URL={}\n", client.base())).expect("written");
    list(&elsewhere, &runtime).await.expect(0);
    std::fs::remove_file(elsewhere.join(".env")).expect("it was there");
    world.start_kill().expect("it can be killed");
    world.wait().await.expect("it ends");
    for from in [folder.path(), &elsewhere] {
        list(from, &runtime).await.sentence(5);
    }
}
