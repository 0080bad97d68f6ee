//! Bars and spinners on the standard error, where that is a terminal; elsewhere nothing.
//!
//! What counts is printed in the end, so that nothing is lost with them.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::remote::Output;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// Work whose end cannot be foreseen.
pub(super) fn spinner(output: Output) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target(output));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    if !bar.is_hidden() {
        bar.enable_steady_tick(TURN);
    }
    bar
}

/// Work of which so much is left.
pub(super) fn bar(output: Output, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target(output));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn target(output: Output) -> ProgressDrawTarget {
    match output {
        // It hides itself where there is no terminal.
        Output::Table => ProgressDrawTarget::stderr(),
        Output::Json => ProgressDrawTarget::hidden(),
    }
}
