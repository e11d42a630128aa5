//! What the GPU provider, its containers and our own workers do wrong, row by row of what may go wrong: every accepted
//! job ends once, nothing is rendered twice, and the poll says meanwhile what it waits for.

mod addresses;
mod containers;
mod provider;
mod workers;

use std::collections::BTreeSet;
use std::time::Duration;

use events::Policy;
use kiln::dev::gpu::{Chance, Record};
use kiln::dev::world::Options;
use serde_json::Value;

use crate::world::TestWorld;

impl TestWorld {
    pub(crate) async fn start_faulty(faults: &[&str]) -> Self {
        let faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
        Self::start_with(|options| Options { faults, ..options }).await
    }

    /// The same, where a silence is soon looked into, and the pauses between attempts are short.
    pub(crate) async fn start_impatient(faults: &[&str]) -> Self {
        let faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
        let [silence, pause] = [2, 1].map(Duration::from_secs);
        Self::start_with(|options| Options {
            faults,
            policy: Policy { silence, ask: pause, backoff: [pause; 3], ..options.policy },
            ..options
        })
        .await
    }

    /// Changes the stand-in's faults while it runs.
    pub(crate) async fn faults(&self, faults: Value) {
        let url = format!("{}/faults", self.modal());
        let answer = self.http.post(url).json(&faults).send().await.expect("it is answered");
        assert_eq!(answer.status(), 200);
    }

    /// What the stand-in ran.
    pub(crate) async fn calls(&self) -> Vec<Record> {
        let url = format!("{}/calls", self.modal());
        self.http.get(url).send().await.expect("it is answered").json().await.expect("calls")
    }

    /// How many containers were started, and how many of them got past their claim.
    pub(crate) async fn rendered(&self) -> (u32, u32) {
        let calls = self.calls().await;
        (calls.iter().map(|call| call.containers).sum(), calls.iter().map(|call| call.claims).sum())
    }
}

#[test]
fn the_readme_s_table_of_faults_names_each_of_them_and_nothing_else() {
    let after = include_str!("../../README.md").split_once("| fault |").expect("the table").1;
    let table = after.split_once("\n\n").expect("something follows").0;
    let first_cells = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let told: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let refusal = "none of them".parse::<Chance>().expect_err("no fault").to_string();
    let known: BTreeSet<&str> = refusal.split('`').filter(|name| name.parse::<Chance>().is_ok()).collect();
    assert_eq!((told, known.len()), (known, 14));
}
