//! The bench itself, in small: its figures are not looked at, only that it has all of them, of jobs that really ended.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::kiln;
use crate::world::processes_of;

#[tokio::test]
async fn bench_prints_every_figure_with_and_without_claims_and_every_job_completes_once() {
    for (claims, goal) in [(None, "goal: 0.6"), (Some("--no-claims"), "goal: 0.75")] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let output = Command::new(kiln())
            .args(["bench", "--jobs", "20", "--clients", "4", "--drain", "10", "--idle", "5"])
            .args(claims)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("kiln runs");
        let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{told}\n{log}");
        let begins = |what: &str| told.lines().filter(|line| line.starts_with(what)).count();
        let writes = ["bench ", "one synced write ", "writes per job ", "bare loop ", "processor per job "];
        let lives = ["whole life ", "drain ", "idle, submit to call ", "nats-server ", "completed once "];
        for figure in writes.into_iter().chain(lives) {
            assert_eq!(begins(figure), 1, "`{figure}` in: {told}");
        }
        // Four to begin with, and then as many as were asked for.
        assert!(told.contains(goal) && told.contains("39 of 39 jobs"), "{told}");
        assert_eq!(processes_of(folder.path()), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder is there").count(), 0);
    }
}
