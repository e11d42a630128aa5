//! The rules as tables, for people.

use crate::fixtures::{Table, state_by_command, state_by_event, state_by_step};

pub(super) fn document() -> String {
    [
        "# What happens to a job\n\nGenerated from the code (`cargo regen`). A state is a job with the facts that lead there; see `tests/fixtures.rs`.\n",
        "\n## State × event\n\nStatus, attempt and progress after the event, or status and code after the end. `·`: nothing changes.\n\n",
        &markdown(&state_by_event()),
        "\n## State × command\n\nThe event to append, or why there is none.\n\n",
        &markdown(&state_by_command()),
        "\n## State × step\n\nWhat a worker with an empty memory does then. The facts are a second apart; the moment counts from the first one.\n\n",
        &markdown(&state_by_step()),
    ]
    .concat()
}

fn markdown(table: &Table) -> String {
    let mut lines = vec![format!("| | {} |", table.columns.join(" | "))];
    lines.push(format!("|---|{}", "---|".repeat(table.columns.len())));
    lines.extend(table.rows.iter().map(|(name, cells)| format!("| {name} | {} |", cells.join(" | "))));
    lines.join("\n") + "\n"
}
