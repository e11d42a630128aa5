//! x
use crate::model::{search::search, story::story, world::*};
#[test]
fn probe() {
    let faults: u8 = std::env::var("F").ok().and_then(|f| f.parse().ok()).unwrap_or(1);
    let ticks: u8 = std::env::var("T").ok().and_then(|f| f.parse().ok()).unwrap_or(4);
    let states: usize = std::env::var("S").ok().and_then(|f| f.parse().ok()).unwrap_or(2_000_000);
    let menu: Vec<Fault> = match std::env::var("M") {
        Ok(m) => Fault::ALL.into_iter().filter(|f| m.split(',').any(|n| n == format!("{f:?}"))).collect(),
        Err(_) => Fault::ALL.to_vec(),
    };
    let bounds = Bounds { ticks, faults, menu, without: None, expires: std::env::var("E").is_ok(), states };
    let t = std::time::Instant::now();
    let report = search(&bounds);
    println!(
        "states {} transitions {} depth {} whole {} {:?}",
        report.states,
        report.transitions,
        report.depth,
        report.is_whole,
        t.elapsed()
    );
    for (m, n) in &report.milestones {
        println!("{n:8} {m}");
    }
    if let Some((why, path)) = report.broken {
        println!("{}", story(&bounds, &why, &path));
        panic!("broken")
    }
}
