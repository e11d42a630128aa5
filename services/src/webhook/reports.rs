//! What the role remembers of jobs that report: no truth in it, only fewer questions to the log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use events::event::Progressed;
use events::{Attempt, Event, Job, JobId, stage};

/// How long what was read of a running job is believed: news of it are heard, and one of them may get lost.
const FRESH: Duration = Duration::from_secs(10);
/// The same while a fact has just been published, and the log that is asked may not have it yet.
const FRESH_AFTER_NEWS: Duration = Duration::from_secs(1);
/// Between two reports of one job that are written down.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);
/// Reports of one job that may be read at the same time; a container sends them one after the other.
const MAX_AT_ONCE: u8 = 8;
/// Replaced tasks of one attempt that are remembered; Modal preempts a render seldom.
const MAX_REPLACED: usize = 16;
/// How many jobs are remembered; the memory is emptied when it is full, which costs two questions for each.
const MAX_REMEMBERED: usize = 10_000;

/// The memory of one process.
#[derive(Default)]
pub(super) struct Reports(Mutex<HashMap<JobId, Remembered>>);

/// Whether anything of a job may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This attempt may.
    Live(Attempt),
    /// Nothing may.
    Ended,
}

/// What is remembered of one job. Whatever is not, is asked for: the log has the standing, the last progress the task.
#[derive(Default)]
struct Remembered {
    /// Where the job stands, and when the log said so.
    standing: Option<(Instant, Standing)>,
    /// When a fact about it was last heard of.
    news: Option<Instant>,
    /// When a report was last written down, and which.
    written: Option<(Instant, Attempt, u8)>,
    tasks: Option<Tasks>,
    at_once: u8,
}

/// The container tasks of an attempt, in the order of their claims.
struct Tasks {
    attempt: Attempt,
    newest: String,
    replaced: Vec<String>,
}

/// A report that is being read; the job may have only so many.
pub(super) struct Admission<'a> {
    reports: &'a Reports,
    job: JobId,
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.reports.of(self.job, |known| known.at_once = known.at_once.saturating_sub(1));
    }
}

