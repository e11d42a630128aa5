//! What can go wrong between us and the server.

use events::JobId;

/// An operation that did not work. The source says why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server of `NATS_URL` took the connection.
    #[error("cannot connect to NATS at `{address}` (`NATS_URL`)")]
    Connect {
        /// Host and port of every server that was tried.
        address: String,
        /// Why.
        source: Cause,
    },
    /// The server does not know who we are, or what we should show it cannot be read.
    #[error("NATS at `{address}` does not take the login ({variables})")]
    Login {
        /// Host and port of every server that was tried.
        address: String,
        /// The variables that the login is from.
        variables: &'static str,
        /// Why.
        source: Cause,
    },
    /// The connection cannot be encrypted, or the server's certificate is not one to trust.
    #[error("the connection to NATS at `{address}` cannot be trusted (`NATS_CA`)")]
    Trust {
        /// Host and port of every server that was tried.
        address: String,
        /// Why.
        source: Cause,
    },
    /// A stream that is kept as only one server keeps it should be on several.
    #[error("cannot replicate {0}: it was made for one server; delete it and provision again")]
    MadeForOne(String),
    /// A stream, consumer or bucket could not be looked at, made or changed.
    #[error("cannot set up {object}")]
    Provision {
        /// Such as ``stream `RENDER` ``.
        object: String,
        /// Why.
        source: Cause,
    },
    /// The server did not tell of itself, of us or of its limits.
    #[error("NATS does not tell how it is set up")]
    Inspect(#[source] Cause),
    /// The log did not tell where it begins and ends.
    #[error("cannot look at the log")]
    Head(#[source] Cause),
    /// A job could not be read from the log.
    #[error("cannot load job `{0}`")]
    Load(JobId, #[source] Cause),
    /// A fact could not be written, or nobody knows whether it was.
    #[error("cannot append to job `{0}`")]
    Append(JobId, #[source] Cause),
    /// The log took no message although the subject is free: it is full.
    #[error("the log is full")]
    Full,
    /// Other writers were first, again and again.
    #[error("job `{0}` changes faster than it can be decided upon")]
    Contended(JobId),
    /// Where the fact belongs lies something else that has no effect, and nothing can ever replace it.
    #[error("job `{0}` holds something unreadable where a fact belongs")]
    Occupied(JobId),
    /// The log did not tell how full it is, or what was asked for.
    #[error("cannot look at the log as a whole")]
    Room(#[source] Cause),
    /// Messages could not be fetched.
    #[error("cannot pull from `{0}`")]
    Pull(String, #[source] Cause),
    /// A dead letter could not be kept.
    #[error("cannot keep a dead letter of `{0}`")]
    Bury(String, #[source] Cause),
    /// The dead letters did not come.
    #[error("cannot read the dead letters")]
    Letters(#[source] Cause),
    /// A consumer was not told to deliver again.
    #[error("cannot make the projectors read again")]
    Redrive(#[source] Cause),
    /// A job's entry could not be read.
    #[error("cannot read the entry of job `{0}`")]
    Read(JobId, #[source] Cause),
    /// The entries of several jobs could not be read.
    #[error("cannot read the entries of a page of jobs")]
    ReadMany(#[source] Cause),
    /// A job's entry could not be written.
    #[error("cannot write the entry of job `{0}`")]
    Project(JobId, #[source] Cause),
    /// The bucket could not be watched.
    #[error("cannot watch the entries")]
    Watch(#[source] Cause),
    /// The streams of a bench could not be made, looked at or written.
    #[error("cannot measure the server")]
    Bench(#[source] Cause),
}

/// Why an operation did not work.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// There is no connection now; nothing was sent.
    #[error("not connected")]
    Disconnected,
    /// It is another log than the one that was written before: nothing was sent. Only a person can help.
    #[error("nothing is written: {0}")]
    Fenced(String),
    /// Nobody has looked yet at what is behind this new connection; nothing was sent.
    #[error("the log was not looked at yet")]
    Unchecked,
    /// No answer in time: the request may have had its effect, or may still have it.
    #[error("no answer in time")]
    Timeout,
    /// The connection got lost before the answer came, if one was sent.
    #[error("the connection got lost before the answer")]
    Lost,
    /// Nobody serves this: the stream is absent, or `JetStream` is off or has no leader.
    #[error("nobody answers")]
    NoResponders,
    /// The server said no.
    #[error("the server refused: {description} ({code})")]
    Refused {
        /// The server's own number for the error.
        code: u64,
        /// The HTTP-like class of it.
        status: u16,
        /// Its words.
        description: String,
    },
    /// The answer is not what the protocol says.
    #[error("the answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// The client library gave up.
    #[error("the client failed")]
    Client(#[source] async_nats::Error),
}

impl Error {
    /// Whether the same may work in a while without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Contended(_) => true,
            Self::Full | Self::Occupied(_) | Self::Login { .. } | Self::Trust { .. } | Self::MadeForOne(_) => false,
            Self::Connect { source, .. }
            | Self::Provision { source, .. }
            | Self::Inspect(source)
            | Self::Head(source)
            | Self::Load(_, source)
            | Self::Append(_, source)
            | Self::Pull(_, source)
            | Self::Bury(_, source)
            | Self::Read(_, source)
            | Self::Project(_, source)
            | Self::ReadMany(source)
            | Self::Room(source)
            | Self::Bench(source)
            | Self::Letters(source)
            | Self::Redrive(source)
            | Self::Watch(source) => source.is_transient(),
        }
    }
}

impl Cause {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Disconnected
            | Self::Unchecked
            | Self::Timeout
            | Self::Lost
            | Self::NoResponders
            | Self::Client(_) => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 408 || *status == 429,
            Self::Answer(_) | Self::Fenced(_) => false,
        }
    }

    pub(crate) fn client(error: impl Into<async_nats::Error>) -> Self {
        Self::Client(error.into())
    }
}
