//! What can go wrong, in one sentence that says what to do next, and the exit code for it.

use std::process::ExitCode;

use crate::client::kiln;
use crate::stdout::Closed;
use ::events::wire::client::Problem;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a job failed or was cancelled, so that there is no video
  2    the command cannot be understood, or contradicts itself
  3    there is no such job or dead letter
  4    kiln refuses it, as it is or as things stand
  5    kiln does not answer, or cannot do it now: try again
  6    the API key is missing, wrong, or may not do this
  7    a file on this machine cannot be read or written
  130  interrupted; accepted jobs go on";

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("no kiln runs on this machine: start one with `kiln dev`, or set KILN_URL")]
    Nowhere,
    #[error(transparent)]
    Kiln(#[from] kiln::Error),
    /// The job is over, and there is no video.
    #[error("{0}")]
    Ended(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    File(String),
    #[error("{0}")]
    Interrupted(String),
    /// Each part of it was told already.
    #[error("")]
    Told(u8),
    /// Whoever read what was printed has seen enough.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Error {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Closed(_) => 0,
            Self::Ended(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::Nowhere => 5,
            Self::File(_) => 7,
            Self::Interrupted(_) => 130,
            Self::Told(code) => *code,
            Self::Kiln(error) => match error {
                kiln::Error::File { .. } => 7,
                kiln::Error::Unreachable { .. } | kiln::Error::Answer(_) | kiln::Error::Download(_) => 5,
                kiln::Error::NoVideo(_) => 4,
                kiln::Error::Problem(problem) => match problem.status {
                    401 | 403 => 6,
                    404 => 3,
                    429 | 500.. => 5,
                    _ => 4,
                },
            },
        }
    }

    /// The sentence.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Kiln(kiln::Error::Problem(problem)) => told(problem),
            Self::Kiln(error @ kiln::Error::Unreachable { .. }) => {
                format!("{error}: start one with `kiln dev`, or set KILN_URL")
            }
            Self::Kiln(error @ kiln::Error::Download(_)) => {
                format!("{error}; the same command goes on from what is there")
            }
            error => crate::chain(error),
        }
    }
}

fn told(problem: &Problem) -> String {
    let detail = ::events::clean(&problem.detail, 1000);
    match problem.status {
        401 => "the API key is missing or wrong: set KILN_API_KEY to one that `kiln keys create` printed".into(),
        403 => format!("{detail}: ask whoever runs this kiln for a key that may"),
        404 => format!("{detail}; `kiln list` shows the jobs that there are"),
        429 | 503 => format!("kiln cannot do it now: {detail}"),
        500.. => format!("{detail} (request {})", ::events::clean(&problem.request_id, 100)),
        _ if problem.errors.is_empty() => format!("kiln refuses it: {detail}"),
        _ => {
            let field = |error: &::events::spec::FieldError| {
                let flag = flag(&error.pointer).map_or_else(String::new, |flag| format!(" (`{flag}`)"));
                format!("`{}`{flag} {}", ::events::clean(&error.pointer, 200), ::events::clean(&error.detail, 300))
            };
            let fields: Vec<_> = problem.errors.iter().map(field).collect();
            format!("kiln refuses it: {}", fields.join("; "))
        }
    }
}

/// Where a person has set the field.
fn flag(pointer: &str) -> Option<&'static str> {
    Some(match pointer.split('/').nth(1)? {
        "outputFormat" => "--format",
        "fps" => "--fps",
        "mode" => "--mode",
        "renderSettings" => "--settings",
        "metadata" => "--metadata",
        "maxAttempts" => "--max-attempts",
        "deadlineSeconds" => "--deadline",
        "expiresAt" => "--expires-in",
        _ => return None,
    })
}

/// The last word, and the exit code.
pub(super) fn exit(done: Result<(), Error>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    if !matches!(error, Error::Closed(_) | Error::Told(_)) {
        super::out::note(&format!("kiln: {}", error.sentence()));
    }
    ExitCode::from(error.code())
}
