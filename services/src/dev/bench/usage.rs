//! What a process has taken of the machine, as Linux tells it.

use std::time::Duration;

use anyhow::Context as _;

/// The unit of processor time in `/proc`: always a hundredth of a second there.
const TICK: Duration = Duration::from_millis(10);

/// Of one process.
pub(super) struct Usage {
    /// Time on a processor, all threads together.
    pub(super) cpu: Duration,
    pub(super) resident_mib: u64,
}

impl Usage {
    /// Processor time of this process, and of another.
    pub(super) fn of_both(other: u32) -> anyhow::Result<(Duration, Duration)> {
        Ok((of(std::process::id())?.cpu, of(other)?.cpu))
    }
}

/// A process now.
pub(super) fn of(process: u32) -> anyhow::Result<Usage> {
    let read = |file| {
        let path = format!("/proc/{process}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read; this needs Linux"))
    };
    let (cpu, resident) = (ticks(&read("stat")?), resident_kib(&read("status")?));
    let ticks = cpu.context("/proc tells no processor time")?;
    let resident_kib = resident.context("/proc tells no memory")?;
    Ok(Usage { cpu: TICK * ticks, resident_mib: resident_kib / 1024 })
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

fn resident_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}
