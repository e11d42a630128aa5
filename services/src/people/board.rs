//! Jobs on their way, each with a bar, until they have ended.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use ::events::wire::client::Poll;
use ::events::{JobId, Status};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::out::{Out, note};
use super::rate::Rate;
use super::{words, words::doing};
use crate::bar::{Bar, Bars};
use crate::client::kiln::{self, Client};

/// Before kiln is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long kiln may be away while a job is followed.
const PATIENCE: Duration = Duration::from_mins(10);

/// Before something is sent again that may or may not have arrived; then it is given up.
const PAUSES: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// Who shows how the jobs stand, to whom.
pub(super) struct Board {
    pub(super) client: Client,
    pub(super) out: Out,
    bars: Bars,
    /// Those that were not seen to end, by their names.
    open: Mutex<BTreeMap<JobId, String>>,
}

impl Board {
    pub(super) fn new(client: Client, out: Out) -> Self {
        let bars = if out.is_json { Bars::hidden() } else { Bars::default() };
        Self { client, out, bars, open: Mutex::default() }
    }

    /// A bar for one of the jobs or files of these names.
    pub(super) fn bar<'a>(&self, name: &str, names: impl Iterator<Item = &'a str>) -> Bar {
        let widest = names.map(console::measure_text_width).max().unwrap_or_default();
        self.bars.add(name, widest.clamp(4, 28))
    }

    /// A line above the bars.
    pub(super) fn note(&self, line: &str) {
        self.bars.say(line);
    }

    /// What went wrong with one of several, above the bars.
    pub(super) fn fail(&self, name: &str, error: &Error) {
        let sentence = error.sentence();
        let named = if sentence.contains(name) { sentence } else { format!("{name}: {sentence}") };
        self.bars.suspend(|| note(&format!("kiln: {named}")));
    }

    /// A line of the answer, above the bars.
    pub(super) fn say(&self, line: &str) -> Result<(), Error> {
        Ok(self.bars.suspend(|| self.out.say(line))?)
    }

    /// Follows a job to its end, however often the connection breaks.
    pub(super) async fn to_end(&self, job: JobId, name: &str, bar: &Bar) -> Result<Poll, Error> {
        self.open().insert(job, name.to_owned());
        let mut rate = Rate::default();
        let on_state = |poll: &Poll| {
            self.out.json(poll)?;
            let left = rate.left(Instant::now(), poll);
            let left = left.map_or_else(String::new, |left| format!(", about {} left", words::whole(left)));
            bar.show_more(&doing(poll), &left, f32::from(poll.progress));
            Ok(())
        };
        let last = to_end(&self.client, job, on_state, |error| bar.note(&format!("{error}; asking again"))).await;
        bar.clear();
        if last.is_ok() {
            self.open().remove(&job);
        }
        last
    }

    /// Does the same with all of them at once; the worst of what comes of it.
    pub(super) async fn each<T>(
        &self,
        all: &[T],
        stop: &CancellationToken,
        one: impl AsyncFn(&T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let doing = async {
            let mut worst = Worst::none();
            let mut going = stream::iter(all).map(|item| one(item)).buffer_unordered(all.len());
            while let Some(done) = going.next().await {
                worst.add(done)?;
            }
            worst.result()
        };
        self.unless(stop, doing).await
    }

    /// What comes of it, unless somebody will not wait any longer.
    pub(super) async fn unless<T>(
        &self,
        stop: &CancellationToken,
        doing: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            done = doing => done,
            () = stop.cancelled() => Err(self.interrupted()),
        }
    }

    /// What is said when somebody will not wait any longer.
    fn interrupted(&self) -> Error {
        let open = self.open();
        let ids: Vec<_> = open.keys().map(ToString::to_string).collect();
        Error::Interrupted(match ids.as_slice() {
            [] => "interrupted".into(),
            [id] => format!("the job goes on; look again with `kiln watch {id}`"),
            ids => format!("the jobs go on; look again with `kiln watch {}`", ids.join(" ")),
        })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, String>> {
        self.open.lock().expect("nothing panics while it holds this lock")
    }
}

/// Follows a job that is known to its end; `on_state` is told each state and `on_trouble` each error that will pass.
pub(crate) async fn to_end(
    client: &Client,
    job: JobId,
    mut on_state: impl FnMut(&Poll) -> Result<(), Error>,
    on_trouble: impl Fn(&kiln::Error),
) -> Result<Poll, Error> {
    let mut following = client.follow(job);
    let (mut last, mut heard): (Option<Poll>, _) = (None, Instant::now());
    loop {
        match following.next().await {
            Ok(Some(poll)) => {
                on_state(&poll)?;
                (last, heard) = (Some(poll), Instant::now());
            }
            Ok(None) => match last.take() {
                Some(poll) if poll.status.is_final() => return Ok(poll),
                _ => return Err(Error::NotFound("the job has aged out: its log is no longer kept".into())),
            },
            Err(error) if error.is_transient() && heard.elapsed() < PATIENCE => {
                on_trouble(&error);
                sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends, and sends again what may have been lost. Under one key that is one job.
pub(super) async fn patiently<T>(
    say: impl Fn(&str),
    mut send: impl AsyncFnMut() -> Result<T, kiln::Error>,
) -> Result<T, kiln::Error> {
    for pause in PAUSES {
        match send().await {
            Err(error) if error.is_transient() => say(&format!("{error}; it is sent again")),
            done => return done,
        }
        sleep(Duration::from_secs(pause)).await;
    }
    send().await
}

/// How a job ended, in a line; an error if that is without a video.
pub(super) fn ending(name: &str, poll: &Poll) -> Result<String, Error> {
    let job = poll.job_id;
    match poll.status {
        Status::Complete => {
            let took = poll.created_at.map_or_else(String::new, |created| {
                format!(" after {}", words::duration(poll.updated_at.since(created)))
            });
            Ok(format!("{name} is complete{took}: {}", doing(poll)))
        }
        Status::Cancelled => Err(Error::Ended(format!("{name} was cancelled (job {job})"))),
        _ => Err(Error::Ended(format!("{name} failed: {}; `kiln explain {job}` tells the story", doing(poll)))),
    }
}

/// The errors of several, each told as it came; the first one gives the exit code.
pub(super) struct Worst(Option<u8>);

impl Worst {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Takes in how one of them went.
    pub(super) fn add(&mut self, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Ok(()) => Ok(()),
            Err(Error::Closed(closed)) => Err(Error::Closed(closed)),
            Err(error) => {
                if !matches!(error, Error::Told(_)) {
                    note(&format!("kiln: {}", error.sentence()));
                }
                self.0.get_or_insert(error.code());
                Ok(())
            }
        }
    }

    pub(super) fn result(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |code| Err(Error::Told(code)))
    }
}
