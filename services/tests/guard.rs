//! `kiln guard`: a program ends with its parent.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::support::{is_alive, kiln, wait_for_pid, wait_until_gone};

#[tokio::test]
async fn output_and_exit_code_pass_through() {
    let script = "echo out; echo err >&2; exit 7";
    let mut guard = kiln::guard::command(kiln(), OsStr::new("sh"));
    let mut guard = guard.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a guard");
    let _pipe = guard.stdin.take();
    let output = guard.wait_with_output().await.expect("an end");
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
    assert_eq!(output.status.code(), Some(7));
}

#[tokio::test]
async fn a_killed_parent_leaves_nothing_behind_not_even_the_deaf_and_those_who_left_the_group() {
    let folder = tempdir().expect("a folder");
    let script = r#"
        trap '' TERM
        setsid sh -c 'trap "" TERM; echo $$ > left; sleep 1000' &
        echo $$ > leader
        while :; do sleep 1000; done
    "#;
    // This process plays the parent: it alone holds the other end of the guard's pipe.
    let mut parent = Command::new("sleep").arg("1000").stdout(Stdio::piped()).spawn().expect("a parent");
    let pipe = parent.stdout.take().expect("a pipe");
    let mut guard = Command::new(kiln())
        .args(["guard", "--grace-ms", "50", "--", "sh", "-c", script])
        .current_dir(folder.path())
        .stdin(pipe)
        .spawn()
        .expect("a guard");
    let pids = [wait_for_pid(&folder.path().join("leader")).await, wait_for_pid(&folder.path().join("left")).await];
    assert!(pids.into_iter().all(is_alive));
    parent.kill().expect("a signal");
    parent.wait().expect("an end");
    for pid in pids {
        wait_until_gone(pid).await;
    }
    assert_eq!(guard.wait().expect("an end").code(), Some(128 + 9));
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let folder = tempdir().expect("a folder");
    let mut guard = kiln::guard::command(kiln(), OsStr::new("sh"));
    guard.args(["-c", "sleep 1000 & echo $! > left; exit 3"]).current_dir(folder.path());
    let mut guard = guard.spawn().expect("a guard");
    let _pipe = guard.stdin.take();
    assert_eq!(guard.wait().await.expect("an end").code(), Some(3));
    wait_until_gone(wait_for_pid(&folder.path().join("left")).await).await;
}
