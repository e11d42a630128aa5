//! `kiln --help`: the commands by what they are for, since clap lists them in one row.

use std::fmt::Write as _;

use clap::Command;

/// Every command that is no secret, once.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Try it on this machine", &["demo", "dev", "bench"]),
    (
        "Renders",
        &[
            "submit",
            "status",
            "watch",
            "list",
            "events",
            "explain",
            "cancel",
            "retry",
            "download",
            "deadletters",
            "completions",
        ],
    ),
    ("Roles, which run until they are told to stop", &["api", "worker", "webhook", "projector", "serve"]),
    ("For who runs kiln", &["provision", "doctor", "keys", "ready", "rebuild", "fence", "sweep"]),
    ("In the GPU container", &["render", "probe"]),
];

/// The command with its help in groups. What this build leaves out is not told.
pub(super) fn grouped(command: Command) -> Command {
    let header = command.get_styles().get_header().to_owned();
    let literal = command.get_styles().get_literal().to_owned();
    let mut template = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (group, names) in GROUPS {
        let _ = writeln!(template, "\n{header}{group}:{header:#}");
        for found in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let (name, about) = (found.get_name(), found.get_about().map(ToString::to_string).unwrap_or_default());
            let _ = writeln!(template, "  {literal}{name:<13}{literal:#}{about}");
        }
    }
    let _ = write!(template, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    command.help_template(template)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_command_stands_in_the_help_once() {
        let help = grouped(Cli::command()).render_help().to_string();
        let listed = |name: &str| help.lines().filter(|line| line.split_whitespace().next() == Some(name)).count();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert_eq!(listed(name), usize::from(!command.is_hide_set()), "{name} in {help}");
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert_eq!(help.contains(&about), !command.is_hide_set(), "{name} in {help}");
        }
        for (group, _) in GROUPS {
            assert!(help.contains(group), "{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    }
}