impl Reports {
    /// Lets a report in, unless too many of its job are being read: one job's flood is that job's alone.
    pub(super) fn admit(&self, job: JobId) -> Option<Admission<'_>> {
        let is_let_in = self.of(job, |known| {
            let is_let_in = known.at_once < MAX_AT_ONCE;
            known.at_once += u8::from(is_let_in);
            is_let_in
        });
        is_let_in.then_some(Admission { reports: self, job })
    }

    /// Whether this attempt may go on, if that is known: an end is final, and the rest is believed for a while.
    pub(super) fn standing(&self, job: JobId, attempt: Attempt) -> Option<Standing> {
        self.of(job, |known| {
            let (at, standing) = known.standing?;
            let is_recent = |moment: Instant, limit| moment.elapsed() < limit;
            let has_news = known.news.is_some_and(|news| is_recent(news, FRESH_AFTER_NEWS));
            let is_known = match standing {
                Standing::Ended => true,
                Standing::Live(current) => {
                    current >= attempt && is_recent(at, if has_news { FRESH_AFTER_NEWS } else { FRESH })
                }
            };
            is_known.then_some(standing)
        })
    }

    /// Takes over what the log said.
    pub(super) fn learn(&self, id: JobId, job: &Job) -> Standing {
        let standing = if job.ended.is_some() { Standing::Ended } else { Standing::Live(job.current_attempt()) };
        self.of(id, |known| known.standing = Some((Instant::now(), standing)));
        standing
    }

    /// Takes note of what another process, or this one, has just published.
    pub(super) fn hear(&self, job: JobId, event: &Event) {
        let mut all = self.lock();
        let Some(known) = all.get_mut(&job) else { return };
        if let Event::Progressed(report) = event {
            known.hear_claim(report);
        } else {
            known.standing = None;
            known.news = Some(Instant::now());
        }
    }

    /// Whether it is known which task of this attempt counts.
    pub(super) fn knows_task(&self, job: JobId, attempt: Attempt) -> bool {
        self.of(job, |known| known.tasks.as_ref().is_some_and(|tasks| tasks.attempt == attempt))
    }

    /// Notes that a task has claimed the attempt, and from now on is the one that counts. False for one that was replaced.
    pub(super) fn take_over(&self, job: JobId, attempt: Attempt, task: &str) -> bool {
        self.of(job, |known| known.take_over(attempt, task))
    }

    /// Whether another task has claimed this attempt since.
    pub(super) fn is_replaced(&self, job: JobId, attempt: Attempt, task: &str) -> bool {
        self.of(job, |known| known.tasks.as_ref().is_some_and(|tasks| tasks.attempt == attempt && tasks.newest != task))
    }

    /// Whether a report says more than the last one that was written down, and that was not a moment ago.
    pub(super) fn is_worth_writing(&self, job: JobId, report: &Progressed) -> bool {
        self.of(job, |known| {
            let is_news = known.written.is_none_or(|(at, attempt, percent)| {
                attempt != report.attempt || (percent <= report.progress && at.elapsed() >= REPORT_INTERVAL)
            });
            if is_news {
                known.written = Some((Instant::now(), report.attempt, report.progress));
            }
            is_news
        })
    }

    fn of<T>(&self, job: JobId, act: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self.lock();
        if all.len() >= MAX_REMEMBERED && !all.contains_key(&job) {
            all.clear();
        }
        act(all.entry(job).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Remembered>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Remembered {
    /// Only a claim changes the task that counts, and says so with its stage; later reports were checked by whoever wrote them.
    fn hear_claim(&mut self, report: &Progressed) {
        if let (Some(task), true) = (&report.task_id, report.stage.as_deref() == Some(stage::STARTING.0)) {
            self.take_over(report.attempt, task);
        }
    }

    fn take_over(&mut self, attempt: Attempt, task: &str) -> bool {
        match &mut self.tasks {
            _ if task.is_empty() => true,
            Some(tasks) if tasks.attempt == attempt => tasks.take_over(task),
            Some(tasks) if tasks.attempt > attempt => false,
            _ => {
                self.tasks = Some(Tasks { attempt, newest: task.to_owned(), replaced: Vec::new() });
                true
            }
        }
    }
}

impl Tasks {
    fn take_over(&mut self, task: &str) -> bool {
        if self.replaced.iter().any(|replaced| replaced == task) {
            return false;
        }
        if self.newest != task {
            self.replaced.push(std::mem::replace(&mut self.newest, task.to_owned()));
            self.replaced.truncate(MAX_REPLACED);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use events::event::Cancelled;

    use super::*;

    fn job(n: u8) -> JobId {
        JobId::new(1, [n; 10])
    }

    fn attempt(n: u16) -> Attempt {
        Attempt::new(n).expect("an attempt")
    }

    fn live() -> Job {
        Job::default()
    }

    fn report(task: &str, stage: &str) -> Event {
        let report =
            Progressed { task_id: Some(task.into()), stage: Some(stage.into()), ..Progressed::new(Attempt::FIRST, 30) };
        Event::Progressed(report)
    }

    #[test]
    fn a_standing_is_believed_until_there_is_news_or_a_later_attempt_asks() {
        let reports = Reports::default();
        assert_eq!(reports.standing(job(1), attempt(1)), None);
        reports.learn(job(1), &live());
        assert_eq!(reports.standing(job(1), attempt(1)), Some(Standing::Live(attempt(1))));
        assert_eq!(reports.standing(job(1), attempt(2)), None, "only the log knows of a later attempt");
        reports.hear(job(1), &Event::Cancelled(Cancelled { reason: String::new() }));
        assert_eq!(reports.standing(job(1), attempt(1)), None, "what is heard is looked up");
    }

    #[test]
    fn the_newest_task_counts_whichever_process_took_its_claim() {
        let reports = Reports::default();
        let first = attempt(1);
        assert!(!reports.knows_task(job(1), first));
        assert!(reports.take_over(job(1), first, "ta-1") && reports.take_over(job(1), first, "ta-1"));
        assert!(!reports.is_replaced(job(1), first, "ta-1") && reports.is_replaced(job(1), first, "ta-2"));
        reports.hear(job(1), &report("ta-2", "rendering"));
        assert!(!reports.is_replaced(job(1), first, "ta-1"), "only a claim takes over");
        reports.hear(job(1), &report("ta-2", stage::STARTING.0));
        assert!(reports.is_replaced(job(1), first, "ta-1") && !reports.is_replaced(job(1), first, "ta-2"));
        assert!(!reports.take_over(job(1), first, "ta-1"), "a replaced task does not come back");
        assert!(reports.take_over(job(1), attempt(2), "ta-1") && reports.knows_task(job(1), attempt(2)));
        assert!(!reports.take_over(job(1), first, "ta-3"), "an attempt that is over is not taken up");
    }

    #[test]
    fn one_job_has_only_so_many_reports_in_the_reading() {
        let reports = Reports::default();
        let mut admitted: Vec<_> = (0..MAX_AT_ONCE).map(|_| reports.admit(job(1))).collect();
        assert!(admitted.iter().all(Option::is_some));
        assert!(reports.admit(job(1)).is_none());
        assert!(reports.admit(job(2)).is_some(), "another job's are not its business");
        admitted.pop();
        assert!(reports.admit(job(1)).is_some());
    }

    #[test]
    fn reports_are_written_down_seldom_and_never_backwards() {
        let reports = Reports::default();
        let worth = |n: u16, percent: u8| reports.is_worth_writing(job(1), &Progressed::new(attempt(n), percent));
        assert!(worth(1, 40));
        assert!(!worth(1, 40) && !worth(1, 41) && !worth(1, 30), "a moment later");
        assert!(worth(2, 30), "another attempt begins anew");
    }
}
