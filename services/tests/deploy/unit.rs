//! systemd's units, as far as they say what to run: read here, and run without systemd.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::support::kiln;

/// The folder of everything that is deployed.
pub(crate) fn deploy() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `NAME=value` lines, and those that stand there as a comment: the name, the value, whether it is set.
pub(crate) fn variables(text: &str) -> Vec<(String, String, bool)> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let lines = text.lines().filter_map(|line| {
        let (is_set, line) = match line.strip_prefix("# ") {
            Some(rest) => (false, rest),
            None => (true, line),
        };
        let (name, value) = line.split_once('=')?;
        is_name(name).then(|| (name.to_owned(), value.to_owned(), is_set))
    });
    lines.collect()
}

/// A unit, and which instance of it.
pub(crate) struct Unit {
    pub(crate) name: String,
    instance: String,
    settings: Vec<(String, String)>,
}

/// Where what the units name lies in a test.
pub(crate) struct Machine {
    /// `/etc/kiln`.
    pub(crate) etc: PathBuf,
    /// `/var/lib`.
    pub(crate) state: PathBuf,
    pub(crate) nats_server: PathBuf,
}

impl Unit {
    /// `kiln@api` is of the file `kiln@.service`.
    pub(crate) fn open(name: &str) -> Self {
        let (file, instance) = match name.split_once('@') {
            Some((template, instance)) => (format!("{template}@.service"), instance),
            None => (format!("{name}.service"), ""),
        };
        let text = read(&deploy().join("systemd").join(file)).replace("\\\n", "");
        let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
        let settings = lines.filter_map(|line| line.split_once('='));
        let settings = settings.map(|(key, value)| (key.to_owned(), value.replace("%i", instance))).collect();
        Self { name: name.to_owned(), instance: instance.to_owned(), settings }
    }

    pub(crate) fn all(&self, key: &str) -> Vec<&str> {
        self.settings.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of this key.
    #[track_caller]
    pub(crate) fn one(&self, key: &str) -> &str {
        match self.all(key).as_slice() {
            [value] => value,
            values => panic!("{} has {} times `{key}`", self.name, values.len()),
        }
    }

    pub(crate) fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.one(key).parse().expect("a number of seconds"))
    }

    /// The examples of the files that it reads.
    pub(crate) fn examples(&self) -> Vec<PathBuf> {
        let files = self.all("EnvironmentFile").into_iter();
        files.map(|file| deploy().join("etc").join(file.strip_prefix("/etc/kiln/").expect("a file of ours"))).collect()
    }

    /// Its command line, with its variables and no others.
    pub(crate) fn command(&self, machine: &Machine) -> Command {
        let here = |text: &str| {
            let text = text.replace("/usr/local/bin/nats-server", &machine.nats_server.to_string_lossy());
            let text = text.replace("/usr/local/bin/kiln", &kiln().to_string_lossy());
            let text = text.replace("%S", &machine.state.to_string_lossy());
            text.replace("/etc/kiln", &machine.etc.to_string_lossy())
        };
        let line = here(self.one("ExecStart"));
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        for setting in self.all("Environment") {
            let (name, value) = setting.split_once('=').expect("a name and a value");
            command.env(name, here(value));
        }
        for file in self.all("EnvironmentFile") {
            command.envs(set(&read(Path::new(&here(file)))));
        }
        command
    }

    /// Its command line, running; what it says goes into a file of its name.
    pub(crate) fn start(&self, machine: &Machine) -> Child {
        let log = std::fs::File::create(self.log(machine)).expect("a log");
        let mut command = self.command(machine);
        command.stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub(crate) fn log(&self, machine: &Machine) -> PathBuf {
        machine.state.join(format!("{}.log", self.name))
    }

    /// Of a template.
    pub(crate) fn role(&self) -> &str {
        &self.instance
    }
}

/// The variables of a file that are set.
pub(crate) fn set(text: &str) -> BTreeMap<String, String> {
    let set = variables(text).into_iter().filter(|(_, _, is_set)| *is_set);
    set.map(|(name, value, _)| (name, value)).collect()
}
