//! How far a long command is, for a person at a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `total` lines on standard error, where a person looks at it; else one that counts and draws nothing.
pub(crate) fn bar(visible: bool, doing: &'static str, total: Option<u64>) -> ProgressBar {
    let target = if visible && std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = match total {
        Some(_) => "{msg} [{bar:40}] {human_pos}/{human_len} lines, {per_sec}, {eta} left",
        None => "{msg} {human_pos} lines",
    };
    let style = ProgressStyle::with_template(template).expect("the template names only fields that there are");
    ProgressBar::with_draw_target(total, target).with_style(style).with_message(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bars_can_be_drawn_and_count_unseen() {
        for total in [None, Some(10)] {
            let bar = bar(false, "writing", total);
            bar.inc(3);
            assert_eq!((bar.position(), bar.length(), bar.is_hidden()), (3, total, true));
        }
    }
}
